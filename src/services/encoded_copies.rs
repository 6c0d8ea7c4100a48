//! Cached copies of a file that is too large for the open-file cache to hold in memory: its compressed form, or its
//! content if ranges are often requested. Owned by the open file, so a copy never outlives its version of the content.
//!
//! Invariant: all copies together, including those being made, do not exceed the limit; one that does not fit is
//! recomputed each time.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

/// The memory limit shared by all copies.
pub struct MemoryBudget {
    used: Cell<u64>,
    limit: Cell<u64>,
}

impl MemoryBudget {
    /// `limit`: bytes of all copies together.
    pub fn new(limit: u64) -> MemoryBudget {
        MemoryBudget { used: Cell::new(0), limit: Cell::new(limit) }
    }

    /// Applies to copies made from now on.
    pub fn set_limit(&self, limit: u64) {
        self.limit.set(limit);
    }
}

/// The copies of one file.
#[derive(Default)]
pub struct Copies {
    gzip: RefCell<Option<(u32, CachedBytes)>>,
    plain: OnceCell<CachedBytes>,
}

struct CachedBytes {
    bytes: Rc<[u8]>,
    budget: Rc<MemoryBudget>,
}

impl CachedBytes {
    /// None: there is no room.
    fn new(bytes: &[u8], budget: &Rc<MemoryBudget>) -> Option<CachedBytes> {
        let used = budget.used.get() + bytes.len() as u64;
        if used > budget.limit.get() {
            return None;
        }
        budget.used.set(used);
        Some(CachedBytes { bytes: bytes.into(), budget: budget.clone() })
    }
}

impl Drop for CachedBytes {
    fn drop(&mut self) {
        self.budget.used.set(self.budget.used.get() - self.bytes.len() as u64);
    }
}

/// A copy made while it is sent. It counts towards the limit: any number of clients may have a file compressed at once,
/// and read it as slowly as they like.
pub struct PartialCopy {
    bytes: Vec<u8>,
    /// Bytes of the budget in use.
    counted: u64,
    budget: Rc<MemoryBudget>,
}

impl PartialCopy {
    /// Nothing so far.
    pub fn new(budget: Rc<MemoryBudget>) -> PartialCopy {
        PartialCopy { bytes: Vec::new(), counted: 0, budget }
    }

    /// Appends the next piece. False: there is no room, and the copy is of no use.
    pub fn push(&mut self, piece: &[u8]) -> bool {
        let (len, room) = (self.bytes.len(), self.bytes.capacity());
        if room - len < piece.len() {
            // Not doubled, since the whole capacity counts.
            self.bytes.reserve_exact(piece.len().max(len / 4));
        }
        let room = self.bytes.capacity() as u64;
        let used = self.budget.used.get() - self.counted + room;
        if used > self.budget.limit.get() {
            return false;
        }
        self.budget.used.set(used);
        self.counted = room;
        self.bytes.extend_from_slice(piece);
        true
    }

    /// The whole copy, which is not counted any more.
    pub fn finish(mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for PartialCopy {
    fn drop(&mut self) {
        self.budget.used.set(self.budget.used.get() - self.counted);
    }
}

impl Copies {
    /// The whole file, compressed at that gzip level.
    pub fn gzip(&self, level: u32) -> Option<Rc<[u8]>> {
        self.gzip.borrow().as_ref().filter(|(of, _)| *of == level).map(|(_, kept)| kept.bytes.clone())
    }

    /// The whole file as it is.
    pub fn plain(&self) -> Option<&[u8]> {
        self.plain.get().map(|kept| &*kept.bytes)
    }

    /// No copy is cached.
    pub fn is_empty(&self) -> bool {
        self.gzip.borrow().is_none() && self.plain.get().is_none()
    }

    /// Caches the compressed form if there is room, replacing one of another level.
    pub fn keep_gzip(&self, level: u32, bytes: &[u8], budget: &Rc<MemoryBudget>) {
        let mut gzip = self.gzip.borrow_mut();
        // Free its memory first, which may be needed.
        *gzip = None;
        *gzip = CachedBytes::new(bytes, budget).map(|kept| (level, kept));
    }

    /// Caches the uncompressed content if there is room.
    pub fn keep_plain(&self, bytes: &[u8], budget: &Rc<MemoryBudget>) {
        if let Some(kept) = CachedBytes::new(bytes, budget) {
            // An existing copy of the same version is equivalent.
            let _ = self.plain.set(kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_counted_until_it_is_gone() {
        let budget = Rc::new(MemoryBudget::new(10));
        let (one, other) = (Copies::default(), Copies::default());
        one.keep_gzip(1, b"123456", &budget);
        assert_eq!(one.gzip(1).as_deref(), Some(&b"123456"[..]));
        assert_eq!(one.gzip(2), None, "another level");
        other.keep_gzip(1, b"12345", &budget);
        assert!(other.is_empty(), "no room");
        one.keep_gzip(2, b"12345", &budget);
        assert_eq!(one.gzip(1), None, "its place was taken");
        other.keep_gzip(1, b"12345", &budget);
        assert!(!other.is_empty());
        assert_eq!(budget.used.get(), 10);
        one.keep_plain(b"1", &budget);
        assert_eq!(one.plain(), None, "no room");
        other.keep_gzip(1, b"123", &budget);
        one.keep_plain(b"12", &budget);
        assert_eq!((one.plain(), budget.used.get()), (Some(&b"12"[..]), 10));
        drop((one, other));
        assert_eq!(budget.used.get(), 0);
    }

    /// Every client that had a file of 8 MB compressed held its own copy, beside the limit, for as long as it read.
    #[test]
    fn what_is_being_made_is_counted_too() {
        let budget = Rc::new(MemoryBudget::new(100));
        let (mut one, mut other) = (PartialCopy::new(budget.clone()), PartialCopy::new(budget.clone()));
        assert!(one.push(&[1; 40]) && other.push(&[2; 40]));
        assert!(!other.push(&[2; 40]), "both together are too large");
        assert!(one.push(b""), "the other one has its place until it is dropped");
        drop(other);
        assert!(one.push(&[1; 40]));
        assert_eq!(budget.used.get(), one.bytes.capacity() as u64);
        assert_eq!(one.finish(), [1; 80]);
        assert_eq!(budget.used.get(), 0);
    }
}

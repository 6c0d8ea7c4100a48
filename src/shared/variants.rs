//! Files in other encodings than they are stored in: what was compressed once is kept with the open file, which never
//! outlives its version of the content.
//!
//! Invariant: all variants together are no larger than the limit; what does not fit is made anew each time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// The bytes that all variants share.
pub struct Budget {
    used: Cell<u64>,
    limit: Cell<u64>,
}

impl Budget {
    pub fn new(limit: u64) -> Budget {
        Budget { used: Cell::new(0), limit: Cell::new(limit) }
    }

    /// Holds for what is kept from now on.
    pub fn set_limit(&self, limit: u64) {
        self.limit.set(limit);
    }
}

/// A file's variant, if it has one.
#[derive(Default)]
pub struct Variants(RefCell<Option<Gzip>>);

struct Gzip {
    level: u32,
    bytes: Rc<[u8]>,
    budget: Rc<Budget>,
}

impl Drop for Gzip {
    fn drop(&mut self) {
        self.budget.used.set(self.budget.used.get() - self.bytes.len() as u64);
    }
}

impl Variants {
    /// The whole file as gzip of that level.
    pub fn gzip(&self, level: u32) -> Option<Rc<[u8]>> {
        self.0.borrow().as_ref().filter(|gzip| gzip.level == level).map(|gzip| gzip.bytes.clone())
    }

    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_none()
    }

    /// Keeps it, if there is room. Another level takes the place of the last.
    pub fn keep(&self, level: u32, bytes: &[u8], budget: &Rc<Budget>) {
        let mut kept = self.0.borrow_mut();
        *kept = None;
        let used = budget.used.get() + bytes.len() as u64;
        if used <= budget.limit.get() {
            budget.used.set(used);
            *kept = Some(Gzip { level, bytes: bytes.into(), budget: budget.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_counted_until_it_is_gone() {
        let budget = Rc::new(Budget::new(10));
        let (one, other) = (Variants::default(), Variants::default());
        one.keep(1, b"123456", &budget);
        assert_eq!(one.gzip(1).as_deref(), Some(&b"123456"[..]));
        assert_eq!(one.gzip(2), None, "another level");
        other.keep(1, b"12345", &budget);
        assert!(other.is_empty(), "no room");
        one.keep(2, b"12345", &budget);
        assert_eq!(one.gzip(1), None, "its place was taken");
        other.keep(1, b"12345", &budget);
        assert!(!other.is_empty());
        assert_eq!(budget.used.get(), 10);
        drop((one, other));
        assert_eq!(budget.used.get(), 0);
    }
}

//! Counters that a process shares with forked children: an anonymous mapping made before the fork, freed with the last
//! of them.

use super::Errno;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

/// An array of counters, initially zero.
pub struct Shared {
    at: NonNull<AtomicU64>,
    count: usize,
}

impl Shared {
    /// # Errors
    /// The error of mmap.
    pub fn new(count: usize) -> Result<Shared, Errno> {
        let length = count.max(1) * size_of::<AtomicU64>();
        let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at a place of the kernel's choice touches no memory of ours.
        let at = unsafe { libc::mmap(ptr::null_mut(), length, prot, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        NonNull::new(at.cast()).map(|at| Shared { at, count }).ok_or(Errno::ENOMEM)
    }

    fn cells(&self) -> &[AtomicU64] {
        // SAFETY: the mapping holds `count` of them until this value is dropped; the kernel zeroed it, which is a valid
        // AtomicU64, and it is page aligned. Other processes change it by atomic operations only.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.count) }
    }

    /// Adds to a counter, atomically; without effect if there is none of that number.
    pub fn add(&self, at: usize, by: u64) {
        if let Some(cell) = self.cells().get(at) {
            cell.fetch_add(by, Ordering::Relaxed);
        }
    }

    /// Sets a value, which no other process changes at the same time.
    pub fn set(&self, at: usize, value: u64) {
        if let Some(cell) = self.cells().get(at) {
            cell.store(value, Ordering::Relaxed);
        }
    }

    /// Puts `to` in the place of `from`, atomically. False: it was another value.
    pub fn replace(&self, at: usize, from: u64, to: u64) -> bool {
        let cell = self.cells().get(at);
        cell.is_some_and(|cell| cell.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok())
    }

    /// The present value; 0 if there is no counter of that number.
    pub fn get(&self, at: usize) -> u64 {
        self.cells().get(at).map_or(0, |cell| cell.load(Ordering::Relaxed))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that `new` made; no reference to it outlives `self`.
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.count.max(1) * size_of::<AtomicU64>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_begin_at_zero_and_stay_within_their_page() {
        let shared = Shared::new(3).expect("mmap");
        shared.add(0, 2);
        shared.add(2, 1);
        shared.add(3, 1);
        assert_eq!([0, 1, 2, 3].map(|at| shared.get(at)), [2, 0, 1, 0]);
        shared.set(1, 5);
        shared.set(3, 5);
        assert_eq!([(1, 4), (1, 5), (3, 0)].map(|(at, from)| shared.replace(at, from, 6)), [false, true, false]);
        assert_eq!([0, 1, 2, 3].map(|at| shared.get(at)), [2, 6, 1, 0]);
    }
}

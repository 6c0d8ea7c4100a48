//! How many descriptors may be used for files of slow clients (unfinished uploads, temporary files), and when cached
//! files must be closed ([`super::open_files`]). A client can hold a file open per stream with a few bytes per minute;
//! without a limit, no file could be opened for other clients.
//!
//! Invariant: needs no counter. The kernel assigns the lowest free number, so a descriptor number of at least N means
//! that N are open.

use std::os::fd::{AsRawFd, BorrowedFd};

/// The limit divided by this is reserved for other purposes.
const RESERVED_SHARE: u64 = 8;

/// Copied to all that open files for clients. The limit is RLIMIT_NOFILE (worker_rlimit_nofile).
#[derive(Clone, Copy, Default)]
pub struct Descriptors {
    /// Descriptor numbers from this one on are reserved. None: the limit is unknown.
    left_from: Option<u64>,
}

impl Descriptors {
    /// Sets the process's limit (RLIMIT_NOFILE).
    pub fn set_limit(&mut self, limit: u64) {
        self.left_from = Some(limit - limit / RESERVED_SHARE);
    }

    /// An eighth of the limit: the maximum for name lookups, and for the directories of unfinished uploads.
    pub fn eighth(&self) -> usize {
        self.left_from.map_or(usize::MAX, |from| usize::try_from(from / (RESERVED_SHARE - 1)).unwrap_or(usize::MAX))
    }

    /// Whether the descriptor just opened is a reserved one, and must be closed again.
    pub fn is_reserved(&self, opened: BorrowedFd<'_>) -> bool {
        self.is_reserved_at(opened.as_raw_fd())
    }

    fn is_reserved_at(&self, number: i32) -> bool {
        self.left_from.is_some_and(|from| u64::try_from(number).is_ok_and(|number| number >= from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eighth_of_the_descriptors_is_left_to_others() {
        let mut descriptors = Descriptors::default();
        assert!(!descriptors.is_reserved_at(i32::MAX), "no limit is known");
        for (limit, last) in [(16, 13), (20, 17), (256, 223), (1024, 895)] {
            descriptors.set_limit(limit);
            assert_eq!(descriptors.eighth() as u64, limit / 8);
            assert!(!descriptors.is_reserved_at(last) && descriptors.is_reserved_at(last + 1), "{limit}");
        }
    }
}

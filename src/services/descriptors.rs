//! How many of the process's descriptors may go to files of what clients send or read slowly (unfinished uploads, temporary
//! files), and from when on cached files are closed ([`super::open_files`]). A client can hold a file open for each stream
//! with some bytes a minute; without a bound no file could be opened for anybody else.
//!
//! Invariant: needs no count. The kernel gives the lowest free number, so one that is not below N tells that N are open.

use std::os::fd::{AsRawFd, BorrowedFd};

/// The limit divided by this is left to others.
const PART: u64 = 8;

#[derive(Clone, Copy, Default)]
pub struct Descriptors {
    /// Numbers from this one on are left to others. None: no limit is known.
    left_from: Option<u64>,
}

impl Descriptors {
    /// Of this process: see RLIMIT_NOFILE.
    pub fn set_limit(&mut self, limit: u64) {
        self.left_from = Some(limit - limit / PART);
    }

    /// What was just opened has one of those that are left to others: it is to be closed again.
    pub fn are_short(&self, opened: BorrowedFd<'_>) -> bool {
        self.are_short_at(opened.as_raw_fd())
    }

    fn are_short_at(&self, number: i32) -> bool {
        self.left_from.is_some_and(|from| u64::try_from(number).is_ok_and(|number| number >= from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eighth_of_the_descriptors_is_left_to_others() {
        let mut descriptors = Descriptors::default();
        assert!(!descriptors.are_short_at(i32::MAX), "no limit is known");
        for (limit, last) in [(16, 13), (20, 17), (256, 223), (1024, 895)] {
            descriptors.set_limit(limit);
            assert!(!descriptors.are_short_at(last) && descriptors.are_short_at(last + 1), "{limit}");
        }
    }
}

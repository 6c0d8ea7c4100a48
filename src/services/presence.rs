//! Detects whether other processes use a directory too. Each holds a shared lock on it for its lifetime, and whether
//! others hold one is tested without taking it. On a file system without such locks, a process counts as alone.
//!
//! Invariant: a directory in which another process was seen counts as shared for [`LASTS`] milliseconds, since that
//! process may be restarting; not longer, since it may have been this server before a reload.

use crate::sys::Errno;
use crate::sys::file::{self, Follow, O_DIRECTORY, O_RDONLY};
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

/// Milliseconds for which another process counts as present after it was seen.
const LASTS: u64 = 60 * 60 * 1000;

/// This process's lock on a directory.
pub struct Presence {
    lock: OwnedFd,
    /// Until when the directory counts as shared (monotonic milliseconds).
    shared_until: u64,
}

impl Presence {
    /// # Errors
    /// It cannot be opened or locked.
    pub fn at(path: &CStr) -> Result<Presence, Errno> {
        let fd = file::open_at(None, path, O_RDONLY | O_DIRECTORY, 0)?;
        file::lock_shared(fd.as_fd())?;
        Ok(Presence { lock: fd, shared_until: 0 })
    }

    /// Whether the directory still has that path.
    pub fn is_at(&self, path: &CStr) -> bool {
        file::has_name(self.lock.as_fd(), None, path, Follow::Yes).unwrap_or(false)
    }

    /// Call it when another process was noticed by its files.
    pub fn share(&mut self, now: u64) {
        self.shared_until = now + LASTS;
    }

    /// `now`: monotonic milliseconds.
    pub fn is_shared(&mut self, now: u64) -> bool {
        if file::is_locked(self.lock.as_fd()).unwrap_or(false) {
            self.share(now);
        }
        now < self.shared_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;

    #[test]
    fn another_is_seen_while_it_is_there_and_remembered() {
        let scratch = Scratch::new();
        let path = scratch.join("dir");
        let gone = scratch.join("gone");
        std::fs::create_dir(scratch.path().join("dir")).expect("mkdir");
        let mut one = Presence::at(&path).expect("locked");
        assert!(!one.is_shared(1) && one.is_at(&path) && !one.is_at(&gone));
        let mut other = Presence::at(&path).expect("both have it");
        assert!(other.is_shared(1));
        drop(other);
        assert!(!one.is_shared(2), "it came and went between two looks");
        let other = Presence::at(&path).expect("both have it");
        assert!(one.is_shared(3));
        drop(other);
        assert!(one.is_shared(2 + LASTS) && !one.is_shared(3 + LASTS));
        assert_eq!(Presence::at(&gone).err(), Some(Errno::ENOENT));
    }
}

//! `upload_quota … shared`: several processes keep one quota. A lock file in the area, held while files get their names,
//! makes that one process after the other; with it stands what the area holds, written before the names are given: a
//! process that dies in between leaves a number that is too high, and the next count mends it.
//!
//! Invariant: without the lock nothing of the area is counted for a decision, and nothing gets a name.

use super::{Area, Quota, SLICE, Usage};
use crate::io::open;
use crate::services::clock::Clock;
use crate::sys::Errno;
use crate::sys::file::{self, O_CREAT, O_DIRECTORY, O_PATH, O_RDWR};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

/// The lock file; hidden as all of our names are.
const NAME: &std::ffi::CStr = c".webserv-quota";
/// Milliseconds that another process may hold the lock: it is held for a few calls, or a count.
const PATIENCE: u32 = 500;
/// Digits of a number: those of any u64.
const DIGITS: usize = 20;

/// The lock of an area; falls when this is dropped.
pub struct Lock {
    fd: OwnedFd,
    /// What the area held before.
    before: Usage,
}

impl Lock {
    /// Takes the lock, and a part of the quota for files that get their names now: `added` for `freed`.
    ///
    /// # Errors
    /// EAGAIN: another process holds it. Ok(Err): what the area holds, where there is no room.
    pub fn take(
        area: &Area,
        quota: Quota,
        (added, freed): (Usage, Usage),
        now: &Clock,
    ) -> Result<Result<Lock, Usage>, Errno> {
        let path = CString::new(&area.path[..]).map_err(|_| Errno::EINVAL)?;
        let dir = file::open_at(None, &path, O_PATH | O_DIRECTORY, 0)?;
        let fd = open::regular_at(dir.as_fd(), NAME, O_RDWR | O_CREAT, 0o600)?;
        let mut waited = 0;
        while let Err(e) = file::flock(fd.as_fd()) {
            if e != Errno::EAGAIN || waited >= PATIENCE {
                return Err(e);
            }
            file::wait_any(&[], 1)?;
            waited += 1;
        }
        let has_room = |used: Usage| {
            let total = used.plus(added).minus(freed);
            super::has_room(quota, total, total, used)
        };
        let is_small = area.counts.get() > 0 && area.entries.get() <= SLICE;
        let known = read(&fd)?.filter(|_| !is_small);
        let mut before = match known {
            Some(known) => known,
            None => area.count_whole(now)?,
        };
        // What was removed, or came in another way.
        if known.is_some() && !has_room(before) && area.is_due(now) {
            before = area.count_whole(now)?;
        }
        if !has_room(before) {
            return Ok(Err(before));
        }
        let lock = Lock { fd, before };
        lock.write(before.plus(added).minus(freed))?;
        Ok(Ok(lock))
    }

    /// The files got no names.
    pub fn take_back(self) {
        // Else it stays too high, until the next count.
        let _ = self.write(self.before);
    }

    fn write(&self, used: Usage) -> Result<(), Errno> {
        let text = format!("{:0DIGITS$} {:0DIGITS$}\n", used.bytes, used.files);
        match file::pwrite(self.fd.as_fd(), text.as_bytes(), 0)? {
            wrote if wrote == text.len() => Ok(()),
            _ => Err(Errno::EIO),
        }
    }
}

/// None: nothing was counted yet, or it is no number.
fn read(fd: &OwnedFd) -> Result<Option<Usage>, Errno> {
    let mut text = [0; 2 * DIGITS + 2];
    let read = file::pread(fd.as_fd(), &mut text, 0)?;
    let text = text.get(..read).unwrap_or_default();
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
    let mut numbers = text.strip_suffix(b"\n").unwrap_or_default().split(|b| *b == b' ').map(number);
    Ok(match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(bytes), Some(files)) => Some(Usage { bytes, files }),
        _ => None,
    })
}

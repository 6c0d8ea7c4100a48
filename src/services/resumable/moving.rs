//! An upload whose bytes are copied into a new file, in slices, before more are written: a process beyond the mount did
//! not release the old file. If that was only stopped, what it writes when it goes on is in a file without a name.
//!
//! Invariant: until the new file has the name, and with upload_sync is on the disk, the old one has it with all its
//! bytes. Dropping this leaves no file.

use super::claim::Claim;
use super::leases::{Lease, PATIENCE};
use crate::services::slice::Slice;
use crate::services::syncs::{Sync, Syncs, all_ended};
use crate::sys::Errno;
use crate::sys::file::{self, Rename, Unlink};
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Bytes that are copied at once.
const PIECE: usize = 1 << 20;
/// Bytes that are read at once where the kernel cannot copy.
const BUFFER: usize = 256 << 10;

/// The files of a copy.
pub struct MovedFiles {
    /// Their directory.
    pub dir: Rc<OwnedFd>,
    /// The old file, locked; and open for reading.
    pub old: (OwnedFd, OwnedFd),
    /// The new file, locked; and its name until it is whole.
    pub new: (OwnedFd, CString),
    /// The name of the old file, which the new one gets.
    pub name: CString,
}

/// A copy in the making.
pub struct Moving {
    files: MovedFiles,
    /// The right to do so, which goes over to the lease.
    claim: Option<Claim>,
    at: u64,
    /// The old file's bytes when this began: its former process writes behind them.
    size: u64,
    by_hand: bool,
    /// upload_sync, and what is being written to the disk.
    sync: bool,
    syncs: Vec<Sync>,
    stage: Stage,
    /// When a request last asked for it (monotonic milliseconds).
    asked_at: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Copying,
    /// All bytes are copied, and may have to be written to the disk.
    Whole,
    /// It has the name.
    Named,
}

/// How far a copy has come.
pub enum MoveProgress {
    /// There is more to be copied.
    More,
    /// It waits for the disk.
    Waits,
    /// The lease of the new file.
    Done(Lease),
}

impl Drop for Moving {
    fn drop(&mut self) {
        if self.stage != Stage::Named {
            let _ = file::unlink_at(Some(self.files.dir.as_fd()), &self.files.new.1, Unlink::File);
        }
    }
}

impl Moving {
    /// Of `size` bytes; `sync`: they are on the disk, and have to be there in the new file.
    pub fn new(files: MovedFiles, claim: Claim, size: u64, sync: bool) -> Moving {
        Moving {
            files,
            claim: Some(claim),
            at: 0,
            size,
            by_hand: false,
            sync,
            syncs: Vec::new(),
            stage: Stage::Copying,
            asked_at: 0,
        }
    }

    /// No other process took its claim for one that was left behind.
    pub fn is_ours(&self) -> bool {
        self.claim.as_ref().is_some_and(Claim::is_ours)
    }

    /// No request has asked for it for so long that its client does not wait any more.
    pub fn is_left(&self, now: u64) -> bool {
        self.asked_at + PATIENCE < now
    }

    /// Copies what this turn has time for, at least a piece.
    pub fn step(
        &mut self,
        now: u64,
        syncs: &mut Syncs,
        slice: &mut Slice,
        scratch: &mut Vec<u8>,
    ) -> Result<MoveProgress, Errno> {
        self.asked_at = now;
        if !all_ended(&self.syncs)? {
            return Ok(MoveProgress::Waits);
        }
        self.syncs.clear();
        match self.stage {
            Stage::Copying => {
                while self.copy(scratch)? {
                    if slice.is_over() {
                        return Ok(MoveProgress::More);
                    }
                }
                // Network and FUSE file systems may report the failure of a write only here.
                file::flush(self.files.new.0.as_fd())?;
                self.stage = Stage::Whole;
                self.begin_sync(|files, syncs| Ok(vec![syncs.begin(files.new.0.as_fd())]), syncs)?;
            }
            Stage::Whole => {
                if !self.is_ours() {
                    return Err(Errno::EAGAIN);
                }
                let (dir, files) = (Some(self.files.dir.as_fd()), &self.files);
                file::rename_at(dir, &files.new.1, dir, &files.name, Rename::Replace)?;
                self.stage = Stage::Named;
                self.begin_sync(|files, syncs| syncs.begin_names([&files.dir]), syncs)?;
            }
            Stage::Named => {
                let lease = Lease::new(file::dup(self.files.new.0.as_fd())?);
                return Ok(MoveProgress::Done(lease.with_claim(self.claim.take())));
            }
        }
        // Without a sync nothing is waited for.
        if self.syncs.is_empty() { self.step(now, syncs, slice, scratch) } else { Ok(MoveProgress::Waits) }
    }

    /// Copies a piece. False: there is none left.
    fn copy(&mut self, scratch: &mut Vec<u8>) -> Result<bool, Errno> {
        let wanted = usize::try_from(self.size.saturating_sub(self.at)).unwrap_or(usize::MAX).min(PIECE);
        let (_, from) = &self.files.old;
        let to = self.files.new.0.as_fd();
        // Its former process goes on, and has cut off what did not count: less than was there.
        let copied = match wanted {
            0 => 0,
            _ => copy_piece((from.as_fd(), self.at), (to, self.at), wanted, &mut self.by_hand, scratch)?,
        };
        self.at += copied as u64;
        Ok(copied > 0)
    }

    fn begin_sync(
        &mut self,
        begin: impl FnOnce(&MovedFiles, &mut Syncs) -> Result<Vec<Sync>, Errno>,
        syncs: &mut Syncs,
    ) -> Result<(), Errno> {
        if self.sync {
            self.syncs = begin(&self.files, syncs)?;
        }
        Ok(())
    }
}

/// Copies up to `wanted` bytes between two files, each at its offset: within the kernel, or `by_hand` if it cannot. 0
/// at the end.
pub fn copy_piece(
    (from, at): (BorrowedFd<'_>, u64),
    (to, to_at): (BorrowedFd<'_>, u64),
    wanted: usize,
    by_hand: &mut bool,
    scratch: &mut Vec<u8>,
) -> Result<usize, Errno> {
    if !*by_hand {
        match file::copy_range(from, at, to, to_at, wanted) {
            Ok(copied) if copied > 0 => return Ok(copied),
            Err(e) if !file::is_no_copy(e) => return Err(e),
            // Some file systems say that there is nothing.
            _ => *by_hand = true,
        }
    }
    scratch.clear();
    // Behind another user of the loop's buffer.
    if scratch.capacity() == 0 {
        scratch.reserve(BUFFER);
    }
    let read = file::pread_into(from, scratch, wanted, at)?;
    let (mut rest, mut to_at) = (&scratch[..], to_at);
    while !rest.is_empty() {
        let written = file::pwrite(to, rest, to_at)?;
        if written == 0 {
            return Err(Errno::EIO);
        }
        rest = rest.get(written..).unwrap_or_default();
        to_at += written as u64;
    }
    Ok(read)
}

//! Which request writes to an upload, among those of all processes with one store: the newest.
//!
//! Within a process the newer request takes the older one's lease. Between processes the lock of the bytes' file
//! decides. A client whose connection broke silently may come back to another process than the one that still waits
//! for it. The newer process then puts a file beside the state, and the holder, which looks for that with each piece
//! that arrives and each second, releases the upload.
//!
//! Where locks end at the mount (FUSE, 9p, NFS with local_lock), the lock decides only among the processes with one
//! mount. Uploads that such a process writes to are marked, and from then on each process that writes to them also has
//! a claim, a file that is made with O_EXCL: also while it waits for one that has none yet, which marks the upload when
//! it releases that. A claim of another mount is asked for, and counts as left behind when it is not released within
//! [`PATIENCE`]: a process that was killed releases nothing. One that was only stopped may go on between its look at a
//! claim and the write after that: no call joins the two. So the bytes are copied into a new file first ([`Moving`]),
//! and it writes to a file without a name. The record says that such a copy is due, for the next process if the one
//! that began it ends.
//!
//! Invariant: no bytes are read, cut or written without the lock; nor written to a file that a process may have open
//! which has not released it.

use super::location::{self, Home};
use super::locks;
use super::state::UploadState;
use super::store::{Dir, Unread};
use crate::exchange::flow::{Flow, Phase, Then};
use crate::services::Services;
use crate::services::resumable::{Claim, Lease, MoveProgress, Moving, PATIENCE, UploadId};
use crate::sys::{Errno, file};
use std::os::fd::{AsFd, OwnedFd};

/// Milliseconds between two attempts at a lock that another process has.
const RETRY_DELAY: u64 = 25;
/// Milliseconds between two looks while content arrives.
const CHECK_INTERVAL: u64 = 100;
/// Uploads of which nothing arrives that are looked at in one turn.
const CHECKED_AT_ONCE: usize = 64;

/// Why an upload cannot be taken.
pub enum LeaseError {
    /// Another process has it: the response.
    Elsewhere(Flow),
    /// Its bytes have their name.
    Named,
    /// A system call failed.
    Failed(Errno),
}

/// What a request does with an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It asks for the offset.
    Read,
    /// It appends, completes or removes: it needs the lease.
    Write,
}

/// The lease of an upload, taken from its holder; and whether its file system is read-only, which only
/// [`Access::Read`] takes.
///
/// `record`: what was read of it; `reach`: how far the locks of this process reach there ([`locks::reach`]).
pub fn lease(
    cx: &mut Services,
    dir: &Dir,
    id: UploadId,
    (record, reach): (&UploadState, &[u8]),
    access: Access,
) -> Result<(Lease, bool), LeaseError> {
    if let Some(moved) = go_on_moving(cx, dir, id) {
        return moved.map(|lease| (lease, false));
    }
    // An NFS export or a FUSE file system may answer EROFS without the flag of a read-only one (ST_RDONLY), and what is
    // open for reading only cannot be cut: so what open() says counts, and the flag only for a file that was opened
    // before.
    let opened = || match (dir.open_part(id), access) {
        (Err(Errno::EROFS), Access::Read) => dir.open_part_read_only(id).map(|fd| Some((fd, true))),
        (opened, _) => opened.map(|fd| fd.map(|fd| (fd, false))),
    };
    let (lease, is_read_only) = match cx.resumable.take(id).filter(|lease| !is_lost(lease, dir, id)) {
        // It may have been opened for writing before.
        Some(lease) => {
            let is_read_only = access == Access::Read && file::is_read_only(lease.fd());
            (lease, is_read_only)
        }
        None => match opened() {
            // Nothing is written there, nor can a claim be.
            Ok(Some((fd, true))) => (Lease::new(fd), true),
            Ok(Some((fd, false))) => {
                let lease = match record.is_claimed || !reach.is_empty() || dir.has_claim(id) {
                    true => {
                        let claim = claim(cx, dir, id, (record, reach))?;
                        claimed(cx, dir, id, fd, claim)?
                    }
                    false => Lease::new(fd),
                };
                (lease, false)
            }
            Err(Errno::EAGAIN) => return Err(wait(cx, dir, id)),
            Ok(None) => return Err(LeaseError::Named),
            Err(e) => {
                cx.resumable.stop_asking(id);
                return Err(LeaseError::Failed(e));
            }
        },
    };
    cx.resumable.stop_asking(id);
    // Removes also the file of a process that was killed while it waited.
    dir.unask(id);
    Ok((lease, is_read_only))
}

/// The claim of an upload whose lock this process has.
fn claim(
    cx: &mut Services,
    dir: &Dir,
    id: UploadId,
    (record, reach): (&UploadState, &[u8]),
) -> Result<Claim, LeaseError> {
    if let Some((claim, _)) = cx.resumable.claims.remove(&id).filter(|(claim, _)| claim.is_ours()) {
        return ask_unclaimed(cx, dir, id, claim);
    }
    if reach.is_empty() && !record.is_claimed {
        // Only the holder of the lock, this process now, may write without a claim: from now on none does.
        change(dir, id, |record| record.is_claimed = true)?;
    }
    let is_marked = record.is_claimed || reach.is_empty();
    if let Some(text) = dir.claimed(id).map_err(LeaseError::Failed)? {
        // Its process saw this one's lock, and no longer has it. Until the upload is marked, it may be waiting.
        if !(is_marked && Claim::is_from(&text, reach)) {
            match ask(cx, dir, id)? {
                Some(flow) => return Err(LeaseError::Elsewhere(flow)),
                None => contest(dir, id)?,
            }
        }
        dir.unclaim(id, &text).map_err(LeaseError::Failed)?;
    }
    match dir.claim(id, reach) {
        // Another process was faster: it has it.
        Err(Errno::EEXIST) => Err(wait(cx, dir, id)),
        Err(e) => Err(LeaseError::Failed(e)),
        Ok(claim) if is_marked => Ok(claim),
        Ok(claim) => ask_unclaimed(cx, dir, id, claim),
    }
}

/// Waits for those who write without a claim, which this process has made before it asks: who comes to them from now
/// on sees it. They mark the upload when they release it, or with its lock; that there is no question any more says
/// nothing, since another one that asked may have removed it.
fn ask_unclaimed(cx: &mut Services, dir: &Dir, id: UploadId, claim: Claim) -> Result<Claim, LeaseError> {
    match dir.load(id) {
        Ok(Some(record)) if record.is_claimed => return Ok(claim),
        Err(Unread::Call(e)) => return Err(LeaseError::Failed(e)),
        Ok(_) | Err(Unread::Foreign) => {}
    }
    match ask(cx, dir, id)? {
        Some(flow) => {
            cx.resumable.claims.insert(id, (claim, cx.now.ms));
            Err(LeaseError::Elsewhere(flow))
        }
        None => contest(dir, id).map(|()| claim),
    }
}

/// Asks another process to release the upload. None: it says nothing, since it was killed, or stopped.
fn ask(cx: &mut Services, dir: &Dir, id: UploadId) -> Result<Option<Flow>, LeaseError> {
    let Some(flow) = patience(cx, id) else { return Ok(None) };
    match dir.ask(id) {
        // On network and FUSE file systems a file that another process removes at that moment is neither there nor
        // made.
        Ok(()) | Err(Errno::ENOENT) => Ok(Some(flow)),
        Err(e) => Err(LeaseError::Failed(e)),
    }
}

/// Notes that the process which had the upload may still write to its file.
fn contest(dir: &Dir, id: UploadId) -> Result<(), LeaseError> {
    change(dir, id, |record| (record.is_claimed, record.is_contested) = (true, true))
}

/// Replaces the record as it is now by a changed one. One that is gone, or another version's, is left alone.
fn change(dir: &Dir, id: UploadId, to: impl FnOnce(&mut UploadState)) -> Result<(), LeaseError> {
    match dir.load(id) {
        Ok(Some(mut record)) => {
            to(&mut record);
            dir.save(id, &record).map_err(LeaseError::Failed)
        }
        Ok(None) | Err(Unread::Foreign) => Ok(()),
        Err(Unread::Call(e)) => Err(LeaseError::Failed(e)),
    }
}

/// The lease of an upload that this process has locked and claimed, once no other process can write to its file.
fn claimed(cx: &mut Services, dir: &Dir, id: UploadId, fd: OwnedFd, claim: Claim) -> Result<Lease, LeaseError> {
    let record = match dir.load(id) {
        Ok(Some(record)) if record.is_contested => record,
        Ok(_) => return Ok(Lease::new(fd).with_claim(Some(claim))),
        Err(Unread::Foreign) => return Err(LeaseError::Failed(Errno::EAGAIN)),
        Err(Unread::Call(e)) => return Err(LeaseError::Failed(e)),
    };
    let size = file::fstat_synced(fd.as_fd()).map_err(LeaseError::Failed)?.size;
    let files = dir.begin_move(id, fd).map_err(LeaseError::Failed)?;
    // No process answers any more.
    dir.unask(id);
    cx.resumable.moving.insert(id, Moving::new(files, claim, size, record.synced.is_some()));
    go_on_moving(cx, dir, id).unwrap_or(Err(LeaseError::Failed(Errno::EAGAIN)))
}

/// Copies more of an upload that is being copied into a new file. None: it is not.
fn go_on_moving(cx: &mut Services, dir: &Dir, id: UploadId) -> Option<Result<Lease, LeaseError>> {
    // This process may have been stopped itself.
    let mut moving = cx.resumable.moving.remove(&id).filter(Moving::is_ours)?;
    let mut scratch = std::mem::take(&mut cx.scratch);
    let progress = moving.step(cx.now.ms, &mut cx.syncs, &mut cx.slice, &mut scratch);
    cx.scratch = scratch;
    let delay = match progress {
        Err(e) => return Some(Err(LeaseError::Failed(e))),
        Ok(MoveProgress::Done(lease)) => {
            cx.resumable.stop_asking(id);
            dir.unask(id);
            return Some(change(dir, id, |record| record.is_contested = false).map(|()| lease));
        }
        Ok(MoveProgress::More) => 1,
        Ok(MoveProgress::Waits) => RETRY_DELAY,
    };
    cx.resumable.moving.insert(id, moving);
    let again = Flow::Delay { until: cx.now.ms + delay, then: Then::Phase(Phase::Content) };
    Some(Err(LeaseError::Elsewhere(again)))
}

/// A process beyond the mount has the upload that this lease is of, since this one was stopped. It may be copying it: a
/// lease without a claim is given before there is any.
pub fn is_lost(lease: &Lease, dir: &Dir, id: UploadId) -> bool {
    lease.is_lost() || lease.is_live() && !lease.is_claimed() && dir.has_claim(id)
}

/// The claim of a new upload, if processes beyond the mount do not see its lock; it is marked then.
pub fn claim_new(
    cx: &mut Services,
    home: &Home,
    dir: &Dir,
    id: UploadId,
    record: &mut UploadState,
) -> Result<Option<Claim>, Errno> {
    let reach = locks::reach(cx, &home.path, dir.fd().as_fd());
    if reach.is_empty() {
        return Ok(None);
    }
    let claim = dir.claim(id, &reach)?;
    mark(dir, id, record)?;
    Ok(Some(claim))
}

/// From now on the upload is written to with a claim only.
pub fn mark(dir: &Dir, id: UploadId, record: &mut UploadState) -> Result<(), Errno> {
    if record.is_claimed {
        return Ok(());
    }
    record.is_claimed = true;
    dir.save(id, record)
}

fn wait(cx: &mut Services, dir: &Dir, id: UploadId) -> LeaseError {
    match ask(cx, dir, id) {
        Ok(Some(flow)) => LeaseError::Elsewhere(flow),
        Ok(None) => {
            dir.unask(id);
            LeaseError::Failed(Errno::EAGAIN)
        }
        Err(e) => e,
    }
}

/// The request tries again; None: it has done so for long enough.
pub fn patience(cx: &mut Services, id: UploadId) -> Option<Flow> {
    let since = cx.resumable.ask(id, cx.now.ms);
    if cx.now.ms >= since + PATIENCE {
        cx.resumable.stop_asking(id);
        return None;
    }
    Some(again(cx))
}

/// The upload has ended while this process asked for it: the question goes with it.
pub fn stop_asking(cx: &mut Services, dir: &Dir, id: UploadId) {
    if cx.resumable.is_asking(id, cx.now.ms) {
        cx.resumable.stop_asking(id);
        dir.unask(id);
    }
}

/// The request tries again soon.
pub fn again(cx: &Services) -> Flow {
    Flow::Delay { until: cx.now.ms + RETRY_DELAY, then: Then::Phase(Phase::Content) }
}

/// When a request that writes last checked whether another process asks for its upload (monotonic milliseconds).
pub struct TakeoverCheck(u64);

impl TakeoverCheck {
    /// The check was made just now.
    pub fn now(cx: &Services) -> TakeoverCheck {
        TakeoverCheck(cx.now.ms)
    }

    /// Releases the upload if another process asks for it.
    pub fn check(&mut self, cx: &mut Services, dir: &Dir, id: UploadId) {
        if cx.now.ms < self.0 + CHECK_INTERVAL {
            return;
        }
        self.0 = cx.now.ms;
        give_way(cx, dir, id);
    }
}

/// Releases the upload if another process asks for it, or has it, since this process was stopped for so long that it
/// seemed to be gone. One beyond the mount, which does not see a lock, waits for the mark.
pub fn give_way(cx: &mut Services, dir: &Dir, id: UploadId) {
    let is_lost = cx.resumable.lease_of(id).is_some_and(|lease| is_lost(&lease, dir, id));
    if (is_lost || dir.is_asked(id))
        && let Some(lease) = cx.resumable.take(id)
    {
        let is_awaited = !lease.is_claimed() && !lease.is_lost() && dir.has_claim(id);
        if is_awaited && let Ok(Some(mut record)) = dir.load(id) {
            // Otherwise it is taken for silent.
            let _ = mark(dir, id, &mut record);
        }
        drop(lease);
        if is_awaited || !is_lost {
            dir.unask(id);
        }
    }
}

/// As [`TakeoverCheck::check`], once a second, for uploads of which nothing arrives: some of them each turn, and those
/// of one directory together.
pub fn check_idle(cx: &mut Services) {
    cx.resumable.end_left_moves(cx.now.ms);
    let mut left = CHECKED_AT_ONCE;
    while left > 0
        && let Some((home, ids)) = cx.resumable.leased(cx.now.ms, left)
    {
        left = left.saturating_sub(ids.len());
        let Ok(dir) = location::open(&home) else { continue };
        ids.into_iter().for_each(|id| give_way(cx, &dir, id));
        if cx.slice.is_over() {
            break;
        }
    }
}

#[cfg(test)]
mod tests;

//! Which request writes to an upload, among those of all processes with one store: the newest.
//!
//! Within a process the newer request takes the older one's lease. Between processes the lock of the bytes' file
//! decides. A client whose connection broke silently may come back to another process than the one that still waits
//! for it. The newer process then puts a file beside the state, and the holder, which looks for that with each piece
//! that arrives and each second, releases the upload.
//!
//! Where locks end at the mount (FUSE, 9p, NFS with local_lock), the lock decides only among the processes with one
//! mount. Uploads that such a process writes to are marked, and from then on each process that writes to them also has
//! a claim, a file that is made with O_EXCL. One of another mount is asked for, and taken for left behind when it is
//! not released within [`PATIENCE`]: a process that was killed releases nothing. One that was stopped for so long, and
//! goes on between its look at the claim and the write after that, still writes one piece: no call joins the two.
//!
//! Invariant: no bytes are read, cut or written without the lock.

use super::location::{self, Home};
use super::locks;
use super::state::UploadState;
use super::store::Dir;
use crate::exchange::flow::{Flow, Phase, Then};
use crate::services::Services;
use crate::services::resumable::{Claim, Lease, PATIENCE, UploadId};
use crate::sys::{Errno, file};
use std::os::fd::AsFd;

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
    // An NFS export or a FUSE file system may answer EROFS without the flag of a read-only one (ST_RDONLY), and what is
    // open for reading only cannot be cut: so what open() says counts, and the flag only for a file that was opened
    // before.
    let opened = || match (dir.open_part(id), access) {
        (Err(Errno::EROFS), Access::Read) => dir.open_part_read_only(id).map(|fd| Some((fd, true))),
        (opened, _) => opened.map(|fd| fd.map(|fd| (fd, false))),
    };
    let (lease, is_read_only) = match cx.resumable.take(id).filter(|lease| !lease.has_lost_claim()) {
        // It may have been opened for writing before.
        Some(lease) => {
            let is_read_only = access == Access::Read && file::is_read_only(lease.fd());
            (lease, is_read_only)
        }
        None => match opened() {
            // Nothing is written there, nor can a claim be.
            Ok(Some((fd, true))) => (Lease::new(fd), true),
            Ok(Some((fd, false))) => {
                let claim = match record.is_claimed || !reach.is_empty() {
                    true => Some(claim(cx, dir, id, (record, reach))?),
                    false => None,
                };
                (Lease::new(fd).with_claim(claim), false)
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
    let holder = dir.claimed(id).map_err(LeaseError::Failed)?;
    let is_free = match &holder {
        // Its process saw this one's lock, and no longer has it.
        Some(text) => Claim::is_from(text, reach),
        // Until it is marked, processes beyond the mount write to it without a claim.
        None => record.is_claimed,
    };
    if !is_free && let Some(flow) = wait_beyond(cx, dir, id, holder.is_none())? {
        return Err(LeaseError::Elsewhere(flow));
    }
    if let Some(text) = holder {
        dir.unclaim(id, &text).map_err(LeaseError::Failed)?;
    }
    match dir.claim(id, reach) {
        // Another process was faster: it has it.
        Err(Errno::EEXIST) => Err(wait(cx, dir, id)),
        claim => claim.map_err(LeaseError::Failed),
    }
}

/// Asks a process beyond the mount to release the upload. None: it has done so, or there is none. `is_told`: it tells
/// that by removing the question; otherwise its claim goes.
fn wait_beyond(cx: &mut Services, dir: &Dir, id: UploadId, is_told: bool) -> Result<Option<Flow>, LeaseError> {
    let is_first = !cx.resumable.is_asking(id, cx.now.ms);
    let Some(flow) = patience(cx, id) else { return Ok(None) };
    if is_first {
        match dir.ask(id) {
            Ok(()) => {}
            // As in `wait`: it is asked again.
            Err(Errno::ENOENT) => cx.resumable.stop_asking(id),
            Err(e) => return Err(LeaseError::Failed(e)),
        }
    } else if is_told && !dir.is_asked(id) {
        return Ok(None);
    }
    Ok(Some(flow))
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
    let Some(flow) = patience(cx, id) else {
        dir.unask(id);
        return LeaseError::Failed(Errno::EAGAIN);
    };
    match dir.ask(id) {
        // On network and FUSE file systems a file that another process removes at that moment is neither there nor
        // made.
        Ok(()) | Err(Errno::ENOENT) => LeaseError::Elsewhere(flow),
        Err(e) => LeaseError::Failed(e),
    }
}

/// The request tries again; None: it has done so for long enough.
pub fn patience(cx: &mut Services, id: UploadId) -> Option<Flow> {
    let since = cx.resumable.ask(id, cx.now.ms);
    if cx.now.ms >= since + PATIENCE {
        cx.resumable.stop_asking(id);
        return None;
    }
    Some(Flow::Delay { until: cx.now.ms + RETRY_DELAY, then: Then::Phase(Phase::Content) })
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
        if dir.is_asked(id) {
            release(cx, dir, id);
        } else if cx.resumable.has_lost_claim(id) {
            drop(cx.resumable.take(id));
        }
    }
}

/// Releases the upload, and tells processes that cannot see that.
fn release(cx: &mut Services, dir: &Dir, id: UploadId) {
    if let Some(lease) = cx.resumable.take(id) {
        drop(lease);
        dir.unask(id);
    }
}

/// As [`TakeoverCheck::check`], once a second, for uploads of which nothing arrives: some of them each turn, and those
/// of one directory together.
pub fn check_idle(cx: &mut Services) {
    let mut left = CHECKED_AT_ONCE;
    while left > 0
        && let Some((home, ids)) = cx.resumable.leased(cx.now.ms, left)
    {
        left = left.saturating_sub(ids.len());
        let Ok(dir) = location::open(&home) else { continue };
        ids.into_iter().filter(|id| dir.is_asked(*id)).for_each(|id| release(cx, &dir, id));
        if cx.slice.is_over() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::Site;
    use crate::sys::file::Follow;
    use crate::sys::scratch::Scratch;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn an_upload_that_could_not_be_asked_for_is_not_taken_for_a_stored_one() {
        let (mut site, scratch) = (Site::new("", "location / { }"), Scratch::new());
        let id = UploadId::random().expect("entropy");
        let path = scratch.path().join("state");
        std::fs::create_dir(&path).expect("made");
        let dir = Dir::open(path.as_os_str().as_bytes(), b"", Follow::No).expect("a directory");
        std::fs::write(path.join(format!("{}.part", id.text())), "half").expect("written");
        let record = UploadState::empty();
        let taken = lease(&mut site.cx, &dir, id, (&record, b""), Access::Read);
        assert!(taken.is_ok(), "its bytes are there");
        std::fs::remove_dir_all(&path).expect("removed");
        // As where the file that asks for it goes at that moment, on sshfs: ENOENT, O_CREAT or not.
        assert_eq!(dir.ask(id), Err(Errno::ENOENT));
        assert!(matches!(wait(&mut site.cx, &dir, id), LeaseError::Elsewhere(Flow::Delay { .. })));
        let taken = lease(&mut site.cx, &dir, id, (&record, b""), Access::Read);
        assert!(matches!(taken, Err(LeaseError::Named)));
    }

    /// An upload that a request received over FUSE was also given to one on the direct path: neither saw the other's
    /// lock.
    #[test]
    fn an_upload_that_is_claimed_beyond_the_mount_is_asked_for_and_waited_for() {
        let (mut site, scratch) = (Site::new("", "location / { }"), Scratch::new());
        let cx = &mut site.cx;
        let id = UploadId::random().expect("entropy");
        let path = scratch.path().as_os_str().as_bytes();
        let dir = Dir::open(path, b"", Follow::No).expect("a directory");
        std::fs::write(scratch.path().join(format!("{}.part", id.text())), "half").expect("written");
        let record = UploadState { is_claimed: true, ..UploadState::empty() };
        let take = |cx: &mut Services, reach: &[u8]| match lease(cx, &dir, id, (&record, reach), Access::Write) {
            Ok((lease, _)) => Some(lease),
            Err(LeaseError::Elsewhere(_)) => None,
            Err(_) => panic!("it can be taken"),
        };
        let theirs = dir.claim(id, b"mount").expect("it is free");
        assert!(take(cx, b"").is_none() && dir.is_asked(id) && theirs.is_ours());
        drop(theirs);
        let ours = take(cx, b"").expect("it was released");
        assert!(!dir.is_asked(id) && !ours.has_lost_claim());
        drop(ours);
        assert_eq!(dir.claimed(id), Ok(None), "it is given back");
        // Of a process with the same mount the lock tells that it is gone.
        let theirs = dir.claim(id, b"mount").expect("it is free");
        drop(take(cx, b"mount").expect("it was left behind"));
        assert!(!theirs.is_ours());
        // A process that was killed releases nothing.
        let theirs = dir.claim(id, b"mount").expect("it is free");
        assert!(take(cx, b"").is_none());
        cx.now.pass(PATIENCE);
        let ours = take(cx, b"").expect("it was left behind");
        assert!(!theirs.is_ours() && !ours.has_lost_claim());
    }

    /// Processes that see each other's locks need no claim: one beyond their mount asks, and waits for the answer.
    #[test]
    fn an_upload_without_a_claim_is_asked_for_from_beyond_the_mount() {
        let (mut site, scratch) = (Site::new("", "location / { }"), Scratch::new());
        let id = UploadId::random().expect("entropy");
        let path = scratch.path().as_os_str().as_bytes();
        let dir = Dir::open(path, b"", Follow::No).expect("a directory");
        std::fs::write(scratch.path().join(format!("{}.part", id.text())), "half").expect("written");
        let record = UploadState::empty();
        let take = |cx: &mut Services| lease(cx, &dir, id, (&record, b"mount"), Access::Write);
        for _ in 0..2 {
            assert!(matches!(take(&mut site.cx), Err(LeaseError::Elsewhere(_))));
            assert!(dir.is_asked(id));
        }
        dir.unask(id);
        assert!(take(&mut site.cx).is_ok(), "its process has released it");
    }
}

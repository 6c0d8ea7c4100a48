//! Which request writes to an upload, among those of all processes with one store: the newest.
//!
//! Within a process the newer request takes the older one's lease. Between processes the lock of the bytes' file
//! decides. A client whose connection broke silently may come back to another process than the one that still waits
//! for it. The newer process then puts a file beside the state, and the holder, which looks for that with each piece
//! that arrives and each second, releases the upload.
//!
//! Invariant: no bytes are read, cut or written without the lock.

use super::location;
use super::store::Dir;
use crate::exchange::flow::{Flow, Phase, Then};
use crate::services::Services;
use crate::services::resumable::{Lease, PATIENCE, UploadId};
use crate::sys::{Errno, file};

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
pub fn lease(cx: &mut Services, dir: &Dir, id: UploadId, access: Access) -> Result<(Lease, bool), LeaseError> {
    // An NFS export or a FUSE file system may answer EROFS without the flag of a read-only one (ST_RDONLY), and what is
    // open for reading only cannot be cut: so what open() says counts, and the flag only for a file that was opened
    // before.
    let opened = || match (dir.open_part(id), access) {
        (Err(Errno::EROFS), Access::Read) => dir.open_part_read_only(id).map(|fd| Some((fd, true))),
        (opened, _) => opened.map(|fd| fd.map(|fd| (fd, false))),
    };
    let (lease, is_read_only) = match cx.resumable.take(id) {
        // It may have been opened for writing before.
        Some(lease) => {
            let is_read_only = access == Access::Read && file::is_read_only(lease.fd());
            (lease, is_read_only)
        }
        None => match opened() {
            Ok(Some((fd, is_read_only))) => (Lease::new(fd), is_read_only),
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
            drop(cx.resumable.take(id));
        }
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
        ids.into_iter().filter(|id| dir.is_asked(*id)).for_each(|id| drop(cx.resumable.take(id)));
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
        let taken = lease(&mut site.cx, &dir, id, Access::Read);
        assert!(taken.is_ok(), "its bytes are there");
        std::fs::remove_dir_all(&path).expect("removed");
        // As where the file that asks for it goes at that moment, on sshfs: ENOENT, O_CREAT or not.
        assert_eq!(dir.ask(id), Err(Errno::ENOENT));
        assert!(matches!(wait(&mut site.cx, &dir, id), LeaseError::Elsewhere(Flow::Delay { .. })));
        assert!(matches!(lease(&mut site.cx, &dir, id, Access::Read), Err(LeaseError::Named)));
    }
}

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
const AGAIN: u64 = 25;
/// Milliseconds between two looks while content arrives.
const LOOK: u64 = 100;

/// Why an upload cannot be taken.
pub enum LeaseError {
    /// Another process has it: the result.
    Elsewhere(Flow),
    Failed(Errno),
}

/// What a request does with an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It asks for the offset.
    Read,
    Write,
}

/// The lease of an upload, taken from its holder; and whether its file system is read-only, which only
/// [`Access::Read`] takes.
pub fn lease(cx: &mut Services, dir: &Dir, id: UploadId, access: Access) -> Result<(Lease, bool), LeaseError> {
    // An NFS export or a FUSE file system may answer EROFS without the flag of a read-only one (ST_RDONLY), and what is open
    // for reading only cannot be cut: so what open() says counts, and the flag only for a file that was opened before.
    let opened = || match (dir.open_part(id), access) {
        (Err(Errno::EROFS), Access::Read) => dir.open_part_read_only(id).map(|fd| (fd, true)),
        (opened, _) => opened.map(|fd| (fd, false)),
    };
    let (lease, is_read_only) = match cx.resumable.take(id) {
        // It may have been opened for writing before.
        Some(lease) => {
            let is_read_only = access == Access::Read && file::is_read_only(lease.fd());
            (lease, is_read_only)
        }
        None => match opened() {
            Ok((fd, is_read_only)) => (Lease::new(fd), is_read_only),
            Err(Errno::EAGAIN) => return Err(wait(cx, dir, id)),
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
    let since = cx.resumable.ask(id, cx.now.ms);
    if cx.now.ms >= since + PATIENCE {
        cx.resumable.stop_asking(id);
        dir.unask(id);
        return LeaseError::Failed(Errno::EAGAIN);
    }
    match dir.ask(id) {
        Ok(()) => LeaseError::Elsewhere(Flow::Delay { until: cx.now.ms + AGAIN, then: Then::Phase(Phase::Content) }),
        Err(e) => LeaseError::Failed(e),
    }
}

/// When a request that writes last checked whether another process asks for its upload (monotonic milliseconds).
pub struct Looked(u64);

impl Looked {
    pub fn now(cx: &Services) -> Looked {
        Looked(cx.now.ms)
    }

    /// Releases the upload if another process asks for it.
    pub fn look(&mut self, cx: &mut Services, dir: &Dir, id: UploadId) {
        if cx.now.ms < self.0 + LOOK {
            return;
        }
        self.0 = cx.now.ms;
        if dir.is_asked(id) {
            drop(cx.resumable.take(id));
        }
    }
}

/// The same for uploads of which nothing arrives, each second.
pub fn look(cx: &mut Services) {
    for id in cx.resumable.leased(cx.now.ms) {
        let Some(home) = cx.resumable.get(id).map(|open| open.home.clone()) else { continue };
        if location::open(&home).is_ok_and(|dir| dir.is_asked(id)) {
            drop(cx.resumable.take(id));
        }
    }
}

//! upload_sync for requests that change names and store nothing (DELETE, MKCOL, MOVE): the response is sent when the
//! directories are on the disk. If that fails, what can be taken back is ([`Back`]), and the request is refused.

use super::upload::resumed::{self, Refusal};
use crate::exchange::Exchange;
use crate::exchange::flow::{Begun, Flow};
use crate::services::Services;
use crate::services::dav_locks::{Forgotten, Lock};
use crate::services::syncs::{Sync, all_ended};
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, Rename, Unlink};
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Directories that are being written to the disk, and what follows.
pub struct Syncing {
    syncs: Vec<Sync>,
    then: Flow,
    back: Option<Back>,
}

/// A name in a directory.
pub type Name = (Rc<OwnedFd>, CString);

/// How a change of names is taken back, unless another request has changed the same again.
pub enum Back {
    /// A directory was made. It is removed if it is empty.
    Made(Name),
    /// An empty file was made by a LOCK. Both are removed if it is empty.
    Locked(Name, Box<Lock>),
    /// The first name became the second, and its locks ended.
    Renamed(Name, Name, Forgotten),
}

impl Back {
    /// False: the change stays.
    fn take(self, cx: &mut Services) -> bool {
        let outcome = match &self {
            Back::Made((dir, name)) => file::unlink_at(Some(dir.as_fd()), name, Unlink::Dir),
            Back::Locked((dir, name), _) => match file::stat_at(Some(dir.as_fd()), name, Follow::No) {
                Ok(stat) if stat.kind == FileKind::Regular && stat.size == 0 => {
                    file::unlink_at(Some(dir.as_fd()), name, Unlink::File)
                }
                Ok(_) => Err(Errno::EEXIST),
                Err(e) => Err(e),
            },
            Back::Renamed((was, old), (is, new), _) => {
                file::rename_at(Some(is.as_fd()), new, Some(was.as_fd()), old, Rename::NoReplace)
            }
        };
        cx.now.changed();
        cx.quotas.files_added();
        let (Back::Made((dir, _)) | Back::Locked((dir, _), _) | Back::Renamed((dir, _), ..)) = &self;
        cx.checked_trees.name_added(dir.as_fd());
        match self {
            Back::Locked(_, lock) => drop(cx.dav_locks.release(&lock.path, lock.token)),
            Back::Renamed(.., forgotten) if outcome.is_ok() => cx.dav_locks.put_back(forgotten),
            Back::Renamed(..) | Back::Made(_) => {}
        }
        outcome.is_ok()
    }
}

/// Duplicates the descriptors of directories that will be written to the disk later.
pub fn held<'d>(dirs: impl Iterator<Item = BorrowedFd<'d>>) -> Result<Vec<Rc<OwnedFd>>, Errno> {
    dirs.map(|dir| file::dup(dir).map(Rc::new)).collect()
}

/// Begins to write `changed` to the disk, if the configuration asks for it; `then` follows, or `back` is undone.
pub fn begin(
    ex: &mut Exchange,
    cx: &mut Services,
    changed: &[Rc<OwnedFd>],
    then: Flow,
    back: Option<Back>,
) -> Begun<Syncing> {
    if !ex.location().settings.upload.sync {
        return Err(then);
    }
    let syncs = match cx.syncs.begin_names(changed) {
        Ok(syncs) => syncs,
        Err(e) => return Err(unwritten(ex, cx, back, ("open()", e))),
    };
    let mut syncing = Box::new(Syncing { syncs, then, back });
    match syncing.work(ex, cx) {
        Flow::Wait => Ok(syncing),
        flow => Err(flow),
    }
}

impl Syncing {
    /// The disk may have answered.
    pub fn work(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        match all_ended(&self.syncs) {
            Ok(false) => Flow::Wait,
            Ok(true) => std::mem::replace(&mut self.then, Flow::Respond),
            Err(e) => unwritten(ex, cx, self.back.take(), ("fsync()", e)),
        }
    }
}

/// The names could not be written to the disk.
fn unwritten(ex: &mut Exchange, cx: &mut Services, back: Option<Back>, (call, e): (&str, Errno)) -> Flow {
    // The fields of the response that would have said success.
    ex.response.clear();
    if !back.is_some_and(|back| back.take(cx)) {
        return resumed::unconfirmed(ex, cx, call, e);
    }
    let path = ex.route.path.clone();
    resumed::refuse(ex, cx, &Refusal::call(call, &path, e))
}

//! upload_sync for what changes names and stores nothing (DELETE, MKCOL, MOVE): it is answered when the directories are on
//! the disk.

use super::upload::resumed;
use crate::exchange::Exchange;
use crate::exchange::flow::{Begun, Flow};
use crate::services::Services;
use crate::services::syncs::{Sync, all_ended};
use crate::sys::Errno;
use crate::sys::file;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;

pub struct Settling {
    syncs: Vec<Sync>,
    then: Flow,
}

/// The directories, to be written to the disk later.
pub fn held<'d>(dirs: impl Iterator<Item = BorrowedFd<'d>>) -> Result<Vec<Rc<OwnedFd>>, Errno> {
    dirs.map(|dir| file::dup(dir).map(Rc::new)).collect()
}

/// Begins to write `changed` to the disk, where the configuration asks for it; `then` follows.
pub fn begin(ex: &mut Exchange, cx: &mut Services, changed: &[Rc<OwnedFd>], then: Flow) -> Begun<Settling> {
    if !ex.here().settings.upload.sync {
        return Err(then);
    }
    let syncs = match cx.syncs.begin_names(changed) {
        Ok(syncs) => syncs,
        Err(e) => return Err(resumed::unsure(ex, cx, "open()", e)),
    };
    let mut settling = Box::new(Settling { syncs, then });
    match settling.work(ex, cx) {
        Flow::Wait => Ok(settling),
        flow => Err(flow),
    }
}

impl Settling {
    /// The disk may have answered.
    pub fn work(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        match all_ended(&self.syncs) {
            Ok(false) => Flow::Wait,
            Ok(true) => std::mem::replace(&mut self.then, Flow::Respond),
            Err(e) => resumed::unsure(ex, cx, "fsync()", e),
        }
    }
}

//! When a name was looked at, and for how long the result holds.

use crate::services::clock::Clock;
use crate::services::dir_watch::{Dir, TRUST};
use std::rc::Rc;

/// When a name was looked at.
#[derive(Clone)]
pub struct Look {
    moment: u64,
    ms: u64,
    /// The watched directory that contains it, and the count of changes there before the look.
    pub(super) dir: Option<(Rc<Dir>, u64)>,
}

impl Look {
    pub fn new(dir: Option<Rc<Dir>>, now: &Clock) -> Look {
        let dir = dir.and_then(|dir| dir.changes().map(|changes| (dir, changes)));
        Look { moment: now.epoch, ms: now.ms, dir }
    }

    /// Nothing can have changed since, up to this moment: after
    /// [`DirWatch::refresh`](crate::services::dir_watch::DirWatch::refresh).
    pub fn holds(&self, now: &Clock) -> bool {
        let is_unchanged = |(dir, changes): &(Rc<Dir>, u64)| dir.changes() == Some(*changes);
        self.moment == now.epoch || now.ms < self.ms + TRUST && self.dir.as_ref().is_some_and(is_unchanged)
    }
}

/// The directory of a path, with its slash.
pub fn directory_of(path: &[u8]) -> &[u8] {
    memchr::memrchr(b'/', path).map_or(b"", |at| &path[..=at])
}

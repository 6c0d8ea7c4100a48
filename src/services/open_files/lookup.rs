//! When a name was looked up, and how long the result is valid.

use crate::services::clock::Clock;
use crate::services::dir_watch::{Dir, TRUST};
use std::rc::Rc;

/// When a name was looked up.
#[derive(Clone)]
pub struct Lookup {
    moment: u64,
    ms: u64,
    /// The watched directory that contains it, and its change count before the lookup.
    pub(super) dir: Option<(Rc<Dir>, u64)>,
}

impl Lookup {
    /// A look-up at this moment. `dir`: its directory, if that is watched; ask for it before looking, not after.
    pub fn new(dir: Option<Rc<Dir>>, now: &Clock) -> Lookup {
        let dir = dir.and_then(|dir| dir.changes().map(|changes| (dir, changes)));
        Lookup { moment: now.epoch, ms: now.ms, dir }
    }

    /// Whether nothing can have changed since. Call it after
    /// [`DirWatch::refresh`](crate::services::dir_watch::DirWatch::refresh).
    pub fn holds(&self, now: &Clock) -> bool {
        let is_unchanged = |(dir, changes): &(Rc<Dir>, u64)| dir.changes() == Some(*changes);
        self.moment == now.epoch || now.ms < self.ms + TRUST && self.dir.as_ref().is_some_and(is_unchanged)
    }
}

/// The directory of a path, with trailing slash.
pub fn directory_of(path: &[u8]) -> &[u8] {
    memchr::memrchr(b'/', path).map_or(b"", |at| &path[..=at])
}

//! Cache of names that do not exist, valid while nothing can have appeared under them.

use super::lookup::{Lookup, directory_of};
use crate::services::clock::Clock;
use crate::services::dir_watch::DirWatch;
use crate::sys::Errno;
use crate::sys::file::{self, FileKind};
use crate::util::hash::SecretMap;
use std::ffi::CString;
use std::hash::BuildHasher;

/// Maximum number of cached names.
const MOST: usize = 4096;
/// Maximum number of path components of a cached name.
const STEPS: usize = 32;

/// Names with the error that opening them gave.
pub struct Missing {
    names: SecretMap<Box<[u8]>, (Errno, Lookup)>,
    /// Hashes of names that were missing once: a scanner requests each name only once, and should cost no more than the
    /// lookup.
    hashes: Box<[u32]>,
}

impl Default for Missing {
    fn default() -> Missing {
        Missing { names: SecretMap::default(), hashes: vec![0; MOST].into() }
    }
}

impl Missing {
    /// The error, and when it was found; the caller checks whether it still holds.
    pub fn get(&self, name: &[u8]) -> Option<&(Errno, Lookup)> {
        self.names.get(name)
    }

    /// Something has got that name.
    pub fn remove(&mut self, name: &[u8]) {
        self.names.remove(name);
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Records a missing name; the second time, it is cached. Not if a file is in its path, which may change without
    /// notice, and not if it has more components than usual: the cost grows with them.
    pub fn note(&mut self, name: &[u8], e: Errno, now: &Clock, watch: &mut DirWatch) {
        if e == Errno::ENOENT && memchr::memchr_iter(b'/', name).count() <= STEPS && self.was_missed(name) {
            self.keep(name, e, now, watch);
        }
    }

    /// Whether a name is recorded as missing; records it.
    fn was_missed(&mut self, name: &[u8]) -> bool {
        let hash = self.names.hasher().hash_one(name);
        let at = hash as usize % self.hashes.len();
        std::mem::replace(&mut self.hashes[at], (hash >> 32) as u32 | 1) == (hash >> 32) as u32 | 1
    }

    /// Caches that a name is missing, as long as the kernel watches the directory in which something would have to
    /// appear first. Bounded, since clients choose names.
    fn keep(&mut self, name: &[u8], e: Errno, now: &Clock, watch: &mut DirWatch) {
        let Some((at, step)) = nearest(name, now, watch).and_then(|at| first_missing(name, at)) else { return };
        let Some(dir) = watch.directory(name.get(..at).unwrap_or_default(), now) else { return };
        // Looked up again once it is watched, so that no change is missed in between.
        let lookup = Lookup::new(Some(dir), now);
        if file::lstat(&step).err() == Some(Errno::ENOENT) {
            if self.names.len() >= MOST {
                self.names.clear();
            }
            self.names.insert(name.into(), (e, lookup));
        }
    }
}

/// For a missing name: the length of its longest existing directory, and the first missing component. `at`: the length
/// of a directory in its path. None: something else is in the way, such as a dangling link.
fn first_missing(name: &[u8], mut at: usize) -> Option<(usize, CString)> {
    loop {
        let rest = name.get(at..)?;
        let step = name.get(..memchr::memchr(b'/', rest).map_or(name.len(), |len| at + len))?;
        let path = CString::new(step).ok()?;
        match file::lstat(&path) {
            Err(Errno::ENOENT) => return Some((at, path)),
            Ok(stat) if stat.kind == FileKind::Dir && step.len() < name.len() => at = step.len() + 1,
            _ => return None,
        }
    }
}

/// The length of the nearest existing directory above a path. None: it recently could not be watched.
fn nearest(path: &[u8], now: &Clock, watch: &DirWatch) -> Option<usize> {
    let is_dir = |dir: &[u8]| {
        let path = CString::new(dir).ok();
        path.and_then(|path| file::stat(&path).ok()).is_some_and(|stat| stat.kind == FileKind::Dir)
    };
    let above = std::iter::successors(Some(directory_of(path)), |dir| Some(parent_of(dir)));
    for dir in above.take_while(|dir| !dir.is_empty()) {
        match watch.known(dir, now) {
            Some(false) => return None,
            Some(true) => return Some(dir.len()),
            None if is_dir(dir) => return Some(dir.len()),
            None => {}
        }
    }
    None
}

fn parent_of(dir: &[u8]) -> &[u8] {
    directory_of(dir.strip_suffix(b"/").unwrap_or(dir))
}

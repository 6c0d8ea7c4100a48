//! Names that do not exist, for as long as nothing can have appeared under them.

use super::look::{Look, directory_of};
use crate::services::clock::Clock;
use crate::services::dir_watch::{Dir, DirWatch};
use crate::sys::Errno;
use crate::sys::file::{self, FileKind};
use crate::util::hash::SecretMap;
use std::ffi::CString;
use std::hash::BuildHasher;
use std::rc::Rc;

/// Most names that are cached.
const MOST: usize = 4096;

pub struct Missing {
    names: SecretMap<Box<[u8]>, (Errno, Look)>,
    /// Hashes of names that were missing once: a scan requests each name once, and must cost no more than its
    /// look-up.
    hashes: Box<[u32]>,
}

impl Default for Missing {
    fn default() -> Missing {
        Missing { names: SecretMap::default(), hashes: vec![0; MOST].into() }
    }
}

impl Missing {
    pub fn get(&self, name: &[u8]) -> Option<&(Errno, Look)> {
        self.names.get(name)
    }

    pub fn remove(&mut self, name: &[u8]) {
        self.names.remove(name);
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// A name was missing; the second time it is cached.
    pub fn note(&mut self, name: &[u8], e: Errno, now: &Clock, watch: &mut DirWatch) {
        if self.was_missed(name) {
            self.keep(name, e, now, watch);
        }
    }

    /// Whether a name was missing before, as far as is recorded; records it.
    fn was_missed(&mut self, name: &[u8]) -> bool {
        let hash = self.names.hasher().hash_one(name);
        let at = hash as usize % self.hashes.len();
        std::mem::replace(&mut self.hashes[at], (hash >> 32) as u32 | 1) == (hash >> 32) as u32 | 1
    }

    /// Caches that nothing is there, as long as the kernel watches the directory in which something would have to
    /// appear first. Names come from clients: their number is limited.
    fn keep(&mut self, name: &[u8], e: Errno, now: &Clock, watch: &mut DirWatch) {
        let Some((mut at, mut dir)) = nearest(name, now, watch) else { return };
        loop {
            // Watched before it is looked at, so that no change is missed.
            let look = Look::new(Some(dir), now);
            let rest = name.get(at..).unwrap_or_default();
            let step = memchr::memchr(b'/', rest).map_or(name.len(), |len| at + len);
            let step = name.get(..step).unwrap_or_default();
            match CString::new(step).map_err(|_| Errno::ENOENT).and_then(|step| file::lstat(&step)) {
                Err(Errno::ENOENT) => {
                    if self.names.len() >= MOST {
                        self.names.clear();
                    }
                    self.names.insert(name.into(), (e, look));
                    return;
                }
                // The directory that lacks the name is further down.
                Ok(stat) if stat.kind == FileKind::Dir && step.len() < name.len() => {
                    at = step.len() + 1;
                    match watch.directory(name.get(..at).unwrap_or_default(), now) {
                        Some(deeper) => dir = deeper,
                        None => return,
                    }
                }
                // A dangling link, or a file on the path, may change from elsewhere.
                _ => return,
            }
        }
    }
}

/// The nearest directory above a path that is watched, and the length of its name. If none is yet, the nearest that
/// can be: that happens once.
fn nearest(path: &[u8], now: &Clock, watch: &mut DirWatch) -> Option<(usize, Rc<Dir>)> {
    let above =
        || std::iter::successors(Some(directory_of(path)), |dir| Some(parent_of(dir))).take_while(|d| d.len() > 1);
    if let Some(found) = above().find_map(|dir| watch.watched(dir).map(|d| (dir.len(), d.clone()))) {
        return Some(found);
    }
    if above().any(|dir| watch.is_refused(dir, now)) {
        return None;
    }
    above().find_map(|dir| watch.directory(dir, now).map(|d| (dir.len(), d)))
}

fn parent_of(dir: &[u8]) -> &[u8] {
    directory_of(dir.strip_suffix(b"/").unwrap_or(dir))
}

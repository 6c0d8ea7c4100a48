//! An index of the paths of locks by folded names: where the file system ignores case, a client may name a locked file
//! by another spelling.
//!
//! Invariant: two spellings count as the same only if the file system finds the same file by both.
//!
//! What bounds it: at most [`SPELLINGS`] spellings of a name are examined, however many locks have them, since no lock
//! is granted that adds another one. A name spelled as in the locks costs no system call; any other costs one, and one
//! more for each spelling.

use crate::sys::file::{self, Stat};
use crate::util::fold_case::fold;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::rc::Rc;

/// Maximum number of spellings of a name in the locks of one directory; where case matters, each is another file's.
const SPELLINGS: usize = 64;

/// The paths of a zone's locks as keys: the folded form of each name stands before the name, so that the spellings of a
/// name are found without examining all locks that have one of them.
#[derive(Default)]
pub struct Spellings(BTreeSet<Box<[u8]>>);

impl Spellings {
    /// A lock has this path.
    pub fn add(&mut self, path: &Rc<[u8]>) {
        self.0.insert(key_of(path));
    }

    /// No lock has this path any more.
    pub fn remove(&mut self, path: &Rc<[u8]>) {
        self.0.remove(&key_of(path));
    }

    fn first_from(&self, start: &[u8]) -> Option<&[u8]> {
        self.0.range::<[u8], _>((Bound::Included(start), Bound::Unbounded)).next().map(|key| &**key)
    }

    /// Whether a lock is at or below the path that has this key.
    fn has(&self, key: &[u8]) -> bool {
        self.first_from(key).is_some_and(|first| first.starts_with(key))
    }

    /// How locks spell a name, each spelling once. `key`: that of its directory, and the folded name.
    fn of<'s>(&'s self, key: &'s [u8]) -> impl Iterator<Item = &'s [u8]> {
        let mut from = key.to_vec();
        std::iter::from_fn(move || {
            let own = self.first_from(&from)?.strip_prefix(key)?;
            let own = own.get(..memchr::memchr(b'/', own)?)?;
            from.truncate(key.len());
            from.extend_from_slice(own);
            // Past all that begins with this spelling and a slash.
            from.push(b'/' + 1);
            Some(own)
        })
    }
}

fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|b| *b == b'/').skip(1)
}

/// What all spellings of a name begin with, in the directory that has this key.
fn folded_key(dir: &[u8], name: &[u8]) -> Vec<u8> {
    [dir, &fold(name), b"/"].concat()
}

fn key_of(path: &[u8]) -> Box<[u8]> {
    names(path).flat_map(|name| [&folded_key(b"", name)[..], name, b"/"].concat()).collect()
}

/// The path as the locks at it, above or below spell it. None: as it is.
pub fn spelled<'z>(zones: impl Iterator<Item = &'z Spellings> + Clone, path: &[u8]) -> Option<Vec<u8>> {
    let lstat = |path: &[u8]| file::c_string(path).and_then(|path| file::lstat(&path)).ok();
    // What is at the path itself, as far as that length: looked at once, however many other spellings there are.
    let own: Cell<(usize, Option<Stat>)> = Cell::new((0, None));
    spelled_by(zones, path, |other, start| {
        if own.get().0 != start.len() {
            own.set((start.len(), lstat(start)));
        }
        own.get().1.is_some_and(|own| lstat(other).is_some_and(|other| own.is_same_file(&other)))
    })
}

fn spelled_by<'z>(
    zones: impl Iterator<Item = &'z Spellings> + Clone,
    path: &[u8],
    is_same: impl Fn(&[u8], &[u8]) -> bool,
) -> Option<Vec<u8>> {
    let (mut key, mut spelled, mut end) = (Vec::new(), Vec::new(), 0);
    for name in names(path) {
        let (folded, start) = (folded_key(&key, name), &path[..end + 1 + name.len()]);
        let key_with = |own: &[u8]| [&folded[..], own, b"/"].concat();
        let path_with = |own: &[u8]| [&spelled[..], b"/", own].concat();
        let own = if zones.clone().any(|zone| zone.has(&key_with(name))) {
            Some(name)
        } else {
            zones.clone().flat_map(|zone| zone.of(&folded)).find(|other| is_same(&path_with(other), start))
        };
        let Some(own) = own else { break };
        (key, spelled, end) = (key_with(own), path_with(own), start.len());
    }
    spelled.extend_from_slice(&path[end..]);
    (spelled != path).then_some(spelled)
}

/// Whether a lock of this path would not add a spelling to a name that has the most already.
pub fn has_room<'z>(zones: impl Iterator<Item = &'z Spellings> + Clone, path: &[u8]) -> bool {
    let mut key = Vec::new();
    for name in names(path) {
        let folded = folded_key(&key, name);
        key = [&folded[..], name, b"/"].concat();
        if !zones.clone().any(|zone| zone.has(&key)) {
            return zones.flat_map(|zone| zone.of(&folded)).take(SPELLINGS).count() < SPELLINGS;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_spelled_as_the_locks_around_it_where_case_means_nothing() {
        let (mut one, mut two) = (Spellings::default(), Spellings::default());
        let paths = ["/d/Tree", "/d/Tree-x", "/d/Tree/in/File", "/e/f"].map(|path| Rc::<[u8]>::from(path.as_bytes()));
        paths.iter().take(3).for_each(|path| one.add(path));
        two.add(&paths[3]);
        let ignored = |_: &[u8], _: &[u8]| true;
        let counted = |_: &[u8], _: &[u8]| false;
        let table = [
            ("/d/Tree", None),
            ("/d/TREE", Some("/d/Tree")),
            ("/D/tree/IN/file", Some("/d/Tree/in/File")),
            ("/D/tree/IN/other", Some("/d/Tree/in/other")),
            ("/d/tree/Sub/x", Some("/d/Tree/Sub/x")),
            ("/E/F", Some("/e/f")),
            ("/D/x", Some("/d/x")),
            ("/x/Tree", None),
        ];
        for (path, expected) in table {
            let zones = [&one, &two];
            let found = spelled_by(zones.into_iter(), path.as_bytes(), ignored);
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{path}");
            assert_eq!(spelled_by(zones.into_iter(), path.as_bytes(), counted), None, "{path}: another file");
        }
        paths.iter().for_each(|path| one.remove(path));
        assert_eq!(spelled_by([&one].into_iter(), b"/d/TREE", ignored), None);
    }

    #[test]
    fn locks_of_a_name_spelled_otherwise_cost_one_look_however_many_they_are() {
        let mut locks = Spellings::default();
        for n in 0..1000 {
            locks.add(&Rc::from(format!("/d/A/{n}").as_bytes()));
        }
        for name in ["A-", "A", "B", "aA"] {
            locks.add(&Rc::from(format!("/d/{name}").as_bytes()));
        }
        let looks = std::cell::Cell::new(0);
        let counted = |_: &[u8], _: &[u8]| {
            looks.set(looks.get() + 1);
            false
        };
        for (path, expected) in [("/d/a", 1), ("/d/a/1", 1), ("/d/A/1/x", 0), ("/d/AA", 1), ("/d/c", 0)] {
            looks.set(0);
            assert_eq!(spelled_by([&locks].into_iter(), path.as_bytes(), counted), None, "{path}");
            assert_eq!(looks.get(), expected, "{path}");
        }
    }
}

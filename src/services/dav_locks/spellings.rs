//! The paths of locks by what their spellings have in common: where the file system ignores case, a client may name a
//! locked file by another spelling.
//!
//! Invariant: two spellings are taken for one only if the file system finds the same file by both.

use crate::sys::file;
use crate::util::fold_case::fold;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::rc::Rc;

/// The folded form of a lock's path, and the path.
type Spelling = (Box<[u8]>, Rc<[u8]>);

/// The paths of a zone's locks, each after its folded form.
#[derive(Default)]
pub struct Spellings(BTreeSet<Spelling>);

impl Spellings {
    /// A lock has this path.
    pub fn add(&mut self, path: &Rc<[u8]>) {
        self.0.insert((fold(path).into(), path.clone()));
    }

    /// No lock has this path any more.
    pub fn remove(&mut self, path: &Rc<[u8]>) {
        self.0.remove(&(fold(path).into(), path.clone()));
    }

    /// How locks at or below a path spell that path, which is `folded`. None: there is none.
    fn of(&self, folded: &[u8], path: &[u8], is_same: fn(&[u8], &[u8]) -> bool) -> Option<Vec<u8>> {
        let (least, below) = (Rc::<[u8]>::default(), [folded, b"/"].concat());
        let from = |key: &[u8]| (Bound::Included((Box::<[u8]>::from(key), least.clone())), Bound::Unbounded);
        let at = self.0.range(from(folded)).take_while(|(own, _)| **own == *folded);
        let mut all = at.chain(self.0.range(from(&below)).take_while(|(own, _)| own.starts_with(&below)));
        let names = ends(path).count();
        let mut others: Vec<&[u8]> = Vec::new();
        all.find_map(|(_, lock)| {
            let spelled = &lock[..ends(lock).nth(names - 1)?];
            if others.contains(&spelled) {
                return None;
            }
            others.push(spelled);
            (spelled == path || is_same(spelled, path)).then(|| spelled.to_vec())
        })
    }
}

/// The path as the locks at it, above or below spell it. None: as it is.
pub fn spelled<'z>(zones: impl Iterator<Item = &'z Spellings> + Clone, path: &[u8]) -> Option<Vec<u8>> {
    spelled_by(zones, path, is_same)
}

fn spelled_by<'z>(
    zones: impl Iterator<Item = &'z Spellings> + Clone,
    path: &[u8],
    is_same: fn(&[u8], &[u8]) -> bool,
) -> Option<Vec<u8>> {
    let folded = fold(path);
    let both: Vec<(usize, usize)> = ends(&folded).zip(ends(path)).collect();
    for (folded_end, end) in both.into_iter().rev() {
        let (start, rest) = path.split_at(end);
        if let Some(spelled) = zones.clone().find_map(|zone| zone.of(&folded[..folded_end], start, is_same)) {
            return (spelled != start).then(|| [&spelled[..], rest].concat());
        }
    }
    None
}

/// The ends of a path's names.
fn ends(path: &[u8]) -> impl Iterator<Item = usize> {
    memchr::memchr_iter(b'/', path).filter(|end| *end > 0).chain([path.len()])
}

fn is_same(one: &[u8], other: &[u8]) -> bool {
    let lstat = |path: &[u8]| file::c_string(path).and_then(|path| file::lstat(&path)).ok();
    lstat(one).zip(lstat(other)).is_some_and(|(one, other)| one.is_same_file(&other))
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
        let ignored: fn(&[u8], &[u8]) -> bool = |_, _| true;
        let counted: fn(&[u8], &[u8]) -> bool = |_, _| false;
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
}

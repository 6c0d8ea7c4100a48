//! Makes the missing directories of a path.
//!
//! Invariants: a directory that another process makes at the same time is used as it is; every path is resolved
//! relative to its base directory, under the given `RESOLVE_*` flags.

use crate::sys::Errno;
use crate::sys::file::{self, Follow, O_DIRECTORY, O_PATH, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, Unlink};
use crate::util::seldom::Seldom;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Directories that are made for one path at most: clients choose it.
pub const MOST_MISSING: usize = 64;

/// Which directory it is: device and inode.
type Key = (u64, u64);

/// A directory that was made.
struct Made {
    /// A directory that was there before, and the path from it.
    base: Rc<OwnedFd>,
    way: Vec<u8>,
    /// None: it was gone before it could be examined.
    key: Option<Key>,
    /// Held as long as something may remove it.
    _count: Rc<()>,
}

/// Makes the directories of an absolute path that are missing, the outermost first; `made` is called for each.
pub fn make_path(path: &[u8], mode: u32, mut made: impl FnMut()) -> Result<(), Errno> {
    for end in memchr::memchr_iter(b'/', path).filter(|at| *at > 0).chain([path.len()]) {
        let dir = file::c_string(path.get(..end).unwrap_or_default())?;
        match file::mkdir_at(None, &dir, mode) {
            Ok(()) => made(),
            Err(Errno::EEXIST) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Opens the directory `way` beneath `base`; an empty `way` is `base` itself.
pub fn open_beneath(base: &Rc<OwnedFd>, way: &[u8], resolve: u64) -> Result<Rc<OwnedFd>, Errno> {
    let start = way.iter().position(|b| *b != b'/').unwrap_or(way.len());
    let way = way.get(start..).unwrap_or_default();
    if way.is_empty() {
        return Ok(base.clone());
    }
    let path = file::c_string(way)?;
    file::open_beneath(base.as_fd(), &path, O_PATH | O_DIRECTORY, 0, resolve).map(Rc::new)
}

/// The deepest existing directory of `way` beneath `base`, and the rest of the path, which is missing. Each is opened
/// from the base, since a symbolic link in the path may lead upwards as long as it stays beneath the base; it is
/// searched by halves, since each costs the kernel the whole path.
pub fn deepest<'w>(base: &Rc<OwnedFd>, way: &'w [u8], resolve: u64) -> Result<(Rc<OwnedFd>, &'w [u8]), Errno> {
    let ends: Vec<usize> = memchr::memchr_iter(b'/', way).map(|at| at + 1).filter(|end| *end < way.len()).collect();
    let open = |end: usize| match open_beneath(base, way.get(..end).unwrap_or_default(), resolve) {
        Ok(dir) => Ok(Some(dir)),
        Err(Errno::ENOENT) => Ok(None),
        Err(e) => Err(e),
    };
    if let Some(dir) = open(way.len())? {
        return Ok((dir, b""));
    }
    // Those before `low` exist, those from `high` on are missing. Mostly only the last is.
    let (mut low, mut high, mut found) = (0, ends.len(), (base.clone(), 0));
    let mut at = high.saturating_sub(1);
    while low < high {
        let end = ends.get(at).copied().unwrap_or_default();
        match open(end)? {
            Some(dir) => (low, found) = (at + 1, (dir, end)),
            None => high = at,
        }
        at = low + (high - low) / 2;
    }
    Ok((found.0, way.get(found.1..).unwrap_or_default()))
}

/// Makes the directories `missing`, each inside the one before it, beginning in `dir`, which becomes the last of them.
/// Those that were made are added to `made`, the outermost first, even if a later one fails. `is_over`: time is up, and
/// the rest stays in `missing`. An error names the system call.
pub fn make_beneath(
    dir: &mut Rc<OwnedFd>,
    missing: &mut Vec<CString>,
    (mode, resolve): (u32, u64),
    made: &mut NewDirectories,
    mut is_over: impl FnMut() -> bool,
) -> Result<(), (&'static str, Errno)> {
    let (base, mut way, mut done) = (dir.clone(), Vec::new(), 0);
    let mut step = |name: &CString| {
        way.extend_from_slice(name.to_bytes());
        let is_new = match file::mkdir_at(Some(dir.as_fd()), name, mode) {
            Ok(()) => true,
            // Another request or process made it first.
            Err(Errno::EEXIST) => false,
            Err(e) => return Err(("mkdir()", e)),
        };
        if is_new {
            let _count = made.among.count.clone();
            // By its name: a shortage of descriptors must not leave it behind.
            let there = file::stat_at(Some(dir.as_fd()), name, Follow::No);
            let key = there.ok().map(|stat| (stat.dev, stat.ino));
            made.made.push(Made { base: base.clone(), way: way.clone(), key, _count });
        }
        let next = file::open_beneath(dir.as_fd(), name, O_PATH | O_DIRECTORY, 0, resolve);
        *dir = Rc::new(next.map_err(|e| ("openat2()", e))?);
        if !is_new {
            made.uses(dir.as_fd());
        }
        way.push(b'/');
        Ok(())
    };
    while let Some(name) = missing.get(done) {
        step(name)?;
        done += 1;
        if is_over() {
            break;
        }
    }
    missing.drain(..done);
    Ok(())
}

fn key_of(dir: BorrowedFd<'_>) -> Option<Key> {
    file::fstat(dir).ok().map(|stat| (stat.dev, stat.ino))
}

/// What the operations in progress know of each other's directories.
#[derive(Default)]
pub struct MadeDirectories {
    /// Its strong count, less one, is the number of [`Made`] that may still be removed.
    count: Rc<()>,
    /// Those that operations store in, if they opened them while another operation's [`Made`] could still be removed.
    used: RefCell<HashMap<Key, Used>>,
}

/// A directory that operations are about to store in.
#[derive(Default)]
struct Used {
    by: usize,
    /// It, and those above it, which their maker would have removed: the last of the operations does so, if they are
    /// empty.
    left: Vec<Made>,
}

/// Directories created for an operation that may still fail, and those that it stores in. Dropping this removes the
/// created ones that are empty and in which no other operation stores.
#[derive(Default)]
pub struct NewDirectories {
    made: Vec<Made>,
    among: Rc<MadeDirectories>,
    /// The directories that it stores in and others may remove, and how often it has opened each.
    uses: Seldom<BTreeMap<Key, usize>>,
    /// Some were there in an earlier turn, in which another operation may have opened them.
    is_old: bool,
}

impl NewDirectories {
    /// Of one of these operations.
    fn among(among: &Rc<MadeDirectories>) -> NewDirectories {
        NewDirectories { made: Vec::new(), among: among.clone(), uses: None, is_old: false }
    }

    /// Of one that stores in that directory.
    pub fn storing_in(among: &Rc<MadeDirectories>, dir: BorrowedFd<'_>) -> NewDirectories {
        let mut making = NewDirectories::among(among);
        making.uses(dir);
        making
    }

    /// How many directories were made.
    pub fn count(&self) -> u64 {
        self.made.len() as u64
    }

    /// The operation has opened a directory, and will store in it. Costs nothing while no other one may remove it.
    pub fn uses(&mut self, dir: BorrowedFd<'_>) {
        if Rc::strong_count(&self.among.count) == 1 + self.made.len() {
            return;
        }
        if let Some(key) = key_of(dir) {
            self.among.used.borrow_mut().entry(key).or_default().by += 1;
            *self.uses.get_or_insert_default().entry(key).or_default() += 1;
        }
    }

    /// The turn ends, or has ended: from now on others may store in the directories.
    pub fn outlives_turn(&mut self) {
        self.is_old |= !self.made.is_empty();
    }

    /// Keeps the directories. Returns whether there were any.
    pub fn keep(&mut self) -> bool {
        !std::mem::take(&mut self.made).is_empty()
    }

    /// Removes what was made, as far as it is empty.
    pub fn unmake(&mut self) {
        while self.unmake_last() {}
    }

    /// [`NewDirectories::unmake`] for the one that was made last. False: there is none. One that other operations store
    /// in is left to them, with those above it.
    pub fn unmake_last(&mut self) -> bool {
        let Some(made) = self.made.pop() else { return false };
        match made.key.filter(|key| self.is_old && self.is_used_by_others(*key)) {
            Some(key) => self.leave(key, made),
            // It is not empty when another operation has stored something there, or one in it was left to others.
            None if remove(&made, self.is_old) == Err(Errno::ENOTEMPTY) && self.is_old => {
                if let Some(key) = self.left_beneath(&made) {
                    self.leave(key, made);
                }
            }
            None => {}
        }
        true
    }

    fn is_used_by_others(&self, key: Key) -> bool {
        let by = self.among.used.borrow().get(&key).map_or(0, |used| used.by);
        by > self.uses.as_ref().and_then(|uses| uses.get(&key).copied()).unwrap_or_default()
    }

    /// Those that store in that directory remove what was made.
    fn leave(&self, key: Key, made: Made) {
        if let Some(used) = self.among.used.borrow_mut().get_mut(&key) {
            used.left.push(made);
        }
    }

    /// To which directory's users one beneath `made` was left.
    fn left_beneath(&self, made: &Made) -> Option<Key> {
        let is_beneath = |inner: &Made| {
            Rc::ptr_eq(&inner.base, &made.base)
                && inner.way.strip_prefix(&*made.way).is_some_and(|way| way.starts_with(b"/"))
        };
        let used = self.among.used.borrow();
        used.iter().find(|(_, used)| used.left.iter().any(is_beneath)).map(|(key, _)| *key)
    }

    /// It stores in none any more. Takes over what others have left to it.
    fn unuse(&mut self) {
        let Some(uses) = self.uses.take() else { return };
        let among = self.among.clone();
        let mut all = among.used.borrow_mut();
        for (key, times) in *uses {
            let Some(used) = all.get_mut(&key) else { continue };
            used.by -= times;
            if used.by == 0 {
                // The innermost was left first, and is removed first.
                let left = all.remove(&key).map(|used| used.left).unwrap_or_default();
                self.made.extend(left.into_iter().rev());
            }
        }
    }
}

impl Drop for NewDirectories {
    fn drop(&mut self) {
        self.unmake();
        self.unuse();
        self.is_old = true;
        self.unmake();
    }
}

/// Removes a directory if it is empty. `is_old`: another one may be in its place by now, which stays.
fn remove(made: &Made, is_old: bool) -> Result<(), Errno> {
    let (above, name) = made.way.split_at(memchr::memrchr(b'/', &made.way).map_or(0, |at| at + 1));
    let name = file::c_string(name)?;
    let dir = open_beneath(&made.base, above, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)?;
    if is_old {
        let there = file::stat_at(Some(dir.as_fd()), &name, Follow::No)?;
        if made.key != Some((there.dev, there.ino)) {
            return Err(Errno::ENOENT);
        }
    }
    file::unlink_at(Some(dir.as_fd()), &name, Unlink::Dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::file::O_RDONLY;
    use crate::sys::scratch::Scratch;
    use std::path::Path;

    fn base(scratch: &Path) -> Rc<OwnedFd> {
        let path = CString::new(scratch.as_os_str().as_encoded_bytes()).expect("no NUL");
        Rc::new(file::open_at(None, &path, O_RDONLY | O_DIRECTORY, 0).expect("it is there"))
    }

    /// Has made that path.
    fn making(scratch: &Path, among: &Rc<MadeDirectories>, way: &str) -> NewDirectories {
        let mut missing = way.split('/').map(|name| CString::new(name).expect("no NUL")).collect();
        let mut made = NewDirectories::among(among);
        let (mut dir, how) = (base(scratch), (0o755, RESOLVE_BENEATH));
        make_beneath(&mut dir, &mut missing, how, &mut made, || false).expect("made");
        made
    }

    /// Stores in that path.
    fn using(scratch: &Path, among: &Rc<MadeDirectories>, way: &str) -> NewDirectories {
        let dir = open_beneath(&base(scratch), way.as_bytes(), RESOLVE_BENEATH).expect("it is there");
        NewDirectories::storing_in(among, dir.as_fd())
    }

    #[test]
    fn a_directory_that_was_made_and_could_not_be_opened_does_not_stay() {
        let (scratch, among) = (Scratch::new(), Rc::default());
        for is_old in [false, true] {
            let mut made = NewDirectories::among(&among);
            // The kernel knows no such flags.
            let (mut dir, how) = (base(scratch.path()), (0o755, u64::MAX));
            let outcome = make_beneath(&mut dir, &mut vec![c"a".into()], how, &mut made, || false);
            assert_eq!(outcome, Err(("openat2()", Errno::EINVAL)));
            assert!(scratch.path().join("a").exists());
            if is_old {
                made.outlives_turn();
            }
            drop(made);
            assert!(!scratch.path().join("a").exists(), "{is_old}");
        }
    }

    #[test]
    fn a_directory_that_another_upload_has_opened_is_not_taken_from_under_it() {
        // The directories that others have opened, whether the turn has ended; what stays, and what stays behind the
        // others.
        let table: [(&[&str], bool, &str, &str); 7] = [
            (&["a/b"], true, "a a/b", ""),
            (&["a"], true, "a", ""),
            (&["a/b", "a/b"], true, "a a/b", ""),
            (&[""], true, "", ""),
            (&[], true, "", ""),
            (&[], false, "", ""),
            (&["a/b", "a"], true, "a a/b", ""),
        ];
        for (opened, is_old, stays, at_last) in table {
            let (scratch, among) = (Scratch::new(), Rc::default());
            let there = || {
                let mut there = vec!["a", "a/b", "a/c"];
                there.retain(|way| scratch.path().join(way).exists());
                there.join(" ")
            };
            let mut made = making(scratch.path(), &among, "a/b");
            let more = making(scratch.path(), &among, "a/c");
            let mut others: Vec<_> = opened.iter().map(|way| using(scratch.path(), &among, way)).collect();
            drop(more);
            if is_old {
                made.outlives_turn();
            }
            drop(made);
            assert_eq!(there(), stays, "{opened:?}");
            while let Some(other) = others.pop() {
                assert_eq!(there(), stays, "{opened:?}: another one is left");
                drop(other);
            }
            assert_eq!(there(), at_last, "{opened:?}");
            assert!(among.used.borrow().is_empty() && Rc::strong_count(&among.count) == 1);
        }
    }

    #[test]
    fn a_directory_that_was_left_stays_when_something_is_in_it_or_another_one_in_its_place() {
        for (path, expected) in [("a/b/file", true), ("a/file", true)] {
            let (scratch, among) = (Scratch::new(), Rc::default());
            let mut made = making(scratch.path(), &among, "a/b");
            let other = using(scratch.path(), &among, "a/b");
            made.outlives_turn();
            drop(made);
            std::fs::write(scratch.path().join(path), "").expect("written");
            drop(other);
            assert_eq!(scratch.path().join(path).exists(), expected);
            assert_eq!(scratch.path().join("a/b").exists(), path == "a/b/file");
        }
        let (scratch, among) = (Scratch::new(), Rc::default());
        let mut made = making(scratch.path(), &among, "a");
        made.outlives_turn();
        std::fs::rename(scratch.path().join("a"), scratch.path().join("moved")).expect("renamed");
        std::fs::create_dir(scratch.path().join("a")).expect("made");
        drop(made);
        assert!(scratch.path().join("a").exists(), "not the one that was made");
    }
}

//! Removes a directory with its contents step by step: it may contain any number of entries at any depth.
//!
//! Invariant: no symbolic link is followed and no other file system entered, whatever changes in the tree meanwhile; a
//! step is a few system calls; the number of open descriptors is bounded.

use crate::sys::Errno;
use crate::sys::file::{
    self, Entry, FileKind, Follow, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, ReadDir, Rename, Unlink,
};
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Maximum number of open directories. Deeper ones are moved up first.
const LEVELS: usize = 32;
/// The same where directories cannot be moved up: those of a lower layer of overlayfs.
const UNMOVED_LEVELS: usize = 256;

/// Decisions of the caller during a removal.
pub trait RemovalPolicy {
    /// A hidden name for a directory to be moved up.
    fn hide(&mut self, dir: BorrowedFd<'_>) -> CString;

    /// Whether an entry may be removed: it may have been added since the tree was checked. `parent` is the relative
    /// path of its directory, each component with a trailing slash.
    fn may(&mut self, dir: BorrowedFd<'_>, parent: &[u8], name: &CStr, is_dir: bool) -> Result<(), Errno> {
        let _ = (dir, parent, name, is_dir);
        Ok(())
    }
}

/// A removal in progress.
pub struct Removal {
    parent: OwnedFd,
    /// From the directory itself down to the one being emptied.
    levels: Vec<Level>,
    /// The directory's real path at the beginning.
    began_at: Vec<u8>,
    /// The original paths of directories moved up under hidden names.
    moved: HashMap<CString, Vec<u8>>,
    /// Entries removed so far.
    pub removed: u64,
}

struct Level {
    name: CString,
    /// The original relative path, each component with a trailing slash.
    path: Vec<u8>,
    dir: ReadDir,
    /// The remaining entries of the last batch; true for directories.
    batch: Vec<(CString, bool)>,
    /// Whether this pass over the directory has found an entry.
    found: bool,
    /// `Removal::removed` at the beginning of the pass.
    before: u64,
}

/// The entry that could not be removed, and the error. The rest is unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// Relative to the directory to be removed; empty for that itself.
    pub path: Vec<u8>,
    /// As the log has it: `unlink()`.
    pub call: &'static str,
    /// Its error.
    pub errno: Errno,
}

fn open(parent: BorrowedFd<'_>, name: &CStr) -> Result<ReadDir, Errno> {
    const RESOLVE: u64 = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    file::open_beneath(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, RESOLVE).map(file::read_dir)
}

/// Whether the directory has no entries.
pub fn is_empty(parent: BorrowedFd<'_>, name: &CStr) -> Result<bool, Errno> {
    let mut dir = open(parent, name)?;
    while dir.fill()? {
        if dir.entries().next().is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether an entry is itself a directory; asks the file system if the entry does not tell. False for a vanished entry.
fn is_directory(dir: BorrowedFd<'_>, entry: &Entry<'_>) -> bool {
    match entry.kind {
        Some(kind) => kind == FileKind::Dir,
        None => file::stat_at(Some(dir), entry.name, Follow::No).is_ok_and(|stat| stat.kind == FileKind::Dir),
    }
}

impl Removal {
    /// Starts removing the directory `name` in `parent`.
    pub fn new(parent: OwnedFd, name: &CStr) -> Result<Removal, Errno> {
        let (levels, moved) = Default::default();
        let dir = open(parent.as_fd(), name)?;
        let began_at = file::path_of(dir.dir())?;
        let mut removal = Removal { parent, levels, began_at, moved, removed: 0 };
        removal.enter(name.to_owned(), dir);
        Ok(removal)
    }

    /// What remains, once it is stuck.
    pub fn rest(&self) -> Option<(OwnedFd, CString)> {
        let top = self.levels.first()?;
        Some((file::dup(self.parent.as_fd()).ok()?, top.name.clone()))
    }

    /// Call it when other requests may have moved directories since the last step: what was moved out of the tree is
    /// left alone.
    ///
    /// # Errors
    /// EBUSY: the tree itself was moved, or a directory above it.
    pub fn leave_moved(&mut self) -> Result<(), Stuck> {
        let mut path = self.began_at.clone();
        for (depth, level) in self.levels.iter().enumerate() {
            if depth > 0 {
                path.push(b'/');
                path.extend_from_slice(level.name.to_bytes());
            }
            let there = file::path_of(level.dir.dir()).unwrap_or_default();
            if there == path {
                continue;
            }
            // The kernel's mark: another request has removed it.
            let is_gone = there.strip_suffix(b" (deleted)").is_some_and(|there| there == path);
            if depth == 0 && !is_gone {
                return Err(Stuck { path: Vec::new(), call: "removal of", errno: Errno::EBUSY });
            }
            // Counts like a removal, so that the pass over the parent directory continues.
            self.removed += 1;
            self.levels.truncate(depth);
            return Ok(());
        }
        Ok(())
    }

    fn enter(&mut self, name: CString, dir: ReadDir) {
        let path = match (self.moved.remove(&name), self.levels.last()) {
            (Some(path), _) => path,
            (None, Some(above)) => [&above.path[..], name.to_bytes(), b"/"].concat(),
            (None, None) => Vec::new(),
        };
        self.levels.push(Level { name, path, dir, batch: Vec::new(), found: false, before: self.removed });
    }

    /// Removes a little more; false when everything is removed.
    pub fn step(&mut self, mut policy: impl RemovalPolicy) -> Result<bool, Stuck> {
        let Some(level) = self.levels.last_mut() else { return Ok(false) };
        let Some((name, is_dir)) = level.batch.pop() else { return self.read_batch() };
        // Directories moved up were allowed at their original places.
        if !self.moved.contains_key(&name)
            && let Err(errno) = policy.may(level.dir.dir(), &level.path, &name, is_dir)
        {
            return Err(self.stuck(Some(&name), "removal of", errno));
        }
        if is_dir {
            return self.descend(name, policy).map(|()| true);
        }
        match file::unlink_at(Some(level.dir.dir()), &name, Unlink::File) {
            Ok(()) => self.removed += 1,
            Err(Errno::ENOENT) => {}
            // It was replaced by a directory.
            Err(Errno::EISDIR) => level.batch.push((name, true)),
            Err(errno) => return Err(self.stuck(Some(&name), "unlink()", errno)),
        }
        Ok(true)
    }

    /// Reads the next batch of the innermost directory; at its end, returns to the parent.
    fn read_batch(&mut self) -> Result<bool, Stuck> {
        let Some(level) = self.levels.last_mut() else { return Ok(false) };
        match level.dir.fill() {
            Ok(true) => {
                let dir = level.dir.dir();
                level.batch.extend(level.dir.entries().map(|e| (e.name.to_owned(), is_directory(dir, &e))));
                level.found |= !level.batch.is_empty();
                return Ok(true);
            }
            Ok(false) => {}
            Err(errno) => return Err(self.stuck(None, "readdir()", errno)),
        }
        if !level.found {
            return self.ascend();
        }
        // After removals, the read position may be invalid on some file systems, so passes are repeated until one finds
        // nothing. Gives up on entries that reappear as fast as they are removed.
        if level.before == self.removed {
            return Err(self.stuck(None, "rmdir()", Errno::ENOTEMPTY));
        }
        (level.found, level.before) = (false, self.removed);
        match level.dir.rewind() {
            Ok(()) => Ok(true),
            Err(errno) => Err(self.stuck(None, "readdir()", errno)),
        }
    }

    fn descend(&mut self, name: CString, mut policy: impl RemovalPolicy) -> Result<(), Stuck> {
        let depth = self.levels.len();
        let [top, .., level] = &mut self.levels[..] else {
            return match self.levels.last().map(|level| open(level.dir.dir(), &name)) {
                Some(opened) => self.entered(name, opened),
                None => Ok(()),
            };
        };
        if depth < LEVELS {
            let opened = open(level.dir.dir(), &name);
            return self.entered(name, opened);
        }
        // It is found there when the top directory is read again.
        let new = policy.hide(top.dir.dir());
        let moved = file::rename_at(Some(level.dir.dir()), &name, Some(top.dir.dir()), &new, Rename::NoReplace);
        match moved {
            Ok(()) => {
                // It was not removed, but no longer blocks its parents, whose passes continue.
                let path = [&level.path[..], name.to_bytes(), b"/"].concat();
                self.moved.insert(new, path);
                self.removed += 1;
                Ok(())
            }
            Err(Errno::ENOENT) => Ok(()),
            Err(Errno::EXDEV) if depth < UNMOVED_LEVELS => {
                let opened = open(level.dir.dir(), &name);
                self.entered(name, opened)
            }
            Err(errno) => Err(self.stuck(Some(&name), "rename()", errno)),
        }
    }

    fn entered(&mut self, name: CString, opened: Result<ReadDir, Errno>) -> Result<(), Stuck> {
        match opened {
            Ok(dir) => self.enter(name, dir),
            Err(Errno::ENOENT) => {}
            // It is no longer a directory.
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                if let Some(level) = self.levels.last_mut() {
                    level.batch.push((name, false));
                }
            }
            Err(errno) => return Err(self.stuck(Some(&name), "open()", errno)),
        }
        Ok(())
    }

    /// Removes the innermost directory, which is empty.
    fn ascend(&mut self) -> Result<bool, Stuck> {
        let Some(level) = self.levels.pop() else { return Ok(false) };
        let parent = self.levels.last().map_or(self.parent.as_fd(), |above| above.dir.dir());
        match file::unlink_at(Some(parent), &level.name, Unlink::Dir) {
            Ok(()) => self.removed += 1,
            Err(Errno::ENOENT) => {}
            Err(errno) => {
                self.levels.push(level);
                return Err(self.stuck(None, "rmdir()", errno));
            }
        }
        Ok(!self.levels.is_empty())
    }

    fn stuck(&self, name: Option<&CStr>, call: &'static str, errno: Errno) -> Stuck {
        let path = self.levels.last().map_or(&b""[..], |level| &level.path);
        let path = match name {
            Some(name) => [path, name.to_bytes()].concat(),
            None => path.strip_suffix(b"/").unwrap_or(path).to_vec(),
        };
        Stuck { path, call, errno }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;
    use std::fs;
    use std::path::Path;

    struct All;

    impl RemovalPolicy for &All {
        fn hide(&mut self, _: BorrowedFd<'_>) -> CString {
            c".hidden".into()
        }
    }

    /// Removes `above/tree`; calls `meanwhile` when the removal has entered a directory of it.
    fn removed(meanwhile: impl Fn(&Path)) -> (Scratch, Result<(), Stuck>) {
        let scratch = Scratch::new();
        for name in ["above/tree/in/deep/a", "above/tree/in/deep/b"] {
            fs::create_dir_all(scratch.path().join(name).parent().expect("a parent")).expect("mkdir");
            fs::write(scratch.path().join(name), name).expect("write");
        }
        let parent = file::open_at(None, &scratch.join("above"), O_RDONLY | O_DIRECTORY, 0).expect("opens");
        let mut removal = Removal::new(parent, c"tree").expect("begins");
        while removal.removed == 0 {
            assert_eq!(removal.step(&All), Ok(true));
        }
        meanwhile(scratch.path());
        let outcome = loop {
            match removal.leave_moved().and_then(|()| removal.step(&All)) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(stuck) => break Err(stuck),
            }
        };
        (scratch, outcome)
    }

    fn rename(from: &'static str, to: &'static str) -> impl Fn(&Path) {
        move |at| fs::rename(at.join(from), at.join(to)).expect("renamed")
    }

    #[test]
    fn what_is_moved_out_of_a_tree_while_that_is_removed_stays() {
        for (from, left) in [("above/tree/in", "kept/deep"), ("above/tree/in/deep", "kept")] {
            let (scratch, outcome) = removed(rename(from, "kept"));
            assert_eq!(outcome, Ok(()), "{from}");
            assert_eq!(fs::read_dir(scratch.path().join(left)).expect("it is there").count(), 1, "{from}");
            assert!(!scratch.path().join("above/tree").exists(), "{from}");
        }
    }

    #[test]
    fn a_tree_that_is_moved_while_it_is_removed_is_removed_no_further() {
        for (from, left) in [("above/tree", "kept/in/deep"), ("above", "kept/tree/in/deep")] {
            let (scratch, outcome) = removed(rename(from, "kept"));
            assert_eq!(outcome.map_err(|stuck| (stuck.path, stuck.errno)), Err((Vec::new(), Errno::EBUSY)), "{from}");
            assert_eq!(fs::read_dir(scratch.path().join(left)).expect("it is there").count(), 1, "{from}");
        }
    }

    #[test]
    fn a_tree_that_another_request_removes_too_is_gone() {
        let (scratch, outcome) = removed(|at| fs::remove_dir_all(at.join("above/tree")).expect("removed"));
        assert_eq!(outcome, Ok(()));
        assert!(!scratch.path().join("above/tree").exists());
    }
}

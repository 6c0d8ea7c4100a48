//! Counts the files below a directory, in slices, while files are added and removed.
//!
//! Invariant: a change reported by [`Walk::changed`] is counted once; if it is unknown whether the walk has seen it,
//! the higher number counts. [`Walk::exact`] tells.

use super::usage::Usage;
use crate::io::tree_dirs::TreeDirs;
use crate::services::temp_names::is_hidden;
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, ReadDir};

const OPEN: i32 = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK;
/// The cost of opening and reading a directory, in names; and how many directories above it cost as much as one more,
/// since Landlock checks each of them.
const ENTERED: u64 = 8;
const ABOVE: u64 = 32;

/// A count in progress.
pub struct Walk {
    tree_dirs: TreeDirs,
    /// Directories to read, by relative path.
    pending: Vec<Vec<u8>>,
    current: Option<(Vec<u8>, ReadDir)>,
    found: Usage,
    /// Reported, and not found by the walk itself.
    added: Usage,
    removed: Usage,
    /// The count equals what was there when it ended; otherwise it may be too high.
    pub exact: bool,
    /// Names examined, plus the cost of entering directories.
    pub entries: u64,
}

impl Walk {
    /// Starts a walk of the directory at `path`. None: it does not exist.
    pub fn begin(path: &[u8]) -> Result<Option<Walk>, Errno> {
        let path = file::c_string(path)?;
        let tree_dirs = match file::open_at(None, &path, OPEN, 0) {
            Ok(root) => TreeDirs::new(root),
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            Err(e) => return Err(e),
        };
        let (found, added, removed) = Default::default();
        let pending = vec![Vec::new()];
        Ok(Some(Walk { tree_dirs, pending, current: None, found, added, removed, exact: true, entries: 0 }))
    }

    /// A walk that fails at its next directory: no system call accepts a NUL in a name.
    #[cfg(test)]
    pub fn broken(path: &[u8]) -> Walk {
        let walk = Walk::begin(path).expect("opened").expect("it is there");
        Walk { pending: vec![b"\0".to_vec()], ..walk }
    }

    /// Examines about `most` names; returns the sum once all were examined.
    ///
    /// # Errors
    /// A directory cannot be opened or read: its contents are missing, and the walk must be abandoned.
    pub fn slice(&mut self, most: u64) -> Result<Option<Usage>, Errno> {
        let end = self.entries.saturating_add(most);
        while self.entries < end {
            if self.current.is_none() {
                let Some(path) = self.pending.pop() else {
                    return Ok(Some(self.found.plus(self.added).minus(self.removed)));
                };
                self.current = self.enter(&path)?.map(|dir| (path, dir));
            }
            if !self.batch()? {
                self.current = None;
            }
        }
        Ok(None)
    }

    fn enter(&mut self, path: &[u8]) -> Result<Option<ReadDir>, Errno> {
        self.entries += ENTERED + memchr::memchr_iter(b'/', path).count() as u64 / ABOVE;
        match self.tree_dirs.open(path, OPEN) {
            Ok(dir) => Ok(Some(file::read_dir(dir))),
            // It was removed or replaced, or is inaccessible: nothing in it was stored by us.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::EACCES | Errno::ENAMETOOLONG) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Reads a batch of the current directory; false if there is no more.
    fn batch(&mut self) -> Result<bool, Errno> {
        let Some((path, dir)) = &mut self.current else { return Ok(false) };
        match dir.fill() {
            Ok(true) => {}
            Ok(false) | Err(Errno::ENOENT) => return Ok(false),
            Err(e) => return Err(e),
        }
        for entry in dir.entries() {
            self.entries += 1;
            let name = entry.name.to_bytes();
            let nothing = matches!(entry.kind, Some(FileKind::Symlink | FileKind::Other));
            if nothing || is_hidden(name) {
                continue;
            }
            let (kind, size) = match entry.kind {
                Some(FileKind::Dir) => (FileKind::Dir, 0),
                // It was removed meanwhile, so it no longer counts.
                _ => match file::stat_at(Some(dir.dir()), entry.name, Follow::No) {
                    Ok(stat) => (stat.kind, stat.size),
                    Err(_) => continue,
                },
            };
            match kind {
                FileKind::Regular => self.found = self.found.plus(Usage::file(size)),
                FileKind::Dir => {
                    self.found = self.found.plus(Usage::directories(1));
                    self.pending.push(match path.is_empty() {
                        true => name.to_vec(),
                        false => [path, &b"/"[..], name].concat(),
                    });
                }
                FileKind::Symlink | FileKind::Other => {}
            }
        }
        Ok(true)
    }

    /// Records files added or removed in the directory at this relative path.
    pub fn changed(&mut self, path: &[u8], added: Usage, removed: Usage) {
        if self.pending.iter().any(|dir| is_within(path, dir)) {
            return; // The walk will see it.
        }
        if self.current.as_ref().is_some_and(|(dir, _)| is_within(path, dir)) {
            self.exact = false;
            self.added = self.added.plus(added);
            return;
        }
        self.added = self.added.plus(added);
        self.removed = self.removed.plus(removed);
    }
}

/// Whether the directory `path` is `dir` or below it.
fn is_within(path: &[u8], dir: &[u8]) -> bool {
    dir.is_empty() || path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

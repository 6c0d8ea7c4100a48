//! Makes the missing directories of a path.
//!
//! Invariants: a directory that another process makes at the same time is used as it is; every path is resolved relative to
//! its base directory, under the given `RESOLVE_*` flags.

use crate::sys::Errno;
use crate::sys::file::{self, O_DIRECTORY, O_PATH, Unlink};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

/// A directory that was made: its name, and where.
pub type Made = (Rc<OwnedFd>, CString);

/// Makes the directories of an absolute path that are missing, the outermost first; `made` is called for each.
pub fn make_path(path: &[u8], mode: u32, mut made: impl FnMut()) -> Result<(), Errno> {
    for end in memchr::memchr_iter(b'/', path).filter(|at| *at > 0).chain([path.len()]) {
        let dir = CString::new(path.get(..end).unwrap_or_default()).map_err(|_| Errno::EINVAL)?;
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
    let path = CString::new(way).map_err(|_| Errno::EINVAL)?;
    file::open_beneath(base.as_fd(), &path, O_PATH | O_DIRECTORY, 0, resolve).map(Rc::new)
}

/// The deepest existing directory of `way` beneath `base`, and the rest of the path, which is missing. Each is opened from
/// the base, since a symbolic link in the path may lead upwards as long as it stays beneath the base.
pub fn deepest<'w>(base: &Rc<OwnedFd>, way: &'w [u8], resolve: u64) -> Result<(Rc<OwnedFd>, &'w [u8]), Errno> {
    let mut there = way;
    loop {
        match open_beneath(base, there, resolve) {
            Ok(dir) => return Ok((dir, way.get(there.len()..).unwrap_or_default())),
            Err(Errno::ENOENT) => {}
            Err(e) => return Err(e),
        }
        let last = there.iter().rposition(|b| *b != b'/').map_or(0, |at| at + 1);
        let slash = memchr::memrchr(b'/', there.get(..last).unwrap_or_default()).map_or(0, |at| at + 1);
        there = there.get(..slash).unwrap_or_default();
    }
}

/// Makes the directories `names`, each inside the one before it, beginning in `dir`, which becomes the last of them. Those
/// that were made are added to `made`, the outermost first, even if a later one fails. An error names the system call.
pub fn make_beneath(
    dir: &mut Rc<OwnedFd>,
    names: Vec<CString>,
    mode: u32,
    resolve: u64,
    made: &mut Vec<Made>,
) -> Result<(), (&'static str, Errno)> {
    for name in names {
        match file::mkdir_at(Some(dir.as_fd()), &name, mode) {
            Ok(()) => made.push((dir.clone(), name.clone())),
            // Another request or process made it first.
            Err(Errno::EEXIST) => {}
            Err(e) => return Err(("mkdir()", e)),
        }
        let next = file::open_beneath(dir.as_fd(), &name, O_PATH | O_DIRECTORY, 0, resolve);
        *dir = Rc::new(next.map_err(|e| ("openat2()", e))?);
    }
    Ok(())
}

/// Directories made for an operation that may still fail. Dropping this removes those that are empty.
#[derive(Default)]
pub struct Making(Vec<Made>);

impl Making {
    pub fn add(&mut self, made: Vec<Made>) {
        self.0.extend(made);
    }

    pub fn is_any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Keeps the directories. Returns whether there were any.
    pub fn keep(&mut self) -> bool {
        !std::mem::take(&mut self.0).is_empty()
    }

    pub fn unmake(&mut self) {
        unmake(&std::mem::take(&mut self.0));
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        self.unmake();
    }
}

/// Removes what was made, as far as it is empty.
pub fn unmake(made: &[Made]) {
    for (dir, name) in made.iter().rev() {
        // Not empty by now: another request stores there.
        let _ = file::unlink_at(Some(dir.as_fd()), name, Unlink::Dir);
    }
}

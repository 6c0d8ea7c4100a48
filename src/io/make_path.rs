//! Makes the missing directories of a path.
//!
//! Invariants: a directory that another process makes at the same time is used as it is; every path is resolved relative to
//! its base directory, under the given `RESOLVE_*` flags.

use crate::sys::Errno;
use crate::sys::file::{self, O_DIRECTORY, O_PATH, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, Unlink};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

/// Directories that are made for one path at most: clients choose it.
pub const MOST_MISSING: usize = 64;

/// A directory that was made: a directory that was there before, and the path from it.
type Made = (Rc<OwnedFd>, Vec<u8>);

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
/// the base, since a symbolic link in the path may lead upwards as long as it stays beneath the base; it is searched by
/// halves, since each costs the kernel the whole path.
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

/// Makes the directories `missing`, each inside the one before it, beginning in `dir`, which becomes the last of them. Those
/// that were made are added to `made`, the outermost first, even if a later one fails. `is_over`: time is up, and the rest
/// stays in `missing`. An error names the system call.
pub fn make_beneath(
    dir: &mut Rc<OwnedFd>,
    missing: &mut Vec<CString>,
    (mode, resolve): (u32, u64),
    made: &mut Making,
    mut is_over: impl FnMut() -> bool,
) -> Result<(), (&'static str, Errno)> {
    let (base, mut way, mut done) = (dir.clone(), Vec::new(), 0);
    let mut step = |name: &CString| {
        way.extend_from_slice(name.to_bytes());
        match file::mkdir_at(Some(dir.as_fd()), name, mode) {
            Ok(()) => made.made.push((base.clone(), way.clone())),
            // Another request or process made it first.
            Err(Errno::EEXIST) => {}
            Err(e) => return Err(("mkdir()", e)),
        }
        way.push(b'/');
        let next = file::open_beneath(dir.as_fd(), name, O_PATH | O_DIRECTORY, 0, resolve);
        *dir = Rc::new(next.map_err(|e| ("openat2()", e))?);
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

/// Directories made for an operation that may still fail. Dropping this removes those that are empty.
#[derive(Default)]
pub struct Making {
    made: Vec<Made>,
    /// Held once by each operation that may use what another one made, and once by what counts them.
    among: Rc<()>,
    /// Some were there in an earlier turn, in which another operation may have opened them.
    is_old: bool,
}

impl Making {
    /// Of one of the operations that `among` counts.
    pub fn among(among: &Rc<()>) -> Making {
        Making { made: Vec::new(), among: among.clone(), is_old: false }
    }

    pub fn is_any(&self) -> bool {
        !self.made.is_empty()
    }

    /// The turn ends, or has ended: from now on others may store in the directories.
    pub fn outlives_turn(&mut self) {
        self.is_old |= self.is_any();
    }

    /// Keeps the directories. Returns whether there were any.
    pub fn keep(&mut self) -> bool {
        !std::mem::take(&mut self.made).is_empty()
    }

    /// Removes what was made, as far as it is empty.
    pub fn unmake(&mut self) {
        while self.unmake_last() {}
    }

    /// [`Making::unmake`] for the one that was made last. False: there is none.
    ///
    /// An empty directory that stays is better than one that goes while another operation is about to store in it: what
    /// was there in an earlier turn is kept while there are others.
    pub fn unmake_last(&mut self) -> bool {
        if self.is_old && Rc::strong_count(&self.among) > 2 {
            self.keep();
        }
        let Some((base, way)) = self.made.pop() else { return false };
        let (above, name) = way.split_at(memchr::memrchr(b'/', &way).map_or(0, |at| at + 1));
        // It is not empty when another request has stored something there, and not ours when another is in its place.
        let _ = open_beneath(&base, above, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
            .and_then(|dir| file::unlink_at(Some(dir.as_fd()), &CString::new(name).unwrap_or_default(), Unlink::Dir));
        true
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        self.unmake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::file::O_RDONLY;
    use crate::sys::scratch::Scratch;
    use std::path::Path;

    fn making(scratch: &Path, among: &Rc<()>) -> Making {
        let path = CString::new(scratch.as_os_str().as_encoded_bytes()).expect("no NUL");
        let mut dir = Rc::new(file::open_at(None, &path, O_RDONLY | O_DIRECTORY, 0).expect("it is there"));
        let mut missing = vec![c"a".to_owned(), c"b".to_owned()];
        let mut made = Making::among(among);
        make_beneath(&mut dir, &mut missing, (0o755, RESOLVE_BENEATH), &mut made, || false).expect("made");
        made
    }

    #[test]
    fn a_directory_that_another_upload_may_have_opened_is_not_taken_from_under_it() {
        // Whether there is another upload, whether the turn has ended, whether the directory stays.
        for (others, turns, stays) in [(1, 1, true), (0, 1, false), (1, 0, false)] {
            let scratch = Scratch::new();
            let among = Rc::new(());
            let mut made = making(scratch.path(), &among);
            let _others: Vec<_> = (0..others).map(|_| Making::among(&among)).collect();
            (0..turns).for_each(|_| made.outlives_turn());
            drop(made);
            assert_eq!(scratch.path().join("a/b").exists(), stays, "{others} {turns}");
            assert_eq!(scratch.path().join("a").exists(), stays, "{others} {turns}");
        }
    }
}

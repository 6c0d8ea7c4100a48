//! The path by which a directory was opened in which something is to be stored, or from which it is to be taken, in a
//! later turn.
//!
//! Invariant: a name is given only in a directory to which this path still leads. If a client or another process has
//! moved the directory meanwhile, the file would appear at an address that the request does not name, and whose rules
//! were not checked.

use super::clock::Clock;
use crate::sys::Errno;
use crate::sys::file::{self, Follow};
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

/// The path, and when it last led to the directory.
#[derive(Clone)]
pub struct DirPath {
    /// A path that contains it: the trusted directory, and the way from there, including directories that are still to
    /// be created. It is shared, and put together only when it is asked: most ask nothing.
    whole: Rc<[u8]>,
    base: Range<usize>,
    way: Range<usize>,
    /// The [`Clock::arrival`] at which it last led there.
    known_at: u64,
}

impl DirPath {
    /// For a directory that was just opened: the path of a trusted directory, and the way from there.
    pub fn new(base: &[u8], way: &[u8], now: &Clock) -> DirPath {
        DirPath::of([base, way].concat().into(), 0..base.len(), base.len()..base.len() + way.len(), now.arrival)
    }

    /// The same, where both are parts of one path.
    pub fn within(whole: &Rc<[u8]>, base: usize, way: Range<usize>, now: &Clock) -> DirPath {
        DirPath::of(whole.clone(), 0..base, way, now.arrival)
    }

    fn of(whole: Rc<[u8]>, base: Range<usize>, way: Range<usize>, known_at: u64) -> DirPath {
        DirPath { whole, base, way, known_at }
    }

    /// The path of a directory below it.
    #[must_use]
    pub fn below(&self, way: &[u8]) -> DirPath {
        let path = joined(&self.path(), way);
        let len = path.len();
        DirPath::of(path.into(), 0..len, len..len, self.known_at)
    }

    fn path(&self) -> Vec<u8> {
        let part = |range: &Range<usize>| self.whole.get(range.clone()).unwrap_or_default();
        joined(part(&self.base), part(&self.way))
    }

    /// Whether it still leads to the directory, below which the last `missing` names of the path do not exist yet.
    ///
    /// # Errors
    /// Those of the calls.
    pub fn leads_to(&mut self, dir: BorrowedFd<'_>, missing: usize, now: &Clock) -> Result<bool, Errno> {
        if self.known_at == now.arrival {
            return Ok(true);
        }
        let leads = self.leads_now(dir, missing)?;
        if leads {
            self.known_at = now.arrival;
        }
        Ok(leads)
    }

    /// As [`DirPath::leads_to`], but always checked with the file system: after a wait during which no request arrived,
    /// but another process may have moved it.
    ///
    /// # Errors
    /// Those of the calls.
    pub fn leads_now(&self, dir: BorrowedFd<'_>, missing: usize) -> Result<bool, Errno> {
        let path = self.path();
        let mut path = &path[..];
        for _ in 0..missing {
            path = &path[..memchr::memrchr(b'/', path).unwrap_or(0)];
        }
        let path = file::c_string(if path.is_empty() { b"/" } else { path })?;
        match file::has_name(dir, None, &path, Follow::Yes) {
            Ok(true) => Ok(true),
            Ok(false) | Err(Errno::ENOTDIR) => Ok(false),
            Err(e) => Err(e),
        }
    }
}

/// The path of a way from a directory, which may have empty names and `.`.
fn joined(base: &[u8], way: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(base.len() + 1 + way.len());
    path.extend_from_slice(base);
    for name in way.split(|b| *b == b'/').filter(|name| !matches!(*name, b"" | b".")) {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;
    use std::os::fd::AsFd;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_path_leads_to_its_directory_until_that_is_moved() {
        let (scratch, mut now) = (Scratch::new(), Clock::read());
        let at = |name: &str| scratch.path().join(name);
        std::fs::create_dir_all(at("tree/in")).expect("mkdir");
        let open = |name: &str| std::fs::File::open(at(name)).expect("it is there");
        let (dir, above) = (open("tree/in"), open("tree"));
        let mut path = DirPath::new(scratch.path().as_os_str().as_bytes(), b"tree//./in", &now);
        let mut missing = path.below(b"not/made/");
        std::fs::rename(at("tree"), at("away")).expect("renamed");
        assert_eq!(path.leads_to(dir.as_fd(), 0, &now), Ok(true), "in the turn in which it was opened");
        now.arrival += 1;
        assert_eq!(path.leads_to(dir.as_fd(), 0, &now), Ok(false));
        assert_eq!(missing.leads_to(dir.as_fd(), 2, &now), Ok(false));
        std::fs::write(at("tree"), "").expect("written");
        assert_eq!(path.leads_to(dir.as_fd(), 0, &now), Ok(false), "a file in its way");
        std::fs::remove_file(at("tree")).expect("removed");
        std::fs::rename(at("away"), at("tree")).expect("renamed");
        assert_eq!(missing.leads_to(dir.as_fd(), 2, &now), Ok(true));
        assert_eq!(path.below(b"gone").leads_to(above.as_fd(), 2, &now), Ok(true));
        assert_eq!(path.below(b"gone").leads_to(above.as_fd(), 1, &now), Ok(false));
        let root = std::fs::File::open("/").expect("the root");
        assert_eq!(DirPath::new(b"", b"x", &now).leads_now(root.as_fd(), 1), Ok(true));
    }
}

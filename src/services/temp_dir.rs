//! Temporary files, named by a number in the configured directory, as in nginx.
//!
//! Invariant: a file that is not kept has no name, or is unlinked when its [`TempFile`] is dropped.

use super::descriptors::Descriptors;
use crate::config::settings::body::TempPath;
use crate::sys::Errno;
use crate::sys::file::{self, O_CREAT, O_EXCL, O_RDWR, Unlink};
use std::cell::Cell;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// Maximum number of names tried: a directory in which all are taken was prepared by an attacker.
const TRIES: usize = 1000;

/// When a file is unlinked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// At once: only the descriptor refers to the file.
    Unnamed,
    /// When the [`TempFile`] is dropped.
    Named,
    /// Never.
    Forever,
}

/// A temporary file; `Keep` says whether it outlives this.
#[derive(Debug)]
pub struct TempFile {
    fd: OwnedFd,
    /// The whole path, even if it was unlinked.
    name: CString,
    keep: Keep,
    len: u64,
}

/// The call that failed, and its path.
#[derive(Debug)]
pub struct TempFileError {
    /// As the log has it: `open()`.
    pub call: &'static str,
    /// The path it was about.
    pub path: Vec<u8>,
    /// Its error.
    pub errno: Errno,
}

impl TempFile {
    /// Creates a file in `at`, and directories of its levels as needed.
    ///
    /// # Errors
    /// EMFILE also if its descriptor would be a reserved one.
    pub fn create(at: &TempPath, keep: Keep, descriptors: Descriptors) -> Result<TempFile, TempFileError> {
        thread_local!(static LAST: Cell<u32> = const { Cell::new(0) });
        let mut step = 1;
        for _ in 0..TRIES {
            let number = LAST.with(|last| {
                last.set(last.get().wrapping_add(step));
                last.get()
            });
            // Files of an earlier run occupy a range of numbers: like nginx, skip it by this step.
            step = 123_456;
            let digits = format!("{number:010}");
            let (dirs, path) = hashed(at, &digits);
            let failure = |call, path: &[u8], errno| TempFileError { call, path: path.to_vec(), errno };
            let name = file::c_string(path.clone()).map_err(|e| failure("open()", &path, e))?;
            let opened = match file::open_at(None, &name, O_RDWR | O_CREAT | O_EXCL, 0o600) {
                Err(Errno::ENOENT) => {
                    for dir in dirs {
                        let path = file::c_string(dir).map_err(|e| failure("mkdir()", &path, e))?;
                        match file::mkdir_at(None, &path, 0o700) {
                            Ok(()) | Err(Errno::EEXIST) => {}
                            Err(e) => return Err(failure("mkdir()", path.to_bytes(), e)),
                        }
                    }
                    file::open_at(None, &name, O_RDWR | O_CREAT | O_EXCL, 0o600)
                }
                opened => opened,
            };
            match opened {
                Ok(fd) => {
                    let is_reserved = descriptors.is_reserved(fd.as_fd());
                    if keep == Keep::Unnamed || is_reserved {
                        file::unlink_at(None, &name, Unlink::File).map_err(|e| failure("unlink()", &path, e))?;
                    }
                    if is_reserved {
                        return Err(failure("open()", &path, Errno::EMFILE));
                    }
                    return Ok(TempFile { fd, name, keep, len: 0 });
                }
                Err(Errno::EEXIST) => {}
                Err(e) => return Err(failure("open()", &path, e)),
            }
        }
        Err(TempFileError { call: "open()", path: at.path.as_os_str().as_bytes().to_vec(), errno: Errno::EEXIST })
    }

    /// Appends all of `bytes`.
    pub fn append(&mut self, mut bytes: &[u8]) -> Result<(), TempFileError> {
        while !bytes.is_empty() {
            let written = file::pwrite(self.fd.as_fd(), bytes, self.len);
            let n = written.and_then(|n| if n == 0 { Err(Errno::ENOSPC) } else { Ok(n) });
            let n = n.map_err(|errno| TempFileError { call: "pwrite()", path: self.path().to_vec(), errno })?;
            self.len += n as u64;
            bytes = bytes.get(n..).unwrap_or_default();
        }
        Ok(())
    }

    /// Reads at most `max` bytes from `at` into the spare capacity of `into`. 0 at the end.
    pub fn read(&self, at: u64, max: usize, into: &mut Vec<u8>) -> Result<usize, Errno> {
        file::pread_into(self.fd.as_fd(), into, max, at)
    }

    /// Discards the content: the next bytes replace it.
    pub fn begin_again(&mut self) {
        self.len = 0;
    }

    /// The file, open for reading and writing.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Its path, even if it has been unlinked.
    pub fn path(&self) -> &[u8] {
        self.name.to_bytes()
    }

    /// Bytes written.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if self.keep == Keep::Named {
            // Its user may have moved it.
            let _ = file::unlink_at(None, &self.name, Unlink::File);
        }
    }
}

/// The directories of a file's levels below the path, outermost first, and the file's path.
fn hashed(at: &TempPath, digits: &str) -> (Vec<Vec<u8>>, Vec<u8>) {
    let mut path = at.path.as_os_str().as_bytes().to_vec();
    let mut dirs = vec![path.clone()];
    let mut end = digits.len();
    for level in &at.levels {
        let start = end.saturating_sub(*level);
        path.push(b'/');
        path.extend_from_slice(digits.get(start..end).unwrap_or_default().as_bytes());
        dirs.push(path.clone());
        end = start;
    }
    path.push(b'/');
    path.extend_from_slice(digits.as_bytes());
    (dirs, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;

    #[test]
    fn a_file_is_named_as_long_as_it_is_to_be() {
        let scratch = Scratch::new();
        let at = TempPath { path: scratch.path().join("new"), levels: vec![1, 2] };
        for (keep, during, after) in
            [(Keep::Unnamed, false, false), (Keep::Named, true, false), (Keep::Forever, true, true)]
        {
            let mut file = TempFile::create(&at, keep, Descriptors::default()).expect("a file");
            file.append(b"some").and_then(|()| file.append(b" bytes")).expect("room");
            let mut back = Vec::with_capacity(64);
            assert_eq!(file.read(5, 64, &mut back), Ok(5));
            assert_eq!((&back[..], file.len()), (&b"bytes"[..], 10));
            let path = std::path::PathBuf::from(std::ffi::OsStr::from_bytes(file.path()));
            assert_eq!(path.exists(), during, "{keep:?}");
            drop(file);
            assert_eq!(path.exists(), after, "{keep:?}");
        }
    }

    #[test]
    fn the_last_descriptors_are_left_to_others() {
        let scratch = Scratch::new();
        let at = TempPath { path: scratch.path().to_owned(), levels: vec![] };
        let mut few = Descriptors::default();
        few.set_limit(0);
        for keep in [Keep::Unnamed, Keep::Named, Keep::Forever] {
            let failure = TempFile::create(&at, keep, few).expect_err("there is none for it");
            assert_eq!((failure.call, failure.errno), ("open()", Errno::EMFILE));
        }
        assert_eq!(std::fs::read_dir(scratch.path()).expect("a directory").count(), 0);
    }

    #[test]
    fn a_taken_name_is_leapt_over() {
        let scratch = Scratch::new();
        let at = TempPath { path: scratch.path().to_owned(), levels: vec![] };
        let first = TempFile::create(&at, Keep::Named, Descriptors::default()).expect("a file");
        let taken: u32 = String::from_utf8_lossy(&first.path()[first.path().len() - 10..]).parse().expect("a number");
        std::fs::write(scratch.path().join(format!("{:010}", taken + 1)), b"").expect("a file");
        let second = TempFile::create(&at, Keep::Named, Descriptors::default()).expect("a file");
        assert!(second.path().ends_with(format!("{:010}", taken + 1 + 123_456).as_bytes()));
    }

    #[test]
    fn levels_are_named_by_the_last_digits() {
        let table: [(&[usize], &str); 4] = [
            (&[], "/t/0000123456"),
            (&[1], "/t/6/0000123456"),
            (&[1, 2], "/t/6/45/0000123456"),
            (&[2, 2, 3], "/t/56/34/012/0000123456"),
        ];
        for (levels, expected) in table {
            let at = TempPath { path: "/t".into(), levels: levels.to_vec() };
            let (dirs, path) = hashed(&at, "0000123456");
            assert_eq!(String::from_utf8_lossy(&path), expected);
            assert_eq!(dirs.len(), levels.len() + 1);
        }
    }
}

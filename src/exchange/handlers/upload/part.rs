//! One file being written: without a name in its directory, so that nobody sees it before it is whole and dropping it
//! leaves nothing.

use super::name::{TEMPORARY, random_digits};
use crate::sys::Errno;
use crate::sys::file::{self, O_CREAT, O_EXCL, O_NOFOLLOW, O_TMPFILE, O_WRONLY, Rename, Unlink};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Bytes after which the kernel is told to start writing, so that dirty pages never pile up to one long stall.
const WRITE_BACK: u64 = 8 << 20;

pub struct Part {
    fd: OwnedFd,
    /// The name it has meanwhile, where it has one.
    temporary: Option<Temporary>,
    /// Bytes written, and of these the ones on their way to the disk.
    size: u64,
    flushed: u64,
    /// What it will be called.
    pub name: Vec<u8>,
}

/// A hidden name, removed when it is dropped unless it is gone.
struct Temporary {
    dir: Rc<OwnedFd>,
    name: CString,
    gone: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.gone {
            let _ = file::unlink_at(Some(self.dir.as_fd()), &self.name, Unlink::File);
        }
    }
}

fn hidden() -> CString {
    CString::new(format!("{TEMPORARY}{}", random_digits(16))).expect("neither the prefix nor digits hold a NUL")
}

impl Part {
    /// An empty file in `dir`, to be called `name` one day.
    pub fn create(dir: &Rc<OwnedFd>, name: Vec<u8>, mode: u32) -> Result<Part, Errno> {
        let (fd, temporary) = match file::open_at(Some(dir.as_fd()), c".", O_TMPFILE | O_WRONLY, 0o600) {
            Ok(fd) => (fd, None),
            // The file system cannot (NFS, vfat, some of FUSE's), or the kernel does not know the flag.
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::EINVAL | Errno::ENOSYS) => Part::create_hidden(dir)?,
            Err(e) => return Err(e),
        };
        // The umask has no say in what the configuration asks for.
        if mode != 0o600 {
            file::chmod_fd(fd.as_fd(), mode)?;
        }
        Ok(Part { fd, temporary, size: 0, flushed: 0, name })
    }

    fn create_hidden(dir: &Rc<OwnedFd>) -> Result<(OwnedFd, Option<Temporary>), Errno> {
        let name = hidden();
        let fd = file::open_at(Some(dir.as_fd()), &name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)?;
        Ok((fd, Some(Temporary { dir: dir.clone(), name, gone: false })))
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends all of `bytes`.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            let wrote = file::write(self.fd.as_fd(), bytes)?;
            bytes = bytes.get(wrote..).unwrap_or_default();
            if wrote == 0 {
                return Err(Errno::EIO);
            }
            self.wrote(wrote as u64);
        }
        Ok(())
    }

    /// `n` bytes were appended, by whomever.
    pub fn wrote(&mut self, n: u64) {
        self.size += n;
        let due = self.size - self.flushed;
        if due >= WRITE_BACK {
            // A file system that cannot is none the worse.
            let _ = file::sync_range(self.fd.as_fd(), self.flushed, due);
            self.flushed = self.size;
        }
    }

    /// Gives the file a name that is free; EEXIST if it is not.
    pub fn link(&mut self, dir: &Rc<OwnedFd>, name: &CStr) -> Result<(), Errno> {
        let Some(temporary) = &self.temporary else { return file::link_fd(self.fd.as_fd(), Some(dir.as_fd()), name) };
        let (from, old) = (Some(temporary.dir.as_fd()), &*temporary.name);
        match file::rename_at(from, old, Some(dir.as_fd()), name, Rename::NoReplace) {
            // Not every file system has this rename; then two names for a moment.
            Err(Errno::EINVAL | Errno::ENOSYS) => {
                file::link_at(from, old, Some(dir.as_fd()), name)?;
                self.temporary = None;
            }
            Ok(()) => self.keep(),
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// Puts the file under a name that may be taken, in one step: whoever looks sees the old file or the new one.
    pub fn replace(&mut self, dir: &Rc<OwnedFd>, name: &CStr) -> Result<(), Errno> {
        self.rename(dir, name, Rename::Replace)?;
        self.keep();
        Ok(())
    }

    /// [`Part::replace`] that can be taken back: the old file stays under a hidden name until this part is dropped.
    /// ENOENT where nothing had the name, EINVAL where the file system cannot.
    pub fn exchange(&mut self, dir: &Rc<OwnedFd>, name: &CStr) -> Result<(), Errno> {
        self.rename(dir, name, Rename::Exchange)
    }

    fn rename(&mut self, dir: &Rc<OwnedFd>, name: &CStr, how: Rename) -> Result<(), Errno> {
        if self.temporary.is_none() {
            let hidden = hidden();
            file::link_fd(self.fd.as_fd(), Some(dir.as_fd()), &hidden)?;
            self.temporary = Some(Temporary { dir: dir.clone(), name: hidden, gone: false });
        }
        let Some(temporary) = &self.temporary else { return Err(Errno::EINVAL) };
        file::rename_at(Some(temporary.dir.as_fd()), &temporary.name, Some(dir.as_fd()), name, how)
    }

    /// The hidden name is gone: nothing to remove.
    fn keep(&mut self) {
        if let Some(mut temporary) = self.temporary.take() {
            temporary.gone = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Scratch;
    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let scratch = Scratch::new();
        let dir = scratch.dir();
        for hidden in [false, true] {
            let make = |name: &str| {
                let mut part = Part::create(&dir, name.into(), 0o640).expect("a part");
                if hidden {
                    let (fd, temporary) = Part::create_hidden(&dir).expect("a hidden part");
                    (part.fd, part.temporary) = (fd, temporary);
                }
                part.write(b"hello").expect("written");
                part
            };
            drop(make("x"));
            assert_eq!(scratch.names(), [""; 0], "dropped, hidden {hidden}");

            let mut part = make("x");
            part.link(&dir, c"x").expect("linked");
            drop(part);
            assert_eq!(scratch.names(), ["x"], "linked, hidden {hidden}");
            assert_eq!(scratch.read("x"), b"hello");

            let mut part = make("x");
            assert_eq!(part.link(&dir, c"x"), Err(Errno::EEXIST));
            drop(part);
            assert_eq!(scratch.names(), ["x"], "refused, hidden {hidden}");

            scratch.write("x", b"old");
            make("x").replace(&dir, c"x").expect("replaced");
            assert_eq!((scratch.names(), scratch.read("x")), (vec!["x".into()], b"hello".to_vec()));

            scratch.write("x", b"old");
            let mut part = make("x");
            part.exchange(&dir, c"x").expect("exchanged");
            assert_eq!(scratch.read("x"), b"hello");
            part.exchange(&dir, c"x").expect("taken back");
            drop(part);
            assert_eq!((scratch.names(), scratch.read("x")), (vec!["x".into()], b"old".to_vec()));

            assert_eq!(make("y").exchange(&dir, c"y"), Err(Errno::ENOENT));
            assert_eq!(scratch.names(), ["x"], "nothing to exchange, hidden {hidden}");
            scratch.remove("x");
        }
    }
}

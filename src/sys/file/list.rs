//! Reads a directory in bounded batches, so that a large one can be listed or emptied in slices.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::position::seek;
use super::stat::FileKind;
use crate::sys::{Errno, retry};

/// Size of a batch: some 400 to 1300 names.
const BATCH: usize = 32 * 1024;

/// `struct linux_dirent64`: d_ino u64, d_off i64, d_reclen u16, d_type u8, then the name with its NUL.
const RECLEN: usize = 16;
const TYPE: usize = 18;
const NAME: usize = 19;

/// An open directory and its current batch. `.` and `..` are omitted.
pub struct ReadDir {
    dir: OwnedFd,
    batch: Box<[u8]>,
    filled: usize,
}

/// A directory entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// One component; never `.` or `..`.
    pub name: &'a CStr,
    /// The type in the directory entry; `None` if the file system does not report it, and `stat` is needed.
    pub kind: Option<FileKind>,
}

/// Reads the directory `dir` (opened for reading, not `O_PATH`) from its current position on.
pub fn read_dir(dir: OwnedFd) -> ReadDir {
    ReadDir { dir, batch: vec![0; BATCH].into_boxed_slice(), filled: 0 }
}

impl ReadDir {
    /// Replaces the batch by the next one; false at the end of the directory. One getdents64.
    pub fn fill(&mut self) -> Result<bool, Errno> {
        self.filled = 0;
        // SAFETY: `batch` is writable for its length.
        let got = retry(|| unsafe {
            libc::syscall(libc::SYS_getdents64, self.dir.as_raw_fd(), self.batch.as_mut_ptr(), self.batch.len())
        })?;
        self.filled = got as usize;
        Ok(got > 0)
    }

    /// The entries of the batch. May be empty even if more batches follow.
    pub fn entries(&self) -> Entries<'_> {
        Entries { rest: self.batch.get(..self.filled).unwrap_or_default() }
    }

    /// The directory itself, for `stat_at`, `open_at` or `unlink_at` of its entries.
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Starts over. Needed after removing entries, which makes the read position unreliable on some file systems.
    pub fn rewind(&mut self) -> Result<(), Errno> {
        self.filled = 0;
        seek(self.dir.as_fd(), 0)?;
        Ok(())
    }
}

/// The entries of the last batch.
pub struct Entries<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let len = usize::from(u16::from_ne_bytes(self.rest.get(RECLEN..TYPE)?.try_into().ok()?));
            let (record, rest) = self.rest.split_at_checked(len)?;
            let kind = *record.get(TYPE)?;
            let name = CStr::from_bytes_until_nul(record.get(NAME..)?).ok()?;
            self.rest = rest;
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let kind = match kind {
                libc::DT_REG => Some(FileKind::Regular),
                libc::DT_DIR => Some(FileKind::Dir),
                libc::DT_LNK => Some(FileKind::Symlink),
                libc::DT_UNKNOWN => None,
                _ => Some(FileKind::Other),
            };
            return Some(Entry { name, kind });
        }
    }
}

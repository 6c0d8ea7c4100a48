//! What an exchange keeps of a directory from which random_index draws a file, while it is read
//! (`handlers/autoindex/random.rs`).

use crate::sys::Errno;
use crate::sys::file::{self, FileKind, ReadDir, Stat};
use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Whether a link is shown as its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Links {
    /// The entry is shown as what it leads to, wherever that is (nginx).
    Followed,
    /// Where it stays beneath this directory, whose path has no links, and, with `hidden`, leads to no name with a dot
    /// that the directory is not in itself; else it is not shown.
    Inside { root: Rc<[u8]>, hidden: bool },
    /// disable_symlinks: it may not be followed, so nothing of its target is shown.
    Bare,
}

/// The regular files of a directory, while they are read, and the number drawn.
pub struct Draw {
    dir: ReadDir,
    /// Which of its links count.
    links: Links,
    number: u64,
    names: Vec<u8>,
    ends: Vec<usize>,
}

impl Draw {
    /// `number`: which of them is drawn, whatever their number.
    pub fn of(dir: OwnedFd, links: Links, number: u64) -> Result<Box<Draw>, Errno> {
        Ok(Box::new(Draw { dir: file::read_dir(dir), links, number, names: Vec::new(), ends: vec![0] }))
    }

    /// Reads on, a batch at a time; `stat_entry` gives the state of what a link leads to. False: stopped before the
    /// end, since the time of the turn `is_over`.
    ///
    /// # Errors
    /// Of the system call, or memory is short.
    pub fn read(
        &mut self,
        stat_entry: impl Fn(BorrowedFd<'_>, &CStr, &Links) -> Result<Stat, Errno>,
        mut is_over: impl FnMut() -> bool,
    ) -> Result<bool, Errno> {
        loop {
            if is_over() {
                return Ok(false);
            }
            if !self.dir.fill()? {
                return Ok(true);
            }
            for entry in self.dir.entries() {
                let name = entry.name.to_bytes();
                if name.starts_with(b".") {
                    continue;
                }
                let is_regular = match entry.kind {
                    Some(FileKind::Regular) => true,
                    Some(FileKind::Dir | FileKind::Other) => false,
                    // Only then must the file itself be looked at.
                    Some(FileKind::Symlink) | None => stat_entry(self.dir.dir(), entry.name, &self.links)
                        .is_ok_and(|stat| stat.kind == FileKind::Regular),
                };
                if is_regular {
                    self.names.try_reserve(name.len())?;
                    self.ends.try_reserve(1)?;
                    self.names.extend_from_slice(name);
                    self.ends.push(self.names.len());
                }
            }
        }
    }

    /// The name of the drawn file; None if there are no files.
    pub fn name(&self) -> Option<Vec<u8>> {
        let files = self.ends.len() as u64 - 1;
        let at = self.number.checked_rem(files)?;
        let bounds = self.ends.get(at as usize..at as usize + 2).unwrap_or(&[0, 0]);
        self.names.get(bounds[0]..bounds[1]).map(<[u8]>::to_vec)
    }
}

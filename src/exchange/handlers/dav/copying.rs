//! A copy in the making: of a file or of a tree, hidden beside its destination until it is whole.
//!
//! Invariant: no link is followed, or copied except into a trash (a MOVE fails at one instead of losing it); nothing is
//! seen under the new name before all of it is there; dropping a copy leaves nothing; a step copies a piece of a file
//! or looks at one entry.

use super::copied::Copied;
use crate::services::SCRATCH;
use crate::services::remove_tree::Removal;
use crate::services::temp_names::{HiddenKind, Left, TempNames, is_hidden};
use crate::sys::Errno;
use crate::sys::file::{
    self, FileKind, Follow, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_TMPFILE, O_WRONLY,
    ReadDir, Rename, Stat, Unlink,
};
use crate::util::subpaths;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Directories inside each other: two descriptors each.
const LEVELS: usize = 64;
/// Bytes copied by one step.
const PIECE: usize = 1 << 20;

/// The content of a file that is being copied.
struct Content {
    source: OwnedFd,
    at: u64,
    stat: Stat,
    /// The kernel cannot copy between the two files.
    by_hand: bool,
}

impl Content {
    fn open(dir: BorrowedFd<'_>, name: &CStr) -> Result<Content, Errno> {
        let source = match file::open_at(Some(dir), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0) {
            // What opening a socket gives.
            Err(Errno::ENXIO) => return Err(Errno::ENODEV),
            source => source?,
        };
        let stat = file::fstat(source.as_fd())?;
        match stat.kind {
            FileKind::Regular => Ok(Content { source, at: 0, stat, by_hand: false }),
            FileKind::Dir => Err(Errno::EISDIR),
            FileKind::Symlink | FileKind::Other => Err(Errno::ENODEV),
        }
    }

    /// The next piece; 0 at the end. A file that grows meanwhile is copied as long as it was.
    fn step(&mut self, copy: BorrowedFd<'_>, scratch: &mut Vec<u8>) -> Result<usize, Errno> {
        let left = usize::try_from(self.stat.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let wanted = left.min(PIECE);
        if wanted == 0 {
            return Ok(0);
        }
        if !self.by_hand {
            match file::copy_range(self.source.as_fd(), self.at, copy, self.at, wanted) {
                Ok(0) => self.by_hand = true,
                Err(e) if file::is_no_copy(e) => self.by_hand = true,
                Ok(n) => {
                    self.at += n as u64;
                    return Ok(n);
                }
                Err(e) => return Err(e),
            }
        }
        scratch.clear();
        // Behind the body of a form the loop's buffer is in use.
        if scratch.capacity() == 0 {
            scratch.reserve(SCRATCH);
        }
        let read = file::pread_into(self.source.as_fd(), scratch, wanted, self.at)?;
        let mut rest = &scratch[..];
        while !rest.is_empty() {
            let written = file::pwrite(copy, rest, self.at)?;
            rest = rest.get(written..).unwrap_or_default();
            self.at += written as u64;
        }
        Ok(read)
    }

    /// Sets the mode and time of the original; all of it was written.
    fn finish(&self, copy: BorrowedFd<'_>) -> Result<(), Errno> {
        file::flush(copy)?;
        look_like(copy, &self.stat)
    }
}

/// Sets the mode and time of the original, as far as the file system supports them.
fn look_like(copy: BorrowedFd<'_>, original: &Stat) -> Result<(), Errno> {
    for outcome in [file::chmod_fd(copy, original.mode & 0o777), file::set_mtime(copy, original.mtime)] {
        match outcome {
            Err(e) if file::is_missing(e) => {}
            other => other?,
        }
    }
    Ok(())
}

/// A file that is copied. It has no name, or, where the file system wants one, a hidden one.
pub struct FileCopy {
    content: Content,
    copy: OwnedFd,
    dir: Rc<OwnedFd>,
    hidden: Option<Staged>,
    /// upload_sync: what is in it is on the disk before it gets a name.
    pub durable: bool,
}

impl FileCopy {
    /// Errors: ELOOP for a symbolic link, ENODEV for a FIFO, a socket or a device.
    pub fn new(
        from: BorrowedFd<'_>,
        name: &CStr,
        to: &Rc<OwnedFd>,
        temp_names: &mut TempNames,
    ) -> Result<FileCopy, Errno> {
        let content = Content::open(from, name)?;
        let (copy, hidden) = match file::open_at(Some(to.as_fd()), c".", O_TMPFILE | O_WRONLY, 0o600) {
            Ok(copy) => (copy, None),
            // The file system cannot (NFS, vfat, some of FUSE's), whatever it says of it.
            Err(_) => {
                let hidden = Staged::new(to, temp_names);
                let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
                (file::open_at(Some(to.as_fd()), &hidden.name, flags, 0o600)?, Some(hidden))
            }
        };
        Ok(FileCopy { content, copy, dir: to.clone(), hidden, durable: false })
    }

    /// The copy, open for writing; it has no name or a hidden one.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.copy.as_fd()
    }

    /// The file that is copied, as it was when copying began.
    pub fn source(&self) -> &Stat {
        &self.content.stat
    }

    /// Copies a little more; false when the copy is whole.
    pub fn step(&mut self, scratch: &mut Vec<u8>) -> Result<bool, Errno> {
        let copied = self.content.step(self.copy.as_fd(), scratch)?;
        if copied == 0 {
            self.content.finish(self.copy.as_fd())?;
        }
        Ok(copied > 0)
    }

    /// Gives the whole copy a hidden name.
    pub fn stage(&mut self, temp_names: &mut TempNames) -> Result<Staged, Errno> {
        if let Some(hidden) = self.hidden.take() {
            return Ok(hidden);
        }
        let hidden = Staged::new(&self.dir, temp_names);
        match file::link_fd(self.copy.as_fd(), Some(self.dir.as_fd()), &hidden.name) {
            Err(e) if file::is_no_link(e) => self.write_again(&hidden)?,
            other => other?,
        }
        Ok(hidden)
    }

    /// Without hard links a nameless copy cannot get a name: the file is copied once more, under a hidden one. The
    /// loop waits for it; this happens only where a filter of system calls or a quota of projects
    /// demands it.
    fn write_again(&mut self, hidden: &Staged) -> Result<(), Errno> {
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
        self.copy = file::open_at(Some(self.dir.as_fd()), &hidden.name, flags, 0o600)?;
        self.content.at = 0;
        let mut scratch = Vec::with_capacity(PIECE);
        while self.content.step(self.copy.as_fd(), &mut scratch)? > 0 {}
        self.content.finish(self.copy.as_fd())?;
        if self.durable { file::fsync(self.copy.as_fd()) } else { Ok(()) }
    }

    /// Gives the whole copy its name.
    pub fn place(&mut self, name: &CStr, how: Rename, temp_names: &mut TempNames) -> Result<(), Errno> {
        let dir = Some(self.dir.as_fd());
        if self.hidden.is_none() && how == Rename::NoReplace {
            match file::link_fd(self.copy.as_fd(), dir, name) {
                Err(e) if file::is_no_link(e) => {}
                other => return other,
            }
        }
        let hidden = self.stage(temp_names)?;
        let dir = Some(self.dir.as_fd());
        file::rename_at(dir, &hidden.name, dir, name, how)?;
        hidden.keep();
        Ok(())
    }
}

/// A file or a directory under a hidden name; all of it is removed when this is dropped, a tree in slices.
pub struct Staged {
    /// The directory that the name is in.
    pub dir: Rc<OwnedFd>,
    /// The hidden name.
    pub name: CString,
    kept: bool,
    left: Left,
}

impl Staged {
    /// A hidden name in `dir`, not in use yet.
    pub fn new(dir: &Rc<OwnedFd>, temp_names: &mut TempNames) -> Staged {
        let name = temp_names.hidden_in(dir.as_fd(), HiddenKind::Copy);
        Staged { dir: dir.clone(), name, kept: false, left: temp_names.left() }
    }

    /// Forgets the name without removing anything: it is no longer in use for this copy.
    pub fn keep(mut self) {
        self.kept = true;
    }

    /// As [`Staged::keep`], if a client's file or directory has the name now. Returns where it is.
    pub fn strand(mut self) -> (Rc<OwnedFd>, CString) {
        self.kept = true;
        (self.dir.clone(), std::mem::take(&mut self.name))
    }

    /// The removal of what is left, in slices.
    pub fn removal(mut self) -> Result<Removal, Errno> {
        let removal = Removal::new(file::dup(self.dir.as_fd())?, &self.name)?;
        self.kept = true;
        Ok(removal)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let goes = || file::unlink_at(Some(self.dir.as_fd()), &self.name, Unlink::File);
        if self.kept || matches!(goes(), Ok(()) | Err(Errno::ENOENT)) {
            return;
        }
        // The tree of a request that panicked, the end of the process, or a call that failed: removal is tried again.
        self.left.add((self.dir.clone(), std::mem::take(&mut self.name)));
    }
}

/// A directory that is copied; or a file or a link alone, for a trash.
pub struct TreeCopy {
    /// The copy's top directory, or the file.
    pub staged: Staged,
    levels: Vec<Level>,
    /// The path from the top to the innermost directory, each name with its slash.
    parent: Vec<u8>,
    /// Relative paths of the trash directories below that the copy would make readable: they are left out.
    pub trashes: Vec<Box<[u8]>>,
    /// The file that is being copied.
    file: Option<(Content, OwnedFd)>,
    /// Files and directories that are whole since this was last emptied.
    pub whole: Vec<OwnedFd>,
    /// Of a MOVE.
    pub copied: Option<Copied>,
    /// Symbolic links are copied as they are; otherwise none has a copy.
    pub keeps_links: bool,
    /// For a MOVE that fails: the relative path of the entry that cannot be copied.
    pub obstacle: Option<Vec<u8>>,
}

struct Level {
    source: ReadDir,
    copy: OwnedFd,
    stat: Stat,
    /// Entries of the last batch, not looked at yet.
    batch: Vec<(CString, Option<FileKind>)>,
    /// Length of the path to the parent directory.
    above: usize,
}

impl TreeCopy {
    /// `deep`: with everything in it.
    pub fn new(
        from: BorrowedFd<'_>,
        name: &CStr,
        to: &Rc<OwnedFd>,
        deep: bool,
        temp_names: &mut TempNames,
    ) -> Result<TreeCopy, Errno> {
        let staged = Staged::new(to, temp_names);
        let (levels, parent, trashes, whole) = Default::default();
        let mut copy = TreeCopy {
            staged,
            levels,
            parent,
            trashes,
            file: None,
            whole,
            copied: None,
            obstacle: None,
            keeps_links: false,
        };
        let top = level(from, name, to.as_fd(), &copy.staged.name)?;
        copy.levels.push(top);
        if !deep {
            copy.leave()?;
        }
        Ok(copy)
    }

    /// A file, or a symbolic link as it is.
    ///
    /// # Errors
    /// As [`FileCopy::new`].
    pub fn of_file(
        from: BorrowedFd<'_>,
        name: &CStr,
        to: &Rc<OwnedFd>,
        mut copied: Copied,
        temp_names: &mut TempNames,
    ) -> Result<TreeCopy, Errno> {
        let staged = Staged::new(to, temp_names);
        let (levels, parent, trashes, whole) = Default::default();
        let file = match Content::open(from, name) {
            Ok(content) => {
                copied.note(&content.stat);
                let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
                Some((content, file::open_at(Some(to.as_fd()), &staged.name, flags, 0o600)?))
            }
            Err(Errno::ELOOP) => {
                copied.note_link(&copy_link((from, name), (to.as_fd(), &staged.name))?);
                None
            }
            Err(e) => return Err(e),
        };
        let (copied, keeps_links, obstacle) = (Some(copied), true, None);
        Ok(TreeCopy { staged, levels, parent, trashes, file, whole, copied, keeps_links, obstacle })
    }

    /// The directory that is copied, before it is whole.
    pub fn source(&self) -> Option<BorrowedFd<'_>> {
        self.levels.first().map(|level| level.source.dir())
    }

    /// Copies a little more; false when the copy is whole. EMLINK for a tree that is too deep; for a MOVE, EBUSY,
    /// ELOOP or ENODEV for an entry that cannot be copied. `check` is asked about each entry, which may have come since
    /// the whole was looked at: its relative path, its name, its type and its size.
    pub fn step(
        &mut self,
        scratch: &mut Vec<u8>,
        mut check: impl FnMut(&[u8], &CStr, FileKind, u64) -> Result<(), Errno>,
    ) -> Result<bool, Errno> {
        if let Some((content, copy)) = &mut self.file {
            if content.step(copy.as_fd(), scratch)? == 0 {
                content.finish(copy.as_fd())?;
                self.whole.extend(self.file.take().map(|(_, copy)| copy));
            }
            return Ok(true);
        }
        let depth = self.levels.len();
        let Some(here) = self.levels.last_mut() else { return Ok(false) };
        let Some((name, kind)) = here.batch.pop() else {
            if here.source.fill()? {
                here.batch.extend(here.source.entries().map(|entry| (entry.name.to_owned(), entry.kind)));
                return Ok(true);
            }
            self.leave()?;
            return Ok(!self.levels.is_empty());
        };
        let kind = match kind {
            Some(kind) => kind,
            None => file::stat_at(Some(here.source.dir()), &name, Follow::No)?.kind,
        };
        let is_trash = subpaths::contains(&self.trashes, &self.parent, name.to_bytes());
        match kind {
            // It is hidden: a file that another request is writing.
            _ if is_trash || is_hidden(name.to_bytes()) => return self.leave_out(&name, Errno::EBUSY),
            FileKind::Dir if depth >= LEVELS => return Err(Errno::EMLINK),
            FileKind::Dir => {
                check(&self.parent, &name, kind, 0)?;
                let mut inner = level(here.source.dir(), &name, here.copy.as_fd(), &name)?;
                inner.above = self.parent.len();
                self.copied.iter_mut().for_each(|copied| copied.note(&inner.stat));
                self.parent.extend_from_slice(name.to_bytes());
                self.parent.push(b'/');
                self.levels.push(inner);
            }
            FileKind::Regular => {
                let content = match Content::open(here.source.dir(), &name) {
                    // Gone meanwhile, or something else now.
                    Err(Errno::ENOENT) => return Ok(true),
                    Err(e @ (Errno::ELOOP | Errno::EISDIR | Errno::ENODEV)) => return self.leave_out(&name, e),
                    content => content?,
                };
                check(&self.parent, &name, kind, content.stat.size)?;
                self.copied.iter_mut().for_each(|copied| copied.note(&content.stat));
                let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
                self.file = Some((content, file::open_at(Some(here.copy.as_fd()), &name, flags, 0o600)?));
            }
            FileKind::Symlink if self.keeps_links => {
                check(&self.parent, &name, kind, 0)?;
                let stat = copy_link((here.source.dir(), &name), (here.copy.as_fd(), &name))?;
                self.copied.iter_mut().for_each(|copied| copied.note_link(&stat));
            }
            FileKind::Symlink => return self.leave_out(&name, Errno::ELOOP),
            FileKind::Other => return self.leave_out(&name, Errno::ENODEV),
        }
        Ok(true)
    }

    /// An entry of the innermost directory is not copied. A COPY goes on; a MOVE would lose it with the source.
    fn leave_out(&mut self, name: &CStr, why: Errno) -> Result<bool, Errno> {
        if self.copied.is_none() {
            return Ok(true);
        }
        self.obstacle = Some([&self.parent[..], name.to_bytes()].concat());
        Err(why)
    }

    /// The innermost directory is whole.
    fn leave(&mut self) -> Result<(), Errno> {
        let Some(level) = self.levels.pop() else { return Ok(()) };
        self.parent.truncate(level.above);
        look_like(level.copy.as_fd(), &level.stat)?;
        self.whole.push(level.copy);
        Ok(())
    }
}

/// Makes a symbolic link as it is in another directory; gives the state of that one.
fn copy_link((from, name): (BorrowedFd<'_>, &CStr), (to, new): (BorrowedFd<'_>, &CStr)) -> Result<Stat, Errno> {
    let stat = file::stat_at(Some(from), name, Follow::No)?;
    file::symlink_at(&file::c_string(file::readlink_at(Some(from), name)?)?, Some(to), new)?;
    Ok(stat)
}

/// Makes the directory that the entries of another are copied to.
fn level(from: BorrowedFd<'_>, name: &CStr, to: BorrowedFd<'_>, new: &CStr) -> Result<Level, Errno> {
    let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    let source = file::open_at(Some(from), name, flags, 0)?;
    let stat = file::fstat(source.as_fd())?;
    file::mkdir_at(Some(to), new, stat.mode & 0o777 | 0o700)?;
    let copy = file::open_at(Some(to), new, flags, 0)?;
    Ok(Level { source: file::read_dir(source), copy, stat, batch: Vec::new(), above: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;

    #[test]
    fn a_copy_that_a_panic_drops_is_removed_in_slices_and_at_once_where_the_process_ends() {
        for ends in [false, true] {
            let scratch = Scratch::new();
            let mut temp_names = TempNames::default();
            let staged = Staged::new(&Rc::new(scratch.fd()), &mut temp_names);
            let path = scratch.path().join(staged.name.to_str().expect("ASCII"));
            std::fs::create_dir_all(path.join("in")).expect("mkdir");
            std::fs::write(path.join("in/file"), "content").expect("write");
            drop(staged);
            assert!(path.exists() && temp_names.is_cleaning(), "not by what dropped it");
            if ends {
                temp_names.end();
            }
            while temp_names.is_cleaning() {
                temp_names.clean();
            }
            assert!(!path.exists(), "{ends}");
        }
    }
}

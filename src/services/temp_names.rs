//! Hidden names: a file about to replace another has one briefly, and a tree while it is being copied or removed. No
//! request can name them ([`is_hidden`]). A killed process (SIGKILL, out of memory) leaves them behind, so the
//! directories with hidden names are recorded in a journal beside the pid file. The next process searches those before
//! it serves: it removes files at once, trees in slices while it serves.
//!
//! Invariant: with a journal, a directory is recorded before the first hidden name is created in it. The journal
//! survives the process, but not the machine: it is never synced. Names of processes not in the journal are left alone.

mod clean;
mod leftovers;
mod names;

pub use leftovers::Left;
pub use names::{HIDDEN, HiddenKind, is_hidden};

use crate::services::remove_tree::RemovalPolicy;
use crate::sys::Errno;
use crate::sys::file::{
    self, Follow, O_APPEND, O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY, O_RDWR, RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, Rename, Unlink,
};
use leftovers::{Cleaning, Tree};
use names::Names;
use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::{Rc, Weak};

/// Maximum bytes of a journal, both read and written.
const JOURNAL: u64 = 16 << 20;
/// File systems where a write that succeeded has room on the disk, or fails at once: close() reports nothing new
/// (statfs(2): ext4, xfs, btrfs, tmpfs, f2fs, zfs).
const WRITES_AT_ONCE: [u64; 6] = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0xf2f5_2010, 0x2fc1_2fc1];
/// Maximum number of directories recorded.
const DIRECTORIES: usize = 50_000;
/// Maximum number of leftover trees removed; more are left to the next start.
const TREES: usize = 256;

/// The names in use, and the journal of their directories.
#[derive(Default)]
pub struct TempNames {
    names: Names,
    /// Without a path, another process removes it.
    journal: Option<(OwnedFd, Option<CString>)>,
    /// Recorded directories, by device and inode.
    noted: HashSet<(u64, u64)>,
    /// The directory recorded last, and whether its file system is one of [`WRITES_AT_ONCE`].
    last: Weak<OwnedFd>,
    last_writes_at_once: bool,
    cleaning: Cleaning,
}

/// Removes leftovers, in which every entry may be removed.
impl RemovalPolicy for &mut TempNames {
    fn hide(&mut self, dir: BorrowedFd<'_>) -> CString {
        self.hidden_in(dir, HiddenKind::Delete)
    }
}

impl TempNames {
    /// Opens a journal at `path`. First removes files left behind by the process that wrote it, and returns their
    /// number; trees are left to [`TempNames::clean`].
    ///
    /// # Errors
    /// The error of the call that failed; then there is no journal.
    pub fn keep(&mut self, path: &CStr) -> Result<usize, Errno> {
        let journal = open_journal(path)?;
        self.begin(journal, Some(path.to_owned()))
    }

    /// A reload gave the journal another path.
    ///
    /// # Errors
    /// It stays where it is.
    pub fn move_journal(&mut self, path: &CStr) -> Result<(), Errno> {
        let Some((_, Some(present))) = &mut self.journal else { return Ok(()) };
        if **present != *path {
            file::rename_at(None, present, None, path, Rename::Replace)?;
            *present = path.to_owned();
        }
        Ok(())
    }

    /// As [`TempNames::keep`], with a journal that another process opened and will remove.
    ///
    /// # Errors
    /// As [`TempNames::keep`].
    pub fn keep_open(&mut self, journal: OwnedFd) -> Result<usize, Errno> {
        self.begin(journal, None)
    }

    fn begin(&mut self, journal: OwnedFd, path: Option<CString>) -> Result<usize, Errno> {
        let mut trees = Vec::new();
        let removed = sweep(journal.as_fd(), &mut trees)?;
        // What is not removed yet stays recorded in it, in case this process is killed too.
        if trees.is_empty() {
            file::ftruncate(journal.as_fd(), 0)?;
        }
        self.noted.clear();
        self.last = Weak::new();
        append(journal.as_fd(), format!("{:08x}", self.names.id()).as_bytes())?;
        self.journal = Some((journal, path));
        for (dir, old) in trees {
            let new = self.hidden_in(dir.as_fd(), HiddenKind::Delete);
            let fd = Some(dir.as_fd());
            let renamed = file::rename_at(fd, &old, fd, &new, Rename::NoReplace);
            self.cleaning.add((dir, if renamed.is_ok() { new } else { old }));
        }
        Ok(removed)
    }

    /// Whether the next process will find leftovers.
    pub fn is_kept(&self) -> bool {
        self.journal.is_some()
    }

    /// A name for a file in `dir` that no other process uses. Below 40 bytes, which the kernel stores inline in the
    /// dentry.
    pub fn hidden(&mut self, dir: &Rc<OwnedFd>) -> CString {
        // Without the record the name still works, but might be left behind.
        let _ = self.note(dir);
        self.names.next(HiddenKind::Upload)
    }

    /// Whether closing a file in `dir` may report that it was not written, as on network and FUSE file systems. Known
    /// for the directory of the last hidden name; true for any other.
    pub fn may_fail_at_close(&self, dir: &Rc<OwnedFd>) -> bool {
        !(self.last_writes_at_once && self.last.as_ptr() == Rc::as_ptr(dir))
    }

    /// As [`TempNames::hidden`], for longer operations in a directory that is not used again.
    pub fn hidden_in(&mut self, dir: BorrowedFd<'_>, what: HiddenKind) -> CString {
        let _ = self.note_down(dir);
        self.names.next(what)
    }

    fn note(&mut self, dir: &Rc<OwnedFd>) -> Result<(), Errno> {
        if self.journal.is_none() || self.last.as_ptr() == Rc::as_ptr(dir) {
            return Ok(());
        }
        self.note_down(dir.as_fd())?;
        // It stays so while the descriptor is open: that keeps its file system mounted.
        self.last_writes_at_once = file::file_system_of(dir.as_fd()).is_ok_and(|kind| WRITES_AT_ONCE.contains(&kind));
        self.last = Rc::downgrade(dir);
        Ok(())
    }

    fn note_down(&mut self, dir: BorrowedFd<'_>) -> Result<(), Errno> {
        let Some((journal, _)) = &self.journal else { return Ok(()) };
        let stat = file::fstat(dir)?;
        if self.noted.contains(&(stat.dev, stat.ino)) || self.noted.len() >= DIRECTORIES {
            return Ok(());
        }
        let path = file::path_of(dir)?;
        if file::fstat(journal.as_fd())?.size + path.len() as u64 + 1 > JOURNAL {
            return Err(Errno::EFBIG);
        }
        append(journal.as_fd(), &path)?;
        self.noted.insert((stat.dev, stat.ino));
        Ok(())
    }

    /// Call it at an orderly exit: nothing needs to be searched, except trees that are not removed yet.
    pub fn end(&mut self) {
        self.cleaning.end();
        let Some((journal, path)) = self.journal.take() else { return };
        if !self.cleaning.is_over() {
            return;
        }
        let Some(path) = path else {
            // Emptied, for the next process that uses it.
            let _ = file::ftruncate(journal.as_fd(), 0);
            return;
        };
        // After an upgrade the path belongs to the new process's journal.
        if file::has_name(journal.as_fd(), None, &path, Follow::No).unwrap_or(false) {
            let _ = file::unlink_at(None, &path, Unlink::File);
        }
    }
}

/// Opens and locks the journal at `path`. If its process is still running (during an upgrade or a reload), creates a
/// new journal in its place.
///
/// # Errors
/// The error of the call that failed.
pub fn open_journal(path: &CStr) -> Result<OwnedFd, Errno> {
    let open = || file::open_at(None, path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK, 0o600);
    let journal = open()?;
    match file::flock(journal.as_fd()) {
        Ok(()) => Ok(journal),
        Err(Errno::EAGAIN) => {
            file::unlink_at(None, path, Unlink::File)?;
            let journal = open()?;
            file::flock(journal.as_fd())?;
            Ok(journal)
        }
        Err(e) => Err(e),
    }
}

/// A record ends with NUL, the only byte that no path contains.
fn append(journal: BorrowedFd<'_>, record: &[u8]) -> Result<(), Errno> {
    let mut record = record.to_vec();
    record.push(0);
    // A single write, so that a record is complete or missing.
    if file::write(journal, &record)? == record.len() { Ok(()) } else { Err(Errno::ENOSPC) }
}

/// Removes the hidden files of the processes that wrote the journal from the directories they recorded; returns their
/// number, and collects the trees. A record of eight hex digits is a process; the records up to the next one are its
/// directories.
fn sweep(journal: BorrowedFd<'_>, trees: &mut Vec<Tree>) -> Result<usize, Errno> {
    let mut bytes = vec![0; file::fstat(journal)?.size.min(JOURNAL) as usize];
    let len = file::pread(journal, &mut bytes, 0)?;
    let records = bytes.get(..len).unwrap_or_default().split_inclusive(|b| *b == 0);
    let mut prefixes: Option<[Vec<u8>; 3]> = None;
    let mut removed = 0;
    for record in records.filter_map(|record| CStr::from_bytes_with_nul(record).ok().map(CStr::to_bytes)) {
        if record.len() == 8 && record.iter().all(u8::is_ascii_hexdigit) {
            let prefix = |what: HiddenKind| [HIDDEN.as_bytes(), what.word().as_bytes(), b"-", record, b"-"].concat();
            prefixes = Some(HiddenKind::ALL.map(prefix));
        } else if let (Some(prefixes), Some(path)) = (&prefixes, record.strip_prefix(b"/")) {
            // If the directory no longer exists, neither do its leftovers.
            removed += look_through(path, prefixes, trees).unwrap_or(0);
        }
    }
    Ok(removed)
}

/// `path` was the kernel's canonical path of the directory: if it contains links now, it is another directory.
fn look_through(path: &[u8], prefixes: &[Vec<u8>; 3], trees: &mut Vec<Tree>) -> Result<usize, Errno> {
    let path = file::c_string(if path.is_empty() { b"." } else { path })?;
    let top = file::open_at(None, c"/", O_PATH | O_DIRECTORY, 0)?;
    let resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK;
    let mut entries = file::read_dir(file::open_beneath(top.as_fd(), &path, flags, 0, resolve)?);
    let mut found = Vec::new();
    let is_ours = |name: &CStr| prefixes.iter().any(|prefix| name.to_bytes().starts_with(prefix));
    while entries.fill()? {
        found.extend(entries.entries().filter(|entry| is_ours(entry.name)).map(|entry| entry.name.to_owned()));
    }
    let (mut removed, mut shared) = (0, None);
    for name in found {
        match file::unlink_at(Some(entries.dir()), &name, Unlink::File) {
            Ok(()) => removed += 1,
            // A directory, or a file that cannot be removed now.
            Err(_) if trees.len() < TREES => {
                let dir = match &shared {
                    Some(dir) => Rc::clone(dir),
                    None => Rc::clone(shared.insert(Rc::new(file::dup(entries.dir())?))),
                };
                trees.push((dir, name));
            }
            Err(_) => {}
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;
    use std::fs;
    use std::path::Path;

    fn c(path: &Path) -> CString {
        CString::new(path.to_str().expect("UTF-8")).expect("no NUL")
    }

    #[test]
    fn the_next_process_removes_what_a_killed_one_left_and_nothing_else() {
        let top = std::env::temp_dir().join(format!("webserv-temp-names-{}", std::process::id()));
        let store = top.join("store\nwith a break");
        fs::create_dir_all(&store).expect("a directory");
        let journal = c(&top.join("pid.uploads"));
        let names = || {
            let entries = fs::read_dir(&store).expect("read");
            let mut names: Vec<_> =
                entries.map(|e| e.expect("entry").file_name().into_string().expect("UTF-8")).collect();
            names.sort();
            names
        };
        let dir = file::open_at(None, &c(&store), file::O_PATH | O_DIRECTORY, 0).expect("opens");
        let dir = Rc::new(dir);
        let leave = |temp_names: &mut TempNames| {
            let name = temp_names.hidden(&dir);
            fs::write(store.join(name.to_str().expect("ASCII")), "half").expect("a file");
        };
        let mut first = TempNames::default();
        assert_eq!(first.keep(&journal), Ok(0));
        leave(&mut first);
        leave(&mut first);
        fs::write(store.join("file"), "whole").expect("a file");
        let other = format!("{HIDDEN}upload-00000000-1");
        fs::write(store.join(&other), "another process's").expect("a file");
        assert_eq!(names().len(), 4);

        // While the first process runs, its files are left alone, and it does not remove the second's journal.
        let mut second = TempNames::default();
        assert_eq!(second.keep(&journal), Ok(0));
        assert_eq!(names().len(), 4);
        first.end();
        assert!(top.join("pid.uploads").exists());
        second.end();
        assert!(!top.join("pid.uploads").exists());

        // The lock is released when the process ends.
        let mut third = TempNames::default();
        assert_eq!(third.keep(&journal), Ok(0));
        leave(&mut third);
        drop(third);
        let mut fourth = TempNames::default();
        assert_eq!(fourth.keep(&journal), Ok(1));
        assert_eq!(names().len(), 4, "those of the first are not in this journal");
        fs::write(top.join("pid.uploads"), "garbage\0\0/nonexistent").expect("a file");
        drop(fourth);
        assert_eq!(TempNames::default().keep(&journal), Ok(0));
        fs::remove_dir_all(&top).expect("removed");
    }

    #[test]
    fn a_journal_grows_no_larger_than_what_is_read_of_it() {
        let scratch = Scratch::new();
        let (journal, mut names) = (scratch.join("pid.uploads"), TempNames::default());
        assert_eq!(names.keep(&journal), Ok(0));
        let file = fs::OpenOptions::new().write(true).open(scratch.path().join("pid.uploads")).expect("it is there");
        let size = || file.metadata().expect("it is there").len();
        let hidden = |names: &mut TempNames, dir: &str| {
            fs::create_dir(scratch.path().join(dir)).expect("a directory");
            let dir = file::open_at(None, &scratch.join(dir), file::O_PATH | O_DIRECTORY, 0).expect("opens");
            names.hidden_in(dir.as_fd(), HiddenKind::Upload)
        };
        hidden(&mut names, "a");
        let before = size();
        assert!(before > 9);
        // As if others had been recorded: there is room for one byte less than a record has.
        let full = JOURNAL - (before - 9) + 1;
        file.set_len(full).expect("a sparse file");
        hidden(&mut names, "b");
        assert_eq!(size(), full);
        file.set_len(full - 1).expect("a sparse file");
        hidden(&mut names, "c");
        assert_eq!(size(), JOURNAL);
    }

    #[test]
    fn hidden_names_are_found_in_every_place() {
        let table = [
            ("/up/.webserv-upload-state/x.part", true),
            ("/.webserv-upload-state", true),
            ("/a.b/.webserv-upload-0123", true),
            ("/a/.webserv-copy-0123/f", true),
            ("/a/.webserv-delete-0123", true),
            (".webserv-copy-0123", true),
            ("/a/.WebServ-upload-state/x", true),
            ("/up/x.webserv-upload-state", false),
            ("/up/.webserv", false),
            ("/up/a.txt", false),
            ("/up/..webserv-x", false),
            ("", false),
        ];
        for (path, expected) in table {
            assert_eq!(is_hidden(path.as_bytes()), expected, "{path}");
        }
    }

    #[test]
    fn trees_that_killed_processes_left_go_in_slices_and_links_are_not_followed() {
        let top = std::env::temp_dir().join(format!("webserv-temp-names-trees-{}", std::process::id()));
        let store = top.join("store");
        fs::create_dir_all(top.join("outside")).expect("a directory");
        fs::write(top.join("outside/kept"), "kept").expect("a file");
        fs::create_dir_all(&store).expect("a directory");
        let store = store.canonicalize().expect("it is there");
        let journal = c(&top.join("pid.uploads"));
        let dir = file::open_at(None, &c(&store), file::O_PATH | O_DIRECTORY, 0).expect("opens");
        let count = || fs::read_dir(&store).expect("read").count();

        let mut first = TempNames::default();
        assert_eq!(first.keep(&journal), Ok(0));
        for what in [HiddenKind::Copy, HiddenKind::Delete] {
            let tree = store.join(first.hidden_in(dir.as_fd(), what).to_str().expect("ASCII"));
            // More than fit in a slice.
            for n in 0..200 {
                fs::create_dir_all(tree.join(format!("d{n}/e"))).expect("directories");
                fs::write(tree.join(format!("d{n}/f")), "half").expect("a file");
            }
            std::os::unix::fs::symlink(top.join("outside"), tree.join("link")).expect("a link");
        }
        let link = store.join(first.hidden_in(dir.as_fd(), HiddenKind::Copy).to_str().expect("ASCII"));
        std::os::unix::fs::symlink(top.join("outside"), link).expect("a link");
        fs::create_dir(store.join(".webserv-copy-00000000-1")).expect("another process's");
        drop(first);

        // It was killed before removing them: the next process finds what the first left.
        let mut second = TempNames::default();
        assert_eq!(second.keep(&journal), Ok(1), "the link itself");
        assert!(second.is_cleaning());
        drop(second);
        let mut third = TempNames::default();
        assert_eq!(third.keep(&journal), Ok(0));
        assert_eq!(count(), 3);
        // It exits before it is done: the journal stays.
        third.end();
        drop(third);
        assert!(top.join("pid.uploads").exists());
        let mut fourth = TempNames::default();
        assert_eq!(fourth.keep(&journal), Ok(0));
        while fourth.is_cleaning() {
            fourth.clean();
        }
        assert_eq!(count(), 1, "another process's");
        assert!(top.join("outside/kept").exists());
        fourth.end();
        assert!(!top.join("pid.uploads").exists());

        // A directory that was replaced by a link is not searched.
        let mut fifth = TempNames::default();
        assert_eq!(fifth.keep(&journal), Ok(0));
        let name = fifth.hidden_in(dir.as_fd(), HiddenKind::Upload);
        drop(fifth);
        fs::rename(&store, top.join("moved")).expect("renamed");
        std::os::unix::fs::symlink(top.join("outside"), &store).expect("a link");
        fs::write(top.join("outside").join(name.to_str().expect("ASCII")), "not ours").expect("a file");
        assert_eq!(TempNames::default().keep(&journal), Ok(0));
        fs::remove_dir_all(&top).expect("removed");
    }
}

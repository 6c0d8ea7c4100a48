//! Hidden names: where a file takes another's place, it has one for a moment. A killed process (SIGKILL, out of
//! memory) could leave it behind, so the directories that hidden names are made in are noted in a journal beside the
//! pid file, and the next process looks through those before it serves.
//!
//! Invariant: with a journal, a directory is noted before the first hidden name is made in it. It outlives the process,
//! not the machine: it is never synced.

use crate::sys::Errno;
use crate::sys::file::{
    self, Follow, O_APPEND, O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, Unlink,
};
use crate::sys::random;
use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::{Rc, Weak};

/// Hidden names start so. No client's name does: it begins with a dot.
pub const HIDDEN: &str = ".webserv-upload-";
/// Bytes of a journal that are read at most.
const JOURNAL: u64 = 16 << 20;
/// Directories noted at most.
const DIRECTORIES: usize = 50_000;

pub struct Litter {
    /// Our names from those of others: another process may write to the same directory.
    id: u32,
    names: u64,
    journal: Option<(OwnedFd, CString)>,
    /// Directories that are noted, by device and inode.
    noted: HashSet<(u64, u64)>,
    /// The last of these.
    last: Weak<OwnedFd>,
}

impl Default for Litter {
    fn default() -> Litter {
        Litter {
            id: random::number().unwrap_or(0) as u32,
            names: 0,
            journal: None,
            noted: HashSet::new(),
            last: Weak::new(),
        }
    }
}

impl Litter {
    /// Keeps a journal at `path`. Removes first what the process that kept it before left behind; gives how many files.
    ///
    /// # Errors
    /// That of the call that failed: there is no journal then.
    pub fn keep(&mut self, path: &CStr) -> Result<usize, Errno> {
        let open = || file::open_at(None, path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0o600);
        let mut journal = open()?;
        let mut removed = 0;
        match file::flock(journal.as_fd()) {
            Ok(()) => {
                removed = sweep(journal.as_fd())?;
                file::ftruncate(journal.as_fd(), 0)?;
            }
            // Whoever keeps it lives (an upgrade is under way): what is noted there is not litter.
            Err(Errno::EAGAIN) => {
                file::unlink_at(None, path, Unlink::File)?;
                journal = open()?;
                file::flock(journal.as_fd())?;
            }
            Err(e) => return Err(e),
        }
        self.noted.clear();
        self.last = Weak::new();
        append(journal.as_fd(), format!("{:08x}", self.id).as_bytes())?;
        self.journal = Some((journal, path.to_owned()));
        Ok(removed)
    }

    /// What is left behind will be found.
    pub fn is_kept(&self) -> bool {
        self.journal.is_some()
    }

    /// A name for a file in `dir` that nobody else has: below 40 bytes, which the kernel keeps within its entry.
    pub fn hidden(&mut self, dir: &Rc<OwnedFd>) -> CString {
        // Without a note the name is as good; it only could stay behind.
        let _ = self.note(dir);
        self.names += 1;
        CString::new(format!("{HIDDEN}{:08x}-{}", self.id, self.names)).expect("no NUL in a prefix and digits")
    }

    fn note(&mut self, dir: &Rc<OwnedFd>) -> Result<(), Errno> {
        let Some((journal, _)) = &self.journal else { return Ok(()) };
        if self.last.as_ptr() == Rc::as_ptr(dir) {
            return Ok(());
        }
        let stat = file::fstat(dir.as_fd())?;
        if !self.noted.contains(&(stat.dev, stat.ino)) && self.noted.len() < DIRECTORIES {
            let link = CString::new(format!("/proc/self/fd/{}", dir.as_raw_fd())).expect("no NUL in a number");
            append(journal.as_fd(), &file::readlink_at(None, &link)?)?;
            self.noted.insert((stat.dev, stat.ino));
        }
        self.last = Rc::downgrade(dir);
        Ok(())
    }

    /// The process ends in order: there is nothing to look through.
    pub fn end(&mut self) {
        let Some((journal, path)) = self.journal.take() else { return };
        // After an upgrade the name is the new process's.
        let ours = file::fstat(journal.as_fd()).map(|stat| (stat.dev, stat.ino));
        if ours.is_ok() && file::stat_at(None, &path, Follow::No).map(|stat| (stat.dev, stat.ino)) == ours {
            let _ = file::unlink_at(None, &path, Unlink::File);
        }
    }
}

/// A record ends with NUL, the one byte that no path holds.
fn append(journal: BorrowedFd<'_>, record: &[u8]) -> Result<(), Errno> {
    let mut record = record.to_vec();
    record.push(0);
    // One write: a record is there or not.
    if file::write(journal, &record)? == record.len() { Ok(()) } else { Err(Errno::ENOSPC) }
}

/// Removes the hidden names of the process that wrote the journal, from the directories it noted.
fn sweep(journal: BorrowedFd<'_>) -> Result<usize, Errno> {
    let mut bytes = vec![0; file::fstat(journal)?.size.min(JOURNAL) as usize];
    let len = file::pread(journal, &mut bytes, 0)?;
    let mut records = bytes.get(..len).unwrap_or_default().split_inclusive(|b| *b == 0);
    let mut records = std::iter::from_fn(|| records.next().and_then(|record| CStr::from_bytes_with_nul(record).ok()));
    let Some(id) = records.next().filter(|id| id.count_bytes() == 8) else { return Ok(0) };
    let prefix = [HIDDEN.as_bytes(), id.to_bytes(), b"-"].concat();
    let mut removed = 0;
    for path in records {
        // A directory that is gone took its litter along.
        removed += clean(path, &prefix).unwrap_or(0);
    }
    Ok(removed)
}

fn clean(path: &CStr, prefix: &[u8]) -> Result<usize, Errno> {
    let mut entries = file::read_dir(file::open_at(None, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK, 0)?);
    let mut found = Vec::new();
    while entries.fill()? {
        found.extend(entries.entries().filter(|e| e.name.to_bytes().starts_with(prefix)).map(|e| e.name.to_owned()));
    }
    Ok(found.iter().filter(|name| file::unlink_at(Some(entries.dir()), name, Unlink::File).is_ok()).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn c(path: &Path) -> CString {
        CString::new(path.to_str().expect("UTF-8")).expect("no NUL")
    }

    #[test]
    fn the_next_process_removes_what_a_killed_one_left_and_nothing_else() {
        let top = std::env::temp_dir().join(format!("webserv-litter-{}", std::process::id()));
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
        let leave = |litter: &mut Litter| {
            let name = litter.hidden(&dir);
            fs::write(store.join(name.to_str().expect("ASCII")), "half").expect("a file");
        };
        let mut first = Litter::default();
        assert_eq!(first.keep(&journal), Ok(0));
        leave(&mut first);
        leave(&mut first);
        fs::write(store.join("file"), "whole").expect("a file");
        let other = format!("{HIDDEN}00000000-1");
        fs::write(store.join(&other), "somebody else's").expect("a file");
        assert_eq!(names().len(), 4);

        // While the first lives, nothing of it is touched, and it does not remove the second's journal.
        let mut second = Litter::default();
        assert_eq!(second.keep(&journal), Ok(0));
        assert_eq!(names().len(), 4);
        first.end();
        assert!(top.join("pid.uploads").exists());
        second.end();
        assert!(!top.join("pid.uploads").exists());

        // The lock falls with the process.
        let mut third = Litter::default();
        assert_eq!(third.keep(&journal), Ok(0));
        leave(&mut third);
        drop(third);
        let mut fourth = Litter::default();
        assert_eq!(fourth.keep(&journal), Ok(1));
        assert_eq!(names().len(), 4, "those of the first are not in this journal");
        fs::write(top.join("pid.uploads"), "garbage\0\0/nonexistent").expect("a file");
        drop(fourth);
        assert_eq!(Litter::default().keep(&journal), Ok(0));
        fs::remove_dir_all(&top).expect("removed");
    }
}

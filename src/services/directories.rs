//! Directories for uploads, kept open by path.
//!
//! Invariant: a descriptor is never used for a path that leads elsewhere now: at its first use after each arrival
//! ([`Clock::arrival`]) an entry is compared with the path's current target (one stat). Only configured paths are
//! cached; a path beneath them chosen by a client is opened each time, with `RESOLVE_BENEATH`.

use super::clock::Clock;
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, O_DIRECTORY, O_PATH};
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

const FUSE: u64 = 0x6573_5546;
/// Maximum number of entries: they are searched linearly, and a store with variables has many paths.
const ENTRIES: usize = 16;
/// Milliseconds until an unused descriptor is closed: it prevents unmounting the file system.
const IDLE: u64 = 5_000;

/// The open directories by their configured paths.
#[derive(Default)]
pub struct Directories {
    entries: Vec<Entry>,
}

struct Entry {
    path: Box<[u8]>,
    dir: Rc<OwnedFd>,
    /// Device and inode.
    id: (u64, u64),
    checked: u64,
    used: u64,
}

impl Directories {
    /// The directory at `path`, as `O_PATH`.
    ///
    /// # Errors
    /// The error of open.
    pub fn open(&mut self, path: &CStr, now: &Clock) -> Result<Rc<OwnedFd>, Errno> {
        if let Some(at) = self.entries.iter().position(|entry| *entry.path == *path.to_bytes()) {
            let entry = &mut self.entries[at];
            let fresh = entry.checked == now.arrival
                || file::stat(path)
                    .is_ok_and(|stat| (stat.dev, stat.ino) == entry.id && stat.kind == FileKind::Dir && stat.nlink > 0);
            if fresh {
                (entry.checked, entry.used) = (now.arrival, now.ms);
                return Ok(entry.dir.clone());
            }
            self.entries.swap_remove(at);
        }
        let dir = Rc::new(file::open_at(None, path, O_PATH | O_DIRECTORY, 0)?);
        if file::file_system(path) == Ok(FUSE) {
            // The inode number may be derived from the name, so that a new directory has the old one's: do not cache
            // it.
            return Ok(dir);
        }
        let stat = file::fstat(dir.as_fd())?;
        if self.entries.len() >= ENTRIES
            && let Some(oldest) = (0..self.entries.len()).min_by_key(|at| self.entries[*at].used)
        {
            self.entries.swap_remove(oldest);
        }
        let id = (stat.dev, stat.ino);
        let path = path.to_bytes().into();
        self.entries.push(Entry { path, dir: dir.clone(), id, checked: now.arrival, used: now.ms });
        Ok(dir)
    }

    /// Closes descriptors that were not used recently.
    pub fn sweep(&mut self, now: &Clock) {
        self.entries.retain(|entry| entry.used + IDLE >= now.ms);
    }

    /// Some could be closed to free descriptors.
    pub fn holds_descriptors(&self) -> bool {
        !self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_path_that_leads_elsewhere_is_opened_anew_after_the_next_arrival() {
        let top = std::env::temp_dir().join(format!("webserv-directories-{}", std::process::id()));
        let (a, b) = (top.join("a"), top.join("b"));
        fs::create_dir_all(&a).expect("a directory");
        fs::create_dir_all(&b).expect("a directory");
        let path = std::ffi::CString::new(a.to_str().expect("UTF-8")).expect("no NUL");
        let ino = |path: &std::path::Path| fs::metadata(path).expect("it is there").ino();
        let (mut dirs, mut now) = (Directories::default(), Clock::read());
        let mut opened = |now: &Clock| dirs.open(&path, now).map(|dir| file::fstat(dir.as_fd()).expect("fstat").ino);
        assert_eq!(opened(&now), Ok(ino(&a)));
        let (first, second) = (ino(&a), ino(&b));
        fs::rename(&a, top.join("c")).expect("renamed");
        std::os::unix::fs::symlink(&b, &a).expect("a link");
        assert_eq!(opened(&now), Ok(first), "before anything arrives");
        now.stored();
        assert_eq!(opened(&now), Ok(first), "a file of ours changes no path");
        now.advance_epoch();
        assert_eq!(opened(&now), Ok(second));
        fs::remove_file(&a).expect("removed");
        now.advance_epoch();
        assert_eq!(opened(&now), Err(Errno::ENOENT));
        fs::write(&a, "").expect("a file");
        assert_eq!(opened(&now), Err(Errno::ENOTDIR));
        fs::remove_dir_all(&top).expect("removed");
    }

    #[test]
    fn few_are_kept_and_none_for_long() {
        let (mut dirs, mut now) = (Directories::default(), Clock::read());
        for path in [c"/", c"/tmp", c"/proc", c"/dev"].iter().cycle().take(40) {
            now.advance_epoch();
            dirs.open(path, &now).expect("there on every Linux");
        }
        assert_eq!(dirs.entries.len(), 4);
        now.ms += IDLE + 1;
        dirs.sweep(&now);
        assert!(!dirs.holds_descriptors());
    }
}

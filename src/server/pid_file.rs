//! The pid file: created once listeners are open, locked for the lifetime of the process, removed at its end.
//!
//! Invariants: of two processes with the same pid file, the second does not start; a pid in an unlocked file is stale,
//! and never signalled; only the owner may write the file, whatever the umask.

use super::failure::Failure;
use super::reload_report;
use crate::io::open;
use crate::sys::file::{self, FileKind};
use crate::sys::{Errno, process};
use std::ffi::CString;
use std::io::ErrorKind::NotFound;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const MODE: u32 = 0o644;
/// Maximum number of attempts when other processes remove the file meanwhile.
const MAX_ATTEMPTS: usize = 16;

/// The file, locked as long as this exists.
pub struct PidFile {
    path: PathBuf,
    fd: OwnedFd,
}

/// nginx's name for the pid file of a process replaced by an upgrade.
pub fn old_path(path: &Path) -> PathBuf {
    let mut old = path.as_os_str().to_owned();
    old.push(".oldbin");
    old.into()
}

impl PidFile {
    /// Writes the pid to a locked file. A process started by an upgrade takes the name over from the old one, whose
    /// file is renamed: there is always a pid file, and it always contains a pid.
    ///
    /// # Errors
    /// It cannot be written, or another process has it.
    pub fn write(path: &Path) -> Result<PidFile, Failure> {
        let is_plain = std::fs::symlink_metadata(path).map_or_else(|e| e.kind() == NotFound, |meta| meta.is_file());
        match Draft::make(path) {
            Ok(draft) if is_plain => draft.place(path),
            // For a symbolic link, or in a directory where no file may be created, overwrite the existing file.
            Ok(_) | Err(Errno::EACCES | Errno::EPERM | Errno::EROFS) => PidFile::fill_in_place(path),
            Err(e) => Err(Failure::open(path, e)),
        }
    }

    /// Locks an existing file and overwrites it.
    fn fill_in_place(path: &Path) -> Result<PidFile, Failure> {
        // An exiting process may remove the file between our steps.
        for _ in 0..MAX_ATTEMPTS {
            let fd = open::own(path, MODE).map_err(|e| Failure::open(path, e))?;
            // Without support for locks, go on without one.
            if let Err(Errno::EAGAIN | Errno::EACCES) = file::lock(fd.as_fd()) {
                return Err(taken(path));
            }
            if file::is_at(fd.as_fd(), path) {
                fill(&fd).map_err(|e| failed("write()", path, e))?;
                return Ok(PidFile { path: path.to_owned(), fd });
            }
        }
        Err(Failure::open(path, Errno::EBUSY))
    }

    /// Absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The new binary has exited: restores our file's name.
    pub fn take_back(&self) {
        let old = old_path(&self.path);
        if file::is_at(self.fd.as_fd(), &old) {
            // Otherwise the file keeps the old name, which is harmless.
            let _ = std::fs::rename(old, &self.path);
        }
    }

    /// Removes it under either name; after an upgrade the name belongs to the new process.
    pub fn remove(self) {
        for path in [&self.path, &old_path(&self.path)] {
            if file::is_at(self.fd.as_fd(), path) {
                // Nothing can be done if it cannot be removed.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// What becomes of the pid file by a configuration that is about to be served.
pub enum PidFileChange {
    /// It has the same name.
    None,
    /// It has another name, or there is none.
    To(Option<PidFile>),
}

impl PidFileChange {
    /// Writes the pid file of a configuration if its name is not that of the present file, which stays until
    /// [`PidFileChange::settle`].
    ///
    /// # Errors
    /// Those of [`PidFile::write`].
    pub fn write(present: Option<&PidFile>, wanted: Option<&Path>) -> Result<PidFileChange, Failure> {
        if wanted == present.map(PidFile::path) {
            return Ok(PidFileChange::None);
        }
        let Some(path) = wanted else { return Ok(PidFileChange::To(None)) };
        let file = match present.filter(|file| file::is_at(file.fd.as_fd(), path)) {
            // The same file by another path: /run and /var/run.
            Some(file) => {
                PidFile { fd: file::dup(file.fd.as_fd()).map_err(|e| failed("dup()", path, e))?, path: path.to_owned() }
            }
            None => PidFile::write(path)?,
        };
        Ok(PidFileChange::To(Some(file)))
    }

    /// The configuration is served: the present file is removed if there is another one, with the report beside it.
    pub fn settle(self, present: &mut Option<PidFile>) {
        let PidFileChange::To(file) = self else { return };
        let Some(old) = std::mem::replace(present, file) else { return };
        reload_report::remove(&old.path);
        if present.as_ref().is_none_or(|new| !file::is_at(new.fd.as_fd(), &old.path)) {
            old.remove();
        }
    }

    /// The configuration is not served: what was written for it is removed.
    pub fn undo(self, present: Option<&PidFile>) {
        if let PidFileChange::To(Some(file)) = self
            && present.is_none_or(|present| !file::is_at(present.fd.as_fd(), &file.path))
        {
            file.remove();
        }
    }
}

/// A locked file with the pid under a temporary name, which is removed on drop.
struct Draft {
    name: PathBuf,
    fd: OwnedFd,
}

impl Draft {
    fn make(path: &Path) -> Result<Draft, Errno> {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", process::getpid()));
        let name = PathBuf::from(name);
        // Left by a killed process with our pid.
        let _ = std::fs::remove_file(&name);
        let draft = Draft { fd: open::fresh(&name, MODE)?, name };
        // Without support for locks, go on without one.
        let _ = file::lock(draft.fd.as_fd());
        fill(&draft.fd)?;
        Ok(draft)
    }

    /// Moves it to its name, unless another process has that.
    fn place(self, path: &Path) -> Result<PidFile, Failure> {
        // An exiting process may remove the file between our steps.
        for _ in 0..MAX_ATTEMPTS {
            let there = match std::fs::hard_link(&self.name, path) {
                Ok(()) => return self.placed(path),
                // Without support for hard links, a free name is claimed by a rename.
                Err(_) => open::existing(path),
            };
            let there = match there {
                Ok(there) => there,
                Err(Errno::ENOENT) if std::fs::symlink_metadata(path).is_err() => {
                    self.rename(path)?;
                    return self.placed(path);
                }
                Err(Errno::ENOENT) => continue,
                Err(e) => return Err(Failure::open(path, e)),
            };
            if let Err(Errno::EAGAIN | Errno::EACCES) = file::lock(there.as_fd()) {
                return match read_number(path) == Some(process::getppid()) {
                    true => self.take_over(path),
                    false => Err(taken(path)),
                };
            }
            // Hold its lock until the name is taken.
            if file::is_at(there.as_fd(), path) {
                self.rename(path)?;
                return self.placed(path);
            }
        }
        Err(Failure::open(path, Errno::EBUSY))
    }

    /// Takes the name over from the process that started this one for an upgrade.
    fn take_over(self, path: &Path) -> Result<PidFile, Failure> {
        let old = old_path(path);
        let _ = std::fs::remove_file(&old);
        std::fs::hard_link(path, &old).map_err(|e| failed("link()", path, e))?;
        self.rename(path)?;
        self.placed(path)
    }

    fn rename(&self, path: &Path) -> Result<(), Failure> {
        std::fs::rename(&self.name, path).map_err(|e| failed("rename()", path, e))
    }

    fn placed(&self, path: &Path) -> Result<PidFile, Failure> {
        let fd = file::dup(self.fd.as_fd()).map_err(|e| failed("dup()", path, e))?;
        Ok(PidFile { path: path.to_owned(), fd })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.name);
    }
}

fn failed(call: &str, path: &Path, e: impl std::fmt::Display) -> Failure {
    Failure::of(format!("{call} \"{}\" failed {e}", path.display()))
}

fn fill(fd: &OwnedFd) -> Result<(), Errno> {
    let text = format!("{}\n", process::getpid());
    match file::chmod_fd(fd.as_fd(), MODE) {
        // The file system does not support modes.
        Err(e) if file::is_missing(e) => {}
        other => other?,
    }
    file::ftruncate(fd.as_fd(), 0)?;
    match file::pwrite(fd.as_fd(), text.as_bytes(), 0)? {
        n if n == text.len() => Ok(()),
        _ => Err(Errno::ENOSPC),
    }
}

fn read_number(path: &Path) -> Option<i32> {
    let text = open::read(path, 64).ok()?;
    std::str::from_utf8(&text).ok()?.trim().parse().ok().filter(|pid| *pid > 0)
}

/// Whether the file's directory exists, and the path is not something other than a file.
///
/// # Errors
/// The error that [`PidFile::write`] would return.
pub fn is_possible(path: &Path) -> Result<(), Failure> {
    match std::fs::metadata(path) {
        Ok(there) if there.is_dir() => return Err(Failure::open(path, Errno::EISDIR)),
        Ok(there) if !there.is_file() => return Err(Failure::open(path, Errno::EINVAL)),
        Err(e) if e.raw_os_error() == Some(Errno::ELOOP.0) => return Err(Failure::open(path, Errno::ELOOP)),
        Ok(_) | Err(_) => {}
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match std::fs::metadata(dir) {
        Err(e) if e.kind() == NotFound => return Err(Failure::open(path, Errno::ENOENT)),
        Ok(meta) if !meta.is_dir() => return Err(Failure::open(path, Errno::ENOTDIR)),
        Ok(_) | Err(_) => {}
    }
    // It can be created, or an existing file overwritten.
    let made = file::access(dir, file::W_OK | file::X_OK);
    made.or_else(|e| file::access(path, file::W_OK).map_err(|_| e)).map_err(|e| Failure::open(path, e))
}

/// Checks that no other process has the file, before anything is bound, so that the error names the actual cause.
///
/// # Errors
/// Another process has it.
pub fn is_free(path: &Path) -> Result<(), Failure> {
    let Ok(c_path) = CString::new(path.as_os_str().as_bytes()) else { return Ok(()) };
    let fd = file::open_at(None, &c_path, file::O_RDONLY | file::O_NONBLOCK | file::O_NOFOLLOW, 0);
    match fd.and_then(|fd| file::is_locked(fd.as_fd())) {
        Ok(true) => Err(taken(path)),
        Ok(false) | Err(_) => Ok(()),
    }
}

fn taken(path: &Path) -> Failure {
    let who = read_number(path).map_or(String::new(), |pid| format!(" {pid}"));
    Failure::of(format!(
        "process{who} is running already with pid file \"{}\"\nwebserv reload makes it load a new configuration, webserv stop ends it; a second server needs a \"pid\" of its own",
        path.display()
    ))
}

/// The pid in a pid file, if that process is running and is ours.
///
/// # Errors
/// The file is missing, contains no pid, or is stale.
pub fn running(path: &Path) -> Result<i32, Failure> {
    let shown = path.display();
    let text = open::read(path, 64).map_err(|e| Failure::of(format!("open() \"{shown}\" failed {e}")))?;
    let text = String::from_utf8_lossy(&text);
    let invalid = || {
        Failure::of(format!(
            "invalid PID number \"{}\" in \"{shown}\"\nremove the file: a start writes it again",
            text.trim()
        ))
    };
    let pid: i32 = text.trim().parse().map_err(|_| invalid())?;
    if pid < 1 {
        return Err(invalid());
    }
    let c_path = CString::new(path.as_os_str().as_bytes()).map_err(|_| invalid())?;
    let fd = file::open_at(None, &c_path, file::O_RDONLY | file::O_NONBLOCK, 0)
        .map_err(|e| Failure::of(format!("open() \"{shown}\" failed {e}")))?;
    // Without support for locks, trust the pid.
    let locked = file::is_locked(fd.as_fd()).unwrap_or(true);
    let stat = file::fstat(fd.as_fd()).map_err(|e| Failure::of(format!("stat() \"{shown}\" failed {e}")))?;
    if !locked || stat.kind != FileKind::Regular {
        let text = format!(
            "\"{shown}\" is left over: no webserv runs that wrote it (process {pid} was not signalled)\na start writes it again"
        );
        return Err(Failure::of(text));
    }
    // Otherwise a user who may write the file could make root signal another user's process.
    if process::geteuid() == 0 && stat.uid != 0 {
        let (owner, user) = (owner_of(pid), stat.uid);
        let text = match owner {
            Some(owner) if owner == user => return Ok(pid),
            Some(_) => format!("\"{shown}\" belongs to user {user}, process {pid} does not: it was not signalled"),
            None => format!(
                "\"{shown}\" belongs to user {user}; the owner of process {pid} cannot be read from /proc: it was not signalled"
            ),
        };
        return Err(Failure::of(text));
    }
    Ok(pid)
}

/// The real uid of a process.
pub(super) fn owner_of(pid: i32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;
    use std::os::unix::fs::PermissionsExt;

    fn take_over(path: &Path) -> PidFile {
        Draft::make(path).expect("made").take_over(path).expect("taken over")
    }

    #[test]
    fn a_pid_file_is_never_seen_without_its_number() {
        let scratch = Scratch::new();
        let path = scratch.path().join("pid");
        let number = format!("{}\n", process::getpid());
        let draft = Draft::make(&path).expect("made");
        assert!(!path.exists(), "its number comes before its name");
        let placed = draft.place(&path).expect("free");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), number);
        drop(placed);
        // A stale file keeps its pid until it is overwritten.
        scratch.write("pid", b"1\n");
        let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&path.metadata().expect("there"));
        let before = inode(&path);
        let placed = PidFile::write(&path).expect("left over");
        assert_ne!(inode(&path), before, "replaced, not written over");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), number);
        placed.remove();
        assert_eq!(std::fs::read_dir(scratch.path()).expect("readable").count(), 0, "nothing is left beside it");
        // For a symbolic link, the file is its target.
        std::os::unix::fs::symlink("there", &path).expect("symlink");
        let placed = PidFile::write(&path).expect("written");
        assert_eq!(std::fs::read_to_string(scratch.path().join("there")).expect("there"), number);
        assert!(PidFile::write(&path).is_err(), "locked");
        placed.remove();
    }

    #[test]
    fn a_pid_file_is_locked_while_its_process_lives() {
        let scratch = Scratch::new();
        let path = scratch.path().join("pid");
        let first = PidFile::write(&path).expect("written");
        assert_eq!(running(&path).expect("we run"), process::getpid());
        assert!(PidFile::write(&path).err().expect("taken").why.contains("running already"));
        // During an upgrade the new process has the name, and ours is renamed.
        let second = take_over(&path);
        assert!(path.exists() && old_path(&path).exists());
        first.remove();
        assert!(path.exists() && !old_path(&path).exists());
        let third = take_over(&path);
        third.remove();
        second.take_back();
        assert!(path.exists());
        second.remove();
        assert!(!path.exists());
    }

    #[test]
    fn a_pid_file_of_another_name_is_written_by_a_reload_and_the_old_one_goes() {
        let scratch = Scratch::new();
        let path = |name: &str| scratch.path().join(name);
        let names = || std::fs::read_dir(scratch.path()).expect("readable").count();
        let mut present = Some(PidFile::write(&path("pid")).expect("written"));
        let follow = |present: &Option<PidFile>, name: &str| PidFileChange::write(present.as_ref(), Some(&path(name)));
        assert!(matches!(follow(&present, "pid"), Ok(PidFileChange::None)));
        let other = follow(&present, "two").expect("written");
        assert!(path("pid").exists() && path("two").exists(), "both, until the configuration is served");
        other.undo(present.as_ref());
        assert!(path("pid").exists() && !path("two").exists(), "it was refused");
        follow(&present, "two").expect("written").settle(&mut present);
        assert!(!path("pid").exists() && running(&path("two")).is_ok());
        assert!(follow(&present, "none/pid").is_err());
        // The same directory by another path.
        std::os::unix::fs::symlink(scratch.path(), path("var")).expect("symlink");
        let same = follow(&present, "var/two").expect("ours");
        same.undo(present.as_ref());
        assert!(path("two").exists());
        follow(&present, "var/two").expect("ours").settle(&mut present);
        assert!(running(&path("two")).is_ok() && present.as_ref().is_some_and(|file| file.path() == path("var/two")));
        PidFileChange::write(present.as_ref(), None).expect("nothing to write").settle(&mut present);
        assert!(present.is_none() && names() == 1, "the link is left");
    }

    #[test]
    fn a_number_that_is_left_over_is_not_signalled() {
        let scratch = Scratch::new();
        let path = scratch.path().join("pid");
        for (text, expected) in [
            (format!("{}\n", process::getppid()), "left over"),
            ("x".to_owned(), "invalid PID number \"x\""),
            ("-1\n".to_owned(), "invalid PID number \"-1\""),
            (String::new(), "invalid PID number \"\""),
        ] {
            scratch.write("pid", text.as_bytes());
            let Failure { why, .. } = running(&path).expect_err("not ours");
            assert!(why.contains(expected), "{text:?}: {why}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("chmod");
        let file = PidFile::write(&path).expect("it is free");
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, MODE, "whatever it was");
        file.remove();
    }

    /// `-t` once succeeded although the start then failed.
    #[test]
    fn what_is_no_file_cannot_be_a_pid_file_and_a_test_finds_it() {
        let scratch = Scratch::new();
        let path = |name: &str| scratch.path().join(name);
        std::fs::create_dir(path("dir")).expect("mkdir");
        std::fs::write(path("file"), "1").expect("write");
        std::os::unix::net::UnixListener::bind(path("socket")).expect("bind");
        for (link, target) in [("null", "/dev/null"), ("loop", "loop"), ("dangling", "none"), ("to-file", "file")] {
            std::os::unix::fs::symlink(target, path(link)).expect("symlink");
        }
        for name in ["dir", "socket", "null", "loop", "file/pid", "none/pid"] {
            let (found, written) = (is_possible(&path(name)), PidFile::write(&path(name)));
            let why = |failure: Failure| failure.why;
            assert_eq!(found.map_err(why).err(), written.map(drop).map_err(why).err(), "{name}");
            assert!(is_possible(&path(name)).is_err(), "{name}");
        }
        for name in ["file", "to-file", "dangling", "new"] {
            assert!(is_possible(&path(name)).is_ok(), "{name}");
        }
    }
}

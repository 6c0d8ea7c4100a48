//! The pid file: made once the listeners are open, locked for as long as the process lives, removed with it.
//!
//! Invariants: of two processes with one pid file the second does not start; a number in a file without a lock
//! is left over from a process that was killed, and is never signalled; only its owner may write to it, whatever the
//! umask.

use super::failure::Failure;
use crate::io::open;
use crate::sys::file::{self, FileKind, Follow, Stat, Unlink};
use crate::sys::{Errno, process};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const MODE: u32 = 0o644;

pub struct PidFile {
    path: PathBuf,
    fd: OwnedFd,
}

/// What nginx calls the file of the process that an upgrade replaces.
pub fn old_path(path: &Path) -> PathBuf {
    let mut old = path.as_os_str().to_owned();
    old.push(".oldbin");
    old.into()
}

impl PidFile {
    /// Locks the file and puts down who we are. A process that an upgrade started takes the name over from the one that
    /// started it, whose file stays beside it: at no moment is there no pid file.
    ///
    /// # Errors
    /// It cannot be written, or another process has it.
    pub fn write(path: &Path) -> Result<PidFile, Failure> {
        let failed = |call: &str, e: Errno| match call {
            "open()" => Failure::open(path, e),
            call => Failure::of(format!("{call} \"{}\" failed {e}", path.display())),
        };
        // Each round the file may have been taken away by a process that ended between our steps.
        for _ in 0..16 {
            let fd = open::own(path, MODE).map_err(|e| failed("open()", e))?;
            // A file system without locks: then without.
            if let Err(Errno::EAGAIN | Errno::EACCES) = file::lock(fd.as_fd()) {
                if read_number(path) == Some(process::getppid()) {
                    return PidFile::take_over(path);
                }
                return Err(taken(path));
            }
            if is_at(&fd, path) {
                fill(&fd).map_err(|e| failed("write()", e))?;
                return Ok(PidFile { path: path.to_owned(), fd });
            }
        }
        Err(failed("open()", Errno::EBUSY))
    }

    /// The name is our parent's, which wanted us to have it.
    fn take_over(path: &Path) -> Result<PidFile, Failure> {
        let failed =
            |call: &str, e: &dyn std::fmt::Display| Failure::of(format!("{call} \"{}\" failed {e}", path.display()));
        let mut new = path.as_os_str().to_owned();
        new.push(format!(".{}", process::getpid()));
        let new = PathBuf::from(new);
        let fd = open::own(&new, MODE).map_err(|e| failed("open()", &e))?;
        let _ = file::lock(fd.as_fd());
        let old = old_path(path);
        unlink(&old);
        let placed = fill(&fd).map_err(std::io::Error::from).and_then(|()| {
            std::fs::hard_link(path, &old)?;
            std::fs::rename(&new, path)
        });
        if let Err(e) = placed {
            unlink(&new);
            return Err(failed("rename()", &e));
        }
        Ok(PidFile { path: path.to_owned(), fd })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The new binary is gone: ours is the pid file again.
    pub fn take_back(&self) {
        let old = old_path(&self.path);
        if is_at(&self.fd, &old) {
            // Then the name stays what it is, which is only unusual.
            let _ = std::fs::rename(old, &self.path);
        }
    }

    /// Removes it, wherever it is; after an upgrade the name is the new process's.
    pub fn remove(self) {
        for path in [&self.path, &old_path(&self.path)] {
            if is_at(&self.fd, path) {
                // Nothing is left to do if it cannot be removed.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

fn fill(fd: &OwnedFd) -> Result<(), Errno> {
    let text = format!("{}\n", process::getpid());
    match file::chmod_fd(fd.as_fd(), MODE) {
        // A file system without modes.
        Err(e) if file::is_missing(e) => {}
        other => other?,
    }
    file::ftruncate(fd.as_fd(), 0)?;
    match file::pwrite(fd.as_fd(), text.as_bytes(), 0)? {
        n if n == text.len() => Ok(()),
        _ => Err(Errno::ENOSPC),
    }
}

fn is_at(fd: &OwnedFd, path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    let key = |stat: Stat| (stat.dev, stat.ino);
    match (file::fstat(fd.as_fd()), file::stat_at(None, &path, Follow::Yes)) {
        (Ok(ours), Ok(there)) => key(ours) == key(there),
        _ => false,
    }
}

fn read_number(path: &Path) -> Option<i32> {
    let text = open::read(path, 64).ok()?;
    std::str::from_utf8(&text).ok()?.trim().parse().ok().filter(|pid| *pid > 0)
}

/// Whether there is a directory that the file can be in.
///
/// # Errors
/// There is none.
pub fn is_possible(path: &Path) -> Result<(), Failure> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    match dir.map(std::fs::metadata) {
        Some(Err(e)) if e.kind() == std::io::ErrorKind::NotFound => Err(Failure::open(path, Errno::ENOENT)),
        Some(Ok(meta)) if !meta.is_dir() => Err(Failure::open(path, Errno::ENOTDIR)),
        _ => Ok(()),
    }
}

/// Whether another process has the file: asked before anything is bound, so that the message is about the cause.
///
/// # Errors
/// Another has it.
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
    Failure::of(format!("process{who} is running already with pid file \"{}\"", path.display()))
}

/// The process that a pid file names, if it lives and is ours.
///
/// # Errors
/// There is no such file, it holds no number, or it is left over.
pub fn running(path: &Path) -> Result<i32, Failure> {
    let shown = path.display();
    let text = open::read(path, 64).map_err(|e| Failure::of(format!("open() \"{shown}\" failed {e}")))?;
    let text = String::from_utf8_lossy(&text);
    let invalid = || Failure::of(format!("invalid PID number \"{}\" in \"{shown}\"", text.trim()));
    let pid: i32 = text.trim().parse().map_err(|_| invalid())?;
    if pid < 1 {
        return Err(invalid());
    }
    let c_path = CString::new(path.as_os_str().as_bytes()).map_err(|_| invalid())?;
    let fd = file::open_at(None, &c_path, file::O_RDONLY | file::O_NONBLOCK, 0)
        .map_err(|e| Failure::of(format!("open() \"{shown}\" failed {e}")))?;
    // Where the file system has no locks, the number has to do.
    let locked = file::is_locked(fd.as_fd()).unwrap_or(true);
    let stat = file::fstat(fd.as_fd()).map_err(|e| Failure::of(format!("stat() \"{shown}\" failed {e}")))?;
    if !locked || stat.kind != FileKind::Regular {
        let text = format!("\"{shown}\" is left over: no webserv runs that wrote it (process {pid} was not signalled)");
        return Err(Failure::of(text));
    }
    // Who may write the file could name another's process in it, and have root signal that.
    if process::geteuid() == 0 && stat.uid != 0 && owner_of(pid) != Some(stat.uid) {
        let text = format!("\"{shown}\" belongs to user {}, process {pid} does not: it was not signalled", stat.uid);
        return Err(Failure::of(text));
    }
    Ok(pid)
}

/// The real user of a process.
fn owner_of(pid: i32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Takes away a file of ours by its path.
pub fn unlink(path: &Path) {
    if let Ok(path) = CString::new(path.as_os_str().as_bytes()) {
        // Gone already is as good.
        let _ = file::unlink_at(None, &path, Unlink::File);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_pid_file_is_locked_while_its_process_lives() {
        let scratch = Scratch::new();
        let path = scratch.path().join("pid");
        let first = PidFile::write(&path).expect("written");
        assert_eq!(running(&path).expect("we run"), process::getpid());
        assert!(PidFile::write(&path).err().expect("taken").why.contains("running already"));
        // An upgrade: the new one has the name, ours is found aside.
        let second = PidFile::take_over(&path).expect("taken over");
        assert!(path.exists() && old_path(&path).exists());
        first.remove();
        assert!(path.exists() && !old_path(&path).exists());
        let third = PidFile::take_over(&path).expect("taken over");
        third.remove();
        second.take_back();
        assert!(path.exists());
        second.remove();
        assert!(!path.exists());
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
        let file = PidFile::write(&path).expect("nobody has it");
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, MODE, "whatever it was");
        file.remove();
    }
}

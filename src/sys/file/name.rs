//! Names: opening, linking, renaming and removing, always relative to a directory descriptor, so that no check is ever
//! made on one path and the act done on another.

use std::ffi::{CStr, CString};
use std::io::Write;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::dir::{Dir, raw};
use crate::sys::{Errno, retry};

pub const O_RDONLY: i32 = libc::O_RDONLY;
pub const O_WRONLY: i32 = libc::O_WRONLY;
pub const O_RDWR: i32 = libc::O_RDWR;
pub const O_CREAT: i32 = libc::O_CREAT;
pub const O_EXCL: i32 = libc::O_EXCL;
pub const O_TRUNC: i32 = libc::O_TRUNC;
pub const O_APPEND: i32 = libc::O_APPEND;
/// A pipe without a peer does not hold the opener up; harmless for regular files.
pub const O_NONBLOCK: i32 = libc::O_NONBLOCK;
pub const O_NOFOLLOW: i32 = libc::O_NOFOLLOW;
pub const O_DIRECTORY: i32 = libc::O_DIRECTORY;
/// The path names a directory; the new file has no name until [`link_fd`] gives it one.
pub const O_TMPFILE: i32 = libc::O_TMPFILE;
/// A place in the tree, without access to content: for `*_at` calls and [`super::fstat`].
pub const O_PATH: i32 = libc::O_PATH;
/// A terminal that is opened does not become the one that controls us.
pub const O_NOCTTY: i32 = libc::O_NOCTTY;

/// No component may lead out of the directory: not `..`, not a symbolic link, not an absolute path (EXDEV).
pub const RESOLVE_BENEATH: u64 = libc::RESOLVE_BENEATH;
/// No component may be a symbolic link (ELOOP).
pub const RESOLVE_NO_SYMLINKS: u64 = libc::RESOLVE_NO_SYMLINKS;
/// No component may be one of /proc's links that lead anywhere (ELOOP).
pub const RESOLVE_NO_MAGICLINKS: u64 = libc::RESOLVE_NO_MAGICLINKS;
/// The directory is `/` for `..`, absolute paths and links, as after chroot.
pub const RESOLVE_IN_ROOT: u64 = libc::RESOLVE_IN_ROOT;
/// No component may be another mount (EXDEV).
pub const RESOLVE_NO_XDEV: u64 = libc::RESOLVE_NO_XDEV;

/// A string as C takes it; EINVAL for a NUL inside.
pub fn c_string(bytes: impl Into<Vec<u8>>) -> Result<CString, Errno> {
    CString::new(bytes).map_err(|_| Errno::EINVAL)
}

/// openat, close-on-exec. `flags` are `O_*`; `mode` counts for new files and is cut by the umask.
pub fn open_at(dir: Dir<'_>, path: &CStr, flags: i32, mode: u32) -> Result<OwnedFd, Errno> {
    let flags = flags | libc::O_CLOEXEC;
    // SAFETY: `path` is NUL-terminated.
    let fd = retry(|| unsafe { libc::openat(raw(dir), path.as_ptr(), flags, mode) })?;
    // SAFETY: the kernel just gave us this descriptor; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Gives an open file (also one without a name, from `O_TMPFILE`) the name `name`; EEXIST if that is taken. Linking the
/// bare descriptor is cheapest, but needs a privilege or Linux 6.10 and the rights it was opened with: where the kernel
/// refuses, by way of /proc/self/fd.
pub fn link_fd(fd: BorrowedFd<'_>, dir: Dir<'_>, name: &CStr) -> Result<(), Errno> {
    // SAFETY: both paths are NUL-terminated.
    let bare =
        retry(|| unsafe { libc::linkat(fd.as_raw_fd(), c"".as_ptr(), raw(dir), name.as_ptr(), libc::AT_EMPTY_PATH) });
    match bare {
        // What a kernel says that refuses; a directory that is gone says it again below.
        Err(Errno::ENOENT | Errno::EPERM | Errno::EINVAL) => {}
        other => return other.map(drop),
    }
    let mut path = [0u8; 32];
    // Seventeen bytes and at most ten digits leave the NUL after them.
    write!(&mut path[..31], "/proc/self/fd/{}", fd.as_raw_fd()).map_err(Errno::from)?;
    let flags = libc::AT_SYMLINK_FOLLOW;
    // SAFETY: both paths are NUL-terminated.
    retry(|| unsafe { libc::linkat(libc::AT_FDCWD, path.as_ptr().cast(), raw(dir), name.as_ptr(), flags) })?;
    Ok(())
}

/// What the kernel calls an open file now: its whole path, whatever links led there.
pub fn path_of(fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let link = CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).expect("no NUL in a number");
    readlink_at(None, &link)
}

/// A named pipe.
#[cfg(test)]
pub fn make_fifo(path: &CStr, mode: u32) -> Result<(), Errno> {
    // SAFETY: `path` is NUL-terminated.
    retry(|| unsafe { libc::mkfifo(path.as_ptr(), mode) })?;
    Ok(())
}

/// A second name for a file. Does not follow `old` if it is a symbolic link.
pub fn link_at(old_dir: Dir<'_>, old: &CStr, new_dir: Dir<'_>, new: &CStr) -> Result<(), Errno> {
    // SAFETY: both paths are NUL-terminated.
    retry(|| unsafe { libc::linkat(raw(old_dir), old.as_ptr(), raw(new_dir), new.as_ptr(), 0) })?;
    Ok(())
}

pub fn symlink_at(target: &CStr, dir: Dir<'_>, name: &CStr) -> Result<(), Errno> {
    // SAFETY: both paths are NUL-terminated.
    retry(|| unsafe { libc::symlinkat(target.as_ptr(), raw(dir), name.as_ptr()) })?;
    Ok(())
}

/// What [`unlink_at`] is to remove; the other kind is EISDIR or ENOTDIR.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unlink {
    File,
    /// An empty one; else ENOTEMPTY.
    Dir,
}

pub fn unlink_at(dir: Dir<'_>, name: &CStr, what: Unlink) -> Result<(), Errno> {
    let flags = match what {
        Unlink::File => 0,
        Unlink::Dir => libc::AT_REMOVEDIR,
    };
    // SAFETY: `name` is NUL-terminated.
    retry(|| unsafe { libc::unlinkat(raw(dir), name.as_ptr(), flags) })?;
    Ok(())
}

/// `mode` is cut by the umask.
pub fn mkdir_at(dir: Dir<'_>, name: &CStr, mode: u32) -> Result<(), Errno> {
    // SAFETY: `name` is NUL-terminated.
    retry(|| unsafe { libc::mkdirat(raw(dir), name.as_ptr(), mode) })?;
    Ok(())
}

/// Where a symbolic link points; EINVAL if `name` is none.
pub fn readlink_at(dir: Dir<'_>, name: &CStr) -> Result<Vec<u8>, Errno> {
    let mut target = vec![0u8; 256];
    loop {
        // SAFETY: `name` is NUL-terminated; `target` is writable for its length.
        let got =
            retry(|| unsafe { libc::readlinkat(raw(dir), name.as_ptr(), target.as_mut_ptr().cast(), target.len()) })?
                as usize;
        // A full buffer may be a cut answer.
        if got < target.len() {
            target.truncate(got);
            return Ok(target);
        }
        let twice = target.len() * 2;
        target.resize(twice, 0);
    }
}

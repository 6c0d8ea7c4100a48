//! Opening, linking and removing names, always relative to a directory descriptor, so that a check and the operation
//! that follows act on the same directory. Renaming is in rename.rs.

use std::ffi::{CStr, CString};
use std::io::Write;
use std::ops::Deref;
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
/// Opening a FIFO does not wait for its other end; no effect on regular files.
pub const O_NONBLOCK: i32 = libc::O_NONBLOCK;
/// ELOOP if the last component is a symbolic link.
pub const O_NOFOLLOW: i32 = libc::O_NOFOLLOW;
/// ENOTDIR if it is no directory.
pub const O_DIRECTORY: i32 = libc::O_DIRECTORY;
/// The path names a directory; the new file is unnamed until [`link_fd`].
pub const O_TMPFILE: i32 = libc::O_TMPFILE;
/// A reference without access to the contents: for `*_at` calls and [`super::fstat`].
pub const O_PATH: i32 = libc::O_PATH;
/// Opening a terminal does not make it the controlling terminal.
pub const O_NOCTTY: i32 = libc::O_NOCTTY;

/// No component may lead out of the directory: no `..`, symbolic link or absolute path (EXDEV).
pub const RESOLVE_BENEATH: u64 = libc::RESOLVE_BENEATH;
/// No component may be a symbolic link (ELOOP).
pub const RESOLVE_NO_SYMLINKS: u64 = libc::RESOLVE_NO_SYMLINKS;
/// No component may be a magic link of /proc (ELOOP).
pub const RESOLVE_NO_MAGICLINKS: u64 = libc::RESOLVE_NO_MAGICLINKS;
/// The directory acts as `/` for `..`, absolute paths and symbolic links, as after chroot.
pub const RESOLVE_IN_ROOT: u64 = libc::RESOLVE_IN_ROOT;
/// No component may cross into another mount (EXDEV).
pub const RESOLVE_NO_XDEV: u64 = libc::RESOLVE_NO_XDEV;

/// Bytes of a [`CPath`] that need no allocation, its NUL included.
const SHORT: usize = 128;

/// A path for a system call. A short one is held in place: as a CString it took 280 instructions to make and to drop,
/// and an allocation.
pub struct CPath(Held);

enum Held {
    Short([u8; SHORT], usize),
    Long(CString),
}

impl CPath {
    /// EINVAL if it contains a NUL.
    ///
    /// # Errors
    /// EINVAL.
    pub fn new(path: &[u8]) -> Result<CPath, Errno> {
        let mut place = [0; SHORT];
        let Some(room) = place.get_mut(..path.len()).filter(|_| path.len() < SHORT) else {
            return c_string(path).map(|path| CPath(Held::Long(path)));
        };
        room.copy_from_slice(path);
        match CStr::from_bytes_until_nul(&place) {
            Ok(text) if text.count_bytes() == path.len() => Ok(CPath(Held::Short(place, path.len()))),
            _ => Err(Errno::EINVAL),
        }
    }
}

impl Deref for CPath {
    type Target = CStr;

    fn deref(&self) -> &CStr {
        match &self.0 {
            // SAFETY: `new` found the first NUL at this length.
            Held::Short(place, len) => unsafe { CStr::from_bytes_with_nul_unchecked(&place[..=*len]) },
            Held::Long(path) => path,
        }
    }
}

/// Converts to a C string; EINVAL if it contains a NUL.
pub fn c_string(bytes: impl Into<Vec<u8>>) -> Result<CString, Errno> {
    CString::new(bytes).map_err(|_| Errno::EINVAL)
}

/// openat, close-on-exec. `flags` are `O_*`; `mode` applies to new files, modified by the umask.
pub fn open_at(dir: Dir<'_>, path: &CStr, flags: i32, mode: u32) -> Result<OwnedFd, Errno> {
    let flags = flags | libc::O_CLOEXEC;
    // SAFETY: `path` is NUL-terminated.
    let fd = retry(|| unsafe { libc::openat(raw(dir), path.as_ptr(), flags, mode) })?;
    // SAFETY: the kernel just gave us this descriptor; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Links an open file (even an unnamed one from `O_TMPFILE`) as `name`; EEXIST if that exists. Linking the descriptor
/// directly is fastest, but needs a capability, or Linux 6.10 and unchanged credentials; otherwise it goes through
/// /proc/self/fd.
pub fn link_fd(fd: BorrowedFd<'_>, dir: Dir<'_>, name: &CStr) -> Result<(), Errno> {
    // SAFETY: both paths are NUL-terminated.
    let bare =
        retry(|| unsafe { libc::linkat(fd.as_raw_fd(), c"".as_ptr(), raw(dir), name.as_ptr(), libc::AT_EMPTY_PATH) });
    match bare {
        // The kernel's refusals. A missing directory fails again below.
        Err(Errno::ENOENT | Errno::EPERM | Errno::EINVAL) => {}
        other => return other.map(drop),
    }
    let mut path = [0u8; 32];
    // 17 bytes and at most ten digits, so the array ends with a NUL.
    write!(&mut path[..31], "/proc/self/fd/{}", fd.as_raw_fd()).map_err(Errno::from)?;
    let flags = libc::AT_SYMLINK_FOLLOW;
    // SAFETY: both paths are NUL-terminated.
    retry(|| unsafe { libc::linkat(libc::AT_FDCWD, path.as_ptr().cast(), raw(dir), name.as_ptr(), flags) })?;
    Ok(())
}

/// The current path of an open file according to the kernel, with symbolic links resolved. ENOSYS: /proc is not
/// mounted; an ENOENT would say that the file itself is missing.
pub fn path_of(fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    readlink_at(None, &proc_link(fd)).map_err(|e| if e == Errno::ENOENT { Errno::ENOSYS } else { e })
}

/// The link that the kernel has for a descriptor, be it of O_PATH.
pub(super) fn proc_link(fd: BorrowedFd<'_>) -> CString {
    CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).expect("no NUL in a number")
}

/// The path that the last of these names, each in the directory of the one before, has or would have below an open
/// directory.
pub fn path_along<'n>(dir: BorrowedFd<'_>, names: impl IntoIterator<Item = &'n [u8]>) -> Result<Vec<u8>, Errno> {
    Ok(names.into_iter().fold(path_of(dir)?, |path, name| path_below(&path, name)))
}

/// The path that a name in an open directory has or would have.
pub fn path_in(dir: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>, Errno> {
    path_along(dir, [name])
}

/// The path of a name in the directory `dir`. Only the root's own path ends in a slash.
pub fn path_below(dir: &[u8], name: &[u8]) -> Vec<u8> {
    [dir.strip_suffix(b"/").unwrap_or(dir), b"/", name].concat()
}

/// Creates a FIFO.
#[cfg(test)]
pub fn make_fifo(path: &CStr, mode: u32) -> Result<(), Errno> {
    // SAFETY: `path` is NUL-terminated.
    retry(|| unsafe { libc::mkfifo(path.as_ptr(), mode) })?;
    Ok(())
}

/// Creates a hard link. Does not follow `old` if it is a symbolic link.
pub fn link_at(old_dir: Dir<'_>, old: &CStr, new_dir: Dir<'_>, new: &CStr) -> Result<(), Errno> {
    // SAFETY: both paths are NUL-terminated.
    retry(|| unsafe { libc::linkat(raw(old_dir), old.as_ptr(), raw(new_dir), new.as_ptr(), 0) })?;
    Ok(())
}

/// symlinkat(2): makes the link `name` that contains `target`.
pub fn symlink_at(target: &CStr, dir: Dir<'_>, name: &CStr) -> Result<(), Errno> {
    // SAFETY: both paths are NUL-terminated.
    retry(|| unsafe { libc::symlinkat(target.as_ptr(), raw(dir), name.as_ptr()) })?;
    Ok(())
}

/// What [`unlink_at`] removes; the other kind causes EISDIR or ENOTDIR.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unlink {
    /// Anything but a directory; a link, not its target.
    File,
    /// An empty directory; otherwise ENOTEMPTY.
    Dir,
}

/// unlinkat(2). Relative to `dir`, without following a link in the last component.
pub fn unlink_at(dir: Dir<'_>, name: &CStr, what: Unlink) -> Result<(), Errno> {
    let flags = match what {
        Unlink::File => 0,
        Unlink::Dir => libc::AT_REMOVEDIR,
    };
    // SAFETY: `name` is NUL-terminated.
    retry(|| unsafe { libc::unlinkat(raw(dir), name.as_ptr(), flags) })?;
    Ok(())
}

/// `mode` is modified by the umask.
pub fn mkdir_at(dir: Dir<'_>, name: &CStr, mode: u32) -> Result<(), Errno> {
    // SAFETY: `name` is NUL-terminated.
    retry(|| unsafe { libc::mkdirat(raw(dir), name.as_ptr(), mode) })?;
    Ok(())
}

/// The target of a symbolic link; EINVAL if `name` is not one.
pub fn readlink_at(dir: Dir<'_>, name: &CStr) -> Result<Vec<u8>, Errno> {
    let mut target = vec![0u8; 256];
    loop {
        // SAFETY: `name` is NUL-terminated; `target` is writable for its length.
        let got =
            retry(|| unsafe { libc::readlinkat(raw(dir), name.as_ptr(), target.as_mut_ptr().cast(), target.len()) })?
                as usize;
        // A full buffer may mean a truncated result.
        if got < target.len() {
            target.truncate(got);
            return Ok(target);
        }
        let twice = target.len() * 2;
        target.resize(twice, 0);
    }
}

//! What a file is: stat in the few fields a web server looks at.

use std::ffi::{CStr, CString};
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use super::dir::{Dir, raw};
use super::name::c_string;
use crate::sys::{Errno, retry};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    Regular,
    Dir,
    Symlink,
    /// Pipes, sockets, devices: nothing to serve.
    Other,
}

/// Whether the last component of a path is looked through if it is a symbolic link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Follow {
    No,
    Yes,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    pub kind: FileKind,
    /// Bytes.
    pub size: u64,
    /// Last change of the content: seconds since 1970 (may be negative) and nanoseconds within the second.
    pub mtime: (i64, u32),
    /// Last change of content, name count or permissions.
    pub ctime: (i64, u32),
    pub ino: u64,
    pub dev: u64,
    /// Permission bits, with set-user-id and the like: `0o644`.
    pub mode: u32,
    pub nlink: u64,
    pub uid: u32,
    pub gid: u32,
}

impl Stat {
    /// Bytes from the kernel's answer; the casts widen on every Linux.
    #[allow(clippy::unnecessary_cast)]
    fn new(stat: &libc::stat) -> Stat {
        Stat {
            kind: match stat.st_mode & libc::S_IFMT {
                libc::S_IFREG => FileKind::Regular,
                libc::S_IFDIR => FileKind::Dir,
                libc::S_IFLNK => FileKind::Symlink,
                _ => FileKind::Other,
            },
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            ctime: (stat.st_ctime as i64, stat.st_ctime_nsec as u32),
            ino: stat.st_ino as u64,
            dev: stat.st_dev as u64,
            mode: stat.st_mode & 0o7777,
            nlink: stat.st_nlink as u64,
            uid: stat.st_uid,
            gid: stat.st_gid,
        }
    }

    /// Whether a time of the content that was set is there: some file systems take any and store none, FAT stores even
    /// seconds.
    pub fn has_mtime(&self, seconds: i64) -> bool {
        self.mtime.0.abs_diff(seconds) < 2
    }
}

/// Follows symbolic links.
pub fn stat(path: &CStr) -> Result<Stat, Errno> {
    stat_at(None, path, Follow::Yes)
}

/// Of a symbolic link itself.
pub fn lstat(path: &CStr) -> Result<Stat, Errno> {
    stat_at(None, path, Follow::No)
}

pub fn stat_at(dir: Dir<'_>, path: &CStr, follow: Follow) -> Result<Stat, Errno> {
    let flags = match follow {
        Follow::Yes => 0,
        Follow::No => libc::AT_SYMLINK_NOFOLLOW,
    };
    // SAFETY: a stat of zeroes is valid: plain integers.
    let mut stat: libc::stat = unsafe { mem::zeroed() };
    // SAFETY: `path` is NUL-terminated and `stat` writable.
    retry(|| unsafe { libc::fstatat(raw(dir), path.as_ptr(), &mut stat, flags) })?;
    Ok(Stat::new(&stat))
}

/// Also of an `O_PATH` descriptor.
pub fn fstat(fd: BorrowedFd<'_>) -> Result<Stat, Errno> {
    // SAFETY: a stat of zeroes is valid: plain integers.
    let mut stat: libc::stat = unsafe { mem::zeroed() };
    // SAFETY: `stat` is writable.
    retry(|| unsafe { libc::fstat(fd.as_raw_fd(), &mut stat) })?;
    Ok(Stat::new(&stat))
}

/// Whether the name still leads to the open file.
///
/// # Errors
/// It cannot be known.
pub fn has_name(fd: BorrowedFd<'_>, dir: Dir<'_>, name: &CStr, follow: Follow) -> Result<bool, Errno> {
    let ours = fstat(fd)?;
    match stat_at(dir, name, follow) {
        Ok(there) => Ok((there.dev, there.ino) == (ours.dev, ours.ino)),
        Err(Errno::ENOENT) => Ok(false),
        Err(e) => Err(e),
    }
}

/// [`has_name`] of a path, links followed; false where it is not known.
pub fn is_at(fd: BorrowedFd<'_>, path: &Path) -> bool {
    let path = CString::new(path.as_os_str().as_bytes());
    path.is_ok_and(|path| has_name(fd, None, &path, Follow::Yes).unwrap_or(false))
}

/// The scope in which names can be linked and renamed: a file system, and one mount of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reach {
    dev: u64,
    /// None: the kernel does not say (before Linux 5.8).
    mount: Option<u64>,
}

/// The reach of an open file or directory.
pub fn reach(fd: BorrowedFd<'_>) -> Result<Reach, Errno> {
    let dev = fstat(fd)?.dev;
    // SAFETY: a statx of zeroes is valid: plain integers.
    let mut answer: libc::statx = unsafe { mem::zeroed() };
    let (flags, mask) = (libc::AT_EMPTY_PATH, libc::STATX_MNT_ID);
    // SAFETY: the path is NUL-terminated and `answer` writable.
    let result =
        retry(|| unsafe { libc::syscall(libc::SYS_statx, fd.as_raw_fd(), c"".as_ptr(), flags, mask, &raw mut answer) });
    let mount = result.ok().filter(|_| answer.stx_mask & mask != 0).map(|_| answer.stx_mnt_id);
    Ok(Reach { dev, mount })
}

/// What an open descriptor is, where it need not be a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Special {
    File,
    Pipe,
    Socket,
    /// Terminals, /dev/null and their like.
    Device,
}

pub fn special(fd: BorrowedFd<'_>) -> Result<Special, Errno> {
    // SAFETY: a stat of zeroes is valid: plain integers.
    let mut stat: libc::stat = unsafe { mem::zeroed() };
    // SAFETY: `stat` is writable.
    retry(|| unsafe { libc::fstat(fd.as_raw_fd(), &mut stat) })?;
    Ok(match stat.st_mode & libc::S_IFMT {
        libc::S_IFIFO => Special::Pipe,
        libc::S_IFSOCK => Special::Socket,
        libc::S_IFCHR | libc::S_IFBLK => Special::Device,
        _ => Special::File,
    })
}

/// Bytes an ordinary user may still write to the file system `fd` is on, and its size.
#[allow(clippy::unnecessary_cast)] // the fields' widths differ between targets
pub fn free_space(fd: BorrowedFd<'_>) -> Result<(u64, u64), Errno> {
    let answer = statvfs(fd)?;
    let block = answer.f_frsize as u64;
    Ok(((answer.f_bavail as u64).saturating_mul(block), (answer.f_blocks as u64).saturating_mul(block)))
}

/// Whether the file system `fd` is on has become read-only: descriptors that are open for writing stay so.
pub fn is_read_only(fd: BorrowedFd<'_>) -> bool {
    statvfs(fd).is_ok_and(|answer| answer.f_flag & libc::ST_RDONLY != 0)
}

fn statvfs(fd: BorrowedFd<'_>) -> Result<libc::statvfs, Errno> {
    // SAFETY: a statvfs of zeroes is valid: plain integers.
    let mut answer: libc::statvfs = unsafe { mem::zeroed() };
    // SAFETY: `answer` is writable.
    retry(|| unsafe { libc::fstatvfs(fd.as_raw_fd(), &mut answer) })?;
    Ok(answer)
}

/// Kind of the file system that `path` is on: the magic number of statfs(2).
#[allow(clippy::unnecessary_cast)] // the field's width and sign differ between targets
pub fn file_system(path: &CStr) -> Result<u64, Errno> {
    // SAFETY: a statfs of zeroes is valid: plain integers.
    let mut answer: libc::statfs = unsafe { mem::zeroed() };
    // SAFETY: `path` is NUL-terminated and `answer` is writable.
    retry(|| unsafe { libc::statfs(path.as_ptr(), &mut answer) })?;
    Ok(answer.f_type as u64)
}

/// What [`access`] asks for; alternatives add up.
pub const R_OK: i32 = libc::R_OK;
pub const W_OK: i32 = libc::W_OK;
pub const X_OK: i32 = libc::X_OK;

/// Whether others than owner, group and all have rights of their own in `path`: an access control list, which a new file in
/// its place would not have.
pub fn has_acl(path: &Path) -> bool {
    let Ok(path) = c_string(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: both names are NUL-terminated; a buffer of no bytes asks for the value's size alone.
    retry(|| unsafe { libc::getxattr(path.as_ptr(), c"system.posix_acl_access".as_ptr(), ptr::null_mut(), 0) }).is_ok()
}

/// Whether the effective user may do `mode` with `path`. An answer about the past: open the file to be sure.
pub fn access(path: &CStr, mode: i32) -> Result<(), Errno> {
    // SAFETY: `path` is NUL-terminated.
    retry(|| unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), mode, libc::AT_EACCESS) })?;
    Ok(())
}

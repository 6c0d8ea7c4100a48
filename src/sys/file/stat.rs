//! File metadata: the fields of stat that a web server needs.

use std::ffi::CStr;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::dir::{Dir, raw};
use super::name::c_string;
use crate::sys::{Errno, retry};

/// The type of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    Regular,
    Dir,
    /// Only seen where links are not followed.
    Symlink,
    /// Pipes, sockets, devices: not served.
    Other,
}

/// Whether a symbolic link in the last component is followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Follow {
    /// The link itself is meant.
    No,
    /// What it leads to is meant; ENOENT if that is not there.
    Yes,
}

/// The part of `struct stat` that is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    pub kind: FileKind,
    /// Bytes.
    pub size: u64,
    /// Time of the last modification: seconds since 1970 (may be negative) and nanoseconds.
    pub mtime: (i64, u32),
    /// Time of the last change of content, link count or permissions.
    pub ctime: (i64, u32),
    /// The inode's number: with `dev` it tells which file this is, as long as that exists.
    pub ino: u64,
    /// The device of its file system.
    pub dev: u64,
    /// Permission bits, including set-user-id and the like: `0o644`.
    pub mode: u32,
    /// Names of the file. 0: unlinked, but still open.
    pub nlink: u64,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Stat {
    /// Whether both describe the same file. Some FUSE file systems derive inode numbers from names: then equal times of
    /// the last change decide.
    pub fn is_same_file(&self, other: &Stat) -> bool {
        let shape = |stat: &Stat| (stat.kind, stat.size, stat.mtime, stat.ctime, stat.mode, stat.uid);
        self.dev == other.dev && (self.ino == other.ino || shape(self) == shape(other))
    }

    /// Whether both have the same inode number on the same file system, as hard links have.
    pub fn is_same_inode(&self, other: &Stat) -> bool {
        (self.dev, self.ino) == (other.dev, other.ino)
    }

    /// The casts are lossless on every Linux target.
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

    /// Whether a modification time that was set has been stored: some file systems accept any and store none, and FAT
    /// stores even seconds only.
    pub fn has_mtime(&self, seconds: i64) -> bool {
        self.mtime.0.abs_diff(seconds) < 2
    }
}

/// Follows symbolic links.
pub fn stat(path: &CStr) -> Result<Stat, Errno> {
    stat_at(None, path, Follow::Yes)
}

/// Does not follow a symbolic link.
pub fn lstat(path: &CStr) -> Result<Stat, Errno> {
    stat_at(None, path, Follow::No)
}

/// fstatat(2).
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

/// Also works on an `O_PATH` descriptor.
pub fn fstat(fd: BorrowedFd<'_>) -> Result<Stat, Errno> {
    // SAFETY: a stat of zeroes is valid: plain integers.
    let mut stat: libc::stat = unsafe { mem::zeroed() };
    // SAFETY: `stat` is writable.
    retry(|| unsafe { libc::fstat(fd.as_raw_fd(), &mut stat) })?;
    Ok(Stat::new(&stat))
}

/// As [`fstat`], with what the file system's server knows now (NFS, FUSE): the kernel may remember sizes and times for
/// a while. Without statx(2) it is what the kernel remembers.
pub fn fstat_synced(fd: BorrowedFd<'_>) -> Result<Stat, Errno> {
    let _ = statx(fd, libc::AT_STATX_FORCE_SYNC, libc::STATX_BASIC_STATS);
    fstat(fd)
}

fn statx(fd: BorrowedFd<'_>, flags: i32, mask: u32) -> Result<libc::statx, Errno> {
    // SAFETY: a statx of zeroes is valid: plain integers.
    let mut answer: libc::statx = unsafe { mem::zeroed() };
    let (fd, flags) = (fd.as_raw_fd(), libc::AT_EMPTY_PATH | flags);
    // SAFETY: the path is NUL-terminated and `answer` writable.
    retry(|| unsafe { libc::syscall(libc::SYS_statx, fd, c"".as_ptr(), flags, mask, &raw mut answer) })?;
    Ok(answer)
}

/// Whether the name still refers to the open file.
///
/// # Errors
/// stat failed, so it is not known.
pub fn has_name(fd: BorrowedFd<'_>, dir: Dir<'_>, name: &CStr, follow: Follow) -> Result<bool, Errno> {
    let ours = fstat(fd)?;
    match stat_at(dir, name, follow) {
        Ok(there) => Ok(there.is_same_inode(&ours)),
        Err(Errno::ENOENT) => Ok(false),
        Err(e) => Err(e),
    }
}

/// As [`has_name`] for a path, with symbolic links followed; false if it is not known.
pub fn is_at(fd: BorrowedFd<'_>, path: &Path) -> bool {
    let path = c_string(path.as_os_str().as_bytes());
    path.is_ok_and(|path| has_name(fd, None, &path, Follow::Yes).unwrap_or(false))
}

/// The scope within which files can be linked and renamed: one mount of one file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reach {
    dev: u64,
    /// None: the kernel does not report it (before Linux 5.8), or a seccomp filter denies statx.
    mount: Option<u64>,
}

/// The reach of an open file or directory.
pub fn reach(fd: BorrowedFd<'_>) -> Result<Reach, Errno> {
    let dev = fstat(fd)?.dev;
    let mask = libc::STATX_MNT_ID;
    match statx(fd, 0, mask) {
        Ok(answer) => Ok(Reach { dev, mount: Some(answer.stx_mnt_id).filter(|_| answer.stx_mask & mask != 0) }),
        Err(Errno::ENOSYS | Errno::EPERM | Errno::EINVAL) => Ok(Reach { dev, mount: None }),
        // If it were unknown now and known later, the same mount would look like another one.
        Err(e) => Err(e),
    }
}

/// What an open descriptor refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Special {
    /// A regular file, or a directory.
    File,
    /// A pipe or a FIFO.
    Pipe,
    Socket,
    /// Terminals, /dev/null and the like.
    Device,
}

/// What an open descriptor is, by fstat(2).
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

/// Bytes available to unprivileged users on the file system of `fd`, and its size.
#[allow(clippy::unnecessary_cast)] // the fields' widths differ between targets
pub fn free_space(fd: BorrowedFd<'_>) -> Result<(u64, u64), Errno> {
    let answer = statvfs(fd)?;
    let block = answer.f_frsize as u64;
    Ok(((answer.f_bavail as u64).saturating_mul(block), (answer.f_blocks as u64).saturating_mul(block)))
}

/// Whether the file system of `fd` was remounted read-only; descriptors open for writing stay open then.
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

/// The magic number of statfs(2) for the file system of `path`.
#[allow(clippy::unnecessary_cast)] // the field's width and sign differ between targets
pub fn file_system(path: &CStr) -> Result<u64, Errno> {
    // SAFETY: a statfs of zeroes is valid: plain integers.
    let mut answer: libc::statfs = unsafe { mem::zeroed() };
    // SAFETY: `path` is NUL-terminated and `answer` is writable.
    retry(|| unsafe { libc::statfs(path.as_ptr(), &mut answer) })?;
    Ok(answer.f_type as u64)
}

/// As [`file_system`], of what is open.
#[allow(clippy::unnecessary_cast)] // the field's width and sign differ between targets
pub fn file_system_of(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    // SAFETY: a statfs of zeroes is valid: plain integers.
    let mut answer: libc::statfs = unsafe { mem::zeroed() };
    // SAFETY: `answer` is writable.
    retry(|| unsafe { libc::fstatfs(fd.as_raw_fd(), &mut answer) })?;
    Ok(answer.f_type as u64)
}

/// Bits for [`access`]; they may be combined.
pub const R_OK: i32 = libc::R_OK;
/// access(2): may be written.
pub const W_OK: i32 = libc::W_OK;
/// access(2): may be executed, or entered if it is a directory.
pub const X_OK: i32 = libc::X_OK;

/// The attribute with an access control list of more than the usual three classes.
const ACL: &CStr = c"system.posix_acl_access";
/// Maximum bytes of an attribute (XATTR_SIZE_MAX).
const LARGEST_ATTRIBUTE: usize = 64 << 10;

/// The access control list of `path`, in the kernel's format. None: it has none, or its file system keeps no such
/// lists.
pub fn acl(path: &Path) -> Option<Vec<u8>> {
    let path = c_string(path.as_os_str().as_bytes()).ok()?;
    let mut list = vec![0; LARGEST_ATTRIBUTE];
    // SAFETY: both names are NUL-terminated, and `list` is writable for its length.
    let size = retry(|| unsafe { libc::getxattr(path.as_ptr(), ACL.as_ptr(), list.as_mut_ptr().cast(), list.len()) });
    list.truncate(size.ok()? as usize);
    Some(list)
}

/// Gives a file the list of [`acl`]; its mode changes with it.
pub fn set_acl(fd: BorrowedFd<'_>, list: &[u8]) -> Result<(), Errno> {
    // SAFETY: the name is NUL-terminated, and the value is of that length.
    retry(|| unsafe { libc::fsetxattr(fd.as_raw_fd(), ACL.as_ptr(), list.as_ptr().cast(), list.len(), 0) })?;
    Ok(())
}

/// Whether the effective user has these rights on `path`. Only a hint, since they may change: open the file to be sure.
pub fn access(path: &Path, mode: i32) -> Result<(), Errno> {
    let path = c_string(path.as_os_str().as_bytes())?;
    // SAFETY: `path` is NUL-terminated.
    retry(|| unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), mode, libc::AT_EACCESS) })?;
    Ok(())
}

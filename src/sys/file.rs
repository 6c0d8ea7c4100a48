//! File contents; metadata, names, copying within the kernel and directories are in the modules below. Paths are
//! `&CStr`, so that no call copies one.

mod beneath;
mod copy;
mod dir;
mod list;
mod name;
mod position;
mod rename;
mod stat;

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::ptr;

pub use beneath::{open_beneath, open_cached, open_without_links};
pub use copy::{SPLICE_MOVE, SPLICE_NONBLOCK, copy_range, is_no_copy, pipe, sendfile, set_pipe_size, splice};
pub use dir::Dir;
pub use list::{Entries, Entry, ReadDir, read_dir};
#[cfg(test)]
pub use name::make_fifo;
pub use name::{
    CPath, O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY, O_RDWR,
    O_TMPFILE, O_TRUNC, O_WRONLY, RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV, Unlink, c_string, link_at, link_fd, mkdir_at, open_at, path_along, path_below, path_in, path_of,
    readlink_at, symlink_at, unlink_at,
};
use position::offset;
pub use position::seek;
pub use rename::{Rename, is_missing, is_no_link, rename_at};
pub use stat::{
    FileKind, Follow, R_OK, Reach, Special, Stat, W_OK, X_OK, access, acl, file_system, file_system_of, free_space,
    fstat, fstat_synced, has_name, is_at, is_read_only, lstat, reach, set_acl, special, stat, stat_at,
};

use super::{Errno, retry};
use dir::raw;

/// 0 is the end (or an empty `into`).
pub fn read(fd: BorrowedFd<'_>, into: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: `into` is writable for its length.
    let got = retry(|| unsafe { libc::read(fd.as_raw_fd(), into.as_mut_ptr().cast(), into.len()) })?;
    Ok(got as usize)
}

/// Appends at most `max` bytes to the spare capacity of `into`, which is neither zeroed nor grown. 0 is the end; a call
/// without room is ENOBUFS.
pub fn read_into(fd: BorrowedFd<'_>, into: &mut Vec<u8>, max: usize) -> Result<usize, Errno> {
    let spare = into.spare_capacity_mut();
    let room = spare.len().min(max);
    if room == 0 {
        return Err(Errno::ENOBUFS);
    }
    // SAFETY: the spare capacity is writable for `room` bytes, and the kernel only writes there.
    let got = retry(|| unsafe { libc::read(fd.as_raw_fd(), spare.as_mut_ptr().cast(), room) })? as usize;
    // SAFETY: the kernel wrote `got` ≤ `room` bytes right after the present end, within the capacity.
    unsafe { into.set_len(into.len() + got) };
    Ok(got)
}

/// Reads at offset `at`; the file position is unchanged.
pub fn pread(fd: BorrowedFd<'_>, into: &mut [u8], at: u64) -> Result<usize, Errno> {
    let at = offset(at)?;
    // SAFETY: `into` is writable for its length.
    let got = retry(|| unsafe { libc::pread(fd.as_raw_fd(), into.as_mut_ptr().cast(), into.len(), at) })?;
    Ok(got as usize)
}

/// [`read_into`] at offset `at`; the file position is unchanged.
pub fn pread_into(fd: BorrowedFd<'_>, into: &mut Vec<u8>, max: usize, at: u64) -> Result<usize, Errno> {
    let at = offset(at)?;
    let spare = into.spare_capacity_mut();
    let room = spare.len().min(max);
    if room == 0 {
        return Err(Errno::ENOBUFS);
    }
    // SAFETY: the spare capacity is writable for `room` bytes, and the kernel only writes there.
    let got = retry(|| unsafe { libc::pread(fd.as_raw_fd(), spare.as_mut_ptr().cast(), room, at) })? as usize;
    // SAFETY: the kernel wrote `got` ≤ `room` bytes right after the present end, within the capacity.
    unsafe { into.set_len(into.len() + got) };
    Ok(got)
}

/// How to read pieces of a file, with space before each for a frame header.
#[derive(Clone, Copy, Debug)]
pub struct Pieces {
    /// Bytes before each piece.
    pub gap: usize,
    /// Bytes of a piece at most.
    pub size: usize,
}

/// Maximum number of pieces per call.
const PIECES: usize = 16;

/// As [`pread_into`], in pieces with a zeroed gap before each; at most `PIECES` per call.
pub fn pread_pieces(
    fd: BorrowedFd<'_>,
    into: &mut Vec<u8>,
    Pieces { gap, size }: Pieces,
    max: usize,
    at: u64,
) -> Result<usize, Errno> {
    let at = offset(at)?;
    if max == 0 || size == 0 {
        return Err(Errno::ENOBUFS);
    }
    let max = max.min(size.saturating_mul(PIECES));
    into.reserve(max + max.div_ceil(size) * gap);
    let mut slices = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; PIECES];
    let (mut left, mut count) = (max, 0);
    for place in into.spare_capacity_mut().chunks_mut(gap + size).take(max.div_ceil(size)) {
        let (head, body) = place.split_at_mut(gap);
        head.fill(MaybeUninit::new(0));
        let len = body.len().min(left);
        slices[count] = libc::iovec { iov_base: body.as_mut_ptr().cast(), iov_len: len };
        (left, count) = (left - len, count + 1);
    }
    // SAFETY: each of the first `count` slices describes a part of the spare capacity of its own, writable for its
    // length.
    let got = retry(|| unsafe { libc::preadv(fd.as_raw_fd(), slices.as_ptr(), count as libc::c_int, at) })? as usize;
    // SAFETY: the pieces that hold `got` bytes are filled in their order, and the gap before each of them was filled
    // above; all of it lies right after the present end, within the capacity.
    unsafe { into.set_len(into.len() + got + got.div_ceil(size) * gap) };
    Ok(got)
}

/// A closed pipe is EPIPE and SIGPIPE: see [`super::process::ignore_write_signals`].
pub fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: `bytes` is readable for its length.
    let wrote = retry(|| unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) })?;
    Ok(wrote as usize)
}

/// Writes at offset `at`; the file position is unchanged.
pub fn pwrite(fd: BorrowedFd<'_>, bytes: &[u8], at: u64) -> Result<usize, Errno> {
    let at = offset(at)?;
    // SAFETY: `bytes` is readable for its length.
    let wrote = retry(|| unsafe { libc::pwrite(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), at) })?;
    Ok(wrote as usize)
}

/// Truncates the file to `len` bytes, or extends it with zeros.
pub fn ftruncate(fd: BorrowedFd<'_>, len: u64) -> Result<(), Errno> {
    let len = offset(len)?;
    // SAFETY: no pointers are passed.
    retry(|| unsafe { libc::ftruncate(fd.as_raw_fd(), len) })?;
    Ok(())
}

/// Sets exactly these permissions: the umask does not apply.
pub fn chmod_fd(fd: BorrowedFd<'_>, mode: u32) -> Result<(), Errno> {
    // SAFETY: no pointers are passed.
    retry(|| unsafe { libc::fchmod(fd.as_raw_fd(), mode) })?;
    Ok(())
}

/// As [`chmod_fd`], for a descriptor of O_PATH, which fchmod(2) refuses: fchmodat2(2), before Linux 6.6 through
/// /proc/self/fd. ENOSYS: neither is there.
pub fn chmod_path(fd: BorrowedFd<'_>, mode: u32) -> Result<(), Errno> {
    // The same on all machines; libc does not name it for each of them.
    const SYS_FCHMODAT2: libc::c_long = 452;
    let (empty, flags) = (c"", libc::AT_EMPTY_PATH);
    // SAFETY: the path is NUL-terminated.
    let direct = retry(|| unsafe { libc::syscall(SYS_FCHMODAT2, fd.as_raw_fd(), empty.as_ptr(), mode, flags) });
    // A filter of system calls that does not know it may answer anything.
    if direct.is_ok() {
        return Ok(());
    }
    let link = name::proc_link(fd);
    // SAFETY: the path is NUL-terminated.
    match retry(|| unsafe { libc::chmod(link.as_ptr(), mode) }) {
        Err(Errno::ENOENT) => Err(Errno::ENOSYS),
        other => other.map(drop),
    }
}

/// Sets the permissions of a name in a directory, through a symbolic link too.
pub fn chmod_at(dir: Dir<'_>, name: &CStr, mode: u32) -> Result<(), Errno> {
    // SAFETY: the path is NUL-terminated.
    retry(|| unsafe { libc::fchmodat(raw(dir), name.as_ptr(), mode, 0) })?;
    Ok(())
}

/// Changes owner and group, if given.
pub fn chown_fd(fd: BorrowedFd<'_>, uid: Option<u32>, gid: Option<u32>) -> Result<(), Errno> {
    let unchanged = u32::MAX;
    // SAFETY: no pointers are passed.
    retry(|| unsafe { libc::fchown(fd.as_raw_fd(), uid.unwrap_or(unchanged), gid.unwrap_or(unchanged)) })?;
    Ok(())
}

/// Sets the modification time (seconds since 1970, nanoseconds); the access time is unchanged.
pub fn set_mtime(fd: BorrowedFd<'_>, mtime: (i64, u32)) -> Result<(), Errno> {
    let times = [
        libc::timespec { tv_sec: 0, tv_nsec: libc::UTIME_OMIT },
        libc::timespec { tv_sec: mtime.0, tv_nsec: libc::c_long::from(mtime.1) },
    ];
    // SAFETY: `times` is readable for two timespecs.
    retry(|| unsafe { libc::futimens(fd.as_raw_fd(), times.as_ptr()) })?;
    Ok(())
}

/// Waits until data and metadata are on disk.
pub fn fsync(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: no pointers are passed.
    retry(|| unsafe { libc::fsync(fd.as_raw_fd()) })?;
    Ok(())
}

/// Starts writeback of `len` bytes at `at` (0: to the end) without waiting, so that dirty pages do not accumulate and
/// cause a long stall later.
pub fn sync_range(fd: BorrowedFd<'_>, at: u64, len: u64) -> Result<(), Errno> {
    let (at, len) = (offset(at)?, offset(len)?);
    // SAFETY: no pointers are passed.
    retry(|| unsafe { libc::sync_file_range(fd.as_raw_fd(), at, len, libc::SYNC_FILE_RANGE_WRITE) })?;
    Ok(())
}

/// Takes an exclusive lock on the file (flock(2)); EAGAIN if another open file description holds it. Released when the
/// last duplicate of the descriptor is closed.
pub fn flock(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: no pointers are passed.
    retry(|| unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) })?;
    Ok(())
}

/// Releases the lock of [`flock`], for all duplicates of the descriptor.
pub fn unlock(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: no pointers are passed.
    retry(|| unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_UN) })?;
    Ok(())
}

/// The error that close() would report, obtained by closing a duplicate: network and FUSE file systems report failed
/// writes (ENOSPC, EDQUOT, EIO) only then, and the call waits for them. No effect on other file systems.
pub fn flush(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let copy = dup(fd)?.into_raw_fd();
    // SAFETY: the copy is ours alone, and it is not used after this.
    let closed = unsafe { libc::close(copy) };
    match Errno::last() {
        // Linux closes the descriptor even on EINTR.
        e if closed < 0 && e != Errno::EINTR => Err(e),
        _ => Ok(()),
    }
}

/// A second descriptor of the same open file, close-on-exec, never 0, 1 or 2.
pub fn dup(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    // SAFETY: no pointers are passed.
    let copy = retry(|| unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, libc::STDERR_FILENO + 1) })?;
    // SAFETY: the kernel just gave us this descriptor; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// [`dup`] by descriptor number, for names such as /dev/stdout. EBADF if it is not open.
pub fn dup_number(number: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: no pointers are passed, and duplicating harms no owner.
    let copy = retry(|| unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, libc::STDERR_FILENO + 1) })?;
    // SAFETY: the kernel just gave us this descriptor; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Locks the whole file (an open file description lock, fcntl(2)); EAGAIN if another description holds it. Released
/// when the last duplicate is closed, including those in child processes. Unlike [`flock`], it can be tested without
/// taking it ([`is_locked`]).
pub fn lock(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut whole = whole_file();
    // SAFETY: `whole` is an flock structure, as the call wants it.
    retry(|| unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &mut whole) })?;
    Ok(())
}

/// Takes a shared lock: any number of these may coexist, but none with an exclusive [`lock`]. Also works on a directory
/// opened for reading.
#[allow(clippy::unnecessary_cast)] // the field's width differs between targets
pub fn lock_shared(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut whole = whole_file();
    whole.l_type = libc::F_RDLCK as libc::c_short;
    // SAFETY: `whole` is an flock structure, as the call wants it.
    retry(|| unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &mut whole) })?;
    Ok(())
}

/// Whether another open file description holds a [`lock`] or shared lock.
pub fn is_locked(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut whole = whole_file();
    // SAFETY: `whole` is a writable flock structure.
    retry(|| unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_GETLK, &mut whole) })?;
    Ok(i32::from(whole.l_type) != libc::F_UNLCK)
}

#[allow(clippy::useless_conversion, clippy::unnecessary_cast)] // the fields' widths differ between targets
fn whole_file() -> libc::flock {
    // SAFETY: an flock structure of zeroes is valid: plain integers, and a length of zero is the whole file.
    let mut whole: libc::flock = unsafe { std::mem::zeroed() };
    whole.l_type = libc::F_WRLCK as libc::c_short;
    whole.l_whence = libc::SEEK_SET as libc::c_short;
    whole
}

/// Whether it becomes readable, or reaches the end, within `millis`.
pub fn wait_readable(fd: BorrowedFd<'_>, millis: u32) -> Result<bool, Errno> {
    poll(fd, libc::POLLIN, i32::try_from(millis).unwrap_or(i32::MAX))
}

/// Waits until it is writable or has failed.
pub fn wait_writable(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    poll(fd, libc::POLLOUT, -1).map(drop)
}

/// Waits at most `millis` until one of these is readable or at its end.
pub fn wait_any(fds: &[BorrowedFd<'_>], millis: u32) -> Result<bool, Errno> {
    let ask = |fd: &BorrowedFd<'_>| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut asked: Vec<libc::pollfd> = fds.iter().map(ask).collect();
    let millis = i32::try_from(millis).unwrap_or(-1);
    // SAFETY: `asked` is writable for its length.
    let count = retry(|| unsafe { libc::poll(asked.as_mut_ptr(), asked.len() as libc::nfds_t, millis) })?;
    Ok(count > 0)
}

fn poll(fd: BorrowedFd<'_>, events: libc::c_short, millis: i32) -> Result<bool, Errno> {
    let mut asked = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
    // SAFETY: one pollfd, writable for the time of the call.
    let count = retry(|| unsafe { libc::poll(&mut asked, 1, millis) })?;
    Ok(count > 0)
}

/// /dev/null, opened for reading and writing.
pub fn null() -> Result<OwnedFd, Errno> {
    // SAFETY: the path is NUL-terminated.
    let fd = retry(|| unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) })?;
    // SAFETY: the kernel just gave us this descriptor; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Writes all of `bytes`. For destinations that do not block for long.
pub fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let written = write(fd, bytes)?;
        bytes = bytes.get(written.max(1)..).unwrap_or_default();
    }
    Ok(())
}

/// An anonymous file in memory. `name` is only shown in /proc.
pub fn memfd(name: &CStr) -> Result<OwnedFd, Errno> {
    // SAFETY: `name` is NUL-terminated.
    let fd = retry(|| unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) })?;
    // SAFETY: the kernel just gave us this descriptor; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests;

//! Moves bytes within the kernel: sendfile, copying between files, splice and its pipe.
//!
//! splice and copy_file_range are called by number. The standard library knows both as weak symbols; with link-time
//! optimization ours would become weak as well, and a static binary would have a null pointer in their place.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use crate::sys::{Errno, retry};

/// Pages may be moved instead of copied; a hint.
pub const SPLICE_MOVE: u32 = libc::SPLICE_F_MOVE;
/// The call does not block on the pipe; the other side blocks unless it is non-blocking itself.
pub const SPLICE_NONBLOCK: u32 = libc::SPLICE_F_NONBLOCK;

/// The kernel's limit per call (MAX_RW_COUNT, less than 2 GiB).
const MOST: usize = 0x7fff_f000;
const NO_FLAGS: u32 = 0;

/// Sends `len` bytes of `file` from `offset` on; the file position is unchanged. Returns how many the socket took:
/// fewer if its buffer is full, 0 at the end of the file (it was truncated). A closed peer causes EPIPE and SIGPIPE:
/// see [`crate::sys::process::ignore_write_signals`].
pub fn sendfile(socket: BorrowedFd<'_>, file: BorrowedFd<'_>, offset: u64, len: usize) -> Result<usize, Errno> {
    let mut offset = i64::try_from(offset).map_err(|_| Errno::EINVAL)?;
    // SAFETY: `offset` is valid for the time of the call.
    let sent = retry(|| unsafe { libc::sendfile(socket.as_raw_fd(), file.as_raw_fd(), &mut offset, len.min(MOST)) })?;
    Ok(sent as usize)
}

/// Moves up to `len` bytes between a pipe and anything. An offset is for a file, whose position is then unchanged;
/// pipes and sockets have none (ESPIPE). 0 is the end of `from`.
pub fn splice(
    from: BorrowedFd<'_>,
    from_offset: Option<u64>,
    to: BorrowedFd<'_>,
    to_offset: Option<u64>,
    len: usize,
    flags: u32,
) -> Result<usize, Errno> {
    let mut from_offset = from_offset.map(i64::try_from).transpose().map_err(|_| Errno::EINVAL)?;
    let mut to_offset = to_offset.map(i64::try_from).transpose().map_err(|_| Errno::EINVAL)?;
    let from_pointer = from_offset.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
    let to_pointer = to_offset.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
    let (from, to, len) = (from.as_raw_fd(), to.as_raw_fd(), len.min(MOST));
    // SAFETY: each pointer is null or points to an offset that outlives the call.
    let moved = retry(|| unsafe { libc::syscall(libc::SYS_splice, from, from_pointer, to, to_pointer, len, flags) })?;
    Ok(moved as usize)
}

/// Copies up to `len` bytes between two files, each at its offset, within the kernel and, if possible, by reference
/// (reflink). 0 at the end of `from`. See [`is_no_copy`] for file systems that cannot.
pub fn copy_range(from: BorrowedFd<'_>, at: u64, to: BorrowedFd<'_>, to_at: u64, len: usize) -> Result<usize, Errno> {
    let mut at = i64::try_from(at).map_err(|_| Errno::EINVAL)?;
    let mut to_at = i64::try_from(to_at).map_err(|_| Errno::EINVAL)?;
    let (from, to, len) = (from.as_raw_fd(), to.as_raw_fd(), len.min(MOST));
    // SAFETY: both offsets outlive the call.
    let copied = retry(|| unsafe {
        libc::syscall(libc::SYS_copy_file_range, from, &raw mut at, to, &raw mut to_at, len, NO_FLAGS)
    })?;
    Ok(copied as usize)
}

/// Whether this error of [`copy_range`] means that the files must be read and written instead.
pub fn is_no_copy(e: Errno) -> bool {
    // On a failing disk, reading or writing reports EIO again; some network file systems return EIO only from this
    // call.
    matches!(e, Errno::EXDEV | Errno::EIO) || super::rename::is_missing(e)
}

/// The read and write end of a pipe, both non-blocking and close-on-exec.
pub fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut ends = [0; 2];
    // SAFETY: `ends` is writable for two descriptors.
    retry(|| unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) })?;
    // SAFETY: the kernel just gave us these two descriptors; nothing else owns them.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Requests a capacity of `bytes` and returns the actual one, a power of two of pages. EPERM above
/// /proc/sys/fs/pipe-max-size (1 MiB) without privilege.
pub fn set_pipe_size(fd: BorrowedFd<'_>, bytes: usize) -> Result<usize, Errno> {
    let bytes = i32::try_from(bytes).map_err(|_| Errno::EINVAL)?;
    // SAFETY: no pointers are passed.
    let size = retry(|| unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) })?;
    Ok(size as usize)
}

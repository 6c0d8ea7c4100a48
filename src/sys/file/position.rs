//! Offsets in files.

use crate::sys::{Errno, retry};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Converts to the kernel's signed offset; EINVAL if too large.
pub fn offset(value: u64) -> Result<i64, Errno> {
    i64::try_from(value).map_err(|_| Errno::EINVAL)
}

/// Sets the file position. ESPIPE for pipes and sockets.
pub fn seek(fd: BorrowedFd<'_>, at: u64) -> Result<(), Errno> {
    let at = offset(at)?;
    // SAFETY: no pointers are passed.
    retry(|| unsafe { libc::lseek(fd.as_raw_fd(), at, libc::SEEK_SET) })?;
    Ok(())
}

//! Where a relative path begins.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// The directory a relative path starts from; `None` is the working directory.
pub type Dir<'a> = Option<BorrowedFd<'a>>;

pub(super) fn raw(dir: Dir<'_>) -> RawFd {
    dir.map_or(libc::AT_FDCWD, |fd| fd.as_raw_fd())
}

//! The start of relative paths.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// The directory to which a path is relative; `None`: the working directory.
pub type Dir<'a> = Option<BorrowedFd<'a>>;

/// The descriptor for the `…at` calls; None is the working directory.
pub(super) fn raw(dir: Dir<'_>) -> RawFd {
    dir.map_or(libc::AT_FDCWD, |fd| fd.as_raw_fd())
}

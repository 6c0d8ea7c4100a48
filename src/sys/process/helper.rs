//! A forked helper process that shares only a channel with its parent.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::{SIGALRM, unblock};
use crate::sys::{Errno, once};

/// Call in the child right after fork: closes every descriptor except `keep`, so that it keeps no connection open;
/// makes it die with its parent; sets its process name. Inherited owners of descriptors must not be dropped afterwards
/// ([`super::leave`]).
pub fn detach(keep: BorrowedFd<'_>, name: &CStr) {
    let keep = keep.as_raw_fd();
    // SAFETY: no pointers are passed.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // SAFETY: `name` is NUL-terminated.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    let ranges = [(0, keep - 1), (keep + 1, i32::MAX)];
    for (first, last) in ranges.into_iter().filter(|(first, last)| first <= last) {
        if close_range(first, last).is_err() {
            // Linux before 5.9 has no close_range.
            let most = super::nofile_limit().map_or(1024, |limit| i32::try_from(limit.soft).unwrap_or(i32::MAX));
            for fd in first..=last.min(most) {
                // SAFETY: no pointers are passed; owners in this process are never used again (the contract above).
                unsafe { libc::close(fd) };
            }
        }
    }
}

fn close_range(first: i32, last: i32) -> Result<(), Errno> {
    // SAFETY: no pointers are passed; owners in this process are never used again (the caller's contract).
    once(|| unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Ends the process by SIGALRM after this time, unless called again; 0: never.
pub fn alarm(seconds: u32) {
    // The parent, which reads it from a descriptor, has it blocked.
    let _ = unblock(&[SIGALRM]);
    // SAFETY: no pointers are passed.
    unsafe { libc::alarm(seconds) };
}

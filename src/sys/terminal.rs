//! The controlling terminal: reading a secret without echo.

use super::{Errno, once};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Disables echo until it is dropped.
pub struct NoEcho<'a> {
    fd: BorrowedFd<'a>,
    before: libc::termios,
}

impl<'a> NoEcho<'a> {
    /// # Errors
    /// ENOTTY if `fd` is not a terminal.
    pub fn new(fd: BorrowedFd<'a>) -> Result<NoEcho<'a>, Errno> {
        let mut before = std::mem::MaybeUninit::<libc::termios>::uninit();
        // SAFETY: the descriptor is open, and the kernel fills the structure if it succeeds.
        once(|| unsafe { libc::tcgetattr(fd.as_raw_fd(), before.as_mut_ptr()) })?;
        // SAFETY: filled by the successful call above.
        let before = unsafe { before.assume_init() };
        let mut silent = before;
        silent.c_lflag &= !libc::ECHO;
        silent.c_lflag |= libc::ECHONL;
        // SAFETY: the descriptor is open and the structure initialised.
        once(|| unsafe { libc::tcsetattr(fd.as_raw_fd(), libc::TCSAFLUSH, &silent) })?;
        Ok(NoEcho { fd, before })
    }
}

impl Drop for NoEcho<'_> {
    fn drop(&mut self) {
        // SAFETY: the descriptor is still borrowed and the structure initialised; a failure leaves the terminal as it
        // is.
        let _ = unsafe { libc::tcsetattr(self.fd.as_raw_fd(), libc::TCSAFLUSH, &self.before) };
    }
}

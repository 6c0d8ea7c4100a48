//! The controlling terminal: reading a secret without echo.

use super::process::{SIGINT, SIGQUIT, SIGTERM, getpid, kill, read_signals, signalfd, unblock};
use super::{Errno, file, once};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// What ends a process that waits for a line: only once the terminal echoes again.
const ENDS: [i32; 3] = [SIGINT, SIGQUIT, SIGTERM];

/// Disables echo until it is dropped.
pub struct NoEcho<'a> {
    fd: BorrowedFd<'a>,
    before: libc::termios,
    signals: OwnedFd,
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
        let signals = signalfd(&ENDS)?;
        let mut silent = before;
        silent.c_lflag &= !libc::ECHO;
        silent.c_lflag |= libc::ECHONL;
        // SAFETY: the descriptor is open and the structure initialised.
        let quiet = once(|| unsafe { libc::tcsetattr(fd.as_raw_fd(), libc::TCSAFLUSH, &silent) });
        let this = NoEcho { fd, before, signals };
        quiet.map(|_| this)
    }

    /// Waits for a line, or for the end of input. Ctrl-C and other signals that end the process do so only after the
    /// terminal shows again what is typed.
    ///
    /// # Errors
    /// That of the call that failed.
    pub fn await_line(&self) -> Result<(), Errno> {
        loop {
            file::wait_any(&[self.fd, self.signals.as_fd()], u32::MAX)?;
            let mut end = None;
            read_signals(self.signals.as_fd(), |signal| end = end.or(Some(signal.number)))?;
            let Some(signal) = end else { return Ok(()) };
            self.restore();
            kill(getpid(), signal)?;
        }
    }

    fn restore(&self) {
        // SAFETY: the descriptor is still borrowed and the structure initialised; a failure leaves the terminal as it
        // is.
        let _ = unsafe { libc::tcsetattr(self.fd.as_raw_fd(), libc::TCSAFLUSH, &self.before) };
        let _ = unblock(&ENDS);
    }
}

impl Drop for NoEcho<'_> {
    fn drop(&mut self) {
        self.restore();
    }
}

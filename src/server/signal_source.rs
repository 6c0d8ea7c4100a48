//! Signals read from a descriptor by the event loop.

use crate::sys::Errno;
use crate::sys::process::{
    self, SIGALRM, SIGCHLD, SIGDRAIN, SIGHUP, SIGINT, SIGIO, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, Signal,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The signals of a process; none for a server driven by a test.
#[derive(Default)]
pub struct Signals {
    fd: Option<OwnedFd>,
    pub(super) arrived: Vec<Signal>,
}

impl Signals {
    /// For a server without signals (tests).
    pub fn none() -> Signals {
        Signals::default()
    }

    /// From now on the handled signals are read instead of delivered.
    pub fn watch() -> Result<Signals, Errno> {
        process::ignore_write_signals();
        // The last two are ignored, but would end the process (nginx handles them too).
        let all = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGCHLD, SIGALRM, SIGIO];
        Ok(Signals { fd: Some(process::signalfd(&[&all[..], &process::drains()].concat())?), arrived: Vec::new() })
    }

    /// Readable when signals have come.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    /// The signals that arrived; for a process without connections.
    pub fn take(&mut self) -> Vec<Signal> {
        self.read();
        std::mem::take(&mut self.arrived)
    }

    /// As though the signal had come.
    #[cfg(test)]
    pub(super) fn inject(&mut self, number: i32) {
        self.arrived.push(Signal { number, pid: 0, uid: 0, is_kernels: false });
    }

    /// Reads the signals that have come; `server/signals.rs` acts on them.
    pub(super) fn read(&mut self) {
        let Some(fd) = &self.fd else { return };
        // What cannot be read is reported again in the next turn.
        let _ = process::read_signals(fd.as_fd(), |mut signal| {
            if process::drains().contains(&signal.number) {
                signal.number = SIGDRAIN;
            }
            if !is_resize(&signal) {
                self.arrived.push(signal);
            }
        });
    }
}

/// The kernel sends WINCH to all processes of a terminal whose window is resized, which is not a request to stop
/// serving.
fn is_resize(signal: &Signal) -> bool {
    signal.number == SIGWINCH && signal.is_kernels
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_window_that_changes_its_size_ends_nothing() {
        for (number, is_kernels, expected) in
            [(SIGWINCH, true, true), (SIGWINCH, false, false), (SIGINT, true, false), (SIGHUP, true, false)]
        {
            assert_eq!(is_resize(&Signal { number, pid: 0, uid: 0, is_kernels }), expected, "{number} {is_kernels}");
        }
    }
}

//! Signals as events: read from a descriptor by the event loop, so nothing is ever interrupted.

use super::{Mode, Server};
use crate::config::model::Level;
use crate::sys::Errno;
use crate::sys::process::{
    self, SIGALRM, SIGCHLD, SIGDRAIN, SIGHUP, SIGINT, SIGIO, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, Signal,
};
use crate::util::inject::panic_point;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The signals of a process; none for a server driven by a test.
#[derive(Default)]
pub struct Signals {
    fd: Option<OwnedFd>,
    arrived: Vec<Signal>,
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

    /// Reads the signals that have come; [`Server::handle_signals`] acts on them.
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

impl Server {
    /// Acts on the signals of this turn.
    pub(super) fn handle_signals(&mut self) {
        for signal in std::mem::take(&mut self.signals.arrived) {
            self.protected("a signal", |server| server.handle_signal(&signal));
        }
    }

    fn handle_signal(&mut self, signal: &Signal) {
        panic_point("signal");
        let number = signal.number;
        if number == SIGCHLD {
            // A child has exited; whatever its user was, this is no command.
            return self.cx.children.may_have_ended();
        }
        if let Some(parent) = &self.parent
            && (!parent.may_signal(signal) || matches!(number, SIGHUP | SIGUSR1 | SIGUSR2))
        {
            // Only the parent obeys the last three, which need root.
            return;
        }
        match number {
            SIGTERM | SIGINT => {
                self.note(format_args!("signal {signal}, exiting"));
                self.service_manager.stopping(self.new_binary);
                // Also removes the files of unix sockets (nginx).
                self.listeners.close();
                self.mode = Mode::Stopped;
            }
            SIGQUIT => {
                self.note(format_args!("signal {signal}, shutting down"));
                self.quit();
            }
            SIGHUP => {
                self.note(format_args!("signal {signal}, reconfiguring"));
                self.want_reload();
            }
            SIGUSR1 => {
                self.note(format_args!("signal {signal}, reopening logs"));
                self.begin_reopening();
            }
            SIGUSR2 => self.upgrade(),
            SIGWINCH => {
                self.note(format_args!("signal {signal}, shutting down"));
                self.quit();
            }
            SIGDRAIN => self.drain(),
            _ => {}
        }
    }

    /// At the end of a turn: reports a jump of the wall clock, and what went wrong with the logs.
    pub(super) fn report_troubles(&mut self) {
        if let Some(seconds) = self.cx.now.jumped() {
            let way = if seconds < 0 { "back" } else { "forward" };
            let by = seconds.unsigned_abs();
            self.say(Level::Warn, format_args!("the system's clock jumped {way} by {by} s; timeouts are not affected"));
            self.acme_clock_jumped(seconds);
            self.renewals.clock_jumped(self.cx.now.ms);
        }
        for text in self.cx.logs.troubles() {
            self.say(Level::Error, format_args!("{text}"));
        }
    }

    /// A line of level notice in the error log.
    pub fn note(&mut self, what: std::fmt::Arguments<'_>) {
        let log = self.cx.config.process.error_log.clone();
        self.cx.logs.error(&log, Level::Notice, &mut self.cx.now, None, what);
    }
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

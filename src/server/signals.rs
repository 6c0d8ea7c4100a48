//! Signals as events: read from a descriptor by the event loop, so nothing is ever interrupted.

pub use super::signal_source::Signals;
use super::{Mode, Server};
use crate::config::model::Level;
use crate::sys::process::{SIGCHLD, SIGDRAIN, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, Signal};
use crate::util::inject::panic_point;

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

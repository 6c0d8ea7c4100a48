//! A child between its fork and its message "ready". Until then its predecessor serves, and signals are handled.

use super::purpose::{Previous, Purpose, Starting};
use super::{Child, Ending, Parent, Reload};
use crate::config::model::{Config, Level};
use crate::server::failed_start;
use crate::server::lifecycle::Failure;
use crate::server::listeners::BindError;
use crate::server::parent_link::SUCCESSOR;
use crate::server::reload_report::Refused;
use crate::sys::file::{self, Follow, Unlink};
use crate::sys::process::{self, SIGKILL, SIGTERM, Signal};
use crate::sys::socket::pass::{self, Message};
use crate::sys::{Errno, clock};
use crate::tls::ticket;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Milliseconds for a new child to become ready.
const START: u64 = 30_000;

impl Parent {
    /// Starts the first child, and waits until it serves.
    ///
    /// # Errors
    /// It does not; the error log says so, too.
    pub(super) fn start_first(&mut self) -> Result<(), Failure> {
        let not_started = self.start(Purpose::First).err().map(|(why, _)| why);
        while self.starting.is_some() {
            self.turn();
        }
        let Some(why) = not_started.or_else(|| self.failed.take()) else { return Ok(()) };
        let failure = Failure::of(format!("the serving process did not start: {why}"));
        failed_start::note(&mut self.logs, &self.config.process.error_log, &failure);
        Err(failure)
    }

    /// Starts a child with the current configuration. [`Parent::check_start`] checks its progress.
    ///
    /// # Errors
    /// fork() failed; nothing has changed.
    pub(super) fn start(&mut self, mut purpose: Purpose) -> Result<(), (String, Purpose)> {
        let inherits = matches!(purpose, Purpose::Reload(_)) && self.children.iter().any(|child| !child.draining);
        // Not when it serves: it may have crashed before that is known here, and left programs.
        self.orphans.spare();
        match self.fork(inherits, &mut purpose) {
            Ok((pid, channel, successor)) => {
                let until = clock::monotonic() + START;
                let starting = Starting { pid, channel, until, purpose, successor, has_old_logs: false };
                if let Some(before) = self.starting.replace(starting) {
                    // A crashed child was restarted while the configuration was read: the new one replaces it.
                    let _ = process::kill(before.pid, SIGKILL);
                    self.take_drain();
                }
                Ok(())
            }
            Err(why) => Err((why, purpose)),
        }
    }

    /// A serving process that was taken over may have set options that its successor's connections would inherit: a
    /// filter that drops packets, a linger that resets what was not sent yet.
    fn restore_options(&mut self) {
        let mut changed = Vec::new();
        self.listeners.restore_options(|addr, failed| changed.push((addr.clone(), failed)));
        for (addr, failed) in changed {
            let failed = failed.map_or_else(String::new, |e| format!(", and not all could be restored {e}"));
            self.say(Level::Alert, format_args!("options of {addr} were changed by a serving process{failed}"));
        }
    }

    /// Opens the sockets of a configuration. Options that a serving process has changed are restored before.
    pub(super) fn open_sockets(&mut self, config: &Config) -> Result<(), BindError> {
        self.restore_options();
        self.listeners.open(config)?;
        self.listeners.note_options();
        Ok(())
    }

    fn fork(&mut self, inherits: bool, purpose: &mut Purpose) -> Result<(i32, OwnedFd, Option<OwnedFd>), String> {
        let pair = || pass::pair().map_err(|e| format!("socketpair() failed {e}"));
        let (ours, theirs) = pair()?;
        let (successor, inherits) =
            if inherits { pair().map(|(old, new)| (Some(old), Some(new)))? } else { (None, None) };
        self.restore_options();
        if self.config.speaks_tls() {
            let lifetimes = self.config.locations.iter().map(|location| location.settings.ssl.timeout.0 / 1000);
            ticket::prepare(lifetimes.max().unwrap_or(0));
        }
        match process::fork().map_err(|e| format!("fork() failed {e}"))? {
            Some(pid) => Ok((pid, ours, successor)),
            None => {
                drop((ours, successor));
                // State inherited from the parent must not be dropped here. Nor must the channel: when it closes, the
                // parent kills this process, and the exit status would not show why it failed.
                let mut channel = Some(theirs);
                let serve = AssertUnwindSafe(|| self.serve(&mut channel, inherits, purpose));
                let status = catch_unwind(serve).unwrap_or(101);
                process::leave(status)
            }
        }
    }

    /// Checks whether the starting child is ready or has failed.
    pub(super) fn check_start(&mut self) {
        let Some(starting) = &self.starting else { return };
        let pid = starting.pid;
        let mut text = [0; 8];
        match pass::receive(starting.channel.as_fd(), &mut text) {
            Ok(Message { len: 1.., .. }) => self.started(),
            Err(Errno::EAGAIN) if clock::monotonic() < starting.until => {}
            // The child has exited and is about to be reaped, which shows the reason; unless it hangs.
            other => {
                let _ = process::kill(pid, SIGKILL);
                if !matches!(other, Ok(Message { len: 0, .. })) || clock::monotonic() >= starting.until {
                    self.start_failed(&format!("process {pid} did not begin to serve"));
                }
            }
        }
    }

    /// Whether the starting child, which has exited, served before: then it has crashed, and is restarted. Otherwise a
    /// crash that comes before this process has read its message would end the server.
    pub(super) fn has_come_up(&mut self) -> bool {
        let goes_on = self.ending == Ending::No && self.drains_next == 0;
        let Some(starting) = self.starting.as_ref().filter(|_| goes_on) else { return false };
        let is_ready = matches!(pass::receive(starting.channel.as_fd(), &mut [0; 8]), Ok(Message { len: 1.., .. }));
        if is_ready {
            self.started();
        }
        is_ready
    }

    fn started(&mut self) {
        let Some(Starting { pid, channel, purpose, successor, has_old_logs, .. }) = self.starting.take() else {
            return;
        };
        let drains = self.take_drain();
        let logs = self.logs.paths();
        let old = self.children.len();
        let child = Child { pid, channel, logs, started: clock::monotonic(), draining: false };
        if has_old_logs {
            self.hand_logs(&child);
        }
        self.children.push(child);
        self.notes.clear();
        self.restart_at = None;
        self.renewals.plan(&self.config, clock::monotonic(), clock::realtime().0);
        if let Purpose::Reload(before) = purpose {
            self.pause = 0;
            before.pid_file.settle(&mut self.pid_file);
            self.remove_journal(before.journal);
            if let (Some(successor), Some(child)) =
                (successor, self.children[..old].iter().rfind(|child| !child.draining))
            {
                // If this fails, the new child begins with empty state.
                let _ = pass::send(child.channel.as_fd(), &[SUCCESSOR], &[successor.as_fd()]);
            }
            self.say(Level::Notice, format_args!("the configuration was reloaded"));
            self.drain(old);
            self.reloaded(Refused::default());
        }
        // WINCH or a signal to stop has arrived meanwhile.
        match self.ending {
            Ending::No if !drains => {}
            Ending::No | Ending::Draining => self.drain(usize::MAX),
            Ending::Stopping(_) => drop(process::kill(pid, SIGTERM)),
        }
    }

    /// WINCH: the children complete their requests and exit, and so does one that has not got to serve yet.
    pub(super) fn drain_all(&mut self, signal: &Signal) {
        self.say(Level::Notice, format_args!("signal {signal}, shutting down the serving processes"));
        self.restart_at = None;
        self.drain(usize::MAX);
        // QUIT would end a child before it is ready, as if its start had failed.
        let is_reloads = |starting: &Starting| matches!(starting.purpose, Purpose::Reload(_));
        let has_begun = self.starting.as_ref().is_some_and(is_reloads);
        let is_read = matches!(self.reload, Reload::UnderWay | Reload::Again) && !has_begun;
        let is_wanted = matches!(self.reload, Reload::Wanted | Reload::Again);
        self.drains_next = u8::from(self.starting.is_some() || is_read) + u8::from(is_wanted);
    }

    /// Counts one of [`Parent::drains_next`] off: the start of a child, or the reload before it, has succeeded or
    /// failed. Returns whether that child is to drain.
    pub(super) fn take_drain(&mut self) -> bool {
        let drains = self.drains_next > 0;
        self.drains_next = self.drains_next.saturating_sub(1);
        drains
    }

    /// Removes the file of a journal that is not the present one's: without a name, no start finds it.
    fn remove_journal(&self, other: Option<(OwnedFd, CString)>) {
        let Some((journal, path)) = other else { return };
        let is_other = self.journal.as_ref().is_none_or(|(_, present)| *present != path);
        if is_other && file::has_name(journal.as_fd(), None, &path, Follow::No).unwrap_or(false) {
            let _ = file::unlink_at(None, &path, Unlink::File);
        }
    }

    /// The child that is starting has ended or took too long: what it was to replace goes on.
    pub(super) fn start_failed(&mut self, why: &str) {
        let Some(starting) = self.starting.take() else { return };
        let drains = self.take_drain();
        match starting.purpose {
            Purpose::First => self.failed = Some(why.to_owned()),
            Purpose::Restart if self.ending == Ending::No && !drains => self.restart_failed(why),
            Purpose::Restart => self.say(Level::Notice, format_args!("{why} while it started")),
            Purpose::Reload(before) => {
                self.go_back(*before);
                self.say(Level::Emerg, format_args!("{why}; the old configuration stays"));
                let program = &self.config_source.program;
                self.reloaded(format!("{program}: [emerg] {why}; the old configuration stays\n").into());
            }
        }
    }

    /// Restores the state before a failed reload.
    pub(super) fn go_back(&mut self, before: Previous) {
        (self.config, self.logs, self.worker) = (before.config, before.logs, before.worker);
        before.pid_file.undo(self.pid_file.as_ref());
        // Its file was replaced, or there is one of another name; the old one stays in use.
        let refused = std::mem::replace(&mut self.journal, before.journal);
        self.remove_journal(refused);
        self.notes.clear();
        if self.ending == Ending::No {
            let config = self.config.clone();
            let _ = self.open_sockets(&config);
        }
    }

    /// Whether a reload is over, and another must begin.
    pub(super) fn is_reload_due(&self) -> bool {
        self.reload == Reload::Wanted && self.starting.is_none() && self.ending == Ending::No
    }
}

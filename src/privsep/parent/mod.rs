//! The parent: keeps root's rights, handles signals, and supervises the serving process.
//!
//! | signal | what it does |
//! |---|---|
//! | HUP | reads the configuration; a new child serves, the old one drains. On an error nothing changes |
//! | USR1 | reopens the logs and passes them to the children |
//! | USR2 | starts the currently installed binary with the listening sockets |
//! | 35 (RTMIN+1) | health checks fail; after drain_delay as QUIT |
//! | WINCH | drains: the child finishes, this process and the listeners stay |
//! | QUIT | drains and ends |
//! | TERM, INT | ends |
//!
//! Invariants: nothing is read from the network here. A child that exits unexpectedly is restarted, after a pause that
//! doubles while children keep exiting soon; the listening sockets stay open meanwhile. Only opening files blocks this
//! process: signals are handled while a child starts ([`starting`]) and while a configuration is read, whose host names
//! a helper process resolves ([`reconfigure`]).

mod child;
mod orphans;
mod purpose;
mod reconfigure;
mod starting;

use crate::config::model::{Config, Level};
use crate::server::lifecycle::{self, Failure, Prepared};
use crate::server::listeners::Listeners;
use crate::server::listeners::mend::{How, Mended};
use crate::server::local_certificates::{Renewals, Renewed, packed};
use crate::server::parent_link::{certificate_message, logs_message};
use crate::server::pid_file::PidFile;
use crate::server::reload::{self, ConfigSource};
use crate::server::reload_report;
use crate::server::service_manager::ServiceManager;
use crate::server::serving_user::ServingUser;
use crate::server::signals::Signals;
use crate::server::upload_services::journal_path;
use crate::services::clock::Clock;
use crate::services::logs::Logs;
use crate::services::stats::Stats;
use crate::services::temp_names;
use crate::sys::process::{
    self, Exit, SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, Signal,
};
use crate::sys::shared::Shared;
use crate::sys::socket::pass;
use crate::sys::{Errno, clock, file};
use orphans::Orphans;
use purpose::{Purpose, Starting};
use std::ffi::CString;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::rc::Rc;

/// Milliseconds after which an exiting child no longer counts as having failed to start.
const HEALTHY: u64 = 10_000;
/// The first and longest pause in milliseconds before a child that exited sooner is restarted.
const PAUSE: u64 = 50;
const LONGEST: u64 = 5_000;
/// Maximum milliseconds between two checks of certificates: no event tells this process that the clock was set.
const CERTIFICATE_CHECK: u64 = 60_000;
/// Milliseconds of rest after a panic.
const AFTER_PANIC: u32 = 1_000;
/// Milliseconds for a child to exit after TERM.
const END: u64 = 5_000;

struct Child {
    pid: i32,
    channel: OwnedFd,
    /// Its log files by id; empty for unused ids.
    logs: Vec<PathBuf>,
    started: u64,
    /// Whether it was sent QUIT.
    draining: bool,
}

struct Parent {
    config: Rc<Config>,
    config_source: ConfigSource,
    logs: Logs,
    listeners: Listeners,
    signals: Signals,
    pid_file: Option<PidFile>,
    worker: ServingUser,
    notes: Vec<(Level, String)>,
    now: Clock,
    journal: Option<(OwnedFd, CString)>,
    children: Vec<Child>,
    new_binary: Option<i32>,
    reloads: u64,
    reload: Reload,
    /// The child that is starting.
    starting: Option<Starting>,
    /// Children that were starting, or that reloads were about to start, when WINCH came: they are to drain, too.
    drains_next: u8,
    /// Why the first child did not start.
    failed: Option<String>,
    /// When to restart the child.
    restart_at: Option<u64>,
    pause: u64,
    ending: Ending,
    is_daemon: bool,
    service_manager: ServiceManager,
    /// Counters shared by successive children; None if there was no memory, so that each begins at zero.
    counters: Option<Rc<Shared>>,
    /// When drain_delay is over, and QUIT follows.
    drained_at: Option<u64>,
    orphans: Orphans,
    /// Certificates signed by the local authority.
    renewals: Renewals,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    No,
    Draining,
    /// When to kill what has not exited.
    Stopping(u64),
}

/// HUP came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reload {
    No,
    Wanted,
    /// The configuration is being read, or a child is starting with it.
    UnderWay,
    /// HUP arrived again meanwhile.
    Again,
}

/// Serves through children until it is stopped by a signal.
///
/// # Errors
/// The first child does not start.
pub fn run(prepared: Prepared, worker: ServingUser) -> Result<(), Failure> {
    let (mut parent, announce) = Parent::new(prepared, worker);
    parent.open_journal();
    if let Err(e) = parent.orphans.adopt() {
        parent.say(Level::Warn, format_args!("prctl(PR_SET_CHILD_SUBREAPER) failed {e}"));
    }
    parent.start_first()?;
    announce(&mut parent)?;
    parent.service_manager.ready("serving");
    process::trim_memory();
    let goes_on = |parent: &Parent| parent.ending == Ending::No || parent.has_children() || parent.orphans.are_ending();
    while goes_on(&parent) {
        if parent.is_reload_due() {
            parent = parent.reload();
        } else if parent.protected("a turn", Parent::turn).is_none() {
            // What panicked may be due again at once.
            let _ = file::wait_any(&[], AFTER_PANIC);
        }
    }
    parent.say(Level::Notice, format_args!("exit"));
    parent.listeners.close();
    if let Some((_, path)) = &parent.journal {
        let _ = file::unlink_at(None, path, file::Unlink::File);
    }
    if let Some(file) = parent.pid_file.take() {
        reload_report::remove(file.path());
        file.remove();
    }
    Ok(())
}

type Announce = Box<dyn FnOnce(&mut Parent) -> Result<(), Failure>>;

impl Parent {
    fn new(mut prepared: Prepared, worker: ServingUser) -> (Parent, Announce) {
        let ready = prepared.take_ready();
        let Prepared { config, config_source, logs, listeners, signals, pid_file, notes, .. } = prepared;
        let parent = Parent {
            config,
            config_source,
            logs,
            listeners,
            signals,
            pid_file,
            worker,
            notes,
            now: Clock::read(),
            journal: None,
            children: Vec::new(),
            new_binary: None,
            reloads: 0,
            reload: Reload::No,
            starting: None,
            drains_next: 0,
            failed: None,
            restart_at: None,
            pause: 0,
            ending: Ending::No,
            is_daemon: ready.is_some(),
            service_manager: ServiceManager::from_env(),
            drained_at: None,
            orphans: Orphans::default(),
            renewals: Renewals::new(CERTIFICATE_CHECK),
            counters: Stats::page().ok(),
        };
        let announce: Announce = Box::new(|parent| lifecycle::announce(ready, &parent.config, &mut parent.logs));
        (parent, announce)
    }

    fn say(&mut self, level: Level, what: fmt::Arguments<'_>) {
        self.now.advance();
        self.logs.error(&self.config.process.error_log, level, &mut self.now, None, what);
    }

    /// Whether a serving process runs or is starting.
    fn has_children(&self) -> bool {
        !self.children.is_empty() || self.starting.is_some()
    }

    /// Waits for a signal, a starting child, or the time to start one.
    fn turn(&mut self) {
        self.turn_while_waiting(None);
    }

    /// As [`Parent::turn`]; `awaited` ends the wait too.
    fn turn_while_waiting(&mut self, awaited: Option<BorrowedFd<'_>>) {
        let now = clock::monotonic();
        let end = match self.ending {
            Ending::Stopping(at) if self.has_children() => Some(at),
            _ => None,
        };
        let starting = self.starting.as_ref();
        let restart = self.restart_at.filter(|_| starting.is_none());
        let waits = [restart, end, self.drained_at, self.orphans.until, starting.map(|starting| starting.until)];
        let due = waits.into_iter().chain([self.next_renewal()]).flatten().min();
        let millis = due.map_or(u32::MAX, |at| u32::try_from(at.saturating_sub(now)).unwrap_or(u32::MAX - 1));
        let starting = starting.map(|starting| starting.channel.as_fd());
        let fds: Vec<BorrowedFd<'_>> = self.signals.fd().into_iter().chain(starting).chain(awaited).collect();
        let _ = file::wait_any(&fds, millis);
        self.take_signals();
        self.check_start();
        self.mend_listeners();
        let now = clock::monotonic();
        let is_due = self.restart_at.is_some_and(|at| at <= now) && self.starting.is_none();
        if is_due && self.ending == Ending::No {
            self.restart_at = None;
            if let Err((why, _)) = self.start(Purpose::Restart) {
                self.restart_failed(&why);
            }
        }
        self.renew_certificate();
        if self.drained_at.is_some_and(|at| at <= now) {
            self.drained_at = None;
            self.say(Level::Notice, format_args!("drained, shutting down"));
            self.finish();
        }
        if self.orphans.until.is_some_and(|at| at <= now) {
            let left = self.orphans.kill();
            self.log_orphans(left);
        }
        if matches!(self.ending, Ending::Stopping(at) if at <= now) {
            self.signal_children(SIGKILL);
        }
    }

    fn take_signals(&mut self) {
        for signal in self.signals.take() {
            self.protected("a signal", |parent| parent.handle(&signal));
        }
    }

    /// Calls `act`; None: it panicked. The parent goes on, since nothing else restarts the serving process.
    fn protected<T>(&mut self, name: &str, act: impl FnOnce(&mut Parent) -> T) -> Option<T> {
        let outcome = catch_unwind(AssertUnwindSafe(|| act(self)));
        if outcome.is_err() {
            self.say(Level::Alert, format_args!("{name} panicked and is given up. This is a bug in webserv"));
        }
        outcome.ok()
    }

    fn handle(&mut self, signal: &Signal) {
        let number = signal.number;
        // The kernel ensures that only root, or the starting user, can signal a process of root.
        match number {
            SIGCHLD => self.reap(),
            SIGHUP => {
                self.say(Level::Notice, format_args!("signal {signal}, reconfiguring"));
                self.reload = match self.reload {
                    Reload::No | Reload::Wanted => Reload::Wanted,
                    Reload::UnderWay | Reload::Again => Reload::Again,
                };
            }
            SIGUSR1 => {
                self.say(Level::Notice, format_args!("signal {signal}, reopening logs"));
                self.reopen();
            }
            SIGUSR2 => match reload::start_new_binary(&self.config_source, self.new_binary, &self.listeners) {
                Ok(pid) => {
                    self.new_binary = Some(pid);
                    self.listeners.share(true);
                    self.say(Level::Notice, format_args!("start new binary process, pid {pid}"));
                }
                Err(why) => self.upgrade_failed(&why),
            },
            SIGWINCH => self.drain_all(signal),
            SIGQUIT => {
                self.say(Level::Notice, format_args!("signal {signal}, shutting down"));
                self.finish();
            }
            process::SIGDRAIN => {
                self.signal_children(number);
                self.service_manager.draining();
                self.drained_at.get_or_insert(clock::monotonic() + self.config.process.drain_delay);
            }
            SIGTERM | SIGINT => {
                self.say(Level::Notice, format_args!("signal {signal}, exiting"));
                self.service_manager.stopping(self.new_binary);
                self.ending = Ending::Stopping(clock::monotonic() + END);
                self.listeners.close();
                self.signal_children(SIGTERM);
            }
            _ => {}
        }
    }

    /// Lets the children complete their requests; then this process exits.
    fn finish(&mut self) {
        self.service_manager.stopping(self.new_binary);
        self.ending = Ending::Draining;
        // The child still accepts the backlog, then closes its listening sockets.
        self.listeners.close();
        self.drain(usize::MAX);
    }

    fn signal_children(&self, number: i32) {
        let starting = self.starting.as_ref().map(|starting| starting.pid);
        for pid in self.children.iter().map(|child| child.pid).chain(starting) {
            // A child that has just exited is reaped in the next turn.
            let _ = process::kill(pid, number);
        }
    }

    /// Tells the first `count` children to complete their requests and exit.
    fn drain(&mut self, count: usize) {
        for child in self.children.iter_mut().take(count).filter(|child| !child.draining) {
            child.draining = true;
            let _ = process::kill(child.pid, SIGQUIT);
        }
    }

    /// Logs orphaned programs. `left`: the number of programs that outlived their serving process and were sent TERM.
    fn log_orphans(&mut self, left: usize) {
        if left > 0 {
            self.say(Level::Notice, format_args!("{left} CGI programs outlived their process: they are ended"));
        }
    }

    fn reap(&mut self) {
        while let Ok(Some((pid, exit))) = process::reap() {
            self.counters.iter().for_each(|page| Stats::forget(page, pid));
            if self.new_binary == Some(pid) {
                self.new_binary_ended(pid);
                continue;
            }
            if self.starting.as_ref().is_some_and(|starting| starting.pid == pid) && !self.has_come_up() {
                self.start_failed(&format!("process {pid} {}", exit_text(exit)));
                continue;
            }
            let Some(at) = self.children.iter().position(|child| child.pid == pid) else { continue };
            let child = self.children.remove(at);
            let cause = exit_text(exit);
            let left = self.orphans.end(exit);
            self.log_orphans(left);
            if child.draining || self.ending != Ending::No {
                self.say(Level::Notice, format_args!("serving process {pid} {cause}"));
                continue;
            }
            if clock::monotonic().saturating_sub(child.started) >= HEALTHY {
                self.pause = 0;
            }
            let pause = self.pause;
            self.say(Level::Crit, format_args!("serving process {pid} {cause}; started again in {pause} ms"));
            self.restart_later();
        }
    }

    /// The new binary exited before this process, which continues.
    fn new_binary_ended(&mut self, pid: i32) {
        self.new_binary = None;
        self.listeners.share(false);
        if let Some(file) = &self.pid_file {
            file.take_back();
        }
        self.upgrade_failed(&reload::ended_early(pid));
    }

    /// Logs why an upgrade failed, and reports it to the command that requested it.
    fn upgrade_failed(&mut self, why: &str) {
        self.say(Level::Emerg, format_args!("{why}"));
        self.reloads += 1;
        if let Some(file) = &self.pid_file {
            reload_report::write(file.path(), &reload::failed_upgrade(self.reloads, &self.config_source, why));
        }
    }

    /// Makes listening sockets listen again that a serving process has shut down. Called at each wake-up, most often
    /// because a child exited.
    fn mend_listeners(&mut self) {
        for Mended { addr, how } in self.listeners.mend(&self.config) {
            match how {
                Ok(how) => {
                    self.say(Level::Alert, format_args!("{addr} was shut down by a serving process, listening again"));
                    if how == How::Bound && self.has_children() && self.reload == Reload::No {
                        self.reload = Reload::Wanted;
                    }
                }
                Err(e) => self.say(Level::Alert, format_args!("{addr} was shut down by a serving process: {e}")),
            }
        }
    }

    fn restart_failed(&mut self, why: &str) {
        self.say(Level::Crit, format_args!("the serving process could not be started again: {why}"));
        self.restart_later();
    }

    fn restart_later(&mut self) {
        self.restart_at = Some(clock::monotonic() + self.pause);
        self.pause = (self.pause * 2).clamp(PAUSE, LONGEST);
    }

    /// Opens the journal of hidden names, which is beside the pid file, where only root may write.
    fn open_journal(&mut self) {
        let Some(path) = journal_path(&self.config) else { return };
        match temp_names::open_journal(&path) {
            Ok(journal) => self.journal = Some((journal, path)),
            // Uploads work without the journal.
            Err(Errno::EROFS) => {}
            Err(e) => self.say(Level::Warn, format_args!("open() \"{}\" failed {e}", path.to_string_lossy())),
        }
    }

    fn reopen(&mut self) {
        let failed = self.logs.reopen();
        self.reloads += 1;
        let (lines, report) = reload::not_reopened(self.reloads, &self.config_source, failed);
        for line in lines {
            self.say(Level::Emerg, format_args!("{line}"));
            self.logs.copy_to_stderr(&self.config.process.error_log, &line);
        }
        if let Some(file) = &self.pid_file {
            reload_report::write(file.path(), &report);
        }
        for child in &self.children {
            self.hand_logs(child);
        }
        // A starting child was forked with the old descriptors.
        if let Some(starting) = &mut self.starting {
            starting.has_old_logs = true;
        }
    }

    /// None while a child starts, which could not receive the certificate.
    fn next_renewal(&self) -> Option<u64> {
        self.renewals.next().filter(|_| self.starting.is_none() && self.ending == Ending::No)
    }

    /// Renews a certificate that is due, and passes it to the serving child.
    fn renew_certificate(&mut self) {
        if self.next_renewal().is_none() {
            return;
        }
        let config = self.config.clone();
        let Some(Renewed { level, text, made }) = self.renewals.step(&config, clock::monotonic(), clock::realtime().0)
        else {
            return;
        };
        self.say(level, format_args!("{text}"));
        let Some((server, issued)) = made else { return };
        match packed(&issued) {
            Ok(file) => {
                for child in self.children.iter().filter(|child| !child.draining) {
                    // A child that does not read its channel is about to exit.
                    let _ = pass::send(child.channel.as_fd(), &certificate_message(server), &[file.as_fd()]);
                }
            }
            Err(e) => self.say(Level::Error, format_args!("memfd_create() of a certificate failed {e}")),
        }
    }

    /// Passes the open logs to a child.
    fn hand_logs(&self, child: &Child) {
        let open: Vec<(u32, BorrowedFd<'_>)> = self
            .logs
            .descriptors()
            .filter_map(|(_, path, fd)| Some((child.logs.iter().position(|known| known == path)? as u32, fd)))
            .collect();
        for some in open.chunks(pass::MOST) {
            let (ids, fds): (Vec<u32>, Vec<BorrowedFd<'_>>) = some.iter().copied().unzip();
            // A child that does not read its channel is about to exit; until then it writes to the old files.
            let _ = pass::send(child.channel.as_fd(), &logs_message(&ids), &fds);
        }
    }
}

/// How a child ended, in nginx's words, which scripts wait for after a reload.
fn exit_text(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exited with code {code}"),
        Exit::Signal(signal) => format!("exited on signal {signal}"),
    }
}

//! The parent: keeps root's rights, obeys root's signals, and watches over the process that serves.
//!
//! | signal | what it does |
//! |---|---|
//! | HUP | reads the configuration; a fresh child serves, the old one drains. What is wrong leaves everything as it was |
//! | USR1 | opens the logs again and hands them down |
//! | USR2 | starts the binary that lies at its place now, with the listeners |
//! | RTMIN | health checks fail; after drain_delay as QUIT |
//! | WINCH | drains: the child finishes, this process and the listeners stay |
//! | QUIT | drains and ends |
//! | TERM, INT | ends |
//!
//! Invariants: nothing is read from the network here; a child that ends by itself is started again, after a pause
//! that doubles while it keeps ending soon, with the listeners open all the while.

use super::sandbox;
use crate::config::error::Severity;
use crate::config::model::{Config, Level};
use crate::server::lifecycle::{self, Failure, Prepared};
use crate::server::listeners::Listeners;
use crate::server::parent_link::{ParentLink, logs_message};
use crate::server::pid_file::PidFile;
use crate::server::reload::{self, Origin};
use crate::server::reload_report::{self, Report};
use crate::server::signals::Signals;
use crate::server::supervisor::Supervisor;
use crate::server::temp_paths;
use crate::server::upload_services::journal_path;
use crate::server::worker::{Worker, worker};
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
use crate::tls::ticket;
use std::ffi::CString;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::rc::Rc;

/// A child that lived this long had no trouble with its start, milliseconds.
const HEALTHY: u64 = 10_000;
/// The first pause before one that ended sooner is started again, and the longest.
const PAUSE: u64 = 50;
const LONGEST: u64 = 5_000;
/// How long a fresh child may take until it serves.
const START: u32 = 30_000;
/// How long one may take to end at once.
const END: u64 = 5_000;

struct Child {
    pid: i32,
    channel: OwnedFd,
    /// Log files by their ids there; empty where there is none.
    logs: Vec<PathBuf>,
    started: u64,
    /// It was sent QUIT.
    draining: bool,
}

struct Parent {
    config: Rc<Config>,
    origin: Origin,
    logs: Logs,
    listeners: Listeners,
    signals: Signals,
    pid_file: Option<PidFile>,
    worker: Worker,
    notes: Vec<(Level, String)>,
    now: Clock,
    journal: Option<(OwnedFd, CString)>,
    children: Vec<Child>,
    new_binary: Option<i32>,
    reloads: u64,
    /// When the child is started again.
    restart_at: Option<u64>,
    pause: u64,
    ending: Ending,
    is_daemon: bool,
    supervisor: Supervisor,
    /// What the children count, one after another; None: there was no memory for it, and each begins at nothing.
    counters: Option<Rc<Shared>>,
    /// A drain ends its first part.
    drained_at: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    No,
    Draining,
    /// By then at the latest.
    Stopping(u64),
}

/// Serves through children until a signal ends it.
///
/// # Errors
/// The first child does not come up.
pub fn run(prepared: Prepared, worker: Worker) -> Result<(), Failure> {
    let (mut parent, announce) = Parent::new(prepared, worker);
    parent.open_journal();
    parent.spawn().map_err(|why| Failure::of(format!("the serving process did not come up: {why}")))?;
    announce(&mut parent)?;
    parent.supervisor.ready("serving");
    process::trim_memory();
    while parent.ending == Ending::No || !parent.children.is_empty() {
        parent.turn();
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
    fn new(mut prepared: Prepared, worker: Worker) -> (Parent, Announce) {
        let ready = prepared.take_ready();
        let Prepared { config, origin, logs, listeners, signals, pid_file, notes, .. } = prepared;
        let parent = Parent {
            config,
            origin,
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
            restart_at: None,
            pause: 0,
            ending: Ending::No,
            is_daemon: ready.is_some(),
            supervisor: Supervisor::from_env(),
            drained_at: None,
            counters: Stats::page().ok(),
        };
        let announce: Announce = Box::new(|parent| lifecycle::announce(ready, &parent.config, &mut parent.logs));
        (parent, announce)
    }

    fn say(&mut self, level: Level, what: fmt::Arguments<'_>) {
        self.now.advance();
        self.logs.error(&self.config.process.error_log, level, &mut self.now, None, what);
    }

    /// Waits for a signal, or for the time to start a child.
    fn turn(&mut self) {
        let now = clock::monotonic();
        let end = match self.ending {
            Ending::Stopping(at) => Some(at),
            _ => None,
        };
        let due = self.restart_at.into_iter().chain(end).chain(self.drained_at).min();
        let millis = due.map_or(u32::MAX, |at| u32::try_from(at.saturating_sub(now)).unwrap_or(u32::MAX - 1));
        if let Some(fd) = self.signals.fd() {
            let _ = file::wait_any(&[fd], millis);
        }
        for signal in self.signals.take() {
            self.handle(&signal);
        }
        let now = clock::monotonic();
        if self.restart_at.is_some_and(|at| at <= now) && self.ending == Ending::No {
            self.restart_at = None;
            if let Err(why) = self.spawn() {
                self.say(Level::Crit, format_args!("the serving process could not be started again: {why}"));
                self.restart_later();
            }
        }
        if self.drained_at.is_some_and(|at| at <= now) {
            self.drained_at = None;
            self.say(Level::Notice, format_args!("drained, shutting down"));
            self.finish();
        }
        if matches!(self.ending, Ending::Stopping(at) if at <= now) {
            self.signal_children(SIGKILL);
        }
    }

    fn handle(&mut self, signal: &Signal) {
        let number = signal.number;
        // Only root, or who started us, reaches a process of root's; the kernel sees to it.
        match number {
            SIGCHLD => self.reap(),
            SIGHUP => {
                self.say(Level::Notice, format_args!("signal {number} (SIGHUP) received, reconfiguring"));
                self.reload();
            }
            SIGUSR1 => {
                self.say(Level::Notice, format_args!("signal {number} (SIGUSR1) received, reopening logs"));
                self.reopen();
            }
            SIGUSR2 => match reload::start_new_binary(&self.origin, &self.listeners) {
                Ok(pid) => {
                    self.new_binary = Some(pid);
                    self.listeners.share();
                    self.say(Level::Notice, format_args!("start new binary process, pid {pid}"));
                }
                Err(text) => self.say(Level::Emerg, format_args!("{text}")),
            },
            SIGWINCH => {
                self.restart_at = None;
                self.drain(usize::MAX);
            }
            SIGQUIT => {
                self.say(Level::Notice, format_args!("signal {number} (SIGQUIT) received, shutting down"));
                self.finish();
            }
            drain if drain == process::sigdrain() => {
                self.signal_children(number);
                self.supervisor.draining();
                self.drained_at.get_or_insert(clock::monotonic() + self.config.process.drain_delay);
            }
            SIGTERM | SIGINT => {
                self.say(Level::Notice, format_args!("signal {number} received, exiting"));
                self.supervisor.stopping(self.new_binary);
                self.ending = Ending::Stopping(clock::monotonic() + END);
                self.listeners.close();
                self.signal_children(SIGTERM);
            }
            _ => {}
        }
    }

    /// Everything under way is finished, then this process ends.
    fn finish(&mut self) {
        self.supervisor.stopping(self.new_binary);
        self.ending = Ending::Draining;
        // What is in the backlog is the child's, which closes them after it.
        self.listeners.close();
        self.drain(usize::MAX);
    }

    fn signal_children(&self, number: i32) {
        for child in &self.children {
            // One that has just ended is reaped in the next turn.
            let _ = process::kill(child.pid, number);
        }
    }

    /// The first `count` children finish what they have begun.
    fn drain(&mut self, count: usize) {
        for child in self.children.iter_mut().take(count).filter(|child| !child.draining) {
            child.draining = true;
            let _ = process::kill(child.pid, SIGQUIT);
        }
    }

    fn reap(&mut self) {
        while let Ok(Some((pid, exit))) = process::reap() {
            if self.new_binary == Some(pid) {
                self.new_binary = None;
                if let Some(file) = &self.pid_file {
                    file.take_back();
                }
                continue;
            }
            let Some(at) = self.children.iter().position(|child| child.pid == pid) else { continue };
            let child = self.children.remove(at);
            // nginx's words, which scripts wait for after a reload.
            let cause = match exit {
                Exit::Code(code) => format!("exited with code {code}"),
                Exit::Signal(signal) => format!("exited on signal {signal}"),
            };
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

    fn restart_later(&mut self) {
        self.restart_at = Some(clock::monotonic() + self.pause);
        self.pause = (self.pause * 2).clamp(PAUSE, LONGEST);
    }

    /// Starts a child that serves the present configuration, and waits until it does.
    ///
    /// # Errors
    /// It ended first: why is in its log.
    fn spawn(&mut self) -> Result<(), String> {
        let (ours, theirs) = pass::pair().map_err(|e| format!("socketpair() failed {e}"))?;
        let lifetimes = self.config.locations.iter().map(|location| location.settings.ssl.timeout.0 / 1000);
        ticket::prepare(lifetimes.max().unwrap_or(0));
        let pid = match process::fork().map_err(|e| format!("fork() failed {e}"))? {
            Some(pid) => pid,
            None => {
                drop(ours);
                // Nothing of the parent's state may be torn down here: it ends without.
                let status = catch_unwind(AssertUnwindSafe(|| self.serve(theirs))).unwrap_or(101);
                process::leave(status)
            }
        };
        drop(theirs);
        let mut text = [0; 8];
        let ready = file::wait_readable(ours.as_fd(), START).is_ok_and(|ready| ready)
            && matches!(pass::receive(ours.as_fd(), &mut text), Ok((1.., _)));
        if !ready {
            let _ = process::kill(pid, SIGKILL);
            return Err(format!("process {pid} did not get to serve"));
        }
        let logs = self.logs.paths();
        self.children.push(Child { pid, channel: ours, logs, started: clock::monotonic(), draining: false });
        self.notes.clear();
        Ok(())
    }

    /// The life of a child, in the child. Gives its status.
    fn serve(&mut self, channel: OwnedFd) -> i32 {
        self.children.clear();
        // The lock on the pid file is the parent's alone.
        self.pid_file = None;
        let missing = match sandbox::enter(&self.worker, &self.config) {
            Ok(missing) => missing,
            Err((call, e)) => {
                self.say(Level::Emerg, format_args!("{call} failed {e}"));
                return 2;
            }
        };
        let signals = match Signals::watch() {
            Ok(signals) => signals,
            Err(e) => {
                self.say(Level::Emerg, format_args!("signalfd() failed {e}"));
                return 2;
            }
        };
        let mut listeners = std::mem::take(&mut self.listeners);
        listeners.share();
        let link = ParentLink::new(channel);
        let mut logs = std::mem::take(&mut self.logs);
        if self.is_daemon && lifecycle::leave_terminal(&self.config, &mut logs).is_err() {
            return 2;
        }
        let mut server = match lifecycle::begin(self.config.clone(), logs, listeners, signals) {
            Ok(server) => server,
            Err(_) => return 2,
        };
        server.supervisor = std::mem::take(&mut self.supervisor).for_child();
        if let Some(page) = self.counters.take() {
            server.cx.stats.share(page);
        }
        link.tell_ready();
        if server.obey(link).is_err() {
            return 2;
        }
        server.note_start(&std::mem::take(&mut self.notes));
        for name in missing {
            server.note(format_args!("served without {name}: this system has it not"));
        }
        if let Some((journal, _)) = self.journal.take() {
            server.take_journal(journal);
        }
        server.open_syncs();
        server.prepare_passwords();
        server.run().end_journal();
        0
    }

    /// The journal of hidden names lies beside the pid file, where only root may write: it is opened here.
    fn open_journal(&mut self) {
        let Some(path) = journal_path(&self.config) else { return };
        match temp_names::open_journal(&path) {
            Ok(journal) => self.journal = Some((journal, path)),
            // Uploads work without it.
            Err(Errno::EROFS) => {}
            Err(e) => self.say(Level::Warn, format_args!("open() \"{}\" failed {e}", path.to_string_lossy())),
        }
    }

    fn reopen(&mut self) {
        for (path, e) in self.logs.reopen() {
            self.say(Level::Emerg, format_args!("open() \"{}\" failed {e}", path.display()));
        }
        for child in &self.children {
            let open: Vec<(u32, BorrowedFd<'_>)> = self
                .logs
                .descriptors()
                .filter_map(|(_, path, fd)| Some((child.logs.iter().position(|known| known == path)? as u32, fd)))
                .collect();
            for some in open.chunks(pass::MOST) {
                let (ids, fds): (Vec<u32>, Vec<BorrowedFd<'_>>) = some.iter().copied().unzip();
                // A child that does not read is about to end; its logs are the old ones until then.
                let _ = pass::send(child.channel.as_fd(), &logs_message(&ids), &fds);
            }
        }
    }

    fn reload(&mut self) {
        self.supervisor.reloading();
        let errors = self.renew().err().unwrap_or_default();
        self.reloads += 1;
        self.supervisor.ready(if errors.is_empty() { "serving" } else { reload::REFUSED });
        if let Some(file) = &self.pid_file {
            reload_report::write(file.path(), &Report { number: self.reloads, errors });
        }
    }

    /// # Errors
    /// What `-t` would say, or the call that failed; the error log has it already, and everything is as it was.
    fn renew(&mut self) -> Result<(), String> {
        let origin = self.origin.clone();
        let read = origin.read(Vec::new());
        let Some(config) = read.config else {
            for diagnostic in read.diagnostics.iter().filter(|d| d.severity == Severity::Emerg) {
                let hints: String = diagnostic.label.iter().chain(&diagnostic.help).map(|h| format!("; {h}")).collect();
                let text = diagnostic.summary(&read.sources);
                self.say(Level::Emerg, format_args!("{text}{hints}"));
            }
            self.say(Level::Error, format_args!("the configuration was not reloaded, the old one stays"));
            return Err(read.diagnostics.render(&read.sources, &origin.program));
        };
        let notes = reload::notes(&read.diagnostics, &read.sources);
        drop(read.sources);
        self.replace(config, notes).map_err(|why| {
            self.say(Level::Emerg, format_args!("{why}; the old configuration stays"));
            format!("{}: [emerg] {why}; the old configuration stays\n", origin.program)
        })
    }

    /// Everything for the new configuration is opened before anything of the old is let go.
    fn replace(&mut self, config: Config, notes: Vec<(Level, String)>) -> Result<(), String> {
        let worker = match worker(&config, self.origin.form) {
            Ok(Some(worker)) => worker,
            Ok(None) => return Err("\"user root\" takes effect with a restart".to_owned()),
            Err(Failure { why, .. }) => return Err(why),
        };
        let mut logs = Logs::new();
        if !self.logs.has_stderr() {
            logs.drop_stderr();
        }
        logs.open(&config).map_err(|(path, e)| format!("open() \"{}\" failed {e}", path.display()))?;
        temp_paths::make(&config, Some(worker.uid)).map_err(|Failure { why, .. }| why)?;
        self.listeners.assume(&config).map_err(|e| e.to_string())?;
        let old = self.children.len();
        let config = std::mem::replace(&mut self.config, Rc::new(config));
        let logs = std::mem::replace(&mut self.logs, logs);
        let worker = std::mem::replace(&mut self.worker, worker);
        let journal = self.journal.take();
        self.open_journal();
        self.notes = notes.clone();
        if let Err(why) = self.spawn() {
            (self.config, self.logs, self.worker) = (config, logs, worker);
            // Its file has lost its name; it goes on as it is.
            self.journal = journal;
            self.notes.clear();
            let _ = self.listeners.assume(&self.config);
            return Err(why);
        }
        self.restart_at = None;
        self.pause = 0;
        self.say(Level::Notice, format_args!("the configuration was reloaded"));
        self.drain(old);
        Ok(())
    }
}

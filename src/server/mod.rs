//! The process: one epoll loop over listeners, clients and signals. [`Server::turn`] is one iteration.

pub mod accept;
mod acme;
mod certificate_renewals;
mod children;
mod config_source;
mod connection_limit;
mod connections;
mod crowd;
mod drain;
pub mod failed_start;
mod failure;
mod file_systems;
pub mod greeting;
mod handover;
mod handover_links;
mod invariants;
pub mod lifecycle;
pub mod listeners;
pub mod local_certificates;
mod log_work;
mod log_work_state;
mod memory;
mod names;
mod panics;
mod parent_channel;
pub mod parent_link;
mod passwords;
pub mod pid_file;
pub mod reload;
pub mod reload_report;
mod retired;
mod run_directory;
pub mod service_manager;
pub mod serving_user;
pub mod signal_command;
mod signal_source;
pub mod signals;
mod streams;
pub mod temp_paths;
#[cfg(test)]
mod test_world;
mod timers;
pub mod upload_services;
mod wakeup;
mod watched_services;

use crate::config::model::{Config, Level};
use crate::conn::io::CloseReason;
use crate::conn::token::{Role, role_of, token_of};
use crate::conn::upstream::pool::UpstreamConns;
use crate::conn::{Conn, Pool};
use crate::exchange::handlers::resumable::sweep;
use crate::services::Services;
use crate::sys::Errno;
use crate::sys::epoll::{self, Epoll, Events, Timeout};
use crate::sys::process::free_memory::FreeMemory;
use crate::util::inject::panic_point;
use crate::util::slab::{Key, Slab};
use crate::util::wheel::Wheel;
use listeners::Listeners;
use std::collections::VecDeque;
use std::rc::Rc;
use wakeup::WakeTimer;

/// What the process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Requests are accepted.
    Serving,
    /// QUIT: requests in progress are completed, no connections are accepted. Ends at `until` at the latest.
    Quitting {
        /// worker_shutdown_timeout, in monotonic milliseconds.
        until: Option<u64>,
        /// Not all connections that were idle at the beginning are closed.
        closes_idle: bool,
    },
    /// TERM, or all is done: the loop ends.
    Stopped,
}

/// HUP arrived: the configuration is read between two turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reload {
    No,
    Wanted,
    UnderWay,
    /// HUP arrived again meanwhile.
    Again,
}

/// The serving process: epoll, its connections, and what they share.
pub struct Server {
    epoll: Rc<Epoll>,
    wake_timer: WakeTimer,
    events: Events,
    /// The listening sockets.
    pub listeners: Listeners,
    conns: Slab<Conn>,
    wheel: Wheel,
    /// Connections waiting for their first request, in order of their ticket deadlines, for which the wheel's ticks are
    /// too long. An entry is valid only while its connection still waits.
    held_tickets: VecDeque<(Key, u64)>,
    /// Connections that used up their share of a turn: all are driven in the next one.
    run: VecDeque<Key>,
    /// Connections with bodies to transfer: they share [`BULK`] per turn.
    bulky: VecDeque<Key>,
    /// Connections with an event that the last turn had no time for: the next turn begins with them.
    late: VecDeque<Key>,
    /// Bytes of bodies that may still be transferred in this turn ([`BULK`]).
    bulk: usize,
    /// Connections with responses of this turn that are not sent yet.
    batched: Vec<Key>,
    /// What all requests share.
    pub cx: Services,
    pool: Pool,
    /// Slots of connections whose deadline has passed, and that had no time in their turn yet.
    timed_out: Vec<u32>,
    /// Connections just accepted.
    fresh: Vec<Key>,
    serial: u64,
    /// What the process is doing.
    pub mode: Mode,
    /// Accepting is paused until then, for lack of descriptors.
    paused_until: Option<u64>,
    /// Accepting is paused for lack of descriptors or connections; the next close resumes it.
    is_out_of_room: bool,
    /// When that was last logged (monotonic milliseconds).
    shortage_logged_at: Option<u64>,
    /// Signals that arrived this turn.
    pub signals: signal_source::Signals,
    /// When buffered log lines must be written.
    log_due: Option<u64>,
    limit: usize,
    /// The source of the configuration; None in tests.
    pub config_source: Option<config_source::ConfigSource>,
    /// The link to the privileged parent, if there is one.
    pub parent: Option<parent_channel::ParentLink>,
    /// None if no pid file is configured, or the parent has it.
    pub pid_file: Option<pid_file::PidFile>,
    /// Old configurations still used by requests in progress.
    old_configs: Vec<Rc<Config>>,
    /// Old configurations no longer used: large ones are freed over several turns.
    spent_configs: Vec<Config>,
    /// Old configurations with the time when connections that still use them are closed ([`drain`]).
    retired: Vec<retired::Retired>,
    reload: Reload,
    /// Events postponed by a reload.
    held: Vec<(u64, u32)>,
    /// The new binary started by an upgrade, while it runs.
    new_binary: Option<i32>,
    /// Number of reloads so far, successful or not.
    reloads: u64,
    /// Which services' sockets are registered with epoll.
    watched: watched_services::Watched,
    /// The service manager, if there is one.
    pub service_manager: service_manager::ServiceManager,
    /// When the first part of a drain ends: then requests in progress are completed, and no new ones accepted.
    drained_at: Option<u64>,
    acme: acme::fetches::Fetches,
    renewals: certificate_renewals::Renewals,
    handover: handover_links::Handover,
    crowd: crowd::Crowd,
    log_work: log_work_state::LogWork,
    /// Freed memory that is being returned to the kernel.
    returning: Option<FreeMemory>,
}

/// Milliseconds between two sweeps of idle descriptors in the file cache.
const SWEEP: u64 = 2_500;
/// Maximum milliseconds between two checks of certificates: a change of the wall clock is seen at the next event.
const CERTIFICATE_CHECK: u64 = 3_600_000;
/// Bytes of bodies transferred per turn by all connections together, apart from what each may transfer in any case
/// ([`crate::conn::io::SHARE`]). Large chunks are efficient, and however many connections there are, a small request
/// waits for at most one. Connections that have used their share wait in a queue.
const BULK: usize = 4 << 20;
/// Bytes that queued connections may transfer per turn, however much others have transferred.
const LEAST: usize = 1 << 20;
/// Number of short responses batched before the first is sent. The first send wakes the client, or its proxy, which
/// costs more than sending; if others follow closely, it stays awake for them and sends its next requests together.
/// Measured with 64 clients: 9 % of CPU per request. Larger batches gain nothing measurable, and delay the first
/// response.
const GATHER: usize = 16;

impl Server {
    /// Creates a server with sockets already listening.
    ///
    /// # Errors
    /// The first system call that failed; without it there is no event loop.
    pub fn new(mut cx: Services, listeners: Listeners, signals: signal_source::Signals) -> Result<Server, Errno> {
        let epoll = Rc::new(Epoll::new()?);
        let wake_timer = WakeTimer::new(&epoll)?;
        let mut pool = Pool::new(UpstreamConns::new(epoll.clone()));
        let limit = connection_limit::of(&cx.config);
        pool.upstream_conns.set_limit(limit);
        connection_limit::note_descriptors(&mut cx);
        let mut server = Server {
            epoll,
            wake_timer,
            events: Events::new(),
            listeners,
            conns: Slab::new(),
            wheel: Wheel::new(cx.now.ms),
            held_tickets: VecDeque::new(),
            run: VecDeque::new(),
            bulky: VecDeque::new(),
            late: VecDeque::new(),
            bulk: BULK,
            batched: Vec::with_capacity(GATHER),
            cx,
            pool,
            timed_out: Vec::new(),
            fresh: Vec::new(),
            serial: 0,
            mode: Mode::Serving,
            paused_until: None,
            is_out_of_room: false,
            shortage_logged_at: None,
            signals,
            log_due: None,
            limit,
            config_source: None,
            parent: None,
            pid_file: None,
            old_configs: Vec::new(),
            spent_configs: Vec::new(),
            retired: Vec::new(),
            reload: Reload::No,
            held: Vec::new(),
            new_binary: None,
            reloads: 0,
            watched: watched_services::Watched::default(),
            service_manager: service_manager::ServiceManager::default(),
            drained_at: None,
            acme: acme::fetches::Fetches::default(),
            renewals: certificate_renewals::Renewals::new(CERTIFICATE_CHECK),
            handover: handover_links::Handover::default(),
            crowd: crowd::Crowd::default(),
            log_work: log_work_state::LogWork::default(),
            returning: None,
        };
        server.begin()?;
        Ok(server)
    }

    fn begin(&mut self) -> Result<(), Errno> {
        sweep::begin(&mut self.cx);
        self.adopt_acme();
        self.plan_local_certificates();
        self.cx.overload.set_limit(self.cx.config.process.memory_limit);
        if let Some(fd) = self.signals.fd() {
            self.epoll.add(fd, epoll::IN, token_of(Role::Signal))?;
        }
        self.watch_listeners()
    }

    /// The number of open connections.
    pub fn connections(&self) -> usize {
        self.cx.stats.active as usize
    }

    /// Runs until it is stopped by a signal. Returns the remaining state.
    pub fn run(mut self) -> Server {
        while self.mode != Mode::Stopped {
            self.turn();
            if self.reload == Reload::Wanted {
                self = self.reload();
            }
        }
        self.cx.children.end();
        self.cx.logs.flush_all();
        self
    }

    /// One iteration: wait, clock, events, timers, queued work, logs.
    pub fn turn(&mut self) {
        let deadline = self.next_due();
        let timeout = match deadline {
            Some(deadline) => self.wake_timer.wait(deadline, self.cx.now.ms),
            None => Timeout::Never,
        };
        self.turn_within(timeout, deadline);
    }

    /// One iteration without waiting, for a simulation that advances the clock itself.
    pub fn poll(&mut self) {
        self.turn_within(Timeout::Now, None);
    }

    /// One iteration. `deadline`: when the wait ends at the latest (monotonic milliseconds).
    fn turn_within(&mut self, timeout: Timeout, deadline: Option<u64>) {
        let began = self.cx.now.ms;
        let count = match self.epoll.wait(&mut self.events, timeout) {
            Ok(count) => count,
            Err(e) => {
                let log = self.cx.config.process.error_log.clone();
                self.cx.logs.error(&log, Level::Alert, &mut self.cx.now, None, format_args!("epoll_wait() failed {e}"));
                0
            }
        };
        self.bulk = BULK;
        self.cx.now.advance();
        self.cx.slice.begin();
        self.cx.handshakes.begin_turn();
        self.protected("looking at memory", Server::check_memory);
        if self.events.is_full() {
            // The postponed events may report changed files.
            self.cx.now.advance_epoch();
        }
        // These come first, whatever their place in the list: a signal sent before a request is obeyed before it, and a
        // file changed before it is served as changed.
        let (mut signalled, mut from_parent) = (false, false);
        for (token, _) in self.events.iter() {
            match role_of(token) {
                Some(Role::Signal) => signalled = true,
                Some(Role::Change) => self.cx.dir_watch.event(),
                Some(Role::Timer) => self.wake_timer.fired(),
                Some(Role::Parent) => from_parent = true,
                _ => {}
            }
        }
        if from_parent {
            self.protected("a message from the parent", Server::read_parent_messages);
        }
        if signalled {
            self.signals.read();
            self.handle_signals();
        }
        if self.reload == Reload::Wanted {
            // The reload comes before the requests that arrived with it, which wait for the next turn.
            self.held.extend(self.events.iter());
            return;
        }
        self.reap_children();
        self.protected("a postponed connection", Server::serve_late);
        // Handle closes before accepting: a client that closes one connection and opens another has only one, although
        // the listener may come first in the list.
        if self.dispatch_all(count) {
            self.accept(count);
        }
        self.protected("a held response", Server::send_batched);
        if !wakeup::has_overslept(deadline, began, self.cx.now.ms) {
            self.protected("the timers", Server::timers);
        }
        self.protected("a queued connection", Server::run_queue);
        self.protected("the end of a turn", Server::finish_turn);
    }

    /// Handles the first `count` events of this turn, and those of the turn before that a reload held up. True: there
    /// are connections to accept.
    fn dispatch_all(&mut self, count: usize) -> bool {
        let held = std::mem::take(&mut self.held);
        let (mut next, mut accepts, mut current) = (0, false, None);
        // Usually once: the events behind one that panicked are handled as all others.
        while next < held.len() + count {
            let outcome = self.protected("an event", |server| {
                while next < held.len() + count {
                    let event = held.get(next).copied().or_else(|| server.events.get(next - held.len()));
                    next += 1;
                    let Some((token, flags)) = event else { continue };
                    current = Some(token);
                    accepts |= server.dispatch(token, flags);
                }
            });
            if let (None, Some(token)) = (outcome, current)
                && role_of(token) == Some(Role::Client)
            {
                self.close(Key::from_u64(token), CloseReason::Bug);
            }
        }
        accepts
    }

    /// Handles an event. True: there are connections to accept.
    fn dispatch(&mut self, token: u64, flags: u32) -> bool {
        let (name, act): (&str, fn(&mut Server)) = match role_of(token) {
            Some(Role::Client) => {
                self.client_event(Key::from_u64(token), flags);
                return false;
            }
            Some(Role::Upstream) => {
                self.upstream_event(Key::from_u64(token), flags);
                return false;
            }
            Some(Role::Listener) => return true,
            Some(Role::Disk) => ("a write to the disk", Server::disk_event),
            Some(Role::Resolver) => ("an answer from the resolver", Server::resolver_event),
            Some(Role::Child) => ("a program", Server::child_event),
            Some(Role::Password) => ("a password", Server::password_event),
            Some(Role::Acme) => ("ACME", Server::acme_event),
            Some(Role::Successor) => ("a handover", Server::successor_event),
            Some(Role::Predecessor) => {
                self.protected("a handover", |server| server.predecessor_event(Key::from_u64(token)));
                return false;
            }
            Some(Role::Signal | Role::Change | Role::Timer | Role::Parent | Role::Awaited) | None => return false,
        };
        self.protected(name, act);
        false
    }

    /// The next time at which something is due without an event (monotonic milliseconds); may be past.
    fn next_due(&self) -> Option<u64> {
        let now = self.cx.now.ms;
        let works = self.is_handing_over()
            || self.cx.temp_names.is_cleaning()
            || self.cx.has_dirs_to_find()
            || self.cx.has_ended_dirs()
            || !self.spent_configs.is_empty()
            || self.cx.upstream_balance.is_pruning()
            || self.old_configs.iter().any(|config| Rc::strong_count(config) == 1)
            || !self.held.is_empty()
            || self.returning.is_some()
            || self.log_work.is_under_way()
            || matches!(self.mode, Mode::Quitting { closes_idle: true, .. });
        let queued =
            !self.run.is_empty() || !self.bulky.is_empty() || !self.late.is_empty() || !self.timed_out.is_empty();
        if queued || works {
            return Some(now);
        }
        let held = self.cx.files.holds_descriptors()
            || self.cx.directories.holds_descriptors()
            || self.cx.compressors.is_warm();
        let quit = match self.mode {
            Mode::Quitting { until, .. } => until,
            _ => None,
        };
        let after = |ms: u64| now.saturating_add(ms);
        let times = [
            self.wheel.next(now).map(after),
            self.held_tickets.front().map(|(_, at)| *at),
            self.log_due,
            self.paused_until,
            held.then(|| after(SWEEP)),
            quit,
            self.retired_due(),
            self.pool.upstream_conns.next_due(),
            self.cx.listings.next_due(),
            self.cx.temp_names.next_try(),
            self.next_service(),
            self.service_manager.next_due(),
            self.cx.overload.next_due(),
            self.crowd.next_due(),
            self.drained_at,
            sweep::due(&self.cx).map(after),
        ];
        times.into_iter().flatten().min()
    }

    /// Watches for changed files, unless done already.
    fn listen_for_changes(&mut self) {
        let Some((fd, known)) = self.cx.dir_watch.descriptor_to_arm() else { return };
        let (flags, token) = (epoll::IN | epoll::ONESHOT, token_of(Role::Change));
        let listening = if known { self.epoll.modify(fd, flags, token) } else { self.epoll.add(fd, flags, token) };
        // Without inotify, files are checked in every epoch.
        if listening.is_ok() {
            self.cx.dir_watch.armed();
        }
    }

    fn finish_turn(&mut self) {
        panic_point("end of a turn");
        self.cx.stats.queued = (self.run.len() + self.bulky.len() + self.late.len()) as u64;
        self.cx.stats.turn(self.cx.now.spent());
        self.cx.stats.publish();
        self.listen_for_changes();
        self.watch_services();
        // Before logs are flushed, since lines written by this would otherwise wait for the next event.
        self.end_retired();
        self.work_on_logs();
        self.log_due = self.cx.logs.flush_turn(self.cx.now.ms, &mut self.cx.slice);
        self.send_locks();
        self.send_state();
        self.drop_unused_configs();
        self.cx.free_ended_dirs();
        self.report_troubles();
        self.give_back_memory();
        self.end_quit();
    }
}

//! The process: one epoll loop over listeners, clients and signals. [`Server::turn`] is one round of it.

pub mod accept;
mod acme;
mod children;
mod connections;
mod drain;
mod failure;
pub mod greeting;
mod handover;
mod invariants;
pub mod lifecycle;
pub mod listeners;
mod memory;
mod names;
mod panics;
pub mod parent_link;
mod passwords;
pub mod pid_file;
pub mod reload;
pub mod reload_report;
mod run_directory;
pub mod service_manager;
pub mod serving_user;
pub mod signal_command;
pub mod signals;
mod streams;
pub mod temp_paths;
mod timers;
pub mod upload_services;
mod wakeup;

use crate::config::model::{Config, Level};
use crate::conn::token::{Role, role_of, token_of};
use crate::conn::upstream::pool::Backends;
use crate::conn::{Conn, Pool};
use crate::exchange::handlers::resumable::sweep;
use crate::services::Services;
use crate::sys::Errno;
use crate::sys::epoll::{self, Epoll, Events, Timeout};
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
    Serving,
    /// QUIT: active requests are finished, no new connection is accepted. The process ends at `until` at the latest.
    Quitting {
        until: Option<u64>,
    },
    Stopped,
}

/// HUP came: the configuration is read between two turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reload {
    No,
    Wanted,
    UnderWay,
    /// HUP came once more meanwhile.
    Again,
}

/// The serving process: epoll, its connections, and what they share.
pub struct Server {
    epoll: Rc<Epoll>,
    wake_timer: WakeTimer,
    events: Events,
    pub listeners: Listeners,
    conns: Slab<Conn>,
    wheel: Wheel,
    /// Connections that wait for their first request, in the order of their deadlines: the wheel's ticks are too long for
    /// these. An entry counts only while its connection still waits for that.
    held_tickets: VecDeque<(Key, u64)>,
    /// Connections that used up their share of a turn: all of them are driven in the next.
    run: VecDeque<Key>,
    /// Connections that have bodies to move: they share [`BULK`] in each turn.
    bulky: VecDeque<Key>,
    /// Connections with an event that the last turn had no time for: the next turn begins with them.
    late: VecDeque<Key>,
    /// Bytes of bodies that may still be moved in this turn ([`BULK`]).
    bulk: usize,
    /// Connections whose responses of this turn are made but not sent.
    batched: Vec<Key>,
    pub cx: Services,
    pool: Pool,
    due: Vec<u32>,
    /// Connections just accepted.
    fresh: Vec<Key>,
    serial: u64,
    pub mode: Mode,
    /// Accepting is paused until then: the process is out of descriptors.
    paused_until: Option<u64>,
    /// Accepting is paused for lack of descriptors or connections, which the next one that is closed ends.
    is_short: bool,
    /// When that was last logged, monotonic milliseconds.
    short_said: Option<u64>,
    /// Signals that arrived this turn.
    pub signals: signals::Signals,
    /// When held log lines must be out.
    log_due: Option<u64>,
    limit: usize,
    /// Where the configuration came from; None where a test made it.
    pub origin: Option<reload::Origin>,
    /// The link to the parent that keeps root's rights, if there is one.
    pub parent: Option<parent_link::ParentLink>,
    /// None where the configuration names none, or a parent has it.
    pub pid_file: Option<pid_file::PidFile>,
    /// Earlier configurations that requests in progress still use.
    old_configs: Vec<Rc<Config>>,
    /// Those that nothing holds any more: a large one is dropped over several turns.
    spent_configs: Vec<Config>,
    /// Old configurations, and when what still runs by them is cut off ([`drain`]).
    retired: Vec<drain::Retired>,
    reload: Reload,
    /// Events that wait for a reload.
    held: Vec<(u64, u32)>,
    /// The process that an upgrade started, while it runs.
    new_binary: Option<i32>,
    /// Reloads so far, whatever became of them.
    reloads: u64,
    /// Which services' sockets are registered with epoll.
    watched: names::Watched,
    pub service_manager: service_manager::ServiceManager,
    /// A drain ends its first part: requests in progress are finished, no new ones are taken.
    drained_at: Option<u64>,
    acme: acme::Fetches,
    handover: handover::Handover,
    crowd: memory::Crowd,
}

/// How often idle descriptors of the file cache are looked at.
const SWEEP: u64 = 2_500;
/// Bytes of bodies moved in a turn, by all connections together but for what each may move in any case
/// ([`crate::conn::io::SHARE`]): large bites are what makes them cheap, and however many there are, a small request
/// does not wait for more than one. Those that have their share of the next turns wait in a queue.
const BULK: usize = 4 << 20;
/// Bytes that queued connections may move in a turn however much the others have moved.
const LEAST: usize = 1 << 20;
/// Short responses that are made before the first of them is sent. The first send wakes the client, or its proxy, which
/// costs more than the sending; when the others follow closely it stays awake for them, and sends its next requests
/// together. Measured with 64 clients: 9 % of the CPU per request. More gain nothing that shows, and make the first
/// wait.
const GATHER: usize = 16;

impl Server {
    /// A server over sockets that are bound and listening.
    ///
    /// # Errors
    /// The first system call that failed; the process has no loop without it.
    pub fn new(mut cx: Services, listeners: Listeners, signals: signals::Signals) -> Result<Server, Errno> {
        let epoll = Rc::new(Epoll::new()?);
        let wake_timer = WakeTimer::new(&epoll)?;
        let mut pool = Pool::new(Backends::new(epoll.clone()));
        let now = cx.now.ms;
        let limit = accept::connection_limit(&cx.config);
        pool.backends.set_limit(limit);
        accept::note_descriptors(&mut cx);
        let mut server = Server {
            epoll,
            wake_timer,
            events: Events::new(),
            listeners,
            conns: Slab::new(),
            wheel: Wheel::new(now),
            held_tickets: VecDeque::new(),
            run: VecDeque::new(),
            bulky: VecDeque::new(),
            late: VecDeque::new(),
            bulk: BULK,
            batched: Vec::with_capacity(GATHER),
            cx,
            pool,
            due: Vec::new(),
            fresh: Vec::new(),
            serial: 0,
            mode: Mode::Serving,
            paused_until: None,
            is_short: false,
            short_said: None,
            signals,
            log_due: None,
            limit,
            origin: None,
            parent: None,
            pid_file: None,
            old_configs: Vec::new(),
            spent_configs: Vec::new(),
            retired: Vec::new(),
            reload: Reload::No,
            held: Vec::new(),
            new_binary: None,
            reloads: 0,
            watched: names::Watched::default(),
            service_manager: service_manager::ServiceManager::default(),
            drained_at: None,
            acme: acme::Fetches::default(),
            handover: handover::Handover::default(),
            crowd: memory::Crowd::default(),
        };
        sweep::begin(&mut server.cx);
        server.adopt_acme();
        server.cx.overload.set_limit(server.cx.config.process.memory_limit);
        if let Some(fd) = server.signals.fd() {
            server.epoll.add(fd, epoll::IN, token_of(Role::Signal))?;
        }
        server.watch_listeners()?;
        Ok(server)
    }

    /// Connections open now.
    pub fn connections(&self) -> usize {
        self.cx.stats.active as usize
    }

    /// Until a signal ends it. Gives what is left then.
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

    /// One round: wait, clock, events, timers, those that were not done, logs.
    pub fn turn(&mut self) {
        let due = self.due();
        let timeout = match due {
            Some(due) => self.wake_timer.wait(due, self.cx.now.ms),
            None => Timeout::Never,
        };
        self.turn_within(timeout, due);
    }

    /// One round that does not wait: for a simulation, which moves the clock itself.
    pub fn poll(&mut self) {
        self.turn_within(Timeout::Now, None);
    }

    /// One round. `due`: the deadline at which the wait ends, monotonic milliseconds.
    fn turn_within(&mut self, timeout: Timeout, due: Option<u64>) {
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
            // The held events may say that files have changed.
            self.cx.now.advance_epoch();
        }
        // A signal sent before a request is obeyed before it, and a file changed before it is seen as it is: these
        // first, whatever their place in the list.
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
            self.protected("word from the parent", Server::read_parent_messages);
        }
        if signalled {
            self.signals.read();
            self.handle_signals();
        }
        if self.reload == Reload::Wanted {
            // The reload comes before the requests that came with it, which wait for the next turn.
            self.held.extend(self.events.iter());
            return;
        }
        self.reap_children();
        self.serve_late();
        let mut accepts = false;
        for (token, flags) in std::mem::take(&mut self.held) {
            accepts |= self.dispatch(token, flags);
        }
        for at in 0..count {
            let Some((token, flags)) = self.events.get(at) else { break };
            accepts |= self.dispatch(token, flags);
        }
        // Closes are seen before new connections are read: a client that closes one connection and opens another has
        // but one, though a listener may stand before both in the list.
        if accepts {
            self.accept(count);
        }
        self.send_batched();
        if !wakeup::has_overslept(due, began, self.cx.now.ms) {
            self.timers();
        }
        self.run_queue();
        self.protected("the end of a turn", Server::finish_turn);
    }

    /// Acts on an event. True: there are connections to accept.
    fn dispatch(&mut self, token: u64, flags: u32) -> bool {
        let (name, act): (&str, fn(&mut Server)) = match role_of(token) {
            Some(Role::Client) => {
                self.client_event(Key::from_u64(token), flags);
                return false;
            }
            Some(Role::Backend) => {
                self.backend_event(Key::from_u64(token), flags);
                return false;
            }
            Some(Role::Listener) => return true,
            Some(Role::Disk) => ("a write to the disk", Server::disk_event),
            Some(Role::Resolver) => ("an answer of the resolver", Server::resolver_event),
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

    /// The next time at which there is something to do without an event, monotonic milliseconds; may be past.
    fn due(&self) -> Option<u64> {
        let now = self.cx.now.ms;
        let works = self.is_handing_over()
            || self.cx.temp_names.is_cleaning()
            || !self.spent_configs.is_empty()
            || self.old_configs.iter().any(|config| Rc::strong_count(config) == 1)
            || !self.held.is_empty();
        if !self.run.is_empty() || !self.bulky.is_empty() || !self.late.is_empty() || works {
            return Some(now);
        }
        let held = self.cx.files.holds_descriptors()
            || self.cx.directories.holds_descriptors()
            || self.cx.compressors.is_warm();
        let quit = match self.mode {
            Mode::Quitting { until } => until,
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
            self.pool.backends.next_due(),
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

    /// Watches for changed files, where that is not done yet: once, not each time.
    fn listen_for_changes(&mut self) {
        let Some((fd, known)) = self.cx.dir_watch.descriptor_to_arm() else { return };
        let (flags, token) = (epoll::IN | epoll::ONESHOT, token_of(Role::Change));
        let listening = if known { self.epoll.modify(fd, flags, token) } else { self.epoll.add(fd, flags, token) };
        // Without inotify, files are looked at again in every epoch.
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
        // Before the logs are flushed: lines that this writes would wait for the next event otherwise.
        self.end_retired();
        self.log_due = self.cx.logs.flush_turn(self.cx.now.ms);
        self.send_state();
        self.drop_unused_configs();
        self.report_log_failures();
        self.give_back_memory();
        self.end_quit();
    }
}

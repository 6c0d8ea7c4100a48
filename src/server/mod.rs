//! The process: one epoll loop over listeners, clients and signals. [`Server::turn`] is one round of it.

pub mod accept;
mod acme;
mod children;
mod drain;
mod failure;
pub mod greeting;
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
pub mod signals;
mod streams;
pub mod supervisor;
pub mod temp_paths;
mod timers;
pub mod upload_services;
mod wakeup;
pub mod worker;

use crate::config::model::{Config, Level};
use crate::conn::drive;
use crate::conn::io::{Budget, Next, SHARE};
use crate::conn::token::{Role, role_of, token, token_of};
use crate::conn::upstream::pool::Backends;
use crate::conn::{Conn, Pool, State, Turn, http2};
use crate::exchange::handlers::resumable::sweep;
use crate::services::Services;
use crate::sys::Errno;
use crate::sys::epoll::{self, Epoll, Events, Timeout};
use crate::util::slab::{Key, Slab};
use crate::util::wake::Wake;
use crate::util::wheel::Wheel;
use listeners::Listeners;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use wakeup::Alarm;

/// What the process is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Serving,
    /// QUIT: active requests are finished, nothing new is taken. Ends by then at the latest.
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
    /// It came once more meanwhile.
    Again,
}

pub struct Server {
    epoll: Rc<Epoll>,
    alarm: Alarm,
    events: Events,
    pub listeners: Listeners,
    conns: Slab<Conn>,
    wheel: Wheel,
    /// Connections that have done as much as one may in a turn: all of them go on in the next.
    run: VecDeque<Key>,
    /// Those that have bodies to move: they go on as far as [`BULK`] goes.
    bulky: VecDeque<Key>,
    /// Bytes of bodies that may still be moved in this turn ([`BULK`]).
    bulk: usize,
    /// Connections whose answers of this turn are made but not sent.
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
    /// Signals that arrived this turn.
    pub signals: signals::Signals,
    /// When held log lines must be out.
    log_due: Option<u64>,
    limit: usize,
    /// Where the configuration came from; None where a test made it.
    pub origin: Option<reload::Origin>,
    /// Where a parent keeps root's rights for us.
    pub parent: Option<parent_link::ParentLink>,
    /// None where the configuration names none, or a parent has it.
    pub pid_file: Option<pid_file::PidFile>,
    /// Earlier configurations that exchanges under way still hold.
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
    /// Of the services that have sockets of their own.
    watched: names::Watched,
    pub supervisor: supervisor::Supervisor,
    /// A drain ends its first part: what is under way is finished, nothing new is taken.
    drained_at: Option<u64>,
    acme: acme::Fetches,
}

/// How often idle descriptors of the file cache are looked at.
const SWEEP: u64 = 2_500;
/// Bytes of bodies moved in a turn, by all connections together but for what each may move in any case ([`SHARE`]): large
/// bites are what makes them cheap, and however many there are, who asks for something small does not wait for more than
/// one. Those that have their share of the next turns wait in a queue.
const BULK: usize = 4 << 20;
/// What those in the queue move in a turn whatever the others have moved.
const LEAST: usize = 1 << 20;
/// Short answers that are made before the first of them is sent. The first send wakes the client, or its proxy, which
/// costs more than the sending; with the others' answers close behind it stays awake for them, and asks again for
/// all. Measured with 64 clients: 9 % of the CPU per request. More gain nothing that shows, and make the first wait.
const GATHER: usize = 16;

impl Server {
    /// A server over sockets that are bound and listening.
    ///
    /// # Errors
    /// The first system call that failed; the process has no loop without it.
    pub fn new(mut cx: Services, listeners: Listeners, signals: signals::Signals) -> Result<Server, Errno> {
        let epoll = Rc::new(Epoll::new()?);
        let alarm = Alarm::new(&epoll)?;
        let pool = Pool::new(Backends::new(epoll.clone()));
        let now = cx.now.ms;
        let limit = accept::connection_limit(&cx.config);
        cx.files.set_descriptors(accept::descriptors());
        let mut server = Server {
            epoll,
            alarm,
            events: Events::new(),
            listeners,
            conns: Slab::new(),
            wheel: Wheel::new(now),
            run: VecDeque::new(),
            bulky: VecDeque::new(),
            bulk: BULK,
            batched: Vec::with_capacity(GATHER),
            cx,
            pool,
            due: Vec::new(),
            fresh: Vec::new(),
            serial: 0,
            mode: Mode::Serving,
            paused_until: None,
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
            supervisor: supervisor::Supervisor::default(),
            drained_at: None,
            acme: acme::Fetches::default(),
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
        let timeout = match self.due() {
            Some(due) => self.alarm.wait(due, self.cx.now.ms),
            None => Timeout::Never,
        };
        self.turn_within(timeout);
    }

    /// One round that does not wait: for a simulation, which moves the clock itself.
    pub fn poll(&mut self) {
        self.turn_within(Timeout::Now);
    }

    fn turn_within(&mut self, timeout: Timeout) {
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
        self.mind_memory();
        if self.events.is_full() {
            // That files have changed may be among what is left.
            self.cx.now.advance_epoch();
        }
        // A signal sent before a request is obeyed before it, and a file changed before it is seen as it is: these
        // first, whatever their place in the list.
        let (mut signalled, mut from_parent) = (false, false);
        for (token, _) in self.events.iter() {
            match role_of(token) {
                Some(Role::Signal) => signalled = true,
                Some(Role::Change) => self.cx.dir_watch.told(),
                Some(Role::Alarm) => self.alarm.rang(),
                Some(Role::Parent) => from_parent = true,
                _ => {}
            }
        }
        if from_parent {
            self.hear_parent();
        }
        if signalled {
            self.signals.read();
            self.handle_signals();
        }
        if self.reload == Reload::Wanted {
            // It comes before the requests that came with it, which wait for the next turn.
            self.held.extend(self.events.iter());
            return;
        }
        let mut accepts = false;
        for (token, flags) in std::mem::take(&mut self.held) {
            accepts |= self.dispatch(token, flags);
        }
        for at in 0..count {
            let Some((token, flags)) = self.events.get(at) else { break };
            accepts |= self.dispatch(token, flags);
        }
        // Who leaves is seen to leave before whoever comes speaks: a client that closes one connection and opens another
        // has but one, though a listener may stand before both in the list.
        if accepts {
            self.accept(count);
        }
        self.send_batched();
        self.timers();
        self.run_queue();
        self.finish_turn();
    }

    /// What an event is for. Gives whether it is somebody who comes.
    fn dispatch(&mut self, token: u64, flags: u32) -> bool {
        match role_of(token) {
            Some(Role::Client) => self.client_event(Key::from_u64(token), flags),
            Some(Role::Backend) => self.backend_event(Key::from_u64(token), flags),
            Some(Role::Listener) => return true,
            Some(Role::Disk) => self.disk_event(),
            Some(Role::Resolver) => self.resolver_event(),
            Some(Role::Child) => self.child_event(),
            Some(Role::Password) => self.password_event(),
            Some(Role::Acme) => {
                self.protected("ACME", Server::acme_event);
            }
            Some(Role::Signal | Role::Change | Role::Alarm | Role::Parent | Role::Awaited) | None => {}
        }
        false
    }

    /// When there is something to do though nothing happens, monotonic milliseconds; what is past is due.
    fn due(&self) -> Option<u64> {
        let now = self.cx.now.ms;
        let works = self.cx.temp_names.is_cleaning() || !self.spent_configs.is_empty() || !self.held.is_empty();
        if !self.run.is_empty() || !self.bulky.is_empty() || works {
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
            self.log_due,
            self.paused_until,
            held.then(|| after(SWEEP)),
            quit,
            self.retired_due(),
            self.pool.backends.next_due(),
            self.cx.listings.next_due(),
            self.next_service(),
            self.supervisor.next_due(),
            self.cx.overload.next_due(),
            self.drained_at,
            sweep::due(&self.cx).map(after),
        ];
        times.into_iter().flatten().min()
    }

    fn client_event(&mut self, key: Key, flags: u32) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.transport.event(flags);
        match conn.has_bulk_data() {
            true => self.file(key, Next::Run, true),
            false => self.drive_and_batch(key),
        }
    }

    /// An upstream's socket: its client's connection goes on.
    fn backend_event(&mut self, key: Key, flags: u32) {
        let Some(wake) = self.pool.backends.event(key, flags) else { return };
        match self.conns.get(wake.conn).is_some_and(Conn::has_bulk_data) {
            true => self.file(wake.conn, Next::Run, true),
            false => self.drive(wake),
        }
    }

    /// Lets a connection go on, and files it by what it waits for.
    fn drive(&mut self, wake: Wake) {
        self.act(wake, false, drive::drive);
    }

    /// Does something with a connection and files it. A panic costs the connection, not the process.
    fn act(&mut self, wake: Wake, gather: bool, act: fn(&mut Conn, &mut Turn<'_>) -> Next) -> Option<Next> {
        let key = wake.conn;
        let parent = self.conns.get(key)?.transport.parent();
        let given = self.bulk.max(SHARE as usize);
        let budget = Budget { bytes: given, gather, ..Budget::default() };
        let conn = self.conns.get_mut(key)?;
        self.cx.syncs.driven = Some(wake);
        let endpoints = self.listeners.endpoints();
        let mut turn = Turn { cx: &mut self.cx, pool: &mut self.pool, endpoints, budget, wake };
        let mut next = catch_unwind(AssertUnwindSafe(|| act(conn, &mut turn)));
        let mut streams = Vec::new();
        if let Ok(Next::Run) = next
            && matches!(conn.state, State::Http2(_))
        {
            let step = || http2::connection::step(&mut self.conns, &mut turn, key);
            next = catch_unwind(AssertUnwindSafe(step)).map(|(next, filed)| {
                streams = filed;
                next
            });
        }
        let left = turn.budget.bytes;
        let next = next.unwrap_or_else(|_| self.panicked(key));
        self.bulk = self.bulk.saturating_sub(given - left);
        for (stream, next) in streams {
            self.file(stream, next, false);
        }
        self.file(key, next, left == 0);
        // What a stream has to say goes out on its connection.
        if let Some(parent) = parent {
            self.drive(Wake::conn(parent));
        }
        Some(next)
    }

    /// As [`Server::drive`], but a short answer waits for those of the next connections ([`GATHER`]).
    fn drive_and_batch(&mut self, key: Key) {
        match self.act(Wake::conn(key), true, drive::drive) {
            Some(Next::Send) if self.batched.len() < GATHER => {}
            // One that used up its share took long, and another may follow: what is made does not wait for that.
            Some(Next::Send | Next::Run) => self.send_batched(),
            _ => {}
        }
    }

    fn send_batched(&mut self) {
        let mut batched = std::mem::take(&mut self.batched);
        for key in batched.drain(..) {
            self.drive(Wake::conn(key));
        }
        self.batched = batched;
        self.pool.send_batch.clear();
    }

    /// `bulky`: what it has to go on with are bodies.
    fn file(&mut self, key: Key, next: Next, bulky: bool) {
        match next {
            Next::Close => self.close(key),
            Next::Send => self.batched.push(key),
            Next::Run => {
                self.arm(key);
                let Some(conn) = self.conns.get_mut(key) else { return };
                if !std::mem::replace(&mut conn.queued, true) {
                    let queue = if bulky { &mut self.bulky } else { &mut self.run };
                    queue.push_back(key);
                }
            }
            Next::Wait => {
                let Some(conn) = self.conns.get_mut(key) else { return };
                conn.transport.settle();
                if !conn.registered {
                    // Once for the life of the connection: edge triggered, both directions.
                    let flags = epoll::IN | epoll::OUT | epoll::RDHUP | epoll::ET;
                    let added = conn.fd().map(|fd| self.epoll.add(fd, flags, token(Role::Client, key)));
                    if added.is_none_or(|added| added.is_err()) {
                        return self.close(key);
                    }
                    conn.registered = true;
                }
                self.arm(key);
            }
        }
        if cfg!(debug_assertions)
            && let Some(conn) = self.conns.get(key)
        {
            let queued = conn.queued || self.batched.contains(&key);
            conn.check_invariants(queued, &self.pool.backends);
        }
    }

    fn arm(&mut self, key: Key) {
        if let Some(conn) = self.conns.get(key) {
            self.wheel.arm(key.slot(), conn.deadline.at());
        }
    }

    fn close(&mut self, key: Key) {
        self.wheel.disarm(key.slot());
        if let Some(mut conn) = self.conns.remove(key) {
            if let State::Active(active) = &mut conn.state {
                self.pool.backends.leave(&mut active.backend, &mut self.cx);
            }
            self.close_streams(&mut conn);
            conn.transport.farewell();
            self.count_closed(conn.transport);
            self.cx.stats.waiting = self.cx.stats.waiting.saturating_sub(1);
        }
    }

    fn run_queue(&mut self) {
        for at in 0..self.run.len() {
            // One of each queue goes on whatever the time is.
            if at > 0 && self.cx.slice.is_over() {
                break;
            }
            let Some(key) = self.run.pop_front() else { break };
            self.go_on(key);
        }
        // Whatever the others took: those that wait go on.
        self.bulk = self.bulk.max(LEAST);
        for at in 0..self.bulky.len() {
            if self.bulk == 0 || at > 0 && self.cx.slice.is_over() {
                return;
            }
            let Some(key) = self.bulky.pop_front() else { break };
            self.go_on(key);
        }
    }

    /// One that was queued has its turn.
    fn go_on(&mut self, key: Key) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.queued = false;
        self.cx.now.advance_epoch();
        self.drive(Wake::conn(key));
    }

    /// Asks to be told of changed files, where that is not asked already: once, not each time.
    fn listen_for_changes(&mut self) {
        let Some((fd, known)) = self.cx.dir_watch.to_listen() else { return };
        let (flags, token) = (epoll::IN | epoll::ONESHOT, token_of(Role::Change));
        let listening = if known { self.epoll.modify(fd, flags, token) } else { self.epoll.add(fd, flags, token) };
        // Without, every moment looks for itself.
        if listening.is_ok() {
            self.cx.dir_watch.listening();
        }
    }

    fn finish_turn(&mut self) {
        self.cx.stats.queued = (self.run.len() + self.bulky.len()) as u64;
        self.cx.stats.turn(self.cx.now.spent());
        self.cx.stats.publish();
        self.listen_for_changes();
        self.watch_services();
        self.log_due = self.cx.logs.flush_turn(self.cx.now.ms);
        self.tend_configs();
        self.tend_logs();
        self.end_retired();
        if let Mode::Quitting { until } = self.mode
            && (self.conns.is_empty() || until.is_some_and(|at| at <= self.cx.now.ms))
        {
            self.mode = Mode::Stopped;
        }
    }
}

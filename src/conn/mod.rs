//! A client's socket driving exchanges: reads, flushes, keeps or closes the connection. [`drive`] is the loop.
//!
//! Invariant ([`Conn::check_invariants`]): a connection that waits has something that will wake it. It wants to read
//! and the socket said it has no more, or wants to write and the socket said it takes no more; and it has a deadline.

pub mod drive;
pub mod http1;
pub mod io;
mod linger;
mod proxy_protocol;
mod ssi;
pub mod transport;
pub mod upstream;

use crate::config::model::{Config, EndpointId};
use crate::exchange::handlers::Handler;
use crate::exchange::{Client, Exchange, Rx};
use crate::http::proxy_protocol::Header;
use crate::services::Services;
use crate::sys::socket::{Peer, local_addr};
use crate::util::slab::Key;
use io::{Ready, SHARE};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;
use transport::Transport;
use upstream::pool::Backends;

/// Who an epoll token belongs to; the role is its middle byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Client = 0,
    Listener = 1,
    Signal = 2,
    /// A connection to an upstream.
    Backend = 3,
    /// The disk has what it was given.
    Disk = 4,
    /// Files that were read have changed.
    Change = 5,
    /// A deadline has come, or might have.
    Alarm = 6,
}

pub fn token(role: Role, key: Key) -> u64 {
    key.to_u64() | (role as u64) << Key::ROLE_SHIFT
}

pub fn role_of(token: u64) -> Option<Role> {
    match token >> Key::ROLE_SHIFT & 0xff {
        0 => Some(Role::Client),
        1 => Some(Role::Listener),
        2 => Some(Role::Signal),
        3 => Some(Role::Backend),
        4 => Some(Role::Disk),
        5 => Some(Role::Change),
        6 => Some(Role::Alarm),
        _ => None,
    }
}

pub enum State {
    /// Between requests: no buffer, no exchange.
    Idle,
    Active(Box<Exchange>),
    /// Requests that were known are answered, and the answers not sent yet: so many of [`Pool::said`], from there on.
    PendingSend {
        from: u32,
        count: u32,
    },
    /// The answer is out and the writing side shut: what the client still sends is read and dropped until then.
    /// Milliseconds without a byte end it sooner.
    Lingering {
        until: u64,
        timeout: u32,
    },
}

pub struct Conn {
    pub transport: Transport,
    /// epoll knows the socket. A connection that is answered and closed at once never gets there.
    pub registered: bool,
    /// Index of the listener it came from.
    pub listener: u16,
    pub requests: u32,
    peer: Peer,
    pub serial: u64,
    /// Monotonic milliseconds, the lower half: enough for a connection of less than 49 days.
    accepted: u32,
    /// When this state has lasted too long, monotonic milliseconds.
    pub deadline: u64,
    /// What a PROXY header said of it, once that was read.
    introduced: Option<Rc<Option<Header>>>,
    pub state: State,
}

const _: () = assert!(size_of::<Conn>() <= 88, "ten thousand idle connections must stay small");

/// What connections draw on: exchanges of those that went idle, for the next that wakes, and connections to upstreams.
pub struct Pool {
    pub backends: Backends,
    pub send_batch: http1::fast_path::SendBatch,
    // Boxed because they move between the pool and a connection's state all the time.
    #[allow(clippy::vec_box)]
    free: Vec<Box<Exchange>>,
}

/// Exchanges kept for reuse; each holds some small buffers.
const POOLED: usize = 256;

impl Pool {
    /// `input`: what was read, of which the first `start` bytes are done with.
    fn take(&mut self, cx: &mut Services, client: Client, input: Vec<u8>, start: usize) -> Box<Exchange> {
        let mut ex = self.free.pop().unwrap_or_else(|| Box::new(Exchange::new(cx, client)));
        ex.reuse(cx, client, input, start);
        ex
    }

    fn give(&mut self, mut ex: Box<Exchange>, cx: &mut Services) {
        ex.release(cx);
        if self.free.len() < POOLED {
            self.free.push(ex);
        }
    }

    pub fn new(backends: Backends) -> Pool {
        Pool { backends, send_batch: http1::fast_path::SendBatch::default(), free: Vec::new() }
    }

    /// Exchanges of an old configuration keep it alive, and nobody will ask for its idle upstream connections: dropped
    /// at a reload.
    pub fn clear(&mut self) {
        self.free.clear();
        self.backends.clear_idle();
    }
}

/// What the listener of a connection stands for now; it may change with a reload.
pub trait Endpoints {
    /// None: the address is no longer listened on.
    fn endpoint(&self, listener: u16, fd: BorrowedFd<'_>) -> Option<EndpointId>;
}

impl Conn {
    pub fn new(fd: OwnedFd, peer: Peer, listener: u16, serial: u64, cx: &Services, deadline: u64) -> Conn {
        Conn {
            transport: Transport::plain(fd, Ready::fresh()),
            registered: false,
            listener,
            requests: 0,
            peer,
            serial,
            accepted: cx.now.ms as u32,
            deadline,
            introduced: None,
            state: State::Idle,
        }
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.transport.fd()
    }

    /// Milliseconds since it was accepted.
    fn age(&self, now: u64) -> u64 {
        u64::from((now as u32).wrapping_sub(self.accepted))
    }

    /// It has more to move than a turn should be held up for.
    pub fn has_bulk_data(&self) -> bool {
        match &self.state {
            State::Active(ex) => ex.out.pending() > SHARE || ex.rx == Rx::Body && ex.decoder.remaining() > Some(SHARE),
            _ => false,
        }
    }

    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    fn client(&self, config: &Config, endpoint: EndpointId, now: u64) -> Client {
        let is_wildcard = || config.endpoints[endpoint.at()].addr.ip().is_some_and(|ip| ip.is_unspecified());
        let is_asked_for = config.variables.server_addr && is_wildcard();
        Client {
            peer: self.peer,
            endpoint,
            local: is_asked_for.then(|| local_addr(self.fd()).ok()?.ip()).flatten(),
            serial: self.serial,
            requests: u64::from(self.requests) + 1,
            accepted: now.saturating_sub(self.age(now)),
            is_secure: self.transport.is_secure(),
        }
    }

    /// A connection that waits will be woken. `queued`: it is in the run queue.
    pub fn check_invariants(&self, queued: bool, backends: &Backends) {
        if queued {
            return;
        }
        let reads = !self.transport.can_read();
        let writes = !self.transport.can_write();
        match &self.state {
            State::Idle | State::Lingering { .. } => assert!(reads, "an idle connection has something to read"),
            State::PendingSend { .. } => assert!(queued, "what is said is sent in the same turn"),
            // A pause has its timer.
            State::Active(ex) if ex.pause.is_some() => {}
            // The disk has been asked, and will answer.
            State::Active(ex) if ex.handler.waits() => {}
            State::Active(ex) if matches!(ex.handler, Handler::Proxy(_)) => {
                upstream::exchange::check_invariants(&self.transport, ex, backends);
            }
            State::Active(ex) => {
                let wants_write = !ex.out.is_empty() || self.transport.has_unsent();
                let wants_read = !wants_write;
                assert!(
                    wants_write && writes || wants_read && reads,
                    "an active connection waits for nothing: rx {:?} tx {:?} {:?}",
                    ex.rx,
                    ex.tx,
                    self.transport
                );
            }
        }
    }
}

//! A client's socket driving exchanges: reads, flushes, keeps or closes the connection. [`drive`] is the loop.
//!
//! Invariant ([`Conn::check_invariants`]): a connection that waits has something that will wake it. It wants to read
//! and the socket said it has no more, or wants to write and the socket said it takes no more; and it has a deadline.

pub mod drive;
pub mod http1;
mod linger;
mod proxy_protocol;
mod ssi;
pub mod upstream;

use crate::config::model::{Config, EndpointId};
use crate::exchange::handlers::Handler;
use crate::exchange::{Client, Exchange, Rx};
use crate::http::proxy_protocol::Header;
use crate::services::Services;
use crate::sys::epoll;
use crate::sys::socket::{Peer, local_addr};
use crate::util::slab::Key;
use drive::Budget;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
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

/// What epoll said and no system call has contradicted since.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ready(u8);

impl Ready {
    const READ: u8 = 1;
    const WRITE: u8 = 2;
    const PEER_CLOSED: u8 = 4;
    const ERROR: u8 = 8;

    /// A socket just accepted: nobody has asked yet, so trying is right.
    pub fn fresh() -> Ready {
        Ready(Ready::READ | Ready::WRITE)
    }

    /// Adds what epoll reports.
    pub fn add(&mut self, events: u32) {
        if events & epoll::IN != 0 {
            self.0 |= Ready::READ;
        }
        if events & epoll::OUT != 0 {
            self.0 |= Ready::WRITE;
        }
        if events & (epoll::RDHUP | epoll::HUP) != 0 {
            self.0 |= Ready::PEER_CLOSED;
        }
        if events & epoll::ERR != 0 {
            self.0 |= Ready::ERROR;
        }
    }

    /// A read would find bytes, the end or an error.
    pub fn can_read(self) -> bool {
        self.0 & (Ready::READ | Ready::PEER_CLOSED | Ready::ERROR) != 0
    }

    pub fn can_write(self) -> bool {
        self.0 & (Ready::WRITE | Ready::ERROR) != 0
    }

    /// The client will send no more; it may still read.
    pub fn peer_closed(self) -> bool {
        self.0 & Ready::PEER_CLOSED != 0
    }

    /// The connection is broken: nothing will be read or written.
    pub fn has_failed(self) -> bool {
        self.0 & Ready::ERROR != 0
    }

    /// recv said EAGAIN.
    fn no_read(&mut self) {
        self.0 &= !(Ready::READ | Ready::PEER_CLOSED | Ready::ERROR);
    }

    /// recv gave less than asked for: the socket is empty, unless its end waits behind the bytes.
    fn short_read(&mut self) {
        if !self.peer_closed() {
            self.0 &= !Ready::READ;
        }
    }

    fn no_write(&mut self) {
        self.0 &= !(Ready::WRITE | Ready::ERROR);
    }
}

/// The client's socket in a turn.
pub struct Io<'a> {
    pub fd: BorrowedFd<'a>,
    pub ready: &'a mut Ready,
    /// When what goes on now must have got on: monotonic milliseconds.
    pub deadline: &'a mut u64,
    pub budget: &'a mut Budget,
}

impl Io<'_> {
    /// The same, for one who keeps a deadline of his own.
    pub fn by<'b>(&'b mut self, deadline: &'b mut u64) -> Io<'b> {
        Io { fd: self.fd, ready: self.ready, deadline, budget: self.budget }
    }
}

/// Bytes that a connection may move whatever others do in the turn.
pub const SHARE: u64 = 64 << 10;

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
    fd: OwnedFd,
    pub ready: Ready,
    /// epoll knows the socket. A connection that is answered and closed at once never gets there.
    pub registered: bool,
    /// Index of the listener it came from.
    pub listener: u16,
    pub requests: u32,
    peer: Peer,
    pub serial: u64,
    accepted: u64,
    /// When this state has lasted too long, monotonic milliseconds.
    pub deadline: u64,
    /// The upstream connection that its exchange uses.
    pub backend: Option<Key>,
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
            fd,
            ready: Ready::fresh(),
            registered: false,
            listener,
            requests: 0,
            peer,
            serial,
            accepted: cx.now.ms,
            deadline,
            backend: None,
            introduced: None,
            state: State::Idle,
        }
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
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

    fn client(&self, config: &Config, endpoint: EndpointId) -> Client {
        let is_wildcard = || config.endpoints[endpoint.at()].addr.ip().is_some_and(|ip| ip.is_unspecified());
        let is_asked_for = config.variables.server_addr && is_wildcard();
        Client {
            peer: self.peer,
            endpoint,
            local: is_asked_for.then(|| local_addr(self.fd()).ok()?.ip()).flatten(),
            serial: self.serial,
            requests: u64::from(self.requests) + 1,
            accepted: self.accepted,
        }
    }

    /// A connection that waits will be woken. `queued`: it is in the run queue.
    pub fn check_invariants(&self, queued: bool, backends: &Backends) {
        if queued {
            return;
        }
        let reads = !self.ready.can_read();
        let writes = !self.ready.can_write();
        match &self.state {
            State::Idle | State::Lingering { .. } => assert!(reads, "an idle connection has something to read"),
            State::PendingSend { .. } => assert!(queued, "what is said is sent in the same turn"),
            // A pause has its timer.
            State::Active(ex) if ex.pause.is_some() => {}
            // The disk has been asked, and will answer.
            State::Active(ex) if ex.handler.waits() => {}
            State::Active(ex) if matches!(ex.handler, Handler::Proxy(_)) => {
                upstream::exchange::check_invariants(self.backend, self.ready, ex, backends);
            }
            State::Active(ex) => {
                let wants_write = !ex.out.is_empty();
                let wants_read = ex.out.is_empty();
                assert!(
                    wants_write && writes || wants_read && reads,
                    "an active connection waits for nothing: rx {:?} tx {:?} ready {:?}",
                    ex.rx,
                    ex.tx,
                    self.ready
                );
            }
        }
    }
}

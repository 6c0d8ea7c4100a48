//! Clients' connections: what one is ([`Conn`]), and what it may use while it is driven ([`Turn`]). [`drive`] is the
//! loop of one; bytes move through its [`transport`].
//!
//! Invariant ([`Conn::check_invariants`]): a connection that waits has something that will wake it. It wants to read
//! and the socket has reported EAGAIN, or wants to write and the socket takes no more; and it has a deadline.

pub mod arrival;
pub mod close;
pub mod close_reason;
pub mod drive;
pub mod endpoints;
mod handshake;
pub mod http1;
pub mod http2;
pub mod invariants;
pub mod io;
mod queueing;
pub mod request;
mod served;
pub mod subrequests;
pub mod timers;
pub mod token;
pub mod transport;
pub mod upstream;
mod watched;

use crate::config::model::{Config, EndpointId};
use crate::exchange::handlers::Handler;
use crate::exchange::{Client, Exchange, Rx};
use crate::http::proxy_protocol::ProxyHeader;
use crate::services::Services;
use crate::sys::Errno;
use crate::sys::epoll::Epoll;
use crate::sys::socket::{Peer, local_addr};
use crate::util::slab::Key;
use crate::util::wake::Wake;
use endpoints::Endpoints;
use http1::head_finder::HeadFinder;
use http1::send_batch::SendBatch;
use http1::state::Http1;
use http2::Http2;
use io::{Budget, CloseReason, Io, SHARE};
pub use queueing::Queueing;
use request::state::RequestReader;
use served::Served;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;
use timers::{Deadline, Timer};
use transport::Transport;
use upstream::pool::UpstreamConns;
pub use watched::Watched;

/// What a connection is doing between two turns of the loop; [`drive::drive`] goes on from there.
pub enum ConnState {
    /// Between requests: no buffer, no exchange.
    Idle,
    /// A request is read, worked on or answered.
    Active(Box<Active>),
    /// Cached responses were rendered and are not sent yet: `count` of those in [`Pool::send_batch`], from `from` on.
    PendingSend { from: u32, count: u32 },
    /// HTTP/2: each stream is a [`Conn`] of its own, with the stream for its transport.
    Http2(Box<Http2>),
    /// A lingering close: the last response is out and the writing side is shut. What the client still sends is read
    /// and dropped until `until` (monotonic milliseconds), or until `timeout` milliseconds pass without a byte.
    Lingering { until: u64, timeout: u32, reason: CloseReason },
}

/// A request in progress.
pub struct Active {
    /// The request and its response, as handlers and filters know them.
    pub ex: Exchange,
    /// What answers it in more than one step.
    pub handler: Handler,
    /// Pages that wait for what they include.
    pub pages: Vec<Handler>,
    /// The upstream connection that the handler uses.
    pub upstream_conn: Option<Key>,
    /// How far the request is read.
    pub reader: RequestReader,
    /// What is HTTP/1's of it; none for a stream of HTTP/2.
    pub http1: Option<Box<Http1>>,
}

impl Active {
    /// Without a request. To be taken from the [`Pool`] where one is free: it has large buffers.
    pub fn new(cx: &mut Services, client: Client) -> Active {
        let ex = Exchange::new(cx, client);
        Active {
            ex,
            handler: Handler::None,
            pages: Vec::new(),
            upstream_conn: None,
            reader: RequestReader::default(),
            http1: None,
        }
    }

    /// An upstream answers the request, a CGI program included.
    pub fn is_proxied(&self) -> bool {
        matches!(self.handler, Handler::Upstream(_))
    }
}

/// A client's connection, or one stream of HTTP/2: what it costs while it is idle. All that a request needs is in
/// [`Active`], which is taken from the [`Pool`] and given back.
pub struct Conn {
    /// What carries its bytes.
    pub transport: Transport,
    /// What epoll reports of the socket.
    pub watched: Watched,
    /// In which queue of the event loop it is.
    pub queueing: Queueing,
    /// Number of the listener it came from.
    pub listener: u16,
    /// Requests so far (`$connection_requests`), and those that broke a rule.
    pub served: Served,
    peer: Peer,
    /// Its number in the process (`$connection`).
    pub serial: u64,
    /// The low 32 bits of the monotonic clock in milliseconds: enough for a connection of less than 49 days.
    accepted: u32,
    /// When the present state times out, and which timer that is.
    pub deadline: Deadline,
    /// The addresses in its PROXY header, once that was read. The inner None: the header names none.
    proxy_header: Option<Rc<Option<ProxyHeader>>>,
    /// What it is doing between two turns.
    pub state: ConnState,
}

const _: () = assert!(size_of::<Conn>() <= 88, "ten thousand idle connections must stay small");

/// What a connection may use while it is driven.
pub struct Turn<'a> {
    /// What all requests share: configuration, clock, caches, logs.
    pub cx: &'a mut Services,
    /// What connections share: free exchanges, upstream connections, the batch.
    pub pool: &'a mut Pool,
    /// The endpoint of each listener.
    pub endpoints: &'a Endpoints,
    /// What is left of the connection's share of this turn.
    pub budget: Budget,
    /// The connection or stream that is driven: what it waits for wakes it by this.
    pub wake: Wake,
}

/// What connections share: exchanges that idle connections gave back, for the next one that wakes, and the connections
/// to upstreams.
pub struct Pool {
    /// Connections to upstreams, in use and idle.
    pub upstream_conns: UpstreamConns,
    /// Cached responses that were rendered in this turn.
    pub send_batch: SendBatch,
    head_finder: HeadFinder,
    /// Buffers of HTTP/2 connections that no connection keeps over a turn.
    pub http2: http2::Shared,
    // Boxed because they move between the pool and a connection's state all the time.
    #[allow(clippy::vec_box)]
    free: Vec<Box<Active>>,
    #[allow(clippy::vec_box)]
    free_http1: Vec<Box<Http1>>,
}

/// Exchanges kept for reuse; each holds some small buffers.
const POOLED: usize = 256;

impl Pool {
    /// An exchange for a connection that has read `input`, whose first `start` bytes are dealt with already.
    fn take(&mut self, cx: &mut Services, client: Client, input: Vec<u8>, start: usize) -> Box<Active> {
        let mut active = self.free.pop().unwrap_or_else(|| {
            // With its buffer.
            cx.overload.grow(size_of::<Active>() + cx.buffers.capacity());
            Box::new(Active::new(cx, client.clone()))
        });
        active.ex.reuse(cx, client);
        active.reader.begin(input, start);
        active
    }

    /// For an exchange of HTTP/1, whose first request came behind another or not. Its buffers are kept, as those of an
    /// exchange are.
    fn take_http1(&mut self, cx: &mut Services, is_pipelined: bool) -> Box<Http1> {
        let mut http1 = self.free_http1.pop().unwrap_or_else(|| {
            cx.overload.grow(size_of::<Http1>());
            Box::default()
        });
        http1.next_request(is_pipelined);
        http1
    }

    fn give(&mut self, mut active: Box<Active>, cx: &mut Services) {
        if let Some(http1) = active.http1.take()
            && self.free_http1.len() < POOLED
        {
            self.free_http1.push(http1);
        }
        active.handler = Handler::None;
        active.pages.clear();
        active.ex.release(cx);
        cx.buffers.give(std::mem::take(&mut active.reader.input));
        if self.free.len() < POOLED {
            self.free.push(active);
        }
    }

    /// Without free exchanges: they come from connections that go idle.
    pub fn new(upstream_conns: UpstreamConns) -> Pool {
        Pool {
            upstream_conns,
            send_batch: SendBatch::default(),
            head_finder: HeadFinder::default(),
            http2: http2::Shared::default(),
            free: Vec::new(),
            free_http1: Vec::new(),
        }
    }

    /// Exchanges of an old configuration keep it alive, and its idle upstream connections are of no use to the new one:
    /// dropped at a reload.
    pub fn clear(&mut self) {
        self.shrink();
        self.upstream_conns.clear_idle();
    }

    /// Frees what connections would take over from those before them.
    pub fn shrink(&mut self) {
        (self.free, self.free_http1) = (Vec::new(), Vec::new());
    }
}

impl Conn {
    /// `deadline`: when its first request must have come, monotonic milliseconds.
    pub fn new(fd: OwnedFd, peer: Peer, listener: u16, serial: u64, cx: &Services, deadline: u64) -> Conn {
        Conn::over(Transport::accepted(fd, &peer), peer, listener, serial, cx, deadline)
    }

    /// A connection on any transport. `peer`: the client; `listener`: the number of the listener; `serial`:
    /// `$connection`; `deadline`: when its first request must have come, monotonic milliseconds.
    pub fn over(transport: Transport, peer: Peer, listener: u16, serial: u64, cx: &Services, deadline: u64) -> Conn {
        Conn {
            transport,
            watched: Watched::No,
            queueing: Queueing::default(),
            listener,
            served: Served::default(),
            peer,
            serial,
            accepted: cx.now.ms as u32,
            deadline: Deadline::new(Timer::Header, deadline),
            proxy_header: None,
            state: ConnState::Idle,
        }
    }

    /// None: it is a stream of HTTP/2, which has no socket of its own.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.transport.fd()
    }

    /// The socket is registered with epoll.
    pub fn is_watched(&self) -> bool {
        self.watched != Watched::No
    }

    /// Its handler works on the request and changes nothing: the work ends when the client leaves.
    pub fn reads_for_its_client(&self) -> bool {
        matches!(&self.state, ConnState::Active(active) if active.handler.works() && !active.handler.finishes())
    }

    /// Registers the socket with epoll for what the connection is about to wait for.
    pub fn watch(&mut self, epoll: &Epoll, token: u64) -> Result<(), Errno> {
        // A stream is woken by its connection.
        let Some(fd) = self.transport.fd() else { return Ok(()) };
        self.watched.extend(epoll, fd, self.transport.can_write(), token)
    }

    /// Milliseconds since it was accepted.
    fn age(&self, now: u64) -> u64 {
        u64::from((now as u32).wrapping_sub(self.accepted))
    }

    fn arm(&mut self, timer: Timer, at: u64) {
        self.deadline = Deadline::new(timer, at);
    }

    /// Whether an event that ended with `next` left more work than an ordinary one. A single request over HTTP/2 may
    /// take several turns where many connections share one: it does not count.
    pub fn is_heavy_after(&self, next: io::Next) -> bool {
        let is_small = matches!(&self.state, ConnState::Http2(http2) if http2.has_one_request());
        next == io::Next::Run && !is_small
    }

    /// It has more to send or to receive than [`SHARE`]: connections with less are driven before it.
    pub fn has_bulk_data(&self) -> bool {
        match &self.state {
            ConnState::Active(active) => {
                let Active { ex, reader, .. } = &**active;
                ex.out.pending() > SHARE || ex.progress.rx == Rx::Body && reader.remaining() > Some(SHARE)
            }
            _ => false,
        }
    }

    /// Between requests.
    pub fn is_idle(&self) -> bool {
        match &self.state {
            ConnState::Idle => true,
            ConnState::Http2(http2) => http2.is_idle(),
            _ => false,
        }
    }

    /// Its request in progress, and its side of the connection.
    fn active(&mut self) -> Option<(Io<'_>, &mut Active)> {
        match &mut self.state {
            ConnState::Active(active) => {
                Some((Io { transport: &mut self.transport, deadline: &mut self.deadline }, active))
            }
            _ => None,
        }
    }

    /// An exchange for what comes next on it, by HTTP/1: `input`, from `start` on; what precedes that was answered. It
    /// knows of the connection what its requests are judged by: its TLS handshake and its PROXY header.
    fn exchange(
        &self,
        endpoint: EndpointId,
        (input, start): (Vec<u8>, usize),
        cx: &mut Services,
        pool: &mut Pool,
    ) -> Box<Active> {
        let client = self.client(&cx.config, endpoint, cx.now.ms);
        let mut active = self.exchange_of(client, (input, start), cx, pool);
        active.http1 = Some(pool.take_http1(cx, start > 0));
        active
    }

    /// The same for a client of which all is known: for a request of another protocol, or for none.
    fn exchange_of(
        &self,
        client: Client,
        (input, start): (Vec<u8>, usize),
        cx: &mut Services,
        pool: &mut Pool,
    ) -> Box<Active> {
        let mut active = pool.take(cx, client, input, start);
        active.ex.client.proxy_header = self.proxy_header.clone();
        active.ex.client.tls = self.transport.facts();
        active
    }

    /// A connection that was idle has begun to receive a request.
    fn begin_request(&mut self, active: Box<Active>, cx: &mut Services) {
        self.arm(Timer::Header, cx.now.ms + active.ex.location().settings.client.header_timeout.0);
        cx.stats.waiting -= 1;
        cx.stats.reading += 1;
        self.state = ConnState::Active(active);
    }

    fn client(&self, config: &Config, endpoint: EndpointId, now: u64) -> Client {
        let is_wildcard = || config.endpoints[endpoint.at()].addr.ip().is_some_and(|ip| ip.is_unspecified());
        let is_asked_for = config.variables.server_addr && is_wildcard();
        Client {
            peer: self.peer,
            socket_peer: None,
            endpoint,
            local: is_asked_for.then(|| local_addr(self.fd()?).ok()?.ip()).flatten(),
            serial: self.serial,
            requests: u64::from(self.served.requests()) + 1,
            accepted: now.saturating_sub(self.age(now)),
            is_secure: self.transport.is_secure(),
            has_others: false,
            socket: self.fd().map_or(-1, |fd| std::os::fd::AsRawFd::as_raw_fd(&fd)),
            proxy_header: None,
            tls: None,
            verdict: None,
        }
    }
}

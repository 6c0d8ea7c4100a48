//! One request to an authority: resolves its name, connects, speaks TLS if the URL is https, sends, and receives. Never
//! blocks; socket events and [`Fetch::due`] drive it.

use crate::acme::wire::{Receiver, Request, Response, Url};
use crate::config::acme::Issuer;
use crate::conn::transport::{Transport, readiness};
use crate::services::acme::Moment;
use crate::services::resolver::{LookupResult, Question, Records, Resolver, Submitted, Ticket, Want};
use crate::sys::Errno;
use crate::sys::epoll::{self, Epoll};
use crate::sys::socket::{self, Addr, More};
use crate::tls::ServerName;
use crate::tls::session::Session;
use crate::tls::verify::{Purpose, check_host};
use crate::util::slab::Key;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::rc::Rc;

/// Timeouts in milliseconds: for the whole request, and per address.
const WHOLE: u64 = 60_000;
const CONNECT: u64 = 10_000;
/// Registered once per connection: edge-triggered, both directions.
const EVENTS: u32 = epoll::IN | epoll::OUT | epoll::RDHUP | epoll::ET;
/// Bytes read at once.
const READ: usize = 16 << 10;

#[derive(Debug)]
enum Stage {
    Begin,
    Resolving(Ticket),
    /// Connect to the next address.
    Connect,
    Connecting,
    Handshaking,
    Sending(usize),
    Receiving,
}

/// A connection that can be reused.
pub(super) struct Idle {
    transport: Transport,
    url: Url,
}

impl Idle {
    /// Whether it is connected to the URL's server.
    pub(super) fn fits(&self, url: &Url) -> bool {
        (self.url.secure, &self.url.host, self.url.port) == (url.secure, &url.host, url.port)
    }
}

/// A request to an authority in progress: resolve, connect, handshake, send, receive.
pub(super) struct Fetch {
    authority: usize,
    issuer: Rc<Issuer>,
    request: Request,
    bytes: Vec<u8>,
    stage: Stage,
    addresses: Vec<IpAddr>,
    transport: Option<Transport>,
    reused: bool,
    receiver: Receiver,
    keeps: bool,
    connect_by: u64,
    until: u64,
    /// The error of the last address.
    trouble: String,
}

/// What a step of a request came to.
pub(super) enum FetchProgress {
    /// It waits for the socket, the resolver or a deadline.
    Waiting,
    /// The authority's response, or why there is none, for the log.
    Done(Result<Response, String>),
}

/// The result of one step.
enum FetchStep {
    Again,
    Wait,
    Done(Response),
}

impl Fetch {
    /// A request that begins. `idle`: a connection to the authority that may be used again.
    pub(super) fn new(authority: usize, issuer: Rc<Issuer>, request: Request, idle: Option<Idle>, now: u64) -> Fetch {
        let mut transport = idle.map(|idle| idle.transport);
        // It may have been closed meanwhile.
        if transport.as_mut().is_some_and(|transport| !transport.is_silent()) {
            transport = None;
        }
        Fetch {
            authority,
            issuer,
            bytes: request.bytes(),
            stage: if transport.is_some() { Stage::Sending(0) } else { Stage::Begin },
            addresses: Vec::new(),
            reused: transport.is_some(),
            transport,
            receiver: Receiver::new(request.method),
            request,
            keeps: false,
            connect_by: now + CONNECT,
            until: now + WHOLE,
            trouble: String::new(),
        }
    }

    /// Redirects the events of a reused connection to this request.
    pub(super) fn adopt_connection(&mut self, epoll: &Epoll, key: Key) {
        let fd = self.transport.as_ref().and_then(Transport::fd);
        if fd.is_some_and(|fd| epoll.modify(fd, EVENTS, key.to_u64()).is_err()) {
            (self.transport, self.stage, self.reused) = (None, Stage::Begin, false);
        }
    }

    /// The index of the authority.
    pub(super) fn authority(&self) -> usize {
        self.authority
    }

    /// The resolver's answer is awaited.
    pub(super) fn is_resolving(&self) -> bool {
        matches!(self.stage, Stage::Resolving(_))
    }

    /// When it times out (monotonic milliseconds).
    pub(super) fn due(&self) -> u64 {
        match self.stage {
            Stage::Connecting | Stage::Handshaking => self.until.min(self.connect_by),
            _ => self.until,
        }
    }

    /// epoll reported `flags` of its socket.
    pub(super) fn event(&mut self, flags: u32) {
        if let Some(transport) = &mut self.transport {
            transport.event(flags);
        }
    }

    /// The connection, if the response leaves it reusable.
    pub(super) fn take_connection(&mut self) -> Option<Idle> {
        let transport = self.transport.take().filter(|_| self.keeps)?;
        Some(Idle { transport, url: self.request.url.clone() })
    }

    /// Continues as far as possible.
    pub(super) fn advance(&mut self, resolver: &mut Resolver, epoll: &Epoll, key: Key, now: Moment) -> FetchProgress {
        loop {
            if self.until <= now.ms {
                return FetchProgress::Done(Err(format!("no answer from \"{}\" in time", self.request.url.authority)));
            }
            match self.step(resolver, epoll, key, now) {
                Ok(FetchStep::Again) => {}
                Ok(FetchStep::Wait) => return FetchProgress::Waiting,
                Ok(FetchStep::Done(response)) => {
                    self.keeps = response.keep_alive;
                    return FetchProgress::Done(Ok(response));
                }
                Err(why) => {
                    self.transport = None;
                    if self.reused && self.receiver.is_fresh() {
                        // The server closed an idle connection, which is no error.
                        self.reused = false;
                        self.stage = Stage::Begin;
                    } else if matches!(self.stage, Stage::Connecting | Stage::Handshaking) && !self.addresses.is_empty()
                    {
                        self.trouble = why;
                        self.stage = Stage::Connect;
                    } else {
                        return FetchProgress::Done(Err(format!("\"{}\": {why}", self.request.url.authority)));
                    }
                }
            }
        }
    }

    fn step(&mut self, resolver: &mut Resolver, epoll: &Epoll, key: Key, now: Moment) -> Result<FetchStep, String> {
        match self.stage {
            Stage::Begin => self.look_up(resolver, now),
            Stage::Resolving(ticket) => match resolver.take(ticket) {
                Some(outcome) => self.resolved(outcome),
                None => Ok(FetchStep::Wait),
            },
            Stage::Connect => self.connect(epoll, key, now),
            Stage::Connecting | Stage::Handshaking if self.connect_by <= now.ms => Err("connection timed out".into()),
            Stage::Connecting => {
                let transport = self.transport.as_mut().ok_or("no connection")?;
                if !transport.can_write() {
                    return Ok(FetchStep::Wait);
                }
                transport.connected().map_err(|e| format!("connect() failed {e}"))?;
                self.stage = if self.request.url.secure { Stage::Handshaking } else { Stage::Sending(0) };
                Ok(FetchStep::Again)
            }
            Stage::Handshaking => self.handshake(now),
            Stage::Sending(sent) => self.send(sent),
            Stage::Receiving => self.receive(),
        }
    }

    fn look_up(&mut self, resolver: &mut Resolver, now: Moment) -> Result<FetchStep, String> {
        self.connect_by = now.ms + CONNECT;
        if let Ok(ip) = self.request.url.host.parse() {
            self.addresses = vec![ip];
            self.stage = Stage::Connect;
            return Ok(FetchStep::Again);
        }
        let question = Question {
            settings: &self.issuer.resolver,
            name: self.request.url.host.as_bytes(),
            want: Want::Addresses,
            timeout: self.issuer.resolver_timeout.0,
            owner: None,
            client: None,
        };
        match resolver.ask(&question, now.ms) {
            Submitted::Now(outcome) => self.resolved(outcome),
            Submitted::Later(ticket) => {
                self.stage = Stage::Resolving(ticket);
                Ok(FetchStep::Wait)
            }
        }
    }

    fn resolved(&mut self, outcome: LookupResult) -> Result<FetchStep, String> {
        let answer = outcome.map_err(|why| format!("the name could not be resolved {why}"))?;
        let Records::Addresses(addresses) = answer.found else { return Err("the name has no address".into()) };
        // Reversed, since addresses are taken from the end.
        self.addresses = addresses.iter().rev().copied().collect();
        self.stage = Stage::Connect;
        Ok(FetchStep::Again)
    }

    fn connect(&mut self, epoll: &Epoll, key: Key, now: Moment) -> Result<FetchStep, String> {
        let Some(ip) = self.addresses.pop() else {
            return Err(if self.trouble.is_empty() { "the name has no address".into() } else { self.trouble.clone() });
        };
        let addr = Addr::from(SocketAddr::new(ip, self.request.url.port));
        self.connect_by = now.ms + CONNECT;
        self.stage = Stage::Connecting;
        let failed = |call: &'static str| move |e: Errno| format!("{call} failed {e}");
        let fd = socket::socket(addr.family()).map_err(failed("socket()"))?;
        // Without this option the request is only slower.
        let _ = socket::nodelay(fd.as_fd(), true);
        let connect = socket::connect(fd.as_fd(), &addr).map_err(failed("connect()"))?;
        let transport = if self.request.url.secure {
            let name = ServerName::try_from(self.request.url.host.clone()).map_err(|_| "the host is no name")?;
            let session = Session::client(self.issuer.client.clone(), name).map_err(|fault| fault.to_string())?;
            Transport::tls_client(fd, readiness(connect), session)
        } else {
            Transport::plain(fd, readiness(connect))
        };
        if let Some(fd) = transport.fd() {
            epoll.add(fd, EVENTS, key.to_u64()).map_err(failed("epoll_ctl()"))?;
        }
        self.transport = Some(transport);
        self.receiver = Receiver::new(self.request.method);
        Ok(FetchStep::Again)
    }

    fn handshake(&mut self, now: Moment) -> Result<FetchStep, String> {
        let tls = self.transport.as_mut().and_then(Transport::tls_mut).ok_or("no connection")?;
        match tls.handshake() {
            Ok(()) => {}
            Err(Errno::EAGAIN) => return Ok(FetchStep::Wait),
            Err(e) => {
                let why = tls.fault().map_or_else(|| e.to_string(), ToString::to_string);
                return Err(format!("SSL handshake failed: {why}"));
            }
        }
        if let Some(trust) = &self.issuer.trust {
            let chain = tls.session().map(Session::peer_certificates).unwrap_or_default();
            let refused = |number: u32, text: &str| {
                format!("certificate verify error: ({number}:{text}); ssl_trusted_certificate names other CAs to trust")
            };
            trust.verify(chain, Purpose::Server, now.unix).map_err(|fault| refused(fault.number(), fault.text()))?;
            let leaf = chain.first().ok_or("no certificate")?;
            let host = self.request.url.host.as_bytes();
            check_host(leaf, host).map_err(|fault| refused(fault.number(), fault.text()))?;
        }
        self.stage = Stage::Sending(0);
        Ok(FetchStep::Again)
    }

    fn send(&mut self, sent: usize) -> Result<FetchStep, String> {
        let transport = self.transport.as_mut().ok_or("no connection")?;
        let rest = self.bytes.get(sent..).unwrap_or_default();
        let outcome = if rest.is_empty() { transport.flush().map(|()| 0) } else { transport.send(rest, More::No) };
        match outcome {
            Ok(_) if rest.is_empty() => self.stage = Stage::Receiving,
            Ok(n) => self.stage = Stage::Sending(sent + n),
            Err(Errno::EAGAIN) => return Ok(FetchStep::Wait),
            Err(e) => return Err(format!("send() failed {e}")),
        }
        Ok(FetchStep::Again)
    }

    fn receive(&mut self) -> Result<FetchStep, String> {
        let transport = self.transport.as_mut().ok_or("no connection")?;
        let mut bytes = Vec::with_capacity(READ);
        match transport.recv(&mut bytes, READ) {
            Ok(0) => self.receiver.end().map(FetchStep::Done),
            Ok(_) => Ok(self.receiver.take(&bytes)?.map_or(FetchStep::Again, FetchStep::Done)),
            Err(Errno::EAGAIN) => Ok(FetchStep::Wait),
            Err(e) => Err(format!("recv() failed {e}")),
        }
    }
}

//! Upstream connections: opened without blocking, used by one client connection at a time, and kept alive for the next.
//!
//! Invariant: a connection in use belongs to exactly one request ([`Active::upstream_conn`](crate::conn::Active)),
//! which parks or closes it; either also releases the server in the balance. An idle connection has nothing to read:
//! any event closes it.

use super::idle::{Destination, Idle};
use crate::config::settings::upstream::Upstream;
use crate::conn::token::{Role, token};
use crate::conn::transport::{Transport, readiness};
use crate::exchange::handlers::upstream::tls::Secure;
use crate::services::Services;
use crate::services::children::{Children, ReleaseReason};
use crate::services::upstream_balance::{Outcome, PeerState};
use crate::services::upstream_time::RequestTimes;
use crate::sys::Errno;
use crate::sys::epoll::{self, Epoll};
use crate::sys::process::Exit;
use crate::sys::socket::{self, Addr, Connect};
use crate::util::slab::{Key, Slab};
use crate::util::wake::Wake;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

/// A connection to an upstream, or the pipe from a CGI program.
pub struct UpstreamConn {
    /// What carries its bytes.
    pub transport: Transport,
    /// None: idle.
    owner: Option<Wake>,
    /// Its entry in the list of idle connections.
    idle_entry: Option<Key>,
    upstream: Rc<Upstream>,
    peer: usize,
    /// When the current request began, and when its response head arrived.
    taken: RequestTimes,
    /// The local address that it is bound to (proxy_bind).
    local: Option<SocketAddr>,
    /// None: without TLS.
    tls: Option<Secure>,
    requests: u64,
    opened: u64,
    /// The program that writes the output.
    child: Option<Key>,
    /// How the program ended: no output will follow what is in the pipe.
    exit: Option<Exit>,
}

/// The upstream connection that a request needs.
pub struct WantedConn<'a> {
    /// The group.
    pub upstream: &'a Rc<Upstream>,
    /// The index of the server in its group.
    pub peer: usize,
    /// The server's address.
    pub addr: &'a Addr,
    /// proxy_bind.
    pub local: Option<SocketAddr>,
    /// proxy_socket_keepalive.
    pub probed: bool,
    /// None: without TLS.
    pub tls: Option<&'a Secure>,
    /// The request may be sent again if the connection turns out to be closed.
    pub repeatable: bool,
}

impl UpstreamConn {
    /// Whether this is the output of a program that has ended.
    pub fn has_ended(&self) -> bool {
        self.exit.is_some()
    }

    /// How the program ended; None: it is running, or this is a server.
    pub fn exit(&self, children: &Children) -> Option<Exit> {
        self.exit.or_else(|| children.exit_of(self.child?))
    }

    /// Whether this is the output of a program, not a server.
    pub fn is_program(&self) -> bool {
        self.child.is_some()
    }
}

/// Why no connection was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unopened {
    /// The connection limit is reached.
    LimitReached { limit: usize },
    /// A system call failed for a reason that says nothing about the server.
    Local(&'static str, Errno),
    /// The address of proxy_bind is not available.
    Unbound(SocketAddr, Errno),
    /// connect() failed at once.
    Unreachable(Errno),
    /// No TLS session could be created.
    NoSession,
}

/// All upstream connections.
pub struct UpstreamConns {
    epoll: Rc<Epoll>,
    slab: Slab<UpstreamConn>,
    idle: Idle,
    /// Keyed, because clients choose part of the input.
    hash: RandomState,
    /// The connection limit, client connections included.
    limit: usize,
    /// A request is waiting until connections of idle clients are closed.
    must_wait_for_room: bool,
}

impl UpstreamConns {
    /// Empty, and without a limit until [`UpstreamConns::set_limit`].
    pub fn new(epoll: Rc<Epoll>) -> UpstreamConns {
        let (idle, hash) = (Idle::default(), RandomState::new());
        UpstreamConns { epoll, slab: Slab::new(), idle, hash, limit: usize::MAX, must_wait_for_room: false }
    }

    /// worker_connections: how many connections clients and upstreams may have together.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The number of upstream connections, idle ones included.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// Whether the limit leaves no room for another upstream connection in addition to `clients`. One slot is reserved
    /// for a client: the upstream may be this very server, which has to accept the connection.
    fn is_full(&self, clients: u64) -> bool {
        clients as usize + self.slab.len() + 1 >= self.limit
    }

    /// Whether a request that needs a connection should wait until idle clients have been closed.
    pub fn must_wait_for_room(&mut self, clients: u64) -> bool {
        self.must_wait_for_room |= self.is_full(clients) && self.idle.is_empty();
        self.must_wait_for_room
    }

    /// Whether a request has waited for room; it continues in its next turn, whether or not there is room.
    pub fn take_room_request(&mut self) -> bool {
        std::mem::take(&mut self.must_wait_for_room)
    }

    /// Closes the connection that has been idle longest. False: there is no idle connection.
    pub fn close_oldest(&mut self) -> bool {
        let oldest = self.idle.take_oldest();
        if let Some(oldest) = oldest {
            self.slab.remove(oldest);
        }
        oldest.is_some()
    }

    fn close_idle(&mut self, key: Key) {
        if let Some(place) = self.slab.remove(key).and_then(|conn| conn.idle_entry) {
            self.idle.remove(place);
        }
    }

    /// The connection of a request.
    pub fn of(&mut self, slot: Option<Key>) -> Option<&mut UpstreamConn> {
        slot.and_then(|key| self.slab.get_mut(key))
    }

    /// Whether it is a CGI program.
    pub fn is_program(&self, slot: Option<Key>) -> bool {
        slot.and_then(|key| self.slab.get(key)).is_some_and(|conn| conn.child.is_some())
    }

    /// None: the request has no connection, or it is closed.
    pub fn transport(&self, slot: Option<Key>) -> Option<&Transport> {
        slot.and_then(|key| self.slab.get(key)).map(|conn| &conn.transport)
    }

    /// Records when the response head arrived.
    pub fn head_received(&mut self, slot: Option<Key>, now: u64) {
        if let Some(conn) = self.of(slot) {
            conn.taken.header = Some(now);
        }
    }

    /// The program behind this pipe has ended.
    pub fn program_ended(&mut self, key: Key, exit: Exit) {
        if let Some(conn) = self.slab.get_mut(key) {
            conn.exit = Some(exit);
        }
    }

    /// Processes an epoll event. Returns the client's connection or stream to run.
    pub fn event(&mut self, key: Key, flags: u32) -> Option<Wake> {
        let conn = self.slab.get_mut(key)?;
        conn.transport.event(flags);
        if conn.owner.is_none() && flags & !epoll::OUT != 0 {
            self.close_idle(key);
            return None;
        }
        conn.owner
    }

    /// Takes the idle connection to this server that was used last.
    pub fn reuse(&mut self, wanted: &WantedConn<'_>, owner: Wake, now: u64) -> Option<Key> {
        let destination = destination(&self.hash, wanted.upstream, wanted.peer, wanted.local, wanted.tls);
        loop {
            let key = self.idle.take(destination)?;
            let Some(conn) = self.slab.get_mut(key) else { continue };
            conn.idle_entry = None;
            // The connection may have been closed in this very turn. A repeatable request would then use another
            // connection; only for other requests is the check worth a system call.
            let quiet = !conn.transport.can_read() && !conn.transport.has_failed();
            let is_such = conn.local == wanted.local && conn.tls.as_ref() == wanted.tls;
            if is_such && (wanted.repeatable && quiet || conn.transport.is_silent()) {
                conn.owner = Some(owner);
                conn.taken = RequestTimes { began: now, header: None };
                // It is given back to the group that it was taken from, not to the one that opened the connection.
                conn.upstream = wanted.upstream.clone();
                conn.peer = wanted.peer;
                return Some(key);
            }
            self.slab.remove(key);
        }
    }

    /// Opens a connection without waiting for it. `clients`: open connections of clients; `now`: monotonic
    /// milliseconds.
    ///
    /// # Errors
    /// No connection was opened: the server has to be given back to the balance.
    pub fn open(
        &mut self,
        wanted: &WantedConn<'_>,
        owner: Wake,
        clients: u64,
        now: u64,
    ) -> Result<(Key, Connect), Unopened> {
        use Unopened::{LimitReached, Local, NoSession, Unbound, Unreachable};
        if self.is_full(clients) {
            self.close_oldest();
        }
        if self.is_full(clients) {
            return Err(LimitReached { limit: self.limit });
        }
        let addr = wanted.addr;
        let fd = socket::socket(addr.family()).map_err(|e| Local("socket()", e))?;
        if let Some(local) = wanted.local {
            // The port is chosen on connect(), so that connections to different servers can share it.
            let _ = socket::bind_address_no_port(fd.as_fd(), local.port() == 0);
            socket::bind(fd.as_fd(), &Addr::from(local)).map_err(|e| Unbound(local, e))?;
        }
        if wanted.probed {
            socket::keepalive(fd.as_fd(), true, None, None, None).map_err(|e| Local("setsockopt(SO_KEEPALIVE)", e))?;
        }
        // Not for Unix sockets, which have no such delay.
        let _ = socket::nodelay(fd.as_fd(), true);
        let connect = socket::connect(fd.as_fd(), addr).map_err(Unreachable)?;
        let transport = match wanted.tls.map(Secure::session) {
            None => Transport::plain(fd, readiness(connect)),
            Some(Ok(session)) => Transport::tls_client(fd, readiness(connect), session),
            Some(Err(_)) => return Err(NoSession),
        };
        let conn = UpstreamConn {
            transport,
            owner: Some(owner),
            idle_entry: None,
            upstream: wanted.upstream.clone(),
            peer: wanted.peer,
            taken: RequestTimes { began: now, header: None },
            local: wanted.local,
            tls: wanted.tls.cloned(),
            requests: 0,
            opened: now,
            child: None,
            exit: None,
        };
        let key = self.slab.insert(conn);
        let flags = epoll::IN | epoll::OUT | epoll::RDHUP | epoll::ET;
        if let Err(e) = self.add(key, flags) {
            self.slab.remove(key);
            return Err(Local("epoll_ctl()", e));
        }
        Ok((key, connect))
    }

    /// Adds the output of a program that was started for an exchange. No events are reported until it is
    /// [watched](UpstreamConns::watch) or the program has [ended](UpstreamConns::program_ended).
    pub fn adopt(&mut self, output: OwnedFd, child: Key, upstream: &Rc<Upstream>, owner: Wake) -> Key {
        self.slab.insert(UpstreamConn {
            transport: Transport::pipe(output),
            owner: Some(owner),
            idle_entry: None,
            upstream: upstream.clone(),
            peer: 0,
            taken: RequestTimes { began: 0, header: None },
            local: None,
            tls: None,
            requests: 0,
            opened: 0,
            child: Some(child),
            exit: None,
        })
    }

    /// Starts to watch the output of a program.
    pub fn watch(&self, slot: Option<Key>, children: &mut Children) -> Result<(), Errno> {
        let Some((key, conn)) = slot.and_then(|key| Some((key, self.slab.get(key)?))) else { return Ok(()) };
        conn.child.into_iter().for_each(|child| children.watch(child));
        self.add(key, epoll::IN | epoll::RDHUP | epoll::ET)
    }

    /// Adds a connection to epoll.
    fn add(&self, key: Key, flags: u32) -> Result<(), Errno> {
        let fd = self.transport(Some(key)).and_then(Transport::fd);
        fd.map_or(Ok(()), |fd| self.epoll.add(fd, flags, token(Role::Upstream, key)))
    }

    /// Closes a connection in use.
    pub fn close(&mut self, slot: &mut Option<Key>, cx: &mut Services, end: Outcome) -> PeerState {
        let Some(conn) = slot.take().and_then(|key| self.slab.remove(key)) else { return PeerState::Enabled };
        if let Some(child) = conn.child {
            let leave = if end == Outcome::Good { ReleaseReason::Done } else { ReleaseReason::Unwanted };
            cx.children.leave(child, leave, cx.now.ms);
        }
        cx.upstream_balance.give(&conn.upstream, conn.peer, end, conn.taken, cx.now.ms)
    }

    /// Closes a connection whose exchange ended before the response: this says nothing about the server.
    pub fn leave(&mut self, slot: &mut Option<Key>, cx: &mut Services) {
        self.close(slot, cx, Outcome::Neutral);
    }

    /// The response has been read completely: keeps the connection for another request, if allowed.
    pub fn park(&mut self, slot: &mut Option<Key>, cx: &mut Services) {
        let Some(key) = *slot else { return };
        let Some(conn) = self.slab.get_mut(key) else { return };
        conn.requests += 1;
        let keepalive = conn.upstream.keepalive;
        let old = cx.now.ms.saturating_sub(conn.opened) >= keepalive.time.0;
        let silent = !conn.transport.can_read() || conn.transport.is_silent();
        if old || !silent || conn.requests >= keepalive.requests {
            self.close(slot, cx, Outcome::Good);
            return;
        }
        conn.owner = None;
        let destination = destination(&self.hash, &conn.upstream, conn.peer, conn.local, conn.tls.as_ref());
        let (upstream, peer, taken) = (conn.upstream.clone(), conn.peer, conn.taken);
        *slot = None;
        cx.upstream_balance.give(&upstream, peer, Outcome::Good, taken, cx.now.ms);
        if self.idle.of_group(destination.group) >= keepalive.idle as usize
            && let Some(oldest) = self.idle.take_oldest_of_group(destination.group)
        {
            self.slab.remove(oldest);
        }
        let place = self.idle.add(key, destination, cx.now.ms + keepalive.timeout.0);
        if let Some(conn) = self.slab.get_mut(key) {
            conn.idle_entry = Some(place);
        }
    }

    /// When the next idle connection may expire.
    pub fn next_due(&self) -> Option<u64> {
        self.idle.next_due()
    }

    /// Closes connections that have been idle for too long.
    pub fn expire(&mut self, now: u64) {
        while let Some(key) = self.idle.take_expired(now) {
            self.slab.remove(key);
        }
    }

    /// Closes all that are idle: memory is short, or the process quits.
    pub fn clear_idle(&mut self) {
        while self.close_oldest() {}
    }
}

fn destination(
    hash: &RandomState,
    upstream: &Rc<Upstream>,
    peer: usize,
    local: Option<SocketAddr>,
    tls: Option<&Secure>,
) -> Destination {
    let is_plain = local.is_none() && tls.is_none();
    let transport_hash = if is_plain { 0 } else { hash.hash_one((local, tls)) };
    // The addresses of a group with `resolve` change, and connections to those that stay are used again (nginx).
    let group = upstream.base.as_ref().unwrap_or(upstream);
    let (line, addr) = upstream.peers.get(peer).map_or((0, None), |server| (server.line, server.addr.inet()));
    Destination { group: Rc::as_ptr(group).addr(), line, addr, transport_hash }
}

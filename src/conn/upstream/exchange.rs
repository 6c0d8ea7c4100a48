//! A proxied exchange on its connection: [`step`] brings it to a server and, once that listens, moves the request out and
//! the response in (`talk`), the client served meanwhile.
//!
//! Invariant ([`check_invariants`]): one that waits has something that will wake it, and nothing it could go on with.

use super::pool::{Backends, Wanted};
use super::talk;
use crate::config::model::Level;
use crate::conn::http1::read;
use crate::conn::http1::write::{self, Flushed};
use crate::conn::io::{Budget, Io, Next, Step};
use crate::conn::transport::Transport;
use crate::conn::{Conn, State};
use crate::exchange::handlers::Handler;
use crate::exchange::handlers::upstream::{Fault, Phase, Proxy};
use crate::exchange::phases;
use crate::exchange::{Exchange, Rx, Tx};
use crate::http::status::Status;
use crate::services::Services;
use crate::services::upstream_balance::End;
use crate::sys::socket::Connect;
use crate::util::slab::Key;

/// The client's end of a proxied exchange, and what the loop knows it by.
pub struct Ends<'a> {
    pub io: Io<'a>,
    pub key: Key,
}

/// One round: whatever can move moves.
pub fn step(ends: &mut Ends<'_>, ex: &mut Exchange, cx: &mut Services, backends: &mut Backends) -> Step {
    let Some(mut proxy) = take(ex) else { return Step::Close };
    let phase = proxy.phase;
    let gone = ends.io.transport.has_failed() || ends.io.transport.peer_closed() && ex.rx == Rx::Done;
    if gone && phase != Phase::Tunnel && !ex.here().settings.proxy.ignore_client_abort {
        return client_gone(proxy, ex, cx, backends);
    }
    let waiting = ex.out.pending();
    let had_room = proxy.room(ex) > 0;
    let mut client_by = proxy.client_by;
    match write::flush(&mut ends.io.by(&mut client_by), ex, cx) {
        Flushed::All | Flushed::Blocked => {}
        Flushed::Yield => {
            ex.handler = Handler::Proxy(proxy);
            return Step::Yield;
        }
        Flushed::Gone => return client_gone(proxy, ex, cx, backends),
    }
    proxy.client_by = client_by;
    let flushed = ex.out.pending() < waiting;
    if flushed && !had_room {
        // Nobody waited for the upstream meanwhile.
        proxy.upstream_by = cx.now.ms + ex.here().settings.proxy.read_timeout.0;
    }
    ex.handler = Handler::Proxy(proxy);
    match phase {
        Phase::Gather => gather(ends, ex, cx),
        Phase::Pick => pick(ends, ex, cx, backends),
        Phase::Connect => connect(ends, ex, cx, backends),
        Phase::Talk => talk::talk(ends, ex, cx, backends, flushed),
        Phase::Tunnel => talk::tunnel(ends, ex, cx, backends, flushed),
    }
}

pub(super) fn take(ex: &mut Exchange) -> Option<Box<Proxy>> {
    match std::mem::take(&mut ex.handler) {
        Handler::Proxy(proxy) => Some(proxy),
        other => {
            ex.handler = other;
            None
        }
    }
}

/// The client left: nobody wants the answer.
fn client_gone(mut proxy: Box<Proxy>, ex: &mut Exchange, cx: &mut Services, backends: &mut Backends) -> Step {
    if ex.tx == Tx::Wait {
        ex.response.status = Status::CLIENT_CLOSED_REQUEST;
    }
    let what = "client prematurely closed connection, so upstream connection is closed too";
    ex.report(cx, Level::Info, format_args!("{what}"));
    proxy.finish(ex, cx);
    backends.leave(&mut ex.backend, cx);
    Step::Close
}

/// Nothing moves: when it has lasted too long.
pub(super) fn wait(ends: &mut Ends<'_>, ex: &Exchange) -> Step {
    let Handler::Proxy(proxy) = &ex.handler else { return Step::Again };
    let waits = proxy.waits(ex);
    let client = (waits.client_read || waits.client_write).then_some(proxy.client_by);
    let upstream = proxy.awaits_upstream(ex).then_some(proxy.upstream_by);
    *ends.io.deadline = client.into_iter().chain(upstream).min().unwrap_or(*ends.io.deadline);
    Step::Wait
}

fn gather(ends: &mut Ends<'_>, ex: &mut Exchange, cx: &mut Services) -> Step {
    let Some(mut proxy) = take(ex) else { return Step::Again };
    let gathered = proxy.gathered(ex);
    ex.handler = Handler::Proxy(proxy);
    if gathered {
        return Step::Again;
    }
    read::invite(ex);
    if !ex.out.is_empty() && ends.io.transport.can_write() {
        return Step::Again;
    }
    if !ex.out.is_empty() {
        return wait(ends, ex);
    }
    let mut client_by = 0;
    let step = read::take(&mut ends.io.by(&mut client_by), ex, cx);
    if client_by > 0
        && let Handler::Proxy(proxy) = &mut ex.handler
    {
        proxy.client_by = client_by;
    }
    match step {
        Step::Wait => wait(ends, ex),
        step => settled(ends, ex, cx, step),
    }
}

/// Where the handler is done, the time to send the answer begins.
pub(super) fn settled(ends: &mut Ends<'_>, ex: &Exchange, cx: &Services, step: Step) -> Step {
    if !matches!(ex.handler, Handler::Proxy(_)) {
        *ends.io.deadline = cx.now.ms + ex.here().settings.client.send_timeout.0;
    }
    step
}

fn pick(ends: &mut Ends<'_>, ex: &mut Exchange, cx: &mut Services, backends: &mut Backends) -> Step {
    backends.leave(&mut ex.backend, cx);
    let Some(mut proxy) = take(ex) else { return Step::Again };
    let (peer, addr) = match proxy.pick(ex, cx) {
        Ok(picked) => picked,
        Err(flow) => {
            phases::settle(ex, cx, flow);
            return settled(ends, ex, cx, Step::Again);
        }
    };
    let settings = ex.here().settings.proxy.clone();
    let upstream = proxy.upstream().clone();
    proxy.client_by = cx.now.ms + ex.here().settings.client.body_timeout.0;
    let local = proxy.local(ex, cx);
    let wanted = Wanted { upstream: &upstream, peer, addr: &addr, local, probed: settings.socket_keepalive };
    if let Some(key) = backends.reuse(&wanted, ends.key) {
        ex.backend = Some(key);
        proxy.reused = true;
        proxy.connected(ex, cx);
        proxy.upstream_by = cx.now.ms + settings.send_timeout.0;
        ex.handler = Handler::Proxy(proxy);
        return Step::Again;
    }
    proxy.reused = false;
    match backends.open(&wanted, ends.key, cx.now.ms) {
        Ok((key, connect)) => {
            ex.backend = Some(key);
            if connect == Connect::Done {
                proxy.connected(ex, cx);
                proxy.upstream_by = cx.now.ms + settings.send_timeout.0;
            } else {
                proxy.phase = Phase::Connect;
                proxy.upstream_by = cx.now.ms + settings.connect_timeout.0;
            }
            ex.handler = Handler::Proxy(proxy);
            Step::Again
        }
        Err((call, e)) => {
            proxy.broken(ex, cx, call, e);
            let resting = cx.upstream_balance.give(&upstream, peer, End::Failed, cx.now.ms);
            ex.handler = Handler::Proxy(proxy);
            next(ends, ex, cx, Fault::Error, resting)
        }
    }
}

fn connect(ends: &mut Ends<'_>, ex: &mut Exchange, cx: &mut Services, backends: &mut Backends) -> Step {
    let Some(backend) = backends.of(ex.backend) else { return Step::Close };
    if !backend.transport.can_write() {
        return wait(ends, ex);
    }
    let outcome = backend.transport.connected();
    let Some(mut proxy) = take(ex) else { return Step::Again };
    match outcome {
        Ok(()) => {
            proxy.connected(ex, cx);
            proxy.upstream_by = cx.now.ms + ex.here().settings.proxy.send_timeout.0;
            ex.handler = Handler::Proxy(proxy);
            Step::Again
        }
        Err(e) => {
            proxy.broken(ex, cx, "connect()", e);
            ex.handler = Handler::Proxy(proxy);
            fail(ends, ex, cx, backends, Fault::Error)
        }
    }
}

/// The server is of no more use: another, an error, or the end of a response that has begun.
pub(super) fn fail(
    ends: &mut Ends<'_>,
    ex: &mut Exchange,
    cx: &mut Services,
    backends: &mut Backends,
    fault: Fault,
) -> Step {
    let resting = backends.close(&mut ex.backend, cx, fault.end());
    next(ends, ex, cx, fault, resting)
}

fn next(ends: &mut Ends<'_>, ex: &mut Exchange, cx: &mut Services, fault: Fault, resting: bool) -> Step {
    let Some(mut proxy) = take(ex) else { return Step::Again };
    if Proxy::has_begun(ex) {
        // No last chunk, fewer bytes than announced, or just the end: the client sees that something is missing.
        proxy.finish(ex, cx);
        ex.keep_alive = false;
        ex.tx = Tx::Done;
        if ex.rx == Rx::Body {
            ex.rx = Rx::Drain;
        }
        return settled(ends, ex, cx, Step::Again);
    }
    match proxy.failed(ex, cx, fault, resting) {
        None => ex.handler = Handler::Proxy(proxy),
        Some(flow) => {
            drop(proxy);
            phases::settle(ex, cx, flow);
        }
    }
    settled(ends, ex, cx, Step::Again)
}

/// The deadline of a proxied exchange has come. None: it was the client that took too long.
pub fn timeout(conn: &mut Conn, cx: &mut Services, backends: &mut Backends) -> Option<Next> {
    let Conn { transport, deadline, state, .. } = conn;
    let State::Active(ex) = state else { return None };
    let Handler::Proxy(proxy) = &ex.handler else { return None };
    let waits = proxy.waits(ex);
    let client = (waits.client_read || waits.client_write).then_some(proxy.client_by);
    let upstream = proxy.awaits_upstream(ex).then_some(proxy.upstream_by);
    let late = |by: Option<u64>| by.is_some_and(|by| by <= cx.now.ms);
    if !late(upstream) {
        if late(client) {
            return None;
        }
        // Things moved since the deadline was set.
        *deadline = client.into_iter().chain(upstream).min().unwrap_or(cx.now.ms + 1000);
        return Some(Next::Wait);
    }
    let mut proxy = take(ex)?;
    proxy.timed_out(ex, cx);
    ex.handler = Handler::Proxy(proxy);
    let key = Key::new(0, 0);
    let io = Io { transport, deadline, budget: &mut Budget::default() };
    let mut ends = Ends { io, key };
    fail(&mut ends, ex, cx, backends, Fault::Timeout);
    Some(Next::Run)
}

/// A proxied exchange that waits has something that will wake it, and nothing it could go on with.
pub fn check_invariants(client: &Transport, ex: &Exchange, backends: &Backends) {
    let Handler::Proxy(proxy) = &ex.handler else { return };
    let waits = proxy.waits(ex);
    let backend = backends.transport(ex.backend);
    let any =
        client.has_unsent() || waits.client_read || waits.client_write || waits.upstream_read || waits.upstream_write;
    let could = waits.client_read && client.can_read()
        || (waits.client_write || client.has_unsent()) && client.can_write()
        || waits.upstream_read && backend.is_some_and(Transport::can_read)
        || waits.upstream_write && backend.is_some_and(Transport::can_write);
    assert!(
        any && !could,
        "a proxied exchange waits for nothing: {:?} {waits:?} rx {:?} tx {:?} client {client:?} upstream {backend:?}",
        proxy.phase,
        ex.rx,
        ex.tx
    );
}

//! How a request gets its upstream connection: a server is picked, and an idle connection to it is reused or a new one
//! opened.

use super::exchange::{apply_flow, fail, next_server, wait};
use super::pool::{BackendRequest, Unopened};
use crate::conn::io::{CloseReason, Io, Step};
use crate::conn::{Active, Turn};
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::Handler;
use crate::exchange::handlers::upstream::{Fault, Phase, Proxy, settings};
use crate::http::status::Status;
use crate::services::Services;
use crate::services::upstream_balance::{Outcome, PeerState};
use crate::services::upstream_time::RequestTimes;
use crate::sys::Errno;
use crate::sys::socket::Connect;

/// Milliseconds to wait for a program to end before its output is watched (up to 18, given the ticks of the timers).
/// The output of a quick program is then read as a whole, without epoll, and sent together with its end: this saves a
/// packet and a turn of the event loop.
const QUICK_EXIT_WAIT: u64 = 2;

/// Waits until the resolver knows the addresses of the host.
pub(super) fn resolve(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, handler, .. } = active;
    let Handler::Proxy(proxy) = handler else { return Step::Again };
    match proxy.resolved(ex, turn.cx) {
        Ok(true) => Step::Again,
        Ok(false) => wait(io, active, turn.cx.now.ms),
        Err(flow) => apply_flow(io, active, turn.cx, flow),
    }
}

pub(super) fn pick(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let (cx, backends) = (&mut *turn.cx, &mut turn.pool.backends);
    let Active { ex, handler, backend, .. } = active;
    backends.leave(backend, cx);
    let Handler::Proxy(proxy) = handler else { return Step::Again };
    if proxy.is_program() {
        return spawn(io, active, turn);
    }
    if !std::mem::replace(&mut proxy.waited_for_room, true) && backends.must_wait_for_room(cx.stats.active) {
        return Step::Yield;
    }
    let (peer, addr) = match proxy.pick(ex, cx) {
        Ok(picked) => picked,
        Err(flow) => return apply_flow(io, active, cx, flow),
    };
    let settings = settings(ex).clone();
    let upstream = proxy.upstream().clone();
    proxy.client_by = cx.now.ms + ex.here().settings.client.body_timeout.0;
    let local = proxy.local(ex, cx);
    let secure = proxy.tls.clone();
    let wanted = BackendRequest {
        upstream: &upstream,
        peer,
        addr: &addr,
        local,
        probed: settings.socket_keepalive,
        tls: secure.as_ref(),
        repeatable: proxy.may_repeat(ex),
    };
    let kept = if std::mem::take(&mut proxy.wants_new) { None } else { backends.reuse(&wanted, turn.wake, cx.now.ms) };
    if let Some(key) = kept {
        *backend = Some(key);
        proxy.reused = true;
        proxy.connected(ex, cx);
        proxy.upstream_by = cx.now.ms + settings.send_timeout.0;
        return Step::Again;
    }
    proxy.reused = false;
    match backends.open(&wanted, turn.wake, cx.stats.active, cx.now.ms) {
        Ok((key, connect)) => {
            *backend = Some(key);
            opened(proxy, ex, cx, connect);
            Step::Again
        }
        Err(unopened) => {
            let is_remote = matches!(unopened, Unopened::Unreachable(_) | Unopened::NoSession);
            let end = if is_remote { Outcome::Failed } else { Outcome::Neutral };
            let taken = RequestTimes { began: cx.now.ms, header: None };
            let standing = cx.upstream_balance.give(&upstream, peer, end, taken, cx.now.ms);
            refused(io, active, cx, unopened, standing)
        }
    }
}

/// No connection was opened: tries another server if this one could not be reached; a local error is answered with 500.
fn refused(io: &mut Io<'_>, active: &mut Active, cx: &mut Services, why: Unopened, standing: PeerState) -> Step {
    let Active { ex, handler, .. } = active;
    let Handler::Proxy(proxy) = handler else { return Step::Again };
    match why {
        Unopened::LimitReached { limit } => proxy.limit_reached(ex, cx, limit),
        Unopened::Local(call, e) => proxy.broken(ex, cx, call, e),
        Unopened::Unbound(local, e) => proxy.unbound(ex, cx, local, e),
        Unopened::Unreachable(e) => {
            proxy.unreachable(ex, cx, e);
            return next_server(io, active, cx, Fault::Error, standing);
        }
        Unopened::NoSession => {
            proxy.no_handshake(ex, cx, "no session can be made");
            return next_server(io, active, cx, Fault::Error, standing);
        }
    }
    proxy.finish(ex, cx);
    apply_flow(io, active, cx, Flow::Status(Status::INTERNAL_SERVER_ERROR))
}

/// Sets the next phase on a new connection, and its timeout.
fn opened(proxy: &mut Proxy, ex: &mut Exchange, cx: &mut Services, connect: Connect) {
    let (connecting, sending) = (settings(ex).connect_timeout.0, settings(ex).send_timeout.0);
    if connect == Connect::Done && proxy.tls.is_some() {
        proxy.phase = Phase::Handshake;
        proxy.upstream_by = cx.now.ms + connecting;
    } else if connect == Connect::Done {
        proxy.connected(ex, cx);
        proxy.upstream_by = cx.now.ms + sending;
    } else {
        proxy.phase = Phase::Connect;
        proxy.upstream_by = cx.now.ms + connecting;
    }
}

/// Starts the CGI program.
fn spawn(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let (cx, backends) = (&mut *turn.cx, &mut turn.pool.backends);
    let Active { ex, handler, backend, .. } = active;
    let Handler::Proxy(proxy) = handler else { return Step::Again };
    let flow = match proxy.spawn(ex, cx) {
        Ok((child, output)) => {
            let key = backends.adopt(output, child, &proxy.upstream().clone(), turn.wake);
            *backend = Some(key);
            cx.children.read_by(child, key);
            proxy.connected(ex, cx);
            proxy.awaits_quick_end = true;
            proxy.upstream_by = cx.now.ms + QUICK_EXIT_WAIT;
            return Step::Again;
        }
        Err(flow) => flow,
    };
    apply_flow(io, active, cx, flow)
}

/// The program did not end in time: watches its output with epoll.
pub(super) fn watch_output(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) {
    let Handler::Proxy(proxy) = &mut active.handler else { return };
    proxy.awaits_quick_end = false;
    proxy.upstream_by = turn.cx.now.ms + settings(&active.ex).read_timeout.0;
    if let Err(e) = turn.pool.backends.watch(active.backend, &mut turn.cx.children) {
        proxy.broken(&mut active.ex, turn.cx, "epoll_ctl()", e);
        fail(io, active, turn, Fault::Error);
    }
}

pub(super) fn connect(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, handler, backend, .. } = active;
    let Some(backend) = turn.pool.backends.of(*backend) else { return Step::Close(CloseReason::Bug) };
    if !backend.transport.can_write() {
        return wait(io, active, turn.cx.now.ms);
    }
    let Handler::Proxy(proxy) = handler else { return Step::Again };
    match backend.transport.connected() {
        Ok(()) if proxy.tls.is_some() => {
            proxy.phase = Phase::Handshake;
            Step::Again
        }
        Ok(()) => {
            proxy.connected(ex, turn.cx);
            proxy.upstream_by = turn.cx.now.ms + settings(ex).send_timeout.0;
            Step::Again
        }
        Err(e) => {
            proxy.broken(ex, turn.cx, "connect()", e);
            fail(io, active, turn, Fault::Error)
        }
    }
}

/// Continues the TLS handshake; the server's certificate is verified before any byte of the request is sent.
pub(super) fn handshake(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, handler, backend, .. } = active;
    let Some(backend) = turn.pool.backends.of(*backend) else { return Step::Close(CloseReason::Bug) };
    let Handler::Proxy(proxy) = handler else { return Step::Again };
    let Some(tls) = backend.transport.tls_mut() else { return Step::Close(CloseReason::Bug) };
    match tls.handshake() {
        Ok(()) => {}
        Err(Errno::EAGAIN) => return wait(io, active, turn.cx.now.ms),
        Err(e) => {
            let why = tls.fault().map_or_else(|| e.to_string(), ToString::to_string);
            proxy.no_handshake(ex, turn.cx, &why);
            return fail(io, active, turn, Fault::Error);
        }
    }
    let chain = tls.session().map(|session| session.peer_certificates().to_vec()).unwrap_or_default();
    if !proxy.trusts(ex, turn.cx, &chain) {
        return fail(io, active, turn, Fault::Error);
    }
    proxy.connected(ex, turn.cx);
    proxy.upstream_by = turn.cx.now.ms + settings(ex).send_timeout.0;
    Step::Again
}

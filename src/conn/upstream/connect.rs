//! How a request gets its upstream connection: a server is picked, and an idle connection to it is reused or a new one
//! opened.

use super::pool::{Unopened, WantedConn};
use super::send_receive::{apply_flow, fail, next_server, wait};
use crate::conn::io::{CloseReason, Io, Step};
use crate::conn::{Active, Turn};
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::Handler;
use crate::exchange::handlers::upstream::timers::{ClientDeadline, ClientTimer, UpstreamDeadline, UpstreamTimer};
use crate::exchange::handlers::upstream::{UpstreamFault, UpstreamPhase, UpstreamRequest, settings};
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
    let Handler::Upstream(request) = handler else { return Step::Again };
    match request.resolved(ex, turn.cx) {
        Ok(true) => Step::Again,
        Ok(false) => wait(io, active, turn.cx.now.ms),
        Err(flow) => apply_flow(io, active, turn.cx, flow),
    }
}

/// Gives the request an upstream connection: a reused one, a new one, or the pipe of a program that is started. The one
/// it has is given up first. If there is none to be had, the request ends as its fault says (502, 504).
pub(super) fn pick(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let (cx, upstream_conns) = (&mut *turn.cx, &mut turn.pool.upstream_conns);
    let Active { ex, handler, upstream_conn, .. } = active;
    upstream_conns.leave(upstream_conn, cx);
    let Handler::Upstream(request) = handler else { return Step::Again };
    if request.is_program() {
        return spawn(io, active, turn);
    }
    if !std::mem::replace(&mut request.waited_for_room, true) && upstream_conns.must_wait_for_room(cx.stats.active) {
        return Step::Yield;
    }
    let (peer, addr) = match request.pick(ex, cx) {
        Ok(picked) => picked,
        Err(flow) => return apply_flow(io, active, cx, flow),
    };
    let settings = settings(ex).clone();
    let upstream = request.upstream().clone();
    let until = cx.now.ms + ex.location().settings.client.body_timeout.0;
    request.client_deadline = ClientDeadline::new(ClientTimer::Body, until);
    let local = request.local(ex, cx);
    let secure = request.tls.clone();
    let wanted = WantedConn {
        upstream: &upstream,
        peer,
        addr: &addr,
        local,
        probed: settings.socket_keepalive,
        tls: secure.as_ref(),
        repeatable: request.may_repeat(ex),
    };
    let kept =
        if std::mem::take(&mut request.wants_new) { None } else { upstream_conns.reuse(&wanted, turn.wake, cx.now.ms) };
    if let Some(key) = kept {
        *upstream_conn = Some(key);
        request.forget_response(ex);
        request.reused = true;
        request.connected(ex, cx);
        request.upstream_deadline = UpstreamDeadline::new(UpstreamTimer::Send, cx.now.ms + settings.send_timeout.0);
        return Step::Again;
    }
    request.reused = false;
    match upstream_conns.open(&wanted, turn.wake, cx.stats.active, cx.now.ms) {
        Ok((key, connect)) => {
            *upstream_conn = Some(key);
            request.forget_response(ex);
            opened(request, ex, cx, connect);
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
    let Handler::Upstream(request) = handler else { return Step::Again };
    match why {
        Unopened::LimitReached { limit } => request.limit_reached(ex, cx, limit),
        Unopened::Local(call, e) => request.broken(ex, cx, call, e),
        Unopened::Unbound(local, e) => request.unbound(ex, cx, local, e),
        Unopened::Unreachable(e) => {
            request.unreachable(ex, cx, e);
            return next_server(io, active, cx, UpstreamFault::Error, standing);
        }
        Unopened::NoSession => {
            request.no_handshake(ex, cx, "no session can be made");
            return next_server(io, active, cx, UpstreamFault::Error, standing);
        }
    }
    request.end_record(ex, cx);
    apply_flow(io, active, cx, Flow::Status(Status::INTERNAL_SERVER_ERROR))
}

/// Sets the next phase on a new connection, and its timeout.
fn opened(request: &mut UpstreamRequest, ex: &mut Exchange, cx: &mut Services, connect: Connect) {
    let until = cx.now.ms + settings(ex).connect_timeout.0;
    if connect == Connect::Done && request.tls.is_some() {
        request.phase = UpstreamPhase::Handshake;
        request.upstream_deadline = UpstreamDeadline::new(UpstreamTimer::Handshake, until);
    } else if connect == Connect::Done {
        connected(request, ex, cx);
    } else {
        request.phase = UpstreamPhase::Connect;
        request.upstream_deadline = UpstreamDeadline::new(UpstreamTimer::Connect, until);
    }
}

/// The connection is ready for the request.
fn connected(request: &mut UpstreamRequest, ex: &mut Exchange, cx: &mut Services) {
    request.connected(ex, cx);
    let until = cx.now.ms + settings(ex).send_timeout.0;
    request.upstream_deadline = UpstreamDeadline::new(UpstreamTimer::Send, until);
}

/// Starts the CGI program.
fn spawn(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let (cx, upstream_conns) = (&mut *turn.cx, &mut turn.pool.upstream_conns);
    let Active { ex, handler, upstream_conn, .. } = active;
    let Handler::Upstream(request) = handler else { return Step::Again };
    let flow = match request.spawn(ex, cx) {
        Ok((child, output)) => {
            let key = upstream_conns.adopt(output, child, &request.upstream().clone(), turn.wake);
            *upstream_conn = Some(key);
            cx.children.read_by(child, key);
            request.connected(ex, cx);
            request.upstream_deadline = UpstreamDeadline::new(UpstreamTimer::QuickExit, cx.now.ms + QUICK_EXIT_WAIT);
            return Step::Again;
        }
        Err(flow) => flow,
    };
    apply_flow(io, active, cx, flow)
}

/// The program did not end in time: watches its output with epoll.
pub(super) fn watch_output(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) {
    let Handler::Upstream(request) = &mut active.handler else { return };
    let until = turn.cx.now.ms + settings(&active.ex).read_timeout.0;
    request.upstream_deadline = UpstreamDeadline::new(UpstreamTimer::Read, until);
    if let Err(e) = turn.pool.upstream_conns.watch(active.upstream_conn, &mut turn.cx.children) {
        request.broken(&mut active.ex, turn.cx, "epoll_ctl()", e);
        fail(io, active, turn, UpstreamFault::Error);
    }
}

/// Goes on once connect(2) is over: to the TLS handshake, to sending the request, or to the next server.
pub(super) fn connect(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, handler, upstream_conn, .. } = active;
    let Some(upstream_conn) = turn.pool.upstream_conns.of(*upstream_conn) else { return Step::Close(CloseReason::Bug) };
    if !upstream_conn.transport.can_write() {
        return wait(io, active, turn.cx.now.ms);
    }
    let Handler::Upstream(request) = handler else { return Step::Again };
    match upstream_conn.transport.connected() {
        Ok(()) if request.tls.is_some() => {
            request.phase = UpstreamPhase::Handshake;
            request.upstream_deadline.continue_as(UpstreamTimer::Handshake);
            Step::Again
        }
        Ok(()) => {
            connected(request, ex, turn.cx);
            Step::Again
        }
        Err(e) => {
            request.broken(ex, turn.cx, "connect()", e);
            fail(io, active, turn, UpstreamFault::Error)
        }
    }
}

/// Continues the TLS handshake; the server's certificate is verified before any byte of the request is sent.
pub(super) fn handshake(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, handler, upstream_conn, .. } = active;
    let Some(upstream_conn) = turn.pool.upstream_conns.of(*upstream_conn) else { return Step::Close(CloseReason::Bug) };
    let Handler::Upstream(request) = handler else { return Step::Again };
    let Some(tls) = upstream_conn.transport.tls_mut() else { return Step::Close(CloseReason::Bug) };
    match tls.handshake() {
        Ok(()) => {}
        Err(Errno::EAGAIN) => return wait(io, active, turn.cx.now.ms),
        Err(e) => {
            let why = tls.fault().map_or_else(|| e.to_string(), ToString::to_string);
            request.no_handshake(ex, turn.cx, &why);
            return fail(io, active, turn, UpstreamFault::Error);
        }
    }
    let chain = tls.session().map(|session| session.peer_certificates().to_vec()).unwrap_or_default();
    if !request.trusts(ex, turn.cx, &chain) {
        return fail(io, active, turn, UpstreamFault::Error);
    }
    connected(request, ex, turn.cx);
    Step::Again
}

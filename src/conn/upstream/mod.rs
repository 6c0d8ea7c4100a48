//! A proxied exchange on its connection: [`step`] buffers the request body if necessary, connects to a server
//! ([`connect`]), and sends the request and receives the response ([`send_receive`], [`tunnel`]) while it serves the
//! client.
//!
//! Invariant ([`check_invariants`]): an exchange that waits has an event that will wake it, and nothing it could
//! continue with.

mod connect;
mod idle;
pub mod pool;
mod send_receive;
pub mod spooled;
pub mod tunnel;

use crate::config::model::Level;
use crate::config::settings::proxy::Store;
use crate::conn::io::{CloseReason, Io, Next, Step};
use crate::conn::request::read;
use crate::conn::request::write::{self, Flushed};
use crate::conn::timers::Timer;
use crate::conn::transport::Transport;
use crate::conn::{Active, Turn};
use crate::exchange::handlers::Handler;
use crate::exchange::handlers::upstream::timers::{ClientDeadline, ClientTimer, UpstreamDeadline, UpstreamTimer};
use crate::exchange::handlers::upstream::{UpstreamFault, UpstreamPhase, UpstreamRequest, settings};
use crate::exchange::{Exchange, Rx, Tx};
use crate::http::status::Status;
use crate::http::version::Version;
use pool::UpstreamConns;
pub use send_receive::send_held;
use send_receive::{arm_send, by_client_deadline, deadlines, first_deadline, wait};

/// Makes all progress that is possible now.
pub fn step(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let step = round(io, active, turn);
    // The exchange no longer needs its upstream connection, for whatever reason: close it.
    if active.upstream_conn.is_some() && !active.is_proxied() {
        turn.pool.upstream_conns.leave(&mut active.upstream_conn, turn.cx);
    }
    step
}

fn round(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, handler, .. } = active;
    let Handler::Upstream(request) = handler else { return Step::Close(CloseReason::Bug) };
    let phase = request.phase;
    request.is_scarce = turn.cx.overload.is_tight();
    // The socket's end: a close_notify alone only says that there are no more requests (nginx).
    let gone = io.transport.has_failed() || io.transport.socket_closed() && ex.progress.rx != Rx::Body;
    if gone && phase != UpstreamPhase::Tunnel && !goes_on_without_client(ex) {
        return client_gone(active, turn, CloseReason::ClientGone);
    }
    let waiting = ex.out.pending();
    let had_room = waiting == 0 || request.room(ex) > 0;
    match by_client_deadline(io, request, |io| write::flush(io, ex, turn)) {
        // An interim response is out: the time to send it is not the time that the body may take.
        Flushed::All if waiting > 0 && ex.progress.tx == Tx::Wait && ex.progress.rx == Rx::Body => {
            let until = turn.cx.now.ms + ex.location().settings.client.body_timeout.0;
            request.client_deadline = ClientDeadline::new(ClientTimer::Body, until);
        }
        Flushed::All | Flushed::Blocked => {}
        Flushed::Yield => return Step::Yield,
        // A response that is being stored is read to its end (nginx).
        Flushed::Gone(_) if request.is_copied() => {
            ex.out.discard();
            request.spool = None;
        }
        Flushed::Gone(reason) => return client_gone(active, turn, reason),
    }
    let flushed = ex.out.pending() < waiting;
    if flushed && !had_room && matches!(request.upstream_deadline.timer, UpstreamTimer::Send | UpstreamTimer::Read) {
        // The upstream could not be read from until now, so its timeout begins now.
        let until = turn.cx.now.ms + settings(ex).read_timeout.0;
        request.upstream_deadline = UpstreamDeadline::new(UpstreamTimer::Read, until);
    }
    match phase {
        UpstreamPhase::BufferBody => buffer_body(io, active, turn),
        UpstreamPhase::Resolve => connect::resolve(io, active, turn),
        UpstreamPhase::Pick => connect::pick(io, active, turn),
        UpstreamPhase::Connect => connect::connect(io, active, turn),
        UpstreamPhase::Handshake => connect::handshake(io, active, turn),
        UpstreamPhase::SendReceive => send_receive::send_receive(io, active, turn, flushed),
        UpstreamPhase::Tunnel => tunnel::step(io, active, turn, flushed),
    }
}

/// Whether the response is fetched even if the client has gone: because it is stored (proxy_store), or because of
/// proxy_ignore_client_abort.
fn goes_on_without_client(ex: &Exchange) -> bool {
    settings(ex).ignore_client_abort || settings(ex).store != Store::Off
}

/// Whether an HTTP/2 stream continues in this way after its connection is closed.
pub fn outlives_client(active: &Active) -> bool {
    let is_at_work = matches!(&active.handler, Handler::Upstream(request) if request.phase != UpstreamPhase::Tunnel);
    is_at_work
        && active.ex.progress.rx == Rx::Done
        && active.ex.nesting.subrequest.is_none()
        && goes_on_without_client(&active.ex)
}

/// The client closed the connection before the response was complete.
fn client_gone(active: &mut Active, turn: &mut Turn<'_>, reason: CloseReason) -> Step {
    tunnel::cut(active, turn);
    let Active { ex, handler, upstream_conn, .. } = active;
    let cx = &mut *turn.cx;
    let is_tunnel = matches!(handler, Handler::Upstream(request) if request.is_for_tunnel());
    // Without a response and its whole body, a request is logged where its connection ends. A tunnel's has no body.
    let (has_response, has_come) = (ex.progress.tx != Tx::Wait, ex.progress.rx == Rx::Done || is_tunnel);
    if !has_response && has_come {
        ex.response.status = Status::CLIENT_CLOSED_REQUEST;
    }
    if has_response || has_come {
        // What notices it is epoll, but for a stream of HTTP/2 (nginx).
        let by = if ex.request.head.version == Version::Http2 { "" } else { "epoll_wait() reported that " };
        let what = "client prematurely closed connection, so upstream connection is closed too";
        ex.report(cx, Level::Info, format_args!("{by}{what}"));
    }
    if let Handler::Upstream(request) = handler {
        request.end_record(ex, cx);
    }
    *handler = Handler::None;
    turn.pool.upstream_conns.leave(upstream_conn, cx);
    Step::Close(reason)
}

/// Buffers the whole request body.
fn buffer_body(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, handler, reader, .. } = active;
    let Handler::Upstream(request) = handler else { return Step::Again };
    if request.ends_buffering(ex) {
        return Step::Again;
    }
    read::send_continue(ex, reader);
    if !ex.out.is_empty() && io.transport.can_write() {
        return Step::Again;
    }
    if !ex.out.is_empty() {
        return wait(io, active, turn.cx.now.ms);
    }
    match send_receive::take_body(io, active, turn) {
        Step::Wait => wait(io, active, turn.cx.now.ms),
        step => {
            arm_send(io, active, turn.cx);
            step
        }
    }
}

/// While limit_rate delays the client, reads what the upstream sends, to free the upstream.
pub fn read_on(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, handler, .. } = active;
    let Handler::Upstream(request) = handler else { return Step::Wait };
    if request.phase != UpstreamPhase::SendReceive || !UpstreamRequest::has_begun(ex) || request.pace.is_some() {
        return Step::Wait;
    }
    request.is_scarce = turn.cx.overload.is_tight();
    request.spool_for_pause(ex);
    match send_receive::receive(io, active, turn) {
        send_receive::Received::Nothing => return Step::Wait,
        send_receive::Received::Step(step) => return step,
        send_receive::Received::Progress => {}
    }
    match &active.handler {
        Handler::Upstream(request) if request.is_done() => send_receive::complete(io, active, turn),
        _ => Step::Again,
    }
}

/// The exchange's pause is over: what the client has to do then is of the deadline that begins now.
pub fn pause_over(io: &Io<'_>, handler: &mut Handler) {
    if let Handler::Upstream(request) = handler
        && let Some(client) = io.deadline.of_client()
    {
        request.client_deadline = client;
    }
}

/// The deadline of a proxied exchange has expired. None: the client was too slow; the deadline is its own.
pub fn timeout(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Option<Next> {
    let Active { ex, handler, .. } = active;
    let Handler::Upstream(request) = handler else { return None };
    let now = turn.cx.now.ms;
    if io.deadline.timer() == Timer::Spool && request.opens_spool(ex, now) {
        return Some(Next::Run);
    }
    let (client, upstream) = deadlines(request, ex);
    if upstream.is_none_or(|upstream| upstream.at() > now) {
        if let Some(client) = client.filter(|client| client.at() <= now) {
            *io.deadline = client;
            return None;
        }
        // There was progress since the deadline was set.
        match first_deadline(request, ex, now) {
            Some(first) => *io.deadline = first,
            None => io.arm(io.deadline.timer(), now + 1000),
        }
        return Some(Next::Wait);
    }
    match request.upstream_deadline.timer {
        UpstreamTimer::QuickExit => connect::watch_output(io, active, turn),
        // The program has closed its output but keeps running: nothing indicates that output is missing.
        UpstreamTimer::Exit => request.ended(),
        UpstreamTimer::Resolve
        | UpstreamTimer::Connect
        | UpstreamTimer::Handshake
        | UpstreamTimer::Send
        | UpstreamTimer::Read => {
            request.timed_out(ex, turn.cx);
            send_receive::fail(io, active, turn, UpstreamFault::Timeout);
        }
    }
    Some(Next::Run)
}

/// Checks that a waiting exchange has an event that will wake it, and nothing it could continue with.
pub fn check_invariants(client: &Transport, active: &Active, upstream_conns: &UpstreamConns) {
    let Active { ex, handler, upstream_conn, .. } = active;
    let Handler::Upstream(request) = handler else { return };
    // The resolver wakes it.
    if request.phase == UpstreamPhase::Resolve {
        return;
    }
    let waits = request.waits(ex);
    let upstream_conn = upstream_conns.transport(*upstream_conn);
    let any = client.has_unsent()
        || waits.client_read
        || waits.client_write
        || waits.upstream_read
        || waits.upstream_write
        || waits.exit;
    let could = waits.client_read && client.can_read()
        || (waits.client_write || client.has_unsent()) && client.can_write()
        || waits.upstream_read && upstream_conn.is_some_and(Transport::can_read)
        || waits.upstream_write && upstream_conn.is_some_and(Transport::can_write);
    assert!(
        any && !could,
        "a proxied exchange waits for nothing: {:?} {waits:?} rx {:?} tx {:?} client {client:?} upstream {upstream_conn:?}",
        request.phase,
        ex.progress.rx,
        ex.progress.tx
    );
}

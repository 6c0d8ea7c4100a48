//! A proxied exchange on its connection: [`step`] buffers the request body if necessary, connects to a server
//! ([`connect`]), and sends the request and receives the response ([`exchange`], [`tunnel`]) while it serves the
//! client.
//!
//! Invariant ([`check_invariants`]): an exchange that waits has an event that will wake it, and nothing it could
//! continue with.

mod connect;
mod exchange;
mod idle;
pub mod pool;
pub mod spooled;
pub mod tunnel;

use crate::config::model::Level;
use crate::config::settings::proxy::Store;
use crate::conn::io::{CloseReason, Io, Next, Step};
use crate::conn::request::read;
use crate::conn::request::write::{self, Flushed};
use crate::conn::transport::Transport;
use crate::conn::{Active, Turn};
use crate::exchange::handlers::Handler;
use crate::exchange::handlers::upstream::{Fault, Phase, Proxy, settings};
use crate::exchange::{Exchange, Rx, Tx};
use crate::http::status::Status;
use exchange::{arm_send, by_client_deadline, deadlines, first_deadline, wait};
use pool::Backends;

/// Makes all progress that is possible now.
pub fn step(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let step = round(io, active, turn);
    // The exchange no longer needs its upstream connection, for whatever reason: close it.
    if active.backend.is_some() && !active.is_proxied() {
        turn.pool.backends.leave(&mut active.backend, turn.cx);
    }
    step
}

fn round(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, handler, .. } = active;
    let Handler::Proxy(proxy) = handler else { return Step::Close(CloseReason::Bug) };
    let phase = proxy.phase;
    // The socket's end: a close_notify alone only says that there are no more requests (nginx).
    let gone = io.transport.has_failed() || io.transport.socket_closed() && ex.rx != Rx::Body;
    if gone && phase != Phase::Tunnel && !goes_on_without_client(ex) {
        return client_gone(active, turn, CloseReason::ClientGone);
    }
    let waiting = ex.out.pending();
    let had_room = waiting == 0 || proxy.room(ex) > 0;
    match by_client_deadline(io, proxy, |io| write::flush(io, ex, turn)) {
        Flushed::All | Flushed::Blocked => {}
        Flushed::Yield => return Step::Yield,
        // A response that is being stored is read to its end (nginx).
        Flushed::Gone(_) if proxy.is_copied() => {
            ex.out.discard();
            proxy.spool = None;
        }
        Flushed::Gone(reason) => return client_gone(active, turn, reason),
    }
    let flushed = ex.out.pending() < waiting;
    // Until the output of a program is watched, `upstream_by` is the time at which watching begins: do not move it.
    if flushed && !had_room && !proxy.awaits_quick_end {
        // The upstream could not be read from until now, so its timeout begins now.
        proxy.upstream_by = turn.cx.now.ms + settings(ex).read_timeout.0;
    }
    match phase {
        Phase::Gather => gather(io, active, turn),
        Phase::Resolve => connect::resolve(io, active, turn),
        Phase::Pick => connect::pick(io, active, turn),
        Phase::Connect => connect::connect(io, active, turn),
        Phase::Handshake => connect::handshake(io, active, turn),
        Phase::Talk => exchange::talk(io, active, turn, flushed),
        Phase::Tunnel => tunnel::step(io, active, turn, flushed),
    }
}

/// Whether the response is fetched even if the client has gone: because it is stored (proxy_store), or because of
/// proxy_ignore_client_abort.
fn goes_on_without_client(ex: &Exchange) -> bool {
    settings(ex).ignore_client_abort || settings(ex).store != Store::Off
}

/// Whether an HTTP/2 stream continues in this way after its connection is closed.
pub fn outlives_client(active: &Active) -> bool {
    let is_at_work = matches!(&active.handler, Handler::Proxy(proxy) if proxy.phase != Phase::Tunnel);
    is_at_work && active.ex.rx == Rx::Done && active.ex.sub.is_none() && goes_on_without_client(&active.ex)
}

/// The client closed the connection before the response was complete.
fn client_gone(active: &mut Active, turn: &mut Turn<'_>, reason: CloseReason) -> Step {
    tunnel::cut(active, turn);
    let Active { ex, handler, backend, .. } = active;
    let cx = &mut *turn.cx;
    if ex.tx == Tx::Wait {
        ex.response.status = Status::CLIENT_CLOSED_REQUEST;
    }
    let what = "client prematurely closed connection, so upstream connection is closed too";
    ex.report(cx, Level::Info, format_args!("{what}"));
    if let Handler::Proxy(proxy) = handler {
        proxy.finish(ex, cx);
    }
    *handler = Handler::None;
    turn.pool.backends.leave(backend, cx);
    Step::Close(reason)
}

/// Buffers the whole request body.
fn gather(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, handler, reader, .. } = active;
    let Handler::Proxy(proxy) = handler else { return Step::Again };
    if proxy.gathered(ex) {
        return Step::Again;
    }
    read::send_continue(ex, reader);
    if !ex.out.is_empty() && io.transport.can_write() {
        return Step::Again;
    }
    if !ex.out.is_empty() {
        return wait(io, active, turn.cx.now.ms);
    }
    match exchange::take_body(io, active, turn) {
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
    let Handler::Proxy(proxy) = handler else { return Step::Wait };
    if proxy.phase != Phase::Talk || !Proxy::has_begun(ex) || proxy.pace.is_some() {
        return Step::Wait;
    }
    proxy.spool_for_pause(ex);
    match exchange::receive(io, active, turn) {
        exchange::Received::Nothing => return Step::Wait,
        exchange::Received::Step(step) => return step,
        exchange::Received::Progress => {}
    }
    match &active.handler {
        Handler::Proxy(proxy) if proxy.is_done() => exchange::complete(io, active, turn),
        _ => Step::Again,
    }
}

/// The deadline of a proxied exchange has expired. None: the client was too slow.
pub fn timeout(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Option<Next> {
    let Active { ex, handler, .. } = active;
    let Handler::Proxy(proxy) = handler else { return None };
    let now = turn.cx.now.ms;
    if proxy.opens_spool(ex, now) {
        return Some(Next::Run);
    }
    let (client, upstream) = deadlines(proxy, ex);
    if upstream.is_none_or(|upstream| upstream.at() > now) {
        if let Some(client) = client.filter(|client| client.at() <= now) {
            *io.deadline = client;
            return None;
        }
        // There was progress since the deadline was set.
        match first_deadline(proxy, ex, now) {
            Some(first) => *io.deadline = first,
            None => io.arm(io.deadline.timer(), now + 1000),
        }
        return Some(Next::Wait);
    }
    if proxy.awaits_quick_end {
        connect::watch_output(io, active, turn);
        return Some(Next::Run);
    }
    if proxy.awaits_exit() {
        // The program has closed its output but keeps running: nothing indicates that output is missing.
        proxy.ended();
        return Some(Next::Run);
    }
    proxy.timed_out(ex, turn.cx);
    exchange::fail(io, active, turn, Fault::Timeout);
    Some(Next::Run)
}

/// Checks that a waiting exchange has an event that will wake it, and nothing it could continue with.
pub fn check_invariants(client: &Transport, active: &Active, backends: &Backends) {
    let Active { ex, handler, backend, .. } = active;
    let Handler::Proxy(proxy) = handler else { return };
    // The resolver wakes it.
    if proxy.phase == Phase::Resolve {
        return;
    }
    let waits = proxy.waits(ex);
    let backend = backends.transport(*backend);
    let any = client.has_unsent()
        || waits.client_read
        || waits.client_write
        || waits.upstream_read
        || waits.upstream_write
        || waits.exit;
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

//! A proxied exchange on its connection: [`step`] gathers its body where that is wanted, brings it to a server
//! ([`connect`]) and moves the request out and the response in ([`exchange`], [`tunnel`]), the client served meanwhile.
//!
//! Invariant ([`check_invariants`]): one that waits has something that will wake it, and nothing it could go on with.

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

/// One round: whatever can move moves.
pub fn step(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let step = round(io, active, turn);
    // An upstream connection whose exchange has done with it, however that came, is closed.
    if active.backend.is_some() && !active.is_proxied() {
        turn.pool.backends.leave(&mut active.backend, turn.cx);
    }
    step
}

fn round(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, handler, .. } = active;
    let Handler::Proxy(proxy) = handler else { return Step::Close(CloseReason::Bug) };
    let phase = proxy.phase;
    let gone = io.transport.has_failed() || io.transport.peer_closed() && ex.rx != Rx::Body;
    if gone && phase != Phase::Tunnel && !goes_on_without_client(ex) {
        return client_gone(active, turn, CloseReason::ClientGone);
    }
    let waiting = ex.out.pending();
    let had_room = waiting == 0 || proxy.room(ex) > 0;
    match by_client_deadline(io, proxy, |io| write::flush(io, ex, turn)) {
        Flushed::All | Flushed::Blocked => {}
        Flushed::Yield => return Step::Yield,
        // A response that is stored is read to its end (nginx).
        Flushed::Gone(_) if proxy.is_copied() => {
            ex.out.discard();
            proxy.spool = None;
        }
        Flushed::Gone(reason) => return client_gone(active, turn, reason),
    }
    let flushed = ex.out.pending() < waiting;
    // Until a program's output is watched, `upstream_by` is when that begins: it is not put off.
    if flushed && !had_room && !proxy.awaits_quick_end {
        // The upstream was not read from meanwhile, so its timeout begins now.
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

/// The response is fetched although the client is gone: it is to be stored (proxy_store), or proxy_ignore_client_abort
/// is on.
fn goes_on_without_client(ex: &Exchange) -> bool {
    settings(ex).ignore_client_abort || settings(ex).store != Store::Off
}

/// Whether a stream goes on so, whose connection is gone.
pub fn outlives_client(active: &Active) -> bool {
    let is_at_work = matches!(&active.handler, Handler::Proxy(proxy) if proxy.phase != Phase::Tunnel);
    is_at_work && active.ex.rx == Rx::Done && active.ex.sub.is_none() && goes_on_without_client(&active.ex)
}

/// The client left before its answer.
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

/// Reads the whole body first.
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

/// The client is held up by its limit_rate: what its upstream sends meanwhile is read, so that this one is free.
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

/// The deadline of a proxied exchange has come. None: it was the client that took too long.
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
        // Something moved since the deadline was set.
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
        // It has closed its output and works on: nothing says that something is missing.
        proxy.ended();
        return Some(Next::Run);
    }
    proxy.timed_out(ex, turn.cx);
    exchange::fail(io, active, turn, Fault::Timeout);
    Some(Next::Run)
}

/// A proxied exchange that waits has something that will wake it, and nothing it could go on with.
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

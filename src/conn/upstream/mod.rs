//! A proxied exchange on its connection: [`step`] gathers its body where that is wanted, brings it to a server
//! ([`connect`]) and moves the request out and the response in ([`exchange`], [`tunnel`]), the client served meanwhile.
//!
//! Invariant ([`check_invariants`]): one that waits has something that will wake it, and nothing it could go on with.

mod connect;
mod exchange;
pub mod pool;
mod tunnel;

use crate::config::model::Level;
use crate::conn::Turn;
use crate::conn::close::CloseReason;
use crate::conn::http1::read;
use crate::conn::http1::write::{self, Flushed};
use crate::conn::io::{Io, Next, Step};
use crate::conn::transport::Transport;
use crate::exchange::handlers::Handler;
use crate::exchange::handlers::upstream::{Fault, Phase, Proxy, settings};
use crate::exchange::{Exchange, Rx, Tx};
use crate::http::status::Status;
use exchange::{deadlines, served, settled, take, wait};
use pool::Backends;

/// One round: whatever can move moves.
pub fn step(io: &mut Io<'_>, ex: &mut Exchange, turn: &mut Turn<'_>) -> Step {
    let step = round(io, ex, turn);
    // An upstream connection whose exchange has done with it, however that came, is closed.
    if ex.backend.is_some() && !matches!(ex.handler, Handler::Proxy(_)) {
        turn.pool.backends.leave(&mut ex.backend, turn.cx);
    }
    step
}

fn round(io: &mut Io<'_>, ex: &mut Exchange, turn: &mut Turn<'_>) -> Step {
    let Some(mut proxy) = take(ex) else { return Step::Close(CloseReason::Bug) };
    let phase = proxy.phase;
    let gone = io.transport.has_failed() || io.transport.peer_closed() && ex.rx == Rx::Done;
    if gone && phase != Phase::Tunnel && !settings(ex).ignore_client_abort {
        return client_gone(proxy, ex, turn, CloseReason::ClientGone);
    }
    let waiting = ex.out.pending();
    let had_room = proxy.room(ex) > 0;
    match served(io, &mut proxy, |io| write::flush(io, ex, turn)) {
        Flushed::All | Flushed::Blocked => {}
        Flushed::Yield => {
            ex.handler = Handler::Proxy(proxy);
            return Step::Yield;
        }
        Flushed::Gone(reason) => return client_gone(proxy, ex, turn, reason),
    }
    let flushed = ex.out.pending() < waiting;
    if flushed && !had_room {
        // The upstream was not waited for meanwhile.
        proxy.upstream_by = turn.cx.now.ms + settings(ex).read_timeout.0;
    }
    ex.handler = Handler::Proxy(proxy);
    match phase {
        Phase::Gather => gather(io, ex, turn),
        Phase::Pick => connect::pick(io, ex, turn),
        Phase::Connect => connect::connect(io, ex, turn),
        Phase::Talk => exchange::talk(io, ex, turn, flushed),
        Phase::Tunnel => tunnel::step(io, ex, turn, flushed),
    }
}

/// The client left before its answer.
fn client_gone(mut proxy: Box<Proxy>, ex: &mut Exchange, turn: &mut Turn<'_>, reason: CloseReason) -> Step {
    let cx = &mut *turn.cx;
    if ex.tx == Tx::Wait {
        ex.response.status = Status::CLIENT_CLOSED_REQUEST;
    }
    let what = "client prematurely closed connection, so upstream connection is closed too";
    ex.report(cx, Level::Info, format_args!("{what}"));
    proxy.finish(ex, cx);
    turn.pool.backends.leave(&mut ex.backend, cx);
    Step::Close(reason)
}

/// Reads the whole body first.
fn gather(io: &mut Io<'_>, ex: &mut Exchange, turn: &mut Turn<'_>) -> Step {
    let Some(mut proxy) = take(ex) else { return Step::Again };
    let gathered = proxy.gathered(ex);
    ex.handler = Handler::Proxy(proxy);
    if gathered {
        return Step::Again;
    }
    read::invite(ex);
    if !ex.out.is_empty() && io.transport.can_write() {
        return Step::Again;
    }
    if !ex.out.is_empty() {
        return wait(io, ex);
    }
    match exchange::take_body(io, ex, turn) {
        Step::Wait => wait(io, ex),
        step => {
            settled(io, ex, turn.cx);
            step
        }
    }
}

/// The deadline of a proxied exchange has come. None: it was the client that took too long.
pub fn timeout(io: &mut Io<'_>, ex: &mut Exchange, turn: &mut Turn<'_>) -> Option<Next> {
    let Handler::Proxy(proxy) = &ex.handler else { return None };
    let now = turn.cx.now.ms;
    let (client, upstream) = deadlines(proxy, ex);
    if upstream.is_none_or(|upstream| upstream.at() > now) {
        if let Some(client) = client.filter(|client| client.at() <= now) {
            *io.deadline = client;
            return None;
        }
        // Things moved since the deadline was set.
        match client.into_iter().chain(upstream).min() {
            Some(first) => *io.deadline = first,
            None => io.arm(io.deadline.timer(), now + 1000),
        }
        return Some(Next::Wait);
    }
    let mut proxy = take(ex)?;
    proxy.timed_out(ex, turn.cx);
    ex.handler = Handler::Proxy(proxy);
    exchange::fail(io, ex, turn, Fault::Timeout);
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

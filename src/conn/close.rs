//! The end of a connection: what is logged of it, and the lingering close that lets a client read its last response.
//!
//! Invariant: a connection is closed with a reason, and with its exchange returned to the pool and counted
//! ([`leave_active`]).

use super::http1::head;
use super::io::{CloseReason, Io, Step};
use super::request::log;
use super::timers::Timer;
use super::transport::Transport;
use super::{Active, Conn, ConnState, Turn, subrequests, upstream};
use crate::config::model::Level;
use crate::config::settings::client::{ClientSettings, Lingering};
use crate::exchange::handlers::Handler;
use crate::exchange::{Exchange, Rx, Tx};
use crate::http::status::Status;
use crate::services::{SCRATCH, Services};
use crate::sys::Errno;

/// The connection ends, with a request under way or without. What was begun is dropped; a client that left is logged.
pub fn abandon(conn: &mut Conn, turn: &mut Turn<'_>, reason: CloseReason) {
    if let ConnState::Active(active) = &mut conn.state {
        if is_cut(&active.ex, reason) {
            cut(&mut conn.transport, &active.ex);
        }
        if conn.transport.has_failed() {
            upstream::tunnel::cut(active, turn);
        }
        turn.pool.upstream_conns.leave(&mut active.upstream_conn, turn.cx);
        if let Handler::Upstream(request) = &active.handler {
            request.end_record(&mut active.ex, turn.cx);
        }
        subrequests::unwind(active, turn.cx);
        end_request(active, turn.cx, reason);
    }
    leave_active(conn, turn);
}

/// The client has a part of a response, and will not get the rest.
fn is_cut(ex: &Exchange, reason: CloseReason) -> bool {
    let is_under_way = ex.progress.tx == Tx::Send || ex.progress.tx == Tx::Done && !ex.out.is_empty();
    ex.out.is_cut() || is_under_way && reason != CloseReason::Served
}

/// What the client has of a response must not look whole. A length or chunks show what is missing, and so does TLS
/// without its close_notify; where the end of the connection is the end of the body, only a reset does.
fn cut(transport: &mut Transport, ex: &Exchange) {
    transport.suppress_close_notify();
    if hides_cuts(ex) {
        transport.reset();
    }
}

fn hides_cuts(ex: &Exchange) -> bool {
    ex.out.is_until_close() && !ex.response.upgrade
}

fn end_request(active: &mut Active, cx: &mut Services, reason: CloseReason) {
    if active.ex.progress.rx == Rx::Head {
        // The error log shows the part of the request that has arrived.
        head::give_up(active);
    }
    let ex = &mut active.ex;
    if let CloseReason::TimedOut(_) = reason {
        ex.report(cx, Level::Info, format_args!("client timed out {}", Errno::ETIMEDOUT));
    }
    if ex.progress.rx == Rx::Head {
        return;
    }
    if ex.progress.tx == Tx::Wait && reason == CloseReason::ShuttingDown {
        // nginx logs 499 also where the server ends the connection.
        ex.response.status = Status::CLIENT_CLOSED_REQUEST;
        ex.report(cx, Level::Info, format_args!("request was cut off at worker_shutdown_timeout"));
    } else if ex.progress.tx == Tx::Wait && ex.response.status != Status::CLIENT_CLOSED_REQUEST {
        // A request that has 499 already was logged when its client was found gone. Otherwise 499 stands for a complete
        // request, 400 for one whose body never came (nginx).
        let is_whole = ex.progress.rx == Rx::Done && reason == CloseReason::ClientGone;
        ex.response.status = if is_whole { Status::CLIENT_CLOSED_REQUEST } else { Status::BAD_REQUEST };
        ex.report(cx, Level::Info, format_args!("client prematurely closed connection"));
    }
    ex.log.is_cut = is_cut(ex, reason);
    log::over(ex, cx);
    ex.progress.rx = Rx::Head;
}

/// The exchange goes back to its pool; the counters forget the request. Leaves the connection idle.
pub fn leave_active(conn: &mut Conn, turn: &mut Turn<'_>) {
    if let ConnState::Active(mut active) = std::mem::replace(&mut conn.state, ConnState::Idle) {
        let cx = &mut *turn.cx;
        turn.pool.upstream_conns.leave(&mut active.upstream_conn, cx);
        let ex = &active.ex;
        match ex.progress.rx == Rx::Head || ex.progress.tx == Tx::Done {
            true => cx.stats.reading = cx.stats.reading.saturating_sub(1),
            false => cx.stats.writing = cx.stats.writing.saturating_sub(1),
        }
        cx.stats.waiting += 1;
        turn.pool.give(active, cx);
    }
}

/// The last response is out. Where the client may still be sending, closing now would reset the connection and could
/// destroy the response on its way: so the writing side is shut, and what arrives is read and dropped for a while.
pub fn after_last(conn: &mut Conn, turn: &mut Turn<'_>) -> Step {
    let ConnState::Active(active) = &conn.state else { return Step::Again };
    let ex = &active.ex;
    let is_cut = ex.out.is_cut();
    let reason = match ex.progress.abort {
        true => CloseReason::Refused,
        false if is_cut => CloseReason::CutShort,
        false => CloseReason::Served,
    };
    if is_cut {
        cut(&mut conn.transport, ex);
    }
    // After a reset there is nothing to linger for.
    let is_reset = is_cut && hides_cuts(ex);
    if is_reset || !must_linger(active, &conn.transport) {
        leave_active(conn, turn);
        return Step::Close(reason);
    }
    let client = ex.location().settings.client.clone();
    // The client reads its response before it sees that no more is read.
    let shut = conn.transport.shutdown_write();
    leave_active(conn, turn);
    if shut.is_err() {
        // Reset meanwhile: there is nothing to wait for.
        return Step::Close(CloseReason::ClientGone);
    }
    begin_lingering(conn, &client, reason, turn.cx.now.ms);
    Step::Again
}

/// The writing side is shut: what the client still sends is dropped, for lingering_time at most, and as long as it does
/// not pause for lingering_timeout.
pub fn begin_lingering(conn: &mut Conn, client: &ClientSettings, reason: CloseReason, now: u64) {
    let until = now + client.lingering_time.0;
    let timeout = u32::try_from(client.lingering_timeout.0).unwrap_or(u32::MAX);
    conn.state = ConnState::Lingering { until, timeout, reason };
    conn.arm(Timer::Linger, until.min(now + u64::from(timeout)));
}

/// Whether the client of this answered request may still be sending, by lingering_close.
fn must_linger(active: &Active, transport: &Transport) -> bool {
    let Active { ex, reader, .. } = active;
    let client = &ex.location().settings.client;
    let sending = ex.progress.rx == Rx::Drain
        || reader.has_more()
        || transport.can_read() && !transport.peer_closed()
        || transport.is_early();
    match client.lingering {
        Lingering::Off => false,
        Lingering::On => sending && !ex.progress.abort,
        Lingering::Always => !ex.progress.abort,
    }
}

/// Reads and drops what the client still sends.
pub fn linger(io: &mut Io<'_>, until: u64, timeout: u32, reason: CloseReason, cx: &mut Services) -> Step {
    if !io.transport.can_read() {
        return Step::Wait;
    }
    if cx.now.ms >= until {
        return Step::Close(CloseReason::LingeredLong);
    }
    cx.scratch.clear();
    cx.scratch.reserve(SCRATCH);
    let outcome = io.transport.recv(&mut cx.scratch, SCRATCH);
    cx.scratch.clear();
    match outcome {
        Ok(0) => Step::Close(reason),
        Ok(_) => {
            io.arm(Timer::Linger, until.min(cx.now.ms + u64::from(timeout)));
            Step::Yield
        }
        Err(Errno::EAGAIN) => Step::Wait,
        Err(_) => Step::Close(CloseReason::ClientGone),
    }
}

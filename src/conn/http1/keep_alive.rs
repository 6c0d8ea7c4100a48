//! A connection between two requests: it goes idle, wakes when data arrives, and continues with the next request.

use super::fast_path;
use crate::config::model::Level;
use crate::conn::arrival::Arrival;
use crate::conn::close;
use crate::conn::io::{CloseReason, Step};
use crate::conn::request::log::Glitch;
use crate::conn::request::read;
use crate::conn::timers::Timer;
use crate::conn::{Active, Conn, ConnState, Turn, handshake};
use crate::exchange::handlers::Handler;
use crate::sys::socket::Family;

/// An idle connection has something to read: requests in the response cache are answered at once, for any other it gets
/// an exchange.
pub fn wake(conn: &mut Conn, turn: &mut Turn<'_>) -> Step {
    if !conn.transport.can_read() {
        return Step::Wait;
    }
    let Some(endpoint) = turn.endpoints.find(conn.listener, conn.fd()) else {
        return Step::Close(CloseReason::NotListened);
    };
    if conn.transport.is_handshaking() {
        return handshake::step(conn, endpoint, turn);
    }
    let mut input = turn.cx.buffers.take();
    let step = match read::receive(&mut conn.transport, &mut input) {
        read::ReadOutcome::Some => None,
        read::ReadOutcome::None => Some(Step::Wait),
        read::ReadOutcome::End => Some(Step::Close(CloseReason::ClientGone)),
    };
    if let Some(step) = step {
        turn.cx.buffers.give(input);
        return step;
    }
    // TCP connections are accepted once they have sent something (TCP_DEFER_ACCEPT), so it was sent before this turn
    // began. A new UNIX-domain connection may have sent it later.
    let mut arrival = match !conn.is_watched() && conn.peer.family() == Family::Unix {
        true => Arrival::MaybeNewer,
        false => Arrival::FirstBeforeEpoch,
    };
    let answered = fast_path::answer(conn, endpoint, &input, &mut arrival, turn);
    if answered.bytes == input.len() {
        turn.cx.buffers.give(input);
        return Step::Again;
    }
    let cx = &mut *turn.cx;
    let mut active = conn.exchange(endpoint, (input, answered.bytes), cx, turn.pool);
    let Active { ex, reader, http1, .. } = &mut *active;
    reader.arrival = arrival;
    if let Some(http1) = http1 {
        http1.seen = answered.next;
    }
    fast_path::hand_over(conn, ex, cx, &mut turn.pool.send_batch);
    conn.begin_request(active, cx);
    Step::Again
}

/// The request is answered and logged ([`log`](crate::conn::request::log)): goes on to the next, or ends the
/// connection.
pub fn next(conn: &mut Conn, turn: &mut Turn<'_>, glitch: Glitch) -> Step {
    let ConnState::Active(active) = &mut conn.state else { return Step::Again };
    let Active { ex, handler, reader, http1, .. } = &mut **active;
    let Some(http1) = http1 else { return Step::Close(CloseReason::Bug) };
    let cx = &mut *turn.cx;
    if glitch == Glitch::Yes {
        conn.served.add_glitch();
        let most = ex.location().settings.client.keepalive_glitches;
        if most > 0 && u64::from(conn.served.glitches()) >= most && ex.out.keeps_connection() {
            ex.report(
                cx,
                Level::Info,
                format_args!("client broke rules {} times, closing connection", conn.served.glitches()),
            );
            ex.out.end_connection();
        }
    }
    if !ex.out.keeps_connection() || ex.progress.abort {
        return close::after_last(conn, turn);
    }
    http1.idle_for = ex.location().settings.client.keepalive_timeout.0;
    // No further request has come: the exchange goes back to the pool, without being made ready for one.
    if !reader.has_more() && ex.out.is_empty() && !conn.transport.can_read() {
        return go_idle(conn, turn);
    }
    *handler = Handler::None;
    ex.next_request(cx);
    ex.client.requests = u64::from(conn.served.requests()) + 1;
    http1.next_request(reader.has_more());
    reader.next_request();
    let timeout = ex.location().settings.client.header_timeout.0;
    conn.arm(Timer::Header, cx.now.ms + timeout);
    Step::Again
}

/// Gives the exchange back; the connection waits for its next request.
pub fn go_idle(conn: &mut Conn, turn: &mut Turn<'_>) -> Step {
    if turn.cx.quitting {
        return Step::Close(CloseReason::ShuttingDown);
    }
    if let ConnState::Active(active) = &conn.state {
        let client = &active.ex.location().settings.client;
        let (timer, timeout) = match conn.served.requests() {
            0 => (Timer::Header, client.header_timeout.0),
            _ => (Timer::KeepAlive, active.http1.as_ref().map_or(0, |http1| http1.idle_for)),
        };
        conn.arm(timer, turn.cx.now.ms + timeout);
    }
    close::leave_active(conn, turn);
    Step::Again
}

//! The loop of a connection: steps until none makes progress, or until its share of the turn is used up.

use super::close;
use super::http1::send_batch::BATCH;
use super::http1::{fast_path, head, keep_alive, proxy_protocol};
use super::io::{CloseReason, Io, Next, Step};
use super::request::{drain, log, read, respond, write};
use super::timers::{Deadline, Timer};
use super::{Active, Conn, ConnState, Turn, handshake, http2, subrequests, upstream};
use crate::config::model::Level;
use crate::exchange::handlers::Handler;
use crate::exchange::send_queue::SHORT;
use crate::exchange::{Rx, Tx, entry, phases};
use crate::http::status::Status;
use crate::sys::Errno;
use crate::util::inject::panic_point;
use std::rc::Rc;

/// Lets the connection go on as far as it can.
pub fn drive(conn: &mut Conn, turn: &mut Turn<'_>) -> Next {
    panic_point("request");
    if conn.transport.sheds_buffers()
        && let ConnState::Active(active) = &mut conn.state
    {
        active.ex.out.wake(&mut turn.cx.buffers);
    }
    loop {
        let step = match &mut conn.state {
            ConnState::Idle => keep_alive::wake(conn, turn),
            ConnState::PendingSend { .. } => fast_path::send(conn, turn),
            ConnState::Active(_) => active(conn, turn),
            // Driven by itself ([`http2::connection::step`]), with the connections of its streams.
            ConnState::Http2(_) => return Next::Run,
            ConnState::Lingering { until, timeout, reason } => {
                let mut io = Io { transport: &mut conn.transport, deadline: &mut conn.deadline };
                close::linger(&mut io, *until, *timeout, *reason, turn.cx)
            }
        };
        match step {
            Step::Again => {}
            Step::Answered => match answered(conn, turn) {
                Step::Close(reason) => return close(conn, turn, reason),
                // More requests have come, and others wait for their first.
                _ if matches!(conn.state, ConnState::Active(_)) && turn.cx.slice.is_share_late() => return Next::Run,
                _ => continue,
            },
            Step::Wait => return Next::Wait,
            Step::Yield => return Next::Run,
            Step::Batched => return Next::Send,
            Step::Close(reason) => return close(conn, turn, reason),
        }
    }
}

/// As [`drive`], for a connection that has something short to send ([`Next::Send`]): the end of the turn has come.
pub fn send_held(conn: &mut Conn, turn: &mut Turn<'_>) -> Next {
    if let Some((mut io, active)) = conn.active()
        && let Some(Step::Wait) = upstream::send_held(&mut io, active, turn)
    {
        return Next::Wait;
    }
    drive(conn, turn)
}

/// The response is out: the request is counted and logged, then its stream ends, or its connection goes on.
fn answered(conn: &mut Conn, turn: &mut Turn<'_>) -> Step {
    let glitch = log::count_and_log(conn, turn.cx);
    match conn.transport.stream_mut() {
        Some(_) => http2::end::end(conn, turn, glitch),
        None => keep_alive::next(conn, turn, glitch),
    }
}

fn close(conn: &mut Conn, turn: &mut Turn<'_>, reason: CloseReason) -> Next {
    close::abandon(conn, turn, reason);
    Next::Close(reason)
}

/// What an active exchange does next.
enum Activity {
    /// Waits for the PROXY header of its connection.
    ProxyHeader,
    /// Delayed: nothing happens before its time.
    Pause,
    /// Works on files, a slice a turn.
    Work,
    /// Talks with an upstream.
    Upstream,
    /// Sends the rest of what an upstream answered.
    Spooled,
    /// Makes a page with SSI commands, begins a subrequest (of an include or of auth_request), or returns from one.
    Subrequest,
    /// Its first bytes may be the preface of HTTP/2.
    Preface,
    ReadHead,
    ReadBody,
    Deliver,
    /// Waits for a response that no handler makes: an error in this server.
    Stuck,
}

impl Activity {
    fn of(conn: &Conn, active: &Active) -> Activity {
        let Active { ex, handler, .. } = active;
        match (handler, ex.progress.tx, ex.progress.rx) {
            _ if proxy_protocol::is_awaited(conn) => Activity::ProxyHeader,
            _ if ex.progress.pause.is_some() => Activity::Pause,
            (handler, ..) if handler.works() => Activity::Work,
            // The rest of its body is awaited for nothing.
            (Handler::Append(append), Tx::Wait, Rx::Body) if append.is_superseded() => Activity::Work,
            (Handler::Upstream(_), ..) => Activity::Upstream,
            (Handler::Spooled(_), ..) => Activity::Spooled,
            (Handler::Page(_) | Handler::Subrequest(_), ..) => Activity::Subrequest,
            _ if subrequests::is_over(active) => Activity::Subrequest,
            (_, Tx::Wait, Rx::Head) if conn.served.requests() == 0 && http2::begin::is_awaited(conn, active) => {
                Activity::Preface
            }
            (_, Tx::Wait, Rx::Head) => Activity::ReadHead,
            (_, Tx::Wait, Rx::Body) => Activity::ReadBody,
            (_, Tx::Wait, Rx::Drain | Rx::Done) | (_, Tx::Ready, _) => Activity::Stuck,
            (_, Tx::Send | Tx::Done, _) => Activity::Deliver,
        }
    }
}

fn active(conn: &mut Conn, turn: &mut Turn<'_>) -> Step {
    let ConnState::Active(active) = &mut conn.state else { return Step::Again };
    let ex = &mut active.ex;
    if ex.progress.rx == Rx::Head && !Rc::ptr_eq(&ex.config, &turn.cx.config) {
        match turn.endpoints.find(conn.listener, conn.transport.fd()) {
            Some(endpoint) => ex.adopt(turn.cx, endpoint),
            None => return Step::Close(CloseReason::NotListened),
        }
    }
    let ConnState::Active(active) = &conn.state else { return Step::Again };
    let activity = Activity::of(conn, active);
    let Some((mut io, active)) = conn.active() else { return Step::Again };
    let step = match activity {
        Activity::ProxyHeader => proxy_protocol::step(conn, turn),
        Activity::Pause => pause(&mut io, active, turn),
        Activity::Work => work(&mut io, active, turn),
        Activity::Upstream => upstream::step(&mut io, active, turn),
        Activity::Spooled => upstream::spooled::step(&mut io, active, turn),
        Activity::Subrequest => subrequests::step(&mut io, active, turn),
        Activity::Preface => return http2::begin::begin(conn, turn),
        Activity::ReadHead => match head::step(&mut io, active, turn) {
            head::HeadStep::Step(step) => step,
            head::HeadStep::Idle => return keep_alive::go_idle(conn, turn),
        },
        Activity::ReadBody => read::body(&mut io, active, turn),
        Activity::Deliver => deliver(&mut io, active, turn),
        Activity::Stuck => Step::Close(CloseReason::Bug),
    };
    match step {
        Step::Again if turn.budget.is_used_up() || turn.cx.slice.tick() => Step::Yield,
        step => step,
    }
}

/// A request whose turn has not come, or a response that is sent slowly.
fn pause(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, handler, .. } = active;
    let Some(pause) = ex.progress.pause else { return Step::Again };
    if io.transport.has_failed() {
        return Step::Close(CloseReason::ClientGone);
    }
    // Nothing is done for a client that left before its turn came (nginx).
    if pause.then.is_some() && ex.progress.tx == Tx::Wait && ex.progress.rx != Rx::Body && io.transport.peer_closed() {
        ex.response.status = Status::CLIENT_CLOSED_REQUEST;
        ex.report(turn.cx, Level::Info, format_args!("client prematurely closed connection"));
        return Step::Close(CloseReason::ClientGone);
    }
    let now = turn.cx.now.ms;
    if now < pause.until {
        let step = if pause.then.is_none() { upstream::read_on(io, active, turn) } else { Step::Wait };
        io.arm(Timer::Pause, pause.until);
        return step;
    }
    ex.progress.pause = None;
    let client = &ex.location().settings.client;
    match ex.progress.rx == Rx::Body && ex.progress.tx == Tx::Wait {
        true => io.arm(Timer::Body, now + client.body_timeout.0),
        false => io.arm(Timer::Send, now + client.send_timeout.0),
    }
    upstream::pause_over(io, handler);
    if let Some(then) = pause.then {
        phases::resume(ex, handler, turn.cx, then);
        respond(active, turn.cx);
    }
    Step::Again
}

/// A slice of a handler's work on files.
fn work(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, handler, .. } = active;
    // What is only read is dropped with its client; what changes files is finished.
    let is_gone = io.transport.has_failed() || handler.needs_client() && io.transport.peer_closed();
    if is_gone && !handler.finishes() {
        return Step::Close(CloseReason::ClientGone);
    }
    // No time is left in this turn, or of this connection's share of it: others come first.
    if turn.cx.slice.is_over() {
        return Step::Yield;
    }
    phases::work(ex, handler, turn.cx);
    respond(active, turn.cx);
    let Active { ex, handler, .. } = active;
    let (waits, works) = (handler.waits(), handler.works());
    match waits || works {
        true => io.arm(Timer::Work, turn.cx.now.ms + ex.location().settings.client.send_timeout.0),
        false => read::arm(io, ex, turn.cx),
    }
    match (waits, works) {
        (true, _) => Step::Wait,
        (false, true) => Step::Yield,
        (false, false) => Step::Again,
    }
}

/// The response is complete in the queue.
fn deliver(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, reader, .. } = active;
    // Closed without a response (`return 444`), but not before the responses to earlier requests are out.
    if ex.progress.abort && ex.out.is_empty() {
        return Step::Answered;
    }
    // More requests were read already: their responses are sent together.
    if !ex.progress.abort
        && ex.progress.rx == Rx::Done
        && ex.progress.limit_rate.is_none()
        && ex.out.is_text()
        && ex.out.text_len() < BATCH
    {
        if ex.out.keeps_connection() && reader.has_more() {
            return Step::Answered;
        }
        // A request that limit_conn counts is not held back: it must be over before the next one is checked.
        if turn.budget.batch
            && ex.out.text_len() < SHORT
            && io.transport.can_write()
            && ex.progress.limit_slots.is_empty()
        {
            return Step::Batched;
        }
    }
    let unsent = !ex.out.is_empty();
    match write::flush(io, ex, turn) {
        // The response is out: what is left of the body has as long as any body that is thrown away.
        write::Flushed::All if unsent && ex.progress.rx == Rx::Drain => {
            io.arm(Timer::Drain, turn.cx.now.ms + ex.location().settings.client.lingering_timeout.0);
        }
        write::Flushed::All => {}
        write::Flushed::Blocked => return Step::Wait,
        write::Flushed::Yield => return Step::Yield,
        write::Flushed::Gone(reason) => return Step::Close(reason),
    }
    if ex.progress.rx == Rx::Drain && ex.out.keeps_connection() && !ex.progress.abort {
        return drain::step(io, ex, reader, turn);
    }
    Step::Answered
}

/// The connection's deadline has come.
pub fn timeout(conn: &mut Conn, turn: &mut Turn<'_>) -> Next {
    panic_point("timeout");
    if let ConnState::Http2(http2) = &mut conn.state {
        return http2.timeout(turn.cx, &mut conn.deadline);
    }
    let timer = conn.deadline.timer();
    if timer == Timer::Tickets {
        return match handshake::send_tickets(conn, turn) {
            true => Next::Wait,
            false => close(conn, turn, CloseReason::NotListened),
        };
    }
    let has_proxy_header = !proxy_protocol::is_awaited(conn);
    let Some((mut io, active)) = conn.active() else { return close(conn, turn, CloseReason::TimedOut(timer)) };
    // Neither a delay nor the disk has a limit. Their timers ([`Timer::Pause`], [`Timer::Work`]) are armed in the step
    // that follows. A stream of HTTP/2 that had used up its share of the turn takes that step in its next turn, and
    // keeps its old deadline until then.
    if active.ex.progress.pause.is_some() || active.handler.waits() {
        return Next::Run;
    }
    if active.is_proxied()
        && let Some(next) = upstream::timeout(&mut io, active, turn)
    {
        return next;
    }
    // Of a proxied exchange, it is the one that has run out.
    let timer = io.deadline.timer();
    let Active { ex, reader, http1, .. } = active;
    let has_begun = || http1.as_ref().is_some_and(|http1| http1.has_begun(reader));
    let is_late = match timer {
        Timer::Header => has_proxy_header && ex.progress.rx == Rx::Head && has_begun(),
        Timer::Body => ex.progress.rx == Rx::Body && ex.progress.tx == Tx::Wait,
        // There is no request to answer, or its response has begun.
        Timer::Send | Timer::Drain | Timer::Upstream | Timer::KeepAlive | Timer::Linger | Timer::Tickets => false,
        Timer::Pause | Timer::Work | Timer::Spool => return Next::Run,
    };
    if is_late && ex.out.is_empty() && io.transport.explains_timeouts() {
        // RFC 9110 §15.5.9: answered before the connection is closed; nginx closes without a word.
        answer_timed_out(&mut io, active, turn);
        return Next::Run;
    }
    io.transport.time_out(ex.location().settings.client.reset_timedout);
    close(conn, turn, CloseReason::TimedOut(timer))
}

fn answer_timed_out(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) {
    let cx = &mut *turn.cx;
    if active.ex.progress.rx == Rx::Head {
        head::give_up(active);
    }
    let Active { ex, handler, .. } = active;
    ex.report(cx, Level::Info, format_args!("client timed out {}", Errno::ETIMEDOUT));
    if ex.progress.rx == Rx::Head {
        cx.stats.reading = cx.stats.reading.saturating_sub(1);
        cx.stats.writing += 1;
    }
    entry::time_out(ex, handler, cx);
    respond(active, cx);
    *io.deadline = Deadline::new(Timer::Send, cx.now.ms + active.ex.location().settings.client.send_timeout.0);
}

#[cfg(test)]
mod tests;

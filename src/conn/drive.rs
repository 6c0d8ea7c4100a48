//! The loop of a connection: steps until none makes progress, or until its share of the turn is used up.

use super::close::{self, CloseReason};
use super::http1::{drain, fast_path, keep_alive, proxy_protocol, read, write};
use super::io::{Io, Next, Step};
use super::timers::{Deadline, Timer};
use super::{Conn, State, Turn, ssi as pages, upstream};
use crate::exchange::filters::ssi;
use crate::exchange::handlers::Handler;
use crate::exchange::send_queue::SHORT;
use crate::exchange::{Exchange, Rx, Tx, phases};
use std::rc::Rc;

/// Text of answers that is gathered before it is sent, while complete requests wait in the buffer.
const BATCH: usize = 64 << 10;

/// Lets the connection go on as far as it can.
pub fn drive(conn: &mut Conn, turn: &mut Turn<'_>) -> Next {
    loop {
        let step = match &mut conn.state {
            State::Idle => keep_alive::wake(conn, turn),
            State::PendingSend { .. } => fast_path::send(conn, turn),
            State::Active(_) => active(conn, turn),
            State::Lingering { until, timeout } => {
                let mut io = Io { transport: &mut conn.transport, deadline: &mut conn.deadline };
                close::linger(&mut io, *until, *timeout, turn.cx)
            }
        };
        match step {
            Step::Again => {}
            Step::Answered => match keep_alive::answered(conn, turn) {
                Step::Close(reason) => return close(conn, turn, reason),
                _ => continue,
            },
            Step::Wait => return Next::Wait,
            Step::Yield => return Next::Run,
            Step::Batched => return Next::Send,
            Step::Close(reason) => return close(conn, turn, reason),
        }
    }
}

fn close(conn: &mut Conn, turn: &mut Turn<'_>, reason: CloseReason) -> Next {
    close::abandon(conn, turn, reason);
    Next::Close
}

/// What an exchange under way does next.
enum Does {
    /// Waits for the PROXY header of its connection.
    ProxyHeader,
    /// Nothing until its time has come.
    Pauses,
    /// Works on files, a slice a turn.
    Works,
    /// Talks with an upstream.
    Upstream,
    /// Makes a page, or comes back from what the page included.
    Page,
    ReadsHead,
    ReadsBody,
    Delivers,
    /// Waits for a response that nothing makes.
    Nothing,
}

impl Does {
    fn of(conn: &Conn, ex: &Exchange) -> Does {
        match (&ex.handler, ex.tx, ex.rx) {
            _ if proxy_protocol::is_awaited(conn) => Does::ProxyHeader,
            _ if ex.pause.is_some() => Does::Pauses,
            (handler, ..) if handler.works() => Does::Works,
            (Handler::Proxy(_), ..) => Does::Upstream,
            (Handler::Page(_), ..) => Does::Page,
            _ if ssi::include::is_over(ex) => Does::Page,
            (_, Tx::Wait, Rx::Head) => Does::ReadsHead,
            (_, Tx::Wait, Rx::Body) => Does::ReadsBody,
            (_, Tx::Wait, Rx::Drain | Rx::Done) => Does::Nothing,
            (_, Tx::Send | Tx::Done, _) => Does::Delivers,
        }
    }
}

fn active(conn: &mut Conn, turn: &mut Turn<'_>) -> Step {
    let State::Active(ex) = &mut conn.state else { return Step::Again };
    if ex.rx == Rx::Head && !Rc::ptr_eq(&ex.config, &turn.cx.config) {
        match turn.endpoints.find(conn.listener, conn.transport.fd()) {
            Some(endpoint) => ex.adopt(turn.cx, endpoint),
            None => return Step::Close(CloseReason::NotListened),
        }
    }
    let State::Active(ex) = &conn.state else { return Step::Again };
    let does = Does::of(conn, ex);
    let Some((mut io, ex)) = conn.active() else { return Step::Again };
    let step = match does {
        Does::ProxyHeader => proxy_protocol::step(conn, turn),
        Does::Pauses => pause(&mut io, ex, turn),
        Does::Works => work(&mut io, ex, turn),
        Does::Upstream => upstream::step(&mut io, ex, turn),
        Does::Page => pages::step(conn, turn),
        Does::ReadsHead => match read::head(&mut io, ex, turn) {
            read::Head::Step(step) => step,
            read::Head::Idle => return keep_alive::go_idle(conn, turn),
        },
        Does::ReadsBody => read::body(&mut io, ex, turn),
        Does::Delivers => deliver(&mut io, ex, turn),
        Does::Nothing => Step::Close(CloseReason::Bug),
    };
    match step {
        Step::Again if turn.budget.is_used_up() => Step::Yield,
        step => step,
    }
}

/// A request whose turn has not come, or a response that is sent slowly.
fn pause(io: &mut Io<'_>, ex: &mut Exchange, turn: &mut Turn<'_>) -> Step {
    let Some(pause) = ex.pause else { return Step::Again };
    if io.transport.has_failed() {
        return Step::Close(CloseReason::ClientGone);
    }
    let now = turn.cx.now.ms;
    if now < pause.until {
        io.arm(Timer::Pause, pause.until);
        return Step::Wait;
    }
    ex.pause = None;
    let client = &ex.here().settings.client;
    match ex.rx == Rx::Body && ex.tx == Tx::Wait {
        true => io.arm(Timer::Body, now + client.body_timeout.0),
        false => io.arm(Timer::Send, now + client.send_timeout.0),
    }
    if let Some(then) = pause.then {
        phases::resume(ex, turn.cx, then);
    }
    Step::Again
}

/// A slice of a handler's work on files.
fn work(io: &mut Io<'_>, ex: &mut Exchange, turn: &mut Turn<'_>) -> Step {
    // Without a client a listing is of no use. What changes files is finished all the same: not to leave them half done.
    if io.transport.has_failed() && matches!(ex.handler, Handler::Listing(_)) {
        return Step::Close(CloseReason::ClientGone);
    }
    phases::work(ex, turn.cx);
    let (waits, works) = (ex.handler.waits(), ex.handler.works());
    let timer = if waits || works { Timer::Work } else { Timer::Send };
    io.arm(timer, turn.cx.now.ms + ex.here().settings.client.send_timeout.0);
    match (waits, works) {
        (true, _) => Step::Wait,
        (false, true) => Step::Yield,
        (false, false) => Step::Again,
    }
}

/// The response is complete in the queue.
fn deliver(io: &mut Io<'_>, ex: &mut Exchange, turn: &mut Turn<'_>) -> Step {
    if ex.abort {
        return Step::Answered;
    }
    // More requests are waiting: their answers go out together.
    if ex.rx == Rx::Done && ex.limit_rate.is_none() && ex.out.is_text() && ex.out.text_len() < BATCH {
        if ex.keep_alive && read::has_more(ex) {
            return Step::Answered;
        }
        // One that limit_conn counts is over before the next is asked about.
        if turn.budget.gather && ex.out.text_len() < SHORT && io.transport.can_write() && ex.places.is_empty() {
            return Step::Batched;
        }
    }
    let unsent = !ex.out.is_empty();
    match write::flush(io, ex, turn) {
        // The client has its answer: for a body that is not wanted it has no longer than for one that is thrown away.
        write::Flushed::All if unsent && ex.rx == Rx::Drain => {
            io.arm(Timer::Drain, turn.cx.now.ms + ex.here().settings.client.lingering_timeout.0);
        }
        write::Flushed::All => {}
        write::Flushed::Blocked => return Step::Wait,
        write::Flushed::Yield => return Step::Yield,
        write::Flushed::Gone(reason) => return Step::Close(reason),
    }
    if ex.rx == Rx::Drain && ex.keep_alive {
        return drain::step(io, ex, turn);
    }
    Step::Answered
}

/// The connection's deadline has come.
pub fn timeout(conn: &mut Conn, turn: &mut Turn<'_>) -> Next {
    let timer = conn.deadline.timer();
    let introduced = !proxy_protocol::is_awaited(conn);
    let Some((mut io, ex)) = conn.active() else { return close(conn, turn, CloseReason::TimedOut(timer)) };
    if ex.pause.is_some() || ex.handler.waits() {
        return Next::Run;
    }
    if let Handler::Proxy(_) = &ex.handler
        && let Some(next) = upstream::timeout(&mut io, ex, turn)
    {
        return next;
    }
    let is_late = match timer {
        Timer::Header => introduced && ex.rx == Rx::Head && ex.head.has_begun(ex.buf()),
        Timer::Body => ex.rx == Rx::Body && ex.tx == Tx::Wait,
        // The client is late with what it should take or close; or with nothing.
        Timer::Send | Timer::Drain | Timer::Upstream | Timer::KeepAlive | Timer::Linger => false,
        Timer::Pause | Timer::Work => return Next::Run,
    };
    if is_late && ex.out.is_empty() {
        // RFC 9110 §15.5.9: answered before the connection is closed; nginx closes without a word.
        answer_late(&mut io, ex, turn);
        return Next::Run;
    }
    if ex.here().settings.client.reset_timedout {
        io.transport.reset();
    }
    close(conn, turn, CloseReason::TimedOut(timer))
}

fn answer_late(io: &mut Io<'_>, ex: &mut Exchange, turn: &mut Turn<'_>) {
    let cx = &mut *turn.cx;
    ex.report(cx, crate::config::model::Level::Info, format_args!("client timed out"));
    if ex.rx == Rx::Head {
        cx.stats.reading = cx.stats.reading.saturating_sub(1);
        cx.stats.writing += 1;
    }
    phases::time_out(ex, cx);
    *io.deadline = Deadline::new(Timer::Send, cx.now.ms + ex.here().settings.client.send_timeout.0);
}

#[cfg(test)]
mod tests;

//! The loop of a connection: steps until none makes progress, or until its share of the turn is used up.

use super::http1::{fast_path, read, write};
use super::io::{Budget, Io, Next, Step};
use super::upstream::exchange as proxied;
use super::{Conn, Endpoints, Pool, State, linger, proxy_protocol, ssi as pages};
use crate::exchange::filters::ssi;
use crate::exchange::handlers::Handler;
use crate::exchange::send_queue::SHORT;
use crate::exchange::{Exchange, Rx, Tx, access_log, phases};
use crate::http::status::Status;
use crate::services::Services;
use crate::sys::socket::Family;
use crate::util::slab::Key;
use std::rc::Rc;

/// Text of answers that is gathered before it is sent, while complete requests wait in the buffer.
const BATCH: usize = 64 << 10;

/// `key`: what the connection is known by; a backend it opens is told.
pub fn drive(
    conn: &mut Conn,
    key: Key,
    cx: &mut Services,
    pool: &mut Pool,
    endpoints: &impl Endpoints,
    budget: &mut Budget,
) -> Next {
    run(conn, key, cx, pool, endpoints, budget)
}

/// An upstream connection whose exchange has done with it, however that came, is closed.
fn leave_backend(ex: &mut Exchange, cx: &mut Services, pool: &mut Pool) {
    if ex.backend.is_some() && !matches!(ex.handler, Handler::Proxy(_)) {
        pool.backends.leave(&mut ex.backend, cx);
    }
}

fn is_proxied(conn: &Conn) -> bool {
    matches!(&conn.state, State::Active(ex) if matches!(ex.handler, Handler::Proxy(_)))
}

fn run(
    conn: &mut Conn,
    key: Key,
    cx: &mut Services,
    pool: &mut Pool,
    endpoints: &impl Endpoints,
    budget: &mut Budget,
) -> Next {
    loop {
        let step = match &mut conn.state {
            State::Idle => wake(conn, cx, pool, endpoints, budget),
            State::PendingSend { .. } => fast_path::send(conn, cx, pool, endpoints, budget),
            State::Active(_) => active(conn, key, cx, pool, endpoints, budget),
            State::Lingering { until, timeout } => {
                linger::step(&mut conn.transport, &mut conn.deadline, *until, *timeout, cx)
            }
        };
        match step {
            Step::Again => {}
            Step::Wait => return Next::Wait,
            Step::Yield => return Next::Run,
            Step::Batched => return Next::Send,
            Step::Close => {
                abandon(conn, cx, pool);
                return Next::Close;
            }
            Step::Answered => match answered(conn, cx, pool) {
                Step::Close => return Next::Close,
                _ => continue,
            },
        }
    }
}

/// An idle connection has something to read: requests that are known are answered at once, for others it gets an
/// exchange.
fn wake(conn: &mut Conn, cx: &mut Services, pool: &mut Pool, endpoints: &impl Endpoints, budget: &mut Budget) -> Step {
    if !conn.transport.can_read() {
        return Step::Wait;
    }
    let Some(endpoint) = endpoints.endpoint(conn.listener, conn.fd()) else { return Step::Close };
    let mut input = cx.buffers.take();
    let step = match read::receive(&mut conn.transport, &mut input) {
        read::More::Some => None,
        read::More::None => Some(Step::Wait),
        read::More::End => Some(Step::Close),
    };
    if let Some(step) = step {
        cx.buffers.give(input);
        return step;
    }
    if !conn.registered && conn.peer.family() == Family::Unix {
        // Nothing says that it was sent before anything was looked up in this turn. Of TCP the kernel hands out
        // those connections only that have sent something.
        cx.now.advance_epoch();
    }
    let known = fast_path::answer(conn, endpoint, &input, cx, &mut pool.send_batch, budget);
    if known.bytes == input.len() {
        cx.buffers.give(input);
        return Step::Again;
    }
    let client = conn.client(&cx.config, endpoint, cx.now.ms);
    let mut ex = pool.take(cx, client, input, known.bytes);
    // What came with the first of it may have been sent after that.
    ex.may_be_newer = true;
    if known.bytes > 0 {
        ex.look_anew(cx);
    }
    ex.repeat = known.next;
    fast_path::hand_over(conn, &mut ex, cx, &mut pool.send_batch);
    conn.deadline = cx.now.ms + ex.here().settings.client.header_timeout.0;
    cx.stats.waiting -= 1;
    cx.stats.reading += 1;
    ex.introduced = conn.introduced.clone();
    conn.state = State::Active(ex);
    Step::Again
}

fn active(
    conn: &mut Conn,
    key: Key,
    cx: &mut Services,
    pool: &mut Pool,
    endpoints: &impl Endpoints,
    budget: &mut Budget,
) -> Step {
    if proxy_protocol::is_awaited(conn) {
        return proxy_protocol::step(conn, cx);
    }
    let State::Active(ex) = &mut conn.state else { return Step::Again };
    if ex.rx == Rx::Head && !Rc::ptr_eq(&ex.config, &cx.config) {
        match endpoints.endpoint(conn.listener, conn.transport.fd()) {
            Some(endpoint) => ex.adopt(cx, endpoint),
            None => return Step::Close,
        }
    }
    if let Some(pause) = ex.pause {
        if conn.transport.has_failed() {
            return Step::Close;
        }
        if cx.now.ms < pause.until {
            conn.deadline = pause.until;
            return Step::Wait;
        }
        ex.pause = None;
        let client = &ex.here().settings.client;
        let reads = ex.rx == Rx::Body && ex.tx == Tx::Wait;
        conn.deadline = cx.now.ms + if reads { client.body_timeout.0 } else { client.send_timeout.0 };
        if let Some(then) = pause.then {
            phases::resume(ex, cx, then);
            return Step::Again;
        }
    }
    if ex.handler.works() {
        // Nobody is left to read it. What changes files is finished all the same: they must not be left half done.
        if conn.transport.has_failed() && matches!(ex.handler, Handler::Listing(_)) {
            return Step::Close;
        }
        phases::work(ex, cx);
        conn.deadline = cx.now.ms + ex.here().settings.client.send_timeout.0;
        return match &ex.handler {
            handler if handler.waits() => Step::Wait,
            handler if handler.works() => Step::Yield,
            _ => Step::Again,
        };
    }
    if matches!(ex.handler, Handler::Proxy(_)) {
        let io = Io { transport: &mut conn.transport, deadline: &mut conn.deadline, budget };
        let step = proxied::step(&mut proxied::Ends { io, key }, ex, cx, &mut pool.backends);
        leave_backend(ex, cx, pool);
        return match step {
            Step::Again if budget.bytes == 0 => Step::Yield,
            step => step,
        };
    }
    if matches!(ex.handler, Handler::Page(_)) || ssi::include::is_over(ex) {
        return pages::step(conn, cx, budget);
    }
    let mut io = Io { transport: &mut conn.transport, deadline: &mut conn.deadline, budget };
    let step = match (ex.tx, ex.rx) {
        (Tx::Wait, Rx::Head) => match read::head(&mut io, ex, cx) {
            read::Head::Step(step) => step,
            read::Head::Idle => return go_idle(conn, cx, pool),
        },
        (Tx::Wait, Rx::Body) => read::body(&mut io, ex, cx),
        // Nothing is produced by anyone but a handler that takes the body.
        (Tx::Wait, _) => Step::Close,
        (Tx::Send | Tx::Done, _) => deliver(&mut io, ex, cx),
    };
    match step {
        Step::Again if budget.requests == 0 || budget.bytes == 0 => Step::Yield,
        step => step,
    }
}

/// The response is complete in the queue.
fn deliver(io: &mut Io<'_>, ex: &mut Exchange, cx: &mut Services) -> Step {
    if ex.abort {
        return Step::Answered;
    }
    // More requests are waiting: their answers go out together.
    if ex.rx == Rx::Done && ex.limit_rate.is_none() && ex.out.is_text() && ex.out.text_len() < BATCH {
        if ex.keep_alive && read::has_more(ex) {
            return Step::Answered;
        }
        // One that limit_conn counts is over before the next is asked about.
        if io.budget.gather && ex.out.text_len() < SHORT && io.transport.can_write() && ex.places.is_empty() {
            return Step::Batched;
        }
    }
    let unsent = !ex.out.is_empty();
    match write::flush(io, ex, cx) {
        // The client has its answer: for a body that nobody wants it has no longer than for one that is thrown away.
        write::Flushed::All if unsent && ex.rx == Rx::Drain => {
            *io.deadline = cx.now.ms + ex.here().settings.client.lingering_timeout.0;
        }
        write::Flushed::All => {}
        write::Flushed::Blocked => return Step::Wait,
        write::Flushed::Yield => return Step::Yield,
        write::Flushed::Gone => {
            // Said in the log as nginx says it, where the answer was cut.
            return Step::Close;
        }
    }
    if ex.rx == Rx::Drain && ex.keep_alive {
        return read::drain(io, ex, cx);
    }
    Step::Answered
}

/// Logs the request and goes on to the next, or ends the connection.
fn answered(conn: &mut Conn, cx: &mut Services, pool: &mut Pool) -> Step {
    let State::Active(ex) = &mut conn.state else { return Step::Again };
    access_log::write(ex, cx);
    conn.requests = conn.requests.saturating_add(1);
    cx.stats.writing -= 1;
    cx.stats.reading += 1;
    if ex.keep_alive && !ex.abort {
        ex.idle_for = ex.here().settings.client.keepalive_timeout.0;
        read::consume(ex);
        // Nothing more has come: the exchange need not be made ready for a request that another may answer.
        if ex.buf().is_empty() && ex.out.is_empty() && !conn.transport.can_read() {
            return go_idle(conn, cx, pool);
        }
        if ex.may_be_newer && !ex.buf().is_empty() {
            // It may have been sent after what was looked up in this moment: others wait for that.
            ex.look_anew(cx);
        }
        ex.client.requests = u64::from(conn.requests) + 1;
        ex.next_request(cx);
        conn.deadline = cx.now.ms + ex.here().settings.client.header_timeout.0;
        return Step::Again;
    }
    match linger::begin(ex, &conn.transport, cx) {
        Some((until, timeout)) => {
            // The client reads its answer before it learns that nobody listens any more.
            let shut = conn.transport.shutdown_write();
            leave_active(conn, cx, pool);
            if shut.is_err() {
                // Reset meanwhile: nobody is there to wait for.
                return Step::Close;
            }
            conn.state = State::Lingering { until, timeout };
            conn.deadline = until.min(cx.now.ms + u64::from(timeout));
            Step::Again
        }
        None => {
            leave_active(conn, cx, pool);
            Step::Close
        }
    }
}

/// The exchange goes back to its pool; the counters forget the request. Leaves the connection idle.
fn leave_active(conn: &mut Conn, cx: &mut Services, pool: &mut Pool) {
    if let State::Active(mut ex) = std::mem::replace(&mut conn.state, State::Idle) {
        pool.backends.leave(&mut ex.backend, cx);
        match ex.rx == Rx::Head || ex.tx == Tx::Done {
            true => cx.stats.reading = cx.stats.reading.saturating_sub(1),
            false => cx.stats.writing = cx.stats.writing.saturating_sub(1),
        }
        cx.stats.waiting += 1;
        pool.give(ex, cx);
    }
}

fn go_idle(conn: &mut Conn, cx: &mut Services, pool: &mut Pool) -> Step {
    if cx.quitting {
        return Step::Close;
    }
    if let State::Active(ex) = &conn.state {
        let client = &ex.here().settings.client;
        let timeout = if conn.requests == 0 { client.header_timeout.0 } else { ex.idle_for };
        conn.deadline = cx.now.ms + timeout;
    }
    leave_active(conn, cx, pool);
    Step::Again
}

/// The connection ends with a request under way: what was begun is dropped, and logged as the client's doing.
fn abandon(conn: &mut Conn, cx: &mut Services, pool: &mut Pool) {
    if let State::Active(ex) = &mut conn.state {
        pool.backends.leave(&mut ex.backend, cx);
    }
    pages::unwind(conn, cx);
    if let State::Active(ex) = &mut conn.state
        && ex.rx != Rx::Head
    {
        if ex.tx == Tx::Wait && ex.response.status != Status::CLIENT_CLOSED_REQUEST {
            // nginx's words for a body that never came.
            ex.response.status = Status::BAD_REQUEST;
            ex.report(cx, crate::config::model::Level::Info, format_args!("client prematurely closed connection"));
        }
        access_log::write(ex, cx);
        cx.stats.writing = cx.stats.writing.saturating_sub(1);
        cx.stats.reading += 1;
        ex.rx = Rx::Head;
    }
    leave_active(conn, cx, pool);
}

/// The state has lasted too long. True: the connection ends now.
pub fn timeout(conn: &mut Conn, cx: &mut Services, pool: &mut Pool) -> Next {
    if let State::Active(ex) = &conn.state
        && (ex.pause.is_some() || ex.handler.waits())
    {
        return Next::Run;
    }
    if is_proxied(conn)
        && let Some(next) = proxied::timeout(conn, cx, &mut pool.backends)
    {
        return next;
    }
    let introduced = !proxy_protocol::is_awaited(conn);
    let State::Active(ex) = &mut conn.state else { return Next::Close };
    let began = match (ex.tx, ex.rx) {
        (Tx::Wait, Rx::Head) => introduced && ex.head.has_begun(ex.buf()),
        (Tx::Wait, Rx::Body) => true,
        _ => false,
    };
    ex.report(cx, crate::config::model::Level::Info, format_args!("client timed out"));
    if began && ex.out.is_empty() {
        // RFC 9110 §15.5.9: told before the connection is closed; nginx closes without a word.
        if ex.rx == Rx::Head {
            cx.stats.reading = cx.stats.reading.saturating_sub(1);
            cx.stats.writing += 1;
        }
        phases::time_out(ex, cx);
        conn.deadline = cx.now.ms + ex.here().settings.client.send_timeout.0;
        return Next::Run;
    }
    if ex.here().settings.client.reset_timedout {
        conn.transport.reset();
    }
    abandon(conn, cx, pool);
    Next::Close
}

#[cfg(test)]
mod tests;

//! A proxied request: sends the request to the upstream and the response to the client, each as fast as the other side
//! accepts it.
//!
//! Invariant: never reads more than the other side has room for.

use super::pool::UpstreamConn;
use crate::conn::io::{Io, Step};
use crate::conn::request::{begin_streamed, read};
use crate::conn::timers::{Deadline, Timer};
use crate::conn::transport::{Tls, Transport};
use crate::conn::{Active, Turn};
use crate::exchange::flow::{Flow, Pause};
use crate::exchange::handlers::Handler;
use crate::exchange::handlers::upstream::timers::{ClientDeadline, ClientTimer, UpstreamDeadline, UpstreamTimer};
use crate::exchange::handlers::upstream::{Headed, UpstreamFault, UpstreamPhase, UpstreamRequest, respond, settings};
use crate::exchange::send_queue::SHORT;
use crate::exchange::{Exchange, Rx, Tx, filters};
use crate::services::upstream_balance::{Outcome, PeerState};
use crate::services::{RECEIVED, Services};
use crate::sys::Errno;
use crate::sys::socket::More;
use std::rc::Rc;

/// After a read of at least this many bytes of the response, the clock is checked: processing them may take long.
const LARGE: usize = 16 << 10;
/// Bytes of a request that one call sends: a server on this machine takes all of a body as it is sent.
const SENT_AT_ONCE: usize = 1 << 20;
/// Maximum bytes per read of a response that is compressed or recoded.
const ENCODED: usize = 16 << 10;

/// Serves the client under its own deadline, which a proxied exchange keeps separately from the upstream's.
pub(super) fn by_client_deadline<T>(
    io: &mut Io<'_>,
    request: &mut UpstreamRequest,
    serve: impl FnOnce(&mut Io<'_>) -> T,
) -> T {
    let mut deadline = Deadline::from(request.client_deadline);
    let outcome = serve(&mut io.by(&mut deadline));
    request.client_deadline = deadline.of_client().unwrap_or(request.client_deadline);
    outcome
}

/// Reads from the client's body once, for the handler.
pub(super) fn take_body(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Handler::Upstream(request) = &active.handler else { return Step::Again };
    let mut deadline = Deadline::from(request.client_deadline);
    let step = read::body_piece(&mut io.by(&mut deadline), active, turn);
    if let Handler::Upstream(request) = &mut active.handler {
        request.client_deadline = deadline.of_client().unwrap_or(request.client_deadline);
    }
    step
}

/// The deadlines of the client and of the upstream; None if the exchange is not waiting for that side. During a pause,
/// it waits for its end only: neither side is late.
pub(super) fn deadlines(request: &UpstreamRequest, ex: &Exchange) -> (Option<Deadline>, Option<Deadline>) {
    let waits = request.waits(ex);
    if let Some(pause) = ex.progress.pause {
        return (Some(Deadline::new(Timer::Pause, pause.until)), None);
    }
    let client = (waits.client_read || waits.client_write).then(|| request.client_deadline.into());
    let at = request.upstream_deadline.at;
    let upstream = request.awaits_upstream(waits).then(|| Deadline::new(Timer::Upstream, at));
    (client, upstream)
}

/// Nothing can be done now: arms the earliest deadline.
pub(super) fn wait(io: &mut Io<'_>, active: &mut Active, now: u64) -> Step {
    let Handler::Upstream(request) = &mut active.handler else { return Step::Again };
    if let Some(first) = first_deadline(request, &active.ex, now) {
        *io.deadline = first;
    }
    Step::Wait
}

/// The earliest deadline, including the time at which the response to a slow client starts to be spooled.
pub(super) fn first_deadline(request: &mut UpstreamRequest, ex: &Exchange, now: u64) -> Option<Deadline> {
    request.name_client_timer(request.waits(ex));
    let (client, upstream) = deadlines(request, ex);
    let spools = request.spools_at(ex, now).map(|at| Deadline::new(Timer::Spool, at));
    client.into_iter().chain(upstream).chain(spools).min()
}

/// The handler is done: applies its result and starts the timeout for sending the response.
pub(super) fn apply_flow(io: &mut Io<'_>, active: &mut Active, cx: &mut Services, flow: Flow) -> Step {
    active.apply_flow(cx, flow);
    arm_send(io, active, cx);
    Step::Again
}

/// Starts the timeout for sending the response, if the handler is done.
pub(super) fn arm_send(io: &mut Io<'_>, active: &Active, cx: &Services) {
    if !active.is_proxied() {
        io.arm(Timer::Send, cx.now.ms + active.ex.location().settings.client.send_timeout.0);
    }
}

/// The server has failed: tries another one, answers with an error, or cuts the response short.
pub(super) fn fail(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>, fault: UpstreamFault) -> Step {
    // A connection that was reset in reply to the request had been closed before: this says nothing about the server.
    let was_closed =
        matches!(&active.handler, Handler::Upstream(request) if request.is_stale(fault) && request.was_reset);
    let end = match () {
        // The server has responded: one script that sends less than announced must not disable the server for all
        // requests (nginx). A CGI program is terminated.
        () if UpstreamRequest::has_begun(&active.ex) && !turn.pool.upstream_conns.is_program(active.upstream_conn) => {
            Outcome::Good
        }
        () if was_closed => Outcome::Neutral,
        () => fault.outcome(),
    };
    let standing = turn.pool.upstream_conns.close(&mut active.upstream_conn, turn.cx, end);
    next_server(io, active, turn.cx, fault, standing)
}

/// Like [`fail`], when there is no connection to the server.
pub(super) fn next_server(
    io: &mut Io<'_>,
    active: &mut Active,
    cx: &mut Services,
    fault: UpstreamFault,
    standing: PeerState,
) -> Step {
    let Active { ex, handler, .. } = active;
    let Handler::Upstream(request) = handler else { return Step::Again };
    if UpstreamRequest::has_begun(ex) {
        request.end_record(ex, cx);
        match request.spool.take().filter(|spool| !spool.is_empty()) {
            Some(mut spool) => {
                spool.is_truncated = true;
                *handler = Handler::Spooled(spool);
            }
            None => {
                *handler = Handler::None;
                break_off(ex);
            }
        }
        if ex.progress.rx == Rx::Body {
            ex.progress.rx = Rx::Drain;
        }
    } else if let Some(flow) = request.failed(ex, cx, fault, standing) {
        return apply_flow(io, active, cx, flow);
    }
    arm_send(io, active, cx);
    Step::Again
}

/// Ends the response without a last chunk, with fewer bytes than announced, or with a reset, so that the client sees
/// that it is incomplete. What an encoder holds back is sent before.
pub(super) fn break_off(ex: &mut Exchange) {
    filters::give_out(ex);
    ex.out.break_off();
    ex.progress.tx = Tx::Done;
}

/// Sends the request and receives the response.
pub(super) fn send_receive(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>, flushed: bool) -> Step {
    if matches!(&active.handler, Handler::Upstream(request) if request.opens_tunnel()) {
        return open_tunnel(active, turn);
    }
    let (starts, unsent) = match &active.handler {
        Handler::Upstream(request) => {
            (request.sends_body_with_head(&active.ex), request.is_unsent() && request.pending().len() < SHORT)
        }
        _ => return Step::Again,
    };
    // Deferred like a short response: the requests of a turn are sent right after each other, so the server is woken
    // only once.
    if turn.budget.batch && unsent && !starts {
        return Step::Batched;
    }
    let sent = !starts && send(active, turn);
    let mut progress = flushed;
    let Active { ex, handler, reader, .. } = active;
    if let Handler::Upstream(request) = handler
        && request.wants_body(ex)
    {
        read::send_continue(ex, reader);
        progress |= !ex.out.is_empty() && io.transport.can_write();
        match take_body(io, active, turn) {
            Step::Wait => {}
            Step::Again => progress = true,
            step => return step,
        }
        if !active.is_proxied() {
            arm_send(io, active, turn.cx);
            return Step::Again;
        }
        progress |= send(active, turn);
    }
    match pass_on(active, turn) {
        Some(moved) => progress |= moved,
        None => {
            turn.pool.upstream_conns.close(&mut active.upstream_conn, turn.cx, Outcome::Neutral);
            return next_server(io, active, turn.cx, UpstreamFault::Error, PeerState::Enabled);
        }
    }
    let mut received = receive(io, active, turn);
    if matches!(received, Received::Progress) && program_has_ended(active, turn) {
        // Reads the end of a program's output together with its last bytes, to send both in one packet.
        progress = true;
        received = receive(io, active, turn);
    }
    match received {
        Received::Progress => progress = true,
        Received::Nothing => {}
        Received::Step(step) => return step,
    }
    match &active.handler {
        Handler::Upstream(request) if request.is_done() && UpstreamRequest::has_begun(&active.ex) => {
            complete(io, active, turn)
        }
        // Once the whole request is sent, there is nothing to do until the response arrives.
        Handler::Upstream(request) if progress || sent && !request.is_sent(&active.ex) => Step::Again,
        Handler::Upstream(_) => wait(io, active, turn.cx.now.ms),
        _ => Step::Again,
    }
}

/// The end of the turn has come for an exchange whose request may have been [held](Step::Batched): sends it, and waits
/// for the response. None: it is to be driven as any other.
pub fn send_held(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Option<Step> {
    let Handler::Upstream(request) = &active.handler else { return None };
    let is_gone = io.transport.has_failed() || io.transport.socket_closed();
    if is_gone || !request.is_held(&active.ex) {
        return None;
    }
    send(active, turn);
    let has_answer = turn.pool.upstream_conns.transport(active.upstream_conn).is_none_or(Transport::can_read);
    let Handler::Upstream(request) = &active.handler else { return None };
    (!has_answer && request.is_sent(&active.ex)).then(|| wait(io, active, turn.cx.now.ms))
}

/// Whether the program has ended although the end of its output has not been read yet.
fn program_has_ended(active: &Active, turn: &mut Turn<'_>) -> bool {
    let is_open = matches!(&active.handler, Handler::Upstream(request) if !request.is_done());
    is_open && turn.pool.upstream_conns.of(active.upstream_conn).is_some_and(|upstream_conn| upstream_conn.has_ended())
}

/// Passes on as much of the spooled response as the client takes. True: progress was made. None: the file cannot be
/// read.
fn pass_on(active: &mut Active, turn: &mut Turn<'_>) -> Option<bool> {
    let Handler::Upstream(request) = &mut active.handler else { return Some(false) };
    let Some(spool) = &mut request.spool else { return Some(false) };
    let Some(n) = spool.pass_on(&mut active.ex, turn.cx) else {
        request.spool = None;
        return None;
    };
    turn.budget.moved(n);
    Some(n > 0)
}

/// Sends as much of the request as the upstream takes. True: progress was made.
pub(super) fn send(active: &mut Active, turn: &mut Turn<'_>) -> bool {
    let Active { ex, handler, upstream_conn, .. } = active;
    let Some(upstream_conn) = turn.pool.upstream_conns.of(*upstream_conn) else { return false };
    let Handler::Upstream(request) = handler else { return false };
    let mut moved = false;
    while !request.pending().is_empty() && upstream_conn.transport.can_write() {
        let pending = request.pending();
        match upstream_conn.transport.send(&pending[..pending.len().min(SENT_AT_ONCE)], More::No) {
            Ok(n) => {
                request.note_sent(ex, n);
                moved = true;
                turn.budget.moved(n);
                if turn.budget.bytes == 0 {
                    break;
                }
            }
            Err(Errno::EAGAIN) => break,
            // The server may have responded before it closed: read the response first.
            Err(_) => {
                request.write_closed = true;
                moved = true;
            }
        }
    }
    if moved {
        let (settings, now) = (settings(ex), turn.cx.now.ms);
        let whole = request.pending().is_empty();
        request.upstream_deadline = match whole {
            true => UpstreamDeadline::new(UpstreamTimer::Read, now + settings.read_timeout.0),
            false => UpstreamDeadline::new(UpstreamTimer::Send, now + settings.send_timeout.0),
        };
        if whole {
            let until = now + ex.location().settings.client.body_timeout.0;
            request.client_deadline = ClientDeadline::new(ClientTimer::Body, until);
        }
    }
    moved
}

/// What reading from the upstream came to.
pub(super) enum Received {
    /// Bytes were read, or the response has ended.
    Progress,
    /// There is nothing to read, or no room for it.
    Nothing,
    /// The exchange continues without this upstream.
    Step(Step),
}

/// Reads from the response once, at most as much as the client's side has room for.
pub(super) fn receive(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Received {
    let Some(upstream_conn) = turn.pool.upstream_conns.of(active.upstream_conn) else { return Received::Nothing };
    let Handler::Upstream(request) = &mut active.handler else { return Received::Nothing };
    request.close_spool(&active.ex);
    if request.awaits_exit() && upstream_conn.has_ended() {
        return handle_read(io, active, turn, Ok(&[]));
    }
    let mut most = request.room(&active.ex).min(RECEIVED);
    if most == 0 || !upstream_conn.transport.can_read() {
        return Received::Nothing;
    }
    if let Some(pace) = &mut request.pace {
        if let Err(until) = pace.allow(turn.cx.now.ms) {
            active.ex.progress.pause = Some(Pause { until, then: None });
            return Received::Step(Step::Again);
        }
        most = most.min(pace.open());
    }
    let is_encoded = active.ex.response.encoder.is_some();
    if is_encoded {
        most = most.min(ENCODED);
    }
    let mut buffer = turn.cx.take_received();
    let outcome = match upstream_conn.transport.recv(Rc::make_mut(&mut buffer), most) {
        // Other processes may hold the pipe open, but it is empty, and the program itself has ended.
        Err(Errno::EAGAIN) if upstream_conn.has_ended() => Ok(0),
        outcome => outcome,
    };
    if let Some(pace) = &mut request.pace {
        pace.took(buffer.len());
    }
    if io.transport.is_raw() {
        active.ex.out.lend(&buffer);
    }
    let received = match outcome {
        Err(Errno::EAGAIN) => Received::Nothing,
        outcome => handle_read(io, active, turn, outcome.map(|_| &buffer[..])),
    };
    active.ex.out.end_loan();
    turn.budget.moved(buffer.len());
    turn.cx.overload.grow(buffer.len());
    // The bytes may contain many chunks, records or SSI commands.
    if buffer.len() >= LARGE || is_encoded {
        turn.cx.slice.look();
    }
    turn.cx.received = Some(buffer);
    received
}

/// The upstream has closed the connection, or the program has ended.
fn ended(
    request: &mut UpstreamRequest,
    ex: &mut Exchange,
    from: Option<&mut UpstreamConn>,
    cx: &mut Services,
) -> Result<(), UpstreamFault> {
    let Some(from) = from else { return request.closed(ex, cx) };
    if from.is_program() {
        let exit = from.exit(&cx.children);
        return request.output_ended(ex, cx, exit);
    }
    request.is_cut = from.transport.tls().is_some_and(Tls::is_cut);
    // A reset may arrive after the FIN: in that case, the bytes sent have not been acknowledged yet.
    request.was_reset = request.reused && (from.transport.connected().is_err() || from.transport.is_unacknowledged());
    request.closed(ex, cx)
}

/// Processes the result of a read.
fn handle_read(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>, bytes: Result<&[u8], Errno>) -> Received {
    let Active { ex, handler, upstream_conn, reader, .. } = active;
    let Handler::Upstream(request) = handler else { return Received::Step(Step::Again) };
    let cx = &mut *turn.cx;
    let outcome = match bytes {
        Err(e) => {
            request.was_reset = matches!(e, Errno::ECONNRESET | Errno::EPIPE);
            request.broken(ex, cx, "recv()", e);
            Err(UpstreamFault::Error)
        }
        Ok([]) => ended(request, ex, turn.pool.upstream_conns.of(*upstream_conn), cx).map(|()| None),
        Ok(bytes) => {
            let until = cx.now.ms + settings(ex).read_timeout.0;
            request.upstream_deadline = UpstreamDeadline::new(UpstreamTimer::Read, until);
            if ex.out.is_empty() {
                let until = cx.now.ms + ex.location().settings.client.send_timeout.0;
                request.client_deadline = ClientDeadline::new(ClientTimer::Send, until);
            }
            request.received(ex, cx, bytes).map(|headed| headed.map(|headed| (headed, bytes)))
        }
    };
    let outcome = match outcome {
        Ok(Some((headed, bytes))) if headed.flow == Flow::Respond => {
            turn.pool.upstream_conns.head_received(*upstream_conn, cx.now.ms);
            if let Some(instead) = begin_streamed(ex, reader, cx) {
                request.end_record(ex, cx);
                turn.pool.upstream_conns.close(upstream_conn, cx, Outcome::Good);
                *handler = instead;
                arm_send(io, active, cx);
                return Received::Step(Step::Again);
            }
            if request.phase == UpstreamPhase::Tunnel {
                // After the upgrade, the bytes that follow the request are no longer HTTP.
                request.relay(&reader.take_rest());
            }
            request.begin_body(ex, cx, &headed, bytes)
        }
        Ok(Some((Headed { flow, .. }, _))) => {
            // The response is replaced (X-Accel-Redirect, an intercepted error).
            request.end_record(ex, cx);
            turn.pool.upstream_conns.close(upstream_conn, cx, Outcome::Good);
            return Received::Step(apply_flow(io, active, cx, flow));
        }
        Ok(None) => Ok(()),
        Err(fault) => Err(fault),
    };
    match outcome {
        Ok(()) => Received::Progress,
        Err(fault) => Received::Step(fail(io, active, turn, fault)),
    }
}

/// The server that a CONNECT request names is connected.
fn open_tunnel(active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, handler, upstream_conn, reader, .. } = active;
    let Handler::Upstream(request) = handler else { return Step::Again };
    respond::open_tunnel(request, ex);
    if let Some(instead) = begin_streamed(ex, reader, turn.cx) {
        request.end_record(ex, turn.cx);
        turn.pool.upstream_conns.close(upstream_conn, turn.cx, Outcome::Good);
        *handler = instead;
        return Step::Again;
    }
    // The bytes that follow the CONNECT request are for the server.
    request.relay(&reader.take_rest());
    let until = turn.cx.now.ms + ex.location().settings.client.send_timeout.0;
    request.client_deadline = ClientDeadline::new(ClientTimer::Send, until);
    let until = turn.cx.now.ms + settings(ex).read_timeout.0;
    request.upstream_deadline = UpstreamDeadline::new(UpstreamTimer::Read, until);
    request.begin_tunnel();
    Step::Again
}

/// The whole response has arrived.
pub(super) fn complete(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, handler, upstream_conn, .. } = active;
    let Handler::Upstream(request) = handler else { return Step::Again };
    let (cx, upstream_conns) = (&mut *turn.cx, &mut turn.pool.upstream_conns);
    request.keep_copy(ex, cx);
    request.end_record(ex, cx);
    if request.leaves_connection_usable(ex) {
        upstream_conns.park(upstream_conn, cx);
    } else {
        upstream_conns.close(upstream_conn, cx, Outcome::Good);
    }
    let spool = request.spool.take().filter(|spool| ex.progress.tx == Tx::Send && !spool.is_empty());
    let next = spool.map_or(Handler::None, Handler::Spooled);
    if let Handler::Upstream(done) = std::mem::replace(handler, next) {
        done.leave_room(ex);
    }
    if ex.progress.tx == Tx::Send
        && matches!(handler, Handler::None)
        && let Some(page) = filters::end(ex, cx)
    {
        *handler = Handler::Page(page);
    }
    if ex.progress.rx == Rx::Body {
        ex.progress.rx = Rx::Drain;
    }
    arm_send(io, active, cx);
    Step::Again
}

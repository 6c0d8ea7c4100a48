//! A proxied request: sends the request to the upstream and the response to the client, each as fast as the other side
//! accepts it.
//!
//! Invariant: never reads more than the other side has room for.

use super::pool::Backend;
use crate::conn::io::{Io, Step};
use crate::conn::request::{begin_streamed, read};
use crate::conn::timers::{Deadline, Timer};
use crate::conn::{Active, Turn};
use crate::exchange::flow::{Flow, Pause};
use crate::exchange::handlers::Handler;
use crate::exchange::handlers::upstream::{Fault, Headed, Phase, Proxy, respond, settings};
use crate::exchange::send_queue::SHORT;
use crate::exchange::{Exchange, Rx, Tx, filters};
use crate::services::upstream_balance::{Outcome, PeerState};
use crate::services::{SCRATCH, Services};
use crate::sys::Errno;
use crate::sys::socket::More;

/// After a read of at least this many bytes of the response, the clock is checked: processing them may take long.
const LARGE: usize = 16 << 10;
/// Maximum bytes per read of a response that is compressed or recoded.
const ENCODED: usize = 16 << 10;

/// Serves the client under its own deadline, which a proxied exchange keeps separately from the upstream's.
pub(super) fn by_client_deadline<T>(io: &mut Io<'_>, proxy: &mut Proxy, serve: impl FnOnce(&mut Io<'_>) -> T) -> T {
    let mut deadline = Deadline::new(Timer::Send, proxy.client_by);
    let outcome = serve(&mut io.by(&mut deadline));
    proxy.client_by = deadline.at();
    outcome
}

/// Reads from the client's body once, for the handler.
pub(super) fn take_body(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Handler::Proxy(proxy) = &active.handler else { return Step::Again };
    let mut deadline = Deadline::new(Timer::Body, proxy.client_by);
    let step = read::take(&mut io.by(&mut deadline), active, turn);
    if let Handler::Proxy(proxy) = &mut active.handler {
        proxy.client_by = deadline.at();
    }
    step
}

/// The deadlines of the client and of the upstream; None if the exchange is not waiting for that side.
pub(super) fn deadlines(proxy: &Proxy, ex: &Exchange) -> (Option<Deadline>, Option<Deadline>) {
    let waits = proxy.waits(ex);
    let timer = match (ex.pause.is_some(), waits.client_write) {
        (true, _) => Timer::Pause,
        (false, true) => Timer::Send,
        (false, false) => Timer::Body,
    };
    let client = (waits.client_read || waits.client_write).then(|| Deadline::new(timer, proxy.client_by));
    let upstream = proxy.awaits_upstream(ex).then(|| Deadline::new(Timer::Upstream, proxy.upstream_by));
    (client, upstream)
}

/// Nothing can be done now: arms the earliest deadline.
pub(super) fn wait(io: &mut Io<'_>, active: &mut Active, now: u64) -> Step {
    let Handler::Proxy(proxy) = &mut active.handler else { return Step::Again };
    if let Some(first) = first_deadline(proxy, &active.ex, now) {
        *io.deadline = first;
    }
    Step::Wait
}

/// The earliest deadline, including the time at which the response to a slow client starts to be spooled.
pub(super) fn first_deadline(proxy: &mut Proxy, ex: &Exchange, now: u64) -> Option<Deadline> {
    let (client, upstream) = deadlines(proxy, ex);
    let spools = proxy.spools_at(ex, now).map(|at| Deadline::new(Timer::Pause, at));
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
        io.arm(Timer::Send, cx.now.ms + active.ex.here().settings.client.send_timeout.0);
    }
}

/// The server has failed: tries another one, answers with an error, or cuts the response short.
pub(super) fn fail(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>, fault: Fault) -> Step {
    // A connection that was reset in reply to the request had been closed before: this says nothing about the server.
    let was_closed = matches!(&active.handler, Handler::Proxy(proxy) if proxy.is_stale(fault) && proxy.was_reset);
    let end = match () {
        // The server has responded: one script that sends less than announced must not disable the server for all
        // requests (nginx). A CGI program is terminated.
        () if Proxy::has_begun(&active.ex) && !turn.pool.backends.is_program(active.backend) => Outcome::Good,
        () if was_closed => Outcome::Neutral,
        () => fault.end(),
    };
    let standing = turn.pool.backends.close(&mut active.backend, turn.cx, end);
    next_server(io, active, turn.cx, fault, standing)
}

/// Like [`fail`], when there is no connection to the server.
pub(super) fn next_server(
    io: &mut Io<'_>,
    active: &mut Active,
    cx: &mut Services,
    fault: Fault,
    standing: PeerState,
) -> Step {
    let Active { ex, handler, .. } = active;
    let Handler::Proxy(proxy) = handler else { return Step::Again };
    if Proxy::has_begun(ex) {
        proxy.finish(ex, cx);
        match proxy.spool.take().filter(|spool| !spool.is_empty()) {
            Some(mut spool) => {
                spool.is_truncated = true;
                *handler = Handler::Spooled(spool);
            }
            None => {
                *handler = Handler::None;
                break_off(ex);
            }
        }
        if ex.rx == Rx::Body {
            ex.rx = Rx::Drain;
        }
    } else if let Some(flow) = proxy.failed(ex, cx, fault, standing) {
        return apply_flow(io, active, cx, flow);
    }
    arm_send(io, active, cx);
    Step::Again
}

/// Ends the response without a last chunk, with fewer bytes than announced, or with a reset, so that the client sees
/// that it is incomplete.
pub(super) fn break_off(ex: &mut Exchange) {
    ex.out.break_off();
    ex.tx = Tx::Done;
}

/// Sends the request and receives the response.
pub(super) fn talk(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>, flushed: bool) -> Step {
    if matches!(&active.handler, Handler::Proxy(proxy) if proxy.opens_tunnel()) {
        return open_tunnel(active, turn);
    }
    let (starts, unsent) = match &active.handler {
        Handler::Proxy(proxy) => (proxy.gathers_start(&active.ex), proxy.is_unsent() && proxy.pending().len() < SHORT),
        _ => return Step::Again,
    };
    // Deferred like a short response: the requests of a turn are sent right after each other, so the server is woken
    // only once.
    if turn.budget.gather && unsent && !starts {
        return Step::Batched;
    }
    let sent = !starts && send(active, turn);
    let mut progress = flushed;
    let Active { ex, handler, reader, .. } = active;
    if let Handler::Proxy(proxy) = handler
        && proxy.wants_body(ex)
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
            turn.pool.backends.close(&mut active.backend, turn.cx, Outcome::Neutral);
            return next_server(io, active, turn.cx, Fault::Error, PeerState::Enabled);
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
        Handler::Proxy(proxy) if proxy.is_done() && Proxy::has_begun(&active.ex) => complete(io, active, turn),
        // Once the whole request is sent, there is nothing to do until the response arrives.
        Handler::Proxy(proxy) if progress || sent && !proxy.is_sent(&active.ex) => Step::Again,
        Handler::Proxy(_) => wait(io, active, turn.cx.now.ms),
        _ => Step::Again,
    }
}

/// Whether the program has ended although the end of its output has not been read yet.
fn program_has_ended(active: &Active, turn: &mut Turn<'_>) -> bool {
    let is_open = matches!(&active.handler, Handler::Proxy(proxy) if !proxy.is_done());
    is_open && turn.pool.backends.of(active.backend).is_some_and(|backend| backend.has_ended())
}

/// Passes on as much of the spooled response as the client takes. True: progress was made. None: the file cannot be
/// read.
fn pass_on(active: &mut Active, turn: &mut Turn<'_>) -> Option<bool> {
    let Handler::Proxy(proxy) = &mut active.handler else { return Some(false) };
    let Some(spool) = &mut proxy.spool else { return Some(false) };
    let Some(n) = spool.pass_on(&mut active.ex, turn.cx) else {
        proxy.spool = None;
        return None;
    };
    turn.budget.moved(n);
    Some(n > 0)
}

/// Sends as much of the request as the upstream takes. True: progress was made.
pub(super) fn send(active: &mut Active, turn: &mut Turn<'_>) -> bool {
    let Active { ex, handler, backend, .. } = active;
    let Some(backend) = turn.pool.backends.of(*backend) else { return false };
    let Handler::Proxy(proxy) = handler else { return false };
    let mut moved = false;
    while !proxy.pending().is_empty() && backend.transport.can_write() {
        match backend.transport.send(proxy.pending(), More::No) {
            Ok(n) => {
                proxy.sent(ex, n);
                moved = true;
            }
            Err(Errno::EAGAIN) => break,
            // The server may have responded before it closed: read the response first.
            Err(_) => {
                proxy.write_closed = true;
                moved = true;
            }
        }
    }
    if moved {
        let (settings, now) = (settings(ex), turn.cx.now.ms);
        let whole = proxy.pending().is_empty();
        let timeout = if whole { settings.read_timeout } else { settings.send_timeout };
        proxy.upstream_by = now + timeout.0;
        if whole {
            proxy.client_by = now + ex.here().settings.client.body_timeout.0;
        }
    }
    moved
}

pub(super) enum Received {
    Progress,
    Nothing,
    /// The exchange continues without this upstream.
    Step(Step),
}

/// Reads from the response once, at most as much as the client's side has room for.
pub(super) fn receive(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Received {
    let Some(backend) = turn.pool.backends.of(active.backend) else { return Received::Nothing };
    let Handler::Proxy(proxy) = &mut active.handler else { return Received::Nothing };
    proxy.close_spool(&active.ex);
    if proxy.awaits_exit() && backend.has_ended() {
        return handle_read(io, active, turn, Ok(&[]));
    }
    let mut most = proxy.room(&active.ex).min(SCRATCH);
    if most == 0 || !backend.transport.can_read() {
        return Received::Nothing;
    }
    if let Some(pace) = &mut proxy.pace {
        if let Err(until) = pace.allow(turn.cx.now.ms) {
            active.ex.pause = Some(Pause { until, then: None });
            return Received::Step(Step::Again);
        }
        most = most.min(pace.open());
    }
    let is_encoded = active.ex.response.encoder.is_some();
    if is_encoded {
        most = most.min(ENCODED);
    }
    let mut bytes = std::mem::take(&mut turn.cx.scratch);
    bytes.clear();
    bytes.reserve(SCRATCH);
    let outcome = match backend.transport.recv(&mut bytes, most) {
        // Other processes may hold the pipe open, but it is empty, and the program itself has ended.
        Err(Errno::EAGAIN) if backend.has_ended() => Ok(0),
        outcome => outcome,
    };
    if let Some(pace) = &mut proxy.pace {
        pace.took(bytes.len());
    }
    let received = match outcome {
        Err(Errno::EAGAIN) => Received::Nothing,
        outcome => handle_read(io, active, turn, outcome.map(|_| &bytes[..])),
    };
    turn.budget.moved(bytes.len());
    // The bytes may contain many chunks, records or SSI commands.
    if bytes.len() >= LARGE || is_encoded {
        turn.cx.slice.look();
    }
    bytes.clear();
    turn.cx.scratch = bytes;
    received
}

/// The upstream has closed the connection, or the program has ended.
fn ended(proxy: &mut Proxy, ex: &mut Exchange, from: Option<&mut Backend>, cx: &mut Services) -> Result<(), Fault> {
    let Some(from) = from else { return proxy.closed(ex, cx) };
    if from.is_program() {
        let exit = from.exit(&cx.children);
        return proxy.output_ended(ex, cx, exit);
    }
    // A reset may arrive after the FIN: in that case, the bytes sent have not been acknowledged yet.
    proxy.was_reset = proxy.reused && (from.transport.connected().is_err() || from.transport.is_unacknowledged());
    proxy.closed(ex, cx)
}

/// Processes the result of a read.
fn handle_read(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>, bytes: Result<&[u8], Errno>) -> Received {
    let Active { ex, handler, backend, reader, .. } = active;
    let Handler::Proxy(proxy) = handler else { return Received::Step(Step::Again) };
    let cx = &mut *turn.cx;
    let outcome = match bytes {
        Err(e) => {
            proxy.was_reset = matches!(e, Errno::ECONNRESET | Errno::EPIPE);
            proxy.broken(ex, cx, "recv()", e);
            Err(Fault::Error)
        }
        Ok([]) => ended(proxy, ex, turn.pool.backends.of(*backend), cx).map(|()| None),
        Ok(bytes) => {
            proxy.upstream_by = cx.now.ms + settings(ex).read_timeout.0;
            proxy.awaits_quick_end = false;
            if ex.out.is_empty() {
                proxy.client_by = cx.now.ms + ex.here().settings.client.send_timeout.0;
            }
            proxy.received(ex, cx, bytes).map(|headed| headed.map(|headed| (headed, bytes)))
        }
    };
    let outcome = match outcome {
        Ok(Some((headed, bytes))) if headed.flow == Flow::Respond => {
            turn.pool.backends.head_received(*backend, cx.now.ms);
            if let Some(instead) = begin_streamed(ex, reader, cx) {
                proxy.finish(ex, cx);
                turn.pool.backends.close(backend, cx, Outcome::Good);
                *handler = instead;
                arm_send(io, active, cx);
                return Received::Step(Step::Again);
            }
            if proxy.phase == Phase::Tunnel {
                // After the upgrade, the bytes that follow the request are no longer HTTP.
                proxy.relay(&reader.take_rest());
            }
            proxy.begin_body(ex, cx, &headed, bytes)
        }
        Ok(Some((Headed { flow, .. }, _))) => {
            // The response is replaced (X-Accel-Redirect, an intercepted error).
            proxy.finish(ex, cx);
            turn.pool.backends.close(backend, cx, Outcome::Good);
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
    let Active { ex, handler, reader, .. } = active;
    let Handler::Proxy(proxy) = handler else { return Step::Again };
    respond::open_tunnel(proxy, ex);
    if let Some(instead) = begin_streamed(ex, reader, turn.cx) {
        *handler = instead;
        return Step::Again;
    }
    // The bytes that follow the CONNECT request are for the server.
    proxy.relay(&reader.take_rest());
    proxy.client_by = turn.cx.now.ms + ex.here().settings.client.send_timeout.0;
    proxy.upstream_by = turn.cx.now.ms + settings(ex).read_timeout.0;
    proxy.begin_tunnel();
    Step::Again
}

/// The whole response has arrived.
pub(super) fn complete(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, handler, backend, .. } = active;
    let Handler::Proxy(proxy) = handler else { return Step::Again };
    let (cx, backends) = (&mut *turn.cx, &mut turn.pool.backends);
    proxy.keep_copy(ex, cx);
    if proxy.finish(ex, cx) {
        backends.park(backend, cx);
    } else {
        backends.close(backend, cx, Outcome::Good);
    }
    let spool = proxy.spool.take().filter(|spool| ex.tx == Tx::Send && !spool.is_empty());
    let next = spool.map_or(Handler::None, Handler::Spooled);
    if let Handler::Proxy(done) = std::mem::replace(handler, next) {
        done.leave_room(ex);
    }
    if ex.tx == Tx::Send
        && matches!(handler, Handler::None)
        && let Some(page) = filters::end(ex, cx)
    {
        *handler = Handler::Page(page);
    }
    if ex.rx == Rx::Body {
        ex.rx = Rx::Drain;
    }
    arm_send(io, active, cx);
    Step::Again
}

//! A proxied request: the request is sent to the upstream and its response to the client, each as far as the
//! other side takes it.
//!
//! Invariant: no more is read than what the other side has room for.

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
use crate::services::upstream_balance::{End, PeerState};
use crate::services::{SCRATCH, Services};
use crate::sys::Errno;
use crate::sys::socket::More;

/// A read of the response of this many bytes or more is followed by a look at the clock: handling it may take long.
const LARGE: usize = 16 << 10;
/// Most bytes read at a time of a response that is compressed or recoded.
const ENCODED: usize = 16 << 10;

/// Serves the client by its own deadline, which the proxied exchange keeps beside the upstream's.
pub(super) fn by_client_deadline<T>(io: &mut Io<'_>, proxy: &mut Proxy, serve: impl FnOnce(&mut Io<'_>) -> T) -> T {
    let mut deadline = Deadline::new(Timer::Send, proxy.client_by);
    let outcome = serve(&mut io.by(&mut deadline));
    proxy.client_by = deadline.at();
    outcome
}

/// One read of the client's body, for the handler.
pub(super) fn take_body(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Handler::Proxy(proxy) = &active.handler else { return Step::Again };
    let mut deadline = Deadline::new(Timer::Body, proxy.client_by);
    let step = read::take(&mut io.by(&mut deadline), active, turn);
    if let Handler::Proxy(proxy) = &mut active.handler {
        proxy.client_by = deadline.at();
    }
    step
}

/// The deadlines of the client and of the upstream; None for one that is not waited for.
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

/// Nothing moves: arms the earliest deadline.
pub(super) fn wait(io: &mut Io<'_>, active: &mut Active, now: u64) -> Step {
    let Handler::Proxy(proxy) = &mut active.handler else { return Step::Again };
    if let Some(first) = first_deadline(proxy, &active.ex, now) {
        *io.deadline = first;
    }
    Step::Wait
}

/// What comes first: a deadline, or the time to put a response aside whose client does not take it.
pub(super) fn first_deadline(proxy: &mut Proxy, ex: &Exchange, now: u64) -> Option<Deadline> {
    let (client, upstream) = deadlines(proxy, ex);
    let spools = proxy.spools_at(ex, now).map(|at| Deadline::new(Timer::Pause, at));
    client.into_iter().chain(upstream).chain(spools).min()
}

/// The handler is done: this is the answer, and the time to send it begins.
pub(super) fn apply_flow(io: &mut Io<'_>, active: &mut Active, cx: &mut Services, flow: Flow) -> Step {
    active.apply_flow(cx, flow);
    arm_send(io, active, cx);
    Step::Again
}

/// Where the handler is done, the time to send the answer begins.
pub(super) fn arm_send(io: &mut Io<'_>, active: &Active, cx: &Services) {
    if !active.is_proxied() {
        io.arm(Timer::Send, cx.now.ms + active.ex.here().settings.client.send_timeout.0);
    }
}

/// The server has failed: another one is tried, or the client gets an error, or sees that its response is cut short.
pub(super) fn fail(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>, fault: Fault) -> Step {
    // One that answered what was sent to it with a reset was closed before: that says nothing of the server.
    let was_closed = matches!(&active.handler, Handler::Proxy(proxy) if proxy.is_stale(fault) && proxy.was_reset);
    let end = match () {
        // It has answered: one program that says less than it announced takes no server from all others (nginx). A program
        // of our own is ended.
        () if Proxy::has_begun(&active.ex) && !turn.pool.backends.is_program(active.backend) => End::Good,
        () if was_closed => End::Neutral,
        () => fault.end(),
    };
    let standing = turn.pool.backends.close(&mut active.backend, turn.cx, end);
    next_server(io, active, turn.cx, fault, standing)
}

/// As [`fail`], where there is no connection to the server.
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
                spool.is_cut = true;
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

/// No last chunk, fewer bytes than announced, or a reset: the client sees that something is missing.
pub(super) fn break_off(ex: &mut Exchange) {
    ex.out.break_off();
    ex.tx = Tx::Done;
}

/// The request goes out, the response comes in.
pub(super) fn talk(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>, flushed: bool) -> Step {
    if matches!(&active.handler, Handler::Proxy(proxy) if proxy.opens_tunnel()) {
        return open_tunnel(active, turn);
    }
    let (starts, unsent) = match &active.handler {
        Handler::Proxy(proxy) => (proxy.gathers_start(&active.ex), proxy.is_unsent() && proxy.pending().len() < SHORT),
        _ => return Step::Again,
    };
    // Held like a short response: the requests of a turn are sent closely one after the other, so that the server is
    // woken once.
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
            turn.pool.backends.close(&mut active.backend, turn.cx, End::Neutral);
            return next_server(io, active, turn.cx, Fault::Error, PeerState::Enabled);
        }
    }
    let mut received = receive(io, active, turn);
    if matches!(received, Received::Progress) && is_over(active, turn) {
        // The end of a program's output comes with its last bytes: one packet for both.
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
        // Once the whole request is sent, nothing can be done before its answer comes.
        Handler::Proxy(proxy) if progress || sent && !proxy.is_sent(&active.ex) => Step::Again,
        Handler::Proxy(_) => wait(io, active, turn.cx.now.ms),
        _ => Step::Again,
    }
}

/// The program whose output is read has ended, and that is not known from its output yet.
fn is_over(active: &Active, turn: &mut Turn<'_>) -> bool {
    let is_open = matches!(&active.handler, Handler::Proxy(proxy) if !proxy.is_done());
    is_open && turn.pool.backends.of(active.backend).is_some_and(|backend| backend.has_ended())
}

/// What was put aside, as far as the client takes it. True: something moved. None: it cannot be read.
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

/// The request, as far as the upstream takes it. True: something moved.
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
            // The server may have answered before it closed: read that first.
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
    /// The exchange goes on without this upstream.
    Step(Step),
}

/// One read of the response, no more than the client's side has room for.
pub(super) fn receive(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Received {
    let Some(backend) = turn.pool.backends.of(active.backend) else { return Received::Nothing };
    let Handler::Proxy(proxy) = &mut active.handler else { return Received::Nothing };
    proxy.close_spool(&active.ex);
    if proxy.awaits_exit() && backend.has_ended() {
        return arrived(io, active, turn, Ok(&[]));
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
        // Other processes may hold the pipe open; it is empty, and the program that wrote to it has ended.
        Err(Errno::EAGAIN) if backend.has_ended() => Ok(0),
        outcome => outcome,
    };
    if let Some(pace) = &mut proxy.pace {
        pace.took(bytes.len());
    }
    let received = match outcome {
        Err(Errno::EAGAIN) => Received::Nothing,
        outcome => arrived(io, active, turn, outcome.map(|_| &bytes[..])),
    };
    turn.budget.moved(bytes.len());
    // It may hold many chunks, records or SSI commands.
    if bytes.len() >= LARGE || is_encoded {
        turn.cx.slice.look();
    }
    bytes.clear();
    turn.cx.scratch = bytes;
    received
}

/// The upstream has closed, or its program has ended.
fn ended(proxy: &mut Proxy, ex: &mut Exchange, from: Option<&mut Backend>, cx: &mut Services) -> Result<(), Fault> {
    let Some(from) = from else { return proxy.closed(ex, cx) };
    if from.is_program() {
        let exit = from.exit(&cx.children);
        return proxy.output_ended(ex, cx, exit);
    }
    // The reset may come after the end: then what was sent is not acknowledged yet.
    proxy.was_reset = proxy.reused && (from.transport.connected().is_err() || from.transport.is_unacknowledged());
    proxy.closed(ex, cx)
}

/// What a read gave.
fn arrived(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>, bytes: Result<&[u8], Errno>) -> Received {
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
                turn.pool.backends.close(backend, cx, End::Good);
                *handler = instead;
                arm_send(io, active, cx);
                return Received::Step(Step::Again);
            }
            if proxy.phase == Phase::Tunnel {
                // What the client sent behind its request is no request any more.
                proxy.relay(&reader.take_rest());
            }
            proxy.begin_body(ex, cx, &headed, bytes)
        }
        Ok(Some((Headed { flow, .. }, _))) => {
            // The upstream's response leads elsewhere (X-Accel-Redirect, an intercepted error).
            proxy.finish(ex, cx);
            turn.pool.backends.close(backend, cx, End::Good);
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

/// The server that a CONNECT request asked for is there.
fn open_tunnel(active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, handler, reader, .. } = active;
    let Handler::Proxy(proxy) = handler else { return Step::Again };
    respond::open_tunnel(proxy, ex);
    if let Some(instead) = begin_streamed(ex, reader, turn.cx) {
        *handler = instead;
        return Step::Again;
    }
    // What the client sent behind its request is meant for the server.
    proxy.relay(&reader.take_rest());
    proxy.client_by = turn.cx.now.ms + ex.here().settings.client.send_timeout.0;
    proxy.upstream_by = turn.cx.now.ms + settings(ex).read_timeout.0;
    proxy.begin_tunnel();
    Step::Again
}

/// The response has come whole.
pub(super) fn complete(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, handler, backend, .. } = active;
    let Handler::Proxy(proxy) = handler else { return Step::Again };
    let (cx, backends) = (&mut *turn.cx, &mut turn.pool.backends);
    proxy.keep_copy(ex, cx);
    if proxy.finish(ex, cx) {
        backends.park(backend, cx);
    } else {
        backends.close(backend, cx, End::Good);
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

//! Both ends at once: the request goes to the upstream, its response to the client, each as far as the other side takes
//! it.
//!
//! Invariant: no more is read than what the other side has room for.

use crate::conn::Turn;
use crate::conn::http1::read;
use crate::conn::io::{Io, Step};
use crate::conn::timers::{Deadline, Timer};
use crate::exchange::flow::Flow;
use crate::exchange::handlers::Handler;
use crate::exchange::handlers::upstream::{Fault, Proxy, settings};
use crate::exchange::{Exchange, Rx, Tx, filters, phases};
use crate::services::upstream_balance::End;
use crate::services::{SCRATCH, Services};
use crate::sys::Errno;
use crate::sys::socket::More;

pub(super) fn take(ex: &mut Exchange) -> Option<Box<Proxy>> {
    match std::mem::take(&mut ex.handler) {
        Handler::Proxy(proxy) => Some(proxy),
        other => {
            ex.handler = other;
            None
        }
    }
}

/// Serves the client, whose deadline the proxied exchange keeps beside the upstream's.
pub(super) fn served<T>(io: &mut Io<'_>, proxy: &mut Proxy, serve: impl FnOnce(&mut Io<'_>) -> T) -> T {
    let mut deadline = Deadline::new(Timer::Send, proxy.client_by);
    let outcome = serve(&mut io.by(&mut deadline));
    proxy.client_by = deadline.at();
    outcome
}

/// One read of the client's body, for the handler.
pub(super) fn take_body(io: &mut Io<'_>, ex: &mut Exchange, turn: &mut Turn<'_>) -> Step {
    let Handler::Proxy(proxy) = &ex.handler else { return Step::Again };
    let mut deadline = Deadline::new(Timer::Body, proxy.client_by);
    let step = read::take(&mut io.by(&mut deadline), ex, turn);
    if let Handler::Proxy(proxy) = &mut ex.handler {
        proxy.client_by = deadline.at();
    }
    step
}

/// When the client and when the upstream has been waited for too long, of those that are waited for.
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

/// Nothing moves: when it has lasted too long.
pub(super) fn wait(io: &mut Io<'_>, ex: &Exchange) -> Step {
    let Handler::Proxy(proxy) = &ex.handler else { return Step::Again };
    let (client, upstream) = deadlines(proxy, ex);
    if let Some(first) = client.into_iter().chain(upstream).min() {
        *io.deadline = first;
    }
    Step::Wait
}

/// Where the handler is done, the time to send the answer begins.
pub(super) fn settled(io: &mut Io<'_>, ex: &Exchange, cx: &Services) {
    if !matches!(ex.handler, Handler::Proxy(_)) {
        io.arm(Timer::Send, cx.now.ms + ex.here().settings.client.send_timeout.0);
    }
}

/// The server is of no more use: another, an error, or the end of a response that has begun.
pub(super) fn fail(io: &mut Io<'_>, ex: &mut Exchange, turn: &mut Turn<'_>, fault: Fault) -> Step {
    let resting = turn.pool.backends.close(&mut ex.backend, turn.cx, fault.end());
    next(io, ex, turn.cx, fault, resting)
}

pub(super) fn next(io: &mut Io<'_>, ex: &mut Exchange, cx: &mut Services, fault: Fault, resting: bool) -> Step {
    let Some(mut proxy) = take(ex) else { return Step::Again };
    if Proxy::has_begun(ex) {
        // No last chunk, fewer bytes than announced, or just the end: the client sees that something is missing.
        proxy.finish(ex, cx);
        ex.keep_alive = false;
        ex.tx = Tx::Done;
        if ex.rx == Rx::Body {
            ex.rx = Rx::Drain;
        }
    } else {
        match proxy.failed(ex, cx, fault, resting) {
            None => ex.handler = Handler::Proxy(proxy),
            Some(flow) => {
                drop(proxy);
                phases::settle(ex, cx, flow);
            }
        }
    }
    settled(io, ex, cx);
    Step::Again
}

/// The request goes out, the response comes in.
pub(super) fn talk(io: &mut Io<'_>, ex: &mut Exchange, turn: &mut Turn<'_>, flushed: bool) -> Step {
    let starts = matches!(&ex.handler, Handler::Proxy(proxy) if proxy.gathers_start(ex));
    let mut progress = flushed | (!starts && send(ex, turn));
    if let Handler::Proxy(proxy) = &ex.handler
        && proxy.wants_body(ex)
    {
        read::invite(ex);
        progress |= !ex.out.is_empty() && io.transport.can_write();
        match take_body(io, ex, turn) {
            Step::Wait => {}
            Step::Again => progress = true,
            step => return step,
        }
        if !matches!(ex.handler, Handler::Proxy(_)) {
            settled(io, ex, turn.cx);
            return Step::Again;
        }
        progress |= send(ex, turn);
    }
    match receive(io, ex, turn) {
        Received::Progress => progress = true,
        Received::Nothing => {}
        Received::Step(step) => return step,
    }
    match &ex.handler {
        Handler::Proxy(proxy) if proxy.is_done() && Proxy::has_begun(ex) => complete(io, ex, turn),
        Handler::Proxy(_) if progress => Step::Again,
        Handler::Proxy(_) => wait(io, ex),
        _ => Step::Again,
    }
}

/// The request, as far as the upstream takes it. True: something moved.
pub(super) fn send(ex: &mut Exchange, turn: &mut Turn<'_>) -> bool {
    let Some(backend) = turn.pool.backends.of(ex.backend) else { return false };
    let Some(mut proxy) = take(ex) else { return false };
    let mut moved = false;
    while !proxy.pending().is_empty() && backend.transport.can_write() {
        match backend.transport.send(proxy.pending(), More::No) {
            Ok(n) => {
                proxy.sent(ex, n);
                moved = true;
            }
            Err(Errno::EAGAIN) => break,
            // What it has to say about that may be there to be read.
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
    ex.handler = Handler::Proxy(proxy);
    moved
}

pub(super) enum Received {
    Progress,
    Nothing,
    /// The exchange goes on otherwise.
    Step(Step),
}

/// One read of the response, no more than the client's side has room for.
pub(super) fn receive(io: &mut Io<'_>, ex: &mut Exchange, turn: &mut Turn<'_>) -> Received {
    let Some(backend) = turn.pool.backends.of(ex.backend) else { return Received::Nothing };
    let Handler::Proxy(proxy) = &ex.handler else { return Received::Nothing };
    let most = proxy.room(ex).min(SCRATCH);
    if most == 0 || !backend.transport.can_read() {
        return Received::Nothing;
    }
    let mut bytes = std::mem::take(&mut turn.cx.scratch);
    bytes.clear();
    bytes.reserve(SCRATCH);
    let outcome = backend.transport.recv(&mut bytes, most);
    let received = match outcome {
        Err(Errno::EAGAIN) => Received::Nothing,
        outcome => arrived(io, ex, turn, outcome.map(|_| &bytes[..])),
    };
    turn.budget.moved(bytes.len());
    bytes.clear();
    turn.cx.scratch = bytes;
    received
}

/// What a read gave.
fn arrived(io: &mut Io<'_>, ex: &mut Exchange, turn: &mut Turn<'_>, bytes: Result<&[u8], Errno>) -> Received {
    let Some(mut proxy) = take(ex) else { return Received::Step(Step::Again) };
    let cx = &mut *turn.cx;
    let outcome = match bytes {
        Err(e) => {
            proxy.broken(ex, cx, "recv()", e);
            Err(Fault::Error)
        }
        Ok([]) => proxy.closed(ex, cx).map(|()| None),
        Ok(bytes) => {
            proxy.upstream_by = cx.now.ms + settings(ex).read_timeout.0;
            if ex.out.is_empty() {
                proxy.client_by = cx.now.ms + ex.here().settings.client.send_timeout.0;
            }
            proxy.received(ex, cx, bytes)
        }
    };
    let outcome = match outcome {
        Ok(Some(Flow::Respond)) => {
            phases::settle(ex, cx, Flow::Respond);
            proxy.begin_body(ex, cx)
        }
        Ok(Some(flow)) => {
            // The answer is somewhere else.
            proxy.finish(ex, cx);
            turn.pool.backends.close(&mut ex.backend, cx, End::Good);
            drop(proxy);
            phases::settle(ex, cx, flow);
            settled(io, ex, cx);
            return Received::Step(Step::Again);
        }
        Ok(None) => Ok(()),
        Err(fault) => Err(fault),
    };
    ex.handler = Handler::Proxy(proxy);
    match outcome {
        Ok(()) => Received::Progress,
        Err(fault) => Received::Step(fail(io, ex, turn, fault)),
    }
}

/// The response has come whole.
pub(super) fn complete(io: &mut Io<'_>, ex: &mut Exchange, turn: &mut Turn<'_>) -> Step {
    let Some(mut proxy) = take(ex) else { return Step::Again };
    let (cx, backends) = (&mut *turn.cx, &mut turn.pool.backends);
    if proxy.finish(ex, cx) {
        backends.park(&mut ex.backend, cx);
    } else {
        backends.close(&mut ex.backend, cx, End::Good);
    }
    if ex.tx == Tx::Send {
        filters::end(ex);
    }
    if ex.rx == Rx::Body {
        ex.rx = Rx::Drain;
    }
    settled(io, ex, cx);
    Step::Again
}

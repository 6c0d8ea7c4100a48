//! Both ends at once: the request goes to the upstream, its response to the client, each as far as the other side takes
//! it.
//!
//! Invariant: no more is read than what the other side has room for.

use super::exchange::{Ends, fail, settled, take, wait};
use crate::conn::http1::read;
use crate::conn::io::Step;
use crate::conn::upstream::pool::Backends;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::Handler;
use crate::exchange::handlers::upstream::{Fault, Proxy};
use crate::exchange::phases;
use crate::exchange::{Exchange, Rx, Tx, filters};
use crate::services::upstream_balance::End;
use crate::services::{SCRATCH, Services};
use crate::sys::Errno;
use crate::sys::socket::More;

/// The request goes out, the response comes in.
pub(in crate::conn) fn talk(
    ends: &mut Ends<'_>,
    ex: &mut Exchange,
    cx: &mut Services,
    backends: &mut Backends,
    flushed: bool,
) -> Step {
    let mut progress = flushed | send(ex, cx, backends);
    if let Handler::Proxy(proxy) = &ex.handler
        && proxy.wants_body(ex)
    {
        read::invite(ex);
        progress |= !ex.out.is_empty() && ends.io.transport.can_write();
        let mut client_by = 0;
        match read::take(&mut ends.io.by(&mut client_by), ex, cx) {
            Step::Wait => {}
            Step::Again => progress = true,
            step => return step,
        }
        let Handler::Proxy(proxy) = &mut ex.handler else { return settled(ends, ex, cx, Step::Again) };
        if client_by > 0 {
            proxy.client_by = client_by;
        }
        progress |= send(ex, cx, backends);
    }
    match receive(ends, ex, cx, backends) {
        Received::Some => progress = true,
        Received::Nothing => {}
        Received::Step(step) => return step,
    }
    match &ex.handler {
        Handler::Proxy(proxy) if proxy.is_done() && Proxy::has_begun(ex) => complete(ends, ex, cx, backends),
        Handler::Proxy(_) if progress => Step::Again,
        Handler::Proxy(_) => wait(ends, ex),
        _ => Step::Again,
    }
}

/// The request, as far as the upstream takes it. True: something moved.
fn send(ex: &mut Exchange, cx: &mut Services, backends: &mut Backends) -> bool {
    let Some(backend) = backends.of(ex.backend) else { return false };
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
        let settings = &ex.here().settings;
        let whole = proxy.pending().is_empty();
        let timeout = if whole { settings.proxy.read_timeout } else { settings.proxy.send_timeout };
        proxy.upstream_by = cx.now.ms + timeout.0;
        if whole {
            proxy.client_by = cx.now.ms + settings.client.body_timeout.0;
        }
    }
    ex.handler = Handler::Proxy(proxy);
    moved
}

enum Received {
    Some,
    Nothing,
    /// The exchange goes on otherwise.
    Step(Step),
}

/// One read of the response, no more than the client's side has room for.
fn receive(ends: &mut Ends<'_>, ex: &mut Exchange, cx: &mut Services, backends: &mut Backends) -> Received {
    let Some(backend) = backends.of(ex.backend) else { return Received::Nothing };
    let Handler::Proxy(proxy) = &ex.handler else { return Received::Nothing };
    let most = proxy.room(ex).min(SCRATCH);
    if most == 0 || !backend.transport.can_read() {
        return Received::Nothing;
    }
    let mut bytes = std::mem::take(&mut cx.scratch);
    bytes.clear();
    bytes.reserve(SCRATCH);
    let outcome = backend.transport.recv(&mut bytes, most);
    let received = match outcome {
        Err(Errno::EAGAIN) => Received::Nothing,
        outcome => Received::Step(arrived(ends, ex, cx, backends, outcome.map(|_| &bytes[..]))),
    };
    ends.io.budget.bytes = ends.io.budget.bytes.saturating_sub(bytes.len());
    bytes.clear();
    cx.scratch = bytes;
    match received {
        // Nothing but progress: the round goes on.
        Received::Step(Step::Wait) => Received::Some,
        received => received,
    }
}

/// What a read gave. `Step::Wait`: nothing to decide.
fn arrived(
    ends: &mut Ends<'_>,
    ex: &mut Exchange,
    cx: &mut Services,
    backends: &mut Backends,
    bytes: Result<&[u8], Errno>,
) -> Step {
    let Some(mut proxy) = take(ex) else { return Step::Again };
    let outcome = match bytes {
        Err(e) => {
            proxy.broken(ex, cx, "recv()", e);
            Err(Fault::Error)
        }
        Ok([]) => proxy.closed(ex, cx).map(|()| None),
        Ok(bytes) => {
            proxy.upstream_by = cx.now.ms + ex.here().settings.proxy.read_timeout.0;
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
            backends.close(&mut ex.backend, cx, End::Good);
            drop(proxy);
            phases::settle(ex, cx, flow);
            return settled(ends, ex, cx, Step::Again);
        }
        Ok(None) => Ok(()),
        Err(fault) => Err(fault),
    };
    ex.handler = Handler::Proxy(proxy);
    match outcome {
        Ok(()) => Step::Wait,
        Err(fault) => fail(ends, ex, cx, backends, fault),
    }
}

/// The response has come whole.
fn complete(ends: &mut Ends<'_>, ex: &mut Exchange, cx: &mut Services, backends: &mut Backends) -> Step {
    let Some(mut proxy) = take(ex) else { return Step::Again };
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
    settled(ends, ex, cx, Step::Again)
}

/// Another protocol: bytes go both ways until one side ends.
pub(in crate::conn) fn tunnel(
    ends: &mut Ends<'_>,
    ex: &mut Exchange,
    cx: &mut Services,
    backends: &mut Backends,
    flushed: bool,
) -> Step {
    let mut progress = flushed | send(ex, cx, backends);
    let mut ended = false;
    let waits = match &ex.handler {
        Handler::Proxy(proxy) => proxy.waits(ex),
        _ => return Step::Again,
    };
    if waits.client_read && ends.io.transport.can_read() {
        let mut bytes = std::mem::take(&mut cx.scratch);
        bytes.clear();
        bytes.reserve(SCRATCH);
        match ends.io.transport.recv(&mut bytes, SCRATCH) {
            Ok(n) if n > 0 => {
                progress = true;
                if let Handler::Proxy(proxy) = &mut ex.handler {
                    proxy.relay(&bytes);
                }
                ends.io.budget.bytes = ends.io.budget.bytes.saturating_sub(n);
            }
            Err(Errno::EAGAIN) => {}
            _ => ended = true,
        }
        bytes.clear();
        cx.scratch = bytes;
        progress |= send(ex, cx, backends);
    }
    match receive(ends, ex, cx, backends) {
        Received::Some => progress = true,
        Received::Nothing => {}
        Received::Step(step) => return step,
    }
    let Handler::Proxy(proxy) = &mut ex.handler else { return Step::Again };
    if progress {
        proxy.upstream_by = cx.now.ms + ex.config.location(ex.location).settings.proxy.read_timeout.0;
    }
    if ended || proxy.is_done() || proxy.write_closed {
        ex.keep_alive = false;
        return complete(ends, ex, cx, backends);
    }
    if progress { Step::Again } else { wait(ends, ex) }
}

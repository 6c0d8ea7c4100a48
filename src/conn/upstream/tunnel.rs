//! Another protocol (101): bytes go both ways until one side ends, whatever they mean.

use super::exchange::{Received, complete, receive, send, wait};
use crate::conn::Turn;
use crate::conn::io::{Io, Step};
use crate::exchange::Exchange;
use crate::exchange::handlers::Handler;
use crate::services::SCRATCH;
use crate::sys::Errno;

pub(super) fn step(io: &mut Io<'_>, ex: &mut Exchange, turn: &mut Turn<'_>, flushed: bool) -> Step {
    let mut progress = flushed | send(ex, turn);
    let mut ended = false;
    let waits = match &ex.handler {
        Handler::Proxy(proxy) => proxy.waits(ex),
        _ => return Step::Again,
    };
    if waits.client_read && io.transport.can_read() {
        let mut bytes = std::mem::take(&mut turn.cx.scratch);
        bytes.clear();
        bytes.reserve(SCRATCH);
        match io.transport.recv(&mut bytes, SCRATCH) {
            Ok(n) if n > 0 => {
                progress = true;
                if let Handler::Proxy(proxy) = &mut ex.handler {
                    proxy.relay(&bytes);
                }
                turn.budget.moved(n);
            }
            Err(Errno::EAGAIN) => {}
            _ => ended = true,
        }
        bytes.clear();
        turn.cx.scratch = bytes;
        progress |= send(ex, turn);
    }
    match receive(io, ex, turn) {
        Received::Progress => progress = true,
        Received::Nothing => {}
        Received::Step(step) => return step,
    }
    let Handler::Proxy(proxy) = &mut ex.handler else { return Step::Again };
    if progress {
        proxy.upstream_by = turn.cx.now.ms + ex.config.location(ex.location).settings.proxy.read_timeout.0;
    }
    if ended || proxy.is_done() || proxy.write_closed {
        ex.keep_alive = false;
        return complete(io, ex, turn);
    }
    if progress { Step::Again } else { wait(io, ex) }
}

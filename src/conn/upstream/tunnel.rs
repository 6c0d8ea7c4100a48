//! A tunnel, after a 101 or for CONNECT: copies bytes in both directions, without interpreting them, until one side
//! closes.

use super::send_receive::{Received, complete, receive, send, wait};
use crate::config::model::Level;
use crate::conn::io::{Io, Step};
use crate::conn::{Active, Turn};
use crate::exchange::handlers::Handler;
use crate::exchange::handlers::upstream::timers::{UpstreamDeadline, UpstreamTimer};
use crate::exchange::handlers::upstream::{UpstreamPhase, settings};
use crate::services::SCRATCH;
use crate::sys::Errno;

/// If the client did not end its tunnel over HTTP/2 properly, the server gets a reset, too (RFC 9113 §8.5). Over
/// HTTP/1, a client that closes without close_notify (a closed tab, say) must not cost the server data that it has not
/// read yet.
pub fn cut(active: &mut Active, turn: &mut Turn<'_>) {
    let is_tunnel = matches!(&active.handler, Handler::Upstream(request) if request.phase == UpstreamPhase::Tunnel);
    let is_stream = active.ex.out.has_frames();
    if let Some(upstream_conn) = turn.pool.upstream_conns.of(active.upstream_conn).filter(|_| is_tunnel && is_stream) {
        upstream_conn.transport.reset();
    }
}

/// Relays what either side has sent. `flushed`: bytes went to the client in this step, which counts as activity. The
/// tunnel ends when either side closes, or after `proxy_read_timeout` without a byte either way, as nginx's does.
pub(super) fn step(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>, flushed: bool) -> Step {
    let mut progress = flushed | send(active, turn);
    let (mut ended, mut is_cut) = (false, false);
    let Handler::Upstream(request) = &mut active.handler else { return Step::Again };
    if request.waits(&active.ex).client_read && io.transport.can_read() {
        let mut bytes = std::mem::take(&mut turn.cx.scratch);
        bytes.clear();
        bytes.reserve(SCRATCH);
        match io.transport.recv(&mut bytes, SCRATCH) {
            Ok(n) if n > 0 => {
                progress = true;
                request.relay(&bytes);
                turn.budget.moved(n);
            }
            Err(Errno::EAGAIN) => {}
            Ok(_) => ended = true,
            Err(e) => {
                (ended, is_cut) = (true, true);
                // A stream of HTTP/2 ends by a reset in many clients.
                if !active.ex.out.has_frames() {
                    active.ex.report(
                        turn.cx,
                        Level::Info,
                        format_args!("recv() failed {e} while proxying upgraded connection"),
                    );
                }
            }
        }
        bytes.clear();
        turn.cx.scratch = bytes;
        if is_cut {
            cut(active, turn);
        }
        progress |= send(active, turn);
    }
    match receive(io, active, turn) {
        Received::Progress => progress = true,
        Received::Nothing => {}
        Received::Step(step) => return step,
    }
    let Active { ex, handler, .. } = active;
    let Handler::Upstream(request) = handler else { return Step::Again };
    if progress {
        let until = turn.cx.now.ms + settings(ex).read_timeout.0;
        request.upstream_deadline = UpstreamDeadline::new(UpstreamTimer::Read, until);
    }
    if ended || request.is_done() || request.write_closed {
        ex.out.end_connection();
        return complete(io, active, turn);
    }
    if progress { Step::Again } else { wait(io, active, turn.cx.now.ms) }
}

//! A response that the upstream has sent completely: the rest goes to the client from the spool.

use super::send_receive::{arm_send, break_off};
use crate::conn::io::{Io, Step};
use crate::conn::request::write::{self, Flushed};
use crate::conn::{Active, Turn};
use crate::exchange::filters;
use crate::exchange::handlers::Handler;

/// Makes all progress that is possible now.
pub fn step(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, handler, .. } = active;
    match write::flush(io, ex, turn) {
        Flushed::All | Flushed::Blocked => {}
        Flushed::Yield => return Step::Yield,
        Flushed::Gone(reason) => return Step::Close(reason),
    }
    let Handler::Spooled(spool) = handler else { return Step::Again };
    match spool.pass_on(ex, turn.cx) {
        Some(0) if !spool.is_empty() => return Step::Wait,
        Some(n) => {
            turn.budget.moved(n);
            if !spool.is_empty() {
                return Step::Again;
            }
        }
        None => spool.is_truncated = true,
    }
    let is_cut = spool.is_truncated;
    *handler = Handler::None;
    if is_cut {
        break_off(ex);
    } else if let Some(page) = filters::end(ex, turn.cx) {
        *handler = Handler::Page(page);
    }
    arm_send(io, active, turn.cx);
    Step::Again
}

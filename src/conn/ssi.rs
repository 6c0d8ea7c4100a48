//! A page with SSI commands on its connection: made as far as the client takes it, and set aside while something that it
//! includes is asked for.
//!
//! Invariant: the exchange of the connection is the innermost one; those that wait for it are inside it.

use crate::conn::http1::respond;
use crate::conn::http1::write::{self, Flushed};
use crate::conn::io::{Budget, Io, Step};
use crate::conn::{Active, Turn};
use crate::exchange::Tx;
use crate::exchange::filters::ssi::page::Progress;
use crate::exchange::filters::{self, ssi};
use crate::exchange::handlers::Handler;
use crate::services::Services;

/// Bytes that may wait for the client before no more are made.
const WAITING: u64 = 256 << 10;

/// One round of the page that is the connection's exchange, or the return from one that is complete.
pub fn step(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, handler, .. } = active;
    if ssi::include::is_over(ex, handler) {
        turn.budget.requests = turn.budget.requests.saturating_sub(1);
        ssi::include::leave(ex, handler, turn.cx);
        return again(&turn.budget);
    }
    if ex.out.pending() > WAITING {
        match write::flush(io, ex, turn) {
            Flushed::All => {}
            Flushed::Blocked => return Step::Wait,
            Flushed::Yield => return Step::Yield,
            Flushed::Gone(reason) => return Step::Close(reason),
        }
    }
    let Handler::Page(page) = handler else { return Step::Again };
    match page.advance(ex, turn.cx) {
        Progress::Made(read) => turn.budget.moved(read),
        Progress::Include(include) => {
            ssi::include::enter(ex, handler, turn.cx, include);
            respond(active, turn.cx);
        }
        Progress::Done => *handler = filters::end(ex).map_or(Handler::None, Handler::Page),
        Progress::Broken => {
            // Its end is missing, and shows.
            ex.out.keep_alive = false;
            ex.tx = Tx::Done;
            *handler = Handler::None;
        }
    }
    again(&turn.budget)
}

/// On, but no longer than a turn's share.
fn again(budget: &Budget) -> Step {
    if budget.is_used_up() {
        return Step::Yield;
    }
    Step::Again
}

/// The request that the client made, if a part of its page is under way: it is what is logged.
pub fn unwind(active: &mut Active, cx: &mut Services) {
    ssi::include::unwind(&mut active.ex, &mut active.handler, cx);
}

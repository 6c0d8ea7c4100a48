//! A page with SSI commands on its connection: made as far as the client takes it, and set aside while something that it
//! includes is asked for.
//!
//! Invariant: the exchange of the connection is the innermost one; those that wait for it are inside it.

use crate::conn::http1::write::{self, Flushed};
use crate::conn::io::{Budget, Io, Step};
use crate::conn::{Conn, State, Turn};
use crate::exchange::filters::ssi::page::Progress;
use crate::exchange::filters::{self, ssi};
use crate::exchange::handlers::Handler;
use crate::exchange::{Exchange, Tx};
use crate::services::Services;

/// Bytes that may wait for the client before no more are made.
const WAITING: u64 = 256 << 10;

/// One round of the page that is the connection's exchange, or the return from one that is complete.
pub fn step(conn: &mut Conn, turn: &mut Turn<'_>) -> Step {
    let State::Active(ex) = &mut conn.state else { return Step::Again };
    if ssi::include::is_over(ex) {
        turn.budget.requests = turn.budget.requests.saturating_sub(1);
        swap(conn, |ex| ssi::include::leave(ex, turn.cx));
        return again(&turn.budget);
    }
    if ex.out.pending() > WAITING {
        let mut io = Io { transport: &mut conn.transport, deadline: &mut conn.deadline };
        match write::flush(&mut io, ex, turn) {
            Flushed::All => {}
            Flushed::Blocked => return Step::Wait,
            Flushed::Yield => return Step::Yield,
            Flushed::Gone(reason) => return Step::Close(reason),
        }
    }
    let Handler::Page(mut page) = std::mem::take(&mut ex.handler) else { return Step::Again };
    match page.advance(ex, turn.cx) {
        Progress::Made(read) => {
            ex.handler = Handler::Page(page);
            turn.budget.moved(read);
        }
        Progress::Include(include) => {
            ex.handler = Handler::Page(page);
            swap(conn, |ex| ssi::include::enter(ex, turn.cx, include));
        }
        Progress::Done => filters::end(ex),
        Progress::Broken => {
            // Its end is missing, and shows.
            ex.keep_alive = false;
            ex.tx = Tx::Done;
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
pub fn unwind(conn: &mut Conn, cx: &mut Services) {
    if matches!(&conn.state, State::Active(ex) if ex.sub.is_some()) {
        swap(conn, |ex| ssi::include::unwind(ex, cx));
    }
}

fn swap(conn: &mut Conn, what: impl FnOnce(Box<Exchange>) -> Box<Exchange>) {
    match std::mem::replace(&mut conn.state, State::Idle) {
        State::Active(ex) => conn.state = State::Active(what(ex)),
        other => conn.state = other,
    }
}

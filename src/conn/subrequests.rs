//! Requests that a request makes of its own server: what a page includes by SSI, and the URI of auth_request. The page
//! is made as far as the client takes it, and set aside while what it includes is answered.
//!
//! Invariant: the exchange of the connection is the innermost one; those that wait for it are inside it, and their
//! pages are [`Active::pages`], the innermost last.

use crate::conn::io::{Io, Step};
use crate::conn::request::respond;
use crate::conn::request::write::{self, Flushed};
use crate::conn::{Active, Turn};
use crate::exchange::filters;
use crate::exchange::filters::ssi::include::{self, Left};
use crate::exchange::filters::ssi::page::PageProgress;
use crate::exchange::filters::ssi::state::{Include, Sink};
use crate::exchange::flow::{Phase, Then};
use crate::exchange::handlers::Handler;
use crate::exchange::{Tx, entry, phases};
use crate::services::Services;
use crate::services::overload::SCARCE_OUTPUT;

/// Bytes that may wait for the client before no more are made.
const WAITING: u64 = 256 << 10;

/// One round of the page that is the connection's exchange, or the return from one that is complete.
pub fn step(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    if is_over(active) {
        turn.budget.requests = turn.budget.requests.saturating_sub(1);
        switch(active, turn.cx);
        return again(turn);
    }
    let Active { ex, handler, pages, .. } = active;
    let most = if turn.cx.overload.is_tight() { SCARCE_OUTPUT } else { WAITING };
    if ex.out.pending() > most {
        match write::flush(io, ex, turn) {
            Flushed::All => {}
            Flushed::Blocked => return Step::Wait,
            Flushed::Yield => return Step::Yield,
            Flushed::Gone(reason) => return Step::Close(reason),
        }
    }
    if matches!(handler, Handler::Subrequest(_)) {
        switch(active, turn.cx);
        return again(turn);
    }
    let Handler::Page(page) = handler else { return Step::Again };
    match page.advance(ex, turn.cx) {
        PageProgress::Made(read) => {
            turn.cx.overload.grow(read);
            turn.budget.moved(read);
        }
        PageProgress::Include(include) => {
            pages.push(std::mem::take(handler));
            enter(active, turn.cx, include);
        }
        PageProgress::Done => *handler = filters::end(ex, turn.cx).map_or(Handler::None, Handler::Page),
        PageProgress::Broken => {
            // The client has to see that the end is missing.
            ex.out.break_off();
            ex.progress.tx = Tx::Done;
            *handler = Handler::None;
        }
    }
    again(turn)
}

/// Into the request that decides about this one (auth_request), or back from a subrequest that is over. Needs no
/// client.
pub fn switch(active: &mut Active, cx: &mut Services) {
    if is_over(active) {
        return leave(active, cx);
    }
    if let Handler::Subrequest(uri) = std::mem::take(&mut active.handler) {
        // An entry of its own, which is taken off on the way back.
        active.pages.push(Handler::None);
        enter(active, cx, Include { uri: uri.into_vec(), args: Vec::new(), stub: None, sink: Sink::Verdict });
    }
}

/// The exchange becomes that of the subrequest.
fn enter(active: &mut Active, cx: &mut Services, include: Include) {
    let Active { ex, handler, .. } = active;
    include::enter(ex, include);
    entry::include(ex, handler, cx);
    respond(active, cx);
}

/// Goes on, within the share of the turn.
fn again(turn: &mut Turn<'_>) -> Step {
    if turn.budget.is_used_up() || turn.cx.slice.is_over() {
        return Step::Yield;
    }
    Step::Again
}

/// A subrequest has been answered.
pub fn is_over(active: &Active) -> bool {
    include::is_over(&active.ex) && matches!(active.handler, Handler::None)
}

/// Returns from a subrequest to the page or request that it was made for.
fn leave(active: &mut Active, cx: &mut Services) {
    let Active { ex, handler, pages, .. } = active;
    match include::leave(ex, cx) {
        Left::Stub(page) => *handler = Handler::Page(page),
        Left::Page => *handler = pages.pop().unwrap_or_default(),
        Left::Cut => pages.clear(),
        Left::Verdict => {
            *handler = pages.pop().unwrap_or_default();
            phases::resume(ex, handler, cx, Then::Phase(Phase::Access));
            respond(active, cx);
        }
    }
}

/// Makes the exchange that of the client's own request again, whatever subrequest is under way: that is the one that is
/// logged.
pub fn unwind(active: &mut Active, cx: &mut Services) {
    let Active { ex, handler, pages, .. } = active;
    include::unwind(ex, cx);
    if let Some(page) = pages.drain(..).next() {
        *handler = page;
    }
}

//! The end of a request whose response is out: it is counted and logged. What follows is the protocol's: the next
//! request of a connection ([`crate::conn::http1::keep_alive`]), or the end of a stream ([`crate::conn::http2::end`]).
//! A request that ends otherwise is counted and logged in [`crate::conn::close`].

use super::RequestReader;
use crate::conn::{Active, Conn, ConnState};
use crate::exchange::{Exchange, access_log, counters};
use crate::services::Services;

/// Whether the request counts for keepalive_glitches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Glitch {
    /// It was well-formed.
    No,
    /// It broke a rule, or its framing took more bytes than its content.
    Yes,
}

/// Counts and logs the request.
pub fn count_and_log(conn: &mut Conn, cx: &mut Services) -> Glitch {
    let ConnState::Active(active) = &mut conn.state else { return Glitch::No };
    let Active { ex, reader, .. } = &mut **active;
    ex.log.is_cut |= ex.out.is_cut();
    over(ex, cx);
    conn.served.add(1);
    if is_glitch(ex, reader) { Glitch::Yes } else { Glitch::No }
}

/// The request is over, however it ended: it is counted and logged, and its connection reads again.
pub fn over(ex: &mut Exchange, cx: &mut Services) {
    counters::close(ex, cx);
    access_log::write(ex, cx);
    cx.stats.writing = cx.stats.writing.saturating_sub(1);
    cx.stats.reading += 1;
}

/// The request broke a rule, which costs a client less than the server.
fn is_glitch(ex: &Exchange, reader: &RequestReader) -> bool {
    let is_own = ex.log.upstream.is_none();
    is_own && matches!(ex.response.status.0, 400 | 405 | 408 | 411 | 413..=417 | 421 | 431 | 501)
        || reader.was_mostly_framing
}

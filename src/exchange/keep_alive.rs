//! Whether a connection outlives a response. Decided once a response, before it is written; what a body that nobody
//! reads may still cost is part of it.

use super::response::Body;
use super::{Exchange, Rx};
use crate::config::directives::client::KeepaliveDisable;
use crate::http::h1::framing::Framing;
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::services::Services;

/// The body of a refused request is read up to this size to keep the connection; a longer one ends it.
pub const DRAIN: u64 = 1 << 20;

/// Whether the connection outlives this response, and what becomes of a body nobody read.
pub fn decide(ex: &mut Exchange, cx: &mut Services) {
    let client = &ex.here().settings.client;
    ex.keep_alive = ex.head.keep_alive
        && !cx.quitting
        && client.keepalive_timeout.0 > 0
        && ex.client.requests < client.keepalive_requests
        && cx.now.ms.saturating_sub(ex.client.accepted) < client.keepalive_time.0
        && !closes(ex.response.status)
        && !is_disabled_for(ex, client.keepalive_disable);
    // A response that is made while the body still comes does not end it.
    let duplex = matches!(ex.response.body, Body::Stream { .. });
    if ex.rx == Rx::Body && !duplex {
        ex.rx = Rx::Drain;
    }
    if matches!(ex.rx, Rx::Drain | Rx::Body) {
        let failed = ex.response.status.0 >= 400 || ex.error_page.is_some();
        let short = match ex.head.framing {
            Framing::Length(_) if failed => ex.decoder.remaining().is_some_and(|left| left <= DRAIN),
            _ => true,
        };
        // A client that waits for 100 Continue may or may not send its body now: only closing is safe.
        ex.keep_alive &= short && !ex.expects_continue;
    }
}

/// keepalive_disable: Internet Explorer before 7 after a POST, and Safari on the Mac.
fn is_disabled_for(ex: &Exchange, disabled: KeepaliveDisable) -> bool {
    let Some(agent) = ex.header(HeaderId::UserAgent) else { return false };
    let has = |text: &[u8]| memchr::memmem::find(agent, text).is_some();
    disabled.msie6 && ex.method == Method::Post && old_msie(agent)
        || disabled.safari && has(b"Mac OS X") && has(b"Safari/") && !has(b"Chrome")
}

/// `MSIE 4.` to `MSIE 6.`, but not a 6 that says it has the second service pack (nginx's rule).
pub fn old_msie(agent: &[u8]) -> bool {
    let Some(at) = memchr::memmem::find(agent, b"MSIE ") else { return false };
    if memchr::memmem::find(agent, b"Opera").is_some() {
        return false;
    }
    match agent.get(at + 5..at + 7) {
        Some([b'4' | b'5', b'.']) => true,
        Some(b"6.") => memchr::memmem::find(agent, b"SV1").is_none(),
        _ => false,
    }
}

/// Statuses after which what the client sends next cannot be trusted (nginx's list).
pub fn closes(status: Status) -> bool {
    matches!(status.0, 400 | 408 | 413 | 414 | 431 | 494..=497 | 500 | 501 | 505)
}

//! Upgrade of a passed request (RFC 9110 §7.8): which protocols its upstream is asked for, and whether a 101 switches
//! to one of them.
//!
//! Invariant: what becomes a tunnel carries no requests that this server would have had to check: a protocol that does
//! so (HTTP/2, TLS with HTTP inside) is asked for only where the configuration names it itself, not where it copies
//! what a client wrote.

use crate::exchange::Exchange;
use crate::http::field_syntax::list;
use crate::http::header::HeaderId;
use crate::http::version::Version;
use std::borrow::Cow;

/// Whether the client asked for another protocol (RFC 9110 §7.8: never with HTTP/1.0). A request for one that only the
/// configuration writes must not make a tunnel of a client's ordinary connection: what it pipelined would reach the
/// upstream as bytes.
pub(super) fn is_wanted(ex: &Exchange) -> bool {
    let head = &ex.request.head;
    head.version != Version::Http10 && head.get(HeaderId::Upgrade).is_some() && ex.nesting.subrequest.is_none()
}

/// The protocols that a client asks a gateway's application for.
pub(super) fn of_client(ex: &Exchange) -> Vec<u8> {
    let values = ex.request.head.all(HeaderId::Upgrade).map(|field| field.value.of(ex.buf()));
    let mut all = Vec::new();
    values.for_each(|value| add(&without_requests(value), &mut all));
    all
}

/// A value of Upgrade without the protocols that carry requests.
pub(super) fn without_requests(value: &[u8]) -> Cow<'_, [u8]> {
    if !list(value).any(carries_requests) {
        return Cow::Borrowed(value);
    }
    let mut rest = Vec::new();
    list(value).filter(|protocol| !carries_requests(protocol)).for_each(|protocol| add(protocol, &mut rest));
    Cow::Owned(rest)
}

/// Adds to a list of protocols.
pub(super) fn add(value: &[u8], all: &mut Vec<u8>) {
    if !all.is_empty() && !value.is_empty() {
        all.extend_from_slice(b", ");
    }
    all.extend_from_slice(value);
}

/// The first protocol of a 101 that was not requested. A 101 that names none counts as what was requested.
pub(super) fn unasked<'a>(answer: impl Iterator<Item = &'a [u8]>, asked: &[u8]) -> Option<&'a [u8]> {
    let is_asked = |protocol: &[u8]| list(asked).any(|one| name(one).eq_ignore_ascii_case(name(protocol)));
    answer.flat_map(list).find(|protocol| !protocol.is_empty() && !is_asked(protocol))
}

fn carries_requests(protocol: &[u8]) -> bool {
    let carriers: [&[u8]; 4] = [b"h2c", b"h2", b"HTTP", b"TLS"];
    carriers.iter().any(|carrier| name(protocol).eq_ignore_ascii_case(carrier))
}

/// A protocol's name, without its version.
fn name(protocol: &[u8]) -> &[u8] {
    protocol.split(|b| *b == b'/').next().unwrap_or_default().trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_that_carry_requests_are_left_out_of_what_a_client_asks_for() {
        for (value, expected) in [
            ("websocket", "websocket"),
            ("h2c", ""),
            ("H2C", ""),
            ("TLS/1.0, HTTP/1.1", ""),
            ("h2c, websocket", "websocket"),
            ("SPDY/3.1,  h2c, tcp", "SPDY/3.1, tcp"),
            ("h2cx", "h2cx"),
            ("h2c /1", ""),
            ("", ""),
        ] {
            assert_eq!(without_requests(value.as_bytes()), expected.as_bytes(), "{value}");
        }
    }

    #[test]
    fn a_switch_is_to_a_protocol_that_was_asked_for() {
        for (answer, asked, expected) in [
            (&["websocket"][..], "websocket", None),
            (&["WebSocket"], "x, websocket", None),
            (&[], "websocket", None),
            (&["SPDY/3.1"], "SPDY/3.1", None),
            (&["h2c"], "websocket", Some("h2c")),
            (&["websocket, h2c"], "websocket", Some("h2c")),
            (&["websocket", "h2c"], "websocket", Some("h2c")),
        ] {
            let found = unasked(answer.iter().map(|value| value.as_bytes()), asked.as_bytes());
            assert_eq!(found, expected.map(str::as_bytes), "{answer:?} for {asked}");
        }
    }
}

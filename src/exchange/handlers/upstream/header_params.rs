//! Header fields of the client as parameters of CGI, FastCGI, SCGI and uwsgi: `HTTP_…`.
//!
//! Invariant: `Proxy` is never among them (programs would take `HTTP_PROXY` for a setting of their own), and no
//! parameter occurs twice because a client wrote `_` for `-`.

use crate::exchange::Exchange;

/// Names and values, in the order in which they are sent.
pub(super) type Params = Vec<(Vec<u8>, Vec<u8>)>;

/// The prefix of parameters that are header fields of the client.
pub(super) const HEADER: &[u8] = b"HTTP_";

/// The client's fields as `HTTP_…`; `is_set` tells names that have another value.
pub(super) fn client_lines(ex: &Exchange, is_set: impl Fn(&[u8]) -> bool) -> Params {
    let mut lines = Params::with_capacity(ex.request.head.fields.len());
    let buf = ex.buf();
    let mut name = HEADER.to_vec();
    for field in &ex.request.head.fields {
        let written = field.name.of(buf);
        name.truncate(HEADER.len());
        name.extend(written.iter().map(|b| if *b == b'-' { b'_' } else { b.to_ascii_uppercase() }));
        if name == b"HTTP_PROXY" || is_set(&name) {
            continue;
        }
        let twin = |other: &crate::http::h1::head::Field| {
            let other = other.name.of(buf);
            other.len() == written.len() && !other.contains(&b'_') && same_param(other, written)
        };
        if written.contains(&b'_') && ex.request.head.fields.iter().any(twin) {
            continue;
        }
        let value = field.value.of(buf);
        match lines.iter_mut().find(|(other, _)| *other == name) {
            // Several lines are one list (nginx); cookies have their own separator.
            Some((_, list)) => {
                list.extend_from_slice(if name == b"HTTP_COOKIE" { b"; " } else { b", " });
                list.extend_from_slice(value);
            }
            None => lines.push((name.clone(), value.to_vec())),
        }
    }
    lines
}

fn same_param(a: &[u8], b: &[u8]) -> bool {
    let form = |b: &u8| if *b == b'-' { b'_' } else { b.to_ascii_lowercase() };
    a.iter().map(form).eq(b.iter().map(form))
}

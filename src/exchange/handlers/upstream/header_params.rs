//! The client's header fields as parameters of CGI, FastCGI, SCGI and uwsgi: `HTTP_…`.
//!
//! Invariants: `Proxy` is never among them (programs would take `HTTP_PROXY` for their own setting), and no parameter
//! occurs twice because a client wrote `_` instead of `-`.

use crate::exchange::Exchange;
use crate::http::h1::field::Field;

/// The prefix of parameters for client header fields.
pub(super) const HEADER: &[u8] = b"HTTP_";

/// Calls `put` with the client's fields as `HTTP_…`, in the order in which they are sent, except those with `is_set`,
/// which get their value elsewhere.
pub(super) fn client_lines(ex: &Exchange, is_set: impl Fn(&[u8]) -> bool, mut put: impl FnMut(&[u8], &[u8])) {
    let (buf, fields) = (ex.buf(), &ex.request.head.fields);
    let same = |a: &Field, b: &Field| a.name.len == b.name.len && same_param(a.name.of(buf), b.name.of(buf));
    let (mut name, mut joined) = (Vec::with_capacity(64), Vec::new());
    for (at, field) in fields.iter().enumerate() {
        let written = field.name.of(buf);
        name.clear();
        name.extend_from_slice(HEADER);
        name.extend(written.iter().map(|b| if *b == b'-' { b'_' } else { b.to_ascii_uppercase() }));
        if name == b"HTTP_PROXY" || is_set(&name) {
            continue;
        }
        // Of two spellings of a name, the one without `_` wins.
        let has_underscore = |field: &Field| field.name.of(buf).contains(&b'_');
        let (before, after) = (&fields[..at], &fields[at + 1..]);
        let counts = |other: &&Field| same(other, field) && (has_underscore(other) == has_underscore(field));
        let is_twin = |other: &Field| same(other, field) && !has_underscore(other);
        if has_underscore(field) && fields.iter().any(is_twin) || before.iter().any(|other| counts(&other)) {
            continue;
        }
        let mut others = after.iter().filter(counts).peekable();
        if others.peek().is_none() {
            put(&name, field.value.of(buf));
            continue;
        }
        joined.clear();
        joined.extend_from_slice(field.value.of(buf));
        for other in others {
            // Multiple lines are joined to one list (nginx); cookies have their own separator.
            joined.extend_from_slice(if name == b"HTTP_COOKIE" { b"; " } else { b", " });
            joined.extend_from_slice(other.value.of(buf));
        }
        put(&name, &joined);
    }
}

fn same_param(a: &[u8], b: &[u8]) -> bool {
    let form = |b: &u8| if *b == b'-' { b'_' } else { b.to_ascii_lowercase() };
    a.iter().map(form).eq(b.iter().map(form))
}

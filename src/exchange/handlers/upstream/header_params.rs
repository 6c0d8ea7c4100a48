//! The client's header fields as parameters of CGI, FastCGI, SCGI and uwsgi: `HTTP_…`.
//!
//! Invariants: `Proxy` is never among them (programs would take `HTTP_PROXY` for their own setting), and no parameter
//! occurs twice because a client wrote `_` instead of `-`.

use crate::config::template::Builtin;
use crate::exchange::{Exchange, variables};
use crate::http::field::Field;
use crate::http::host;
use crate::services::Services;
use crate::util::decimal;
use std::ops::Range;

/// The prefix of parameters for client header fields.
pub(super) const HEADER: &[u8] = b"HTTP_";

/// Appends the host that the request is for, with its port: that of its target, not what a Host line says beside it
/// (RFC 9112 §3.2.2).
pub(super) fn push_target_host(ex: &mut Exchange, cx: &mut Services, value: &mut Vec<u8>) {
    let port = host::split(ex.request.head.host.of(ex.buf())).1;
    variables::append_builtins(&[Builtin::Host], ex, cx, value);
    if let Some(port) = port {
        value.push(b':');
        decimal::push(u64::from(port), 0, value);
    }
}

/// Calls `put` with the client's fields as `HTTP_…`, in the order in which they are sent, except those with `is_set`,
/// which get their value elsewhere.
pub(super) fn client_lines(ex: &Exchange, is_set: impl Fn(&[u8]) -> bool, put: impl FnMut(&[u8], &[u8])) {
    lines(ex.buf(), &ex.request.head.fields, is_set, put);
}

fn lines(buf: &[u8], fields: &[Field], is_set: impl Fn(&[u8]) -> bool, mut put: impl FnMut(&[u8], &[u8])) {
    let named = params(buf, fields);
    // Sorted, so that a head of many fields does not take time with the square of their number.
    let mut groups: Vec<&[Param]> = named.sorted.chunk_by(|a, b| named.name(a) == named.name(b)).collect();
    for group in &mut groups {
        // Of two spellings of a name, the one without `_` wins.
        let end = group.iter().position(|param| param.has_underscore).filter(|end| *end > 0);
        *group = group.get(..end.unwrap_or(group.len())).unwrap_or_default();
    }
    groups.sort_unstable_by_key(|group| group.first().map(|param| param.field));
    let mut joined = Vec::new();
    for group in groups {
        let mut values = group.iter().filter_map(|param| fields.get(param.field)).map(|field| field.value.of(buf));
        let (Some(first), Some(value)) = (group.first(), values.next()) else { continue };
        let name = named.name(first);
        if name == b"HTTP_PROXY" || is_set(name) {
            continue;
        }
        if group.len() == 1 {
            put(name, value);
            continue;
        }
        joined.clear();
        joined.extend_from_slice(value);
        for value in values {
            // Multiple lines are joined to one list (nginx); cookies have their own separator.
            joined.extend_from_slice(if name == b"HTTP_COOKIE" { b"; " } else { b", " });
            joined.extend_from_slice(value);
        }
        put(name, &joined);
    }
}

/// The fields by the names of their parameters: of each name, those without `_` first, in the order in which they are
/// sent.
struct Params {
    names: Vec<u8>,
    sorted: Vec<Param>,
}

struct Param {
    name: Range<usize>,
    has_underscore: bool,
    field: usize,
}

impl Params {
    fn name(&self, param: &Param) -> &[u8] {
        self.names.get(param.name.clone()).unwrap_or_default()
    }
}

fn params(buf: &[u8], fields: &[Field]) -> Params {
    let (mut names, mut sorted) = (Vec::with_capacity(32 * fields.len()), Vec::with_capacity(fields.len()));
    for (field, written) in fields.iter().map(|field| field.name.of(buf)).enumerate() {
        let start = names.len();
        names.extend_from_slice(HEADER);
        names.extend(written.iter().map(|b| if *b == b'-' { b'_' } else { b.to_ascii_uppercase() }));
        sorted.push(Param { name: start..names.len(), has_underscore: written.contains(&b'_'), field });
    }
    let key = |param: &Param| (names.get(param.name.clone()), param.has_underscore, param.field);
    sorted.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
    Params { names, sorted }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::head::{HeadParser, HeadProgress};
    use crate::http::header::UnusualNames;
    use crate::http::request_head::HeadLimits;

    fn shown(text: &str) -> Vec<String> {
        let buf = format!("GET / HTTP/1.1\r\nHost: a\r\n{text}\r\n").into_bytes();
        let limits = HeadLimits { unusual: UnusualNames { underscores: true, all: true }, ..HeadLimits::default() };
        let mut parser = HeadParser::default();
        assert_eq!(parser.parse(&buf, &limits), Ok(HeadProgress::Complete), "{text}");
        let mut out = Vec::new();
        lines(
            &buf,
            &parser.head.fields,
            |name| name == b"HTTP_SET" || name == b"HTTP_HOST",
            |name, value| {
                out.push(format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)));
            },
        );
        out
    }

    #[test]
    fn fields_become_parameters_in_their_order() {
        for (text, expected) in [
            ("", &[][..]),
            ("B: 1\r\nA: 2\r\n", &["HTTP_B=1", "HTTP_A=2"]),
            ("X-A: 1\r\nB: 2\r\nx-a: 3\r\n", &["HTTP_X_A=1, 3", "HTTP_B=2"]),
            ("Cookie: a=1\r\nCookie: b=2\r\n", &["HTTP_COOKIE=a=1; b=2"]),
            ("Proxy: x\r\npRoXy: y\r\nSet: 1\r\nC: 2\r\n", &["HTTP_C=2"]),
            ("X_A: 1\r\nB: 2\r\nX-A: 3\r\nX_A: 4\r\n", &["HTTP_B=2", "HTTP_X_A=3"]),
            ("X_A: 1\r\nB: 2\r\nx_a: 3\r\n", &["HTTP_X_A=1, 3", "HTTP_B=2"]),
            ("A_B-C: 1\r\nA-B_C: 2\r\n", &["HTTP_A_B_C=1, 2"]),
            ("A_B-C: 1\r\nA-B-C: 2\r\nA-B-C: 3\r\n", &["HTTP_A_B_C=2, 3"]),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    /// As the parameters were found before their names were sorted: each field was compared with all others.
    fn compared_with_all(text: &str) -> Vec<String> {
        let fields: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once(": ")).collect();
        let form = |name: &str| name.to_ascii_uppercase().replace('-', "_");
        let (mut out, mut seen) = (Vec::new(), Vec::new());
        for (name, _) in &fields {
            let same = fields.iter().filter(|(other, _)| form(other) == form(name));
            let (plain, other): (Vec<&(&str, &str)>, Vec<_>) = same.partition(|(other, _)| !other.contains('_'));
            let group = if plain.is_empty() { other } else { plain };
            if name.contains('_') != group[0].0.contains('_') || seen.contains(&form(name)) {
                continue;
            }
            seen.push(form(name));
            let values: Vec<&str> = group.iter().map(|(_, value)| *value).collect();
            out.push(format!("HTTP_{}={}", form(name), values.join(", ")));
        }
        out
    }

    #[test]
    fn many_fields_become_the_same_parameters_as_when_each_is_compared_with_all() {
        let mut state = 7u32;
        let mut next = |n: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % n
        };
        for round in 0..300 {
            let name = |next: &mut dyn FnMut(u32) -> u32| -> String {
                (0..1 + next(3)).map(|_| ["a", "B", "-", "_", "b"][next(5) as usize]).collect()
            };
            let fields = 1 + round % 40;
            let text: String = (0..fields).map(|n| format!("x{}: {n}\r\n", name(&mut next))).collect();
            assert_eq!(shown(&text), compared_with_all(&text), "{text}");
        }
    }
}

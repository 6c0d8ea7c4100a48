//! A field line (RFC 9112 §5), as positions in the bytes of its head.

use crate::http::field::Field;
use crate::http::field_syntax::{colon, text_len, token_len};
use crate::http::header::HeaderId;
use crate::util::span::Span;

/// Appends a line; `value` appends the part after the colon.
pub(in crate::http) fn append(name: &[u8], out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    value(out);
    out.extend_from_slice(b"\r\n");
}

/// The lines of `lines`, each with its line end, as [`append`] wrote them.
pub(in crate::http) fn each(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines.split_inclusive(|byte| *byte == b'\n')
}

/// Name and value of one of these lines. None: it is none.
pub(in crate::http) fn parts(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    Some((&line[..colon], line[colon + 1..].trim_ascii()))
}

/// The line between `start` and `next`, without the CR LF or LF that ends it there.
pub(in crate::http) fn line(buf: &[u8], start: usize, next: usize) -> Span {
    let line = Span::new(start, next - 1);
    match line.of(buf) {
        [.., b'\r'] => Span { len: line.len - 1, ..line },
        _ => line,
    }
}

/// A field line as nearly all are, and where the next line begins.
pub(in crate::http) struct Plain {
    pub field: Field,
    /// Offset of the next line in the buffer.
    pub next: usize,
}

/// Takes the line at `start` apart in one pass. None: it is not complete, or has something that is to be looked at more
/// closely (a tab, a blank at its end, what is no field).
#[inline]
pub(in crate::http) fn plain(buf: &[u8], start: usize) -> Option<Plain> {
    let rest = buf.get(start..)?;
    // The empty line at the end: what follows it is no name.
    if rest.first() == Some(&b'\r') {
        return None;
    }
    let name = colon(rest)?;
    let id = HeaderId::of(&rest[..name]);
    // A known name is a token.
    if id == HeaderId::Other && (name == 0 || token_len(&rest[..name]) < name) {
        return None;
    }
    let mut value = name + 1;
    while rest.get(value) == Some(&b' ') {
        value += 1;
    }
    let end = value + text_len(rest.get(value..)?);
    if rest.get(end..end + 2)? != b"\r\n" || end > value && rest[end - 1] == b' ' {
        return None;
    }
    let span = |from: usize, to: usize| Span::new(start + from, start + to);
    Some(Plain { field: Field { id, name: span(0, name), value: span(value, end) }, next: start + end + 2 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::field_syntax::split_field;

    #[test]
    fn a_plain_line_is_taken_apart_as_any_other_is() {
        let table = [
            ("Host: a", true),
            ("Content-Type:text/html; charset=\"\u{e4}\"", true),
            ("X_1.a~b:   a  b\u{ff}", true),
            ("Empty:", true),
            ("Blanks:    ", true),
            ("Last-Modified-Since-Yesterday: Mon, 01 Jan 2024 00:00:00 GMT", true),
            ("X-Name-Name-Name-Name-Name-Name-Name-Ab: a", true),
            // Its colon is not looked for that far.
            ("X-Name-Name-Name-Name-Name-Name-Name-Abc: a", false),
            ("Tab:\ta", false),
            ("Tab: a\tb", false),
            ("Behind: a ", false),
            ("Space : a", false),
            (": a", false),
            (" Folded: a", false),
            ("No colon", false),
            ("Control: a\u{1}", false),
            ("Return: a\rb", false),
            ("Del: a\u{7f}", false),
        ];
        for (line, is_plain) in table {
            for before in ["", "x\r\n"] {
                let text = [before, line, "\r\nN: n\r\n\r\n"].concat();
                let (buf, start) = (text.as_bytes(), before.len());
                let found = plain(buf, start);
                assert_eq!(found.is_some(), is_plain, "{line}");
                let Some(Plain { field: Field { id, name, value }, next }) = found else { continue };
                assert_eq!(id, HeaderId::of(name.of(buf)), "{line}");
                let (name_len, range) = split_field(line.as_bytes()).expect("a field");
                assert_eq!(name, Span::new(start, start + name_len), "{line}");
                assert_eq!(value, Span::new(start + range.start, start + range.end), "{line}");
                assert_eq!(next, start + line.len() + 2, "{line}");
                // Not before all of it is there.
                assert!((start..next).all(|end| plain(&buf[..end], start).is_none()), "{line}");
            }
            // By LF alone it is for the closer look.
            assert!(plain([line, "\n\r\n"].concat().as_bytes(), 0).is_none(), "{line}");
        }
    }
}

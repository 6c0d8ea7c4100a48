//! Content-Disposition: of a form's part (RFC 7578 §4.2) and of a raw upload (RFC 6266).
//!
//! What comes out is the client's word, decoded once: not yet a safe file name. It may hold slashes, dots and
//! controls; the code that stores it judges it.

use super::escape::unescape;
use super::field_syntax::{is_token_byte, token_len, trim_ows};

/// A Content-Disposition value.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Disposition {
    /// `form-data`, `attachment`… in lower case.
    pub kind: Vec<u8>,
    /// The `name` parameter: the form field that the part belongs to.
    pub name: Option<Vec<u8>>,
    /// From `filename*` if that is well-formed, else from `filename`.
    pub filename: Option<Vec<u8>>,
}

/// Parses a value. `None` if it is malformed or says a parameter twice.
pub fn parse(value: &[u8]) -> Option<Disposition> {
    let kind_len = token_len(value);
    if kind_len == 0 {
        return None;
    }
    let mut found = Disposition { kind: value[..kind_len].to_ascii_lowercase(), ..Disposition::default() };
    let mut extended: Option<Vec<u8>> = None;
    for parameter in parameters(&value[kind_len..]) {
        let (name, value) = parameter?;
        let slot = match name.to_ascii_lowercase().as_slice() {
            b"name" => &mut found.name,
            b"filename" => &mut found.filename,
            b"filename*" => &mut extended,
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return None;
        }
    }
    found.name = found.name.map(decode_browser_escapes);
    let plain = found.filename.map(decode_browser_escapes);
    found.filename = match extended.map(|value| decode_extended(&value)) {
        Some(Some(name)) => Some(name),
        // A file whose name is unreadable is no plain field.
        Some(None) => Some(plain?),
        None => plain,
    };
    Some(found)
}

/// The parameters after a type: `; name=value; name="value"`. An item is `None` where the text is malformed, and then
/// the last. Values are unquoted.
pub fn parameters(text: &[u8]) -> Parameters<'_> {
    Parameters { rest: text }
}

/// Iterator of [`parameters`].
pub struct Parameters<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Option<(&'a [u8], Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.rest = trim_ows(self.rest);
            match self.rest {
                [] => return None,
                [b';', tail @ ..] => self.rest = trim_ows(tail),
                _ => return self.fail(),
            }
            // Empty parameters and a final semicolon are common and harmless.
            if !matches!(self.rest, [] | [b';', ..]) {
                break;
            }
        }
        let len = token_len(self.rest);
        let (name, tail) = self.rest.split_at(len);
        let Some(tail) = trim_ows(tail).strip_prefix(b"=").map(trim_ows) else { return self.fail() };
        if name.is_empty() {
            return self.fail();
        }
        let (value, tail) = match tail.strip_prefix(b"\"") {
            Some(inside) => match unquote(inside) {
                Some((value, used)) => (value, &inside[used..]),
                None => return self.fail(),
            },
            // Unquoted: up to the semicolon, so that `boundary=a/b=c` and bare file names of old clients pass.
            None => {
                let end = memchr::memchr(b';', tail).unwrap_or(tail.len());
                let value = trim_ows(&tail[..end]);
                if value.is_empty() || value.iter().any(|b| matches!(b, b'"' | b' ' | b'\t' | b',')) {
                    return self.fail();
                }
                (value.to_vec(), &tail[end..])
            }
        };
        self.rest = tail;
        Some(Some((name, value)))
    }
}

impl<'a> Parameters<'a> {
    fn fail(&mut self) -> Option<Option<(&'a [u8], Vec<u8>)>> {
        self.rest = &[];
        Some(None)
    }
}

/// The value of a quoted string and the bytes used, closing quote included. Browsers do not escape backslashes
/// (`C:\x.txt`), so a backslash counts as an escape only before a quote, or before a backslash that a quote follows. A
/// name that ends in a bare backslash (`"a\"`) closes there when no other quote would.
fn unquote(inside: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut value = Vec::with_capacity(inside.len());
    let mut at = 0;
    let mut fallback = None;
    while let Some(&b) = inside.get(at) {
        match (b, inside.get(at + 1), inside.get(at + 2)) {
            (b'"', ..) => return Some((value, at + 1)),
            (b'\\', Some(b'"'), _) => {
                if fallback.is_none() {
                    let mut closed = value.clone();
                    closed.push(b'\\');
                    fallback = Some((closed, at + 2));
                }
                value.push(b'"');
                at += 2;
            }
            (b'\\', Some(b'\\'), Some(b'"')) => {
                value.push(b'\\');
                at += 2;
            }
            _ => {
                value.push(b);
                at += 1;
            }
        }
    }
    fallback.filter(|(_, used)| matches!(trim_ows(&inside[*used..]), [] | [b';', ..]))
}

/// What browsers escape in form data, and only that (WHATWG HTML, multipart/form-data encoding): a quote, CR and LF.
fn decode_browser_escapes(name: Vec<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name.as_slice();
    loop {
        let (byte, used) = match rest {
            [] => return out,
            [b'%', b'2', b'2', ..] => (b'"', 3),
            [b'%', b'0', b'D' | b'd', ..] => (b'\r', 3),
            [b'%', b'0', b'A' | b'a', ..] => (b'\n', 3),
            [b, ..] => (*b, 1),
        };
        out.push(byte);
        rest = &rest[used..];
    }
}

/// `charset'language'%xx…` (RFC 8187 §3.2). Always UTF-8 afterwards; `None` if it is malformed.
fn decode_extended(value: &[u8]) -> Option<Vec<u8>> {
    let mut parts = value.splitn(3, |b| *b == b'\'');
    let (charset, _language, text) = (parts.next()?, parts.next()?, parts.next()?);
    let mut rest = text;
    while let [b, tail @ ..] = rest {
        rest = match (b, tail) {
            (b'%', [h, l, tail @ ..]) if h.is_ascii_hexdigit() && l.is_ascii_hexdigit() => tail,
            (b'%', _) => return None,
            _ if is_token_byte(*b) => tail,
            _ => return None,
        };
    }
    let mut bytes = Vec::with_capacity(text.len());
    unescape(text, &mut bytes);
    if charset.eq_ignore_ascii_case(b"utf-8") {
        std::str::from_utf8(&bytes).is_ok().then_some(bytes)
    } else if charset.eq_ignore_ascii_case(b"iso-8859-1") {
        Some(bytes.iter().map(|b| char::from(*b)).collect::<String>().into_bytes())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_file_names_are_read_as_clients_write_them() {
        let table: [(&str, &str, Option<&str>, Option<&str>); 24] = [
            ("form-data; name=\"f\"", "form-data", Some("f"), None),
            ("Form-Data; NAME=f; FileName=x.txt", "form-data", Some("f"), Some("x.txt")),
            ("form-data; name=\"f\"; filename=\"a b;c.txt\"", "form-data", Some("f"), Some("a b;c.txt")),
            ("form-data;name=f;filename=\"\"", "form-data", Some("f"), Some("")),
            ("attachment; filename=\"C:\\dir\\x.txt\"", "attachment", None, Some("C:\\dir\\x.txt")),
            ("attachment; filename=\"a\\\"b.txt\"", "attachment", None, Some("a\"b.txt")),
            ("attachment; filename=\"a\\\\\"", "attachment", None, Some("a\\")),
            ("attachment; filename=\"a\\\"", "attachment", None, Some("a\\")),
            ("attachment; filename=\"a\\\"; x=y", "attachment", None, Some("a\\")),
            ("attachment; filename=\"%22a%22%0d%0A%41\"", "attachment", None, Some("\"a\"\r\n%41")),
            ("attachment; filename=\"%2522\"", "attachment", None, Some("%2522")),
            ("attachment; filename=x; filename*=UTF-8''%e2%82%ac.txt", "attachment", None, Some("\u{20ac}.txt")),
            ("attachment; filename*=utf-8'en'a%20b; filename=x", "attachment", None, Some("a b")),
            ("attachment; filename*=ISO-8859-1''%e9", "attachment", None, Some("\u{e9}")),
            ("attachment; filename=x; filename*=UTF-8''%ff", "attachment", None, Some("x")),
            ("attachment; filename=x; filename*=UTF-8''%4", "attachment", None, Some("x")),
            ("attachment; filename=x; filename*=UTF-8''a%4g", "attachment", None, Some("x")),
            ("attachment; filename=x; filename*=UTF-8''a%g4", "attachment", None, Some("x")),
            ("attachment; filename=x; filename*=koi8''a", "attachment", None, Some("x")),
            ("attachment; filename=x; filename*=junk", "attachment", None, Some("x")),
            ("attachment", "attachment", None, None),
            ("attachment;", "attachment", None, None),
            ("inline ; ; filename = \"x\" ;", "inline", None, Some("x")),
            ("form-data; name=\"\u{e9}\"", "form-data", Some("\u{e9}"), None),
        ];
        for (value, kind, name, filename) in table {
            let got = parse(value.as_bytes()).expect(value);
            let bytes = |text: Option<&str>| text.map(|t| t.as_bytes().to_vec());
            assert_eq!(got, Disposition { kind: kind.into(), name: bytes(name), filename: bytes(filename) }, "{value}");
        }
    }

    #[test]
    fn a_malformed_value_or_a_repeated_parameter_is_none() {
        let table = [
            "",
            ";",
            "; name=x",
            "form-data name=x",
            "form-data; name",
            "form-data; name=",
            "form-data; =x",
            "form-data; name=\"x",
            "form-data; name=\"x\" y",
            "form-data; name=\"x\"y=z",
            "form-data; name=a b",
            "form-data; name=a; name=b",
            "form-data; filename=a; FILENAME=b",
            "form-data, name=x",
            "form-data; name=x; filename*=junk",
            "form-data; name=x; filename*=UTF-8''%ff",
            "form-data; name=x; filename*=windows-1252''a",
            "form-data; filename*=UTF-8''a; filename*=UTF-8''b",
        ];
        for value in table {
            assert_eq!(parse(value.as_bytes()), None, "{value}");
        }
    }
}

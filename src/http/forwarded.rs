//! The header field Forwarded (RFC 7239): what proxies say of the request as it came to them, one element for each.
//!
//! What is malformed anywhere says nothing at all: where an element ends is not known then.

use memchr::memchr;

/// One proxy's part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// The scheme it was asked with.
    pub proto: Option<Vec<u8>>,
    /// The Host it was sent.
    pub host: Option<Vec<u8>>,
}

/// The elements of a field's lines, the client's own proxy first. None: malformed.
pub fn parse<'l>(lines: impl Iterator<Item = &'l [u8]>) -> Option<Vec<Element>> {
    let mut elements = Vec::new();
    for line in lines {
        let mut rest = line.trim_ascii();
        while !rest.is_empty() {
            let element;
            (element, rest) = one(rest)?;
            elements.extend(element);
        }
    }
    Some(elements)
}

/// The first element of a line, which may be empty, and what stands behind its comma.
fn one(line: &[u8]) -> Option<(Option<Element>, &[u8])> {
    let (mut element, mut rest, mut is_empty) = (Element::default(), line, true);
    loop {
        rest = rest.trim_ascii_start();
        match rest.split_first() {
            None => return Some((Some(element).filter(|_| !is_empty), rest)),
            Some((b',', after)) => return Some((Some(element).filter(|_| !is_empty), after.trim_ascii_start())),
            Some((b';', after)) => {
                rest = after;
                continue;
            }
            Some(_) => {}
        }
        let equals = memchr(b'=', rest)?;
        let name = rest[..equals].trim_ascii();
        let value;
        (value, rest) = text(rest[equals + 1..].trim_ascii_start())?;
        is_empty = false;
        let known = match name.to_ascii_lowercase().as_slice() {
            b"proto" => &mut element.proto,
            b"host" => &mut element.host,
            name if !name.is_empty() && name.iter().all(|b| b.is_ascii_graphic() && !b",;\"".contains(b)) => continue,
            _ => return None,
        };
        // A parameter stands once in an element (RFC 7239 section 4).
        if known.replace(value).is_some() {
            return None;
        }
    }
}

/// A token or a quoted string, and what follows up to which nothing but blanks stood. Colons and brackets are taken
/// without quotes too: proxies send them.
fn text(rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (value, rest) = match rest.strip_prefix(b"\"") {
        Some(quoted) => unquote(quoted)?,
        None => {
            let end = rest.iter().position(|b| b",; \t".contains(b)).unwrap_or(rest.len());
            (rest[..end].to_vec(), &rest[end..])
        }
    };
    let rest = rest.trim_ascii_start();
    (rest.is_empty() || b",;".contains(&rest[0])).then_some((value, rest))
}

/// A quoted string without its first quote, and what stands behind its last.
fn unquote(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (mut value, mut bytes) = (Vec::new(), text.iter().enumerate());
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some((value, &text[at + 1..])),
            b'\\' => value.push(*bytes.next()?.1),
            byte => value.push(*byte),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(lines: &[&str]) -> Option<Vec<String>> {
        let elements = parse(lines.iter().map(|line| line.as_bytes()))?;
        let text = |value: Option<Vec<u8>>| String::from_utf8_lossy(&value.unwrap_or(b"-".to_vec())).into_owned();
        Some(elements.into_iter().map(|one| format!("{} {}", text(one.proto), text(one.host))).collect())
    }

    #[test]
    fn elements_are_read_in_all_forms() {
        let table: &[(&[&str], &[&str])] = &[
            (&[""], &[]),
            (&["for=192.0.2.1;proto=https;by=x, for=198.51.100.2;proto=http"], &["https -", "http -"]),
            (&["Proto=\"https\""], &["https -"]),
            (&["FOR=\"[2001:db8::1]:4711\";HOST=\"[2001:db8::2]:8443\";pRoTo=HTTPS"], &["HTTPS [2001:db8::2]:8443"]),
            (&["for=_hidden, for=unknown;host=a.test"], &["- -", "- a.test"]),
            (&["for=1.2.3.4;proto=https", "for=5.6.7.8;host=b.test"], &["https -", "- b.test"]),
            (&["host=\"a\\.te\\st\";x=\"a,b;proto=ftp\""], &["- a.test"]),
            (&[" proto = https ; host = a.test:81 , , ;proto=http; "], &["https a.test:81", "http -"]),
            (&["host=\"\""], &["- "]),
        ];
        for (lines, expected) in table {
            assert_eq!(shown(lines).expect("well formed"), *expected, "{lines:?}");
        }
    }

    #[test]
    fn what_is_malformed_says_nothing() {
        for line in
            ["https", "proto=\"https", "proto=https;proto=http", "proto=a b", "=x", "host=\"a\"b", "a\"=b", "x=\"\\"]
        {
            assert_eq!(shown(&["proto=https", line]), None, "{line}");
        }
    }
}

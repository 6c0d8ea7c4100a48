//! The header field Forwarded (RFC 7239): what proxies say of the request as it came to them, one element for each.
//!
//! A line with a mistake anywhere says nothing: where its elements end is not known then. Other lines hold all the
//! same, since each may come from another proxy, or from the client.

use memchr::memchr;

/// One proxy's part, or nothing between two commas.
struct Element {
    /// The scheme that it was asked with.
    proto: Option<Vec<u8>>,
    is_empty: bool,
}

/// `proto` of the last element, which the proxy next to this server wrote: those before it may be the client's.
pub fn last_proto<'l>(lines: impl Iterator<Item = &'l [u8]>) -> Option<Vec<u8>> {
    lines.filter_map(last_element).last()?.proto
}

/// The last element of a line. None: there is none, or the line is malformed.
fn last_element(line: &[u8]) -> Option<Element> {
    let (mut last, mut rest) = (None, line.trim_ascii());
    while !rest.is_empty() {
        let element;
        (element, rest) = first_element(rest)?;
        last = Some(element).filter(|element| !element.is_empty).or(last);
    }
    last
}

/// The first element of a list, and the rest after its comma.
fn first_element(list: &[u8]) -> Option<(Element, &[u8])> {
    let (mut element, mut rest) = (Element { proto: None, is_empty: true }, list);
    loop {
        rest = rest.trim_ascii_start();
        match rest.split_first() {
            None => return Some((element, rest)),
            Some((b',', after)) => return Some((element, after.trim_ascii_start())),
            Some((b';', after)) => {
                rest = after;
                continue;
            }
            Some(_) => {}
        }
        let equals = memchr(b'=', rest)?;
        let name = rest[..equals].trim_ascii();
        if name.is_empty() || !name.iter().all(|b| b.is_ascii_graphic() && !b",;\"".contains(b)) {
            return None;
        }
        let value;
        (value, rest) = text(rest[equals + 1..].trim_ascii_start())?;
        element.is_empty = false;
        // A parameter occurs once in an element (RFC 7239 section 4).
        if name.eq_ignore_ascii_case(b"proto") && element.proto.replace(value).is_some() {
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

/// The content of a quoted string, and the rest after its closing quote.
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

    fn proto(lines: &[&str]) -> Option<String> {
        let proto = last_proto(lines.iter().map(|line| line.as_bytes()))?;
        Some(String::from_utf8_lossy(&proto).into_owned())
    }

    #[test]
    fn the_last_element_is_read_in_all_forms() {
        let table: &[(&[&str], Option<&str>)] = &[
            (&[], None),
            (&[""], None),
            (&["for=192.0.2.1;proto=http;by=x, for=198.51.100.2;proto=https"], Some("https")),
            (&["Proto=\"https\""], Some("https")),
            (&["FOR=\"[2001:db8::1]:4711\";HOST=\"[2001:db8::2]:8443\";pRoTo=HTTPS"], Some("HTTPS")),
            (&["for=_hidden;proto=http, for=unknown;host=a.test"], None),
            (&["for=1.2.3.4;proto=http", "for=5.6.7.8;proto=https"], Some("https")),
            (&["proto=\"ht\\tps\";x=\"a,b;proto=ftp\""], Some("https")),
            (&[" proto = http ; host = a.test:81 , , ;proto=https; , ; ,"], Some("https")),
            (&["proto=\"\""], Some("")),
        ];
        for (lines, expected) in table {
            assert_eq!(proto(lines).as_deref(), *expected, "{lines:?}");
        }
    }

    #[test]
    fn a_malformed_line_of_the_client_does_not_silence_the_proxys_own() {
        for line in
            ["https", "proto=\"http", "proto=http;proto=http", "proto=a b", "=x", "host=\"a\"b", "a\"=b", "x=\"\\"]
        {
            assert_eq!(proto(&[line]), None, "{line}");
            assert_eq!(proto(&[line, "proto=https"]).as_deref(), Some("https"), "{line}");
            assert_eq!(proto(&["proto=https", line]).as_deref(), Some("https"), "{line}");
        }
    }
}

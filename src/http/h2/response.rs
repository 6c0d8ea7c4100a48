//! Heads of responses, and trailers, to header blocks.
//!
//! Fields that say how HTTP/1 uses its connection are left out (RFC 9113 §8.2.2): an upstream's may be among them. A
//! block depends on nothing but its fields ([`encode`] has no table), so that one can be sent any number of times.

use super::hpack::encode;
use crate::http::fields::Fields;
use crate::http::response_head::ResponseHead;
use crate::http::status::Status;
use std::borrow::Cow;

/// Appends the block of a response's head. Gives where the value of Date begins.
pub fn head(status: Status, head: &ResponseHead<'_>, out: &mut Vec<u8>) -> usize {
    encode::status(out, status.0);
    let mut date = out.len();
    head.each(|name, value| {
        if name == b"date" {
            encode::plain(out, name, value);
            date = out.len() - value.len();
        } else if !(is_of_connection(name) || is_http1_upgrade(name) && head.upgrade) {
            encode::field(out, name, &clean(value));
        }
    });
    date
}

/// A decoded path or a capture may hold control bytes: spaces, as in HTTP/1.
fn clean(value: &[u8]) -> Cow<'_, [u8]> {
    let is_control = |b: &u8| *b < b' ' && *b != b'\t' || *b == 0x7f;
    match value.iter().any(is_control) {
        false => Cow::Borrowed(value),
        true => value.iter().map(|b| if is_control(b) { b' ' } else { *b }).collect(),
    }
}

/// Appends the block of a response before the response (1xx).
pub fn interim(status: Status, fields: &Fields, out: &mut Vec<u8>) {
    encode::status(out, status.0);
    trailers(fields, out);
}

/// Appends fields, as of a trailer section.
pub fn trailers(fields: &Fields, out: &mut Vec<u8>) {
    for (name, value) in fields.iter().filter(|(name, _)| !is_of_connection(name)) {
        encode::field(out, name, value);
    }
}

/// It answers the key that a request to upgrade has in HTTP/1 (RFC 8441 §5.1).
fn is_http1_upgrade(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"sec-websocket-accept")
}

/// It says how HTTP/1 uses its connection (RFC 9113 §8.2.2).
pub fn is_of_connection(name: &[u8]) -> bool {
    let names: &[&[u8]] = match name.len() {
        7 => &[b"upgrade"],
        10 => &[b"connection", b"keep-alive"],
        16 => &[b"proxy-connection"],
        17 => &[b"transfer-encoding"],
        _ => &[],
    };
    names.iter().any(|other| other.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h2::hpack::{Block, Bounds, Decoder};

    fn decoded(block: &[u8]) -> Vec<String> {
        let mut out = Block::default();
        let bounds = Bounds { total: 1000, fields: 20 };
        assert_eq!(Decoder::default().decode(block, &bounds, &mut out), Ok(()));
        let shown = |field: &crate::http::field::Field| {
            let text = |span: crate::util::span::Span| String::from_utf8_lossy(span.of(&out.text)).into_owned();
            format!("{}={}", text(field.name), text(field.value))
        };
        out.fields.iter().map(shown).collect()
    }

    #[test]
    fn a_head_becomes_a_block_without_what_belongs_to_connections() {
        let mut fields = Fields::default();
        for (name, value) in [("Connection", "close"), ("Transfer-Encoding", "x"), ("X-A", "b"), ("Link", "")] {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        let date = b"Sun, 06 Nov 1994 08:49:37 GMT";
        let mut out = b"before".to_vec();
        let response = ResponseHead {
            status: Status::NOT_FOUND,
            reason: None,
            server: b"s",
            date,
            content_type: None,
            length: Some(1024),
            last_modified: None,
            location: Some(b"/a\r\nb"),
            upgrade: false,
            etag: None,
            fields: &fields,
            accept_ranges: true,
            file: None,
        };
        let at = head(response.status, &response, &mut out);
        assert_eq!(&out[at..at + date.len()], date);
        let expected = [
            ":status=404",
            "server=s",
            "date=Sun, 06 Nov 1994 08:49:37 GMT",
            "content-length=1024",
            "location=/a  b",
            "x-a=b",
            "link=",
            "accept-ranges=bytes",
        ];
        assert_eq!(decoded(&out[6..]), expected);
        let mut out = Vec::new();
        interim(Status::CONTINUE, &fields, &mut out);
        assert_eq!(decoded(&out), [":status=100", "x-a=b", "link="]);
    }
}

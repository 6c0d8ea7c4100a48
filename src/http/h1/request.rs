//! Requests as HTTP/1.1 text: what upstreams, the authority of certificates and `webserv status` are sent. The only
//! place that makes it; [`super::head`] reads such text.
//!
//! Invariant: no value brings a line break into a head.

use super::super::body_length::BodyLength;
use super::super::field_syntax::push_value;
use super::super::version::Version;
use crate::util::decimal;

/// A request line passed on as it was sent.
pub fn line_as_sent(line: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(line);
    out.extend_from_slice(b"\r\n");
}

/// The method and the header fields of a request as it was written, `NAME: VALUE` each; sorted by name,
/// since the order of fields with different names has no meaning.
pub fn written_fields(text: &[u8]) -> Vec<Vec<u8>> {
    let end = memchr::memmem::find(text, b"\r\n\r\n").unwrap_or(text.len());
    let head = text.get(..end).unwrap_or_default();
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let method = lines.next().and_then(|line| line.split(|byte| *byte == b' ').next()).unwrap_or_default();
    let mut fields: Vec<Vec<u8>> = lines.map(<[u8]>::to_vec).collect();
    fields.sort_by_cached_key(|field| field.split(|byte| *byte == b':').next().map(<[u8]>::to_ascii_lowercase));
    fields.insert(0, [b"method: ", method].concat());
    fields
}

/// Appends the request line. `target` has no blanks.
pub fn line(method: &[u8], target: &[u8], version: Version, out: &mut Vec<u8>) {
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(target);
    out.push(b' ');
    out.extend_from_slice(version.name().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends a header field; control bytes in its value become blanks.
pub fn field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    push_value(value, out);
    out.extend_from_slice(b"\r\n");
}

/// Appends the field that says where the body ends: chunks, where its length is not known when the head is sent.
pub fn length(length: BodyLength, out: &mut Vec<u8>) {
    match length {
        BodyLength::None => {}
        BodyLength::Known(bytes) => {
            out.extend_from_slice(b"Content-Length: ");
            decimal::push(bytes, 0, out);
            out.extend_from_slice(b"\r\n");
        }
        BodyLength::Unknown => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
}

/// Appends the end of the head.
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::super::super::header::UnusualNames;
    use super::super::super::request_head::HeadLimits;
    use super::super::head::{HeadParser, HeadProgress};
    use super::*;

    #[test]
    fn a_head_is_one_request_whatever_its_values_hold() {
        let mut out = Vec::new();
        line(b"POST", b"/a?b", Version::Http11, &mut out);
        field(b"Host", b"h", &mut out);
        field(b"X", b"a\r\nY: b\tc\x7f\0", &mut out);
        length(BodyLength::None, &mut out);
        length(BodyLength::Known(42), &mut out);
        end(&mut out);
        assert_eq!(out, b"POST /a?b HTTP/1.1\r\nHost: h\r\nX: a  Y: b\tc  \r\nContent-Length: 42\r\n\r\n");
        let limits = HeadLimits { line: 1000, total: 1000, fields: 10, unusual: UnusualNames::default() };
        let mut parser = HeadParser::default();
        assert_eq!(parser.parse(&out, &limits), Ok(HeadProgress::Complete));
        assert_eq!((parser.head.fields.len(), parser.head.len), (3, out.len()));
        let mut out = Vec::new();
        length(BodyLength::Unknown, &mut out);
        assert_eq!(out, b"Transfer-Encoding: chunked\r\n");
    }
}

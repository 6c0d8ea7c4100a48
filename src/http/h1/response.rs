//! What is HTTP/1's own of a response's head (RFC 9112 §4, §6): its status line, and which fields say where its body
//! ends and whether the connection may be kept. Its other lines are read by [`crate::http::response_parser`].

use super::framing;
use crate::http::body_length;
use crate::http::field::Field;
use crate::http::field_syntax::{self, is_field_value};
use crate::http::header::HeaderId;
use crate::http::upstream_head::{Ending, Excerpt, InvalidResponse, UpstreamHead, status_code};
use crate::http::version::Version;
use crate::util::span::Span;

/// How a status line begins.
pub(in crate::http) const HTTP: &[u8] = b"HTTP/";

/// False as soon as the bytes cannot be the start of a status line: an upstream that speaks something else need not
/// send a line end.
pub(in crate::http) fn could_start(buf: &[u8]) -> bool {
    buf.iter().zip(HTTP).all(|(a, b)| a == b)
}

/// Reads the status line.
pub(in crate::http) fn status_line(head: &mut UpstreamHead, line: Span, buf: &[u8]) -> Result<(), InvalidResponse> {
    let bytes = line.of(buf);
    let (version, at) = version(bytes).ok_or(InvalidResponse::StatusLine)?;
    let code = status_code(bytes.get(at..).unwrap_or_default()).ok_or(InvalidResponse::StatusLine)?;
    if code < 100 || !matches!(bytes.get(at + 3), None | Some(b' ')) || !is_field_value(bytes) {
        return Err(InvalidResponse::StatusLine);
    }
    head.version = version;
    head.status = code;
    let start = line.start as usize;
    head.reason = Span::new((start + at + 4).min(line.end()), line.end());
    Ok(())
}

/// What the fields of a head say of its body's end, and of the connection.
pub(in crate::http) struct FramingFields {
    /// Content-Length as it was sent.
    pub length: Option<u64>,
    is_chunked: bool,
    /// Connection lists `close`.
    closes: bool,
}

impl FramingFields {
    /// Where a body ends.
    pub(in crate::http) fn ending(&self) -> Ending {
        match self.length {
            _ if self.is_chunked => Ending::Mark,
            Some(length) => Ending::Length(length),
            None => Ending::Close,
        }
    }

    /// Whether the connection may serve another request after a response with this head, whose ending is known.
    pub(in crate::http) fn keeps_connection(&self, head: &UpstreamHead) -> bool {
        head.version == Version::Http11 && !self.closes && head.ending != Ending::Close && head.status != 101
    }
}

/// Reads the fields that frame a body.
pub(in crate::http) fn framing(head: &UpstreamHead, buf: &[u8]) -> Result<FramingFields, InvalidResponse> {
    let (mut length, mut chunked, mut close) = (None, None, false);
    let twice = |line: &Field, first: &Field| InvalidResponse::Duplicate {
        line: Excerpt::line(line, buf),
        previous: Excerpt::line(first, buf),
    };
    for field in &head.fields {
        let value = field.value.of(buf);
        match field.id {
            HeaderId::ContentLength => {
                if let Some((first, _)) = length {
                    return Err(twice(field, first));
                }
                let parsed = body_length::content_length(value);
                length = Some((field, parsed.map_err(|_| InvalidResponse::Length(Excerpt::line(field, buf)))?));
            }
            HeaderId::TransferEncoding => {
                if let Some(first) = chunked.replace(field) {
                    return Err(twice(field, first));
                }
                framing::transfer_encoding(value).map_err(|_| InvalidResponse::Coding(Excerpt::new(value)))?;
            }
            HeaderId::Connection => {
                close |= field_syntax::list(value).any(|option| option.eq_ignore_ascii_case(b"close"));
            }
            _ => {}
        }
    }
    let (length, chunked) = (length.map(|(_, length)| length), chunked.is_some());
    if chunked && length.is_some() {
        return Err(InvalidResponse::Framing("\"Content-Length\" and \"Transfer-Encoding\" headers at the same time"));
    }
    Ok(FramingFields { length, is_chunked: chunked, closes: close })
}

/// The version that a status line begins with, and where its code begins.
fn version(line: &[u8]) -> Option<(Version, usize)> {
    let number = |from: usize| {
        let digits = line.get(from..)?.iter().take_while(|b| b.is_ascii_digit()).count();
        (1..=3).contains(&digits).then_some(from + digits)
    };
    let major = number(HTTP.len()).filter(|_| line.starts_with(HTTP))?;
    let minor = number(major + 1).filter(|_| line.get(major) == Some(&b'.'))?;
    let blanks = line.get(minor..)?.iter().take_while(|b| **b == b' ').count();
    let version = match (line.get(HTTP.len()..major)?, line.get(major + 1..minor)?) {
        ([b'0', ..], _) => return None,
        // As numbers: HTTP/1.00 is no 1.1.
        (b"1", minor) if minor.iter().all(|b| *b == b'0') => Version::Http10,
        _ => Version::Http11,
    };
    (blanks > 0).then_some((version, minor + blanks))
}

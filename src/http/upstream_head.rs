//! The head of an upstream's response as data: status, fields, and what they say of the body and of the connection. The
//! parser ([`super::response_parser`]) fills it, whatever protocol the upstream speaks; spans are offsets into the
//! bytes that were read.

use crate::http::field::Field;
use crate::http::header::HeaderId;
use crate::http::repeated::Names;
use crate::http::version::Version;
use crate::util::span::Span;
use std::fmt;

/// The most fields of one head.
const FIELDS: usize = 1000;

/// Why a response was refused; in nginx's words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InvalidResponse {
    /// No `HTTP/x.y 123` at its start (nginx takes it for HTTP/0.9 and passes it on).
    StatusLine,
    /// A `Status` field that does not begin with a status code.
    Status(Excerpt),
    /// A line that is no field, up to the byte that cannot stand there.
    Line(Excerpt, u8),
    /// The fields break the rule named.
    Field(&'static str),
    /// The end of the body is in doubt: a field comes twice.
    Duplicate { line: Excerpt, previous: Excerpt },
    /// Its length is none.
    Length(Excerpt),
    /// Both lengths.
    Framing(&'static str),
    /// A transfer coding that is not known.
    Coding(Excerpt),
    /// The head is longer than `limit` bytes.
    TooBig { limit: usize },
}

impl fmt::Display for InvalidResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidResponse::StatusLine => f.write_str("upstream sent no valid HTTP/1.0 header"),
            InvalidResponse::Status(value) => write!(f, "upstream sent invalid status \"{value}\""),
            InvalidResponse::Line(line, byte) => write!(f, "upstream sent invalid header: \"{line}\\x{byte:02x}...\""),
            InvalidResponse::Duplicate { line, previous } => {
                write!(f, "upstream sent duplicate header line: \"{line}\", previous value: \"{previous}\"")
            }
            InvalidResponse::Length(line) => write!(f, "upstream sent invalid \"Content-Length\" header: \"{line}\""),
            InvalidResponse::Field(rule) => write!(f, "upstream sent invalid header: {rule}"),
            InvalidResponse::Coding(value) => write!(f, "upstream sent unknown \"Transfer-Encoding\": \"{value}\""),
            InvalidResponse::Framing(rule) => write!(f, "upstream sent {rule}"),
            InvalidResponse::TooBig { .. } => f.write_str("upstream sent too big header"),
        }
    }
}

/// What an upstream sent, for the error log: printable, and no more than a line of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Excerpt(Box<str>);

impl Excerpt {
    const MOST: usize = 200;

    pub(super) fn new(bytes: &[u8]) -> Excerpt {
        Excerpt(bytes.get(..Excerpt::MOST).unwrap_or(bytes).escape_ascii().to_string().replace("\\\"", "\"").into())
    }

    pub(super) fn line(field: &Field, buf: &[u8]) -> Excerpt {
        Excerpt::new(&[field.name.of(buf), b": ", field.value.of(buf)].concat())
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the body of a response ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Ending {
    /// There is none: HEAD, 204, 304.
    #[default]
    None,
    /// After this many bytes.
    Length(u64),
    /// With a mark behind it: the last chunk of HTTP/1.1, and its trailers.
    Mark,
    /// With the connection.
    Close,
}

/// A response's head, beside the bytes that its spans refer to.
#[derive(Clone, Default, Debug)]
pub struct UpstreamHead {
    /// Of the upstream's message. A CGI head has none.
    pub version: Version,
    pub status: u16,
    /// What follows the code in the status line.
    pub reason: Span,
    /// In the order sent, without the lines that are left out.
    pub fields: Vec<Field>,
    /// The ids of `fields`.
    pub(super) names: Names,
    /// One of them stands twice.
    pub repeats: bool,
    /// A value has bytes that may not stand in one. No other does.
    pub has_controls: bool,
    /// Bytes of the head, its empty line included. Set when it is complete.
    pub len: usize,
    /// Where the body ends. Set when it is complete.
    pub ending: Ending,
    /// Content-Length as it was sent, whether or not a body follows.
    pub length: Option<u64>,
    /// The connection may serve another request after this one.
    pub keep_alive: bool,
    /// The first line that is no field another reader could take for something else: it is left out.
    pub left_out: Option<Excerpt>,
}

impl UpstreamHead {
    /// With an empty list for its fields.
    pub fn with_room(fields: Vec<Field>) -> UpstreamHead {
        UpstreamHead { fields, ..UpstreamHead::default() }
    }

    /// Makes it ready for another head; the memory of `fields` is kept.
    pub fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = UpstreamHead { fields, ..UpstreamHead::default() };
    }

    /// A script's `Location: /path` that its server is to follow itself (RFC 3875 §6.2.2): no status stands beside it.
    pub fn local_redirect<'b>(&self, buf: &'b [u8]) -> Option<&'b [u8]> {
        let target = self.value(buf, HeaderId::Location).filter(|target| target.starts_with(b"/"))?;
        let has_status = self.value(buf, HeaderId::Status).is_some() || !self.reason.is_empty();
        (!has_status && !target.starts_with(b"//")).then_some(target)
    }

    /// The value of the first field of that name.
    pub fn value<'b>(&self, buf: &'b [u8], id: HeaderId) -> Option<&'b [u8]> {
        if !self.names.has(id) {
            return None;
        }
        self.fields.iter().find(|field| field.id == id).map(|field| field.value.of(buf))
    }

    /// Appends a field that was read.
    pub(super) fn add(&mut self, field: Field) -> Result<(), InvalidResponse> {
        if self.fields.len() >= FIELDS {
            return Err(InvalidResponse::Field("too many lines"));
        }
        if self.fields.is_empty() {
            // Nearly all heads fit: growing step by step cost 3 % of a proxied request.
            self.fields.reserve(16);
        }
        self.repeats |= !self.names.insert(field.id);
        self.fields.push(field);
        Ok(())
    }
}

/// The three digits that `text` begins with.
pub(super) fn status_code(text: &[u8]) -> Option<u16> {
    let digits = text.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    Some(digits.iter().fold(0, |n, digit| n * 10 + u16::from(digit - b'0')))
}

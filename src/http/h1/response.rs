//! The head of an upstream's response, parsed in place as the request head is: offsets into the caller's buffer,
//! resumable, and the verdict does not depend on how the bytes were split.
//!
//! The head of what a CGI script or a FastCGI, SCGI or uwsgi application answers is the same but for its first line,
//! which it lacks ([`Dialect::Cgi`], RFC 3875 §6).
//!
//! A response whose end is in doubt, or whose fields another reader could split otherwise, is refused (RFC 9112 §6.3)
//! and becomes a 502. What is only odd does not cost the page: a line whose name is no token, or that has no colon, is
//! left out, and any `HTTP/x.y` is a version.

use super::{field_line, framing};
use crate::http::body_length;
use crate::http::field::Field;
use crate::http::field_syntax::{self, is_field_value, split_field, token_len, trim_ows};
use crate::http::header::HeaderId;
use crate::http::repeated::Names;
use crate::http::version::Version;
use crate::util::span::Span;
use std::fmt;
use std::ops::Range;

/// The most fields of one head.
const FIELDS: usize = 1000;
/// How a status line begins.
const HTTP: &[u8] = b"HTTP/";

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

    fn new(bytes: &[u8]) -> Excerpt {
        Excerpt(bytes.get(..Excerpt::MOST).unwrap_or(bytes).escape_ascii().to_string().replace("\\\"", "\"").into())
    }

    fn line(field: &Field, buf: &[u8]) -> Excerpt {
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
    /// With the chunk of size 0 and its trailers.
    Chunked,
    /// With the connection.
    Close,
}

/// How far [`ResponseHead::parse`] has got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResponseHeadProgress {
    /// Call again with more bytes.
    Partial,
    /// An interim response (1xx but 101) of this many bytes: take them out and `clear`.
    Interim(usize),
    /// The final response's head: its fields and [`ResponseHead::len`] hold.
    Complete,
}

/// What was asked, as far as the answer's meaning depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RequestContext {
    /// By HEAD: lengths are those that GET would give.
    pub head: bool,
    /// To switch protocols: 101 is an answer.
    pub upgrade: bool,
    /// 101 is an answer all the same, of a head alone.
    pub passes_101: bool,
    /// Whether the head begins with a status line.
    pub dialect: Dialect,
}

/// How a response begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Dialect {
    /// With a status line.
    #[default]
    Http,
    /// With its fields, of which `Status` or `Location` tell the code; its body ends with the stream where there is no
    /// Content-Length.
    Cgi {
        /// It may begin with a status line all the same: SCGI, uwsgi, and scripts whose headers are not parsed.
        status_line: bool,
    },
}

/// A response head. `clear` it, then `parse` the same buffer as it grows.
#[derive(Clone, Default, Debug)]
pub struct ResponseHead {
    /// Of the upstream's message. A CGI head has none.
    pub version: Version,
    pub status: u16,
    /// What follows the code in the status line.
    pub reason: Span,
    /// In the order sent, without the lines that are left out.
    pub fields: Vec<Field>,
    /// The ids of `fields`.
    names: Names,
    /// One of them stands twice.
    pub repeats: bool,
    /// A value has bytes that may not stand in one. No other does.
    pub has_controls: bool,
    /// Bytes of the head, its empty line included. Set on `Complete`.
    pub len: usize,
    /// Where the body ends. Set on `Complete`.
    pub ending: Ending,
    /// Content-Length as it was sent, whether or not a body follows.
    pub length: Option<u64>,
    /// The connection may serve another request after this one.
    pub keep_alive: bool,
    /// The first line that is no field another reader could take for something else: it is left out.
    pub left_out: Option<Excerpt>,
    started: bool,
    at: usize,
    scanned: usize,
}

impl ResponseHead {
    /// With an empty list for its fields.
    pub fn with_room(fields: Vec<Field>) -> ResponseHead {
        ResponseHead { fields, ..ResponseHead::default() }
    }

    /// Makes it ready for another head; the memory of `fields` is kept.
    pub fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = ResponseHead { fields, ..ResponseHead::default() };
    }

    /// Continues with `buf`, which starts with the same byte on every call and only grows. `limit`: the longest head,
    /// in bytes.
    ///
    /// # Errors
    /// The rule that the response breaks.
    pub fn parse(
        &mut self,
        buf: &[u8],
        limit: usize,
        asked: RequestContext,
    ) -> Result<ResponseHeadProgress, InvalidResponse> {
        if !self.started && !self.start(buf, asked.dialect)? {
            return if buf.len() >= limit {
                Err(InvalidResponse::TooBig { limit })
            } else {
                Ok(ResponseHeadProgress::Partial)
            };
        }
        loop {
            if self.started
                && self.scanned == self.at
                && let Some(plain) = field_line::plain(buf, self.at)
                && plain.next <= limit
            {
                (self.at, self.scanned) = (plain.next, plain.next);
                self.add(plain.field)?;
                continue;
            }
            let Some(found) = memchr::memchr(b'\n', buf.get(self.scanned..).unwrap_or_default()) else { break };
            let next = self.scanned + found + 1;
            if next > limit {
                return Err(InvalidResponse::TooBig { limit });
            }
            let line = field_line::line(buf, self.at, next);
            self.at = next;
            self.scanned = next;
            if !self.started {
                self.status_line(line, buf)?;
                self.started = true;
            } else if asked.dialect != Dialect::Http && line.of(buf).starts_with(HTTP) {
                // Of an application that writes a status line where none is read (nginx).
            } else if !line.is_empty() {
                self.field(line, buf)?;
            } else if (100..200).contains(&self.status) && self.status != 101 {
                return Ok(ResponseHeadProgress::Interim(next));
            } else {
                self.len = next;
                self.finish(buf, asked)?;
                return Ok(ResponseHeadProgress::Complete);
            }
        }
        self.scanned = buf.len();
        if buf.len() >= limit { Err(InvalidResponse::TooBig { limit }) } else { Ok(ResponseHeadProgress::Partial) }
    }

    /// Whether the first line is to be read as a status line or as a field. False: its bytes do not tell yet.
    fn start(&mut self, buf: &[u8], dialect: Dialect) -> Result<bool, InvalidResponse> {
        match dialect {
            Dialect::Http if could_start(buf) => Ok(true),
            Dialect::Http => Err(InvalidResponse::StatusLine),
            Dialect::Cgi { status_line: true } if buf.starts_with(HTTP) => Ok(true),
            Dialect::Cgi { status_line: true } if HTTP.starts_with(buf) => Ok(false),
            Dialect::Cgi { .. } => {
                self.started = true;
                Ok(true)
            }
        }
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

    fn status_line(&mut self, line: Span, buf: &[u8]) -> Result<(), InvalidResponse> {
        let bytes = line.of(buf);
        let (version, at) = version(bytes).ok_or(InvalidResponse::StatusLine)?;
        let code = status_code(bytes.get(at..).unwrap_or_default()).ok_or(InvalidResponse::StatusLine)?;
        if code < 100 || !matches!(bytes.get(at + 3), None | Some(b' ')) || !is_field_value(bytes) {
            return Err(InvalidResponse::StatusLine);
        }
        self.version = version;
        self.status = code;
        let start = line.start as usize;
        self.reason = Span::new((start + at + 4).min(line.end()), line.end());
        Ok(())
    }

    fn field(&mut self, line: Span, buf: &[u8]) -> Result<(), InvalidResponse> {
        let bytes = line.of(buf);
        let (name, value) = match split_field(bytes) {
            Ok(split) => split,
            Err(_) => match odd_field(bytes) {
                Odd::Refused => return Err(no_field(bytes)),
                Odd::LeftOut => {
                    self.left_out.get_or_insert_with(|| Excerpt::new(bytes));
                    return Ok(());
                }
                Odd::Value(name, value) => {
                    self.has_controls = true;
                    (name, value)
                }
            },
        };
        let start = line.start as usize;
        let (name, value) = (Span::new(start, start + name), Span::new(start + value.start, start + value.end));
        self.add(Field { id: HeaderId::of(name.of(buf)), name, value })
    }

    fn add(&mut self, field: Field) -> Result<(), InvalidResponse> {
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

    /// The code of a head without a status line.
    fn cgi_status(&mut self, buf: &[u8]) -> Result<(), InvalidResponse> {
        let find = |id: HeaderId| self.fields.iter().find(|field| field.id == id);
        let Some(value) = find(HeaderId::Status).map(|field| field.value) else {
            self.status = if find(HeaderId::Location).is_some() { 302 } else { 200 };
            return Ok(());
        };
        let text = value.of(buf);
        // Three digits are the code, whatever follows (nginx).
        let code = status_code(text).filter(|code| *code == 101 || *code >= 200);
        self.status = code.ok_or_else(|| InvalidResponse::Status(Excerpt::new(text)))?;
        let reason = text.iter().position(|b| matches!(b, b' ' | b'\t')).map_or(text.len(), |blank| blank + 1);
        self.reason = Span::new(value.start as usize + reason, value.end());
        Ok(())
    }

    fn finish(&mut self, buf: &[u8], asked: RequestContext) -> Result<(), InvalidResponse> {
        let cgi = asked.dialect != Dialect::Http;
        if self.status == 0 {
            self.cgi_status(buf)?;
        }
        let (mut length, mut chunked, mut close) = (None, None, false);
        let twice = |line: &Field, first: &Field| InvalidResponse::Duplicate {
            line: Excerpt::line(line, buf),
            previous: Excerpt::line(first, buf),
        };
        for field in &self.fields {
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
            return Err(InvalidResponse::Framing(
                "\"Content-Length\" and \"Transfer-Encoding\" headers at the same time",
            ));
        }
        if self.status == 101 && !asked.upgrade && !asked.passes_101 {
            return Err(InvalidResponse::Field("101 where no other protocol was asked for"));
        }
        self.length = length;
        self.ending = match length {
            _ if asked.head || matches!(self.status, 101 | 204 | 304) => Ending::None,
            // A script does not frame its body.
            _ if chunked && !cgi => Ending::Chunked,
            Some(length) => Ending::Length(length),
            None => Ending::Close,
        };
        // For the others their own protocol decides.
        self.keep_alive =
            !cgi && self.version == Version::Http11 && !close && self.ending != Ending::Close && self.status != 101;
        Ok(())
    }
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

/// The three digits that `text` begins with.
fn status_code(text: &[u8]) -> Option<u16> {
    let digits = text.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    Some(digits.iter().fold(0, |n, digit| n * 10 + u16::from(digit - b'0')))
}

/// A line that no client may send.
enum Odd {
    /// Another reader could split it otherwise.
    Refused,
    LeftOut,
    /// Where its name ends, and its value: control bytes are in it.
    Value(usize, Range<usize>),
}

/// What becomes of a line that is no field by the grammar. nginx refuses what is refused here; the others it passes on
/// as they are.
fn odd_field(line: &[u8]) -> Odd {
    let colon = memchr::memchr(b':', line);
    let name = line.get(..colon.unwrap_or(line.len())).unwrap_or_default();
    let value = colon.and_then(|colon| line.get(colon + 1..)).unwrap_or_default();
    if name.is_empty() || name.iter().any(|b| *b <= b' ' || *b == 0x7f) || value.iter().any(|b| matches!(b, 0 | b'\r'))
    {
        return Odd::Refused;
    }
    if colon.is_none() || token_len(name) < name.len() {
        return Odd::LeftOut;
    }
    let start = name.len() + 1 + value.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    Odd::Value(name.len(), start..start + trim_ows(value).len())
}

/// Of a line that is no field: what of it is fine, and the byte that is not.
fn no_field(line: &[u8]) -> InvalidResponse {
    let name = token_len(line);
    let end = match line.get(name) {
        Some(b':') if name > 0 => {
            let wrong = line[name + 1..].iter().position(|b| !is_field_value(&[*b]));
            name + 1 + wrong.unwrap_or(line.len() - name - 1)
        }
        _ => name,
    };
    InvalidResponse::Line(Excerpt::new(&line[..end]), line.get(end).copied().unwrap_or(b'\n'))
}

/// False as soon as the bytes cannot be the start of a status line: an upstream that speaks something else need not
/// send a line end.
fn could_start(buf: &[u8]) -> bool {
    buf.iter().zip(HTTP).all(|(a, b)| a == b)
}

#[cfg(test)]
mod tests;

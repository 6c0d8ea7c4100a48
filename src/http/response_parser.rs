//! Parses the head of an upstream's response in place as the request head is parsed: offsets into the caller's buffer,
//! resumable, and the verdict does not depend on how the bytes were split.
//!
//! The head of what a CGI script or a FastCGI, SCGI or uwsgi application answers has the same lines but for the first,
//! which it lacks. What differs is asked of [`h1::response`](super::h1::response) and of [`cgi`](super::cgi): how a
//! head begins, what its status is, and where the body ends.
//!
//! A response whose end is in doubt, or whose fields another reader could split otherwise, is refused (RFC 9112 §6.3)
//! and becomes a 502. What is only odd does not cost the page: a line whose name is no token, or that has no colon, is
//! left out, and any `HTTP/x.y` is a version.

use crate::http::cgi;
use crate::http::field::Field;
use crate::http::field_syntax::{is_field_value, split_field, token_len, trim_ows};
use crate::http::h1::{field_line, response};
use crate::http::header::HeaderId;
use crate::http::upstream_head::{Ending, Excerpt, InvalidResponse, UpstreamHead};
use crate::util::span::Span;
use std::ops::Range;

/// How far [`ResponseParser::parse`] has got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResponseHeadProgress {
    /// Call again with more bytes.
    Partial,
    /// An interim response (1xx but 101) of this many bytes: take them out and `clear`.
    Interim(usize),
    /// The final response's head: its fields and [`UpstreamHead::len`] hold.
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
    /// How the head begins.
    pub format: ResponseFormat,
}

/// How a response begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ResponseFormat {
    /// With a status line (HTTP/1).
    #[default]
    Http1,
    /// With its fields, of which `Status` or `Location` tell the code; its body ends with the stream where there is no
    /// Content-Length.
    Cgi {
        /// It may begin with a status line all the same: SCGI, uwsgi, and scripts whose headers are not parsed.
        status_line: bool,
    },
}

/// A response head that is being read. `clear` it, then `parse` the same buffer as it grows.
#[derive(Default, Debug)]
pub struct ResponseParser {
    /// What has been read of it.
    pub head: UpstreamHead,
    started: bool,
    at: usize,
    scanned: usize,
}

impl ResponseParser {
    /// With an empty list for the fields of the head.
    pub fn with_room(fields: Vec<Field>) -> ResponseParser {
        ResponseParser { head: UpstreamHead::with_room(fields), ..ResponseParser::default() }
    }

    /// Makes it ready for another head; the memory of its fields is kept.
    pub fn clear(&mut self) {
        self.head.clear();
        *self = ResponseParser { head: std::mem::take(&mut self.head), ..ResponseParser::default() };
    }

    /// Gives the head that was read, and is ready for another.
    pub fn take(&mut self) -> UpstreamHead {
        std::mem::take(self).head
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
        if !self.started && !self.start(buf, asked.format)? {
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
                self.head.add(plain.field)?;
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
                response::status_line(&mut self.head, line, buf)?;
                self.started = true;
            } else if asked.format != ResponseFormat::Http1 && line.of(buf).starts_with(response::HTTP) {
                // Of an application that writes a status line where none is read (nginx).
            } else if !line.is_empty() {
                self.field(line, buf)?;
            } else if (100..200).contains(&self.head.status) && self.head.status != 101 {
                return Ok(ResponseHeadProgress::Interim(next));
            } else {
                self.head.len = next;
                self.finish(buf, asked)?;
                return Ok(ResponseHeadProgress::Complete);
            }
        }
        self.scanned = buf.len();
        if buf.len() >= limit { Err(InvalidResponse::TooBig { limit }) } else { Ok(ResponseHeadProgress::Partial) }
    }

    /// Whether the first line is to be read as a status line or as a field. False: its bytes do not tell yet.
    fn start(&mut self, buf: &[u8], format: ResponseFormat) -> Result<bool, InvalidResponse> {
        match format {
            ResponseFormat::Http1 if response::could_start(buf) => Ok(true),
            ResponseFormat::Http1 => Err(InvalidResponse::StatusLine),
            ResponseFormat::Cgi { status_line: true } if buf.starts_with(response::HTTP) => Ok(true),
            ResponseFormat::Cgi { status_line: true } if response::HTTP.starts_with(buf) => Ok(false),
            ResponseFormat::Cgi { .. } => {
                self.started = true;
                Ok(true)
            }
        }
    }

    fn field(&mut self, line: Span, buf: &[u8]) -> Result<(), InvalidResponse> {
        let bytes = line.of(buf);
        let (name, value) = match split_field(bytes) {
            Ok(split) => split,
            Err(_) => match odd_field(bytes) {
                Odd::Refused => return Err(no_field(bytes)),
                Odd::LeftOut => {
                    self.head.left_out.get_or_insert_with(|| Excerpt::new(bytes));
                    return Ok(());
                }
                Odd::Value(name, value) => {
                    self.head.has_controls = true;
                    (name, value)
                }
            },
        };
        let start = line.start as usize;
        let (name, value) = (Span::new(start, start + name), Span::new(start + value.start, start + value.end));
        self.head.add(Field { id: HeaderId::of(name.of(buf)), name, value })
    }

    fn finish(&mut self, buf: &[u8], asked: RequestContext) -> Result<(), InvalidResponse> {
        let head = &mut self.head;
        if head.status == 0 {
            cgi::status(head, buf)?;
        }
        let framing = response::framing(head, buf)?;
        if head.status == 101 && !asked.upgrade && !asked.passes_101 {
            return Err(InvalidResponse::Field("101 where no other protocol was asked for"));
        }
        head.length = framing.length;
        head.ending = match asked.format {
            _ if asked.head || matches!(head.status, 101 | 204 | 304) => Ending::None,
            ResponseFormat::Http1 => framing.ending(),
            ResponseFormat::Cgi { .. } => cgi::ending(framing.length),
        };
        head.keep_alive = asked.format == ResponseFormat::Http1 && framing.keeps_connection(head);
        Ok(())
    }
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

#[cfg(test)]
mod tests;

//! The request head as HTTP/1.1 writes it, parsed in place: offsets into the caller's buffer, nothing copied, nothing
//! allocated once `fields` has its capacity. Resumable: no byte is scanned twice however the head arrives.
//!
//! Invariant: the verdict on a head does not depend on how it was split into reads. Everything a peer might read
//! otherwise than we do is refused (RFC 9112 §2.2, §5, §6, §11).

use super::{field_line, framing, request_line};
use crate::http::body_length;
use crate::http::field::Field;
use crate::http::field_syntax::{is_method_byte, list, split_field, token_len};
use crate::http::header::HeaderId;
use crate::http::host;
use crate::http::method::Method;
use crate::http::reject::Reject;
use crate::http::repeated::{self, Names};
use crate::http::request_head::{HeadLimits, RequestHead};
use crate::http::version::Version;
use crate::util::span::Span;
use memchr::memmem::Finder;

/// Bytes of empty lines tolerated before a request line (RFC 9112 §2.2 asks for at least one line).
const LEADING: usize = 16;

/// What `HeadLimits::fields` of 0 means; nginx's `max_headers`.
const FIELDS: usize = 1000;

/// Finds the end of a head without parsing it, for one that was parsed before.
pub struct EndFinder(Finder<'static>);

impl Default for EndFinder {
    fn default() -> EndFinder {
        EndFinder(Finder::new(b"\r\n\r\n"))
    }
}

impl EndFinder {
    /// Length of the head at the beginning of `bytes`, if it is complete.
    pub fn find(&self, bytes: &[u8]) -> Option<usize> {
        self.0.find(bytes).map(|at| at + 4)
    }
}

/// How far a head has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeadProgress {
    /// Call again with more bytes.
    Partial,
    /// `len` bytes were the head; what follows in the buffer is body or the next request.
    Complete,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum Stage {
    #[default]
    Start,
    Fields,
    Complete,
}

/// Reads a request head. `clear` it, then `parse` the same buffer as it grows until `Complete`.
#[derive(Clone, Default, Debug)]
pub struct HeadParser {
    /// What was read so far; all of it on `Complete`.
    pub head: RequestHead,
    stage: Stage,
    /// Start of the line being read.
    at: usize,
    /// First byte not yet searched for the line end.
    scanned: usize,
    /// All fields seen, the dropped ones included: `HeadLimits::fields` bounds these.
    seen: usize,
}

impl HeadParser {
    /// Ready for the next request; keeps the capacity of the head's fields.
    pub fn clear(&mut self) {
        self.head.clear();
        *self = HeadParser { head: std::mem::take(&mut self.head), ..HeadParser::default() };
    }

    /// Hands the head over, in exchange for one that was cleared: the parser is ready for the next request.
    pub fn take(&mut self, head: &mut RequestHead) {
        std::mem::swap(&mut self.head, head);
        *self = HeadParser { head: std::mem::take(&mut self.head), ..HeadParser::default() };
    }

    /// Continues with `buf`, which starts with the same first byte on every call and only grows.
    ///
    /// # Errors
    /// The rule of RFC 9112 that the head breaks. The head is then of no further use but for logging: spans that are
    /// set are right.
    pub fn parse(&mut self, buf: &[u8], limits: &HeadLimits) -> Result<HeadProgress, Reject> {
        if self.stage == Stage::Complete {
            return Ok(HeadProgress::Complete);
        }
        if self.stage == Stage::Start && !self.skip_empty_lines(buf)? {
            return Ok(HeadProgress::Partial);
        }
        loop {
            if self.stage == Stage::Fields
                && self.scanned == self.at
                && let Some(plain) = field_line::plain(buf, self.at)
            {
                self.check_length(plain.next - self.at, plain.next, limits)?;
                (self.at, self.scanned) = (plain.next, plain.next);
                self.add(plain.field, buf, limits)?;
                continue;
            }
            let Some(found) = memchr::memchr(b'\n', buf.get(self.scanned..).unwrap_or_default()) else { break };
            let next = self.scanned + found + 1;
            self.check_length(next - self.at, next, limits)?;
            let line = field_line::line(buf, self.at, next);
            self.at = next;
            self.scanned = next;
            if self.stage == Stage::Start {
                self.request_line(line, buf)?;
                self.stage = Stage::Fields;
            } else if line.is_empty() {
                self.head.len = next;
                self.finish(buf)?;
                self.stage = Stage::Complete;
                return Ok(HeadProgress::Complete);
            } else {
                self.field(line, buf, limits)?;
            }
        }
        self.scanned = buf.len();
        // One more byte at least is to come, so a line that fills its limit is already too long.
        self.check_length(buf.len() - self.at + 1, buf.len() + 1, limits)?;
        Ok(HeadProgress::Partial)
    }

    /// False while not even a byte of the request line has come (empty lines do not count).
    pub fn has_begun(&self, buf: &[u8]) -> bool {
        self.stage != Stage::Start || buf.get(self.at..).is_some_and(|rest| rest.iter().any(|b| *b != b'\r'))
    }

    /// The method as far as it is known, of a head that is refused or never completed: no answer to a HEAD has content
    /// (RFC 9110 §9.3.2), be it the refusal of the request line itself.
    pub fn method_so_far(&self, buf: &[u8]) -> Method {
        if self.stage != Stage::Start {
            return self.head.method;
        }
        let start = if self.head.request_line.is_empty() { self.at } else { self.head.request_line.start as usize };
        let line = buf.get(start..).unwrap_or_default();
        match line.split_at_checked(token_len(line)) {
            Some((name, [b' ', ..])) => Method::parse(name),
            _ => Method::Unknown,
        }
    }

    /// True at the request line. An early look at its first byte answers what is no HTTP, a TLS hello say, at once,
    /// instead of waiting for a line end that never comes.
    fn skip_empty_lines(&mut self, buf: &[u8]) -> Result<bool, Reject> {
        loop {
            match buf.get(self.at..).unwrap_or_default() {
                [b'\n', ..] => self.at += 1,
                [b'\r', b'\n', ..] => self.at += 2,
                [] | [b'\r'] => return Ok(false),
                [byte, ..] if !is_method_byte(*byte) => {
                    return Err(Reject::BadByte { place: "the method", byte: *byte });
                }
                _ => {
                    self.scanned = self.scanned.max(self.at);
                    return Ok(true);
                }
            }
            if self.at > LEADING {
                return Err(Reject::BadRequestLine("too many empty lines before it"));
            }
        }
    }

    /// `line` bytes of this line, `head` of the head; both may be a lower bound.
    fn check_length(&self, line: usize, head: usize, limits: &HeadLimits) -> Result<(), Reject> {
        // Of two limits that are exceeded, the one that was reached first counts, however the bytes were split.
        let line_first = self.at + limits.line <= limits.total;
        let limit = match (line > limits.line, head > limits.total) {
            (true, true) if !line_first => limits.total,
            (true, _) => limits.line,
            (_, true) => limits.total,
            _ => return Ok(()),
        };
        Err(match self.stage {
            Stage::Start => Reject::RequestLineTooLong { limit },
            _ => Reject::HeaderTooLarge { limit },
        })
    }

    fn request_line(&mut self, line: Span, buf: &[u8]) -> Result<(), Reject> {
        self.head.request_line = line;
        let parts = request_line::parse(line.of(buf))?;
        let start = line.start as usize;
        let span = |range: std::ops::Range<usize>| Span::new(start + range.start, start + range.end);
        self.head.method = parts.method;
        self.head.method_name = span(parts.method_name);
        self.head.target = span(parts.target);
        self.head.form = parts.form;
        self.head.origin = span(parts.origin);
        self.head.version = parts.version;
        if !parts.authority.is_empty() {
            self.head.host = span(parts.authority);
        }
        Ok(())
    }

    fn field(&mut self, line: Span, buf: &[u8], limits: &HeadLimits) -> Result<(), Reject> {
        let bytes = line.of(buf);
        let (name_len, value) = split_field(bytes)?;
        let start = line.start as usize;
        let (name, value) = (Span::new(start, start + name_len), Span::new(start + value.start, start + value.end));
        self.add(Field { id: HeaderId::of(name.of(buf)), name, value }, buf, limits)
    }

    fn add(&mut self, field: Field, buf: &[u8], limits: &HeadLimits) -> Result<(), Reject> {
        let most = if limits.fields == 0 { FIELDS } else { limits.fields };
        self.seen += 1;
        if self.seen > most {
            return Err(Reject::TooManyFields { limit: most });
        }
        let Field { id, name, value } = field;
        // Names with an id contain no unusual characters.
        if id == HeaderId::Other && !limits.unusual.keep(name.of(buf)) {
            return Ok(());
        }
        // Known from here on, whatever becomes of the head: a refusal is the named server's.
        let is_first = || self.head.host.is_empty() && !self.head.fields.iter().any(|field| field.id == HeaderId::Host);
        if id == HeaderId::Host && is_first() && host::is_valid(value.of(buf)) {
            self.head.host = value;
        }
        self.head.fields.push(field);
        Ok(())
    }

    /// Checks what the fields mean together.
    fn finish(&mut self, buf: &[u8]) -> Result<(), Reject> {
        let (mut hosts, mut length, mut coding) = (None, None, None);
        let (mut close, mut keep_alive, mut expect, mut unknown) = (false, false, false, false);
        let (mut names, mut repeated) = (Names::default(), false);
        for field in &self.head.fields {
            let value = field.value.of(buf);
            repeated |= names.add(field.id);
            match field.id {
                HeaderId::Host if hosts.is_some() => return Err(Reject::BadHost("more than one Host field")),
                HeaderId::Host => hosts = Some(field.value),
                HeaderId::ContentLength if length.is_some() => {
                    return Err(Reject::BadFraming("more than one \"Content-Length\""));
                }
                HeaderId::ContentLength => length = Some(body_length::content_length(value)?),
                HeaderId::TransferEncoding if coding.is_some() => {
                    return Err(Reject::BadFraming("more than one \"Transfer-Encoding\""));
                }
                HeaderId::TransferEncoding => coding = Some(value),
                HeaderId::Connection => {
                    for option in list(value) {
                        close |= option.eq_ignore_ascii_case(b"close");
                        keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                        self.head.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
                    }
                }
                HeaderId::Expect => {
                    let mut all = list(value).filter(|e| !e.is_empty()).peekable();
                    expect |= all.peek().is_some();
                    unknown |= all.any(|e| !e.eq_ignore_ascii_case(b"100-continue"));
                }
                _ => {}
            }
        }
        if repeated {
            repeated::check(&self.head.fields, buf)?;
        }
        if unknown {
            return Err(Reject::Expectation);
        }
        let is_11 = self.head.version == Version::Http11;
        match hosts {
            None if is_11 => return Err(Reject::BadHost("HTTP/1.1 without a Host field")),
            // Judged when it came ([`HeadParser::add`]).
            Some(value) if value == self.head.host && !value.is_empty() => {}
            None => {}
            Some(value) if !host::is_valid(value.of(buf)) => return Err(Reject::BadHost("malformed Host field")),
            Some(_) => {}
        }
        self.head.body_length = framing::of_request(coding, length, is_11)?;
        self.head.keep_alive = !close && (is_11 || keep_alive);
        self.head.expect_continue = expect && is_11;
        Ok(())
    }
}

#[cfg(test)]
mod tests;

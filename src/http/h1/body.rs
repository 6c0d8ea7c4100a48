//! Bodies: Content-Length and chunked (RFC 9112 §7.1) as a pull decoder. The body bytes stay in the caller's
//! buffer; only trailers are copied.
//!
//! Chunked framing is read byte for byte by the grammar: bare LF, signs, blanks and overlong sizes are refused, since
//! each of them is read in two ways by different servers. Extensions and trailers are bounded.

use super::extension::Extension;
use crate::http::body_length::{BodyLength, LONGEST};
use crate::http::field_syntax::{is_field_byte, split_field};
use crate::http::fields::Fields;
use crate::http::reject::Reject;
use std::ops::Range;

/// Maximum bytes of extensions after one chunk size, and in one body.
const EXTENSION: usize = 4096;
const EXTENSIONS: usize = 4 * EXTENSION;
/// Maximum bytes of all trailer lines.
const TRAILERS: usize = 8192;
/// Bytes of framing that a body may have for each byte of content, and beside that: a byte of content in a chunk of its
/// own takes five, and some write sizes with eight digits.
const OVERHEAD: u64 = 16;
const OVERHEAD_AT_LEAST: u64 = 64 << 10;
/// Runs shorter than this are moved together, so that the handler is called once for many of them.
const SMALL: usize = 4 << 10;
/// Bytes of small chunks that are handed on together where the input must not be changed.
const GATHERED: usize = 2 << 10;
/// Hex digits of a size: as many as a `u64` holds, so no sum is needed to find an overflow.
const DIGITS: u8 = 16;

/// What one call of [`Decoder::next`] found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decoded {
    /// Bytes of the input that are dealt with.
    pub consumed: usize,
    /// The body bytes among them; may be empty.
    pub data: Range<usize>,
    /// The body is complete; what follows `consumed` is the next request.
    pub done: bool,
}

/// A part of a body as [`Decoder::run`] hands it on.
pub struct Run<'a> {
    /// Bytes of the input that it took, framing included.
    pub consumed: usize,
    /// Its content; may be empty.
    pub data: &'a [u8],
    /// See [`Decoder::remaining`].
    pub remaining: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Bytes left of a Content-Length.
    Length(u64),
    /// The body ends with its stream (HTTP/2).
    UntilEnd,
    /// All of the Content-Length has come; trailers may, until the stream ends.
    AwaitEnd,
    Size {
        digits: u8,
        size: u64,
    },
    /// Blanks after the size: only an extension may follow.
    Blank(u64),
    Extension(u64, Extension),
    SizeLf(u64),
    /// Bytes left of a chunk.
    Data(u64),
    DataCr,
    DataLf,
    /// In the trailer section; the line so far is in `trailers`.
    Trailer,
    TrailerLf,
    Done,
}

/// Decodes one request body. Feed it the unread bytes again and again until `done`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decoder {
    state: State,
    /// Extension bytes of this chunk size and of the body.
    extension: usize,
    extensions: usize,
    /// Bytes of framing so far, and how many the content so far allows.
    overhead: u64,
    allowed: u64,
    /// The trailers, once the body is complete. Not to be merged into the header fields: framing and routing are
    /// decided by then (RFC 9110 §6.5.1).
    pub trailers: Fields,
    /// Where the unfinished line in `trailers` starts.
    line: usize,
    /// Not all of that line fitted.
    is_line_cut: bool,
    /// Blanks may stand between a chunk's size and the end of its line, its extensions are not judged, and trailer
    /// lines that are malformed or too long are left out.
    pads: bool,
    /// Nothing is complete before the stream ends, but for a body whose length is 0.
    is_of_stream: bool,
}

impl Default for Decoder {
    /// There is no body.
    fn default() -> Decoder {
        Decoder::new(BodyLength::None)
    }
}

impl Decoder {
    /// A decoder at the first byte of a body of HTTP/1.1, which comes in chunks where its length is not known. Without
    /// a body, or with a length of 0, it is done at once.
    pub fn new(length: BodyLength) -> Decoder {
        let state = match length {
            BodyLength::None | BodyLength::Known(0) => State::Done,
            BodyLength::Known(bytes) => State::Length(bytes),
            BodyLength::Unknown => State::Size { digits: 0, size: 0 },
        };
        Decoder {
            state,
            extension: 0,
            extensions: 0,
            overhead: 0,
            allowed: OVERHEAD_AT_LEAST,
            trailers: Fields::default(),
            line: 0,
            is_line_cut: false,
            pads: false,
            is_of_stream: false,
        }
    }

    /// The body of a response: some servers write the sizes of chunks padded with blanks, and trailers are looked at
    /// only where they are wanted.
    pub fn of_response(length: BodyLength) -> Decoder {
        Decoder { pads: true, ..Decoder::new(length) }
    }

    /// The body of an HTTP/2 stream, which ends with it; a length only says how much comes. Frames carry it, so that
    /// there are no chunks.
    pub fn of_stream(length: BodyLength) -> Decoder {
        match length {
            BodyLength::Unknown => Decoder { state: State::UntilEnd, is_of_stream: true, ..Decoder::default() },
            BodyLength::None | BodyLength::Known(_) => Decoder { is_of_stream: true, ..Decoder::new(length) },
        }
    }

    /// The stream has ended: so has a body that is delimited by that. Whether the body is complete.
    pub fn end(&mut self) -> bool {
        if matches!(self.state, State::UntilEnd | State::AwaitEnd) {
            self.state = State::Done;
        }
        self.is_done()
    }

    /// Takes the next run of body bytes out of `input`, with the framing before it. Not done and nothing consumed means
    /// that `input` is empty.
    ///
    /// # Errors
    /// `BadChunk` (400). The connection cannot be used for another request then.
    pub fn next(&mut self, input: &[u8]) -> Result<Decoded, Reject> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            match self.state {
                State::Done => break,
                State::UntilEnd => return Ok(self.step(input.len(), at..input.len())),
                State::AwaitEnd => return Err(Reject::BadFraming("more body than \"Content-Length\"")),
                State::Length(left) | State::Data(left) => {
                    self.count_overhead(at)?;
                    let run = usize::try_from(left).map_or(input.len() - at, |left| left.min(input.len() - at));
                    self.skip(run as u64);
                    return Ok(self.step(at + run, at..at + run));
                }
                _ => at += 1,
            }
            self.framing(byte)?;
        }
        self.count_overhead(at)?;
        Ok(self.step(at, at..at))
    }

    /// `bytes` of framing were read.
    fn count_overhead(&mut self, bytes: usize) -> Result<(), Reject> {
        self.overhead += bytes as u64;
        if self.overhead > self.allowed {
            return Err(Reject::BadChunk("more framing than content"));
        }
        Ok(())
    }

    /// [`Decoder::next`], but that the runs of small chunks become one: they are moved together in `input`.
    ///
    /// # Errors
    /// Those of `next`; what came before the fault is not handed out.
    pub fn gather(&mut self, input: &mut [u8]) -> Result<Decoded, Reject> {
        let mut all = self.next(input)?;
        if all.data.len() >= SMALL {
            return Ok(all);
        }
        while !all.done && all.consumed < input.len() {
            let at = all.consumed + self.plain_framing(input.get(all.consumed..).unwrap_or_default());
            let step = self.next(input.get(at..).unwrap_or_default())?;
            let run = at + step.data.start..at + step.data.end;
            (all.consumed, all.done) = (at + step.consumed, step.done);
            if all.data.is_empty() {
                all.data = run;
            } else {
                let end = all.data.end + run.len();
                input.copy_within(run, all.data.end);
                all.data.end = end;
            }
        }
        Ok(all)
    }

    /// Takes all of the body that is in `input` from `at` on, which is left where the unread rest begins. Each run of
    /// content goes to `take`, with how many bytes were read for it and what is left of its chunk or of the
    /// Content-Length. True: the body is complete.
    ///
    /// # Errors
    /// Those of [`Decoder::next`], and those of `take`, which ends it.
    pub fn run<E: From<Reject>>(
        &mut self,
        input: &mut [u8],
        at: &mut usize,
        mut take: impl FnMut(Run<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        while !self.is_done() {
            let Some(rest) = input.get_mut(*at..).filter(|rest| !rest.is_empty()) else { break };
            let step = self.gather(rest)?;
            *at += step.consumed;
            let data = rest.get(step.data).unwrap_or_default();
            take(Run { consumed: step.consumed, data, remaining: self.remaining() })?;
            if step.consumed == 0 {
                break;
            }
        }
        Ok(self.is_done())
    }

    /// As [`Decoder::run`], for input that must not be changed: hands the content to `take` piece by piece. The content
    /// of small chunks is copied together into one piece; a piece may be empty. Returns how many bytes of `input`
    /// belong to the body.
    ///
    /// # Errors
    /// Those of [`Decoder::next`].
    pub fn pieces(&mut self, input: &[u8], mut take: impl FnMut(&[u8])) -> Result<usize, Reject> {
        if let State::Length(_) = self.state {
            let step = self.next(input)?;
            take(input.get(step.data).unwrap_or_default());
            return Ok(step.consumed);
        }
        let mut at = 0;
        let (mut held, mut len) = ([0; GATHERED], 0);
        let mut outcome = Ok(());
        while !self.is_done() {
            let Some(rest) = input.get(at..).filter(|rest| !rest.is_empty()) else { break };
            let framing = self.plain_framing(rest);
            let rest = rest.get(framing..).unwrap_or_default();
            let step = match self.next(rest) {
                Ok(step) => step,
                Err(bad) => {
                    outcome = Err(bad);
                    break;
                }
            };
            at += framing + step.consumed;
            let data = rest.get(step.data).unwrap_or_default();
            let is_all = len == 0 && (self.is_done() || at >= input.len());
            if is_all || len + data.len() > GATHERED {
                take(held.get(..std::mem::take(&mut len)).unwrap_or_default());
            }
            match held.get_mut(len..len + data.len()).filter(|_| !is_all) {
                Some(place) => {
                    place.copy_from_slice(data);
                    len += data.len();
                }
                None => take(data),
            }
            if step.consumed == 0 && framing == 0 {
                break;
            }
        }
        take(held.get(..len).unwrap_or_default());
        outcome.map(|()| at)
    }

    /// The framing between two small chunks as all write it, at once; else 0, and it is read byte for byte.
    fn plain_framing(&mut self, input: &[u8]) -> usize {
        let (State::DataCr, &[b'\r', b'\n', digit, b'\r', b'\n', ..]) = (self.state, input) else { return 0 };
        match char::from(digit).to_digit(16) {
            None | Some(0) => 0,
            Some(size) => {
                self.overhead += 5;
                self.state = State::Data(u64::from(size));
                5
            }
        }
    }

    /// Bytes that may be taken without looking at them (splice): what is left of the Content-Length or of the chunk.
    /// `None` between chunks, `Some(0)` when no more may come.
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length(left) | State::Data(left) => Some(left),
            State::Done | State::AwaitEnd => Some(0),
            _ => None,
        }
    }

    /// `n` bytes of the run that [`Decoder::remaining`] gave were taken without the decoder (splice).
    pub fn skip(&mut self, n: u64) {
        self.allowed = self.allowed.saturating_add(n.saturating_mul(OVERHEAD));
        self.state = match self.state {
            State::Length(left) if left <= n && self.is_of_stream => State::AwaitEnd,
            State::Length(left) if left <= n => State::Done,
            State::Length(left) => State::Length(left - n),
            State::Data(left) if left <= n => State::DataCr,
            State::Data(left) => State::Data(left - n),
            other => other,
        };
    }

    /// The body has ended: all of it, its last chunk and its trailers with it, has been decoded.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Its framing took more bytes than its content; short bodies do not count (keepalive_glitches).
    pub fn is_mostly_framing(&self) -> bool {
        const SHORT: u64 = 1 << 10;
        let content = (self.allowed - OVERHEAD_AT_LEAST) / OVERHEAD;
        self.overhead > content.max(SHORT)
    }

    fn step(&self, consumed: usize, data: Range<usize>) -> Decoded {
        Decoded { consumed, data, done: self.is_done() }
    }

    /// One byte of chunked framing.
    fn framing(&mut self, byte: u8) -> Result<(), Reject> {
        let bad = |rule| Err(Reject::BadChunk(rule));
        self.state = match (self.state, byte) {
            (State::Size { digits, size }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                // RFC 9112 §7.1 bounds no leading zeros, which some servers write; a client's are few.
                let digits = if self.pads && size == 0 { 0 } else { digits };
                if digits == DIGITS {
                    return bad("a chunk size of more than 16 digits");
                }
                if size > LONGEST >> 4 {
                    return bad("a chunk size beyond 2^63");
                }
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                State::Size { digits: digits + 1, size: size << 4 | digit }
            }
            (State::Size { digits: 0, .. }, _) => return bad("a chunk size that does not start with a hex digit"),
            (State::Size { size, .. } | State::Blank(size), b';') => State::Extension(size, Extension::Begin),
            (State::Size { size, .. } | State::Blank(size), b' ' | b'\t') => {
                self.count_extension()?;
                State::Blank(size)
            }
            (State::Size { size, .. }, b'\r') => State::SizeLf(size),
            (State::Blank(size), b'\r') if self.pads => State::SizeLf(size),
            (State::Extension(size, at), b'\r') if at.is_whole() || self.pads => State::SizeLf(size),
            (State::Size { .. } | State::Blank(_), _) => return bad("junk after a chunk size"),
            (State::Extension(size, at), _) => {
                self.count_extension()?;
                let next = at.next(byte).or((self.pads && is_field_byte(byte)).then_some(at));
                let Some(next) = next else { return bad("a malformed chunk extension") };
                State::Extension(size, next)
            }
            (State::SizeLf(size), b'\n') => {
                self.extension = 0;
                if size == 0 { State::Trailer } else { State::Data(size) }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size { digits: 0, size: 0 },
            (State::DataCr | State::DataLf, _) => return bad("chunk data not followed by CRLF"),
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::Trailer, b'\n') => return bad("a bare LF in the trailers"),
            (State::Trailer, _) => {
                match self.trailers.lines().len() + 2 < TRAILERS {
                    true => self.trailers.lines_mut().push(byte),
                    // How many of them there may be is bounded as all framing is.
                    false if self.pads => self.is_line_cut = true,
                    false => return Err(Reject::HeaderTooLarge { limit: TRAILERS }),
                }
                State::Trailer
            }
            (State::TrailerLf, b'\n') => self.end_trailer_line()?,
            (State::SizeLf(_) | State::TrailerLf, _) => return bad("a bare CR"),
            (other @ (State::Length(_) | State::UntilEnd | State::AwaitEnd | State::Data(_) | State::Done), _) => other,
        };
        Ok(())
    }

    fn count_extension(&mut self) -> Result<(), Reject> {
        self.extension += 1;
        self.extensions += 1;
        if self.extension > EXTENSION || self.extensions > EXTENSIONS {
            return Err(Reject::BadChunk("too long chunk extensions"));
        }
        Ok(())
    }

    fn end_trailer_line(&mut self) -> Result<State, Reject> {
        let line = self.trailers.lines().get(self.line..).unwrap_or_default();
        let is_cut = std::mem::take(&mut self.is_line_cut);
        if line.is_empty() && !is_cut {
            return Ok(State::Done);
        }
        match split_field(line) {
            _ if is_cut => self.trailers.lines_mut().truncate(self.line),
            Ok(_) => self.trailers.lines_mut().extend_from_slice(b"\r\n"),
            Err(_) if self.pads => self.trailers.lines_mut().truncate(self.line),
            Err(reject) => return Err(reject),
        }
        self.line = self.trailers.lines().len();
        Ok(State::Trailer)
    }
}

#[cfg(test)]
mod tests;

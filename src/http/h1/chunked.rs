//! The chunks of HTTP/1.1 (RFC 9112 §7.1) as a pull decoder: where in the input the content of the next chunk lies.
//! Which bodies come in chunks, [`crate::http::body_reader`] knows.
//!
//! Chunked framing is read byte for byte by the grammar: bare LF, signs, blanks and overlong sizes are refused, since
//! each of them is read in two ways by different servers. Extensions and trailers are bounded.

use super::extension::Extension;
use crate::http::body_length::LONGEST;
use crate::http::field_syntax::{is_field_byte, split_field};
use crate::http::fields::Fields;
use crate::http::reject::Reject;
use std::ops::Range;

/// Maximum bytes of extensions after one chunk size, and in one body.
pub(in crate::http) const EXTENSION: usize = 4096;
const EXTENSIONS: usize = 4 * EXTENSION;
/// Maximum bytes of all trailer lines.
pub(in crate::http) const TRAILERS: usize = 8192;
/// Bytes of framing that a body may have for each byte of content, and beside that: a byte of content in a chunk of its
/// own takes five, and some write sizes with eight digits.
const OVERHEAD: u64 = 16;
const OVERHEAD_AT_LEAST: u64 = 64 << 10;
/// Hex digits of a size: as many as a `u64` holds, so no sum is needed to find an overflow.
const DIGITS: u8 = 16;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
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
    /// In the trailer section; the line so far is the end of the trailers.
    Trailer,
    TrailerLf,
    Done,
}

/// Decodes the chunks of one body. The trailers are the caller's, who gives the same ones at each call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChunkedDecoder {
    state: State,
    /// Extension bytes of this chunk size and of the body.
    extension: usize,
    extensions: usize,
    /// Bytes of framing so far, and how many the content so far allows.
    overhead: u64,
    allowed: u64,
    /// Where the unfinished line in the trailers starts.
    line: usize,
    /// Not all of that line fitted.
    is_line_cut: bool,
    /// Blanks may stand between a chunk's size and the end of its line, its extensions are not judged, and trailer
    /// lines that are malformed or too long are left out.
    is_lenient: bool,
}

impl ChunkedDecoder {
    /// At the first byte of a body. `is_lenient`: it is a response's. Some servers write the sizes of chunks padded
    /// with blanks, and trailers are looked at only where they are wanted.
    pub fn new(is_lenient: bool) -> ChunkedDecoder {
        ChunkedDecoder {
            state: State::Size { digits: 0, size: 0 },
            extension: 0,
            extensions: 0,
            overhead: 0,
            allowed: OVERHEAD_AT_LEAST,
            line: 0,
            is_line_cut: false,
            is_lenient,
        }
    }

    /// Takes the next run of content out of `input`, with the framing before it: how many bytes of the input that took,
    /// and the content among them, which may be empty. Trailers are appended to `trailers`.
    ///
    /// # Errors
    /// `BadChunk` (400). The connection cannot be used for another request then.
    pub fn next(&mut self, input: &[u8], trailers: &mut Fields) -> Result<(usize, Range<usize>), Reject> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            match self.state {
                State::Done => break,
                State::Data(left) => {
                    self.count_overhead(at)?;
                    let run = usize::try_from(left).map_or(input.len() - at, |left| left.min(input.len() - at));
                    self.skip(run as u64);
                    return Ok((at + run, at..at + run));
                }
                _ => at += 1,
            }
            self.framing(byte, trailers)?;
        }
        self.count_overhead(at)?;
        Ok((at, at..at))
    }

    /// The framing between two small chunks as all write it, at once; else 0, and it is read byte for byte.
    pub fn plain_framing(&mut self, input: &[u8]) -> usize {
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

    /// Bytes left of the present chunk. None: between chunks.
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Data(left) => Some(left),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// `n` bytes of the present chunk were taken.
    pub fn skip(&mut self, n: u64) {
        self.allowed = self.allowed.saturating_add(n.saturating_mul(OVERHEAD));
        self.state = match self.state {
            State::Data(left) if left <= n => State::DataCr,
            State::Data(left) => State::Data(left - n),
            other => other,
        };
    }

    /// The last chunk and the trailers behind it have been decoded.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The framing took more bytes than the content; short bodies do not count.
    pub fn is_mostly_framing(&self) -> bool {
        const SHORT: u64 = 1 << 10;
        let content = (self.allowed - OVERHEAD_AT_LEAST) / OVERHEAD;
        self.overhead > content.max(SHORT)
    }

    /// `bytes` of framing were read.
    fn count_overhead(&mut self, bytes: usize) -> Result<(), Reject> {
        self.overhead += bytes as u64;
        if self.overhead > self.allowed {
            return Err(Reject::BadChunk("more framing than content"));
        }
        Ok(())
    }

    /// One byte of chunked framing.
    fn framing(&mut self, byte: u8, trailers: &mut Fields) -> Result<(), Reject> {
        let bad = |rule| Err(Reject::BadChunk(rule));
        self.state = match (self.state, byte) {
            (State::Size { digits, size }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                // RFC 9112 §7.1 bounds no leading zeros, which some servers write; a client's are few.
                let digits = if self.is_lenient && size == 0 { 0 } else { digits };
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
            (State::Blank(size), b'\r') if self.is_lenient => State::SizeLf(size),
            (State::Extension(size, at), b'\r') if at.is_whole() || self.is_lenient => State::SizeLf(size),
            (State::Size { .. } | State::Blank(_), _) => return bad("junk after a chunk size"),
            (State::Extension(size, at), _) => {
                self.count_extension()?;
                let next = at.next(byte).or((self.is_lenient && is_field_byte(byte)).then_some(at));
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
                match trailers.lines().len() + 2 < TRAILERS {
                    true => trailers.lines_mut().push(byte),
                    // How many of them there may be is bounded as all framing is.
                    false if self.is_lenient => self.is_line_cut = true,
                    false => return Err(Reject::HeaderTooLarge { limit: TRAILERS }),
                }
                State::Trailer
            }
            (State::TrailerLf, b'\n') => self.end_trailer_line(trailers)?,
            (State::SizeLf(_) | State::TrailerLf, _) => return bad("a bare CR"),
            (other @ (State::Data(_) | State::Done), _) => other,
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

    fn end_trailer_line(&mut self, trailers: &mut Fields) -> Result<State, Reject> {
        let line = trailers.lines().get(self.line..).unwrap_or_default();
        let is_cut = std::mem::take(&mut self.is_line_cut);
        if line.is_empty() && !is_cut {
            return Ok(State::Done);
        }
        match split_field(line) {
            _ if is_cut => trailers.lines_mut().truncate(self.line),
            Ok(_) => trailers.lines_mut().extend_from_slice(b"\r\n"),
            Err(_) if self.is_lenient => trailers.lines_mut().truncate(self.line),
            Err(reject) => return Err(reject),
        }
        self.line = trailers.lines().len();
        Ok(State::Trailer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_may_take_exactly_as_many_bytes_as_are_allowed() {
        for (extra, expected) in [(0, true), (1, false)] {
            let mut decoder = ChunkedDecoder::new(true);
            let most = usize::try_from(OVERHEAD_AT_LEAST).expect("a small number");
            // Leading zeros of a response's chunk size.
            let zeros = "0".repeat(most + extra);
            assert_eq!(decoder.next(zeros.as_bytes(), &mut Fields::default()).is_ok(), expected, "{extra} more");
        }
    }
}

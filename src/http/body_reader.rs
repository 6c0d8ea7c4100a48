//! Bodies as they are read, whatever protocol carries them: by their length, by the end of their stream (HTTP/2), or in
//! chunks ([`h1::chunked`](super::h1::chunked)). The body's bytes stay in the caller's buffer; only trailers are
//! copied.

use crate::http::body_length::BodyLength;
use crate::http::fields::Fields;
use crate::http::h1::chunked::ChunkedDecoder;
use crate::http::reject::Reject;
use std::ops::Range;

/// Runs shorter than this are moved together, so that the handler is called once for many of them.
const SMALL: usize = 4 << 10;
/// Bytes of small chunks that are handed on together where the input must not be changed.
const GATHERED: usize = 2 << 10;

/// What one call of [`BodyReader::next`] found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decoded {
    /// Bytes of the input that are dealt with.
    pub consumed: usize,
    /// The body bytes among them; may be empty.
    pub data: Range<usize>,
    /// The body is complete; what follows `consumed` is the next request.
    pub done: bool,
}

/// A part of a body as [`BodyReader::run`] hands it on.
pub struct Run<'a> {
    /// Bytes of the input that it took, framing included.
    pub consumed: usize,
    /// Its content; may be empty.
    pub data: &'a [u8],
    /// See [`BodyReader::remaining`].
    pub remaining: Option<u64>,
}

/// How the end of a body is found.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Framing {
    /// The body is complete, or there is none.
    Done,
    /// By its length: bytes left of it.
    Length(u64),
    /// By the end of its stream (HTTP/2); bytes left of a length that was announced. Trailers may follow them.
    Stream(Option<u64>),
    /// By its last chunk (HTTP/1.1).
    Chunked(ChunkedDecoder),
}

/// Reads one body. Feed it the unread bytes again and again until `done`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BodyReader {
    framing: Framing,
    /// The trailers, once the body is complete. Not to be merged into the header fields: framing and routing are
    /// decided by then (RFC 9110 §6.5.1).
    pub trailers: Fields,
}

impl Default for BodyReader {
    /// There is no body.
    fn default() -> BodyReader {
        BodyReader::new(BodyLength::None)
    }
}

impl BodyReader {
    /// At the first byte of a request's body of HTTP/1.1, which comes in chunks where its length is not known. Without
    /// a body, or with a length of 0, it is done at once.
    pub fn new(length: BodyLength) -> BodyReader {
        BodyReader::of(length, || Framing::Chunked(ChunkedDecoder::new(false)))
    }

    /// The body of a response: its chunks are read as leniently as is safe.
    pub fn of_response(length: BodyLength) -> BodyReader {
        BodyReader::of(length, || Framing::Chunked(ChunkedDecoder::new(true)))
    }

    /// The body of an HTTP/2 stream, which ends with it; a length only says how much comes. Frames carry it, so that
    /// there are no chunks.
    pub fn of_stream(length: BodyLength) -> BodyReader {
        match BodyReader::of(length, || Framing::Stream(None)) {
            BodyReader { framing: Framing::Length(bytes), trailers } => {
                BodyReader { framing: Framing::Stream(Some(bytes)), trailers }
            }
            other => other,
        }
    }

    fn of(length: BodyLength, unknown: impl FnOnce() -> Framing) -> BodyReader {
        let framing = match length {
            BodyLength::None | BodyLength::Known(0) => Framing::Done,
            BodyLength::Known(bytes) => Framing::Length(bytes),
            BodyLength::Unknown => unknown(),
        };
        BodyReader { framing, trailers: Fields::default() }
    }

    /// The stream has ended: so has a body that is delimited by that. Whether the body is complete.
    pub fn end(&mut self) -> bool {
        if let Framing::Stream(None | Some(0)) = self.framing {
            self.framing = Framing::Done;
        }
        self.is_done()
    }

    /// Takes the next run of body bytes out of `input`, with the framing before it. Not done and nothing consumed means
    /// that `input` is empty.
    ///
    /// # Errors
    /// `BadChunk` or `BadFraming` (400). The connection cannot be used for another request then.
    pub fn next(&mut self, input: &[u8]) -> Result<Decoded, Reject> {
        let left = match &mut self.framing {
            Framing::Chunked(chunks) => {
                let (consumed, data) = chunks.next(input, &mut self.trailers)?;
                return Ok(Decoded { consumed, data, done: chunks.is_done() });
            }
            Framing::Stream(Some(0)) if !input.is_empty() => {
                return Err(Reject::BadFraming("more body than \"Content-Length\""));
            }
            Framing::Stream(None) => u64::MAX,
            Framing::Length(left) | Framing::Stream(Some(left)) => *left,
            Framing::Done => 0,
        };
        let run = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        self.skip(run as u64);
        Ok(Decoded { consumed: run, data: 0..run, done: self.is_done() })
    }

    /// [`BodyReader::next`], but that the runs of small chunks become one: they are moved together in `input`.
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
    /// Those of [`BodyReader::next`], and those of `take`, which ends it.
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

    /// As [`BodyReader::run`], for input that must not be changed: hands the content to `take` piece by piece. The
    /// content of small chunks is copied together into one piece; a piece may be empty. Returns how many bytes of
    /// `input` belong to the body.
    ///
    /// # Errors
    /// Those of [`BodyReader::next`].
    pub fn pieces(&mut self, input: &[u8], mut take: impl FnMut(&[u8])) -> Result<usize, Reject> {
        if let Framing::Length(_) = self.framing {
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

    /// See [`ChunkedDecoder::plain_framing`].
    fn plain_framing(&mut self, input: &[u8]) -> usize {
        match &mut self.framing {
            Framing::Chunked(chunks) => chunks.plain_framing(input),
            Framing::Done | Framing::Length(_) | Framing::Stream(_) => 0,
        }
    }

    /// Bytes that may be taken without looking at them (splice): what is left of the Content-Length or of the chunk.
    /// `None` between chunks, `Some(0)` when no more may come.
    pub fn remaining(&self) -> Option<u64> {
        match &self.framing {
            Framing::Done => Some(0),
            Framing::Length(left) => Some(*left),
            Framing::Stream(left) => *left,
            Framing::Chunked(chunks) => chunks.remaining(),
        }
    }

    /// `n` bytes of the run that [`BodyReader::remaining`] gave were taken without the reader (splice).
    pub fn skip(&mut self, n: u64) {
        match &mut self.framing {
            Framing::Done | Framing::Stream(None) => {}
            Framing::Length(left) if *left <= n => self.framing = Framing::Done,
            Framing::Length(left) => *left -= n,
            Framing::Stream(Some(left)) => *left = left.saturating_sub(n),
            Framing::Chunked(chunks) => chunks.skip(n),
        }
    }

    /// The body has ended: all of it, its last chunk and its trailers with it, has been read.
    pub fn is_done(&self) -> bool {
        match &self.framing {
            Framing::Done => true,
            Framing::Length(_) | Framing::Stream(_) => false,
            Framing::Chunked(chunks) => chunks.is_done(),
        }
    }

    /// Its framing took more bytes than its content; short bodies do not count (keepalive_glitches).
    pub fn is_mostly_framing(&self) -> bool {
        matches!(&self.framing, Framing::Chunked(chunks) if chunks.is_mostly_framing())
    }
}

#[cfg(test)]
mod tests;

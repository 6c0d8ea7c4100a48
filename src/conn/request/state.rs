//! The state of reading a request, kept beside the exchange, which does not depend on it.

use crate::conn::arrival::Arrival;
use crate::exchange::{Exchange, Rx};
use crate::http::body_length::BodyLength;
use crate::http::body_reader::BodyReader;
use crate::http::fields::Fields;
use crate::http::h1::head::{HeadParser, HeadProgress};
use crate::http::reject::Reject;
use std::rc::Rc;

/// How far a connection's requests, or the one of a stream, have been read.
#[derive(Default)]
pub struct RequestReader {
    /// Bytes read from the client; this request's begin at `start`.
    pub input: Vec<u8>,
    /// Offset in `input` of the request's first byte.
    pub start: usize,
    /// The request came behind another.
    is_pipelined: bool,
    /// How fresh the files that are looked up for them must be.
    pub arrival: Arrival,
    /// The head that is being read.
    pub parser: HeadParser,
    /// Where in `input` the unread rest begins once the head is complete: body bytes, then further requests.
    pub body_at: usize,
    /// From the head of a request with a body to the end of that body.
    pub body: Option<BodyReader>,
    /// The body had more framing than content (keepalive_glitches).
    pub was_mostly_framing: bool,
    /// The client's head lets the connection be kept.
    pub may_keep: bool,
    /// `100 Continue` may still be sent.
    pub expects_continue: bool,
    /// Deadline for reading a body that is discarded (monotonic milliseconds); 0 until discarding begins.
    pub drain_until: u64,
    /// keepalive_timeout of the location that answered last, in milliseconds.
    pub idle_for: u64,
    /// The cache's hash of the request, if it was seen before ([`crate::exchange::cacheable::learn`]).
    pub seen: Option<u64>,
}

impl RequestReader {
    /// For a connection that has read `input`; its next request begins at `start`.
    pub fn begin(&mut self, input: Vec<u8>, start: usize) {
        self.input = input;
        self.start = start;
        self.arrival = Arrival::default();
        self.next_request();
    }

    /// Forgets the request that was answered. Unread input from `start` on is the next.
    pub fn next_request(&mut self) {
        let mut input = std::mem::take(&mut self.input);
        let mut start = self.start.min(input.len());
        let is_pipelined = start > 0 && start < input.len();
        if start > input.len() / 2 {
            // Of pipelined requests with bodies, each leaves its own bytes in front of the next.
            input.drain(..start);
            start = 0;
        }
        self.parser.clear();
        *self = RequestReader {
            input,
            start,
            is_pipelined,
            body_at: start,
            arrival: self.arrival,
            parser: std::mem::take(&mut self.parser),
            idle_for: self.idle_for,
            ..RequestReader::default()
        };
    }

    /// What was read of this request and behind it.
    pub fn unread(&self) -> &[u8] {
        self.input.get(self.start..).unwrap_or_default()
    }

    /// Bytes of a further request, or of the body, are in the buffer already.
    pub fn has_more(&self) -> bool {
        self.input.len() > self.body_at
    }

    /// The request's bytes are done with.
    pub fn consume(&mut self) {
        self.start = self.body_at.min(self.input.len());
    }

    /// What was read behind the request.
    pub fn take_rest(&mut self) -> Vec<u8> {
        self.input.split_off(self.body_at.min(self.input.len()))
    }

    /// Goes on with the head of the next request, by the limits that hold for `ex`.
    ///
    /// # Errors
    /// The head is no HTTP.
    pub fn parse(&mut self, ex: &Exchange) -> Result<HeadProgress, Reject> {
        self.parser.parse(self.input.get(self.start..).unwrap_or_default(), &ex.head_limits())
    }

    /// The head is complete: passes it to the exchange.
    pub fn hand_over(&mut self, ex: &mut Exchange) {
        let head = &self.parser.head;
        let len = head.len;
        self.body_at = self.start + len;
        self.body = match head.body_length {
            BodyLength::None => None,
            length @ (BodyLength::Known(_) | BodyLength::Unknown) => Some(BodyReader::new(length)),
        };
        self.may_keep = head.keep_alive;
        self.give(ex, len);
        self.expects_continue = ex.request.expects_continue();
        ex.progress.has_buffered_body = self.has_more();
        let came = self.input.len().saturating_sub(self.body_at) as u64;
        ex.progress.has_whole_body = matches!(ex.request.head.body_length, BodyLength::Known(length) if length <= came);
    }

    /// The head will not be complete: the exchange has what came of it.
    pub fn hand_over_partial(&mut self, ex: &mut Exchange) {
        self.body_at = self.start + self.parser.head.len;
        let method = self.parser.method_so_far(self.unread());
        (self.parser.head.method, ex.route.method) = (method, method);
        self.give(ex, self.unread().len());
    }

    fn give(&mut self, ex: &mut Exchange, len: usize) {
        if Rc::get_mut(&mut ex.request).is_none() {
            ex.request = Rc::default();
        }
        let Some(request) = Rc::get_mut(&mut ex.request) else { return };
        request.text.clear();
        request.text.extend_from_slice(self.unread().get(..len).unwrap_or_default());
        request.pipelined = self.is_pipelined;
        self.parser.take(&mut request.head);
    }

    /// Skips the body bytes that came with the head.
    pub(super) fn discard_buffered(&mut self, ex: &mut Exchange) -> Result<(), Reject> {
        if self.has_more()
            && let Some(body) = &mut self.body
            && body.run(&mut self.input, &mut self.body_at, |_| Ok::<(), Reject>(()))?
        {
            self.end_body();
            ex.progress.rx = Rx::Done;
        }
        Ok(())
    }

    /// No byte of the body is missing, or there is none.
    pub fn is_body_complete(&self) -> bool {
        self.body.as_ref().is_none_or(BodyReader::is_done)
    }

    /// See [`BodyReader::remaining`]; 0 where there is no body.
    pub fn remaining(&self) -> Option<u64> {
        self.body.as_ref().map_or(Some(0), BodyReader::remaining)
    }

    /// The body is complete: gives its trailers.
    pub fn end_body(&mut self) -> Fields {
        let Some(body) = self.body.take() else { return Fields::default() };
        self.was_mostly_framing = body.is_mostly_framing();
        body.trailers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each request's body brings a piece of the next ones, which is put behind what was dealt with.
    #[test]
    fn pipelined_requests_do_not_gather_in_the_buffer() {
        const PIECE: usize = 64 << 10;
        let mut reader = RequestReader::default();
        reader.begin(Vec::new(), 0);
        let mut sent = 0usize;
        for n in 0..1000usize {
            while reader.unread().len() < 100 {
                let piece: Vec<u8> = (sent..sent + PIECE).map(|at| (at / 100) as u8).collect();
                reader.input.extend_from_slice(&piece);
                sent += PIECE;
            }
            reader.input.extend((sent..sent + PIECE).map(|at| (at / 100) as u8));
            sent += PIECE;
            reader.body_at = reader.start + PIECE;
            assert_eq!(reader.unread().first(), Some(&((n * PIECE / 100) as u8)));
            reader.consume();
            reader.next_request();
            assert!(reader.is_pipelined);
            assert!(reader.input.capacity() <= 8 * PIECE, "{} bytes are held", reader.input.capacity());
        }
    }
}

//! The state of reading a request, kept beside the exchange, which does not depend on it. What only HTTP/1 keeps of it
//! is in [`crate::conn::http1::state`].

use crate::conn::arrival::Arrival;
use crate::exchange::{Exchange, Rx};
use crate::http::body_reader::BodyReader;
use crate::http::fields::Fields;
use crate::http::reject::Reject;

/// How far a connection's requests, or the one of a stream, have been read.
#[derive(Default)]
pub struct RequestReader {
    /// Bytes read from the client; those before `at` are dealt with.
    pub input: Vec<u8>,
    /// Where in `input` the unread rest begins: what has come of a head; behind one that was passed on, body bytes and
    /// then further requests.
    pub at: usize,
    /// How fresh the files that are looked up for them must be.
    pub arrival: Arrival,
    /// From the head of a request with a body to the end of that body.
    pub body: Option<BodyReader>,
    /// The body had more framing than content (keepalive_glitches).
    pub was_mostly_framing: bool,
    /// The client lets the connection be kept; never for a stream, which carries one request.
    pub may_keep: bool,
    /// `100 Continue` may still be sent.
    pub expects_continue: bool,
    /// Deadline for reading a body that is discarded (monotonic milliseconds); 0 until discarding begins.
    pub drain_until: u64,
}

impl RequestReader {
    /// For a connection that has read `input`; its next request begins at `at`.
    pub fn begin(&mut self, input: Vec<u8>, at: usize) {
        self.input = input;
        self.at = at;
        self.arrival = Arrival::default();
        self.next_request();
    }

    /// Forgets the request that was answered. Unread input is the next.
    pub fn next_request(&mut self) {
        let mut input = std::mem::take(&mut self.input);
        let mut at = self.at.min(input.len());
        if at > input.len() / 2 {
            // Of pipelined requests with bodies, each leaves its own bytes in front of the next.
            input.drain(..at);
            at = 0;
        }
        *self = RequestReader { input, at, arrival: self.arrival, ..RequestReader::default() };
    }

    /// What was read and is not dealt with.
    pub fn unread(&self) -> &[u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    /// There is something unread: of the head, or behind a head that was passed on.
    pub fn has_more(&self) -> bool {
        self.input.len() > self.at
    }

    /// Takes what is unread.
    pub fn take_rest(&mut self) -> Vec<u8> {
        self.input.split_off(self.at.min(self.input.len()))
    }

    /// Skips the body bytes that came with the head.
    pub(super) fn discard_buffered(&mut self, ex: &mut Exchange) -> Result<(), Reject> {
        if self.has_more()
            && let Some(body) = &mut self.body
            && body.run(&mut self.input, &mut self.at, |_| Ok::<(), Reject>(()))?
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
            assert_eq!(reader.unread().first(), Some(&((n * PIECE / 100) as u8)));
            reader.at += PIECE;
            reader.next_request();
            assert_eq!((reader.has_more(), reader.unread().len()), (true, sent - (n + 1) * PIECE));
            assert!(reader.input.capacity() <= 8 * PIECE, "{} bytes are held", reader.input.capacity());
        }
        reader.at = reader.input.len();
        reader.next_request();
        assert_eq!((reader.has_more(), reader.unread().len(), reader.at), (false, 0, 0));
    }
}

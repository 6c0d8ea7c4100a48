//! How a response is written into its queue: as the text of HTTP/1, or as segments that a protocol with frames sends.
//! What makes a response calls these and knows neither form.

use super::{Segment, SendQueue, Whole, Wire};
use crate::exchange::body_encoder::{Filled, Source};
use crate::http::fields::Fields;
use crate::http::h1::encode::{self, Connection};
use crate::http::h2::response;
use crate::http::response_head::{Delimiter, ResponseHead};
use crate::http::status::Status;
use crate::http::version::Version;
use crate::services::slice::Slice;
use crate::sys::Errno;
use std::ops::Range;

impl SendQueue {
    /// The protocol frames what it takes from here: [`Segment::Head`], body, [`Segment::End`].
    pub fn use_frames(&mut self) {
        self.wire = Wire::Frames;
    }

    /// The request asks for another protocol on its stream.
    pub fn expect_tunnel(&mut self) {
        self.is_tunnel = true;
    }

    /// Success, which would begin a tunnel, may not be the answer unless the protocol is switched to.
    pub fn expects_tunnel(&self) -> bool {
        self.is_tunnel
    }

    /// The protocol has frames.
    pub fn has_frames(&self) -> bool {
        self.wire == Wire::Frames
    }

    /// Whether the protocol can mark the end of a body whose length is not known before.
    pub fn may_mark_end(&self, version: Version) -> bool {
        self.wire == Wire::Frames || version != Version::Http10
    }

    /// Whether the connection outlives the response whose head comes next, and the seconds that `Keep-Alive` names.
    pub fn decide_connection(&mut self, keep_alive: bool, hint: Option<u64>) {
        (self.framing.keep_alive, self.framing.keep_alive_hint) = (keep_alive, hint);
    }

    /// The connection ends with this response, whatever was decided before.
    pub fn end_connection(&mut self) {
        self.framing.keep_alive = false;
    }

    /// The connection outlives this response.
    pub fn keeps_connection(&self) -> bool {
        self.framing.keep_alive
    }

    /// How a client sees where this response's body ends.
    pub fn delimit(&mut self, by: Delimiter) {
        if by == Delimiter::Close {
            self.end_connection();
        }
        if self.wire == Wire::Http1 {
            self.framing.body_end = by;
        }
    }

    /// The rest of the body will not come: the connection ends in a way that does not look like the end of the body.
    pub fn break_off(&mut self) {
        self.end_connection();
        self.framing.is_cut = true;
    }

    /// The body was broken off.
    pub fn is_cut(&self) -> bool {
        self.framing.is_cut
    }

    /// The client takes the end of the connection for the end of the body.
    pub fn is_until_close(&self) -> bool {
        self.framing.body_end == Delimiter::Close
    }

    /// The body of this response is sent in chunks of HTTP/1.1.
    pub fn is_chunked(&self) -> bool {
        self.framing.body_end == Delimiter::Mark
    }

    /// Trailers can follow the body.
    pub fn takes_trailers(&self) -> bool {
        self.is_chunked() || self.wire == Wire::Frames
    }

    /// The value of Transfer-Encoding that its head has.
    pub fn transfer_coding(&self) -> Option<&'static [u8]> {
        self.is_chunked().then_some(encode::CHUNKED)
    }

    /// The value of Connection that its head has. `upgrade`: the response changes the protocol.
    pub fn connection_option(&self, upgrade: bool) -> &'static [u8] {
        encode::connection(self.connection(), upgrade)
    }

    /// What its head says of the connection.
    fn connection(&self) -> Connection {
        if self.framing.keep_alive { Connection::Keep(self.framing.keep_alive_hint) } else { Connection::Close }
    }

    /// The head of the response.
    pub fn head(&mut self, head: &ResponseHead<'_>) {
        match self.wire {
            Wire::Http1 => {
                encode::head(head, self.framing.body_end, self.connection(), &mut self.buf);
            }
            Wire::Frames => {
                self.seal();
                // RFC 8441 §5: on a stream, success is what begins the tunnel.
                let status = if head.upgrade { Status::OK } else { head.status };
                self.date = response::head(status, head, &mut self.buf);
                let block = self.sealed_block();
                self.segments.push_back(Segment::Head { block, is_final: true });
            }
        }
    }

    /// Makes a header block of its own of what was appended.
    fn sealed_block(&mut self) -> Range<usize> {
        let block = self.sealed..self.buf.len();
        self.sealed = block.end;
        self.queued += block.len() as u64;
        block
    }

    /// An interim response (1xx).
    pub fn interim(&mut self, status: Status, fields: &Fields) {
        match self.wire {
            Wire::Http1 => encode::interim(status, fields, &mut self.buf),
            Wire::Frames => {
                self.seal();
                response::interim(status, fields, &mut self.buf);
                let block = self.sealed_block();
                self.segments.push_back(Segment::Head { block, is_final: false });
            }
        }
        self.begin_response();
    }

    /// Of a protocol without frames: the last response of the queue's text, `length` bytes with a head of `head_size`.
    pub fn unframed(&self, head_size: usize, length: usize) -> Option<Whole<'_>> {
        let response = self.buf.get(self.buf.len().checked_sub(length)?..)?;
        let (head, body) = response.split_at_checked(head_size)?;
        Some(Whole { head, date: encode::date_at(head)?, body, file: None })
    }

    /// A piece of the body.
    pub fn data(&mut self, data: &[u8]) {
        if data.is_empty() || self.queue_received(data) {
            return;
        }
        match self.framing.body_end {
            Delimiter::Mark => encode::chunk(data, &mut self.buf),
            Delimiter::Length | Delimiter::Close => self.buf.extend_from_slice(data),
        }
    }

    /// Appends the next piece of a body that is made as it is sent, from about `most` bytes, as `end` frames it.
    pub(super) fn fill(
        source: &mut Source,
        end: Delimiter,
        scratch: &mut Vec<u8>,
        piece: &mut Vec<u8>,
        (slice, most): (&mut Slice, usize),
    ) -> Result<Filled, Errno> {
        match end {
            Delimiter::Mark => encode::chunk_made(piece, |piece| source.fill(scratch, piece, slice, most)),
            Delimiter::Length | Delimiter::Close => source.fill(scratch, piece, slice, most),
        }
    }

    /// `size` bytes of body follow, as text or by reference; then [`SendQueue::close`].
    pub fn open(&mut self, size: u64) {
        if self.is_chunked() {
            encode::open_chunk(size, &mut self.buf);
        }
    }

    /// The end of what [`SendQueue::open`] began.
    pub fn close(&mut self) {
        if self.is_chunked() {
            encode::close_chunk(&mut self.buf);
        }
    }

    /// The body is complete. Gives how many of the appended bytes are a block of trailers, which is no part of the
    /// body.
    pub fn end(&mut self, trailers: &Fields) -> u64 {
        if self.is_chunked() {
            encode::last_chunk(trailers, &mut self.buf);
        }
        if self.wire != Wire::Frames {
            return 0;
        }
        self.seal();
        response::trailers(trailers, &mut self.buf);
        let block = self.sealed_block();
        let len = block.len() as u64;
        self.segments.push_back(Segment::End { block });
        len
    }
}

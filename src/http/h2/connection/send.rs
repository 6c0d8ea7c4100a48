//! What is sent: heads, DATA, resets and GOAWAY, and the windows they are sent into.

use super::{BYTES_PER_IDLE, Connection, IDLE_PER_DATA, REMEMBERED};
use crate::http::h2::error::ErrorCode;
use crate::http::h2::frame::{self, EndStream, FrameHeader, HEADER_LEN, flag, kind};
use crate::http::h2::hpack;
use crate::http::h2::stream::Stream;

impl Connection {
    /// How many bytes of DATA may be sent on the stream now.
    pub fn room(&self, id: u32) -> usize {
        self.streams.get(id).map_or(0, |stream| self.room_of(stream))
    }

    /// As [`Connection::room`], of one of [`Connection::streams`].
    pub fn room_of(&self, stream: &Stream) -> usize {
        if stream.is_reset || stream.is_sent { 0 } else { stream.send.room().min(self.send.room()) }
    }

    /// The connection's window is used up: no stream has room.
    pub fn is_blocked(&self) -> bool {
        self.send.room() == 0
    }

    /// Appends a header block, whose fields `write` encodes: the response's head, or, after it, trailers. Nothing of a
    /// stream that was reset.
    pub fn head(&mut self, id: u32, end: EndStream, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(stream) = self.streams.get_mut(id).filter(|stream| !stream.is_reset && !stream.is_sent) else {
            return;
        };
        stream.is_sent = end == EndStream::Yes;
        let first = std::mem::take(&mut self.first_block);
        frame::headers(out, id, end, self.peer.max_frame, |out| {
            if first {
                out.push(hpack::encode::NO_TABLE);
            }
            write(out);
        });
    }

    /// Appends the header of a DATA frame, whose `len` bytes the caller sends behind it: at most [`Connection::room`]
    /// and [`Connection::max_frame`]. Nothing, and false, for a stream that was reset.
    pub fn data(&mut self, id: u32, len: usize, end: EndStream, out: &mut Vec<u8>) -> bool {
        let Some(stream) = self.streams.get_mut(id).filter(|stream| !stream.is_reset && !stream.is_sent) else {
            return false;
        };
        debug_assert!(len <= stream.send.room() && len <= self.send.room() && len <= self.peer.max_frame as usize);
        self.data_sent(id, len, 1);
        FrameHeader { len: len as u32, kind: kind::DATA, flags: end.flag(), stream: id }.write(out);
        if end == EndStream::Yes {
            self.end_sent(id);
        }
        true
    }

    /// Appends DATA frames of at most `chunk` bytes, whose content `read` appends, with room for a header before each
    /// `chunk` of it, and gives how much that was: nothing is appended where it is nothing. The stream ends with `last`
    /// bytes.
    pub fn data_from(
        &mut self,
        id: u32,
        (last, chunk): (usize, usize),
        out: &mut Vec<u8>,
        read: impl FnOnce(&mut Vec<u8>) -> usize,
    ) -> usize {
        let start = out.len();
        let got = read(out);
        if got == 0 {
            return 0;
        }
        self.data_sent(id, got, got.div_ceil(chunk));
        let mut sent = 0;
        for (at, len) in frame::places(got, chunk) {
            sent += len;
            let flags = if sent == last { flag::END_STREAM } else { 0 };
            let header = FrameHeader { len: len as u32, kind: kind::DATA, flags, stream: id };
            let start = start + at;
            if let Some(place) = out.get_mut(start..start + HEADER_LEN) {
                place.copy_from_slice(&header.bytes());
            }
        }
        if got == last {
            self.end_sent(id);
        }
        got
    }

    /// No header block was sent: the first begins with [`hpack::encode::NO_TABLE`].
    pub fn is_before_first_block(&self) -> bool {
        self.first_block
    }

    /// The caller has written a header block.
    pub fn first_block_sent(&mut self) {
        self.first_block = false;
    }

    /// DATA of the stream was written by the caller, within [`Connection::room`], in this many frames: clients may
    /// update their windows for each.
    pub fn data_sent(&mut self, id: u32, len: usize, frames: usize) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        stream.send.spend(len);
        self.send.spend(len);
        // Windows that are as small as the frames ask for updates that transfer little.
        let is_free = stream.send.room() > 0 && self.send.room() > 0;
        self.updates += if is_free { 2 * frames as u64 } else { 0 };
        self.idle_frames.earn(if is_free { IDLE_PER_DATA } else { (len / BYTES_PER_IDLE) as u32 });
    }

    /// What the caller wrote last ends our side of the stream.
    pub fn end_sent(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(id) {
            stream.is_sent = true;
        }
    }

    /// Sends RST_STREAM, unless the stream was reset or has ended on both sides.
    pub fn reset(&mut self, id: u32, code: ErrorCode) {
        if let Some(stream) = self.streams.get_mut(id) {
            if stream.is_reset || stream.is_sent && !stream.is_open_for_receive() {
                return;
            }
            stream.is_reset = true;
        }
        self.write_reset(id, code);
    }

    /// Tells the client to stop sending a body once our side has ended (§8.1): some time behind the response, by
    /// [`Connection::send_stops`]. A client that finds both in one read, in the middle of its upload, may take the
    /// reset for the answer (curl 7.88 does). For `patience` milliseconds at most what it sends is taken all the same.
    pub fn stop(&mut self, id: u32, patience: u64, now: u64) {
        let Some(stream) = self.streams.get_mut(id).filter(|stream| stream.is_sent && !stream.is_reset) else { return };
        // §8.1.1: a response does not excuse the error. Also where both sides have ended: clients take no
        // notice of a reset then, and one that looks for it finds it.
        if stream.is_malformed {
            stream.is_reset = true;
            return self.write_reset(id, ErrorCode::PROTOCOL_ERROR);
        }
        if !stream.is_open_for_receive() {
            return;
        }
        stream.is_reset = true;
        if let Some(increment) = self.stops.add(stream, patience, now) {
            frame::window_update(&mut self.control, id, increment);
        }
        self.send_stops(now);
    }

    /// When the next client is to be asked to stop.
    pub fn stops_at(&self) -> Option<u64> {
        self.stops.due()
    }

    /// Tells the clients that are due.
    pub fn send_stops(&mut self, now: u64) {
        while let Some(id) = self.stops.take(now) {
            self.write_reset(id, ErrorCode::NO_ERROR);
        }
    }

    /// A reset as such. What the client sends on the stream before it has it is ignored.
    pub(super) fn write_reset(&mut self, id: u32, code: ErrorCode) {
        self.stops.remove(id);
        self.forget(id);
        frame::rst_stream(&mut self.control, id, code);
    }

    /// Notes a stream as one that was reset by us, so that frames that crossed the reset are ignored rather than taken
    /// for a fault of the connection (§5.4.2). The latest [`REMEMBERED`] are kept.
    pub(super) fn forget(&mut self, id: u32) {
        if self.forgotten.contains(&id) {
            return;
        }
        if self.forgotten.len() >= REMEMBERED {
            self.forgotten.remove(0);
        }
        self.forgotten.push(id);
    }

    /// The work that a stream caused is done or given up: its place is free.
    pub fn release(&mut self, id: u32) {
        self.streams.remove(id);
    }

    /// Says that no further streams are taken; those that are open go on, and so do bodies that are thrown away behind
    /// their responses ([`Connection::stop`]).
    pub fn go_away(&mut self, code: ErrorCode) {
        if self.goaway.is_none() {
            self.goaway = Some(self.last);
            frame::goaway(&mut self.control, self.last, code);
        }
    }

    /// GOAWAY has been written.
    pub fn is_going_away(&self) -> bool {
        self.goaway.is_some()
    }

    /// GOAWAY was sent, and no reset behind a response is pending.
    pub fn has_gone_away(&self) -> bool {
        self.is_going_away() && self.stops.due().is_none()
    }
}

//! The transport of one stream: what an exchange reads from and writes to where HTTP/1 has a socket. It holds what has
//! come of the body, and makes frames of what is sent, while its connection lets it.
//!
//! Invariant: nothing is written but within a [`Grant`], which the connection gives while it drives the stream, and
//! takes back with the frames: so frames of streams never mix, and no stream holds output of its own.

use super::cached_send::CacheKey;
use crate::conn::transport::file_part::FilePart;
use crate::conn::transport::ready::{Ready, StreamReady};
use crate::exchange::send_queue::Marker;
use crate::http::h2::connection::Connection;
use crate::http::h2::frame::{self, EndStream, FrameHeader, HEADER_LEN, flag, kind};
use crate::http::h2::hpack::encode::NO_TABLE;
use crate::http::reject::Reject;
use crate::sys::file::Pieces;
use crate::sys::{Errno, file};
use crate::util::slab::Key;
use std::os::fd::BorrowedFd;

/// What a stream may write now.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    /// Bytes of DATA.
    pub room: usize,
    /// The longest DATA frame.
    pub chunk: usize,
    /// The longest frame.
    pub max_frame: u32,
    /// No header block was sent on the connection.
    pub is_first: bool,
}

/// How a stream ended.
#[derive(Debug, Default)]
pub enum Ending {
    /// Its response is complete; this block of trailers follows it, if it is not empty.
    Complete(Box<[u8]>),
    /// It is not, and there will be no more.
    #[default]
    Cut,
    /// The client took too long.
    TimedOut,
    /// There is none (`return 444`).
    Refused,
}

/// A frame in the connection's output that may still grow, or become the last.
#[derive(Clone, Copy, Debug)]
struct Open {
    start: usize,
    kind: u8,
    len: usize,
}

/// A stream of HTTP/2 as the transport of its [`crate::conn::Conn`].
#[derive(Debug, Default)]
pub struct StreamTransport {
    /// The connection that the stream is on.
    pub parent: Option<Key>,
    /// The stream's identifier.
    pub id: u32,
    /// The request has not entered the phases yet; the inner value is its fault, if it has one.
    pub unstarted: Option<Option<Reject>>,
    /// The connection is encrypted, so that `$scheme` is https.
    pub is_secure: bool,
    /// Its request was seen before.
    pub seen: Option<CacheKey>,
    /// What follows the head is another protocol's, both ways.
    pub is_tunnel: bool,
    body: Vec<u8>,
    at: usize,
    /// The client's side has ended.
    pub is_received: bool,
    /// The body is not what was announced.
    pub fault: Option<Reject>,
    /// Reset, or the connection is gone.
    pub is_broken: bool,
    /// The request was malformed: counted against keepalive_glitches.
    pub glitch: Option<u64>,
    /// Body bytes that were read and not yet counted by the connection.
    pub taken: usize,
    grant: Option<Grant>,
    out: Vec<u8>,
    /// The final head was sent.
    is_begun: bool,
    open: Option<Open>,
    /// DATA bytes written within this grant.
    pub written: usize,
    /// What the connection does with the stream once its exchange is over.
    pub ending: Ending,
}

impl StreamTransport {
    /// Stream `id` of the connection `parent`. `fault`: its request is answered with an error.
    pub fn new(parent: Key, id: u32, fault: Option<Reject>) -> StreamTransport {
        StreamTransport { parent: Some(parent), id, unstarted: Some(fault), ..StreamTransport::default() }
    }

    /// Stands in the place of a stream that has ended.
    pub fn gone() -> StreamTransport {
        StreamTransport { is_received: true, is_broken: true, ..StreamTransport::default() }
    }

    /// It gets no response (`return 444`).
    pub fn refuse(&mut self) {
        self.ending = Ending::Refused;
    }

    /// What was sent is cut short. A tunnel's end is written with its head.
    pub fn cut(&mut self) {
        if let Ending::Complete(_) = self.ending {
            self.ending = Ending::Cut;
        }
    }

    /// A piece of the body has come.
    pub fn push(&mut self, data: &[u8]) {
        // Of a client that stays ahead of its consumer (upload_limit_rate) the buffer is never empty: what was read
        // goes once it is half of it, so that each byte is moved once at most.
        if self.at > self.body.len() / 2 {
            self.body.drain(..self.at);
            self.at = 0;
        }
        self.body.extend_from_slice(data);
    }

    /// Bytes that have come and were not read.
    pub fn unread(&self) -> usize {
        self.body.len() - self.at
    }

    /// As epoll would report it of a socket: computed, since a stream has no descriptor.
    pub fn ready(&self) -> Ready {
        Ready::of_stream(StreamReady {
            can_read: self.can_read(),
            can_write: self.can_write(),
            has_failed: self.is_broken,
        })
    }

    /// A `recv` would give bytes, the end or an error.
    pub fn can_read(&self) -> bool {
        self.at < self.body.len() || self.is_received || self.fault.is_some() || self.is_broken
    }

    /// A `send` would take bytes, or tell that the stream is reset. Within a grant only, so never between turns.
    pub fn can_write(&self) -> bool {
        self.is_broken || self.grant.is_some_and(|grant| grant.room > 0)
    }

    /// Appends up to `most` bytes of the body, as far as `into` has capacity. Ok(0): the body is complete.
    ///
    /// # Errors
    /// EAGAIN; ECONNRESET: the stream was reset.
    pub fn recv(&mut self, into: &mut Vec<u8>, most: usize) -> Result<usize, Errno> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return match self.is_received {
                _ if self.is_broken => Err(Errno::ECONNRESET),
                true => Ok(0),
                false => Err(Errno::EAGAIN),
            };
        }
        let len = rest.len().min(most).min(into.capacity() - into.len());
        into.extend_from_slice(&rest[..len]);
        self.at += len;
        self.taken += len;
        if self.at == self.body.len() {
            // The buffer is given back: a hundred uploads that wait would each hold one.
            (self.body, self.at) = (Vec::new(), 0);
        }
        Ok(len)
    }

    /// Frames what the stream's grant allows. Gives the bytes of `bytes` that were taken.
    ///
    /// # Errors
    /// EAGAIN: it is not its turn; EPIPE: the stream was reset.
    pub fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        if self.is_broken {
            return Err(Errno::EPIPE);
        }
        if self.grant.is_none() {
            return Err(Errno::EAGAIN);
        }
        let mut sent = 0;
        while sent < bytes.len() {
            let room = self.room_in_frame();
            if room == 0 {
                break;
            }
            let piece = &bytes[sent..];
            let piece = &piece[..piece.len().min(room)];
            self.out.extend_from_slice(piece);
            self.grow(piece.len());
            sent += piece.len();
        }
        if sent == 0 { Err(Errno::EAGAIN) } else { Ok(sent) }
    }

    /// From a file, straight into the connection's output.
    pub fn send_file(&mut self, part: FilePart<'_>) -> Result<usize, Errno> {
        let FilePart { source, at, wanted } = part;
        if self.is_broken {
            return Err(Errno::EPIPE);
        }
        let mut sent = 0;
        while sent < wanted {
            let Some(grant) = self.grant.filter(|grant| grant.room > 0) else { break };
            let (room, from) = (grant.room.min(wanted - sent), at + sent as u64);
            let got = match self.open {
                Some(Open { kind: kind::DATA, len, .. }) if len < grant.chunk => {
                    let room = room.min(grant.chunk - len);
                    self.out.reserve(room);
                    let got = file::pread_into(source, &mut self.out, room, from)?;
                    self.grow(got);
                    got
                }
                _ => self.read_frames(source, from, room, grant.chunk)?,
            };
            sent += got;
            if got == 0 {
                return Ok(sent);
            }
        }
        if sent == 0 { Err(Errno::EAGAIN) } else { Ok(sent) }
    }

    /// Reads the content of several frames of the longest size by one call.
    fn read_frames(&mut self, source: BorrowedFd<'_>, at: u64, most: usize, chunk: usize) -> Result<usize, Errno> {
        let start = self.out.len();
        let got = file::pread_pieces(source, &mut self.out, Pieces { gap: HEADER_LEN, size: chunk }, most, at)?;
        for (at, len) in frame::places(got, chunk) {
            self.open = Some(Open { start: start + at, kind: kind::DATA, len: 0 });
            self.grow(len);
        }
        Ok(got)
    }

    /// Frames may be written now.
    pub fn may_frame(&self) -> bool {
        self.grant.is_some() && !self.is_broken
    }

    /// Writes the head of a response, or of one before it; or takes note of its end, which is written when the stream
    /// is closed.
    pub fn send_marker(&mut self, marker: Marker<'_>) {
        let Some(grant) = &mut self.grant else { return };
        match marker {
            Marker::Head { block, is_final } => {
                let is_first = std::mem::take(&mut grant.is_first);
                let start = self.out.len();
                frame::headers(&mut self.out, self.id, EndStream::No, grant.max_frame, |out| {
                    if is_first {
                        out.push(NO_TABLE);
                    }
                    out.extend_from_slice(block);
                });
                self.is_begun |= is_final;
                self.open = Some(Open { start, kind: kind::HEADERS, len: 0 });
            }
            Marker::End { block } => self.ending = Ending::Complete(block.into()),
        }
    }

    /// How much more of DATA the present frame takes; a new one is begun where it takes none.
    fn room_in_frame(&mut self) -> usize {
        let Some(grant) = &self.grant else { return 0 };
        if grant.room == 0 {
            return 0;
        }
        let room = match self.open {
            Some(Open { kind: kind::DATA, len, .. }) if len < grant.chunk => grant.chunk - len,
            _ => {
                self.open = Some(Open { start: self.out.len(), kind: kind::DATA, len: 0 });
                self.out.extend_from_slice(&[0; HEADER_LEN]);
                grant.chunk
            }
        };
        room.min(grant.room)
    }

    /// Counts bytes that were added to the present frame.
    fn grow(&mut self, by: usize) {
        if let (Some(open), Some(grant)) = (&mut self.open, &mut self.grant) {
            open.len += by;
            grant.room -= by;
            self.written += by;
            let header = FrameHeader { len: open.len as u32, kind: kind::DATA, flags: 0, stream: self.id };
            if let Some(place) = self.out.get_mut(open.start..open.start + HEADER_LEN) {
                place.copy_from_slice(&header.bytes());
            }
        }
    }

    /// What is written next begins a frame of its own.
    pub fn close_frame(&mut self) {
        self.open = None;
    }

    /// Lets the stream write, at the end of `out`.
    pub fn begin(&mut self, out: &mut Vec<u8>, grant: Grant) {
        std::mem::swap(&mut self.out, out);
        self.grant = Some(grant);
        self.open = None;
        self.written = 0;
    }

    /// Takes the output back. True where a header block was written, if none was before.
    pub fn end(&mut self, out: &mut Vec<u8>) -> bool {
        std::mem::swap(&mut self.out, out);
        self.grant.take().is_some_and(|grant| !grant.is_first)
    }

    /// The end of the stream, behind what [`StreamTransport::end`] gave: as a flag of the last frame, where that is
    /// still the last of `out`, or as a frame of its own. False where the response has not begun: there is nothing to
    /// end.
    pub fn finish(&self, out: &mut Vec<u8>, trailers: &[u8], protocol: &mut Connection) -> bool {
        if !self.is_begun {
            return false;
        }
        if !trailers.is_empty() {
            let max = protocol.max_frame() as u32;
            frame::headers(out, self.id, EndStream::Yes, max, |out| out.extend_from_slice(trailers));
        } else if let Some(open) = self.open
            && let Some(flags) = out.get_mut(open.start + 4)
        {
            *flags |= flag::END_STREAM;
        } else {
            FrameHeader { len: 0, kind: kind::DATA, flags: flag::END_STREAM, stream: self.id }.write(out);
        }
        protocol.end_sent(self.id);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_always_ahead_of_its_consumer_is_not_kept_whole() {
        const AHEAD: usize = 1 << 20;
        let mut stream = StreamTransport::default();
        let (mut sent, mut got) = (0usize, 0usize);
        let mut taken = Vec::with_capacity(64 << 10);
        let byte = |at: usize| (at / 1000) as u8;
        for _ in 0..400 {
            while stream.unread() < AHEAD {
                let piece: Vec<u8> = (sent..sent + 16_384).map(byte).collect();
                stream.push(&piece);
                sent += piece.len();
            }
            taken.clear();
            let n = stream.recv(&mut taken, 64 << 10).expect("bytes");
            assert!(taken.iter().enumerate().all(|(at, b)| *b == byte(got + at)), "behind {got}");
            got += n;
            assert!(stream.body.capacity() <= 4 * AHEAD, "{} bytes are held", stream.body.capacity());
        }
        assert_eq!(got + stream.unread(), sent);
    }
}

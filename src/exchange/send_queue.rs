//! What waits to be sent: text in one buffer, and files by reference, in order. Only the connection takes from it; a
//! response is put into it by `writer.rs`.

mod received;
mod writer;

use super::body_encoder::Source;
use crate::http::response_head::Delimiter;
use crate::services::open_files::{OpenFile, SMALL};
use crate::services::slice::Slice;
use crate::sys::{Errno, file};
use crate::util::buf::BufPool;
use crate::util::reuse::emptied;
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

/// The longest text that waits for other responses before it is sent: longer ones push each other out of the
/// processor's cache, which took a tenth of the CPU of sixteen pipelined requests.
pub const SHORT: usize = 8 << 10;

/// Most parts of the queue that are sent together.
pub const PARTS: usize = 8;

/// Spare bytes that are not worth a copy to free.
const SMALLEST: usize = 512;

/// What is behind the bytes that are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// They are the last.
    Nothing,
    /// The rest of them, which may not be sent yet: the kernel must not hold a packet back for it.
    Later,
    /// More, which is sent next.
    More,
}

/// A piece of the queue.
pub enum Segment {
    /// Bytes of the queue's own buffer.
    Text(Range<usize>),
    /// Shared bytes, sent without a copy.
    Shared(Rc<[u8]>, Range<usize>),
    /// Bytes of an upstream's response, sent from the buffer that they were received into.
    Received(Rc<Vec<u8>>, Range<usize>),
    /// Made piece by piece when its turn has come.
    Made { source: Box<Source>, end: Delimiter },
    /// Bytes `at..end` of a file.
    File { file: Rc<OpenFile>, at: u64, end: u64 },
    /// Of a protocol with frames: the header block of a response, before its body, as bytes of the queue's buffer.
    Head {
        block: Range<usize>,
        /// It is not that of an interim response.
        is_final: bool,
    },
    /// And its end, with the block of its trailers, which may be empty.
    End { block: Range<usize> },
}

impl Segment {
    /// Its range in the queue's buffer; later segments follow it.
    fn in_buffer(&self) -> Option<&Range<usize>> {
        match self {
            Segment::Text(range) | Segment::Head { block: range, .. } | Segment::End { block: range } => Some(range),
            Segment::Shared(..) | Segment::Received(..) | Segment::Made { .. } | Segment::File { .. } => None,
        }
    }
}

/// What a protocol with frames sends for itself, not as bytes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker<'a> {
    /// The header block of a response, final or interim.
    Head { block: &'a [u8], is_final: bool },
    /// The end of the response; the block of its trailers may be empty.
    End { block: &'a [u8] },
}

/// A response that waits whole.
pub struct Whole<'a> {
    /// The header block, or the head's text.
    pub head: &'a [u8],
    /// Offset of the value of Date in the head.
    pub date: usize,
    /// The body, as far as it is text.
    pub body: &'a [u8],
    /// The rest of the body: the whole of a file.
    pub file: Option<&'a Rc<OpenFile>>,
}

/// How responses are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wire {
    /// As text, into the queue.
    #[default]
    Http1,
    /// As segments that the protocol frames.
    Frames,
}

/// How the response that is queued ends.
#[derive(Default)]
struct ResponseFraming {
    /// HTTP/1: the connection outlives this response ([`SendQueue::decide_connection`]).
    keep_alive: bool,
    /// Seconds that `Keep-Alive` names, the second value of keepalive_timeout; None: the field is not sent.
    keep_alive_hint: Option<u64>,
    /// HTTP/1: what marks the end of this response's body.
    body_end: Delimiter,
    /// The body of this response was cut short.
    is_cut: bool,
}

/// Bytes on their way to the client: text, and parts of files that are not read into memory.
#[derive(Default)]
pub struct SendQueue {
    buf: Vec<u8>,
    /// The buffer up to here belongs to segments; what follows was appended since.
    sealed: usize,
    segments: VecDeque<Segment>,
    queued: u64,
    sent: u64,
    /// `queued` when this response began.
    mark: u64,
    /// The buffer in which pieces of the body may lie that are queued now ([`received`]).
    lent: Option<Rc<Vec<u8>>>,
    wire: Wire,
    framing: ResponseFraming,
    /// Of a protocol with frames: the request asks for another protocol on its stream.
    is_tunnel: bool,
    /// Of a protocol with frames: where in the buffer the last head has its date.
    date: usize,
}

impl SendQueue {
    /// For a new connection: empty, over HTTP/1. `buf`: an empty buffer that is used again.
    pub fn reset(&mut self, buf: Vec<u8>) {
        let segments = emptied(&mut self.segments, VecDeque::clear);
        *self = SendQueue { buf, segments, lent: self.lent.take(), ..SendQueue::default() };
    }

    /// What is queued from here on is another response's, or the response after an interim one.
    pub fn begin_response(&mut self) {
        self.mark = self.queued();
        self.framing = ResponseFraming::default();
    }

    /// As [`SendQueue::begin_response`]: the response began at `queued`.
    pub fn began_at(&mut self, queued: u64) {
        self.mark = queued;
    }

    /// Bytes of this response queued so far.
    pub fn response_queued(&self) -> u64 {
        self.queued() - self.mark
    }

    /// Bytes of this response that the socket took.
    pub fn response_sent(&self) -> u64 {
        self.sent.saturating_sub(self.mark)
    }

    /// Takes the buffer back, for a pool; what was queued is lost.
    pub fn take_buffer(&mut self) -> Vec<u8> {
        self.segments.clear();
        self.sealed = 0;
        std::mem::take(&mut self.buf)
    }

    /// Of a protocol with frames: the header block of the response that waits, once it is decided.
    pub fn final_head(&self) -> Option<&[u8]> {
        self.segments.iter().find_map(|segment| match segment {
            Segment::Head { block, is_final: true } => self.buf.get(block.clone()),
            _ => None,
        })
    }

    /// Where text is appended.
    pub fn text(&mut self) -> &mut Vec<u8> {
        &mut self.buf
    }

    fn seal(&mut self) {
        let fresh = self.sealed..self.buf.len();
        if fresh.is_empty() {
            return;
        }
        self.queued += fresh.len() as u64;
        self.sealed = fresh.end;
        match self.segments.back_mut() {
            Some(Segment::Text(range)) if range.end == fresh.start => range.end = fresh.end,
            _ => self.segments.push_back(Segment::Text(fresh)),
        }
    }

    /// Bytes that are sent without a copy.
    pub fn push_shared(&mut self, bytes: Rc<[u8]>) {
        self.seal();
        self.queued += bytes.len() as u64;
        if !bytes.is_empty() {
            let all = 0..bytes.len();
            self.segments.push_back(Segment::Shared(bytes, all));
        }
    }

    /// Bytes `at..end` of a file: copied where they are few and in memory, else sent from the file.
    pub fn push_file(&mut self, file: &Rc<OpenFile>, at: u64, end: u64) {
        if at >= end {
            return;
        }
        match file.memory() {
            Some(bytes) => self.buf.extend_from_slice(bytes.get(at as usize..end as usize).unwrap_or_default()),
            None if end - at <= SMALL && (self.buf.len() as u64) < SMALL && self.piece(file, at, end) => {}
            None => {
                self.seal();
                self.queued += end - at;
                self.segments.push_back(Segment::File { file: file.clone(), at, end });
            }
        }
    }

    /// A small piece of a large file goes out with its head: a read costs half of a second call for sending. False:
    /// the file is shorter by now, or cannot be read; sending it will fail then.
    fn piece(&mut self, file: &OpenFile, at: u64, end: u64) -> bool {
        if let Some(piece) = file.piece(at, end) {
            self.buf.extend_from_slice(piece);
            return true;
        }
        let (len, wanted) = (self.buf.len(), (end - at) as usize);
        self.buf.reserve(wanted);
        let read = file.fd().map(|fd| file::pread_into(fd, &mut self.buf, wanted, at));
        if read == Some(Ok(wanted)) {
            return true;
        }
        self.buf.truncate(len);
        false
    }

    /// A body that is made when the queue gets there. It is framed as the response is now.
    pub fn push_made(&mut self, source: Box<Source>) {
        self.seal();
        self.segments.push_back(Segment::Made { source, end: self.framing.body_end });
    }

    /// Of a protocol with frames: a head or an end is next in the queue.
    pub fn has_marker(&self) -> bool {
        matches!(self.segments.front(), Some(Segment::Head { .. } | Segment::End { .. }))
    }

    /// Of a protocol with frames: the head or the end that is next in the queue.
    pub fn marker(&self) -> Option<Marker<'_>> {
        let of = |block: &Range<usize>| self.buf.get(block.clone()).unwrap_or_default();
        match self.segments.front()? {
            Segment::Head { block, is_final } => Some(Marker::Head { block: of(block), is_final: *is_final }),
            Segment::End { block } => Some(Marker::End { block: of(block) }),
            _ => None,
        }
    }

    /// The marker was sent.
    pub fn pass_marker(&mut self) {
        if let Some(Segment::Head { block, .. } | Segment::End { block }) = self.segments.front() {
            self.sent += block.len() as u64;
            self.segments.pop_front();
            self.clear_if_empty();
        }
    }

    /// Of a protocol with frames: the response that waits, if it does so whole, without trailers, and alone.
    pub fn framed(&self) -> Option<Whole<'_>> {
        let mut segments = self.segments.iter();
        let Some(Segment::Head { block, is_final: true }) = segments.next() else { return None };
        let head = self.buf.get(block.clone())?;
        let date = self.date.checked_sub(block.start)?;
        let mut framed = Whole { head, date, body: &[], file: None };
        loop {
            match segments.next()? {
                Segment::Text(range) if framed.body.is_empty() => framed.body = self.buf.get(range.clone())?,
                Segment::File { file, at: 0, end } if framed.file.is_none() && *end == file.stat.size => {
                    framed.file = Some(file);
                }
                Segment::End { block } if block.is_empty() => break,
                _ => return None,
            }
        }
        (segments.next().is_none() && self.sealed == self.buf.len()).then_some(framed)
    }

    /// A response that waits needs no buffer it does not use: gives it back, or the larger part of it.
    pub fn rest(&mut self, pool: &mut BufPool) {
        let len = self.buf.len();
        if len == 0 && self.sealed == 0 {
            pool.give(std::mem::take(&mut self.buf));
        } else if self.buf.capacity() >= 2 * len + SMALLEST {
            let exact = self.buf.as_slice().to_vec();
            pool.give(std::mem::replace(&mut self.buf, exact));
        }
    }

    /// Takes a buffer again after [`SendQueue::rest`].
    pub fn wake(&mut self, pool: &mut BufPool) {
        if self.buf.capacity() == 0 {
            self.buf = pool.take();
        }
    }

    /// Where the next piece must be made first: makes it from about `most` bytes. Gives the bytes of input that took.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn make(&mut self, scratch: &mut Vec<u8>, slice: &mut Slice, most: usize) -> Result<usize, Errno> {
        let mut used = 0;
        while let Some(Segment::Made { source, end }) = self.segments.front_mut() {
            if slice.is_over() {
                break;
            }
            let mut piece = Vec::new();
            let filled = SendQueue::fill(source, *end, scratch, &mut piece, (&mut *slice, most))?;
            used += filled.used;
            if filled.done {
                self.segments.pop_front();
            }
            if !piece.is_empty() {
                self.queued += piece.len() as u64;
                let all = 0..piece.len();
                self.segments.push_front(Segment::Shared(piece.into(), all));
            }
        }
        Ok(used)
    }

    /// A body that is being made is next in the queue: all that was made of it was sent, and only its next step will
    /// tell whether there is more.
    pub fn may_be_at_end(&self) -> bool {
        matches!(self.segments.front(), Some(Segment::Made { source, .. }) if source.has_begun())
    }

    /// Bytes ever queued and ever sent on this connection's turn with the exchange.
    pub fn queued(&self) -> u64 {
        self.queued + (self.buf.len() - self.sealed) as u64
    }

    /// Bytes that wait.
    pub fn pending(&self) -> u64 {
        self.queued() - self.sent.min(self.queued())
    }

    /// Gives back the room of text that was sent: a response that is made while it is sent would fill memory
    /// otherwise. Whatever is next in the queue, at most as much as is still to be sent from the buffer stays.
    pub fn compact(&mut self) {
        let gone = self.segments.iter().find_map(Segment::in_buffer).map_or(self.sealed, |range| range.start);
        if gone == 0 || gone < self.buf.len() / 2 {
            return;
        }
        self.buf.drain(..gone);
        self.sealed -= gone;
        self.date = self.date.saturating_sub(gone);
        for segment in &mut self.segments {
            if let Segment::Text(range) | Segment::Head { block: range, .. } | Segment::End { block: range } = segment {
                *range = range.start - gone..range.end - gone;
            }
        }
    }

    /// Drops what waits: its client is gone.
    pub fn discard(&mut self) {
        self.segments.clear();
        self.buf.clear();
        self.sealed = 0;
        self.queued = self.sent;
        self.mark = self.mark.min(self.sent);
    }

    /// There is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.sealed == self.buf.len()
    }

    /// Bytes of text waiting: more responses are batched while it is small.
    pub fn text_len(&self) -> usize {
        self.buf.len()
    }

    /// Only text waits: the next answer may go out with it.
    pub fn is_text(&self) -> bool {
        self.segments.iter().all(|s| matches!(s, Segment::Text(_)))
    }

    /// Text, and then the whole of this file.
    pub fn ends_with(&self, file: &Rc<OpenFile>) -> bool {
        let Some((Segment::File { file: last, at: 0, end }, before)) = self.segments.as_slices().0.split_last() else {
            return false;
        };
        let whole = Rc::ptr_eq(last, file) && *end == file.stat.size && self.sealed == self.buf.len();
        whole && self.segments.as_slices().1.is_empty() && before.iter().all(|s| matches!(s, Segment::Text(_)))
    }

    /// The first segment, ready to be sent, and whether more follows it.
    pub fn front(&mut self) -> Option<(&Segment, bool)> {
        self.seal();
        let more = self.segments.len() > 1;
        self.segments.front().map(|segment| (segment, more))
    }

    /// `n` bytes of the first segments are gone.
    pub fn advance(&mut self, n: usize) {
        self.sent += n as u64;
        let mut left = n;
        loop {
            let done = match self.segments.front_mut() {
                None | Some(Segment::Made { .. } | Segment::Head { .. } | Segment::End { .. }) => break,
                Some(Segment::Text(range) | Segment::Shared(_, range) | Segment::Received(_, range)) => {
                    let gone = left.min(range.len());
                    range.start += gone;
                    left -= gone;
                    range.start >= range.end
                }
                Some(Segment::File { at, end, .. }) => {
                    *at += left as u64;
                    left = 0;
                    *at >= *end
                }
            };
            if !done {
                break;
            }
            self.segments.pop_front();
            if left == 0 {
                break;
            }
        }
        self.clear_if_empty();
    }

    fn clear_if_empty(&mut self) {
        if self.segments.is_empty() && self.sealed == self.buf.len() {
            self.buf.clear();
            self.sealed = 0;
        }
    }
}

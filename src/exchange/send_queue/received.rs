//! Large pieces of an upstream's response are sent from the buffer that they were received into. Copying them behind
//! the head took 7 % of the CPU of a response of 100 KiB, and the pages of a queue that grows for it as much again.
//!
//! Invariant: a buffer is only lent while what was received into it is processed, and it is written to again only when
//! no queue refers to it.

use super::{Behind, Segment, SendQueue};
use std::io::IoSlice;
use std::ops::Range;
use std::rc::Rc;

/// The smallest piece that is sent from its buffer: shorter ones are cheaper to copy, and would keep a whole buffer
/// while their client is slow.
const SMALLEST: usize = 16 << 10;

impl SendQueue {
    /// Pieces of the body that lie in this buffer need not be copied, until [`SendQueue::end_loan`].
    pub fn lend(&mut self, buffer: &Rc<Vec<u8>>) {
        self.lent = Some(buffer.clone());
    }

    /// What is queued from here on is copied.
    pub fn end_loan(&mut self) {
        self.lent = None;
    }

    /// Queues a piece of the body by reference. False: it is to be copied.
    pub(super) fn queue_received(&mut self, data: &[u8]) -> bool {
        if data.len() < SMALLEST {
            return false;
        }
        let Some((buffer, range)) = self.lent.as_ref().and_then(|lent| Some((lent.clone(), range_within(lent, data)?)))
        else {
            return false;
        };
        let size = data.len() as u64;
        self.open(size);
        self.seal();
        self.queued += size;
        self.segments.push_back(Segment::Received(buffer, range));
        self.close();
        true
    }

    /// The client is slow: what is left in buffers that are mostly empty is copied, so that memory is bounded by what
    /// waits.
    pub fn release_buffers(&mut self) {
        for segment in &mut self.segments {
            if let Segment::Received(buffer, range) = segment
                && range.len() < buffer.capacity() / 2
            {
                let rest = buffer.get(range.clone()).unwrap_or_default();
                *segment = Segment::Shared(rest.into(), 0..range.len());
            }
        }
    }

    /// Fills `parts` with the bytes in memory that are next, at most `most` of them: how many parts that are, and what
    /// is behind them.
    pub fn parts<'q>(&'q mut self, most: usize, parts: &mut [IoSlice<'q>]) -> (usize, Behind) {
        self.seal();
        let (mut left, mut count) = (most, 0);
        for segment in &self.segments {
            let whole = match segment {
                Segment::Text(range) => self.buf.get(range.clone()),
                Segment::Shared(bytes, range) => bytes.get(range.clone()),
                Segment::Received(bytes, range) => bytes.get(range.clone()),
                _ => None,
            };
            let (Some(whole), Some(part)) = (whole, parts.get_mut(count)) else { break };
            let bytes = &whole[..whole.len().min(left)];
            *part = IoSlice::new(bytes);
            count += 1;
            left -= bytes.len();
            if bytes.len() < whole.len() {
                return (count, Behind::Later);
            }
        }
        (count, if count < self.segments.len() { Behind::More } else { Behind::Nothing })
    }
}

/// Where in `buffer` the bytes of `piece` lie. None: they are elsewhere.
fn range_within(buffer: &[u8], piece: &[u8]) -> Option<Range<usize>> {
    let start = piece.as_ptr().addr().checked_sub(buffer.as_ptr().addr())?;
    let end = start.checked_add(piece.len())?;
    (end <= buffer.len()).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::super::PARTS;
    use super::*;
    use crate::http::response_head::Delimiter;

    /// A buffer with `before` bytes of something else in front of `size` bytes of body.
    fn buffer(before: usize, size: usize) -> Rc<Vec<u8>> {
        Rc::new((0..before + size).map(|at| at as u8).collect())
    }

    /// What a client gets if one call takes `step` bytes at most, and how many calls that took.
    fn sent(queue: &mut SendQueue, step: usize) -> (Vec<u8>, usize) {
        let (mut out, mut calls) = (Vec::new(), 0);
        loop {
            let mut parts = [IoSlice::new(b""); PARTS];
            let (count, _) = queue.parts(step, &mut parts);
            let bytes: Vec<u8> = parts[..count].iter().flat_map(|part| part.iter().copied()).collect();
            if bytes.is_empty() {
                return (out, calls);
            }
            queue.advance(bytes.len());
            out.extend(bytes);
            calls += 1;
        }
    }

    #[test]
    fn a_piece_of_the_lent_buffer_is_not_copied_and_goes_out_with_the_head() {
        let received = buffer(100, SMALLEST);
        let mut queue = SendQueue::default();
        queue.text().extend_from_slice(b"head");
        queue.lend(&received);
        queue.data(&received[100..]);
        queue.end_loan();
        assert_eq!(Rc::strong_count(&received), 2);
        assert_eq!(queue.text_len(), 4);
        assert_eq!(queue.pending(), 4 + SMALLEST as u64);
        let (out, calls) = sent(&mut queue, usize::MAX);
        assert_eq!((&out[..4], &out[4..], calls), (&b"head"[..], &received[100..], 1));
        assert!(queue.is_empty());
        assert_eq!(Rc::strong_count(&received), 1);
    }

    /// The first byte of a response with limit_rate waited for 200 ms in the kernel.
    #[test]
    fn nothing_follows_at_once_where_the_rate_cuts_what_is_sent() {
        let received = buffer(0, SMALLEST);
        let mut queue = SendQueue::default();
        queue.text().extend_from_slice(b"head");
        queue.lend(&received);
        queue.data(&received);
        queue.end_loan();
        queue.text().extend_from_slice(b"end");
        for (most, expected) in [(100, (2, Behind::Later)), (usize::MAX, (3, Behind::Nothing)), (4, (2, Behind::Later))]
        {
            let mut parts = [IoSlice::new(b""); PARTS];
            assert_eq!(queue.parts(most, &mut parts), expected, "{most}");
        }
    }

    #[test]
    fn what_is_short_or_elsewhere_or_not_lent_is_copied() {
        let received = buffer(0, 2 * SMALLEST);
        let other = received.as_ref().clone();
        let mut queue = SendQueue::default();
        queue.data(&received);
        queue.lend(&received);
        queue.data(&received[..SMALLEST - 1]);
        queue.data(&other);
        queue.end_loan();
        assert_eq!(Rc::strong_count(&received), 1);
        let (out, _) = sent(&mut queue, usize::MAX);
        assert_eq!(out, [&received[..], &received[..SMALLEST - 1], &other[..]].concat());
    }

    #[test]
    fn chunks_are_marked_around_what_is_not_copied_however_little_the_socket_takes() {
        let received = buffer(7, 2 * SMALLEST);
        for step in [1000, 4097, usize::MAX] {
            let mut queue = SendQueue::default();
            queue.delimit(Delimiter::Mark);
            queue.lend(&received);
            queue.data(&received[7..7 + SMALLEST]);
            queue.data(&received[7 + SMALLEST..]);
            queue.end_loan();
            let piece = |at: usize| [b"4000\r\n", &received[at..at + SMALLEST], b"\r\n"].concat();
            let (out, _) = sent(&mut queue, step);
            assert!(out == [piece(7), piece(7 + SMALLEST)].concat(), "{step}");
            assert!(queue.is_empty() && queue.pending() == 0);
        }
    }

    #[test]
    fn a_slow_client_keeps_no_buffer_that_is_mostly_empty() {
        let received = buffer(0, 4 * SMALLEST);
        let mut queue = SendQueue::default();
        queue.lend(&received);
        queue.data(&received);
        queue.end_loan();
        queue.release_buffers();
        assert_eq!(Rc::strong_count(&received), 2);
        queue.advance(3 * SMALLEST);
        queue.release_buffers();
        assert_eq!(Rc::strong_count(&received), 1);
        let (out, _) = sent(&mut queue, usize::MAX);
        assert_eq!(out, received[3 * SMALLEST..]);
    }

    /// The text around pieces that are sent by reference was kept until the queue was empty.
    #[test]
    fn text_that_was_sent_makes_room_whatever_is_next_in_the_queue() {
        let received = buffer(0, SMALLEST);
        let mut queue = SendQueue::default();
        let (mut expected, mut out) = (Vec::new(), Vec::new());
        let mut send = |queue: &mut SendQueue, left: u64| {
            let mut parts = [IoSlice::new(b""); PARTS];
            let most = queue.pending().saturating_sub(left) as usize;
            let (count, _) = queue.parts(most, &mut parts);
            out.extend(parts[..count].iter().flat_map(|part| part.iter().copied()));
            queue.advance(most);
        };
        for n in 0..100 {
            queue.compact();
            let text = [n; 1000];
            queue.text().extend_from_slice(&text);
            queue.lend(&received);
            queue.data(&received);
            queue.end_loan();
            expected.extend([&text[..], &received[..]].concat());
            assert!(queue.text_len() <= 3 * text.len(), "{n}: {}", queue.text_len());
            // A byte of the piece is next.
            send(&mut queue, 1);
        }
        send(&mut queue, 0);
        assert!(out == expected && queue.is_empty());
    }
}

//! Cached responses that were rendered in this turn and are not sent yet: those of one connection are sent by one call,
//! and short ones at the end of the turn.

use crate::exchange::cacheable::Tail;
use crate::services::response_cache::CachedResponse;
use std::ops::Range;
use std::rc::Rc;

/// Bytes of text that responses on one connection are sent together up to.
pub const BATCH: usize = 64 << 10;

/// Responses of this turn that are not sent yet.
#[derive(Default)]
pub struct SendBatch {
    /// Heads and short bodies of all responses, end to end.
    pub(super) text: Vec<u8>,
    /// In the order rendered: those of one connection are next to each other.
    pub(super) responses: Vec<BatchedResponse>,
}

/// One cached response in the batch.
pub struct BatchedResponse {
    /// Where its head, and its body if that is short, stand in [`SendBatch::text`].
    pub text: Range<usize>,
    /// The file behind the text: only the last response of a connection has one.
    pub tail: Tail,
    /// Its cache entry, for the access log and the counters.
    pub cached: Rc<CachedResponse>,
}

impl SendBatch {
    /// All are sent.
    pub fn clear(&mut self) {
        self.text.clear();
        self.responses.clear();
        if self.text.capacity() > 4 * BATCH {
            self.text = Vec::new();
        }
    }

    /// These are sent. Where none were rendered since, their room is used again at once: a turn may send many responses
    /// that are too long to be held.
    pub fn done(&mut self, from: u32, count: u32) {
        let from = from as usize;
        if from + count as usize == self.responses.len()
            && let Some(first) = self.responses.get(from)
        {
            self.text.truncate(first.text.start);
            self.responses.truncate(from);
        }
    }

    /// Bytes of text that are not sent.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// `count` responses from number `from` on, as [`ConnState::PendingSend`](crate::conn::ConnState) names them; empty
    /// if they are not in the batch any more.
    pub fn responses(&self, from: u32, count: u32) -> &[BatchedResponse] {
        self.responses.get(from as usize..from as usize + count as usize).unwrap_or_default()
    }

    /// All the text of these responses, which were rendered one after the other.
    pub fn text(&self, answers: &[BatchedResponse]) -> &[u8] {
        let (Some(first), Some(last)) = (answers.first(), answers.last()) else { return &[] };
        self.text.get(first.text.start..last.text.end).unwrap_or_default()
    }
}

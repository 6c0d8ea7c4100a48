//! Answers of a turn that are made and not sent yet: those of one connection go out together, and short ones wait for
//! those of other connections.

use crate::exchange::cacheable::Tail;
use crate::services::response_cache::CachedResponse;
use std::ops::Range;
use std::rc::Rc;

/// Text of answers on one connection that go out together.
pub const BATCH: usize = 64 << 10;

/// Answers of this turn that are not sent yet.
#[derive(Default)]
pub struct SendBatch {
    pub(super) text: Vec<u8>,
    pub(super) answers: Vec<Answer>,
}

pub struct Answer {
    pub text: Range<usize>,
    /// Only the last of a connection has one.
    pub tail: Tail,
    pub repeat: Rc<CachedResponse>,
}

impl SendBatch {
    /// All are sent.
    pub fn clear(&mut self) {
        self.text.clear();
        self.answers.clear();
        if self.text.capacity() > 4 * BATCH {
            self.text = Vec::new();
        }
    }

    /// These are on their way. Where none were made since, their place is free at once: only what is gathered waits, and
    /// a turn may have many answers that are too long for that.
    pub fn done(&mut self, from: u32, count: u32) {
        let from = from as usize;
        if from + count as usize == self.answers.len()
            && let Some(first) = self.answers.get(from)
        {
            self.text.truncate(first.text.start);
            self.answers.truncate(from);
        }
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    pub fn answers(&self, from: u32, count: u32) -> &[Answer] {
        self.answers.get(from as usize..from as usize + count as usize).unwrap_or_default()
    }

    /// All the text of these answers: they were made one after the other.
    pub fn text(&self, answers: &[Answer]) -> &[u8] {
        let (Some(first), Some(last)) = (answers.first(), answers.last()) else { return &[] };
        self.text.get(first.text.start..last.text.end).unwrap_or_default()
    }
}

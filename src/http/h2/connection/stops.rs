//! Streams whose response is sent and whose client still sends its body: the client is to be asked to stop, a little later.
//!
//! Invariants: at most [`MOST`] streams wait, in the order in which they are due. What a client sends on one is ignored, as
//! on those that are reset (`Connection::reset`), where a stream goes once its client was asked; one whose client has ended
//! its side waits no longer.

use std::collections::VecDeque;

/// Milliseconds between a response and the reset that tells its client to stop sending: time enough to read the response
/// without it.
const AFTER: u64 = 100;

/// Streams that wait: as many as are open at once by default. Where there are more, the oldest wait less.
pub(super) const MOST: usize = 128;

/// Identifiers with the times at which they are due.
#[derive(Debug, Default)]
pub(super) struct Stops(VecDeque<(u32, u64)>);

impl Stops {
    /// One more, whose response has just been sent.
    pub(super) fn add(&mut self, id: u32, now: u64) {
        self.0.push_back((id, now + AFTER));
    }

    /// When the first is due.
    pub(super) fn due(&self) -> Option<u64> {
        self.0.front().map(|(_, at)| *at)
    }

    pub(super) fn contains(&self, id: u32) -> bool {
        self.0.iter().any(|(of, _)| *of == id)
    }

    /// The client need not be asked any more. Whether it was to be.
    pub(super) fn remove(&mut self, id: u32) -> bool {
        let at = self.0.iter().position(|(of, _)| *of == id);
        at.is_some_and(|at| self.0.remove(at).is_some())
    }

    /// The first one, where it is due or there are too many.
    pub(super) fn take(&mut self, now: u64) -> Option<u32> {
        let is_due = |(_, at): &(u32, u64)| *at <= now || self.0.len() > MOST;
        let (id, _) = self.0.front().filter(|first| is_due(first)).copied()?;
        self.0.pop_front();
        // An idle connection keeps no room for the most it ever had.
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
        Some(id)
    }

    pub(super) fn memory(&self) -> usize {
        self.0.capacity() * size_of::<(u32, u64)>()
    }

    pub(super) fn check_invariants(&self) {
        assert!(self.0.len() <= MOST);
        assert!(self.0.iter().is_sorted_by_key(|(_, at)| *at));
    }
}

//! Streams whose response is sent and whose client still sends its body: the client is to be told to stop, a little later.
//!
//! Invariants: at most [`MOST`] streams wait, in the order in which they are due. What a client sends on one is ignored, as
//! on those that are reset ([`Connection::reset`]), where a stream goes once its client is told; one whose client has ended
//! its side waits no longer.

use super::Connection;
use crate::http::h2::error::ErrorCode;
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
    pub(super) fn contains(&self, id: u32) -> bool {
        self.0.iter().any(|(of, _)| *of == id)
    }

    /// The client need not be told any more. Whether it was to be.
    pub(super) fn remove(&mut self, id: u32) -> bool {
        let at = self.0.iter().position(|(of, _)| *of == id);
        at.is_some_and(|at| self.0.remove(at).is_some())
    }

    /// The first one, where it is due or there are too many.
    fn take(&mut self, now: u64) -> Option<u32> {
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

impl Connection {
    /// Tells the client to stop sending a body once our side has ended (§8.1): some time behind the response, by
    /// [`Connection::send_stops`]. A client that finds both in one read, in the middle of its upload, may take the reset for
    /// the answer (curl 7.88 does).
    pub fn stop(&mut self, id: u32, now: u64) {
        let is_last = self.is_going_away();
        let Some(stream) = self.streams.get_mut(id) else { return };
        if !stream.is_sent || !stream.is_open_there() || stream.is_reset {
            return;
        }
        // §8.1.1: the answer was a courtesy, and the error remains one.
        if stream.is_malformed || is_last {
            let code = if stream.is_malformed { ErrorCode::PROTOCOL_ERROR } else { ErrorCode::NO_ERROR };
            return self.reset(id, code);
        }
        stream.is_reset = true;
        self.stops.0.push_back((id, now + AFTER));
        self.send_stops(now);
    }

    /// When the next client is to be told to stop.
    pub fn stops_at(&self) -> Option<u64> {
        self.stops.0.front().map(|(_, at)| *at)
    }

    /// Tells the clients that are due.
    pub fn send_stops(&mut self, now: u64) {
        while let Some(id) = self.stops.take(now) {
            self.write_reset(id, ErrorCode::NO_ERROR);
        }
    }
}

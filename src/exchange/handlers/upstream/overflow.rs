//! When the body of a response is spooled to a file ([`spool`](super::spool)): once the queue is full and the client is
//! slow.

use super::settings::settings;
use super::spool::{self, Full, LEAST_BUFFER};
use super::state::{UpstreamPhase, UpstreamRequest};
use crate::exchange::Exchange;

/// Milliseconds after which a client that took less than [`LEAST_TAKEN`] is considered slow. The socket of a fast
/// client is full for a shorter time (1 MB at 100 MB/s), and so is an HTTP/2 stream while others have their turn: a
/// file would only cost two copies.
const PATIENCE: u64 = 20;

/// Bytes. A client that takes less has not emptied the queue, which holds at least this much. An HTTP/2 client whose
/// window grows in small steps makes progress all the time, but still occupies its upstream.
const LEAST_TAKEN: u64 = LEAST_BUFFER;

impl UpstreamRequest {
    /// Maximum bytes of the response that are queued in memory.
    fn capacity(&self, ex: &Exchange) -> u64 {
        spool::capacity(ex, self.is_scarce)
    }

    /// Bytes of the body that may be read now.
    pub(super) fn body_room(&self, ex: &Exchange) -> usize {
        match &self.spool {
            Some(spool) if spool.is_open && !(spool.is_empty() && spool.has_failed) => spool.room(ex),
            _ => self.capacity(ex).saturating_sub(ex.out.pending()) as usize,
        }
    }

    /// Closes the spool if it is empty and the queue has room again. Call it before reading the body.
    pub fn close_spool(&mut self, ex: &Exchange) {
        let capacity = self.capacity(ex);
        if let Some(spool) = &mut self.spool
            && spool.is_open
            && spool.is_empty()
            && ex.out.pending() < capacity
        {
            (spool.is_open, spool.full) = (false, None);
        }
    }

    /// Whether the body may be spooled, and the queue is full.
    fn overflows(&self, ex: &Exchange) -> bool {
        self.phase == UpstreamPhase::SendReceive
            && !self.is_done()
            && UpstreamRequest::has_begun(ex)
            && !ex.response.at_once
            && settings(ex).temp_most() > 0
            && self.spool.as_ref().is_none_or(|spool| !spool.is_open && !spool.has_failed)
            && ex.out.pending() >= self.capacity(ex)
    }

    /// Returns when spooling will begin if the client does not take more by then; None: it will not.
    pub fn spools_at(&mut self, ex: &Exchange, now: u64) -> Option<u64> {
        if !self.overflows(ex) {
            return None;
        }
        let sent = ex.out.response_sent();
        let spool = self.spool.get_or_insert_default();
        let full = match spool.full {
            Some(full) if sent < full.sent + LEAST_TAKEN => full,
            _ => *spool.full.insert(Full { since: now, sent }),
        };
        Some(full.since + PATIENCE)
    }

    /// The time that [`UpstreamRequest::spools_at`] gave has come: everything read from now on goes to the file. False:
    /// the client has taken more meanwhile.
    pub fn opens_spool(&mut self, ex: &Exchange, now: u64) -> bool {
        let full = self.spool.as_ref().and_then(|spool| spool.full);
        let is_slow = |full: Full| now >= full.since + PATIENCE && ex.out.response_sent() < full.sent + LEAST_TAKEN;
        let opens = full.is_some_and(is_slow) && self.overflows(ex);
        if let Some(spool) = self.spool.as_mut().filter(|_| opens) {
            spool.is_open = true;
        }
        opens
    }

    /// The client is delayed by its own limit_rate: starts to spool at once.
    pub fn spool_for_pause(&mut self, ex: &Exchange) {
        if self.overflows(ex) {
            self.spool.get_or_insert_default().is_open = true;
        }
    }
}

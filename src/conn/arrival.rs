//! How fresh lookups for a request must be: a change on disk made before the request was sent is seen. Files and names
//! are looked up once per epoch ([`Clock::epoch`]); a turn of the loop begins one, shared by all requests that had
//! begun to arrive by then, which saves a busy server most of its system calls. Bytes read later in the turn may have
//! been sent after a lookup, so they need another epoch. [`Arrival`] knows which bytes those are, and
//! [`Arrival::request`], called where a request is decided, begins it, for either protocol. For connections that are
//! driven later in a turn than epoll reported them, or were just accepted, the loop begins one itself
//! (`server/connections.rs`, `server/accept.rs`).
//!
//! Reading alone does not: the first read of a connection in a turn is of what epoll reported, and an epoch for each of
//! a hundred connections would ask the kernel a hundred times whether a directory has changed.

use crate::services::clock::Clock;

/// When the unread bytes of a connection were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrival {
    /// Before this epoch began.
    BeforeEpoch,
    /// The first request of them began to arrive before this epoch did; what is behind it may be newer.
    FirstBeforeEpoch,
    /// They may be newer than the epoch.
    #[default]
    MaybeNewer,
}

impl Arrival {
    /// Bytes were read.
    pub fn received(&mut self) {
        *self = Arrival::MaybeNewer;
    }

    /// The next request is about to be decided on.
    pub fn request(&mut self, now: &mut Clock) {
        *self = match self {
            Arrival::BeforeEpoch => Arrival::BeforeEpoch,
            Arrival::FirstBeforeEpoch => Arrival::MaybeNewer,
            Arrival::MaybeNewer => {
                now.advance_epoch();
                Arrival::BeforeEpoch
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_begins_for_requests_that_may_be_newer_than_it() {
        let mut now = Clock::read();
        let mut arrival = Arrival::FirstBeforeEpoch;
        let mut began = |arrival: &mut Arrival| {
            let before = now.epoch;
            arrival.request(&mut now);
            now.epoch - before
        };
        assert_eq!([began(&mut arrival), began(&mut arrival), began(&mut arrival)], [0, 1, 0]);
        arrival.received();
        assert_eq!([began(&mut arrival), began(&mut arrival)], [1, 0]);
    }
}

//! Whether a connection is in a queue of the event loop, and in which it belongs: packed, since each of ten thousand
//! idle connections has it.

/// It is in a queue.
const QUEUED: u8 = 1;
/// See [`Queueing::is_heavy`].
const HEAVY: u8 = 2;
/// See [`Queueing::defer`].
const DEFERRED: u8 = 4;

/// A connection's relation to the event loop's queues.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Queueing(u8);

impl Queueing {
    /// It is in one of them.
    pub fn is_queued(self) -> bool {
        self.0 & QUEUED != 0
    }

    /// It gets into a queue. False: it was in one.
    pub fn enter(&mut self) -> bool {
        let enters = !self.is_queued();
        self.0 |= QUEUED;
        enters
    }

    /// Its turn has come.
    pub fn leave(&mut self) {
        self.0 &= !QUEUED;
    }

    /// Its event is processed with the queue of connections that continue in the next turn.
    pub fn defer(&mut self) {
        self.0 |= DEFERRED;
    }

    /// Whether [`Queueing::defer`] was called since the last time.
    pub fn take_deferred(&mut self) -> bool {
        let was_deferred = self.0 & DEFERRED != 0;
        self.0 &= !DEFERRED;
        was_deferred
    }

    /// Its last event took more than its share of a turn ([`crate::conn::Conn::is_heavy_after`]).
    pub fn is_heavy(self) -> bool {
        self.0 & HEAVY != 0
    }

    /// Sets [`Queueing::is_heavy`].
    pub fn set_heavy(&mut self, heavy: bool) {
        self.0 = if heavy { self.0 | HEAVY } else { self.0 & !HEAVY };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bit_changes_another() {
        for heavy in [false, true] {
            let mut queueing = Queueing::default();
            queueing.set_heavy(heavy);
            assert!(queueing.enter() && queueing.is_queued() && !queueing.enter());
            assert_eq!(queueing.is_heavy(), heavy);
            queueing.set_heavy(heavy);
            queueing.defer();
            assert!(queueing.is_queued() && queueing.is_heavy() == heavy);
            assert!(queueing.take_deferred() && !queueing.take_deferred() && queueing.is_queued());
            queueing.leave();
            assert!(!queueing.is_queued() && queueing.is_heavy() == heavy);
        }
    }
}

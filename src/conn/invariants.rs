//! What holds of a connection that waits; checked after each of its turns in debug builds and by the simulation.

use super::upstream;
use super::upstream::pool::Backends;
use super::{Conn, State};

impl Conn {
    /// A connection that waits will be woken. `queued`: it is in the run queue.
    ///
    /// # Panics
    /// When that does not hold.
    pub fn check_invariants(&self, queued: bool, backends: &Backends) {
        if queued {
            return;
        }
        let reads = !self.transport.can_read();
        let writes = !self.transport.can_write();
        match &self.state {
            State::Idle | State::Lingering { .. } => assert!(reads, "an idle connection has something to read"),
            State::PendingSend { .. } => assert!(queued, "what is pending is sent in the same turn"),
            // A pause has its timer.
            State::Active(active) if active.ex.pause.is_some() => {}
            // The disk has been asked, and will answer.
            State::Active(active) if active.handler.waits() => {}
            State::Active(active) if active.is_proxied() => {
                upstream::check_invariants(&self.transport, active, backends);
            }
            State::Active(active) => {
                let ex = &active.ex;
                let wants_write = !ex.out.is_empty() || self.transport.has_unsent();
                let wants_read = !wants_write;
                assert!(
                    wants_write && writes || wants_read && reads,
                    "an active connection waits for nothing: rx {:?} tx {:?} {:?}",
                    ex.rx,
                    ex.tx,
                    self.transport
                );
            }
        }
    }
}

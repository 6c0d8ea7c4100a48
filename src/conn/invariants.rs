//! What holds of a connection that waits; checked after each of its turns in debug builds and by the simulation.

use super::timers::Timer;
use super::upstream;
use super::upstream::pool::UpstreamConns;
use super::{Conn, ConnState};

impl Conn {
    /// A connection that waits will be woken. `queued`: it is in the run queue.
    ///
    /// # Panics
    /// When that does not hold.
    pub fn check_invariants(&self, queued: bool, upstream_conns: &UpstreamConns) {
        // A stream is woken by the connection that carries it.
        if queued || self.transport.is_stream() {
            return;
        }
        let reads = !self.transport.can_read();
        let writes = !self.transport.can_write();
        match &self.state {
            ConnState::Idle | ConnState::Lingering { .. } => assert!(reads, "an idle connection has something to read"),
            ConnState::Http2(http2) => {
                assert!(reads || !writes || http2.has_output(), "a connection of HTTP/2 could go on");
            }
            ConnState::PendingSend { .. } => assert!(queued, "what is pending is sent in the same turn"),
            // A pause ends by its timer. Before that the response may begin to be spooled, or work on files goes on.
            ConnState::Active(active) if active.ex.progress.pause.is_some() => {
                let goes_on = matches!(self.deadline.timer(), Timer::Pause | Timer::Spool | Timer::Work);
                assert!(goes_on, "a delayed connection waits for another timer: {:?}", self.deadline);
            }
            // The disk has been asked, and will answer.
            ConnState::Active(active) if active.handler.waits() => {
                let is_work = self.deadline.timer() == Timer::Work;
                assert!(is_work, "a connection that waits for the disk may time out: {:?}", self.deadline);
            }
            ConnState::Active(active) if active.is_proxied() => {
                upstream::check_invariants(&self.transport, active, upstream_conns);
            }
            ConnState::Active(active) => {
                let ex = &active.ex;
                let wants_write = !ex.out.is_empty() || self.transport.has_unsent();
                let wants_read = !wants_write;
                assert!(
                    wants_write && writes || wants_read && reads,
                    "an active connection waits for nothing: rx {:?} tx {:?} {:?}",
                    ex.progress.rx,
                    ex.progress.tx,
                    self.transport
                );
            }
        }
    }
}

//! Invariants between two turns, checked in debug builds and by the simulation.

use super::Server;
use crate::conn::ConnState;
use crate::util::wheel::TICK;

impl Server {
    /// Checks that every connection will be woken (by its socket, deadline or the run queue), and that gauges match.
    ///
    /// # Panics
    /// If an invariant is violated.
    pub fn check_invariants(&self) {
        let (now, mut active, mut streams, mut overdue) = (self.cx.now.ms, 0, 0, 0);
        for (key, conn) in self.conns.iter() {
            let queued = conn.queueing.is_queued();
            conn.check_invariants(queued, &self.pool.upstream_conns);
            assert!(queued || conn.is_watched(), "epoll does not know a connection that waits");
            match self.wheel.deadline(key.slot()) {
                Some(at) => assert!(at <= conn.deadline.at().max(now) + 2 * TICK, "{:?} fires at {at}", conn.deadline),
                // The slice had no time for it.
                None => {
                    assert!(self.timed_out.contains(&key.slot()), "every connection has a timer");
                    overdue += 1;
                }
            }
            if let ConnState::Http2(http2) = &conn.state {
                http2.check_invariants(key, &self.conns);
            }
            active += u64::from(matches!(conn.state, ConnState::Active(_)));
            streams += u64::from(conn.transport.is_stream());
        }
        let (open, stats) = (self.conns.len() as u64, &self.cx.stats);
        assert_eq!(self.wheel.len() as u64 + overdue, open, "timers of connections that are gone");
        assert_eq!(stats.active, open - streams, "open connections are miscounted");
        assert_eq!(stats.reading + stats.writing, active, "requests in progress are miscounted");
        assert_eq!(stats.waiting, open - active, "idle connections are miscounted");
    }
}

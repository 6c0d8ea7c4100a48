//! The graceful end: what is under way is finished, what is idle is closed; and what goes before it where others are to
//! take over without losing a request.

use super::{Mode, Server};
use crate::util::slab::Key;

impl Server {
    /// The health check fails from now on, and all else goes on: whoever balances the load has drain_delay to send new
    /// requests elsewhere. Then as QUIT. Under a parent the parent knows when.
    pub fn drain(&mut self) {
        if self.mode != Mode::Serving || self.cx.draining {
            return;
        }
        self.cx.draining = true;
        let delay = self.cx.config.process.drain_delay;
        self.note(format_args!("draining: health checks fail from now on, shutting down in {} s", delay / 1000));
        self.supervisor.draining();
        if self.parent.is_none() {
            self.drained_at = Some(self.cx.now.ms + delay);
        }
    }

    pub(super) fn end_drain(&mut self, now: u64) {
        if self.drained_at.is_some_and(|at| at <= now) {
            self.drained_at = None;
            self.note(format_args!("drained, shutting down"));
            self.quit();
        }
    }

    /// QUIT: no more connections; those between requests end now, the others after the one under way.
    pub fn quit(&mut self) {
        if self.mode != Mode::Serving {
            return;
        }
        // What is in the backlog was promised an answer.
        for at in 0..self.listeners.len() {
            self.accept_from(at);
        }
        self.cx.quitting = true;
        self.supervisor.stopping(self.new_binary);
        self.listeners.close();
        let timeout = self.cx.config.process.shutdown_timeout;
        self.mode = Mode::Quitting { until: timeout.map(|ms| self.cx.now.ms + ms) };
        self.wake_http2();
        self.close_idle(usize::MAX);
    }

    /// Closes connections that are between requests, at most `most`. Gives how many.
    pub(super) fn close_idle(&mut self, most: usize) -> usize {
        let idle: Vec<Key> = self
            .conns
            .iter()
            .filter(|(_, conn)| conn.is_idle() && conn.registered)
            .map(|(key, _)| key)
            .take(most)
            .collect();
        for key in &idle {
            self.close(*key);
        }
        idle.len()
    }
}

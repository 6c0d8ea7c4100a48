//! The graceful end: what is under way is finished, what is idle is closed.

use super::{Mode, Server};
use crate::util::slab::Key;

impl Server {
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

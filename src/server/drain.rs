//! Graceful shutdown: completes requests in progress and closes idle connections; and the drain before it, during which
//! a load balancer sends new requests elsewhere.

use super::connections::Batch;
use super::retired::Retired;
use super::{Mode, Server};
use crate::config::model::Config;
use crate::conn::io::{CloseReason, Next};
use crate::conn::{Conn, ConnState, close};
use crate::util::slab::Key;
use crate::util::wake::Wake;
use std::rc::Rc;

impl Server {
    /// From now on the health check fails, but everything else is served: the load balancer has drain_delay to send new
    /// requests elsewhere. Then the same as QUIT. Under a parent, the parent keeps the time.
    pub fn drain(&mut self) {
        if self.mode != Mode::Serving || self.cx.draining {
            return;
        }
        self.cx.draining = true;
        let delay = self.cx.config.process.drain_delay;
        self.note(format_args!("draining: health checks fail from now on, shutting down in {} s", delay / 1000));
        self.service_manager.draining();
        if self.parent.is_none() {
            self.drained_at = Some(self.cx.now.ms + delay);
        }
    }

    /// Shuts down once the delay of a drain is over.
    pub(super) fn end_drain(&mut self, now: u64) {
        if self.drained_at.is_some_and(|at| at <= now) {
            self.drained_at = None;
            self.note(format_args!("drained, shutting down"));
            self.quit();
        }
    }

    /// QUIT: stops accepting; closes idle connections now, others after their request.
    pub fn quit(&mut self) {
        if self.mode != Mode::Serving {
            return;
        }
        // The kernel has completed the connections in the backlog, so their clients expect a response. A successor
        // gives it, and has the counters.
        for at in 0..self.listeners.len() {
            if !self.has_successor() {
                self.accept_from(at, usize::MAX);
            }
        }
        self.cx.quitting = true;
        self.service_manager.stopping(self.new_binary);
        self.listeners.close();
        // A successor orders the same certificates; the challenges of this process can no longer be answered.
        self.acme.clear();
        let timeout = self.cx.config.process.shutdown_timeout;
        // Those between requests are closed. One without a request yet may be about to send one: it gets a response, or
        // ends by client_header_timeout, as in nginx.
        self.mode = Mode::Quitting { until: timeout.map(|ms| self.cx.now.ms + ms), closes_idle: true };
        self.wake_http2();
    }

    /// After QUIT: closes the connections that were idle then, as many as the slice has time for. One that gets a
    /// request before its turn comes is closed after the response. False: there are more.
    fn close_idle_ones(&mut self) -> bool {
        let may = |conn: &Conn| conn.served.requests() > 0 || matches!(conn.state, ConnState::Http2(_));
        let idle = self.idle(may).collect::<Vec<Key>>();
        self.within_slice(&idle, |server, key| server.close(key, CloseReason::ShuttingDown))
    }

    /// Does it for one connection after the other, at least one. False: the slice was over before the last.
    fn within_slice(&mut self, keys: &[Key], act: fn(&mut Server, Key)) -> bool {
        keys.iter().enumerate().all(|(at, key)| {
            let has_time = at == 0 || !self.cx.slice.is_late();
            if has_time {
                act(self, *key);
            }
            has_time
        })
    }

    /// Ends the process once everything is complete, with it the programs that work behind their answer, or after
    /// `worker_shutdown_timeout`; what remains then is closed and logged.
    pub(super) fn end_quit(&mut self) {
        let Mode::Quitting { until, mut closes_idle } = self.mode else { return };
        if until.is_some_and(|at| at <= self.cx.now.ms) {
            let keys: Vec<Key> = self.conns.iter().map(|(key, _)| key).collect();
            if !self.within_slice(&keys, Server::cut_off) {
                return;
            }
        } else {
            if closes_idle {
                closes_idle = !self.close_idle_ones();
                self.mode = Mode::Quitting { until, closes_idle };
            }
            let is_busy = !self.conns.is_empty() || self.cx.children.are_working();
            if closes_idle || is_busy || !self.has_sent_all_state() {
                return;
            }
        }
        self.mode = Mode::Stopped;
    }

    fn cut_off(&mut self, key: Key) {
        self.act(Wake::conn(key), Batch::No, |conn, turn| {
            close::abandon(conn, turn, CloseReason::ShuttingDown);
            Next::Close(CloseReason::ShuttingDown)
        });
    }

    /// After a reload: connections continue, idle ones with the new configuration. If the old one has
    /// `worker_shutdown_timeout`, those still using it by then are closed.
    pub(super) fn retire(&mut self, old: &Rc<Config>) {
        if let Some(ms) = old.process.shutdown_timeout {
            let until = self.cx.now.ms.saturating_add(ms);
            self.retired.push(Retired { until, config: Rc::downgrade(old), before: self.serial });
        }
    }

    /// When the remaining connections of an old configuration are closed.
    pub(super) fn retired_due(&self) -> Option<u64> {
        self.retired.iter().map(|retired| retired.until).min()
    }

    /// Closes the connections that still use an old configuration, once worker_shutdown_timeout is over.
    pub(super) fn end_retired(&mut self) {
        let now = self.cx.now.ms;
        while let Some(at) = self.retired.iter().position(|retired| retired.until <= now) {
            let Some(retired) = self.retired.get(at) else { return };
            let keys = self.conns.iter().filter(|(_, conn)| retired.holds(conn)).map(|(key, _)| key);
            if !self.within_slice(&keys.collect::<Vec<Key>>(), Server::cut_off) {
                return; // It is still due.
            }
            self.retired.swap_remove(at);
        }
    }

    /// Closes at most `most` connections that are between requests. Returns how many.
    pub(super) fn close_idle(&mut self, most: usize, reason: CloseReason, may: fn(&Conn) -> bool) -> usize {
        let idle: Vec<Key> = self.idle(may).take(most).collect();
        for key in &idle {
            self.close(*key, reason);
        }
        idle.len()
    }

    fn idle(&self, may: fn(&Conn) -> bool) -> impl Iterator<Item = Key> {
        let is_idle = move |conn: &Conn| conn.is_idle() && conn.is_watched() && may(conn);
        self.conns.iter().filter(move |(_, conn)| is_idle(conn)).map(|(key, _)| key)
    }
}

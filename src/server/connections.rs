//! Connections on the event loop: one with something to do is driven, then scheduled by what it waits for, or closed.
//!
//! Invariant: all work of a connection runs inside [`Server::act`], and its end inside [`Server::close`], so that a
//! panic ends only the connection.

use super::{GATHER, LEAST, Server};
use crate::conn::io::{Budget, CloseReason, Next, SHARE};
use crate::conn::timers::Timer;
use crate::conn::token::{Role, token};
use crate::conn::{Conn, ConnState, Turn, drive, http2};
use crate::util::inject::panic_point;
use crate::util::slab::Key;
use crate::util::wake::Wake;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The queue in which a connection waits for its next turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Queue {
    /// It has used its share, and continues in the next turn.
    Run,
    /// It has bodies to transfer, which share `BULK` bytes per turn.
    Bulk,
}

/// Whether a short response may wait for those of the next connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Batch {
    /// It is held until the end of the turn, and sent with the others.
    Yes,
    /// It is sent at once.
    No,
}

impl Server {
    /// epoll reported `flags` of a client's socket.
    pub(super) fn client_event(&mut self, key: Key, flags: u32) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        panic_point("event");
        conn.transport.event(flags);
        match conn.has_bulk_data() {
            true => self.schedule(key, Next::Run, Queue::Bulk),
            false => self.drive_or_defer(Wake::conn(key)),
        }
    }

    /// An event of an upstream connection: drives its client's connection.
    pub(super) fn upstream_event(&mut self, key: Key, flags: u32) {
        let Some(wake) = self.pool.upstream_conns.event(key, flags) else { return };
        match self.conns.get(wake.conn).is_some_and(Conn::has_bulk_data) {
            true => self.schedule(wake.conn, Next::Run, Queue::Bulk),
            false => self.drive_or_defer(wake),
        }
    }

    /// Drives the connection of an event now, or in the next turn if this one has taken long. In order of events: if
    /// many clients send at once, none waits while others get a second turn. A connection whose last event took more
    /// than its share (a heavy one) waits in the run queue instead, so that small requests are served before all heavy
    /// ones have had a turn.
    pub(super) fn drive_or_defer(&mut self, wake: Wake) {
        if self.late.is_empty() && !self.cx.slice.is_late() {
            return self.drive_and_batch(wake);
        }
        // A newly accepted connection has no timer yet.
        self.arm(wake.conn);
        if let Some(conn) = self.conns.get_mut(wake.conn)
            && conn.queueing.enter()
        {
            match conn.queueing.is_heavy() {
                true => {
                    conn.queueing.defer();
                    self.run.push_back(wake.conn);
                }
                false => self.late.push_back(wake.conn),
            }
        }
    }

    /// Drives the connections that were postponed by the last turn.
    pub(super) fn serve_late(&mut self) {
        let count = self.late.len();
        for at in 0..count {
            if at > 0 && self.cx.slice.is_late() {
                break;
            }
            self.cx.slice.share(count);
            let Some(key) = self.late.pop_front() else { break };
            let Some(conn) = self.conns.get_mut(key) else { continue };
            conn.queueing.leave();
            self.cx.now.advance_epoch();
            self.drive_and_batch(Wake::conn(key));
        }
        self.cx.slice.share_all();
    }

    /// Drives a connection, and schedules it by what it waits for.
    pub(super) fn drive(&mut self, wake: Wake) {
        self.act(wake, Batch::No, drive::drive);
    }

    /// Calls `act` on a connection, and schedules it by the result. A panic ends the connection, not the process.
    pub(super) fn act(&mut self, wake: Wake, batch: Batch, act: fn(&mut Conn, &mut Turn<'_>) -> Next) -> Option<Next> {
        let key = wake.conn;
        let parent = self.conns.get(key)?.transport.parent();
        let given = self.bulk.max(SHARE as usize);
        let budget = Budget { bytes: given, batch: batch == Batch::Yes, ..Budget::default() };
        let conn = self.conns.get_mut(key)?;
        self.cx.syncs.driven = Some(wake);
        let endpoints = self.listeners.endpoints();
        let mut turn = Turn { cx: &mut self.cx, pool: &mut self.pool, endpoints, budget, wake };
        let mut next = catch_unwind(AssertUnwindSafe(|| act(conn, &mut turn)));
        let mut streams = Vec::new();
        if let Ok(Next::Run) = next
            && matches!(conn.state, ConnState::Http2(_))
        {
            let step = || http2::connection::step(&mut self.conns, &mut turn, key);
            next = catch_unwind(AssertUnwindSafe(step)).map(|(next, driven)| {
                streams = driven;
                next
            });
        }
        let left = turn.budget.bytes;
        let is_spent = left == 0 || turn.budget.pieces == 0;
        let next = next.unwrap_or_else(|_| self.panicked(key));
        self.bulk = self.bulk.saturating_sub(given - left);
        for (stream, next) in streams {
            self.schedule(stream, next, Queue::Run);
        }
        self.schedule(key, next, if is_spent { Queue::Bulk } else { Queue::Run });
        // A stream's output is sent by its connection.
        if let Some(parent) = parent {
            self.stream_went_on(parent, key);
            self.drive(Wake::conn(parent));
        }
        Some(next)
    }

    /// As [`Server::drive`], but a short response, or a short upstream request, waits for those of the next connections
    /// ([`GATHER`]).
    pub(super) fn drive_and_batch(&mut self, wake: Wake) {
        let next = self.act(wake, Batch::Yes, drive::drive);
        self.judge(wake.conn, next);
        match next {
            Some(Next::Send) if self.batched.len() < GATHER => {}
            // A connection that used up its share has taken long, and another may follow, so send the batch now.
            Some(Next::Send | Next::Run) => self.send_batched(),
            _ => {}
        }
    }

    /// Sends the short responses of this turn that were held.
    pub(super) fn send_batched(&mut self) {
        // One by one, so that a panic loses none of the others; they are few.
        for _ in 0..self.batched.len() {
            let key = self.batched.remove(0);
            self.act(Wake::conn(key), Batch::No, drive::send_held);
        }
        self.pool.send_batch.clear();
    }

    /// Schedules a connection by `next`; if it must run again, in `queue`.
    pub(super) fn schedule(&mut self, key: Key, next: Next, queue: Queue) {
        match next {
            Next::Close(reason) => self.close(key, reason),
            Next::Send => self.batched.push(key),
            Next::Run => {
                self.arm(key);
                let Some(conn) = self.conns.get_mut(key) else { return };
                // If this fails, a disconnecting client goes unnoticed, and its request is completed.
                if conn.reads_for_its_client() {
                    let _ = conn.watch(&self.epoll, token(Role::Client, key));
                }
                if conn.queueing.enter() {
                    match queue {
                        Queue::Run => self.run.push_back(key),
                        Queue::Bulk => self.bulky.push_back(key),
                    }
                }
            }
            Next::Wait => {
                let Some(conn) = self.conns.get_mut(key) else { return };
                conn.transport.flush_held();
                if conn.watch(&self.epoll, token(Role::Client, key)).is_err() {
                    return self.close(key, CloseReason::NotWatched);
                }
                self.arm(key);
            }
        }
        if cfg!(debug_assertions)
            && let Some(conn) = self.conns.get(key)
        {
            let queued = conn.queueing.is_queued() || self.batched.contains(&key);
            conn.check_invariants(queued, &self.pool.upstream_conns);
        }
    }

    /// Sets the timer to the connection's deadline.
    pub(super) fn arm(&mut self, key: Key) {
        if let Some(conn) = self.conns.get(key) {
            let deadline = conn.deadline;
            self.wheel.arm(key.slot(), deadline.at());
            if deadline.timer() == Timer::Tickets {
                self.held_tickets.push_back((key, deadline.at()));
            }
        }
    }

    /// Ends a connection: its request is logged, its streams are closed, its place is free. Without effect if it is
    /// gone.
    pub(super) fn close(&mut self, key: Key, reason: CloseReason) {
        self.wheel.disarm(key.slot());
        let Some(mut conn) = self.conns.remove(key) else { return };
        self.protected("the end of a connection", |server| {
            panic_point("close");
            server.leave_request(key, &mut conn);
            server.close_streams(key, &mut conn, reason);
            conn.transport.send_close_notify();
            conn.state = ConnState::Idle;
        });
        // Also after a panic.
        self.count_closed(conn.transport, conn.serial, reason);
        self.cx.stats.waiting = self.cx.stats.waiting.saturating_sub(1);
        self.resume_accepting();
    }

    /// Drives the connections that wait for a turn, within the time of this one.
    pub(super) fn run_queue(&mut self) {
        if self.pool.upstream_conns.take_room_request() {
            self.make_room();
        }
        if !self.run.is_empty() || !self.bulky.is_empty() {
            self.cx.slice.leave_half();
        }
        let count = self.run.len();
        for at in 0..count {
            // At least one connection per queue continues, even if the turn's time is over.
            if at > 0 && self.cx.slice.is_turn_over() {
                break;
            }
            self.cx.slice.share_half(count);
            let Some(key) = self.run.pop_front() else { break };
            self.go_on(key, Queue::Run);
        }
        self.cx.slice.share_all();
        // Queued connections transfer a minimum, however much the others have transferred.
        self.bulk = self.bulk.max(LEAST);
        for at in 0..self.bulky.len() {
            if self.bulk == 0 || at > 0 && self.cx.slice.is_turn_over() {
                return;
            }
            let Some(key) = self.bulky.pop_front() else { break };
            self.go_on(key, Queue::Bulk);
        }
    }

    /// Drives a connection that waited in `queue`.
    pub(super) fn go_on(&mut self, key: Key, queue: Queue) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.queueing.leave();
        let is_event = conn.queueing.take_deferred();
        self.cx.now.advance_epoch();
        let next = self.act(Wake::conn(key), Batch::No, drive::drive);
        if is_event {
            self.judge(key, next);
        } else if let (Queue::Run, Some(Next::Run), Some(conn)) = (queue, next, self.conns.get_mut(key)) {
            // It has used up its share in the turn of its event and in this one.
            conn.queueing.set_heavy(true);
        }
    }

    /// Notes whether the event that was just acted on makes its connection heavy.
    fn judge(&mut self, key: Key, next: Option<Next>) {
        if let Some((conn, next)) = self.conns.get_mut(key).zip(next) {
            conn.queueing.set_heavy(conn.is_heavy_after(next));
        }
    }
}

#[cfg(test)]
mod tests;

//! Timers: deadlines of connections, and periodic work of the process.

use super::Server;
use super::connections::Batch;
use crate::config::model::Level;
use crate::conn::drive;
use crate::conn::io::Next;
use crate::conn::timers::Timer;
use crate::exchange::handlers::resumable::sweep;
use crate::util::inject::panic_point;
use crate::util::slab::Key;
use crate::util::wake::Wake;

impl Server {
    /// Does all that is due: connections that timed out, and the process's own deadlines.
    pub(super) fn timers(&mut self) {
        let now = self.cx.now.ms;
        self.wheel.expire(now, &mut self.timed_out);
        // Connections that were opened together end together: each costs its last response or log line, and 6000 of
        // them held up the others for half a second. What the slice has no time for is done in the next turn.
        let mut done = 0;
        while done < self.timed_out.len() && (done == 0 || !self.cx.slice.is_late()) {
            // What panics is not tried again, and the others stay in the list.
            let slot = std::mem::replace(&mut self.timed_out[done], u32::MAX);
            done += 1;
            let Some(key) = self.conns.key_of(slot) else { continue };
            // A queued connection may have data in its socket already, so drive it before timing it out.
            let Some(conn) = self.conns.get(key) else { continue };
            if conn.deadline.at() > now || conn.queueing.is_queued() {
                self.arm(key);
                continue;
            }
            self.time_out(key);
        }
        self.timed_out.drain(..done);
        self.send_held_tickets(now);
        if self.paused_until.is_some_and(|at| at <= now) {
            self.end_pause();
        }
        self.protected("a timer", |server| {
            panic_point("timer");
            server.pool.upstream_conns.expire(now);
            server.service_manager.tick(now);
            server.end_drain(now);
        });
        self.protected("work of the services", Server::services_due);
        self.protected("a sweep", Server::sweep);
    }

    /// Sends the held session tickets that have waited long enough ([`Timer::Tickets`]): the wheel's ticks are too long
    /// for these.
    fn send_held_tickets(&mut self, now: u64) {
        while self.held_tickets.front().is_some_and(|(_, at)| *at <= now) {
            let Some((key, _)) = self.held_tickets.pop_front() else { break };
            let Some(conn) = self.conns.get(key) else { continue };
            if conn.deadline.timer() == Timer::Tickets && conn.deadline.at() <= now && !conn.queueing.is_queued() {
                self.time_out(key);
            }
        }
    }

    fn time_out(&mut self, key: Key) {
        self.act(Wake::conn(key), Batch::No, |conn, turn| match drive::timeout(conn, turn) {
            Next::Run => drive::drive(conn, turn),
            next => next,
        });
    }

    /// Periodic cleanup: idle files, expired locks and the like.
    fn sweep(&mut self) {
        panic_point("sweep");
        let now = self.cx.now.ms;
        self.cx.files.sweep(&self.cx.now);
        self.cx.directories.sweep(&self.cx.now);
        self.cx.listings.sweep(now);
        if self.cx.compressors.sweep(now) {
            self.return_memory();
        }
        sweep::run(&mut self.cx);
        for wake in std::mem::take(&mut self.cx.resumable.superseded) {
            self.drive(wake);
        }
        self.cx.temp_names.clean();
        self.cx.find_dirs();
        for what in self.cx.temp_names.complaints() {
            self.say(Level::Crit, format_args!("{what}"));
        }
    }
}

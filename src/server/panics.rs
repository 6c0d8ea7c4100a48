//! A panic ends the connection in which it occurred, or the reload or sweep, but never the process.
//!
//! Invariant: whatever the loop dispatches runs inside [`Server::protected`], and what a connection's request does
//! inside [`Server::act`], so that only that connection is lost. State left inconsistent by a panic is dropped, and
//! never used again.

use super::Server;
use crate::config::model::{Level, LineFormat};
use crate::conn::ConnState;
use crate::conn::io::{CloseReason, Next};
use crate::exchange::Rx;
use crate::services::SCRATCH;
use crate::services::logs::Who;
use crate::util::slab::Key;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Server {
    /// Calls `act`, which belongs to no connection. None: it panicked.
    pub(super) fn protected<T>(&mut self, name: &str, act: impl FnOnce(&mut Server) -> T) -> Option<T> {
        let outcome = catch_unwind(AssertUnwindSafe(|| act(self)));
        if outcome.is_err() {
            self.alert(None, format_args!("{name} panicked and is given up. This is a bug in webserv"));
        }
        outcome.ok()
    }

    /// Ends a connection after a panic.
    pub(super) fn panicked(&mut self, key: Key) -> Next {
        let serial = self.conns.get(key).map(|conn| conn.serial);
        let what = format_args!("a request panicked; its connection is closed. This is a bug in webserv");
        self.alert(serial, what);
        if let Some(conn) = self.conns.get_mut(key)
            && let ConnState::Active(mut active) = std::mem::replace(&mut conn.state, ConnState::Idle)
        {
            let stats = &mut self.cx.stats;
            let count = if active.ex.progress.rx == Rx::Head { &mut stats.reading } else { &mut stats.writing };
            *count = count.saturating_sub(1);
            stats.waiting += 1;
            // Each of them may panic, too, even dropping its handler.
            let (upstream_conns, cx) = (&mut self.pool.upstream_conns, &mut self.cx);
            let _ = catch_unwind(AssertUnwindSafe(|| upstream_conns.leave(&mut active.upstream_conn, cx)));
            let _ = catch_unwind(AssertUnwindSafe(|| active.ex.release_limit_slots(cx)));
            let _ = catch_unwind(AssertUnwindSafe(|| drop(active)));
        }
        // HTTP/2 streams that it was driving are referred to by nothing else.
        let streams: Vec<Key> = (self.conns.iter())
            .filter(|(_, conn)| conn.transport.parent() == Some(key))
            .map(|(stream, _)| stream)
            .collect();
        for stream in streams {
            self.close(stream, CloseReason::Bug);
        }
        Next::Close(CloseReason::Bug)
    }

    fn alert(&mut self, serial: Option<u64>, what: std::fmt::Arguments<'_>) {
        // It was left empty, or with the connection's input.
        self.cx.scratch.clear();
        self.cx.scratch.reserve(SCRATCH);
        let log = self.cx.config.process.error_log.clone();
        let who = serial.map(|serial| Who { serial, asked: &|_: LineFormat, _: &mut Vec<u8>| {} });
        self.cx.logs.error(&log, Level::Alert, &mut self.cx.now, who, what);
    }
}

#[cfg(test)]
mod tests;

//! What the process does when it approaches worker_memory_limit ([`crate::services::overload`]), and when many
//! connections have closed or a response has needed much memory.

use super::Server;
use crate::config::model::Level;
use crate::conn::io::CloseReason;
use crate::conn::token::{Role, role_of};
use crate::services::overload::MemoryStage;

/// Maximum number of idle connections closed per turn.
const TURN: usize = 256;

impl Server {
    /// Checks memory usage, and frees what can be spared.
    pub(super) fn check_memory(&mut self) {
        if let Some(stage) = self.cx.overload.check(self.cx.now.ms) {
            self.log_stage(stage);
            if !self.cx.overload.is_tight() {
                self.fill_caches();
            }
        }
        if self.cx.overload.is_tight() {
            // A connection whose first request or handshake is in progress is not idle; client_header_timeout bounds
            // it.
            self.close_idle(TURN, CloseReason::MadeRoom, |conn| conn.served.requests() > 0);
        }
        if self.cx.overload.is_trim_due(self.cx.now.ms) {
            self.empty_caches();
            self.return_memory();
        }
        if self.cx.overload.stage() == MemoryStage::Over {
            self.pause_accepting();
        }
    }

    /// Returns what is free to the kernel, in as many turns as it takes ([`Server::give_back_memory`]).
    pub(super) fn return_memory(&mut self) {
        self.returning.get_or_insert_default().restart();
    }

    /// Begins to return memory in a turn without events after a crowd of connections has closed (nothing would trigger
    /// it later), and continues what was begun, within the time of this turn.
    pub(super) fn give_back_memory(&mut self) {
        let events = &self.events;
        let is_idle = || events.iter().all(|(token, _)| role_of(token) == Some(Role::Timer));
        if self.crowd.has_left(self.conns.len(), self.cx.has_used_much, self.cx.now.ms, is_idle) {
            self.cx.has_used_much = false;
            self.cx.buffers.shrink(0);
            self.pool.shrink();
            self.return_memory();
        }
        while let Some(memory) = &mut self.returning {
            if !memory.step() {
                self.returning = None;
            } else if self.cx.slice.is_turn_over() {
                return;
            }
        }
    }

    fn log_stage(&mut self, stage: MemoryStage) {
        let does = match stage {
            MemoryStage::Normal => "all requests are served again",
            MemoryStage::Tight => "idle connections are closed",
            MemoryStage::Full => "new requests are refused",
            MemoryStage::Over => "no connections are accepted",
        };
        let percent = self.cx.overload.percent();
        let log = self.cx.config.process.error_log.clone();
        let what = format_args!("{percent}% of worker_memory_limit is used: {does}");
        self.cx.logs.error(&log, Level::Error, &mut self.cx.now, None, what);
    }

    fn empty_caches(&mut self) {
        self.cx.files.set_limit(0);
        self.cx.listings.set_limit(0);
        self.cx.response_cache.clear(0);
        self.cx.buffers.shrink(0);
        self.pool.clear();
    }

    fn fill_caches(&mut self) {
        let config = self.cx.config.clone();
        self.cx.files.set_limit(config.static_cache_size());
        self.cx.listings.set_limit(config.listing_cache_size());
        self.cx.response_cache.clear(config.repeat_cache_size());
    }
}

//! What the process does when it approaches worker_memory_limit ([`crate::services::overload`]), and when many
//! connections have closed or a response has needed much memory.

use super::Server;
use crate::config::model::Level;
use crate::conn::io::CloseReason;
use crate::conn::token::{Role, role_of};
use crate::services::overload::MemoryStage;

/// Maximum number of idle connections closed per turn.
const TURN: usize = 256;
/// With fewer connections, returning their memory is not worth the time.
const CROWD: usize = 256;
/// Milliseconds for which three quarters of the peak must have been closed before memory is returned.
const TRIM_DELAY: u64 = 1_000;

/// The peak of connections since memory was last returned, and since when most of them are closed.
#[derive(Default)]
pub(super) struct Crowd {
    most: usize,
    gone: Option<u64>,
}

impl Crowd {
    /// Whether most connections have closed, or `has_used_much` ([`crate::services::Services::has_used_much`]), and
    /// nothing else is happening. `count`: current connections, `now`: monotonic milliseconds.
    fn has_left(&mut self, count: usize, has_used_much: bool, now: u64, is_idle: impl FnOnce() -> bool) -> bool {
        self.most = self.most.max(count);
        if !has_used_much && (self.most < CROWD || count > self.most / 4) {
            self.gone = None;
            return false;
        }
        let gone = *self.gone.get_or_insert(now);
        if now < gone.saturating_add(TRIM_DELAY) {
            return false;
        }
        let has_left = is_idle();
        *self = if has_left { Crowd { most: count, gone: None } } else { Crowd { gone: Some(now), ..*self } };
        has_left
    }

    /// When to check again.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.gone.map(|gone| gone.saturating_add(TRIM_DELAY))
    }
}

impl Server {
    /// Checks memory usage, and frees what can be spared.
    pub(super) fn check_memory(&mut self) {
        if let Some(stage) = self.cx.overload.look(self.cx.now.ms) {
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

    /// Begins to return memory in a turn without events after a crowd of connections has closed (later nothing would
    /// trigger it), and goes on with what was begun, within the time of this turn.
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
            MemoryStage::Normal => "all is served again",
            MemoryStage::Tight => "idle connections are closed",
            MemoryStage::Full => "new requests are refused",
            MemoryStage::Over => "no connections are accepted",
        };
        let percent = self.cx.overload.percent();
        let log = self.cx.config.process.error_log.clone();
        let what = format_args!("{percent}% of worker_memory_limit are used: {does}");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_after_a_crowd_has_left_and_nothing_happens() {
        let mut crowd = Crowd::default();
        for (name, count, now, is_idle, expected, due) in [
            ("few", 200, 0, true, false, None),
            ("few are gone", 0, 5_000, true, false, None),
            ("a crowd", 1_000, 6_000, false, false, None),
            ("half of it", 500, 7_000, true, false, None),
            ("a quarter", 250, 8_000, true, false, Some(9_000)),
            ("too early", 100, 8_999, true, false, Some(9_000)),
            ("something happens", 100, 9_000, false, false, Some(10_000)),
            ("some are back", 300, 9_500, true, false, None),
            ("gone again", 10, 10_000, true, false, Some(11_000)),
            ("quiet", 10, 11_000, true, true, None),
            ("once", 10, 13_000, true, false, None),
        ] {
            assert_eq!(crowd.has_left(count, false, now, || is_idle), expected, "{name}");
            assert_eq!(crowd.next_due(), due, "{name}");
        }
        assert!(!crowd.has_left(10, true, 20_000, || true), "a large response, just now");
        assert_eq!(crowd.next_due(), Some(21_000));
        assert!(crowd.has_left(10, true, 21_000, || true), "quiet again");
    }
}

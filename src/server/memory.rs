//! What the process does when it comes near worker_memory_limit ([`crate::services::overload`]).

use super::Server;
use crate::config::model::Level;
use crate::conn::io::CloseReason;
use crate::services::overload::Stage;
use crate::sys::process;

/// Connections between requests that are closed in one turn.
const TURN: usize = 256;

impl Server {
    /// Looks how much memory is used, and frees what can be spared.
    pub(super) fn mind_memory(&mut self) {
        if let Some(stage) = self.cx.overload.look(self.cx.now.ms) {
            self.say_stage(stage);
            if !self.cx.overload.is_tight() {
                self.fill_caches();
            }
        }
        if self.cx.overload.is_tight() {
            // One whose first request, or handshake, is on its way has not been served yet: client_header_timeout is its bound.
            self.close_idle(TURN, CloseReason::MadeRoom, |conn| conn.served.requests() > 0);
        }
        if self.cx.overload.is_trim_due(self.cx.now.ms) {
            self.empty_caches();
            process::trim_memory();
        }
        if self.cx.overload.stage() == Stage::Over {
            self.pause_accepting();
        }
    }

    fn say_stage(&mut self, stage: Stage) {
        let does = match stage {
            Stage::Normal => "all is served again",
            Stage::Tight => "idle connections are closed",
            Stage::Full => "new requests are refused",
            Stage::Over => "no connections are accepted",
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

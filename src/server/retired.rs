//! Configurations that a reload has replaced, while connections still use them.

use crate::config::model::Config;
use crate::conn::{Conn, ConnState};
use crate::exchange::Rx;
use std::rc::{Rc, Weak};

/// An old configuration with worker_shutdown_timeout.
pub(super) struct Retired {
    pub(super) until: u64,
    pub(super) config: Weak<Config>,
    /// Its connections have lower serial numbers.
    pub(super) before: u64,
}

impl Retired {
    /// Whether a connection uses this configuration.
    pub(super) fn holds(&self, conn: &Conn) -> bool {
        let is_old = match &conn.state {
            ConnState::Active(active) => {
                active.ex.progress.rx == Rx::Head || std::ptr::eq(Rc::as_ptr(&active.ex.config), self.config.as_ptr())
            }
            ConnState::Http2(http2) => std::ptr::eq(http2.config(), self.config.as_ptr()),
            _ => conn.is_idle(),
        };
        is_old && conn.serial <= self.before
    }
}

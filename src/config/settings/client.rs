//! Limits for clients: sizes, timeouts, keep-alive.

use crate::config::template::Template;
use crate::config::value::{Millis, Size};
use crate::http::header::UnusualNames;

#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// 0: no limit.
    pub max_body_size: Size,
    pub header_buffer_size: Size,
    /// Number and size of the large header buffers.
    pub large_buffers: (u64, Size),
    /// 0: the built-in bound.
    pub max_headers: u64,
    pub header_timeout: Millis,
    pub body_timeout: Millis,
    pub send_timeout: Millis,
    pub reset_timedout: bool,
    pub ignore_invalid_headers: bool,
    pub underscores: bool,
    pub merge_slashes: bool,
    pub keepalive_timeout: Millis,
    /// Seconds in the `Keep-Alive` response header, if it is sent.
    pub keepalive_header: Option<u64>,
    pub keepalive_requests: u64,
    /// 0: no limit.
    pub keepalive_glitches: u64,
    pub keepalive_time: Millis,
    pub lingering: Lingering,
    pub lingering_time: Millis,
    pub lingering_timeout: Millis,
    pub tcp_nodelay: bool,
    pub tcp_nopush: bool,
    pub body_buffer_size: Size,
    pub limit_rate: Option<Template>,
    pub limit_rate_after: Option<Template>,
    pub keepalive_disable: KeepaliveDisable,
}

/// Browsers for which keep-alive is disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepaliveDisable {
    /// After a POST only.
    pub msie6: bool,
    pub safari: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lingering {
    Off,
    On,
    Always,
}

impl ClientSettings {
    /// Which header fields with unusual names are accepted.
    pub fn unusual_names(&self) -> UnusualNames {
        UnusualNames { underscores: self.underscores, all: !self.ignore_invalid_headers }
    }
}

impl Default for ClientSettings {
    fn default() -> ClientSettings {
        ClientSettings {
            max_body_size: Size(1 << 20),
            header_buffer_size: Size(1 << 10),
            large_buffers: (4, Size(8 << 10)),
            max_headers: 1000,
            header_timeout: Millis(60_000),
            body_timeout: Millis(60_000),
            send_timeout: Millis(60_000),
            reset_timedout: false,
            ignore_invalid_headers: true,
            underscores: false,
            merge_slashes: true,
            keepalive_timeout: Millis(75_000),
            keepalive_header: None,
            keepalive_requests: 1000,
            keepalive_glitches: 100,
            keepalive_time: Millis(3_600_000),
            lingering: Lingering::On,
            lingering_time: Millis(30_000),
            lingering_timeout: Millis(5_000),
            tcp_nodelay: true,
            tcp_nopush: false,
            body_buffer_size: Size(16 << 10),
            limit_rate: None,
            limit_rate_after: None,
            keepalive_disable: KeepaliveDisable { msie6: true, safari: false },
        }
    }
}

//! Limits for clients: sizes, timeouts, keep-alive.

use crate::config::template::Template;
use crate::config::value::{Millis, Size};
use crate::http::header::UnusualNames;

/// What a client may send, how fast, and how long its connection lasts.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// 0: no limit.
    pub max_body_size: Size,
    /// client_header_buffer_size.
    pub header_buffer_size: Size,
    /// Number and size of the large header buffers.
    pub large_buffers: (u64, Size),
    /// 0: the built-in bound.
    pub max_headers: u64,
    /// client_header_timeout: for the whole head (nginx).
    pub header_timeout: Millis,
    /// client_body_timeout: between two reads.
    pub body_timeout: Millis,
    /// send_timeout: between two writes.
    pub send_timeout: Millis,
    /// reset_timedout_connection: a client that took too long gets a reset.
    pub reset_timedout: bool,
    /// A header field with a wrong name is dropped; off: the request is a 400.
    pub ignore_invalid_headers: bool,
    /// underscores_in_headers.
    pub underscores: bool,
    /// Slashes that follow one another are one in locations and paths.
    pub merge_slashes: bool,
    /// keepalive_timeout: how long a connection may be idle; 0: it is closed behind a response.
    pub keepalive_timeout: Millis,
    /// Seconds in the `Keep-Alive` response header, if it is sent.
    pub keepalive_header: Option<u64>,
    /// Requests of a connection.
    pub keepalive_requests: u64,
    /// 0: no limit.
    pub keepalive_glitches: u64,
    /// How long a connection may last.
    pub keepalive_time: Millis,
    /// lingering_close.
    pub lingering: Lingering,
    /// How long a client may still send in all.
    pub lingering_time: Millis,
    /// How long it may pause meanwhile.
    pub lingering_timeout: Millis,
    /// TCP_NODELAY: small packets are not held back.
    pub tcp_nodelay: bool,
    /// Accepted without effect of its own: heads and files are sent together anyway.
    pub tcp_nopush: bool,
    /// client_body_buffer_size.
    pub body_buffer_size: Size,
    /// Bytes per second of a response; None: no limit.
    pub limit_rate: Option<Template>,
    /// Bytes that go at full speed first.
    pub limit_rate_after: Option<Template>,
    /// For which browsers connections are not kept.
    pub keepalive_disable: KeepaliveDisable,
}

/// Browsers for which keep-alive is disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepaliveDisable {
    /// After a POST only.
    pub msie6: bool,
    /// Always, on macOS and the like.
    pub safari: bool,
}

/// When a connection lingers: what the client still sends is read for a while, so that no reset destroys the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lingering {
    /// Never.
    Off,
    /// Where more of a request may come.
    On,
    /// Always.
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

//! HTTP/2: whether it is enabled, and its limits.

use crate::config::value::Size;

/// http2 and its limits.
#[derive(Clone, Debug)]
pub struct Http2 {
    /// `http2`.
    pub enable: bool,
    /// Streams of a connection at once.
    pub max_concurrent_streams: u32,
    /// Bytes of a body that may come before it has a consumer.
    pub body_preread_size: u32,
    /// Size of DATA frames that are sent.
    pub chunk_size: Size,
}

impl Default for Http2 {
    fn default() -> Http2 {
        Http2 { enable: false, max_concurrent_streams: 128, body_preread_size: 65_536, chunk_size: Size(8 << 10) }
    }
}

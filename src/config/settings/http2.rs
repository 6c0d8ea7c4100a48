//! HTTP/2: whether it is enabled, and its limits.

use crate::config::value::Size;

#[derive(Clone, Debug)]
pub struct Http2 {
    pub enable: bool,
    pub max_concurrent_streams: u32,
    pub body_preread_size: u32,
    /// Size of DATA frames that are sent.
    pub chunk_size: Size,
}

impl Default for Http2 {
    fn default() -> Http2 {
        Http2 { enable: false, max_concurrent_streams: 128, body_preread_size: 65_536, chunk_size: Size(8 << 10) }
    }
}

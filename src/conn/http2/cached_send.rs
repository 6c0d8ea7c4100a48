//! The state of a stream that is answered from the response cache, and the key that a new response may be cached by.

use crate::services::open_files::OpenFile;
use crate::services::response_cache::CachedResponse;
use std::rc::Rc;

/// A cached response that is being sent.
pub(super) struct CachedSend {
    /// The cache entry, which the stream keeps alive while it sends.
    pub(super) response: Rc<CachedResponse>,
    /// Where the body is; None: in the entry itself.
    pub(super) file: Option<Rc<OpenFile>>,
    /// Bytes of the body sent so far.
    pub(super) at: u64,
    /// Bytes of the whole body.
    pub(super) size: u64,
    /// The head was written.
    pub(super) is_begun: bool,
    /// `$connection_requests`.
    pub(super) requests: u64,
    /// When the request had come, in monotonic milliseconds (`$request_time`).
    pub(super) started: u64,
    /// When it times out, if its window stays closed.
    pub(super) deadline: u64,
}

impl CachedSend {
    /// Whether it can go on, with `room` bytes left in its windows.
    pub(super) fn can_send(&self, room: usize) -> bool {
        !self.is_begun || room > 0
    }
}

/// A request that was seen before: the response that is made now may be cached.
#[derive(Debug)]
pub struct CacheKey {
    /// Of `key`, as [`ResponseCache::hash`](crate::services::response_cache) makes it.
    pub hash: u64,
    /// The bytes of the request that have to be the same for the response to be the same.
    pub key: Box<[u8]>,
}

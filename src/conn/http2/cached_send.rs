//! A stream whose answer is known, as data: how much of it is sent, and what an answer that is made may be kept by.

use crate::services::open_files::OpenFile;
use crate::services::response_cache::CachedResponse;
use std::rc::Rc;

/// A cached response that is being sent.
pub(super) struct CachedSend {
    pub(super) response: Rc<CachedResponse>,
    pub(super) file: Option<Rc<OpenFile>>,
    /// Bytes of the body that are sent, and that there are.
    pub(super) at: u64,
    pub(super) size: u64,
    pub(super) is_begun: bool,
    /// `$connection_requests`.
    pub(super) requests: u64,
    pub(super) started: u64,
    /// When it has waited for its window for too long.
    pub(super) deadline: u64,
}

impl CachedSend {
    /// Whether it can go on, with so much room in its windows.
    pub(super) fn can_send(&self, room: usize) -> bool {
        !self.is_begun || room > 0
    }
}

/// A request that was seen before: what is made of it now may be kept.
#[derive(Debug)]
pub struct Seen {
    pub hash: u64,
    pub key: Box<[u8]>,
}

//! What is under way on log files (`server/log_work.rs` does it).

use crate::services::logs::renew::Reopening;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;

/// What is under way.
#[derive(Default)]
pub(super) struct LogWork {
    pub(super) reopening: Option<Reopening>,
    /// Files from the parent, each with its number.
    pub(super) handed: VecDeque<(usize, OwnedFd)>,
    /// The next file that may be closed.
    pub(super) retiring: Option<usize>,
}

impl LogWork {
    /// Whether the files that the parent handed over are all in use. Until then no further ones are received: each is a
    /// descriptor, and those beyond the limit would be lost.
    pub fn has_used_all(&self) -> bool {
        self.handed.is_empty()
    }

    /// Whether some of it is still to be done.
    pub fn is_under_way(&self) -> bool {
        self.reopening.is_some() || !self.handed.is_empty() || self.retiring.is_some()
    }
}

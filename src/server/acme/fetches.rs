//! Requests to authorities that are in progress, and the connections that wait for the next.

use super::fetch::{Fetch, Idle};
use crate::acme::wire::Request;
use crate::config::acme::Issuer;
use crate::sys::epoll::Epoll;
use crate::util::slab::{Key, Slab};
use std::os::fd::BorrowedFd;
use std::rc::Rc;

/// Requests in progress.
#[derive(Default)]
pub struct Fetches {
    /// Created with the first request.
    pub(super) epoll: Option<Epoll>,
    pub(super) watched: bool,
    pub(super) slab: Slab<Fetch>,
    /// Idle connections, with the authority and the expiry.
    pub(super) idle: Vec<(usize, Idle, u64)>,
    /// When something is due without an event (monotonic milliseconds).
    pub(super) next: Option<u64>,
}

impl Fetches {
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.epoll.as_ref().map(Epoll::fd)
    }

    pub(super) fn is_resolving(&self) -> bool {
        self.slab.iter().any(|(_, fetch)| fetch.is_resolving())
    }

    /// Ends requests under way, and closes idle connections.
    pub fn clear(&mut self) {
        let keys: Vec<Key> = self.slab.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.slab.remove(key);
        }
        self.idle.clear();
    }

    pub(super) fn begin(&mut self, authority: usize, issuer: Rc<Issuer>, request: Request, now: u64) -> Option<Key> {
        if self.epoll.is_none() {
            self.epoll = Epoll::new().ok();
        }
        let reused = self.idle.iter().position(|(of, idle, _)| *of == authority && idle.fits(&request.url));
        let idle = reused.map(|at| self.idle.swap_remove(at).1);
        let epoll = self.epoll.as_ref()?;
        let key = self.slab.insert(Fetch::new(authority, issuer, request, idle, now));
        if let Some(fetch) = self.slab.get_mut(key) {
            fetch.adopt_connection(epoll, key);
        }
        Some(key)
    }
}

//! The endpoint of the configuration that a listener stands for now. A reload may change it, so a connection keeps the
//! number of its listener and looks the endpoint up here.

use crate::config::model::EndpointId;
use crate::sys::socket::local_addr;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

/// By the number of the listener.
#[derive(Default)]
pub struct Endpoints(Vec<Entry>);

#[derive(Default)]
struct Entry {
    endpoint: Option<EndpointId>,
    /// Addresses with an endpoint of their own, of those that a wildcard listens on.
    special: Vec<(IpAddr, EndpointId)>,
}

impl Endpoints {
    /// `special`: the endpoints of this port's own addresses, where the listener is a wildcard.
    pub fn set(&mut self, listener: usize, endpoint: Option<EndpointId>, special: &[(IpAddr, EndpointId)]) {
        if self.0.len() <= listener {
            self.0.resize_with(listener + 1, Entry::default);
        }
        self.0[listener] = Entry { endpoint, special: special.to_vec() };
    }

    /// The endpoint of a listener, whatever address a client came to.
    pub fn of_listener(&self, listener: usize) -> Option<EndpointId> {
        self.0.get(listener)?.endpoint
    }

    /// Every endpoint that a client of the listener may come to.
    pub fn all_of(&self, listener: usize) -> impl Iterator<Item = EndpointId> {
        let entry = self.0.get(listener);
        let special = entry.into_iter().flat_map(|entry| entry.special.iter().map(|(_, id)| *id));
        special.chain(entry.and_then(|entry| entry.endpoint))
    }

    /// `fd`: the connection's socket, if it has one. None: the address is no longer listened on.
    pub fn find(&self, listener: u16, fd: Option<BorrowedFd<'_>>) -> Option<EndpointId> {
        let entry = self.0.get(usize::from(listener))?;
        if !entry.special.is_empty()
            && let Some(ip) = fd.and_then(|fd| local_addr(fd).ok()?.ip())
            && let Some((_, id)) = entry.special.iter().find(|(special, _)| *special == ip)
        {
            return Some(*id);
        }
        entry.endpoint
    }
}

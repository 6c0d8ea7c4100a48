//! Questions about names, and answers, as data.

use crate::util::dns::Service;
use std::net::IpAddr;
use std::rc::Rc;

/// What to look up about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    Addresses,
    Services,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    Addresses(Rc<[IpAddr]>),
    Services(Rc<[Service]>),
}

/// The result, and until when it is valid (monotonic milliseconds).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub found: Records,
    pub until: u64,
}

/// Identifies a pending lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub(super) u64);

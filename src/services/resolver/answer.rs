//! Questions about a name and their answers, as data.

use crate::util::dns::Service;
use std::net::IpAddr;
use std::rc::Rc;

/// What is to be found out about a name.
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

/// What was found, and until when it holds (monotonic milliseconds).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub found: Records,
    pub until: u64,
}

/// A place in the queue for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub(super) u64);

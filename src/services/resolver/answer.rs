//! Questions about names, and answers, as data.

use crate::util::dns::Service;
use std::net::IpAddr;
use std::rc::Rc;

/// What to look up about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    /// A and AAAA, as the `resolver` directive's ipv4 and ipv6 allow.
    Addresses,
    /// SRV (RFC 2782), for `service=`.
    Services,
}

/// What a lookup found; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    /// For [`Want::Addresses`].
    Addresses(Rc<[IpAddr]>),
    /// For [`Want::Services`], in no order.
    Services(Rc<[Service]>),
}

impl Records {
    /// How many they are.
    pub(super) fn len(&self) -> usize {
        match self {
            Records::Addresses(all) => all.len(),
            Records::Services(all) => all.len(),
        }
    }
}

/// The result, and until when it is valid (monotonic milliseconds).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The records.
    pub found: Records,
    /// When the answer expires.
    pub until: u64,
}

/// Identifies a pending lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub(super) u64);

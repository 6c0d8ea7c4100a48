//! Questions about names, and answers, as data.

use crate::util::dns::Service;
use std::fmt;
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

/// Why a lookup failed: an RCODE of RFC 1035, or a timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupError(pub(super) u16);

impl LookupError {
    /// NXDOMAIN (RFC 1035 §4.1.1).
    pub const NOT_FOUND: LookupError = LookupError(3);
    pub(super) const BUSY: LookupError = LookupError(2);
    pub(super) const TIMED_OUT: LookupError = LookupError(110);
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            1 => "Format error",
            2 => "Server failure",
            3 => "Host not found",
            4 => "Unimplemented",
            5 => "Operation refused",
            110 => "Operation timed out",
            _ => "Unknown error",
        };
        write!(f, "({}: {text})", self.0)
    }
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

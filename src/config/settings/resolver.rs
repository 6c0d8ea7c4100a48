//! Which name servers are used at request time.

use crate::config::value::Millis;
use std::net::SocketAddr;
use std::rc::Rc;

/// Name servers and how they are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolver {
    pub servers: Box<[SocketAddr]>,
    /// valid=: how long a response holds, instead of its own TTL.
    pub valid: Option<Millis>,
    pub ipv4: bool,
    pub ipv6: bool,
}

/// A level's settings of name look-ups.
#[derive(Clone, Debug)]
pub struct NameLookup {
    pub resolver: Option<Rc<Resolver>>,
    pub timeout: Millis,
}

impl Default for NameLookup {
    fn default() -> NameLookup {
        NameLookup { resolver: None, timeout: Millis(30_000) }
    }
}

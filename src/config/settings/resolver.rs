//! Which name servers are asked while requests are served.

use crate::config::value::Millis;
use std::net::SocketAddr;
use std::rc::Rc;

/// Name servers and how they are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolver {
    pub servers: Box<[SocketAddr]>,
    /// valid=: how long an answer holds, instead of its own TTL.
    pub valid: Option<Millis>,
    pub ipv4: bool,
    pub ipv6: bool,
}

/// What a level says of names.
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

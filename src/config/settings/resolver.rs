//! Which name servers resolve names at request time.

use crate::config::value::Millis;
use std::net::SocketAddr;
use std::rc::Rc;

/// Name servers and their options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolverSettings {
    /// Asked in turn.
    pub servers: Box<[SocketAddr]>,
    /// valid=: how long a response is cached, instead of its TTL.
    pub valid: Option<Millis>,
    /// A records are asked for.
    pub ipv4: bool,
    /// AAAA records are asked for.
    pub ipv6: bool,
}

/// Settings of name resolution for a level.
#[derive(Clone, Debug)]
pub struct NameLookup {
    /// `resolver`; None: names cannot be looked up at request time.
    pub resolver: Option<Rc<ResolverSettings>>,
    /// resolver_timeout.
    pub timeout: Millis,
}

impl Default for NameLookup {
    fn default() -> NameLookup {
        NameLookup { resolver: None, timeout: Millis(30_000) }
    }
}

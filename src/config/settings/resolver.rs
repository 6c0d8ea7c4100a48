//! Which name servers resolve names at request time.

use crate::config::value::Millis;
use std::net::SocketAddr;
use std::rc::Rc;

/// Name servers and their options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolverSettings {
    pub servers: Box<[SocketAddr]>,
    /// valid=: how long a response is cached, instead of its TTL.
    pub valid: Option<Millis>,
    pub ipv4: bool,
    pub ipv6: bool,
}

/// Settings of name resolution for a level.
#[derive(Clone, Debug)]
pub struct NameLookup {
    pub resolver: Option<Rc<ResolverSettings>>,
    pub timeout: Millis,
}

impl Default for NameLookup {
    fn default() -> NameLookup {
        NameLookup { resolver: None, timeout: Millis(30_000) }
    }
}

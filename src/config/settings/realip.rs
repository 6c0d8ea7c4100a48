//! Which proxies are trusted about the client's address.

use super::access::Rules;
use std::rc::Rc;

#[derive(Clone, Debug, Default)]
pub struct RealIp {
    /// Proxies that are believed: a rule for each, none where none is.
    pub from: Rc<Rules>,
    pub header: Source,
    /// The last address that is no such proxy counts, not just the last.
    pub recursive: bool,
}

/// Where a proxy says for whom it asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    #[default]
    XRealIp,
    XForwardedFor,
    /// The PROXY header that the connection began with.
    ProxyProtocol,
    /// A header field, in lower case.
    Field(Box<[u8]>),
}

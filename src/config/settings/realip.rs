//! Which proxies are trusted about the client's address.

use super::access::Rules;
use std::rc::Rc;

#[derive(Clone, Debug, Default)]
pub struct RealIp {
    /// Trusted proxies: a rule for each, which allows.
    pub from: Rc<Rules>,
    pub header: Source,
    /// The last address that is not a trusted proxy counts, not simply the last.
    pub recursive: bool,
}

/// Where a proxy names its client.
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

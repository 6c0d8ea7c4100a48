//! Which proxies are trusted to report the client's address.

use super::access::Rules;
use std::rc::Rc;

#[derive(Clone, Debug, Default)]
pub struct RealIp {
    /// Trusted proxies, as rules that allow them.
    pub from: Rc<Rules>,
    pub header: Source,
    /// Whether to use the last address that is not a trusted proxy, instead of the last one.
    pub recursive: bool,
}

/// Where a proxy reports the client's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    #[default]
    XRealIp,
    XForwardedFor,
    /// In the PROXY header of the connection.
    ProxyProtocol,
    /// In a header field (name in lower case).
    Field(Box<[u8]>),
}

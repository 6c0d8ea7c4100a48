//! Which proxies are trusted to report the client's address.

use super::access::Rules;
use std::rc::Rc;

/// set_real_ip_from and its siblings.
#[derive(Clone, Debug, Default)]
pub struct RealIp {
    /// Trusted proxies, as rules that allow them.
    pub from: Rc<Rules>,
    /// real_ip_header.
    pub header: Source,
    /// Whether to use the last address that is not a trusted proxy, instead of the last one.
    pub recursive: bool,
}

/// Where a proxy reports the client's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// X-Real-IP.
    #[default]
    XRealIp,
    /// X-Forwarded-For: a list, of which the last element counts first.
    XForwardedFor,
    /// In the PROXY header of the connection.
    ProxyProtocol,
    /// In a header field (name in lower case).
    Field(Box<[u8]>),
}

//! Where a location's requests are passed, and by which protocol.

use crate::config::ids::UpstreamId;
use crate::config::template::Template;
use std::rc::Rc;

/// The protocol of an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.x.
    #[default]
    Http1,
    FastCgi,
    Scgi,
    Uwsgi,
    /// A program started for each request.
    Cgi,
    /// No protocol: bytes are relayed unchanged in both directions (CONNECT).
    Tunnel,
}

impl Protocol {
    /// Whether requests go to servers of an upstream group, not to a program started for each.
    pub fn has_servers(self) -> bool {
        self != Protocol::Cgi
    }

    /// The scheme that error messages show before an address. `is_secure`: the connection uses TLS.
    pub fn scheme(self, is_secure: bool) -> &'static str {
        match self {
            Protocol::Http1 if is_secure => "https://",
            Protocol::Http1 => "http://",
            Protocol::FastCgi => "fastcgi://",
            Protocol::Scgi => "scgi://",
            Protocol::Uwsgi if is_secure => "suwsgi://",
            Protocol::Uwsgi => "uwsgi://",
            Protocol::Cgi => "cgi://",
            Protocol::Tunnel => "",
        }
    }
}

/// Where requests of a location go.
#[derive(Debug)]
pub struct Pass {
    /// The protocol.
    pub protocol: Protocol,
    /// The upstream.
    pub to: To,
    /// The location's prefix, which a URI part replaces; empty if the location has none.
    pub location: Box<[u8]>,
    /// Whether the scheme is `https://`; false if it is a variable.
    pub is_secure: bool,
}

/// The URL or address of a pass directive.
#[derive(Debug)]
pub enum To {
    /// Known when the configuration is loaded.
    Fixed {
        upstream: UpstreamId,
        /// `$proxy_host` and `$proxy_port`.
        host: Rc<[u8]>,
        port: Rc<[u8]>,
        /// The part after the host; empty: the request's URI is passed.
        uri: Box<[u8]>,
        /// The whole URL as written: the prefix that `proxy_redirect default` replaces.
        url: Box<[u8]>,
    },
    /// The URL has variables.
    Made(Template),
}

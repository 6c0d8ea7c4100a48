//! Where the requests of a location go, and in which protocol.

use crate::config::ids::UpstreamId;
use crate::config::template::Template;
use std::rc::Rc;

/// The protocol of an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    #[default]
    Http1,
    FastCgi,
    Scgi,
    Uwsgi,
    /// A program that is started for the request.
    Cgi,
    /// None: bytes go both ways, whatever they mean (CONNECT).
    Tunnel,
}

impl Protocol {
    pub fn directive(self) -> &'static str {
        match self {
            Protocol::Http1 => "proxy_pass",
            Protocol::FastCgi => "fastcgi_pass",
            Protocol::Scgi => "scgi_pass",
            Protocol::Uwsgi => "uwsgi_pass",
            Protocol::Cgi => "cgi_pass",
            Protocol::Tunnel => "tunnel_pass",
        }
    }

    /// What stands before an address in the error log. `is_secure`: it is spoken over TLS.
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

#[derive(Debug)]
pub struct Pass {
    pub protocol: Protocol,
    pub to: To,
    /// The location's name, which a URI part replaces; empty where the location has no prefix.
    pub location: Box<[u8]>,
    /// `https://`, where it is fixed.
    pub is_secure: bool,
}

#[derive(Debug)]
pub enum To {
    Fixed {
        upstream: UpstreamId,
        /// `$proxy_host` and `$proxy_port`.
        host: Rc<[u8]>,
        port: Rc<[u8]>,
        /// What stands behind the host; empty: the request's own URI is passed.
        uri: Box<[u8]>,
        /// The whole URL as written: what `proxy_redirect default` looks for.
        url: Box<[u8]>,
    },
    /// It has variables.
    Made(Template),
}

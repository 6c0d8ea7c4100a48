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
    /// A program is started for each request.
    Cgi,
    /// None: bytes go both ways unchanged (CONNECT).
    Tunnel,
}

impl Protocol {
    /// Whether what is asked is a server of an upstream, and not a program that runs for the request.
    pub fn has_servers(self) -> bool {
        self != Protocol::Cgi
    }

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

    /// The scheme before an address in the error log. `is_secure`: the connection uses TLS.
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
    /// The location's name, which a URI part replaces; empty if the location has no prefix.
    pub location: Box<[u8]>,
    /// `https://`, if it is not a variable.
    pub is_secure: bool,
}

#[derive(Debug)]
pub enum To {
    Fixed {
        upstream: UpstreamId,
        /// `$proxy_host` and `$proxy_port`.
        host: Rc<[u8]>,
        port: Rc<[u8]>,
        /// The part after the host; empty: the request's own URI is passed.
        uri: Box<[u8]>,
        /// The whole URL as written: the prefix that `proxy_redirect default` looks for.
        url: Box<[u8]>,
    },
    /// It has variables.
    Made(Template),
}

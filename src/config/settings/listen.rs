//! Addresses and names of a `server` block.

use super::acme::CertificateRequest;
use crate::config::ast::Span;
use crate::config::pattern::Pattern;
use crate::sys::socket::Addr;
use crate::util::hash::FastMap;
use std::rc::Rc;

/// A `server` block while it is being read.
#[derive(Debug, Default)]
pub struct ServerDraft {
    pub listens: Vec<Listen>,
    /// The position of each address.
    pub listened: FastMap<Addr, Span>,
    pub names: Vec<(Name, Span)>,
    pub first_name: Option<Box<[u8]>>,
    /// `acme_certificate`.
    pub acme: Option<CertificateRequest>,
    /// Whether acme_certificate is present, valid or not.
    pub asks_acme: bool,
}

#[derive(Debug)]
pub struct Listen {
    pub addr: Addr,
    /// Where `default_server` stands.
    pub default: Option<Span>,
    pub options: ListenOptions,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Where `ssl` stands: connections are TLS.
    pub ssl: Option<Span>,
    /// The older form of `http2 on`.
    pub http2: bool,
    /// Whether a socket option was given: only one `listen` of an address may have any.
    pub configured: bool,
    pub span: Span,
}

#[derive(Debug)]
pub enum Name {
    Exact(Box<[u8]>),
    /// `.example.com`, without the `*`; `bare` if the name itself matches too.
    Suffix {
        name: Box<[u8]>,
        bare: bool,
    },
    /// `www.example.`, without the `*`.
    Prefix(Box<[u8]>),
    Regex(Rc<Pattern>),
    /// Matches nothing.
    Unusable,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenOptions {
    pub backlog: Option<i32>,
    pub deferred: bool,
    pub reuseport: bool,
    pub ipv6only: Option<bool>,
    pub rcvbuf: Option<u64>,
    pub sndbuf: Option<u64>,
    pub fastopen: Option<i32>,
    /// `so_keepalive`: on or off, then idle, interval (seconds) and count if given.
    pub keepalive: Option<(bool, [Option<u32>; 3])>,
}

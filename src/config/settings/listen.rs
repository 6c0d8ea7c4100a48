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
    /// In the order of the file.
    pub listens: Vec<Listen>,
    /// The position of each address.
    pub listened: FastMap<Addr, Span>,
    /// server_name.
    pub names: Vec<(Name, Span)>,
    /// `$server_name`; None: the block has no server_name.
    pub first_name: Option<Box<[u8]>>,
    /// `acme_certificate`.
    pub acme: Option<CertificateRequest>,
    /// Whether acme_certificate is present, valid or not.
    pub asks_acme: bool,
}

/// A `listen` directive; one for each address that it resolves to.
#[derive(Debug)]
pub struct Listen {
    /// The address.
    pub addr: Addr,
    /// Position of `default_server`.
    pub default: Option<Span>,
    /// Socket options.
    pub options: ListenOptions,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Position of `ssl`: connections are TLS.
    pub ssl: Option<Span>,
    /// The older form of `http2 on`.
    pub http2: bool,
    /// Whether a socket option was given: only one `listen` of an address may have any.
    pub configured: bool,
    /// The address as written.
    pub span: Span,
}

/// A name of server_name, in lower case.
#[derive(Debug)]
pub enum Name {
    /// Without a wildcard.
    Exact(Box<[u8]>),
    /// `.example.com`, without the `*`; `bare` if the name itself matches too.
    Suffix { name: Box<[u8]>, bare: bool },
    /// `www.example.`, without the `*`.
    Prefix(Box<[u8]>),
    /// `~regex`.
    Regex(Rc<Pattern>),
    /// Matches nothing.
    Unusable,
}

/// Options of a listening socket. None: the system's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenOptions {
    /// Connections that wait to be accepted.
    pub backlog: Option<i32>,
    /// TCP_DEFER_ACCEPT: a connection is accepted once data has come.
    pub deferred: bool,
    /// SO_REUSEPORT.
    pub reuseport: bool,
    /// IPV6_V6ONLY.
    pub ipv6only: Option<bool>,
    /// SO_RCVBUF, bytes.
    pub rcvbuf: Option<u64>,
    /// SO_SNDBUF, bytes.
    pub sndbuf: Option<u64>,
    /// TCP_FASTOPEN: the length of its queue.
    pub fastopen: Option<i32>,
    /// `so_keepalive`: on or off, then idle, interval (seconds) and count if given.
    pub keepalive: Option<(bool, [Option<u32>; 3])>,
}

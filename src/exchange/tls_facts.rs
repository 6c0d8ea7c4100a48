//! What a connection tells its requests of its TLS ([`super::tls`] decides by it).

use crate::tls::CertificateDer;
use crate::tls::fault::CertificateFault;
use crate::tls::hello::Hello;
use crate::tls::verify::Trust;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// The result of verifying a client's certificates.
pub type Verdict = Result<(), CertificateFault>;

/// Facts of a connection, the same for all its requests.
#[derive(Debug, Default)]
pub struct TlsFacts {
    /// A plain request came to a port of TLS: none of the rest is there.
    pub is_plain: bool,
    /// The name that the client asked for, as it sent it.
    pub server_name: Option<Box<str>>,
    /// The server was chosen by that name.
    pub is_named: bool,
    /// As in `$ssl_protocol`: `TLSv1.3`.
    pub protocol: &'static str,
    /// The numbers of the cipher suite and of the key exchange group at IANA.
    pub cipher: u16,
    /// Of the key exchange.
    pub group: u16,
    /// The protocol negotiated by ALPN (RFC 7301), if any.
    pub alpn: Option<Box<[u8]>>,
    /// By a ticket: no certificate was sent.
    pub is_resumed: bool,
    /// Identifies the session: its id, or a digest of the ticket that it was resumed by.
    pub session: Option<[u8; 32]>,
    /// The client's certificates, its own first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The result of verifying them by `trust`. None: there were none.
    pub verdict: Option<Verdict>,
    pub trust: Option<Rc<Trust>>,
    /// Verdicts by the trust of other servers; [`super::tls::check`] bounds their number.
    pub judged: RefCell<Vec<(Rc<Trust>, Verdict)>>,
    /// The request may have been early data: until the handshake is over, it may be a replay.
    pub early: Cell<bool>,
    /// What the client offered, where the configuration has variables of it.
    pub offers: Option<Box<Hello>>,
}

impl TlsFacts {
    /// ALPN has led to HTTP/2.
    pub fn speaks_http2(&self) -> bool {
        !self.is_plain && self.alpn.as_deref() == Some(b"h2")
    }
}

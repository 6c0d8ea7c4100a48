//! TLS to upstreams. `config::proxy_tls` reads the files.

use super::ssl::Named;
use crate::config::ast::Span;
use crate::config::template::Template;
use crate::tls::server::Protocols;

/// proxy_ssl_ and uwsgi_ssl_ directives.
#[derive(Clone, Debug)]
pub struct ProxySsl {
    /// The client certificate.
    pub certificate: Option<Named>,
    /// Its key.
    pub key: Option<Named>,
    /// A file with passwords of keys, one a line.
    pub passwords: Option<Named>,
    /// Versions of TLS.
    pub protocols: Protocols,
    /// In OpenSSL's syntax.
    pub ciphers: Box<str>,
    /// The name that the certificate must have; None: the host.
    pub name: Option<Template>,
    /// The name is sent (SNI).
    pub server_name: bool,
    /// Sessions are resumed.
    pub session_reuse: bool,
    /// The position of proxy_ssl_verify, if it is on.
    pub verify: Option<Span>,
    /// Certificates between the server's and a trusted one, at most.
    pub verify_depth: u64,
    /// Trusted CAs.
    pub trusted: Option<Named>,
    /// Revocation lists.
    pub crl: Option<Named>,
}

impl Default for ProxySsl {
    fn default() -> ProxySsl {
        ProxySsl {
            certificate: None,
            key: None,
            passwords: None,
            protocols: Protocols::default(),
            ciphers: "DEFAULT".into(),
            name: None,
            server_name: false,
            session_reuse: true,
            verify: None,
            verify_depth: 1,
            trusted: None,
            crl: None,
        }
    }
}

//! TLS to upstreams. `config::proxy_tls` reads the files.

use super::ssl::Named;
use crate::config::ast::Span;
use crate::config::template::Template;
use crate::tls::server::Protocols;

#[derive(Clone, Debug)]
pub struct ProxySsl {
    pub certificate: Option<Named>,
    pub key: Option<Named>,
    pub passwords: Option<Named>,
    pub protocols: Protocols,
    pub ciphers: Box<str>,
    pub name: Option<Template>,
    pub server_name: bool,
    pub session_reuse: bool,
    /// The position of proxy_ssl_verify, if it is on.
    pub verify: Option<Span>,
    pub verify_depth: u64,
    pub trusted: Option<Named>,
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

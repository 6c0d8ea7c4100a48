//! TLS of servers. `config::tls` reads the files.

use crate::config::ast::Span;
use crate::config::template::Template;
use crate::config::value::{Millis, Size};
use crate::tls::server::{Cache, Protocols};

/// A file name and its position.
#[derive(Clone, Debug)]
pub struct Named {
    pub name: Template,
    pub span: Span,
}

/// Whether client certificates are requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum VerifyClient {
    #[default]
    Off,
    /// Required, and must be valid.
    On,
    /// Requested; must be valid if there is one.
    Optional,
    /// Requested; its issuer may be unknown.
    OptionalNoCa,
}

#[derive(Clone, Debug)]
pub struct Ssl {
    pub certificates: Vec<Named>,
    pub keys: Vec<Named>,
    /// Whether a key is not a file, which has already been reported.
    pub has_foreign_key: bool,
    /// The position of `ssl_certificate auto`.
    pub auto: Option<Span>,
    pub passwords: Option<Named>,
    pub protocols: Protocols,
    pub ciphers: Box<str>,
    /// None: not configured.
    pub prefer_server_ciphers: Option<bool>,
    pub curves: Box<str>,
    pub buffer_size: Size,
    pub verify: VerifyClient,
    /// The position of ssl_verify_client.
    pub verify_at: Option<Span>,
    pub verify_depth: u64,
    pub client_certificate: Option<Named>,
    pub trusted_certificate: Option<Named>,
    pub crl: Option<Named>,
    pub cache: Cache,
    pub tickets: bool,
    pub ticket_keys: Vec<Named>,
    pub timeout: Millis,
    pub stapling_file: Option<Named>,
    pub reject_handshake: bool,
    pub early_data: bool,
}

impl Default for Ssl {
    fn default() -> Ssl {
        Ssl {
            certificates: Vec::new(),
            keys: Vec::new(),
            has_foreign_key: false,
            auto: None,
            passwords: None,
            protocols: Protocols::default(),
            ciphers: "HIGH:!aNULL:!MD5".into(),
            prefer_server_ciphers: None,
            curves: "auto".into(),
            buffer_size: Size(16 << 10),
            verify: VerifyClient::Off,
            verify_at: None,
            verify_depth: 1,
            client_certificate: None,
            trusted_certificate: None,
            crl: None,
            cache: Cache::None,
            tickets: true,
            ticket_keys: Vec::new(),
            timeout: Millis(300_000),
            stapling_file: None,
            reject_handshake: false,
            early_data: false,
        }
    }
}

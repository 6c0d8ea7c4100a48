//! TLS of servers. `config::tls` reads the files.

use crate::config::ast::Span;
use crate::config::template::Template;
use crate::config::value::{Millis, Size};
use crate::tls::server::{Protocols, SessionCache};

/// A file name and its position.
#[derive(Clone, Debug)]
pub struct Named {
    /// The path, `data:…`, or a template.
    pub name: Template,
    /// Where it is written.
    pub span: Span,
}

/// Whether client certificates are requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum VerifyClient {
    /// None is asked for.
    #[default]
    Off,
    /// Required, and must be valid.
    On,
    /// Requested; must be valid if there is one.
    Optional,
    /// Requested; its issuer may be unknown.
    OptionalNoCa,
}

/// The ssl_ directives of a level.
#[derive(Clone, Debug)]
pub struct Ssl {
    /// ssl_certificate lines.
    pub certificates: Vec<Named>,
    /// ssl_certificate_key lines, one for each.
    pub keys: Vec<Named>,
    /// Whether a key is not a file, which has already been reported.
    pub has_foreign_key: bool,
    /// The position of `ssl_certificate auto`.
    pub auto: Option<Span>,
    /// A file with passwords of keys, one a line.
    pub passwords: Option<Named>,
    /// Versions of TLS.
    pub protocols: Protocols,
    /// In OpenSSL's syntax.
    pub ciphers: Box<str>,
    /// None: not configured.
    pub prefer_server_ciphers: Option<bool>,
    /// ssl_ecdh_curve, in OpenSSL's syntax.
    pub curves: Box<str>,
    /// Plaintext of a record at most.
    pub buffer_size: Size,
    /// ssl_verify_client.
    pub verify: VerifyClient,
    /// The position of ssl_verify_client.
    pub verify_at: Option<Span>,
    /// Certificates between the client's and a trusted one, at most.
    pub verify_depth: u64,
    /// CAs that are trusted, and named to clients.
    pub client_certificate: Option<Named>,
    /// Further CAs that are trusted.
    pub trusted_certificate: Option<Named>,
    /// Revocation lists.
    pub crl: Option<Named>,
    /// ssl_session_cache.
    pub cache: SessionCache,
    /// Session tickets are given.
    pub tickets: bool,
    /// Files with keys of tickets; empty: made here, and rotated.
    pub ticket_keys: Vec<Named>,
    /// How long a session may be resumed.
    pub timeout: Millis,
    /// An OCSP response to be sent with the certificate.
    pub stapling_file: Option<Named>,
    /// Handshakes that come to this server are refused (`unrecognized_name`).
    pub reject_handshake: bool,
    /// Requests in early data are taken (0-RTT, RFC 8446 §2.3).
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
            cache: SessionCache::None,
            tickets: true,
            ticket_keys: Vec::new(),
            timeout: Millis(300_000),
            stapling_file: None,
            reject_handshake: false,
            early_data: false,
        }
    }
}

//! Combines a server's TLS settings with its certificates: once for certificates that stay, again for each renewed one.

use super::settings::ssl::Ssl;
use crate::tls::server::{Options, Prepared, SessionCache};
use crate::tls::ticket::Key;
use crate::tls::{CertifiedKey, ciphers};
use std::rc::Rc;
use std::sync::Arc;

/// All TLS settings except the certificates.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The directives.
    pub(super) ssl: Rc<Ssl>,
    /// Protocols that are offered, the preferred one first (RFC 7301).
    pub(super) alpn: Vec<Vec<u8>>,
    /// Names of CAs for the client's choice; None: no certificate is asked for.
    pub(super) client_names: Option<Vec<Vec<u8>>>,
    /// Tells sessions apart whose clients were verified by other rules.
    pub(super) policy: Vec<u8>,
    /// Keys of ssl_session_ticket_key.
    pub(super) ticket_keys: Vec<Arc<Key>>,
    /// ssl_stapling_file, DER.
    pub(super) stapled: Option<Vec<u8>>,
}

impl Recipe {
    /// The settings with these certificates, for handshakes.
    ///
    /// # Errors
    /// No cipher suite is left, or a certificate cannot be used.
    pub(super) fn build(&self, mut pairs: Vec<Arc<CertifiedKey>>) -> Result<Prepared, String> {
        if let Some(response) = &self.stapled {
            let stapled = |pair: &Arc<CertifiedKey>| CertifiedKey { ocsp: Some(response.clone()), ..(**pair).clone() };
            pairs = pairs.iter().map(|pair| Arc::new(stapled(pair))).collect();
        }
        let cache = match &self.ssl.cache {
            // A cache that is not shared belongs to these certificates alone.
            SessionCache::Zone(name, size) if name.is_empty() => SessionCache::Zone("builtin".into(), *size),
            cache => cache.clone(),
        };
        let chooses = self.ssl.prefer_server_ciphers.is_none();
        let suites = ciphers::suites(&self.ssl.ciphers).ok_or("no cipher match")?;
        let options = Options {
            certificates: pairs,
            protocols: self.ssl.protocols,
            suites: if chooses { ciphers::cheap_first(suites) } else { suites },
            groups: ciphers::groups(&self.ssl.curves).0,
            prefers_own_ciphers: self.ssl.prefer_server_ciphers == Some(true),
            buffer_size: usize::try_from(self.ssl.buffer_size.0).unwrap_or(usize::MAX),
            alpn: self.alpn.clone(),
            client_names: self.client_names.clone(),
            policy: self.policy.clone(),
            cache,
            tickets: self.ssl.tickets,
            ticket_keys: self.ticket_keys.clone(),
            session_timeout: self.ssl.timeout.0 / 1000,
            early_data: self.ssl.early_data,
        };
        Ok(Prepared::new(options.build()?, chooses))
    }
}

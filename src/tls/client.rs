//! The client's side: the settings of TLS connections to upstreams.

use super::ciphers;
use super::possession::proves_possession;
use super::server::{Protocols, own_provider};
use super::time::WallClock;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{Error, SignatureScheme, SupportedCipherSuite};
use std::sync::Arc;

/// The settings of a handshake with an upstream or an authority.
#[derive(Clone, Debug)]
pub struct Options {
    /// Versions that are offered.
    pub protocols: Protocols,
    /// Cipher suites, the preferred one first.
    pub suites: Vec<SupportedCipherSuite>,
    /// The client's certificate; None: none is sent.
    pub certificate: Option<Arc<CertifiedKey>>,
    /// The server's name is sent (SNI, RFC 6066 §3).
    pub sends_name: bool,
    /// How many servers' sessions are cached for resumption; 0 disables resumption.
    pub sessions: usize,
    /// Protocols that are offered; empty: no ALPN.
    pub alpn: Vec<Vec<u8>>,
}

impl Options {
    /// The defaults: what applies where the configuration sets nothing.
    pub fn with_defaults(sessions: usize, alpn: Vec<Vec<u8>>) -> Options {
        let suites = ciphers::suites("DEFAULT").unwrap_or_default();
        let protocols = Protocols::default();
        Options { protocols, suites, certificate: None, sends_name: true, sessions, alpn }
    }

    /// The certificate of the peer is not verified here: the caller does that with [`verify`](super::verify).
    ///
    /// # Errors
    /// The versions and the suites do not fit together.
    pub fn build(self) -> Result<Arc<ClientConfig>, String> {
        let provider = own_provider(self.suites);
        let builder = ClientConfig::builder_with_details(provider.clone(), Arc::new(WallClock));
        let builder = builder.with_protocol_versions(&self.protocols.versions()).map_err(|e| e.to_string())?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAnyChain { provider }));
        let mut config = match self.certificate {
            Some(key) => builder.with_client_cert_resolver(Arc::new(Always(key))),
            None => builder.with_no_client_auth(),
        };
        config.enable_sni = self.sends_name;
        config.alpn_protocols = self.alpn;
        config.resumption = match self.sessions {
            0 => Resumption::disabled(),
            most => Resumption::in_memory_sessions(most),
        };
        Ok(Arc::new(config))
    }
}

/// Sends the certificate to every server that requests one, whatever CAs the request names, as OpenSSL does.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.key.choose_scheme(schemes).map(|_| self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Accepts any chain: `verify` checks it after the handshake and before anything is sent, if the configuration says so.
/// During the handshake only possession of the key is checked.
#[derive(Debug)]
struct AcceptAnyChain {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AcceptAnyChain {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    proves_possession!();
}

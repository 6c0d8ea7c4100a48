//! The server side: turns certificates, protocols and session settings into rustls' `ServerConfig`.

use super::ciphers;
use super::hello::Hello;
use super::possession::proves_possession;
use super::ticket::{self, Context, Key, NoTickets, Tickets};
use super::time::WallClock;
use super::x509::Certificate;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{DistinguishedName, Error, SignatureAlgorithm, SupportedCipherSuite, SupportedProtocolVersion, version};
use std::cell::OnceCell;
use std::sync::Arc;

/// The enabled protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocols {
    /// TLS 1.2.
    pub v1_2: bool,
    /// TLS 1.3.
    pub v1_3: bool,
}

impl Protocols {
    /// Adds the protocols of another directive: several in one block add up, as in nginx. `first`: it is the block's
    /// first.
    pub fn add(&mut self, named: Protocols, first: bool) {
        let before = if first { Protocols { v1_2: false, v1_3: false } } else { *self };
        *self = Protocols { v1_2: before.v1_2 || named.v1_2, v1_3: before.v1_3 || named.v1_3 };
    }

    /// For rustls, the newest first.
    pub fn versions(self) -> Vec<&'static SupportedProtocolVersion> {
        let all = [(self.v1_3, &version::TLS13), (self.v1_2, &version::TLS12)];
        all.into_iter().filter(|(on, _)| *on).map(|(_, version)| version).collect()
    }
}

impl Default for Protocols {
    fn default() -> Protocols {
        Protocols { v1_2: true, v1_3: true }
    }
}

/// Where sessions are cached.
#[derive(Clone, Debug)]
pub enum SessionCache {
    /// Sessions are not cached.
    None,
    /// A named zone shared by the process, and its maximum size in bytes.
    Zone(String, usize),
}

/// The settings of a server's handshakes.
pub struct Options {
    /// Several if their keys are of different kinds; the first that the client supports is used.
    pub certificates: Vec<Arc<CertifiedKey>>,
    /// Versions that are spoken.
    pub protocols: Protocols,
    /// The result of `ciphers::suites`.
    pub suites: Vec<SupportedCipherSuite>,
    /// Key exchange groups, the preferred one first.
    pub groups: Vec<&'static dyn SupportedKxGroup>,
    /// ssl_prefer_server_ciphers: the server's order counts, not the client's.
    pub prefers_own_ciphers: bool,
    /// Maximum plaintext bytes per record.
    pub buffer_size: usize,
    /// Protocols that are offered; empty: no ALPN.
    pub alpn: Vec<Vec<u8>>,
    /// CA names sent in the certificate request. None: clients are not asked for a certificate.
    pub client_names: Option<Vec<Vec<u8>>>,
    /// What else sessions are bound to: how client certificates are verified.
    pub policy: Vec<u8>,
    /// ssl_session_cache.
    pub cache: SessionCache,
    /// ssl_session_tickets.
    pub tickets: bool,
    /// ssl_session_ticket_key; empty: the process's own keys.
    pub ticket_keys: Vec<Arc<Key>>,
    /// Seconds during which a session can be resumed.
    pub session_timeout: u64,
    /// Clients that resume a session may send a request with their ClientHello (0-RTT).
    pub early_data: bool,
}

/// Maximum early data, as in nginx.
const EARLY_DATA: u32 = 16 << 10;
/// Bytes of sessions kept for early data if the configuration has no cache.
const EARLY_BYTES: usize = 10 << 20;

/// A chain and its key, if they belong together.
pub fn certified(chain: Vec<CertificateDer<'static>>, key: Arc<dyn SigningKey>) -> Result<CertifiedKey, String> {
    let leaf = chain.first().ok_or("no certificate in the file (no \"-----BEGIN CERTIFICATE-----\")")?;
    let parsed = Certificate::parse(leaf).map_err(|_| "the first certificate is damaged")?;
    // A key whose public half is unknown is accepted: a mismatch only makes handshakes fail.
    let own = key.public_key();
    if own.is_some_and(|own| own.as_ref() != parsed.spki) {
        return Err("the key does not match the certificate (key values mismatch)".into());
    }
    Ok(CertifiedKey::new(chain, key))
}

fn provider(suites: Vec<SupportedCipherSuite>, groups: Vec<&'static dyn SupportedKxGroup>) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { cipher_suites: suites, kx_groups: groups, ..aws_lc_rs::default_provider() })
}

/// A provider with these suites and all groups.
pub(super) fn own_provider(suites: Vec<SupportedCipherSuite>) -> Arc<CryptoProvider> {
    provider(suites, ciphers::default_groups())
}

impl Options {
    /// What this configuration's sessions are bound to.
    fn context(&self) -> Context {
        let leaves = self.certificates.iter().filter_map(|c| c.cert.first().map(AsRef::as_ref));
        ticket::context([&self.policy[..]].into_iter().chain(leaves))
    }

    /// As rustls needs it. Client certificates are asked for, not verified: the caller does that with
    /// [`verify`](super::verify).
    ///
    /// # Errors
    /// The versions and the suites do not fit together.
    pub fn build(self) -> Result<Arc<ServerConfig>, String> {
        let context = self.context();
        let provider = provider(self.suites, self.groups);
        let builder = ServerConfig::builder_with_details(provider.clone(), Arc::new(WallClock));
        let builder = builder.with_protocol_versions(&self.protocols.versions()).map_err(|e| e.to_string())?;
        let builder = match self.client_names {
            Some(names) => {
                let names = names.into_iter().map(DistinguishedName::from).collect();
                builder.with_client_cert_verifier(Arc::new(AskForCertificate { names, provider }))
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(Certificates(self.certificates)));
        config.ignore_client_order = self.prefers_own_ciphers;
        // The limit includes the record header. With smaller records, a sealed `session::MAX_PLAINTEXT` would not fit
        // into `session::SEALED`.
        config.max_fragment_size = Some(self.buffer_size.clamp(64, 16384) + 5);
        config.alpn_protocols = self.alpn;
        config.session_storage = match &self.cache {
            SessionCache::None => ticket::no_cache(),
            SessionCache::Zone(zone, size) => ticket::cache(zone, *size, context, self.session_timeout),
        };
        config.ticketer = if self.tickets {
            Arc::new(Tickets { context, lifetime: self.session_timeout, keys: self.ticket_keys })
        } else {
            Arc::new(NoTickets)
        };
        if !self.tickets && matches!(self.cache, SessionCache::None) {
            config.send_tls13_tickets = 0;
        }
        if self.early_data && self.protocols.v1_3 {
            // To prevent replay of early data, each session may be resumed only once. Tickets cannot ensure that, so
            // sessions are cached on the server instead.
            config.ticketer = Arc::new(NoTickets);
            config.send_tls13_tickets = 2;
            if matches!(self.cache, SessionCache::None) {
                config.session_storage = ticket::cache("early data", EARLY_BYTES, context, self.session_timeout);
            }
            config.max_early_data_size = EARLY_DATA;
            config.send_half_rtt_data = true;
        }
        Ok(Arc::new(config))
    }
}

/// The handshake settings, with variants that depend on the client.
#[derive(Debug)]
pub struct Prepared {
    base: Arc<ServerConfig>,
    /// The server may prefer its own order of suites, unless the client has a reason for its own.
    may_reorder_suites: bool,
    /// Variants, indexed by whether the cheap suite is preferred and whether a session is resumed.
    variants: [OnceCell<Arc<ServerConfig>>; 4],
}

/// Suites of TLS 1.3, by their code points.
const AES_128: u16 = 0x1301;
const CHACHA: u16 = 0x1303;

impl Prepared {
    /// `may_reorder_suites`: the configuration sets no preference, so the server may put AES-128 first in TLS 1.3.
    pub fn new(base: Arc<ServerConfig>, may_reorder_suites: bool) -> Prepared {
        Prepared { base, may_reorder_suites, variants: Default::default() }
    }

    /// The settings for a client. All suites of TLS 1.3 are strong; the one with SHA-256 derives its keys several times
    /// faster than the one with SHA-384, which many clients list first. A client that lists ChaCha20 first has no AES
    /// hardware and gets its choice. A client that resumes a session still has tickets, so it gets only one more, as
    /// from OpenSSL.
    pub fn for_client(&self, hello: &Hello) -> Arc<ServerConfig> {
        let newest = hello.ciphers.iter().find(|cipher| **cipher >> 8 == 0x13);
        let is_cheap =
            self.may_reorder_suites && newest.is_some_and(|first| *first != CHACHA) && hello.ciphers.contains(&AES_128);
        let tickets = self.base.send_tls13_tickets;
        if !is_cheap && (!hello.resumes || tickets < 2) {
            return self.base.clone();
        }
        let made = &self.variants[usize::from(is_cheap) * 2 + usize::from(hello.resumes)];
        let make = || {
            let mut config = (*self.base).clone();
            config.ignore_client_order |= is_cheap;
            config.send_tls13_tickets = if hello.resumes { tickets.min(1) } else { tickets };
            Arc::new(config)
        };
        made.get_or_init(make).clone()
    }
}

/// Settings for a connection that only validates a tls-alpn-01 challenge.
pub fn challenge(pair: Arc<CertifiedKey>, protocol: &[u8]) -> Result<Arc<ServerConfig>, String> {
    let options = Options {
        certificates: vec![pair],
        protocols: Protocols::default(),
        suites: aws_lc_rs::DEFAULT_CIPHER_SUITES.to_vec(),
        groups: ciphers::default_groups(),
        prefers_own_ciphers: false,
        buffer_size: 16384,
        alpn: vec![protocol.to_vec()],
        client_names: None,
        policy: Vec::new(),
        cache: SessionCache::None,
        tickets: false,
        ticket_keys: Vec::new(),
        session_timeout: 0,
        early_data: false,
    };
    options.build()
}

/// Certificates of different kinds. ECDSA is preferred if the client supports it, since signing is cheaper.
#[derive(Debug)]
struct Certificates(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let suits = |c: &&Arc<CertifiedKey>| c.key.choose_scheme(hello.signature_schemes()).is_some();
        let is_rsa = |c: &&Arc<CertifiedKey>| c.key.algorithm() == SignatureAlgorithm::RSA;
        let first = self.0.iter().filter(|c| !is_rsa(c)).find(suits);
        first.or_else(|| self.0.iter().find(suits)).or(self.0.first()).cloned()
    }
}

/// Requests a client certificate and accepts any: it is verified after the handshake, so that the response can report
/// errors. During the handshake only possession of the key is checked.
#[derive(Debug)]
struct AskForCertificate {
    names: Vec<DistinguishedName>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AskForCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.names
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    proves_possession!();
}

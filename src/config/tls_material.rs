//! What handshakes are made with: by a server for its clients, and by a location for its upstream. `tls` and `proxy_tls` make
//! it from the settings.

use super::acme::CertificateId;
use super::certificates::{self, CertificateError, Origin};
use super::settings::ssl::{Ssl, Verify};
use super::template::Template;
use crate::tls::server::{Cache, Options, Prepared};
use crate::tls::ticket::Key;
use crate::tls::verify::Trust;
use crate::tls::{CertifiedKey, ClientConfig, ciphers, client};
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

/// What a server needs for TLS.
#[derive(Debug)]
pub struct ServerTls {
    pub handshake: Handshake,
    pub verify: Verify,
    pub trust: Trust,
    /// When the first of the certificates ends, Unix time; None: there are none that were read.
    pub expires: Option<i64>,
}

#[derive(Debug)]
pub enum Handshake {
    /// Made with certificates that were read.
    Ready(Prepared),
    /// The names of certificates have variables.
    Variable(Box<Variable>),
    /// An authority gives the certificate, and a newer one now and then.
    Acme(Box<Acme>),
    /// `ssl_reject_handshake on`.
    Refused,
}

/// A certificate that is not the configuration's: what is made with it is kept until it changes.
#[derive(Debug)]
pub struct Acme {
    pub certificate: CertificateId,
    recipe: Recipe,
    made: RefCell<Option<(u64, Rc<Prepared>)>>,
}

impl Acme {
    pub(super) fn new(certificate: CertificateId, recipe: Recipe) -> Acme {
        Acme { certificate, recipe, made: RefCell::new(None) }
    }

    /// What a handshake is made with. `generation`: changes with the certificate.
    ///
    /// # Errors
    /// The certificate does not go with the rest.
    pub fn prepared(&self, generation: u64, pair: &Arc<CertifiedKey>) -> Result<Rc<Prepared>, String> {
        if let Some((_, made)) = self.made.borrow().as_ref().filter(|(of, _)| *of == generation) {
            return Ok(made.clone());
        }
        let made = Rc::new(self.recipe.cook(vec![pair.clone()])?);
        *self.made.borrow_mut() = Some((generation, made.clone()));
        Ok(made)
    }
}

/// Certificates that are chosen when a client comes.
#[derive(Debug)]
pub struct Variable {
    /// Certificate and key.
    pub pairs: Vec<(Template, Template)>,
    pub(super) directory: PathBuf,
    pub(super) passwords: Vec<Vec<u8>>,
    pub(super) recipe: Recipe,
}

impl Variable {
    /// What a handshake is made with, from the values of the names.
    pub fn load(&self, names: &[(Vec<u8>, Vec<u8>)]) -> Result<Prepared, String> {
        let mut found = Vec::new();
        // One that has no value is left out: another may suit.
        for (certificate, key) in names.iter().filter(|(certificate, _)| !certificate.is_empty()) {
            let (certificate, key) = (Origin::new(certificate, &self.directory), Origin::new(key, &self.directory));
            let pair = certificates::load(&certificate, &key, &self.passwords);
            found.push(pair.map_err(|wrong| sentence(&wrong, &certificate, &key).1)?);
        }
        if found.is_empty() {
            return Err("no certificate is there for this client".into());
        }
        self.recipe.cook(found)
    }
}

/// All of a configuration of TLS but its certificates.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub(super) ssl: Rc<Ssl>,
    pub(super) alpn: Vec<Vec<u8>>,
    pub(super) client_names: Option<Vec<Vec<u8>>>,
    pub(super) policy: Vec<u8>,
    pub(super) ticket_keys: Vec<Arc<Key>>,
    pub(super) stapled: Option<Vec<u8>>,
}

impl Recipe {
    pub(super) fn cook(&self, mut pairs: Vec<Arc<CertifiedKey>>) -> Result<Prepared, String> {
        if let Some(response) = &self.stapled {
            let stapled = |pair: &Arc<CertifiedKey>| CertifiedKey { ocsp: Some(response.clone()), ..(**pair).clone() };
            pairs = pairs.iter().map(|pair| Arc::new(stapled(pair))).collect();
        }
        let cache = match &self.ssl.cache {
            // One that is not shared is of these certificates alone.
            Cache::Zone(name, most) if name.is_empty() => Cache::Zone("builtin".into(), *most),
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

/// Configurations that are kept of one location; more certificates than that cost their sessions and kept connections.
const CLIENTS: usize = 64;

/// A configuration, and the certificate that it shows.
type MadeClient = (Option<Arc<CertifiedKey>>, Arc<ClientConfig>);

/// A certificate for upstreams whose name has variables.
#[derive(Debug)]
pub struct VariableClient {
    pub certificate: Template,
    pub key: Template,
    pub(super) directory: PathBuf,
    pub(super) passwords: Vec<Vec<u8>>,
    /// All but the certificate.
    pub(super) options: client::Options,
    pub(super) made: RefCell<Vec<MadeClient>>,
}

impl VariableClient {
    /// What a handshake is made with, from the values of the names: no certificate where its name is empty. The same
    /// for as long as the files stay the same, so that sessions and connections can be used again.
    ///
    /// # Errors
    /// The sentence for the log.
    pub fn load(&self, certificate: &[u8], key: &[u8]) -> Result<Arc<ClientConfig>, String> {
        let pair = match certificate {
            [] => None,
            certificate => {
                let (from, key) = (Origin::new(certificate, &self.directory), Origin::new(key, &self.directory));
                let pair = certificates::load(&from, &key, &self.passwords);
                Some(pair.map_err(|wrong| sentence(&wrong, &from, &key).1)?)
            }
        };
        let mut made = self.made.borrow_mut();
        let is_same = |of: &Option<Arc<CertifiedKey>>| match (of, &pair) {
            (Some(of), Some(pair)) => Arc::ptr_eq(of, pair),
            (of, pair) => of.is_none() && pair.is_none(),
        };
        if let Some((_, config)) = made.iter().find(|(of, _)| is_same(of)) {
            return Ok(config.clone());
        }
        let config = client::Options { certificate: pair.clone(), ..self.options.clone() }.build()?;
        if made.len() >= CLIENTS {
            made.remove(0);
        }
        made.push((pair, config.clone()));
        Ok(config)
    }
}

/// What connections to an upstream are made with.
#[derive(Debug)]
pub enum ClientTls {
    Ready(Arc<ClientConfig>),
    Variable(Box<VariableClient>),
}

/// The TLS configuration of connections to the upstream of a location.
#[derive(Debug)]
pub struct UpstreamTls {
    pub client: ClientTls,
    /// proxy_ssl_name; None: the host of the URL.
    pub name: Option<Template>,
    /// None: certificates are not looked at.
    pub verify: Option<Trust>,
}

/// A fault of a pair as nginx begins the sentence; true: it is the key's.
pub(super) fn sentence(wrong: &CertificateError, certificate: &Origin, key: &Origin) -> (bool, String) {
    match wrong {
        CertificateError::Certificate(why) => {
            (false, format!("cannot load certificate \"{}\": {why}", certificate.shown()))
        }
        CertificateError::Key(why) => (true, format!("cannot load certificate key \"{}\": {why}", key.shown())),
    }
}

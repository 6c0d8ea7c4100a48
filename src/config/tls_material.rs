//! The TLS material for handshakes: of a server with its clients, and of a location with its upstream. `tls` and
//! `proxy_tls` build it from the settings.

use super::acme::CertificateId;
use super::certificates::{self, CertificateError, PemSource};
use super::local_certificate::LocalCertificate;
use super::settings::ssl::VerifyClient;
use super::template::Template;
use super::tls_recipe::Recipe;
use crate::tls::server::Prepared;
use crate::tls::verify::Trust;
use crate::tls::{CertifiedKey, ClientConfig, client};
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

/// The TLS configuration of a server.
#[derive(Debug)]
pub struct ServerTls {
    /// Where the certificates come from.
    pub handshake: Handshake,
    /// ssl_verify_client.
    pub verify: VerifyClient,
    /// What client certificates are verified by.
    pub trust: Rc<Trust>,
    /// When the first certificate that was loaded from a file expires (Unix time).
    pub(super) read_until: Option<i64>,
}

impl ServerTls {
    /// When the first certificate expires, loaded or self-made (Unix time).
    pub fn end(&self) -> Option<i64> {
        let made = match &self.handshake {
            Handshake::Local(local) => Some(local.end()),
            _ => None,
        };
        self.read_until.into_iter().chain(made).min()
    }
}

/// How a server shakes hands.
#[derive(Debug)]
pub enum Handshake {
    /// With certificates loaded from files, or made.
    Ready(Prepared),
    /// Certificate names have variables, so files are loaded at the handshake.
    Variable(Box<Variable>),
    /// The certificate comes from ACME and is renewed from time to time.
    Acme(Box<Acme>),
    /// The certificate is signed by the local authority and renewed from time to time (`ssl_certificate auto`).
    Local(Box<LocalCertificate>),
    /// `ssl_reject_handshake on`.
    Refused,
}

/// A certificate from ACME; the configuration built with it is cached until the certificate changes.
#[derive(Debug)]
pub struct Acme {
    /// Its certificate in `services::acme`.
    pub certificate: CertificateId,
    recipe: Recipe,
    made: RefCell<Option<(u64, Rc<Prepared>)>>,
}

impl Acme {
    /// Without a certificate: the first handshake asks for it.
    pub(super) fn new(certificate: CertificateId, recipe: Recipe) -> Acme {
        Acme { certificate, recipe, made: RefCell::new(None) }
    }

    /// The handshake settings with this certificate. `generation` changes with the certificate.
    ///
    /// # Errors
    /// The certificate does not fit the other settings.
    pub fn prepared(&self, generation: u64, pair: &Arc<CertifiedKey>) -> Result<Rc<Prepared>, String> {
        if let Some((_, made)) = self.made.borrow().as_ref().filter(|(of, _)| *of == generation) {
            return Ok(made.clone());
        }
        let made = Rc::new(self.recipe.build(vec![pair.clone()])?);
        *self.made.borrow_mut() = Some((generation, made.clone()));
        Ok(made)
    }
}

/// Certificates selected at the handshake.
#[derive(Debug)]
pub struct Variable {
    /// Templates for certificate and key.
    pub pairs: Vec<(Template, Template)>,
    /// Relative file names start here.
    pub(super) directory: PathBuf,
    /// Tried in order for encrypted keys.
    pub(super) passwords: Vec<Vec<u8>>,
    /// The other settings.
    pub(super) recipe: Recipe,
}

impl Variable {
    /// The handshake settings for these values of the names.
    pub fn load(&self, names: &[(Vec<u8>, Vec<u8>)]) -> Result<Prepared, String> {
        let mut found = Vec::new();
        // Skip pairs whose certificate name is empty: another may apply.
        for (certificate, key) in names.iter().filter(|(certificate, _)| !certificate.is_empty()) {
            let (certificate, key) =
                (PemSource::new(certificate, &self.directory), PemSource::new(key, &self.directory));
            let pair = certificates::load(&certificate, &key, &self.passwords);
            found.push(pair.map_err(|wrong| sentence(&wrong, &certificate, &key).1)?);
        }
        if found.is_empty() {
            return Err("there is no certificate for this client".into());
        }
        self.recipe.build(found)
    }
}

/// Maximum number of cached configurations per location; with more certificates, their sessions and kept-alive
/// connections are lost.
const CLIENTS: usize = 64;

/// A configuration, and the client certificate it sends.
type MadeClient = (Option<Arc<CertifiedKey>>, Arc<ClientConfig>);

/// A client certificate for upstreams whose name has variables.
#[derive(Debug)]
pub struct VariableClient {
    /// The certificate's file.
    pub certificate: Template,
    /// The key's file.
    pub key: Template,
    /// Relative file names start here.
    pub(super) directory: PathBuf,
    /// Tried in order for encrypted keys.
    pub(super) passwords: Vec<Vec<u8>>,
    /// All options but the certificate.
    pub(super) options: client::Options,
    /// The last configurations that were made.
    pub(super) made: RefCell<Vec<MadeClient>>,
}

impl VariableClient {
    /// The configuration for these values of the names; no certificate if its name is empty. As long as the files are
    /// unchanged it is the same one, so that sessions and connections can be reused.
    ///
    /// # Errors
    /// A sentence for the error log.
    pub fn load(&self, certificate: &[u8], key: &[u8]) -> Result<Arc<ClientConfig>, String> {
        let pair = match certificate {
            [] => None,
            certificate => {
                let (from, key) = (PemSource::new(certificate, &self.directory), PemSource::new(key, &self.directory));
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

/// The client configuration for connections to an upstream.
#[derive(Debug)]
pub enum ClientTls {
    /// Ready when the configuration is loaded.
    Ready(Arc<ClientConfig>),
    /// Made for each certificate that a request names.
    Variable(Box<VariableClient>),
}

/// The TLS configuration of connections to the upstream of a location.
#[derive(Debug)]
pub struct UpstreamTls {
    /// For the handshake.
    pub client: ClientTls,
    /// proxy_ssl_name; None: the host of the URL.
    pub name: Option<Template>,
    /// None: certificates are not verified.
    pub verify: Option<Trust>,
}

/// The message for an error in a pair, worded as in nginx; true if the key is at fault.
pub(super) fn sentence(wrong: &CertificateError, certificate: &PemSource, key: &PemSource) -> (bool, String) {
    match wrong {
        CertificateError::Certificate(why) => {
            (false, format!("cannot load certificate \"{}\": {why}", certificate.shown()))
        }
        CertificateError::Key(why) => (true, format!("cannot load certificate key \"{}\": {why}", key.shown())),
    }
}

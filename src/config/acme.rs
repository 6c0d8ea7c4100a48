//! The ACME part of a configuration as plain data: authorities, and the certificates to get from them. `resolve::acme`
//! builds it, `services::acme` acts on it.

use super::settings::resolver::ResolverSettings;
use super::value::Millis;
use crate::acme::Terms;
use crate::tls::ClientConfig;
use crate::tls::issue::KeyKind;
use crate::tls::verify::Trust;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

/// Where the key of an account comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountKey {
    /// Generated unless a stored one exists.
    Made(KeyKind),
    /// PEM.
    Given(String),
}

impl AccountKey {
    /// The kind to generate; None: there is a key.
    pub fn kind_to_make(&self) -> Option<KeyKind> {
        match self {
            AccountKey::Made(kind) => Some(*kind),
            AccountKey::Given(_) => None,
        }
    }
}

/// An `acme_issuer` that at least one server uses.
#[derive(Debug)]
pub struct Issuer {
    /// The name that acme_certificate uses.
    pub name: Box<str>,
    /// What the authority has to be told: contacts, agreement, challenges.
    pub terms: Terms,
    /// Where the key of the account comes from.
    pub account_key: AccountKey,
    /// The TLS configuration for connections to the authority.
    pub client: Arc<ClientConfig>,
    /// None: the authority's certificate is not verified.
    pub trust: Option<Trust>,
    /// Where account and certificates are stored. None: they do not outlive the process.
    pub state: Option<PathBuf>,
    /// Resolves the authority's host.
    pub resolver: Rc<ResolverSettings>,
    /// resolver_timeout of the http level.
    pub resolver_timeout: Millis,
}

/// A certificate, possibly shared by several servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// An index into [`Acme::issuers`].
    pub issuer: usize,
    /// Names and addresses, in lower case.
    pub names: Vec<String>,
    /// The kind of key that is certified.
    pub key: KeyKind,
}

/// An index into [`Acme::certificates`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CertificateId(pub usize);

/// All that ACME has to do for this configuration.
#[derive(Debug, Default)]
pub struct Acme {
    /// Each authority once.
    pub issuers: Vec<Rc<Issuer>>,
    /// By [`CertificateId`].
    pub certificates: Vec<Certificate>,
}

impl Acme {
    /// State directories, which must exist and belong to the serving user.
    pub fn state_paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.issuers.iter().filter_map(|issuer| issuer.state.as_ref())
    }
}

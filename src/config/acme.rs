//! What a configuration says of ACME, read and checked: authorities and the certificates that are asked of them. No
//! behaviour; the walk makes it (`resolve::acme`), `services::acme` lives by it.

use super::settings::resolver::Resolver;
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
    /// Made when there is none yet.
    Made(KeyKind),
    /// PEM.
    Given(String),
}

/// An `acme_issuer` that some server uses.
#[derive(Debug)]
pub struct Issuer {
    pub name: Box<str>,
    pub terms: Terms,
    pub account_key: AccountKey,
    /// The TLS configuration of connections to it.
    pub client: Arc<ClientConfig>,
    /// None: its certificate is not looked at.
    pub trust: Option<Trust>,
    /// None: nothing outlives the process.
    pub state: Option<PathBuf>,
    pub resolver: Rc<Resolver>,
    pub resolver_timeout: Millis,
}

/// A certificate that some servers share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// An index into [`Acme::issuers`].
    pub issuer: usize,
    /// Names and addresses, in lower case.
    pub names: Vec<String>,
    pub key: KeyKind,
}

/// An index into [`Acme::certificates`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CertificateId(pub usize);

#[derive(Debug, Default)]
pub struct Acme {
    pub issuers: Vec<Rc<Issuer>>,
    pub certificates: Vec<Certificate>,
}

impl Acme {
    /// Directories that must be there and be ours.
    pub fn state_paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.issuers.iter().filter_map(|issuer| issuer.state.as_ref())
    }
}

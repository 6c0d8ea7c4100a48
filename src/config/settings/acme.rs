//! `acme_issuer` and `acme_certificate` as written; `resolve::acme` builds authorities and certificates from them.

use crate::acme::ChallengeKind;
use crate::acme::wire::Url;
use crate::config::ast::Span;
use crate::tls::issue::KeyKind;
use std::path::PathBuf;

/// `acme_certificate` of a server, before its issuer is looked up.
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    /// The name of the issuer.
    pub issuer: Box<str>,
    /// Where it is named.
    pub issuer_span: Span,
    /// Names given in the directive; if empty, the server's names are used.
    pub names: Vec<(String, Span)>,
    /// `key=`: the kind of key that is certified.
    pub key: KeyKind,
    /// The directive.
    pub span: Span,
}

/// `acme_issuer` while it is read.
#[derive(Clone, Debug)]
pub struct IssuerDraft {
    /// Its name.
    pub name: Box<str>,
    /// Where it is named.
    pub span: Span,
    /// The authority's directory; None: `uri` is missing or wrong.
    pub uri: Option<Url>,
    /// account_key.
    pub account_key: AccountKeySource,
    /// contact, as URIs.
    pub contacts: Vec<String>,
    /// accept_terms_of_service.
    pub agreed: bool,
    /// external_account_key: the id, and the key for its MAC (RFC 8555 §7.3.4).
    pub external: Option<(String, EabSecret)>,
    /// challenge.
    pub challenge: ChallengeKind,
    /// preferred_chain: the common name of a root.
    pub preferred_chain: Option<String>,
    /// profile, and whether it is required.
    pub profile: Option<(String, bool)>,
    /// ssl_trusted_certificate.
    pub trusted: Option<(PathBuf, Span)>,
    /// ssl_verify.
    pub verify: bool,
    /// state_path.
    pub state: StateStore,
}

/// Where an account's key comes from.
#[derive(Clone, Debug)]
pub enum AccountKeySource {
    /// Made by this program, of that kind.
    Made(KeyKind),
    /// Read from a file.
    File(PathBuf, Span),
}

/// The key of an external account, base64url.
#[derive(Clone, Debug)]
pub enum EabSecret {
    /// `data:`.
    Text(String, Span),
    /// Read from a file.
    File(PathBuf, Span),
}

/// Where an issuer stores state that must outlive the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateStore {
    /// Beneath the program's own state directory.
    Default,
    /// Nowhere.
    Off,
    /// This directory.
    Path(PathBuf),
}

impl IssuerDraft {
    /// With the defaults of its directives.
    pub fn new(name: &str, span: Span) -> IssuerDraft {
        IssuerDraft {
            name: name.into(),
            span,
            uri: None,
            account_key: AccountKeySource::Made(KeyKind::P256),
            contacts: Vec::new(),
            agreed: false,
            external: None,
            challenge: ChallengeKind::Http01,
            preferred_chain: None,
            profile: None,
            trusted: None,
            verify: true,
            state: StateStore::Default,
        }
    }
}

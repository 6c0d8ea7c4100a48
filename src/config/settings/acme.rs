//! `acme_issuer` and `acme_certificate` as written; `resolve::acme` builds authorities and certificates from them.

use crate::acme::ChallengeKind;
use crate::acme::wire::Url;
use crate::config::ast::Span;
use crate::tls::issue::KeyKind;
use std::path::PathBuf;

/// `acme_certificate` of a server, before its issuer is looked up.
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    pub issuer: Box<str>,
    pub issuer_span: Span,
    /// Names given in the directive; if empty, the server's names are used.
    pub names: Vec<(String, Span)>,
    pub key: KeyKind,
    pub span: Span,
}

/// `acme_issuer` while it is read.
#[derive(Clone, Debug)]
pub struct IssuerDraft {
    pub name: Box<str>,
    pub span: Span,
    pub uri: Option<Url>,
    pub account_key: AccountKeySource,
    pub contacts: Vec<String>,
    pub agreed: bool,
    pub external: Option<(String, EabSecret)>,
    pub challenge: ChallengeKind,
    pub preferred_chain: Option<String>,
    pub profile: Option<(String, bool)>,
    pub trusted: Option<(PathBuf, Span)>,
    pub verify: bool,
    pub state: StateStore,
}

#[derive(Clone, Debug)]
pub enum AccountKeySource {
    Made(KeyKind),
    File(PathBuf, Span),
}

#[derive(Clone, Debug)]
pub enum EabSecret {
    Text(String, Span),
    File(PathBuf, Span),
}

/// Where an issuer stores state that must outlive the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateStore {
    Default,
    Off,
    Path(PathBuf),
}

impl IssuerDraft {
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

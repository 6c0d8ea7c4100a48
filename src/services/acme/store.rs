//! ACME state on disk: the key and URL of an account, and each certificate in one file with its key, so that the two
//! always match. All files have mode 0600 and are replaced atomically.

use crate::acme::jose::AccountKey;
use crate::config::acme::{AccountKey as From, Certificate, Issuer};
use crate::config::certificates::{self, CertificateError};
use crate::io::open;
use crate::io::replace::{create, replace};
use crate::sys::Errno;
use crate::tls::CertifiedKey;
use crate::tls::issue::{self, KeyKind};
use crate::tls::{pem, ticket};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest file that is read: chains have a few KB.
const LARGEST: u64 = 1 << 20;

/// A certificate with its key, as text and parsed.
#[derive(Clone, Debug)]
pub struct Pair {
    /// PEM, the leaf first.
    pub chain: String,
    /// PKCS #8 in PEM.
    pub key: String,
    /// Both as the handshake needs them.
    pub ready: Arc<CertifiedKey>,
}

impl Pair {
    /// # Errors
    /// They do not match, or cannot be parsed.
    pub fn new(chain: String, key: String) -> Result<Pair, String> {
        let ready = certificates::pair(chain.as_bytes(), key.as_bytes(), &[]);
        let ready = ready.map_err(|wrong| match wrong {
            CertificateError::Certificate(why) | CertificateError::Key(why) => why,
        })?;
        Ok(Pair { chain, key, ready: Arc::new(ready) })
    }
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> String + '_ {
    move |e| format!("\"{}\" cannot be written {}", path.display(), Errno::from(e))
}

/// An account key and the account's URL, if known.
pub struct Opened {
    /// Signs the account's requests.
    pub key: AccountKey,
    /// The account's URL at its authority.
    pub kid: Option<String>,
    /// The text of a new key that is not on disk yet.
    pub unsaved_key: Option<String>,
}

fn key_path(issuer: &Issuer) -> Option<PathBuf> {
    issuer.state.as_ref().map(|state| state.join("account.key"))
}

/// A stored file. None: there is none.
fn read(path: &Path) -> Result<Option<String>, String> {
    match open::text(path, LARGEST) {
        Ok(text) => Ok(Some(text)),
        Err(Errno::ENOENT) => Ok(None),
        Err(e) => Err(format!("\"{}\" cannot be read {e}", path.display())),
    }
}

/// The issuer's account: its key, made if there is none, and its URL, if known. None: there is none, and its key takes
/// too long to be made here.
///
/// # Errors
/// The key can neither be read nor made.
pub fn account(issuer: &Issuer) -> Result<Option<Opened>, String> {
    let kept = match &issuer.account_key {
        From::Given(text) => Some(text.clone()),
        From::Made(_) => key_path(issuer).map_or(Ok(None), |path| read(&path))?,
    };
    match (kept, issuer.account_key.kind_to_make()) {
        (Some(text), _) => opened(issuer, &text).map(Some),
        (None, Some(kind)) if !kind.is_rsa() => new_account(issuer, issue::new_key(kind)?).map(Some),
        (None, _) => Ok(None),
    }
}

/// The account of a key that was just made.
///
/// # Errors
/// It is no key.
pub fn new_account(issuer: &Issuer, key: String) -> Result<Opened, String> {
    let opened = opened(issuer, &key)?;
    Ok(Opened { unsaved_key: key_path(issuer).map(|_| key), ..opened })
}

fn opened(issuer: &Issuer, key: &str) -> Result<Opened, String> {
    let key = AccountKey::from_pem(key.as_bytes())?;
    let known = issuer.state.as_ref().and_then(|state| open::text(&state.join("account.url"), LARGEST).ok());
    let kid = known.and_then(|text| {
        let mut lines = text.lines();
        // The URL belongs to another authority or another key.
        let same = lines.next() == Some(issuer.terms.uri.text.as_str()) && lines.next() == Some(&*key.thumbprint());
        lines.next().filter(|_| same).map(str::to_owned)
    });
    Ok(Opened { key, kid, unsaved_key: None })
}

/// Stores a new account key. False: another process has stored one in the meantime.
///
/// # Errors
/// It cannot be stored.
pub fn keep_key(issuer: &Issuer, text: &str) -> Result<bool, String> {
    let Some(path) = key_path(issuer) else { return Ok(true) };
    match create(&path, text.as_bytes(), 0o600) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(failed(&path)(e)),
    }
}

/// Stores the account's URL.
///
/// # Errors
/// It cannot be stored; then the authority will be asked again.
pub fn keep_account(issuer: &Issuer, key: &AccountKey, kid: &str) -> Result<(), String> {
    let Some(state) = &issuer.state else { return Ok(()) };
    let path = state.join("account.url");
    let text = format!("{}\n{}\n{kid}\n", issuer.terms.uri.text, key.thumbprint());
    replace(&path, text.as_bytes(), 0o600).map_err(failed(&path))
}

fn path(state: &Path, certificate: &Certificate) -> PathBuf {
    let kind = match certificate.key {
        KeyKind::P256 => "p256".to_owned(),
        KeyKind::P384 => "p384".to_owned(),
        KeyKind::P521 => "p521".to_owned(),
        KeyKind::Rsa(bits) => format!("rsa{bits}"),
    };
    let digest = ticket::context(certificate.names.iter().map(String::as_bytes).chain([kind.as_bytes()]));
    let tag: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
    let name: String = certificate.names.first().map_or("", String::as_str).chars().map(plain).take(100).collect();
    state.join(format!("{name}-{tag}.pem"))
}

fn pause_path(state: &Path, certificate: &Certificate) -> PathBuf {
    path(state, certificate).with_extension("retry")
}

/// Until when an authority refuses orders for a certificate (Retry-After), and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Seconds since 1970.
    pub until: i64,
    /// The authority's own words, for the log.
    pub why: String,
    /// The file of this pause.
    pub path: PathBuf,
}

/// Stores until when the authority refuses orders for a certificate, so that a restart does not order earlier.
///
/// # Errors
/// It cannot be stored.
pub fn keep_pause(issuer: &Issuer, certificate: &Certificate, until: i64, why: &str) -> Result<(), String> {
    let Some(state) = &issuer.state else { return Ok(()) };
    let path = pause_path(state, certificate);
    let why: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = format!("{until}\n{}\n{why}\n", issuer.terms.uri.text);
    replace(&path, text.as_bytes(), 0o600).map_err(failed(&path))
}

/// Removes the stored pause, since the certificate was issued.
pub fn forget_pause(issuer: &Issuer, certificate: &Certificate) {
    if let Some(state) = &issuer.state {
        // Usually there is none.
        let _ = fs::remove_file(pause_path(state, certificate));
    }
}

/// The stored pause, if it is from this authority.
pub fn pause(issuer: &Issuer, certificate: &Certificate) -> Option<Pause> {
    let path = pause_path(issuer.state.as_ref()?, certificate);
    let text = open::text(&path, LARGEST).ok()?;
    let mut lines = text.lines();
    let until = lines.next()?.parse().ok()?;
    let is_its = lines.next()? == issuer.terms.uri.text;
    is_its.then(|| Pause { until, why: lines.next().unwrap_or_default().to_owned(), path })
}

/// The stored certificate, if there is one.
///
/// # Errors
/// The file has unexpected content.
pub fn load(issuer: &Issuer, certificate: &Certificate) -> Result<Option<Pair>, String> {
    let Some(state) = &issuer.state else { return Ok(None) };
    let path = path(state, certificate);
    let Some(text) = read(&path)? else { return Ok(None) };
    let named = |why: String| format!("\"{}\" cannot be used: {why}", path.display());
    let sections = pem::parse(text.as_bytes()).map_err(named)?;
    let (keys, certificates): (Vec<_>, Vec<_>) = sections.iter().partition(|s| s.label.ends_with("PRIVATE KEY"));
    let written = |sections: Vec<&pem::Section>| -> String {
        sections.iter().map(|section| pem::write(&section.label, &section.der)).collect()
    };
    Pair::new(written(certificates), written(keys)).map(Some).map_err(named)
}

/// # Errors
/// It cannot be stored.
pub fn keep(issuer: &Issuer, certificate: &Certificate, pair: &Pair) -> Result<(), String> {
    let Some(state) = &issuer.state else { return Ok(()) };
    let path = path(state, certificate);
    replace(&path, format!("{}{}", pair.key, pair.chain).as_bytes(), 0o600).map_err(failed(&path))
}

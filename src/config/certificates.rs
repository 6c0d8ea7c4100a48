//! Loads the certificates, keys, trusted CAs and revocation lists that a configuration names. Each error is a sentence
//! that names the file.
//!
//! Certificate pairs are cached in the process until their files change (nginx's `ssl_object_cache_inheritable`), so
//! that a reload of many servers does not read every key again.

use crate::io::open;
use crate::sys::Errno;
use crate::tls::crl::Crl;
use crate::tls::der::{self, Reader};
use crate::tls::server::certified;
use crate::tls::x509::Certificate;
use crate::tls::{CertificateDer, CertifiedKey, key, pem};
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Maximum size of a file of certificates, keys or CRLs; a larger one is an error.
const LARGEST: u64 = 64 << 20;

/// Reads a whole file. Other than regular files are refused, since reading one may block.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    whole(open::read(path, LARGEST))
}

fn whole(read: Result<Vec<u8>, Errno>) -> Result<Vec<u8>, String> {
    let bytes = read.map_err(|errno| match errno {
        Errno::EINVAL => "it is not a regular file".into(),
        errno => errno.to_string(),
    })?;
    if bytes.len() as u64 > LARGEST { Err("the file is too large".into()) } else { Ok(bytes) }
}

/// The certificates in a PEM text, in order.
pub fn chain(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let sections = pem::parse(text)?;
    let instead = missing("certificate", "CERTIFICATE", text, &sections);
    let mut chain = Vec::new();
    for section in sections {
        let der = match section.label.as_str() {
            "CERTIFICATE" | "X509 CERTIFICATE" => section.der,
            // OpenSSL's own format: auxiliary data follows the certificate.
            "TRUSTED CERTIFICATE" => {
                let whole = Reader::new(&section.der).any().map(|value| value.whole.to_vec());
                whole.map_err(|_| "a certificate is damaged")?
            }
            _ => continue,
        };
        Certificate::parse(&der).map_err(|_| format!("certificate {} of the file is damaged", chain.len() + 1))?;
        chain.push(CertificateDer::from(der));
    }
    if chain.is_empty() { Err(instead) } else { Ok(chain) }
}

/// The error for a file without the expected PEM section; says what it contains instead.
fn missing(what: &str, label: &str, text: &[u8], sections: &[pem::Section]) -> String {
    let found = match sections.first() {
        Some(section) if section.label.ends_with("PRIVATE KEY") => ", but a private key".into(),
        Some(section) => format!(", but a section \"{}\"", section.label),
        None => pem::instead(text).to_owned(),
    };
    format!("no {what} in the file (no \"-----BEGIN {label}-----\"){found}")
}

/// The server's own certificate, the first of its chain.
pub fn leaf(pair: &CertifiedKey) -> Option<Certificate<'_>> {
    Certificate::parse(pair.cert.first()?).ok()
}

/// Parses a certificate chain and its key from the texts of their files.
pub fn pair(certificate: &[u8], key: &[u8], passwords: &[Vec<u8>]) -> Result<CertifiedKey, CertificateError> {
    let mut chain = chain(certificate).map_err(|mut why| {
        if why.ends_with("but a private key") {
            why.push_str(": the files of ssl_certificate and ssl_certificate_key may be swapped");
        }
        CertificateError::Certificate(why)
    })?;
    // nginx accepts duplicates in the chain; sending one twice is useless.
    let mut seen = HashSet::new();
    chain.retain(|der| seen.insert(der.clone()));
    let key = key::load(key, passwords).map_err(CertificateError::Key)?;
    if let Some(own) = key.public_key() {
        let is_own = |der: &CertificateDer<'_>| Certificate::parse(der).is_ok_and(|c| c.spki == own.as_ref());
        if let Some(at) = chain.iter().position(is_own).filter(|at| *at > 0) {
            let text = format!(
                "the chain is out of order: the server's own certificate must come first, and is number {}",
                at + 1
            );
            return Err(CertificateError::Certificate(text));
        }
    }
    let mut parsed = chain.iter().filter_map(|der| Certificate::parse(der).ok());
    if let (Some(leaf), Some(next)) = (parsed.next(), parsed.next()) {
        let follows = parsed.any(|later| later.subject == leaf.issuer);
        if next.subject != leaf.issuer && follows {
            let text = "the chain is out of order: the issuer of the first certificate must come second";
            return Err(CertificateError::Certificate(text.into()));
        }
    }
    certified(chain, key).map_err(CertificateError::Key)
}

/// Which part of a pair is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateError {
    /// The certificate, or the chain, for this reason.
    Certificate(String),
    /// The key, or that it belongs to another certificate, for this reason.
    Key(String),
}

/// Where a certificate or key comes from: a file, or the configuration itself (`data:`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PemSource {
    /// A path, relative ones resolved.
    File(PathBuf),
    /// `data:…`: PEM without the prefix.
    Data(Vec<u8>),
}

impl PemSource {
    /// `name` as in the configuration or its variables; relative to `directory`.
    pub fn new(name: &[u8], directory: &Path) -> PemSource {
        match name.strip_prefix(b"data:") {
            Some(text) => PemSource::Data(text.to_vec()),
            None => PemSource::File(directory.join(OsStr::from_bytes(name))),
        }
    }

    /// For messages; the content of a key is never shown.
    pub fn shown(&self) -> String {
        match self {
            PemSource::File(path) => path.display().to_string(),
            PemSource::Data(_) => "data:…".into(),
        }
    }

    fn read(&self) -> Result<Vec<u8>, String> {
        match self {
            PemSource::File(path) => read(path),
            PemSource::Data(text) => Ok(text.clone()),
        }
    }

    /// Identifies a version of a file as nginx does: by its mtime in seconds and its inode number.
    fn state(&self) -> (i64, u64) {
        match self {
            PemSource::File(path) => std::fs::metadata(path).map_or((0, 0), |data| (data.mtime(), data.ino())),
            PemSource::Data(_) => (0, 0),
        }
    }
}

/// A loaded pair, and the version of its files.
struct CachedPair {
    states: [(i64, u64); 2],
    pair: Arc<CertifiedKey>,
}

/// Maximum number of cached pairs; when reached, the cache is emptied.
const KEPT: usize = 10_000;

/// Loads a pair, or returns it from the cache if its files have not changed.
pub fn load(
    certificate: &PemSource,
    key: &PemSource,
    passwords: &[Vec<u8>],
) -> Result<Arc<CertifiedKey>, CertificateError> {
    type Pairs = HashMap<(PemSource, PemSource, Vec<Vec<u8>>), CachedPair>;
    static PAIRS: OnceLock<Mutex<Pairs>> = OnceLock::new();
    let mut pairs = PAIRS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let place = (certificate.clone(), key.clone(), passwords.to_vec());
    let states = [certificate.state(), key.state()];
    if let Some(kept) = pairs.get(&place).filter(|kept| kept.states == states) {
        return Ok(kept.pair.clone());
    }
    let text = certificate.read().map_err(CertificateError::Certificate)?;
    let key_text = if key == certificate { text.clone() } else { key.read().map_err(CertificateError::Key)? };
    let pair = Arc::new(pair(&text, &key_text, passwords)?);
    if pairs.len() >= KEPT {
        pairs.clear();
    }
    pairs.insert(place, CachedPair { states, pair: pair.clone() });
    Ok(pair)
}

/// The passwords in a file, one per line. As in nginx it may be a FIFO, so that a program can supply them without
/// writing them to disk.
pub fn passwords(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let bytes = whole(open::read_piped(path, LARGEST))?;
    let lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    Ok(lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect())
}

/// Loads trusted CAs, without duplicates.
pub fn trusted(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut all = chain(&read(path)?)?;
    let mut seen = HashSet::new();
    all.retain(|der| seen.insert(der.as_ref().to_vec()));
    Ok(all)
}

/// Loads an OCSP response to staple (RFC 6960 §4.2.1).
pub fn ocsp(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = read(path)?;
    let mut reader = Reader::new(&bytes);
    let is_response = reader.sequence().and_then(|mut parts| parts.take(der::ENUMERATED)).is_ok() && reader.is_empty();
    if is_response { Ok(bytes) } else { Err("it is not an OCSP response (DER)".into()) }
}

/// Reads the revocation lists of a PEM file.
///
/// # Errors
/// The reason, as text for a message: the file cannot be read, has no list, or one is damaged.
pub fn crls(path: &Path) -> Result<Vec<Crl>, String> {
    let text = read(path)?;
    let sections = pem::parse(&text)?;
    let lists = sections.iter().filter(|section| section.label == "X509 CRL");
    let lists: Result<Vec<Crl>, _> = lists.map(|section| Crl::parse(&section.der)).collect();
    let lists = lists.map_err(|_| "a revocation list is damaged")?;
    if lists.is_empty() { Err(missing("revocation list", "X509 CRL", &text, &sections)) } else { Ok(lists) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing;

    #[test]
    fn a_fifo_in_place_of_a_certificate_is_refused_at_once() {
        let scratch = crate::sys::scratch::Scratch::new();
        let path = scratch.path().join("fifo");
        crate::sys::file::make_fifo(&scratch.join("fifo"), 0o600).expect("mkfifo");
        assert_eq!(read(&path), Err("it is not a regular file".to_string()));
    }

    #[test]
    fn pairs_that_do_not_fit_say_why() {
        let root = testing::ca("root");
        let middle = testing::make(testing::ca_params("middle"), Some(&root));
        let leaf = testing::client("leaf", &middle);
        let other = testing::leaf("other", &[]);
        let text = |parts: &[&testing::Made]| parts.iter().map(|made| made.pem.as_str()).collect::<String>();
        assert!(pair(text(&[&leaf, &middle]).as_bytes(), leaf.key_pem.as_bytes(), &[]).is_ok());
        assert!(pair(text(&[&leaf, &other]).as_bytes(), leaf.key_pem.as_bytes(), &[]).is_ok());
        let twice = pair(text(&[&leaf, &leaf, &middle, &middle]).as_bytes(), leaf.key_pem.as_bytes(), &[]);
        assert_eq!(twice.expect("taken").cert.len(), 2, "each certificate is sent once");
        let table: [(&str, String, &str, &str); 9] = [
            ("another key", text(&[&leaf]), &other.key_pem, "key values mismatch"),
            ("the own one last", text(&[&middle, &leaf]), &leaf.key_pem, "must come first"),
            ("the issuer third", text(&[&leaf, &root, &middle]), &leaf.key_pem, "must come second"),
            ("no certificate", leaf.key_pem.clone(), &leaf.key_pem, "but a private key: the files"),
            ("nothing", String::new(), &leaf.key_pem, ": the file is empty"),
            ("binary", "0\u{1}x".into(), &leaf.key_pem, ": it looks like DER"),
            ("a page", "<html>".into(), &leaf.key_pem, "-----BEGIN CERTIFICATE-----\")"),
            ("a request", leaf.pem.replace("CERT", "NEW CERT"), &leaf.key_pem, "but a section \"NEW CERTIFICATE\""),
            ("no key", leaf.pem.clone(), &leaf.pem, "no private key in the file"),
        ];
        for (name, certificate, key, want) in table {
            match pair(certificate.as_bytes(), key.as_bytes(), &[]) {
                Err(CertificateError::Certificate(why) | CertificateError::Key(why)) => {
                    assert!(why.contains(want), "{name}: {why}")
                }
                Ok(_) => panic!("{name}: taken"),
            }
        }
    }
}

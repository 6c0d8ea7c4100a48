//! Certificates that the server makes itself: a local certificate authority and the certificates it signs, certificate
//! signing requests, and the certificates for tls-alpn-01 challenges. Keys are ECDSA on P-256 unless a [`KeyKind`] says
//! otherwise.

use super::x509::Certificate;
use super::{pem, x509};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    RsaKeyPair,
};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// A certificate and its key, both as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// PKCS #8, not encrypted.
    pub key: String,
}

/// Validity of the local authority and of its certificates, in days. Browsers reject server certificates that are valid
/// for longer than 398 days.
const CA_DAYS: i64 = 3650;
const LEAF_DAYS: i64 = 397;

fn issued(certificate: &rcgen::Certificate, key: &KeyPair) -> Issued {
    Issued {
        certificate: pem::write("CERTIFICATE", certificate.der()),
        key: pem::write("PRIVATE KEY", &key.serialize_der()),
    }
}

fn params(names: &[String], common: &str, now: i64, days: i64) -> Result<CertificateParams, String> {
    let mut params = CertificateParams::new(names.to_vec()).map_err(|e| e.to_string())?;
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, common);
    let date = |seconds: i64| {
        let date = crate::util::date::Civil::from_unix(seconds);
        rcgen::date_time_ymd(date.year, date.month, date.day)
    };
    // A day early, for clients whose clock is slow.
    params.not_before = date(now - 86_400);
    params.not_after = date(now + days * 86_400);
    Ok(params)
}

fn authority_params(name: &str, now: i64) -> Result<CertificateParams, String> {
    let mut params = params(&[], name, now, CA_DAYS)?;
    // Path length 0: it signs server certificates, not other CAs.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// A new authority of this name. `now`: seconds since 1970.
pub fn authority(name: &str, now: i64) -> Result<Issued, String> {
    let key = KeyPair::generate().map_err(|e| e.to_string())?;
    let made = authority_params(name, now)?.self_signed(&key).map_err(|e| e.to_string())?;
    Ok(issued(&made, &key))
}

fn key_pair(text: &str) -> Result<KeyPair, String> {
    let sections = pem::parse(text.as_bytes())?;
    let section = sections.first().ok_or("no private key in the file")?;
    KeyPair::try_from(section.der.as_slice()).map_err(|e| e.to_string())
}

/// A certificate for these names and addresses, signed by a CA made by [`authority`].
pub fn sign(authority: &Issued, names: &[String], now: i64) -> Result<Issued, String> {
    let sections = pem::parse(authority.certificate.as_bytes())?;
    let der = &sections.first().ok_or("no certificate in the file")?.der;
    let ca = Certificate::parse(der).map_err(|_| "the authority's certificate is damaged")?;
    let name = String::from_utf8_lossy(ca.common_name().unwrap_or_default()).into_owned();
    let ca_params = authority_params(&name, now)?;
    let issuer = Issuer::new(ca_params, key_pair(&authority.key)?);
    let mut params = params(names, names.first().map_or("localhost", String::as_str), now, LEAF_DAYS)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().map_err(|e| e.to_string())?;
    let made = params.signed_by(&key, &issuer).map_err(|e| e.to_string())?;
    let mut made = issued(&made, &key);
    made.certificate.push_str(&authority.certificate);
    Ok(made)
}

/// A self-signed certificate, valid for `seconds` from `from` on.
#[cfg(test)]
pub fn lasting(name: &str, from: i64, seconds: u64) -> Result<Issued, String> {
    let mut params = params(&[name.to_owned()], name, from, 0)?;
    let of_day = u64::try_from(from.rem_euclid(86_400)).unwrap_or_default();
    params.not_before = params.not_after + std::time::Duration::from_secs(of_day);
    params.not_after = params.not_before + std::time::Duration::from_secs(seconds);
    let key = KeyPair::generate().map_err(|e| e.to_string())?;
    let made = params.self_signed(&key).map_err(|e| e.to_string())?;
    Ok(issued(&made, &key))
}

/// Kinds of keys that certificates and accounts can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum KeyKind {
    /// ECDSA on P-256.
    #[default]
    P256,
    /// ECDSA on P-384.
    P384,
    /// ECDSA on P-521.
    P521,
    /// Bits: 2048, 3072 or 4096. Generating one takes tens of milliseconds or more.
    Rsa(u32),
}

impl KeyKind {
    /// Parses `ecdsa:256`, `rsa:2048` and the like; the size may be omitted.
    pub fn parse(text: &str) -> Option<KeyKind> {
        Some(match text {
            "ecdsa" | "ecdsa:256" => KeyKind::P256,
            "ecdsa:384" => KeyKind::P384,
            "ecdsa:521" => KeyKind::P521,
            "rsa" | "rsa:2048" => KeyKind::Rsa(2048),
            "rsa:3072" => KeyKind::Rsa(3072),
            "rsa:4096" => KeyKind::Rsa(4096),
            _ => return None,
        })
    }

    /// Making such a key takes long.
    pub fn is_rsa(self) -> bool {
        matches!(self, KeyKind::Rsa(_))
    }
}

/// A key, as PEM (PKCS#8).
pub fn new_key(kind: KeyKind) -> Result<String, String> {
    let random = SystemRandom::new();
    let failed = |_| "a key cannot be made".to_owned();
    let ecdsa = |algorithm| EcdsaKeyPair::generate_pkcs8(algorithm, &random).map(|key| key.as_ref().to_vec());
    let rsa = |size| -> Result<Vec<u8>, Unspecified> { Ok(RsaKeyPair::generate(size)?.as_der()?.as_ref().to_vec()) };
    let der = match kind {
        KeyKind::P256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
        KeyKind::P384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
        KeyKind::P521 => ecdsa(&ECDSA_P521_SHA512_ASN1_SIGNING),
        KeyKind::Rsa(4096) => rsa(KeySize::Rsa4096),
        KeyKind::Rsa(3072) => rsa(KeySize::Rsa3072),
        KeyKind::Rsa(_) => rsa(KeySize::Rsa2048),
    };
    Ok(pem::write("PRIVATE KEY", &der.map_err(failed)?))
}

/// A certificate signing request (PKCS#10, DER) for these names, signed with the key.
pub fn request(names: &[String], key: &str) -> Result<Vec<u8>, String> {
    let mut params = CertificateParams::new(names.to_vec()).map_err(|e| e.to_string())?;
    params.distinguished_name.remove(DnType::CommonName);
    let request = params.serialize_request(&key_pair(key)?).map_err(|e| e.to_string())?;
    Ok(request.der().to_vec())
}

/// The certificate for a tls-alpn-01 challenge (RFC 8737): for this name, with the digest of the key authorization in
/// its acmeIdentifier extension.
pub fn challenge(name: &str, digest: &[u8; 32], now: i64) -> Result<Issued, String> {
    let mut params = params(&[name.to_owned()], name, now, 30)?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate().map_err(|e| e.to_string())?;
    let made = params.self_signed(&key).map_err(|e| e.to_string())?;
    Ok(issued(&made, &key))
}

/// What a certificate is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// When its validity begins and ends, Unix seconds.
    pub from: i64,
    /// Inclusive.
    pub until: i64,
    /// The wanted names that it does not cover.
    pub missing: Vec<String>,
}

/// When the first certificate of a PEM text is valid, and which names of `wanted` it does not cover.
pub fn covers(text: &[u8], wanted: &[String]) -> Option<Coverage> {
    let sections = pem::parse(text).ok()?;
    let leaf = x509::Certificate::parse(&sections.first()?.der).ok()?;
    let missing = wanted.iter().filter(|name| !leaf.is_for(name.as_bytes())).cloned().collect();
    Some(Coverage { from: leaf.not_before, until: leaf.not_after, missing })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::verify::{Purpose, Trust};
    use rustls::pki_types::CertificateDer;

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn what_the_authority_signs_is_trusted_for_its_names() {
        let ca = authority("webserv local authority", NOW).expect("an authority");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let made = sign(&ca, &names, NOW).expect("a certificate");
        let der = |text: &str| CertificateDer::from(pem::parse(text.as_bytes()).expect("PEM")[0].der.clone());
        let trust = Trust::new(vec![der(&ca.certificate)], None, 1);
        let leaf = der(&made.certificate);
        assert_eq!(trust.verify(std::slice::from_ref(&leaf), Purpose::Server, NOW), Ok(()));
        let wanted = [names.to_vec(), vec!["example.org".to_owned()]].concat();
        let found = covers(made.certificate.as_bytes(), &wanted).expect("a certificate");
        assert_eq!(found.missing, ["example.org"]);
        assert!(found.from <= NOW && found.until > NOW + 300 * 86_400);
        assert!(crate::tls::key::load(made.key.as_bytes(), &[]).is_ok());
    }

    #[test]
    fn requests_and_answers_to_challenges_are_made() {
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Rsa(2048)] {
            let key = new_key(kind).expect("a key");
            let made = request(&["example.org".to_owned()], &key);
            assert!(made.is_ok_and(|der| der.starts_with(&[0x30])), "{kind:?}");
            assert!(crate::tls::key::load(key.as_bytes(), &[]).is_ok(), "{kind:?}");
        }
        let answer = challenge("example.org", &[7; 32], NOW).expect("a certificate");
        let der = &pem::parse(answer.certificate.as_bytes()).expect("PEM")[0].der;
        let parsed = x509::Certificate::parse(der).expect("a certificate");
        let id: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 0x1f];
        let extension = parsed.extension(id).expect("readable").expect("there");
        assert!(extension.critical && extension.value.ends_with(&[7; 32]));
    }
}

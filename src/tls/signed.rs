//! Signatures of certificates and revocation lists, and the comparison of names by which issuers are found.

use super::names;
use super::x509::Certificate;
use rustls::crypto::aws_lc_rs;

/// Whether `signature` over `text` was made with the key of `issuer`.
pub fn is_signed(text: &[u8], algorithm: &[u8], signature: &[u8], issuer: &Certificate<'_>) -> bool {
    let known = aws_lc_rs::default_provider().signature_verification_algorithms.all;
    let mut fit = known.iter().filter(|known| {
        known.signature_alg_id().as_ref() == algorithm && known.public_key_alg_id().as_ref() == issuer.key_algorithm
    });
    fit.any(|known| known.verify_signature(issuer.key, text, signature).is_ok())
}

/// Compares names regardless of string type, case and spaces (RFC 5280 section 7.1, simplified).
pub fn same_name(a: &[u8], b: &[u8]) -> bool {
    let plain = |name: &[u8]| {
        let text = names::rfc2253(name).unwrap_or_default().to_lowercase();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    a == b || { plain(a) == plain(b) && !plain(a).is_empty() }
}

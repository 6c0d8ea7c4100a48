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

/// Names longer than this (bytes of DER) are compared as they are only: peers choose theirs, and the comparable form
/// costs more than the bytes.
const LONGEST_NAME: usize = 4 << 10;

/// A name in the form in which names are compared: regardless of string type, case and spaces (RFC 5280 section 7.1,
/// simplified).
#[derive(Clone, Debug)]
pub struct Name {
    der: Box<[u8]>,
    /// Empty: it is no name, or too long.
    plain: Box<str>,
}

impl Name {
    pub fn new(der: &[u8]) -> Name {
        let text = if der.len() > LONGEST_NAME { None } else { names::rfc2253(der).ok() };
        let lower = text.unwrap_or_default().to_lowercase();
        Name { der: der.into(), plain: lower.split_whitespace().collect::<Vec<_>>().join(" ").into() }
    }

    /// Whether both name the same.
    pub fn is(&self, other: &Name) -> bool {
        self.der == other.der || !self.plain.is_empty() && self.plain == other.plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing;

    #[test]
    fn names_are_the_same_in_any_case_unless_they_are_long() {
        let name = |text: &str| {
            let made = testing::leaf(text, &[]);
            Name::new(Certificate::parse(&made.der).expect("a certificate").subject)
        };
        let long = "a".repeat(LONGEST_NAME);
        for (a, b, want) in [
            ("Some  CA", "some ca", true),
            ("Some CA", "other", false),
            (&long, &long, true),
            (&long, &long.to_uppercase(), false),
        ] {
            assert_eq!(name(a).is(&name(b)), want, "{a:.10} {b:.10}");
        }
    }
}

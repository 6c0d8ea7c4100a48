//! Revocation lists: parsed when the configuration is loaded, consulted when a chain is verified.

use super::der::{self, Malformed, Reader};
use super::fault::CertificateFault;
use super::signed::{Name, is_signed};
use super::x509::{self, Certificate};
use std::collections::HashSet;
use std::sync::OnceLock;

/// A CA's revocation list. Its signature is not checked here but by [`check`], against the issuer in the chain.
#[derive(Debug)]
pub struct Crl {
    issuer: Name,
    this_update: i64,
    next_update: Option<i64>,
    /// Serial numbers: the contents of their INTEGERs.
    revoked: HashSet<Box<[u8]>>,
    has_unknown_critical: bool,
    tbs: Box<[u8]>,
    algorithm: Box<[u8]>,
    signature: Box<[u8]>,
    /// The key (SubjectPublicKeyInfo) that was found to have signed it: a list of megabytes is not hashed for each
    /// handshake.
    signed_by: OnceLock<Box<[u8]>>,
}

impl PartialEq for Crl {
    fn eq(&self, other: &Crl) -> bool {
        self.tbs == other.tbs && self.algorithm == other.algorithm && self.signature == other.signature
    }
}

impl Crl {
    fn is_signed_by(&self, signer: &Certificate<'_>) -> bool {
        if self.signed_by.get().is_some_and(|key| **key == *signer.spki) {
            return true;
        }
        let signed = is_signed(&self.tbs, &self.algorithm, &self.signature, signer);
        if signed {
            let _ = self.signed_by.set(signer.spki.into());
        }
        signed
    }

    /// The signed part (tbsCertList), header included.
    pub fn content(&self) -> &[u8] {
        &self.tbs
    }

    /// From DER. Entries' own extensions are not looked at: a listed certificate is revoked (RFC 5280 §5).
    ///
    /// # Errors
    /// It is no revocation list.
    pub fn parse(bytes: &[u8]) -> Result<Crl, Malformed> {
        let mut outer = Reader::new(bytes).sequence()?;
        let tbs = outer.take(der::SEQUENCE)?;
        let algorithm = outer.take(der::SEQUENCE)?.content;
        let signature = outer.bits()?;
        let mut r = tbs.reader();
        r.optional(der::INTEGER)?;
        r.take(der::SEQUENCE)?;
        let issuer = r.take(der::SEQUENCE)?.whole;
        let this_update = der::time(r.any()?)?;
        let is_time = |tag| matches!(tag, Some(der::UTC_TIME | der::GENERALIZED_TIME));
        let next_update = if is_time(r.peek()) { Some(der::time(r.any()?)?) } else { None };
        let mut revoked = HashSet::new();
        if let Some(list) = r.optional(der::SEQUENCE)? {
            let mut entries = list.reader();
            while !entries.is_empty() {
                revoked.insert(entries.sequence()?.take(der::INTEGER)?.content.into());
            }
        }
        let list = match r.optional(0xa0)? {
            Some(value) => Some(value.reader().take(der::SEQUENCE)?.content),
            None => None,
        };
        let mut has_unknown_critical = false;
        for extension in x509::extensions(list) {
            has_unknown_critical |= extension?.critical;
        }
        Ok(Crl {
            issuer: Name::new(issuer),
            this_update,
            next_update,
            revoked,
            has_unknown_critical,
            tbs: tbs.whole.into(),
            algorithm: algorithm.into(),
            signature: signature.into(),
            signed_by: OnceLock::new(),
        })
    }
}

/// Whether a certificate is revoked. `issuer` is the next certificate of the chain; None at the chain's end, where the
/// certificate must have signed the list itself. `is_trusted`: the chain ends in a trusted root; of other chains, which
/// anybody can make, the list's signature is not checked, since they are refused anyway.
pub fn check(
    certificate: &Certificate<'_>,
    issuer: Option<&Certificate<'_>>,
    crls: &[Crl],
    is_trusted: bool,
    now: i64,
) -> Result<(), CertificateFault> {
    let issuer_name = Name::new(certificate.issuer);
    let of_issuer = crls.iter().filter(|crl| crl.issuer.is(&issuer_name));
    // If the issuer has several lists, the newest counts.
    let Some(crl) = of_issuer.max_by_key(|crl| crl.this_update) else { return Err(CertificateFault::CrlMissing) };
    let signer = issuer.unwrap_or(certificate);
    let mut verdict = Ok(());
    if signer.key_usage().is_ok_and(|usage| usage.is_some_and(|bits| bits & x509::CRL_SIGN == 0)) {
        verdict = Err(CertificateFault::CrlSignNotAllowed);
    }
    if crl.this_update > now {
        verdict = Err(CertificateFault::CrlNotYetValid);
    }
    if crl.next_update.is_some_and(|next| next < now) {
        verdict = Err(CertificateFault::CrlExpired);
    }
    if is_trusted && !crl.is_signed_by(signer) {
        verdict = Err(CertificateFault::CrlSignatureWrong);
    }
    if crl.has_unknown_critical {
        verdict = Err(CertificateFault::CrlUnknownCritical);
    }
    if crl.revoked.contains(certificate.serial) {
        verdict = Err(CertificateFault::Revoked);
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing;
    use rcgen::{CertificateRevocationListParams, KeyIdMethod, SerialNumber, date_time_ymd};

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn a_long_list_is_hashed_once_and_not_for_chains_that_anybody_can_make() {
        let (root, other) = (testing::ca("root"), testing::ca("root"));
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let made = params.signed_by(&root.issuer()).expect("a list");
        let lists = [Crl::parse(made.der()).expect("a list")];
        let leaf = testing::client("leaf", &root);
        let leaf = Certificate::parse(&leaf.der).expect("a certificate");
        let (root, other) = (Certificate::parse(&root.der), Certificate::parse(&other.der));
        let (root, other) = (root.expect("a certificate"), other.expect("a certificate"));
        // The name is the same, the key is not.
        assert_eq!(check(&leaf, Some(&other), &lists, false, NOW), Ok(()));
        assert_eq!(check(&leaf, Some(&other), &lists, true, NOW), Err(CertificateFault::CrlSignatureWrong));
        assert!(lists[0].signed_by.get().is_none());
        assert_eq!(check(&leaf, Some(&root), &lists, true, NOW), Ok(()));
        assert_eq!(lists[0].signed_by.get().map(|key| &**key), Some(root.spki));
        assert_eq!(check(&leaf, Some(&other), &lists, true, NOW), Err(CertificateFault::CrlSignatureWrong));
    }
}

//! Revocation lists: parsed when the configuration is loaded, consulted when a chain is verified.

use super::der::{self, Malformed, Reader};
use super::fault::CertificateFault;
use super::signed::{is_signed, same_name};
use super::x509::{self, Certificate};
use std::collections::HashSet;

/// A CA's revocation list. Its signature is not checked here but by [`check`], against the issuer in the chain.
#[derive(PartialEq, Eq, Debug)]
pub struct Crl {
    issuer: Box<[u8]>,
    this_update: i64,
    next_update: Option<i64>,
    /// Serial numbers: the contents of their INTEGERs.
    revoked: HashSet<Box<[u8]>>,
    has_unknown_critical: bool,
    tbs: Box<[u8]>,
    algorithm: Box<[u8]>,
    signature: Box<[u8]>,
}

impl Crl {
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
            issuer: issuer.into(),
            this_update,
            next_update,
            revoked,
            has_unknown_critical,
            tbs: tbs.whole.into(),
            algorithm: algorithm.into(),
            signature: signature.into(),
        })
    }
}

/// Whether a certificate is revoked. `issuer` is the next certificate of the chain; None at the chain's end, where the
/// certificate must have signed the list itself.
pub fn check(
    certificate: &Certificate<'_>,
    issuer: Option<&Certificate<'_>>,
    crls: &[Crl],
    now: i64,
) -> Result<(), CertificateFault> {
    let of_issuer = crls.iter().filter(|crl| same_name(&crl.issuer, certificate.issuer));
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
    if !is_signed(&crl.tbs, &crl.algorithm, &crl.signature, signer) {
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

//! Verifies a peer's certificates: the chain to a trusted root, validity dates, extensions, revocation lists. The rules
//! and error texts are OpenSSL's, since configurations and `$ssl_client_verify` depend on them. OpenSSL accepts version
//! 1 certificates, which webpki refuses; private CAs still issue them.
//!
//! As in nginx, verification does not stop at an error: the last one found is reported. Invariant: the work is bounded
//! by [`CHAIN`] certificates, [`SIGNATURES`] signatures and [`COMPARISONS`] comparisons of names, whatever the peer
//! sends: it is done in one step of the event loop, and a signature of P-521 takes about a millisecond.

use super::crl::Crl;
pub use super::fault::CertificateFault;
use super::signed::{Name, is_signed};
use super::x509::{self, AltName, Certificate};
use rustls::pki_types::CertificateDer;

/// Maximum number of certificates in a chain.
const CHAIN: usize = 12;
/// Maximum number of signatures checked while a chain is built, and for each certificate of the longest chain that
/// ssl_verify_depth allows.
const SIGNATURES: usize = 16;
const SIGNATURES_EACH: usize = 2;
/// Maximum number of comparisons of a certificate's name with a name constraint, for a chain.
const COMPARISONS: usize = 1 << 16;

/// The role in which a peer uses its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A client's: extendedKeyUsage, if there is one, must allow clientAuth.
    Client,
    /// A server's: extendedKeyUsage, if there is one, must allow serverAuth.
    Server,
}

/// Which certificates to trust, and how deep.
#[derive(Debug, Default)]
pub struct Trust {
    /// Trusted certificates, as they were loaded.
    roots: Vec<CertificateDer<'static>>,
    /// The subjects of `roots`.
    subjects: Vec<Name>,
    crls: Option<Vec<Crl>>,
    depth: u64,
}

/// A certificate that may have issued another.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    certificate: Certificate<'a>,
    subject: &'a Name,
}

impl Trust {
    /// `roots`: those that are not certificates are left out. `crls`: None if revocation is not checked; otherwise
    /// every certificate of a chain needs its issuer's list. `depth`: the maximum number of certificates between leaf
    /// and root, counted as OpenSSL does since 1.1.0.
    pub fn new(mut roots: Vec<CertificateDer<'static>>, crls: Option<Vec<Crl>>, depth: u64) -> Trust {
        roots.retain(|der| Certificate::parse(der).is_ok());
        let subjects = roots.iter().filter_map(|der| Certificate::parse(der).ok()).map(|c| Name::new(c.subject));
        Trust { subjects: subjects.collect(), roots, crls, depth }
    }

    pub fn roots(&self) -> &[CertificateDer<'static>] {
        &self.roots
    }

    pub fn crls(&self) -> Option<&[Crl]> {
        self.crls.as_deref()
    }

    /// Verifies a chain as the peer sent it, the leaf first. `now`: seconds since 1970.
    pub fn verify(&self, sent: &[CertificateDer<'_>], purpose: Purpose, now: i64) -> Result<(), CertificateFault> {
        let Some((leaf, others)) = sent.split_first() else { return Err(CertificateFault::LeafUnverifiable) };
        let leaf = Certificate::parse(leaf).map_err(|_| CertificateFault::SignatureWrong)?;
        let others: Vec<_> = others.iter().take(CHAIN).filter_map(|der| Certificate::parse(der).ok()).collect();
        let subjects: Vec<_> = others.iter().map(|certificate| Name::new(certificate.subject)).collect();
        let candidate = |(certificate, subject)| Candidate { certificate, subject };
        let others: Vec<_> = others.into_iter().zip(&subjects).map(candidate).collect();
        let (chain, found) = self.chain(leaf, &others);
        let mut verdict = found;
        let mut note = |result: Result<(), CertificateFault>| {
            if let Err(fault) = result {
                verdict = Err(fault);
            }
        };
        note(extensions(&chain, purpose));
        if let Some(crls) = &self.crls {
            for (at, certificate) in chain.iter().enumerate() {
                note(super::crl::check(certificate, chain.get(at + 1), crls, found.is_ok(), now));
            }
        }
        note(constraints(&chain));
        // OpenSSL checks signatures after extensions and revocation: for a leaf with an unknown issuer this error
        // overrides those. Only an error in the dates overrides it.
        if let ([_], Err(CertificateFault::LeafUnverifiable)) = (&chain[..], found) {
            note(found);
        }
        for certificate in chain.iter().rev() {
            if now < certificate.not_before {
                note(Err(CertificateFault::NotYetValid));
            } else if now > certificate.not_after {
                note(Err(CertificateFault::Expired));
            }
        }
        verdict
    }

    /// Builds a chain from the leaf towards a root: trusted issuers first, then those that the peer sent.
    fn chain<'a>(
        &'a self,
        leaf: Certificate<'a>,
        others: &[Candidate<'a>],
    ) -> (Vec<Certificate<'a>>, Result<(), CertificateFault>) {
        // A chain longer than this is not extended.
        let most = usize::try_from(self.depth).unwrap_or(CHAIN).saturating_add(1).min(CHAIN - 1);
        let mut chain = vec![leaf];
        let mut left = SIGNATURES.min(SIGNATURES_EACH * (most + 1));
        let mut trusted = false;
        loop {
            let last = chain[chain.len() - 1];
            if last.is_self_issued() && self.roots.iter().any(|root| **root == *last.der) {
                return (chain, Ok(()));
            }
            let own = last.is_self_issued() && is_signed_by(&last, &last, &mut left);
            let name = Name::new(last.issuer);
            let fits = |c: &Candidate<'a>| {
                c.subject.is(&name)
                    && has_key_of(&c.certificate, &last)
                    && !chain.iter().any(|known| known.der == c.certificate.der)
            };
            let mut next = None;
            if chain.len() <= most {
                let roots = self.roots.iter().zip(&self.subjects).filter_map(|(der, subject)| {
                    subject.is(&name).then(|| Certificate::parse(der).ok()).flatten().map(|c| (c, subject))
                });
                let roots = roots.map(|(certificate, subject)| Candidate { certificate, subject });
                next = roots.filter(fits).find(|c| is_signed_by(&last, &c.certificate, &mut left));
                trusted |= next.is_some();
                if next.is_none() && !own {
                    next = others.iter().copied().filter(fits).find(|c| is_signed_by(&last, &c.certificate, &mut left));
                }
            }
            let next = next.map(|candidate| candidate.certificate);
            let Some(next) = next else {
                let fault = match (own, chain.len()) {
                    (true, 1) => CertificateFault::SelfSigned,
                    (true, _) => CertificateFault::SelfSignedInChain,
                    (false, 1) => CertificateFault::LeafUnverifiable,
                    (false, _) if trusted => CertificateFault::IssuerMissing,
                    (false, _) => CertificateFault::LocalIssuerMissing,
                };
                return (chain, Err(fault));
            };
            chain.push(next);
        }
    }

    /// Whether both accept the same peers.
    pub fn is_same(&self, other: &Trust) -> bool {
        self.roots == other.roots && self.depth == other.depth && self.crls == other.crls
    }
}

/// Checks that a certificate is valid for a name.
pub fn check_host(leaf: &CertificateDer<'_>, host: &[u8]) -> Result<(), CertificateFault> {
    let leaf = Certificate::parse(leaf).map_err(|_| CertificateFault::SignatureWrong)?;
    if leaf.is_for(host) { Ok(()) } else { Err(CertificateFault::HostMismatch) }
}

/// Whether a certificate may have the key that signed another, by the identifiers of keys that both may hold (RFC 5280
/// sections 4.2.1.1 and 4.2.1.2), as in OpenSSL: without these, certificates of one name cost a signature each.
fn has_key_of(issuer: &Certificate<'_>, certificate: &Certificate<'_>) -> bool {
    match (issuer.key_id(), certificate.issuer_key_id()) {
        (Some(own), Some(wanted)) => own == wanted,
        _ => true,
    }
}

fn is_signed_by(certificate: &Certificate<'_>, issuer: &Certificate<'_>, left: &mut usize) -> bool {
    if *left == 0 {
        return false;
    }
    *left -= 1;
    is_signed(certificate.tbs, certificate.signature_algorithm, certificate.signature, issuer)
}

fn extensions(chain: &[Certificate<'_>], purpose: Purpose) -> Result<(), CertificateFault> {
    let known = [x509::KEY_USAGE, x509::SUBJECT_ALT_NAME, x509::BASIC_CONSTRAINTS, x509::NAME_CONSTRAINTS];
    let mut verdict = Ok(());
    let purpose = match purpose {
        Purpose::Client => x509::CLIENT_AUTH,
        Purpose::Server => x509::SERVER_AUTH,
    };
    let malformed = |_| CertificateFault::UnknownCritical;
    for (at, certificate) in chain.iter().enumerate() {
        for extension in certificate.extensions() {
            let extension = extension.map_err(malformed)?;
            if extension.critical && !known.contains(&extension.id) && extension.id != x509::EXT_KEY_USAGE {
                verdict = Err(CertificateFault::UnknownCritical);
            }
        }
        let usage = certificate.key_usage().map_err(malformed)?;
        if at == 0 {
            let signs = usage.is_none_or(|bits| bits & (x509::DIGITAL_SIGNATURE | x509::KEY_AGREEMENT | 0x20) != 0);
            if !signs || !certificate.serves(purpose).map_err(malformed)? {
                verdict = Err(CertificateFault::WrongPurpose);
            }
            continue;
        }
        let basic = certificate.basic_constraints().map_err(malformed)?;
        let is_ca = match basic {
            Some((ca, _)) => ca,
            // Before version 3 no certificate could state that it is a CA's; a self-signed root is trusted anyway.
            None => certificate.version < 3 && certificate.is_self_issued(),
        };
        if !is_ca || usage.is_some_and(|bits| bits & x509::KEY_CERT_SIGN == 0) {
            verdict = Err(CertificateFault::InvalidCa);
        } else if !certificate.serves(purpose).map_err(malformed)? {
            verdict = Err(CertificateFault::WrongPurpose);
        }
        // The path length does not count self-issued certificates.
        let between = chain[1..at].iter().filter(|c| !c.is_self_issued()).count() as u64;
        if let Some((_, Some(length))) = basic
            && between > length
        {
            verdict = Err(CertificateFault::PathLength);
        }
    }
    verdict
}

/// Checks the name constraints of the CAs against the names in the certificates that they issued.
fn constraints(chain: &[Certificate<'_>]) -> Result<(), CertificateFault> {
    let mut verdict = Ok(());
    let mut left = COMPARISONS;
    for (at, ca) in chain.iter().enumerate().skip(1) {
        let Ok(Some(extension)) = ca.extension(x509::NAME_CONSTRAINTS) else { continue };
        for (below, certificate) in chain[..at].iter().enumerate() {
            if below > 0 && certificate.is_self_issued() {
                continue;
            }
            let mut names = certificate.alt_names().map_err(|_| CertificateFault::ConstraintUnknown)?;
            if !names.iter().any(|name| matches!(name, AltName::Dns(_)))
                && below == 0
                && let Some(name) = certificate.common_name().filter(|name| name.contains(&b'.'))
            {
                names.push(AltName::Dns(name));
            }
            names.push(AltName::Directory(certificate.subject));
            if let Err(fault) = super::constraints::check(extension.value, &names, &mut left) {
                verdict = Err(fault);
            }
        }
    }
    verdict
}

#[cfg(test)]
mod tests;

//! What can be wrong with a peer's certificates: OpenSSL's errors with their numbers and texts, since configurations
//! compare `$ssl_client_verify` with them. `verify` finds them.

/// OpenSSL's verify errors, as far as they can occur here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    IssuerMissing = 2,
    CrlMissing = 3,
    SignatureWrong = 7,
    CrlSignatureWrong = 8,
    NotYetValid = 9,
    Expired = 10,
    CrlNotYetValid = 11,
    CrlExpired = 12,
    SelfSigned = 18,
    SelfSignedInChain = 19,
    LocalIssuerMissing = 20,
    LeafUnverifiable = 21,
    Revoked = 23,
    PathLength = 25,
    WrongPurpose = 26,
    UnknownCritical = 34,
    CrlSignNotAllowed = 35,
    CrlUnknownCritical = 36,
    NotPermitted = 47,
    Excluded = 48,
    ConstraintUnknown = 51,
    HostMismatch = 62,
    InvalidCa = 79,
}

impl CertificateFault {
    /// OpenSSL's `X509_V_ERR_…`.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// OpenSSL's text, as behind `FAILED:` in `$ssl_client_verify`.
    pub fn text(self) -> &'static str {
        match self {
            CertificateFault::IssuerMissing => "unable to get issuer certificate",
            CertificateFault::CrlMissing => "unable to get certificate CRL",
            CertificateFault::SignatureWrong => "certificate signature failure",
            CertificateFault::CrlSignatureWrong => "CRL signature failure",
            CertificateFault::NotYetValid => "certificate is not yet valid",
            CertificateFault::Expired => "certificate has expired",
            CertificateFault::CrlNotYetValid => "CRL is not yet valid",
            CertificateFault::CrlExpired => "CRL has expired",
            CertificateFault::SelfSigned => "self-signed certificate",
            CertificateFault::SelfSignedInChain => "self-signed certificate in certificate chain",
            CertificateFault::LocalIssuerMissing => "unable to get local issuer certificate",
            CertificateFault::LeafUnverifiable => "unable to verify the first certificate",
            CertificateFault::Revoked => "certificate revoked",
            CertificateFault::PathLength => "path length constraint exceeded",
            CertificateFault::WrongPurpose => "unsuitable certificate purpose",
            CertificateFault::UnknownCritical => "unhandled critical extension",
            CertificateFault::CrlSignNotAllowed => "key usage does not include CRL signing",
            CertificateFault::CrlUnknownCritical => "unhandled critical CRL extension",
            CertificateFault::NotPermitted => "permitted subtree violation",
            CertificateFault::Excluded => "excluded subtree violation",
            CertificateFault::ConstraintUnknown => "unsupported name constraint type",
            CertificateFault::HostMismatch => "hostname mismatch",
            CertificateFault::InvalidCa => "invalid CA certificate",
        }
    }

    /// An error that `ssl_verify_client optional_no_ca` ignores: the issuer is not known.
    pub fn is_unknown_issuer(self) -> bool {
        use CertificateFault::*;
        matches!(self, SelfSigned | SelfSignedInChain | LocalIssuerMissing | LeafUnverifiable)
    }
}

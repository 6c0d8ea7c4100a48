//! What can be wrong with a peer's certificates: OpenSSL's errors with their numbers and texts, since configurations
//! compare `$ssl_client_verify` with them. `verify` finds them.

/// OpenSSL's verify errors, as far as they can occur here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
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

impl Fault {
    pub fn number(self) -> u32 {
        self as u32
    }

    pub fn text(self) -> &'static str {
        match self {
            Fault::IssuerMissing => "unable to get issuer certificate",
            Fault::CrlMissing => "unable to get certificate CRL",
            Fault::SignatureWrong => "certificate signature failure",
            Fault::CrlSignatureWrong => "CRL signature failure",
            Fault::NotYetValid => "certificate is not yet valid",
            Fault::Expired => "certificate has expired",
            Fault::CrlNotYetValid => "CRL is not yet valid",
            Fault::CrlExpired => "CRL has expired",
            Fault::SelfSigned => "self-signed certificate",
            Fault::SelfSignedInChain => "self-signed certificate in certificate chain",
            Fault::LocalIssuerMissing => "unable to get local issuer certificate",
            Fault::LeafUnverifiable => "unable to verify the first certificate",
            Fault::Revoked => "certificate revoked",
            Fault::PathLength => "path length constraint exceeded",
            Fault::WrongPurpose => "unsuitable certificate purpose",
            Fault::UnknownCritical => "unhandled critical extension",
            Fault::CrlSignNotAllowed => "key usage does not include CRL signing",
            Fault::CrlUnknownCritical => "unhandled critical CRL extension",
            Fault::NotPermitted => "permitted subtree violation",
            Fault::Excluded => "excluded subtree violation",
            Fault::ConstraintUnknown => "unsupported name constraint type",
            Fault::HostMismatch => "hostname mismatch",
            Fault::InvalidCa => "invalid CA certificate",
        }
    }

    /// An error that `ssl_verify_client optional_no_ca` ignores: the issuer is not known.
    pub fn is_unknown_issuer(self) -> bool {
        use Fault::*;
        matches!(self, SelfSigned | SelfSignedInChain | LocalIssuerMissing | LeafUnverifiable)
    }
}

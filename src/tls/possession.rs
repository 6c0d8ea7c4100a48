//! Whether a peer has the key of the certificate it sent: the only check during the handshake. Whether to trust the
//! certificate is decided afterwards ([`super::verify`]).

use super::x509::Certificate;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::{DigitallySignedStruct, Error, PeerIncompatible, SignatureScheme};

/// The methods that rustls' verifiers of servers and of clients have in common, for a type with a `provider`.
macro_rules! proves_possession {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &rustls::pki_types::CertificateDer<'_>,
            dss: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            $crate::tls::possession::is_holder(
                &self.provider,
                message,
                cert,
                dss,
                $crate::tls::possession::Version::Tls12,
            )
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &rustls::pki_types::CertificateDer<'_>,
            dss: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            $crate::tls::possession::is_holder(
                &self.provider,
                message,
                cert,
                dss,
                $crate::tls::possession::Version::Tls13,
            )
        }

        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            self.provider.signature_verification_algorithms.supported_schemes()
        }
    };
}
pub(super) use proves_possession;

/// The version whose rules a signature follows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Tls12,
    Tls13,
}

/// Whether the peer has the key of its certificate. rustls' own check refuses certificates of version 1.
pub(super) fn is_holder(
    provider: &CryptoProvider,
    message: &[u8],
    cert: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
    version: Version,
) -> Result<HandshakeSignatureValid, Error> {
    let bad = || Error::InvalidCertificate(rustls::CertificateError::BadSignature);
    let cert =
        Certificate::parse(cert).map_err(|_| Error::InvalidCertificate(rustls::CertificateError::BadEncoding))?;
    let pkcs1 = matches!(
        dss.scheme,
        SignatureScheme::RSA_PKCS1_SHA256 | SignatureScheme::RSA_PKCS1_SHA384 | SignatureScheme::RSA_PKCS1_SHA512
    );
    if version == Version::Tls13 && pkcs1 {
        return Err(PeerIncompatible::NoSignatureSchemesInCommon.into());
    }
    let mapping = provider.signature_verification_algorithms.mapping;
    let (_, known) = mapping.iter().find(|(scheme, _)| *scheme == dss.scheme).ok_or_else(bad)?;
    // TLS 1.3 ties the curve to the scheme, so only the first algorithm in the list applies.
    let most = if version == Version::Tls13 { 1 } else { known.len() };
    let fits = known[..most].iter().filter(|known| known.public_key_alg_id().as_ref() == cert.key_algorithm);
    let mut fits = fits.filter(|known| known.verify_signature(cert.key, message, dss.signature()).is_ok());
    if fits.next().is_some() { Ok(HandshakeSignatureValid::assertion()) } else { Err(bad()) }
}

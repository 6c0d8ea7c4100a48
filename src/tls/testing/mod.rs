//! Certificates for tests, made when they are needed.

use super::pem;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;

/// A certificate with its key, in all forms that tests need.
pub struct Made {
    pub der: Vec<u8>,
    pub pem: String,
    pub key_pem: String,
    pub key: KeyPair,
    pub params: CertificateParams,
}

impl Made {
    /// As rustls takes it.
    pub fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from(self.der.clone())
    }

    /// To sign others with.
    pub fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

/// Of an end entity with this common name and these names.
pub fn params(name: &str, alternatives: &[&str]) -> CertificateParams {
    let names: Vec<String> = alternatives.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Of an authority, which may sign certificates and revocation lists.
pub fn ca_params(name: &str) -> CertificateParams {
    let mut params = params(name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A certificate of these parameters, signed by `issuer` or by itself.
pub fn make(params: CertificateParams, issuer: Option<&Made>) -> Made {
    let key = KeyPair::generate().expect("a key");
    let made = match issuer {
        Some(issuer) => params.signed_by(&key, &issuer.issuer()),
        None => params.self_signed(&key),
    };
    let der = made.expect("a certificate").der().to_vec();
    Made {
        pem: pem::write("CERTIFICATE", &der),
        der,
        key_pem: pem::write("PRIVATE KEY", &key.serialize_der()),
        key,
        params,
    }
}

/// A certificate signed by itself.
pub fn leaf(name: &str, alternatives: &[&str]) -> Made {
    make(params(name, alternatives), None)
}

/// A root.
pub fn ca(name: &str) -> Made {
    make(ca_params(name), None)
}

/// A client's certificate, signed by `issuer`.
pub fn client(name: &str, issuer: &Made) -> Made {
    let mut params = params(name, &[]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    make(params, Some(issuer))
}

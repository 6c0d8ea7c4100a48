//! Certificates for tests, made when they are needed.

use super::pem;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;

pub struct Made {
    pub der: Vec<u8>,
    pub pem: String,
    pub key_pem: String,
    pub key: KeyPair,
    pub params: CertificateParams,
}

impl Made {
    pub fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from(self.der.clone())
    }

    pub fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

pub fn params(name: &str, alternatives: &[&str]) -> CertificateParams {
    let names: Vec<String> = alternatives.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

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

pub fn ca(name: &str) -> Made {
    make(ca_params(name), None)
}

pub fn client(name: &str, issuer: &Made) -> Made {
    let mut params = params(name, &[]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    make(params, Some(issuer))
}

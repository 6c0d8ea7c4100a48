//! Account keys and request signatures: JWS in the flattened form that RFC 8555 §6.2 requires (RFC 7515, 7517, 7638).
//!
//! What bounds it: each request to an authority costs one signature, for which all clients wait. With RSA of
//! [`LONGEST_RSA`] bits that takes 1.2 ms, some 5 ms on processors without wide multiplications; with 7680 bits it
//! would take 42 ms. So larger keys are refused, as Let's Encrypt does. Making a key takes far longer:
//! `services/acme/new_keys.rs` has a helper process for it.

use crate::http::escape;
use crate::tls::der::{self, Reader};
use crate::tls::pem;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair, RsaKeyPair};
use aws_lc_rs::{digest, hmac};
use serde_json::{Value, json};

/// Bits of the largest RSA key of an account.
const LONGEST_RSA: usize = 4096;

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

/// An account's key.
pub struct AccountKey {
    pair: Pair,
    /// `ES256` …
    algorithm: &'static str,
    jwk: Value,
}

impl std::fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AccountKey({})", self.algorithm)
    }
}

/// A curve: its algorithm, JOSE's names for algorithm and curve, bytes per coordinate.
type Curve = (&'static EcdsaSigningAlgorithm, &'static str, &'static str, usize);
const CURVES: [Curve; 3] = [
    (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, "ES256", "P-256", 32),
    (&signature::ECDSA_P384_SHA384_FIXED_SIGNING, "ES384", "P-384", 48),
    (&signature::ECDSA_P521_SHA512_FIXED_SIGNING, "ES512", "P-521", 66),
];

impl AccountKey {
    /// The first private key of a text.
    ///
    /// # Errors
    /// No private key of a supported type in the text.
    pub fn from_pem(text: &[u8]) -> Result<AccountKey, String> {
        let sections = pem::parse(text)?;
        let section = sections.iter().find(|section| section.label.ends_with("PRIVATE KEY"));
        let section = section.ok_or("no private key in the file (no \"-----BEGIN PRIVATE KEY-----\")")?;
        for (algorithm, name, curve, size) in CURVES {
            let Ok(pair) = EcdsaKeyPair::from_private_key_der(algorithm, &section.der)
                .or_else(|_| EcdsaKeyPair::from_pkcs8(algorithm, &section.der))
            else {
                continue;
            };
            let point = pair.public_key().as_ref().to_vec();
            let Some((x, y)) = point.get(1..).and_then(|both| both.split_at_checked(size)) else { continue };
            let jwk = json!({ "crv": curve, "kty": "EC", "x": escape::base64url(x), "y": escape::base64url(y) });
            return Ok(AccountKey { pair: Pair::Ecdsa(pair), algorithm: name, jwk });
        }
        let rsa = RsaKeyPair::from_pkcs8(&section.der).or_else(|_| RsaKeyPair::from_der(&section.der));
        let rsa = rsa.map_err(|_| "the key is neither ECDSA (P-256, P-384, P-521) nor RSA, or damaged")?;
        if rsa.public_modulus_len() > LONGEST_RSA / 8 {
            return Err(format!("an RSA key of an account may have {LONGEST_RSA} bits at most"));
        }
        let (n, e) = rsa_numbers(rsa.public_key().as_ref()).ok_or("the key is damaged")?;
        let jwk = json!({ "e": escape::base64url(&e), "kty": "RSA", "n": escape::base64url(&n) });
        Ok(AccountKey { pair: Pair::Rsa(rsa), algorithm: "RS256", jwk })
    }

    /// The key's thumbprint (RFC 7638): the digest of the public key, its members in lexical order.
    pub fn thumbprint(&self) -> String {
        // serde_json sorts the members of an object, as RFC 7638 requires.
        escape::base64url(digest::digest(&digest::SHA256, self.jwk.to_string().as_bytes()).as_ref())
    }

    /// The key authorization of a token (RFC 8555 §8.1).
    pub fn authorization(&self, token: &str) -> String {
        format!("{token}.{}", self.thumbprint())
    }

    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, String> {
        let random = SystemRandom::new();
        let failed = |_| "a request cannot be signed".to_owned();
        match &self.pair {
            Pair::Ecdsa(pair) => Ok(pair.sign(&random, text).map_err(failed)?.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &random, text, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }

    /// The body of a signed request to a URL; an empty `payload` makes it a POST-as-GET. `kid`: the account's URL;
    /// without one, the public key itself is sent.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn request(&self, url: &str, nonce: &str, kid: Option<&str>, payload: &str) -> Result<Vec<u8>, String> {
        let mut protected = json!({ "alg": self.algorithm, "nonce": nonce, "url": url });
        match kid {
            Some(kid) => protected["kid"] = kid.into(),
            None => protected["jwk"] = self.jwk.clone(),
        }
        let (protected, payload) =
            (escape::base64url(protected.to_string().as_bytes()), escape::base64url(payload.as_bytes()));
        let signature = self.sign(format!("{protected}.{payload}").as_bytes())?;
        let body = json!({ "protected": protected, "payload": payload, "signature": escape::base64url(&signature) });
        Ok(body.to_string().into_bytes())
    }

    /// Binds this key to an account that exists outside ACME (externalAccountBinding, RFC 8555 §7.3.4).
    pub fn binding(&self, url: &str, kid: &str, mac: &[u8]) -> Value {
        let protected = json!({ "alg": "HS256", "kid": kid, "url": url });
        let protected = escape::base64url(protected.to_string().as_bytes());
        let payload = escape::base64url(self.jwk.to_string().as_bytes());
        let key = hmac::Key::new(hmac::HMAC_SHA256, mac);
        let tag = hmac::sign(&key, format!("{protected}.{payload}").as_bytes());
        json!({ "protected": protected, "payload": payload, "signature": escape::base64url(tag.as_ref()) })
    }
}

/// Modulus and exponent of an RSAPublicKey.
fn rsa_numbers(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut numbers = Reader::new(der).sequence().ok()?;
    let mut next = || {
        let content = numbers.take(der::INTEGER).ok()?.content;
        Some(content.strip_prefix(&[0]).unwrap_or(content).to_vec())
    };
    Some((next()?, next()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::issue::{KeyKind, new_key};
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    #[test]
    fn a_request_is_signed_by_the_key_that_it_names() {
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Rsa(2048)] {
            let key = AccountKey::from_pem(new_key(kind).expect("a key").as_bytes()).expect("a key");
            let body = key.request("https://ca.test/new", "n0", None, "{}").expect("signed");
            let body: Value = serde_json::from_slice(&body).expect("JSON");
            let part = |name: &str| body[name].as_str().expect("text").to_owned();
            let head: Value =
                serde_json::from_slice(&escape::from_base64url(part("protected").as_bytes()).expect("bytes"))
                    .expect("JSON");
            assert_eq!((head["nonce"].as_str(), head["url"].as_str()), (Some("n0"), Some("https://ca.test/new")));
            assert!(head["jwk"]["kty"].is_string() && head.get("kid").is_none());
            assert_eq!(escape::from_base64url(part("payload").as_bytes()).as_deref(), Some(&b"{}"[..]));
            let text = format!("{}.{}", part("protected"), part("payload"));
            let signature = escape::from_base64url(part("signature").as_bytes()).expect("bytes");
            let public = match &key.pair {
                Pair::Ecdsa(pair) => pair.public_key().as_ref().to_vec(),
                Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            };
            match kind {
                KeyKind::P256 => {
                    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public);
                    assert!(public.verify(text.as_bytes(), &signature).is_ok());
                }
                KeyKind::Rsa(_) => {
                    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public);
                    assert!(public.verify(text.as_bytes(), &signature).is_ok());
                }
                _ => {}
            }
            let known = key.request("https://ca.test/new", "n0", Some("https://ca.test/acct/1"), "").expect("signed");
            let known: Value = serde_json::from_slice(&known).expect("JSON");
            assert_eq!(known["payload"].as_str(), Some(""), "one that only reads");
        }
        assert!(AccountKey::from_pem(b"nothing").is_err());
    }

    /// Each signature held up all clients for tens of milliseconds.
    #[test]
    fn an_rsa_key_that_signs_slowly_is_refused() {
        let refused = AccountKey::from_pem(include_bytes!("testing/rsa4608.key")).expect_err("4608 bits");
        assert!(refused.contains("4096 bits at most"), "{refused}");
    }

    #[test]
    fn a_thumbprint_is_that_of_rfc_7638() {
        let jwk = json!({ "kty": "RSA", "e": "AQAB", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw" });
        let digest = digest::digest(&digest::SHA256, jwk.to_string().as_bytes());
        assert_eq!(escape::base64url(digest.as_ref()), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }
}

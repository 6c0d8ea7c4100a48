//! Private keys: from PEM to a signing key. PKCS#8, PKCS#1 and SEC1, and encrypted ones in both of OpenSSL's formats.

use super::der::{self, Malformed, Reader};
use super::pem::{self, Section};
use aws_lc_rs::cipher::{self, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::pbkdf2;
use md5::{Digest, Md5};
use rustls::crypto::aws_lc_rs::sign;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use rustls::sign::SigningKey;
use std::num::NonZeroU32;
use std::sync::Arc;

/// The first private key in a PEM text. If it is encrypted, `passwords` are tried in order.
pub fn load(text: &[u8], passwords: &[Vec<u8>]) -> Result<Arc<dyn SigningKey>, String> {
    let der = der(text, passwords)?;
    sign::any_supported_type(&der).map_err(|_| unusable(&der))
}

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];

/// Why a key cannot be used to sign.
fn unusable(key: &PrivateKeyDer<'_>) -> String {
    let reason = || match key {
        PrivateKeyDer::Pkcs1(key) => of_rsa(key.secret_pkcs1_der()),
        PrivateKeyDer::Sec1(_) => Ok(Some(OTHER_CURVE.to_owned())),
        PrivateKeyDer::Pkcs8(key) => {
            let mut parts = Reader::new(key.secret_pkcs8_der()).sequence()?;
            parts.number()?;
            match parts.sequence()?.take(der::OID)?.content {
                RSA => of_rsa(parts.take(der::OCTET_STRING)?.content),
                RSA_PSS => Ok(Some(PSS_ONLY.to_owned())),
                EC => Ok(Some(OTHER_CURVE.to_owned())),
                _ => Ok(Some("the key is not of RSA, ECDSA (P-256, P-384, P-521) or Ed25519".to_owned())),
            }
        }
        _ => Ok(None),
    };
    let reason: Result<Option<String>, Malformed> = reason();
    reason.ok().flatten().unwrap_or_else(|| "the key is of a kind that is not supported, or damaged".to_owned())
}

/// An RSA key can normally sign with PSS too; this kind is restricted to PSS, which the library does not support.
const PSS_ONLY: &str = "the key is for RSA-PSS only (id-RSASSA-PSS), which is not supported: \
    `openssl genpkey -algorithm RSA` makes one of RSA";
const OTHER_CURVE: &str = "the key is damaged, or its curve is none of P-256, P-384 and P-521";

/// What is wrong with the size of a PKCS#1 key, if anything.
fn of_rsa(bytes: &[u8]) -> Result<Option<String>, Malformed> {
    let mut parts = Reader::new(bytes).sequence()?;
    parts.number()?;
    let modulus = parts.take(der::INTEGER)?.content;
    let bits = modulus
        .iter()
        .position(|byte| *byte != 0)
        .map_or(0, |at| (modulus.len() - at) * 8 - usize::try_from(modulus[at].leading_zeros()).unwrap_or(0));
    Ok((!(2048..=8192).contains(&bits))
        .then(|| format!("a key of RSA must have 2048 to 8192 bits, and this has {bits}")))
}

fn der(text: &[u8], passwords: &[Vec<u8>]) -> Result<PrivateKeyDer<'static>, String> {
    let sections = pem::parse(text)?;
    let Some(section) = sections.iter().find(|section| section.label.ends_with("PRIVATE KEY")) else {
        let instead = match sections.first() {
            Some(section) => format!(", but a section \"{}\"", section.label),
            None => pem::instead(text).to_owned(),
        };
        return Err(format!("no private key in the file (no \"-----BEGIN PRIVATE KEY-----\"){instead}"));
    };
    if section.header("Proc-Type").is_some_and(|value| value.contains("ENCRYPTED")) {
        let plain = with_passwords(passwords, |password| traditional(section, password))?;
        return Ok(named(&section.label, plain));
    }
    if section.label == "ENCRYPTED PRIVATE KEY" {
        let plain = with_passwords(passwords, |password| pkcs8(&section.der, password))?;
        return Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(plain)));
    }
    Ok(named(&section.label, section.der.clone()))
}

fn named(label: &str, der: Vec<u8>) -> PrivateKeyDer<'static> {
    match label {
        "RSA PRIVATE KEY" => PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(der)),
        "EC PRIVATE KEY" => PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(der)),
        _ => PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der)),
    }
}

/// Why a key could not be decrypted.
enum Refusal {
    WrongPassword,
    Unsupported(String),
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Refusal {
        Refusal::Unsupported("the encrypted key is damaged".into())
    }
}

fn with_passwords(
    passwords: &[Vec<u8>],
    mut decrypt: impl FnMut(&[u8]) -> Result<Vec<u8>, Refusal>,
) -> Result<Vec<u8>, String> {
    if passwords.is_empty() {
        return Err("the key is encrypted, and no ssl_password_file names its password".into());
    }
    for password in passwords {
        match decrypt(password) {
            Ok(plain) => return Ok(plain),
            Err(Refusal::WrongPassword) => {}
            Err(Refusal::Unsupported(why)) => return Err(why),
        }
    }
    Err("no password of ssl_password_file opens the key (wrong password)".into())
}

const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13];
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12];
const HMAC: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2];
const AES: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1];
/// Higher iteration counts are a mistake, or an attack on the process that loads the file.
const MAX_ITERATIONS: u64 = 10_000_000;

/// PKCS#8's EncryptedPrivateKeyInfo with PBES2: PBKDF2 and AES in CBC mode.
fn pkcs8(bytes: &[u8], password: &[u8]) -> Result<Vec<u8>, Refusal> {
    let unsupported = |what: &str| {
        Refusal::Unsupported(format!(
            "the key is encrypted with {what}, which is not supported; convert it with \"openssl pkcs8 -topk8 -v2 aes-256-cbc\""
        ))
    };
    let mut outer = Reader::new(bytes).sequence()?;
    let mut algorithm = outer.sequence()?;
    let sealed = outer.take(der::OCTET_STRING)?.content;
    if algorithm.take(der::OID)?.content != PBES2 {
        return Err(unsupported("an old scheme (PKCS#5 v1.5 or PKCS#12)"));
    }
    let mut parameters = algorithm.sequence()?;
    let (mut derivation, mut scheme) = (parameters.sequence()?, parameters.sequence()?);
    if derivation.take(der::OID)?.content != PBKDF2 {
        return Err(unsupported("scrypt"));
    }
    let mut kdf = derivation.sequence()?;
    let salt = kdf.take(der::OCTET_STRING)?.content;
    let rounds = kdf.number()?;
    kdf.optional(der::INTEGER)?;
    let hash = match kdf.optional(der::SEQUENCE)? {
        None => pbkdf2::PBKDF2_HMAC_SHA1,
        Some(value) => match value.reader().take(der::OID)?.content.strip_prefix(HMAC) {
            Some([7]) => pbkdf2::PBKDF2_HMAC_SHA1,
            Some([9]) => pbkdf2::PBKDF2_HMAC_SHA256,
            Some([10]) => pbkdf2::PBKDF2_HMAC_SHA384,
            Some([11]) => pbkdf2::PBKDF2_HMAC_SHA512,
            _ => return Err(unsupported("another hash than SHA-1 or SHA-2")),
        },
    };
    let cipher = match scheme.take(der::OID)?.content.strip_prefix(AES) {
        Some([2]) => &cipher::AES_128,
        Some([22]) => &cipher::AES_192,
        Some([42]) => &cipher::AES_256,
        _ => return Err(unsupported("another cipher than AES-CBC")),
    };
    let iv = scheme.take(der::OCTET_STRING)?.content;
    let rounds =
        u32::try_from(rounds).ok().filter(|rounds| u64::from(*rounds) <= MAX_ITERATIONS).and_then(NonZeroU32::new);
    let rounds = rounds.ok_or(Malformed)?;
    let mut key = vec![0; key_length(cipher)];
    pbkdf2::derive(hash, rounds, salt, password, &mut key);
    let plain = cbc(cipher, &key, iv, sealed)?;
    // By chance, one wrong password in 256 leaves valid padding: so check that the result is a DER SEQUENCE.
    Reader::new(&plain).sequence().map_err(|_| Refusal::WrongPassword)?;
    Ok(plain)
}

/// OpenSSL's own format: `DEK-Info` names the cipher and the salt, and the key is derived by MD5.
fn traditional(section: &Section, password: &[u8]) -> Result<Vec<u8>, Refusal> {
    let info = section.header("DEK-Info").unwrap_or_default();
    let (name, iv) = info.split_once(',').unwrap_or((info, ""));
    let cipher = match name {
        "AES-128-CBC" => &cipher::AES_128,
        "AES-192-CBC" => &cipher::AES_192,
        "AES-256-CBC" => &cipher::AES_256,
        other => {
            let text = format!(
                "the key is encrypted with \"{other}\", which is not supported; convert it with \"openssl pkcs8 -topk8 -v2 aes-256-cbc\""
            );
            return Err(Refusal::Unsupported(text));
        }
    };
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pairs = iv.trim().as_bytes().chunks(2);
    let iv: Option<Vec<u8>> = pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect();
    let iv = iv.filter(|iv| iv.len() == 16).ok_or(Malformed)?;
    let mut key: Vec<u8> = Vec::new();
    let mut last = Vec::new();
    while key.len() < key_length(cipher) {
        last = Md5::new().chain_update(&last).chain_update(password).chain_update(&iv[..8]).finalize().to_vec();
        key.extend_from_slice(&last);
    }
    key.truncate(key_length(cipher));
    let plain = cbc(cipher, &key, &iv, &section.der)?;
    Reader::new(&plain).sequence().map_err(|_| Refusal::WrongPassword)?;
    Ok(plain)
}

fn key_length(cipher: &'static cipher::Algorithm) -> usize {
    if cipher == &cipher::AES_128 {
        16
    } else if cipher == &cipher::AES_192 {
        24
    } else {
        32
    }
}

fn cbc(cipher: &'static cipher::Algorithm, key: &[u8], iv: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Refusal> {
    let iv = DecryptionContext::Iv128(iv.try_into().map_err(|_| Malformed)?);
    let key = UnboundCipherKey::new(cipher, key).and_then(PaddedBlockDecryptingKey::cbc_pkcs7);
    let key = key.map_err(|_| Malformed)?;
    let mut bytes = sealed.to_vec();
    let plain = key.decrypt(&mut bytes, iv).map_err(|_| Refusal::WrongPassword)?;
    Ok(plain.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing;

    #[test]
    fn a_key_is_found_among_other_sections() {
        let made = testing::leaf("example.org", &["example.org"]);
        let text = format!("{}{}", made.pem, made.key_pem);
        assert!(load(text.as_bytes(), &[]).is_ok());
        let why = load(made.pem.as_bytes(), &[]).expect_err("no key");
        assert!(why.contains("no private key"), "{why}");
    }

    #[test]
    fn a_key_of_a_kind_that_is_not_supported_is_named() {
        // Only the algorithm's OID matters: an unusable key is recognised without parsing the key itself.
        for (name, algorithm, want) in [
            ("RSA-PSS", RSA_PSS, "the key is for RSA-PSS only"),
            ("Ed448", &[0x2b, 0x65, 0x71][..], "not of RSA"),
            ("another curve", EC, "its curve is none of"),
        ] {
            let length = u8::try_from(algorithm.len()).expect("short");
            let mut body = vec![2, 1, 0, 0x30, length + 2, 6, length];
            body.extend(algorithm);
            body.extend([4, 2, 0x30, 0]);
            let mut der = vec![0x30, u8::try_from(body.len()).expect("short")];
            der.extend(body);
            let why = load(pem::write("PRIVATE KEY", &der).as_bytes(), &[]).expect_err(name);
            assert!(why.contains(want), "{name}: {why}");
        }
    }

    /// Made with `openssl ecparam -name prime256v1 -genkey` and `openssl pkcs8 -topk8 -v2 aes-128-cbc`, password
    /// "pass".
    const ENCRYPTED: &str = include_str!("testing/encrypted.key");
    /// The same with `openssl ec -aes256`.
    const TRADITIONAL: &str = include_str!("testing/traditional.key");
    /// The same with `-scrypt`.
    const SCRYPT: &str = include_str!("testing/scrypt.key");

    #[test]
    fn encrypted_keys_open_with_their_password_only() {
        for (name, text) in [("PKCS#8", ENCRYPTED), ("traditional", TRADITIONAL)] {
            let words = [b"wrong".to_vec(), b"pass".to_vec()];
            assert!(load(text.as_bytes(), &words).is_ok(), "{name}");
            let why = load(text.as_bytes(), &words[..1]).expect_err(name);
            assert!(why.contains("wrong password"), "{name}: {why}");
            let why = load(text.as_bytes(), &[]).expect_err(name);
            assert!(why.contains("ssl_password_file"), "{name}: {why}");
        }
        let why = load(SCRYPT.as_bytes(), &[b"pass".to_vec()]).expect_err("scrypt");
        assert!(why.contains("scrypt"), "{why}");
    }
}

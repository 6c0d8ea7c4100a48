//! Whether a password is the one that a line of a password file stores. Pure. There is one file for each format; this
//! one knows their names.
//!
//! Invariant: the cost of a hash is bounded, whatever the line says and the client sends.

mod bcrypt;
mod crypt64;
mod des;
mod md5;
mod sha;
mod yescrypt;

use crate::http::escape;
use crate::http::signed_link::same;
use sha1::{Digest, Sha1};

/// Longest password in bytes that crypt(3) takes (libxcrypt's limit).
const LONGEST: usize = 512;

/// `stored`: crypt(3)'s forms (DES, `$1$`, `$5$`, `$6$`, bcrypt, yescrypt), `$apr1$`, `{SHA}`, `{SSHA}` or `{PLAIN}`.
/// Any other form matches nothing.
pub fn matches(stored: &[u8], given: &[u8]) -> bool {
    if let Some(plain) = stored.strip_prefix(b"{PLAIN}") {
        return same(plain, given);
    }
    if let Some(encoded) = stored.strip_prefix(b"{SSHA}") {
        let mut decoded = Vec::new();
        let known = escape::base64(encoded, &mut decoded) && decoded.len() >= 20;
        return known && {
            let (hash, salt) = decoded.split_at(20);
            same(hash, &Sha1::new().chain_update(given).chain_update(salt).finalize())
        };
    }
    if let Some(encoded) = stored.strip_prefix(b"{SHA}") {
        let mut decoded = Vec::new();
        return escape::base64(encoded, &mut decoded) && same(&decoded, &Sha1::digest(given));
    }
    if given.len() > LONGEST || given.contains(&0) {
        return false;
    }
    let hashes = match stored {
        [b'$', b'a', b'p', b'r', b'1', b'$', rest @ ..] => salted(rest, |salt| md5::hash(given, b"$apr1$", salt)),
        [b'$', b'1', b'$', rest @ ..] => salted(rest, |salt| md5::hash(given, b"$1$", salt)),
        [b'$', b'5', b'$', rest @ ..] => sha::hash(given, rest, sha::Crypt::Sha256),
        [b'$', b'6', b'$', rest @ ..] => sha::hash(given, rest, sha::Crypt::Sha512),
        [b'$', b'2', b'a' | b'b' | b'y', b'$', rest @ ..] => bcrypt::hash(given, rest),
        [b'$', b'y', b'$', rest @ ..] => yescrypt::hash(given, rest),
        [first, second, hash @ ..] if hash.len() == 11 => {
            des::hash(given, &[*first, *second]).map(|made| (made, hash.to_vec()))
        }
        _ => None,
    };
    hashes.is_some_and(|(made, stored)| same(&made, &stored))
}

/// Whether [`matches()`] takes longer than a small request does: so for all formats that hash more than once.
pub fn is_slow(stored: &[u8]) -> bool {
    !stored.starts_with(b"{")
}

/// `salt$hash`: the computed hash and the stored one.
fn salted(rest: &[u8], hash: impl Fn(&[u8]) -> Vec<u8>) -> Option<(Vec<u8>, Vec<u8>)> {
    let end = memchr::memchr(b'$', rest)?;
    Some((hash(&rest[..end]), rest[end + 1..].to_vec()))
}

#[cfg(test)]
mod tests;

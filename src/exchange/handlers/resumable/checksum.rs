//! tus's checksum extension: `Upload-Checksum: sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=` is the checksum of the content of
//! one request.

use crate::http::escape::base64;
use crate::http::field_syntax::{list, trim_ows};
use md5::Md5;
use sha1::{Digest as _, Sha1};
use sha2::{Sha256, Sha512};

/// The value of Tus-Checksum-Algorithm.
pub const ALGORITHMS: &str = "sha1,sha256,sha512,md5";

/// The field's name, by which trailers are found.
pub const NAME: &[u8] = b"upload-checksum";

/// An announced checksum, and what has been hashed.
pub struct Checksum {
    expected: Vec<u8>,
    hasher: Hasher,
}

enum Hasher {
    Sha1(Sha1),
    Sha256(Sha256),
    Sha512(Sha512),
    Md5(Md5),
}

impl Checksum {
    /// The value of Upload-Checksum.
    ///
    /// # Errors
    /// What is wrong with it, for a 400.
    pub fn parse(value: &[u8]) -> Result<Checksum, &'static str> {
        const MALFORMED: &str = "Upload-Checksum is malformed";
        let space = memchr::memchr(b' ', value).ok_or(MALFORMED)?;
        let (hasher, len) = match &value[..space] {
            b"sha1" => (Hasher::Sha1(Sha1::new()), 20),
            b"sha256" => (Hasher::Sha256(Sha256::new()), 32),
            b"sha512" => (Hasher::Sha512(Sha512::new()), 64),
            b"md5" => (Hasher::Md5(Md5::new()), 16),
            _ => return Err("the algorithm of Upload-Checksum is not known: sha1, sha256, sha512 and md5 are"),
        };
        let mut expected = Vec::with_capacity(len);
        match base64(value[space + 1..].trim_ascii(), &mut expected) && expected.len() == len {
            true => Ok(Checksum { expected, hasher }),
            false => Err(MALFORMED),
        }
    }

    /// Trailer announces it (tus's checksum-trailer).
    pub fn is_announced(trailer: &[u8]) -> bool {
        list(trailer).map(trim_ows).any(|name| name.eq_ignore_ascii_case(NAME))
    }

    /// Hashes the next bytes of the content.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.hasher {
            Hasher::Sha1(hasher) => hasher.update(data),
            Hasher::Sha256(hasher) => hasher.update(data),
            Hasher::Sha512(hasher) => hasher.update(data),
            Hasher::Md5(hasher) => hasher.update(data),
        }
    }

    /// Whether the content matches the announced checksum.
    pub fn fits(self) -> bool {
        match self.hasher {
            Hasher::Sha1(hasher) => hasher.finalize()[..] == self.expected,
            Hasher::Sha256(hasher) => hasher.finalize()[..] == self.expected,
            Hasher::Sha512(hasher) => hasher.finalize()[..] == self.expected,
            Hasher::Md5(hasher) => hasher.finalize()[..] == self.expected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailer_is_announced_by_name() {
        let table =
            [("Upload-Checksum", true), ("x, upload-checksum ", true), ("upload-checksums", false), ("", false)];
        for (value, expected) in table {
            assert_eq!(Checksum::is_announced(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn a_checksum_is_of_the_very_bytes() {
        let table = [
            ("sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00=", Some(true)),
            ("sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00", Some(true)),
            ("md5 XUFAKrxLKna5cZ2REBfFkg==", Some(true)),
            ("sha256 LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=", Some(true)),
            ("sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=", Some(false)),
            ("sha1 XUFAKrxLKna5cZ2REBfFkg==", None),
            ("sha1 ???", None),
            ("sha1", None),
            ("SHA1 qvTGHdzF6KLavt4PO0gs2a6pQ00=", None),
            ("crc32 AAAA", None),
            ("", None),
        ];
        for (value, expected) in table {
            let checked = Checksum::parse(value.as_bytes()).ok().map(|mut checksum| {
                b"hello".chunks(2).for_each(|piece| checksum.update(piece));
                checksum.fits()
            });
            assert_eq!(checked, expected, "{value}");
        }
    }
}

//! Content-Digest and Repr-Digest (RFC 9530): a body that is not what its sender hashed is not stored.
//!
//! Both cover the same bytes here: parts of files and encoded bodies are refused before.

use super::refusal::Refusal;
use crate::config::directives::upload::Verify;
use crate::exchange::Exchange;
use crate::http::escape::base64;
use crate::http::header::{HeaderId, list, trim_ows};
use crate::http::status::Status;
use sha2::{Digest as _, Sha256, Sha512};

/// A digest the client promised, and what has been hashed of it.
pub struct Digest {
    expected: Vec<u8>,
    hasher: Hasher,
}

enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

/// The digests that the request's head promises, of the algorithms that are any good; others are passed over (RFC 9530
/// §5: a recipient may).
///
/// # Errors
/// 400 for a malformed one, and where `require` finds none.
pub fn promised(ex: &Exchange, verify: Verify) -> Result<Vec<Digest>, Refusal> {
    let mut digests = Vec::new();
    if verify == Verify::Off {
        return Ok(digests);
    }
    for id in [HeaderId::ContentDigest, HeaderId::ReprDigest] {
        for field in ex.head.all(id) {
            parse(field.value.of(ex.buf()), &mut digests)?;
        }
    }
    if verify == Verify::Require && digests.is_empty() {
        return Err(Refusal::new(Status::BAD_REQUEST, "Content-Digest with sha-256 or sha-512 is required"));
    }
    Ok(digests)
}

/// One line: a dictionary of byte sequences (RFC 9651), `sha-256=:…:, sha-512=:…:`.
fn parse(value: &[u8], digests: &mut Vec<Digest>) -> Result<(), Refusal> {
    for member in list(value).map(trim_ows).filter(|member| !member.is_empty()) {
        let (key, rest) = match memchr::memchr(b'=', member) {
            Some(at) => (&member[..at], &member[at + 1..]),
            None => (member, &b""[..]),
        };
        let (hasher, len) = match key {
            b"sha-256" => (Hasher::Sha256(Sha256::new()), 32),
            b"sha-512" => (Hasher::Sha512(Sha512::new()), 64),
            _ => continue,
        };
        // Parameters mean nothing here.
        let coded = trim_ows(rest.split(|b| *b == b';').next().unwrap_or_default());
        let mut expected = Vec::with_capacity(len);
        let inside = coded.strip_prefix(b":").and_then(|coded| coded.strip_suffix(b":"));
        if !inside.is_some_and(|inside| base64(inside, &mut expected)) || expected.len() != len {
            return Err(Refusal::new(Status::BAD_REQUEST, "Content-Digest or Repr-Digest is malformed"));
        }
        digests.push(Digest { expected, hasher });
    }
    Ok(())
}

impl Digest {
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.hasher {
            Hasher::Sha256(hasher) => hasher.update(data),
            Hasher::Sha512(hasher) => hasher.update(data),
        }
    }

    /// The body is complete.
    ///
    /// # Errors
    /// 400: it is not what was promised.
    pub fn check(self) -> Result<(), Refusal> {
        let is_same = match self.hasher {
            Hasher::Sha256(hasher) => hasher.finalize()[..] == self.expected,
            Hasher::Sha512(hasher) => hasher.finalize()[..] == self.expected,
        };
        if is_same { Ok(()) } else { Err(Refusal::new(Status::BAD_REQUEST, "the body does not match its digest")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
    const HELLO_512: &str = "m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw==";

    /// How many digests a line promises, and whether `hello` and `hallo` keep them.
    fn run(line: &str) -> Option<(usize, bool, bool)> {
        let keeps = |body: &[u8]| {
            let mut digests = Vec::new();
            parse(line.as_bytes(), &mut digests).ok()?;
            let count = digests.len();
            digests.iter_mut().for_each(|digest| body.chunks(2).for_each(|piece| digest.update(piece)));
            Some((count, digests.into_iter().all(|digest| digest.check().is_ok())))
        };
        let (count, hello) = keeps(b"hello")?;
        Some((count, hello, keeps(b"hallo")?.1))
    }

    #[test]
    fn a_promise_is_kept_by_the_very_bytes() {
        let table = [
            (format!("sha-256=:{HELLO}:"), Some((1, true, false))),
            (format!("sha-512=:{HELLO_512}:"), Some((1, true, false))),
            (format!("sha-256=:{HELLO}: ,\tsha-512=:{HELLO_512}:;x=1"), Some((2, true, false))),
            (format!("md5=:XUFAKrxLKna5cZ2REBfFkg==:, sha-256=:{HELLO}:"), Some((1, true, false))),
            ("md5=:XUFAKrxLKna5cZ2REBfFkg==:".into(), Some((0, true, true))),
            (String::new(), Some((0, true, true))),
            (format!("sha-512=:{HELLO}:"), None),
            (format!("sha-256={HELLO}"), None),
            ("sha-256=::".into(), None),
            ("sha-256".into(), None),
            ("sha-256=:??:".into(), None),
        ];
        for (line, expected) in table {
            assert_eq!(run(&line), expected, "{line}");
        }
    }
}

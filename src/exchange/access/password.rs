//! Whether a password is the one that a line of a password file stores. Pure.

use crate::http::escape;
use md5::{Digest, Md5};
use sha1::Sha1;

/// `stored`: crypt(3)'s forms, bcrypt, `$apr1$`, `{SHA}`, `{SSHA}` or `{PLAIN}`. What is none of them matches nothing.
pub fn matches(stored: &[u8], given: &[u8]) -> bool {
    if let Some(plain) = stored.strip_prefix(b"{PLAIN}") {
        return same(plain, given);
    }
    if let Some(encoded) = stored.strip_prefix(b"{SSHA}") {
        let mut decoded = Vec::new();
        let known = escape::base64(encoded, &mut decoded) && decoded.len() >= 20;
        return known && {
            let (hash, salt) = decoded.split_at(20);
            same(hash, &Sha1::new().chain(given).chain(salt).finalize())
        };
    }
    if let Some(encoded) = stored.strip_prefix(b"{SHA}") {
        let mut decoded = Vec::new();
        return escape::base64(encoded, &mut decoded) && same(&decoded, &Sha1::digest(given));
    }
    if let Some(rest) = stored.strip_prefix(b"$apr1$") {
        let Some(end) = memchr::memchr(b'$', rest) else { return false };
        let salt = &rest[..end.min(8)];
        return same(&rest[end + 1..], &apr1(given, salt));
    }
    let Ok(text) = std::str::from_utf8(stored) else { return false };
    // 13 characters are DES crypt; everything else says what it is.
    (text.starts_with('$') || text.len() == 13) && !given.contains(&0) && pwhash::unix::verify(given, text)
}

/// Compares without telling by time where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
}

/// Apache's variant of the MD5 crypt: the hash part, 22 characters.
fn apr1(password: &[u8], salt: &[u8]) -> Vec<u8> {
    let inner = Md5::new().chain(password).chain(salt).chain(password).finalize();
    let mut context = Md5::new().chain(password).chain(b"$apr1$").chain(salt);
    for at in (0..password.len()).step_by(16) {
        context.update(&inner[..16.min(password.len() - at)]);
    }
    let mut bits = password.len();
    while bits > 0 {
        // The reference does it this way, so everybody does.
        context.update(if bits & 1 == 1 { &[0][..] } else { password.get(..1).unwrap_or_default() });
        bits >>= 1;
    }
    let mut hash = context.finalize();
    for round in 0..1000 {
        let mut next = Md5::new();
        next.update(if round & 1 == 1 { password } else { &hash });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if round & 1 == 1 { &hash } else { password });
        hash = next.finalize();
    }
    const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut out = Vec::with_capacity(22);
    let mut put = |mut value: u32, digits: usize| {
        for _ in 0..digits {
            out.push(ALPHABET[(value & 63) as usize]);
            value >>= 6;
        }
    };
    for [a, b, c] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        put(u32::from(hash[a]) << 16 | u32::from(hash[b]) << 8 | u32::from(hash[c]), 4);
    }
    put(u32::from(hash[11]), 2);
    out
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn every_form_of_a_password_file_is_read() {
        for (name, stored) in [
            ("plain", "{PLAIN}password"),
            ("apr1", "$apr1$salt$Xxd1irWT9ycqoYxGFn4cb."),
            ("sha", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="),
            ("ssha", "{SSHA}yI6cZwQadOA1e+/f+T+H3eCQQhRzYWx0"),
            ("des", "sa3tHJ3/KuYvI"),
        ] {
            assert!(matches(stored.as_bytes(), b"password"), "{name}");
            assert!(!matches(stored.as_bytes(), b"Password"), "{name}: another password");
            assert!(!matches(stored.as_bytes(), b""), "{name}: none");
        }
    }

    #[test]
    fn a_broken_line_matches_nothing() {
        for stored in [
            "",
            "x",
            "$1$",
            "$apr1$",
            "$apr1$$",
            "{SHA}Zm9vCg==",
            "{SSHA}Zm9vCg==",
            "{SHA}____",
            "$2y$",
            "$6$",
            "{CRYPT}x",
        ] {
            for given in ["", "1", "x"] {
                assert!(!matches(stored.as_bytes(), given.as_bytes()), "{stored} {given}");
            }
        }
    }
}

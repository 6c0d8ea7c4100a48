//! `Timeout` and `Lock-Token` (RFC 4918 §10.5, §10.7), and tokens as URNs.

use super::condition::angle;
use crate::http::field_syntax::{list, trim_ows};
use std::fmt;

/// A lock's token: `urn:uuid:…`, of 16 random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token([u8; 16]);

const URN: &[u8] = b"urn:uuid:";

impl Token {
    /// Of random bytes: a UUID of version 4 (RFC 9562 §5.4).
    pub fn new(mut random: [u8; 16]) -> Token {
        random[6] = random[6] & 0x0f | 0x40;
        random[8] = random[8] & 0x3f | 0x80;
        Token(random)
    }

    /// The 16 bytes of the UUID, for the record that a lock is kept by.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The token that has these [`Token::bytes`].
    pub fn from_bytes(bytes: [u8; 16]) -> Token {
        Token(bytes)
    }

    /// None: it is none of ours.
    pub fn parse(urn: &[u8]) -> Option<Token> {
        let (scheme, uuid) = urn.split_at_checked(URN.len())?;
        if !scheme.eq_ignore_ascii_case(URN) || uuid.len() != 36 {
            return None;
        }
        let mut bytes = [0u8; 16];
        let mut digits = uuid.iter().enumerate().filter(|(at, _)| !matches!(at, 8 | 13 | 18 | 23)).map(|(_, b)| b);
        if [8, 13, 18, 23].iter().any(|at| uuid.get(*at) != Some(&b'-')) {
            return None;
        }
        let mut digit = || digits.next().and_then(|b| char::from(*b).to_digit(16));
        for byte in &mut bytes {
            *byte = (digit()? << 4 | digit()?) as u8;
        }
        Some(Token(bytes))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("urn:uuid:")?;
        for (at, byte) in self.0.iter().enumerate() {
            let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

/// The value of `Lock-Token`.
pub fn lock_token(value: &[u8]) -> Option<Token> {
    let value = trim_ows(value);
    match angle(value) {
        Some((urn, b"")) => Token::parse(urn),
        Some(_) => None,
        None => Token::parse(value),
    }
}

/// Seconds that a `Timeout` asks for, at most `most`; the first of its values that is known counts.
pub fn timeout(value: Option<&[u8]>, most: u64) -> u64 {
    let known = |word: &[u8]| {
        if word.eq_ignore_ascii_case(b"infinite") {
            return Some(most);
        }
        let (unit, digits) = word.split_at_checked(7)?;
        let is_number =
            unit.eq_ignore_ascii_case(b"second-") && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        is_number.then(|| digits.iter().fold(0u64, |n, b| n.saturating_mul(10).saturating_add(u64::from(b - b'0'))))
    };
    value.and_then(|value| list(value).find_map(known)).unwrap_or(most).clamp(1, most.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_nothing_else_is_one() {
        let token = Token::new([0xab; 16]);
        let text = token.to_string();
        assert_eq!(text, "urn:uuid:abababab-abab-4bab-abab-abababababab");
        assert_eq!(Token::parse(text.as_bytes()), Some(token));
        assert_eq!(Token::parse(text.to_uppercase().as_bytes()), Some(token));
        assert_eq!(lock_token(format!("<{text}>").as_bytes()), Some(token));
        for at in 0..text.len() {
            assert_eq!(Token::parse(&text.as_bytes()[..at]), None, "cut at {at}");
        }
        for bad in
            ["opaquelocktoken:abababab-abab-4bab-abab-abababababab", "urn:uuid:abababab_abab-4bab-abab-abababababab"]
        {
            assert_eq!(Token::parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(lock_token(text.as_bytes()), Some(token), "as Windows and the npm package webdav write it at times");
        assert_eq!(lock_token(format!("<{text}").as_bytes()), None);
        assert_eq!(lock_token(format!("<{text}> x").as_bytes()), None);
    }

    #[test]
    fn a_timeout_is_what_is_asked_for_as_far_as_it_is_granted() {
        let table = [
            (None, 60),
            (Some("Second-10"), 10),
            (Some("Second-4100000000"), 60),
            (Some("Infinite, Second-4100000000"), 60),
            (Some("Extend-9, second-5"), 5),
            (Some("Second-0"), 1),
            (Some("Second-"), 60),
            (Some("Second-99999999999999999999999"), 60),
            (Some("x"), 60),
        ];
        for (value, expected) in table {
            assert_eq!(timeout(value.map(str::as_bytes), 60), expected, "{value:?}");
        }
    }
}

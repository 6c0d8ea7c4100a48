//! The value of `expires`: read with the configuration, or for each request where it has variables.

use super::settings::headers::Expires;
use super::value::Millis;

/// Parses the value of `expires` without variables. Some(None): `off`.
pub fn parse(words: &[&[u8]]) -> Option<Option<Expires>> {
    let seconds = |text: &[u8]| -> Option<i64> {
        let (sign, text) = match text.strip_prefix(b"-") {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix(b"+").unwrap_or(text)),
        };
        Millis::parse_seconds(text).ok().map(|ms| sign * (ms.0 / 1000) as i64)
    };
    Some(Some(match words {
        [b"off"] => return Some(None),
        [b"epoch"] => Expires::Epoch,
        [b"max"] => Expires::Max,
        [b"modified", time] => Expires::Modified(seconds(time)?),
        [time] => match time.strip_prefix(b"@") {
            Some(daily) => Expires::Daily(seconds(daily).filter(|s| (0..=86_400).contains(s))?),
            None => Expires::Access(seconds(time)?),
        },
        _ => return None,
    }))
}

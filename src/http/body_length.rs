//! How long the content of a message is (RFC 9110 §6.4, §8.6), whatever protocol carries it.

use crate::http::reject::Reject;

/// The longest body, and the largest chunk: as large as the largest file (nginx). Other servers read a longer one as a
/// negative number, or as 0, and take the body for the next request (RFC 9110 §8.6). What adds to it does not overflow
/// (RFC 9112 §7.1).
pub(super) const LONGEST: u64 = i64::MAX as u64;

/// What a message's head says of the length of its body.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum BodyLength {
    /// There is no body: a request of HTTP/1 without Content-Length and Transfer-Encoding (RFC 9112 §6.3, rule 7), or a
    /// stream of HTTP/2 that ends with its head.
    #[default]
    None,
    /// This many bytes. `Content-Length: 0` is `Known(0)`: present, but nothing follows.
    Known(u64),
    /// Only its end will tell: the last chunk of HTTP/1.1 (RFC 9112 §7.1), or the end of an HTTP/2 stream.
    Unknown,
}

impl BodyLength {
    /// The number of bytes that are announced; 0 for an unknown number.
    pub fn announced(self) -> u64 {
        match self {
            BodyLength::Known(bytes) => bytes,
            BodyLength::None | BodyLength::Unknown => 0,
        }
    }
}

/// A Content-Length value: digits only. The list form `42, 42` that RFC 9110 §8.6 lets us refuse is refused.
pub fn content_length(value: &[u8]) -> Result<u64, Reject> {
    if value.is_empty() {
        return Err(Reject::BadFraming("empty \"Content-Length\""));
    }
    value.iter().try_fold(0u64, |n, b| {
        if !b.is_ascii_digit() {
            return Err(Reject::BadFraming("\"Content-Length\" is not a number"));
        }
        n.checked_mul(10)
            .and_then(|n| n.checked_add(u64::from(b - b'0')))
            .filter(|n| *n <= LONGEST)
            .ok_or(Reject::BadFraming("\"Content-Length\" is out of range"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_length_is_digits_only() {
        let good = [("0", 0), ("42", 42), ("00042", 42), ("9223372036854775807", i64::MAX.cast_unsigned())];
        for (value, n) in good {
            assert_eq!(content_length(value.as_bytes()), Ok(n), "{value}");
        }
        let beyond = ["9223372036854775808", "18446744073709551615", "18446744073709551616"];
        let others = ["", "+1", "-1", "1,1", "42, 42", "0x1", "1 2", " 1", "1\u{b2}", "1e3"];
        for bad in beyond.into_iter().chain(others) {
            assert_eq!(content_length(bad.as_bytes()).map_err(|r| r.status().0), Err(400), "{bad}");
        }
    }
}

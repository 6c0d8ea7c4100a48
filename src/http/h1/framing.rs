//! How long a request's body is, and which fields decide that. Every doubt is a refusal: a server that guesses here
//! lets requests be smuggled (RFC 9112 §6.3, §11.2).

use crate::http::field_syntax::{is_token, list};
use crate::http::reject::Reject;

/// The longest body, and the largest chunk: as large as the largest file (nginx). Other servers read a longer one as a
/// negative number, or as 0, and take the body for the next request (RFC 9110 §8.6). What adds to it does not overflow
/// (RFC 9112 §7.1).
pub(super) const LONGEST: u64 = i64::MAX as u64;

/// Where the body ends.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Framing {
    /// Neither Content-Length nor Transfer-Encoding: no body (RFC 9112 §6.3, rule 7).
    #[default]
    None,
    /// This many bytes. `Content-Length: 0` is `Length(0)`: present, but nothing follows.
    Length(u64),
    /// `Transfer-Encoding: chunked`: until the chunk of size 0 and its trailers (RFC 9112 §7.1).
    Chunked,
}

impl Framing {
    /// The number of bytes that are announced; 0 for an unknown number.
    pub fn announced(self) -> u64 {
        match self {
            Framing::Length(bytes) => bytes,
            Framing::None | Framing::Chunked => 0,
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

/// Accepts a Transfer-Encoding value that is `chunked` and nothing else.
///
/// # Errors
/// `UnknownCoding` (501, RFC 9112 §6.1) for other codings, `BadFraming` for `chunked` repeated or malformed.
pub fn transfer_encoding(value: &[u8]) -> Result<(), Reject> {
    let (mut chunked, mut unknown) = (false, false);
    for coding in list(value) {
        if !is_token(coding) {
            return Err(Reject::BadFraming("malformed \"Transfer-Encoding\""));
        }
        let again = coding.eq_ignore_ascii_case(b"chunked");
        if chunked && again {
            return Err(Reject::BadFraming("\"chunked\" is repeated"));
        }
        chunked |= again;
        unknown |= !again;
    }
    if unknown { Err(Reject::UnknownCoding) } else { Ok(()) }
}

/// How a request's body is framed, by its two fields.
pub fn of_request(coding: Option<&[u8]>, length: Option<u64>, is_11: bool) -> Result<Framing, Reject> {
    match (coding, length) {
        (Some(_), Some(_)) => Err(Reject::BadFraming("both \"Content-Length\" and \"Transfer-Encoding\"")),
        (Some(_), None) if !is_11 => Err(Reject::BadFraming("\"Transfer-Encoding\" in an HTTP/1.0 request")),
        (Some(value), None) => transfer_encoding(value).map(|()| Framing::Chunked),
        (None, Some(length)) => Ok(Framing::Length(length)),
        (None, None) => Ok(Framing::None),
    }
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

    #[test]
    fn only_chunked_alone_is_a_transfer_coding() {
        let table = [
            ("chunked", 0),
            ("Chunked", 0),
            ("CHUNKED", 0),
            ("gzip", 501),
            ("identity", 501),
            ("xchunked", 501),
            ("chunkedx", 501),
            ("gzip, chunked", 501),
            ("chunked, chunked", 400),
            ("chunked, gzip", 501),
            ("chunked, identity", 501),
            ("", 400),
            (",chunked", 400),
            ("chunked,", 400),
            ("chunked;a=b", 400),
            ("\"chunked\"", 400),
            ("chun ked", 400),
        ];
        for (value, status) in table {
            let got = transfer_encoding(value.as_bytes()).map_or_else(|r| r.status().0, |()| 0);
            assert_eq!(got, status, "{value}");
        }
    }
}

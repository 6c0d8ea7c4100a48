//! Which fields of an HTTP/1.1 message say where its body ends. Every doubt is a refusal: a server that guesses here
//! lets requests be smuggled (RFC 9112 §6.3, §11.2).

use crate::http::body_length::BodyLength;
use crate::http::field_syntax::{is_token, list};
use crate::http::reject::Reject;

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

/// How long a request's body is, by its two fields. A body in chunks has a length that is not known.
pub fn of_request(coding: Option<&[u8]>, length: Option<u64>, is_11: bool) -> Result<BodyLength, Reject> {
    match (coding, length) {
        (Some(_), Some(_)) => Err(Reject::BadFraming("both \"Content-Length\" and \"Transfer-Encoding\"")),
        (Some(_), None) if !is_11 => Err(Reject::BadFraming("\"Transfer-Encoding\" in an HTTP/1.0 request")),
        (Some(value), None) => transfer_encoding(value).map(|()| BodyLength::Unknown),
        (None, Some(length)) => Ok(BodyLength::Known(length)),
        (None, None) => Ok(BodyLength::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn where_a_request_ends_is_said_once() {
        let table = [
            (None, None, true, Ok(BodyLength::None)),
            (None, Some(0), true, Ok(BodyLength::Known(0))),
            (None, Some(7), false, Ok(BodyLength::Known(7))),
            (Some("chunked"), None, true, Ok(BodyLength::Unknown)),
            (Some("chunked"), None, false, Err(400)),
            (Some("chunked"), Some(7), true, Err(400)),
            (Some("gzip"), None, true, Err(501)),
        ];
        for (coding, length, is_11, expected) in table {
            let got = of_request(coding.map(str::as_bytes), length, is_11).map_err(|reject| reject.status().0);
            assert_eq!(got, expected, "{coding:?} {length:?} {is_11}");
        }
    }
}

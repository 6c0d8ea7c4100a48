//! Resumable Uploads for HTTP (draft-ietf-httpbis-resumable-upload) as text: its structured fields, its limits, its
//! problem types. No files, no responses.

use super::state::number;
use crate::http::field_syntax::trim_ows;
use std::fmt::Write;

/// The media type of content that PATCH appends.
pub const CONTENT_TYPE: &[u8] = b"application/partial-upload";

/// Interop versions: 3 is of draft -01, 4 of -02, 5 of -03, 6 of -04 and -05, 7 of -06 to -08, 8 of -09 to -12, the
/// newest. [`ends`] and [`has_media_type`] say how the server's duties differ.
const VERSIONS: std::ops::RangeInclusive<u64> = 3..=8;
/// The version with `Upload-Incomplete`, which Upload-Complete replaced.
pub const INCOMPLETE: u64 = 3;

/// Whether the upload is complete when the content of the request is. None: the request does not say.
pub fn ends(version: Option<u64>, complete: Option<&[u8]>, incomplete: Option<&[u8]>) -> Option<bool> {
    let incomplete = incomplete.filter(|_| version == Some(INCOMPLETE)).and_then(boolean);
    complete.and_then(boolean).or(incomplete.map(|incomplete| !incomplete))
}

/// Whether appended content has a media type of its own; before interop version 6 any type was allowed.
pub fn has_media_type(version: Option<u64>) -> bool {
    version.is_none_or(|version| version >= 6)
}

/// Problem type of a 409: Upload-Offset is not the upload's offset.
pub const MISMATCHING_OFFSET: &str = "https://iana.org/assignments/http-problem-types#mismatching-upload-offset";
/// Problem type of a 400: the upload is complete already.
pub const COMPLETED: &str = "https://iana.org/assignments/http-problem-types#completed-upload";
/// Problem type of a 400: the fields that tell the length disagree.
pub const INCONSISTENT_LENGTH: &str = "https://iana.org/assignments/http-problem-types#inconsistent-upload-length";

/// An Item whose value is a Boolean (RFC 9651 §3.3.6). None: it is another value, so the field is ignored.
pub fn boolean(value: &[u8]) -> Option<bool> {
    match bare(value)? {
        b"?1" => Some(true),
        b"?0" => Some(false),
        _ => None,
    }
}

/// An Item whose value is a non-negative Integer (RFC 9651 §3.3.1).
pub fn integer(value: &[u8]) -> Option<u64> {
    // An Integer has at most fifteen digits.
    bare(value).filter(|digits| digits.len() <= 15).and_then(number)
}

/// The Item without its parameters, which mean nothing in these fields. None: the parameters are malformed.
fn bare(value: &[u8]) -> Option<&[u8]> {
    let value = trim_ows(value);
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    let (item, parameters) = value.split_at(end);
    let are_parameters = parameters.split(|b| *b == b';').skip(1).all(|parameter| {
        let key = trim_ows(parameter);
        key.first().is_some_and(|b| b.is_ascii_lowercase() || *b == b'*')
    });
    are_parameters.then_some(item)
}

/// The client's interop version, if it is one that gets 104.
pub fn version(value: &[u8]) -> Option<u64> {
    integer(value).filter(|version| VERSIONS.contains(version))
}

/// The value of Upload-Limit. Zero and None mean no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of an upload.
    pub max_size: u64,
    /// Bytes of one request.
    pub max_append_size: u64,
    /// Seconds.
    pub max_age: Option<u64>,
}

impl Limits {
    /// The value of Upload-Limit, a dictionary (RFC 9651 §3.2).
    pub fn value(&self) -> String {
        let mut text = String::new();
        let mut put = |key: &str, value: u64| {
            let comma = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}{key}={value}");
        };
        if self.max_size > 0 {
            put("max-size", self.max_size);
        }
        if self.max_append_size > 0 {
            put("max-append-size", self.max_append_size);
        }
        if let Some(age) = self.max_age {
            put("max-age", age);
        }
        // The draft forbids an empty value.
        if text.is_empty() { "min-size=0".into() } else { text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_another_type_are_none() {
        let table = [
            ("?1", Some(true), None),
            ("?0", Some(false), None),
            (" ?1 ", Some(true), None),
            ("?1;x=1", Some(true), None),
            ("?2", None, None),
            ("1", None, Some(1)),
            ("0", None, Some(0)),
            ("12; a", None, Some(12)),
            ("12;", None, None),
            ("12;?", None, None),
            ("-1", None, None),
            ("1.0", None, None),
            ("1, 2", None, None),
            ("\"1\"", None, None),
            ("999999999999999", None, Some(999_999_999_999_999)),
            ("1000000000000000", None, None),
            ("", None, None),
            ("true", None, None),
        ];
        for (text, flag, size) in table {
            assert_eq!((boolean(text.as_bytes()), integer(text.as_bytes())), (flag, size), "{text}");
        }
    }

    #[test]
    fn a_104_is_for_those_who_know_it() {
        let table = [("8", Some(8)), ("3", Some(3)), ("2", None), ("9", None), ("", None), ("x", None)];
        for (text, expected) in table {
            assert_eq!(version(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn the_end_is_said_in_the_words_of_the_version() {
        let table = [
            (Some(8), Some("?1"), None, Some(true)),
            (None, Some("?0"), None, Some(false)),
            (Some(3), None, Some("?0"), Some(true)),
            (Some(3), None, Some("?1"), Some(false)),
            (Some(3), Some("?1"), Some("?1"), Some(true)),
            (Some(4), None, Some("?0"), None),
            (None, None, Some("?0"), None),
            (Some(3), None, Some("1"), None),
            (Some(8), None, None, None),
        ];
        for (version, complete, incomplete, expected) in table {
            let given = ends(version, complete.map(str::as_bytes), incomplete.map(str::as_bytes));
            assert_eq!(given, expected, "{version:?} {complete:?} {incomplete:?}");
        }
        assert!(has_media_type(None) && has_media_type(Some(6)) && !has_media_type(Some(5)));
    }

    #[test]
    fn limits_are_a_dictionary_that_is_never_empty() {
        let table = [
            (0, 0, None, "min-size=0"),
            (10, 0, None, "max-size=10"),
            (10, 20, Some(30), "max-size=10, max-append-size=20, max-age=30"),
            (0, 0, Some(0), "max-age=0"),
        ];
        for (max_size, max_append_size, max_age, expected) in table {
            assert_eq!(Limits { max_size, max_append_size, max_age }.value(), expected);
        }
    }
}

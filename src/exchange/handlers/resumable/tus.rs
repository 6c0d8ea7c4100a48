//! tus 1.0.0 as text: the fields of its requests. No files, no responses.

use super::state::number;
use crate::http::escape::base64;
use crate::http::field_syntax::{list, trim_ows};
use std::collections::HashSet;

/// The value of Tus-Resumable and Tus-Version.
pub const VERSION: &str = "1.0.0";
/// The value of Tus-Extension.
pub const EXTENSIONS: &str = "creation,creation-with-upload,creation-defer-length,termination,checksum,\
    checksum-trailer,expiration,concatenation";
/// The media type of content that PATCH appends.
pub const CONTENT_TYPE: &[u8] = b"application/offset+octet-stream";

/// Upload-Concat of a part, and the beginning of that of a whole.
pub const PARTIAL: &[u8] = b"partial";
/// Upload-Concat of the request that joins parts; their URLs follow.
pub const FINAL: &[u8] = b"final;";

/// An upload that is a part of another.
pub fn is_partial(concat: &[u8]) -> bool {
    concat == PARTIAL
}

/// An upload that is made of others.
pub fn is_final(concat: &[u8]) -> bool {
    concat.starts_with(FINAL)
}

/// Keys of Upload-Metadata, and their values.
pub type Pairs = Vec<(Box<[u8]>, Vec<u8>)>;

/// Upload-Length, or Upload-Defer-Length in its place. None: the length is deferred.
///
/// # Errors
/// What is wrong, for a 400.
pub fn length(length: Option<&[u8]>, defer: Option<&[u8]>) -> Result<Option<u64>, &'static str> {
    match (length, defer) {
        (Some(length), None) => number(length).map(Some).ok_or("Upload-Length is not a size"),
        (None, Some(b"1")) => Ok(None),
        (None, Some(_)) => Err("Upload-Defer-Length may only be 1"),
        (Some(_), Some(_)) => Err("Upload-Length and Upload-Defer-Length exclude each other"),
        (None, None) => Err("Upload-Length or Upload-Defer-Length is needed"),
    }
}

/// Keys and values of Upload-Metadata: `filename d29ybGQ=,is_confidential`.
///
/// # Errors
/// What is wrong, for a 400.
pub fn metadata(value: &[u8]) -> Result<Pairs, &'static str> {
    let (mut pairs, mut keys) = (Pairs::new(), HashSet::new());
    for pair in list(value).map(trim_ows) {
        if pair.is_empty() && pairs.is_empty() && trim_ows(value).is_empty() {
            return Ok(pairs);
        }
        let (key, coded) = match memchr::memchr(b' ', pair) {
            Some(at) => (&pair[..at], trim_ows(&pair[at + 1..])),
            None => (pair, &b""[..]),
        };
        if key.is_empty() || !keys.insert(key) {
            return Err("Upload-Metadata has a key twice, or an empty one");
        }
        let mut value = Vec::with_capacity(coded.len());
        if !base64(coded, &mut value) {
            return Err("Upload-Metadata has a value that is not base64");
        }
        pairs.push((key.into(), value));
    }
    Ok(pairs)
}

/// The directories of relativePath, as browsers and Uppy send it for files of a folder: `album/1/a.jpg`. Empty: none,
/// or the text that JavaScript makes of a missing value.
pub fn directories(metadata: &[(Box<[u8]>, Vec<u8>)]) -> &[u8] {
    let path = value(metadata, &["relativePath"]).unwrap_or_default();
    let start = path.iter().position(|b| *b != b'/').unwrap_or(path.len());
    let end = memchr::memrchr(b'/', path).map_or(0, |at| at + 1);
    path.get(start..end).unwrap_or_default()
}

/// The value of the first key that has one. Clients use different keys for a file's name and its type.
pub fn value<'m>(metadata: &'m [(Box<[u8]>, Vec<u8>)], keys: &[&str]) -> Option<&'m [u8]> {
    keys.iter().find_map(|key| {
        let found = metadata.iter().find(|(other, value)| **other == *key.as_bytes() && !value.is_empty());
        found.map(|(_, value)| &value[..])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_said_or_deferred() {
        let table = [
            (Some("100"), None, Some(Some(100))),
            (Some("0"), None, Some(Some(0))),
            (None, Some("1"), Some(None)),
            (None, Some("0"), None),
            (None, Some("2"), None),
            (Some("100"), Some("1"), None),
            (Some("-1"), None, None),
            (Some("1e3"), None, None),
            (Some(""), None, None),
            (None, None, None),
        ];
        for (given, defer, expected) in table {
            assert_eq!(
                length(given.map(str::as_bytes), defer.map(str::as_bytes)).ok(),
                expected,
                "{given:?} {defer:?}"
            );
        }
    }

    #[test]
    fn metadata_is_keys_with_values_in_base64() {
        let show = |text: &str| {
            metadata(text.as_bytes()).ok().map(|pairs| {
                let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
                pairs.iter().map(|(k, v)| format!("{}={}", text(k), text(v))).collect::<Vec<_>>().join(";")
            })
        };
        let table = [
            (
                "filename d29ybGRfZG9taW5hdGlvbl9wbGFuLnBkZg==,is_confidential",
                Some("filename=world_domination_plan.pdf;is_confidential="),
            ),
            ("filename YQ==, filetype dGV4dC9wbGFpbg==", Some("filename=a;filetype=text/plain")),
            ("filename YQ", Some("filename=a")),
            ("a ", Some("a=")),
            ("", Some("")),
            ("filename ???", None),
            ("filename YQ==,filename YQ==", None),
            ("a,,b", None),
            (",", None),
        ];
        for (text, expected) in table {
            assert_eq!(show(text).as_deref(), expected, "{text:?}");
        }
        let table = [
            ("album/1/a.jpg", "album/1/"),
            ("/album/a.jpg", "album/"),
            ("a.jpg", ""),
            ("null", ""),
            ("/", ""),
            ("", ""),
        ];
        for (path, expected) in table {
            let pairs = vec![(b"relativePath"[..].into(), path.as_bytes().to_vec())];
            assert_eq!(directories(&pairs), expected.as_bytes(), "{path}");
        }
        let pairs = metadata(b"name YQ==,filename Yg==,type").expect("metadata");
        assert_eq!(value(&pairs, &["filename", "name"]), Some(&b"b"[..]));
        assert_eq!(value(&pairs, &["filetype", "type"]), None);
    }
}

//! What the fields of a creation say.

use super::*;
use crate::exchange::testing::{INSIDE, Site};

#[test]
fn the_length_of_an_upload_is_what_all_fields_say_of_it() {
    let mut site = Site::new("", "location / { allowed_methods POST; }");
    let mut with = |fields: &[&str]| site.at("POST /f", fields, INSIDE);
    let (five, none) = (with(&["Content-Length: 5"]), with(&[]));
    let chunked = with(&["Transfer-Encoding: chunked"]);
    // The offset, whether the request ends the upload, and what was said before.
    let table = [
        ("the last part", &five, 10, true, None, Ok(Some(15))),
        ("the last part, as announced", &five, 10, true, Some(15), Ok(Some(15))),
        ("the last part, not as announced", &five, 10, true, Some(16), Err(())),
        ("another part", &five, 10, false, None, Ok(None)),
        ("another part of a known length", &five, 10, false, Some(12), Ok(Some(12))),
        ("an end without content", &none, 10, true, None, Ok(Some(10))),
        ("an end without content, too early", &none, 10, true, Some(11), Err(())),
        ("no end and no content", &none, 0, false, None, Ok(None)),
        ("the last part in chunks", &chunked, 10, true, None, Ok(None)),
        ("the last part in chunks, as announced", &chunked, 10, true, Some(15), Ok(Some(15))),
        ("beyond any number", &five, u64::MAX, true, None, Ok(Some(u64::MAX))),
    ];
    for (name, ex, offset, ends, known, expected) in table {
        assert_eq!(rufh_length(ex, offset, ends, known), expected, "{name}");
    }
    for (name, ex, offset, length, expected) in [
        ("up to the length", &five, 10, Some(15), true),
        ("short of it", &five, 9, Some(15), true),
        ("beyond it", &five, 11, Some(15), false),
        ("of no known length", &five, 11, None, true),
        ("in chunks", &chunked, 16, Some(15), true),
    ] {
        assert_eq!(fits(ex, offset, length), expected, "{name}");
    }
}

#[test]
fn a_directory_that_a_client_names_needs_upload_create_path() {
    for (create, path, expected) in [
        ("", "f", Some("")),
        ("", "d/f", None),
        ("upload_create_path on;", "f", Some("")),
        ("upload_create_path on;", "d/f", Some("d/")),
    ] {
        let mut site = Site::new("", &format!("location / {{ allowed_methods POST; {create} }}"));
        let ex = site.at("POST /", &[], INSIDE);
        let fields = vec![(Box::from(&b"relativePath"[..]), path.as_bytes().to_vec())];
        let found = below(&ex, &fields).ok().map(|below| String::from_utf8_lossy(&below).into_owned());
        assert_eq!(found.as_deref(), expected, "{create} {path}");
    }
}

#[test]
fn content_without_a_digest_is_refused_where_one_is_required_unless_it_may_follow() {
    let typed = "Content-Type: application/offset+octet-stream";
    let digest = "Content-Digest: sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    let checksum = "Upload-Checksum: sha1 2jmj7l5rSw0yVb/vlWAYkK/YBwk=";
    for (fields, whole, expected) in [
        (&["Content-Length: 1", typed][..], false, Err(())),
        (&["Content-Length: 1", typed], true, Ok(false)),
        (&["Content-Length: 1", typed, digest], false, Ok(false)),
        (&["Content-Length: 1", typed, checksum], false, Ok(false)),
        (&["Transfer-Encoding: chunked", "Trailer: Upload-Checksum", typed], false, Ok(true)),
        (&["Content-Length: 0", typed], false, Ok(false)),
        (&["Content-Length: 1"], true, Err(())),
    ] {
        let mut site = Site::new("", "location / { allowed_methods POST; upload_verify_digest require; }");
        let ex = site.at("POST /", fields, INSIDE);
        let content = tus_content(&ex, UploadRequest::Append, WholeDigest::of(whole));
        assert_eq!(content.map(|content| content.needs_late).map_err(drop), expected, "{fields:?} {whole}");
    }
}

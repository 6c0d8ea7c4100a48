//! A body that is the file: the name and the type that the request gives it.

use super::refusal::Refusal;
use crate::exchange::Exchange;
use crate::http::field_syntax::trim_ows;
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::http::{date, disposition};

/// The name in Content-Disposition, for a body that is posted to a directory.
pub fn given_name(ex: &Exchange) -> Result<Option<Vec<u8>>, Refusal> {
    let mut fields = ex.request.head.all(HeaderId::ContentDisposition);
    let Some(field) = fields.next() else { return Ok(None) };
    let parsed = disposition::parse(field.value.of(ex.buf())).filter(|_| fields.next().is_none());
    match parsed {
        Some(parsed) if parsed.filename.as_ref().is_some_and(Vec::is_empty) => {
            Err(Refusal::new(Status::BAD_REQUEST, "the file name is empty"))
        }
        Some(parsed) => Ok(parsed.filename),
        None => Err(Refusal::new(Status::BAD_REQUEST, "Content-Disposition is malformed or repeated")),
    }
}

/// The type of a body that the request gives none.
pub const DEFAULT_TYPE: &[u8] = b"application/octet-stream";

/// Refuses what cannot be stored as it arrives.
pub fn check(ex: &Exchange) -> Result<(), Refusal> {
    // RFC 9110 §14.5: a part of a file must not be taken for the whole.
    if ex.header(HeaderId::ContentRange).is_some() {
        return Err(Refusal::new(Status::BAD_REQUEST, "Content-Range: a part of a file cannot be stored"));
    }
    // §8.4: what is stored would be served without its coding.
    let coded = ex.request.head.all(HeaderId::ContentEncoding).any(|field| {
        let value = trim_ows(field.value.of(ex.buf()));
        !value.is_empty() && !value.eq_ignore_ascii_case(b"identity")
    });
    if coded {
        return Err(Refusal::new(Status::UNSUPPORTED_MEDIA_TYPE, "Content-Encoding: an encoded body cannot be stored"));
    }
    Ok(())
}

/// The modification time of a file stored by dav_methods: X-OC-Mtime, by which clients keep the time of what they copy
/// (Nautilus; rclone where its vendor is owncloud or nextcloud), or Date if the client sends it (nginx).
pub fn date(ex: &Exchange) -> Option<i64> {
    given_time(ex).or_else(|| ex.header(HeaderId::Date).filter(|_| is_dav(ex)).and_then(date::parse))
}

fn is_dav(ex: &Exchange) -> bool {
    ex.route.method == Method::Put && ex.location().settings.dav.methods.contains(Method::Put)
}

/// X-OC-Mtime: Unix seconds, with or without a fraction.
pub fn given_time(ex: &Exchange) -> Option<i64> {
    let value = ex.header(HeaderId::XOcMtime).filter(|_| is_dav(ex))?;
    let value = std::str::from_utf8(trim_ows(value)).ok()?;
    let seconds = value.split_once('.').map_or(value, |(seconds, _)| seconds);
    date::parse_unix(seconds)
}

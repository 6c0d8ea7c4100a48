//! Responses: the header fields of both protocols, their refusals and their problems.

use super::argument::ARGUMENT;
use super::pending_upload::PendingUpload;
use super::rufh::{self, Limits};
use super::state::Dialect;
use super::{checksum, tus};
use crate::config::settings::upload_resumable::Speaks;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::upload::resumed::{self, Refusal, Stored};
use crate::exchange::origin;
use crate::exchange::response::ContentType;
use crate::exchange::{Exchange, Tx};
use crate::http::date;
use crate::http::escape::{escape_component, escape_path, json_escape};
use crate::http::fields::Fields;
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::http::version::Version;
use crate::services::Services;
use crate::services::resumable::UploadId;
use std::io::Write;

/// A Tus-Resumable of another version: nothing else of the request counts.
///
/// # Errors
/// The response, 412.
pub fn check_version(ex: &mut Exchange, cx: &mut Services) -> Result<(), Flow> {
    if !ex.location().settings.upload.resumable.speaks.tus {
        return Ok(());
    }
    match ex.header(HeaderId::TusResumable) {
        None => Ok(()),
        Some(version) if version == tus::VERSION.as_bytes() => Ok(()),
        Some(_) => Err(other_version(ex, cx)),
    }
}

fn other_version(ex: &mut Exchange, cx: &mut Services) -> Flow {
    ex.response.line(b"Tus-Version", tus::VERSION.as_bytes());
    let refusal = Refusal::new(Status::PRECONDITION_FAILED, "Tus-Resumable has to be 1.0.0");
    refuse(ex, cx, Dialect::Tus, &refusal)
}

/// A request for a tus upload without a version. Offsets are sent all the same.
pub fn version_is_missing(ex: &mut Exchange, cx: &mut Services) -> Option<Flow> {
    ex.header(HeaderId::TusResumable).is_none().then(|| other_version(ex, cx))
}

/// There is no such upload, as far as this client may know.
pub fn not_found(ex: &mut Exchange, cx: &mut Services) -> Flow {
    let dialect = by_header(ex);
    refuse(ex, cx, dialect, &Refusal::new(Status::NOT_FOUND, "there is no such upload"))
}

/// The request lacks the argument that names an upload: some clients drop the query of Location.
pub fn unnamed(ex: &mut Exchange, cx: &mut Services) -> Flow {
    let why = format!("the URL names no upload: the query of Location ({ARGUMENT}=...) has to be sent, too");
    let dialect = by_header(ex);
    refuse(ex, cx, dialect, &Refusal::new(Status::NOT_FOUND, why))
}

/// 410: the upload ended without a file, and is still remembered.
pub fn gone(ex: &mut Exchange, cx: &mut Services) -> Flow {
    let dialect = by_header(ex);
    refuse(ex, cx, dialect, &Refusal::new(Status::GONE, "the upload has ended"))
}

/// The protocol of a request that names no existing upload.
pub fn by_header(ex: &Exchange) -> Dialect {
    let tus = ex.location().settings.upload.resumable.speaks.tus && ex.header(HeaderId::TusResumable).is_some();
    if tus { Dialect::Tus } else { Dialect::Rufh }
}

/// Refuses a request about an upload, which stays as it is; with the header fields of the protocol.
pub fn refuse(ex: &mut Exchange, cx: &mut Services, dialect: Dialect, refusal: &Refusal) -> Flow {
    answer(ex, cx, dialect, refusal, Completeness::Incomplete)
}

/// Refuses the upload itself: it has ended.
pub fn refuse_upload(ex: &mut Exchange, cx: &mut Services, dialect: Dialect, refusal: &Refusal) -> Flow {
    answer(ex, cx, dialect, refusal, Completeness::Complete)
}

fn answer(ex: &mut Exchange, cx: &mut Services, dialect: Dialect, refusal: &Refusal, complete: Completeness) -> Flow {
    match dialect {
        Dialect::Tus => ex.response.line(b"Tus-Resumable", tus::VERSION.as_bytes()),
        Dialect::Rufh => {
            completeness(ex, complete);
            if refusal.status == Status::CONTENT_TOO_LARGE {
                let limits = limits(ex, None).value();
                ex.response.line(b"Upload-Limit", limits.as_bytes());
            }
        }
    }
    resumed::refuse(ex, cx, refusal)
}

/// A problem of the draft (RFC 9457). `members`: further members, each a name and a number.
pub fn problem(ex: &mut Exchange, status: Status, kind: &str, title: &str, members: &[(&str, u64)]) -> Flow {
    let mut body = format!("{{\"type\":\"{kind}\",\"title\":\"").into_bytes();
    json_escape(title.as_bytes(), &mut body);
    let _ = write!(body, "\",\"status\":{}", status.0);
    for (name, value) in members {
        let _ = write!(body, ",\"{name}\":{value}");
    }
    body.extend_from_slice(b"}\n");
    completeness(ex, Completeness::Incomplete);
    ex.response.text(status, ContentType::Static("application/problem+json"), body);
    Flow::Respond
}

/// The length that a request implies differs from the one announced before, or from that of its content.
pub fn inconsistent(ex: &mut Exchange) -> Flow {
    problem(ex, Status::BAD_REQUEST, rufh::INCONSISTENT_LENGTH, "inconsistent length values for upload", &[])
}

/// Header fields of the response to OPTIONS.
pub fn announce(ex: &mut Exchange, speaks: Speaks) {
    if speaks.tus {
        let most = resumed::largest(ex);
        ex.response.line(b"Tus-Resumable", tus::VERSION.as_bytes());
        ex.response.line(b"Tus-Version", tus::VERSION.as_bytes());
        ex.response.line(b"Tus-Extension", tus::EXTENSIONS.as_bytes());
        ex.response.line(b"Tus-Checksum-Algorithm", checksum::ALGORITHMS.as_bytes());
        if most > 0 {
            ex.response.line(b"Tus-Max-Size", most.to_string().as_bytes());
        }
    }
    if speaks.rufh {
        let age = ex.location().settings.upload.resumable.max_age.seconds();
        let limits = limits(ex, Some(age).filter(|age| *age > 0)).value();
        ex.response.line(b"Upload-Limit", limits.as_bytes());
    }
}

/// The limits of uploads here.
fn limits(ex: &Exchange, max_age: Option<u64>) -> Limits {
    let settings = &ex.location().settings;
    Limits { max_size: resumed::largest(ex), max_append_size: settings.client.max_body_size.0, max_age }
}

/// The limits of an upload, with its remaining time.
fn limits_of(ex: &Exchange, cx: &Services, upload: &PendingUpload) -> String {
    let left = upload.expires.map(|at| u64::try_from(at.saturating_sub(cx.now.unix_ms())).unwrap_or(0) / 1000);
    limits(ex, left).value()
}

/// The URI of an upload: the request's own target with one more argument, with the host, port and scheme that the
/// client uses. Unlike a redirect it is not seen in a browser's address line, it has to work. `absolute_redirect off`
/// leaves the path alone.
pub fn location(ex: &Exchange, id: UploadId) -> Vec<u8> {
    let mut target = ex.request.head.origin.of(ex.buf());
    while target.starts_with(b"//") {
        target = &target[1..];
    }
    let mark = if target.contains(&b'?') { "&" } else { "?" };
    let target = [target, format!("{mark}{ARGUMENT}={}", id.text()).as_bytes()].concat();
    origin::as_named(ex, target)
}

/// The offset of an upload, and its limits.
pub fn state(ex: &mut Exchange, cx: &mut Services, upload: &PendingUpload) {
    ex.response.line(b"Upload-Offset", upload.size.to_string().as_bytes());
    ex.response.line(b"Cache-Control", b"no-store");
    if let Some(length) = upload.record.length {
        ex.response.line(b"Upload-Length", length.to_string().as_bytes());
    }
    match upload.record.dialect {
        Dialect::Tus => {
            ex.response.line(b"Tus-Resumable", tus::VERSION.as_bytes());
            if upload.record.length.is_none() {
                ex.response.line(b"Upload-Defer-Length", b"1");
            }
            // Rounded up: it exists at least until then.
            if let Some(at) = upload.expires {
                ex.response.line(b"Upload-Expires", &date::format(at.saturating_add(999).div_euclid(1000)));
            }
        }
        Dialect::Rufh => {
            completeness(ex, Completeness::Incomplete);
            let limits = limits_of(ex, cx, upload);
            ex.response.line(b"Upload-Limit", limits.as_bytes());
        }
    }
}

/// The response to a request for the offset.
pub fn offset(ex: &mut Exchange, cx: &mut Services, upload: &PendingUpload) -> Flow {
    state(ex, cx, upload);
    ex.response.status = match upload.record.dialect {
        Dialect::Tus => {
            concat(ex, &upload.record.concat);
            if !upload.record.metadata.is_empty() {
                ex.response.line(b"Upload-Metadata", &upload.record.metadata);
            }
            Status::OK
        }
        Dialect::Rufh => Status::NO_CONTENT,
    };
    Flow::Respond
}

/// tus: whether it is a part, or which parts it is made of.
pub fn concat(ex: &mut Exchange, value: &[u8]) {
    if !value.is_empty() {
        ex.response.line(b"Upload-Concat", value);
    }
}

/// The offset of an upload that is complete.
pub fn done(ex: &mut Exchange, dialect: Dialect, length: u64) {
    match dialect {
        Dialect::Tus => tus_offset(ex, length),
        Dialect::Rufh => {
            completeness(ex, Completeness::Complete);
            ex.response.line(b"Upload-Offset", length.to_string().as_bytes());
            ex.response.line(b"Upload-Limit", b"min-size=0");
        }
    }
    ex.response.line(b"Upload-Length", length.to_string().as_bytes());
    ex.response.line(b"Cache-Control", b"no-store");
    ex.response.status = if dialect == Dialect::Tus { Status::OK } else { Status::NO_CONTENT };
}

/// The file's URI, for clients that do not get it by Location.
pub fn ended(ex: &mut Exchange, dir: &[u8], stored: &Stored) {
    let mut location = Vec::new();
    escape_path(dir, &mut location);
    escape_component(&stored.name, &mut location);
    ex.response.line(b"Content-Location", &location);
    ex.response.etag = Some(stored.etag);
}

/// The fields of a tus response about a complete upload.
pub fn tus_offset(ex: &mut Exchange, offset: u64) {
    ex.response.line(b"Tus-Resumable", tus::VERSION.as_bytes());
    ex.response.line(b"Upload-Offset", offset.to_string().as_bytes());
}

/// The interop version that a client of the draft names, if we support it.
fn named_version(ex: &Exchange) -> Option<u64> {
    ex.header(HeaderId::UploadDraftInteropVersion).and_then(rufh::version)
}

/// The interop version of a client of the draft. A proxy in front may have taken the name of the one with
/// Upload-Incomplete away, or emptied it: what is a part must not be taken for a whole file.
pub fn version(ex: &Exchange) -> Option<u64> {
    let is_part = || ex.header(HeaderId::UploadIncomplete).and_then(rufh::boolean).is_some();
    named_version(ex).or_else(|| is_part().then_some(rufh::INCOMPLETE))
}

/// [`rufh::ends`] of the request.
pub fn ends(ex: &Exchange) -> Option<bool> {
    rufh::ends(version(ex), ex.header(HeaderId::UploadComplete), ex.header(HeaderId::UploadIncomplete))
}

/// Whether an upload takes more content: one that was refused takes none, either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// More is expected.
    Incomplete,
    /// It takes no more.
    Complete,
}

/// Whether the upload is complete, in the field of the client's version.
pub fn completeness(ex: &mut Exchange, complete: Completeness) {
    let value = |is: bool| if is { b"?1" } else { b"?0" };
    ex.response.line(b"Upload-Complete", value(complete == Completeness::Complete));
    // A HEAD whose version a proxy in front has taken away may be of the one that knows no other field.
    let is_head = ex.request.head.method == Method::Head;
    if version(ex).map_or(is_head, |version| version == rufh::INCOMPLETE) {
        ex.response.line(b"Upload-Incomplete", value(complete == Completeness::Incomplete));
    }
}

/// The interop version of a client of the draft that understands 104.
pub fn interop(ex: &Exchange) -> Option<u64> {
    let version = named_version(ex)?;
    (ex.request.head.version != Version::Http10 && ex.progress.tx == Tx::Wait).then_some(version)
}

/// 104 with the upload's URI: from here on it can be resumed.
pub fn begun(ex: &mut Exchange, cx: &mut Services, version: u64, upload: &PendingUpload) {
    let mut fields = Fields::default();
    fields.push(b"Location", &location(ex, upload.id));
    fields.push(b"Upload-Limit", limits_of(ex, cx, upload).to_string().as_bytes());
    interim(ex, version, fields);
}

/// 104 with the upload's offset.
pub fn passed(ex: &mut Exchange, version: u64, offset: u64) {
    let mut fields = Fields::default();
    fields.push(b"Upload-Offset", offset.to_string().as_bytes());
    interim(ex, version, fields);
}

fn interim(ex: &mut Exchange, version: u64, mut fields: Fields) {
    fields.push(b"Upload-Draft-Interop-Version", version.to_string().as_bytes());
    ex.out.interim(Status::UPLOAD_RESUMPTION_SUPPORTED, &fields);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};

    /// The version with Upload-Incomplete hears both; so does a HEAD whose version is not known.
    #[test]
    fn whether_an_upload_is_complete_is_said_in_the_field_of_each_version() {
        let mut site = Site::new("", "");
        for (line, fields, expected) in [
            ("PATCH /", &["Upload-Draft-Interop-Version: 3"][..], true),
            ("PATCH /", &["Upload-Incomplete: ?1"], true),
            ("PATCH /", &["Upload-Draft-Interop-Version: 6"], false),
            ("PATCH /", &[], false),
            ("HEAD /", &[], true),
            ("HEAD /", &["Upload-Draft-Interop-Version: 6"], false),
        ] {
            for (complete, said) in [(Completeness::Complete, ["?1", "?0"]), (Completeness::Incomplete, ["?0", "?1"])] {
                let mut ex = site.at(line, fields, INSIDE);
                completeness(&mut ex, complete);
                let all: Vec<_> = ["Upload-Complete", "Upload-Incomplete"]
                    .iter()
                    .filter_map(|name| ex.response.fields.get(name.to_ascii_lowercase().as_bytes()))
                    .map(|value| String::from_utf8_lossy(value).into_owned())
                    .collect();
                assert_eq!(all, said[..1 + usize::from(expected)], "{line} {fields:?}");
            }
        }
    }
}

//! HTTP/1.x: the head of a passed request: the request line, the fields of proxy_set_header, and the client's fields.
//!
//! Invariant: the framing of the passed request is decided only here; Content-Length and Transfer-Encoding lines of the
//! client or the configuration never reach an upstream.

use super::connection_options::ConnectionOptions;
use super::record::RequestTarget;
use super::request_body::{has_ended_empty, passes_body};
use super::settings::settings;
use super::state::{BodyFraming, RequestBody, UpstreamRequest};
use super::upgrade;
use crate::config::settings::proxy::ProxySettings;
use crate::exchange::{Exchange, variables};
use crate::http::body_length::BodyLength;
use crate::http::field_syntax::is_token;
use crate::http::fields::Fields;
use crate::http::h1::{encode, request};
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::http::version::Version;
use crate::services::Services;
use std::borrow::Cow;

/// Writes the head into `request.out`, decides how the body is framed, and appends the part of the body that has
/// arrived.
pub fn compose(
    request: &mut UpstreamRequest,
    ex: &mut Exchange,
    cx: &mut Services,
    target: &RequestTarget,
) -> Result<(), Status> {
    let settings = settings(ex).clone();
    let caches = settings.cache.takes(ex.route.method);
    // If an upstream switches protocols without being asked, the 101 is passed on, as in nginx; clients other than
    // HTTP/1.1 cannot receive a 101.
    request.asked.passes_101 = ex.nesting.subrequest.is_none() && ex.request.head.version == Version::Http11 && !caches;
    // Up to this size, the allocator's size classes are fastest, and most heads fit.
    let mut out = std::mem::take(&mut request.out);
    out.reserve(768);
    let method = method(ex, cx, &settings, caches)?;
    request.asked.head = method.eq_ignore_ascii_case(b"HEAD");
    request::line(&method, &target.uri, settings.version, &mut out);
    let body = settings.body.as_ref().map(|body| variables::text(body, ex, cx));
    let (length, how) = request_body(ex, body.as_deref(), settings.version)?;
    if let Some(record) = &mut ex.log.upstream {
        record.announced = Some(length);
    }
    request.protocols = set_fields(ex, cx, &settings, &target.host, &mut out);
    request.asked.upgrade = !request.protocols.is_empty() && upgrade::is_wanted(ex);
    request::length(length, &mut out);
    request.framing = if length == BodyLength::Unknown { BodyFraming::Chunked } else { BodyFraming::Plain };
    request.body = how;
    if settings.pass_request_headers {
        passed(ex, &settings.set_headers, caches, &mut out);
    }
    request::end(&mut out);
    let buffered = ex.progress.body.as_ref();
    match (body, buffered) {
        (Some(body), _) => out.extend_from_slice(&body),
        // A body in a file is sent later, piece by piece.
        (None, Some(body)) if settings.pass_request_body => out.extend_from_slice(body.bytes().unwrap_or_default()),
        _ => {}
    }
    request.out = out;
    request.sent = 0;
    Ok(())
}

/// Appends a piece of a body in chunks.
pub(super) fn push_chunk(piece: &[u8], out: &mut Vec<u8>) {
    encode::chunk(piece, out);
}

/// Appends the end of a body in chunks; the client's trailers are not passed on (nginx).
pub(super) fn push_last_chunk(out: &mut Vec<u8>) {
    encode::last_chunk(&Fields::default(), out);
}

/// The method and the fields of a request as it was written.
pub(super) fn written_fields(out: &[u8]) -> Vec<Vec<u8>> {
    request::written_fields(out)
}

/// The announced length, and where the body comes from. `set`: the body of proxy_set_body.
fn request_body(ex: &Exchange, set: Option<&[u8]>, version: Version) -> Result<(BodyLength, RequestBody), Status> {
    let buffered = ex.progress.body.as_ref();
    Ok(match (set, buffered) {
        (Some(body), _) => (BodyLength::Known(body.len() as u64), RequestBody::Whole),
        // The request had a body (nginx): some servers reject a POST without a length.
        _ if ex.progress.body_lost && ex.request.head.body_length != BodyLength::None => {
            (BodyLength::Known(0), RequestBody::Whole)
        }
        _ if !passes_body(ex) => (BodyLength::None, RequestBody::Whole),
        // A subrequest has no body of its own.
        (None, None) if ex.nesting.subrequest.is_some() => (BodyLength::None, RequestBody::Whole),
        (None, None) if has_ended_empty(ex) => (BodyLength::Known(0), RequestBody::Whole),
        (None, Some(body)) => {
            (BodyLength::Known(body.len()), if body.file().is_some() { RequestBody::File } else { RequestBody::Whole })
        }
        (None, None) => match ex.request.head.body_length {
            BodyLength::Known(length) => (BodyLength::Known(length), RequestBody::Streamed),
            _ if ex.request.is_to_be_empty() => (BodyLength::Known(0), RequestBody::Streamed),
            // RFC 9112 §6.1: nothing else tells an HTTP/1.0 server where a body ends.
            _ if version != Version::Http11 => return Err(Status::LENGTH_REQUIRED),
            _ => (BodyLength::Unknown, RequestBody::Streamed),
        },
    })
}

/// The method for the upstream.
fn method<'a>(
    ex: &'a mut Exchange,
    cx: &mut Services,
    settings: &ProxySettings,
    caches: bool,
) -> Result<Cow<'a, [u8]>, Status> {
    let method = match &settings.method {
        Some(template) => Cow::Owned(variables::text(template, ex, cx)),
        // As in nginx on a cache miss.
        None if caches && settings.cache.convert_head && ex.route.method == Method::Head => b"GET".into(),
        None if ex.route.method == ex.request.head.method => ex.request.head.method_name.of(ex.buf()).into(),
        None => ex.route.method.name().as_bytes().into(),
    };
    if is_token(&method) { Ok(method) } else { Err(Status::INTERNAL_SERVER_ERROR) }
}

/// Writes Host, then the fields of proxy_set_header. Returns the protocols that they request an upgrade to.
fn set_fields(
    ex: &mut Exchange,
    cx: &mut Services,
    settings: &ProxySettings,
    host: &[u8],
    out: &mut Vec<u8>,
) -> Vec<u8> {
    let mut value = Vec::new();
    // The last of several lines wins (nginx): one from an include, say, and the location's own.
    let set = settings.set_headers.iter().rfind(|(name, _)| name.eq_ignore_ascii_case(b"host"));
    if let Some((_, template)) = set {
        variables::expand(template, ex, cx, &mut value);
    }
    let takes_own = set.is_none() || value.is_empty() && settings.version == Version::Http11;
    let host = if takes_own { host } else { &value };
    if !host.is_empty() {
        request::field(b"Host", host, out);
    }
    let mut protocols = Vec::new();
    for (name, template) in settings.set_headers.iter() {
        let id = HeaderId::of(name);
        if matches!(id, HeaderId::Host | HeaderId::ContentLength | HeaderId::TransferEncoding) {
            continue;
        }
        value.clear();
        variables::expand(template, ex, cx, &mut value);
        if id == HeaderId::Upgrade {
            // What is copied from the client may ask for a protocol in which its requests would pass unchecked.
            if template.constant().is_none() {
                value = upgrade::without_requests(&value).into_owned();
            }
            upgrade::add(&value, &mut protocols);
        }
        if !value.is_empty() {
            request::field(name, &value, out);
        }
    }
    protocols
}

/// Fields that request a part of the response or make it conditional; they are not passed if the whole response is
/// needed.
pub(super) fn is_conditional_or_range(id: HeaderId) -> bool {
    matches!(
        id,
        HeaderId::IfMatch
            | HeaderId::IfNoneMatch
            | HeaderId::IfModifiedSince
            | HeaderId::IfUnmodifiedSince
            | HeaderId::IfRange
            | HeaderId::Range
    )
}

/// Writes the client's fields, except hop-by-hop fields (RFC 9110 §7.6.1) and those that the configuration sets.
fn passed<T>(ex: &Exchange, set: &[(Box<[u8]>, T)], caches: bool, out: &mut Vec<u8>) {
    let buf = ex.buf();
    let options = ConnectionOptions::of(ex.request.head.all(HeaderId::Connection).map(|field| field.value.of(buf)));
    for field in &ex.request.head.fields {
        let hop = matches!(
            field.id,
            HeaderId::Host
                | HeaderId::Connection
                | HeaderId::ProxyConnection
                | HeaderId::ContentLength
                | HeaderId::TransferEncoding
                | HeaderId::Te
                | HeaderId::KeepAlive
                | HeaderId::Expect
                | HeaderId::Upgrade
        ) || caches && is_conditional_or_range(field.id);
        let name = field.name.of(buf);
        if hop || set.iter().any(|(set, _)| set.eq_ignore_ascii_case(name)) {
            continue;
        }
        if options.name(name) {
            continue;
        }
        request::field(name, field.value.of(buf), out);
    }
}

//! HTTP/1.x: the head of a passed request: its line, what proxy_set_header sets, and what of the client's lines goes along.
//!
//! Invariant: the framing of the passed request is decided here and nowhere else; Content-Length and
//! Transfer-Encoding lines of the client or of the configuration never reach an upstream.

use super::request::Place;
use super::sending::{Body, Framed};
use super::{Proxy, settings};
use crate::exchange::{Exchange, variables};
use crate::http::h1::framing::Framing;
use crate::http::header::{HeaderId, is_token, list};
use crate::http::status::Status;
use crate::http::version::Version;
use crate::services::Services;
use std::cmp::Ordering;
use std::io::Write;

/// Writes the head into `proxy.out`, decides how the body goes, and puts what is there of it behind the head.
pub fn compose(proxy: &mut Proxy, ex: &mut Exchange, cx: &mut Services, place: &Place) -> Result<(), Status> {
    let settings = settings(ex).clone();
    let mut out = Vec::with_capacity(1024);
    match &settings.method {
        Some(method) => variables::expand(method, ex, cx, &mut out),
        None if ex.route.method == ex.request.head.method => {
            out.extend_from_slice(ex.request.head.method_name.of(ex.buf()))
        }
        None => out.extend_from_slice(ex.route.method.name().as_bytes()),
    }
    // As the miss of a cache (nginx).
    let caches = settings.cache.takes(ex.route.method);
    if caches && settings.method.is_none() && settings.cache.convert_head && out == b"HEAD" {
        out.clear();
        out.extend_from_slice(b"GET");
    }
    if !is_token(&out) {
        return Err(Status::INTERNAL_SERVER_ERROR);
    }
    proxy.asked.head = out.eq_ignore_ascii_case(b"HEAD");
    out.push(b' ');
    out.extend_from_slice(&place.uri);
    let http11 = settings.version == Version::Http11;
    out.extend_from_slice(if http11 { b" HTTP/1.1\r\n" } else { b" HTTP/1.0\r\n" });

    let mut value = Vec::new();
    let host = settings.set_headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"host"));
    if let Some((_, template)) = host {
        variables::expand(template, ex, cx, &mut value);
    }
    if host.is_none() || value.is_empty() && http11 {
        value.clone_from(&place.host);
    }
    if !value.is_empty() {
        line(&mut out, b"Host", &value);
    }
    for (name, template) in settings.set_headers.iter() {
        let id = HeaderId::of(name);
        if matches!(id, HeaderId::Host | HeaderId::ContentLength | HeaderId::TransferEncoding) {
            continue;
        }
        value.clear();
        variables::expand(template, ex, cx, &mut value);
        if !value.is_empty() {
            line(&mut out, name, &value);
            proxy.asked.upgrade |= id == HeaderId::Upgrade && ex.sub.is_none();
        }
    }
    let body = settings.body.as_ref().map(|body| variables::text(body, ex, cx));
    let gathered = ex.log.upstream.as_ref().and_then(|record| record.body.as_ref());
    proxy.framed = Framed::Plain;
    proxy.body = match (&body, gathered) {
        (Some(body), _) => {
            let _ = write!(out, "Content-Length: {}\r\n", body.len());
            Body::Whole
        }
        _ if !settings.pass_request_body || ex.request.head.framing == Framing::None => Body::Whole,
        // A subrequest has none of its own.
        (None, None) if ex.sub.is_some() => Body::Whole,
        (None, Some(body)) => {
            let _ = write!(out, "Content-Length: {}\r\n", body.len());
            if body.file().is_some() { Body::File } else { Body::Whole }
        }
        (None, None) => match ex.request.head.framing {
            Framing::Length(length) => {
                let _ = write!(out, "Content-Length: {length}\r\n");
                Body::Streamed
            }
            // RFC 9112 §6.1: there is no other way to tell an HTTP/1.0 server where a body ends.
            _ if !http11 => return Err(Status::LENGTH_REQUIRED),
            _ => {
                out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
                proxy.framed = Framed::Chunked;
                Body::Streamed
            }
        },
    };
    if settings.pass_request_headers {
        passed(ex, &settings.set_headers, caches, &mut out);
    }
    out.extend_from_slice(b"\r\n");
    match (body, gathered) {
        (Some(body), _) => out.extend_from_slice(&body),
        // What is in a file follows piece by piece.
        (None, Some(body)) if settings.pass_request_body => out.extend_from_slice(body.bytes().unwrap_or_default()),
        _ => {}
    }
    proxy.out = out;
    proxy.sent = 0;
    Ok(())
}

/// Lines that are not passed where the whole response is asked for.
pub(super) fn is_about_a_part(id: HeaderId) -> bool {
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

/// The client's lines but those of one hop (RFC 9110 §7.6.1) and those that the configuration sets.
fn passed<T>(ex: &Exchange, set: &[(Box<[u8]>, T)], caches: bool, out: &mut Vec<u8>) {
    let buf = ex.buf();
    // Sorted once: each of a thousand fields compared with each of thousands of options would cost milliseconds.
    let mut options: Vec<&[u8]> =
        ex.request.head.all(HeaderId::Connection).flat_map(|c| list(c.value.of(buf))).collect();
    options.sort_unstable_by(|a, b| ignoring_case(a, b));
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
        ) || caches && is_about_a_part(field.id);
        let name = field.name.of(buf);
        if hop || set.iter().any(|(set, _)| set.eq_ignore_ascii_case(name)) {
            continue;
        }
        if options.binary_search_by(|option| ignoring_case(option, name)).is_ok() {
            continue;
        }
        line(out, name, field.value.of(buf));
    }
}

fn ignoring_case(a: &[u8], b: &[u8]) -> Ordering {
    a.iter().map(u8::to_ascii_lowercase).cmp(b.iter().map(u8::to_ascii_lowercase))
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend(value.iter().map(|b| if *b < b' ' && *b != b'\t' || *b == 0x7f { b' ' } else { *b }));
    out.extend_from_slice(b"\r\n");
}

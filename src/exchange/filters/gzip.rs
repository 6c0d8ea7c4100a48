//! gzip: for bodies of the configured types, and clients that accept it. Small bodies are compressed at once and have a
//! length; longer ones are compressed while they are sent. A file's compressed form is cached with it.

use crate::config::settings::gzip::{Gzip, Proxied};
use crate::exchange::Exchange;
use crate::exchange::basis::Cacheable;
use crate::exchange::body_encoder::{Encoder, Source};
use crate::exchange::request::is_old_msie;
use crate::exchange::response::Body;
use crate::http::date;
use crate::http::field_syntax;
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::http::version::Version;
use crate::services::Services;
use crate::services::compressors::Compressors;
use std::rc::Rc;

/// Bodies up to this size are compressed before the head is written, smaller ones at potentially slow levels.
const AT_ONCE: u64 = 64 << 10;
const SLOW_AT_ONCE: u64 = 16 << 10;

/// gzip, gzip_types, gzip_proxied and the like, as nginx's gzip filter. The ETag becomes weak, ranges are no longer
/// offered, `Vary` is added by gzip_vary even where this client accepts no gzip.
pub fn apply(ex: &mut Exchange, cx: &mut Services) -> Cacheable {
    if !ex.location().settings.gzip.on {
        return Cacheable::Yes;
    }
    let gzip = ex.location().settings.gzip.clone();
    let Some(length) = may_be_compressed(ex, &gzip) else { return Cacheable::Yes };
    // gzip_proxied's `expired` depends on the current time.
    let by_time = gzip.proxied.expired && ex.response.fields.get(b"expires").is_some();
    let accepted = is_accepted(ex, cx.now.unix);
    let typed = (accepted || gzip.vary) && gzip.types.contains(ex.response.content_type.as_bytes());
    // gzip_static or the upstream may have added it already.
    let varies = |(name, value): (&[u8], &[u8])| name.eq_ignore_ascii_case(b"vary") && value == b"Accept-Encoding";
    if typed && gzip.vary && !ex.response.fields.iter().any(varies) {
        ex.response.line(b"Vary", b"Accept-Encoding");
    }
    // An encoder keeps its memory for as long as its client takes to read the response.
    let spares = typed && accepted && cx.overload.is_tight();
    let compressed = typed && accepted && !spares;
    let head_only = ex.route.method == Method::Head || ex.request.head.method == Method::Head;
    if compressed {
        compress(ex, cx, &gzip, length, head_only);
    }
    // For HEAD, the compressed length is only known after a GET has had the body compressed.
    if by_time || spares || compressed && head_only { Cacheable::No } else { Cacheable::Yes }
}

/// The body's length, if its status, type and size allow compression. Some(None): the length is unknown.
fn may_be_compressed(ex: &Exchange, gzip: &Gzip) -> Option<Option<u64>> {
    let status = matches!(ex.response.status, Status::OK | Status::FORBIDDEN | Status::NOT_FOUND);
    // A digest requested by the client is that of the uncompressed file.
    let fixed = ex.response.encoded || ex.response.digest.is_some();
    if !status || fixed {
        return None;
    }
    let length = match &ex.response.body {
        Body::Bytes(bytes) => Some(bytes.len() as u64),
        Body::Shared(bytes) => Some(bytes.len() as u64),
        Body::File(file) => Some(file.stat.size),
        Body::Stream { length } => *length,
        Body::Made(_) => None,
        _ => return None,
    };
    length.is_none_or(|n| n >= gzip.min_length.0).then_some(length)
}

fn compress(ex: &mut Exchange, cx: &mut Services, gzip: &Gzip, length: Option<u64>, head_only: bool) {
    let tally = ex.response.tally.insert(Rc::default()).clone();
    let recode = ex.response.recode.take();
    let compressors = cx.compressors.clone();
    let text = match &ex.response.body {
        Body::Bytes(bytes) => &bytes[..],
        Body::Shared(bytes) => &bytes[..],
        _ => b"",
    };
    if let Some(made) = compressors.made(gzip.level, text) {
        tally.set((text.len() as u64, made.len() as u64));
        ex.response.body = Body::Shared(made);
        return mark(ex);
    }
    let text: Option<Box<[u8]>> = Compressors::is_small(text).then(|| text.into());
    let encoder = compressors.encoder(gzip.level, length);
    if !head_only {
        cx.overload.grow(encoder.size());
    }
    let source = match std::mem::take(&mut ex.response.body) {
        Body::Bytes(bytes) => Source::bytes(bytes),
        Body::Shared(bytes) => Source::bytes(bytes.to_vec()),
        Body::File(file) => {
            if recode.is_none()
                && let Some(bytes) = file.gzip(gzip.level)
            {
                tally.set((file.stat.size, bytes.len() as u64));
                ex.response.body = Body::Shared(bytes);
                return mark(ex);
            }
            let end = file.stat.size;
            Source::file(file, 0, end).recode(recode).keep(gzip.level)
        }
        Body::Made(source) => *source,
        Body::Stream { .. } => {
            ex.response.body = Body::Stream { length: None };
            let body = ex.response.encoder.get_or_insert_with(Box::<Encoder>::default);
            body.gzip(encoder);
            body.tell(&tally);
            return mark(ex);
        }
        body => {
            ex.response.body = body;
            return;
        }
    };
    let most = if encoder.is_slow() { SLOW_AT_ONCE } else { AT_ONCE };
    let source = source.gzip(encoder, &tally);
    ex.response.body = match source.left() <= most && !head_only {
        true => at_once(source, gzip.level, text, ex, cx),
        false => Body::Made(Box::new(source)),
    };
    mark(ex);
}

/// Compresses a small body whole, so that its length is known. `text`: the same bytes, if the result is to be cached.
fn at_once(source: Source, level: u32, text: Option<Box<[u8]>>, ex: &mut Exchange, cx: &mut Services) -> Body {
    match source.whole(&mut cx.scratch) {
        Ok(bytes) => {
            if let Some(text) = text {
                cx.compressors.remember(level, text, &bytes);
            }
            Body::Bytes(bytes)
        }
        Err(_) => {
            ex.response.status = Status::INTERNAL_SERVER_ERROR;
            Body::Empty
        }
    }
}

/// Adapts the head to a compressed body.
fn mark(ex: &mut Exchange) {
    ex.response.line(b"Content-Encoding", b"gzip");
    ex.response.encoded = true;
    ex.response.ranges = false;
    // An upstream's Accept-Ranges refers to the uncompressed bytes.
    ex.response.fields.remove(b"accept-ranges");
    ex.response.weaken();
}

/// Whether the request allows gzip: by its version, proxies, browser, and Accept-Encoding.
pub fn is_accepted(ex: &Exchange, now: i64) -> bool {
    let gzip = &ex.location().settings.gzip;
    let asked = ex.request.head.all(HeaderId::AcceptEncoding).any(|field| takes_gzip(field.value.of(ex.buf())));
    if !asked || ex.request.head.version == Version::Http10 && !gzip.http10 {
        return false;
    }
    if ex.header(HeaderId::Via).is_some() && !proxied(ex, now) {
        return false;
    }
    let Some(agent) = ex.header(HeaderId::UserAgent) else { return true };
    !(gzip.disable.msie6 && is_old_msie(agent) || gzip.disable.agents.iter().any(|p| p.is_match(agent).unwrap_or(true)))
}

/// Whether the list contains gzip with a weight other than zero (RFC 9110 §12.5.3). With any other parameter it does
/// not (nginx).
fn takes_gzip(value: &[u8]) -> bool {
    field_syntax::list(value).any(|item| {
        let mut parts = item.split(|b| *b == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        name.eq_ignore_ascii_case(b"gzip") && parts.next().is_none_or(has_weight) && parts.next().is_none()
    })
}

/// Of a parameter: none, or a weight of 0.001 to 1.
fn has_weight(parameter: &[u8]) -> bool {
    parameter.is_empty() || field_syntax::weight(parameter).is_some_and(|weight| weight > 0)
}

/// gzip_proxied in nginx's order: decided by the response's freshness fields; allowed if there are none.
fn proxied(ex: &Exchange, now: i64) -> bool {
    let allowed = ex.location().settings.gzip.proxied;
    if allowed == Proxied::default() {
        return false;
    }
    if allowed.any || allowed.auth && ex.header(HeaderId::Authorization).is_some() {
        return true;
    }
    let response = &ex.response;
    if let Some(expires) = response.fields.get(b"expires") {
        let date = match response.date.as_deref() {
            Some(date) => date::parse(date),
            None => Some(now),
        };
        return allowed.expired && date::parse(expires).zip(date).is_some_and(|(expires, date)| expires < date);
    }
    if response.fields.get(b"cache-control").is_some() {
        let says = |word: &[u8]| {
            let mut items = response.fields.all(b"cache-control").flat_map(field_syntax::list);
            items.any(|item| item.eq_ignore_ascii_case(word))
        };
        return allowed.no_cache && says(b"no-cache")
            || allowed.no_store && says(b"no-store")
            || allowed.private && says(b"private");
    }
    let has_etag = response.etag.is_some() || response.fields.get(b"etag").is_some();
    let has_date = response.last_modified.is_some() || response.fields.get(b"last-modified").is_some();
    !(allowed.no_last_modified && has_date || allowed.no_etag && has_etag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::response::ContentType;
    use crate::exchange::testing::{INSIDE, Site};
    use crate::services::overload::MemoryStage;

    #[test]
    fn no_response_takes_an_encoder_while_memory_is_scarce() {
        let mut site = Site::new("", "location / { gzip on; }");
        for (stage, expected) in [(MemoryStage::Normal, true), (MemoryStage::Tight, false)] {
            site.cx.overload.set_stage(stage);
            let mut ex = site.at("GET /", &["Accept-Encoding: gzip"], INSIDE);
            ex.response.text(Status::OK, ContentType::Static("text/html"), vec![b'x'; 2000]);
            let cacheable = matches!(apply(&mut ex, &mut site.cx), Cacheable::Yes);
            assert_eq!((ex.response.encoded, cacheable), (expected, expected), "{stage:?}");
        }
    }

    #[test]
    fn gzip_must_be_asked_for() {
        for (name, value, expected) in [
            ("named", "gzip", true),
            ("among others", "deflate, gzip;q=0.5, br", true),
            ("any case", "GZIP", true),
            ("refused", "gzip;q=0", false),
            ("refused with digits", "gzip; q=0.000", false),
            ("refused by what is no number", "gzip;q=abc", false),
            ("the least there is", "gzip;q=0.001", true),
            ("the most", "gzip;q=1.000", true),
            ("more than there is", "gzip;q=1.1", false),
            ("four digits", "gzip;q=0.0001", false),
            ("four digits of one", "gzip;q=1.0000", false),
            ("a number with more behind it", "gzip;q=0.5x", false),
            ("another parameter", "gzip;a=b", false),
            ("one behind the weight", "gzip;q=0.5;a=b", false),
            ("an empty one", "gzip;", true),
            ("another", "br", false),
            ("a star does not count", "*", false),
        ] {
            assert_eq!(super::takes_gzip(value.as_bytes()), expected, "{name}");
        }
    }
}

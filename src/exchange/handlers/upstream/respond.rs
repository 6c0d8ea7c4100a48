//! What an upstream's response head means: the next server, another location, an error page, or the client's answer.

use super::{Fault, Phase, Proxy, cookie, rewrite, settings};
use crate::config::model::Level;
use crate::config::settings::proxy::{Ignore, Next};
use crate::config::value::Size;
use crate::exchange::flow::Flow;
use crate::exchange::response::{Body, ContentType, Window};
use crate::exchange::{Exchange, error_page};
use crate::http::cond::{self, Validators};
use crate::http::escape::unescape;
use crate::http::h1::head::Field;
use crate::http::h1::response::{Ending, ResponseHead};
use crate::http::header::{HeaderId, list, trim_ows};
use crate::http::method::Method;
use crate::http::range::{self, Ranges};
use crate::http::status::Status;
use crate::http::{date, uri};
use crate::services::Services;

/// Fields that the client does not get unless proxy_pass_header says so.
pub(super) const HIDDEN: [&[u8]; 8] = [
    b"date",
    b"server",
    b"x-pad",
    b"x-accel-expires",
    b"x-accel-redirect",
    b"x-accel-limit-rate",
    b"x-accel-buffering",
    b"x-accel-charset",
];

/// The same of what scripts answer.
pub(super) const HIDDEN_OF_SCRIPTS: [&[u8]; 6] = [
    b"status",
    b"x-accel-expires",
    b"x-accel-redirect",
    b"x-accel-limit-rate",
    b"x-accel-buffering",
    b"x-accel-charset",
];

/// Fields of which only the first counts (nginx).
const SINGLE: [&[u8]; 8] =
    [b"content-type", b"date", b"etag", b"expires", b"last-modified", b"location", b"refresh", b"server"];

/// The bit of proxy_next_upstream that names a status.
pub fn next_of(code: u16) -> Option<Next> {
    Some(match code {
        500 => Next::HTTP_500,
        502 => Next::HTTP_502,
        503 => Next::HTTP_503,
        504 => Next::HTTP_504,
        403 => Next::HTTP_403,
        404 => Next::HTTP_404,
        429 => Next::HTTP_429,
        _ => return None,
    })
}

/// The head is complete in `proxy.input`.
pub fn judge(proxy: &mut Proxy, ex: &mut Exchange, cx: &mut Services) -> Result<Flow, Fault> {
    let Some((head, bytes)) = ex.log.upstream.as_ref().map(|record| (record.head.clone(), record.bytes.clone())) else {
        return Err(Fault::Error);
    };
    let code = head.status;
    if proxy.goes_on(ex, cx, code) {
        return Err(Fault::Status(code));
    }
    let settings = settings(ex).clone();
    if !settings.ignore.charset {
        ex.route.kept.charset = head.value(&bytes, b"x-accel-charset").filter(|name| !name.is_empty()).map(Into::into);
    }
    if proxy.is_program()
        && let Some(target) = head.local_redirect(&bytes)
    {
        keep_lines(&head, &bytes, ex);
        return Ok(elsewhere(ex, target));
    }
    if !settings.ignore.redirect
        && let Some(target) = head.value(&bytes, b"x-accel-redirect")
    {
        keep_lines(&head, &bytes, ex);
        return Ok(elsewhere(ex, target));
    }
    if code >= 300 && settings.intercept_errors && error_page::has(ex, Status(code)) {
        for field in &head.fields {
            if field.name.of(&bytes).eq_ignore_ascii_case(b"www-authenticate") {
                ex.response.line(b"WWW-Authenticate", field.value.of(&bytes));
            }
        }
        return Ok(Flow::Status(Status(code)));
    }
    answer(proxy, &head, &bytes, ex, cx);
    let caches = settings.cache.takes(ex.route.method) && is_cacheable(&head, &bytes, settings.ignore, cx.now.unix);
    ex.response.conditional = caches;
    if code == 200 && (settings.force_ranges || caches && head.value(&bytes, b"accept-ranges").is_some()) {
        return Ok(part(&head, &bytes, ex));
    }
    Ok(Flow::Respond)
}

/// A cache would take the response, as far as its fields say (nginx's rules).
fn is_cacheable(head: &ResponseHead, bytes: &[u8], ignore: Ignore, now: i64) -> bool {
    let value = |name: &[u8], ignored: bool| head.value(bytes, name).filter(|_| !ignored);
    if value(b"set-cookie", ignore.set_cookie).is_some() || value(b"vary", ignore.vary) == Some(b"*") {
        return false;
    }
    if let Some(expires) = value(b"x-accel-expires", ignore.accel_expires) {
        return expires != b"0";
    }
    if let Some(control) = value(b"cache-control", ignore.cache_control) {
        let has = |word: &[u8]| list(control).any(|one| one.eq_ignore_ascii_case(word));
        let never: [&[u8]; 5] = [b"no-cache", b"no-store", b"private", b"max-age=0", b"s-maxage=0"];
        if never.into_iter().any(has) {
            return false;
        }
        if memchr::memmem::find(control, b"max-age=").is_some() {
            return true;
        }
    }
    value(b"expires", ignore.expires).is_none_or(|expires| date::parse(expires).is_some_and(|at| at > now))
}

/// proxy_force_ranges: the one range that a GET asks for is cut out of the whole (nginx: never several).
fn part(head: &ResponseHead, bytes: &[u8], ex: &mut Exchange) -> Flow {
    ex.response.fields.remove(b"accept-ranges");
    let Body::Stream { length: Some(size) } = ex.response.body else { return Flow::Respond };
    ex.response.ranges = ex.here().settings.output.max_ranges != Some(0);
    if !ex.response.ranges || ex.request.head.method != Method::Get || ex.route.error_page.is_some() {
        return Flow::Respond;
    }
    let Some(value) = ex.header(HeaderId::Range) else { return Flow::Respond };
    if ex.request.head.get(HeaderId::IfRange).is_some() {
        let validators = Validators {
            etag: head.value(bytes, b"etag"),
            modified: ex.response.last_modified.as_ref().map(|(at, _)| *at),
            exists: true,
        };
        if !cond::if_range(&ex.request.head, ex.buf(), &validators) {
            return Flow::Respond;
        }
    }
    match range::parse(value, size, Some(1)) {
        Ranges::One(range) => ex.response.window = Some(Window::new(range, size)),
        Ranges::Unsatisfiable => {
            ex.response.clear();
            ex.response.line(b"Content-Range", format!("bytes */{size}").as_bytes());
            return Flow::Status(Status::RANGE_NOT_SATISFIABLE);
        }
        Ranges::None | Ranges::Many(_) => {}
    }
    Flow::Respond
}

/// X-Accel-Redirect: an internal redirect, asked for by GET.
fn elsewhere(ex: &mut Exchange, target: &[u8]) -> Flow {
    if ex.route.method != Method::Head {
        ex.route.method = Method::Get;
    }
    if target.starts_with(b"@") {
        return Flow::Named(target.into());
    }
    let mut path = Vec::new();
    // Such a URI is made from something a client sent: it is not for us to guess which file is meant.
    unescape(target.split(|b| *b == b'?').next().unwrap_or_default(), &mut path);
    if path.split(|b| *b == b'/').any(|segment| segment == b"..") {
        return Flow::Status(Status::NOT_FOUND);
    }
    match uri::normalize(target, ex.here().settings.client.merge_slashes, &mut path) {
        Ok(normal) => {
            ex.route.args.clear();
            ex.route.args.extend_from_slice(normal.query.map(|query| query.of(target)).unwrap_or_default());
            ex.route.uri = path;
            ex.route.rewritten = true;
            ex.route.broke = false;
            Flow::Redirect
        }
        Err(_) => Flow::Status(Status::NOT_FOUND),
    }
}

/// What stays of a response that leads elsewhere (nginx's list).
fn keep_lines(head: &ResponseHead, bytes: &[u8], ex: &mut Exchange) {
    const KEPT: [&[u8]; 5] = [b"set-cookie", b"content-disposition", b"cache-control", b"expires", b"accept-ranges"];
    ex.response.fields.clear();
    ex.route.kept.content_type = head.value(bytes, b"content-type").map(Into::into);
    for field in &head.fields {
        let name = field.name.of(bytes);
        if KEPT.iter().any(|kept| kept.eq_ignore_ascii_case(name)) {
            ex.response.line(name, field.value.of(bytes));
        }
    }
    ex.route.kept.fields = std::mem::take(&mut ex.response.fields);
}

/// The response as the client gets it, but for its body.
fn answer(proxy: &mut Proxy, head: &ResponseHead, input: &[u8], ex: &mut Exchange, cx: &mut Services) {
    let settings = settings(ex).clone();
    ex.response.clear();
    ex.response.status = Status(head.status);
    let reason = head.reason.of(input);
    if reason != Status(head.status).reason().as_bytes() {
        ex.response.reason = Some(reason.into());
    }
    for (at, field) in head.fields.iter().enumerate() {
        let (name, value) = (field.name.of(input), field.value.of(input));
        let same = |other: &Field| other.name.of(input).eq_ignore_ascii_case(name);
        if SINGLE.iter().any(|n| n.eq_ignore_ascii_case(name)) && head.fields[..at].iter().any(same) {
            let name = String::from_utf8_lossy(name).into_owned();
            ex.report(cx, Level::Warn, format_args!("upstream sent duplicate header line: \"{name}\", ignored"));
            continue;
        }
        let is = |names: &[Box<[u8]>]| names.iter().any(|n| n.eq_ignore_ascii_case(name));
        if is(&settings.hide_headers) || proxy.hides(name) && !is(&settings.pass_headers) {
            continue;
        }
        match field.id {
            HeaderId::ContentLength
            | HeaderId::TransferEncoding
            | HeaderId::Connection
            | HeaderId::KeepAlive
            | HeaderId::ProxyConnection => {}
            HeaderId::ContentType => {
                ex.response.content_type = ContentType::Shared(value.into());
                // What led here by X-Accel-Redirect said another.
                ex.route.kept.content_type = None;
            }
            HeaderId::Date => ex.response.date = Some(value.into()),
            _ => named(ex, cx, name, value),
        }
    }
    if !settings.ignore.limit_rate
        && let Some(rate) = head.value(input, b"x-accel-limit-rate").and_then(|value| Size::parse(value).ok())
    {
        ex.limit_rate = Some(rate.0);
    }
    let buffering = head.value(input, b"x-accel-buffering").filter(|_| !settings.ignore.buffering);
    ex.response.at_once = match buffering.map(<[u8]>::to_ascii_lowercase).as_deref() {
        Some(b"yes") => false,
        Some(b"no") => true,
        _ => !settings.buffering,
    };
    ex.response.upgrade = head.status == 101;
    ex.response.body = Body::Stream {
        length: match head.ending {
            Ending::None => head.length,
            Ending::Length(length) => Some(length),
            Ending::Chunked | Ending::Close => None,
        },
    };
    if head.status == 101 {
        proxy.phase = Phase::Tunnel;
        ex.closes = true;
    }
}

/// The server of a tunnel is there: its client hears so, and what follows is between the two.
pub fn open_tunnel(proxy: &mut Proxy, ex: &mut Exchange) {
    if let Some(one) = ex.log.upstream.as_mut().and_then(|record| record.last()) {
        one.status = 200;
        one.header = one.connect;
    }
    ex.response.clear();
    ex.response.upgrade = true;
    ex.response.body = Body::Stream { length: None };
    ex.closes = true;
    proxy.phase = Phase::Tunnel;
}

/// The trailers have come: kept for variables, and for the client where it is to have them.
pub fn trailers(ex: &mut Exchange, lines: Vec<u8>) {
    let settings = settings(ex).clone();
    let Some(record) = &mut ex.log.upstream else { return };
    record.trailers = lines;
    if !settings.pass_trailers || !ex.out.takes_trailers() {
        return;
    }
    for (name, value) in record.trailer_lines() {
        let is = |names: &[Box<[u8]>]| names.iter().any(|n| n.eq_ignore_ascii_case(name));
        let hidden = HIDDEN.iter().any(|n| n.eq_ignore_ascii_case(name));
        let hop = matches!(
            HeaderId::of(name),
            HeaderId::ContentLength | HeaderId::TransferEncoding | HeaderId::Connection | HeaderId::KeepAlive
        );
        if !hop && !is(&settings.hide_headers) && (!hidden || is(&settings.pass_headers)) {
            ex.response.trailers.push(name, value);
        }
    }
}

/// Fields without an id of their own.
fn named(ex: &mut Exchange, cx: &mut Services, name: &[u8], value: &[u8]) {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    if is("server") {
        ex.response.server = Some(value.into());
    } else if is("last-modified") {
        match (date::parse(value), <[u8; 29]>::try_from(trim_ows(value))) {
            (Some(at), Ok(text)) => ex.response.last_modified = Some((at, text)),
            _ => ex.response.line(name, value),
        }
    } else if is("content-encoding") {
        ex.response.encoded = !value.is_empty();
        ex.response.line(name, value);
    } else if is("location") {
        match rewrite::location(ex, cx, value) {
            // What we made of it is ours to make absolute (nginx).
            Some(ours) => ex.response.location = Some(ours),
            None => ex.response.line(name, value),
        }
    } else if is("refresh") {
        let value = rewrite::refresh(ex, cx, value);
        ex.response.line(name, &value);
    } else if is("set-cookie") {
        let value = cookie::rewrite(ex, cx, value);
        ex.response.line(name, &value);
    } else {
        ex.response.line(name, value);
    }
}

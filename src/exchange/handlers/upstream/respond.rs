//! What an upstream's response head leads to: the next server, another location, an error page, or the response to the
//! client.

use super::fault::UpstreamFault;
use super::record::ReceivedHead;
use super::settings::settings;
use super::state::{UpstreamPhase, UpstreamRequest};
use super::{cookie, rewrite, upgrade};
use crate::config::model::Level;
use crate::config::settings::proxy::{Ignore, ProxySettings};
use crate::config::value::Size;
use crate::exchange::flow::Flow;
use crate::exchange::response::{Body, ContentType, Window};
use crate::exchange::{Exchange, Printable, error_page};
use crate::http::cond;
use crate::http::escape::{escape_path, unescape};
use crate::http::field::Field;
use crate::http::field_syntax::{is_field_value, list, push_value};
use crate::http::fields::Fields;
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::range::{self, Ranges};
use crate::http::status::Status;
use crate::http::upstream_head::{Ending, UpstreamHead};
use crate::http::{date, uri};
use crate::services::Services;
use crate::util::clean_path::has_parent;
use std::borrow::Cow;

/// Fields of which only the first line counts (nginx).
fn is_single(id: HeaderId) -> bool {
    matches!(
        id,
        HeaderId::ContentType
            | HeaderId::Date
            | HeaderId::Etag
            | HeaderId::Expires
            | HeaderId::LastModified
            | HeaderId::Location
            | HeaderId::Refresh
            | HeaderId::Server
            | HeaderId::Status
            | HeaderId::XAccelExpires
            | HeaderId::XAccelLimitRate
            | HeaderId::XAccelRedirect
    )
}

/// Whether an error page of this server replaces a response with this status.
pub fn is_intercepted(ex: &Exchange, status: Status) -> bool {
    status.0 >= 300 && settings(ex).intercept_errors && error_page::has(ex, status)
}

/// The head is complete: decides how to continue.
pub fn handle_head(
    request: &mut UpstreamRequest,
    ex: &mut Exchange,
    cx: &mut Services,
    head: &ReceivedHead,
) -> Result<Flow, UpstreamFault> {
    let code = head.head.status;
    if request.tries_next(ex, cx, code) {
        return Err(UpstreamFault::Status(code));
    }
    let settings = settings(ex).clone();
    if code == 101 && request.asked.upgrade {
        check_switch(request, ex, cx, head)?;
    }
    if is_intercepted(ex, Status(code)) {
        // Only for 401: with any other status it would have no meaning (nginx).
        for (_, _, value) in head.fields().filter(|(field, ..)| field.id == HeaderId::WwwAuthenticate && code == 401) {
            ex.response.line(b"WWW-Authenticate", value);
        }
        return Ok(Flow::Status(Status(code)));
    }
    rate(head, ex, &settings);
    if !settings.ignore.charset {
        ex.route.kept.charset = head.get(HeaderId::XAccelCharset).filter(|name| !name.is_empty()).map(Into::into);
    }
    if request.is_program()
        && let Some(target) = head.head.local_redirect(&head.bytes)
    {
        keep_lines(head, ex, cx);
        return Ok(accel_redirect(ex, cx, target));
    }
    if !settings.ignore.redirect
        && let Some(target) = head.get(HeaderId::XAccelRedirect)
    {
        keep_lines(head, ex, cx);
        return Ok(accel_redirect(ex, cx, target));
    }
    answer(request, head, ex, cx);
    let caches = settings.cache.takes(ex.route.method) && is_cacheable(head, settings.ignore, cx.now.unix);
    ex.response.conditional = caches;
    if settings.force_ranges {
        // Ranges are served by this server, and only for a 200 (nginx).
        ex.response.fields.remove(b"accept-ranges");
    }
    if code == 200 && (settings.force_ranges || caches && head.get(HeaderId::AcceptRanges).is_some()) {
        return Ok(part(ex, cx.now.unix));
    }
    Ok(Flow::Respond)
}

/// A 101 to a protocol that was not asked for makes no tunnel.
fn check_switch(
    request: &UpstreamRequest,
    ex: &mut Exchange,
    cx: &mut Services,
    head: &ReceivedHead,
) -> Result<(), UpstreamFault> {
    let answer = head.fields().filter(|(field, ..)| field.id == HeaderId::Upgrade).map(|(.., value)| value);
    let Some(other) = upgrade::unasked(answer, &request.protocols) else { return Ok(()) };
    let what = format_args!("upstream sent 101 with \"Upgrade: {}\", which was not asked for,", Printable(other));
    ex.report(cx, Level::Error, format_args!("{what} while reading response header from upstream"));
    Err(UpstreamFault::InvalidHeader)
}

/// Whether a cache would store the response according to its fields (nginx's rules).
fn is_cacheable(head: &ReceivedHead, ignore: Ignore, now: i64) -> bool {
    let value = |id: HeaderId, ignored: bool| head.get(id).filter(|_| !ignored);
    if value(HeaderId::SetCookie, ignore.set_cookie).is_some() || value(HeaderId::Vary, ignore.vary) == Some(b"*") {
        return false;
    }
    if let Some(expires) = value(HeaderId::XAccelExpires, ignore.accel_expires) {
        return expires != b"0";
    }
    if let Some(control) = value(HeaderId::CacheControl, ignore.cache_control) {
        let has = |word: &[u8]| list(control).any(|one| one.eq_ignore_ascii_case(word));
        let never: [&[u8]; 5] = [b"no-cache", b"no-store", b"private", b"max-age=0", b"s-maxage=0"];
        if never.into_iter().any(has) {
            return false;
        }
        if memchr::memmem::find(control, b"max-age=").is_some() {
            return true;
        }
    }
    value(HeaderId::Expires, ignore.expires).is_none_or(|expires| date::parse(expires).is_some_and(|at| at > now))
}

/// proxy_force_ranges: serves the single range of a GET from the whole response (nginx: never several).
fn part(ex: &mut Exchange, now: i64) -> Flow {
    ex.response.fields.remove(b"accept-ranges");
    let Body::Stream { length: Some(size) } = ex.response.body else { return Flow::Respond };
    ex.response.ranges = ex.location().settings.output.max_ranges != Some(0);
    if !ex.response.ranges || ex.request.head.method != Method::Get || ex.route.error_page.is_some() {
        return Flow::Respond;
    }
    let Some(value) = ex.header(HeaderId::Range) else { return Flow::Respond };
    let holds = || {
        let validators = ex.response.validators(now);
        ex.request.head.get(HeaderId::IfRange).is_none() || cond::if_range(&ex.request.head, ex.buf(), &validators)
    };
    match range::parse(value, size, Some(1)) {
        // add_header may still change what If-Range is compared with: the filter of ranges does that.
        Ranges::One(range) => ex.response.window = Some(Window::new(range, size)),
        Ranges::Unsatisfiable if holds() => {
            ex.response.clear();
            ex.response.line(b"Content-Range", format!("bytes */{size}").as_bytes());
            return Flow::Status(Status::RANGE_NOT_SATISFIABLE);
        }
        Ranges::None | Ranges::Many(_) | Ranges::Unsatisfiable => {}
    }
    Flow::Respond
}

/// X-Accel-Redirect: an internal redirect with GET; a named location gets the request unchanged (nginx).
fn accel_redirect(ex: &mut Exchange, cx: &mut Services, target: &[u8]) -> Flow {
    if target.starts_with(b"@") {
        return Flow::Named(target.into());
    }
    let (text, args) = uri::split_args(target);
    let (mut path, mut escaped) = (Vec::new(), Vec::new());
    // The URI may contain client input, so it must be unambiguous which file it names. Applications insert file names
    // without escaping: a `%` without two digits, and `#`, are literal (nginx).
    unescape(text, &mut path);
    escape_path(&path, &mut escaped);
    let slashes = uri::Slashes::of(ex.location().settings.client.merge_slashes);
    if has_parent(&path) || !path.starts_with(b"/") || uri::normalize(&escaped, slashes, &mut path).is_err() {
        return bad_target(ex, cx, target);
    }
    if ex.route.method != Method::Head {
        ex.route.method = Method::Get;
    }
    ex.route.args.clear();
    ex.route.args.extend_from_slice(args.unwrap_or_default());
    ex.route.args_set = args.is_some();
    ex.route.uri = path;
    ex.route.rewritten = true;
    ex.route.broke = false;
    Flow::Redirect
}

fn bad_target(ex: &mut Exchange, cx: &mut Services, target: &[u8]) -> Flow {
    let what = format_args!("unsafe URI \"{}\" was detected", Printable(target));
    ex.report(cx, Level::Error, format_args!("{what} while reading response header from upstream"));
    Flow::Status(Status::NOT_FOUND)
}

/// Keeps the fields of a response that redirects internally (nginx's list), in addition to those of earlier ones.
fn keep_lines(head: &ReceivedHead, ex: &mut Exchange, cx: &mut Services) {
    const KEPT: [HeaderId; 5] = [
        HeaderId::SetCookie,
        HeaderId::ContentDisposition,
        HeaderId::CacheControl,
        HeaderId::Expires,
        HeaderId::AcceptRanges,
    ];
    ex.response.fields = std::mem::take(&mut ex.route.kept.fields);
    if let Some(kind) = head.get(HeaderId::ContentType) {
        ex.route.kept.content_type = Some(clean(kind).into());
    }
    for (field, name, value) in head.fields().filter(|(field, ..)| KEPT.contains(&field.id)) {
        named(ex, cx, field.id, (name, value, head.head.has_controls));
    }
    ex.route.kept.fields = std::mem::take(&mut ex.response.fields);
}

/// X-Accel-Limit-Rate: the rate for the client, also after X-Accel-Redirect.
fn rate(received: &ReceivedHead, ex: &mut Exchange, settings: &ProxySettings) {
    if !settings.ignore.limit_rate
        && let Some(rate) = received.get(HeaderId::XAccelLimitRate).and_then(|value| Size::parse(value).ok())
    {
        ex.progress.limit_rate = Some(rate.0);
    }
}

/// Decides by X-Accel-Buffering or else by the configuration whether the response is passed on without buffering.
fn pace(received: &ReceivedHead, ex: &mut Exchange, settings: &ProxySettings) {
    let buffering = received.get(HeaderId::XAccelBuffering).filter(|_| !settings.ignore.buffering);
    ex.response.at_once = match buffering.map(<[u8]>::to_ascii_lowercase).as_deref() {
        Some(b"yes") => false,
        Some(b"no") => true,
        _ => !settings.buffering,
    };
}

/// A head with its bytes, without repeated fields of which only the first counts; these are logged in nginx's words.
pub(super) fn without_duplicates(
    mut head: UpstreamHead,
    bytes: Vec<u8>,
    ex: &mut Exchange,
    cx: &mut Services,
) -> ReceivedHead {
    if !head.repeats {
        return ReceivedHead { head, bytes };
    }
    let show = |field: &Field| format!("{}: {}", Printable(field.name.of(&bytes)), Printable(field.value.of(&bytes)));
    let mut at = 0;
    while let Some(field) = head.fields.get(at) {
        let same = || head.fields[..at].iter().find(|first| first.id == field.id);
        let Some(first) = is_single(field.id).then(same).flatten() else {
            at += 1;
            continue;
        };
        let (line, previous) = (show(field), show(first));
        let what = format_args!("duplicate header line: \"{line}\", previous value: \"{previous}\", ignored");
        ex.report(cx, Level::Warn, format_args!("upstream sent {what} while reading response header from upstream"));
        head.fields.remove(at);
    }
    ReceivedHead { head, bytes }
}

/// Sets the head of the response to the client.
fn answer(request: &mut UpstreamRequest, received: &ReceivedHead, ex: &mut Exchange, cx: &mut Services) {
    let settings = settings(ex).clone();
    let head = &received.head;
    ex.response.clear();
    ex.response.status = Status(head.status);
    let reason = head.reason.of(&received.bytes);
    // A missing reason phrase counts as the upstream's own only in HTTP.
    let has_own = !reason.is_empty() || request.protocol.is_http();
    // If an upstream's status equals one of nginx's internal codes, it is passed on unchanged (nginx).
    let stays = Status(head.status).on_the_wire().0 != head.status;
    if stays || has_own && reason != Status(head.status).reason().as_bytes() {
        ex.response.reason = Some(reason.into());
    }
    let options = received.connection_options();
    for (field, name, value) in received.fields() {
        if !request.protocol.passes(&settings, field.id, name) || options.withhold(field.id, name) {
            continue;
        }
        match field.id {
            HeaderId::ContentType => {
                ex.response.content_type = ContentType::Shared(ex.spare.share_type(&clean(value)));
                // The response that redirected here by X-Accel-Redirect had another type.
                ex.route.kept.content_type = None;
            }
            HeaderId::Date => ex.response.date = Some(clean(value).into()),
            id => named(ex, cx, id, (name, value, head.has_controls)),
        }
    }
    if request.protocol.is_http() {
        // Fields named by proxy_pass_header are the upstream's, even if it did not send them (nginx).
        let passes = |name: &[u8]| settings.pass_headers.iter().any(|n| n.eq_ignore_ascii_case(name));
        for (slot, name) in [(&mut ex.response.date, &b"date"[..]), (&mut ex.response.server, b"server")] {
            if slot.is_none() && passes(name) {
                *slot = Some(Box::default());
            }
        }
    }
    pace(received, ex, &settings);
    let switches = head.status == 101 && request.asked.upgrade;
    ex.response.upgrade = switches;
    // It was asked by HEAD (proxy_method) for a client that waits for as many bytes as the head announces.
    let is_emptied = request.asked.head
        && ex.route.method != Method::Head
        && ex.request.head.method != Method::Head
        && !Status(head.status).has_no_content();
    ex.response.body = Body::Stream {
        length: match head.ending {
            Ending::None if is_emptied => Some(0),
            Ending::None => head.length,
            Ending::Length(length) => Some(length),
            Ending::Mark | Ending::Close => None,
        },
    };
    if switches {
        request.phase = UpstreamPhase::Tunnel;
    }
    // A client that did not request an upgrade may misread what follows this head: close the connection after it.
    ex.progress.closes |= head.status == 101;
}

/// The server of a tunnel is connected: answers 200; from now on, bytes are copied in both directions.
pub fn open_tunnel(request: &mut UpstreamRequest, ex: &mut Exchange) {
    if let Some(one) = ex.log.upstream.as_mut().and_then(|record| record.last()) {
        one.header = one.connect;
    }
    ex.response.clear();
    ex.response.upgrade = true;
    ex.response.body = Body::Stream { length: None };
    ex.progress.closes = true;
    request.phase = UpstreamPhase::Tunnel;
}

/// Processes the trailers: keeps them for variables, and passes them to the client if it accepts them. Without
/// proxy_pass_trailers they are ignored (nginx).
pub fn trailers(ex: &mut Exchange, fields: Fields) {
    let settings = settings(ex).clone();
    let Some(record) = ex.log.upstream.as_mut().filter(|_| settings.pass_trailers) else { return };
    record.trailers = fields;
    if !ex.out.takes_trailers() {
        return;
    }
    let head = record.head.clone();
    let options = head.as_ref().map(|head| head.connection_options());
    for (name, value) in record.trailers.iter() {
        let id = HeaderId::of(name);
        let ends = options.as_ref().is_some_and(|options| options.withhold(id, name));
        if !ends && record.protocol.passes(&settings, id, name) {
            ex.response.trailers.push(name, value);
        }
    }
}

/// Control bytes become blanks, as in all other fields ([`Fields::push`](crate::http::fields::Fields::push)).
fn clean(value: &[u8]) -> Cow<'_, [u8]> {
    if is_field_value(value) {
        return Cow::Borrowed(value);
    }
    let mut clean = Vec::with_capacity(value.len());
    push_value(value, &mut clean);
    Cow::Owned(clean)
}

/// A field's name and value, and whether some value of its head has control bytes.
type Received<'a> = (&'a [u8], &'a [u8], bool);

/// Sets a field of the response itself, or one that may have to be rewritten; all others are passed on unchanged.
fn named(ex: &mut Exchange, cx: &mut Services, id: HeaderId, (name, value, has_controls): Received<'_>) {
    match id {
        HeaderId::Server => ex.response.server = Some(clean(value).into()),
        HeaderId::ContentEncoding => {
            ex.response.encoded = !value.is_empty();
            ex.response.line(name, value);
        }
        HeaderId::Location => match rewrite::location(ex, cx, value) {
            // A rewritten one is made absolute by us (nginx).
            Some(ours) => ex.response.location = Some(ours),
            None => ex.response.line(name, value),
        },
        HeaderId::Refresh => {
            let value = rewrite::refresh(ex, cx, value);
            ex.response.line(name, &value);
        }
        HeaderId::SetCookie => {
            let value = cookie::rewrite(ex, cx, value);
            ex.response.line(name, &value);
        }
        _ if has_controls => ex.response.line(name, value),
        _ => ex.response.fields.push_checked(name, value),
    }
}

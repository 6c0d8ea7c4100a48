//! Responses that may be cached: those that depend only on the request's bytes, the configuration and one file.
//! [`learn`] keeps such a response, [`render`] makes the next one of it, and [`access_log::sent`] logs that.
//!
//! Invariant: a cached response is byte for byte what the phases would have made, but for the date, and so is its line
//! in each log. Only what its handler and all filters vouch for is cached ([`super::basis`]).

use super::access_log::{self, ClientFacts};
use super::handlers::failure::Failure;
use super::{Exchange, Rx, Tx, variables};
use crate::config::model::{Level, LineFormat};
use crate::config::settings::client::Lingering;
use crate::config::settings::logs::{AccessLog, AccessTarget, Escape, LogFormat};
use crate::config::template::{Builtin, Part, Var};
use crate::http::body_length::BodyLength;
use crate::http::method::Method;
use crate::http::request_head::RequestHead;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::configured_dirs::DirGenerations;
use crate::services::logs::Who;
use crate::services::open_files::OpenFile;
use crate::services::response_cache::{CachedBody, CachedResponse, Piece};
use crate::services::stats::Counter;
use crate::sys::Errno;
use crate::util::span::Span;
use std::cell::RefCell;
use std::rc::Rc;

/// The longest body that is kept with the response, where it is not a whole file.
const BODY: usize = 4 << 10;

/// The longest header block: it fits into one frame of any peer's.
const BLOCK: usize = 16_000;

/// The longest response that is cached: longer ones are sent in turns, by an exchange.
const LARGEST: u64 = 1 << 20;

/// Caches the response to a request that was seen before, if it may be. `key`: the cache key, where that is not the
/// request's head.
pub fn learn(hash: u64, key: Option<&[u8]>, ex: &mut Exchange, cx: &mut Services) {
    if is_repeatable(ex, cx)
        && let Some(cached) = made(key, ex, cx)
    {
        cx.response_cache.keep(hash, cached);
    }
}

fn is_repeatable(ex: &Exchange, cx: &Services) -> bool {
    let location = ex.location();
    let request = matches!(ex.request.head.method, Method::Get | Method::Head)
        && ex.route.method == ex.request.head.method
        && ex.request.head.body_length == BodyLength::None
        && ex.progress.rx == Rx::Done;
    // All that the request went through gives the same result each time.
    let course = ex.basis.is_one_file()
        && ex.route.error_page.is_none()
        && ex.nesting.subrequest.is_none()
        && ex.client.proxy_header.is_none()
        && ex.progress.limit_slots.is_empty();
    // HTTP/2: a stream ends with its response, whatever becomes of the connection.
    let ends_as_usual = match ex.out.has_frames() {
        true => !ex.progress.closes,
        false => {
            ex.out.keeps_connection() == (ex.request.head.keep_alive && !ex.progress.closes)
                && location.settings.client.lingering != Lingering::Always
        }
    };
    // Frames are filled from the file whatever sendfile says.
    let goes_by_file = location.settings.files.sendfile || ex.out.has_frames();
    let answer = ex.progress.tx == Tx::Done
        && !ex.progress.abort
        && ex.progress.pause.is_none()
        && ends_as_usual
        && (ex.out.is_text() || goes_by_file && ex.out.pending() <= LARGEST);
    request && course && answer && Rc::ptr_eq(&ex.config, &cx.config)
}

/// The text of an entry while it grows.
#[derive(Default)]
struct Text(Vec<u8>);

impl Text {
    fn add(&mut self, bytes: &[u8]) -> Span {
        let start = self.0.len();
        self.0.extend_from_slice(bytes);
        Span::new(start, self.0.len())
    }
}

/// The queued response, in the parts that are cached.
struct Parts<'a> {
    head: &'a [u8],
    /// Offset of the value of Date in the head.
    date: usize,
    /// The body, unless it is a file.
    content: &'a [u8],
    by_sendfile: bool,
}

impl Parts<'_> {
    fn of<'a>(ex: &'a Exchange, file: Option<&Rc<OpenFile>>) -> Option<Parts<'a>> {
        if ex.out.has_frames() {
            let framed = ex.out.framed()?;
            let by_sendfile = match (framed.file, file) {
                (None, _) => false,
                (Some(sent), Some(file)) if Rc::ptr_eq(sent, file) && framed.body.is_empty() => true,
                _ => return None,
            };
            return Some(Parts { head: framed.head, date: framed.date, content: framed.body, by_sendfile });
        }
        let by_sendfile = file.is_some_and(|file| ex.out.ends_with(file));
        let length = if by_sendfile { ex.log.head_size } else { ex.out.response_queued() };
        let length = usize::try_from(length).ok()?;
        let head_size = usize::try_from(ex.log.head_size).ok()?;
        let waiting = ex.out.unframed(head_size, length)?;
        Some(Parts { head: waiting.head, date: waiting.date, content: waiting.body, by_sendfile })
    }
}

fn made(key: Option<&[u8]>, ex: &mut Exchange, cx: &mut Services) -> Option<CachedResponse> {
    let mut text = Text::default();
    let request = text.add(key.or_else(|| ex.buf().get(..ex.request.head.len))?);
    let mut name = std::mem::take(&mut ex.route.path);
    name.push(0);
    let path = text.add(&name);
    let opened = std::ffi::CStr::from_bytes_with_nul(&name)
        .ok()
        .and_then(|p| cx.files.open_with_lookup(p, &cx.now, &mut cx.dir_watch));
    name.pop();
    ex.route.path = name;
    let (found, lookup) = opened?;

    let is_framed = ex.out.has_frames();
    let Parts { head, date, content, by_sendfile } = Parts::of(ex, found.as_ref().ok())?;
    if is_framed && head.len() > BLOCK {
        return None;
    }
    if head.get(date..date + cx.now.http.len())? != cx.now.http {
        return None;
    }
    let body = match &found {
        // The Last-Modified of a file from the future changes with the clock.
        Ok(file) if file.stat.mtime.0 > cx.now.unix => return None,
        Ok(_) if by_sendfile => CachedBody::File,
        Ok(file) if !content.is_empty() && file.memory() == Some(content) => CachedBody::Memory,
        _ => CachedBody::Kept,
    };
    let kept = if body == CachedBody::Kept { content } else { b"" };
    if kept.len() > BODY {
        return None;
    }
    let start = text.add(&head[..date]);
    let rest = text.add(&head[date + cx.now.http.len()..]);
    let content = text.add(kept);

    let (error_text, error_request) = error_line(found.as_ref().map(drop).map_err(|e| *e), ex, &mut text)?;
    let logs = ex.location().settings.logs.clone();
    let line = access_line(&logs.access, ex, cx, &mut text)?;
    Some(CachedResponse {
        endpoint: ex.client.endpoint,
        server: ex.route.server,
        location: ex.route.location,
        client: ex.location().settings.client.clone(),
        logs,
        status: ex.response.status,
        keep_alive: ex.out.keeps_connection(),
        body,
        head_size: ex.log.head_size,
        text: text.0.into(),
        request,
        path,
        start,
        rest,
        content,
        error_text,
        error_request,
        line,
        file: found.map(|file| Rc::downgrade(&file)),
        dirs: ex.basis.dirs(),
        lookup: RefCell::new(lookup),
    })
}

/// The line that this response put into the error log: its part about the file and its part about the request, both
/// empty if there was none. None: it cannot be written again from what is kept.
fn error_line(found: Result<(), Errno>, ex: &Exchange, text: &mut Text) -> Option<(Span, Span)> {
    let mut line = (Span::default(), Span::default());
    let mut reports = 0;
    match (found, ex.response.status) {
        (Ok(()), Status::OK | Status::PARTIAL_CONTENT | Status::NOT_MODIFIED) => {}
        (Err(_), Status::NOT_FOUND) if is_logged_otherwise(ex) => return None,
        (Err(e), Status::NOT_FOUND) if ex.location().settings.files.log_not_found => {
            reports = 1;
            let failure = Failure { call: "open()", path: &ex.route.path, e };
            let mut request = Vec::new();
            ex.asked_what(LineFormat::Text, &mut request);
            line = (text.add(failure.to_string().as_bytes()), text.add(&request));
        }
        (Err(_), Status::NOT_FOUND) => {}
        _ => return None,
    }
    // Something else was logged: it would have to be logged again.
    (ex.log.reports.get() == reports).then_some(line)
}

/// The pieces of the access log's line. None: there are several logs, or one that is not written to for each request.
fn access_line(logs: &[AccessLog], ex: &mut Exchange, cx: &mut Services, text: &mut Text) -> Option<Box<[Piece]>> {
    match logs {
        [] => Some(Box::default()),
        [AccessLog { target: AccessTarget::File(_), condition: None, format, .. }] => pieces(format, ex, cx, text),
        _ => None,
    }
}

/// Whether the error log's line cannot be cached: it is not in nginx's form, or names what changes with each request.
fn is_logged_otherwise(ex: &Exchange) -> bool {
    ex.config.variables.request_id || ex.location().settings.logs.error.all().any(|log| log.format == LineFormat::Json)
}

/// The line of an access log as constant and computed parts. None: one of its parts cannot be computed for a cached
/// response.
fn pieces(format: &LogFormat, ex: &mut Exchange, cx: &mut Services, text: &mut Text) -> Option<Box<[Piece]>> {
    let (mut pieces, mut fixed, mut value) = (Vec::new(), Vec::new(), Vec::new());
    for part in &format.line.parts {
        let var = match part {
            Part::Literal(literal) => {
                fixed.extend_from_slice(literal);
                continue;
            }
            Part::Capture(group) => {
                access_log::escaped(format.escape, variables::capture(ex, *group), &mut fixed);
                continue;
            }
            Part::Var(var) => var,
        };
        if ex.config.variables.redefinition(var).is_some() {
            return None;
        }
        match of_answer(var, ex)? {
            CachedValue::Changing(piece) => {
                if !fixed.is_empty() {
                    pieces.push(Piece::Text(text.add(&fixed)));
                    fixed.clear();
                }
                pieces.push(piece);
            }
            CachedValue::Value => {
                value.clear();
                match variables::value(var, ex, cx, &mut value) {
                    variables::Is::Unset if format.escape == Escape::Default => fixed.push(b'-'),
                    _ => access_log::escaped(format.escape, &value, &mut fixed),
                }
            }
        }
    }
    fixed.push(b'\n');
    pieces.push(Piece::Text(text.add(&fixed)));
    Some(pieces.into())
}

/// How the value of a variable in a log line is found when the same request comes again.
enum CachedValue {
    /// Its present value, which stays the same.
    Value,
    Changing(Piece),
}

/// None: it cannot be known.
fn of_answer(var: &Var, ex: &Exchange) -> Option<CachedValue> {
    use Builtin as B;
    Some(match var {
        Var::Arg(_) | Var::Http(_) | Var::Cookie(_) | Var::SentHttp(_) | Var::SentTrailer(_) | Var::Absent => {
            CachedValue::Value
        }
        // No upstream was asked.
        Var::UpstreamHttp(_) | Var::UpstreamCookie(_) | Var::UpstreamTrailer(_) => CachedValue::Value,
        Var::User(_) | Var::ProxyProtocolTlv(_) | Var::UploadField(_) => return None,
        Var::Builtin(builtin) => match builtin {
            B::RemoteAddr => CachedValue::Changing(Piece::RemoteAddr),
            B::RemotePort => CachedValue::Changing(Piece::RemotePort),
            B::Connection => CachedValue::Changing(Piece::Connection),
            B::ConnectionRequests => CachedValue::Changing(Piece::ConnectionRequests),
            B::TimeLocal => CachedValue::Changing(Piece::TimeLocal),
            B::TimeIso8601 => CachedValue::Changing(Piece::TimeIso8601),
            B::Msec => CachedValue::Changing(Piece::Msec),
            B::RequestTime => CachedValue::Changing(Piece::RequestTime),
            B::Args | B::QueryString | B::IsArgs | B::Uri | B::DocumentUri | B::RequestUri | B::Request => {
                CachedValue::Value
            }
            B::RequestMethod | B::Host | B::Hostname | B::ServerName | B::ServerPort | B::ServerProtocol => {
                CachedValue::Value
            }
            B::Scheme | B::Https | B::RemoteUser | B::ContentLength | B::ContentType | B::RequestLength => {
                CachedValue::Value
            }
            B::RequestPort | B::IsRequestPort | B::Status | B::Pid => CachedValue::Value,
            B::BytesSent => CachedValue::Changing(Piece::BytesSent(ex.bytes_sent())),
            B::BodyBytesSent => CachedValue::Changing(Piece::BodyBytesSent(ex.body_bytes_sent())),
            B::NginxVersion | B::GzipRatio | B::ProxyHost | B::ProxyPort => CachedValue::Value,
            B::ProxyInternalBodyLength | B::ProxyInternalChunked => CachedValue::Value,
            B::UpstreamAddr | B::UpstreamStatus | B::UpstreamCacheStatus | B::UpstreamResponseTime => {
                CachedValue::Value
            }
            B::UpstreamConnectTime | B::UpstreamHeaderTime | B::UpstreamResponseLength => CachedValue::Value,
            B::UpstreamBytesSent | B::UpstreamBytesReceived => CachedValue::Value,
            _ => return None,
        },
    })
}

/// The file behind the text of a response, sent by sendfile.
pub type Tail = Option<Rc<OpenFile>>;

/// Appends a cached response. None: it is out of date, and nothing was appended.
pub fn render(cached: &CachedResponse, client: ClientFacts<'_>, cx: &mut Services, out: &mut Vec<u8>) -> Option<Tail> {
    let file = check(cached, client, cx)?;
    head(cached, cx, out);
    out.extend_from_slice(content(cached, file.as_ref()));
    Some(file.filter(|_| cached.body == CachedBody::File))
}

/// Checks that a cached response still holds, and gives its file, if it has one. Counts it as sent, and writes a 404 to
/// the error log. None: it is out of date.
pub fn check(cached: &CachedResponse, client: ClientFacts<'_>, cx: &mut Services) -> Option<Option<Rc<OpenFile>>> {
    let file = cached.is_current(&mut cx.files, &cx.now, &mut cx.dir_watch)?;
    if cached.dirs != DirGenerations::default() && !lie_as_before(cached.dirs, cx) {
        return None;
    }
    if let (Some(file), CachedBody::Memory) = (&file, cached.body) {
        file.memory()?;
    }
    cx.stats.count(Counter::Requests);
    cx.stats.count(Counter::CacheHits);
    if !cached.error_text.is_empty() {
        // Only lines in nginx's form are cached ([`is_logged_otherwise`]).
        let asked = |_: LineFormat, line: &mut Vec<u8>| {
            line.extend_from_slice(cached.bytes(cached.error_text));
            line.extend_from_slice(b", client: ");
            variables::put_peer(client.peer, line);
            line.extend_from_slice(cached.bytes(cached.error_request));
        };
        let who = Who { serial: client.serial, asked: &asked };
        cx.logs.error(&cached.logs.error, Level::Error, &mut cx.now, Some(who), format_args!(""));
    }
    Some(file)
}

/// Whether the directories whose places decided lie where they did then.
fn lie_as_before(dirs: DirGenerations, cx: &mut Services) -> bool {
    let (config, now) = (&cx.config, cx.now.ms);
    dirs.hidden.is_none_or(|known| cx.hidden_dirs.generation(config, now) == Ok(known))
        && dirs.stored.is_none_or(|known| cx.store_dirs.generation(config, now) == Ok(known))
}

/// Appends the head of a cached response.
pub fn head(cached: &CachedResponse, cx: &Services, out: &mut Vec<u8>) {
    out.extend_from_slice(cached.bytes(cached.start));
    out.extend_from_slice(&cx.now.http);
    out.extend_from_slice(cached.bytes(cached.rest));
}

/// The body of a cached response that is in memory.
pub fn content<'a>(cached: &'a CachedResponse, file: Option<&'a Rc<OpenFile>>) -> &'a [u8] {
    match cached.body {
        CachedBody::Kept => cached.bytes(cached.content),
        CachedBody::Memory => file.and_then(|file| file.memory()).unwrap_or_default(),
        CachedBody::File => b"",
    }
}

/// Puts the exchange into the state in which the response is being sent, as far as the connection and the error log
/// need it. `head`: of the request that is in `cached`, as are the facts for the access log.
pub fn resume(ex: &mut Exchange, cached: &Rc<CachedResponse>, head: RequestHead) {
    if let Some(request) = Rc::get_mut(&mut ex.request) {
        request.text.extend_from_slice(cached.bytes(cached.request));
        request.head = head;
    }
    ex.route.method = ex.request.head.method;
    ex.progress.cached_rest = Some(cached.clone());
    ex.route.server = cached.server;
    ex.route.location = cached.location;
    ex.progress.rx = Rx::Done;
    ex.progress.tx = Tx::Done;
    ex.response.status = cached.status;
    ex.log.head_size = cached.head_size;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ids::EndpointId;
    use crate::exchange::testing::{INSIDE, Site};
    use crate::exchange::{entry, handlers::Handler, phases};

    /// What is sent again ends no connection, as the stream's own response would have.
    #[test]
    fn the_answer_of_a_stream_is_kept_unless_its_connection_ends_with_it() {
        for closes in [false, true] {
            let mut site = Site::new("", "location / { access_log off; }");
            std::fs::write(site.root().join("g"), "content").expect("written");
            let mut ex = site.at("GET /g", &[], INSIDE);
            let cx = &mut site.cx;
            // Old enough to be trusted.
            cx.now.jump(60_000);
            cx.now.advance();
            ex.out.use_frames();
            let mut handler = Handler::None;
            entry::begin(&mut ex, &mut handler, cx);
            ex.progress.closes = closes;
            phases::send(&mut ex, &mut handler, cx);
            assert_eq!((ex.response.status.0, ex.progress.tx), (200, Tx::Done));
            let hash = cx.response_cache.hash(EndpointId(0), b"key");
            learn(hash, Some(b"key"), &mut ex, cx);
            assert_eq!(cx.response_cache.find(hash, EndpointId(0), b"key").is_some(), !closes, "{closes}");
        }
    }
}

//! Variables of a request: what `$name` is worth now. Values are appended to the caller's buffer; nothing is computed
//! that is not asked for.

mod date;
mod geo;
mod map;
mod murmur;
pub mod referer;
mod script_name;
pub mod tables;

use super::handlers::upstream::record::{Record, What};
use super::{Exchange, paths};
use crate::config::model::Level;
use crate::config::template::{Builtin, Part, Source, Template, Var};
use crate::http::escape;
use crate::http::h1::framing::Framing;
use crate::http::header::HeaderId;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::clock::Clock;
use crate::sys::clock::Zone;
use crate::sys::socket::Peer;
use crate::sys::{process, random};
use crate::util::decimal;
use std::io::Write;

/// Whether a variable has a value; an unset one is empty, and `-` in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Is {
    Set,
    Unset,
}

/// Appends the template's value to `out`.
pub fn expand(template: &Template, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) {
    for part in &template.parts {
        match part {
            Part::Literal(text) => out.extend_from_slice(text),
            Part::Capture(group) => out.extend_from_slice(capture(ex, *group)),
            Part::Var(var) => {
                value(var, ex, cx, out);
            }
        }
    }
}

/// The template's value as a buffer of its own.
pub fn text(template: &Template, ex: &mut Exchange, cx: &mut Services) -> Vec<u8> {
    let mut out = Vec::new();
    expand(template, ex, cx, &mut out);
    out
}

/// nginx's truth: neither empty nor "0".
pub fn is_true(value: &[u8]) -> bool {
    !matches!(value, b"" | b"0")
}

pub fn capture(ex: &Exchange, group: u8) -> &[u8] {
    match ex.route.groups.get(usize::from(group)).copied().flatten() {
        Some((start, end)) => ex.route.subject.get(start as usize..end as usize).unwrap_or_default(),
        None => b"",
    }
}

/// Appends the value of one variable.
pub fn value(var: &Var, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) -> Is {
    ex.varies = true;
    match var {
        Var::Builtin(builtin) => builtin_value(*builtin, ex, cx, out),
        Var::Arg(name) => put(argument(&ex.route.args, name), out),
        Var::Http(name) => request_header(ex, name, out),
        Var::Cookie(name) => put(cookie(ex, name), out),
        Var::SentHttp(name) => sent_header(ex, name, out),
        Var::SentTrailer(name) => joined(ex.response.trailers.iter(), name, out),
        Var::ProxyProtocolTlv(name) => {
            let name = String::from_utf8_lossy(name);
            put(ex.introduction().and_then(|header| header.tlv(&name)).as_deref(), out)
        }
        Var::UploadField(name) => put(ex.log.upload.as_ref().and_then(|record| record.field(name)), out),
        Var::Absent => Is::Unset,
        Var::UpstreamHttp(name) => upstream(ex, |record| record.header(name, out)),
        Var::UpstreamCookie(name) => upstream(ex, |record| record.cookie(name, out)),
        Var::UpstreamTrailer(name) => upstream(ex, |record| record.trailer(name, out)),
        Var::User(at) => user(*at, ex, cx, out),
    }
}

/// What the kernel knows of the client's connection; unset for one that is not TCP.
fn tcp_info(ex: &Exchange, pick: impl Fn(&crate::sys::socket::TcpInfo) -> u32, out: &mut Vec<u8>) -> Is {
    match crate::sys::socket::tcp_info(ex.client.socket) {
        Ok(info) => number(pick(&info), out),
        Err(_) => Is::Unset,
    }
}

fn upstream(ex: &Exchange, show: impl FnOnce(&Record) -> bool) -> Is {
    match ex.log.upstream.as_deref().map(show) {
        Some(true) => Is::Set,
        _ => Is::Unset,
    }
}

fn put(value: Option<&[u8]>, out: &mut Vec<u8>) -> Is {
    match value {
        Some(value) => {
            out.extend_from_slice(value);
            Is::Set
        }
        None => Is::Unset,
    }
}

/// What is empty was not there.
fn set(value: &[u8], out: &mut Vec<u8>) -> Is {
    put(Some(value).filter(|value| !value.is_empty()), out)
}

/// nginx's `$gzip_ratio`: how many times smaller, rounded to two digits.
fn ratio((taken, made): (u64, u64), out: &mut Vec<u8>) -> Is {
    if made == 0 {
        return Is::Unset;
    }
    let hundredths = (taken.saturating_mul(1000) / made + 5) / 10;
    write!(out, "{}.{:02}", hundredths / 100, hundredths % 100).expect("a Vec takes all that is written");
    Is::Set
}

fn number(n: impl std::fmt::Display, out: &mut Vec<u8>) -> Is {
    write!(out, "{n}").expect("a Vec takes all that is written");
    Is::Set
}

/// `$remote_addr`.
pub fn put_peer(peer: &Peer, out: &mut Vec<u8>) {
    match peer.octets() {
        [a, b, c, d] => decimal::push_dotted([*a, *b, *c, *d], out),
        _ => {
            number(peer, out);
        }
    }
}

/// A port; 0 is that of an address without one, and empty.
pub fn put_port(port: u16, out: &mut Vec<u8>) {
    if port > 0 {
        decimal::push(u64::from(port), 0, out);
    }
}

fn port(port: u16, out: &mut Vec<u8>) -> Is {
    put_port(port, out);
    Is::Set
}

/// `$msec`: Unix seconds and milliseconds.
pub fn put_msec(now: &Clock, out: &mut Vec<u8>) {
    write!(out, "{}.{:03}", now.unix, now.nanos / 1_000_000).expect("a Vec takes all that is written");
}

/// A port of a PROXY header, if there was one.
fn introduced_port(named: Option<u16>, out: &mut Vec<u8>) -> Is {
    named.map_or(Is::Unset, |named| port(named, out))
}

/// Milliseconds as nginx prints times: seconds with three digits.
pub fn put_seconds(ms: u64, out: &mut Vec<u8>) {
    write!(out, "{}.{:03}", ms / 1000, ms % 1000).expect("a Vec takes all that is written");
}

fn seconds(ms: u64, out: &mut Vec<u8>) -> Is {
    put_seconds(ms, out);
    Is::Set
}

fn user(at: u32, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) -> Is {
    if let Some(Some(value)) = ex.route.user.get(at as usize) {
        out.extend_from_slice(value);
        return Is::Set;
    }
    let config = ex.config.clone();
    match config.variables.defined.get(at as usize) {
        Some((name, Source::Stored)) => {
            if ex.here().settings.logs.uninitialized {
                // Nothing but the log is written once all is queued.
                let doing = if ex.tx == super::Tx::Done { " while logging request" } else { "" };
                ex.report(cx, Level::Warn, format_args!("using uninitialized \"{name}\" variable{doing}"));
            }
            // Said once a request (nginx).
            ex.set_user(at, Box::default());
            Is::Set
        }
        Some((_, Source::Captured)) => Is::Unset,
        Some((_, source)) => tables::value(source, at, ex, cx, out),
        None => Is::Unset,
    }
}

/// The first argument of that name; names ignore case (nginx).
fn argument<'a>(args: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    if name.is_empty() {
        return None;
    }
    args.split(|b| *b == b'&').find_map(|pair| {
        let at = memchr::memchr(b'=', pair)?;
        pair[..at].eq_ignore_ascii_case(name).then(|| &pair[at + 1..])
    })
}

/// Header lines of that name (`_` for `-`), joined by a comma.
fn request_header(ex: &Exchange, name: &[u8], out: &mut Vec<u8>) -> Is {
    let buf = ex.buf();
    let mut is = Is::Unset;
    for field in &ex.request.head.fields {
        let written = field.name.of(buf);
        let same = written.len() == name.len()
            && written.iter().zip(name).all(|(a, b)| a.to_ascii_lowercase() == *b || *a == b'-' && *b == b'_');
        if same {
            if is == Is::Set {
                out.extend_from_slice(if name == b"cookie" { b"; " } else { b", " });
            }
            out.extend_from_slice(field.value.of(buf));
            is = Is::Set;
        }
    }
    is
}

fn cookie<'a>(ex: &'a Exchange, name: &[u8]) -> Option<&'a [u8]> {
    let buf = ex.buf();
    ex.request.head.all(HeaderId::Cookie).find_map(|field| cookie_of(field.value.of(buf), name))
}

/// nginx's reading: a name begins the line or follows a `;`, its value ends at the next, and blanks around `=` are passed.
fn cookie_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = line;
    loop {
        if let Some((word, after)) = rest.split_at_checked(name.len())
            && word.eq_ignore_ascii_case(name)
            && let [b'=', value @ ..] = blanks_off(after)
        {
            return blanks_off(value).split(|b| *b == b';').next();
        }
        let end = memchr::memchr(b';', rest)?;
        rest = blanks_off(rest.get(end + 1..).unwrap_or_default());
    }
}

fn blanks_off(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|b| **b == b' ').count();
    text.get(blanks..).unwrap_or_default()
}

fn sent_header(ex: &Exchange, name: &[u8], out: &mut Vec<u8>) -> Is {
    let response = &ex.response;
    match name {
        b"content_type" if response.status.has_no_content() => return Is::Unset,
        b"content_type" => return set(response.content_type.as_bytes(), out),
        b"accept_ranges" if response.ranges && response.status == Status::OK => return put(Some(b"bytes"), out),
        b"transfer_encoding" if ex.out.is_chunked() => return put(Some(b"chunked"), out),
        b"content_length" if response.announced.is_some() => return number(response.announced.unwrap_or(0), out),
        b"last_modified" if response.last_modified.is_some() => {
            return put(response.last_modified.as_ref().map(|(_, text)| &text[..]), out);
        }
        b"etag" if response.etag.is_some() => return put(response.etag.as_ref().map(|tag| tag.as_bytes()), out),
        b"location" if response.location.is_some() => return put(response.location.as_deref(), out),
        b"connection" if response.upgrade => return put(Some(b"upgrade"), out),
        b"connection" => return put(Some(if ex.out.keep_alive { b"keep-alive" } else { b"close" }), out),
        b"content_length" if ex.tx != super::Tx::Wait => return Is::Unset,
        b"content_length" => {
            return match response.body.length() {
                Some(n) => number(n, out),
                None => Is::Unset,
            };
        }
        _ => {}
    }
    joined(response.fields.iter(), name, out)
}

/// The values of all fields of that name, joined by commas.
fn joined<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>, name: &[u8], out: &mut Vec<u8>) -> Is {
    let mut is = Is::Unset;
    for (written, value) in fields {
        let same = written.len() == name.len()
            && written.iter().zip(name).all(|(a, b)| a.to_ascii_lowercase() == *b || *a == b'-' && *b == b'_');
        if same {
            if is == Is::Set {
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(value);
            is = Is::Set;
        }
    }
    is
}

fn when(found: bool) -> Is {
    if found { Is::Set } else { Is::Unset }
}

fn builtin_value(builtin: Builtin, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) -> Is {
    use Builtin as B;
    let endpoint_addr = |ex: &Exchange| ex.config.endpoints[ex.client.endpoint.at()].addr.clone();
    match builtin {
        B::AcmeCertificate | B::AcmeCertificateKey => {
            let texts = ex.server().acme.and_then(|id| cx.acme.texts(id));
            let text = texts.map(|(chain, key)| if builtin == B::AcmeCertificate { chain } else { key });
            put(text.map(|text| ["data:", text].concat()).as_deref().map(str::as_bytes), out)
        }
        B::Args | B::QueryString => set(&ex.route.args, out),
        B::IsArgs => put(Some(if ex.route.args.is_empty() { b"" } else { b"?" }), out),
        // Of a target that is refused it is empty; without one there is none (nginx).
        B::Uri | B::DocumentUri | B::FastcgiScriptName
            if ex.route.uri.is_empty() && ex.request.head.origin.is_empty() =>
        {
            Is::Unset
        }
        B::Uri | B::DocumentUri => put(Some(&ex.route.uri), out),
        B::FastcgiScriptName => {
            script_name::name(ex, out);
            Is::Set
        }
        B::FastcgiPathInfo => {
            script_name::path_info(ex, out);
            Is::Set
        }
        // Of what is no request line there is nothing to tell.
        B::RequestUri | B::RequestMethod | B::ServerProtocol if ex.request.head.target.is_empty() => Is::Unset,
        B::RequestUri => {
            // Without scheme and host, whatever form the target had.
            let origin = ex.request.head.origin.of(ex.buf());
            if origin.is_empty() || origin.starts_with(b"?") {
                out.push(b'/');
            }
            put(Some(origin), out)
        }
        B::Request => put(Some(ex.request.head.request_line.of(ex.buf())), out),
        // An error page, or what an upstream leads to, is asked for by GET.
        B::RequestMethod if ex.route.method != ex.request.head.method => {
            put(Some(ex.route.method.name().as_bytes()), out)
        }
        B::RequestMethod => put(Some(ex.request.head.method_name.of(ex.buf())), out),
        B::RequestFilename => {
            let kept = std::mem::take(&mut ex.route.path);
            let mapped = paths::map(ex, cx);
            if mapped != paths::Mapped::Outside {
                out.extend_from_slice(&ex.route.path);
            }
            ex.route.path = kept;
            Is::Set
        }
        B::DocumentRoot | B::RealpathRoot => {
            let config = ex.config.clone();
            let root = &config.location(ex.route.location).settings.files.root;
            let at = out.len();
            match root.constant() {
                Some(root) => out.extend_from_slice(root),
                // A root that is made of itself has no value.
                None if root.parts.iter().any(|p| {
                    matches!(p, Part::Var(Var::Builtin(B::DocumentRoot | B::RealpathRoot | B::RequestFilename)))
                }) => {}
                None => expand(root, ex, cx, out),
            }
            if builtin == B::RealpathRoot {
                let path =
                    std::path::Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&out[at..]));
                let real = path.canonicalize();
                out.truncate(at);
                let Ok(real) = real else { return Is::Unset };
                out.extend_from_slice(std::os::unix::ffi::OsStrExt::as_bytes(real.as_os_str()));
            }
            Is::Set
        }
        B::Host => put(Some(if ex.route.host.is_empty() { &ex.server().name } else { &ex.route.host }), out),
        B::Hostname => put(Some(ex.config.process.hostname.as_bytes()), out),
        B::ServerName => put(Some(&ex.server().name), out),
        B::ServerAddr => match ex.client.local.or_else(|| endpoint_addr(ex).ip()) {
            Some(ip) => number(ip, out),
            None => put(Some(b"unix:"), out),
        },
        B::ServerPort => match endpoint_addr(ex).port() {
            Some(port) => number(port, out),
            None => Is::Set,
        },
        B::ServerProtocol => put(Some(ex.request.head.version.name().as_bytes()), out),
        B::Http2 => put(ex.http2(), out),
        B::Scheme => put(Some(ex.client.scheme().as_bytes()), out),
        B::Https => put(Some(if ex.client.is_secure { b"on" } else { b"" }), out),
        B::RemoteAddr => {
            put_peer(&ex.client.peer, out);
            Is::Set
        }
        B::BinaryRemoteAddr => put(Some(ex.client.peer.octets()), out),
        B::RemotePort => port(ex.client.peer.port(), out),
        B::ProxyProtocolAddr => put(ex.introduction().map(|header| header.source.as_bytes()), out),
        B::ProxyProtocolServerAddr => put(ex.introduction().map(|header| header.target.as_bytes()), out),
        B::ProxyProtocolPort => introduced_port(ex.introduction().map(|header| header.source_port), out),
        B::ProxyProtocolServerPort => introduced_port(ex.introduction().map(|header| header.target_port), out),
        B::RealipRemoteAddr => number(ex.socket_peer.unwrap_or(ex.client.peer), out),
        B::RealipRemotePort => port(ex.socket_peer.unwrap_or(ex.client.peer).port(), out),
        B::RemoteUser => remote_user(ex, out),
        // Of a body in chunks, once it was read.
        B::ContentLength if ex.request.head.framing == Framing::Chunked && ex.rx == super::Rx::Done => {
            number(ex.body_received, out)
        }
        B::ContentLength => put(ex.header(HeaderId::ContentLength), out),
        B::ContentType => request_header(ex, b"content_type", out),
        B::RequestLength => number(ex.log.request_length, out),
        B::RequestTime => seconds(cx.now.ms.saturating_sub(ex.log.started), out),
        B::RequestId => {
            let bytes = ex.log.request_id.get_or_insert_with(|| {
                let mut bytes = [0; 16];
                // Without entropy the id is zero: useless, not wrong.
                let _ = random::fill(&mut bytes);
                bytes
            });
            bytes.iter().for_each(|b| write!(out, "{b:02x}").expect("a Vec takes all that is written"));
            Is::Set
        }
        B::RequestCompletion => put(Some(if ex.tx == super::Tx::Done && !ex.abort { b"OK" } else { b"" }), out),
        B::RequestPort | B::IsRequestPort => {
            let port = crate::http::host::split(ex.request.head.host.of(ex.buf())).1;
            match (port, builtin) {
                (Some(port), B::RequestPort) => number(port, out),
                (Some(_), _) => put(Some(b":"), out),
                (None, _) => Is::Set,
            }
        }
        B::Status => {
            write!(out, "{:03}", ex.response.status.0).expect("a Vec takes all that is written");
            Is::Set
        }
        B::BytesSent => number(ex.bytes_sent(), out),
        B::BodyBytesSent => number(ex.bytes_sent().saturating_sub(ex.log.head_size), out),
        B::Connection => number(ex.client.serial, out),
        B::ConnectionRequests => number(ex.client.requests, out),
        B::ConnectionTime => seconds(cx.now.ms.saturating_sub(ex.client.accepted), out),
        B::ConnectionsActive => number(cx.stats.active, out),
        B::ConnectionsReading => number(cx.stats.reading, out),
        B::ConnectionsWriting => number(cx.stats.writing, out),
        B::ConnectionsWaiting => number(cx.stats.waiting, out),
        B::LimitRate => number(ex.limit_rate.unwrap_or(0), out),
        B::Msec => {
            put_msec(&cx.now, out);
            Is::Set
        }
        B::DateLocal => put(date::value(ex, cx.now.unix, Zone::Local).as_deref(), out),
        B::DateGmt => put(date::value(ex, cx.now.unix, Zone::Gmt).as_deref(), out),
        B::TimeIso8601 => put(Some(cx.now.iso().as_bytes()), out),
        B::TimeLocal => put(Some(cx.now.clf().as_bytes()), out),
        B::Draining => put((cx.draining || cx.quitting).then_some(&b"1"[..]), out),
        B::Pid => number(process::getpid(), out),
        B::Pipe => put(Some(if ex.client.requests > 1 && ex.request.pipelined { b"p" } else { b"." }), out),
        B::NginxVersion => put(Some(crate::NGINX_VERSION.as_bytes()), out),
        B::InvalidReferer => {
            let invalid = referer::is_invalid(ex).unwrap_or_else(|failed| {
                ex.undecided(cx, &failed);
                true
            });
            put(Some(if invalid { b"1" } else { b"" }), out)
        }
        B::LimitReqStatus => put(ex.log.limit_req.map(|verdict| verdict.name()), out),
        B::LimitConnStatus => put(ex.log.limit_conn.map(|verdict| verdict.name()), out),
        B::UploadFileName
        | B::UploadFileExt
        | B::UploadFileSize
        | B::UploadFilePath
        | B::UploadFiles
        | B::UploadStatus => when(ex.log.upload.as_ref().is_some_and(|record| record.value(builtin, out))),
        B::RequestBody => match ex.log.upstream.as_ref().and_then(|record| record.body_bytes()) {
            Some(body) if ex.rx == super::Rx::Done => put(Some(body), out),
            _ => Is::Unset,
        },
        B::RequestBodyFile => {
            let body = ex.log.upstream.as_ref().and_then(|record| record.body.as_ref());
            put(body.and_then(|body| Some(body.file()?.path())), out)
        }
        B::GzipRatio => match &ex.response.tally {
            Some(tally) => ratio(tally.get(), out),
            None => Is::Unset,
        },
        B::ProxyHost => put(ex.log.upstream.as_ref().map(|record| &record.host[..]), out),
        B::ProxyPort => put(ex.log.upstream.as_ref().map(|record| &record.port[..]), out),
        B::ProxyAddXForwardedFor => {
            if request_header(ex, b"x_forwarded_for", out) == Is::Set {
                out.extend_from_slice(b", ");
            }
            number(ex.client.peer, out)
        }
        B::UpstreamAddr => upstream(ex, |record| record.list(What::Addr, out)),
        B::UpstreamStatus => upstream(ex, |record| record.list(What::Status, out)),
        B::UpstreamResponseTime => upstream(ex, |record| record.list(What::ResponseTime, out)),
        B::UpstreamConnectTime => upstream(ex, |record| record.list(What::ConnectTime, out)),
        B::UpstreamHeaderTime => upstream(ex, |record| record.list(What::HeaderTime, out)),
        B::UpstreamResponseLength => upstream(ex, |record| record.list(What::Length, out)),
        B::UpstreamBytesSent => upstream(ex, |record| record.list(What::Sent, out)),
        B::UpstreamBytesReceived => upstream(ex, |record| record.list(What::Received, out)),
        B::UpstreamCacheStatus => Is::Unset,
        B::TcpinfoRtt => tcp_info(ex, |info| info.rtt, out),
        B::TcpinfoRttvar => tcp_info(ex, |info| info.rttvar, out),
        B::TcpinfoSndCwnd => tcp_info(ex, |info| info.snd_cwnd, out),
        B::TcpinfoRcvSpace => tcp_info(ex, |info| info.rcv_space, out),
        // `$ssl_…`.
        _ => when(ex.tls.as_deref().is_some_and(|facts| facts.value(builtin, cx.now.unix, out))),
    }
}

/// The user name of Basic credentials, whether or not they were checked (nginx).
/// See `remote_user`; for the combined log line, which has its own writer.
pub fn remote_user_of(ex: &Exchange, out: &mut Vec<u8>) {
    remote_user(ex, out);
}

fn remote_user(ex: &Exchange, out: &mut Vec<u8>) -> Is {
    let Some(value) = ex.header(HeaderId::Authorization) else { return Is::Unset };
    let Some(encoded) = value.get(..6).filter(|s| s.eq_ignore_ascii_case(b"basic ")).map(|_| value[6..].trim_ascii())
    else {
        return Is::Unset;
    };
    let mut decoded = Vec::new();
    if !escape::base64(encoded, &mut decoded) {
        return Is::Unset;
    }
    match memchr::memchr(b':', &decoded) {
        Some(colon) if colon > 0 => put(Some(&decoded[..colon]), out),
        _ => Is::Unset,
    }
}

//! The access log line of a finished request.

use super::{Exchange, variables};
use crate::config::model::Level;
use crate::config::settings::logs::{AccessLog, AccessTarget, Escape, LogFormat};
use crate::config::template::{Builtin, Part, Source};
use crate::http::escape::json_escape_as_nginx;
use crate::http::header::HeaderId;
use crate::services::Services;
use crate::services::logs::Hold;
use crate::services::response_cache::{CachedResponse, Piece};
use crate::sys::Errno;
use crate::sys::file::{self, FileKind};
use crate::sys::socket::Peer;
use crate::util::printable::Printable;
use crate::util::{bytes, decimal};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

/// Bytes of a line after which no long value is written: of sixty variables each may be a header of 32 KiB, which
/// escaping makes six times as long.
const LONGEST: usize = 256 << 10;
/// Longest value in bytes that is always written: statuses, times, sizes and addresses are shorter.
const SHORT: usize = 64;

/// The client of a cached response.
#[derive(Clone, Copy)]
pub struct ClientFacts<'a> {
    /// The client's address: that of the connection, not what real_ip found.
    pub peer: &'a Peer,
    /// `$connection`.
    pub serial: u64,
    /// Requests of the connection, this one included.
    pub requests: u64,
    /// Milliseconds since the request came; 0 where the response is sent in the same turn.
    pub ms: u64,
    /// Bytes that were sent of a response whose client left before its end.
    pub cut: Option<u64>,
}

/// Writes the line of this request to every log of its location.
pub fn write(ex: &mut Exchange, cx: &mut Services) {
    if let Some(cached) = ex.progress.cached_rest.take() {
        return sent_by(ex, &cached, cx);
    }
    ex.route.effort.swap_logs();
    write_lines(ex, cx);
    ex.route.effort.swap_logs();
}

fn write_lines(ex: &mut Exchange, cx: &mut Services) {
    // Logged is what the client asked, and what the configuration makes of that.
    if ex.route.supposed.take().is_some() {
        let config = ex.config.clone();
        let source = |at: usize| config.variables.defined.get(at).map(|(_, source)| source);
        let is_computed = |at| !matches!(source(at), None | Some(Source::Stored | Source::Captured));
        ex.route.user.take_away(is_computed);
    }
    if ex.location().settings.logs.access.is_empty() {
        return;
    }
    let logs = ex.location().settings.logs.access.clone();
    let paths = ex.location().settings.logs.paths;
    for log in logs.iter() {
        if let Some(condition) = &log.condition
            && !variables::is_true(&variables::text(condition, ex, cx))
        {
            continue;
        }
        match &log.target {
            AccessTarget::File(id) => {
                let hold = hold(log);
                // The line is made in the scratch buffer, since evaluating variables needs the services.
                let mut line = std::mem::take(&mut cx.scratch);
                line.clear();
                format(&log.format, ex, cx, &mut line);
                if let Some(pending) = cx.logs.access(*id, hold, cx.now.ms) {
                    pending.extend_from_slice(&line);
                }
                cx.scratch = line;
            }
            AccessTarget::Syslog(syslog) => {
                let mut line = Vec::new();
                format(&log.format, ex, cx, &mut line);
                if let Err(e) = cx.logs.syslog(syslog, &line, &mut cx.now) {
                    let server = &syslog.server;
                    ex.report(
                        cx,
                        Level::Error,
                        format_args!("send() failed {e} while logging to syslog, server: {server}"),
                    );
                }
            }
            AccessTarget::Path(path) if has_root(ex, cx) => {
                let path = variables::text(path, ex, cx);
                let mut line = Vec::new();
                format(&log.format, ex, cx, &mut line);
                let path = std::path::Path::new(std::ffi::OsStr::from_bytes(&path));
                if let Err(e) = cx.logs.access_path(path, &line, paths, cx.now.ms) {
                    ex.report(cx, Level::Crit, format_args!("open() \"{}\" failed {e}", path.display()));
                }
            }
            AccessTarget::Path(_) => {}
        }
    }
}

/// Whether the request's root is a directory: so names that clients make up (`$host`) make no files (nginx).
fn has_root(ex: &mut Exchange, cx: &mut Services) -> bool {
    let root = variables::builtins(&[Builtin::DocumentRoot], ex, cx);
    let found = file::c_string(&root[..]).and_then(|root| file::stat(&root));
    let why = match found {
        Ok(stat) if stat.kind == FileKind::Dir => return true,
        Ok(_) => Errno::ENOTDIR,
        Err(e) => e,
    };
    ex.report(cx, Level::Crit, format_args!("testing \"{}\" existence failed {why}", Printable(&root)));
    false
}

/// Writes the line of a cached response that was sent.
pub fn sent(cached: &CachedResponse, client: ClientFacts<'_>, cx: &mut Services) {
    let [log @ AccessLog { target: AccessTarget::File(id), .. }] = &*cached.logs.access else { return };
    let Some(out) = cx.logs.access(*id, hold(log), cx.now.ms) else { return };
    for piece in &cached.line {
        match piece {
            Piece::Text(span) => out.extend_from_slice(cached.bytes(*span)),
            Piece::RemoteAddr => variables::put_peer(client.peer, out),
            Piece::RemotePort => variables::put_port(client.peer.port(), out),
            Piece::Connection => decimal::push(client.serial, 0, out),
            Piece::ConnectionRequests => decimal::push(client.requests, 0, out),
            Piece::TimeLocal => out.extend_from_slice(cx.now.clf().as_bytes()),
            Piece::TimeIso8601 => out.extend_from_slice(cx.now.iso().as_bytes()),
            Piece::Msec => variables::put_msec(&cx.now, out),
            Piece::RequestTime => variables::put_seconds(client.ms, out),
            Piece::BytesSent(whole) => decimal::push(client.cut.unwrap_or(*whole), 0, out),
            Piece::BodyBytesSent(whole) => {
                let part = client.cut.map(|sent| sent.saturating_sub(cached.head_size));
                decimal::push(part.unwrap_or(*whole), 0, out);
            }
        }
    }
}

/// As [`sent`], for a response whose rest an exchange had to send ([`super::cacheable::resume`]).
fn sent_by(ex: &Exchange, cached: &CachedResponse, cx: &mut Services) {
    let ms = cx.now.ms.saturating_sub(ex.log.started);
    let peer = &ex.client.peer;
    let cut = ex.log.is_cut.then(|| ex.bytes_sent());
    sent(cached, ClientFacts { peer, serial: ex.client.serial, requests: ex.client.requests, ms, cut }, cx);
}

/// How long a line may stay in memory: `buffer=`, `flush=` and `gzip=` of access_log; without them to the end of the
/// turn.
pub(super) fn hold(log: &AccessLog) -> Hold {
    match log.buffer {
        Some(size) => Hold::Buffer { size: size as usize, flush: log.flush, gzip: log.gzip },
        None => Hold::Turn,
    }
}

/// Writes the line. After [`LONGEST`] bytes of it, values of more than [`SHORT`] are left out: what tells how a request
/// ended stands at the end of many formats, and numbers of JSON have no quotes around them.
fn format(format: &LogFormat, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) {
    let end = out.len() + LONGEST;
    if format.combined {
        combined(ex, cx, out);
    } else {
        let mut value = Vec::new();
        for part in &format.line.parts {
            match part {
                Part::Literal(text) => out.extend_from_slice(text),
                Part::Capture(group) => bounded(format.escape, variables::capture(ex, *group), end, out),
                Part::Var(var) => {
                    value.clear();
                    match variables::value(var, ex, cx, &mut value) {
                        variables::Is::Unset if format.escape == Escape::Default => out.push(b'-'),
                        _ => bounded(format.escape, &value, end, out),
                    }
                }
            }
        }
    }
    out.push(b'\n');
}

/// As [`escaped`]; nothing of a long value where the line has grown to `end`.
fn bounded(escape: Escape, value: &[u8], end: usize, out: &mut Vec<u8>) {
    if out.len() < end || value.len() <= SHORT {
        escaped(escape, value, out);
    } else if escape == Escape::Default {
        out.push(b'-');
    }
}

/// The combined format, written without a template and without an allocation.
fn combined(ex: &Exchange, cx: &mut Services, out: &mut Vec<u8>) {
    let buf = ex.buf();
    let field = |id: HeaderId, out: &mut Vec<u8>| {
        for (at, field) in ex.request.head.all(id).enumerate() {
            // Several fields of that name are joined (nginx).
            if at > 0 {
                out.extend_from_slice(b", ");
            }
            escaped(Escape::Default, field.value.of(buf), out);
        }
        if ex.request.head.get(id).is_none() {
            out.push(b'-');
        }
    };
    variables::put_peer(&ex.client.peer, out);
    out.extend_from_slice(b" - ");
    if ex.request.head.get(HeaderId::Authorization).is_some() {
        let mut user = Vec::new();
        variables::remote_user_of(ex, &mut user);
        if user.is_empty() {
            out.push(b'-');
        }
        escaped(Escape::Default, &user, out);
    } else {
        out.push(b'-');
    }
    out.extend_from_slice(b" [");
    out.extend_from_slice(cx.now.clf().as_bytes());
    out.extend_from_slice(b"] \"");
    escaped(Escape::Default, ex.request.head.request_line.of(buf), out);
    let body = ex.body_bytes_sent();
    out.extend_from_slice(b"\" ");
    match ex.response.status.0 {
        status @ 100.. => decimal::push(u64::from(status), 0, out),
        // nginx writes three digits: 009 for a request of HTTP/0.9.
        status => {
            let _ = write!(out, "{status:03}");
        }
    }
    out.push(b' ');
    decimal::push(body, 0, out);
    out.extend_from_slice(b" \"");
    field(HeaderId::Referer, out);
    out.extend_from_slice(b"\" \"");
    field(HeaderId::UserAgent, out);
    out.push(b'"');
}

/// nginx's escaping: `"`, `\` and bytes outside printable ASCII as \xXX; for JSON, what JSON wants.
pub(super) fn escaped(escape: Escape, value: &[u8], out: &mut Vec<u8>) {
    match escape {
        Escape::None => out.extend_from_slice(value),
        Escape::Default => {
            // True of nearly all values.
            if bytes::is_quotable(value) {
                return out.extend_from_slice(value);
            }
            let is_escaped = |byte: &u8| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\');
            let mut rest = value;
            while let Some(at) = rest.iter().position(is_escaped) {
                out.extend_from_slice(&rest[..at]);
                out.extend_from_slice(&bytes::escape(rest[at]));
                rest = &rest[at + 1..];
            }
            out.extend_from_slice(rest);
        }
        Escape::Json => json_escape_as_nginx(value, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};
    use crate::http::status::Status;

    #[test]
    fn a_line_of_the_combined_format_has_its_fields_joined_and_escaped() {
        let mut site = Site::new("", "");
        for (fields, status, expected) in [
            (&[][..], 200, "- - [] \"GET /a?b HTTP/1.1\" 200 0 \"-\" \"-\""),
            (&["Referer: r", "User-Agent: u"], 404, "- - [] \"GET /a?b HTTP/1.1\" 404 0 \"r\" \"u\""),
            (&["Referer: r", "Referer: s"], 9, "- - [] \"GET /a?b HTTP/1.1\" 009 0 \"r, s\" \"-\""),
            (&["User-Agent: \"\\\u{e4}~ "], 99, "- - [] \"GET /a?b HTTP/1.1\" 099 0 \"-\" \"\\x22\\x5C\\xC3\\xA4~\""),
            (&["Authorization: Basic dTpw"], 100, "- u [] \"GET /a?b HTTP/1.1\" 100 0 \"-\" \"-\""),
            (&["Authorization: Basic OnA="], 200, "- - [] \"GET /a?b HTTP/1.1\" 200 0 \"-\" \"-\""),
        ] {
            let mut ex = site.at("GET /a?b", fields, INSIDE);
            ex.response.status = Status(status);
            let mut line = Vec::new();
            combined(&ex, &mut site.cx, &mut line);
            let time = format!("[{}]", String::from_utf8_lossy(site.cx.now.clf().as_bytes()));
            let line = String::from_utf8(line).expect("ASCII").replace(&time, "[]");
            assert_eq!(line, format!("{INSIDE} {expected}"), "{fields:?} {status}");
        }
    }

    #[test]
    fn a_log_that_a_client_names_is_written_only_where_the_root_is_a_directory() {
        let mut site = Site::new("", "location / { access_log DIR/$arg_n.log; }");
        let log = site.scratch.path().join("a.log");
        let write_one = |site: &mut Site| {
            let mut ex = site.at("GET /?n=a", &[], INSIDE);
            write(&mut ex, &mut site.cx);
        };
        write_one(&mut site);
        assert!(!log.exists(), "there is no root");
        site.scratch.write("html", b"a file");
        write_one(&mut site);
        assert!(!log.exists(), "the root is a file");
        std::fs::remove_file(site.scratch.path().join("html")).expect("removed");
        site.root();
        write_one(&mut site);
        assert!(log.exists());
    }

    #[test]
    fn a_line_that_is_long_has_no_further_long_value() {
        let long = "x".repeat(SHORT + 1);
        let short = &long[1..];
        for (escape, before, value, expected) in [
            (Escape::Default, 9, &*long, &*long),
            (Escape::Default, 10, &long, "-"),
            (Escape::Default, 10, short, short),
            (Escape::Json, 9, &long, &long),
            (Escape::Json, 10, &long, ""),
            (Escape::None, 11, &long, ""),
        ] {
            let mut line = vec![b'y'; before];
            bounded(escape, value.as_bytes(), 10, &mut line);
            assert_eq!(&line[before..], expected.as_bytes(), "{before} {value}");
        }
    }
}

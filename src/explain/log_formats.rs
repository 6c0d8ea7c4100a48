//! Parses lines of an access log by the configured `log_format`s: each becomes named fields in a form that
//! [`super::log_line`] reads. A line that matches no format stays as it is.

use super::log_line;
use crate::config::model::Config;
use crate::config::settings::logs::{Escape, LogFormat};
use crate::config::template::{Builtin, Part, Var};
use crate::http::escape::escape_path;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write;
use std::rc::Rc;

/// The log formats that contain the request.
pub struct Formats(Vec<Rc<LogFormat>>);

impl Formats {
    /// The formats of all access logs of the configuration, each once.
    pub fn of(config: &Config) -> Formats {
        let logs = config.locations.iter().flat_map(|location| location.settings.logs.access.iter());
        let mut seen = HashSet::new();
        let formats = logs.map(|log| &log.format).filter(|format| seen.insert(Rc::as_ptr(format)));
        Formats(formats.filter(|format| asks(format)).cloned().collect())
    }

    /// A log whose lines are converted to named fields; the number of lines stays the same.
    pub fn named<'l>(&self, log: &'l str) -> Cow<'l, str> {
        if self.0.is_empty() {
            return Cow::Borrowed(log);
        }
        let mut text = String::with_capacity(log.len());
        for line in log.lines() {
            match self.convert(line) {
                Some(fields) => text.push_str(&fields),
                None => text.push_str(line),
            }
            text.push('\n');
        }
        Cow::Owned(text)
    }

    /// None: the line needs no conversion, matches no format, or matches two with different results.
    fn convert(&self, line: &str) -> Option<String> {
        let known = log_line::parse(line);
        let has_host =
            known.as_ref().is_some_and(|asked| asked.headers.iter().any(|field| field.starts_with("Host: ")));
        let is_meant = |format: &&Rc<LogFormat>| known.is_none() || !has_host && format.line.parts.iter().any(is_host);
        let mut found = self.0.iter().filter(is_meant).filter_map(|format| fields(format, line));
        let first = found.next()?;
        found.all(|other| other == first).then_some(first)
    }
}

/// Whether the format contains the request.
fn asks(format: &LogFormat) -> bool {
    let has = |wanted: Builtin| {
        format.line.parts.iter().any(|part| matches!(part, Part::Var(Var::Builtin(b)) if *b == wanted))
    };
    has(Builtin::Request) || has(Builtin::RequestUri) || has(Builtin::Uri)
}

fn is_host(part: &Part) -> bool {
    match part {
        Part::Var(Var::Builtin(builtin)) => *builtin == Builtin::Host,
        Part::Var(Var::Http(name)) => **name == *b"host",
        _ => false,
    }
}

/// Maximum number of split positions tried: client-supplied text may contain the separators any number of times.
const TRIED: usize = 2000;

/// The fields of a line in this format. None: it does not match, or can be parsed in two ways that differ in request,
/// host, status or id. Client-supplied text in one field may imitate the next field.
fn fields(format: &LogFormat, line: &str) -> Option<String> {
    let mut search = Search { format, found: Vec::new(), tried: 0 };
    search.split(0, line, &mut Vec::new());
    let [(_, members), others @ ..] = &search.found[..] else { return None };
    (others.is_empty() && search.tried < TRIED).then(|| members.clone())
}

/// Searches all ways to parse a line by a format.
struct Search<'f> {
    format: &'f LogFormat,
    /// Of each parse: the fields that must be unambiguous, and all fields as JSON.
    found: Vec<(Vec<String>, String)>,
    tried: usize,
}

impl<'f> Search<'f> {
    /// Parses `rest` by the parts from `at` on; `values` holds the values before.
    fn split<'l>(&mut self, at: usize, rest: &'l str, values: &mut Vec<(&'f Var, &'l str)>) {
        let Some(part) = self.format.line.parts.get(at) else {
            if rest.is_empty() {
                self.add(values);
            }
            return;
        };
        let var = match part {
            Part::Literal(literal) => {
                let tail = std::str::from_utf8(literal).ok().and_then(|literal| rest.strip_prefix(literal));
                return tail.map_or((), |tail| self.split(at + 1, tail, values));
            }
            Part::Var(var) => var,
            Part::Capture(_) => return,
        };
        // A value ends where the next literal occurs, at its first occurrence or a later one.
        let literal = match self.format.line.parts.get(at + 1) {
            None => return self.take(at, var, (rest, ""), values),
            Some(Part::Literal(literal)) => std::str::from_utf8(literal).unwrap_or_default(),
            Some(_) => return,
        };
        for (end, _) in rest.match_indices(literal) {
            self.tried += 1;
            // Two different parses make the line ambiguous.
            if self.tried > TRIED || self.found.len() > 1 || literal.is_empty() {
                return;
            }
            if let Some(halves) = rest.split_at_checked(end) {
                self.take(at, var, halves, values);
            }
        }
    }

    fn take<'l>(
        &mut self,
        at: usize,
        var: &'f Var,
        (value, tail): (&'l str, &'l str),
        values: &mut Vec<(&'f Var, &'l str)>,
    ) {
        if can_be(var, value) {
            values.push((var, value));
            self.split(at + 1, tail, values);
            values.pop();
        }
    }

    fn add(&mut self, values: &[(&Var, &str)]) {
        let named: Vec<_> =
            values.iter().map(|(var, value)| (name_of(var), plain(value, self.format.escape))).collect();
        const DECISIVE: [&str; 9] =
            ["request", "request_method", "request_uri", "uri", "args", "host", "http_host", "status", "request_id"];
        let is_decisive = |name: &str| DECISIVE.contains(&name);
        let facts: Vec<String> =
            named.iter().filter(|(name, _)| is_decisive(name)).map(|(name, value)| format!("{name}={value}")).collect();
        if let Some(members) = members(&named).filter(|_| !self.found.iter().any(|(known, _)| *known == facts)) {
            self.found.push((facts, members));
        }
    }
}

/// Whether all characters can occur in a host with a port (RFC 3986 section 3.2.2).
fn is_host_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_~:[]%!$&'()*+,;=".contains(&byte))
}

/// Whether a variable can have this value.
fn can_be(var: &Var, value: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let has_blank = value.contains([' ', '\t']);
    // Stricter than a token: no method has other characters, and many formats use them as separators.
    let is_method = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    match var {
        _ if value == "-" => true,
        Var::Http(name) if **name == *b"host" => is_host_name(value),
        Var::Builtin(builtin) => match builtin {
            Builtin::Request => value.matches(" HTTP/").count() <= 1 && value.split(' ').next().is_some_and(is_method),
            Builtin::RequestMethod => is_method(value),
            Builtin::Host | Builtin::ServerName => is_host_name(value),
            Builtin::RequestUri | Builtin::ServerProtocol => !has_blank,
            Builtin::Uri | Builtin::DocumentUri => value.is_empty() || value.starts_with('/'),
            Builtin::Status => value.len() == 3 && is_number(value),
            Builtin::RequestId => value.bytes().all(|byte| byte.is_ascii_hexdigit()),
            Builtin::RemoteAddr | Builtin::RealipRemoteAddr => {
                let is_part = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':');
                value == "unix:" || value.bytes().all(is_part)
            }
            Builtin::RemotePort
            | Builtin::ServerPort
            | Builtin::BodyBytesSent
            | Builtin::BytesSent
            | Builtin::RequestLength
            | Builtin::RequestTime
            | Builtin::Connection
            | Builtin::ConnectionRequests
            | Builtin::Msec
            | Builtin::Pid => value.is_empty() || is_number(value),
            // 28/Nov/2026:12:46:42 +0000
            Builtin::TimeLocal => value.len() <= 26 && !value.contains(['[', ']', '"']),
            Builtin::TimeIso8601 => value.len() <= 25 && !has_blank,
            Builtin::Scheme => matches!(value, "http" | "https"),
            _ => true,
        },
        _ => true,
    }
}

/// A variable's field name, where [`super::log_line`] looks for one.
fn name_of(var: &Var) -> String {
    let named = |family: &str, name: &[u8]| format!("{family}{}", String::from_utf8_lossy(name));
    match var {
        Var::Builtin(builtin) => builtin.name().to_owned(),
        Var::Http(name) => named("http_", name),
        Var::Arg(name) => named("arg_", name),
        _ => "other".to_owned(),
    }
}

/// Rewrites a value from the format's escapes to the default ones.
fn plain(value: &str, escape: Escape) -> Cow<'_, str> {
    match escape {
        Escape::Json if value.contains('\\') => {
            Cow::Owned(value.replace("\\\"", "\\x22").replace("\\\\", "\\x5C").replace("\\/", "/"))
        }
        Escape::None if value.contains(['"', '\\']) => Cow::Owned(value.replace('\\', "\\x5C").replace('"', "\\x22")),
        _ => Cow::Borrowed(value),
    }
}

/// The fields as a JSON object. None: `request` or `host` cannot be built.
fn members(values: &[(String, Cow<str>)]) -> Option<String> {
    let of = |name: &str| {
        let value = values.iter().find(|(key, _)| key == name).map(|(_, value)| &**value);
        value.filter(|value| !value.is_empty() && *value != "-")
    };
    let mut out = String::from("{");
    for (name, value) in values.iter().filter(|(name, _)| name != "request" && name != "host" && name != "http_host") {
        let _ = write!(out, "\"{name}\":\"{value}\",");
    }
    let request = match of("request") {
        Some(line) => line.to_owned(),
        None => {
            let target = of("request_uri").map(str::to_owned).or_else(|| {
                let mut path = Vec::new();
                escape_path(of("uri").or(of("document_uri"))?.as_bytes(), &mut path);
                let args = of("args").or(of("query_string")).map(|args| format!("?{args}")).unwrap_or_default();
                Some(String::from_utf8_lossy(&path).into_owned() + &args)
            })?;
            let version = of("server_protocol").unwrap_or("HTTP/1.1");
            format!("{} {target} {version}", of("request_method").unwrap_or("GET"))
        }
    };
    let is_request = request.split(' ').nth(1).is_some_and(|target| target.starts_with('/') || target.contains("://"));
    let host = of("http_host").or(of("host")).unwrap_or_default();
    let _ = write!(out, "\"request\":\"{request}\",\"host\":\"{host}\"}}");
    is_request.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::template::Template;

    fn format(parts: &[&str], escape: Escape) -> Rc<LogFormat> {
        let part = |text: &&str| match *text {
            "$id" => Part::Var(Var::Builtin(Builtin::RequestId)),
            "$request" => Part::Var(Var::Builtin(Builtin::Request)),
            "$method" => Part::Var(Var::Builtin(Builtin::RequestMethod)),
            "$uri" => Part::Var(Var::Builtin(Builtin::RequestUri)),
            "$status" => Part::Var(Var::Builtin(Builtin::Status)),
            "$host" => Part::Var(Var::Builtin(Builtin::Host)),
            "$user" => Part::Var(Var::Builtin(Builtin::RemoteUser)),
            "$agent" => Part::Var(Var::Http(b"user_agent".as_slice().into())),
            text => Part::Literal(text.as_bytes().into()),
        };
        let line = Template { parts: parts.iter().map(part).collect() };
        Rc::new(LogFormat { escape, line, combined: false })
    }

    #[test]
    fn a_line_is_read_by_the_format_that_wrote_it() {
        for (parts, escape, line, expected) in [
            (
                &["$id", " ", "$method", " ", "$host", " ", "$uri", " ", "$status"][..],
                Escape::Default,
                "aa GET a.test /x?q=1 301",
                Some(("GET /x?q=1", "Host: a.test", 301)),
            ),
            (
                &["$id", "|", "$host", "|", "$request", "|", "$status"],
                Escape::None,
                "aa|a.test|GET /x|y HTTP/1.1|404",
                Some(("GET /x|y", "Host: a.test", 404)),
            ),
            (
                &["$host", " [t] \"", "$request", "\" ", "$status"],
                Escape::Default,
                "a.test [t] \"GET /x HTTP/1.1\" 200",
                Some(("GET /x", "Host: a.test", 200)),
            ),
            (
                &["{\"m\":\"", "$method", "\",\"u\":\"", "$uri", "\",\"h\":\"", "$host", "\",\"s\":", "$status", "}"],
                Escape::Json,
                "{\"m\":\"PUT\",\"u\":\"/\\\"x\",\"h\":\"a\",\"s\":201}",
                Some(("PUT /\"x", "Host: a", 201)),
            ),
            // Client-supplied text before a field does not determine how the field is parsed.
            (
                &["$id", " ", "$user", " - ", "$host", " ", "$request", " ", "$status"],
                Escape::Default,
                "aa a - b - b.test GET /x HTTP/1.1 410",
                Some(("GET /x", "Host: b.test", 410)),
            ),
            (
                &["$agent", "|", "$host", "|", "$request", "|", "$status"],
                Escape::None,
                "x|evil.test|GET /y HTTP/1.1|200|a.test|GET / HTTP/1.1|404",
                Some(("GET /", "Host: a.test", 404)),
            ),
            (
                &["$host", " ", "$agent", " ", "$uri", " ", "$status"],
                Escape::None,
                "a.test x /evil /x 404",
                Some(("GET /x", "Host: a.test", 404)),
            ),
            (
                &["$uri", " ", "$agent", " ", "$host", " ", "$status"],
                Escape::None,
                "/x a b.test c.test 200",
                Some(("GET /x", "Host: c.test", 200)),
            ),
            (&["$agent", "|", "$uri", "|", "$user"], Escape::None, "x|/evil|y|/x|z", None),
            (&["$method", " ", "$uri"], Escape::Default, "another line", None),
            (&["$method", "$uri"], Escape::Default, "GET/x", None),
        ] {
            let named = Formats(vec![format(parts, escape)]).named(line).into_owned();
            let asked = log_line::parse(named.trim_end());
            let found = asked.map(|asked| {
                (asked.question, asked.headers.first().cloned().unwrap_or_default(), log_line::status(&named))
            });
            let expected =
                expected.map(|(question, host, status)| (question.to_owned(), host.to_owned(), Some(status)));
            assert_eq!(found, expected, "{line}: {named}");
        }
    }
}

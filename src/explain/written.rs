//! Lines of an access log, parsed by the formats in which the configuration writes them: each becomes its named
//! fields, in a form that [`super::recorded`] knows. A line that no format can have written stays as it is.

use super::recorded;
use crate::config::model::Config;
use crate::config::settings::logs::{Escape, LogFormat};
use crate::config::template::{Builtin, Part, Var};
use crate::http::escape::escape_path;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write;
use std::rc::Rc;

/// The formats that contain the request.
pub struct Formats(Vec<Rc<LogFormat>>);

impl Formats {
    pub fn of(config: &Config) -> Formats {
        let logs = config.locations.iter().flat_map(|location| location.settings.logs.access.iter());
        let mut seen = HashSet::new();
        let formats = logs.map(|log| &log.format).filter(|format| seen.insert(Rc::as_ptr(format)));
        Formats(formats.filter(|format| asks(format)).cloned().collect())
    }

    /// A log with its lines as fields; the number of lines stays.
    pub fn named<'l>(&self, log: &'l str) -> Cow<'l, str> {
        if self.0.is_empty() {
            return Cow::Borrowed(log);
        }
        let mut text = String::with_capacity(log.len());
        for line in log.lines() {
            match self.fields(line) {
                Some(fields) => text.push_str(&fields),
                None => text.push_str(line),
            }
            text.push('\n');
        }
        Cow::Owned(text)
    }

    /// None: it can be read as it is, or no format fits, or two fit and differ.
    fn fields(&self, line: &str) -> Option<String> {
        let known = recorded::parse(line);
        let has_host =
            known.as_ref().is_some_and(|asked| asked.headers.iter().any(|field| field.starts_with("Host: ")));
        let is_meant = |format: &&Rc<LogFormat>| known.is_none() || !has_host && format.line.parts.iter().any(is_host);
        let mut found = self.0.iter().filter(is_meant).filter_map(|format| fields(format, line));
        let first = found.next()?;
        found.all(|other| other == first).then_some(first)
    }
}

/// Whether its lines contain the request.
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

/// The fields of a line in this format.
fn fields(format: &LogFormat, line: &str) -> Option<String> {
    let mut rest = line;
    let mut values: Vec<(String, Cow<str>)> = Vec::new();
    let mut parts = format.line.parts.iter().peekable();
    while let Some(part) = parts.next() {
        let var = match part {
            Part::Literal(literal) => {
                rest = rest.strip_prefix(std::str::from_utf8(literal).ok()?)?;
                continue;
            }
            Part::Var(var) => var,
            Part::Capture(_) => return None,
        };
        // A value ends where the next part begins.
        let end = match parts.peek() {
            None => rest.len(),
            Some(Part::Literal(literal)) => {
                let literal = std::str::from_utf8(literal).ok()?;
                let is_line = matches!(var, Var::Builtin(Builtin::Request));
                let from = if is_line { rest.find(" HTTP/").map_or(0, |at| at + 1) } else { 0 };
                from + rest.get(from..)?.find(literal)?
            }
            Some(Part::Var(_) | Part::Capture(_)) => return None,
        };
        let (value, tail) = rest.split_at_checked(end)?;
        values.push((name_of(var), plain(value, format.escape)));
        rest = tail;
    }
    rest.is_empty().then(|| members(&values)).flatten()
}

/// The name of a variable, if it is one that others look for.
fn name_of(var: &Var) -> String {
    let named = |family: &str, name: &[u8]| format!("{family}{}", String::from_utf8_lossy(name));
    match var {
        Var::Builtin(builtin) => builtin.name().to_owned(),
        Var::Http(name) => named("http_", name),
        Var::Arg(name) => named("arg_", name),
        _ => "other".to_owned(),
    }
}

/// A value in the default format's escapes instead of the format's own.
fn plain(value: &str, escape: Escape) -> Cow<'_, str> {
    match escape {
        Escape::Json if value.contains('\\') => {
            Cow::Owned(value.replace("\\\"", "\\x22").replace("\\\\", "\\x5C").replace("\\/", "/"))
        }
        Escape::None if value.contains(['"', '\\']) => Cow::Owned(value.replace('\\', "\\x5C").replace('"', "\\x22")),
        _ => Cow::Borrowed(value),
    }
}

/// The members of an object, `request` and `host` among them.
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
            text => Part::Literal(text.as_bytes().into()),
        };
        let line = Template { parts: parts.iter().map(part).collect() };
        Rc::new(LogFormat { name: "x".into(), escape, line, combined: false })
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
            (&["$method", " ", "$uri"], Escape::Default, "another line", None),
            (&["$method", "$uri"], Escape::Default, "GET/x", None),
        ] {
            let named = Formats(vec![format(parts, escape)]).named(line).into_owned();
            let asked = recorded::parse(named.trim_end());
            let found = asked.map(|asked| (asked.question, asked.headers.join("|"), recorded::status(&named)));
            let expected =
                expected.map(|(question, host, status)| (question.to_owned(), host.to_owned(), Some(status)));
            assert_eq!(found, expected, "{line}: {named}");
        }
    }
}

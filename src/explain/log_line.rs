//! Requests in logs: turns a line of an access or error log, in nginx's formats or as JSON, into the question that
//! `explain` answers. What a log does not contain (headers other than Host, the body) is left out.

use super::Query;
use super::question::HTTP2;
use crate::services::error_line;
use std::net::{IpAddr, Ipv4Addr};

/// What a log contains about one request.
#[derive(Debug)]
pub struct Recorded<'l> {
    /// Its lines, the most informative one last.
    pub lines: Vec<&'l str>,
    /// None: its request line was never read (status 400 or 408).
    pub asked: Option<Query>,
    /// None if only an error log has the request.
    pub status: Option<u16>,
}

/// The request with this id, or of this line. `is_own`: whether a line certainly belongs to the request with that id;
/// such lines take precedence over those that merely contain it.
pub fn find<'l>(log: &'l str, id: &'l str, is_own: impl Fn(&str) -> bool) -> Option<Recorded<'l>> {
    // An id is a whole word, not a part of another.
    let is_end = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric());
    let has = |line: &&str| {
        line.match_indices(id).any(|(at, _)| {
            let bytes = line.as_bytes();
            is_end(at.checked_sub(1).and_then(|before| bytes.get(before))) && is_end(bytes.get(at + id.len()))
        })
    };
    let mut lines: Vec<&str> = log.lines().filter(has).collect();
    if lines.iter().any(|line| is_own(line)) {
        lines.retain(|line| is_own(line));
    }
    if lines.is_empty() {
        let is_request = |line: &&str| parse(line).is_some() || status(line).is_some() || is_shortened(line);
        lines.extend(Some(id).filter(is_request));
    }
    // Access log lines, which have the status, sort last.
    lines.sort_by_key(|line| (parse(line).is_some(), status(line).is_some()));
    let last = *lines.last()?;
    Some(Recorded { asked: parse(last), status: status(last), lines })
}

/// Whether this is a line of an error log whose request was too long and lost its middle: what remains would be another
/// request.
pub fn is_shortened(line: &str) -> bool {
    let fields = [
        ("request", [", request: \"", "\"request\":\""]),
        ("host", [", host: \"", "\"host\":\""]),
        ("referrer", [", referrer: \"", "\"referrer\":\""]),
    ];
    fields.iter().any(|(name, before)| {
        let rest = value(line, before);
        rest.and_then(|rest| rest.get(..end_of(rest)?)).is_some_and(|shown| error_line::is_shortened(name, shown))
    })
}

/// Where a quoted value ends.
fn end_of(rest: &str) -> Option<usize> {
    rest.match_indices('"').find(|(at, _)| !rest.get(..*at).is_some_and(|text| text.ends_with('\\'))).map(|(at, _)| at)
}

/// None: the line is not about a request, or has only a part of it.
pub fn parse(line: &str) -> Option<Query> {
    if is_shortened(line) {
        return None;
    }
    let sent = as_sent(line).unwrap_or_default();
    let (method, target) = request(line).or_else(|| odd(&sent))?;
    let host = value(line, &["host: \"", "\"host\":\"", "host=\"", "\"http_host\":\""]).map(|rest| until(rest, '"'));
    let client = value(line, &["client: ", "\"client\":\"", "\"remote_addr\":\""]).map(|rest| until(rest, ','));
    let client = client.or_else(|| line.split(' ').next()).map(|text| text.trim_matches(['"', '}']));
    let client = client.and_then(|text| text.parse().ok()).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let target = unescaped(target);
    // An absolute-form target contains its own host.
    let (own, path) = match target.split_once("://") {
        Some((_, rest)) => {
            (Some(rest.split('/').next().unwrap_or_default()), rest.find('/').map_or("/", |at| &rest[at..]))
        }
        None if target.starts_with('/') => (None, &*target),
        None => (None, "/"),
    };
    let host = own.or(host).filter(|host| !host.is_empty() && *host != "-");
    let mut headers: Vec<String> = host.map(|host| format!("Host: {host}")).into_iter().collect();
    let (referer, agent) = combined(line);
    headers.extend(referer.map(|value| format!("Referer: {value}")));
    headers.extend(agent.map(|value| format!("User-Agent: {value}")));
    let line = as_sent(line).map(|text| (text, host.is_none() && is_hostless(line)));
    Some(Query {
        question: format!("{method} {path}"),
        headers,
        client,
        tls: false,
        http2: line.as_ref().is_some_and(|(text, _)| text.ends_with(HTTP2)),
        certificate: false,
        listener: None,
        line,
        moment: None,
    })
}

/// The request line as sent; None: no client can have sent it.
fn as_sent(line: &str) -> Option<String> {
    let rest = value(line, &["\"request\":\"", "request: \"", "] \""])?;
    let text = unescaped(rest.get(..end_of(rest)?)?);
    (!text.is_empty() && !text.contains(['\r', '\n', '\0', '\u{fffd}'])).then_some(text)
}

/// Whether the log contains Host fields, and this request has none.
fn is_hostless(line: &str) -> bool {
    let host = value(line, &["\"host\":\"", "host=\"", "\"http_host\":\""]);
    host.is_some_and(|rest| matches!(until(rest, '"'), "" | "-"))
}

/// The number of body bytes in an access log of nginx's form.
pub fn sent(line: &str) -> Option<u64> {
    let field = value(line, &["\"body_bytes_sent\":\"", "\"body_bytes_sent\":", "body_bytes_sent="]);
    let behind = || {
        let (_, rest) = line.split_once("] \"")?;
        let mut words = rest.split_once("\" ")?.1.split(' ');
        words.next().filter(|status| status.len() == 3)?;
        words.next()
    };
    let digits = field.or_else(behind)?;
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// `$upstream_status`, if the log has it: of several servers, the last one tried.
pub fn upstream_status(line: &str) -> Option<u16> {
    let rest = value(line, &["\"upstream_status\":\"", "\"upstream_status\":", "upstream_status="])?;
    let all = rest.trim_start_matches('"').split(['"', '}', ']']).next()?;
    all.split([' ', ',', ':']).rfind(|text| text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
}

/// What a line says about the listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hints {
    /// `$server_port`.
    pub port: Option<u16>,
    /// By `$scheme` or `$https`; None: the line does not tell.
    pub is_secure: Option<bool>,
    /// By `$server_protocol`.
    pub http2: bool,
    /// `$server_name`, the first name of the server.
    pub server: Option<String>,
}

/// Taken from `$server_port`, `$scheme` or `$ssl_protocol` as named fields, from the HTTP version, and from statuses
/// that occur only with TLS.
pub fn hints(line: &str, status: Option<u16>) -> Hints {
    let field = |name: &str| {
        let rest = value(line, &[&format!("\"{name}\":\""), &format!("\"{name}\":"), &format!("{name}=")])?;
        let rest = rest.trim_start_matches('"');
        Some(rest.split(['"', ' ', ',', '}']).next().unwrap_or_default())
            .filter(|text| !text.is_empty() && *text != "-")
    };
    let is_secure = match status {
        Some(495..=497) => Some(true),
        _ => match field("scheme") {
            Some(scheme) => Some(scheme == "https"),
            None => field("ssl_protocol").map(|_| true),
        },
    };
    let port = field("server_port").and_then(|text| text.parse().ok());
    // In the error log, the server follows the client.
    let logged = || value(line, &[", server: "]).map(|rest| until(rest, ',')).filter(|name| !name.is_empty());
    let server = field("server_name").or_else(logged).map(str::to_owned);
    Hints { port, is_secure, http2: line.contains(&format!("{HTTP2}\"")), server }
}

/// `"GET /x HTTP/1.1"`, anywhere in the line.
fn request(line: &str) -> Option<(&str, &str)> {
    let end = line.find(" HTTP/")?;
    let start = line.get(..end)?.rfind('"')? + 1;
    let (method, target) = line.get(start..end)?.split_once(' ')?;
    let is_method = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-' || b == b'_');
    (is_method && !target.contains(' ')).then_some((method, target))
}

/// The method and target of an invalid request line, as far as they can be recognised.
fn odd(line: &str) -> Option<(&str, &str)> {
    let (method, rest) = line.split_once(' ')?;
    let is_method = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
    let target = rest.split(' ').next().filter(|target| is_method && target.starts_with('/'))?;
    Some((method, target))
}

/// The status in an access log: behind the request, or as a named field.
pub fn status(line: &str) -> Option<u16> {
    let digits = |text: &str| {
        let text = text.trim_start_matches(['"', ' ']);
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text.get(..end).filter(|text| text.len() == 3).and_then(|text| text.parse().ok())
    };
    // Do not match the end of `upstream_status`.
    let is_whole =
        |at: usize| !line.get(..at).is_some_and(|text| text.ends_with(|c: char| c == '_' || c.is_alphanumeric()));
    let field = ["\"status\":", "status="].iter().find_map(|name| {
        let (at, _) = line.match_indices(name).find(|(at, _)| is_whole(*at))?;
        digits(line.get(at + name.len()..)?)
    });
    // nginx's combined: `… [time] "request" STATUS bytes`; the request may be empty or arbitrary text.
    let behind = || {
        let rest = line.get(line.find("] \"")? + 3..)?;
        digits(rest.get(end_of(rest)? + 1..)?)
    };
    field.or_else(behind)
}

/// Referer and User-Agent, at the end of `combined`.
fn combined(line: &str) -> (Option<String>, Option<String>) {
    let field = |name: &str| Some(unescaped(until(line.get(line.find(name)? + name.len()..)?, '"')));
    let mut texts =
        line.get(line.find("] \"").map_or(line.len(), |at| at + 3)..).unwrap_or_default().split('"').skip(2);
    let mut next = || {
        let text = texts.next().map(unescaped);
        // Skip what is between two quoted strings.
        texts.next();
        text
    };
    let (first, second) = (next(), next());
    let named = (field("\"http_referer\":\"").or_else(|| field("referrer: \"")), field("\"http_user_agent\":\""));
    let is_said = |text: &String| !text.is_empty() && text != "-" && !text.contains(['\r', '\n', '\0']);
    (named.0.or(first).filter(is_said), named.1.or(second).filter(is_said))
}

/// Decodes `\x22` and the like.
fn unescaped(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let code = tail
            .get(1..3)
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code.filter(|_| *byte == b'\\' && tail.first() == Some(&b'x')) {
            Some(code) => {
                out.push(code);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn value<'l>(line: &'l str, names: &[&str]) -> Option<&'l str> {
    names.iter().find_map(|name| line.get(line.find(name)? + name.len()..))
}

fn until(rest: &str, end: char) -> &str {
    rest.split([end, '"']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_listener_by_port_scheme_version_or_status() {
        let secure = |is_secure| Hints { is_secure, ..Hints::default() };
        for (line, status, expected) in [
            ("\"GET / HTTP/1.1\" 404 port", None, Hints::default()),
            (
                "\"GET / HTTP/1.1\" 404 server_port=8443 scheme=https",
                None,
                Hints { port: Some(8443), ..secure(Some(true)) },
            ),
            ("{\"scheme\":\"http\",\"server_port\":\"80\"}", None, Hints { port: Some(80), ..secure(Some(false)) }),
            ("ssl_protocol=TLSv1.3", None, secure(Some(true))),
            ("ssl_protocol=-", None, Hints::default()),
            ("\"GET / HTTP/2.0\" 404", None, Hints { http2: true, ..Hints::default() }),
            ("", Some(496), secure(Some(true))),
            (
                "2026/01/01 00:00:00 [info] 1#1: *1 x, client: 127.0.0.1, server: b.test, request: \"GET / HTTP/1.1\"",
                None,
                Hints { server: Some("b.test".into()), ..Hints::default() },
            ),
        ] {
            assert_eq!(hints(line, status), expected, "{line}");
        }
    }

    /// The part that stays of a long request is another request.
    #[test]
    fn a_line_that_lost_the_middle_of_its_request_asks_nothing() {
        let of = |request: &str, host: &str, is_json: bool| {
            let mut line = Vec::new();
            for (name, value) in [("request", request), ("host", host)] {
                if is_json {
                    error_line::member(name, value.as_bytes(), &mut line);
                    continue;
                }
                line.extend_from_slice(format!(", {name}: \"").as_bytes());
                error_line::text_member(name, value.as_bytes(), &mut line);
                line.push(b'"');
            }
            String::from_utf8(line).expect("UTF-8")
        };
        for (length, host, is_whole) in
            [(600, "a.test", true), (2000, "a.test", true), (2100, "a.test", false), (9, &*"a".repeat(600), false)]
        {
            let question = format!("GET /{}z", "a".repeat(length));
            for line in [false, true].map(|is_json| of(&format!("{question} HTTP/1.1"), host, is_json)) {
                let asked = parse(&line).map(|asked| asked.question);
                assert_eq!((asked, is_shortened(&line)), (is_whole.then_some(question.clone()), !is_whole), "{line}");
                assert!(is_whole || find(&line, &line, |_| false).is_some_and(|found| found.asked.is_none()));
            }
        }
        let own = of("GET /a…b HTTP/1.1", "a.test", false);
        assert_eq!(parse(&own).map(|asked| asked.question), Some("GET /a…b".to_owned()), "the client's own");
    }

    #[test]
    fn lines_of_all_logs_say_what_was_asked() {
        let error = "2026/11/27 04:23:34 [error] 7#7: *2 open() \"/x\" failed (2: No such file or directory), \
                     client: 10.0.0.1, server: a, request: \"GET /none?x=1 HTTP/1.1\", host: \"a.test:8080\"";
        let json = "{\"time\":\"x\",\"level\":\"error\",\"message\":\"m\",\"client\":\"10.0.0.1\",\"server\":\"a\",\
                    \"request\":\"GET /none?x=1 HTTP/1.1\",\"host\":\"a.test:8080\"}";
        let access = "10.0.0.1 - - [27/Nov/2026:04:23:34 +0000] \"GET /none?x=1 HTTP/1.1\" 404 1 \"-\" \"-\" host=\"a.test:8080\"";
        for line in [error, json, access] {
            let asked = parse(line).expect("a request");
            let of = (asked.question.as_str(), asked.headers.join("|"), asked.client.to_string());
            assert_eq!(of, ("GET /none?x=1", "Host: a.test:8080".to_owned(), "10.0.0.1".to_owned()), "{line}");
        }
        let combined = "::1 - bob [27/Nov/2026:04:23:34 +0000] \"POST /up HTTP/2.0\" 201 5 \"-\" \"curl\"";
        let asked = parse(combined).expect("a request");
        assert_eq!(
            (asked.question.as_str(), asked.headers.join("|"), asked.client.to_string().as_str()),
            ("POST /up", "User-Agent: curl".to_owned(), "::1")
        );
        assert!(parse("2026/11/27 04:23:34 [notice] 7#7: exit").is_none());
        let log = format!("{combined} id=aa\n{error} id=bb\n");
        assert!(
            find(&log, "aa", |_| false)
                .is_some_and(|found| found.asked.is_some_and(|asked| asked.question == "POST /up"))
        );
        assert!(find(&log, "cc", |_| false).is_none() && find(&log, combined, |_| false).is_some());
        let odd = "::1 - - [27/Nov/2026:04:23:34 +0000] \"\" 400 0 \"-\" \"-\" id=dd";
        assert!(find(odd, "dd", |_| false).is_some_and(|found| found.asked.is_none() && found.status == Some(400)));
        let absolute = "::1 - - [t] \"GET http://b.test/y\\x22 HTTP/1.1\" 404 0 \"http://r/\" \"-\"";
        let asked = parse(absolute).expect("a request");
        assert_eq!(asked.question, "GET /y\"");
        assert_eq!(asked.headers, ["Host: b.test", "Referer: http://r/"]);
        assert_eq!(status(absolute), Some(404));
        assert_eq!(status("::1 [t] \"GET / HTTP/1.1\" 200 upstream_status=\"502, 200\""), Some(200));
    }
}

//! Requests as logs have them: a line of an access or error log, in nginx's forms or as JSON → the question that
//! `explain` answers. What a log does not say (another header than Host, a body) is not asked.

use super::Asked;
use std::net::{IpAddr, Ipv4Addr};

/// What a log has of one request.
#[derive(Debug)]
pub struct Recorded<'l> {
    /// Its lines, the one that says most last.
    pub lines: Vec<&'l str>,
    /// None: it was never read as far as its line (a status 400 or 408).
    pub asked: Option<Asked>,
    /// None: an error log has none.
    pub status: Option<u16>,
}

/// The request of a log that has this id, or whose line is given itself.
pub fn find<'l>(log: &'l str, id: &'l str) -> Option<Recorded<'l>> {
    // An id is a word of its own, not a part of another.
    let is_end = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric());
    let has = |line: &&str| {
        line.match_indices(id).any(|(at, _)| {
            let bytes = line.as_bytes();
            is_end(at.checked_sub(1).and_then(|before| bytes.get(before))) && is_end(bytes.get(at + id.len()))
        })
    };
    let mut lines: Vec<&str> = log.lines().filter(has).collect();
    if lines.is_empty() {
        lines.extend(Some(id).filter(|line| parse(line).is_some() || status(line).is_some()));
    }
    // What an access log writes says the status; its line is the last.
    lines.sort_by_key(|line| (parse(line).is_some(), status(line).is_some()));
    let last = *lines.last()?;
    Some(Recorded { asked: parse(last), status: status(last), lines })
}

/// None: the line is about no request.
pub fn parse(line: &str) -> Option<Asked> {
    let (method, target) = request(line)?;
    let host = value(line, &["host: \"", "\"host\":\"", "host=\"", "\"http_host\":\""]).map(|rest| until(rest, '"'));
    let client = value(line, &["client: ", "\"client\":\"", "\"remote_addr\":\""]).map(|rest| until(rest, ','));
    let client = client.or_else(|| line.split(' ').next()).map(|text| text.trim_matches(['"', '}']));
    let client = client.and_then(|text| text.parse().ok()).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let target = unescaped(target);
    // The absolute form has a host of its own.
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
    Some(Asked { question: format!("{method} {path}"), headers, client, tls: false, listener: None })
}

/// What a line has of the listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hints {
    pub port: Option<u16>,
    pub is_secure: Option<bool>,
    pub http2: bool,
    /// `$server_name`, the first name of the server.
    pub server: Option<String>,
}

/// By `$server_port`, `$scheme` or `$ssl_protocol` as fields with names, by the version, and by statuses of TLS alone.
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
    // The error log has it behind the client.
    let logged = || value(line, &[", server: "]).map(|rest| until(rest, ',')).filter(|name| !name.is_empty());
    let server = field("server_name").or_else(logged).map(str::to_owned);
    Hints { port, is_secure, http2: line.contains(" HTTP/2.0\""), server }
}

/// `"GET /x HTTP/1.1"`, wherever it stands.
fn request(line: &str) -> Option<(&str, &str)> {
    let end = line.find(" HTTP/")?;
    let start = line.get(..end)?.rfind('"')? + 1;
    let (method, target) = line.get(start..end)?.split_once(' ')?;
    let is_method = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-' || b == b'_');
    (is_method && !target.contains(' ')).then_some((method, target))
}

/// The status that an access log has: behind the request, or a field of its own.
pub fn status(line: &str) -> Option<u16> {
    let digits = |text: &str| {
        let text = text.trim_start_matches(['"', ' ']);
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text.get(..end).filter(|text| text.len() == 3).and_then(|text| text.parse().ok())
    };
    let field = ["\"status\":", "status="].iter().find_map(|name| digits(line.get(line.find(name)? + name.len()..)?));
    // nginx's combined: `… [time] "request" STATUS bytes`; the request may be anything, or empty.
    let behind = || {
        let rest = line.get(line.find("] \"")? + 3..)?;
        let end = rest.match_indices('"').find(|(at, _)| !rest.get(..*at).is_some_and(|text| text.ends_with('\\')))?.0;
        digits(rest.get(end + 1..)?)
    };
    field.or_else(behind)
}

/// Referer and User-Agent as `combined` ends with them.
fn combined(line: &str) -> (Option<String>, Option<String>) {
    let field = |name: &str| Some(unescaped(until(line.get(line.find(name)? + name.len()..)?, '"')));
    let mut texts =
        line.get(line.find("] \"").map_or(line.len(), |at| at + 3)..).unwrap_or_default().split('"').skip(2);
    let mut next = || {
        let text = texts.next().map(unescaped);
        // What stands between two texts.
        texts.next();
        text
    };
    let (first, second) = (next(), next());
    let named = (field("\"http_referer\":\"").or_else(|| field("referrer: \"")), field("\"http_user_agent\":\""));
    let is_said = |text: &String| !text.is_empty() && text != "-" && !text.contains(['\r', '\n', '\0']);
    (named.0.or(first).filter(is_said), named.1.or(second).filter(is_said))
}

/// `\x22` is a quote.
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

/// A status, the reason that a line does not tell, and the directives that may decide so, the likeliest first.
type Reason = (&'static [u16], &'static str, &'static [&'static str]);

/// Of what this server answers itself.
const OWN: &[Reason] = &[
    (&[400], "the request breaks the protocol, or its body does not hold: the error log has why", &[]),
    (&[401], "no name and password, or wrong ones", &["auth_basic", "auth_request"]),
    (
        &[403],
        "the client, its page, its password or the file's rights forbid it",
        &["deny", "auth_request", "auth_basic_user_file", "upload_cross_site", "disable_symlinks", "signed_link"],
    ),
    (&[404], "nothing of that name was there", &["root", "alias", "upload_store"]),
    (&[405, 501], "the method is none of those that are answered", &["allowed_methods", "dav_methods"]),
    (&[408], "the client was too slow", &["client_body_timeout", "client_header_timeout"]),
    (&[409], "a file of that name is there, or no directory for it", &["upload_on_duplicate", "dav_methods"]),
    (&[304, 412], "a condition among the request's headers, which the line does not have", &[]),
    (&[413], "the body is larger than is allowed", &["client_max_body_size", "upload_max_file_size"]),
    (&[414, 431, 494], "the head is larger than is allowed", &["large_client_header_buffers"]),
    (&[206, 416], "the Range header, which the line does not have", &[]),
    (&[417], "the Expect header, which the line does not have", &[]),
    (&[421], "the name of the request is not the one that its connection was made for", &[]),
    (&[423], "a lock, whose token the request does not have", &["dav_ext_lock"]),
    (&[424], "a part of it failed", &["dav_methods"]),
    (&[429, 503], "a limit was reached, or the server drains", &["limit_req", "limit_conn", "drain_delay"]),
    (&[495, 496], "the client's certificate is missing, or does not hold", &["ssl_verify_client"]),
    (&[497], "plain HTTP where TLS is spoken", &[]),
    (&[499], "the client left before the answer", &[]),
    (&[500], "an error of the server: the error log has it", &["auth_request", "auth_basic_user_file"]),
    (&[505], "the version of HTTP is not spoken here", &[]),
    (&[507], "the disk is full, or a quota is", &["upload_min_free", "upload_quota"]),
];

const PASSES: [&str; 6] = ["proxy_pass", "fastcgi_pass", "scgi_pass", "uwsgi_pass", "cgi_pass", "auth_request"];

/// Where the request went to an upstream; what is not here is the upstream's own.
const PASSED: &[Reason] = &[
    (&[400], "the body does not hold, or it is the upstream's own", &PASSES),
    (&[408], "the client was too slow with its body, or it is the upstream's own", &["client_body_timeout"]),
    (&[413], "the body is larger than is allowed", &["client_max_body_size"]),
    (&[499], "the client left before the answer", &[]),
    (&[502], "the upstream does not answer, or not by the protocol", &PASSES),
    (
        &[504],
        "the upstream is too slow",
        &["proxy_read_timeout", "fastcgi_read_timeout", "scgi_read_timeout", "uwsgi_read_timeout", "cgi_timeout"],
    ),
];

/// What a status that the explanation did not come to was for: what the line does not tell was the reason (the body, the
/// time, another server, other headers). `text` is the explanation, whose settings name the line that decides.
pub fn otherwise(status: u16, text: &str) -> Option<String> {
    let answer = text.lines().find_map(|line| line.strip_prefix("answer     ")).unwrap_or_default();
    // Of a head that is too large the answer does not say what bounds it.
    if answer.starts_with(&status.to_string()) && !matches!(status, 414 | 431 | 494) {
        return None;
    }
    let (steps, settings) = text.split_once("\nsettings at ").unwrap_or((text, ""));
    let place = |name: &str| {
        let setting = |line: &&str| line.trim_start().strip_prefix(name).is_some_and(|rest| rest.starts_with(' '));
        let (_, place) = settings.lines().find(setting)?.trim().rsplit_once(' ')?;
        (place != "default").then(|| place.to_owned())
    };
    let is_passed = answer.starts_with("is the upstream's") || answer.starts_with("depends on what the upstream");
    // A limit refuses before anything is passed on.
    let is_limited =
        matches!(status, 429 | 503) && ["limit_req", "limit_conn"].iter().any(|name| place(name).is_some());
    // What breaks the protocol is refused before there is a location.
    let is_early = matches!(status, 414 | 431 | 494..=497 | 505);
    let (table, rest) = match is_passed && !is_limited && !is_early {
        true => (PASSED, ("the upstream's own", &PASSES[..])),
        false => {
            (OWN, ("by what the line does not have: other headers, the body, or files that were other then", &[][..]))
        }
    };
    let doubt = if is_passed && matches!(status, 414 | 431 | 505) { ", or it is the upstream's own" } else { "" };
    let row = table.iter().find(|(statuses, ..)| statuses.contains(&status));
    let intercepts = ["proxy_intercept_errors", "fastcgi_intercept_errors", "scgi_intercept_errors"];
    let is_paged = is_passed && place("error_page").is_some() && intercepts.iter().any(|name| place(name).is_some());
    let (why, names) = match row {
        Some((_, why, names)) => (*why, *names),
        None if is_paged => ("the upstream's own, or that of its page here", &["error_page"][..]),
        None => rest,
    };
    // Without a directive of its own, the block that was responsible for the request.
    let block = || {
        let last = |subject: &str| {
            let line = steps.lines().rfind(|line| line.starts_with(subject))?;
            Some(line.strip_suffix(']')?.rsplit_once("  [")?.1.to_owned())
        };
        ["handler", "location", "server", "listener"].iter().find_map(|subject| last(subject))
    };
    let place = names.iter().find_map(|name| place(name)).or_else(block);
    Some(format!("logged     {status}: {why}{doubt}{}\n", place.map_or(String::new(), |place| format!("  [{place}]"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_the_line_does_not_explain_has_its_reason_and_its_line() {
        let text = "answer     200 OK\n\nsettings at x:3\n  root /x;   x:4\n  limit_req zone=a;    x:5\n";
        assert_eq!(otherwise(200, text), None);
        assert!(otherwise(503, text).is_some_and(|why| why.ends_with("  [x:5]\n")));
        assert!(otherwise(499, text).is_some_and(|why| why.contains("the client left")));
    }

    #[test]
    fn a_reason_has_the_block_where_no_directive_decides() {
        let text = "server     x  [f:1]\nlocation   /a for /a  [f:2]\n           /: matches  [f:3]\nanswer     is the \
                    upstream's, which is not asked to find out\n\nsettings at f:2\n  root html;    default\n";
        let why = |status| otherwise(status, text).unwrap_or_default();
        assert_eq!(why(404), "logged     404: the upstream's own  [f:2]\n");
        assert!(why(503).contains("the upstream's own") && why(502).contains("does not answer"));
        // The upstream is not asked by what is refused at once.
        assert!(!why(497).contains("the upstream's own") && why(497).contains("plain HTTP"));
        assert!(why(431).contains("the head is larger"), "{}", why(431));
        let limited = text.replace("  root html;", "  limit_req zone=a;   f:9\n  root html;");
        assert!(
            otherwise(503, &limited)
                .is_some_and(|why| why.ends_with("a limit was reached, or the server drains  [f:9]\n"))
        );
    }

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
        assert!(find(&log, "aa").is_some_and(|found| found.asked.is_some_and(|asked| asked.question == "POST /up")));
        assert!(find(&log, "cc").is_none() && find(&log, combined).is_some());
        let odd = "::1 - - [27/Nov/2026:04:23:34 +0000] \"\" 400 0 \"-\" \"-\" id=dd";
        assert!(find(odd, "dd").is_some_and(|found| found.asked.is_none() && found.status == Some(400)));
        let absolute = "::1 - - [t] \"GET http://b.test/y\\x22 HTTP/1.1\" 404 0 \"http://r/\" \"-\"";
        let asked = parse(absolute).expect("a request");
        assert_eq!(asked.question, "GET /y\"");
        assert_eq!(asked.headers, ["Host: b.test", "Referer: http://r/"]);
        assert_eq!(status(absolute), Some(404));
    }
}

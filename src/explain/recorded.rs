//! Requests as logs have them: a line of an access or error log, in nginx's forms or as JSON → the question that
//! `explain` answers. What a log does not say (another header than Host, a body) is not asked.

use super::Asked;
use std::net::{IpAddr, Ipv4Addr};

/// The line of a log that has this id, or that is given itself.
pub fn find<'l>(log: &'l str, id: &'l str) -> Option<&'l str> {
    // An id is a word of its own, not a part of another.
    let is_end = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric());
    let has = |line: &&str| {
        line.match_indices(id).any(|(at, _)| {
            let bytes = line.as_bytes();
            is_end(at.checked_sub(1).and_then(|before| bytes.get(before))) && is_end(bytes.get(at + id.len()))
        })
    };
    log.lines().rev().find(has).or(Some(id).filter(|line| parse(line).is_some()))
}

/// None: the line is about no request.
pub fn parse(line: &str) -> Option<Asked> {
    let (method, target) = request(line)?;
    let host = value(line, &["host: \"", "\"host\":\"", "host=\"", "\"http_host\":\""]).map(|rest| until(rest, '"'));
    let client = value(line, &["client: ", "\"client\":\"", "\"remote_addr\":\""]).map(|rest| until(rest, ','));
    let client = client.or_else(|| line.split(' ').next()).map(|text| text.trim_matches(['"', '}']));
    let client = client.and_then(|text| text.parse().ok()).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let headers = host.filter(|host| !host.is_empty()).map(|host| format!("Host: {host}"));
    let is_origin = target.starts_with('/');
    let question = if is_origin { format!("{method} {target}") } else { format!("{method} /") };
    Some(Asked { question, headers: headers.into_iter().collect(), client, tls: false })
}

/// `"GET /x HTTP/1.1"`, wherever it stands.
fn request(line: &str) -> Option<(&str, &str)> {
    let end = line.find(" HTTP/")?;
    let start = line.get(..end)?.rfind('"')? + 1;
    let (method, target) = line.get(start..end)?.split_once(' ')?;
    let is_method = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-' || b == b'_');
    is_method.then_some((method, target))
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
            (asked.question.as_str(), asked.headers.len(), asked.client.to_string().as_str()),
            ("POST /up", 0, "::1")
        );
        assert!(parse("2026/11/27 04:23:34 [notice] 7#7: exit").is_none());
        let log = format!("{combined} id=aa\n{error} id=bb\n");
        assert!(find(&log, "aa").is_some_and(|line| line.contains("/up")));
        assert!(find(&log, "cc").is_none() && find(&log, combined).is_some());
    }
}

//! The question of `webserv explain`: turns `METHOD URL` and header lines into the bytes of a request and the listener
//! it would arrive at. Refuses only what no client could send; the server's own rejections are left to the phases.

use crate::config::model::{Config, Endpoint, EndpointId};
use crate::http::field_syntax::{is_method_byte, is_token};
use crate::http::h1::request;
use crate::http::version::Version;
use crate::route::{Recorder, Rule, TraceStep, server};
use std::net::IpAddr;

/// A request as it would be sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Question {
    /// GET, unless one is given.
    pub method: String,
    /// None: the URL was only a path.
    pub authority: Option<Authority>,
    /// The target as sent; never a fragment.
    pub target: String,
    /// All of the head, as a client would send it.
    pub head: Vec<u8>,
    /// The header fields given on the command line.
    fields: Vec<u8>,
    /// The value of the Host header.
    pub host: String,
    /// Whether a question that is only a path goes to a TLS listener.
    pub is_secure: bool,
    /// The request line as logged, where it is one of a log.
    logged: Option<String>,
    /// The request had no Host.
    pub is_hostless: bool,
}

/// The version in request lines that are logged of HTTP/2, which has none.
pub const HTTP2: &str = " HTTP/2.0";

/// The host and port of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Without brackets around IPv6.
    pub host: String,
    /// None: the scheme's default port.
    pub port: Option<u16>,
    /// `https`.
    pub is_secure: bool,
}

impl Question {
    /// # Errors
    /// What is wrong, as one sentence.
    pub fn parse(text: &str, headers: &[String]) -> Result<Question, String> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let (method, url) = match words[..] {
            [url] => ("GET", url),
            [method, url] => (method, url),
            _ => {
                return Err(format!("\"{text}\" is not a request: 'METHOD URL', such as 'GET http://a.test:8080/x?y'"));
            }
        };
        if !method.bytes().all(is_method_byte) {
            return Err(format!("\"{method}\" is not a method"));
        }
        let (authority, target) = split_url(url)?;
        let mut lines = Vec::new();
        let mut named = None;
        for header in headers {
            let Some((name, value)) = header.split_once(':') else {
                return Err(format!("\"{header}\" is not a header: 'Name: value'"));
            };
            if !is_token(name.as_bytes()) {
                return Err(format!("\"{name}\" is not a header name"));
            }
            if value.contains(['\r', '\n', '\0']) {
                return Err(format!("the value of header \"{name}\" spans lines"));
            }
            if name.eq_ignore_ascii_case("host") {
                named = Some(value.trim().to_owned());
            }
            request::field(name.as_bytes(), value.trim_ascii().as_bytes(), &mut lines);
        }
        let host = match &authority {
            Some(Authority { host, port: Some(port), .. }) => format!("{host}:{port}"),
            Some(Authority { host, port: None, .. }) => host.clone(),
            None => "localhost".to_owned(),
        };
        let mut head = Vec::new();
        request::line(method.as_bytes(), target.as_bytes(), Version::Http11, &mut head);
        if named.is_none() {
            request::field(b"Host", host.as_bytes(), &mut head);
        }
        head.extend_from_slice(&lines);
        request::end(&mut head);
        let host = named.unwrap_or(host);
        Ok(Question {
            method: method.into(),
            authority,
            target,
            head,
            fields: lines,
            host,
            is_secure: false,
            logged: None,
            is_hostless: false,
        })
    }

    /// The listener for the URL's port, and a note if others were possible.
    ///
    /// # Errors
    /// No listener is on the port that the URL names, or none speaks TLS, or the configuration has no server.
    pub fn endpoint(&self, config: &Config) -> Result<(EndpointId, Option<String>), String> {
        let all = || config.endpoints.iter().enumerate().map(|(at, endpoint)| (EndpointId(at as u32), endpoint));
        let Some((first, _)) = all().next() else { return Err("the configuration has no server".into()) };
        let Some(authority) = &self.authority else {
            let secure = all().find(|(_, endpoint)| endpoint.ssl.is_some()).filter(|_| self.is_secure);
            return match (secure, self.is_secure) {
                (None, true) => Err("no listener speaks TLS: none says `listen … ssl`".into()),
                (Some((id, _)), _) => Ok((id, None)),
                (None, false) => Ok((self.by_host(config).unwrap_or(first), None)),
            };
        };
        let port = authority.port.unwrap_or(if authority.is_secure { 443 } else { 80 });
        let ip: Option<IpAddr> = authority.host.trim_matches(['[', ']']).parse().ok();
        let of_port = || all().filter(|(_, endpoint)| endpoint.addr.port() == Some(port));
        let wildcard = |e: &Endpoint| e.addr.ip().is_some_and(|ip| ip.is_unspecified());
        let found = of_port()
            .find(|(_, endpoint)| ip.is_some() && endpoint.addr.ip() == ip)
            .or_else(|| of_port().find(|(_, endpoint)| wildcard(endpoint)))
            .or_else(|| of_port().next());
        match (found, authority.port) {
            (Some((id, _)), _) => {
                let count = of_port().count();
                let note = format!("of {count} listeners on port {port}");
                Ok((id, (count > 1).then_some(note)))
            }
            (None, None) => Ok((first, Some(format!("the first: the URL names no port, and none listens on {port}")))),
            (None, Some(_)) => {
                let addresses: Vec<String> = config.endpoints.iter().map(|e| e.addr.to_string()).take(10).collect();
                Err(format!(
                    "there is no listener on port {port}; the configuration listens on {}",
                    addresses.join(", ")
                ))
            }
        }
    }
}

impl Question {
    /// The same question with the logged request line, and without a Host if the request had none.
    pub fn as_sent(&mut self, line: &str, is_hostless: bool) {
        self.head.clear();
        (self.logged, self.is_hostless) = (Some(line.to_owned()), is_hostless);
        // As HTTP/1.1 would ask it, in case the configuration no longer speaks HTTP/2 there.
        let line = line.strip_suffix(HTTP2).map_or(line.to_owned(), |rest| format!("{rest} HTTP/1.1"));
        request::line_as_sent(line.as_bytes(), &mut self.head);
        // The given fields begin with the Host, if there is one.
        let is_given = self.fields.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"host:"));
        if !is_hostless && !is_given {
            request::field(b"Host", self.host.as_bytes(), &mut self.head);
        }
        self.head.extend_from_slice(&self.fields);
        request::end(&mut self.head);
    }

    /// Method and target, as sent.
    pub fn method_and_target(&self) -> (&str, &str) {
        let logged = self.logged.as_deref().and_then(|line| line.strip_suffix(HTTP2)?.split_once(' '));
        logged.unwrap_or((&self.method, &self.target))
    }

    /// The header fields given on the command line, or known from the log.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let text = str::from_utf8(&self.fields).unwrap_or_default();
        text.lines().filter_map(|line| line.split_once(": ").or(line.split_once(':')))
    }

    /// The name and port in the Host header.
    pub fn name(&self) -> (String, Option<u16>) {
        match self.host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name.to_ascii_lowercase(), port.parse().ok()),
            _ => (self.host.to_ascii_lowercase(), None),
        }
    }

    /// The listeners that the request may arrive at, the likeliest first: those that serve its name, otherwise all.
    pub fn candidates(&self, config: &Config) -> Vec<EndpointId> {
        let (name, _) = self.name();
        let first = self.endpoint(config).map(|(id, _)| id).ok();
        let mut ids: Vec<EndpointId> = (0..config.endpoints.len() as u32).map(EndpointId).collect();
        ids.sort_by_key(|id| Some(*id) != first);
        let is_known = |id: &EndpointId| knows(&config.endpoints[id.at()], &name);
        if ids.iter().any(is_known) {
            ids.retain(is_known);
        }
        ids
    }

    /// The listener by Host alone: by its port, otherwise the first that serves the name.
    fn by_host(&self, config: &Config) -> Option<EndpointId> {
        let all = || config.endpoints.iter().enumerate();
        let (name, port) = self.name();
        let is_known = |endpoint: &Endpoint| knows(endpoint, &name);
        let by_port = |wanted: u16| {
            let of_port = || all().filter(move |(_, endpoint)| endpoint.addr.port() == Some(wanted));
            of_port().find(|(_, endpoint)| is_known(endpoint)).or_else(|| of_port().next())
        };
        let by_name = || all().find(|(_, endpoint)| is_known(endpoint));
        let found = match port {
            Some(port) => by_port(port).or_else(by_name),
            None => by_port(80).filter(|(_, endpoint)| is_known(endpoint)).or_else(by_name),
        };
        found.map(|(at, _)| EndpointId(at as u32))
    }
}

/// Whether a server of the listener has this name (given in lower case).
fn knows(endpoint: &Endpoint, name: &str) -> bool {
    let mut recorder = Recorder::default();
    let _ = server::find(endpoint, name.as_bytes(), &mut recorder);
    !matches!(recorder.0.first(), Some(TraceStep::Server { rule: Rule::Default, .. }) | None)
}

/// The listener of this address.
pub fn by_addr(config: &Config, addr: &str) -> Option<EndpointId> {
    let at = config.endpoints.iter().position(|endpoint| endpoint.addr.to_string() == addr)?;
    Some(EndpointId(at as u32))
}

/// Splits `http://host:port/path?query`, or only a path, into authority and request target.
fn split_url(url: &str) -> Result<(Option<Authority>, String), String> {
    if url.contains('#') {
        return Err(format!("\"{url}\" has a fragment, which no client sends"));
    }
    if url.starts_with('/') || url == "*" {
        return Ok((None, url.into()));
    }
    let is_secure = url.len() > 5 && url.as_bytes()[..5].eq_ignore_ascii_case(b"https");
    let rest = match url.split_once("://") {
        Some((scheme, rest)) if ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) => rest,
        Some((scheme, _)) => {
            return Err(format!("\"{scheme}\" is not served here: the URL begins with http:// or https://"));
        }
        None => return Err(format!("\"{url}\" is not a URL: http://host:port/path, or a path that begins with /")),
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    // An IPv6 address has its colons in brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            let parsed = port.parse().map_err(|_| format!("\"{port}\" is not a port in \"{url}\""))?;
            (host, Some(parsed))
        }
        _ => (authority, None),
    };
    if host.is_empty() || host.contains('@') {
        return Err(format!("\"{url}\" names no host"));
    }
    Ok((Some(Authority { host: host.into(), port, is_secure }), target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_becomes_the_head_a_client_would_send() {
        for (name, text, headers, expected) in [
            ("a path", "/a", vec![], Ok("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")),
            ("a URL", "PUT http://a.test:81/x?y", vec![], Ok("PUT /x?y HTTP/1.1\r\nHost: a.test:81\r\n\r\n")),
            ("no path", "http://a.test?q", vec![], Ok("GET /?q HTTP/1.1\r\nHost: a.test\r\n\r\n")),
            ("IPv6", "http://[::1]/", vec![], Ok("GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n")),
            ("Host is given", "http://a/", vec!["host: b"], Ok("GET / HTTP/1.1\r\nhost: b\r\n\r\n")),
            ("a header", "/", vec!["A:  b "], Ok("GET / HTTP/1.1\r\nHost: localhost\r\nA: b\r\n\r\n")),
            ("three words", "GET / HTTP/1.1", vec![], Err("is not a request")),
            ("nothing", " ", vec![], Err("is not a request")),
            ("no method", "G@T /", vec![], Err("is not a method")),
            ("TLS", "https://a/", vec![], Ok("GET / HTTP/1.1\r\nHost: a\r\n\r\n")),
            ("another protocol", "ftp://a/", vec![], Err("is not served here")),
            ("no scheme", "a.test/x", vec![], Err("is not a URL")),
            ("a fragment", "/x#y", vec![], Err("has a fragment")),
            ("a port that is none", "http://a:99999/", vec![], Err("is not a port")),
            ("no host", "http:///x", vec![], Err("names no host")),
            ("a header without colon", "/", vec!["A b"], Err("is not a header")),
            ("a header that splits", "/", vec!["A: b\r\nC: d"], Err("spans lines")),
        ] {
            let headers: Vec<String> = headers.into_iter().map(str::to_owned).collect();
            match (Question::parse(text, &headers), expected) {
                (Ok(question), Ok(head)) => assert_eq!(String::from_utf8_lossy(&question.head), head, "{name}"),
                (Err(why), Err(part)) => assert!(why.contains(part), "{name}: {why}"),
                (got, _) => panic!("{name}: {got:?}"),
            }
        }
    }
}

//! `webserv status`: fetches the counters of a running server through the configured `api`, as any client would. What
//! people look for of them is in [`summary`].

use crate::config::model::{Config, ContentHandler, Endpoint, Location, LocationKind, ServerId};
use crate::http::h1::request;
use crate::http::proxy_protocol;
use crate::http::response_parser::{RequestContext, ResponseHeadProgress, ResponseParser};
use crate::http::version::Version;
use crate::sys::Errno;
use crate::sys::socket::Addr;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

pub mod summary;

/// Timeout for the response.
const PATIENCE: Duration = Duration::from_secs(5);
/// Maximum size of the response.
const LONGEST: u64 = 16 << 20;

/// The help if no api is configured.
const REMEDY: &str = "the configuration shows no counters: write in a server \
                    \"location /status/ { api /status/; allow 127.0.0.1; allow ::1; deny all; }\"";

/// The counters as JSON.
///
/// # Errors
/// Why they could not be fetched, as a sentence.
pub fn fetch(config: &Config) -> Result<String, String> {
    let places = places(config);
    let (endpoint, server, location) =
        places.first().ok_or_else(|| match config.process.status_paths.iter().find(|path| !is_whole(path)) {
            Some(part) => format!(
                "the configuration shows a part of the counters only ({}): `webserv status` needs all of them, as in: \
                 location /status/ {{ api /status/; }}",
                String::from_utf8_lossy(part)
            ),
            None => REMEDY.to_owned(),
        })?;
    if endpoint.ssl.is_some() {
        return Err(
            "the counters are shown over TLS only: `webserv status` reads them from a plain listener".to_owned()
        );
    }
    let name = &config.server(*server).name;
    let host = if name.is_empty() || name.starts_with(b"~") { b"localhost" } else { &name[..] };
    let mut request = Vec::new();
    if endpoint.proxy_protocol {
        request.extend_from_slice(proxy_protocol::UNKNOWN);
    }
    request::line(b"GET", &location.name, Version::Http10, &mut request);
    request::field(b"Host", host, &mut request);
    request::end(&mut request);
    let answer = ask(&endpoint.addr, &request).map_err(|e| {
        let hint = match e.kind() {
            std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::NotFound => {
                ": no server runs by this configuration"
            }
            _ => "",
        };
        format!("{} does not answer {}{hint}", endpoint.addr, Errno::from(e))
    })?;
    body(&answer, &endpoint.addr)
}

fn is_whole(path: &[u8]) -> bool {
    matches!(path, b"/status" | b"/status/")
}

/// The locations that serve all counters, plain listeners first.
fn places(config: &Config) -> Vec<(&Endpoint, ServerId, &Location)> {
    let shows = |location: &&Location| {
        matches!(location.kind, LocationKind::Exact | LocationKind::Prefix | LocationKind::PrefixFinal)
            && matches!(location.content, ContentHandler::Api(id)
                if config.process.status_paths.get(usize::from(id)).is_some_and(|path| is_whole(path)))
    };
    let mut found: Vec<(&Endpoint, ServerId, &Location)> = Vec::new();
    for endpoint in &config.endpoints {
        for server in endpoint.servers() {
            let locations = config.locations.iter().filter(shows).filter(|location| location.server == server);
            found.extend(locations.map(|location| (endpoint, server, location)));
        }
    }
    found.sort_by_key(|(endpoint, ..)| endpoint.ssl.is_some());
    found
}

fn ask(addr: &Addr, request: &[u8]) -> std::io::Result<Vec<u8>> {
    match (addr, addr.ip(), addr.port()) {
        (Addr::Unix(path), ..) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            exchange(stream, request)
        }
        (_, Some(ip), Some(port)) => {
            let ip = match ip {
                IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
                ip => ip,
            };
            let stream = TcpStream::connect_timeout(&SocketAddr::new(ip, port), PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            exchange(stream, request)
        }
        _ => Err(std::io::ErrorKind::AddrNotAvailable.into()),
    }
}

fn exchange(mut stream: impl Read + Write, request: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    Ok(answer)
}

fn body(answer: &[u8], addr: &Addr) -> Result<String, String> {
    let mut parser = ResponseParser::default();
    let parsed = parser.parse(answer, answer.len() + 1, RequestContext::default());
    let Ok(ResponseHeadProgress::Complete) = parsed else { return Err(format!("{addr} answers nothing that is HTTP")) };
    let head = parser.take();
    let status = head.status;
    match status {
        200 => Ok(String::from_utf8_lossy(answer.get(head.len..).unwrap_or_default()).into_owned()),
        401 | 403 => {
            Err(format!("{addr} answers {status}: this machine, or a client without a password, may not see them"))
        }
        _ => Err(format!("{addr} answers {status}: another configuration runs there")),
    }
}

/// One line per number: `http.requests.total 12`, with values aligned. Expects our own JSON, with one member per line.
pub fn table(json: &str) -> String {
    let rows: Vec<(String, &str)> = numbers(json).into_iter().map(|(path, value)| (path.join("."), value)).collect();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}

/// The tree's leaves, each with the names on its way. Histograms are left out.
fn numbers(json: &str) -> Vec<(Vec<&str>, &str)> {
    let (mut path, mut rows): (Vec<&str>, Vec<(Vec<&str>, &str)>) = (Vec::new(), Vec::new());
    for line in json.lines().map(str::trim) {
        let line = line.trim_end_matches(',');
        if line == "}" {
            path.pop();
            continue;
        }
        let Some((name, value)) = line.split_once(": ") else { continue };
        let name = name.trim_matches('"');
        match value {
            "{" => path.push(name),
            "{}" => {}
            _ if path.last() == Some(&"buckets_ms") => {}
            value => rows.push((path.iter().copied().chain([name]).collect(), value.trim_matches('"'))),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_shown_as_a_line_a_number() {
        let json = "{\n  \"a\": {\n    \"b\": 1,\n    \"none\": {},\n    \"buckets_ms\": {\n      \"1\": 2\n    },\n    \"c\": \"x: y\"\n  },\n  \"long\": 3\n}\n";
        assert_eq!(table(json), "a.b   1\na.c   x: y\nlong  3\n");
    }
}

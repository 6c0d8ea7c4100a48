//! Parses the URL of `proxy_pass` and the address of its siblings: while loading or, if it has variables, for each
//! request by the same function.

use super::settings::proxy_pass::Protocol;
use std::rc::Rc;

/// A parsed proxy_pass URL.
#[derive(Debug, PartialEq, Eq)]
pub struct Url<'a> {
    /// Host without port, or `unix:path`.
    pub host: &'a str,
    /// None: the URL names no port.
    pub port: Option<u16>,
    /// The default value of `Host`.
    pub header: &'a str,
    /// The part after host and port; empty if there is none.
    pub uri: &'a [u8],
    /// `https://`.
    pub is_secure: bool,
}

impl<'a> Url<'a> {
    /// Parses the argument of a directive for that protocol.
    ///
    /// # Errors
    /// nginx's message, without the directive.
    pub fn of(protocol: Protocol, text: &'a [u8]) -> Result<Url<'a>, &'static str> {
        let starts = |scheme: &str| text.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme.as_bytes()));
        match protocol {
            Protocol::Http1 => return Url::parse(text),
            Protocol::Uwsgi if starts("suwsgi://") => {
                Url::address(&text[9..]).map(|url| Url { is_secure: true, ..url })
            }
            Protocol::Uwsgi if starts("uwsgi://") => Url::address(&text[8..]),
            _ => Url::address(text),
        }
        .and_then(|url| if url.uri.is_empty() { Ok(url) } else { Err("invalid host") })
        // What could be a URI is found before the port is read (nginx).
        .map_err(|why| if why == "invalid port" && has_uri(text) { "invalid host" } else { why })
    }

    /// # Errors
    /// nginx's message, without the directive.
    pub fn parse(text: &'a [u8]) -> Result<Url<'a>, &'static str> {
        let scheme = |scheme: &str| text.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme.as_bytes()));
        if scheme("https://") {
            let mut url = Url::address(&text[8..])?;
            url.is_secure = true;
            let ends = if url.host.starts_with("unix:") { url.header } else { &url.header[..url.host.len()] };
            url.header = if url.port == Some(443) { ends } else { url.header };
            return Ok(url);
        }
        if !scheme("http://") {
            return Err("invalid URL prefix");
        }
        let mut url = Url::address(&text[7..])?;
        url.header = if url.port == Some(80) { url.host } else { url.header };
        Ok(url)
    }

    /// The scheme's default port.
    pub fn default_port(&self) -> u16 {
        if self.is_secure { 443 } else { 80 }
    }

    /// Parses what follows the scheme.
    fn address(rest: &'a [u8]) -> Result<Url<'a>, &'static str> {
        if rest.get(..5).is_some_and(|unix| unix.eq_ignore_ascii_case(b"unix:")) {
            // The path ends at a colon, after which a URI follows.
            let end = memchr::memchr(b':', &rest[5..]).map_or(rest.len(), |at| at + 5);
            let host = std::str::from_utf8(&rest[..end]).map_err(|_| "invalid host")?;
            if host.len() == 5 {
                return Err("no path in the unix domain socket");
            }
            let uri = rest.get(end + 1..).unwrap_or_default();
            return Ok(Url { host, port: None, header: "localhost", uri, is_secure: false });
        }
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
        let header = std::str::from_utf8(&rest[..end]).map_err(|_| "invalid host")?;
        let uri = &rest[end..];
        let name_end = if header.starts_with('[') {
            header.find(']').ok_or("invalid host")? + 1
        } else {
            header.find(':').unwrap_or(header.len())
        };
        let (host, port) = header.split_at(name_end);
        let port = match port {
            "" => None,
            port => Some(port.strip_prefix(':').and_then(parse_port).ok_or("invalid port")?),
        };
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~%:[]!$&'()*+,;=".contains(&b) || b >= 0x80;
        if host.is_empty() {
            return Err("no host");
        }
        if !host.bytes().all(legal) {
            return Err("invalid host");
        }
        Ok(Url { host, port, header, uri, is_secure: false })
    }

    /// `$proxy_port`.
    pub fn port_text(&self) -> Rc<[u8]> {
        match self.port {
            _ if self.host.starts_with("unix:") => Rc::default(),
            port => port.unwrap_or(self.default_port()).to_string().into_bytes().into(),
        }
    }
}

fn has_uri(text: &[u8]) -> bool {
    memchr::memchr2(b'/', b'?', text).is_some()
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_as_nginx_does() {
        for (text, expected) in [
            ("http://a", Ok(("a", None, "a", ""))),
            ("HTTP://a/", Ok(("a", None, "a", "/"))),
            ("http://a:80/x", Ok(("a", Some(80), "a", "/x"))),
            ("http://a:8080/x?y", Ok(("a", Some(8080), "a:8080", "/x?y"))),
            ("http://[::1]:81", Ok(("[::1]", Some(81), "[::1]:81", ""))),
            ("http://[::1]", Ok(("[::1]", None, "[::1]", ""))),
            ("http://unix:/run/x", Ok(("unix:/run/x", None, "localhost", ""))),
            ("http://unix:/run/x:/y", Ok(("unix:/run/x", None, "localhost", "/y"))),
            ("http://", Err("no host")),
            ("http://:80", Err("no host")),
            ("http://a:", Err("invalid port")),
            ("http://a:0", Err("invalid port")),
            ("http://a:+1", Err("invalid port")),
            ("http://a:65536", Err("invalid port")),
            ("http://a b", Err("invalid host")),
            ("http://a\r\nb", Err("invalid host")),
            ("http://unix:", Err("no path in the unix domain socket")),
            ("https://a:443/x", Ok(("a", Some(443), "a", "/x"))),
            ("https://a:80", Ok(("a", Some(80), "a:80", ""))),
            ("a:80", Err("invalid URL prefix")),
            ("", Err("invalid URL prefix")),
        ] {
            let parsed = Url::parse(text.as_bytes());
            let shown = parsed.map(|u| (u.host, u.port, u.header, std::str::from_utf8(u.uri).expect("ASCII")));
            assert_eq!(shown, expected, "{text}");
        }
    }
}

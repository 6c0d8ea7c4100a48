//! `proxy_pass`: where a location's requests go. The URL is taken apart here, when the configuration is read or, where
//! it has variables, for each request by the same function.

use super::row;
use crate::config::ast::Directive;
use crate::config::context::Args;
use crate::config::context::Contexts;
use crate::config::model::{Content, UpstreamId};
use crate::config::resolve::{Build, Scope};
use crate::config::table::{Effect, Fault, Outcome, Row};
use crate::config::template::Template;
use std::rc::Rc;

/// How requests are spoken to an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    #[default]
    Http1,
    FastCgi,
    Scgi,
    Uwsgi,
    /// A program that is started for the request.
    Cgi,
}

impl Protocol {
    pub fn directive(self) -> &'static str {
        match self {
            Protocol::Http1 => "proxy_pass",
            Protocol::FastCgi => "fastcgi_pass",
            Protocol::Scgi => "scgi_pass",
            Protocol::Uwsgi => "uwsgi_pass",
            Protocol::Cgi => "cgi_pass",
        }
    }

    /// What stands before an address in the error log.
    pub fn scheme(self) -> &'static str {
        match self {
            Protocol::Http1 => "http://",
            Protocol::FastCgi => "fastcgi://",
            Protocol::Scgi => "scgi://",
            Protocol::Uwsgi => "uwsgi://",
            Protocol::Cgi => "cgi://",
        }
    }
}

#[derive(Debug)]
pub struct Pass {
    pub protocol: Protocol,
    pub to: To,
    /// The location's name, which a URI part replaces; empty where the location has no prefix.
    pub location: Box<[u8]>,
    /// `https://`, where it is fixed.
    pub is_secure: bool,
}

#[derive(Debug)]
pub enum To {
    Fixed {
        upstream: UpstreamId,
        /// `$proxy_host` and `$proxy_port`.
        host: Box<[u8]>,
        port: Box<[u8]>,
        /// What stands behind the host; empty: the request's own URI is passed.
        uri: Box<[u8]>,
        /// The whole URL as written: what `proxy_redirect default` looks for.
        url: Box<[u8]>,
    },
    /// It has variables.
    Made(Template),
}

/// A proxy_pass URL taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Url<'a> {
    /// Host without port, or `unix:path`.
    pub host: &'a str,
    pub port: Option<u16>,
    /// The value of `Host` by default.
    pub header: &'a str,
    pub uri: &'a [u8],
    pub is_secure: bool,
}

impl<'a> Url<'a> {
    /// What a directive of that protocol names.
    ///
    /// # Errors
    /// nginx's words, without the directive.
    pub fn of(protocol: Protocol, text: &'a [u8]) -> Result<Url<'a>, &'static str> {
        let starts = |scheme: &str| text.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme.as_bytes()));
        match protocol {
            Protocol::Http1 => return Url::parse(text),
            Protocol::Uwsgi if starts("suwsgi://") => return Err("suwsgi:// needs TLS, which is not built in yet"),
            Protocol::Uwsgi if starts("uwsgi://") => Url::address(&text[8..]),
            _ => Url::address(text),
        }
        .and_then(|url| if url.uri.is_empty() { Ok(url) } else { Err("invalid host") })
    }

    /// # Errors
    /// nginx's words, without the directive.
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

    /// The port of the scheme.
    pub fn default_port(&self) -> u16 {
        if self.is_secure { 443 } else { 80 }
    }

    /// What stands behind the scheme.
    fn address(rest: &'a [u8]) -> Result<Url<'a>, &'static str> {
        if rest.get(..5).is_some_and(|unix| unix.eq_ignore_ascii_case(b"unix:")) {
            // The path ends at a colon, where a URI follows.
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
    pub fn port_text(&self) -> Box<[u8]> {
        match self.port {
            _ if self.host.starts_with("unix:") => Box::default(),
            port => port.unwrap_or(self.default_port()).to_string().into_bytes().into(),
        }
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

pub const ROWS: &[Row] = &[row(
    "proxy_pass",
    Contexts::LOCATION.or(Contexts::IF_LOCATION).or(Contexts::LIMIT_EXCEPT),
    Args::TAKE1,
    "",
    Effect::Once(proxy_pass),
    "Passes requests on to an HTTP/1.x server: http://host[:port][/uri], http://unix:path[:/uri] or http://UPSTREAM. A URI part replaces the location's prefix. Variables are allowed where they make an address, a unix path, the name of a group, or a host that they are set to (`set $app host; proxy_pass http://$app:3000;`); names are looked up when the configuration is read. https:// speaks TLS with the server (`proxy_ssl_…`).",
)];

fn proxy_pass(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let word = &d.args[0];
    let template = b.template(d, 0)?;
    // A location given by a regex, a name or a condition has no prefix that a URI could replace.
    let has_prefix = s.context == Contexts::LOCATION && !s.own.regex && !s.own.named;
    let name = s.own.location_name();
    let to = match template.constant() {
        None => To::Made(template),
        Some(text) => {
            let url = Url::parse(text).map_err(|why| Fault {
                help: (why == "invalid URL prefix").then(|| "proxy_pass http://host:port;".into()),
                ..Fault::new(word.span, why)
            })?;
            if !url.uri.is_empty() && !has_prefix {
                return Err(Fault::new(
                    word.span,
                    "\"proxy_pass\" cannot have URI part in location given by regular expression, or inside named \
                     location, or inside \"if\" statement, or inside \"limit_except\" block",
                ));
            }
            To::Fixed {
                upstream: match url.is_secure && url.port.is_none() && !url.host.starts_with("unix:") {
                    true => b.upstreams.refer_secure(url.host, word.span),
                    false => b.upstreams.refer(url.host, url.port, word.span),
                },
                host: url.header.as_bytes().into(),
                port: url.port_text(),
                uri: url.uri.into(),
                url: text.into(),
            }
        }
    };
    let is_secure =
        matches!(&to, To::Fixed { url, .. } if url.get(..5).is_some_and(|s| s.eq_ignore_ascii_case(b"https")));
    s.own.pass = Some(Rc::new(Pass {
        is_secure,
        protocol: Protocol::Http1,
        to,
        location: if has_prefix { name.into() } else { Box::default() },
    }));
    s.own.content = Content::Proxy;
    Ok(())
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

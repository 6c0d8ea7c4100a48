//! Scheme, host and port as the client sees them, and absolute URLs made from them. Every Location of this server is
//! made here, and only here are a proxy's fields about the client's connection evaluated.
//!
//! Invariant: a response that a cache may keep for other clients never depends on a header that any client can send. A
//! redirect of a GET follows X-Forwarded-Proto, X-Forwarded-Port and Forwarded (RFC 7239) only from an address of
//! `set_real_ip_from`. The Location of a write is for its sender alone, so there scheme and port are taken as they
//! come: a proxy that ends TLS works without further settings.
//!
//! Invariant: the host of a Location is that of Host, or the server's own. Most proxies pass on fields that they do not
//! set, so X-Forwarded-Host and the host of Forwarded may come from the client even if the proxy is trusted.

use crate::exchange::Exchange;
use crate::exchange::access::real_ip;
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::{forwarded, host};
use crate::util::decimal;

/// A path as the URL that the client would use, according to absolute_redirect, server_name_in_redirect and
/// port_in_redirect; anything else is unchanged.
///
/// If the request names no host, the server's own address is used (nginx); if that is not known (a wildcard listener),
/// the path alone (RFC 9110 §10.2.2).
pub fn absolute(ex: &Exchange, target: Vec<u8>) -> Vec<u8> {
    let output = &ex.location().settings.output;
    // Two slashes would name another host, which no path may.
    if !target.starts_with(b"/") || !output.absolute_redirect {
        return target;
    }
    match base_for(ex, target.len()) {
        Some(mut url) => {
            url.extend_from_slice(&target);
            url
        }
        None => target,
    }
}

/// What stands before a path in an absolute URL of this server; None: redirects are to name the path alone.
pub fn base(ex: &Exchange) -> Option<Vec<u8>> {
    base_for(ex, 0)
}

/// The same, with room for a path of this length.
fn base_for(ex: &Exchange, path: usize) -> Option<Vec<u8>> {
    let output = &ex.location().settings.output;
    if !output.absolute_redirect {
        return None;
    }
    let outside = outside(ex);
    let address;
    let name: &[u8] = if output.server_name_in_redirect {
        &ex.server().name
    } else if !ex.route.host.is_empty() {
        &ex.route.host
    } else {
        match local_address(ex) {
            Some(text) => {
                address = text;
                &address
            }
            None => return None,
        }
    };
    if name.is_empty() {
        return None;
    }
    let scheme = outside.scheme.unwrap_or_else(|| ex.client.scheme());
    let port = match outside {
        Outside { port: Some(port), .. } => Some(port),
        // The proxy's own port is the one the client named, or its scheme's.
        Outside { scheme: Some(_), .. } => named_port(ex),
        _ => ex.config.endpoints[ex.client.endpoint.at()].addr.port(),
    };
    Some(url(ex, scheme, name, port, path))
}

/// A URL up to its path, which is to have `path` bytes: `http://host:8080`, without the scheme's own port, and without
/// any where port_in_redirect is off.
fn url(ex: &Exchange, scheme: &str, host: &[u8], port: Option<u16>, path: usize) -> Vec<u8> {
    let implied = if scheme == "https" { 443 } else { 80 };
    let mut url = Vec::with_capacity("https://:65535".len() + host.len() + path);
    for part in [scheme.as_bytes(), b"://", host] {
        url.extend_from_slice(part);
    }
    if let Some(port) = port.filter(|port| *port != implied && ex.location().settings.output.port_in_redirect) {
        url.push(b':');
        decimal::push(u64::from(port), 0, &mut url);
    }
    url
}

/// A path as a URL with exactly the Host that the client sent, port included: for URLs that the client itself will
/// use next. The port of a mapped connection is known only from there; where it names none, a proxy in front that
/// leaves it out may say it (X-Forwarded-Port).
pub fn as_named(ex: &Exchange, target: Vec<u8>) -> Vec<u8> {
    let (named, output) = (ex.request.head.host.of(ex.buf()), &ex.location().settings.output);
    if !output.absolute_redirect || output.server_name_in_redirect || named.is_empty() {
        return absolute(ex, target);
    }
    let outside = outside(ex);
    let scheme = outside.scheme.unwrap_or_else(|| ex.client.scheme());
    let port = outside.port.filter(|_| named_port(ex).is_none());
    let mut url = url(ex, scheme, named, port, target.len());
    url.extend_from_slice(&target);
    url
}

/// The path of an absolute URL of this very host, whatever its scheme and port: both may be those of a proxy in front.
/// A name and password before the host are passed over: git puts those of its remote into each Destination.
pub fn own_path<'u>(ex: &Exchange, url: &'u [u8]) -> Option<&'u [u8]> {
    let has = |scheme: &[u8]| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let rest =
        [&b"http://"[..], b"https://"].iter().find(|scheme| has(scheme)).and_then(|scheme| url.get(scheme.len()..))?;
    let slash = memchr::memchr(b'/', rest)?;
    let authority = &rest[..slash];
    let host_at = memchr::memrchr(b'@', authority).map_or(0, |at| at + 1);
    let (name, _) = host::split(&authority[host_at..]);
    let is_named = !ex.route.host.is_empty() && name.eq_ignore_ascii_case(&ex.route.host);
    // A trusted proxy may have changed the Host that the client knows. The client at most picks a destination among
    // its own names: that another name counts as well gains it nothing.
    let is_outside = || {
        let outside = real_ip::is_believed(ex).then(|| ex.fields(b"x-forwarded-host").last()).flatten();
        let last = outside.and_then(|line| line.rsplit(|b| *b == b',').next()).unwrap_or_default();
        host::name(last.trim_ascii()).eq_ignore_ascii_case(name)
    };
    (is_named || is_outside()).then(|| &rest[slash..])
}

/// Where a request comes from, according to fields that browsers set and scripts cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A page of this very origin, or the address line.
    OwnPage,
    /// A page of another site. It can post a form here without asking, with the visitor's cookies and address.
    OtherPage,
    /// No field of a browser says: a program.
    Unknown,
}

/// Who sent the request.
pub fn sender(ex: &Exchange) -> Sender {
    classify(ex.fields(b"sec-fetch-site"), ex.fields(b"origin"), ex.request.head.host.of(ex.buf()))
}

/// The value of Sec-Fetch-Site, in order: of several, the last counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Site {
    Own,
    /// An action of the visitor, or of an extension that they trust, not of a page: an Origin of another site
    /// contradicts it, that of an extension does not (Chromium sends both).
    NoPage,
    Other,
}

impl Site {
    fn of(value: &[u8]) -> Site {
        match value {
            b"same-origin" => Site::Own,
            b"none" => Site::NoPage,
            _ => Site::Other,
        }
    }
}

/// Browsers send neither field twice: if there are several, all must be of a page of ours.
fn classify<'a>(sites: impl Iterator<Item = &'a [u8]>, origins: impl Iterator<Item = &'a [u8]>, host: &[u8]) -> Sender {
    let is_own_origin = |origin: &[u8]| {
        let authority = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
        !host.is_empty() && authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    };
    let is_page = |origin: &[u8]| origin == b"null" || origin.starts_with(b"http:") || origin.starts_with(b"https:");
    let of_site = sites.map(Site::of).max();
    let counts = |origin: &&[u8]| of_site != Some(Site::NoPage) || is_page(origin);
    let of_origin = origins.filter(counts).map(is_own_origin).reduce(|a, b| a && b);
    match (of_site, of_origin) {
        (None, None) => Sender::Unknown,
        // A proxy in front may have changed the Host that the page's Origin names: the browser has compared them
        // itself.
        (Some(Site::Own), _) | (None | Some(Site::NoPage), Some(true)) | (Some(Site::NoPage), None) => Sender::OwnPage,
        (Some(Site::Other), _) | (_, Some(false)) => Sender::OtherPage,
    }
}

/// What a proxy in front says of the connection it took the request from.
#[derive(Clone, Copy, Default)]
struct Outside {
    scheme: Option<&'static str>,
    port: Option<u16>,
}

fn outside(ex: &Exchange) -> Outside {
    let is_write = !matches!(ex.route.method, Method::Get | Method::Head | Method::Options);
    if !is_write && !real_ip::is_believed(ex) {
        return Outside::default();
    }
    // A proxy that sets X-Forwarded-Proto may pass on the Forwarded of its client.
    let scheme = match ex.header(HeaderId::XForwardedProto) {
        Some(list) => known_scheme(list),
        None => forwarded::last_proto(ex.fields(b"forwarded")).as_deref().and_then(known_scheme),
    };
    let port = ex.field(b"x-forwarded-port").and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok());
    Outside { scheme, port: port.filter(|_| scheme.is_some()) }
}

/// The first proxy of a list is the one that the client spoke to.
fn known_scheme(value: &[u8]) -> Option<&'static str> {
    let first = value.split(|b| *b == b',').next().unwrap_or_default().trim_ascii();
    ["http", "https"].into_iter().find(|scheme| first.eq_ignore_ascii_case(scheme.as_bytes()))
}

/// The port of the Host that the client sent, if it has one.
fn named_port(ex: &Exchange) -> Option<u16> {
    let (_, port) = host::split(ex.request.head.host.of(ex.buf()));
    port
}

/// The address that the connection came to.
fn local_address(ex: &Exchange) -> Option<Vec<u8>> {
    let bound = ex.config.endpoints[ex.client.endpoint.at()].addr.ip().filter(|ip| !ip.is_unspecified());
    let ip = ex.client.local.or(bound)?.to_canonical();
    Some(if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() }.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};

    #[test]
    fn a_page_of_another_site_is_told_from_ours_and_from_a_program() {
        let table: &[(&[&str], &[&str], &str, bool)] = &[
            (&[], &[], "a.test", false),
            (&["same-origin"], &[], "a.test", true),
            (&["same-origin"], &["http://outside.test"], "a.test", true),
            (&["none"], &[], "a.test", true),
            (&["none"], &["http://a.test"], "a.test", true),
            (&["none"], &["http://b.test"], "a.test", false),
            (&["none", "same-origin"], &["http://b.test"], "a.test", false),
            (&["Same-Origin"], &[], "a.test", false),
            (&["same-site"], &[], "a.test", false),
            (&["cross-site"], &["http://a.test"], "a.test", false),
            (&["same-origin", "cross-site"], &[], "a.test", false),
            (&[], &["http://a.test"], "a.test", true),
            (&[], &["http://a.test", "http://a.test"], "a.test", true),
            (&[], &["http://a.test", "http://b.test"], "a.test", false),
            (&[], &["http://b.test", "http://a.test"], "a.test", false),
            (&[], &["https://A.test:8443"], "a.test:8443", true),
            (&[], &["http://a.test:81"], "a.test", false),
            (&[], &["http://b.test"], "a.test", false),
            (&[], &["http://a.test.evil"], "a.test", false),
            (&[], &["null"], "null", false),
            (&["none"], &["chrome-extension://x"], "a.test", true),
            (&["none"], &["chrome-extension://x", "http://b.test"], "a.test", false),
            (&["none"], &["null"], "a.test", false),
            (&["cross-site"], &["chrome-extension://x"], "a.test", false),
            (&[], &["chrome-extension://x"], "a.test", false),
            (&[], &["http://"], "", false),
        ];
        for (sites, origins, host, expected) in table {
            let values = |values: &'static [&str]| values.iter().map(|value| value.as_bytes());
            let verdict = classify(values(sites), values(origins), host.as_bytes());
            assert_eq!(verdict == Sender::OwnPage, *expected, "{sites:?} {origins:?} {host}");
            assert_eq!(verdict == Sender::Unknown, sites.is_empty() && origins.is_empty(), "{sites:?} {origins:?}");
        }
    }

    #[test]
    fn a_url_leaves_out_the_port_of_its_own_scheme_only() {
        let mut site = Site::new("", "location /off/ { port_in_redirect off; }");
        for (path, scheme, port, expected) in [
            ("/", "http", Some(80), "http://h"),
            ("/", "http", Some(443), "http://h:443"),
            ("/", "http", Some(8080), "http://h:8080"),
            ("/", "https", Some(443), "https://h"),
            ("/", "https", Some(80), "https://h:80"),
            ("/", "https", None, "https://h"),
            ("/off/", "http", Some(8080), "http://h"),
        ] {
            let ex = site.at(&format!("GET {path}"), &[], INSIDE);
            let made = url(&ex, scheme, b"h", port, 0);
            assert_eq!(String::from_utf8_lossy(&made), expected, "{path} {scheme} {port:?}");
        }
    }

    #[test]
    fn the_scheme_outside_is_the_first_proxys() {
        let table: [(&[u8], Option<&str>); 5] = [
            (b"https", Some("https")),
            (b"HTTPS, http", Some("https")),
            (b"http", Some("http")),
            (b"ftp", None),
            (b"", None),
        ];
        for (value, expected) in table {
            assert_eq!(known_scheme(value), expected, "{}", String::from_utf8_lossy(value));
        }
    }
}

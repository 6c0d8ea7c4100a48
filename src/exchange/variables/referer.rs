//! `$invalid_referer`.

use crate::config::model::{Names, ServerId};
use crate::exchange::Exchange;
use crate::http::header::HeaderId;

/// A host name longer than this is never valid (nginx).
const LONGEST_HOST: usize = 256;

pub fn is_invalid(ex: &Exchange) -> bool {
    let referers = &ex.here().settings.referers;
    if !referers.is_set() {
        return false;
    }
    let Some(referer) = ex.header(HeaderId::Referer) else { return !referers.none };
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|s| referer.len() >= 11 && referer.get(..s.len()).is_some_and(|start| start.eq_ignore_ascii_case(s)));
    let Some(scheme) = scheme else { return !referers.blocked };
    let rest = &referer[scheme.len()..];
    let end = rest.iter().position(|b| matches!(b, b'/' | b':')).unwrap_or(rest.len());
    if end > LONGEST_HOST {
        return true;
    }
    let host = rest[..end].to_ascii_lowercase();
    if let Some(at) = referers.hosts.find(&host) {
        let wanted = referers.uris.get(at as usize).map_or(&b""[..], |uri| uri);
        let path = memchr::memchr(b'/', &rest[end..]).map_or(&b""[..], |slash| &rest[end + slash..]);
        return !path.starts_with(wanted);
    }
    let names = &ex.config.endpoints[ex.client.endpoint.at()].names;
    let known = referers.server_names && is_named(names, ex.server, &host)
        || referers.regexes.iter().any(|pattern| pattern.is_match(rest));
    !known
}

/// Whether `host` is a name of this very server.
fn is_named(names: &Names, server: ServerId, host: &[u8]) -> bool {
    let mine = |id: Option<&ServerId>| id == Some(&server);
    mine(names.exact.get(host))
        || memchr::memchr_iter(b'.', host).any(|at| at > 0 && mine(names.suffixes.get(&host[at..])))
        || memchr::memchr_iter(b'.', host).any(|at| mine(names.prefixes.get(&host[..=at])))
        || names.regexes.iter().any(|(pattern, id)| *id == server && pattern.is_match(host))
}

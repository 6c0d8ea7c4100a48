//! `$invalid_referer`.

use crate::config::model::{Names, ServerId};
use crate::config::names::{beginnings, ends};
use crate::config::pattern::{Failed, Pattern, RequestEffort};
use crate::exchange::Exchange;
use crate::http::header::HeaderId;

/// A host name longer than this is never valid (nginx).
const LONGEST_HOST: usize = 256;

/// # Errors
/// Whether a pattern among the valid ones matches could not be found out.
pub fn is_invalid(ex: &Exchange) -> Result<bool, Failed> {
    let referers = &ex.location().settings.referers;
    if !referers.is_set() {
        return Ok(false);
    }
    let Some(referer) = ex.header(HeaderId::Referer) else { return Ok(!referers.none) };
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|s| referer.len() >= 11 && referer.get(..s.len()).is_some_and(|start| start.eq_ignore_ascii_case(s)));
    let Some(scheme) = scheme else { return Ok(!referers.blocked) };
    let rest = &referer[scheme.len()..];
    let end = rest.iter().position(|b| matches!(b, b'/' | b':')).unwrap_or(rest.len());
    if end > LONGEST_HOST {
        return Ok(true);
    }
    let host = rest[..end].to_ascii_lowercase();
    if let Some(at) = referers.hosts.find(&host) {
        let wanted = referers.uris.get(at as usize).map_or(&b""[..], |uri| uri);
        let path = memchr::memchr(b'/', &rest[end..]).map_or(&b""[..], |slash| &rest[end + slash..]);
        return Ok(!path.starts_with(wanted));
    }
    let names = &ex.config.endpoints[ex.client.endpoint.at()].names;
    let effort = &ex.route.effort;
    let known = referers.server_names && is_named(names, ex.route.server, &host, effort)?
        || effort.spend(|effort| referers.regexes.any_matches(rest, effort))?;
    Ok(!known)
}

/// Whether `host` is a name of this very server.
fn is_named(names: &Names, server: ServerId, host: &[u8], effort: &RequestEffort) -> Result<bool, Failed> {
    let mine = |id: Option<&ServerId>| id == Some(&server);
    let known = mine(names.exact.get(host))
        || ends(host).any(|end| mine(names.suffixes.get(end)))
        || beginnings(host).any(|beginning| mine(names.prefixes.get(beginning)));
    let mut regexes = names.regexes.iter().filter(|(_, id)| *id == server);
    let matches = |pattern: &Pattern| effort.spend(|effort| pattern.is_match_within(host, effort));
    regexes.try_fold(known, |found, (pattern, _)| Ok(found || matches(pattern)?))
}

//! The server of a request: by its host among the names of the endpoint it came in on. nginx's order: exact, the
//! longest `*.suffix`, the longest `prefix.*`, the first regex, the default server.

use super::trace::{Rule, Trace, TraceStep};
use crate::config::model::{Endpoint, ServerId};
use crate::config::names::{beginnings, ends};
use crate::config::pattern::{Effort, Failed, Matched};
use crate::config::pattern_set;

/// The server for `host` (in lower case, without port and trailing dot), and the captures if a regex matched.
///
/// # Errors
/// A regex exceeded the limits of matching.
pub fn find(endpoint: &Endpoint, host: &[u8], trace: &mut impl Trace) -> Result<(ServerId, Option<Matched>), Failed> {
    find_within(endpoint, host, trace, &mut Effort::default())
}

/// As [`find`], within the matching effort that is left to the request.
///
/// # Errors
/// A regex exceeded the limits of matching.
pub fn find_within(
    endpoint: &Endpoint,
    host: &[u8],
    trace: &mut impl Trace,
    effort: &mut Effort,
) -> Result<(ServerId, Option<Matched>), Failed> {
    let (id, rule, matched) = decide(endpoint, host, effort)?;
    trace.step(|| TraceStep::Server { id, rule });
    Ok((id, matched))
}

/// The server that has this name. None: no server has it, so that the default server answers.
///
/// # Errors
/// A regex exceeded the limits of matching.
pub fn by_name(endpoint: &Endpoint, host: &[u8]) -> Result<Option<ServerId>, Failed> {
    let (id, rule, _) = decide(endpoint, host, &mut Effort::default())?;
    Ok(Some(id).filter(|_| rule != Rule::Default))
}

fn decide(endpoint: &Endpoint, host: &[u8], effort: &mut Effort) -> Result<(ServerId, Rule, Option<Matched>), Failed> {
    let names = &endpoint.names;
    // Without a Host, `server_name ""` is meant (nginx).
    if let Some(&id) = names.exact.get(host) {
        return Ok((id, Rule::Exact, None));
    }
    if !names.suffixes.is_empty() {
        // The leftmost dot first: the longest suffix wins. `.example.com` itself does not match `*.example.com`.
        if let Some(&id) = ends(host).find_map(|end| names.suffixes.get(end)) {
            return Ok((id, Rule::Suffix, None));
        }
    }
    if !names.prefixes.is_empty()
        && let Some(&id) = beginnings(host).find_map(|beginning| names.prefixes.get(beginning))
    {
        return Ok((id, Rule::Prefix, None));
    }
    if !host.is_empty() {
        let found = pattern_set::first(names.set.as_ref(), &names.regexes, host, effort)?;
        if let Some((at, matched)) = found {
            return Ok((names.regexes[at].1, Rule::Regex(at), matched));
        }
    }
    Ok((endpoint.default, Rule::Default, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::build::Form;
    use crate::config::load::{LoadOptions, load_text};
    use crate::config::resolve::resolve;
    use std::path::Path;

    /// Exact names come first, then the longest wildcard before a name, then the longest behind one, then regexes in
    /// their order (nginx).
    #[test]
    fn the_kinds_of_server_names_are_asked_in_their_order() {
        let names = [
            "default.example",
            "a.example \"\"",
            "*.a.example",
            "*.in.a.example",
            ".b.example",
            "a.*",
            "a.in.*",
            "~^a\\.",
            "~^(?<name>[cd])\\.",
        ];
        let servers: String =
            names.iter().map(|name| format!("server {{ listen 80; server_name {name}; }} ")).collect();
        let text = format!("events {{}} http {{ {servers} }}");
        let mut loaded = load_text("names.conf", text.as_bytes(), &LoadOptions::default());
        let resolved = resolve(&mut loaded, Path::new("/p"), Form::Webserv, Vec::new(), None);
        let config = resolved.config.expect("the configuration is right");
        for (host, expected) in [
            ("a.example", 1),
            ("", 1),
            ("x.a.example", 2),
            ("y.x.a.example", 2),
            ("x.in.a.example", 3),
            ("in.a.example", 2),
            ("b.example", 4),
            ("x.b.example", 4),
            ("a.org", 5),
            ("a.in.org", 6),
            ("c.org", 8),
            ("e.org", 0),
            ("default.example", 0),
            ("xa.example", 0),
        ] {
            let found = by_name(&config.endpoints[0], host.as_bytes()).expect("within limits");
            let found = found.unwrap_or(config.endpoints[0].default);
            assert_eq!(found.0, expected, "{host}");
        }
    }
}

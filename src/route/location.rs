//! The location of a URI: exact, else the longest prefix, whose nested locations are searched first, unless a regex
//! of the level matches and the prefix was not `^~` (nginx's `ngx_http_core_find_location`).

use super::trace::{LocationVerdict, Trace, TraceStep};
use crate::config::model::{Config, Location, LocationId, LocationKind, LocationTree, ServerId};
use crate::config::pattern::{Effort, Failed, Matched};
use crate::config::pattern_set;
use std::cmp::Ordering;

/// A location, and what its regex captured.
#[derive(Debug)]
pub struct LocationMatch {
    /// The location that answers.
    pub location: LocationId,
    /// None: it was not found by a regex, or the regex captures nothing.
    pub matched: Option<Matched>,
}

/// The location of `server` for the normalised `uri`; the server level itself if none matches.
///
/// # Errors
/// A regex exceeded the limits of matching.
pub fn find(config: &Config, server: ServerId, uri: &[u8], trace: &mut impl Trace) -> Result<LocationMatch, Failed> {
    find_within(config, server, uri, trace, &mut Effort::default())
}

/// As [`find`], within the matching effort that is left to the request.
///
/// # Errors
/// A regex exceeded the limits of matching.
pub fn find_within(
    config: &Config,
    server: ServerId,
    uri: &[u8],
    trace: &mut impl Trace,
    effort: &mut Effort,
) -> Result<LocationMatch, Failed> {
    let mut found = LocationMatch { location: config.server(server).root, matched: None };
    search(config, &config.server(server).tree, uri, &mut found, &mut Search { trace, effort })?;
    Ok(found)
}

struct Search<'a, T> {
    trace: &'a mut T,
    effort: &'a mut Effort,
}

/// The location that answers the URI with a slash appended, if `is_meant` accepts it: the URI itself is then redirected
/// there. None if a location beside it is named by the URI itself; a location around it may be.
pub fn lacks_slash(
    config: &Config,
    server: ServerId,
    uri: &[u8],
    is_meant: impl Fn(&Location) -> bool,
) -> Option<LocationId> {
    if uri.ends_with(b"/") {
        return None;
    }
    let mut tree = &config.server(server).tree;
    loop {
        let prefixes = &tree.prefixes;
        if tree.exact.contains_key(uri) {
            return None;
        }
        let behind = match prefixes.binary_search_by(|entry| (*entry.prefix).cmp(uri)) {
            Ok(at) => {
                tree = config.location(prefixes[at].location).tree.as_deref()?;
                continue;
            }
            Err(behind) => behind,
        };
        // Names that begin with the URI, the one with a slash among them, would follow there.
        let is_beginning = prefixes.get(behind).is_some_and(|entry| entry.prefix.starts_with(uri));
        // Called for every request, so the name with a slash is built only where it is looked up by its hash.
        let exact = match tree.exact.is_empty() {
            true => None,
            false => tree.exact.get(&*[uri, b"/"].concat()).copied(),
        };
        let with_slash = || match is_beginning {
            true => prefixes.binary_search_by(|entry| against_directory(&entry.prefix, uri)).ok(),
            false => None,
        };
        let prefix = with_slash().map(|at| prefixes[at].location);
        // Either of them may be meant; it is the exact one that answers (nginx).
        if [exact, prefix].into_iter().flatten().any(|id| is_meant(config.location(id))) {
            return exact.or(prefix);
        }
        tree = config.location(longest_prefix(tree, uri)?).tree.as_deref()?;
    }
}

/// Compares `name` with `uri` and a slash appended.
fn against_directory(name: &[u8], uri: &[u8]) -> Ordering {
    match name.split_at_checked(uri.len()) {
        Some((start, rest)) => start.cmp(uri).then_with(|| rest.cmp(b"/")),
        // A proper prefix sorts first.
        None => name.cmp(uri),
    }
}

/// Whether a URI below the directory `uri` may belong to another location than `home`, that of the directory itself.
/// Regexes count as matching; nothing below an exact location's name belongs to that location.
pub fn may_differ_below(config: &Config, server: ServerId, uri: &[u8], home: LocationId) -> bool {
    if config.location(home).kind == LocationKind::Exact {
        return true;
    }
    let mut tree = &config.server(server).tree;
    loop {
        let names = tree.exact.keys().chain(tree.prefixes.iter().map(|entry| &entry.prefix));
        if names.into_iter().any(|name| name.len() > uri.len() && name.starts_with(uri)) {
            return true;
        }
        let inner = longest_prefix(tree, uri).map(|id| config.location(id));
        let last = inner.is_some_and(|location| location.kind == LocationKind::PrefixFinal);
        if !last && !tree.regexes.is_empty() || config.location(home).kind == LocationKind::Regex {
            return true;
        }
        match inner.and_then(|location| location.tree.as_deref()) {
            Some(inner) => tree = inner,
            None => return false,
        }
    }
}

/// Returns whether the search is over, because an exact name or a regex was found: otherwise regexes of outer levels
/// may still win over a nested prefix. `^~` excludes the regexes of its own level only (nginx).
fn search(
    config: &Config,
    tree: &LocationTree,
    uri: &[u8],
    found: &mut LocationMatch,
    by: &mut Search<'_, impl Trace>,
) -> Result<bool, Failed> {
    if let Some(&id) = tree.exact.get(uri) {
        by.trace.step(|| TraceStep::Location { id, verdict: LocationVerdict::Exact });
        *found = LocationMatch { location: id, matched: None };
        return Ok(true);
    }
    let mut last = false;
    if let Some(id) = longest_prefix(tree, uri) {
        let location = config.location(id);
        last = location.kind == LocationKind::PrefixFinal;
        by.trace.step(|| TraceStep::Location {
            id,
            verdict: if last { LocationVerdict::FinalPrefix } else { LocationVerdict::LongestPrefix },
        });
        *found = LocationMatch { location: id, matched: None };
        if let Some(inner) = &location.tree
            && search(config, inner, uri, found, by)?
        {
            return Ok(true);
        }
    }
    if last || tree.regexes.is_empty() {
        return Ok(false);
    }
    let first = pattern_set::first(tree.set.as_deref(), &tree.regexes, uri, by.effort)?;
    let Some((at, matched)) = first else { return Ok(false) };
    let (_, id) = tree.regexes[at];
    by.trace.step(|| TraceStep::Location { id, verdict: LocationVerdict::Regex });
    // Captures of an earlier regex are replaced even if this one has none; named groups that it does not set keep what
    // the enclosing regex captured (nginx).
    let around = found.matched.take().map(|matched| matched.named).unwrap_or_default();
    let mut matched = matched.unwrap_or_default();
    matched.named.splice(0..0, around);
    *found = LocationMatch { location: id, matched: Some(matched) };
    if let Some(inner) = &config.location(id).tree {
        search(config, inner, uri, found, by)?;
    }
    Ok(true)
}

fn longest_prefix(tree: &LocationTree, uri: &[u8]) -> Option<LocationId> {
    let mut at = tree.prefixes.partition_point(|entry| &*entry.prefix <= uri).checked_sub(1)?;
    loop {
        let entry = &tree.prefixes[at];
        if uri.starts_with(&entry.prefix) {
            return Some(entry.location);
        }
        at = entry.parent? as usize;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::build::Form;
    use crate::config::load::{LoadOptions, load_text};
    use crate::config::resolve::resolve;
    use crate::route::{NoTrace, Recorder, server};
    use std::path::Path;

    #[test]
    fn a_name_is_compared_as_if_the_slash_stood_there() {
        let names: [&[u8]; 8] = [b"", b"/", b"/a", b"/a/", b"/a/b", b"/a0", b"/a-", b"/b/"];
        for (name, uri) in names.iter().flat_map(|name| names.map(|uri| (*name, uri))) {
            assert_eq!(against_directory(name, uri), name.cmp(&[uri, b"/"].concat()), "{name:?} {uri:?}");
        }
    }

    fn config(text: &str) -> Config {
        let mut loaded = load_text("test.conf", text.as_bytes(), &LoadOptions::default());
        let resolved = resolve(&mut loaded, Path::new("/p"), Form::Webserv, Vec::new(), None);
        let shown = resolved.diagnostics.render(&loaded.sources, "webserv");
        resolved.config.unwrap_or_else(|| panic!("{shown}"))
    }

    #[test]
    fn locations_are_chosen_as_nginx_chooses_them() {
        let config = config(
            "server { listen 8080;
               location / { } location = /exact { } location /a { } location /ab { }
               location ^~ /final/ { } location ~ \\.php$ { } location ~* \\.JPG$ { }
               location /nest/ { location /nest/deep/ { } location ~ \\.txt$ { } location = /nest/one { } }
               location /nest/deeper/ { }
             }",
        );
        for (uri, expected) in [
            ("/", "/"),
            ("/exact", "/exact"),
            ("/exact/", "/"),
            ("/abc", "/ab"),
            ("/a/x.php", "\\.php$"),
            ("/final/x.php", "/final/"),
            ("/x.jpg", "\\.JPG$"),
            ("/nest/x.txt", "\\.txt$"),
            ("/nest/x.php", "\\.php$"),
            ("/nest/deep/x", "/nest/deep/"),
            ("/nest/one", "/nest/one"),
            ("/nest/deeper/x", "/nest/deeper/"),
            ("/zzz", "/"),
        ] {
            let found = find(&config, ServerId(0), uri.as_bytes(), &mut NoTrace).expect("decided");
            let name = String::from_utf8_lossy(&config.location(found.location).name).into_owned();
            assert_eq!(name, expected, "{uri}");
        }
    }

    #[test]
    fn a_slash_is_lacking_where_the_name_with_it_is_meant_and_no_other_location_has_the_uri() {
        let config = config(
            "server { listen 8080; location / { } location /a/ { } location /b/ { } location = /b { } location /c/ { }
               location /c { } location = /d/ { } location /nest/ { location /nest/in/ { } location = /nest/one/ { } }
               location /o { location /o/ { } } location /p { location = /p { } location /p/ { } } }",
        );
        for (uri, expected) in [
            ("/a", Some("/a/")),
            ("/a/", None),
            ("/ab", None),
            ("/b", None),
            ("/c", None),
            ("/d", Some("/d/")),
            ("/nest", Some("/nest/")),
            ("/nest/in", Some("/nest/in/")),
            ("/nest/one", Some("/nest/one/")),
            ("/nest/on", None),
            ("/o", Some("/o/")),
            ("/p", None),
        ] {
            let found = lacks_slash(&config, ServerId(0), uri.as_bytes(), |_| true);
            let name = found.map(|id| String::from_utf8_lossy(&config.location(id).name).into_owned());
            assert_eq!(name.as_deref(), expected, "{uri}");
            assert_eq!(lacks_slash(&config, ServerId(0), uri.as_bytes(), |_| false), None, "{uri}: none is meant");
        }
    }

    #[test]
    fn a_tree_has_rules_of_its_own_where_another_location_may_match_below() {
        let config = config(
            "server { listen 8080;
               location / { } location /a/ { } location /a/b/deny/ { } location = /c/one { } location = /d/ { }
               location ^~ /final/ { } location /nest/ { location ~ x { } }
             }
             server { listen 8080; server_name r; location / { } location ~ \\.php$ { } location ^~ /final/ { } }",
        );
        for (server, uri, expected) in [
            (0, "/a/", true),
            (0, "/a/b/", true),
            (0, "/a/b/deny/", false),
            (0, "/a/c/", false),
            (0, "/c/", true),
            (0, "/d/", true),
            (0, "/", true),
            (0, "/z/", false),
            (0, "/nest/", true),
            (1, "/a/", true),
            (1, "/final/", false),
        ] {
            let server = ServerId(server);
            let home = find(&config, server, uri.as_bytes(), &mut NoTrace).expect("decided").location;
            assert_eq!(may_differ_below(&config, server, uri.as_bytes(), home), expected, "{uri}");
        }
    }

    #[test]
    fn what_may_match_below_a_place_that_a_regex_answers_is_not_known() {
        let config = config(
            "server { listen 8080;
               location / { } location ^~ /f/ { location ~ d/$ { } location /f/plain/ { } } }",
        );
        for (uri, expected) in [("/f/x/d/", true), ("/f/plain/", true), ("/g/", false)] {
            let home = find(&config, ServerId(0), uri.as_bytes(), &mut NoTrace).expect("decided").location;
            assert_eq!(may_differ_below(&config, ServerId(0), uri.as_bytes(), home), expected, "{uri}");
        }
    }

    #[test]
    fn a_trace_has_each_location_that_was_looked_at_and_why() {
        use super::LocationVerdict as V;
        let config = config(
            "server { listen 8080;
               location = /one { } location /p/ { location /p/in/ { } location ~ x$ { location ~ n/x$ { } } }
               location ^~ /f/ { } location ~ y$ { } }",
        );
        let root = config.server(ServerId(0)).root;
        for (uri, verdicts, is_root) in [
            ("/one", &[V::Exact][..], false),
            ("/p/a", &[V::LongestPrefix], false),
            ("/p/in/a", &[V::LongestPrefix, V::LongestPrefix], false),
            ("/p/in/x", &[V::LongestPrefix, V::LongestPrefix, V::Regex, V::Regex], false),
            ("/p/in/y", &[V::LongestPrefix, V::LongestPrefix, V::Regex], false),
            ("/f/y", &[V::FinalPrefix], false),
            ("/y", &[V::Regex], false),
            ("/other", &[], true),
        ] {
            let (mut recorder, mut maybe) = (Recorder::default(), Some(Recorder::default()));
            let found = find(&config, ServerId(0), uri.as_bytes(), &mut recorder).expect("decided");
            assert_eq!(found.location == root, is_root, "{uri}");
            let seen = recorder.0.iter().filter_map(|step| match step {
                TraceStep::Location { verdict, .. } => Some(*verdict),
                _ => None,
            });
            assert_eq!(seen.collect::<Vec<V>>(), verdicts, "{uri}");
            let last = recorder.0.last();
            assert!(is_root || matches!(last, Some(TraceStep::Location { id, .. }) if *id == found.location), "{uri}");
            find(&config, ServerId(0), uri.as_bytes(), &mut maybe).expect("decided");
            assert_eq!(maybe.expect("as before").0, recorder.0, "{uri}");
        }
        let mut recorder = Some(Recorder::default());
        recorder.say("phase", None, || "text".into());
        let said = TraceStep::Phase { name: "phase", at: None, text: "text".into() };
        assert_eq!(recorder.expect("as before").0, [said]);
    }

    #[test]
    fn a_regex_captures_and_keeps_what_the_one_around_it_has_named() {
        let config = config(
            "server { listen 8080; location / { }
               location ~ ^/(?<a>x+)/ { location ~ (?<b>y+) { } location ~ z { } } }",
        );
        for (uri, named) in [("/q", &[][..]), ("/xx/", &["xx"]), ("/x/yy", &["x", "yy"]), ("/x/z", &["x"])] {
            let found = find(&config, ServerId(0), uri.as_bytes(), &mut NoTrace).expect("decided");
            let matched = found.matched.unwrap_or_default();
            let texts: Vec<&str> =
                matched.named.iter().map(|(_, from, to)| &uri[*from as usize..*to as usize]).collect();
            assert_eq!(texts, named, "{uri}");
        }
    }

    #[test]
    fn names_are_chosen_as_nginx_chooses_them() {
        let config = config(
            "server { listen 8080; server_name first; } server { listen 8080; server_name *.example.com; }
             server { listen 8080; server_name www.example.*; } server { listen 8080; server_name ~^r(?<n>\\d+)\\.test$; }
             server { listen 8080; server_name .dot.org exact.example.com; } server { listen 8080 default_server; }
             server { listen 8080; server_name *.sub.example.com; } server { listen 8080; server_name www.*; }
             server { listen 8080; server_name ~^$; }",
        );
        for (host, expected) in [
            ("first", 0),
            ("x.example.com", 1),
            ("example.com", 5),
            ("www.example.net", 2),
            ("www.example.com", 1),
            ("r12.test", 3),
            ("dot.org", 4),
            ("a.dot.org", 4),
            ("exact.example.com", 4),
            ("no match", 5),
            ("", 5),
            ("x.sub.example.com", 6),
            (".example.com", 5),
            ("www.other.org", 7),
            ("www", 5),
        ] {
            let (id, _) = server::find(&config.endpoints[0], host.as_bytes(), &mut NoTrace).expect("decided");
            assert_eq!(id, ServerId(expected), "{host}");
            let named = server::by_name(&config.endpoints[0], host.as_bytes()).expect("decided");
            assert_eq!(named, (expected != 5 || host.is_empty()).then_some(id), "{host}");
            let mut trace = Some(Recorder::default());
            server::find(&config.endpoints[0], host.as_bytes(), &mut trace).expect("decided");
            assert!(
                matches!(trace.expect("as before").0[..], [TraceStep::Server { id: by, .. }] if by == id),
                "{host}"
            );
        }
    }
}

//! try_files: the first candidate that exists is served here; otherwise the fallback is used.
//!
//! Invariant: a request that would change a file (PUT, DELETE, MOVE) keeps the URI for the handler of files, the only
//! one that changes anything. Other handlers get the candidate found.

use crate::config::model::{Fallback, Level};
use crate::config::template::Template;
use crate::exchange::flow::{Flow, Phase, Then};
use crate::exchange::handlers::symlinks;
use crate::exchange::paths::Mapped;
use crate::exchange::route_state::OwnName;
use crate::exchange::{Exchange, Printable, paths, variables};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::route::Trace;
use crate::services::Services;
use crate::services::temp_names::is_hidden;
use crate::sys::Errno;
use crate::sys::file::{FileKind, Stat};
use crate::util::clean_path::has_parent;

/// Candidates that are looked for before the clock is read: about 100 microseconds. Usual lists are never delayed.
const BETWEEN_LOOKS: usize = 64;

/// The precontent phase: the first candidate that exists becomes the URI, else the last one is where it goes on.
pub fn run(ex: &mut Exchange, cx: &mut Services) -> Flow {
    let config = ex.config.clone();
    let location = config.location(ex.route.location);
    let Some(tried) = &location.try_files else { return Flow::Next };
    let is_behind_alias = location.settings.files.alias == Some(u32::MAX);
    let done = std::mem::take(&mut ex.route.tried);
    for (at, candidate) in tried.candidates.iter().enumerate().skip(done) {
        // 20 000 that are not there took 30 ms. An explanation has no other clients.
        let looks = at > done && (at - done).is_multiple_of(BETWEEN_LOOKS) && cx.trace.is_none();
        if looks && cx.slice.is_over() {
            ex.route.tried = at;
            return Flow::Delay { until: cx.now.ms + 1, then: Then::Phase(Phase::Precontent) };
        }
        let text = variables::text(&candidate.path, ex, cx);
        let uri = candidate_uri(ex, &candidate.path, text);
        let mapped = paths::map_uri(ex, cx, &uri);
        if matches!(mapped, Mapped::Control | Mapped::Rewritten | Mapped::Unknown(_)) {
            return Flow::Status(mapped.refusal());
        }
        // A capture or an argument may have brought in `..`: such a path is never looked for.
        if mapped == Mapped::Outside || has_parent(&uri) {
            cx.trace.say("try_files", None, || format!("{}: outside the root", Printable(&uri)));
            continue;
        }
        if is_hidden(&uri) {
            continue;
        }
        let path = std::mem::take(&mut ex.route.path);
        let stat = symlinks::stat(ex, cx, &path);
        tell(cx, (&path, candidate.directory), &stat);
        ex.route.path = path;
        let stat = match stat {
            Ok(stat) => stat,
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ENAMETOOLONG) => continue,
            Err(e) => {
                let path = String::from_utf8_lossy(&ex.route.path).into_owned();
                ex.report(cx, Level::Crit, format_args!("stat() \"{path}\" failed {e}"));
                continue;
            }
        };
        match (stat.kind, candidate.directory) {
            // A directory found without its slash is redirected to by the static handler (nginx).
            (FileKind::Dir, true) if is_behind_alias => {
                // The directory is only looked for: what is served is the alias itself (nginx).
                ex.route.behind_alias = false;
                return Flow::Next;
            }
            (FileKind::Dir, true) | (FileKind::Regular, false) => {
                // `proxy_pass` without a URI still sends what the client asked for (nginx).
                take(ex, uri);
                return Flow::Next;
            }
            _ => {}
        }
    }
    ex.route.behind_alias = false;
    fall_back(&tried.fallback, ex, cx)
}

/// What became of a candidate, for an explanation.
fn tell(cx: &mut Services, (path, directory): (&[u8], bool), stat: &Result<Stat, Errno>) {
    cx.trace.say("try_files", None, || {
        let found = stat.as_ref().map_or("is not there", |stat| match stat.kind {
            FileKind::Dir if directory => "is a directory, taken",
            FileKind::Dir => "is a directory, and a file is wanted",
            _ if directory => "is no directory",
            FileKind::Regular => "is a file, taken",
            _ => "is no file",
        });
        let slash = if directory && !path.ends_with(b"/") { "/" } else { "" };
        format!("{}{slash}: {found}", Printable(path))
    });
}

/// None of the candidates is there.
fn fall_back(fallback: &Fallback, ex: &mut Exchange, cx: &mut Services) -> Flow {
    match fallback {
        Fallback::Code(code) => {
            cx.trace.say("try_files", None, || format!("none was there: ={code}"));
            Flow::Status(Status(*code))
        }
        Fallback::Uri(target) => {
            let target = variables::text(target, ex, cx);
            cx.trace.say("try_files", None, || format!("none was there: {}", Printable(&target)));
            if target.starts_with(b"@") {
                return Flow::Named(target.into());
            }
            let own = may_change(ex).then(|| ex.route.uri.clone());
            ex.route.set_uri(&target);
            keep_own_name(ex, own);
            Flow::Redirect
        }
    }
}

/// What was found is served.
fn take(ex: &mut Exchange, uri: Vec<u8>) {
    let own = std::mem::replace(&mut ex.route.uri, uri);
    keep_own_name(ex, Some(own).filter(|_| may_change(ex)));
}

/// Whether the request may change what has the name that the client gave.
fn may_change(ex: &Exchange) -> bool {
    use Method::{Copy, Delete, Lock, Mkcol, Move, Patch, Post, Proppatch, Put, Unlock};
    matches!(ex.route.method, Put | Post | Delete | Patch | Mkcol | Copy | Move | Lock | Unlock | Proppatch)
}

/// Remembers the name that the client gave, where a request that may change it is led to another one.
fn keep_own_name(ex: &mut Exchange, own: Option<Vec<u8>>) {
    let Some(uri) = own.filter(|uri| *uri != ex.route.uri) else { return };
    // A POST to a directory gives what it stores a new name.
    if ex.route.method != Method::Post || !ex.route.uri.ends_with(b"/") {
        let location = ex.route.location;
        ex.route.own_name.get_or_insert_with(|| Box::new(OwnName { uri, location }));
    }
}

/// The URI that is tried. An alias stands for the location's name, which a candidate made of `$uri` carries and a
/// literal one does not: that one is looked for behind the alias as it is. A regex location's alias has every candidate
/// behind it.
fn candidate_uri(ex: &mut Exchange, candidate: &Template, mut text: Vec<u8>) -> Vec<u8> {
    let is_literal = candidate.constant().is_some();
    let alias = ex.location().settings.files.alias;
    if alias == Some(u32::MAX) {
        // Nothing behind it is the alias itself. Only the configuration may lengthen the last name of an alias.
        ex.route.behind_alias = !text.is_empty() && (is_literal || text.starts_with(b"/"));
        return if text.is_empty() { ex.route.uri.clone() } else { text };
    }
    if let Some(name) = alias.and_then(|len| ex.route.uri.get(..len as usize)) {
        if is_literal || !text.starts_with(name) {
            text.splice(0..0, name.iter().copied());
        }
    } else if !text.starts_with(b"/") {
        text.insert(0, b'/');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};

    #[test]
    fn only_a_request_that_changes_files_remembers_the_name_that_try_files_replaced() {
        for (line, expected) in [
            ("GET /a", None),
            ("HEAD /a", None),
            ("PROPFIND /a", None),
            ("PUT /a", Some("/a")),
            ("DELETE /a", Some("/a")),
            ("MOVE /a", Some("/a")),
            ("POST /a", Some("/a")),
            ("PUT /page", None),
        ] {
            for tried in ["/page =404", "/none /page"] {
                let mut site = Site::new("", &format!("location / {{ try_files {tried}; }}"));
                std::fs::write(site.root().join("page"), "page").expect("written");
                let mut ex = site.at(line, &[], INSIDE);
                let flow = run(&mut ex, &mut site.cx);
                assert!(matches!(flow, Flow::Next | Flow::Redirect), "{line} {tried}: {flow:?}");
                assert_eq!(ex.route.uri, b"/page", "{line} {tried}");
                let own = ex.route.own_name.as_ref().map(|own| String::from_utf8_lossy(&own.uri));
                assert_eq!(own.as_deref(), expected, "{line} {tried}");
            }
        }
    }

    /// One request looked for all of 20 000 candidates in one step, which took 30 ms.
    #[test]
    fn many_candidates_are_looked_for_in_slices() {
        let names: String = (0..1000).map(|n| format!(" /none{n}")).collect();
        let mut site = Site::new("", &format!("location / {{ try_files{names} /page =404; }}"));
        std::fs::write(site.root().join("page"), "page").expect("written");
        let mut ex = site.at("GET /a", &[], INSIDE);
        let mut delays = 0;
        let flow = loop {
            site.cx.slice.steps = Some(1);
            match run(&mut ex, &mut site.cx) {
                Flow::Delay { then: Then::Phase(Phase::Precontent), .. } => delays += 1,
                flow => break flow,
            }
        };
        assert_eq!((flow, &*ex.route.uri, ex.route.tried), (Flow::Next, &b"/page"[..], 0));
        assert_eq!(delays, 7);
    }

    #[test]
    fn a_post_that_is_led_to_a_directory_gives_what_it_stores_a_new_name() {
        for (line, fallback, expected) in
            [("POST /a", "/d/", None), ("PUT /a", "/d/", Some("/a")), ("POST /a", "/d", Some("/a"))]
        {
            let mut site = Site::new("", &format!("location / {{ try_files /none {fallback}; }}"));
            let mut ex = site.at(line, &[], INSIDE);
            assert_eq!(run(&mut ex, &mut site.cx), Flow::Redirect, "{line}");
            let own = ex.route.own_name.as_ref().map(|own| String::from_utf8_lossy(&own.uri));
            assert_eq!(own.as_deref(), expected, "{line} {fallback}");
        }
    }
}

//! Finds locations that execute files although clients may have stored them, for a warning.
//!
//! Each such request is refused in any case (exchange/handlers/upstream/stored); this warns in advance. Invariant: the
//! time is O(n log n) in the number of locations.

use super::client_files::ClientFiles;
use crate::config::ast::Span;
use crate::config::ids::ServerId;
use crate::config::model::{ContentHandler, Location, LocationKind};
use crate::config::settings::gateway::Gateway;
use crate::config::settings::programs::{Role, role, runs_files};
use crate::config::settings::proxy_pass::Protocol;
use crate::config::template::{Builtin, Part, Var};
use crate::util::checkpoint;
use crate::util::clean_path::clean;
use std::borrow::Cow;

/// The message.
pub const STORED: &str = "programs are run below a place where clients may store files; what is stored is refused with \
                          403 unless \"upload_execute on\" stands here";

/// A directory and the URI it is mapped to, with their common suffix removed: two mappings give a file in both
/// directories the same URI if they are equal. A file stored by URI is guarded by the location that would execute it,
/// if both are in one server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mapping {
    server: ServerId,
    directory: Box<[u8]>,
    uri: Box<[u8]>,
}

impl Mapping {
    fn new(server: ServerId, directory: &[u8], uri: &[u8]) -> Mapping {
        let (directory, uri) = (&*clean(directory), uri.strip_suffix(b"/").unwrap_or(uri));
        let common = directory.iter().rev().zip(uri.iter().rev()).take_while(|(a, b)| a == b).count();
        let without = |text: &[u8]| text[..text.len() - common].into();
        Mapping { server, directory: without(directory), uri: without(uri) }
    }
}

/// The server whose regex locations are not tried there (`^~`), so that it does not execute what is stored. None: they
/// are tried.
type Guarded = Option<ServerId>;

/// The locations to warn about.
pub fn find(locations: &[Location], files: &ClientFiles) -> Vec<Span> {
    let ClientFiles { stores, apart, areas } = files;
    let stores = locations.iter().zip(stores).flat_map(|(location, stores)| {
        let guarded: Guarded = (location.kind == LocationKind::PrefixFinal).then_some(location.server);
        stores.iter().map(move |store| (&**store, guarded))
    });
    let stores = SortedDirectories::new(stores.chain(apart.iter().map(|place| (&**place, None))).collect());
    // Files of forms may have names of other locations.
    let form_areas = |is_above: bool| {
        let areas = areas.iter().filter(move |area| area.takes_forms && (!is_above || area.makes_directories));
        SortedDirectories::<()>::new(areas.map(|area| (&*area.directory, None)).collect())
    };
    let (beside, above) = (form_areas(false), form_areas(true));
    let areas = areas.iter().map(|area| {
        let mapping = area.uri.as_ref().map(|uri| Mapping::new(area.server, &area.directory, uri));
        (&*area.directory, mapping)
    });
    let areas = SortedDirectories::new(areas.collect());
    let risky = |location: &&Location| {
        checkpoint::pass();
        let programs = programs(location);
        if programs.is_empty() || location.settings.cgi.uploads {
            return false;
        }
        let is_prefix = matches!(location.kind, LocationKind::Prefix | LocationKind::PrefixFinal);
        let forms = if is_prefix && location.name.ends_with(b"/") { &above } else { &beside };
        let is_by_extension = location.may_get_forms();
        location.stores()
            || is_by_extension && programs.iter().any(|program| forms.holds(&program.directory, None))
            || programs.iter().any(|Program { directory, uri, is_whole }| {
                let mapping = uri.map(|uri| Mapping::new(location.server, directory, uri));
                let (server, mapping) = (Some(&location.server), mapping.as_ref());
                match is_whole {
                    true => stores.surrounds(directory, server) || areas.surrounds(directory, mapping),
                    false => stores.holds(directory, server) || areas.holds(directory, mapping),
                }
            })
    };
    locations.iter().filter(risky).map(|location| location.span).collect()
}

/// A directory whose files a location executes, normalized, and the URI mapped to it; None: any URI.
struct Program<'l> {
    directory: Cow<'l, [u8]>,
    uri: Option<&'l [u8]>,
    /// Only the directory itself counts, not what is below it.
    is_whole: bool,
}

fn programs(location: &Location) -> Vec<Program<'_>> {
    let protocol = location.pass.as_ref().map(|pass| pass.protocol);
    let gateway = match (&location.content, protocol) {
        (ContentHandler::Cgi, _) => return own(location),
        (ContentHandler::Files, _) if !location.settings.cgi.extensions.is_empty() => return own(location),
        (ContentHandler::Proxy, Some(protocol @ (Protocol::FastCgi | Protocol::Scgi | Protocol::Uwsgi))) => {
            (protocol, &location.settings.upstream(protocol).gateway)
        }
        _ => return Vec::new(),
    };
    named(location, gateway)
}

/// Files below the location's root.
fn own(location: &Location) -> Vec<Program<'_>> {
    let files = &location.settings.files;
    let Some(root) = files.root.constant() else { return Vec::new() };
    let (directory, uri) = match files.alias {
        None => (below(location, clean(root)), Some(&b""[..])),
        Some(length) => (clean(root), location.name.get(..length as usize)),
    };
    let uri = if uri == Some(b"") { Some(fixed_part(location)) } else { uri };
    vec![Program { directory, uri, is_whole: false }]
}

/// The directory that contains all paths of a location: for `/cgi-bin/x`, the first component. Empty if a rewrite or
/// try_files may lead elsewhere.
fn fixed_part(location: &Location) -> &[u8] {
    let is_fixed = matches!(location.kind, LocationKind::Prefix | LocationKind::PrefixFinal | LocationKind::Exact);
    let is_same = location.script.ops.is_empty() && location.try_files.is_none();
    let end = memchr::memrchr(b'/', &location.name).filter(|_| is_fixed && is_same);
    location.name.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// The root plus the directory that contains all paths of the location.
fn below<'l>(location: &'l Location, root: Cow<'l, [u8]>) -> Cow<'l, [u8]> {
    match fixed_part(location) {
        b"" => root,
        part => Cow::Owned([&*root, part].concat()),
    }
}

/// Files that parameters tell an application server to execute or load.
fn named<'l>(location: &'l Location, (protocol, gateway): (Protocol, &'l Gateway)) -> Vec<Program<'l>> {
    let mut found = Vec::new();
    let mut is_below_root = false;
    for param in gateway.params.iter() {
        let Some(role @ (Role::Filename | Role::Translated | Role::Loaded | Role::LoadedFrom)) = role(&param.name)
        else {
            continue;
        };
        // Modules are loaded from the directory itself, not from directories below it.
        let is_whole = role == Role::LoadedFrom;
        match &*param.value.parts {
            // Empty: names nothing.
            [] => {}
            [Part::Literal(path)] => found.push(Program { directory: clean(path), uri: None, is_whole }),
            [Part::Literal(root), Part::Var(Var::Builtin(Builtin::FastcgiScriptName | Builtin::Uri))] => {
                found.push(Program { directory: clean(root), uri: Some(b""), is_whole: false });
                // A container may see the same files at another path.
                is_below_root = true;
            }
            // The name of a module.
            [Part::Literal(text), ..] if matches!(role, Role::Loaded | Role::LoadedFrom) && !text.contains(&b'/') => {}
            [Part::Literal(text), ..] => {
                let end = memchr::memrchr(b'/', text).unwrap_or(0);
                found.push(Program { directory: clean(&text[..end]), uri: None, is_whole: false });
            }
            [Part::Var(Var::Builtin(Builtin::DocumentRoot))] if is_whole => {
                let root = location.settings.files.root.constant();
                found.extend(root.map(|root| Program { directory: clean(root), uri: None, is_whole }));
            }
            _ => is_below_root = true,
        }
    }
    let passes = |wanted| gateway.params.iter().any(|param| role(&param.name) == Some(wanted));
    is_below_root |= match protocol {
        Protocol::Uwsgi => runs_files(gateway.modifiers.0),
        _ => found.is_empty() && (protocol == Protocol::FastCgi || passes(Role::Root) && passes(Role::Name)),
    };
    if is_below_root {
        found.extend(own(location));
    }
    found
}

/// Sorted directories, each with the condition under which it is harmless.
struct SortedDirectories<'p, C> {
    sorted: Vec<(&'p [u8], Option<C>)>,
    /// For each directory, the end of the run of directories with the same condition.
    ends: Vec<usize>,
}

impl<'p, C: Ord> SortedDirectories<'p, C> {
    fn new(mut sorted: Vec<(&'p [u8], Option<C>)>) -> SortedDirectories<'p, C> {
        sorted.sort();
        sorted.dedup();
        let mut ends: Vec<usize> = (1..=sorted.len()).collect();
        for at in (1..sorted.len()).rev() {
            if sorted[at].1.is_some() && sorted[at - 1].1 == sorted[at].1 {
                ends[at - 1] = ends[at];
            }
        }
        SortedDirectories { sorted, ends }
    }

    /// Whether a place that is not harmless for `mine` lies in the directory, or contains it.
    fn holds(&self, directory: &[u8], mine: Option<&C>) -> bool {
        self.surrounds(directory, mine) || {
            let below = |after: u8| [directory, &[after]].concat();
            let start = self.sorted.partition_point(|(place, _)| **place < *below(b'/'));
            let end = self.sorted.partition_point(|(place, _)| **place < *below(b'/' + 1));
            self.has_other(start, end, mine)
        }
    }

    /// Whether the directory lies in a place that is not harmless for `mine`.
    fn surrounds(&self, directory: &[u8], mine: Option<&C>) -> bool {
        let ends = memchr::memchr_iter(b'/', directory).chain([directory.len()]);
        ends.map(|end| &directory[..end]).any(|above| {
            let start = self.sorted.partition_point(|(place, _)| **place < *above);
            let end = self.sorted.partition_point(|(place, _)| **place <= *above);
            self.has_other(start, end, mine)
        })
    }

    fn has_other(&self, start: usize, end: usize, mine: Option<&C>) -> bool {
        if start >= end {
            return false;
        }
        match (&self.sorted[start].1, mine) {
            (Some(harmless), Some(mine)) if harmless == mine => self.ends[start] < end,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::build::Form;
    use crate::config::load::{LoadOptions, load_text};
    use std::path::Path;

    /// The number of warnings if the location executes programs below an upload_store, /srv/up.
    fn warned(location: &str) -> usize {
        let text = format!(
            "server {{ listen 127.0.0.1:1; root /srv/html; location ~ ^/run/ {{ {location} }} \
             location /up/ {{ allowed_methods GET POST; upload_store /srv/up; }} }}"
        );
        let mut loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
        let resolved = crate::config::resolve::resolve(&mut loaded, Path::new("/srv"), Form::Webserv, Vec::new(), None);
        assert!(!resolved.diagnostics.has_errors(), "{location}");
        resolved.diagnostics.iter().filter(|d| d.message == STORED).count()
    }

    #[test]
    fn a_directory_is_the_same_however_it_is_spelled() {
        for (location, expected) in [
            ("root /srv/up; cgi_pass /bin/sh;", 1),
            ("root /srv//up; cgi_pass /bin/sh;", 1),
            ("root /srv/./up/x; cgi_pass /bin/sh;", 1),
            ("root /srv/up/.//; cgi_pass /bin/sh;", 1),
            ("root /srv//upper; cgi_pass /bin/sh;", 0),
            ("fastcgi_pass 127.0.0.1:2; fastcgi_param SCRIPT_FILENAME /srv//up/x.php;", 1),
            ("fastcgi_pass 127.0.0.1:2; fastcgi_param SCRIPT_FILENAME /srv/.//up$fastcgi_script_name;", 1),
            ("fastcgi_pass 127.0.0.1:2; fastcgi_param SCRIPT_FILENAME /srv//up//x/$arg_file;", 1),
            ("fastcgi_pass 127.0.0.1:2; fastcgi_param SCRIPT_FILENAME /srv//html$fastcgi_script_name;", 0),
        ] {
            assert_eq!(warned(location), expected, "{location}");
        }
    }

    #[test]
    fn a_place_counts_unless_it_is_harmless_for_the_one() {
        let places = |list: &[(&'static str, Option<u8>)]| {
            SortedDirectories::new(list.iter().map(|(path, class)| (path.as_bytes(), *class)).collect())
        };
        let all: &[(&'static str, Option<u8>)] =
            &[("/a", Some(1)), ("/a/b", Some(1)), ("/a/c", Some(2)), ("/d", None), ("/e/f", Some(1)), ("", Some(9))];
        let table: &[(&str, Option<u8>, bool)] =
            &[("/a/b", Some(9), true), ("/a/x", Some(1), true), ("/e", Some(1), true), ("/d/x", Some(1), true)];
        for (path, mine, expected) in table {
            assert_eq!(places(all).holds(path.as_bytes(), mine.as_ref()), *expected, "{path}");
        }
        let some = &all[..5];
        let table: &[(&str, Option<u8>, bool)] = &[
            ("/a/b/x", Some(1), false),
            ("/a/b/x", Some(2), true),
            ("/a/b/x", None, true),
            ("/a/c", Some(1), true),
            ("/a", Some(1), true),
            ("/e", Some(1), false),
            ("/e", Some(2), true),
            ("/ab", Some(2), false),
            ("/f", None, false),
            ("/d", Some(1), true),
            ("", Some(1), true),
        ];
        for (path, mine, expected) in table {
            assert_eq!(places(some).holds(path.as_bytes(), mine.as_ref()), *expected, "{path}");
        }
    }

    #[test]
    fn what_uwsgi_loads_is_known_by_each_of_its_parameters() {
        for (param, expected) in [
            ("UWSGI_FILE /srv/up/app.py", 1),
            ("UWSGI_SCRIPT /srv/up/app.py", 1),
            ("UWSGI_CHDIR /srv//up/", 1),
            ("UWSGI_PYHOME /srv/up/venv", 1),
            ("UWSGI_CHDIR /srv/up/$arg_x", 1),
            ("UWSGI_FILE /srv/$arg_x", 1),
            ("UWSGI_CHDIR /srv/$arg_x", 1),
            // Files stored below an application's directory are not loaded.
            ("UWSGI_CHDIR /srv", 0),
            ("UWSGI_PYHOME /srv", 0),
            ("UWSGI_CHDIR $document_root", 0),
            ("UWSGI_CHDIR \"\"", 0),
            ("UWSGI_CHDIR /srv/html", 0),
            // Modules.
            ("UWSGI_SCRIPT up", 0),
            ("UWSGI_SCRIPT up.$arg_x", 0),
            ("UWSGI_MODULE /srv/up", 0),
        ] {
            let location = format!("uwsgi_pass 127.0.0.1:2; uwsgi_param {param};");
            assert_eq!(warned(&location), expected, "{param}");
            // The location's root is below the upload_store, so only parameters based on the root are risky.
            let inside = format!("root /srv/up/app; {location}");
            let is_root = param.contains("$document_root");
            assert_eq!(warned(&inside), if is_root { 1 } else { expected }, "{param}");
        }
        for (modifier, expected) in [(0, 0), (5, 0), (9, 1), (14, 1)] {
            let location = format!("root /srv/up; uwsgi_pass 127.0.0.1:2; uwsgi_modifier1 {modifier};");
            assert_eq!(warned(&location), expected, "{modifier}");
        }
    }

    #[test]
    fn mappings_are_alike_where_each_file_has_one_uri() {
        let alike = |a: (&str, &str), b: (&str, &str)| {
            let of = |(directory, uri): (&str, &str)| Mapping::new(ServerId(0), directory.as_bytes(), uri.as_bytes());
            of(a) == of(b)
        };
        for (a, b, expected) in [
            (("/srv", ""), ("/srv/files", "/files"), true),
            (("/srv/", "/"), ("/srv/files/", "/files/"), true),
            (("/srv/files", "/files"), ("/srv/files/a/b", "/files/a/b"), true),
            (("/srv", ""), ("/srv/files", "/other"), false),
            (("/srv", "/a"), ("/srv", "/b"), false),
        ] {
            assert_eq!(alike(a, b), expected, "{a:?} {b:?}");
        }
    }
}

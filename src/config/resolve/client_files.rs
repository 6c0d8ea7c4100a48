//! Where clients may have stored files: in stores, in trashes and states of uploads, and where they write by URI.
//!
//! Invariant: whatever path an upload can get by the configuration lies in one of these directories. Where that cannot
//! be told in advance it is the whole file system.

use crate::config::model::{Location, LocationKind, Tables, WriteArea};
use crate::config::script::{Op, RewriteFlag, Script};
use crate::config::settings::upload::{Store, UploadSettings};
use crate::config::template::{Builtin, Part, SetTarget, Source, Template, Var, Variables};
use crate::util::checkpoint;
use crate::util::clean_path::clean;
use crate::util::hash::FastMap;
use std::collections::BTreeSet;

/// How far variables are followed that are made of others.
const DEPTH: usize = 4;
/// Values of variables that are told apart at most.
const MOST_VALUES: usize = 256;

/// Where clients may have stored files.
pub struct ClientFiles {
    /// The upload_store directories of each location. An empty one: the whole file system.
    pub stores: Vec<Vec<Box<[u8]>>>,
    /// Trashes, and states of uploads.
    pub apart: Vec<Box<[u8]>>,
    pub areas: Vec<WriteArea>,
}

impl ClientFiles {
    pub fn new(locations: &[Location], variables: &Variables, tables: &Tables) -> ClientFiles {
        let mut set: FastMap<u32, Vec<&Template>> = FastMap::default();
        locations.iter().for_each(|location| note_values(&location.script, &mut set));
        let known = Known { variables, tables, set };
        let stores = |location| {
            checkpoint::pass();
            known.stores(location)
        };
        let apart: BTreeSet<_> = locations.iter().flat_map(|location| kept_apart(&location.settings.upload)).collect();
        ClientFiles {
            stores: locations.iter().map(stores).collect(),
            apart: apart.into_iter().collect(),
            areas: write_areas(locations),
        }
    }

    /// Directories named by some upload_store, without duplicates.
    pub fn named_stores(&self) -> Vec<Box<[u8]>> {
        let all: BTreeSet<_> = self.stores.iter().flatten().filter(|store| !store.is_empty()).collect();
        all.into_iter().cloned().collect()
    }

    /// All directories whose files are all clients', without duplicates.
    pub fn all(&self) -> Vec<Box<[u8]>> {
        let all: BTreeSet<_> = self.stores.iter().flatten().chain(&self.apart).collect();
        all.into_iter().cloned().collect()
    }
}

/// What is needed to know the values of variables in advance.
struct Known<'b> {
    variables: &'b Variables,
    tables: &'b Tables,
    /// What `set` assigns to each variable.
    set: FastMap<u32, Vec<&'b Template>>,
}

/// The beginning of a value, and whether it is the whole value.
type Beginning = (Vec<u8>, bool);

impl Known<'_> {
    /// The directories of a location's upload_store, normalized; for a path with variables, the part before them.
    /// Empty: the whole file system.
    fn stores(&self, location: &Location) -> Vec<Box<[u8]>> {
        let Store::Path(path) = &location.settings.upload.store else { return Vec::new() };
        let mut stores: Vec<Box<[u8]>> = self
            .beginnings(&path.parts, location, DEPTH)
            .into_iter()
            .filter(|(text, is_whole)| !(*is_whole && text.is_empty()))
            .map(|(text, is_whole)| match (text.starts_with(b"/"), is_whole) {
                (true, true) => Box::from(&*clean(&text)),
                (true, false) => Box::from(&*clean(directory(&text))),
                (false, _) => Box::default(),
            })
            .collect();
        stores.sort();
        stores.dedup();
        stores
    }

    /// How a template's values may begin. Only the variable at its beginning is followed.
    fn beginnings(&self, parts: &[Part], location: &Location, depth: usize) -> Vec<Beginning> {
        let (first, rest) = match parts {
            [] => return vec![(Vec::new(), true)],
            [Part::Literal(text), rest @ ..] => return vec![(text.to_vec(), rest.is_empty())],
            [first, rest @ ..] => (first, rest),
        };
        let unknown = || vec![(Vec::new(), false)];
        let values = match first {
            Part::Var(var) if depth > 0 => self.values(var, location, depth - 1),
            _ => None,
        };
        let Some(mut values) = values.filter(|values| values.len() <= MOST_VALUES) else { return unknown() };
        for (text, is_whole) in values.iter_mut().filter(|(_, is_whole)| *is_whole) {
            if let Some(Part::Literal(next)) = rest.first() {
                text.extend_from_slice(next);
            }
            let behind = rest.iter().skip_while(|part| matches!(part, Part::Literal(_)));
            *is_whole = behind.count() == 0;
        }
        values
    }

    /// How the values of a variable may begin. None: it depends on the request.
    fn values(&self, var: &Var, location: &Location, depth: usize) -> Option<Vec<Beginning>> {
        let of_all = |templates: &mut dyn Iterator<Item = &Template>| {
            let mut found = vec![(Vec::new(), true)];
            for template in templates {
                found.extend(self.beginnings(&template.parts, location, depth));
                if found.len() > MOST_VALUES {
                    break;
                }
            }
            found
        };
        let user = match var {
            Var::User(at) => Some(*at),
            var => self.variables.redefinition(var),
        };
        match (user, var) {
            (Some(at), _) => match &self.variables.defined.get(at as usize)?.1 {
                Source::Map(map) => Some(of_all(&mut self.tables.maps.get(*map as usize)?.values.iter())),
                Source::Stored => Some(of_all(&mut self.set.get(&at)?.iter().copied())),
                _ => None,
            },
            (None, Var::Builtin(Builtin::DocumentRoot | Builtin::RealpathRoot)) => {
                Some(self.beginnings(&location.settings.files.root.parts, location, depth))
            }
            _ => None,
        }
    }
}

fn note_values<'s>(script: &'s Script, found: &mut FastMap<u32, Vec<&'s Template>>) {
    for op in &script.ops {
        match op {
            Op::Set { slot: SetTarget::User(at), value } => found.entry(*at).or_default().push(value),
            Op::If { script, .. } => note_values(script, found),
            _ => {}
        }
    }
}

/// A path up to its last slash.
fn directory(path: &[u8]) -> &[u8] {
    &path[..memchr::memrchr(b'/', path).unwrap_or(0)]
}

/// Directories where a location's uploads lie that are deleted, or not finished.
fn kept_apart(upload: &UploadSettings) -> impl Iterator<Item = Box<[u8]>> {
    let state = upload.resumable.state_store.as_deref().filter(|_| upload.resumable.speaks.any());
    upload.trash_directory().into_iter().chain(state).map(|path| Box::from(&*clean(path)))
}

/// The URI of a request where its location changes it and answers itself.
enum NewUri<'l> {
    /// All of it is spelled out.
    Fixed(&'l [u8]),
    /// It begins with this directory.
    Below(&'l [u8]),
    /// It begins with the URI that the request had.
    Longer,
}

/// What a template spells out; `ends`: bytes behind which it does not name the path as it is.
fn spelled<'l>(template: &'l Template, ends: &[u8]) -> NewUri<'l> {
    let [Part::Literal(text), rest @ ..] = &*template.parts else { return NewUri::Below(b"") };
    let end = text.iter().position(|byte| ends.contains(byte));
    let path = &text[..end.unwrap_or(text.len())];
    let is_fixed = end.map_or(rest.is_empty(), |at| text[at] == b'?');
    if is_fixed { NewUri::Fixed(path) } else { NewUri::Below(directory(path)) }
}

/// Whether a script may change the URI without another location being looked for: by `rewrite … break`, or a `break`
/// behind a rewrite. `changed`: the URI has changed before.
fn stays(script: &Script, changed: &mut bool) -> bool {
    script.ops.iter().any(|op| match op {
        Op::Rewrite(rewrite) if rewrite.external => false,
        Op::Rewrite(rewrite) => {
            *changed |= rewrite.flag == RewriteFlag::None;
            rewrite.flag == RewriteFlag::Break
        }
        Op::Break => *changed,
        Op::If { script, .. } => stays(script, changed),
        _ => false,
    })
}

fn rewritten<'l>(script: &'l Script, found: &mut Vec<NewUri<'l>>) {
    for op in &script.ops {
        match op {
            Op::Rewrite(rewrite)
                if !rewrite.external && matches!(rewrite.flag, RewriteFlag::None | RewriteFlag::Break) =>
            {
                found.push(spelled(&rewrite.replacement, b"?%"));
            }
            Op::If { script, .. } => rewritten(script, found),
            _ => {}
        }
    }
}

/// The URIs that a location may give a request.
fn new_uris<'l>(location: &'l Location, found: &mut Vec<NewUri<'l>>) {
    // Behind the script of a server a location is looked for.
    if location.kind != LocationKind::Server && stays(&location.script, &mut false) {
        rewritten(&location.script, found);
    }
    for candidate in location.try_files.iter().flat_map(|tried| &tried.candidates) {
        match &*candidate.path.parts {
            [Part::Var(Var::Builtin(Builtin::Uri | Builtin::DocumentUri))] => {}
            [Part::Var(Var::Builtin(Builtin::Uri | Builtin::DocumentUri)), ..] => found.push(NewUri::Longer),
            _ => found.push(spelled(&candidate.path, b"")),
        }
    }
}

/// The location and the blocks in it that may answer in its place: of `if` and `limit_except`.
fn with_blocks<'l>(locations: &'l [Location], outer: &'l Location) -> Vec<&'l Location> {
    fn blocks(script: &Script, found: &mut Vec<usize>) {
        for op in &script.ops {
            if let Op::If { location, script, .. } = op {
                found.extend(location.iter().map(|id| id.at()));
                blocks(script, found);
            }
        }
    }
    let mut all = vec![outer];
    let mut at = 0;
    while let Some(location) = all.get(at) {
        let mut found = Vec::new();
        blocks(&location.script, &mut found);
        found.extend(location.limit_except.iter().map(|(_, id)| id.at()));
        all.extend(found.into_iter().filter_map(|at| locations.get(at)));
        at += 1;
    }
    all
}

/// All directories in which clients write files by URI.
fn write_areas(locations: &[Location]) -> Vec<WriteArea> {
    let mut areas: Vec<WriteArea> = Vec::new();
    let is_block = |location: &Location| matches!(location.kind, LocationKind::If | LocationKind::LimitExcept);
    for outer in locations.iter().filter(|location| !is_block(location)) {
        checkpoint::pass();
        let all = with_blocks(locations, outer);
        if !all.iter().any(|location| location.writes()) {
            continue;
        }
        let mut uris = Vec::new();
        all.iter().for_each(|location| new_uris(location, &mut uris));
        all.iter().filter(|location| location.writes()).for_each(|location| add(outer, location, &uris, &mut areas));
    }
    areas.sort();
    areas.dedup();
    areas
}

/// The areas of a location, or of a block in it. `uris`: what it may give requests in place of their own.
fn add(outer: &Location, location: &Location, uris: &[NewUri<'_>], areas: &mut Vec<WriteArea>) {
    let files = &location.settings.files;
    let (path, is_whole) = (files.root.directory().unwrap_or_default(), files.root.constant().is_some());
    // The alias of a regex location is the whole path of a file, that of an exact one may be; forms store beside it.
    let names_file = files.alias == Some(u32::MAX) || files.alias.is_some() && outer.kind == LocationKind::Exact;
    let is_file = files.alias == Some(u32::MAX) || names_file && location.takes_forms() && !path.ends_with(b"/");
    let path = if is_whole && is_file { directory(path) } else { path };
    // A redirect may reach a named location with any URI, and `//a` does not belong to the location of `/a`.
    let is_found_by_uri = is_whole && outer.kind != LocationKind::Named && outer.settings.client.merge_slashes;
    let uri = match files.alias {
        _ if !is_found_by_uri => None,
        None => Some(&b""[..]),
        Some(_) if names_file || !uris.is_empty() => None,
        Some(length) => outer.name.get(..length as usize),
    };
    // Below a root, a prefix location writes only below its own name.
    let beneath = match (files.alias, outer.kind) {
        (None, LocationKind::Prefix | LocationKind::PrefixFinal | LocationKind::Exact) if is_whole => {
            directory(&outer.name)
        }
        _ => b"",
    };
    let area = |below: &[u8], uri: Option<Box<[u8]>>| WriteArea {
        server: outer.server,
        directory: Box::from(&*clean(&[path, below].concat())),
        uri,
        takes_forms: location.takes_forms(),
        makes_directories: location.settings.upload.create_path,
    };
    let own = uri.map(|uri| [uri.strip_suffix(b"/").unwrap_or(uri), beneath].concat().into());
    areas.push(area(beneath, own));
    if is_whole && files.alias.is_none() {
        areas.extend(uris.iter().map(|uri| match uri {
            NewUri::Fixed(below) | NewUri::Below(below) => area(&[b"/", *below].concat(), None),
            NewUri::Longer => area(beneath, None),
        }));
    }
}

#[cfg(test)]
mod tests {
    use crate::config::build::Form;
    use crate::config::load::{LoadOptions, load_text};
    use crate::config::model::Config;
    use std::path::Path;

    fn config(location: &str) -> Config {
        let text = format!(
            "map $arg_m $m {{ default /srv/a; b /srv/b/$arg_x; }} \
             server {{ listen 127.0.0.1:1; root /srv/html; {location} }}"
        );
        let mut loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
        let resolved = crate::config::resolve::resolve(&mut loaded, Path::new("/srv"), Form::Webserv, Vec::new(), None);
        resolved.config.unwrap_or_else(|| panic!("{location}"))
    }

    #[test]
    fn stores_are_known_by_what_can_be_told_of_their_path() {
        for (lines, expected) in [
            ("upload_store /srv/up;", &["/srv/up"][..]),
            ("upload_store /srv//up/./x/;", &["/srv/up/x"]),
            ("upload_store /srv/up/$remote_user;", &["/srv/up"]),
            ("upload_store /srv/up/u-$remote_user/x;", &["/srv/up"]),
            ("upload_store up;", &["/srv/up"]),
            ("upload_store $document_root/up;", &["/srv/html/up"]),
            ("upload_store $document_root/up/u-$arg_x;", &["/srv/html/up"]),
            ("upload_store $m;", &["/srv/a", "/srv/b"]),
            ("set $own $document_root/x; upload_store $own/y;", &["/srv/html/x/y", "/y"]),
            // Anywhere.
            ("upload_store /$arg_x;", &[""]),
            ("upload_store $arg_x;", &[""]),
            ("set $own $own$arg_x; upload_store $own;", &[""]),
            ("upload_store off;", &[]),
            // Not by upload_store, but theirs.
            ("delete_trash /srv/trash/$remote_user;", &["/srv/trash"]),
            ("upload_state_store /srv/state; upload_resumable on;", &["/srv/state"]),
        ] {
            let config = config(&format!("location / {{ {lines} }}"));
            let found: Vec<_> = config.client_files.iter().map(|path| String::from_utf8_lossy(path)).collect();
            assert_eq!(found, expected, "{lines}");
            assert!(config.stores.iter().all(|store| !store.is_empty()), "{lines}");
        }
    }

    #[test]
    fn areas_hold_whatever_a_request_may_be_led_to() {
        for (location, expected) in [
            ("/up/ { dav_methods PUT; }", &["/srv/html/up by /up"][..]),
            ("/up/ { dav_methods PUT; return 403; }", &["/srv/html/up by /up"]),
            ("/up/ { dav_methods PUT; try_files $uri $uri/ =404; }", &["/srv/html/up by /up"]),
            ("/up/ { dav_methods PUT; rewrite ^ /x/$1; }", &["/srv/html/up by /up"]),
            ("/up/ { dav_methods PUT; rewrite ^ /x/$1 last; break; }", &["/srv/html/up by /up"]),
            ("/up/ { dav_methods PUT; break; rewrite ^ /x/$1; }", &["/srv/html/up by /up"]),
            ("/up/ { dav_methods PUT; rewrite ^ /x/$1 break; }", &["/srv/html/up by /up", "/srv/html/x"]),
            ("/up/ { dav_methods PUT; rewrite ^ /x/$1; break; }", &["/srv/html/up by /up", "/srv/html/x"]),
            ("/up/ { dav_methods PUT; rewrite ^ /x/y?a=$1 break; }", &["/srv/html/up by /up", "/srv/html/x/y"]),
            ("/up/ { dav_methods PUT; rewrite ^ $arg_x break; }", &["/srv/html", "/srv/html/up by /up"]),
            ("/up/ { dav_methods PUT; if ($arg_x) { break; } }", &["/srv/html/up by /up"]),
            (
                "/up/ { dav_methods PUT; if ($arg_x) { rewrite ^ /x/$1 break; } }",
                &["/srv/html/up by /up", "/srv/html/x"],
            ),
            ("/up/ { dav_methods PUT; try_files /x/$1 =404; }", &["/srv/html/up by /up", "/srv/html/x"]),
            ("/up/ { dav_methods PUT; try_files $uri.sh =404; }", &["/srv/html/up", "/srv/html/up by /up"]),
            ("/up/ { dav_methods PUT; alias /a/; }", &["/a by /up"]),
            ("/up/ { dav_methods PUT; alias /a/; try_files $arg_x =404; }", &["/a"]),
            ("= /up { dav_methods PUT; alias /a/x; }", &["/a/x"]),
            ("= /up { allowed_methods POST; alias /a/x; }", &["/a"]),
            ("= /up/ { allowed_methods POST; alias /a/x/; }", &["/a/x"]),
            ("= /up { dav_methods PUT; }", &["/srv/html by "]),
            ("~ ^/up/ { dav_methods PUT; }", &["/srv/html by "]),
            ("@up { dav_methods PUT; }", &["/srv/html"]),
        ] {
            let config = config(&format!("location {location}"));
            let show = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
            let shown = config.write_areas.iter().map(|area| match &area.uri {
                Some(uri) => format!("{} by {}", show(&area.directory), show(uri)),
                None => show(&area.directory),
            });
            let mut found: Vec<_> = shown.collect();
            found.sort();
            assert_eq!(found, expected, "{location}");
        }
        let doubled = config("merge_slashes off; location / { dav_methods PUT; }");
        assert!(doubled.write_areas.iter().all(|area| area.uri.is_none()));
    }
}

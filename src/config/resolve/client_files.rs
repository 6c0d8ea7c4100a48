//! Directories in which clients may have stored files: stores, trashes, state directories, kept request bodies, and
//! directories written by URI.
//!
//! Invariant: every path that an upload can get by the configuration is in one of these directories. If that cannot be
//! determined in advance, the whole file system counts.

use crate::config::model::{Location, LocationKind, Tables, WriteArea};
use crate::config::script::{Op, RewriteFlag, Script};
use crate::config::settings::body::InFileOnly;
use crate::config::settings::upload::Store;
use crate::config::template::{Builtin, Part, SetTarget, Source, Template, Var, Variables};
use crate::util::checkpoint;
use crate::util::clean_path::clean;
use crate::util::hash::FastMap;
use std::cell::LazyCell;
use std::collections::{BTreeSet, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

/// How far variables are followed that are made of others.
const DEPTH: usize = 4;
/// Values of variables that are told apart at most.
const MOST_VALUES: usize = 256;

/// Where clients may have stored files.
pub struct ClientFiles {
    /// The upload_store directories of each location. An empty one: the whole file system.
    pub stores: Vec<Vec<Box<[u8]>>>,
    /// Trashes, states of uploads, and request bodies that are kept.
    pub apart: Vec<Box<[u8]>>,
    /// Directories where clients write by URI.
    pub areas: Vec<WriteArea>,
}

impl ClientFiles {
    /// From all locations: values of variables are followed through `set`, `map` and `geo`.
    pub fn new(locations: &[Location], variables: &Variables, tables: &Tables) -> ClientFiles {
        // Most configurations have no store, and need no value of a variable.
        let known = LazyCell::new(|| Known::new(locations, variables, tables));
        let stores = |location: &Location| {
            checkpoint::pass();
            match &location.settings.upload.store {
                Store::Path(path) => known.stores(location, path),
                Store::Off | Store::Uri => Vec::new(),
            }
        };
        let apart: BTreeSet<_> = locations.iter().flat_map(kept_apart).collect();
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

/// Locations at which a template may be expanded, one for each root: `$document_root` depends on it.
type Places<'b> = Rc<[&'b Location]>;

/// What is needed to know the values of variables in advance.
struct Known<'b> {
    variables: &'b Variables,
    tables: &'b Tables,
    /// What `set` assigns to each variable, and at which locations.
    set: FastMap<u32, Vec<(Places<'b>, &'b Template)>>,
    /// Variables that auth_request_set assigns to: from a response.
    from_responses: BTreeSet<u32>,
    /// A map's value is expanded wherever it is first used.
    everywhere: Places<'b>,
}

/// The beginning of a value, and whether it is the whole value.
type Beginning = (Vec<u8>, bool);

fn unknown() -> Vec<Beginning> {
    vec![(Vec::new(), false)]
}

/// Values with what follows them in a template.
fn followed(mut values: Vec<Beginning>, rest: &[Part]) -> Vec<Beginning> {
    for (text, is_whole) in values.iter_mut().filter(|(_, is_whole)| *is_whole) {
        if let Some(Part::Literal(next)) = rest.first() {
            text.extend_from_slice(next);
        }
        *is_whole = rest.iter().all(|part| matches!(part, Part::Literal(_)));
    }
    values
}

impl<'b> Known<'b> {
    fn new(locations: &'b [Location], variables: &'b Variables, tables: &'b Tables) -> Known<'b> {
        let (mut set, mut from_responses) = (FastMap::default(), BTreeSet::new());
        for location in locations {
            checkpoint::pass();
            if !location.script.ops.is_empty() {
                // An `if` may have led to its own block before.
                note_values(&location.script, &by_root(with_blocks(locations, location)), &mut set);
            }
            from_responses.extend(location.settings.auth.request_set.iter().filter_map(|line| match line.slot {
                SetTarget::User(at) => Some(at),
                SetTarget::Args | SetTarget::LimitRate => None,
            }));
        }
        Known { variables, tables, set, from_responses, everywhere: by_root(locations) }
    }

    /// The directories of a location's upload_store, normalized; for a path with variables, the part before them.
    /// Empty: the whole file system.
    fn stores(&self, location: &Location, path: &Template) -> Vec<Box<[u8]>> {
        let beginnings = match &*path.parts {
            [first @ (Part::Var(_) | Part::Capture(_)), rest @ ..] => {
                let mut values = self.first(first, &[location], DEPTH);
                // Nothing is stored where it is empty or relative (exchange/handlers/upload/target_path).
                values.retain(|(text, is_whole)| text.starts_with(b"/") || text.is_empty() && !is_whole);
                followed(values, rest)
            }
            parts => self.beginnings(parts, &[location], DEPTH),
        };
        let mut stores: Vec<Box<[u8]>> = beginnings
            .into_iter()
            .map(|(text, is_whole)| match is_whole {
                true => Box::from(&*clean(&text)),
                false if text.is_empty() => Box::default(),
                false => Box::from(&*clean(directory(&text))),
            })
            .collect();
        stores.sort();
        stores.dedup();
        stores
    }

    /// How a template's values may begin. Only the variable at its beginning is followed.
    fn beginnings(&self, parts: &[Part], places: &[&Location], depth: usize) -> Vec<Beginning> {
        match parts {
            [] => vec![(Vec::new(), true)],
            [Part::Literal(text), rest @ ..] => vec![(text.to_vec(), rest.is_empty())],
            [first, rest @ ..] => followed(self.first(first, places, depth), rest),
        }
    }

    /// How the values of a template's first part may begin.
    fn first(&self, part: &Part, places: &[&Location], depth: usize) -> Vec<Beginning> {
        match part {
            Part::Var(var) if depth > 0 => self.values(var, places, depth - 1).unwrap_or_else(unknown),
            _ => unknown(),
        }
    }

    /// How the values of a variable may begin. None: it depends on the request.
    fn values(&self, var: &Var, places: &[&Location], depth: usize) -> Option<Vec<Beginning>> {
        let (at, is_own) = match var {
            Var::Builtin(Builtin::DocumentRoot | Builtin::RealpathRoot) => {
                let roots = places.iter().map(|place| (std::slice::from_ref(place), &place.settings.files.root));
                return self.union(roots, depth);
            }
            Var::User(at) => (*at, true),
            var => (self.variables.redefinition(var)?, false),
        };
        if self.from_responses.contains(&at) || self.variables.is_captured(at) {
            return None;
        }
        let set = self.set.get(&at).into_iter().flatten().map(|(places, value)| (&**places, *value));
        let mut values = match &self.variables.defined.get(at as usize)?.1 {
            Source::Map(map) => {
                let values = self.tables.maps.get(*map as usize)?.values.iter();
                self.union(values.map(|value| (&*self.everywhere, value)).chain(set), depth)
            }
            // `$arg_name` is the request's own until it is set.
            Source::Stored if is_own => self.union(set, depth),
            _ => None,
        }?;
        // Not set, or a map without a default.
        values.push((Vec::new(), true));
        Some(values)
    }

    /// How the values of all these may begin. None: one is unknown, or they are too many.
    fn union<'t>(
        &self,
        templates: impl Iterator<Item = (&'t [&'t Location], &'t Template)>,
        depth: usize,
    ) -> Option<Vec<Beginning>> {
        let mut found = Vec::new();
        for (places, template) in templates {
            let new = self.beginnings(&template.parts, places, depth);
            if new.iter().any(|(text, is_whole)| text.is_empty() && !is_whole) {
                return None;
            }
            found.extend(new);
            if found.len() > MOST_VALUES {
                return None;
            }
        }
        Some(found)
    }
}

/// One location for each root.
fn by_root<'b>(locations: impl IntoIterator<Item = &'b Location>) -> Places<'b> {
    let mut roots = HashSet::new();
    locations.into_iter().filter(|location| roots.insert(&location.settings.files.root)).collect()
}

/// The values that a script assigns, at these places.
fn note_values<'b>(script: &'b Script, places: &Places<'b>, found: &mut FastMap<u32, Vec<(Places<'b>, &'b Template)>>) {
    for op in &script.ops {
        match op {
            Op::Set { slot: SetTarget::User(at), value } => {
                found.entry(*at).or_default().push((places.clone(), value));
            }
            Op::If { script, .. } => note_values(script, places, found),
            _ => {}
        }
    }
}

/// A path up to its last slash.
fn directory(path: &[u8]) -> &[u8] {
    &path[..memchr::memrchr(b'/', path).unwrap_or(0)]
}

/// Directories where a location's uploads lie that are deleted, or not finished, and request bodies that are kept.
fn kept_apart(location: &Location) -> impl Iterator<Item = Box<[u8]>> {
    let (upload, body) = (&location.settings.upload, &location.settings.body);
    let state = upload.resumable.state_store.as_deref().filter(|_| upload.resumable.speaks.any());
    let bodies = (body.in_file_only == InFileOnly::On).then(|| body.temp.path.as_os_str().as_bytes());
    upload.trash_directory().into_iter().chain(state).chain(bodies).map(|path| Box::from(&*clean(path)))
}

/// The URI of a request where its location changes it and answers itself.
enum NewUri<'l> {
    /// It is this path, or begins with this directory.
    Spelled(&'l [u8]),
    /// It begins with the URI that the request had.
    Longer,
}

/// What a template spells out; `ends`: bytes behind which it does not name the path as it is.
fn spelled<'l>(template: &'l Template, ends: &[u8]) -> NewUri<'l> {
    let [Part::Literal(text), rest @ ..] = &*template.parts else { return NewUri::Spelled(b"") };
    let end = text.iter().position(|byte| ends.contains(byte));
    let path = &text[..end.unwrap_or(text.len())];
    let is_fixed = end.map_or(rest.is_empty(), |at| text[at] == b'?');
    NewUri::Spelled(if is_fixed { path } else { directory(path) })
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
            NewUri::Spelled(below) => area(&[b"/", *below].concat(), None),
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
            "map $arg_m $m {{ default /srv/a; b /srv/b/$arg_x; }} map $arg_m $missing {{ b \"\"; }} \
             map $arg_m $relative {{ default up; }} map $arg_m $rooted {{ default $document_root/up; }} \
             server {{ listen 127.0.0.1:1; root /srv/html; set $outer $document_root; {location} }} \
             map $arg_m $late {{ default /srv/a; }}"
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
            ("upload_store $m/$remote_user;", &["/srv/a", "/srv/b"]),
            ("set $own $document_root/x; upload_store $own/y;", &["/srv/html/x/y"]),
            ("set $b /srv/b; upload_store $b/$remote_user;", &["/srv/b"]),
            // The script of the server runs with its own root, a map's value is expanded anywhere.
            ("root /b; upload_store $outer/x;", &["/srv/html/x"]),
            ("root /b; upload_store $document_root/x;", &["/b/x"]),
            ("root /b; upload_store $rooted/x;", &["/b/up/x", "/srv/html/up/x"]),
            ("if ($arg_x) { root /b; } set $own $document_root; upload_store $own;", &["/b", "/srv/html"]),
            ("set $m /srv/c; upload_store $m;", &["/srv/a", "/srv/b", "/srv/c"]),
            // Anywhere.
            ("upload_store /$arg_x;", &[""]),
            ("upload_store $arg_x;", &[""]),
            ("set $own $own$arg_x; upload_store $own;", &[""]),
            ("set $own /srv/a; auth_request_set $own $upstream_http_x_store; upload_store $own;", &[""]),
            ("set $own /srv/a; if ($uri ~ \"(?<own>.+)\") { return 200; } upload_store $own;", &[""]),
            ("if ($uri ~ \"(?<late>.+)\") { return 200; } upload_store $late;", &[""]),
            ("set $arg_x /srv/a; upload_store $arg_x;", &[""]),
            // Nowhere: it is empty or relative.
            ("upload_store $missing;", &[]),
            ("upload_store $relative/x;", &[]),
            ("upload_store off;", &[]),
            // Not by upload_store, but theirs.
            ("delete_trash /srv/trash/$remote_user;", &["/srv/trash"]),
            ("upload_state_store /srv/state; upload_resumable on;", &["/srv/state"]),
            ("client_body_in_file_only on; client_body_temp_path /srv/tmp;", &["/srv/tmp"]),
            ("client_body_in_file_only clean; client_body_temp_path /srv/tmp;", &[]),
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

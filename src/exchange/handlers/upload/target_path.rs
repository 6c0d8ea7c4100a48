//! The path of an upload's URI: which part of it the configuration gives, and which the client.
//!
//! Invariant: what a client may choose is never in the trusted part.

use super::begun_target;
use super::refusal::Refusal;
use crate::config::model::LocationKind;
use crate::config::settings::upload::{Store, UploadSettings};
use crate::config::template::{Builtin, Part, Template, Var};
use crate::exchange::mapping::literal;
use crate::exchange::paths::{self, Mapped};
use crate::exchange::{Exchange, variables};
use crate::http::status::Status;
use crate::services::Services;
use crate::sys::file::{self, CPath};
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// What a request's URI may name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TargetKind {
    /// PUT: a file of exactly this name.
    File,
    /// A raw POST: a file; or a directory, in which the body then gets a name. `named`: the request gives a name.
    Either { named: bool },
    /// A form: the directory for its files, which have names of their own.
    Directory,
}

/// A path in two parts: the first `trusted` bytes are the configuration's, the rest must stay beneath.
#[derive(Debug, PartialEq, Eq)]
pub struct TargetPath {
    /// The path in the file system.
    pub path: Rc<[u8]>,
    /// Bytes of `path`; links in these are followed.
    pub trusted: usize,
    /// Where the location's area ends: its directory, or the store.
    pub area: usize,
}

/// The path of the request's URI here; its trusted part opened, if that was necessary to know it.
pub fn split(
    ex: &mut Exchange,
    cx: &mut Services,
    rules: &UploadSettings,
) -> Result<(TargetPath, Option<Rc<OwnedFd>>), Refusal> {
    let config = ex.config.clone();
    let location = config.location(ex.route.location);
    let Store::Path(store) = &rules.store else {
        let root = match paths::map(ex, cx) {
            Mapped::Path { root } => root,
            Mapped::Unknown(e) => return Err(Refusal::call("open()", &ex.route.path, e)),
            Mapped::Outside | Mapped::Rewritten | Mapped::Control => {
                return Err(Refusal::new(Status::NOT_FOUND, "the URI names nothing here"));
            }
        };
        let template = &location.settings.files.root;
        let path: Rc<[u8]> = Rc::from(&ex.route.path[..]);
        // The alias of a regex location is a whole path, with captures.
        let whole = location.settings.files.alias == Some(u32::MAX);
        let mut base = None;
        let trusted = if template.constant().is_some() && !whole {
            // As paths::area, with a directory that is already open.
            paths::named_area(ex, root).map_or(Ok(root), |end| -> Result<usize, Refusal> {
                base = cx.directories.open(&c_path(&path[..end])?, &cx.now).ok();
                Ok(if base.is_some() { end } else { root })
            })?
        } else {
            trusted(template, &path)
        };
        // A named location has no URIs of its own.
        let home = match location.kind {
            LocationKind::Named => config.location(ex.route.history.home),
            _ => location,
        };
        let below = below_directory(home.kind, &home.name, &ex.route.uri);
        let area = match path.strip_suffix(below).map_or(trusted, <[u8]>::len).max(trusted) {
            // `location = /file` has no directory: its file counts with its neighbours.
            end if home.kind == LocationKind::Exact && !path[..end].ends_with(b"/") => {
                memchr::memrchr(b'/', &path[..end]).map_or(end, |at| at + 1)
            }
            end => end,
        };
        return Ok((TargetPath { path, trusted, area }, base));
    };
    let Some(below) = below(location.kind, &location.name, &ex.route.uri).map(<[u8]>::to_vec) else {
        return Err(Refusal::new(Status::NOT_FOUND, "the URI names nothing here"));
    };
    if let Some((path, area)) = begun_target::find(ex, cx, store, &below) {
        return Ok((TargetPath { trusted: trusted(store, &path), path: path.into(), area }, None));
    }
    let mut path = expanded(store, ex, cx)?;
    let trusted = if store.constant().is_some() { path.len() } else { trusted(store, &path) };
    path.push(b'/');
    let area = path.len();
    path.extend_from_slice(&below);
    Ok((TargetPath { path: path.into(), trusted, area }, None))
}

/// The value of an upload_store. A path that is spelled out has been made absolute while loading; one that begins with
/// a variable must be by its value: what is stored elsewhere is not known to be clients' (config/resolve/client_files).
fn expanded(store: &Template, ex: &mut Exchange, cx: &mut Services) -> Result<Vec<u8>, Refusal> {
    let mut path = Vec::new();
    let first = variables::expand_counting(store, ex, cx, &mut path);
    let detail = match store.parts.first() {
        Some(Part::Var(_) | Part::Capture(_)) if first == 0 => {
            "upload_store has no value: it begins with an empty variable"
        }
        Some(Part::Var(_) | Part::Capture(_)) if !path.starts_with(b"/") => {
            "upload_store begins with a variable whose value is not an absolute path"
        }
        _ if lacks_name(store, ex, cx) => "upload_store has a directory whose variables are empty",
        _ => return Ok(path),
    };
    Err(Refusal::new(Status::INTERNAL_SERVER_ERROR, "there is no directory for uploads").detail(detail.into()))
}

/// Whether variables that are to name a directory name none: `/srv/$remote_user` without a user is the directory of all
/// users.
pub fn lacks_name(template: &Template, ex: &mut Exchange, cx: &mut Services) -> bool {
    fn names_nothing(text: &[u8]) -> bool {
        text.split(|b| *b == b'/').all(|name| matches!(name, b"" | b"."))
    }
    // The text between two slashes of the configuration, if it consists of variables only.
    let mut between: Option<Vec<u8>> = None;
    for part in template.parts.iter() {
        match part {
            Part::Literal(text) => {
                let (is_ended, is_begun) = (text.starts_with(b"/"), text.ends_with(b"/"));
                if is_ended && between.as_deref().is_some_and(names_nothing) {
                    return true;
                }
                between = is_begun.then(Vec::new);
            }
            // A piece of the URI is the client's own path, and may be its top.
            Part::Capture(_) | Part::Var(Var::Builtin(Builtin::Uri | Builtin::DocumentUri | Builtin::RequestUri)) => {
                between = None;
            }
            Part::Var(var) => {
                let mut value = Vec::new();
                variables::value(var, ex, cx, &mut value);
                between.iter_mut().for_each(|text| text.extend_from_slice(&value));
            }
        }
    }
    let ends_in_variable = !matches!(template.parts.last(), None | Some(Part::Literal(_)));
    ends_in_variable && between.as_deref().is_some_and(names_nothing)
}

/// The part of a URI below the store: what follows the location's name; for a location that is no prefix, the last
/// segment. None: the URI only begins like the location (`/up2` in `/up`).
fn below<'u>(kind: LocationKind, name: &[u8], uri: &'u [u8]) -> Option<&'u [u8]> {
    let last = || &uri[memchr::memrchr(b'/', uri).map_or(0, |at| at + 1)..];
    if is_pattern(kind, name) {
        return Some(last());
    }
    // An `if` or limit_except in a regex location has the regex as its name, which does not begin the URI.
    let Some(rest) = uri.strip_prefix(name) else { return Some(last()) };
    match (name.ends_with(b"/"), rest.first()) {
        (true, _) | (_, None) => Some(rest),
        (false, Some(b'/')) => Some(&rest[1..]),
        (false, Some(_)) => None,
    }
}

fn is_pattern(kind: LocationKind, name: &[u8]) -> bool {
    matches!(kind, LocationKind::Regex | LocationKind::Named) || !name.starts_with(b"/")
}

/// The part of a URI below the location's directory, all of which is one area: of a pattern that is the directory that
/// it begins with. If each file's directory were an area, clients could make any number of areas.
fn below_directory<'u>(kind: LocationKind, name: &[u8], uri: &'u [u8]) -> &'u [u8] {
    if !is_pattern(kind, name) {
        return below(kind, name, uri).unwrap_or_default();
    }
    uri.strip_prefix(directory_of(name)).or_else(|| uri.strip_prefix(b"/")).unwrap_or(uri)
}

/// The directory that every URI begins with which the pattern matches, with its slash; `/` where the pattern does not
/// say.
fn directory_of(pattern: &[u8]) -> &[u8] {
    let text = pattern.strip_prefix(b"^").unwrap_or_default();
    let is_special = |b: &u8| b"\\.[](){}*+?|^$".contains(b);
    let end = text.iter().position(is_special).unwrap_or(text.len());
    let is_optional = text.get(end).is_some_and(|b| b"*?{".contains(b));
    let literal = text.get(..end.saturating_sub(usize::from(is_optional))).unwrap_or_default();
    // An alternative may begin with something else.
    let is_one = !pattern.contains(&b'|') || text.get(end) == Some(&b'(');
    match memchr::memrchr(b'/', literal).filter(|_| is_one && literal.starts_with(b"/")) {
        Some(slash) => literal.get(..=slash).unwrap_or(b"/"),
        None => b"/",
    }
}

/// As [`split`], for an alias that may be the file itself: bodies that are no PUT may get names of their own, and are
/// for a directory.
pub fn find(
    wanted: TargetKind,
    ex: &mut Exchange,
    cx: &mut Services,
    rules: &UploadSettings,
) -> Result<(TargetPath, Option<Rc<OwnedFd>>), Refusal> {
    let (mut split, base) = split(ex, cx, rules)?;
    if wanted == TargetKind::File
        && rules.store == Store::Uri
        && let Some(end) = paths::holder(ex, split.trusted)
    {
        (split.trusted, split.area) = (end, split.area.min(end));
    }
    Ok((split, base))
}

/// How much of an expanded path can be trusted: the template's text before its first variable, up to a slash. A path
/// that begins with a variable has no such part: it is opened beneath the root directory.
pub fn trusted(template: &Template, path: &[u8]) -> usize {
    literal(template, path).max(1).min(path.len())
}

/// The path of the request's URI here, whether or not it exists.
pub fn path(ex: &mut Exchange, cx: &mut Services, rules: &UploadSettings) -> Result<Vec<u8>, Refusal> {
    Ok(split(ex, cx, rules)?.0.path.to_vec())
}

/// The sentence of a 400 for a path that no system call could take.
pub const NUL: &str = "the path holds a NUL";

/// The path for a system call.
///
/// # Errors
/// 400: it holds a NUL.
pub fn c_path(path: &[u8]) -> Result<CPath, Refusal> {
    CPath::new(path).map_err(|_| Refusal::new(Status::BAD_REQUEST, NUL))
}

/// [`c_path`], to be kept.
///
/// # Errors
/// As there.
pub fn c_string(path: &[u8]) -> Result<CString, Refusal> {
    file::c_string(path).map_err(|_| Refusal::new(Status::BAD_REQUEST, NUL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::template::Variables;

    #[test]
    fn the_store_takes_what_follows_the_location() {
        use LocationKind::*;
        let table = [
            (Prefix, "/up/", "/up/", Some("")),
            (Prefix, "/up/", "/up/a", Some("a")),
            (Prefix, "/up/", "/up/a/b", Some("a/b")),
            (Prefix, "/up", "/up", Some("")),
            (Prefix, "/up", "/up/", Some("")),
            (Prefix, "/up", "/up/a", Some("a")),
            (Prefix, "/up", "/up2", None),
            (Prefix, "/", "/a/", Some("a/")),
            (Exact, "/up", "/up", Some("")),
            (Server, "", "/a/b", Some("b")),
            (Regex, "^/up/", "/up/a/b", Some("b")),
            (Regex, "/up", "/up/a/", Some("")),
            (LimitExcept, "/up/", "/up/a", Some("a")),
            (Named, "@up", "/x/y", Some("y")),
        ];
        for (kind, name, uri, expected) in table {
            assert_eq!(
                below(kind, name.as_bytes(), uri.as_bytes()),
                expected.map(str::as_bytes),
                "{kind:?} {name} {uri}"
            );
        }
    }

    #[test]
    fn all_directories_that_a_client_makes_are_in_one_area() {
        use LocationKind::*;
        let table = [
            (Prefix, "/up/", "/up/a/b", "a/b"),
            (Server, "", "/a/b", "a/b"),
            (Regex, "^/up/", "/up/a/b", "a/b"),
            (Regex, "/up", "/up/a/", "up/a/"),
            (Regex, "^/up/", "/UP/a/b", "UP/a/b"),
            (LimitExcept, "/up/", "/up/a", "a"),
        ];
        for (kind, name, uri, expected) in table {
            let below = below_directory(kind, name.as_bytes(), uri.as_bytes());
            assert_eq!(below, expected.as_bytes(), "{kind:?} {name} {uri}");
        }
    }

    #[test]
    fn a_pattern_begins_with_a_directory_or_says_nothing_of_one() {
        let table = [
            ("^/up/", "/up/"),
            ("^/up/a", "/up/"),
            ("^/up/(a|b)/", "/up/"),
            ("^/up/.*[.]txt$", "/up/"),
            ("^/up/?", "/"),
            ("^/a/up/{0,1}", "/a/"),
            ("^/up+/x", "/"),
            ("^/up/|^/other/", "/"),
            ("^/up/[ab]|x", "/"),
            ("^(/up/)?", "/"),
            ("/up/", "/"),
            ("[.]txt$", "/"),
            ("^up/", "/"),
            ("^/up\\.d/x", "/"),
            ("@up", "/"),
            ("", "/"),
        ];
        for (pattern, expected) in table {
            assert_eq!(directory_of(pattern.as_bytes()), expected.as_bytes(), "{pattern}");
        }
    }

    #[test]
    fn a_path_is_trusted_up_to_its_first_variable() {
        let table = [
            ("/srv/files/$remote_user", "/srv/files/bob", "/srv/files/"),
            ("/srv/u-$remote_user", "/srv/u-bob", "/srv/"),
            ("$document_root/up", "/srv/www/up", "/"),
            ("${arg_x}", "/x", "/"),
        ];
        for (text, path, expected) in table {
            let template = Template::parse(text.as_bytes(), &mut Variables::default()).expect(text);
            assert_eq!(&path[..trusted(&template, path.as_bytes())], expected, "{text}");
        }
    }
}

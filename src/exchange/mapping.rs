//! From a URI to a path: root or alias, and what of the URI follows. A path with a control byte maps to no file; only
//! this file decides that.

use super::Exchange;
use crate::config::template::{Part, Template};
use crate::http::status::Status;
use crate::services::Services;
use crate::sys::Errno;
use crate::util::bytes;
use crate::util::clean_path::has_parent;

/// Expands a template. Passed in: variables are made of paths, and import this file.
pub type Expand = fn(&Template, &mut Exchange, &mut Services, &mut Vec<u8>);

/// What mapping a URI gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapped {
    /// `ex.path` is the file; its first bytes, this many, are the root.
    Path { root: usize },
    /// The URI leads outside the alias's directory: 404.
    Outside,
    /// A rewrite with `break` has changed the URI: it is unknown which part of it the alias replaces.
    Rewritten,
    /// `ex.path` has a control byte, which the request escaped or a capture brought in: 400, for all handlers.
    Control,
    /// Whether it leads to what is hidden is not known, since nothing can be opened to see.
    Unknown(Errno),
}

impl Mapped {
    /// The status of a request whose URI maps to no path.
    pub fn refusal(self) -> Status {
        match self {
            Mapped::Control => Status::BAD_REQUEST,
            Mapped::Rewritten => Status::INTERNAL_SERVER_ERROR,
            Mapped::Path { .. } | Mapped::Outside => Status::NOT_FOUND,
            Mapped::Unknown(Errno::EMFILE | Errno::ENFILE) => Status::SERVICE_UNAVAILABLE,
            Mapped::Unknown(_) => Status::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Puts the path of the current URI into `ex.path`.
pub fn map(ex: &mut Exchange, cx: &mut Services, expand: Expand) -> Mapped {
    let root = root(ex, cx, expand);
    let uri = std::mem::take(&mut ex.route.uri);
    let mapped = append(ex, root, &uri);
    ex.route.uri = uri;
    unhidden(ex, cx, mapped)
}

/// Puts the path of `uri` into `ex.path`, by the root or alias of the current location.
pub fn map_uri(ex: &mut Exchange, cx: &mut Services, uri: &[u8], expand: Expand) -> Mapped {
    let root = root(ex, cx, expand);
    let mapped = append(ex, root, uri);
    unhidden(ex, cx, mapped)
}

/// Takes `ex.path`'s buffer and puts the root or alias into it. Its template may contain the URI, which must be set.
fn root(ex: &mut Exchange, cx: &mut Services, expand: Expand) -> Vec<u8> {
    let mut path = std::mem::take(&mut ex.route.path);
    path.clear();
    let files = &ex.location().settings.files;
    if let Some(root) = files.root.constant() {
        path.extend_from_slice(root);
        return path;
    }
    let files = files.clone();
    expand(&files.root, ex, cx, &mut path);
    path
}

/// Puts what `uri` names below a root into `ex.path`.
fn append(ex: &mut Exchange, mut path: Vec<u8>, uri: &[u8]) -> Mapped {
    let config = ex.config.clone();
    let location = config.location(ex.route.location);
    let files = &location.settings.files;
    if files.alias.is_some() && ex.route.broke {
        ex.route.path = path;
        return Mapped::Rewritten;
    }
    let written = anchor(ex, &mut path, &files.root);
    let root = path.len();
    let mut mapped = Mapped::Path { root };
    match files.alias {
        None => {
            if path.ends_with(b"/") {
                path.pop();
                mapped = Mapped::Path { root: path.len() };
            }
            path.extend_from_slice(uri);
        }
        Some(u32::MAX) if ex.route.behind_alias => path.extend_from_slice(uri),
        // A regex location's alias is the whole path.
        Some(u32::MAX) => {}
        Some(len) => {
            if !append_beneath(&mut path, uri, len as usize) {
                mapped = Mapped::Outside;
            }
        }
    }
    // The normal form of a URI has neither dot segments nor NULs; a rewrite may have put some in, and so may captures
    // in a root or an alias. What the configuration itself writes may go through `..`.
    let judged = if files.root.constant().is_some() { uri } else { path.get(written..).unwrap_or_default() };
    if is_suspect(judged) {
        if has_parent(judged) || judged.contains(&0) {
            mapped = Mapped::Outside;
        } else if bytes::has_control(judged) {
            mapped = Mapped::Control;
        }
    }
    // Nor does it lack its slash: appended without one, it would name something beside the root.
    if !uri.starts_with(b"/") && !ex.route.behind_alias {
        mapped = Mapped::Outside;
    }
    ex.route.path = path;
    mapped
}

/// Makes an expanded root absolute: a relative one, which begins with a variable, lies in the prefix, as a literal one
/// does. Returns how much of the path the configuration writes, for a root with variables.
fn anchor(ex: &Exchange, path: &mut Vec<u8>, root: &Template) -> usize {
    if path.starts_with(b"/") {
        return if root.constant().is_some() { path.len() } else { literal(root, path) };
    }
    let prefix = std::os::unix::ffi::OsStrExt::as_bytes(ex.config.process.prefix.as_os_str());
    path.splice(0..0, prefix.iter().copied().chain(*b"/"));
    prefix.len() + 1
}

/// Appends the part of a URI after the location's name (`len` bytes) to its alias. Returns whether the result is
/// beneath the alias.
fn append_beneath(path: &mut Vec<u8>, uri: &[u8], len: usize) -> bool {
    let rest = uri.get(len..).unwrap_or_default();
    let name_ends = uri.get(..len).is_some_and(|n| n.ends_with(b"/"));
    match (path.ends_with(b"/"), rest.first()) {
        // `location /a { alias /d/; }`: `/ab` is `/d/b`, but `/a../b` is not beside it.
        (ends, Some(first)) if !name_ends && *first != b'/' => {
            if !ends || rest.starts_with(b"..") {
                return false;
            }
            path.extend_from_slice(rest);
        }
        (true, Some(b'/')) => path.extend_from_slice(&rest[1..]),
        (false, Some(b)) if *b != b'/' => {
            path.push(b'/');
            path.extend_from_slice(rest);
        }
        // `location /a/ { alias /d; }`: the directory itself.
        (false, None) if name_ends => path.push(b'/'),
        _ => path.extend_from_slice(rest),
    }
    true
}

/// A control byte, or a dot that begins a segment.
fn is_suspect(path: &[u8]) -> bool {
    let dot = |at: usize| at == 0 || path.get(at - 1) == Some(&b'/');
    bytes::has_control(path) || memchr::memchr_iter(b'.', path).any(dot)
}

/// A hidden file does not exist for clients, whatever links lead to it.
fn unhidden(ex: &mut Exchange, cx: &mut Services, mapped: Mapped) -> Mapped {
    let Mapped::Path { root } = mapped else { return mapped };
    if ex.config.hidden_dirs.is_empty() {
        return mapped;
    }
    let template = &ex.location().settings.files.root;
    let area = match template.constant() {
        Some(_) => root,
        // What a client may choose was not chosen by the configuration.
        None => literal(template, &ex.route.path),
    };
    let path = std::mem::take(&mut ex.route.path);
    let before = cx.hidden_dirs.last_generation();
    let is_hidden = is_hidden(ex, cx, &path, path.get(..area).unwrap_or_default());
    ex.basis.asked_hidden_dirs((before, cx.hidden_dirs.last_generation()));
    ex.route.path = path;
    match is_hidden {
        Ok(false) => mapped,
        Ok(true) => Mapped::Outside,
        Err(e) => Mapped::Unknown(e),
    }
}

/// How much of an expanded path the template itself says: up to the last slash before its first variable.
pub fn literal(template: &Template, path: &[u8]) -> usize {
    match template.parts.first() {
        Some(Part::Literal(text)) if path.starts_with(text) => memchr::memrchr(b'/', text).map_or(0, |at| at + 1),
        _ => 0,
    }
}

/// Whether a path leads into a hidden directory, by its names or by its real location. A file in a hidden directory
/// is visible if the `area`, which the configuration names, lies in that directory too.
///
/// # Errors
/// The real path of it, or of a hidden directory, is not known: there is no free descriptor, say.
pub fn is_hidden(ex: &Exchange, cx: &mut Services, path: &[u8], area: &[u8]) -> Result<bool, Errno> {
    if ex.config.hidden_dirs.is_empty() {
        return Ok(false);
    }
    let found = hidden_around(ex, cx, path)?;
    if found.is_empty() {
        return Ok(false);
    }
    let around = hidden_around(ex, cx, area)?;
    Ok(found.iter().any(|place| !around.contains(place)))
}

/// The hidden directories that a path leads into.
fn hidden_around(ex: &Exchange, cx: &mut Services, path: &[u8]) -> Result<Vec<usize>, Errno> {
    let (names, mut found) = (names_of(cx, path)?, Vec::new());
    cx.hidden_dirs.any(&ex.config, cx.now.ms, &[&names[0], &names[1]], |role, _| {
        found.extend(role);
        false
    })?;
    Ok(found)
}

/// The path itself, and its real path.
pub(super) fn names_of(cx: &mut Services, path: &[u8]) -> Result<[Vec<u8>; 2], Errno> {
    let real = match path {
        b"" => Vec::new(),
        _ => cx.real_paths.find(path, &cx.now, &mut cx.dir_watch)?.whole.clone(),
    };
    Ok([path.to_vec(), real])
}

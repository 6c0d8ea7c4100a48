//! The file that a URI leads to, and where it lies: beneath its root, in an area that writes must not leave, or hidden.

pub use super::mapping::{Mapped, is_hidden};

use super::mapping::{self, names_of};
use super::{Exchange, variables};
use crate::config::model::LocationKind;
use crate::config::settings::files::Symlinks;
use crate::services::Services;
use crate::sys::Errno;
use crate::sys::file::{self, FileKind};
use std::ffi::CString;
use std::os::fd::BorrowedFd;

/// Puts the path of the current URI into `ex.path`.
pub fn map(ex: &mut Exchange, cx: &mut Services) -> Mapped {
    mapping::map(ex, cx, variables::expand)
}

/// Puts the path of `uri` into `ex.path`, by the root or alias of the current location.
pub fn map_uri(ex: &mut Exchange, cx: &mut Services, uri: &[u8]) -> Mapped {
    mapping::map_uri(ex, cx, uri, variables::expand)
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".")
}

/// Whether a path names `directory` or something in it, however many slashes are between its names.
pub fn is_beneath(path: &[u8], directory: &[u8]) -> bool {
    let mut path = components(path);
    components(directory).all(|name| path.next() == Some(name))
}

/// The part of a path below a directory, without a leading slash. None: it does not lie there.
pub fn below<'p>(path: &'p [u8], directory: &[u8]) -> Option<&'p [u8]> {
    fn trim(mut path: &[u8]) -> &[u8] {
        while let Some(rest) = path.strip_prefix(b"/") {
            path = rest;
        }
        path
    }
    let mut rest = path;
    for name in components(directory) {
        rest = trim(rest).strip_prefix(name).filter(|rest| matches!(rest.first(), None | Some(b'/')))?;
    }
    Some(trim(rest))
}

/// Whether two paths have the same names, however many slashes are between them.
pub fn is_same(a: &[u8], b: &[u8]) -> bool {
    components(a).eq(components(b))
}

/// Paths from `directory` to the hidden directories below it, at every depth: `trash`, or `in/trash`, which names no
/// entry of `directory` itself.
///
/// # Errors
/// As [`is_hidden`].
pub fn hidden_below(ex: &Exchange, cx: &mut Services, directory: &[u8]) -> Result<Vec<Box<[u8]>>, Errno> {
    if ex.config.hidden_dirs.is_empty() {
        return Ok(Vec::new());
    }
    let names = names_of(cx, directory)?;
    cx.hidden_dirs.dirs_below(&ex.config, cx.now.ms, &names)
}

/// Paths from the directory `ex.path`, which is open, to those below it that are neither moved nor removed, at every
/// depth.
///
/// # Errors
/// As [`is_hidden`].
pub fn kept_below(ex: &Exchange, cx: &mut Services, directory: BorrowedFd<'_>) -> Result<Vec<Box<[u8]>>, Errno> {
    let names = [ex.route.path.clone(), file::path_of(directory)?];
    cx.kept_dirs.dirs_below(&ex.config, cx.now.ms, &names)
}

/// Where the area that writes must stay beneath ends in `ex.path`, as [`map`] made it: the root, and the directory
/// that the location itself names. The administrator wrote that one into the configuration and may have made it a
/// symbolic link, just as `root` may be one; nothing below it may lead out. disable_symlinks applies from the root
/// on.
pub fn area(ex: &Exchange, root: usize) -> usize {
    if let Some(end) = holder(ex, root) {
        return end;
    }
    // A directory that does not exist yet is made beneath the root.
    named_area(ex, root).filter(|end| is_directory(&ex.route.path[..*end])).unwrap_or(root)
}

/// An alias may be a file itself, one that exists or (`location = /file`) one that is to be written: its area is the
/// directory that holds it, which ends here. None: it is a directory, or the path goes on below it.
pub fn holder(ex: &Exchange, root: usize) -> Option<usize> {
    let (location, path) = (ex.location(), &ex.route.path);
    let is_whole = path.len() == root && !path.ends_with(b"/");
    if !is_whole || location.settings.files.alias.is_none_or(|len| len == u32::MAX) {
        return None;
    }
    let is_file = match file::stat(&CString::new(&path[..]).ok()?) {
        Ok(stat) => stat.kind != FileKind::Dir,
        Err(e) => e == Errno::ENOENT && location.kind == LocationKind::Exact,
    };
    memchr::memrchr(b'/', path).map(|slash| slash + 1).filter(|_| is_file)
}

/// Where [`area`] ends if what is there is a directory.
pub fn named_area(ex: &Exchange, root: usize) -> Option<usize> {
    let location = ex.location();
    let files = &location.settings.files;
    let named = matches!(location.kind, LocationKind::Prefix | LocationKind::PrefixFinal);
    if !named || files.alias.is_some() || files.symlinks != Symlinks::Off || files.root.constant().is_none() {
        return None;
    }
    let dir = memchr::memrchr(b'/', &location.name).map_or(0, |at| at + 1);
    match ex.route.path.get(root..root + dir) {
        Some(path) if dir > 1 && path == &location.name[..dir] => Some(root + dir),
        _ => None,
    }
}

fn is_directory(path: &[u8]) -> bool {
    CString::new(path).is_ok_and(|path| file::stat(&path).is_ok_and(|stat| stat.kind == FileKind::Dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};

    #[test]
    fn a_root_that_begins_with_a_variable_lies_in_the_prefix_or_is_absolute() {
        let mut site = Site::new("", "location /in/ { root $arg_r/html; } location /beside/ { root /a/../b/$arg_r; }");
        for (target, expected) in [
            ("/in/f?r=d", Some("/p/d/html/in/f")),
            ("/in/f?r=/d", Some("/d/html/in/f")),
            ("/in/f?r=", Some("/html/in/f")),
            ("/in/f?r=..", None),
            ("/in/f?r=/d/..", None),
            ("/beside/f?r=d", Some("/a/../b/d/beside/f")),
            ("/beside/f?r=..", None),
        ] {
            let mut ex = site.at(&format!("GET {target}"), &[], INSIDE);
            let found = map(&mut ex, &mut site.cx);
            let path = matches!(found, Mapped::Path { .. }).then(|| String::from_utf8_lossy(&ex.route.path));
            assert_eq!(path.as_deref(), expected, "{target}");
        }
    }
}

//! Directories of locations, by their URIs and by where the configuration has them (roots, aliases and stores of any
//! server), trash directories and others that are not shown (keys, the state of uploads): neither they nor their
//! parents are moved or removed.

use crate::config::model::{LocationKind, LocationTree};
use crate::exchange::{Exchange, paths};
use crate::route::{NoTrace, location};
use crate::services::Services;
use crate::sys::file;
use std::ffi::CStr;
use std::os::fd::BorrowedFd;

/// The URI names the directory of an area, or a parent of one: neither is moved or overwritten. `dir` and `name` are
/// where it lies.
pub fn keeps_area(ex: &Exchange, cx: &mut Services, dir: BorrowedFd<'_>, name: &CStr) -> bool {
    is_area(ex) || holds_area(ex) || holds_kept(ex, cx, dir, name)
}

/// Whether the name is that of a directory that the configuration relies on, or contains one, by its path or by its
/// real path. If a real path cannot be determined (for lack of descriptors, say), it counts as containing one.
pub(super) fn holds_kept(ex: &Exchange, cx: &mut Services, dir: BorrowedFd<'_>, name: &CStr) -> bool {
    let Ok(real) = file::path_in(dir, name.to_bytes()) else { return true };
    cx.kept_dirs.any_within(&ex.config, cx.now.ms, &[&ex.route.path, &real]).unwrap_or(true)
}

/// The URI names the directory of a location: the configuration relies on it.
pub(super) fn is_area(ex: &Exchange) -> bool {
    let bare = trim_slashes(&ex.route.uri);
    let names_it = |id| {
        let location = ex.config.location(id);
        let is_prefix = matches!(
            location.kind,
            LocationKind::Server | LocationKind::Exact | LocationKind::Prefix | LocationKind::PrefixFinal
        );
        is_prefix && trim_slashes(&location.name) == bare
    };
    let with_slash = [bare, b"/"].concat();
    names_it(ex.route.location)
        || location::find(&ex.config, ex.route.server, &with_slash, &mut NoTrace)
            .map_or(true, |found| names_it(found.location))
}

/// A location lies below the URI: what its rules protect must not be removed with a directory above it.
pub(super) fn holds_area(ex: &Exchange) -> bool {
    any_below(ex, &ex.server().tree, &[trim_slashes(&ex.route.uri), b"/"].concat(), &mut |_| true)
}

/// Whether `found` says so of a location below: it is given the rest of its name behind `prefix`.
fn any_below(ex: &Exchange, tree: &LocationTree, prefix: &[u8], found: &mut dyn FnMut(&[u8]) -> bool) -> bool {
    let prefixes = tree.prefixes.iter().map(|entry| (&entry.prefix, entry.location));
    let mut locations = tree.exact.iter().map(|(name, id)| (name, *id)).chain(prefixes);
    locations.any(|(name, id)| {
        name.strip_prefix(prefix).is_some_and(&mut *found)
            || ex.config.location(id).tree.as_ref().is_some_and(|tree| any_below(ex, tree, prefix, found))
    })
}

/// The names in the listed directory, `ex.route.uri`, open as `dir`, that [`keeps_area`] is true of, so that no listing
/// offers to move or delete them. Where it is not known which directories lie there, only those of locations are named.
pub fn kept_names(ex: &Exchange, cx: &mut Services, dir: BorrowedFd<'_>) -> Vec<Box<[u8]>> {
    let mut names = Vec::new();
    let mut keep =
        |path: &[u8]| names.extend(path.split(|b| *b == b'/').next().filter(|n| !n.is_empty()).map(Box::from));
    any_below(ex, &ex.server().tree, &ex.route.uri, &mut |name| {
        keep(name);
        false
    });
    paths::kept_below(ex, cx, dir).unwrap_or_default().iter().for_each(|path| keep(path));
    names.sort_unstable();
    names.dedup();
    names
}

/// The path without the slashes at its end; of `/` nothing is left.
pub(super) fn trim_slashes(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|b| *b != b'/').map_or(0, |at| at + 1);
    path.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};
    use crate::sys::file::{O_DIRECTORY, O_PATH};
    use std::os::fd::AsFd;

    #[test]
    fn a_directory_of_which_it_is_not_known_where_it_lies_may_hold_a_trash() {
        let mut site = Site::new("", "location / { allowed_methods DELETE; delete_trash DIR/missing; }");
        let mut ex = site.at("DELETE /d/", &[], INSIDE);
        ex.route.path = b"/elsewhere/d/".to_vec();
        let mut dir = site.scratch.fd();
        assert!(!holds_kept(&ex, &mut site.cx, dir.as_fd(), c"d"));
        // Deeper than the longest path that the kernel tells.
        let name = std::ffi::CString::new("x".repeat(250)).expect("no NUL");
        for _ in 0..17 {
            file::mkdir_at(Some(dir.as_fd()), &name, 0o755).expect("made");
            dir = file::open_at(Some(dir.as_fd()), &name, O_PATH | O_DIRECTORY, 0).expect("it opens");
        }
        assert!(holds_kept(&ex, &mut site.cx, dir.as_fd(), c"d"));
    }

    #[test]
    fn a_listing_keeps_what_locations_and_their_directories_rely_on() {
        let mut site = Site::new(
            "",
            "location / { } location /a/b/ { } location = /c { } location /d/e/ { location = /d/e/f/g { } }
             location /in/ { location /in/deep/ { } } location /s/ { upload_store DIR/html/stored/here; }
             location ~ ^/pattern/ { }",
        );
        let root = site.root();
        std::fs::create_dir_all(root.join("stored/here")).expect("made");
        for (uri, expected) in [
            ("/", &["a", "c", "d", "in", "s", "stored"][..]),
            ("/a/", &["b"]),
            ("/a/b/", &[]),
            ("/d/", &["e"]),
            ("/d/e/", &["f"]),
            ("/d/e/f/", &["g"]),
            ("/in/", &["deep"]),
            ("/stored/", &["here"]),
            ("/other/", &[]),
        ] {
            std::fs::create_dir_all(root.join(uri.trim_start_matches('/'))).expect("made");
            let mut ex = site.at(&format!("GET {uri}"), &[], INSIDE);
            let path = std::ffi::CString::new(format!("{}{uri}", root.display())).expect("no NUL");
            ex.route.path = path.to_bytes().to_vec();
            let dir = file::open_at(None, &path, O_PATH | O_DIRECTORY, 0).expect("it opens");
            let names = kept_names(&ex, &mut site.cx, dir.as_fd());
            let names: Vec<_> = names.iter().map(|name| String::from_utf8_lossy(name)).collect();
            assert_eq!(names, expected, "{uri}");
        }
    }
}

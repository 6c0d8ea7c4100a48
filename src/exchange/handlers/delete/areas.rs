//! Directories of locations, trash directories and others that are not shown (keys, the state of uploads): neither they
//! nor their parents are moved or removed.

use crate::config::model::{LocationKind, LocationTree};
use crate::exchange::{Exchange, paths};
use crate::route::{NoTrace, location};
use crate::sys::Errno;
use crate::sys::file::{self, O_DIRECTORY, O_PATH};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

/// The URI names the directory of an area, or a parent of one: neither is moved or overwritten. `dir` and `name` are
/// where it lies.
pub fn keeps_area(ex: &Exchange, dir: BorrowedFd<'_>, name: &CStr) -> bool {
    is_area(ex) || holds_area(ex) || holds_kept(ex, dir, name)
}

/// What has the name is a trash or a hidden directory, or contains one, by its path or by its real path.
pub(super) fn holds_kept(ex: &Exchange, dir: BorrowedFd<'_>, name: &CStr) -> bool {
    let hidden = &ex.config.hidden_dirs;
    let kept = || hidden.iter().chain(ex.config.trashes.iter().filter(|trash| !hidden.contains(trash)));
    if kept().any(|kept| paths::is_beneath(kept, &ex.route.path)) {
        return true;
    }
    let mut real: Option<Vec<u8>> = None;
    kept().any(|kept| {
        let Ok(kept) = file::c_string(&kept[..]) else { return false };
        let kept = match file::open_at(None, &kept, O_PATH | O_DIRECTORY, 0) {
            Ok(kept) => kept,
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES | Errno::ELOOP) => return false,
            // It may be in there: descriptors are short, say.
            Err(_) => return true,
        };
        if real.is_none() {
            let Ok(directory) = file::path_of(dir) else { return true };
            real = Some([&directory[..], b"/", name.to_bytes()].concat());
        }
        let here = real.as_deref().unwrap_or_default();
        file::path_of(kept.as_fd()).map_or(true, |kept| paths::is_beneath(&kept, here))
    })
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
    fn below(ex: &Exchange, tree: &LocationTree, prefix: &[u8]) -> bool {
        let prefixes = tree.prefixes.iter().map(|entry| (&entry.prefix, entry.location));
        let mut locations = tree.exact.iter().map(|(name, id)| (name, *id)).chain(prefixes);
        locations.any(|(name, id)| {
            name.starts_with(prefix) || ex.config.location(id).tree.as_ref().is_some_and(|tree| below(ex, tree, prefix))
        })
    }
    let prefix = [trim_slashes(&ex.route.uri), b"/"].concat();
    below(ex, &ex.server().tree, &prefix)
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

    #[test]
    fn a_trash_that_cannot_be_looked_for_may_be_in_the_directory() {
        // The kernel answers a name of 300 bytes neither with ENOENT nor with a directory, as where descriptors are
        // short.
        for (name, is_kept) in [("missing".to_owned(), false), ("x".repeat(300), true)] {
            let mut site = Site::new("", &format!("location / {{ allowed_methods DELETE; delete_trash DIR/{name}; }}"));
            let mut ex = site.at("DELETE /d/", &[], INSIDE);
            ex.route.path = b"/elsewhere/d/".to_vec();
            assert_eq!(holds_kept(&ex, site.scratch.fd().as_fd(), c"d"), is_kept, "{name}");
        }
    }
}

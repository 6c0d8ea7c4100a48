//! Directories whose contents are never served, whatever the root: trashes, the state of uploads, and the server's own
//! keys.

use crate::config::acme::Acme;
use crate::config::build::Build;
use crate::config::local_ca;
use crate::config::model::{Location, WriteArea};
use crate::config::template::Part;
use crate::util::clean_path::clean;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

impl Build {
    pub(super) fn hidden_places(&self, stores: &[Box<[u8]>], areas: &[WriteArea], acme: &Acme) -> Vec<Box<[u8]>> {
        let mut hidden = self.directories(|upload| upload.trash_directory().filter(|_| !upload.trash_shown));
        let taken: Vec<_> = areas.iter().map(|area| &area.directory).chain(stores).map(|path| clean(path)).collect();
        // A state store is not hidden if an area or store of clients lies in it.
        hidden.extend(self.directories(|upload| upload.resumable.state_store.as_deref()).into_iter().filter(|state| {
            let state = clean(state);
            !taken.iter().any(|path| is_below(path, &state))
        }));
        hidden.extend(self.keys_in_reach(acme));
        hidden
    }

    /// Directories of ACME state and of the local authority, if some root contains them (the home of a service user
    /// may). Others are omitted, since checking each costs every request a little.
    fn keys_in_reach(&self, acme: &Acme) -> Vec<Box<[u8]>> {
        let is_automatic = self.locations.iter().any(|location| location.settings.ssl.auto.is_some());
        let own = is_automatic.then(|| local_ca::directory().ok()).flatten();
        let keys: Vec<PathBuf> = acme.state_paths().cloned().chain(own).collect();
        if keys.is_empty() {
            return Vec::new();
        }
        let mut roots: Vec<&[u8]> = self.locations.iter().map(named_root).collect();
        roots.sort_unstable();
        roots.dedup();
        let roots: Vec<_> = roots.into_iter().flat_map(both_paths).collect();
        let is_reached = |directory: &PathBuf| {
            both_paths(directory.as_os_str().as_bytes())
                .iter()
                .any(|path| roots.iter().any(|root| is_below(path, root)))
        };
        keys.iter().filter(|directory| is_reached(directory)).map(|path| path.as_os_str().as_bytes().into()).collect()
    }
}

/// The part of a root or alias before its first variable, up to a slash: everything it can map to lies below.
fn named_root(location: &Location) -> &[u8] {
    let template = &location.settings.files.root;
    match (template.constant(), template.parts.first()) {
        (Some(path), _) => path,
        (None, Some(Part::Literal(text))) => {
            text.get(..memchr::memrchr(b'/', text).map_or(0, |at| at + 1)).unwrap_or_default()
        }
        _ => b"",
    }
}

/// The path as written, and resolved; if it does not exist yet, its nearest existing ancestor is resolved.
fn both_paths(path: &[u8]) -> [Vec<u8>; 2] {
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    let real = path.ancestors().find_map(|above| {
        let rest = path.strip_prefix(above).ok()?;
        Some(above.canonicalize().ok()?.join(rest))
    });
    let real = real.unwrap_or_else(|| path.to_owned());
    [path, &real].map(|path| clean(path.as_os_str().as_bytes()).into_owned())
}

/// Both paths must be normalized.
fn is_below(path: &[u8], directory: &[u8]) -> bool {
    let directory = directory.strip_suffix(b"/").unwrap_or(directory);
    matches!(path.strip_prefix(directory), Some([] | [b'/', ..]))
}

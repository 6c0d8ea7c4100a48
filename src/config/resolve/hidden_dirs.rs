//! Directories whose contents are not served below a root that contains them: trashes, the state of uploads, and the
//! server's own keys. Only a root or alias that lies in such a directory itself shows it.

use crate::config::acme::Acme;
use crate::config::build::Build;
use crate::config::local_ca;
use crate::config::model::{Location, WriteArea};
use crate::util::checkpoint;
use crate::util::clean_path::clean;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

impl Build {
    /// Paths without a final slash; `stores` and `areas` keep a directory that clients use from being hidden.
    pub(super) fn hidden_dirs(&self, stores: &[Box<[u8]>], areas: &[WriteArea], acme: &Acme) -> Vec<Box<[u8]>> {
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

    /// Directories with the server's own keys (ACME's, the local authority's), if some root contains them: the home of
    /// a service user may. Others are omitted, since checking each costs every request a little.
    fn keys_in_reach(&self, acme: &Acme) -> Vec<Box<[u8]>> {
        let is_automatic = self.locations.iter().any(|location| location.settings.ssl.auto.is_some());
        let keys: BTreeSet<PathBuf> = acme.state_paths().cloned().chain(own_keys(is_automatic)).collect();
        let roots: BTreeSet<&[u8]> = self.locations.iter().map(spelled_root).collect();
        let mut keys: Vec<_> = keys.into_iter().map(Ancestry::of).collect();
        let mut found = Vec::new();
        for root in roots {
            if keys.is_empty() {
                break;
            }
            checkpoint::pass();
            let root = Path::new(OsStr::from_bytes(root));
            let identity = identity(root);
            found.extend(keys.extract_if(.., |key| key.is_below(root, identity)).map(|key| key.directory));
        }
        found.into_iter().map(|directory| directory.into_os_string().into_encoded_bytes().into()).collect()
    }
}

/// Key directories in the state directory: those of the local authority, and of the issuers of this or an earlier
/// configuration. If certificates are made here, the local authority's may be created while this configuration is in
/// use.
fn own_keys(is_automatic: bool) -> Vec<PathBuf> {
    let Ok(state) = local_ca::state_directory() else { return Vec::new() };
    let entries = state.read_dir().into_iter().flatten().flatten();
    let issuers = entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"acme_"));
    let local = local_ca::directory().ok().filter(|directory| is_automatic || directory.exists());
    issuers.map(|entry| entry.path()).chain(local).collect()
}

/// A directory, and the identities (device, inode) of those of its ancestors that exist, itself included.
struct Ancestry {
    directory: PathBuf,
    ancestors: Vec<(u64, u64)>,
}

impl Ancestry {
    fn of(directory: PathBuf) -> Ancestry {
        let real = directory.ancestors().find_map(|above| above.canonicalize().ok());
        let ancestors = real.iter().flat_map(|real| real.ancestors());
        Ancestry { ancestors: ancestors.filter_map(identity).collect(), directory }
    }

    /// Whether it is the root or lies below it, by its path or through links.
    fn is_below(&self, root: &Path, identity: Option<(u64, u64)>) -> bool {
        self.directory.starts_with(root) || identity.is_some_and(|identity| self.ancestors.contains(&identity))
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    path.metadata().ok().map(|found| (found.dev(), found.ino()))
}

/// What a root or alias spells out. Nothing, if it begins with a variable: all paths begin with that.
fn spelled_root(location: &Location) -> &[u8] {
    location.settings.files.root.directory().unwrap_or_default()
}

/// Both paths must be normalized.
fn is_below(path: &[u8], directory: &[u8]) -> bool {
    let directory = directory.strip_suffix(b"/").unwrap_or(directory);
    matches!(path.strip_prefix(directory), Some([] | [b'/', ..]))
}

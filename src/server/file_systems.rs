//! Directories that lie on another file system than the files that would be renamed out of them: what a client asks of
//! them fails each time, so the start reports it.

use super::serving_user::{directory, landing, nearest};
use super::upload_services::stores;
use crate::config::model::{Config, Location};
use crate::config::settings::upload::Store;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A line for each upload_state_store that no file can be moved from.
pub fn apart(config: &Config) -> Vec<String> {
    let mut lines = BTreeSet::new();
    for location in config.locations.iter().filter(|location| stores(&location.settings)) {
        let upload = &location.settings.upload;
        let state = upload.resumable.state_store.as_ref().filter(|_| upload.resumable.speaks.any());
        let target = match &upload.store {
            Store::Path(path) => path.constant().and_then(|_| directory(path)),
            _ => area(location),
        };
        if let (Some(state), Some(target)) = (state, target) {
            let state = PathBuf::from(OsStr::from_bytes(state));
            lines.extend(line(&state, &target));
        }
    }
    lines.into_iter().collect()
}

/// Where the files of a location lie; behind variables each may lie elsewhere.
fn area(location: &Location) -> Option<PathBuf> {
    location.settings.files.root.constant().and_then(|_| landing(location))
}

/// None: files can be moved between the two, or it is not known. What lies within the area may be meant for a file
/// system that is mounted there.
fn line(state: &Path, area: &Path) -> Option<String> {
    let device = |path: &Path| path.metadata().ok().map(|meta| meta.dev());
    let (there, here) = (device(&nearest(state.to_owned()))?, device(area)?);
    (there != here && !state.starts_with(area)).then(|| {
        let (state, area) = (state.display(), area.display());
        format!(
            "upload_state_store \"{state}\" is on another file system than \"{area}\", where each resumable upload will \
             fail: name a directory on that one"
        )
    })
}

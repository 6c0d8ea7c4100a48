//! Directories that lie on another file system than the files that would be renamed into them or out of them: what a
//! client asks of them fails each time, so the start reports it.

use super::serving_user::{directory, landing, nearest};
use super::upload_services::stores;
use crate::config::model::{Config, Location};
use crate::config::settings::upload::Store;
use crate::http::method::Method;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A line for each trash and each upload_state_store that no file can be moved to or from.
pub fn apart(config: &Config) -> Vec<String> {
    let mut lines = BTreeSet::new();
    for location in config.locations.iter().filter(|location| stores(&location.settings)) {
        let upload = &location.settings.upload;
        let trash = upload.trash.as_ref().filter(|_| deletes(location)).and_then(directory);
        if let (Some(trash), Some(area)) = (trash, area(location)) {
            lines.extend(line("delete_trash", &trash, &area, "DELETE"));
        }
        let state = upload.resumable.state_store.as_ref().filter(|_| upload.resumable.speaks.any());
        let target = match &upload.store {
            Store::Path(path) => path.constant().and_then(|_| directory(path)),
            _ => area(location),
        };
        if let (Some(state), Some(target)) = (state, target) {
            let state = PathBuf::from(OsStr::from_bytes(state));
            lines.extend(line("upload_state_store", &state, &target, "resumable upload"));
        }
    }
    lines.into_iter().collect()
}

fn deletes(location: &Location) -> bool {
    let settings = &location.settings;
    let allowed = settings.access.allowed;
    allowed.map_or(settings.dav.methods.contains(Method::Delete), |allowed| allowed.contains(Method::Delete))
}

/// Where the files of a location lie; behind variables each may lie elsewhere.
fn area(location: &Location) -> Option<PathBuf> {
    location.settings.files.root.constant().and_then(|_| landing(location))
}

/// None: files can be moved between the two, or it is not known. What lies within the area may be meant for a file
/// system that is mounted there.
fn line(directive: &str, moved_to: &Path, area: &Path, request: &str) -> Option<String> {
    let device = |path: &Path| path.metadata().ok().map(|meta| meta.dev());
    let (there, here) = (device(&nearest(moved_to.to_owned()))?, device(area)?);
    (there != here && !moved_to.starts_with(area)).then(|| {
        let (moved_to, area) = (moved_to.display(), area.display());
        format!(
            "{directive} \"{moved_to}\" is on another file system than \"{area}\", where each {request} will fail: name a \
             directory on that one"
        )
    })
}

//! Directories below /run that a service manager creates when it starts the service, so that a check of the
//! configuration may run before they exist.

use crate::config::model::Config;
use crate::sys::socket::Addr;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

/// Whether a file's directory is such a directory and does not exist yet. One that is inaccessible counts as existing.
pub fn is_to_come(path: &Path) -> bool {
    let is_missing = |dir: &Path| dir.metadata().is_err_and(|e| e.kind() == ErrorKind::NotFound);
    ["/run", "/var/run"].iter().any(|run| path.starts_with(run)) && path.parent().is_some_and(is_missing)
}

/// Missing ones, which must be created before starting the server manually.
pub fn missing(config: &Config) -> Vec<String> {
    let sockets = config.sockets.iter().filter_map(|wanted| match &wanted.addr {
        Addr::Unix(path) => Some(path.as_path()),
        _ => None,
    });
    let files = config.process.pid.as_deref().into_iter().chain(sockets).filter(|path| is_to_come(path));
    let missing: BTreeSet<&Path> = files.filter_map(Path::parent).collect();
    let line = |dir: &Path| {
        let dir = dir.display();
        format!("\"{dir}\" does not exist: a service manager makes it at the start, or else: mkdir -p \"{dir}\"")
    };
    missing.into_iter().map(line).collect()
}

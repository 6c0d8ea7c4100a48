//! Directories below /run, which a service manager makes when it starts the service: a check of the configuration may come
//! before that.

use crate::config::model::Config;
use crate::sys::socket::Addr;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

/// Whether a file is to be in such a directory, and that is not there yet. One that may not be looked at is there.
pub fn is_to_come(path: &Path) -> bool {
    let is_missing = |dir: &Path| dir.metadata().is_err_and(|e| e.kind() == ErrorKind::NotFound);
    ["/run", "/var/run"].iter().any(|run| path.starts_with(run)) && path.parent().is_some_and(is_missing)
}

/// Those that are not there: by hand they have to be made before the start.
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

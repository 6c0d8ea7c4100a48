//! Directories of temporary files: made before the process gives up root's rights, as the user it will work as needs
//! them.

use super::failure::{Cause, Failure};
use crate::config::model::Config;
use crate::io::open;
use crate::sys::file;
use std::os::fd::AsFd;

/// Makes what is missing, its parent not included, as nginx does. `owner`: as whom the process will work, where it is
/// about to change. A link made by that user leads nowhere: root gives away the directory itself, or nothing.
///
/// # Errors
/// A directory can neither be found nor made: bodies would have no place to go.
pub fn make(config: &Config, owner: Option<u32>) -> Result<(), Failure> {
    for path in config.process.temp_paths.iter().chain(config.acme.state_paths()) {
        let failed = |call: &'static str| {
            let cause = path.clone();
            move |e| Failure {
                why: format!("{call} \"{}\" failed {e}", cause.display()),
                cause: Some(Cause::Open(cause, e)),
            }
        };
        if config.acme.state_paths().any(|state| state == path) {
            // What it lies in may be missing; a directory that cannot be made is reported by the next line.
            let _ = path.parent().map(std::fs::create_dir_all);
        }
        let dir = open::directory(path, 0o700).map_err(failed("mkdir()"))?;
        let Some(uid) = owner else { continue };
        let found = file::fstat(dir.as_fd()).map_err(failed("stat()"))?;
        if found.uid != uid {
            file::chown_fd(dir.as_fd(), Some(uid), None).map_err(failed("chown()"))?;
        }
        if found.mode & 0o700 != 0o700 {
            file::chmod_fd(dir.as_fd(), found.mode | 0o700).map_err(failed("chmod()"))?;
        }
    }
    Ok(())
}

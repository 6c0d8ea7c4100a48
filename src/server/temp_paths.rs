//! Directories for temporary files: created before root's rights are dropped, and given to the serving user.

use super::failure::{Cause, Failure};
use crate::config::model::Config;
use crate::io::open;
use crate::sys::file;
use std::os::fd::AsFd;

/// Creates missing ones (not their parents), as nginx does. `owner`: the serving user, if the process is about to
/// switch. A symbolic link planted by that user is not followed: root changes the owner of a directory itself or not at
/// all.
///
/// # Errors
/// A directory can neither be used nor created, so bodies could not be stored.
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
            // Parents may be missing; if they cannot be created, the next line reports it.
            let _ = path.parent().map(|above| open::directories(above, 0o755));
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

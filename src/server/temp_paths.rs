//! Directories of temporary files: made before the process gives up root's rights, as the user it will work as needs
//! them.

use super::lifecycle::Failure;
use crate::config::load::errno_text;
use crate::config::model::Config;
use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};

/// Makes what is missing, its parent not included, as nginx does. `owner`: as whom the process will work, where it is
/// about to change.
///
/// # Errors
/// A directory can neither be found nor made: bodies would have no place to go.
pub fn make(config: &Config, owner: Option<u32>) -> Result<(), Failure> {
    for path in &config.process.temp_paths {
        let failed = |call: &str, e: &std::io::Error| {
            Failure(format!("{call} \"{}\" failed ({})", path.display(), errno_text(e)))
        };
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(failed("mkdir()", &e)),
        }
        let Some(uid) = owner else { continue };
        let found = fs::metadata(path).map_err(|e| failed("stat()", &e))?;
        if found.uid() != uid {
            chown(path, Some(uid), None).map_err(|e| failed("chown()", &e))?;
        }
        if found.mode() & 0o700 != 0o700 {
            let mode = Permissions::from_mode(found.mode() & 0o7777 | 0o700);
            fs::set_permissions(path, mode).map_err(|e| failed("chmod()", &e))?;
        }
    }
    Ok(())
}

//! Small files that are replaced whole or not at all: state that must not be lost, and secrets.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Writes a temporary file beside the file and renames it; the content is on the disk before the rename. `mode` holds
/// whatever the mode of an earlier file was: 0600 for secrets.
///
/// # Errors
/// The file was not changed.
pub fn replace(path: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    place(path, text, mode, |from, to| fs::rename(from, to))
}

/// As [`replace`], for a file that must not exist yet. If another process makes it at the same time, that file stays.
///
/// # Errors
/// `AlreadyExists`, or it could not be written.
pub fn create(path: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    place(path, text, mode, |from, to| match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(e),
        // A file system without hard links.
        Err(_) => OpenOptions::new().write(true).create_new(true).open(to).and_then(|_| fs::rename(from, to)),
    })
}

/// Writes the text to a temporary file beside the path; `give_name` renames or links it.
fn place(path: &Path, text: &[u8], mode: u32, give_name: fn(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(directory) = directory {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    }
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = (|| {
        // A leftover of a killed process with our pid, or a link that another user made, is not used.
        let _ = fs::remove_file(&temporary);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(text)?;
        file.sync_all()?;
        give_name(&temporary, path)
    })();
    if written.is_err() {
        // A failure leaves no temporary file, if it can be removed.
        let _ = fs::remove_file(&temporary);
    } else if let Some(directory) = directory {
        // Syncing the directory as well is best effort.
        let _ = File::open(directory).and_then(|directory| directory.sync_all());
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;

    #[test]
    fn a_file_is_replaced_whole_with_its_mode() {
        let scratch = Scratch::new();
        let path = scratch.path().join("state/key.pem");
        replace(&path, b"one", 0o644).expect("written");
        replace(&path, b"two", 0o600).expect("written");
        assert_eq!(fs::read(&path).expect("there"), b"two");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(scratch.path().join("state")).expect("there").count(), 1, "nothing is left over");
        assert!(replace(&path.join("x"), b"", 0o600).is_err());
    }

    #[test]
    fn a_file_that_is_there_is_not_made() {
        let scratch = Scratch::new();
        let path = scratch.path().join("state/key.pem");
        create(&path, b"one", 0o600).expect("written");
        let failed = create(&path, b"two", 0o600).expect_err("it is there");
        assert_eq!(failed.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).expect("there"), b"one");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(scratch.path().join("state")).expect("there").count(), 1, "nothing is left over");
    }
}

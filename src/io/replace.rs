//! Small files that are replaced whole or not at all: state that must not be lost, and secrets.

use super::open;
use crate::sys::Errno;
use crate::sys::file::{self, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY, Rename, Unlink};
use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Replaces what has the name.
const REPLACE: GiveName = |dir, from, to| file::rename_at(Some(dir), from, Some(dir), to, Rename::Replace);

/// Writes a temporary file beside the file and renames it; the content is on the disk before the rename. `mode` holds
/// whatever the mode of an earlier file was: 0600 for secrets.
///
/// # Errors
/// The file was not changed.
pub fn replace(path: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    place(path, text, mode, &Kept::default(), REPLACE)
}

/// What a new file takes over from the one before it, beside the mode.
#[derive(Default)]
struct Kept {
    owner: Option<(u32, u32)>,
    acl: Option<Vec<u8>>,
}

/// Gives an administrator's file another text: as [`replace`], with the mode, the owner and the access control list
/// that it has, behind a link where it is one. A file with several names, or in a directory that may not be written, is
/// written in place.
///
/// # Errors
/// The file was not changed, except where it is written in place.
pub fn rewrite(path: &Path, text: &[u8]) -> io::Result<()> {
    let path = &fs::canonicalize(path)?;
    let old = fs::metadata(path)?;
    if old.nlink() > 1 || !old.is_file() {
        return fs::write(path, text);
    }
    let kept = Kept { owner: Some((old.uid(), old.gid())), acl: file::acl(path) };
    let renamed = place(path, text, old.mode() & 0o7777, &kept, REPLACE);
    match renamed {
        Err(e) if IN_PLACE.contains(&e.kind()) => fs::write(path, text),
        renamed => renamed,
    }
}

/// Why a file has no other one put in its place: a directory that may not be written, the file is a mount point, or a
/// new one cannot be given its list.
const IN_PLACE: [io::ErrorKind; 4] = [
    io::ErrorKind::PermissionDenied,
    io::ErrorKind::ReadOnlyFilesystem,
    io::ErrorKind::ResourceBusy,
    io::ErrorKind::Unsupported,
];

/// As [`replace`], for a file that must not exist yet. If another process makes it at the same time, that file stays.
///
/// # Errors
/// `AlreadyExists`, or it could not be written.
pub fn create(path: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    place(path, text, mode, &Kept::default(), |dir, from, to| {
        file::rename_at(Some(dir), from, Some(dir), to, Rename::NoReplace)
    })
}

/// Writes the text to a temporary file beside the path; `give_name` renames it. The directory is opened once: a link
/// that another user put in its place meanwhile does not lead root elsewhere.
fn place(path: &Path, text: &[u8], mode: u32, kept: &Kept, give_name: GiveName) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default();
    // Hidden: `include sites-enabled/*` does not read it.
    let temporary = path.with_file_name(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
    if let Some(above) = path.parent() {
        open::directories(above, 0o755)?;
    }
    let (dir, temporary) = open::own_name(&temporary)?;
    let (dir, name) = (dir.as_fd(), file::c_string(name.as_bytes())?);
    // A leftover of a killed process with our pid, or a link that another user made, is not used.
    let _ = file::unlink_at(Some(dir), &temporary, Unlink::File);
    let written = write(dir, &temporary, text, mode, kept).and_then(|()| give_name(dir, &temporary, &name));
    if written.is_err() {
        // A failure leaves no temporary file, if it can be removed.
        let _ = file::unlink_at(Some(dir), &temporary, Unlink::File);
    } else {
        // Syncing the directory as well is best effort.
        let _ = file::open_at(Some(dir), c".", O_RDONLY | O_DIRECTORY, 0).and_then(|dir| file::fsync(dir.as_fd()));
    }
    written.map_err(io::Error::from)
}

/// Gives the file of the first name the second one, in that directory.
type GiveName = fn(BorrowedFd<'_>, &CStr, &CStr) -> Result<(), Errno>;

/// Makes a file with the text, on the disk.
fn write(dir: BorrowedFd<'_>, name: &CStr, text: &[u8], mode: u32, kept: &Kept) -> Result<(), Errno> {
    let made = file::open_at(Some(dir), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode)?;
    let made = made.as_fd();
    let stat = file::fstat(made)?;
    if let Some((user, group)) = kept.owner.filter(|owner| *owner != (stat.uid, stat.gid)) {
        file::chown_fd(made, Some(user), Some(group))?;
    } else if kept.owner.is_none() {
        open::give_to_owner(made, dir);
    }
    // After the owner, whose change takes bits away.
    file::chmod_fd(made, mode)?;
    if let Some(list) = &kept.acl {
        file::set_acl(made, list)?;
    }
    file::write_all(made, text)?;
    file::fsync(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;
    use std::os::unix::fs::PermissionsExt;

    /// The user of the serving process owns the directory above: root replaced files of one name anywhere.
    #[test]
    fn a_link_in_the_place_of_a_directory_leads_root_nowhere() {
        let scratch = Scratch::new();
        let at = |name: &str| scratch.path().join(name);
        fs::create_dir(at("roots")).expect("mkdir");
        fs::write(at("roots/ca.key"), "old").expect("written");
        std::os::unix::fs::symlink("roots", at("link")).expect("a link");
        replace(&at("link/ca.key"), b"own", 0o600).expect("a link of its own is followed");
        if std::os::unix::fs::lchown(at("link"), Some(65_534), None).is_err() {
            eprintln!("SKIPPED: only root gives files away");
            return;
        }
        for made in [replace(&at("link/ca.key"), b"new", 0o600), create(&at("link/other"), b"new", 0o600)] {
            assert_eq!(made.expect_err("refused").kind(), io::ErrorKind::PermissionDenied);
        }
        assert_eq!(fs::read(at("roots/ca.key")).expect("there"), b"own");
        assert_eq!(fs::read_dir(at("roots")).expect("there").count(), 1, "nothing is made");
    }

    #[test]
    fn a_link_with_the_name_of_the_temporary_file_is_not_followed() {
        let scratch = Scratch::new();
        let at = |name: &str| scratch.path().join(name);
        fs::create_dir(at("other")).expect("mkdir");
        fs::write(at("other/file"), "theirs").expect("written");
        let temporary = at(&format!(".a.key.{}.tmp", std::process::id()));
        std::os::unix::fs::symlink("other/file", &temporary).expect("a link");
        let replaced = replace(&at("a.key"), b"new", 0o600);
        assert_eq!(fs::read(at("other/file")).expect("there"), b"theirs");
        replaced.expect("written");
        assert_eq!(fs::read(at("a.key")).expect("there"), b"new");
        assert!(fs::symlink_metadata(&temporary).is_err(), "the link is gone");
    }

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
    fn a_file_that_is_rewritten_keeps_its_mode_and_its_names() {
        let scratch = Scratch::new();
        let at = |name: &str| scratch.path().join(name);
        fs::write(at("a.conf"), "old").expect("written");
        fs::set_permissions(at("a.conf"), fs::Permissions::from_mode(0o640)).expect("a mode");
        std::os::unix::fs::symlink("a.conf", at("link")).expect("a link");
        rewrite(&at("link"), b"new").expect("rewritten");
        assert_eq!(fs::read(at("a.conf")).expect("there"), b"new");
        assert_eq!(fs::metadata(at("a.conf")).expect("there").mode() & 0o7777, 0o640);
        assert!(fs::symlink_metadata(at("link")).expect("there").is_symlink());
        fs::hard_link(at("a.conf"), at("b.conf")).expect("a second name");
        rewrite(&at("a.conf"), b"both").expect("rewritten");
        assert_eq!(fs::read(at("b.conf")).expect("there"), b"both");
        assert_eq!(fs::read_dir(scratch.path()).expect("there").count(), 3, "nothing is left over");
    }

    /// `include sites-enabled/*` read it.
    #[test]
    fn what_is_written_beside_a_file_is_hidden_until_it_has_its_name() {
        let scratch = Scratch::new();
        let path = scratch.path().join("a.conf");
        place(&path, b"new", 0o600, &Kept::default(), |dir, from, to| {
            assert!(from.to_bytes().starts_with(b"."), "{from:?} is shown");
            REPLACE(dir, from, to)
        })
        .expect("written");
        // A file that a container mounts: the caller writes it in place.
        let busy = place(&path, b"newer", 0o600, &Kept::default(), |_, _, _| Err(Errno::EBUSY));
        assert!(busy.is_err_and(|e| IN_PLACE.contains(&e.kind())));
        assert_eq!(fs::read(&path).expect("there"), b"new");
        assert_eq!(fs::read_dir(scratch.path()).expect("there").count(), 1, "nothing is left over");
    }

    #[test]
    fn a_file_that_is_rewritten_keeps_its_owner() {
        let scratch = Scratch::new();
        let path = scratch.path().join("a.conf");
        fs::write(&path, "old").expect("written");
        if std::os::unix::fs::chown(&path, Some(65_534), Some(65_534)).is_err() {
            eprintln!("SKIPPED: only root gives files away");
            return;
        }
        rewrite(&path, b"new").expect("rewritten");
        let there = fs::metadata(&path).expect("there");
        assert_eq!((there.uid(), there.gid()), (65_534, 65_534));
        assert_eq!(fs::read(&path).expect("there"), b"new");
    }

    #[test]
    fn a_key_that_root_makes_in_the_directory_of_a_service_belongs_to_the_service() {
        let scratch = Scratch::new();
        if std::os::unix::fs::chown(scratch.path(), Some(65_534), None).is_err() {
            eprintln!("SKIPPED: only root gives files away");
            return;
        }
        let path = scratch.path().join("key.pem");
        replace(&path, b"new", 0o600).expect("written");
        assert_eq!(fs::metadata(&path).expect("there").uid(), 65_534);
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

//! Renames, even without renameat2: FUSE and NFS support none of its flags, and sshfs and s3fs no hard links.
//!
//! Invariant: except with [`Rename::Replace`], an existing file is never replaced.

use super::dir::{Dir, raw};
use super::name::{O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY, Unlink, link_at, mkdir_at, open_at, unlink_at};
use super::stat::{FileKind, Follow, stat_at};
use crate::sys::{Errno, retry};
use std::ffi::CStr;

/// What happens to an existing file at the new name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rename {
    /// It is replaced atomically.
    Replace,
    /// The rename fails with EEXIST.
    NoReplace,
    /// It gets the old name atomically; ENOENT if it does not exist.
    Exchange,
}

/// renameat2, or an equivalent if the file system does not support `how`; but [`Rename::Exchange`] then fails with
/// EINVAL, ENOSYS or EOPNOTSUPP. EXDEV between file systems.
pub fn rename_at(old_dir: Dir<'_>, old: &CStr, new_dir: Dir<'_>, new: &CStr, how: Rename) -> Result<(), Errno> {
    let flags = match how {
        Rename::Replace => return rename_plain(old_dir, old, new_dir, new),
        Rename::NoReplace => libc::RENAME_NOREPLACE,
        Rename::Exchange => libc::RENAME_EXCHANGE,
    };
    // SAFETY: both paths are NUL-terminated.
    let renamed = retry(|| unsafe {
        libc::syscall(libc::SYS_renameat2, raw(old_dir), old.as_ptr(), raw(new_dir), new.as_ptr(), flags)
    });
    match renamed {
        Err(e) if how == Rename::NoReplace && is_missing(e) => rename_claimed(old_dir, old, new_dir, new),
        other => other.map(drop),
    }
}

/// Whether the kernel or file system does not support the call, so that the caller must use another way.
pub fn is_missing(e: Errno) -> bool {
    matches!(e, Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::EPERM)
}

/// Whether merely a hard link is impossible, so that the caller must use another way: hard links are unsupported
/// (sshfs, s3fs; some FUSE file systems return EIO), limited to one per file (EMLINK), or the directories belong to
/// different project quotas (XFS: EXDEV).
pub fn is_no_link(e: Errno) -> bool {
    is_missing(e) || matches!(e, Errno::EMLINK | Errno::EXDEV | Errno::EIO)
}

/// renameat, which every kernel and file system supports.
fn rename_plain(old_dir: Dir<'_>, old: &CStr, new_dir: Dir<'_>, new: &CStr) -> Result<(), Errno> {
    // SAFETY: both paths are NUL-terminated.
    retry(|| unsafe { libc::renameat(raw(old_dir), old.as_ptr(), raw(new_dir), new.as_ptr()) })?;
    Ok(())
}

/// Renames to an unused name in two steps: claims the name by exclusive creation, then replaces that.
fn rename_claimed(old_dir: Dir<'_>, old: &CStr, new_dir: Dir<'_>, new: &CStr) -> Result<(), Errno> {
    if stat_at(old_dir, old, Follow::No)?.kind == FileKind::Dir {
        mkdir_at(new_dir, new, 0o700)?;
        let renamed = rename_plain(old_dir, old, new_dir, new);
        if renamed.is_err() {
            // Still empty, or used by others by now.
            let _ = unlink_at(new_dir, new, Unlink::Dir);
        }
        // Some file systems (rclone mount) do not even replace an empty directory, so a plain rename never replaces
        // anything there.
        let is_kept = matches!(renamed, Err(Errno::EEXIST | Errno::ENOTEMPTY));
        return if is_kept { rename_plain(old_dir, old, new_dir, new) } else { renamed };
    }
    match link_at(old_dir, old, new_dir, new) {
        Ok(()) => return remove_old_name((old_dir, old), (new_dir, new)),
        Err(e) if is_no_link(e) => {}
        Err(e) => return Err(e),
    }
    open_at(new_dir, new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)?;
    rename_plain(old_dir, old, new_dir, new).inspect_err(|_| {
        let _ = unlink_at(new_dir, new, Unlink::File);
    })
}

/// After linking, the file has both names: removes the old one. If that fails (another user's file in a sticky
/// directory), the new one is removed instead, since a refused rename must not leave a second name. A missing old name
/// counts as removed, whatever error a network file system returned.
fn remove_old_name(old: (Dir<'_>, &CStr), new: (Dir<'_>, &CStr)) -> Result<(), Errno> {
    unlink_at(old.0, old.1, Unlink::File).or_else(|e| old_name_stays(e, old, new))
}

/// The old name could not be removed, for the reason `e`.
fn old_name_stays(e: Errno, old: (Dir<'_>, &CStr), new: (Dir<'_>, &CStr)) -> Result<(), Errno> {
    match stat_at(old.0, old.1, Follow::No) {
        Err(Errno::ENOENT) => return Ok(()),
        Ok(old) if stat_at(new.0, new.1, Follow::No).is_ok_and(|new| new.is_same_inode(&old)) => {
            let _ = unlink_at(new.0, new.1, Unlink::File);
        }
        // The old name may be another file's by now, and the new one the only name of this one.
        _ => {}
    }
    Err(e)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;
    use std::os::fd::AsFd;

    #[test]
    fn a_claimed_rename_takes_no_name_that_is_in_use() {
        let scratch = Scratch::new();
        let at = |name: &str| scratch.path().join(name);
        let dir = scratch.fd();
        let rename = |old: &CStr, new: &CStr| rename_claimed(Some(dir.as_fd()), old, Some(dir.as_fd()), new);
        scratch.write("file", b"content");
        scratch.write("taken", b"theirs");
        std::fs::create_dir_all(at("tree/in")).expect("mkdir");
        std::fs::create_dir(at("dir")).expect("mkdir");
        assert_eq!(rename(c"file", c"taken"), Err(Errno::EEXIST));
        assert_eq!(rename(c"tree", c"taken"), Err(Errno::EEXIST));
        assert_eq!(rename(c"tree", c"dir"), Err(Errno::EEXIST), "an empty one is in use too");
        assert_eq!(rename(c"none", c"new"), Err(Errno::ENOENT));
        assert_eq!(rename(c"tree", c"tree/in/self"), Err(Errno::EINVAL));
        assert!(!at("tree/in/self").exists(), "what was claimed is given back");
        assert_eq!((rename(c"file", c"new"), rename(c"tree", c"moved")), (Ok(()), Ok(())));
        assert_eq!(std::fs::read(at("new")).expect("there"), b"content");
        assert!(at("moved/in").is_dir() && !at("file").exists() && !at("tree").exists());
        assert_eq!(std::fs::read(at("taken")).expect("there"), b"theirs");
    }

    /// Each DELETE of a file that may not be removed (a sticky directory) put one more link to it into the trash.
    #[test]
    fn a_file_whose_old_name_stays_gets_no_second_one() {
        let scratch = Scratch::new();
        let at = |name: &str| scratch.path().join(name);
        let dir = scratch.fd();
        let leave = |old: &CStr, new: &CStr| remove_old_name((Some(dir.as_fd()), old), (Some(dir.as_fd()), new));
        let stays = |old, new| old_name_stays(Errno::EPERM, (Some(dir.as_fd()), old), (Some(dir.as_fd()), new));
        scratch.write("stays", b"content");
        std::fs::hard_link(at("stays"), at("new")).expect("link");
        assert_eq!(stays(c"stays", c"new"), Err(Errno::EPERM));
        assert!(at("stays").exists() && !at("new").exists());
        // Of another file with the old name nothing is known.
        scratch.write("new", b"other");
        assert_eq!(stays(c"stays", c"new"), Err(Errno::EPERM));
        assert!(at("stays").exists() && at("new").exists());
        scratch.write("new", b"content");
        scratch.write("old", b"content");
        assert_eq!((leave(c"old", c"new"), leave(c"old", c"new")), (Ok(()), Ok(())), "gone, and gone already");
        assert!(!at("old").exists() && at("new").exists());
    }
}

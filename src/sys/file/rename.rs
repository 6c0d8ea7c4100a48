//! Renaming, also where the file system has no renameat2: FUSE and NFS know none of its flags, sshfs and s3fs no hard links.
//!
//! Invariant: but for [`Rename::Replace`] a name that is taken is never taken over.

use super::dir::{Dir, raw};
use super::name::{O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY, Unlink, link_at, mkdir_at, open_at, unlink_at};
use super::stat::{FileKind, Follow, stat_at};
use crate::sys::{Errno, retry};
use std::ffi::CStr;

/// What happens to a file that has the new name already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rename {
    /// It is gone, atomically.
    Replace,
    /// The rename fails with EEXIST.
    NoReplace,
    /// It gets the old name, atomically; ENOENT if there is none.
    Exchange,
}

/// renameat2, or what comes to the same where the file system cannot do `how`; but [`Rename::Exchange`] is EINVAL, ENOSYS or
/// EOPNOTSUPP there. EXDEV between file systems.
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

/// The kernel or file system lacks the call; the caller has another way.
pub fn is_missing(e: Errno) -> bool {
    matches!(e, Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::EPERM)
}

/// The file cannot get a further name there, and that is all: hard links are missing (sshfs, s3fs; some FUSE file systems
/// answer EIO), each file has one at most (EMLINK), or the two directories count in different quotas of projects (XFS:
/// EXDEV). The caller has another way.
pub fn is_no_link(e: Errno) -> bool {
    is_missing(e) || matches!(e, Errno::EMLINK | Errno::EXDEV | Errno::EIO)
}

/// renameat, which every kernel and file system has.
fn rename_plain(old_dir: Dir<'_>, old: &CStr, new_dir: Dir<'_>, new: &CStr) -> Result<(), Errno> {
    // SAFETY: both paths are NUL-terminated.
    retry(|| unsafe { libc::renameat(raw(old_dir), old.as_ptr(), raw(new_dir), new.as_ptr()) })?;
    Ok(())
}

/// Renames to a name that is free, in two steps: the name is claimed by an exclusive creation, then taken over.
fn rename_claimed(old_dir: Dir<'_>, old: &CStr, new_dir: Dir<'_>, new: &CStr) -> Result<(), Errno> {
    if stat_at(old_dir, old, Follow::No)?.kind == FileKind::Dir {
        mkdir_at(new_dir, new, 0o700)?;
        let renamed = rename_plain(old_dir, old, new_dir, new);
        if renamed.is_err() {
            // Empty still, or in use by now.
            let _ = unlink_at(new_dir, new, Unlink::Dir);
        }
        // A rename there does not even replace an empty directory (rclone mount), so a plain one never takes a name over.
        let is_kept = matches!(renamed, Err(Errno::EEXIST | Errno::ENOTEMPTY));
        return if is_kept { rename_plain(old_dir, old, new_dir, new) } else { renamed };
    }
    match link_at(old_dir, old, new_dir, new) {
        Ok(()) => return unlink_at(old_dir, old, Unlink::File),
        Err(e) if is_no_link(e) => {}
        Err(e) => return Err(e),
    }
    open_at(new_dir, new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)?;
    rename_plain(old_dir, old, new_dir, new).inspect_err(|_| {
        let _ = unlink_at(new_dir, new, Unlink::File);
    })
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
}

//! What names need where the kernel or the file system has not the call for it: FUSE and NFS know no flags of renameat2,
//! sshfs and s3fs no hard links, kernels before 5.6, gVisor and old seccomp filters no openat2.
//!
//! Invariant: a name that is taken is never taken over, and no link is followed.

use super::dir::{Dir, raw};
use super::name::{
    O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, O_WRONLY, RESOLVE_IN_ROOT, RESOLVE_NO_XDEV, Unlink, link_at,
    mkdir_at, open_at, unlink_at,
};
use super::stat::{FileKind, Follow, fstat, stat_at};
use crate::sys::{Errno, retry};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The call is not there: another way may lead to the same.
pub fn is_missing(e: Errno) -> bool {
    matches!(e, Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::EPERM)
}

/// renameat, which every kernel and file system has.
pub fn rename_plain(old_dir: Dir<'_>, old: &CStr, new_dir: Dir<'_>, new: &CStr) -> Result<(), Errno> {
    // SAFETY: both paths are NUL-terminated.
    retry(|| unsafe { libc::renameat(raw(old_dir), old.as_ptr(), raw(new_dir), new.as_ptr()) })?;
    Ok(())
}

/// Renames to a name that is free, in two steps: the name is claimed by an exclusive creation, then taken over.
pub fn rename_claimed(old_dir: Dir<'_>, old: &CStr, new_dir: Dir<'_>, new: &CStr) -> Result<(), Errno> {
    if stat_at(old_dir, old, Follow::No)?.kind == FileKind::Dir {
        mkdir_at(new_dir, new, 0o700)?;
        return rename_plain(old_dir, old, new_dir, new).inspect_err(|_| {
            // Empty still, or in use by now.
            let _ = unlink_at(new_dir, new, Unlink::Dir);
        });
    }
    match link_at(old_dir, old, new_dir, new) {
        Ok(()) => return unlink_at(old_dir, old, Unlink::File),
        Err(e) if is_missing(e) || e == Errno::EMLINK => {}
        Err(e) => return Err(e),
    }
    open_at(new_dir, new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)?;
    rename_plain(old_dir, old, new_dir, new).inspect_err(|_| {
        let _ = unlink_at(new_dir, new, Unlink::File);
    })
}

/// Opens a path beneath a directory, a component after the other. Unlike openat2 it follows no link at all: one that
/// stays within is ELOOP too.
pub fn open_stepwise(dir: BorrowedFd<'_>, path: &CStr, flags: i32, mode: u32, resolve: u64) -> Result<OwnedFd, Errno> {
    if resolve & RESOLVE_IN_ROOT != 0 {
        return Err(Errno::ENOSYS);
    }
    let text = path.to_bytes();
    if text.starts_with(b"/") {
        return Err(Errno::EXDEV);
    }
    let parts: Vec<&[u8]> = text.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if parts.contains(&&b".."[..]) {
        return Err(Errno::EXDEV);
    }
    let Some((last, way)) = parts.split_last() else {
        return match text.is_empty() {
            true => Err(Errno::ENOENT),
            false => open_at(Some(dir), c".", flags, mode),
        };
    };
    let device = if resolve & RESOLVE_NO_XDEV == 0 { None } else { Some(fstat(dir)?.dev) };
    let mut at: Option<OwnedFd> = None;
    for part in way {
        let here = at.as_ref().map_or(dir, |at| at.as_fd());
        at = Some(step(here, part, O_PATH | O_DIRECTORY, 0, device)?);
    }
    let here = at.as_ref().map_or(dir, |at| at.as_fd());
    let directory = if text.ends_with(b"/") { O_DIRECTORY } else { 0 };
    step(here, last, flags | directory, mode, device)
}

fn step(dir: BorrowedFd<'_>, name: &[u8], flags: i32, mode: u32, device: Option<u64>) -> Result<OwnedFd, Errno> {
    let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    let fd = match open_at(Some(dir), &name, flags | O_NOFOLLOW, mode) {
        Err(Errno::ENOTDIR) if stat_at(Some(dir), &name, Follow::No)?.kind == FileKind::Symlink => {
            return Err(Errno::ELOOP);
        }
        other => other?,
    };
    if flags & O_PATH != 0 || device.is_some() {
        let stat = fstat(fd.as_fd())?;
        if stat.kind == FileKind::Symlink {
            return Err(Errno::ELOOP);
        }
        if device.is_some_and(|device| device != stat.dev) {
            return Err(Errno::EXDEV);
        }
    }
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::file::{O_RDONLY, RESOLVE_BENEATH, open_beneath, read_dir};
    use crate::sys::scratch::Scratch;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_claimed_rename_takes_nobodys_name() {
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

    #[test]
    fn step_by_step_leads_where_openat2_does_but_through_no_link() {
        let scratch = Scratch::new();
        let at = |name: &str| scratch.path().join(name);
        std::fs::create_dir_all(at("a/b")).expect("mkdir");
        scratch.write("a/file", b"x");
        symlink("b", at("a/inside")).expect("symlink");
        symlink("/tmp", at("out")).expect("symlink");
        let dir = scratch.fd();
        let directory = O_PATH | O_DIRECTORY;
        let table = [
            (c"a/b", directory, None),
            (c"a//b/", directory, None),
            (c".", directory, None),
            (c"a/file", O_RDONLY, None),
            (c"a/file", directory, Some(Errno::ENOTDIR)),
            (c"a/file/x", directory, Some(Errno::ENOTDIR)),
            (c"none", directory, Some(Errno::ENOENT)),
            (c"none/x", directory, Some(Errno::ENOENT)),
            (c"out", directory, Some(Errno::EXDEV)),
            (c"out/x", directory, Some(Errno::EXDEV)),
            (c"a/../..", directory, Some(Errno::EXDEV)),
            (c"/tmp", directory, Some(Errno::EXDEV)),
        ];
        for (path, flags, expected) in table {
            let opened = open_beneath(dir.as_fd(), path, flags, 0, RESOLVE_BENEATH).err();
            assert_eq!(opened, expected, "openat2 {path:?}");
            let stepwise = open_stepwise(dir.as_fd(), path, flags, 0, RESOLVE_BENEATH).err();
            let expected = if path.to_bytes().starts_with(b"out") { Some(Errno::ELOOP) } else { expected };
            assert_eq!(stepwise, expected, "step by step {path:?}");
        }
        for (path, flags) in [(c"a/inside", directory), (c"a/inside/x", O_PATH), (c"a/inside", O_PATH)] {
            let stepwise = open_stepwise(dir.as_fd(), path, flags, 0, RESOLVE_BENEATH).err();
            assert_eq!(stepwise, Some(Errno::ELOOP), "{path:?}");
        }
        let opened = open_stepwise(dir.as_fd(), c"a", O_RDONLY | O_DIRECTORY, 0, RESOLVE_BENEATH).expect("opened");
        assert_eq!(read_dir(opened).fill(), Ok(true));
    }
}

//! Opens names chosen by clients beneath a directory, even without openat2: kernels before 5.6, gVisor, old seccomp
//! filters.
//!
//! Invariant: no symbolic link and no `..` leads out of the directory.

use super::dir::{Dir, raw};
use super::name::c_string;
use super::name::{O_DIRECTORY, O_NOFOLLOW, O_PATH, RESOLVE_IN_ROOT, RESOLVE_NO_XDEV, open_at};
use super::stat::{FileKind, Follow, fstat, stat_at};
use crate::sys::{Errno, retry};
use std::ffi::CStr;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

/// openat2 (Linux 5.6; otherwise [`open_stepwise`]): as [`open_at`], with rules for every component of `path`. EINVAL
/// for a `mode` without `O_CREAT` or `O_TMPFILE`.
pub fn open_beneath(dir: BorrowedFd<'_>, path: &CStr, flags: i32, mode: u32, resolve: u64) -> Result<OwnedFd, Errno> {
    // The kernel returns EAGAIN if something was renamed while it resolved a `..`; the caller should retry.
    let mut tries = 4;
    loop {
        let opened = openat2(Some(dir), path, flags, mode, resolve);
        tries -= 1;
        match opened {
            Err(Errno::EAGAIN) if tries > 0 => {}
            // The kernel lacks the call, or a seccomp filter denies it.
            Err(Errno::ENOSYS | Errno::EPERM) => return open_stepwise(dir, path, flags, mode, resolve),
            other => return other,
        }
    }
}

/// Opens a path only if the kernel has it cached and need not ask the file system (RESOLVE_CACHED, Linux 5.12).
/// Otherwise EAGAIN; from older kernels EINVAL or ENOSYS.
pub fn open_cached(path: &CStr) -> Result<OwnedFd, Errno> {
    openat2(None, path, O_PATH, 0, libc::RESOLVE_CACHED)
}

/// Opens a path that contains no symbolic link: otherwise ELOOP. ENOSYS or EPERM: the kernel lacks the call (before
/// Linux 5.6), or a seccomp filter denies it.
pub fn open_without_links(path: &CStr) -> Result<OwnedFd, Errno> {
    openat2(None, path, O_PATH, 0, libc::RESOLVE_NO_SYMLINKS)
}

fn openat2(dir: Dir<'_>, path: &CStr, flags: i32, mode: u32, resolve: u64) -> Result<OwnedFd, Errno> {
    // SAFETY: an open_how of zeroes is valid: plain integers.
    let mut how: libc::open_how = unsafe { mem::zeroed() };
    how.flags = u64::from((flags | libc::O_CLOEXEC) as u32);
    how.mode = u64::from(mode);
    how.resolve = resolve;
    // SAFETY: `path` is NUL-terminated; `how` is readable for the size given.
    let fd = retry(|| unsafe {
        libc::syscall(libc::SYS_openat2, raw(dir), path.as_ptr(), &how, size_of::<libc::open_how>())
    })?;
    // SAFETY: the kernel just gave us this descriptor; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Opens a path beneath a directory component by component. Unlike openat2 it follows no symbolic link at all: even one
/// that stays within gets ELOOP.
fn open_stepwise(dir: BorrowedFd<'_>, path: &CStr, flags: i32, mode: u32, resolve: u64) -> Result<OwnedFd, Errno> {
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
    let Some((last, parent)) = parts.split_last() else {
        return match text.is_empty() {
            true => Err(Errno::ENOENT),
            false => open_at(Some(dir), c".", flags, mode),
        };
    };
    let device = if resolve & RESOLVE_NO_XDEV == 0 { None } else { Some(fstat(dir)?.dev) };
    let mut at: Option<OwnedFd> = None;
    for part in parent {
        let here = at.as_ref().map_or(dir, |at| at.as_fd());
        at = Some(step(here, part, O_PATH | O_DIRECTORY, 0, device)?);
    }
    let here = at.as_ref().map_or(dir, |at| at.as_fd());
    let directory = if text.ends_with(b"/") { O_DIRECTORY } else { 0 };
    step(here, last, flags | directory, mode, device)
}

fn step(dir: BorrowedFd<'_>, name: &[u8], flags: i32, mode: u32, device: Option<u64>) -> Result<OwnedFd, Errno> {
    let name = c_string(name)?;
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
    use crate::sys::file::{O_RDONLY, RESOLVE_BENEATH, read_dir};
    use crate::sys::scratch::Scratch;
    use std::os::unix::fs::symlink;

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

//! disable_symlinks: opens a path so that no forbidden link is followed. The path is walked component by component
//! from a directory descriptor, so a link swapped in meanwhile is seen.

use crate::config::settings::files::Symlinks;
use crate::exchange::{Exchange, variables};
use crate::services::Services;
use crate::services::open_files::{self, Opened};
use crate::sys::Errno;
use crate::sys::file::{
    self, FileKind, Follow, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY, RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, Stat,
};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

/// `RESOLVE_*` for opening beneath a directory: nothing leads out of it, and with disable_symlinks no link is
/// followed.
pub fn beneath(symlinks: &Symlinks) -> u64 {
    let links = if *symlinks == Symlinks::Off { 0 } else { RESOLVE_NO_SYMLINKS };
    RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | links
}

/// Opens the file `ex.path` (which ends in NUL here).
pub fn open(ex: &mut Exchange, cx: &mut Services, symlinks: &Symlinks, _root: usize) -> Result<Opened, Errno> {
    open_files::found(walk(ex, cx, symlinks))
}

/// The state of `path`, as far as the location's disable_symlinks allows: for try_files and `if (-f …)`.
pub fn stat(ex: &mut Exchange, cx: &mut Services, path: &[u8]) -> Result<Stat, Errno> {
    let config = ex.config.clone();
    let symlinks = &config.location(ex.route.location).settings.files.symlinks;
    if *symlinks == Symlinks::Off {
        return file::stat(&CString::new(path).map_err(|_| Errno::EINVAL)?);
    }
    let mut given = path.to_vec();
    given.push(0);
    let kept = std::mem::replace(&mut ex.route.path, given);
    let found = walk(ex, cx, symlinks);
    ex.route.path = kept;
    file::fstat(found?.as_fd())
}

/// Opens `ex.path` (which ends in NUL here) for reading. Components of `from`, if given, are trusted.
pub fn walk(ex: &mut Exchange, cx: &mut Services, symlinks: &Symlinks) -> Result<OwnedFd, Errno> {
    let (from, same_owner) = match symlinks {
        Symlinks::Off => return Err(Errno::EINVAL),
        Symlinks::On { from } => (from, false),
        Symlinks::IfNotOwner { from } => (from, true),
    };
    let path = ex.route.path[..ex.route.path.len() - 1].to_vec();
    let trusted = match from {
        None => 0,
        Some(from) => {
            let from = variables::text(from, ex, cx);
            let len = from.strip_suffix(b"/").map_or(from.len(), <[u8]>::len);
            if path.starts_with(&from[..len]) && path.get(len).is_none_or(|b| *b == b'/') { len } else { 0 }
        }
    };
    if trusted > 0 && path[trusted..].iter().all(|b| *b == b'/') {
        // The whole path is trusted.
        let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
        return file::open_at(None, &path, O_RDONLY | O_NONBLOCK, 0);
    }
    let start = if trusted == 0 { b"/".to_vec() } else { path[..trusted].to_vec() };
    let start = CString::new(start).map_err(|_| Errno::EINVAL)?;
    let mut at: OwnedFd = file::open_at(None, &start, O_PATH | O_DIRECTORY, 0)?;
    let mut names = path[trusted..].split(|b| *b == b'/').filter(|n| !n.is_empty()).peekable();
    let wants_directory = path.ends_with(b"/");
    while let Some(name) = names.next() {
        let last = names.peek().is_none();
        let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
        let flags = match last {
            true if wants_directory => O_RDONLY | O_DIRECTORY | O_NONBLOCK,
            true => O_RDONLY | O_NONBLOCK,
            false => O_PATH | O_DIRECTORY,
        };
        let link = file::stat_at(Some(at.as_fd()), &name, Follow::No)?;
        at = if link.kind == FileKind::Symlink {
            if !same_owner {
                return Err(Errno::ELOOP);
            }
            let opened = file::open_at(Some(at.as_fd()), &name, flags, 0)?;
            if file::fstat(opened.as_fd())?.uid != link.uid {
                return Err(Errno::ELOOP);
            }
            opened
        } else {
            file::open_at(Some(at.as_fd()), &name, flags | O_NOFOLLOW, 0)?
        };
        if last {
            return Ok(at);
        }
    }
    file::open_at(None, &start, O_RDONLY | O_DIRECTORY, 0)
}

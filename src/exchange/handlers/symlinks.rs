//! disable_symlinks: opens a path so that no forbidden link is followed. The path is walked component by component
//! from a directory descriptor, so a link swapped in meanwhile is seen.

use crate::config::directives::files::Symlinks;
use crate::exchange::{Exchange, vars};
use crate::shared::Cx;
use crate::shared::files::{self, Found};
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

/// Opens the file `ex.path` (which ends in NUL here).
pub fn open(ex: &mut Exchange, cx: &mut Cx, symlinks: &Symlinks, _root: usize) -> Result<Found, Errno> {
    files::found(walk(ex, cx, symlinks)?)
}

/// Opens `ex.path` (which ends in NUL here) for reading. Components of `from`, where given, are trusted.
pub fn walk(ex: &mut Exchange, cx: &mut Cx, symlinks: &Symlinks) -> Result<OwnedFd, Errno> {
    let (from, same_owner) = match symlinks {
        Symlinks::Off => return Err(Errno::EINVAL),
        Symlinks::On { from } => (from, false),
        Symlinks::IfNotOwner { from } => (from, true),
    };
    let path = ex.path[..ex.path.len() - 1].to_vec();
    let trusted = match from {
        None => 0,
        Some(from) => {
            let from = vars::text(from, ex, cx);
            let len = from.strip_suffix(b"/").map_or(from.len(), <[u8]>::len);
            if path.starts_with(&from[..len]) && path.get(len) == Some(&b'/') { len } else { 0 }
        }
    };
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

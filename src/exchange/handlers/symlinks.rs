//! disable_symlinks: opens a path so that no forbidden link is followed. The path is walked component by component
//! from a directory descriptor, so a link swapped in meanwhile is seen.

use crate::config::settings::files::Symlinks;
use crate::config::template::Part;
use crate::exchange::{Exchange, paths, variables};
use crate::services::Services;
use crate::services::open_files::{self, Opened};
use crate::sys::Errno;
use crate::sys::file::{
    self, FileKind, Follow, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY, RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, Stat,
};
use std::os::fd::{AsFd, OwnedFd};

/// A path below a directory, and nothing that leads out of it.
const INSIDE: u64 = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;

/// Whether what writes beneath a directory follows links there. Where only some may be followed it follows none.
pub fn writes_follow(symlinks: &Symlinks) -> bool {
    matches!(symlinks, Symlinks::Off | Symlinks::Outside { hidden: false })
}

/// `RESOLVE_*` for writing beneath a directory: nothing leads out of it.
pub fn beneath(symlinks: &Symlinks) -> u64 {
    if writes_follow(symlinks) { INSIDE } else { INSIDE | RESOLVE_NO_SYMLINKS }
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
        return file::stat(&file::c_string(path)?);
    }
    let mut given = path.to_vec();
    given.push(0);
    file::fstat(ex.with_path(given, |ex| walk(ex, cx, symlinks))?.as_fd())
}

/// Opens `ex.path` (which ends in NUL here) for reading. Components of `from`, if given, are trusted.
pub fn walk(ex: &mut Exchange, cx: &mut Services, symlinks: &Symlinks) -> Result<OwnedFd, Errno> {
    let (from, same_owner) = match symlinks {
        Symlinks::Off => return Err(Errno::EINVAL),
        Symlinks::On { from } => (from, false),
        Symlinks::IfNotOwner { from } => (from, true),
        Symlinks::Outside { hidden } => {
            let base = base(ex, cx);
            let path = ex.route.path.strip_suffix(b"\0").unwrap_or_default();
            return if *hidden { within_shown(path, &base) } else { within(path, &base) };
        }
    };
    let Some(path) = ex.route.path.strip_suffix(b"\0").map(<[u8]>::to_vec) else { return Err(Errno::EINVAL) };
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
        let path = file::c_string(path)?;
        return file::open_at(None, &path, O_RDONLY | O_NONBLOCK, 0);
    }
    let start = if trusted == 0 { b"/".to_vec() } else { path[..trusted].to_vec() };
    let start = file::c_string(start)?;
    let mut at: OwnedFd = file::open_at(None, &start, O_PATH | O_DIRECTORY, 0)?;
    let mut names = path[trusted..].split(|b| *b == b'/').filter(|n| !n.is_empty()).peekable();
    let wants_directory = path.ends_with(b"/");
    while let Some(name) = names.next() {
        let last = names.peek().is_none();
        let name = file::c_string(name)?;
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

/// What no link may lead out of: the root or the alias; where a regex location's alias is the whole path, the directory
/// that its text begins with.
pub fn base(ex: &mut Exchange, cx: &mut Services) -> Vec<u8> {
    let config = ex.config.clone();
    let files = &config.location(ex.route.location).settings.files;
    match (files.alias, files.root.parts.first()) {
        (Some(u32::MAX), Some(Part::Literal(text))) => {
            let end = text.iter().rposition(|b| *b == b'/').unwrap_or(0);
            text.get(..end.max(1)).unwrap_or(b"/").to_vec()
        }
        (Some(u32::MAX), _) => b"/".to_vec(),
        _ => variables::text(&files.root, ex, cx),
    }
}

/// Opens `path`, which no link leads out of `base`: ELOOP where one does.
fn within(path: &[u8], base: &[u8]) -> Result<OwnedFd, Errno> {
    let mut flags = O_RDONLY | O_NONBLOCK;
    let rest = paths::below(path, base).ok_or(Errno::ELOOP)?;
    if rest.is_empty() {
        // The root itself, or an alias that is a file.
        return file::open_at(None, &file::c_string(path)?, flags, 0);
    }
    if rest.ends_with(b"/") {
        flags |= O_DIRECTORY;
    }
    let root = file::open_at(None, &file::c_string(base)?, O_PATH | O_DIRECTORY, 0)?;
    match file::open_beneath(root.as_fd(), &file::c_string(rest)?, flags, 0, INSIDE) {
        // A link that begins with a slash may lead back in.
        Err(Errno::EXDEV) => {
            let place = place_inside(path, &root)?;
            let place = if place.is_empty() { b".".to_vec() } else { place };
            file::open_beneath(root.as_fd(), &file::c_string(place)?, flags, 0, INSIDE)
        }
        opened => opened,
    }
}

/// As [`within`], and no link leads to a name with a dot: ELOOP where one does, whatever is there.
fn within_shown(path: &[u8], base: &[u8]) -> Result<OwnedFd, Errno> {
    let opened = within(path, base);
    let named = paths::below(path, base).unwrap_or_default();
    // The root itself, or an alias that is a file.
    if named.is_empty() || matches!(opened, Err(Errno::ELOOP)) {
        return opened;
    }
    let place = match &opened {
        Ok(file) => Some(file::path_of(file.as_fd())?),
        // What is not there would be below the last directory that is.
        Err(_) => ancestors(path).take_while(|above| above.len() > base.len()).find_map(|above| real(above).ok()),
    };
    let is_hidden = match place {
        Some(place) => paths::below(&place, &real(base)?).is_none_or(|place| leads_to_hidden(named, place)),
        None => false,
    };
    if is_hidden { Err(Errno::ELOOP) } else { opened }
}

/// The directories that a path lies in, the nearest first.
fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    memchr::memrchr_iter(b'/', path).filter_map(|slash| path.get(..slash))
}

/// Where a path leads.
fn real(path: &[u8]) -> Result<Vec<u8>, Errno> {
    let path = file::c_string(path)?;
    file::path_of(file::open_at(None, &path, O_PATH, 0)?.as_fd())
}

/// Whether `place` has a name with a dot that `named` has not: some link led there.
pub fn leads_to_hidden(named: &[u8], place: &[u8]) -> bool {
    let is_given = |name: &[u8]| named.split(|b| *b == b'/').any(|given| given == name);
    place.split(|b| *b == b'/').any(|name| name.starts_with(b".") && !is_given(name))
}

/// Where `path` leads, below the directory `root`. ELOOP where it leads out: whether anything is there is not told.
fn place_inside(path: &[u8], root: &OwnedFd) -> Result<Vec<u8>, Errno> {
    let root = file::path_of(root.as_fd())?;
    match real(path) {
        Ok(place) => paths::below(&place, &root).map(<[u8]>::to_vec).ok_or(Errno::ELOOP),
        Err(e) => {
            let end = path.iter().rposition(|b| *b == b'/').unwrap_or(0).max(1);
            let above = real(path.get(..end).unwrap_or_default());
            let is_inside = above.is_ok_and(|place| paths::is_beneath(&place, &root));
            Err(if is_inside { e } else { Errno::ELOOP })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{OUTSIDE, Site};

    /// Taking the NUL off an empty path panicked.
    #[test]
    fn a_path_that_was_not_made_names_no_file() {
        let mut site = Site::new("", "");
        let mut ex = site.at("GET /a", &[], OUTSIDE);
        assert!(ex.route.path.is_empty());
        for symlinks in [Symlinks::On { from: None }, Symlinks::IfNotOwner { from: None }] {
            assert_eq!(walk(&mut ex, &mut site.cx, &symlinks).err(), Some(Errno::EINVAL));
        }
    }
}

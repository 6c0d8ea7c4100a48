//! A name and its directory, opened beneath the area of the location.

use crate::config::template::Part;
use crate::config::value::Mode;
use crate::exchange::Exchange;
use crate::exchange::handlers::{symlinks, upload};
use crate::exchange::paths::{self, Mapped};
use crate::services::dir_path::DirPath;
use crate::services::{Services, temp_names};
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, O_DIRECTORY, O_PATH, Stat};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

/// Whether a URI may be the name of something new.
///
/// # Errors
/// What is wrong with its last name, for a 400.
pub fn check_name(ex: &Exchange, uri: &[u8]) -> Result<(), &'static str> {
    if temp_names::is_hidden(uri) {
        return Err("names that begin like this are reserved for this server");
    }
    let name = uri.split(|b| *b == b'/').rfind(|part| !part.is_empty());
    name.map_or(Ok(()), |name| upload::Names::of(ex).check(name))
}

/// A resource by its directory and name. It need not exist.
pub struct Resource {
    /// The directory that it is in, opened.
    pub dir: Rc<OwnedFd>,
    /// One component, without slashes.
    pub name: CString,
    /// The path by which `dir` was opened.
    at: DirPath,
}

impl Resource {
    /// The resource of the current URI; puts its path into `ex.path`.
    ///
    /// # Errors
    /// EBUSY for the area itself, EXDEV for what lies outside it, and those of openat2.
    pub fn of(ex: &mut Exchange, cx: &mut Services) -> Result<Resource, Errno> {
        let root = match paths::map(ex, cx) {
            Mapped::Path { root } => root,
            Mapped::Unknown(e) => return Err(e),
            Mapped::Outside | Mapped::Rewritten | Mapped::Control => return Err(Errno::EXDEV),
        };
        let files = &ex.location().settings.files;
        // A regex location's alias is the whole path: its area is the directory that the configuration spells out.
        let root = match (files.alias, files.root.parts.first()) {
            (Some(u32::MAX), Some(Part::Literal(text))) if ex.route.path.starts_with(text) => {
                text.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1)
            }
            (Some(u32::MAX), _) => return Err(Errno::EXDEV),
            _ => paths::area(ex, root),
        };
        let (area, rest) = ex.route.path.split_at_checked(root).ok_or(Errno::EXDEV)?;
        let parts: Vec<&[u8]> = rest.split(|b| *b == b'/').filter(|part| !part.is_empty() && part != b".").collect();
        let Some((name, way)) = parts.split_last() else { return Err(Errno::EBUSY) };
        if parts.contains(&&b".."[..]) {
            return Err(Errno::EXDEV);
        }
        // Files that are being written: an upload, a copy.
        if temp_names::is_hidden(rest) {
            return Err(Errno::ENOENT);
        }
        let way = if way.is_empty() { b".".to_vec() } else { way.join(&b'/') };
        let at = DirPath::new(area, &way, &cx.now);
        let resolve = symlinks::beneath(&files.symlinks);
        let flags = O_PATH | O_DIRECTORY;
        let area = file::open_at(None, &file::c_string(if area.is_empty() { b"/" } else { area })?, flags, 0)?;
        let dir = file::open_beneath(area.as_fd(), &file::c_string(way)?, flags, 0, resolve)?;
        Ok(Resource { dir: Rc::new(dir), name: file::c_string(*name)?, at })
    }
}

/// What a URI names, wherever links on the way lead: the key of locks.
pub struct LockKey {
    /// The real path of its directory, and its name; without a slash at its end.
    pub path: Vec<u8>,
    /// None: the name is free.
    pub stat: Option<Stat>,
}

/// The key of a URI in the location of the request. None: no file can have that name.
pub fn key(ex: &mut Exchange, cx: &mut Services, uri: &[u8]) -> Option<LockKey> {
    match ex.with_uri(uri.to_vec(), |ex| Resource::of(ex, cx)) {
        Ok(resource) => resource.key().ok(),
        // The area itself.
        Err(Errno::EBUSY) => {
            let path = file::c_string(&ex.route.path[..]).ok()?;
            let area = file::open_at(None, &path, O_PATH | O_DIRECTORY, 0).ok()?;
            let stat = file::fstat(area.as_fd()).ok()?;
            Some(LockKey { path: file::path_of(area.as_fd()).ok()?, stat: Some(stat) })
        }
        Err(_) => None,
    }
}

impl Resource {
    /// Checks that a URI with a slash at its end names a collection. What is none has another URI, which may belong to
    /// another location.
    ///
    /// # Errors
    /// ENOTDIR, and those of the call.
    pub fn check_slash(&self, ex: &Exchange) -> Result<(), Errno> {
        if !ex.route.uri.ends_with(b"/") {
            return Ok(());
        }
        match file::stat_at(Some(self.dir.as_fd()), &self.name, Follow::Yes)?.kind {
            FileKind::Dir => Ok(()),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// Whether the path still leads to the directory: another request, or another process, may have moved it away.
    ///
    /// # Errors
    /// Those of the calls.
    pub fn is_at_its_path(&self) -> Result<bool, Errno> {
        self.at.leads_now(self.dir.as_fd(), 0)
    }

    /// The resource as a key of locks.
    pub fn key(&self) -> Result<LockKey, Errno> {
        let path = file::path_in(self.dir.as_fd(), self.name.to_bytes())?;
        match file::stat_at(Some(self.dir.as_fd()), &self.name, Follow::No) {
            Ok(stat) => Ok(LockKey { path, stat: Some(stat) }),
            Err(Errno::ENOENT) => Ok(LockKey { path, stat: None }),
            Err(e) => Err(e),
        }
    }
}

/// Mode of directories that are made here.
pub fn directory_mode(ex: &Exchange) -> u32 {
    let mode = Mode(ex.location().settings.upload.mode);
    mode.directory().0
}

//! A name to be removed: its area, the path to its directory, and the name. Knows the file system and no request.

use super::trash::{NotTaken, Taken, Trash, Trashed, Unmoved};
use crate::config::template::{Part, Template};
use crate::exchange::handlers::versions::NameStat;
use crate::services::remove_tree::{self, Removal};
use crate::services::temp_names;
use crate::sys::Errno;
use crate::sys::file::{
    self, FileKind, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_RDONLY, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS, Unlink,
};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Which links the path may go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowedLinks {
    /// Those that stay beneath the area.
    Inside,
    /// None: disable_symlinks is on.
    None,
}

/// What becomes of a directory that is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryContent {
    /// It stays, and so does the directory.
    Kept,
    /// Its contents are removed, then the directory.
    Removed,
}

/// The name as area, path and name, each opened beneath the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovalTarget {
    area: CString,
    /// The path from the area to the directory of the name; `.` for the area itself.
    parent: CString,
    name: CString,
    /// The path ended in a slash: it means a directory.
    slash: bool,
    /// A file that is being written: an upload, a copy.
    hidden: bool,
    links: AllowedLinks,
}

/// Why nothing was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRemoved {
    /// It is the directory of an area.
    Area,
    /// If-Match and the like name another version: 412.
    Precondition,
    /// Another process is changing the named version.
    Busy,
    /// A WebDAV lock protects it.
    Locked,
    /// The trash cannot take it.
    Trash(Errno),
    /// A system call failed, for the log.
    Failed { call: &'static str, errno: Errno },
}

/// The result of a removal.
pub enum Removed {
    /// It is removed.
    Gone,
    /// It is in the trash.
    Trashed(Trashed),
    /// A directory with entries: to be continued.
    Begun(Box<Removal>),
    /// It cannot be renamed into the trash: it is to be copied there.
    Unmoved(Box<Unmoved>),
}

impl RemovalTarget {
    /// The place of `path`, whose first `root` bytes are its area. None if it names the area itself.
    pub fn of(path: &[u8], root: usize, links: AllowedLinks) -> Option<RemovalTarget> {
        let (area, rest) = path.split_at_checked(root).unwrap_or((b"", path));
        let slash = rest.ends_with(b"/");
        let end = rest.iter().rposition(|b| *b != b'/')? + 1;
        let start = rest.iter().position(|b| *b != b'/')?;
        let rest = rest.get(start..end)?;
        let (parent, name) = match rest.iter().rposition(|b| *b == b'/') {
            Some(at) => (rest.get(..at)?, rest.get(at + 1..)?),
            None => (&b"."[..], rest),
        };
        if matches!(name, b"." | b"..") {
            return None;
        }
        let hidden = temp_names::is_hidden(rest);
        let area: &[u8] = if area.is_empty() { b"/" } else { area };
        Some(RemovalTarget {
            area: CString::new(area).ok()?,
            parent: CString::new(parent).ok()?,
            name: CString::new(name).ok()?,
            slash,
            hidden,
            links,
        })
    }

    /// The place of a `path` that was expanded from `template`: its area is the directory that the template begins
    /// with. If it begins with a variable, the area is the whole file system, and no link is followed.
    pub fn of_template(path: &[u8], template: &Template, links: AllowedLinks) -> Option<RemovalTarget> {
        let literal = match template.parts.first() {
            Some(Part::Literal(text)) if path.starts_with(text) => text.iter().rposition(|b| *b == b'/'),
            _ => None,
        };
        match literal {
            Some(slash) => RemovalTarget::of(path, slash + 1, links),
            None => RemovalTarget::of(path, 0, AllowedLinks::None),
        }
    }

    /// The directory that the name itself is, opened for reading; None for anything else, which
    /// [`RemovalTarget::remove`] reports.
    pub fn directory(&self) -> Option<OwnedFd> {
        let area = file::open_at(None, &self.area, O_PATH | O_DIRECTORY, 0).ok()?;
        let parent = file::open_beneath(area.as_fd(), &self.parent, O_PATH | O_DIRECTORY, 0, self.resolve()).ok()?;
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
        file::open_at(Some(parent.as_fd()), &self.name, flags, 0).ok()
    }

    fn resolve(&self) -> u64 {
        let links = match self.links {
            AllowedLinks::Inside => 0,
            AllowedLinks::None => RESOLVE_NO_SYMLINKS,
        };
        RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | links
    }

    /// Removes the name, or moves it into the trash, if `check` allows. `check` comes last, when only the removal
    /// itself can still fail.
    pub fn remove(
        &self,
        content: DirectoryContent,
        trash: Option<&Trash>,
        check: impl FnOnce(&NameStat, BorrowedFd<'_>, &CStr) -> Result<(), NotRemoved>,
    ) -> Result<Removed, NotRemoved> {
        let failed = |call| move |errno| NotRemoved::Failed { call, errno };
        let resolve = self.resolve();
        if self.hidden {
            return Err(NotRemoved::Failed { call: "lstat()", errno: Errno::ENOENT });
        }
        let flags = O_PATH | O_DIRECTORY;
        let area = file::open_at(None, &self.area, flags, 0).map_err(failed("open()"))?;
        let parent = file::open_beneath(area.as_fd(), &self.parent, flags, 0, resolve).map_err(failed("openat2()"))?;
        let found = NameStat::of(parent.as_fd(), &self.name).map_err(failed("lstat()"))?;
        let itself = &found.itself;
        // `link/` may stand for a link to a directory, as listings write it, if that is in the area; `file/` names
        // nothing that exists.
        if self.slash && itself.kind != FileKind::Dir {
            file::open_beneath(area.as_fd(), &self.whole()?, flags, 0, resolve).map_err(failed("openat2()"))?;
        }
        check(&found, parent.as_fd(), &self.name)?;
        if let Some(trash) = trash {
            if itself.kind == FileKind::Dir
                && content == DirectoryContent::Kept
                && !remove_tree::is_empty(parent.as_fd(), &self.name).map_err(failed("open()"))?
            {
                return Err(NotRemoved::Failed { call: "rmdir()", errno: Errno::ENOTEMPTY });
            }
            return match trash.take(parent.as_fd(), &self.name) {
                Ok(Taken::Moved(trashed)) => Ok(Removed::Trashed(trashed)),
                Ok(Taken::Unmoved(unmoved)) => Ok(Removed::Unmoved(Box::new(unmoved))),
                Err(NotTaken::Trash(errno) | NotTaken::Entry { errno: errno @ Errno::EINVAL, .. }) => {
                    Err(NotRemoved::Trash(errno))
                }
                Err(NotTaken::Entry { call, errno }) => Err(NotRemoved::Failed { call, errno }),
            };
        }
        let what = if itself.kind == FileKind::Dir { Unlink::Dir } else { Unlink::File };
        match (file::unlink_at(Some(parent.as_fd()), &self.name, what), what) {
            (Ok(()), _) => Ok(Removed::Gone),
            (Err(Errno::ENOTEMPTY | Errno::EEXIST), Unlink::Dir) if content == DirectoryContent::Removed => {
                let removal = Removal::new(parent, &self.name).map_err(failed("open()"))?;
                Ok(Removed::Begun(Box::new(removal)))
            }
            (Err(errno), Unlink::Dir) => Err(NotRemoved::Failed { call: "rmdir()", errno }),
            (Err(errno), Unlink::File) => Err(NotRemoved::Failed { call: "unlink()", errno }),
        }
    }

    /// The path from the area to the name.
    fn whole(&self) -> Result<CString, NotRemoved> {
        let path = [self.parent.to_bytes(), b"/", self.name.to_bytes()].concat();
        file::c_string(path).map_err(|errno| NotRemoved::Failed { call: "openat2()", errno })
    }
}

#[cfg(test)]
mod tests;

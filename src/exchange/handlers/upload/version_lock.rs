//! The version that a request names (If-Match) is locked from the comparison until its successor has the name: of
//! several processes that store in one directory, one replaces a version, and the others get 412 instead of undoing what
//! that one stored.
//!
//! The lock (flock) is on the replaced file itself, so nothing has to be made or removed for it. In one process nothing
//! else runs between the two; a request without conditions replaces whatever is there and asks for no lock.

use super::refusal::Refusal;
use super::target_dir::{Place, c_path};
use crate::http::h1::head::Head;
use crate::http::header::HeaderId;
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow};
use std::os::fd::{AsFd, OwnedFd};

/// A name that is replaced again and again while its file is opened.
const TRIES: u32 = 16;

/// Whether the request goes for one version of what it replaces.
pub fn names_version(head: &Head, buf: &[u8]) -> bool {
    head.get(HeaderId::IfUnmodifiedSince).is_some()
        || head.all(HeaderId::IfMatch).any(|field| field.value.of(buf) != b"*")
}

/// The lock of the file that has the name now: none where there is no file, and where it or its file system cannot be
/// locked.
///
/// # Errors
/// 412: another process is replacing it.
pub fn take(place: &Place, name: &[u8]) -> Result<Option<OwnedFd>, Refusal> {
    let c_name = c_path(name)?;
    let dir = Some(place.dir.as_fd());
    let replaced = || Refusal::precondition().of(name);
    for _ in 0..TRIES {
        if place.stat(name)?.is_none_or(|stat| stat.kind != FileKind::Regular) {
            return Ok(None);
        }
        let flags = file::O_RDONLY | file::O_NOFOLLOW | file::O_NONBLOCK;
        let Ok(fd) = file::open_at(dir, &c_name, flags, 0) else { return Ok(None) };
        match file::flock(fd.as_fd()) {
            Ok(()) => {}
            Err(Errno::EAGAIN) => return Err(replaced()),
            Err(_) => return Ok(None),
        }
        if file::has_name(fd.as_fd(), dir, &c_name, Follow::No).unwrap_or(true) {
            return Ok(Some(fd));
        }
    }
    Err(replaced())
}

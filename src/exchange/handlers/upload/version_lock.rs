//! The version that a request names (If-Match) is locked from the comparison until its successor has the name: of
//! several processes that store in one directory, one replaces a version, and the others get 412 instead of undoing what
//! that one stored.
//!
//! The lock (flock) is on the replaced file itself, so nothing has to be made or removed for it. In one process nothing
//! else runs between the two; a request without conditions replaces whatever is there and asks for no lock.

use super::refusal::Refusal;
use super::target_dir::{Place, c_path};
use crate::exchange::handlers::resumable::locks::is_missing;
use crate::http::h1::head::Head;
use crate::http::header::HeaderId;
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A name that is replaced again and again while its file is opened.
const TRIES: u32 = 16;

/// The files that a request has locked, by device and number: two names of a form may be one file's.
pub type Held = BTreeMap<(u64, u64), OwnedFd>;

/// Whether the request goes for one version of what it replaces.
pub fn names_version(head: &Head, buf: &[u8]) -> bool {
    head.get(HeaderId::IfUnmodifiedSince).is_some()
        || head.all(HeaderId::IfMatch).any(|field| field.value.of(buf) != b"*")
}

/// Locks the file that has the name now, where there is one that can be locked.
///
/// # Errors
/// 412: another process is replacing it.
pub fn take(place: &Place, name: &[u8], held: &mut Held) -> Result<(), Refusal> {
    let c_name = c_path(name)?;
    let dir = place.dir.as_fd();
    for _ in 0..TRIES {
        let Some(stat) = place.stat(name)?.filter(|stat| stat.kind == FileKind::Regular) else { return Ok(()) };
        if held.contains_key(&(stat.dev, stat.ino)) {
            return Ok(());
        }
        let fd = match lock(dir, &c_name, file::flock) {
            Ok(Some(fd)) => fd,
            Ok(None) => return Ok(()),
            Err((_, Errno::EAGAIN)) => break,
            // Something else has the name now.
            Err((_, Errno::ENOENT | Errno::ELOOP | Errno::EISDIR | Errno::ENXIO)) => continue,
            Err((call, e)) => return Err(Refusal::call(call, &place.path, e).of(name)),
        };
        if file::has_name(fd.as_fd(), Some(dir), &c_name, Follow::No).unwrap_or(true) {
            let stat = file::fstat(fd.as_fd()).map_err(|e| Refusal::call("fstat()", &place.path, e).of(name))?;
            held.insert((stat.dev, stat.ino), fd);
            return Ok(());
        }
    }
    Err(Refusal::precondition().of(name))
}

/// None: the file or its file system cannot be locked. On NFS the lock is one of a range of bytes, for writing, and
/// EBADF says that the descriptor is not. Opened for reading first: a program that is open for writing cannot be run.
fn lock(
    dir: BorrowedFd<'_>,
    name: &CStr,
    flock: impl Fn(BorrowedFd<'_>) -> Result<(), Errno>,
) -> Result<Option<OwnedFd>, (&'static str, Errno)> {
    for access in [file::O_RDONLY, file::O_WRONLY] {
        let fd = match file::open_at(Some(dir), name, access | file::O_NOFOLLOW | file::O_NONBLOCK, 0) {
            Ok(fd) => fd,
            Err(Errno::EACCES | Errno::EPERM | Errno::EROFS | Errno::ETXTBSY) => continue,
            Err(e) => return Err(("open()", e)),
        };
        match flock(fd.as_fd()) {
            Ok(()) => return Ok(Some(fd)),
            Err(Errno::EBADF) => {}
            Err(e) if is_missing(e) => return Ok(None),
            Err(e) => return Err(("flock()", e)),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;

    #[test]
    fn a_lock_that_needs_a_file_open_for_writing_gets_one() {
        let scratch = Scratch::new();
        scratch.write("f", b"f");
        let dir = scratch.fd();
        let take =
            |flock: &dyn Fn(BorrowedFd<'_>) -> Result<(), Errno>| lock(dir.as_fd(), c"f", flock).map(|fd| fd.is_some());
        // As NFS: a write of nothing needs what its lock needs.
        assert_eq!(take(&|fd| file::write(fd, b"").map(|_| ())), Ok(true));
        let table = [
            (Errno::ENOLCK, Ok(false)),
            (Errno::EOPNOTSUPP, Ok(false)),
            (Errno::EBADF, Ok(false)),
            (Errno::EAGAIN, Err(("flock()", Errno::EAGAIN))),
            (Errno::EIO, Err(("flock()", Errno::EIO))),
        ];
        for (error, expected) in table {
            assert_eq!(take(&|_| Err(error)), expected, "{error:?}");
        }
        assert_eq!(lock(dir.as_fd(), c"g", file::flock).err(), Some(("open()", Errno::ENOENT)));
    }
}

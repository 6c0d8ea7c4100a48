//! The version that a request names (If-Match, an ETag in `If`) is locked from the comparison until the change is
//! made: of several processes that write in one directory, one replaces, moves or removes a version, and the others
//! get 412 instead of undoing its change. All methods that write come through here.
//!
//! The lock (flock) is on the file itself, so nothing has to be made or removed for it. Within one process nothing
//! else runs between comparison and change (each file of a form is compared just before it gets its name), and a
//! request without conditions changes whatever is there and takes no lock. Another process holds the lock while one
//! name changes, another request of this process while a form's files get theirs. Uploads, DELETE, COPY and MOVE try
//! again each millisecond, in other turns of the loop, which never waits for a lock. One that is held for longer than
//! [`PATIENCE`], or is found by another method (MKCOL, LOCK, UNLOCK, PROPPATCH), may be on the very version that is
//! named: 503 with Retry-After, never 412.

use crate::exchange::Exchange;
use crate::exchange::flow::{Flow, Pause};
use crate::exchange::handlers::resumable::locks::is_missing;
use crate::http::cond::{self, ImsMode, Precondition, Validators};
use crate::http::etag::ETag;
use crate::http::header::HeaderId;
use crate::http::request_head::RequestHead;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::open_files::version;
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, Stat};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Attempts at a name that is replaced again and again while its file is opened.
const TRIES: u32 = 16;
/// Milliseconds that a request waits for a version that others are changing.
const PATIENCE: u64 = 100;

/// Why a request may not change the version that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The name has another version by now.
    Changed,
    /// Another process, or another request, is changing it.
    Busy,
}

impl Denied {
    /// Whether the request waits for the version: it is paused, and tries again in another turn. For handlers that work
    /// turn by turn.
    pub fn is_waited_for(self, ex: &mut Exchange, cx: &Services) -> bool {
        let is_waited_for = self == Denied::Busy && is_patient(ex, cx);
        if is_waited_for {
            ex.progress.pause = Some(Pause { until: cx.now.ms + 1, then: None });
        }
        is_waited_for
    }

    /// The response.
    pub fn flow(self, ex: &mut Exchange) -> Flow {
        match self {
            Denied::Changed => Flow::Status(Status::PRECONDITION_FAILED),
            Denied::Busy => {
                ex.response.line(b"Retry-After", b"1");
                Flow::Status(Status::SERVICE_UNAVAILABLE)
            }
        }
    }
}

/// Whether a request that found a version locked may try again. False: it has waited for [`PATIENCE`], whatever else it
/// waited for between its tries. What it does once it has the version may be long: a wait behind that is another one
/// ([`end_wait`]).
pub fn is_patient(ex: &mut Exchange, cx: &Services) -> bool {
    is_patient_at(&mut ex.route.version_due, cx.now.ms)
}

fn is_patient_at(due: &mut Option<u64>, now: u64) -> bool {
    now < *due.get_or_insert(now + PATIENCE)
}

/// The version has been found: the next wait is for another one.
pub fn end_wait(ex: &mut Exchange) {
    ex.route.version_due = None;
}

/// Whether the request has a condition on the file that it changes (RFC 9110 §13.1).
pub fn has_conditions(head: &RequestHead) -> bool {
    const CONDITIONS: [HeaderId; 3] = [HeaderId::IfMatch, HeaderId::IfNoneMatch, HeaderId::IfUnmodifiedSince];
    CONDITIONS.iter().any(|id| head.get(*id).is_some())
}

/// Whether the request goes for one version of what it changes.
pub fn names_version(head: &RequestHead, buf: &[u8]) -> bool {
    let names = |id| head.all(id).any(|field| field.value.of(buf) != b"*");
    head.get(HeaderId::IfUnmodifiedSince).is_some() || names(HeaderId::IfMatch) || names(HeaderId::IfNoneMatch)
}

/// What has a name.
#[derive(Clone, Copy, Debug)]
pub struct NameStat {
    /// The name itself, links not followed.
    pub itself: Stat,
    /// What a GET would send, links followed. None if they lead nowhere.
    pub content: Option<Stat>,
}

impl NameStat {
    /// Of a name in a directory.
    ///
    /// # Errors
    /// Nothing has the name, or it cannot be looked at.
    pub fn of(dir: BorrowedFd<'_>, name: &CStr) -> Result<NameStat, Errno> {
        let itself = file::stat_at(Some(dir), name, Follow::No)?;
        Ok(match itself.kind {
            FileKind::Symlink => NameStat { itself, content: file::stat_at(Some(dir), name, Follow::Yes).ok() },
            _ => NameStat::from(itself),
        })
    }
}

impl From<Stat> for NameStat {
    /// Of what is no link.
    fn from(itself: Stat) -> NameStat {
        NameStat { itself, content: Some(itself) }
    }
}

/// The conditions of a request: its head, and the bytes of that.
pub type Conditions<'a> = (&'a RequestHead, &'a [u8]);

/// Whether conditions, those of the request or of an earlier one, allow a change of a name. Only a file has an ETag,
/// and a directory no date either. `there`: None where nothing has the name. `now`: Unix seconds.
pub fn allow((head, buf): Conditions<'_>, ex: &Exchange, there: Option<&NameStat>, now: i64) -> bool {
    let content = there.and_then(|there| there.content.as_ref());
    let etag = content.filter(|stat| stat.kind == FileKind::Regular).map(version);
    let modified = content.filter(|stat| stat.kind != FileKind::Dir).map(|stat| stat.mtime.0);
    let present = Validators::new(etag.as_ref().map(ETag::as_bytes), modified, there.is_some(), now);
    cond::evaluate(head, buf, ex.route.method, &present, ImsMode::Off) == Precondition::Proceed
}

/// The conditions of the request itself.
pub fn own(ex: &Exchange) -> Conditions<'_> {
    (&ex.request.head, ex.buf())
}

/// Files that are locked until this is dropped.
#[derive(Default)]
pub struct Versions {
    /// By device and number: two names of one request may be one file's.
    held: BTreeMap<(u64, u64), OwnedFd>,
}

impl Versions {
    /// Locks the file that has the name now, and returns its stat; None: there is no file. A file that cannot be
    /// locked, or whose file system has no locks, is checked without.
    ///
    /// # Errors
    /// EAGAIN: another process, or another request, is changing it. Others are those of the call.
    pub fn lock(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<Option<Stat>, (&'static str, Errno)> {
        for _ in 0..TRIES {
            let there = match file::stat_at(Some(dir), name, Follow::No) {
                Err(Errno::ENOENT) => return Ok(None),
                there => there.map_err(|e| ("lstat()", e))?,
            };
            if self.held.contains_key(&(there.dev, there.ino)) || there.kind != FileKind::Regular {
                return Ok(Some(there));
            }
            let fd = match lock(dir, name, file::flock) {
                Ok(Some(fd)) => fd,
                Ok(None) => return Ok(Some(there)),
                // Something else has the name now.
                Err((_, Errno::ENOENT | Errno::ELOOP | Errno::EISDIR | Errno::ENXIO)) => continue,
                Err(e) => return Err(e),
            };
            if file::has_name(fd.as_fd(), Some(dir), name, Follow::No).unwrap_or(true) {
                let stat = file::fstat(fd.as_fd()).map_err(|e| ("fstat()", e))?;
                self.held.insert((stat.dev, stat.ino), fd);
                return Ok(Some(stat));
            }
        }
        Err(("flock()", Errno::EAGAIN))
    }
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
    fn a_version_is_locked_once_and_by_one_of_two() {
        let scratch = Scratch::new();
        scratch.write("file", b"1");
        let dir = scratch.fd();
        let (mut a, mut b) = (Versions::default(), Versions::default());
        let size =
            |stat: Result<Option<Stat>, (_, Errno)>| stat.map(|stat| stat.map(|stat| stat.size)).map_err(|(_, e)| e);
        assert_eq!(size(a.lock(dir.as_fd(), c"file")), Ok(Some(1)));
        assert_eq!(size(a.lock(dir.as_fd(), c"file")), Ok(Some(1)), "its own lock is not in its way");
        assert_eq!(size(b.lock(dir.as_fd(), c"file")), Err(Errno::EAGAIN));
        assert_eq!(size(b.lock(dir.as_fd(), c"none")), Ok(None));
        drop(a);
        assert_eq!(size(b.lock(dir.as_fd(), c"file")), Ok(Some(1)));
    }

    /// A quota's lock that others hold between its tries made a request wait for ever.
    #[test]
    fn a_request_waits_a_while_for_a_version_however_rarely_it_tries() {
        let mut due = None;
        for (now, expected) in [(5, true), (80, true), (4 + PATIENCE, true), (5 + PATIENCE, false), (900, false)] {
            assert_eq!(is_patient_at(&mut due, now), expected, "at {now}");
        }
    }

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

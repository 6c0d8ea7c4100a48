//! A file that cannot be opened, as a status and a line of the error log.

use crate::config::model::Level;
use crate::exchange::flow::Flow;
use crate::exchange::paths::{self, Mapped};
use crate::exchange::{Exchange, Printable};
use crate::http::status::Status;
use crate::services::Services;
use crate::sys::Errno;
use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A file that cannot be opened: one table decides whether the client or the server is to blame.
pub fn blame(e: Errno) -> (Status, Level) {
    match e {
        Errno::ENOENT | Errno::ENOTDIR | Errno::ENAMETOOLONG => (Status::NOT_FOUND, Level::Error),
        Errno::EACCES | Errno::EPERM | Errno::ELOOP | Errno::EXDEV => (Status::FORBIDDEN, Level::Error),
        Errno::EMFILE | Errno::ENFILE => (Status::SERVICE_UNAVAILABLE, Level::Crit),
        _ => (Status::INTERNAL_SERVER_ERROR, Level::Crit),
    }
}

/// Maps the current URI to its path, and gives the length of the root in that.
///
/// # Errors
/// 404 where the URI names nothing; the answer of [`failed`] where what it names could not be told.
pub fn map(ex: &mut Exchange, cx: &mut Services) -> Result<usize, Flow> {
    match paths::map(ex, cx) {
        Mapped::Path { root } => Ok(root),
        Mapped::Unknown(e) => Err(failed(ex, cx, "open()", e)),
        Mapped::Outside | Mapped::Rewritten | Mapped::Control => Err(Flow::Status(Status::NOT_FOUND)),
    }
}

/// Refuses the request whose file cannot be opened, and logs why, unless log_not_found is off.
pub fn failed(ex: &mut Exchange, cx: &mut Services, call: &str, e: Errno) -> Flow {
    match blame(e).0 {
        Status::NOT_FOUND if !ex.location().settings.files.log_not_found => Flow::Status(Status::NOT_FOUND),
        _ => failed_dir(ex, cx, call, e),
    }
}

/// Refuses the request for a directory that cannot be opened, and logs why: log_not_found is about files (nginx).
pub fn failed_dir(ex: &mut Exchange, cx: &mut Services, call: &str, e: Errno) -> Flow {
    let (status, level) = blame(e);
    let hint = if status == Status::NOT_FOUND { no_root(ex) } else { "" };
    ex.report(cx, level, format_args!("{}{hint}", Failure { call, path: &ex.route.path, e }));
    Flow::Status(status)
}

/// For a directory that stays open until its client has read the response: refuses to keep one of the last descriptors
/// for that.
///
/// # Errors
/// 503, so that files can be opened for others.
pub fn check_room(ex: &mut Exchange, cx: &mut Services, opened: BorrowedFd<'_>) -> Result<(), Flow> {
    if cx.is_crowded(opened) { Err(failed(ex, cx, "open()", Errno::EMFILE)) } else { Ok(()) }
}

/// For the log, where a file was looked for in nginx's default directory, which does not exist.
pub fn no_root(ex: &Exchange) -> &'static str {
    // Called for each logged 404: for other roots nothing is allocated, and no system call is made.
    let prefix = &ex.config.process.prefix;
    let below = Path::new(OsStr::from_bytes(&ex.route.path)).strip_prefix(prefix);
    if below.is_ok_and(|below| below.starts_with("html")) && !prefix.join("html").exists() {
        "; no \"root\" says where the files are"
    } else {
        ""
    }
}

/// What the error log says of a path that cannot be opened.
pub struct Failure<'a> {
    /// As in the log, with parentheses: `open()`.
    pub call: &'a str,
    /// Control bytes are escaped when it is written.
    pub path: &'a [u8],
    /// Why the call failed.
    pub e: Errno,
}

impl std::fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} \"{}\" failed {}", self.call, Printable(self.path), self.e)
    }
}

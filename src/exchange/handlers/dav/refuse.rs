//! How a WebDAV request is refused, and what is logged.

use super::job::Stranded;
use crate::config::model::Level;
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::multistatus;
use crate::exchange::response::ContentType;
use crate::http::dav::xml;
use crate::http::escape::escape_path;
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::temp_names::is_hidden;
use crate::sys::{Errno, file};
use memchr::memmem;
use std::os::fd::AsFd;

/// Writes `why` to the error log at level error, and answers with the status's page.
pub fn refuse(ex: &mut Exchange, cx: &mut Services, status: Status, why: std::fmt::Arguments<'_>) -> Flow {
    ex.report(cx, Level::Error, why);
    Flow::Status(status)
}

/// 423 tells a WebDAV client which resource is locked (RFC 4918 §9.10.6, §16). False: it is another status, or the
/// client reads pages.
pub fn locked(ex: &mut Exchange, status: Status) -> bool {
    let reads_pages = |accept: &[u8]| [&b"html"[..], b"json"].iter().any(|kind| memmem::find(accept, kind).is_some());
    if status != Status::LOCKED
        || !ex.location().settings.dav.is_extended()
        || ex.route.method == Method::Post
        || ex.header(HeaderId::Accept).is_some_and(reads_pages)
    {
        return false;
    }
    let why = if ex.route.method == Method::Lock { "no-conflicting-lock" } else { "lock-token-submitted" };
    let mut href = Vec::new();
    escape_path(&ex.route.uri, &mut href);
    let begin = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:error xmlns:D=\"DAV:\"><D:{why}><D:href>");
    let mut text = begin.into_bytes();
    xml::escape(&String::from_utf8_lossy(&href), &mut text);
    text.extend_from_slice(format!("</D:href></D:{why}></D:error>\n").as_bytes());
    ex.response.text(status, ContentType::Static(multistatus::CONTENT_TYPE), text);
    true
}

/// A body that asks for nothing that could be done.
pub fn malformed(ex: &mut Exchange, cx: &mut Services, why: &str) -> Flow {
    let method = ex.route.method.name();
    ex.report(cx, Level::Error, format_args!("the body of {method} {why}"));
    Flow::Status(Status::BAD_REQUEST)
}

/// A system call failed: one table decides whose fault that is.
pub fn failed(ex: &mut Exchange, cx: &mut Services, call: &str, e: Errno) -> Flow {
    let (status, level) = match e {
        Errno::ENOENT | Errno::ENAMETOOLONG => (Status::NOT_FOUND, Level::Error),
        // EMLINK: a tree is too deep.
        Errno::ENOTDIR | Errno::EISDIR | Errno::EEXIST | Errno::ENOTEMPTY | Errno::EBUSY | Errno::EMLINK => {
            (Status::CONFLICT, Level::Error)
        }
        Errno::EFBIG => (Status::CONTENT_TOO_LARGE, Level::Error),
        // ENODEV: what is to be copied is not a file.
        Errno::EACCES | Errno::EPERM | Errno::EROFS | Errno::EXDEV | Errno::ELOOP | Errno::ENODEV => {
            (Status::FORBIDDEN, Level::Error)
        }
        Errno::ENOSPC | Errno::EDQUOT => (Status::INSUFFICIENT_STORAGE, Level::Crit),
        Errno::EMFILE | Errno::ENFILE => (Status::SERVICE_UNAVAILABLE, Level::Crit),
        _ => (Status::INTERNAL_SERVER_ERROR, Level::Crit),
    };
    let path = String::from_utf8_lossy(&ex.route.path).into_owned();
    ex.report(cx, level, format_args!("{call} \"{path}\" failed {e}"));
    Flow::Status(status)
}

/// A name could be given neither for good nor back. Only an operator can help, before the next start removes what is
/// hidden.
pub fn report_stranded(ex: &mut Exchange, cx: &mut Services, (dir, name): &Stranded) {
    let dir = file::path_of(dir.as_fd()).unwrap_or_default();
    let path = [&*dir, b"/", name.to_bytes()].concat();
    let path = String::from_utf8_lossy(&path);
    let hint = if is_hidden(name.to_bytes()) { ": rename it before the server is started again" } else { "" };
    let text = format_args!("what could be given neither its new nor its old name is now \"{path}\"{hint}");
    ex.report(cx, Level::Crit, text);
}

//! What a WebDAV request is refused with, and what is logged of it.

use crate::config::model::Level;
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::http::status::Status;
use crate::services::Services;
use crate::sys::Errno;

pub fn refuse(ex: &mut Exchange, cx: &mut Services, status: Status, why: std::fmt::Arguments<'_>) -> Flow {
    ex.report(cx, Level::Error, why);
    Flow::Status(status)
}

/// A body that says nothing that could be done.
pub fn malformed(ex: &mut Exchange, cx: &mut Services, why: &str) -> Flow {
    let method = ex.route.method.name();
    ex.report(cx, Level::Error, format_args!("the body of {method} {why}"));
    Flow::Status(Status::BAD_REQUEST)
}

/// A system call failed: whose fault that is, in one table.
pub fn failed(ex: &mut Exchange, cx: &mut Services, call: &str, e: Errno) -> Flow {
    let (status, level) = match e {
        Errno::ENOENT | Errno::ENAMETOOLONG => (Status::NOT_FOUND, Level::Error),
        Errno::ENOTDIR | Errno::EISDIR | Errno::EEXIST | Errno::ENOTEMPTY | Errno::EBUSY | Errno::EFBIG => {
            (Status::CONFLICT, Level::Error)
        }
        Errno::EACCES | Errno::EPERM | Errno::EROFS | Errno::EXDEV | Errno::ELOOP => (Status::FORBIDDEN, Level::Error),
        Errno::ENOSPC | Errno::EDQUOT => (Status::INSUFFICIENT_STORAGE, Level::Crit),
        Errno::EMFILE | Errno::ENFILE => (Status::SERVICE_UNAVAILABLE, Level::Crit),
        _ => (Status::INTERNAL_SERVER_ERROR, Level::Crit),
    };
    let path = String::from_utf8_lossy(&ex.route.path).into_owned();
    ex.report(cx, level, format_args!("{call} \"{path}\" failed {e}"));
    Flow::Status(status)
}

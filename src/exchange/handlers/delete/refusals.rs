//! What a client and the log are told of a removal that is refused, or that stopped.

use super::removal_target::NotRemoved;
use crate::config::model::Level;
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::upload;
use crate::exchange::handlers::versions::Denied;
use crate::exchange::response::ContentType;
use crate::http::escape::escape_path;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::remove_tree::Stuck;
use crate::sys::Errno;

/// The response and the log line for a removal that is refused: 403, 404, 409, 412, 423, 500, 503 or 507.
pub(super) fn refused(ex: &mut Exchange, cx: &mut Services, refusal: NotRemoved) -> Flow {
    let path = String::from_utf8_lossy(&ex.route.path).into_owned();
    match refusal {
        NotRemoved::Area => {
            ex.report(
                cx,
                Level::Error,
                format_args!("DELETE of \"{path}\" is refused: it is or holds the directory of a location, or a trash"),
            );
            upload::not_removed(ex, Status::FORBIDDEN, "it is or holds the directory of a location, or a trash")
        }
        NotRemoved::Trash(Errno::EINVAL) => {
            ex.report(cx, Level::Error, format_args!("DELETE of \"{path}\" is refused: the trash is in it"));
            upload::not_removed(ex, Status::CONFLICT, "the trash is in it")
        }
        NotRemoved::Trash(e) => {
            ex.report(cx, Level::Crit, format_args!("\"{path}\" could not be moved into the trash {e}"));
            Flow::Status(Status::INTERNAL_SERVER_ERROR)
        }
        NotRemoved::Precondition => Denied::Changed.flow(ex),
        NotRemoved::Busy => Denied::Busy.flow(ex),
        NotRemoved::Locked => Flow::Status(Status::LOCKED),
        NotRemoved::Failed { call, errno } => {
            let (status, level) = status(errno);
            if status != Status::NOT_FOUND || ex.location().settings.files.log_not_found {
                ex.report(cx, level, format_args!("{call} \"{path}\" failed {errno}"));
            }
            match reason(errno) {
                "" => Flow::Status(status),
                why => upload::not_removed(ex, status, why),
            }
        }
    }
}

/// Why a name cannot be removed, for the client; empty: the status says it.
fn reason(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOTEMPTY | Errno::EEXIST => "the directory is not empty",
        Errno::ENOTDIR => "it is a file, not a directory",
        Errno::EISDIR => "it is a directory",
        Errno::EBUSY | Errno::ETXTBSY => "it is in use",
        Errno::ENODEV => "a socket, a FIFO or a device cannot be copied into the trash",
        Errno::EMLINK => "its directories are too deep to be copied into the trash",
        Errno::EACCES | Errno::EPERM | Errno::EROFS | Errno::EXDEV | Errno::ELOOP | Errno::ENOSPC | Errno::EDQUOT => {
            upload::why_failed(errno).1
        }
        _ => "",
    }
}

/// Whether the client or the server is to blame that a name cannot be removed.
fn status(errno: Errno) -> (Status, Level) {
    match errno {
        Errno::ENOENT | Errno::ENAMETOOLONG => (Status::NOT_FOUND, Level::Error),
        // A directory that is not empty, a file where a directory is named, something in use.
        Errno::ENOTEMPTY
        | Errno::EEXIST
        | Errno::ENOTDIR
        | Errno::EISDIR
        | Errno::EBUSY
        | Errno::ETXTBSY
        | Errno::EMLINK => (Status::CONFLICT, Level::Error),
        // Not permitted to us, or a link that leads out of the area (EXDEV) or may not be followed (ELOOP).
        // Or something that has no copy (ENODEV).
        Errno::EACCES | Errno::EPERM | Errno::EROFS | Errno::EXDEV | Errno::ELOOP | Errno::ENODEV => {
            (Status::FORBIDDEN, Level::Error)
        }
        // A file system that writes elsewhere (btrfs, ZFS) needs room to remove, too.
        Errno::ENOSPC | Errno::EDQUOT => (Status::INSUFFICIENT_STORAGE, Level::Crit),
        Errno::EMFILE | Errno::ENFILE => (Status::SERVICE_UNAVAILABLE, Level::Crit),
        _ => (Status::INTERNAL_SERVER_ERROR, Level::Crit),
    }
}

/// Something in the directory cannot be removed: names it, and says that the rest is left.
pub fn stopped(ex: &mut Exchange, cx: &mut Services, stuck: &Stuck, removed: u64) -> Flow {
    let Stuck { path, call, errno } = stuck;
    let (status, level) = match status(*errno) {
        // The resource itself still exists; one of its entries has been removed.
        (Status::NOT_FOUND, level) => (Status::CONFLICT, level),
        known => known,
    };
    let (base, inner) =
        (String::from_utf8_lossy(&ex.route.path).into_owned(), String::from_utf8_lossy(path).into_owned());
    let base = base.trim_end_matches('/');
    ex.report(
        cx,
        level,
        format_args!("{call} \"{base}/{inner}\" failed {errno}, {removed} entries were removed before"),
    );
    // The form's own page leads back to the listing, which shows what is left.
    if removed == 0 || ex.route.sent_form.is_some() {
        return Flow::Status(status);
    }
    // No error page replaces it: nothing else tells what is gone and what is left.
    ex.route.error_page = None;
    // The name as in a URI: another client chose it.
    let mut text = b"This could not be removed: \"".to_vec();
    escape_path(path, &mut text);
    let why = errno.message();
    let line = format!(
        "\" ({why}).\nIt and the rest of the directory are left; {removed} entries of the directory are gone.\n"
    );
    text.extend_from_slice(line.as_bytes());
    ex.response.text(status, ContentType::Static("text/plain; charset=utf-8"), text);
    Flow::Respond
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delete_that_a_full_disk_stops_says_so() {
        for e in [Errno::ENOSPC, Errno::EDQUOT] {
            assert_eq!(status(e).0, Status::INSUFFICIENT_STORAGE);
        }
    }

    #[test]
    fn what_cannot_be_removed_is_explained_unless_the_status_says_it() {
        for (e, expected, why) in [
            (Errno::ENOTEMPTY, 409, "the directory is not empty"),
            (Errno::ENOTDIR, 409, "it is a file, not a directory"),
            (Errno::EISDIR, 409, "it is a directory"),
            (Errno::EBUSY, 409, "it is in use"),
            (Errno::EACCES, 403, "the directory may not be written"),
            (Errno::EPERM, 403, "the directory may not be written"),
            (Errno::EROFS, 403, "the file system is read-only"),
            (Errno::EXDEV, 403, "a link leads out of the area"),
            (Errno::ELOOP, 403, "a link leads out of the area"),
            (Errno::ENOSPC, 507, "the disk is full"),
            (Errno::EDQUOT, 507, "the disk quota is used up"),
            (Errno::ENOENT, 404, ""),
            (Errno::ENAMETOOLONG, 404, ""),
            (Errno::EMFILE, 503, ""),
            (Errno::EIO, 500, ""),
        ] {
            assert_eq!((status(e).0.0, reason(e)), (expected, why), "{e}");
        }
    }
}

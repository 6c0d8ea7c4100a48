//! The directory that a request is for: opening it as disable_symlinks allows, and what is logged if that fails.

use crate::config::model::Level;
use crate::config::settings::files::Symlinks;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::{failure, symlinks};
use crate::exchange::random_draw::Links;
use crate::exchange::{Exchange, Printable};
use crate::http::status::Status;
use crate::services::Services;
use crate::sys::Errno;
use crate::sys::file::{self, O_DIRECTORY, O_NONBLOCK, O_PATH, O_RDONLY};
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

/// Opens the directory `ex.path` for reading, as disable_symlinks allows.
pub fn open(ex: &mut Exchange, cx: &mut Services) -> Result<OwnedFd, Errno> {
    ex.route.path.push(0);
    let config = ex.config.clone();
    let dir = match (
        &config.location(ex.route.location).settings.files.symlinks,
        CStr::from_bytes_with_nul(&ex.route.path),
    ) {
        (_, Err(_)) => Err(Errno::EINVAL),
        (Symlinks::Off, Ok(path)) => file::open_at(None, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0),
        (symlinks, Ok(_)) => symlinks::walk(ex, cx, symlinks),
    };
    ex.route.path.pop();
    dir
}

/// Whether entries that are symbolic links are shown as their targets.
pub fn links(ex: &mut Exchange, cx: &mut Services) -> Links {
    match ex.location().settings.files.symlinks {
        Symlinks::Off => Links::Followed,
        Symlinks::On { .. } | Symlinks::IfNotOwner { .. } => Links::Bare,
        Symlinks::Outside { hidden } => {
            let base = symlinks::base(ex, cx);
            let real = || {
                let base = file::c_string(base)?;
                file::path_of(file::open_at(None, &base, O_PATH, 0)?.as_fd())
            };
            real().map_or(Links::Bare, |root| Links::Inside { root: root.into(), hidden })
        }
    }
}

/// A directory that cannot be read, with nginx's words in the log.
pub fn not_opened(ex: &mut Exchange, cx: &mut Services, e: Errno) -> Flow {
    // The directory decided, not the index file that was looked for in it.
    ex.basis.depends_on_other_names();
    match e {
        Errno::ENOENT | Errno::ENOTDIR => {
            if ex.location().settings.files.log_not_found {
                let (path, hint) = (shown(ex), failure::no_root(ex));
                ex.report(cx, Level::Error, format_args!("\"{path}\" is not found {e}{hint}"));
            }
            Flow::Status(Status::NOT_FOUND)
        }
        e => failure::failed(ex, cx, "opendir()", e),
    }
}

/// The path for the error log; control bytes are escaped.
pub fn shown(ex: &Exchange) -> String {
    Printable(&ex.route.path).to_string()
}

//! PROPFIND (RFC 4918 §9.1) of a resource, or of a collection and its members. It lists what GET would find.

use super::depth::{Depth, depth};
use super::refuse::{malformed, refuse};
use crate::config::settings::files::Symlinks;
use crate::exchange::Exchange;
use crate::exchange::body_encoder::Source;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::{failure, path_rules, symlinks, upload};
use crate::exchange::multistatus::{self, Multistatus, Shape, choose};
use crate::exchange::paths;
use crate::exchange::response::{Body, ContentType};
use crate::http::dav::body::{self, PropfindRequest};
use crate::http::escape::escape_path;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::dav_locks::{EntryLocks, Lock};
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, O_DIRECTORY, O_PATH, O_RDONLY, Stat};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const NOT_INFINITE: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
     <D:error xmlns:D=\"DAV:\"><D:propfind-finite-depth/></D:error>\n";

/// Answers 207 with the properties of the resource and, with `Depth: 1`, of what a listing of it would show. Infinity
/// is refused with the precondition propfind-finite-depth (RFC 4918 §9.1).
pub fn run(ex: &mut Exchange, cx: &mut Services, body: &[u8]) -> Flow {
    let wanted = match body::propfind(body) {
        Ok(wanted) => wanted,
        Err(why) => return malformed(ex, cx, why),
    };
    // A client that does not say a depth gets the deepest that is allowed; RFC 4918 means infinity.
    let Some(depth) = depth(ex, Depth::One) else {
        return refuse(ex, cx, Status::BAD_REQUEST, format_args!("\"Depth\" header must be 0 or 1"));
    };
    if let Err(flow) = failure::map(ex, cx) {
        return flow;
    }
    let (fd, stat) = match open(ex, cx) {
        Ok(found) => found,
        Err(e) => return failure::failed(ex, cx, "open()", e),
    };
    let is_collection = stat.kind == FileKind::Dir;
    if is_collection && let Err(refusal) = path_rules::check_directory(ex, cx) {
        return upload::refuse(ex, cx, &refusal);
    }
    // For a resource that is no collection, all depths mean the same.
    if is_collection && depth == Depth::Infinity {
        let kind = ContentType::Static(multistatus::CONTENT_TYPE);
        ex.response.text(Status::FORBIDDEN, kind, NOT_INFINITE.into());
        return Flow::Respond;
    }
    let dir = match is_collection && depth == Depth::One {
        true => match file::open_at(Some(fd.as_fd()), c".", O_RDONLY | O_DIRECTORY, 0) {
            Ok(dir) => match failure::check_room(ex, cx, dir.as_fd()) {
                Ok(()) => Some(file::read_dir(dir)),
                Err(flow) => return flow,
            },
            Err(e) => return failure::failed(ex, cx, "opendir()", e),
        },
        false => None,
    };
    let mut href = Vec::with_capacity(ex.route.uri.len() + 8);
    escape_path(&ex.route.uri, &mut href);
    if is_collection && !href.ends_with(b"/") {
        href.push(b'/');
        // RFC 4918 §5.2.
        ex.response.line(b"Content-Location", &href);
    }
    let hidden = match paths::hidden_below(ex, cx, &ex.route.path) {
        Ok(hidden) => hidden,
        Err(e) => return failure::failed(ex, cx, "open()", e),
    };
    let shape = shape(ex, hidden, &wanted, fd.as_fd());
    let (own, locks) = locks(cx, fd.as_fd(), dir.is_some());
    let name = ex.route.uri.split(|b| *b == b'/').rfind(|part| !part.is_empty()).unwrap_or_default().to_vec();
    let answer = Multistatus::new(shape, href, (name, stat, own), dir, locks);
    ex.response.status = Status::MULTI_STATUS;
    ex.response.content_type = ContentType::Static(multistatus::CONTENT_TYPE);
    ex.response.is_inert = true;
    ex.response.body = Body::Made(Box::new(Source::multistatus(answer)));
    Flow::Respond
}

/// Opens what GET would open, but only to look at it.
fn open(ex: &mut Exchange, cx: &mut Services) -> Result<(OwnedFd, Stat), Errno> {
    let config = ex.config.clone();
    let fd = match &config.location(ex.route.location).settings.files.symlinks {
        Symlinks::Off => {
            let path = file::c_string(&ex.route.path[..])?;
            file::open_at(None, &path, O_PATH, 0)?
        }
        rule => {
            ex.route.path.push(0);
            let walked = symlinks::walk(ex, cx, rule);
            ex.route.path.pop();
            walked?
        }
    };
    let stat = file::fstat(fd.as_fd())?;
    match stat.kind {
        FileKind::Regular | FileKind::Dir => Ok((fd, stat)),
        FileKind::Symlink | FileKind::Other => Err(Errno::ENOENT),
    }
}

fn shape(ex: &Exchange, hidden: Vec<Box<[u8]>>, wanted: &PropfindRequest, fd: BorrowedFd<'_>) -> Shape {
    let settings = &ex.location().settings;
    let free = |path: &[u8]| {
        let fd = file::open_at(None, &file::c_string(path)?, O_PATH, 0)?;
        file::free_space(fd.as_fd())
    };
    Shape {
        properties: choose(wanted),
        names_only: *wanted == PropfindRequest::Names,
        tells_missing: matches!(wanted, PropfindRequest::These(_)),
        files: settings.files.clone(),
        etag: settings.output.etag,
        locks: settings.dav.ext.contains(Method::Lock) && settings.dav.lock_zone.is_some(),
        follow: settings.files.symlinks == Symlinks::Off,
        hidden,
        room: file::free_space(fd)
            .or_else(|_| free(&ex.route.path))
            .ok()
            .map(|(free, all)| (free, all.saturating_sub(free))),
    }
}

/// The locks of a resource, and, if they are listed too, of its members.
fn locks(cx: &mut Services, fd: BorrowedFd<'_>, lists: bool) -> (Vec<Lock>, EntryLocks) {
    if cx.dav_locks.is_empty() {
        return <_>::default();
    }
    cx.dav_locks.expire(cx.now.ms);
    let Ok(path) = file::path_of(fd) else { return <_>::default() };
    let path = path.strip_suffix(b"/").unwrap_or(&path);
    let own = cx.dav_locks.shown(path);
    let entries = match lists {
        true => cx.dav_locks.entries(path, cx.dav_locks.deep(path)),
        false => EntryLocks::default(),
    };
    (own, entries)
}

//! COPY and MOVE: nginx's order of checks and its statuses (204 for a file, 201 for a collection).

use super::spot::Spot;
use super::{Depth, depth, failed, refuse, tree};
use crate::exchange::Exchange;
use crate::exchange::handlers::{delete, upload};
use crate::exchange::paths;
use crate::exchange::phases::Flow;
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::http::uri;
use crate::route::{NoTrace, location};
use crate::shared::Cx;
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, Rename, Stat};
use std::os::fd::AsFd;

pub fn run(ex: &mut Exchange, cx: &mut Cx) -> Flow {
    let Some(target) = destination(ex) else {
        return refuse(
            ex,
            cx,
            Status::BAD_REQUEST,
            format_args!("client sent no or an invalid \"Destination\" header"),
        );
    };
    if ex.uri.ends_with(b"/") != target.ends_with(b"/") {
        let text = "both URI and \"Destination\" URI should be either collections or non-collections";
        return refuse(ex, cx, Status::CONFLICT, format_args!("{text}"));
    }
    let name = target.split(|b| *b == b'/').rfind(|part| !part.is_empty());
    if let Some(Err(why)) = name.map(upload::judge) {
        return refuse(ex, cx, Status::BAD_REQUEST, format_args!("\"Destination\": {why}"));
    }
    // nginx writes wherever the root reaches: into locations that allow no such thing.
    let place = |uri: &[u8]| location::find(&ex.config, ex.server, uri, &mut NoTrace).location;
    if place(&ex.uri) != place(&target) {
        let text = "\"Destination\" lies in another location";
        return refuse(ex, cx, Status::FORBIDDEN, format_args!("{text}"));
    }
    let depth = match (depth(ex, Depth::Infinity), ex.method) {
        (Some(Depth::Infinity), _) => Depth::Infinity,
        (Some(Depth::Zero), Method::Copy) => Depth::Zero,
        (_, Method::Copy) => {
            return refuse(ex, cx, Status::BAD_REQUEST, format_args!("\"Depth\" header must be 0 or infinity"));
        }
        _ => return refuse(ex, cx, Status::BAD_REQUEST, format_args!("\"Depth\" header must be infinity")),
    };
    let overwrite = match ex.header(HeaderId::Overwrite) {
        None | Some(b"T" | b"t") => true,
        Some(b"F" | b"f") => false,
        Some(_) => {
            return refuse(ex, cx, Status::BAD_REQUEST, format_args!("client sent invalid \"Overwrite\" header"));
        }
    };
    let bare = |uri: &[u8]| [uri, b"/"].concat().replace_slashes();
    let (from, to) = (bare(&ex.uri), bare(&target));
    if to.starts_with(&from) || from.starts_with(&to) {
        return refuse(ex, cx, Status::FORBIDDEN, format_args!("source and destination hold each other"));
    }
    let source = match Spot::of(ex, cx) {
        Ok(source) => source,
        Err(Errno::EBUSY) => return Flow::Status(Status::FORBIDDEN),
        Err(e) => return failed(ex, cx, "open()", e),
    };
    let source_is_area = delete::keeps_area(ex);
    let uri = std::mem::replace(&mut ex.uri, target);
    let target = Spot::of(ex, cx);
    let target_is_area = delete::keeps_area(ex);
    ex.uri = uri;
    let target = match target {
        Ok(target) => target,
        // RFC 4918 §9.8.5: a collection above it must be made first.
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Flow::Status(Status::CONFLICT),
        Err(Errno::EBUSY) => return Flow::Status(Status::FORBIDDEN),
        Err(e) => return failed(ex, cx, "open()", e),
    };
    let job = Job { source, target, depth, collection: ex.uri.ends_with(b"/"), overwrite };
    let there = match file::stat_at(Some(job.target.dir.as_fd()), &job.target.name, Follow::No) {
        Ok(there) => Some(there),
        Err(Errno::ENOENT) => None,
        Err(e) => return failed(ex, cx, "lstat()", e),
    };
    if let Some(there) = &there {
        if there.kind == FileKind::Dir && !job.collection {
            return refuse(ex, cx, Status::CONFLICT, format_args!("the destination is a collection"));
        }
        if !job.overwrite {
            return refuse(ex, cx, Status::PRECONDITION_FAILED, format_args!("the destination exists"));
        }
        if there.kind == FileKind::Dir && target_is_area {
            return refuse(ex, cx, Status::FORBIDDEN, format_args!("the destination is the directory of a location"));
        }
    }
    if ex.method == Method::Move && source_is_area {
        return refuse(ex, cx, Status::FORBIDDEN, format_args!("the source is or holds the directory of a location"));
    }
    match job.run(ex, there.as_ref(), &mut cx.scratch) {
        Ok(status) => {
            cx.now.renew();
            ex.response.status = status;
            Flow::Respond
        }
        Err(Errno::EINVAL) => refuse(ex, cx, Status::BAD_REQUEST, format_args!("the source is a collection")),
        Err(e) => failed(ex, cx, "copy", e),
    }
}

/// All that was asked for, checked.
struct Job {
    source: Spot,
    target: Spot,
    depth: Depth,
    collection: bool,
    overwrite: bool,
}

impl Job {
    fn run(&self, ex: &Exchange, there: Option<&Stat>, scratch: &mut Vec<u8>) -> Result<Status, Errno> {
        let (from, to) = (self.source.dir.as_fd(), self.target.dir.as_fd());
        let source = file::stat_at(Some(from), &self.source.name, Follow::No)?;
        let moves = ex.method == Method::Move;
        if source.kind != FileKind::Dir {
            if self.collection {
                return Err(Errno::ENOTDIR);
            }
            let how = if self.overwrite { Rename::Replace } else { Rename::NoReplace };
            if moves {
                match file::rename_at(Some(from), &self.source.name, Some(to), &self.target.name, how) {
                    Err(Errno::EXDEV) => {}
                    outcome => return outcome.map(|()| Status::NO_CONTENT),
                }
            }
            tree::copy_file(from, &self.source.name, to, &self.target.name, how, scratch)?;
            if moves {
                file::unlink_at(Some(from), &self.source.name, file::Unlink::File)?;
            }
            return Ok(Status::NO_CONTENT);
        }
        if !self.collection {
            return Err(Errno::EINVAL);
        }
        if self.depth == Depth::Infinity && !delete::is_bounded(from, &self.source.name)? {
            return Err(Errno::EFBIG);
        }
        match there {
            Some(there) if there.kind == FileKind::Dir => delete::remove_tree(to, &self.target.name)?,
            Some(_) => file::unlink_at(Some(to), &self.target.name, file::Unlink::File)?,
            None => {}
        }
        if moves {
            match file::rename_at(Some(from), &self.source.name, Some(to), &self.target.name, Rename::NoReplace) {
                Err(Errno::EXDEV) => {}
                outcome => return outcome.map(|()| Status::CREATED),
            }
        }
        tree::copy(from, &self.source.name, to, &self.target.name, self.depth == Depth::Infinity, scratch)?;
        if moves {
            delete::remove_tree(from, &self.source.name)?;
        }
        Ok(Status::CREATED)
    }
}

trait Slashes {
    fn replace_slashes(self) -> Vec<u8>;
}

impl Slashes for Vec<u8> {
    /// Several slashes become one.
    fn replace_slashes(mut self) -> Vec<u8> {
        self.dedup_by(|a, b| *a == b'/' && *b == b'/');
        self
    }
}

/// The path of the Destination header: `/path` or an absolute URL of this host.
fn destination(ex: &Exchange) -> Option<Vec<u8>> {
    let value = ex.header(HeaderId::Destination)?;
    let path = if value.starts_with(b"/") {
        value
    } else {
        let rest = value.strip_prefix(b"http://")?;
        let slash = memchr::memchr(b'/', rest)?;
        let (host, _) = crate::http::host::split(&rest[..slash]);
        if ex.host.is_empty() || !host.eq_ignore_ascii_case(&ex.host) {
            return None;
        }
        &rest[slash..]
    };
    let mut normal = Vec::new();
    uri::normalize(path, true, &mut normal).ok().filter(|_| !paths::has_control(&normal))?;
    // A name below the alias, or nothing of the location.
    let len = match ex.here().settings.files.alias {
        Some(u32::MAX) | None => 0,
        Some(len) => len as usize,
    };
    (normal.len() >= len && normal.get(..len) == ex.uri.get(..len)).then_some(normal)
}

//! proxy_store and its like: a response that becomes a file while it goes to the client.
//!
//! Invariants: a file appears whole or not at all; what a request names leads nowhere outside the directory that the
//! configuration names. A copy that cannot be kept costs the client nothing: it is reported, and the response goes on.

use super::record::ReceivedHead;
use super::settings;
use crate::config::model::Level;
use crate::config::settings::proxy::Store;
use crate::config::settings::upload::Quota;
use crate::config::value::Mode;
use crate::exchange::handlers::resumable::locks;
use crate::exchange::handlers::symlinks;
use crate::exchange::handlers::upload::target_dir::{area_of, trusted};
use crate::exchange::handlers::upload::temp_file::{Birth, Part};
use crate::exchange::paths::{self, Mapped};
use crate::exchange::{Exchange, Printable, variables};
use crate::http::date;
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::io::make_path;
use crate::services::quotas::shared::{Lock, Taken};
use crate::services::quotas::{Area, Claim, Usage};
use crate::services::{Services, temp_names};
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, Stat};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

/// A response that is no larger is written at once, when it is complete.
const HELD: usize = 64 << 10;

/// A response on its way to a file.
pub struct Copy {
    part: Part,
    /// The deepest directory on the way that is there, and those below it that are made when the response is complete.
    dir: Rc<OwnedFd>,
    missing: Vec<CString>,
    name: CString,
    /// For the log.
    path: Vec<u8>,
    mode: Mode,
    modified: Option<i64>,
    resolve: u64,
    /// The location's upload_quota, its area, and the path of that.
    quota: Option<(Quota, Rc<Area>, Vec<u8>)>,
}

/// A system call that failed, and why.
type Failed = (&'static str, Errno);

/// A path of which the first `trusted` bytes are the configuration's; the rest has to stay beneath.
struct Target {
    path: Vec<u8>,
    trusted: usize,
}

/// The response that begins is to be kept: the file it goes to.
pub fn begin(ex: &mut Exchange, cx: &mut Services, head: &ReceivedHead) -> Option<Box<Copy>> {
    if settings(ex).store == Store::Off || head.head.status != 200 || ex.route.method == Method::Head || ex.asks_only()
    {
        return None;
    }
    let target = target(ex, cx)?;
    let modified = head.get(HeaderId::LastModified).and_then(date::parse);
    match open(ex, cx, &target, modified) {
        Ok(copy) => Some(Box::new(Copy { quota: quota(ex, cx), ..copy })),
        Err(failed) => {
            report(ex, cx, &target.path, failed);
            None
        }
    }
}

/// What files in the location's area may come to.
fn quota(ex: &mut Exchange, cx: &mut Services) -> Option<(Quota, Rc<Area>, Vec<u8>)> {
    let limit = ex.here().settings.upload.quota?;
    let (rules, before) = (ex.here().settings.upload.clone(), ex.route.path.clone());
    let area = area_of(ex, cx, &rules);
    ex.route.path = before;
    area.ok().map(|(area, path)| (limit, area, path))
}

fn report(ex: &Exchange, cx: &mut Services, path: &[u8], (call, errno): Failed) {
    ex.report(cx, Level::Crit, format_args!("{call} \"{}\" failed {errno}, response not stored", Printable(path)));
}

/// Where the response goes. None: nowhere that may be written to.
fn target(ex: &mut Exchange, cx: &mut Services) -> Option<Target> {
    let config = ex.config.clone();
    let location = config.location(ex.route.location);
    let root = &location.settings.files.root;
    let Store::Path(store) = settings(ex).store.clone() else {
        let before = ex.route.path.clone();
        let mapped = paths::map(ex, cx);
        let target = match mapped {
            Mapped::Path { root: end } => {
                // The alias of a regex location is a whole path, captures and all.
                let whole = location.settings.files.alias == Some(u32::MAX);
                let fixed = root.constant().is_some() && !whole;
                let path = ex.route.path.clone();
                let trusted = if fixed { paths::area(ex, end) } else { trusted(root, &path) };
                Some(Target { path, trusted })
            }
            Mapped::Outside | Mapped::Rewritten | Mapped::Control => None,
        };
        ex.route.path = before;
        return target.filter(|target| may_hold(ex, cx, target));
    };
    let mut path = variables::text(&store, ex, cx);
    if path.is_empty() {
        return None;
    }
    if !path.starts_with(b"/") {
        let prefix = config.process.prefix.as_os_str().as_bytes();
        path.splice(0..0, prefix.iter().copied().chain(*b"/"));
    }
    let mut trusted = trusted(&store, &path);
    // `$document_root$uri`: the root is the configuration's too.
    if trusted <= 1
        && let Some(root) = root.constant()
        && path.strip_prefix(root).is_some_and(|rest| rest.starts_with(b"/"))
    {
        trusted = root.len() + 1;
    }
    let target = Target { path, trusted };
    may_hold(ex, cx, &target).then_some(target)
}

/// Whether a response may be kept there: no `..`, no name of our own, nothing that was deleted.
fn may_hold(ex: &Exchange, cx: &mut Services, target: &Target) -> bool {
    let rest = target.path.get(target.trusted..).unwrap_or_default();
    let bad = rest.split(|b| *b == b'/').any(|name| name == b"..")
        || crate::util::bytes::has_control(rest)
        || temp_names::is_hidden(rest)
        || ex.config.trashes.iter().any(|trash| paths::is_beneath(&target.path, trash));
    if bad {
        let shown = Printable(&target.path);
        ex.report(cx, Level::Error, format_args!("\"{shown}\" is no path for a response to be stored at"));
    }
    !bad
}

/// The directory on the way to the file, as far as it is there, and an empty file for it.
fn open(ex: &Exchange, cx: &mut Services, target: &Target, modified: Option<i64>) -> Result<Copy, Failed> {
    let (base, rest) = target.path.split_at(target.trusted);
    let slash = memchr::memrchr(b'/', rest).map_or(0, |at| at + 1);
    let (way, name) = rest.split_at(slash);
    if name.is_empty() || name == b"." {
        return Err(("rename() to", Errno::EISDIR));
    }
    let resolve = symlinks::beneath(&ex.here().settings.files.symlinks);
    let mode = settings(ex).store_mode;
    let base = open_base(cx, base, mode)?;
    let (dir, missing) = make_path::deepest(&base, way, resolve).map_err(|e| ("openat2()", e))?;
    let missing = missing.split(|b| *b == b'/').filter(|name| !name.is_empty() && *name != b".");
    Ok(Copy {
        part: Part::held(Vec::new(), mode.0, 0),
        dir,
        missing: missing.map(c_path).collect::<Result<_, _>>().map_err(|e| ("open()", e))?,
        name: c_path(name).map_err(|e| ("open()", e))?,
        path: target.path.clone(),
        mode,
        modified,
        resolve,
        quota: None,
    })
}

/// The directory that the configuration names; it is made where it is missing (nginx).
fn open_base(cx: &mut Services, base: &[u8], mode: Mode) -> Result<Rc<OwnedFd>, Failed> {
    let path = c_path(base).map_err(|e| ("open()", e))?;
    match cx.directories.open(&path, &cx.now) {
        Err(Errno::ENOENT) => {}
        other => return other.map_err(|e| ("open()", e)),
    }
    let made = make_path::make_path(base, mode.directory().0, || cx.syncs.made_directory());
    made.map_err(|e| ("mkdir()", e))?;
    cx.directories.open(&path, &cx.now).map_err(|e| ("open()", e))
}

fn c_path(path: &[u8]) -> Result<CString, Errno> {
    CString::new(path).map_err(|_| Errno::EINVAL)
}

impl Copy {
    fn write(&mut self, cx: &mut Services, bytes: &[u8]) -> Result<(), Failed> {
        if self.part.fd().is_none() && !self.part.holds(bytes.len(), HELD) {
            self.settle(cx)?;
        }
        self.part.write(bytes).map_err(|e| ("write()", e))
    }

    fn settle(&mut self, cx: &mut Services) -> Result<(), Failed> {
        self.part.settle(&self.dir, &mut cx.temp_names, Birth::Nameless).map_err(|e| ("open()", e))
    }

    /// The response is whole: it gets its name.
    fn keep(&mut self, cx: &mut Services) -> Result<(), Failed> {
        self.settle(cx)?;
        if let (Some(modified), Some(fd)) = (self.modified, self.part.fd()) {
            // A file system that keeps no such time keeps the file all the same.
            let _ = file::set_mtime(fd, (modified, 0));
        }
        self.part.stat().map_err(|e| ("fchmod()", e))?;
        let (missing, mode, mut made) = (std::mem::take(&mut self.missing), self.mode.directory().0, Vec::new());
        let outcome = make_path::make_beneath(&mut self.dir, missing, mode, self.resolve, &mut made);
        if !made.is_empty() {
            cx.syncs.made_directory();
        }
        outcome?;
        // A link is replaced as what it is; what is no file never.
        let there = file::stat_at(Some(self.dir.as_fd()), &self.name, Follow::No).ok();
        match there.map(|stat| stat.kind) {
            Some(FileKind::Dir) => return Err(("rename() to", Errno::EISDIR)),
            Some(FileKind::Other) => return Err(("rename() to", Errno::EEXIST)),
            _ => {}
        }
        let (added, freed) = (Usage { bytes: self.part.size(), files: 1 }, usage(there));
        let lock = self.admit(cx, (added, freed)).map_err(|e| ("upload_quota for", e))?;
        if let Err(e) = self.part.replace(&self.dir, &self.name, &mut cx.temp_names) {
            lock.into_iter().for_each(Lock::take_back);
            return Err(("rename() to", e));
        }
        if self.quota.is_some() {
            cx.now.changed();
            cx.judged_trees.came(self.dir.as_fd());
            cx.quotas.stored(self.dir.as_fd(), added, freed);
        } else {
            cx.file_came(self.dir.as_fd());
        }
        Ok(())
    }

    /// Whether the file has room under the location's quota. EDQUOT: it has none. EAGAIN: what is there is being counted, or
    /// another process is storing; the client does not wait for that.
    fn admit(&self, cx: &mut Services, (added, freed): (Usage, Usage)) -> Result<Option<Lock>, Errno> {
        let Some((limit, area, path)) = &self.quota else { return Ok(None) };
        if !paths::is_beneath(&file::path_of(self.dir.as_fd())?, area.path()) {
            return Ok(None);
        }
        if cx.resumable.is_reading() || !area.refresh(&cx.now)? {
            return Err(Errno::EAGAIN);
        }
        let (bytes, files) = cx.resumable.held(path, None);
        let mut claim = Claim::new(area.clone());
        claim.resize(added.minus(freed), Usage { bytes, files }, *limit).map_err(|_| Errno::EDQUOT)?;
        if !limit.shared {
            return Ok(None);
        }
        match Lock::take(area, *limit, (added, freed), &cx.now, &mut cx.slice) {
            Ok(Taken::Lock(lock)) => Ok(Some(lock)),
            Ok(Taken::Full(_)) => Err(Errno::EDQUOT),
            Ok(Taken::Busy | Taken::Counting) => Err(Errno::EAGAIN),
            Err(e) if locks::is_missing(e) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

fn usage(there: Option<Stat>) -> Usage {
    match there.filter(|stat| stat.kind == FileKind::Regular) {
        Some(stat) => Usage { bytes: stat.size, files: 1 },
        None => Usage::default(),
    }
}

/// A piece of the response. One that cannot be written ends the copy.
pub fn write(copy: &mut Option<Box<Copy>>, ex: &Exchange, cx: &mut Services, bytes: &[u8]) {
    let Some(one) = copy else { return };
    if let Err(failed) = one.write(cx, bytes) {
        report(ex, cx, &one.path, failed);
        *copy = None;
    }
}

/// The response is complete.
pub fn end(copy: &mut Option<Box<Copy>>, ex: &Exchange, cx: &mut Services) {
    let Some(mut copy) = copy.take() else { return };
    if let Err(failed) = copy.keep(cx) {
        report(ex, cx, &copy.path, failed);
    }
}

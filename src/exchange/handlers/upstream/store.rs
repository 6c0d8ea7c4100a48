//! proxy_store and others: stores a response as a file while it is sent to the client.
//!
//! Invariants: a file appears completely or not at all; nothing in a request leads outside the configured directory.
//! Errors do not affect the client: they are logged, and the response continues. If there is no room under upload_quota
//! ([`super::store_quota`]), nothing of the copy remains, nor do directories that were created for it.

use super::record::ReceivedHead;
use super::settings;
use super::store_quota::StoreQuota;
use crate::config::model::Level;
use crate::config::settings::proxy::Store;
use crate::config::value::Mode;
use crate::exchange::handlers::dav::lock_tokens::{self, Change};
use crate::exchange::handlers::symlinks;
use crate::exchange::handlers::upload::refusal::Refusal;
use crate::exchange::handlers::upload::target_dir::shown_at;
use crate::exchange::handlers::upload::target_path::trusted;
use crate::exchange::handlers::upload::temp_file::{Birth, Part};
use crate::exchange::paths::{self, Mapped};
use crate::exchange::{Exchange, Printable, variables};
use crate::http::date;
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::io::make_path::{self, NewDirectories};
use crate::services::dir_path::DirPath;
use crate::services::quotas::Usage;
use crate::services::quotas::shared::QuotaLock;
use crate::services::{Services, temp_names};
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Stat};
use crate::util::clean_path::has_parent;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

/// A response up to this size is written at once, when it is complete.
const MAX_BUFFERED: usize = 64 << 10;

/// A response that is being stored as a file.
pub struct Copy {
    part: Part,
    /// The deepest existing directory of the path; the missing ones below it are created when the response is complete.
    dir: Rc<OwnedFd>,
    missing: Vec<CString>,
    name: CString,
    /// The path by which `dir` was opened, with what is missing.
    at: DirPath,
    /// For the log.
    path: Vec<u8>,
    mode: Mode,
    modified: Option<i64>,
    resolve: u64,
    /// Its share of the location's upload_quota.
    quota: Option<StoreQuota>,
    /// Protects `dir` from removal if another operation created it, and the directories created for the response.
    making: NewDirectories,
}

/// Why a response is not stored.
enum Failed {
    /// A system call failed.
    Call(&'static str, Errno),
    /// The quota is exceeded.
    Refused(Refusal),
    /// The directory is elsewhere by now.
    Moved,
    /// A WebDAV lock of another client covers the name.
    Locked,
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Failed {
        Failed::Refused(refusal)
    }
}

/// A path whose first `trusted` bytes are from the configuration; the rest must stay beneath.
struct Target {
    path: Vec<u8>,
    trusted: usize,
}

/// Creates the file for a response that is to be stored.
pub fn begin(ex: &mut Exchange, cx: &mut Services, head: &ReceivedHead) -> Option<Box<Copy>> {
    if settings(ex).store == Store::Off
        || head.head.status != 200
        || ex.route.method == Method::Head
        || ex.is_auth_subrequest()
    {
        return None;
    }
    let target = target(ex, cx)?;
    // RFC 9110 §8.4: the file would be served without its coding.
    if let Some(coding) = head.get(HeaderId::ContentEncoding).filter(|coding| !is_kept(coding, &target.path)) {
        let (path, coding) = (Printable(&target.path), Printable(coding));
        let text = format_args!("\"{path}\": the response has \"Content-Encoding: {coding}\", response not stored");
        ex.report(cx, Level::Warn, text);
        return None;
    }
    let modified = head.get(HeaderId::LastModified).and_then(date::parse);
    let length = head.get(HeaderId::ContentLength).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    match open(ex, cx, &target, modified).and_then(|copy| copy.counted(ex, cx, length)) {
        Ok(copy) => Some(Box::new(copy)),
        Err(failed) => {
            report(ex, cx, &target.path, failed);
            None
        }
    }
}

/// Whether content of this coding may be stored: it is none, or the name says it (`proxy_store $root$uri.gz`, for
/// gzip_static).
fn is_kept(coding: &[u8], path: &[u8]) -> bool {
    coding.eq_ignore_ascii_case(b"identity") || coding.eq_ignore_ascii_case(b"gzip") && path.ends_with(b".gz")
}

fn report(ex: &Exchange, cx: &mut Services, path: &[u8], failed: Failed) {
    let path = Printable(path);
    match failed {
        Failed::Call(call, errno) => {
            ex.report(cx, Level::Crit, format_args!("{call} \"{path}\" failed {errno}, response not stored"));
        }
        Failed::Moved => {
            let why = "its directory was moved or removed meanwhile";
            ex.report(cx, Level::Error, format_args!("\"{path}\": {why}, response not stored"));
        }
        Failed::Locked => {
            ex.report(cx, Level::Error, format_args!("\"{path}\" is locked by a client, response not stored"));
        }
        Failed::Refused(refusal) => {
            let (why, detail, level) = (&refusal.why, &refusal.detail, &refusal.level);
            let between = if detail.is_empty() { "" } else { ": " };
            ex.report(
                cx,
                *level,
                format_args!("upload_quota for \"{path}\": {why}{between}{detail}, response not stored"),
            );
        }
    }
}

/// Where to store the response. None: it must not be written there.
fn target(ex: &mut Exchange, cx: &mut Services) -> Option<Target> {
    let config = ex.config.clone();
    let location = config.location(ex.route.location);
    let root = &location.settings.files.root;
    let Store::Path(store) = settings(ex).store.clone() else {
        let target = ex.with_path(Vec::new(), |ex| match paths::map(ex, cx) {
            Mapped::Path { root: end } => {
                // The alias of a regex location is the whole path, with captures.
                let whole = location.settings.files.alias == Some(u32::MAX);
                let fixed = root.constant().is_some() && !whole;
                let path = ex.route.path.clone();
                let trusted = if fixed { paths::area(ex, end) } else { trusted(root, &path) };
                Some(Target { path, trusted })
            }
            Mapped::Outside | Mapped::Rewritten | Mapped::Control | Mapped::Unknown(_) => None,
        });
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
    // `$document_root$uri`: the root is from the configuration, too.
    if trusted <= 1
        && let Some(root) = root.constant()
        && path.strip_prefix(root).is_some_and(|rest| rest.starts_with(b"/"))
    {
        trusted = root.len() + 1;
    }
    let target = Target { path, trusted };
    may_hold(ex, cx, &target).then_some(target)
}

/// Whether a response may be stored there: no `..`, no hidden name of this server, nothing in a directory that no URI
/// shows (a trash, keys, unfinished uploads).
fn may_hold(ex: &Exchange, cx: &mut Services, target: &Target) -> bool {
    let rest = target.path.get(target.trusted..).unwrap_or_default();
    let bad = has_parent(rest)
        || crate::util::bytes::has_control(rest)
        || temp_names::is_hidden(rest)
        || ex.config.trashes.iter().any(|trash| paths::is_beneath(&target.path, trash))
        || paths::is_hidden(ex, cx, &target.path, target.path.get(..target.trusted).unwrap_or_default()) != Ok(false);
    if bad {
        let shown = Printable(&target.path);
        ex.report(cx, Level::Error, format_args!("\"{shown}\" is no path for a response to be stored at"));
    }
    !bad
}

/// Opens the existing part of the directory's path, and an empty file for the response.
fn open(ex: &Exchange, cx: &mut Services, target: &Target, modified: Option<i64>) -> Result<Copy, Failed> {
    let (base, rest) = target.path.split_at(target.trusted);
    let slash = memchr::memrchr(b'/', rest).map_or(0, |at| at + 1);
    let (parent, name) = rest.split_at(slash);
    if name.is_empty() || name == b"." {
        return Err(Failed::Call("rename() to", Errno::EISDIR));
    }
    let resolve = symlinks::beneath(&ex.location().settings.files.symlinks);
    let mode = settings(ex).store_mode;
    let at = DirPath::new(base, parent, &cx.now);
    let base = open_base(cx, base, mode)?;
    let (dir, missing) = make_path::deepest(&base, parent, resolve).map_err(call("openat2()"))?;
    let missing = missing.split(|b| *b == b'/').filter(|name| !name.is_empty() && *name != b".");
    if missing.clone().count() > make_path::MOST_MISSING {
        return Err(Failed::Call("mkdir()", Errno::ENAMETOOLONG));
    }
    Ok(Copy {
        part: Part::held(Vec::new(), mode.0, 0),
        making: NewDirectories::storing_in(&cx.uploading, dir.as_fd()),
        dir,
        missing: missing.map(file::c_string).collect::<Result<_, _>>().map_err(call("open()"))?,
        name: file::c_string(name).map_err(call("open()"))?,
        at,
        path: target.path.clone(),
        mode,
        modified,
        resolve,
        quota: None,
    })
}

/// Opens the configured directory, and creates it if it is missing (nginx).
fn open_base(cx: &mut Services, base: &[u8], mode: Mode) -> Result<Rc<OwnedFd>, Failed> {
    let path = file::c_string(base).map_err(call("open()"))?;
    match cx.directories.open(&path, &cx.now) {
        Err(Errno::ENOENT) => {}
        other => return other.map_err(call("open()")),
    }
    let made = make_path::make_path(base, mode.directory().0, || cx.syncs.made_directory());
    made.map_err(call("mkdir()"))?;
    cx.directories.open(&path, &cx.now).map_err(call("open()"))
}

impl Copy {
    fn write(&mut self, cx: &mut Services, bytes: &[u8]) -> Result<(), Failed> {
        if let Some(quota) = &mut self.quota {
            quota.grow(cx, self.part.size().saturating_add(bytes.len() as u64))?;
        }
        if self.part.fd().is_none() && !self.part.holds(bytes.len(), MAX_BUFFERED) {
            self.move_to_file(cx)?;
        }
        self.part.write(bytes).map_err(call("write()"))
    }

    fn move_to_file(&mut self, cx: &mut Services) -> Result<(), Failed> {
        self.part.move_to_file(&self.dir, &mut cx.temp_names, Birth::Nameless).map(drop).map_err(call("open()"))
    }

    /// Claims the copy's share of the location's upload_quota.
    fn counted(self, ex: &mut Exchange, cx: &mut Services, length: Option<u64>) -> Result<Copy, Failed> {
        if ex.location().settings.upload.quota.is_none() {
            return Ok(self);
        }
        let missing = self.missing.iter().map(|name| name.to_bytes());
        let dir = file::path_along(self.dir.as_fd(), missing).map_err(call("readlink()"))?;
        let there = self.existing().filter(|there| there.kind == FileKind::Regular);
        let quota = StoreQuota::begin(ex, cx, &dir, (length, there))?;
        Ok(Copy { quota, ..self })
    }

    /// The existing file with this name. None: there is none, or not even its directory.
    fn existing(&self) -> Option<Stat> {
        shown_at(self.dir.as_fd(), &self.name).ok().filter(|_| self.missing.is_empty())
    }

    /// Whether WebDAV locks let this request write the name, and make the directories on its path.
    fn check_locks(&self, ex: &Exchange, cx: &mut Services) -> Result<(), Failed> {
        if cx.dav_locks.is_empty() {
            return Ok(());
        }
        let change = if self.existing().is_some() { Change::Content } else { Change::Made };
        let mut path = file::path_of(self.dir.as_fd()).map_err(call("readlink()"))?;
        for name in self.missing.iter().chain([&self.name]) {
            path = file::path_below(&path, name.to_bytes());
            lock_tokens::check_path(ex, cx, &path, change).map_err(|_| Failed::Locked)?;
        }
        Ok(())
    }

    /// What the file will replace: only files may be replaced; a symbolic link to one is replaced itself.
    fn replaced(&self) -> Result<Usage, Failed> {
        let there = self.existing();
        match there.map(|stat| stat.kind) {
            Some(FileKind::Dir) => Err(Failed::Call("rename() to", Errno::EISDIR)),
            Some(FileKind::Other) => Err(Failed::Call("rename() to", Errno::EEXIST)),
            _ => Ok(usage(there)),
        }
    }

    /// The response is complete: gives the file its name. If that fails, directories created for it are removed again.
    fn keep(&mut self, ex: &Exchange, cx: &mut Services) -> Result<(), Failed> {
        self.check_locks(ex, cx)?;
        self.move_to_file(cx)?;
        if let (Some(modified), Some(fd)) = (self.modified, self.part.fd()) {
            // If the file system cannot store this time, the file is stored without it.
            let _ = file::set_mtime(fd, (modified, 0));
        }
        self.part.stat().map_err(call("fchmod()"))?;
        let added = Usage::file(self.part.size()).plus(Usage::directories(self.missing.len() as u64));
        let freed = self.replaced()?;
        let lock = match &mut self.quota {
            Some(quota) => quota.admit(cx, (added, freed))?,
            None => None,
        };
        let mut making = std::mem::take(&mut self.making);
        let named = self.rename_into_place(cx, &mut making, freed);
        let freed = match named {
            Ok(freed) => freed,
            Err(failed) => {
                lock.into_iter().for_each(QuotaLock::take_back);
                return Err(failed);
            }
        };
        if making.keep() {
            cx.syncs.made_directory();
        }
        if self.quota.is_some() {
            cx.now.changed();
            cx.checked_trees.name_added(self.dir.as_fd());
            cx.quotas.stored(self.dir.as_fd(), added, freed);
        } else {
            cx.file_came(self.dir.as_fd());
        }
        Ok(())
    }

    /// Creates the missing directories and gives the file its name in them; returns what it replaced.
    fn rename_into_place(
        &mut self,
        cx: &mut Services,
        making: &mut NewDirectories,
        freed: Usage,
    ) -> Result<Usage, Failed> {
        let leads = self.at.leads_to(self.dir.as_fd(), self.missing.len(), &cx.now);
        if !leads.map_err(call("stat()"))? {
            return Err(Failed::Moved);
        }
        let was_there = self.missing.is_empty();
        let how = (self.mode.directory().0, self.resolve);
        make_path::make_beneath(&mut self.dir, &mut self.missing, how, making, || false)
            .map_err(|(name, e)| Failed::Call(name, e))?;
        // Another request may have created the directories meanwhile, and stored a file there.
        let freed = if was_there { freed } else { self.replaced()? };
        self.part.replace(&self.dir, &self.name, &mut cx.temp_names).map_err(call("rename() to"))?;
        Ok(freed)
    }
}

fn call(name: &'static str) -> impl Fn(Errno) -> Failed {
    move |e| Failed::Call(name, e)
}

fn usage(there: Option<Stat>) -> Usage {
    match there.filter(|stat| stat.kind == FileKind::Regular) {
        Some(stat) => Usage::file(stat.size),
        None => Usage::default(),
    }
}

/// Writes a piece of the response. If that fails, the copy is given up.
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
    if let Err(failed) = copy.keep(ex, cx) {
        report(ex, cx, &copy.path, failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{OUTSIDE, Site};

    #[test]
    fn a_folder_that_a_refused_upload_made_stays_while_a_response_is_stored_in_it() {
        for ends_well in [true, false] {
            let mut site = Site::new("", "location /s/ { proxy_pass http://127.0.0.1:9; proxy_store DIR$uri; }");
            let folder = site.scratch.path().join("s");
            // An upload makes the folder, and is refused in a later turn.
            let mut dir = Rc::new(site.scratch.fd());
            let mut upload = NewDirectories::storing_in(&site.cx.uploading, dir.as_fd());
            let (mut missing, how) = (vec![c"s".to_owned()], (0o755, file::RESOLVE_BENEATH));
            make_path::make_beneath(&mut dir, &mut missing, how, &mut upload, || false).expect("made");
            upload.outlives_turn();
            let mut ex = site.at("GET /s/f", &[], OUTSIDE);
            let target = target(&mut ex, &mut site.cx).expect("a path");
            let Ok(mut copy) = open(&ex, &mut site.cx, &target, None) else { panic!("not opened") };
            drop(upload);
            assert!(folder.exists(), "it is taken from under the response");
            if ends_well {
                assert!(copy.write(&mut site.cx, b"content").is_ok() && copy.keep(&ex, &mut site.cx).is_ok());
            }
            drop(copy);
            assert_eq!(folder.join("f").exists(), ends_well);
            assert_eq!(folder.exists(), ends_well, "an empty folder goes with its last user");
        }
    }
}

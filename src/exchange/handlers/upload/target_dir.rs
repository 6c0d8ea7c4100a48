//! Where files are stored: the directory, opened beneath the root or the store that the configuration names, and its
//! URI.
//!
//! Invariant: a path that came from a client is only ever opened relative to a trusted directory, with
//! `RESOLVE_BENEATH`: no link and no `..` leads out.

use super::name::{Manner, Names};
use super::refusal::Refusal;
use super::target_path::{self, NUL, TargetKind, TargetPath, c_path, c_string};
use crate::config::settings::upload::{NameRule, Store, UploadSettings};
use crate::config::value::Mode;
use crate::exchange::Exchange;
use crate::exchange::handlers::symlinks;
use crate::exchange::handlers::versions::Versions;
use crate::exchange::paths;
use crate::http::status::Status;
use crate::io::make_path::{self, MOST_MISSING, NewDirectories};
use crate::services::clock::Clock;
use crate::services::dir_path::DirPath;
use crate::services::quotas::Area;
use crate::services::{Services, temp_names};
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, O_DIRECTORY, O_PATH, Stat};
use crate::util::clean_path::has_parent;
use crate::util::tail::Tail;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// What has a name, as a reader sees it: a link to a directory counts as that directory, which no file replaces. Other
/// links are given as links.
///
/// # Errors
/// Those of the call.
pub fn shown_at(dir: BorrowedFd<'_>, name: &CStr) -> Result<Stat, Errno> {
    let stat = file::stat_at(Some(dir), name, Follow::No)?;
    if stat.kind != FileKind::Symlink {
        return Ok(stat);
    }
    let end = file::stat_at(Some(dir), name, Follow::Yes).ok();
    Ok(end.filter(|end| end.kind == FileKind::Dir).unwrap_or(stat))
}

/// A directory to store in.
pub struct TargetDir {
    /// The deepest existing directory on the path.
    pub dir: Rc<OwnedFd>,
    /// The directories below it that are made when the files are complete (upload_create_path).
    missing: Vec<CString>,
    resolve: u64,
    /// The URI of the directory, ending in a slash.
    pub uri: Vec<u8>,
    /// Its path, for the log.
    pub path: Rc<[u8]>,
    /// The path of the request: its beginning, this many bytes, is the area's.
    whole: Rc<[u8]>,
    area_ends: usize,
    /// The path by which it was opened, with what is missing.
    at: DirPath,
    /// The quota area, if there is one.
    pub area: Option<Rc<Area>>,
    /// The last look: the time, the name, the file that had it.
    seen: Option<(u64, Tail, Option<Stat>)>,
}

/// Finds the directory, and the file's name if the URI gives one.
pub fn find(
    ex: &mut Exchange,
    cx: &mut Services,
    rules: &UploadSettings,
    wanted: TargetKind,
) -> Result<(TargetDir, Option<Tail>), Refusal> {
    let (split, base) = target_path::find(wanted, ex, cx, rules)?;
    let whole = &split.path[split.trusted..];
    let rest = &whole[whole.iter().position(|b| *b != b'/').unwrap_or(whole.len())..];
    let names = Names::of(ex);
    check_path(rest, split.path.get(split.area..).unwrap_or_default(), names)?;
    check_hidden(ex, cx, &split.path, &split.path[..split.trusted])?;
    let base = base.map_or_else(|| open_base(&split, rules, cx), Ok)?;
    cx.store_dirs.used(&split.path);
    cx.hidden_dirs.used(&split.path);
    let resolve = symlinks::beneath(&ex.location().settings.files.symlinks);
    let counted = rules.quota.map(|_| quota_area(&base, &split, resolve, names, cx));
    let (area, way_begins) = (counted.transpose()?, split.path.len() - rest.len());
    let target = |way: &[u8], (dir, missing): (Rc<OwnedFd>, Vec<CString>), uri: Vec<u8>| TargetDir {
        dir,
        missing,
        resolve,
        uri,
        path: split.path.clone(),
        whole: split.path.clone(),
        area_ends: split.area,
        at: DirPath::within(&split.path, split.trusted, way_begins..way_begins + way.len(), &cx.now),
        area: area.clone(),
        seen: None,
    };
    let uri = &ex.route.uri[..];
    let open = |rel: &[u8]| descend(&base, rel, &split.path, rules.create_path, resolve, names);
    let cut = rest.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    let (parent, name) = rest.split_at(cut);
    if name.is_empty() {
        return match wanted {
            TargetKind::File => Err(Refusal::new(Status::CONFLICT, "the URI names a directory")),
            _ => Ok((target(rest, open(rest)?, as_directory(uri)), None)),
        };
    }
    refuse_nul(rest)?;
    if wanted == TargetKind::Directory {
        return match file::open_beneath(base.as_fd(), &c_path(rest)?, O_PATH | O_DIRECTORY, 0, resolve) {
            Ok(dir) => Ok((target(rest, (Rc::new(dir), Vec::new()), as_directory(uri)), None)),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok((target(parent, open(parent)?, parent_of(uri, name)), None)),
            Err(e) => Err(Refusal::call("openat2()", &split.path, e)),
        };
    }
    let mut found = target(parent, open(parent)?, parent_of(uri, name));
    if found.stat_this_turn(name, cx)?.is_none_or(|stat| stat.kind != FileKind::Dir) {
        return Ok((found, Some(Tail::of(&split.path, name))));
    }
    // A body without a name of its own gets one in the directory, but only if the client names the directory.
    match wanted {
        TargetKind::Either { named } if named || is_own(ex) => Ok((target(rest, open(rest)?, as_directory(uri)), None)),
        TargetKind::Either { .. } => Err(Refusal::add_slash()),
        _ => Err(Refusal::new(Status::CONFLICT, "a directory has that name")),
    }
}

fn refuse_nul(path: &[u8]) -> Result<(), Refusal> {
    if memchr::memchr(0, path).is_some() { Err(Refusal::new(Status::BAD_REQUEST, NUL)) } else { Ok(()) }
}

/// The URI names the location's own directory, with or without its slash.
fn is_own(ex: &Exchange) -> bool {
    ex.route.uri.strip_suffix(b"/").unwrap_or(&ex.route.uri) == &*ex.location().name
}

/// The URI of a directory that a URI names with or without its slash.
pub fn as_directory(uri: &[u8]) -> Vec<u8> {
    if uri.ends_with(b"/") { uri.to_vec() } else { [uri, b"/"].concat() }
}

/// The same when the URI names a file in it. `name`: the last of the path, with which the URI ends as well, unless an
/// alias maps it.
fn parent_of(uri: &[u8], name: &[u8]) -> Vec<u8> {
    match uri.strip_suffix(name) {
        Some(dir) if dir.ends_with(b"/") => dir.to_vec(),
        _ => uri[..memchr::memrchr(b'/', uri).map_or(0, |at| at + 1)].to_vec(),
    }
}

/// Checks the names of a path, whatever exists there: `rest` is beneath what is trusted, `below` beneath the
/// location. Neither may contain names of this server's own, and `.git/hooks` is no place for uploads.
fn check_path(rest: &[u8], below: &[u8], names: Names) -> Result<(), Refusal> {
    if has_parent(rest) {
        return Err(Refusal::new(Status::FORBIDDEN, "the path leads out of the area"));
    }
    if temp_names::is_hidden(below) {
        return Err(Refusal::new(Status::BAD_REQUEST, "a part of the path is a name reserved for this server"));
    }
    let is_strict = names == Names { rule: NameRule::Safe, manner: Manner::Form };
    if is_strict && below.split(|b| *b == b'/').any(|component| component.starts_with(b".")) {
        return Err(Refusal::new(Status::BAD_REQUEST, "a part of the path starts with a dot"));
    }
    Ok(())
}

/// Nothing is stored where nothing is shown, whatever store or folder leads there.
fn check_hidden(ex: &Exchange, cx: &mut Services, path: &[u8], area: &[u8]) -> Result<(), Refusal> {
    match paths::is_hidden(ex, cx, path, area) {
        Ok(true) => Err(Refusal::new(Status::NOT_FOUND, "the path leads to what is not shown")),
        Ok(false) => Ok(()),
        Err(e) => Err(Refusal::call("open()", path, e)),
    }
}

/// Whose quota counts: that of the location's directory.
fn quota_area(
    base: &Rc<OwnedFd>,
    split: &TargetPath,
    resolve: u64,
    names: Names,
    cx: &mut Services,
) -> Result<Rc<Area>, Refusal> {
    let way = split.path.get(split.trusted..split.area).unwrap_or_default();
    let (dir, missing) = descend(base, way, &split.path, true, resolve, names)?;
    cx.quotas.area(dir.as_fd(), &missing).map_err(|e| Refusal::call("readlink()", &split.path, e))
}

/// The quota area of the request's URI, which exists, and its path.
pub fn area_of(ex: &mut Exchange, cx: &mut Services, rules: &UploadSettings) -> Result<(Rc<Area>, Vec<u8>), Refusal> {
    let path = target_path::split(ex, cx, rules)
        .map(|(split, _)| split.path.get(..split.area).unwrap_or_default().to_vec())?;
    let failed = |call, e| Refusal::call(call, &path, e);
    let dir = file::open_at(None, &c_path(&path)?, O_PATH | O_DIRECTORY, 0).map_err(|e| failed("open()", e))?;
    let area = cx.quotas.area(dir.as_fd(), &[]).map_err(|e| failed("readlink()", e))?;
    Ok((area, path))
}

fn open_base(split: &TargetPath, rules: &UploadSettings, cx: &mut Services) -> Result<Rc<OwnedFd>, Refusal> {
    let base = c_path(&split.path[..split.trusted])?;
    match cx.directories.open(&base, &cx.now) {
        // The configuration names the store, so it may be made.
        Err(Errno::ENOENT) if rules.create_path && matches!(rules.store, Store::Path(_)) => {
            let (path, mode) = (base.to_bytes(), Mode(rules.mode).directory().0);
            let made = make_path::make_path(path, mode, || cx.syncs.made_directory());
            made.map_err(|e| Refusal::call("mkdir()", path, e))?;
            cx.directories.open(&base, &cx.now)
        }
        other => other,
    }
    .map_err(|e| Refusal::call("open()", base.to_bytes(), e))
}

/// Opens the directory `rel` beneath `base`. With `create`, missing components are left to be made.
fn descend(
    base: &Rc<OwnedFd>,
    rel: &[u8],
    path: &[u8],
    create: bool,
    resolve: u64,
    names: Names,
) -> Result<(Rc<OwnedFd>, Vec<CString>), Refusal> {
    if rel.is_empty() {
        return Ok((base.clone(), Vec::new()));
    }
    refuse_nul(rel)?;
    let failed = |e| Refusal::call("openat2()", path, e);
    if !create {
        return Ok((make_path::open_beneath(base, rel, resolve).map_err(failed)?, Vec::new()));
    }
    let (dir, rest) = make_path::deepest(base, rel, resolve).map_err(failed)?;
    let mut missing = Vec::new();
    for component in rest.rsplit(|b| *b == b'/').filter(|name| !name.is_empty()) {
        names.check(component).map_err(|why| Refusal::new(Status::BAD_REQUEST, why).detail("a directory".into()))?;
        missing.push(c_string(component)?);
    }
    missing.reverse();
    if missing.len() > MOST_MISSING {
        let why = format!("more than {MOST_MISSING} directories of the path are missing");
        return Err(Refusal::new(Status::BAD_REQUEST, why));
    }
    Ok((dir, missing))
}

impl TargetDir {
    /// The file that has the name now; links are not followed, but for those that lead to a directory.
    pub fn stat(&self, name: &[u8]) -> Result<Option<Stat>, Refusal> {
        self.stat_named(&c_path(name)?)
    }

    fn stat_named(&self, name: &CStr) -> Result<Option<Stat>, Refusal> {
        if !self.missing.is_empty() {
            return Ok(None);
        }
        match shown_at(self.dir.as_fd(), name) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(e) => Err(Refusal::call("stat()", &self.path, e)),
        }
    }

    /// Locks the version that has the name now. False: another process, or another request, is changing it.
    ///
    /// # Errors
    /// Those of the calls.
    pub fn lock(&self, name: &[u8], locks: &mut Versions) -> Result<bool, Refusal> {
        if !self.missing.is_empty() {
            return Ok(true);
        }
        match locks.lock(self.dir.as_fd(), &c_path(name)?) {
            Ok(_) => Ok(true),
            Err((_, Errno::EAGAIN)) => Ok(false),
            Err((call, e)) => Err(Refusal::call(call, &self.path, e).of(name)),
        }
    }

    /// [`TargetDir::stat`], asked once a turn for the same name.
    pub fn stat_this_turn(&mut self, name: &[u8], cx: &Services) -> Result<Option<Stat>, Refusal> {
        if let Some((moment, seen, stat)) = &self.seen
            && (*moment, &**seen) == (cx.now.epoch, name)
        {
            return Ok(*stat);
        }
        let stat = self.stat(name)?;
        self.seen = Some((cx.now.epoch, Tail::of(&self.whole, name), stat));
        Ok(stat)
    }

    /// The directory `rel` below this one, as a client names it: `album/1/`. Its missing parts are made with the
    /// rest.
    ///
    /// # Errors
    /// 400 for a component that is not a file name, such as an empty one.
    pub fn below(&self, rel: &[u8], names: Names) -> Result<TargetDir, Refusal> {
        for component in rel.strip_suffix(b"/").unwrap_or(rel).split(|b| *b == b'/') {
            names.check(component).map_err(|why| Refusal::new(Status::BAD_REQUEST, why))?;
        }
        let (dir, missing) = match self.missing.is_empty() {
            true => descend(&self.dir, rel, &self.path, true, self.resolve, names)?,
            false => {
                let more = rel.split(|b| *b == b'/').filter(|part| !part.is_empty()).map(c_string);
                (self.dir.clone(), self.missing.iter().cloned().map(Ok).chain(more).collect::<Result<_, _>>()?)
            }
        };
        Ok(TargetDir {
            dir,
            missing,
            resolve: self.resolve,
            uri: [&self.uri[..], rel].concat(),
            path: [&self.path[..], b"/", rel].concat().into(),
            whole: self.whole.clone(),
            area_ends: self.area_ends,
            at: self.at.below(rel),
            area: self.area.clone(),
            seen: None,
        })
    }

    /// Whether the path still leads to the directory. A client, or another process, may have moved it away while the
    /// body arrived: what is stored there then would be at an address that this request does not name.
    ///
    /// # Errors
    /// Those of the call.
    pub fn is_at_its_path(&mut self, now: &Clock) -> Result<bool, Refusal> {
        let leads = self.at.leads_to(self.dir.as_fd(), self.missing.len(), now);
        leads.map_err(|e| Refusal::call("stat()", &self.path, e))
    }

    /// The real path that a name will have.
    pub fn real_path(&self, name: &[u8]) -> Result<Vec<u8>, Refusal> {
        self.path_to(self.missing.iter().map(|missing| missing.to_bytes()).chain([name]))
    }

    fn path_to<'n>(&self, way: impl Iterator<Item = &'n [u8]>) -> Result<Vec<u8>, Refusal> {
        file::path_along(self.dir.as_fd(), way).map_err(|e| Refusal::call("readlink()", &self.path, e))
    }

    /// As [`find`] checked the directory: a file of that path.
    pub fn check_hidden(&self, ex: &Exchange, cx: &mut Services, path: &[u8]) -> Result<(), Refusal> {
        check_hidden(ex, cx, path, self.area_path())
    }

    /// The area's path, as it was opened.
    pub fn area_path(&self) -> &[u8] {
        self.whole.get(..self.area_ends).unwrap_or_default()
    }

    /// Whether the missing part of the path contains the area.
    pub fn lacks(&self, area: &Area) -> bool {
        let path = CString::new(area.path());
        let stat = |path: CString| file::stat_at(None, &path, Follow::Yes).err();
        !self.missing.is_empty() && path.is_ok_and(|path| stat(path) == Some(Errno::ENOENT))
    }

    /// The URIs of the directories of it that are still to be made, without their slashes.
    pub fn missing_uris(&self) -> impl Iterator<Item = &[u8]> {
        let end = |uri: &[u8], is_part: fn(u8) -> bool| uri.iter().rposition(|b| is_part(*b)).map_or(0, |at| at + 1);
        let mut uri = &self.uri[..];
        self.missing.iter().map(move |_| {
            let own = &uri[..end(uri, |b| b != b'/')];
            uri = &own[..end(own, |b| b == b'/')];
            own
        })
    }

    /// Directories of it are still to be made.
    pub fn is_missing(&self) -> bool {
        !self.missing.is_empty()
    }

    /// The real path of the first directory that is missing.
    pub fn first_missing(&self) -> Result<Option<Vec<u8>>, Refusal> {
        self.missing.first().map(|name| self.path_to([name.to_bytes()].into_iter())).transpose()
    }

    /// Makes missing directories until `is_over`; once none is missing, `dir` is the one to store in. Those that were
    /// made are added to `made`.
    ///
    /// # Errors
    /// [`Refusal::later`] where time was up before the last.
    pub fn make(&mut self, mode: u32, made: &mut NewDirectories, is_over: impl FnMut() -> bool) -> Result<(), Refusal> {
        let how = (Mode(mode).directory().0, self.resolve);
        make_path::make_beneath(&mut self.dir, &mut self.missing, how, made, is_over)
            .map_err(|(call, e)| Refusal::call(call, &self.path, e))?;
        if self.missing.is_empty() { Ok(()) } else { Err(Refusal::later()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Scratch;
    use super::*;
    use crate::config::settings::files::Symlinks;

    #[test]
    fn a_directory_is_opened_beneath_and_what_is_missing_is_made_late() {
        let scratch = Scratch::new();
        scratch.make_dir("a");
        scratch.make_dir("a/b");
        scratch.write("file", b"");
        scratch.link("in", "a/b");
        scratch.link("out", "/tmp");
        scratch.link("up", "..");
        let resolve = symlinks::beneath(&Symlinks::Off);
        let names = Names { rule: NameRule::Safe, manner: Manner::Form };
        let base = scratch.dir();
        let run = |rel: &str, create: bool| match descend(&base, rel.as_bytes(), b"p", create, resolve, names) {
            Ok((_, missing)) => {
                let names: Vec<_> = missing.iter().map(|name| name.to_string_lossy().into_owned()).collect();
                format!("{names:?}")
            }
            Err(refusal) => refusal.status.0.to_string(),
        };
        let table = [
            ("", false, "[]"),
            ("a/b/", false, "[]"),
            ("a//b", false, "[]"),
            ("in/", false, "[]"),
            ("out/", false, "403"),
            ("up/", true, "403"),
            ("out/x/", true, "403"),
            ("file/", true, "409"),
            ("x/", false, "409"),
            ("x/", true, r#"["x"]"#),
            ("a/x//y/", true, r#"["x", "y"]"#),
            ("in/x", true, r#"["x"]"#),
            ("a/.x/", true, "400"),
            ("x/../y/", true, "400"),
            (&"x/".repeat(65), true, "400"),
        ];
        for (rel, create, expected) in table {
            assert_eq!(run(rel, create), expected, "{rel:?}, create {create}");
        }
        let (dir, missing) = descend(&base, b"new/inner/", b"p", true, resolve, names).expect("descends");
        let (uri, path) = (b"/new/inner/".to_vec(), Rc::<[u8]>::from(&b"p"[..]));
        let now = Clock::read();
        let at = DirPath::new(&file::path_of(base.as_fd()).expect("a path"), b"new/inner/", &now);
        let whole = path.clone();
        let mut target =
            TargetDir { dir, missing, resolve, uri, path, whole, area_ends: 0, at, area: None, seen: None };
        let mut later = Clock::read();
        later.arrival = now.arrival + 1;
        assert_eq!(target.is_at_its_path(&later), Ok(true), "the deepest that exists");
        assert_eq!(target.stat(b"x"), Ok(None));
        let first = [&file::path_of(base.as_fd()).expect("a path")[..], b"/new"].concat();
        assert_eq!(target.first_missing().expect("a path"), Some(first), "what a lock may forbid to make");
        let mut made = NewDirectories::default();
        // Time is up after each.
        assert!(target.make(0o600, &mut made, || true).is_err_and(|refusal| refusal.later));
        assert!(scratch.exists("new") && !scratch.exists("new/inner"));
        target.make(0o600, &mut made, || true).expect("made");
        assert_eq!(target.first_missing().expect("a path"), None);
        assert!(scratch.exists("new/inner"));
        std::fs::rename(scratch.path.join("new"), scratch.path.join("moved")).expect("renamed");
        assert_eq!(target.is_at_its_path(&now), Ok(false));
        std::fs::rename(scratch.path.join("moved"), scratch.path.join("new")).expect("renamed");
        assert_eq!(target.is_at_its_path(&now), Ok(true), "all of it is there by now");
        made.unmake();
        assert!(!scratch.exists("new"));
    }

    #[test]
    fn no_path_leads_out_or_to_names_of_this_servers_own() {
        let form = Names { rule: NameRule::Safe, manner: Manner::Form };
        let put = Names { rule: NameRule::Any, manner: Manner::Dav };
        for (rest, below, names, expected) in [
            ("", "", form, None),
            ("a/b..c/..d/x", "x", form, None),
            ("..", "x", put, Some(403)),
            ("a/../x", "x", put, Some(403)),
            ("a/..", "x", put, Some(403)),
            ("x", "a/.webserv-1234/x", put, Some(400)),
            ("x", "a/.git/x", form, Some(400)),
            ("x", ".x", form, Some(400)),
            ("x", "a/.git/x", put, None),
            ("x", "a.b/x", form, None),
        ] {
            let got = check_path(rest.as_bytes(), below.as_bytes(), names).err().map(|refusal| refusal.status.0);
            assert_eq!(got, expected, "{rest} {below} {names:?}");
        }
    }
}

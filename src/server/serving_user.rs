//! The user that serves requests if the process was started by root: the configured one, or `nobody`.

use super::failure::Failure;
use super::upload_services::stores;
use crate::config::model::{Config, Location, LocationKind};
use crate::config::settings::proxy;
use crate::config::settings::upload::Store;
use crate::config::template::{Part, Template};
use crate::io::open::{ENTER, READ, WRITE, closed_above, denies_owner, reading_cure};
use crate::sys::file::{self, Stat};
use crate::sys::process;
use std::collections::BTreeSet;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A user to switch to.
#[derive(Clone, Debug)]
pub struct ServingUser {
    /// For messages.
    pub name: String,
    /// The user's id.
    pub uid: u32,
    /// The group's id: `user`'s second argument, or the user's own group.
    pub gid: u32,
    /// Whether the configuration names no user.
    pub is_default: bool,
}

/// The user to switch to. None: the process keeps its user, because it is not root or because of `user root;`.
///
/// # Errors
/// There is no such user or group.
pub fn of(config: &Config) -> Result<Option<ServingUser>, Failure> {
    // As in nginx, without a master process the user is not changed.
    if process::geteuid() != 0 || !config.process.master {
        return Ok(None);
    }
    let (name, group) = match &config.process.user {
        Some((name, group)) => (name.to_string(), group.clone()),
        None => ("nobody".to_owned(), None),
    };
    let (uid, primary) = match process::lookup_user(&name) {
        Ok(Some(ids)) => ids,
        _ => return Err(Failure::of(format!("getpwnam(\"{name}\") failed"))),
    };
    let gid = match group {
        None => primary,
        Some(group) => process::lookup_group(&group)
            .ok()
            .flatten()
            .ok_or_else(|| Failure::of(format!("getgrnam(\"{group}\") failed")))?,
    };
    let is_default = config.process.user.is_none();
    Ok((uid != 0).then_some(ServingUser { name, uid, gid, is_default }))
}

/// [`missing_rights`], preceded by notes that root's rights are dropped without a `user` directive, or that the process
/// cannot switch to the configured user.
pub fn advice(worker: Option<&ServingUser>, config: &Config) -> Vec<String> {
    let default = worker.filter(|worker| worker.is_default).map(|worker| {
        format!(
            "started by root without \"user\": serving as {}; write \"user NAME;\" for another user, \"user root;\" to stay root",
            worker.name
        )
    });
    let running = process::user_of(process::geteuid());
    let named = config.process.user.as_ref().map(|(name, _)| name).filter(|name| ***name != *running);
    let ignored = named.filter(|_| worker.is_none() && process::geteuid() != 0);
    let ignored =
        ignored.map(|name| format!("\"user {name}\" is ignored: not started by root, so serving as {running}"));
    default.into_iter().chain(ignored).chain(missing_rights(worker, config)).collect()
}

/// Directories and password files of the configuration that the serving process cannot use, with remedies. `worker`:
/// None checks the rights of this process.
pub fn missing_rights(worker: Option<&ServingUser>, config: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    let user = Subject::of(worker);
    let who = &user.name;
    let (read, written) = directories_by(config, landing);
    for path in written.iter().filter(|path| !user.can(path, WRITE)) {
        let is_missing = std::fs::metadata(path).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound);
        let shown = format!("\"{}\"", path.display());
        match is_missing {
            // Already reported as a served directory.
            true if read.contains(path) => {}
            true => {
                let chown = worker.map_or(String::new(), |worker| format!(" && chown {} {shown}", worker.name));
                lines.push(format!("{shown} does not exist, uploads there will fail: mkdir -p {shown}{chown}"));
            }
            false => {
                lines.push(format!("{who} cannot write to {shown}, uploads there will fail: {}", user.writing(path)))
            }
        }
    }
    let mut closed: Vec<(String, Vec<&PathBuf>)> = Vec::new();
    for path in read.difference(&written).filter(|path| !user.can(path, ENTER)) {
        // Already reported as missing.
        let is_there = std::fs::metadata(path).is_ok_and(|meta| meta.is_dir());
        let is_hidden = std::fs::metadata(path).is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied);
        if is_there || is_hidden {
            let cure = user.entering(path);
            match closed.iter_mut().find(|(known, _)| *known == cure) {
                Some((_, paths)) => paths.push(path),
                None => closed.push((cure, vec![path])),
            }
        }
    }
    lines.extend(closed.iter().map(|(cure, paths)| format!("{who} cannot read {}: {cure}", some_of(paths))));
    for path in password_files(config).iter().filter(|path| path.is_file() && !user.can(path, READ)) {
        let (shown, cure) = (path.display(), user.reading(path));
        lines.push(format!("{who} cannot read the passwords in \"{shown}\", every login there will fail: {cure}"));
    }
    lines
}

/// The first of them; one closed directory can be above all sites.
fn some_of(paths: &[&PathBuf]) -> String {
    const SHOWN: usize = 3;
    let mut shown: Vec<String> = paths.iter().take(SHOWN).map(|path| format!("\"{}\"", path.display())).collect();
    if paths.len() > SHOWN {
        shown.push(format!("and {} more", paths.len() - SHOWN));
    }
    shown.join(", ")
}

/// The user whose rights are checked: the worker, or this process's user.
struct Subject<'w> {
    worker: Option<&'w ServingUser>,
    name: String,
    uid: u32,
    gid: u32,
}

impl Subject<'_> {
    fn of(worker: Option<&ServingUser>) -> Subject<'_> {
        let (name, uid, gid) = match worker {
            Some(worker) => (worker.name.clone(), worker.uid, worker.gid),
            None => (process::user_of(process::geteuid()), process::geteuid(), process::getegid()),
        };
        Subject { worker, name, uid, gid }
    }

    fn can(&self, path: &Path, wanted: u32) -> bool {
        self.worker.map_or_else(|| we_can(path, wanted), |worker| worker.can(path, wanted))
    }

    /// How the user can come to where the path is, if a directory above it is closed.
    fn closed_above(&self, path: &Path) -> Option<String> {
        closed_above(path, &self.name, |above| self.can(above, ENTER))
    }

    /// How the user can get read access to a file.
    fn reading(&self, path: &Path) -> String {
        self.closed_above(path).unwrap_or_else(|| reading_cure(path, self.uid, self.gid))
    }

    /// How the user can get access to what is in a directory.
    fn entering(&self, path: &Path) -> String {
        self.closed_above(path).unwrap_or_else(|| {
            let whose = if denies_owner(path, self.uid, ENTER) { 'u' } else { 'o' };
            format!("chmod {whose}+rx \"{}\"", path.display())
        })
    }

    /// How the user can get write access to a directory.
    fn writing(&self, path: &Path) -> String {
        let (name, shown) = (&self.name, format!("\"{}\"", path.display()));
        if let Some(closed) = self.closed_above(path) {
            closed
        } else if denies_owner(path, self.uid, WRITE) {
            format!("chmod u+wx {shown}")
        } else if path.metadata().is_ok_and(|meta| meta.uid() == self.uid) {
            "its file system is read-only".to_owned()
        } else {
            format!("chown {name} {shown}")
        }
    }
}

/// The files of `auth_basic_user_file` without variables.
fn password_files(config: &Config) -> BTreeSet<PathBuf> {
    let auths = config.locations.iter().map(|location| &location.settings.auth).filter(|auth| auth.realm.is_some());
    let files = auths.filter_map(|auth| auth.file.as_ref()?.constant());
    files.map(|path| config.process.conf_dir.join(OsStr::from_bytes(path))).collect()
}

/// The longest existing prefix of a path.
pub(super) fn nearest(mut path: PathBuf) -> PathBuf {
    let is_missing = |path: &Path| std::fs::metadata(path).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound);
    while is_missing(&path) && path.pop() {}
    path
}

/// Whether this process has access, by access(2).
fn we_can(path: &Path, wanted: u32) -> bool {
    let modes = [(ENTER, file::X_OK), (WRITE & !ENTER, file::W_OK), (READ, file::R_OK)];
    let mode = modes.iter().filter(|(bit, _)| wanted & bit != 0).fold(0, |all, (_, mode)| all | mode);
    file::access(path, mode).is_ok()
}

impl ServingUser {
    /// Whether this user has access to the directory through all its parents, judging by modes only.
    fn can(&self, path: &Path, wanted: u32) -> bool {
        let stat = |path: &Path| file::stat(&CString::new(path.as_os_str().as_bytes()).ok()?).ok();
        let allows = |stat: &Stat, wanted: u32| {
            let class = if stat.uid == self.uid {
                6
            } else if stat.gid == self.gid {
                3
            } else if !self.is_default && stat.mode >> 3 & wanted == wanted {
                // A configured user may be a member of this group.
                3
            } else {
                0
            };
            stat.mode >> class & wanted == wanted
        };
        path.ancestors().skip(1).all(|above| stat(above).is_none_or(|stat| allows(&stat, ENTER)))
            && stat(path).is_some_and(|stat| allows(&stat, wanted))
    }
}

/// The directory in a template; with variables, the part before the first one.
pub fn directory(template: &Template) -> Option<PathBuf> {
    let path = template.directory()?;
    let path = if path.is_empty() { b"/" } else { path };
    Some(PathBuf::from(OsStr::from_bytes(path)))
}

/// The directory of the files that a template can name, as far as known.
fn file_directory(template: &Template) -> Option<PathBuf> {
    let Some(Part::Literal(text)) = template.parts.first() else { return None };
    let path = text.get(..memchr::memrchr(b'/', text)?.max(1))?;
    Some(PathBuf::from(OsStr::from_bytes(path)))
}

/// The directories that the configuration serves, and those in which it stores files.
pub fn directories(config: &Config) -> (BTreeSet<PathBuf>, BTreeSet<PathBuf>) {
    directories_by(config, |location| directory(&location.settings.files.root))
}

/// The directory in which names below a location's prefix are stored, up to the part that exists.
pub(super) fn landing(location: &Location) -> Option<PathBuf> {
    // It stores where its location does.
    if location.kind == LocationKind::LimitExcept {
        return None;
    }
    let files = &location.settings.files;
    // An alias may name a file, which uploads then replace.
    let root = match directory(&files.root)? {
        file if file.is_file() => file.parent()?.to_owned(),
        root => root,
    };
    let is_below = matches!(location.kind, LocationKind::Exact | LocationKind::Prefix | LocationKind::PrefixFinal)
        && files.alias.is_none()
        && files.root.constant().is_some();
    let dir = memchr::memrchr(b'/', &location.name).and_then(|at| location.name.get(1..at));
    let Some(dir) = dir.filter(|_| is_below) else { return Some(root) };
    let path = root.join(OsStr::from_bytes(dir));
    let there = path.ancestors().take_while(|path| path.starts_with(&root)).find(|path| path.exists());
    Some(there.map_or(root.clone(), Path::to_owned))
}

fn directories_by(config: &Config, place: fn(&Location) -> Option<PathBuf>) -> (BTreeSet<PathBuf>, BTreeSet<PathBuf>) {
    let (mut read, mut written) = (BTreeSet::new(), BTreeSet::new());
    for location in &config.locations {
        let settings = &location.settings;
        let root = directory(&settings.files.root);
        if stores(settings) {
            match &settings.upload.store {
                Store::Path(path) => written.extend(directory(path).or_else(|| place(location))),
                _ => written.extend(place(location)),
            }
            if !settings.dav.methods.is_empty() {
                written.extend(place(location));
            }
        }
        match location.pass.as_ref().map(|pass| &settings.upstream(pass.protocol).store) {
            // It is created if missing.
            Some(proxy::Store::Path(path)) => {
                written.extend(file_directory(path).map(nearest).or_else(|| place(location)));
            }
            Some(proxy::Store::On) => written.extend(place(location)),
            Some(proxy::Store::Off) | None => {}
        }
        if let Some(trash) = &settings.upload.trash {
            // It is created if missing.
            written.extend(directory(trash).map(nearest));
        }
        read.extend(root);
    }
    (read, written)
}

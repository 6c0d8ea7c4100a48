//! The request of a COPY or MOVE: its headers and both of its ends, checked in nginx's order before anything is
//! changed.

use super::depth::{Depth, depth};
use super::guard::{self, Change};
use super::job::Job;
use super::refuse::{failed, refuse};
use super::target::{self, Resource};
use super::transfer_checks::{Paths, TransferChecks};
use crate::exchange::flow::Flow;
use crate::exchange::handlers::listing::FormAction;
use crate::exchange::handlers::{delete, upload};
use crate::exchange::{Exchange, paths};
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::route::{NoTrace, location};
use crate::services::Services;
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, O_DIRECTORY, O_PATH, O_RDONLY, Stat};
use crate::util::{bytes, fold_case};
use std::cell::Cell;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

/// What the headers say.
struct TransferHeaders {
    destination: Vec<u8>,
    depth: Depth,
    overwrite: bool,
}

/// Directories above a name that are looked at.
const LEVELS: usize = 256;
const HOLD: &str = "source and destination hold each other";

/// The source or the destination, opened.
struct End {
    resource: Resource,
    uri: Vec<u8>,
    path: Vec<u8>,
    /// It is, or contains, the directory of a location or a trash.
    keeps_area: bool,
}

/// What the two names refer to.
struct Ends {
    /// None: the name is free.
    there: Option<Stat>,
    /// The source is a collection, and was named as one.
    collection: bool,
    /// Both names are the source's, on a file system that does not distinguish them: it gets the other spelling.
    is_respelled: bool,
    /// Both names are hard links of one file.
    is_linked: bool,
}

/// Checks the whole request.
///
/// # Errors
/// The refusal.
pub fn check(ex: &mut Exchange, cx: &mut Services) -> Result<(Job, TransferChecks), Flow> {
    let asked = headers(ex, cx)?;
    let (source, target) = ends(ex, cx, asked.destination)?;
    let found = check_ends(ex, cx, &source, &target, asked.overwrite)?;
    locks(ex, cx, &source, &target, &found)?;
    let is_made = if ex.location().settings.dav.is_extended() { found.there.is_none() } else { found.collection };
    let moves = ex.route.method == Method::Move;
    let trashes = if moves { Ok(Vec::new()) } else { paths::hidden_below(ex, cx, &source.path) };
    let trashes = trashes.map_err(|e| failed(ex, cx, "open()", e))?;
    let paths = Paths { from: source.path, to: (target.uri, target.path) };
    let sync = ex.location().settings.upload.sync;
    let job = Job {
        source: source.resource,
        target: target.resource,
        deep: asked.depth == Depth::Infinity,
        moves,
        overwrite: asked.overwrite,
        is_respelled: found.is_respelled,
        is_linked: found.is_linked,
        status: if is_made { Status::CREATED } else { Status::NO_CONTENT },
        // One rename puts a file over another, and a power cut never finds it half done.
        swaps: Cell::new(found.is_taken_by_dir() || sync && !moves),
        sync,
        stranded: Cell::default(),
        has_lost: Cell::new(moves && !found.collection && found.there.is_some() && !found.is_taken_by_dir()),
        trashes,
    };
    match TransferChecks::new(ex, cx, &job, paths, found.collection, found.there) {
        Ok(judging) => Ok((job, judging)),
        Err(refusal) => Err(upload::refuse(ex, cx, &refusal)),
    }
}

fn headers(ex: &mut Exchange, cx: &mut Services) -> Result<TransferHeaders, Flow> {
    let Some(destination) = destination(ex) else {
        let text = "client sent no or an invalid \"Destination\" header";
        return Err(refuse(ex, cx, Status::BAD_REQUEST, format_args!("{text}")));
    };
    if let Err((status, why)) = check_destination(ex, &destination) {
        return Err(refuse(ex, cx, status, format_args!("{why}")));
    }
    let depth = match (depth(ex, Depth::Infinity), ex.route.method) {
        (Some(Depth::Infinity), _) => Depth::Infinity,
        (Some(Depth::Zero), Method::Copy) => Depth::Zero,
        (_, method) => {
            let allowed = if method == Method::Copy { "0 or infinity" } else { "infinity" };
            return Err(refuse(ex, cx, Status::BAD_REQUEST, format_args!("\"Depth\" header must be {allowed}")));
        }
    };
    let overwrite = match ex.header(HeaderId::Overwrite) {
        _ if ex.route.form_action.is_some() => false,
        None | Some(b"T" | b"t") => true,
        Some(b"F" | b"f") => false,
        Some(_) => {
            return Err(refuse(ex, cx, Status::BAD_REQUEST, format_args!("client sent invalid \"Overwrite\" header")));
        }
    };
    Ok(TransferHeaders { destination, depth, overwrite })
}

/// Whether the destination is allowed, by its name alone.
fn check_destination(ex: &Exchange, destination: &[u8]) -> Result<(), (Status, String)> {
    let source = &ex.route.uri;
    if !ex.location().settings.dav.is_extended() && source.ends_with(b"/") != destination.ends_with(b"/") {
        let why = "both URI and \"Destination\" URI should be either collections or non-collections";
        return Err((Status::CONFLICT, why.into()));
    }
    if let Err(why) = target::check_name(ex, destination) {
        return Err((Status::BAD_REQUEST, format!("\"Destination\": {why}")));
    }
    // nginx writes wherever the root reaches: even into locations that do not allow it.
    let place = |uri: &[u8]| location::find(&ex.config, ex.route.server, uri, &mut NoTrace).map(|found| found.location);
    if place(source).is_err() || place(source) != place(destination) {
        return Err((Status::FORBIDDEN, "\"Destination\" lies in another location".into()));
    }
    Ok(())
}

/// Opens the source and the destination.
fn ends(ex: &mut Exchange, cx: &mut Services, destination: Vec<u8>) -> Result<(End, End), Flow> {
    let (from, to) = (as_collection(&ex.route.uri), as_collection(&destination));
    if to.starts_with(&from) || from.starts_with(&to) {
        return Err(refuse(ex, cx, Status::FORBIDDEN, format_args!("{HOLD}")));
    }
    let source = match end(ex, cx) {
        Ok(source) => source,
        Err(Errno::EBUSY) => return Err(Flow::Status(Status::FORBIDDEN)),
        Err(e) => return Err(failed(ex, cx, "open()", e)),
    };
    match ex.with_uri(destination, |ex| end(ex, cx)) {
        Ok(target) => Ok((source, target)),
        // To people who rename, 409 says that the name is taken.
        Err(Errno::ENOENT | Errno::ENOTDIR) if ex.route.form_action.is_some() => Err(Flow::Status(Status::NOT_FOUND)),
        // RFC 4918 §9.8.5: its parent collection must be made first.
        Err(Errno::ENOENT | Errno::ENOTDIR) => Err(Flow::Status(Status::CONFLICT)),
        Err(Errno::EBUSY) => Err(Flow::Status(Status::FORBIDDEN)),
        Err(e) => Err(failed(ex, cx, "open()", e)),
    }
}

/// The end that the current URI names.
fn end(ex: &mut Exchange, cx: &mut Services) -> Result<End, Errno> {
    let resource = Resource::of(ex, cx)?;
    let keeps_area = delete::keeps_area(ex, cx, resource.dir.as_fd(), &resource.name);
    Ok(End { resource, uri: ex.route.uri.clone(), path: ex.route.path.clone(), keeps_area })
}

/// A URI with one slash at its end and none doubled.
fn as_collection(uri: &[u8]) -> Vec<u8> {
    let mut uri = [uri, b"/"].concat();
    uri.dedup_by(|a, b| *a == b'/' && *b == b'/');
    uri
}

/// Whether what has the two names may be copied, moved or replaced.
fn check_ends(ex: &mut Exchange, cx: &mut Services, source: &End, target: &End, overwrite: bool) -> Result<Ends, Flow> {
    let stat = |end: &End| file::stat_at(Some(end.resource.dir.as_fd()), &end.resource.name, Follow::No);
    let there = match stat(target) {
        Ok(there) => Some(there),
        Err(Errno::ENOENT) => None,
        Err(e) => return Err(failed(ex, cx, "lstat()", e)),
    };
    let own = stat(source);
    let is_respelled = matches!((&own, &there), (Ok(own), Some(there)) if is_same(source, target, own, there));
    if is_respelled && ex.route.method == Method::Copy {
        let why = format_args!("the destination is the source by another spelling");
        return Err(refuse(ex, cx, Status::FORBIDDEN, why));
    }
    let there = there.filter(|_| !is_respelled);
    let is_linked = matches!((&own, &there), (Ok(own), Some(there)) if own.is_same_inode(there));
    let is_dir = |stat: &&Stat| stat.kind == FileKind::Dir;
    let holds = own.as_ref().ok().filter(is_dir).is_some_and(|own| is_within(&target.resource, &source.resource, own))
        || there.as_ref().filter(is_dir).is_some_and(|there| is_within(&source.resource, &target.resource, there));
    if holds {
        return Err(refuse(ex, cx, Status::FORBIDDEN, format_args!("{HOLD}")));
    }
    let kind = own.map(|stat| stat.kind);
    let is_extended = ex.location().settings.dav.is_extended();
    let collection = if is_extended { kind == Ok(FileKind::Dir) } else { ex.route.uri.ends_with(b"/") };
    if let Some(there) = &there {
        let is_dir = there.kind == FileKind::Dir;
        // A link to a directory counts as a directory here. Only WebDAV clients may replace a real one.
        let shown = || upload::shown_at(target.resource.dir.as_fd(), &target.resource.name);
        let shows_dir =
            is_dir || there.kind == FileKind::Symlink && shown().is_ok_and(|shown| shown.kind == FileKind::Dir);
        if shows_dir && !collection && !(is_extended && is_dir) {
            return Err(refuse(ex, cx, Status::CONFLICT, format_args!("the destination is a collection")));
        }
        if !overwrite {
            let status = if ex.route.form_action.is_some() { Status::CONFLICT } else { Status::PRECONDITION_FAILED };
            return Err(refuse(ex, cx, status, format_args!("the destination exists")));
        }
        if is_dir && target.keeps_area {
            let why = format_args!("the destination is or holds the directory of a location, or a trash");
            return Err(refuse(ex, cx, Status::FORBIDDEN, why));
        }
    }
    if ex.route.method == Method::Move && source.keeps_area {
        let why = format_args!("the source is or holds the directory of a location, or a trash");
        return Err(refuse(ex, cx, Status::FORBIDDEN, why));
    }
    let kind = match kind {
        Ok(kind) => kind,
        Err(e) => {
            ex.route.path.clone_from(&source.path);
            return Err(failed(ex, cx, "lstat()", e));
        }
    };
    check_kind(ex, cx, (source, kind), target, collection)?;
    Ok(Ends { there, collection, is_respelled, is_linked })
}

/// Whether what has the source's name may be copied or moved as the request says.
fn check_kind(
    ex: &mut Exchange,
    cx: &mut Services,
    (source, kind): (&End, FileKind),
    target: &End,
    collection: bool,
) -> Result<(), Flow> {
    if kind == FileKind::Dir && !collection {
        return Err(refuse(ex, cx, Status::BAD_REQUEST, format_args!("the source is a collection")));
    }
    if kind != FileKind::Dir && ex.route.uri.ends_with(b"/") {
        return Err(failed(ex, cx, "open()", Errno::ENOTDIR));
    }
    if kind == FileKind::Symlink
        && ex.route.method == Method::Move
        && !leads_there_too(&source.resource, target.resource.dir.as_fd())
    {
        let why = format_args!("the source is a relative link, which would lead elsewhere at the destination");
        return Err(refuse(ex, cx, Status::FORBIDDEN, why));
    }
    if kind == FileKind::Other && ex.route.method == Method::Copy {
        return Err(refuse(ex, cx, Status::FORBIDDEN, format_args!("the source is not a regular file")));
    }
    Ok(())
}

/// Whether both names are one file's, because the file system ignores case (vfat, exFAT, NTFS, SMB): then replacing the
/// one would remove the other. Hard links are two files here.
fn is_same(source: &End, target: &End, own: &Stat, there: &Stat) -> bool {
    if own.is_same_inode(there) {
        return own.kind == FileKind::Dir || own.nlink == 1 || !are_two_links(&source.resource, &target.resource);
    }
    // FUSE may number each name that is looked up: the directory says which of them there are.
    let (from, to) = (&source.resource, &target.resource);
    (own.dev, own.kind, own.size, own.mtime) == (there.dev, there.kind, there.size, there.mtime)
        && fold_case::is_same(from.name.to_bytes(), to.name.to_bytes())
        && [from, to].iter().any(|end| matches!(is_listed(end.dir.as_fd(), &end.name), Ok(false)))
}

/// Whether two names of one file are two of its links for certain, and not one by two spellings.
fn are_two_links(from: &Resource, to: &Resource) -> bool {
    match (real_path(from), real_path(to)) {
        (Ok(one), Ok(other)) if !fold_case::is_same(&one, &other) => true,
        (Ok(one), Ok(other)) => {
            let are_listed = [from, to].iter().all(|end| is_listed(end.dir.as_fd(), &end.name) == Ok(true));
            let dir = |path: &[u8]| memchr::memrchr(b'/', path).map(|end| path[..end].to_vec());
            dir(&one) == dir(&other) && from.name != to.name && are_listed
        }
        _ => false,
    }
}

/// Whether a symbolic link leads to the same file from another directory, too. A relative one that leads nowhere may
/// lead to something there: a client could have it lead out of the area.
fn leads_there_too(link: &Resource, dir: BorrowedFd<'_>) -> bool {
    let Ok(text) = file::readlink_at(Some(link.dir.as_fd()), &link.name) else { return false };
    let Ok(name) = file::c_string(&text[..]) else { return false };
    let end = |dir: BorrowedFd<'_>, name: &CStr| file::stat_at(Some(dir), name, Follow::Yes);
    let is_same = |name: &CStr| {
        let ends = (end(link.dir.as_fd(), name), end(dir, name));
        matches!(ends, (Ok(here), Ok(there)) if here.is_same_inode(&there))
    };
    text.starts_with(b"/") || is_same(c".") || is_same(&name)
}

/// Whether something lies below a directory, whatever its path is called. `stat`: the directory's.
fn is_within(what: &Resource, dir: &Resource, stat: &Stat) -> bool {
    is_below(what, stat) || is_below_respelled(what, dir, stat)
}

/// The same by the path, for what FUSE numbers by the names that are looked up.
fn is_below_respelled(what: &Resource, dir: &Resource, stat: &Stat) -> bool {
    let (Ok(what), Ok(dir)) = (real_path(what), real_path(dir)) else { return false };
    let level = memchr::memchr_iter(b'/', &dir).count();
    let Some(above) = memchr::memchr_iter(b'/', &what).nth(level).and_then(|end| what.get(..end)) else { return false };
    fold_case::is_same(above, &dir)
        && file::c_string(above).and_then(|above| file::lstat(&above)).is_ok_and(|above| above.is_same_file(stat))
}

fn real_path(resource: &Resource) -> Result<Vec<u8>, Errno> {
    file::path_in(resource.dir.as_fd(), resource.name.to_bytes())
}

fn is_below(what: &Resource, dir: &Stat) -> bool {
    let (mut at, mut below) = (what.dir.clone(), None);
    for _ in 0..LEVELS {
        let Ok(here) = file::fstat(at.as_fd()).map(|stat| (stat.dev, stat.ino)) else { return false };
        if here == (dir.dev, dir.ino) {
            return true;
        }
        // The root is above itself.
        if below.replace(here) == Some(here) {
            return false;
        }
        // Above the area there may be directories that this process may not search.
        let Ok(above) = file::open_at(Some(at.as_fd()), c"..", O_PATH | O_DIRECTORY, 0) else { return false };
        at = Rc::new(above);
    }
    false
}

/// Whether a directory has an entry with exactly this name.
fn is_listed(dir: BorrowedFd<'_>, name: &CStr) -> Result<bool, Errno> {
    let mut entries = file::read_dir(file::open_at(Some(dir), c".", O_RDONLY | O_DIRECTORY, 0)?);
    while entries.fill()? {
        if entries.entries().any(|entry| entry.name == name) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Ends {
    fn is_taken_by_dir(&self) -> bool {
        self.there.is_some_and(|there| there.kind == FileKind::Dir)
    }
}

/// Whether WebDAV's locks and `If` allow it.
fn locks(ex: &mut Exchange, cx: &mut Services, source: &End, target: &End, found: &Ends) -> Result<(), Flow> {
    let change = match found.there {
        None => Change::Made,
        Some(_) if found.collection || found.is_taken_by_dir() => Change::Gone,
        Some(_) => Change::Content,
    };
    let is_move = ex.route.method == Method::Move;
    let mut check = |end: &End, change| {
        guard::check(ex, cx, end.resource.dir.as_fd(), end.resource.name.to_bytes(), change).map_err(Flow::Status)
    };
    if is_move {
        check(source, Change::Gone)?;
    }
    check(target, change)
}

/// The same once everything was checked, by what has the names then.
///
/// # Errors
/// 423.
pub(super) fn check_locks(ex: &Exchange, cx: &mut Services, job: &Job, is_tree: bool) -> Result<(), Status> {
    if job.moves {
        guard::check(ex, cx, job.from(), job.source.name.to_bytes(), Change::Gone)?;
    }
    check_target_lock(ex, cx, job, is_tree)
}

/// Whether locks let the destination get its new content.
///
/// # Errors
/// 423.
pub(super) fn check_target_lock(ex: &Exchange, cx: &mut Services, job: &Job, is_tree: bool) -> Result<(), Status> {
    let there = file::stat_at(Some(job.to()), &job.target.name, Follow::No);
    let change = match there {
        Err(Errno::ENOENT) => Change::Made,
        Ok(there) if there.kind != FileKind::Dir && !is_tree => Change::Content,
        _ => Change::Gone,
    };
    guard::check(ex, cx, job.to(), job.target.name.to_bytes(), change)
}

/// The path of the Destination header: `/path` or an absolute URL of this host.
fn destination(ex: &Exchange) -> Option<Vec<u8>> {
    if let Some(FormAction::Move(to)) = &ex.route.form_action {
        return Some(to.clone()).filter(|to| !bytes::has_control(to));
    }
    let path = guard::path_of(ex, ex.header(HeaderId::Destination)?);
    let normal = path.filter(|path| !bytes::has_control(path))?;
    // It must be below the alias: the part behind the location's name.
    let len = match ex.location().settings.files.alias {
        Some(u32::MAX) | None => 0,
        Some(len) => len as usize,
    };
    (normal.len() >= len && normal.get(..len) == ex.route.uri.get(..len)).then_some(normal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};
    use std::fs;
    use std::os::unix::fs::symlink;

    /// FUSE may number each spelling of one file's name: then the directory says how many files there are. A MOVE that
    /// took one file for two would remove it before it is renamed.
    #[test]
    fn a_name_that_its_directory_does_not_list_is_the_file_by_another_spelling() {
        let mut site = Site::new("", "location / { dav_methods MOVE; }");
        let root = site.root();
        fs::write(root.join("a"), "x").expect("written");
        let mut is_one = || {
            let mut ex = site.at("MOVE /a", &[], INSIDE);
            let (source, target) = ends(&mut ex, &mut site.cx, b"/A".to_vec()).expect("both may be named");
            let from = &source.resource;
            let own = file::stat_at(Some(from.dir.as_fd()), &from.name, Follow::No).expect("it is there");
            is_same(&source, &target, &own, &Stat { ino: own.ino + 1, ..own })
        };
        assert!(is_one());
        fs::write(root.join("A"), "x").expect("written");
        assert!(!is_one(), "both are listed");
    }

    /// One rename puts a file over a file, and there is no way back: a failure after it is reported as unsure. All
    /// else is undone.
    #[test]
    fn only_a_move_of_a_file_over_a_file_loses_what_had_the_name() {
        let mut site = Site::new("", "location / { dav_methods MOVE COPY; dav_ext_methods PROPFIND; }");
        let root = site.root();
        fs::write(root.join("a"), "x").expect("written");
        fs::write(root.join("b"), "y").expect("written");
        ["d", "e"].iter().for_each(|name| fs::create_dir(root.join(name)).expect("made"));
        for (line, to, expected) in [
            ("MOVE /a", "/b", true),
            ("MOVE /a", "/new", false),
            ("MOVE /a", "/e", false),
            ("MOVE /d/", "/e/", false),
            ("MOVE /d/", "/b", false),
            ("MOVE /d/", "/new/", false),
            ("COPY /a", "/b", false),
            ("COPY /a", "/new", false),
        ] {
            let mut ex = site.at(line, &[&format!("Destination: {to}")], INSIDE);
            let Ok((job, _)) = check(&mut ex, &mut site.cx) else { panic!("{line} {to}: {}", ex.response.status.0) };
            assert_eq!(job.has_lost.get(), expected, "{line} {to}");
        }
    }

    #[test]
    fn a_relative_link_is_moved_only_where_it_leads_to_the_same_file() {
        for (text, to, expected) in [
            ("a", "/d/other", true),
            ("a", "/e/link", false),
            ("../d/a", "/e/link", true),
            ("../b", "/e/link", true),
            ("../b", "/link", false),
            ("nothing", "/e/link", false),
            ("nothing", "/d/other", true),
            ("/nothing", "/e/link", true),
        ] {
            let mut site = Site::new("", "location / { dav_methods MOVE; }");
            let root = site.root();
            ["d", "e"].iter().for_each(|name| fs::create_dir(root.join(name)).expect("made"));
            ["d/a", "e/a", "b"].iter().for_each(|name| fs::write(root.join(name), name).expect("written"));
            symlink(text, root.join("d/link")).expect("a link");
            let mut ex = site.at("MOVE /d/link", &[], INSIDE);
            let (source, target) = ends(&mut ex, &mut site.cx, to.into()).expect("both may be named");
            let leads = leads_there_too(&source.resource, target.resource.dir.as_fd());
            assert_eq!(leads, expected, "{text} {to}");
        }
    }
}

//! DELETE: a file, a link or a directory, by its name in a directory that was opened beneath its area.
//!
//! Invariant: nothing outside the area (the root, the alias) is ever removed, whatever links lie on the way; a link is
//! removed itself, never what it leads to; the area's own directory stays. nginx keeps none of the three. What is
//! gone is gone as one name ([`trash`]), or entry by entry ([`crate::services::remove_tree`]) in slices ([`removing`]).

mod form;
mod place;
mod removing;
mod trash;

pub use form::{Form, back, form, may};
pub use removing::{Removing, stopped};

use crate::config::model::{Level, LocationKind, LocationTree};
use crate::config::settings::files::Symlinks;
use crate::exchange::flow::{Begun, Flow};
use crate::exchange::handlers::dav::guard::{self, Change};
use crate::exchange::handlers::path_rules::PathRules;
use crate::exchange::handlers::settling;
use crate::exchange::paths::{self, Mapped};
use crate::exchange::{Exchange, variables};
use crate::http::cond::{self, ImsMode, Validators, Verdict};
use crate::http::escape::escape_path;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::route::{NoTrace, location};
use crate::services::Services;
use crate::services::open_files::version;
use crate::sys::Errno;
use crate::sys::file::FileKind;
use place::{Content, Links, Place, Refusal, Removed};
use trash::Trash;

/// Removes what the URI names: 204, or back to the listing by 303 when its form asked.
pub fn run(ex: &mut Exchange, cx: &mut Services) -> Begun<Removing> {
    let content = if ex.here().settings.upload.delete_recursive { Content::Removed } else { Content::Kept };
    remove(ex, cx, content, Slash::Free)
}

/// As dav_methods has it: a URI that ends in a slash removes the directory with all below, one that does not removes
/// no directory at all.
pub fn dav(ex: &mut Exchange, cx: &mut Services) -> Begun<Removing> {
    let content = if ex.route.uri.ends_with(b"/") { Content::Removed } else { Content::Kept };
    remove(ex, cx, content, Slash::Required)
}

/// As WebDAV has it (RFC 4918 §9.6): a directory goes with all below, named with or without its slash.
pub fn webdav(ex: &mut Exchange, cx: &mut Services) -> Begun<Removing> {
    remove(ex, cx, Content::Removed, Slash::Free)
}

/// Whether a directory must be named with its slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slash {
    Free,
    Required,
}

fn remove(ex: &mut Exchange, cx: &mut Services, content: Content, slash: Slash) -> Begun<Removing> {
    let Mapped::Path { root } = paths::map(ex, cx) else { return Err(Flow::Status(Status::NOT_FOUND)) };
    let settings = &ex.here().settings;
    let links = match settings.files.symlinks {
        Symlinks::Off => Links::Inside,
        Symlinks::On { .. } | Symlinks::IfNotOwner { .. } => Links::None,
    };
    let place = match settings.files.alias {
        // A regex location's alias is the whole path: its area is the directory that the configuration spells out.
        Some(u32::MAX) => Place::of_template(&ex.route.path, &settings.files.root, links),
        _ => Place::of(&ex.route.path, paths::area(ex, root), links),
    };
    let named_right = slash == Slash::Free || ex.route.uri.ends_with(b"/");
    let trash = match trash(ex, cx, root) {
        Ok(trash) => trash,
        Err(refusal) => return Err(refused(ex, cx, refusal)),
    };
    let Some(place) = place else { return Err(refused(ex, cx, Refusal::Area)) };
    let wanted = Wanted { place, content, trash, named_right };
    if content == Content::Removed
        && is_ruled_below(ex, cx)
        && let Some(dir) = wanted.place.directory()
    {
        return removing::judged(ex, cx, wanted, dir);
    }
    go(ex, cx, &wanted)
}

/// A removal that the request's own location allows.
pub struct Wanted {
    place: Place,
    content: Content,
    trash: Option<Trash>,
    /// With the slash that a directory's name has to have.
    named_right: bool,
}

/// Some path below the URI may have rules of its own.
fn is_ruled_below(ex: &mut Exchange, cx: &mut Services) -> bool {
    let rules = PathRules::of(ex, cx);
    let uri = [trim_slashes(&rules.uri), b"/"].concat();
    !rules.are_same_below(ex, &uri)
}

/// Removes it, or begins to.
fn go(ex: &mut Exchange, cx: &mut Services, wanted: &Wanted) -> Begun<Removing> {
    let Wanted { place, content, trash, named_right } = wanted;
    // The directories that upload_sync writes to the disk.
    let mut changed = Vec::new();
    let sync = ex.here().settings.upload.sync;
    let outcome = place.remove(*content, trash.as_ref(), |found, dir, name| {
        if sync {
            let dirs = [Some(dir), trash.as_ref().map(Trash::dir)];
            changed =
                settling::held(dirs.into_iter().flatten()).map_err(|errno| Refusal::Failed { call: "dup()", errno })?;
        }
        if found.itself.kind == FileKind::Dir && !named_right {
            return Err(Refusal::Failed { call: "unlink()", errno: Errno::EISDIR });
        }
        judge(ex, found, *content)?;
        guard::check(ex, cx, dir, name, Change::Gone).map_err(|_| Refusal::Locked)?;
        guard::forget(cx, dir, name);
        Ok(())
    });
    match outcome {
        Ok(Removed::Begun(removal)) => {
            let mut removing = Box::new(Removing::Going(*removal, changed, None));
            match removing.work(ex, cx) {
                Flow::Wait => Ok(removing),
                flow => Err(flow),
            }
        }
        Ok(Removed::Gone) => {
            // What was true this turn is no longer: a pipelined GET must not be answered from the file cache.
            cx.now.changed();
            cx.quotas.less();
            let then = done(ex);
            settling::begin(ex, cx, &changed, then).map(|settling| Box::new(Removing::Settling(settling)))
        }
        Err(refusal) => Err(refused(ex, cx, refusal)),
    }
}

/// Where the location has what is deleted moved to. What is in a trash already is removed for good.
fn trash(ex: &mut Exchange, cx: &mut Services, root: usize) -> Result<Option<Trash>, Refusal> {
    let config = ex.config.clone();
    let Some(template) = &config.location(ex.route.location).settings.upload.trash else { return Ok(None) };
    let area = ex.route.path.get(..root).unwrap_or_default();
    if config.trashes.iter().any(|trash| paths::is_beneath(area, trash)) {
        return Ok(None);
    }
    let path = variables::text(template, ex, cx);
    // Variables may be the client's: they name something in the trash, nothing beside it.
    if path.split(|b| *b == b'/').any(|part| part == b"..") {
        return Err(Refusal::Failed { call: "open() of the trash for", errno: Errno::EACCES });
    }
    let (trash, made) = Trash::open(&path).map_err(Refusal::Trash)?;
    if made {
        cx.syncs.made_directory();
    }
    Ok(Some(trash))
}

fn done(ex: &mut Exchange) -> Flow {
    // Only the form turns a POST into a DELETE.
    if ex.request.head.method != Method::Post {
        ex.response.status = Status::NO_CONTENT;
        return Flow::Respond;
    }
    let directory = ex.route.uri.iter().rposition(|b| *b == b'/').map_or(&b"/"[..], |at| &ex.route.uri[..=at]);
    let mut target = Vec::with_capacity(directory.len());
    escape_path(directory, &mut target);
    ex.response.location = Some(target);
    Flow::Status(Status::SEE_OTHER)
}

fn refused(ex: &mut Exchange, cx: &mut Services, refusal: Refusal) -> Flow {
    let path = String::from_utf8_lossy(&ex.route.path).into_owned();
    match refusal {
        Refusal::Area => {
            ex.report(
                cx,
                Level::Error,
                format_args!("DELETE of \"{path}\" is refused: it is or holds the directory of a location"),
            );
            Flow::Status(Status::FORBIDDEN)
        }
        Refusal::Trash(Errno::EINVAL) => {
            ex.report(cx, Level::Error, format_args!("DELETE of \"{path}\" is refused: the trash is in it"));
            Flow::Status(Status::CONFLICT)
        }
        Refusal::Trash(e) => {
            let why = match e {
                Errno::EXDEV => ": delete_trash must be on the same file system",
                _ => "",
            };
            ex.report(cx, Level::Crit, format_args!("\"{path}\" could not be moved into the trash {e}{why}"));
            Flow::Status(Status::INTERNAL_SERVER_ERROR)
        }
        Refusal::Precondition => Flow::Status(Status::PRECONDITION_FAILED),
        Refusal::Locked => Flow::Status(Status::LOCKED),
        Refusal::Failed { call, errno } => {
            let (status, level) = status(errno);
            if status != Status::NOT_FOUND || ex.here().settings.files.log_not_found {
                ex.report(cx, level, format_args!("{call} \"{path}\" failed {errno}"));
            }
            Flow::Status(status)
        }
    }
}

/// Whose fault it is that a name cannot be removed.
fn status(errno: Errno) -> (Status, Level) {
    match errno {
        Errno::ENOENT | Errno::ENAMETOOLONG => (Status::NOT_FOUND, Level::Error),
        // A directory that is not empty, a file where a directory is named, something in use.
        Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOTDIR | Errno::EISDIR | Errno::EBUSY | Errno::ETXTBSY => {
            (Status::CONFLICT, Level::Error)
        }
        // Not permitted to us, or a link that leads out of the area (EXDEV) or may not be followed (ELOOP).
        Errno::EACCES | Errno::EPERM | Errno::EROFS | Errno::EXDEV | Errno::ELOOP => (Status::FORBIDDEN, Level::Error),
        Errno::EMFILE | Errno::ENFILE => (Status::SERVICE_UNAVAILABLE, Level::Crit),
        _ => (Status::INTERNAL_SERVER_ERROR, Level::Crit),
    }
}

/// The last check before the name is gone: preconditions (RFC 9110 §13.1), and the directories that areas are.
fn judge(ex: &Exchange, found: &place::Found, content: Content) -> Result<(), Refusal> {
    let holds = || holds_area(ex) || ex.config.trashes.iter().any(|trash| paths::is_beneath(trash, &ex.route.path));
    if found.itself.kind == FileKind::Dir && (is_area(ex) || content == Content::Removed && holds()) {
        return Err(Refusal::Area);
    }
    let tag = found.content.filter(|stat| stat.kind == FileKind::Regular).map(|stat| (version(&stat), stat.mtime.0));
    let now = Validators {
        etag: tag.as_ref().map(|(tag, _)| tag.as_bytes()),
        modified: tag.as_ref().map(|(_, modified)| *modified),
        exists: true,
    };
    match cond::evaluate(&ex.request.head, ex.buf(), Method::Delete, &now, ImsMode::Off) {
        Verdict::Proceed => Ok(()),
        Verdict::Failed | Verdict::NotModified => Err(Refusal::Precondition),
    }
}

/// The URI names the directory of an area, or one that holds some: neither is moved or written over.
pub fn keeps_area(ex: &Exchange) -> bool {
    is_area(ex) || holds_area(ex)
}

/// The URI names the directory that some location is for: the configuration counts on it.
fn is_area(ex: &Exchange) -> bool {
    let bare = trim_slashes(&ex.route.uri);
    let names_it = |id| {
        let location = ex.config.location(id);
        let is_prefix = matches!(
            location.kind,
            LocationKind::Server | LocationKind::Exact | LocationKind::Prefix | LocationKind::PrefixFinal
        );
        is_prefix && trim_slashes(&location.name) == bare
    };
    let with_slash = [bare, b"/"].concat();
    names_it(ex.route.location)
        || location::find(&ex.config, ex.route.server, &with_slash, &mut NoTrace)
            .map_or(true, |found| names_it(found.location))
}

/// Some location lies below the URI: what its rules keep must not go with a directory above it.
fn holds_area(ex: &Exchange) -> bool {
    fn below(ex: &Exchange, tree: &LocationTree, prefix: &[u8]) -> bool {
        let prefixes = tree.prefixes.iter().map(|entry| (&entry.prefix, entry.location));
        let mut locations = tree.exact.iter().map(|(name, id)| (name, *id)).chain(prefixes);
        locations.any(|(name, id)| {
            name.starts_with(prefix) || ex.config.location(id).tree.as_ref().is_some_and(|tree| below(ex, tree, prefix))
        })
    }
    let prefix = [trim_slashes(&ex.route.uri), b"/"].concat();
    below(ex, &ex.server().tree, &prefix)
}

fn trim_slashes(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|b| *b != b'/').map_or(0, |at| at + 1);
    path.get(..end).unwrap_or_default()
}

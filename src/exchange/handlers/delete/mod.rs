//! DELETE: a file, a link or a directory, by its name in a directory that was opened beneath its area.
//!
//! Invariant: nothing outside the area (the root, the alias) is ever removed, whatever links are on the way; a link
//! is removed itself, never its target; the area's own directory stays. nginx guarantees none of the three. A name is
//! moved away in one step ([`mod@trash`]; by [`trash_copy`] where the file system cannot), or removed entry by entry
//! ([`crate::services::remove_tree`]) in slices ([`removing`]).

mod areas;
mod form;
mod refusals;
mod removal_target;
mod removing;
mod trash;
mod trash_copy;

pub use areas::{keeps_area, kept_names};
pub use form::{DeleteForm, back, form, may};
pub use refusals::stopped;
pub use removing::Removing;

use crate::config::model::Level;
use crate::exchange::flow::{Begun, Flow};
use crate::exchange::handlers::path_rules::{self, PathAction, PathRules, belong_together};
use crate::exchange::handlers::tree_rules::shown_elsewhere;
use crate::exchange::handlers::{failure, symlinks, upload};
use crate::exchange::mapping::literal;
use crate::exchange::paths;
use crate::exchange::{Exchange, variables};
use crate::http::status::Status;
use crate::services::Services;
use crate::sys::Errno;
use crate::util::clean_path::has_parent;
use areas::trim_slashes;
use refusals::refused;
use removal_target::{AllowedLinks, DirectoryContent, NotRemoved, RemovalTarget};
use removing::{AllowedRemoval, check_tree, go};
use trash::Trash;

/// Removes what the URI names: 204, or a 303 back to the listing if its form requested it.
pub fn run(ex: &mut Exchange, cx: &mut Services) -> Begun<Removing> {
    let content =
        if ex.location().settings.upload.delete_recursive { DirectoryContent::Removed } else { DirectoryContent::Kept };
    check_depth(ex, cx)?;
    remove(ex, cx, content, Slash::Free)
}

/// min_delete_depth.
///
/// # Errors
/// 409: the URI has fewer components.
pub fn check_depth(ex: &mut Exchange, cx: &mut Services) -> Result<(), Flow> {
    let least = ex.location().settings.dav.min_delete_depth;
    let components = ex.route.uri.split(|b| *b == b'/').filter(|part| !part.is_empty()).count() as u64;
    if components >= least {
        return Ok(());
    }
    ex.report(cx, Level::Error, format_args!("insufficient URI depth:{components} to DELETE"));
    Err(Flow::Status(Status::CONFLICT))
}

/// By dav_methods: a URI that ends in a slash removes the directory with everything below, one that does not removes
/// no directory at all.
pub fn dav(ex: &mut Exchange, cx: &mut Services) -> Begun<Removing> {
    let content = if ex.route.uri.ends_with(b"/") { DirectoryContent::Removed } else { DirectoryContent::Kept };
    remove(ex, cx, content, Slash::Required)
}

/// By WebDAV (RFC 4918 §9.6): a directory is removed with everything below, named with or without its slash.
pub fn webdav(ex: &mut Exchange, cx: &mut Services) -> Begun<Removing> {
    remove(ex, cx, DirectoryContent::Removed, Slash::Free)
}

/// Whether a directory must be named with its slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slash {
    Free,
    Required,
}

fn remove(ex: &mut Exchange, cx: &mut Services, content: DirectoryContent, slash: Slash) -> Begun<Removing> {
    let root = failure::map(ex, cx)?;
    let settings = &ex.location().settings;
    let links =
        if symlinks::writes_follow(&settings.files.symlinks) { AllowedLinks::Inside } else { AllowedLinks::None };
    let target = match settings.files.alias {
        // A regex location's alias is the whole path: its area is the directory that the configuration spells out.
        Some(u32::MAX) => RemovalTarget::of_template(&ex.route.path, &settings.files.root, links),
        _ => RemovalTarget::of(&ex.route.path, paths::area(ex, root), links),
    };
    let has_required_slash = slash == Slash::Free || ex.route.uri.ends_with(b"/");
    let (trash, shown_at) = match trash(ex, cx, root) {
        Ok(Some((trash, shown_at))) => (Some(trash), shown_at),
        Ok(None) => (None, None),
        Err(refusal) => return Err(refused(ex, cx, refusal)),
    };
    let Some(target) = target else { return Err(refused(ex, cx, NotRemoved::Area)) };
    let wanted = AllowedRemoval { target, content, trash, has_required_slash };
    if let Some(shown) = &shown_at
        && !belong_together(ex, &ex.route.uri, shown)
    {
        return Err(upload::refuse(ex, cx, &shown_elsewhere(&ex.route.uri)));
    }
    if wanted.target.directory().is_some()
        && let Err(refusal) = path_rules::check_directory(ex, cx)
    {
        return Err(upload::refuse(ex, cx, &refusal));
    }
    if content == DirectoryContent::Removed
        && is_ruled_below(ex, cx, shown_at.as_deref())
        && let Some(dir) = wanted.target.directory()
    {
        return check_tree(ex, cx, wanted, dir, shown_at);
    }
    go(ex, cx, &wanted)
}

/// Some path below the URI, or below the one that it is moved to, may have rules of its own.
fn is_ruled_below(ex: &mut Exchange, cx: &mut Services, shown_at: Option<&[u8]>) -> bool {
    let rules = PathRules::of(ex, cx);
    let is_uniform = |uri: &[u8]| rules.are_same_below(ex, &[trim_slashes(uri), b"/"].concat(), PathAction::Remove);
    !is_uniform(&rules.uri) || !shown_at.is_none_or(is_uniform)
}

/// A trash directory, and the URI that something will have in it.
type Taking = (Trash, Option<Vec<u8>>);

/// The trash directory of the location, and the URI that the deleted name will have there, if the trash is shown.
/// What is in a trash already is removed for good.
fn trash(ex: &mut Exchange, cx: &mut Services, root: usize) -> Result<Option<Taking>, NotRemoved> {
    let config = ex.config.clone();
    let Some(template) = &config.location(ex.route.location).settings.upload.trash else { return Ok(None) };
    let area = ex.route.path.get(..root).unwrap_or_default();
    let holds = |trash: &[u8]| paths::is_beneath(area, trash) || paths::is_beneath(&ex.route.path, trash);
    if config.trashes.iter().any(|trash| holds(trash)) {
        return Ok(None);
    }
    let path = variables::text(template, ex, cx);
    if upload::lacks_name(template, ex, cx) {
        let text = format_args!("delete_trash has a directory whose variables are empty");
        ex.report(cx, Level::Error, text);
        return Err(NotRemoved::Failed { call: "open() of the trash for", errno: Errno::EACCES });
    }
    // The client may choose variables: they may name something in the trash, but nothing outside it.
    if has_parent(path.get(literal(template, &path)..).unwrap_or_default()) {
        return Err(NotRemoved::Failed { call: "open() of the trash for", errno: Errno::EACCES });
    }
    let trash = Trash::at(&path).map_err(NotRemoved::Trash)?;
    let is_hidden = config.hidden_dirs.iter().any(|hidden| paths::is_beneath(&path, hidden));
    let shown_at = if is_hidden { None } else { uri_in(ex, root, &path) };
    Ok(Some((trash, shown_at)))
}

/// The URI that the deleted name will have in the location once it lies in that directory. None: the location does
/// not reach there.
fn uri_in(ex: &Exchange, root: usize, directory: &[u8]) -> Option<Vec<u8>> {
    let way = paths::below(directory, ex.route.path.get(..root)?)?;
    let base = match ex.location().settings.files.alias {
        None => &b"/"[..],
        Some(u32::MAX) => return None,
        Some(len) => ex.route.uri.get(..len as usize)?,
    };
    let name = ex.route.uri.split(|b| *b == b'/').rfind(|name| !name.is_empty())?;
    let end: &[u8] = if ex.route.uri.ends_with(b"/") { b"/" } else { b"" };
    let mut uri = [base, b"/", way, b"/", name, end].concat();
    uri.dedup_by(|a, b| *a == b'/' && *b == b'/');
    Some(uri)
}

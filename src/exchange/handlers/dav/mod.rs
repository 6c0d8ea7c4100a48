//! dav_methods: nginx's rules for PUT and DELETE, and MKCOL, COPY and MOVE (RFC 4918 §9); and what dav_ext_methods
//! adds.
//!
//! - [`transfer_request`], [`transfer`], [`copying`]: COPY and MOVE checked, done in slices, written
//! - [`versioned`]: their steps that change a version which the request names
//! - [`ext`]: bodies of XML, for [`propfind`], [`proppatch`] and [`lock`]
//! - [`guard`], [`lock_tokens`]: whether locks and `If` allow a change; which tokens a request has
//! - [`target`]: a URI as a name in a directory
//!
//! Invariant: what is written, moved or removed lies beneath the root or alias of the location, wherever links lead.

pub mod copied;
pub mod copying;
mod depth;
pub mod ext;
pub mod guard;
mod job;
mod lock;
pub mod lock_tokens;
mod propfind;
mod proppatch;
mod refuse;
mod target;
mod transfer;
mod transfer_checks;
mod transfer_request;
mod versioned;

pub use refuse::locked;
pub use transfer::Transfer;

use super::delete::{self, Removing};
use super::methods;
use super::path_rules::{PathAction, PathRules, Target, is_form_action};
use super::syncing::{self, Back, Syncing};
use super::upload::{self, QuotaShare, Upload};
use crate::exchange::Exchange;
use crate::exchange::flow::{Begun, Flow};
use crate::http::escape::escape_path;
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::quotas::Usage;
use crate::sys::Errno;
use crate::sys::file::{self, Follow};
use depth::{Depth, depth};
use guard::Change;
use refuse::{failed, refuse};
use std::os::fd::AsFd;
use target::Resource;

/// What a request continues as.
pub enum Work {
    /// PUT: its body is stored.
    Upload(Box<Upload>),
    /// DELETE of a directory.
    Removing(Box<Removing>),
    /// COPY or MOVE.
    Transfer(Box<Transfer>),
    /// PROPFIND, PROPPATCH, LOCK or UNLOCK: its body is read first.
    Request(Box<ext::XmlRequest>),
    /// The change is made; the disk is waited for.
    Syncing(Box<Syncing>),
}

/// A request whose method is one of dav_methods.
pub fn run(ex: &mut Exchange, cx: &mut Services) -> Result<Work, Flow> {
    if ex.location().settings.dav.ext.contains(ex.route.method) {
        return ext::begin(ex, cx).map(Work::Request);
    }
    if ex.route.method == Method::Put {
        before_put(ex, cx)?;
        return upload::start(ex, cx).map(Work::Upload);
    }
    if ex.location().settings.dav.is_extended() {
        guard::preconditions(ex, cx)?;
    }
    if ex.request.has_content() && !is_form_action(ex) {
        let method = ex.route.method.name();
        return Err(refuse(ex, cx, Status::UNSUPPORTED_MEDIA_TYPE, format_args!("{method} with body is unsupported")));
    }
    match ex.route.method {
        Method::Delete => remove(ex, cx).map(Work::Removing),
        Method::Mkcol => {
            let _held = guard::conditions(ex, cx)?;
            let mut made = None;
            let then = make(ex, cx, &mut made);
            match made {
                Some(made) => {
                    let above = made.0.clone();
                    syncing::begin(ex, cx, &[above], then, Some(Back::Made(made))).map(Work::Syncing)
                }
                None => Err(then),
            }
        }
        _ => transfer::run(ex, cx).map(Work::Transfer),
    }
}

/// The conditions that a PUT of dav_methods must meet, plain or resumable.
///
/// # Errors
/// The response.
pub fn before_put(ex: &mut Exchange, cx: &mut Services) -> Result<(), Flow> {
    if ex.location().settings.dav.is_extended() {
        guard::preconditions(ex, cx)?;
    }
    if ex.route.uri.ends_with(b"/") {
        return Err(refuse(ex, cx, Status::CONFLICT, format_args!("cannot PUT to a collection")));
    }
    if ex.header(HeaderId::ContentRange).is_some() {
        return Err(refuse(ex, cx, Status::NOT_IMPLEMENTED, format_args!("PUT with range is unsupported")));
    }
    Ok(())
}

fn remove(ex: &mut Exchange, cx: &mut Services) -> Begun<Removing> {
    // Before the Depth header, as in nginx.
    delete::check_depth(ex, cx)?;
    let collection = ex.route.uri.ends_with(b"/");
    // The form of the listing page names folders without their slash.
    if is_form_action(ex) {
        return delete::webdav(ex, cx);
    }
    if ex.location().settings.dav.is_extended() {
        return match depth(ex, Depth::Infinity) {
            Some(Depth::Infinity) => delete::webdav(ex, cx),
            _ => Err(refuse(ex, cx, Status::BAD_REQUEST, format_args!("\"Depth\" header must be infinity"))),
        };
    }
    match (depth(ex, Depth::Infinity), collection) {
        (Some(Depth::Infinity), _) | (Some(Depth::Zero), false) => delete::dav(ex, cx),
        (_, true) => Err(refuse(ex, cx, Status::BAD_REQUEST, format_args!("\"Depth\" header must be infinity"))),
        (_, false) => Err(refuse(ex, cx, Status::BAD_REQUEST, format_args!("\"Depth\" header must be 0 or infinity"))),
    }
}

/// Whether the quota allows one more directory; gives its share.
fn admit(ex: &mut Exchange, cx: &mut Services, resource: &Resource) -> Result<Option<QuotaShare>, Flow> {
    let there = || file::stat_at(Some(resource.dir.as_fd()), &resource.name, Follow::No);
    if ex.location().settings.upload.quota.is_none() || there() != Err(Errno::ENOENT) {
        return Ok(None);
    }
    match upload::check_directory(ex, cx) {
        Ok(share) => Ok(share),
        Err(refusal) if refusal.later => Err(upload::later(cx)),
        Err(refusal) => Err(upload::refuse(ex, cx, &refusal)),
    }
}

/// `made`: the name of the directory that was made.
fn make(ex: &mut Exchange, cx: &mut Services, made: &mut Option<syncing::Name>) -> Flow {
    // The slash of a collection's name is optional (RFC 4918 §5.2), and clients on phones omit it; nginx answers 409.
    if let Err(why) = target::check_name(ex, &ex.route.uri) {
        return refuse(ex, cx, Status::BAD_REQUEST, format_args!("MKCOL: {why}"));
    }
    // Without its slash the name may belong to another location than the directory will.
    if !ex.route.uri.ends_with(b"/") {
        let paths = PathRules::of(ex, cx);
        let uri = [&paths.uri[..], b"/"].concat();
        if let Err(refusal) = paths.check(ex, cx, Target { uri: &uri, path: None }, PathAction::Put) {
            return upload::refuse(ex, cx, &refusal);
        }
    }
    let resource = match Resource::of(ex, cx) {
        Ok(resource) => resource,
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Flow::Status(Status::CONFLICT),
        // The root is there already.
        Err(Errno::EBUSY) => return methods::not_allowed(ex),
        Err(e) => return failed(ex, cx, "mkdir()", e),
    };
    if let Err(status) = guard::check(ex, cx, resource.dir.as_fd(), resource.name.to_bytes(), Change::Made) {
        return Flow::Status(status);
    }
    let _share = match admit(ex, cx, &resource) {
        Ok(share) => share,
        Err(flow) => return flow,
    };
    let mode = target::directory_mode(ex);
    match file::mkdir_at(Some(resource.dir.as_fd()), &resource.name, mode) {
        Ok(()) => {
            cx.quotas.stored(resource.dir.as_fd(), Usage::directories(1), Usage::default());
            cx.now.changed();
            cx.checked_trees.name_added(resource.dir.as_fd());
            cx.syncs.made_directory();
            *made = Some((resource.dir, resource.name));
            let mut location = Vec::new();
            escape_path(&ex.route.uri, &mut location);
            if !location.ends_with(b"/") {
                location.push(b'/');
            }
            if ex.route.form_action.is_some() {
                return delete::back(ex);
            }
            ex.response.location = Some(location);
            ex.response.status = Status::CREATED;
            Flow::Respond
        }
        Err(Errno::EEXIST) if ex.route.form_action.is_some() => Flow::Status(Status::CONFLICT),
        Err(Errno::EEXIST) => methods::not_allowed(ex),
        Err(Errno::ENOENT | Errno::ENOTDIR) => Flow::Status(Status::CONFLICT),
        Err(e) => failed(ex, cx, "mkdir()", e),
    }
}

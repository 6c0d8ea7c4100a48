//! Whether locks and `If` allow a change (RFC 4918 §7, §10.4). Every write asks here, whatever its method.
//!
//! Invariant: a name that is covered by a lock is changed only by a request that names the lock's token in `If` and
//! comes from the client that has it.

use super::job::Job;
pub use super::lock_tokens::{Change, check_path};
use super::target::{self, LockKey, Resource};
use crate::config::model::Level;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::versions::{self, Denied, NameStat, Versions};
use crate::exchange::{Exchange, origin};
use crate::http::dav::condition::{self, ByResource, List, State};
use crate::http::dav::lock::Token;
use crate::http::etag::{Strength, is_same};
use crate::http::header::HeaderId;
use crate::http::status::Status;
use crate::http::uri;
use crate::services::Services;
use crate::services::dav_locks::Forgotten;
use crate::services::open_files::version;
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

/// Whether locks let the request change `name` in the directory `dir`.
///
/// # Errors
/// 423.
pub fn check(ex: &Exchange, cx: &mut Services, dir: BorrowedFd<'_>, name: &[u8], change: Change) -> Result<(), Status> {
    if cx.dav_locks.is_empty() {
        return Ok(());
    }
    let path = file::path_in(dir, name).map_err(|_| Status::INTERNAL_SERVER_ERROR)?;
    check_path(ex, cx, &path, change)
}

/// The name has gone: its locks, and those of what was in it, go with it.
pub fn forget(cx: &mut Services, dir: BorrowedFd<'_>, name: &[u8]) -> Forgotten {
    match lockable(cx, dir, name) {
        Some(path) => cx.dav_locks.forget(&path),
        None => Forgotten::default(),
    }
}

/// The path under which locks know the name, if there are any locks.
pub fn lockable(cx: &Services, dir: BorrowedFd<'_>, name: &[u8]) -> Option<Vec<u8>> {
    if cx.dav_locks.is_empty() {
        return None;
    }
    file::path_in(dir, name).ok()
}

/// Checks `If`, if the request has one.
///
/// # Errors
/// 412, and 400 for one that is malformed.
pub fn preconditions(ex: &mut Exchange, cx: &mut Services) -> Result<(), Flow> {
    let Some(value) = ex.header(HeaderId::If).map(<[u8]>::to_vec) else { return Ok(()) };
    let Some(lists) = condition::parse(&value) else {
        ex.report(cx, Level::Error, format_args!("client sent an invalid \"If\" header"));
        return Err(Flow::Status(Status::BAD_REQUEST));
    };
    any_holds(&lists, ex, cx)
}

/// RFC 9110 §13.1: the conditions of a request whose method changes at once what its URI names, or makes it. A version
/// that they name is locked until what is returned is dropped.
///
/// # Errors
/// 412, and 503 while another process, or another request, is changing the version.
pub fn conditions(ex: &mut Exchange, cx: &mut Services) -> Result<Versions, Flow> {
    let mut locks = Versions::default();
    if !versions::has_conditions(&ex.request.head) {
        return Ok(locks);
    }
    let there = match Resource::of(ex, cx) {
        Ok(resource) => {
            let (dir, name) = (resource.dir.as_fd(), &resource.name);
            let named = versions::names_version(&ex.request.head, ex.buf());
            if named && let Err((_, Errno::EAGAIN)) = locks.lock(dir, name) {
                return Err(Denied::Busy.flow(ex));
            }
            NameStat::of(dir, name)
        }
        Err(Errno::EBUSY) => file::c_string(&ex.route.path[..]).and_then(|area| file::stat(&area)).map(NameStat::from),
        Err(e) => Err(e),
    };
    // What cannot be looked at is not there.
    match versions::allow(versions::own(ex), ex, there.ok().as_ref(), cx.now.unix) {
        true => Ok(locks),
        false => Err(Flow::Status(Status::PRECONDITION_FAILED)),
    }
}

fn any_holds(lists: &[List<'_>], ex: &mut Exchange, cx: &mut Services) -> Result<(), Flow> {
    cx.dav_locks.expire(cx.now.ms);
    let mut looked = ByResource::default();
    match lists.iter().any(|list| holds(list, looked.at(list, |resource| Known::of(resource, ex, cx)))) {
        true => Ok(()),
        false => Err(Flow::Status(Status::PRECONDITION_FAILED)),
    }
}

/// The request's `If`, if it applies and names a version.
pub fn named_versions(ex: &Exchange) -> Option<Vec<u8>> {
    let value = ex.header(HeaderId::If).filter(|_| ex.location().settings.dav.is_extended())?;
    condition::parse(value)?.iter().any(names_version).then(|| value.to_vec())
}

fn names_version(list: &List<'_>) -> bool {
    list.conditions.iter().any(|one| matches!(one.state, State::ETag(_)))
}

/// If `If` names versions: locks the files concerned, and evaluates it again with their present state.
///
/// # Errors
/// It is another version, or it is being changed.
pub fn hold(ex: &mut Exchange, cx: &mut Services, locks: &mut Versions) -> Result<(), Denied> {
    let value = named_versions(ex);
    hold_of(ex, cx, value.as_deref(), locks)
}

/// As [`hold`], for an `If` that an earlier request sent for this URI.
///
/// # Errors
/// It is another version, or it is being changed.
pub fn hold_of(ex: &mut Exchange, cx: &mut Services, value: Option<&[u8]>, locks: &mut Versions) -> Result<(), Denied> {
    let Some(value) = value else { return Ok(()) };
    let lists = condition::parse(value).unwrap_or_default();
    lock_named(&lists, None, ex, cx, locks)?;
    hold_still(&lists, ex, cx)
}

/// Evaluated once more, with the files locked: a file that cannot be looked at fulfils nothing.
fn hold_still(lists: &[List<'_>], ex: &mut Exchange, cx: &mut Services) -> Result<(), Denied> {
    ex.keeping_path(|ex| any_holds(lists, ex, cx)).map_err(|_| Denied::Changed)
}

/// Locks the files whose versions are named, and `source` with them.
///
/// # Errors
/// Another process, or another request, is changing one.
fn lock_named(
    lists: &[List<'_>],
    source: Option<(BorrowedFd<'_>, &CStr)>,
    ex: &mut Exchange,
    cx: &mut Services,
    locks: &mut Versions,
) -> Result<(), Denied> {
    let named = ex.keeping_path(|ex| named_resources(lists, ex, cx));
    let all = named.iter().map(|resource| (resource.dir.as_fd(), &*resource.name)).chain(source);
    lock_all(all, locks)
}

/// The files whose versions are named.
fn named_resources(lists: &[List<'_>], ex: &mut Exchange, cx: &mut Services) -> Vec<Resource> {
    let mut looked = ByResource::default();
    for list in lists.iter().filter(|list| names_version(list)) {
        looked.at(list, |resource| match resource {
            Some(url) => {
                let uri = path_of(ex, url)?;
                ex.with_uri(uri, |ex| Resource::of(ex, cx)).ok()
            }
            None => Resource::of(ex, cx).ok(),
        });
    }
    looked.into_all().flatten().collect()
}

/// Locks them in an order that all processes share: of two that want the same files, one gets them all.
///
/// # Errors
/// Another process, or another request, is changing one. A file that cannot be looked at is left out.
fn lock_all<'a>(names: impl Iterator<Item = (BorrowedFd<'a>, &'a CStr)>, locks: &mut Versions) -> Result<(), Denied> {
    let number = |(dir, name): &(BorrowedFd<'a>, &'a CStr)| {
        file::stat_at(Some(*dir), name, Follow::No).ok().map(|stat| (stat.dev, stat.ino))
    };
    let mut names: Vec<_> = names.map(|one| (number(&one), one)).collect();
    names.sort_by_key(|(number, _)| *number);
    for (_, (dir, name)) in names {
        if let Err((_, Errno::EAGAIN)) = locks.lock(dir, name) {
            return Err(Denied::Busy);
        }
    }
    Ok(())
}

/// A COPY or MOVE is about to begin: checks the conditions on its source (RFC 9110 §13.1: they apply to the URI's
/// resource), and those of `If`.
///
/// # Errors
/// It is another version, or it is being changed.
pub fn hold_both(ex: &mut Exchange, cx: &mut Services, job: &Job) -> Result<Versions, Denied> {
    let mut locks = Versions::default();
    let source = (job.from(), &*job.source.name);
    let is_conditional = versions::has_conditions(&ex.request.head);
    let value = named_versions(ex);
    let lists = value.as_deref().and_then(condition::parse).unwrap_or_default();
    lock_named(&lists, is_conditional.then_some(source), ex, cx, &mut locks)?;
    if is_conditional {
        // If it cannot be looked at, the change itself reports that.
        let there = NameStat::of(source.0, source.1).ok();
        if !versions::allow(versions::own(ex), ex, there.as_ref(), cx.now.unix) {
            return Err(Denied::Changed);
        }
    }
    if value.is_some() {
        hold_still(&lists, ex, cx)?;
    }
    Ok(locks)
}

/// MOVE by copying: locks the source, which is about to be removed, and which was judged before it was copied.
///
/// # Errors
/// [`Denied::Changed`] also where another client has taken a lock (RFC 4918) on it, or it cannot be locked.
pub fn hold_leaving(ex: &Exchange, cx: &mut Services, job: &Job) -> Result<Versions, Denied> {
    check(ex, cx, job.from(), job.source.name.to_bytes(), Change::Gone).map_err(|_| Denied::Changed)?;
    let mut locks = Versions::default();
    if versions::names_version(&ex.request.head, ex.buf()) || named_versions(ex).is_some() {
        locks
            .lock(job.from(), &job.source.name)
            .map_err(|(_, e)| if e == Errno::EAGAIN { Denied::Busy } else { Denied::Changed })?;
    }
    Ok(locks)
}

/// What the lists about a resource are compared with.
struct Known {
    /// None: no file can have that name.
    key: Option<LockKey>,
    /// Of all locks that cover it.
    tokens: Vec<Token>,
}

impl Known {
    /// `resource`: a URL; None: the request's own.
    fn of(resource: Option<&[u8]>, ex: &mut Exchange, cx: &mut Services) -> Known {
        let uri = match resource {
            None => Some(ex.route.uri.clone()),
            Some(url) => path_of(ex, url),
        };
        let key = uri.and_then(|uri| target::key(ex, cx, &uri));
        let mut tokens = Vec::new();
        if let Some(key) = &key {
            cx.dav_locks.each_covering(&key.path, |lock| tokens.push(lock.token));
        }
        Known { key, tokens }
    }
}

fn holds(list: &List<'_>, known: &Known) -> bool {
    list.conditions.iter().all(|condition| is_so(condition.state, known) != condition.not)
}

fn is_so(state: State<'_>, known: &Known) -> bool {
    let Some(key) = &known.key else { return false };
    match state {
        State::Token(token) => Token::parse(token).is_some_and(|token| known.tokens.contains(&token)),
        State::ETag(tag) => key
            .stat
            .filter(|stat| stat.kind == FileKind::Regular)
            .is_some_and(|stat| is_same(tag, version(&stat).as_bytes(), Strength::Strong)),
    }
}

/// The path of a URL of this host.
pub fn path_of(ex: &Exchange, url: &[u8]) -> Option<Vec<u8>> {
    let path = if url.starts_with(b"/") { url } else { origin::own_path(ex, url)? };
    let mut normal = Vec::new();
    uri::normalize(path, uri::Slashes::Merge, &mut normal).ok()?;
    Some(normal)
}

#[cfg(test)]
mod tests {
    use super::super::transfer_request;
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};
    use crate::sys::file;
    use std::os::fd::AsFd;

    /// The version was compared before the copy was made; the old name goes only after that.
    #[test]
    fn a_version_that_another_process_changes_is_not_removed_by_a_move_that_names_it() {
        let mut site = Site::new("", "location / { dav_methods MOVE; dav_ext_methods PROPFIND; }");
        let path = site.root().join("a");
        std::fs::write(&path, "x").expect("written");
        let mut ex = site.at("MOVE /a", &["Destination: /b"], INSIDE);
        let (job, _) = transfer_request::check(&mut ex, &mut site.cx).expect("it may be moved");
        let held = std::fs::File::open(&path).expect("it is there");
        file::flock(held.as_fd()).expect("locked");
        for (fields, is_busy) in [
            (&[][..], false),
            (&["If-Match: *"], false),
            (&["If-Match: \"x\""], true),
            (&["If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT"], true),
            (&["If: ([\"x\"])"], true),
            (&["If: (<urn:a:b>)"], false),
            (&["If-Match: \"x\"", "If: ([\"x\"])"], true),
        ] {
            let ex = site.at("MOVE /a", fields, INSIDE);
            let outcome = hold_leaving(&ex, &mut site.cx, &job).map(drop);
            assert_eq!(outcome, if is_busy { Err(Denied::Busy) } else { Ok(()) }, "{fields:?}");
        }
    }
}

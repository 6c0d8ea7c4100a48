//! A DELETE in progress: done at once, or for a directory with everything in it a slice each turn of the loop. It is
//! finished even if its client goes away: a tree that is half removed is of no use.

use super::areas::{holds_area, holds_kept, is_area, trim_slashes};
use super::removal_target::{DirectoryContent, NotRemoved, RemovalTarget, Removed};
use super::trash::{Trash, Trashed};
use crate::config::model::Level;
use crate::exchange::Exchange;
use crate::exchange::flow::{Begun, Flow};
use crate::exchange::handlers::dav::guard::{self, Change};
use crate::exchange::handlers::dav::lock_tokens::RemovalPermission;
use crate::exchange::handlers::first_slice;
use crate::exchange::handlers::path_rules::{PathAction, PathRules};
use crate::exchange::handlers::syncing::{self, Back, Syncing};
use crate::exchange::handlers::tree_rules::{Base, TreeRules};
use crate::exchange::handlers::upload;
use crate::exchange::handlers::versions::{self, Denied, NameStat, Versions};
use crate::exchange::response::ContentType;
use crate::http::escape::escape_path;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::remove_tree::{Removal, RemovalPolicy, Stuck};
use crate::services::temp_names::{HiddenKind, is_hidden};
use crate::sys::Errno;
use crate::sys::file::{FileKind, Stat};
use std::ffi::{CStr, CString};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;

/// The rules of a tree in which other rules than the request's may apply.
type Rules = Box<(TreeRules, PathRules)>;

/// A removal that the request's own location allows.
pub struct AllowedRemoval {
    /// The name to be removed.
    pub(super) target: RemovalTarget,
    /// What becomes of a directory with entries.
    pub(super) content: DirectoryContent,
    /// delete_trash; None: it is removed for good.
    pub(super) trash: Option<Trash>,
    /// It ends in the slash that a directory's name must have.
    pub(super) has_required_slash: bool,
}

/// The steps of a DELETE that outlasts a turn.
pub enum Removing {
    /// Whether everything in it may be removed is being checked: nothing has been removed yet.
    Checking(Rules, Box<AllowedRemoval>),
    /// With the directories that upload_sync writes to the disk at the end. The locks and the rules are asked again
    /// about each entry: it may have come, or been locked, since all were checked.
    Deleting { removal: Removal, changed: Vec<Rc<OwnedFd>>, leave: RemovalPermission, rules: Option<Rules> },
    /// It is gone.
    Syncing(Box<Syncing>),
}

/// For a directory, open for reading, in which other rules may apply. `shown_at`: the URI that it will have in a
/// trash.
pub fn check_tree(
    ex: &mut Exchange,
    cx: &mut Services,
    wanted: AllowedRemoval,
    dir: OwnedFd,
    shown_at: Option<Vec<u8>>,
) -> Begun<Removing> {
    let rules = PathRules::of(ex, cx);
    let base = Base::new(&rules.uri, &ex.route.path);
    let tree = TreeRules::new(cx, dir, base, &[PathAction::Remove], None)
        .map_err(|e| upload::refuse(ex, cx, &upload::Refusal::call("dup()", b"", e)))?;
    let tree = tree.shown_at(shown_at.map(|uri| [trim_slashes(&uri), b"/"].concat()));
    let removing = Removing::Checking(Box::new((tree, rules)), Box::new(wanted));
    first_slice::begin(Box::new(removing), ex, cx, Removing::work)
}

impl Removing {
    /// The next slice.
    pub fn work(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        loop {
            match self {
                Removing::Checking(rules, wanted) => {
                    let (tree, paths) = &mut **rules;
                    match tree.step(ex, cx, paths) {
                        Ok(true) if !cx.slice.is_over() => {}
                        Ok(true) => return Flow::Wait,
                        Err(refusal) => return upload::refuse(ex, cx, &refusal),
                        Ok(false) => match go(ex, cx, wanted) {
                            Ok(going) => {
                                let checking = std::mem::replace(self, *going);
                                if let (Removing::Checking(checked, _), Removing::Deleting { rules, .. }) =
                                    (checking, self)
                                {
                                    *rules = Some(checked);
                                }
                                return Flow::Wait;
                            }
                            Err(flow) => return flow,
                        },
                    }
                }
                Removing::Deleting { removal, changed, leave, rules } => {
                    let flow = match remove(removal, ex, cx, (leave, rules.as_deref())) {
                        Ok(flow) => flow,
                        Err(flow) => return flow,
                    };
                    match syncing::begin(ex, cx, changed, flow, None) {
                        Ok(syncing) => *self = Removing::Syncing(syncing),
                        Err(flow) => return flow,
                    }
                    return Flow::Wait;
                }
                Removing::Syncing(syncing) => return syncing.work(ex, cx),
            }
        }
    }

    /// Whether it waits for the disk.
    pub fn waits(&self) -> bool {
        matches!(self, Removing::Syncing(_))
    }
}

/// Checks locks and rules for each entry before it is removed.
struct Judged<'a> {
    ex: &'a mut Exchange,
    cx: &'a mut Services,
    leave: &'a RemovalPermission,
    rules: Option<&'a (TreeRules, PathRules)>,
}

impl RemovalPolicy for Judged<'_> {
    fn hide(&mut self, dir: BorrowedFd<'_>) -> CString {
        self.cx.temp_names.hidden_in(dir, HiddenKind::Delete)
    }

    fn may(&mut self, _: BorrowedFd<'_>, parent: &[u8], name: &CStr, is_dir: bool) -> Result<(), Errno> {
        self.leave.check(&self.cx.dav_locks, parent, name)?;
        let Some((tree, paths)) = self.rules else { return Ok(()) };
        // A file that another request is writing, or one in such a directory.
        if is_hidden(parent) || is_hidden(name.to_bytes()) {
            return Ok(());
        }
        let kind = if is_dir { FileKind::Dir } else { FileKind::Regular };
        tree.check(self.ex, self.cx, paths, parent, name, (kind, 0)).map_err(|_| Errno::EACCES)
    }
}

/// Ok: all of it is gone. Err: not yet, or it cannot be removed.
fn remove(
    removal: &mut Removal,
    ex: &mut Exchange,
    cx: &mut Services,
    (leave, rules): (&RemovalPermission, Option<&(TreeRules, PathRules)>),
) -> Result<Flow, Flow> {
    removal.leave_moved().map_err(|stuck| stopped(ex, cx, &stuck, removal.removed))?;
    loop {
        let outcome = removal.step(Judged { ex, cx, leave, rules });
        if outcome == Ok(true) && !cx.slice.is_over() {
            continue;
        }
        // Earlier looks at files in this turn no longer hold: a pipelined GET must not be answered from the file
        // cache.
        cx.now.changed();
        cx.quotas.files_removed();
        return match outcome {
            Ok(true) => Err(Flow::Wait),
            Ok(false) => {
                leave.forget(cx);
                Ok(done(ex))
            }
            Err(stuck) => Err(stopped(ex, cx, &stuck, removal.removed)),
        };
    }
}

/// Something in the directory cannot be removed: names it, and says that the rest is left.
pub fn stopped(ex: &mut Exchange, cx: &mut Services, stuck: &Stuck, removed: u64) -> Flow {
    let Stuck { path, call, errno } = stuck;
    let (status, level) = match status(*errno) {
        // The resource itself still exists; one of its entries has been removed.
        (Status::NOT_FOUND, level) => (Status::CONFLICT, level),
        known => known,
    };
    let (base, inner) =
        (String::from_utf8_lossy(&ex.route.path).into_owned(), String::from_utf8_lossy(path).into_owned());
    let base = base.trim_end_matches('/');
    ex.report(
        cx,
        level,
        format_args!("{call} \"{base}/{inner}\" failed {errno}, {removed} entries were removed before"),
    );
    // The form's own page leads back to the listing, which shows what is left.
    if removed == 0 || ex.route.sent_form.is_some() {
        return Flow::Status(status);
    }
    // The name as in a URI: another client chose it.
    let mut text = b"This could not be removed: \"".to_vec();
    escape_path(path, &mut text);
    let why = errno.message();
    let line = format!(
        "\" ({why}).\nIt and the rest of the directory are left; {removed} entries of the directory are gone.\n"
    );
    text.extend_from_slice(line.as_bytes());
    ex.response.text(status, ContentType::Static("text/plain; charset=utf-8"), text);
    Flow::Respond
}

/// The file as it is once no other process can change its version.
fn lock(locks: &mut Versions, dir: BorrowedFd<'_>, name: &CStr) -> Result<Stat, NotRemoved> {
    let there = locks.lock(dir, name).map_err(|failed| match failed {
        (_, Errno::EAGAIN) => NotRemoved::Busy,
        (call, errno) => NotRemoved::Failed { call, errno },
    })?;
    there.ok_or(NotRemoved::Precondition)
}

/// The version that the request names cannot be removed.
fn of_version(denied: Denied) -> NotRemoved {
    match denied {
        Denied::Changed => NotRemoved::Precondition,
        Denied::Busy => NotRemoved::Busy,
    }
}

/// Removes it, or begins to.
pub(super) fn go(ex: &mut Exchange, cx: &mut Services, wanted: &AllowedRemoval) -> Begun<Removing> {
    let AllowedRemoval { target, content, trash, has_required_slash } = wanted;
    // The directories that upload_sync writes to the disk, the state of what was removed, the path that locks knew it
    // by, and what a tree needs to be removed in several turns.
    let (mut changed, mut was, mut locked, mut leave) = (Vec::new(), None, None, RemovalPermission::default());
    let sync = ex.location().settings.upload.sync;
    // Held until the name is gone.
    let mut locks = Versions::default();
    let names_version = versions::names_version(&ex.request.head, ex.buf());
    let outcome = target.remove(*content, trash.as_ref(), |found, dir, name| {
        if sync {
            changed = syncing::held([dir].into_iter()).map_err(|errno| NotRemoved::Failed { call: "dup()", errno })?;
            was = Some(name.to_owned());
        }
        if found.itself.kind == FileKind::Dir && !has_required_slash {
            return Err(NotRemoved::Failed { call: "unlink()", errno: Errno::EISDIR });
        }
        if names_version && found.itself.kind == FileKind::Regular {
            let itself = lock(&mut locks, dir, name)?;
            check(ex, cx.now.unix, &NameStat::from(itself), *content)?;
        } else {
            check(ex, cx.now.unix, found, *content)?;
        }
        if found.itself.kind == FileKind::Dir && content == &DirectoryContent::Removed && holds_kept(ex, cx, dir, name)
        {
            return Err(NotRemoved::Area);
        }
        guard::hold(ex, cx, &mut locks).map_err(of_version)?;
        let name = name.to_bytes();
        guard::check(ex, cx, dir, name, Change::Gone).map_err(|_| NotRemoved::Locked)?;
        locked = guard::lockable(cx, dir, name);
        if found.itself.kind == FileKind::Dir {
            let call = "readlink()";
            leave = RemovalPermission::of(ex, dir, name).map_err(|errno| NotRemoved::Failed { call, errno })?;
        }
        Ok(())
    });
    match outcome {
        Ok(Removed::Begun(removal)) => {
            let removing = Removing::Deleting { removal: *removal, changed, leave, rules: None };
            first_slice::begin(Box::new(removing), ex, cx, Removing::work)
        }
        Ok(removed) => gone(ex, cx, removed, (changed, was), locked),
        // Only a DELETE is run again: a form's body would have to be read again, and browsers send no If-Match with
        // forms.
        Err(NotRemoved::Busy) if ex.request.head.method == Method::Delete && versions::is_patient(ex, cx) => {
            Err(upload::later(cx))
        }
        Err(refusal) => Err(refused(ex, cx, refusal)),
    }
}

/// It is gone. `changed`: the directories that upload_sync writes to the disk; `was`: the name that it had; `locked`:
/// the path that locks knew it by.
fn gone(
    ex: &mut Exchange,
    cx: &mut Services,
    removed: Removed,
    (mut changed, was): (Vec<Rc<OwnedFd>>, Option<CString>),
    locked: Option<Vec<u8>>,
) -> Begun<Removing> {
    // Earlier looks at files in this turn no longer hold: a pipelined GET must not be answered from the file cache.
    cx.now.changed();
    cx.quotas.files_removed();
    let forgotten = locked.map(|path| cx.dav_locks.forget(&path)).unwrap_or_default();
    let then = done(ex);
    let mut back = None;
    if let (Removed::Trashed(Trashed { dir: trash, name: new, is_new }), Some(dir), Some(name)) =
        (removed, changed.first().cloned(), was)
    {
        if is_new {
            cx.syncs.made_directory();
        }
        let trash = Rc::new(trash);
        changed.push(trash.clone());
        back = Some(Back::Renamed((dir, name), (trash, new), forgotten));
    }
    syncing::begin(ex, cx, &changed, then, back).map(|syncing| Box::new(Removing::Syncing(syncing)))
}

fn done(ex: &mut Exchange) -> Flow {
    // Only the form turns a POST into a DELETE.
    if ex.request.head.method != Method::Post {
        ex.response.status = Status::NO_CONTENT;
        return Flow::Respond;
    }
    super::form::back(ex)
}

/// The response and the log line for a removal that is refused: 403, 404, 409, 412, 423, 500, 503 or 507.
pub(super) fn refused(ex: &mut Exchange, cx: &mut Services, refusal: NotRemoved) -> Flow {
    let path = String::from_utf8_lossy(&ex.route.path).into_owned();
    match refusal {
        NotRemoved::Area => {
            ex.report(
                cx,
                Level::Error,
                format_args!("DELETE of \"{path}\" is refused: it is or holds the directory of a location, or a trash"),
            );
            upload::not_removed(ex, Status::FORBIDDEN, "it is or holds the directory of a location, or a trash")
        }
        NotRemoved::Trash(Errno::EINVAL) => {
            ex.report(cx, Level::Error, format_args!("DELETE of \"{path}\" is refused: the trash is in it"));
            upload::not_removed(ex, Status::CONFLICT, "the trash is in it")
        }
        NotRemoved::Trash(e) => {
            let why = match e {
                Errno::EXDEV => ": delete_trash must be on the same file system",
                _ => "",
            };
            ex.report(cx, Level::Crit, format_args!("\"{path}\" could not be moved into the trash {e}{why}"));
            Flow::Status(Status::INTERNAL_SERVER_ERROR)
        }
        NotRemoved::Layered => {
            let why = "overlayfs moves no directory of a lower layer (redirect_dir is off)";
            ex.report(cx, Level::Error, format_args!("\"{path}\" could not be moved into the trash: {why}"));
            upload::not_removed(ex, Status::CONFLICT, "such a directory is deleted only when it is empty")
        }
        NotRemoved::Precondition => Denied::Changed.flow(ex),
        NotRemoved::Busy => Denied::Busy.flow(ex),
        NotRemoved::Locked => Flow::Status(Status::LOCKED),
        NotRemoved::Failed { call, errno } => {
            let (status, level) = status(errno);
            if status != Status::NOT_FOUND || ex.location().settings.files.log_not_found {
                ex.report(cx, level, format_args!("{call} \"{path}\" failed {errno}"));
            }
            match reason(errno) {
                "" => Flow::Status(status),
                why => upload::not_removed(ex, status, why),
            }
        }
    }
}

/// Why a name cannot be removed, for the client; empty: the status says it.
fn reason(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOTEMPTY | Errno::EEXIST => "the directory is not empty",
        Errno::ENOTDIR => "it is a file, not a directory",
        Errno::EISDIR => "it is a directory",
        Errno::EBUSY | Errno::ETXTBSY => "it is in use",
        Errno::EACCES | Errno::EPERM | Errno::EROFS | Errno::EXDEV | Errno::ELOOP | Errno::ENOSPC | Errno::EDQUOT => {
            upload::why_failed(errno).1
        }
        _ => "",
    }
}

/// Whether the client or the server is to blame that a name cannot be removed.
fn status(errno: Errno) -> (Status, Level) {
    match errno {
        Errno::ENOENT | Errno::ENAMETOOLONG => (Status::NOT_FOUND, Level::Error),
        // A directory that is not empty, a file where a directory is named, something in use.
        Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOTDIR | Errno::EISDIR | Errno::EBUSY | Errno::ETXTBSY => {
            (Status::CONFLICT, Level::Error)
        }
        // Not permitted to us, or a link that leads out of the area (EXDEV) or may not be followed (ELOOP).
        Errno::EACCES | Errno::EPERM | Errno::EROFS | Errno::EXDEV | Errno::ELOOP => (Status::FORBIDDEN, Level::Error),
        // A file system that writes elsewhere (btrfs, ZFS) needs room to remove, too.
        Errno::ENOSPC | Errno::EDQUOT => (Status::INSUFFICIENT_STORAGE, Level::Crit),
        Errno::EMFILE | Errno::ENFILE => (Status::SERVICE_UNAVAILABLE, Level::Crit),
        _ => (Status::INTERNAL_SERVER_ERROR, Level::Crit),
    }
}

/// The last check before the name is gone: preconditions (RFC 9110 §13.1), and directories of areas.
fn check(ex: &Exchange, now: i64, found: &NameStat, content: DirectoryContent) -> Result<(), NotRemoved> {
    if found.itself.kind == FileKind::Dir && (is_area(ex) || content == DirectoryContent::Removed && holds_area(ex)) {
        return Err(NotRemoved::Area);
    }
    match versions::allow(versions::own(ex), ex, Some(found), now) {
        true => Ok(()),
        false => Err(NotRemoved::Precondition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delete_that_a_full_disk_stops_says_so() {
        for e in [Errno::ENOSPC, Errno::EDQUOT] {
            assert_eq!(status(e).0, Status::INSUFFICIENT_STORAGE);
        }
    }
}

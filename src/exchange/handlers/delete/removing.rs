//! A DELETE in progress: done at once, or for a directory with everything in it a slice each turn of the loop. It is
//! finished even if its client goes away: a tree that is half removed is of no use.

use super::areas::{holds_area, holds_kept, is_area, trim_slashes};
use super::refusals::{refused, stopped};
use super::removal_target::{DirectoryContent, NotRemoved, RemovalTarget, Removed};
use super::trash::{Trash, Trashed, Unmoved};
use super::trash_copy::{CopiedContent, CopyProgress, TrashCopy};
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
use crate::http::method::Method;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::remove_tree::{Removal, RemovalPolicy};
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
    Deleting {
        removal: Removal,
        changed: Vec<Rc<OwnedFd>>,
        leave: RemovalPermission,
        rules: Option<Rules>,
        /// What is in a trash by now; empty without one.
        copied: CopiedContent,
    },
    /// It is being copied into the trash: nothing has been removed yet.
    Copying { copy: Box<TrashCopy>, changed: Vec<Rc<OwnedFd>>, leave: RemovalPermission, rules: Option<Rules> },
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
                                if let (
                                    Removing::Checking(checked, _),
                                    Removing::Deleting { rules, .. } | Removing::Copying { rules, .. },
                                ) = (checking, self)
                                {
                                    *rules = Some(checked);
                                }
                                return Flow::Wait;
                            }
                            Err(flow) => return flow,
                        },
                    }
                }
                Removing::Copying { copy, changed, leave, rules } => {
                    match copy_into_trash(copy, ex, cx, rules.as_deref()) {
                        Ok(true) if copy.is_of_one_file() => match remove_copied(copy, ex, cx, (changed, leave)) {
                            Ok(syncing) => *self = Removing::Syncing(syncing),
                            Err(flow) => return flow,
                        },
                        Ok(true) => match copy.begin_removal(leave) {
                            Ok((removal, copied)) => {
                                let (changed, leave) = (std::mem::take(changed), std::mem::take(leave));
                                let rules = rules.take();
                                *self = Removing::Deleting { removal, changed, leave, rules, copied };
                            }
                            Err((call, errno)) => return refused(ex, cx, NotRemoved::Failed { call, errno }),
                        },
                        Ok(false) => return Flow::Wait,
                        Err(flow) => return flow,
                    }
                }
                Removing::Deleting { removal, changed, leave, rules, copied } => {
                    let flow = match remove(removal, ex, cx, (leave, rules.as_deref(), copied)) {
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
        match self {
            Removing::Syncing(_) => true,
            Removing::Copying { copy, .. } => copy.waits(),
            Removing::Checking(..) | Removing::Deleting { .. } => false,
        }
    }
}

/// Checks locks and rules for each entry before it is removed.
struct Judged<'a> {
    ex: &'a mut Exchange,
    cx: &'a mut Services,
    leave: &'a RemovalPermission,
    rules: Option<&'a (TreeRules, PathRules)>,
    copied: &'a CopiedContent,
}

/// Whether the rules in the tree let this entry be removed: its directory's path, its name, and whether it is a
/// directory.
fn check_rules(
    ex: &mut Exchange,
    cx: &mut Services,
    rules: Option<&(TreeRules, PathRules)>,
    (parent, name, is_dir): (&[u8], &CStr, bool),
) -> Result<(), Errno> {
    let Some((tree, paths)) = rules else { return Ok(()) };
    // A file that another request is writing, or one in such a directory.
    if is_hidden(parent) || is_hidden(name.to_bytes()) {
        return Ok(());
    }
    let kind = if is_dir { FileKind::Dir } else { FileKind::Regular };
    tree.check(ex, cx, paths, parent, name, (kind, 0)).map_err(|_| Errno::EACCES)
}

impl RemovalPolicy for Judged<'_> {
    fn hide(&mut self, dir: BorrowedFd<'_>) -> CString {
        self.cx.temp_names.hidden_in(dir, HiddenKind::Delete)
    }

    fn may(&mut self, dir: BorrowedFd<'_>, parent: &[u8], name: &CStr, is_dir: bool) -> Result<(), Errno> {
        self.leave.check(&self.cx.dav_locks, parent, name)?;
        self.copied.check(dir, name)?;
        check_rules(self.ex, self.cx, self.rules, (parent, name, is_dir))
    }
}

/// Copies a slice of it into the trash. Ok: whether all of it is there. Err: it cannot be copied.
fn copy_into_trash(
    copy: &mut TrashCopy,
    ex: &mut Exchange,
    cx: &mut Services,
    rules: Option<&(TreeRules, PathRules)>,
) -> Result<bool, Flow> {
    loop {
        let check = |cx: &mut Services, parent: &[u8], name: &CStr, kind| {
            check_rules(ex, cx, rules, (parent, name, kind == FileKind::Dir))
        };
        match copy.step(cx, check) {
            Ok(CopyProgress::Done) => return Ok(true),
            Ok(CopyProgress::More) if !cx.slice.is_over() => {}
            Ok(CopyProgress::More | CopyProgress::Waits) => return Ok(false),
            Err((call, errno)) => {
                if let Some(way) = copy.obstacle() {
                    let way = String::from_utf8_lossy(&way).into_owned();
                    let text = format_args!("\"{way}\" cannot be copied into the trash: nothing is removed");
                    ex.report(cx, Level::Error, text);
                }
                return Err(refused(ex, cx, NotRemoved::Failed { call, errno }));
            }
        }
    }
}

/// Removes a file or a link that is in the trash by now.
fn remove_copied(
    copy: &TrashCopy,
    ex: &mut Exchange,
    cx: &mut Services,
    (changed, leave): (&[Rc<OwnedFd>], &RemovalPermission),
) -> Begun<Syncing> {
    if let Err((call, errno)) = copy.remove_file(&cx.dav_locks, leave) {
        return Err(refused(ex, cx, NotRemoved::Failed { call, errno }));
    }
    // As in `remove`.
    cx.now.changed();
    cx.quotas.files_removed();
    leave.forget(cx);
    let then = done(ex);
    syncing::begin(ex, cx, changed, then, None)
}

/// Ok: all of it is gone. Err: not yet, or it cannot be removed.
fn remove(
    removal: &mut Removal,
    ex: &mut Exchange,
    cx: &mut Services,
    (leave, rules, copied): (&RemovalPermission, Option<&(TreeRules, PathRules)>, &CopiedContent),
) -> Result<Flow, Flow> {
    removal.leave_moved().map_err(|stuck| stopped(ex, cx, &stuck, removal.removed))?;
    loop {
        let outcome = removal.step(Judged { ex, cx, leave, rules, copied });
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
        if found.itself.kind == FileKind::Dir || trash.is_some() {
            let call = "readlink()";
            leave = RemovalPermission::of(ex, dir, name).map_err(|errno| NotRemoved::Failed { call, errno })?;
        }
        Ok(())
    });
    match outcome {
        Ok(Removed::Begun(removal)) => {
            let copied = CopiedContent::default();
            let removing = Removing::Deleting { removal: *removal, changed, leave, rules: None, copied };
            first_slice::begin(Box::new(removing), ex, cx, Removing::work)
        }
        Ok(Removed::Unmoved(what)) => begin_copying(ex, cx, *what, changed, leave),
        Ok(removed) => gone(ex, cx, removed, (changed, was), locked),
        // Only a DELETE is run again: a form's body would have to be read again, and browsers send no If-Match with
        // forms.
        Err(NotRemoved::Busy) if ex.request.head.method == Method::Delete && versions::is_patient(ex, cx) => {
            Err(upload::later(cx))
        }
        Err(refusal) => Err(refused(ex, cx, refusal)),
    }
}

/// What is to be copied into the trash.
fn begin_copying(
    ex: &mut Exchange,
    cx: &mut Services,
    what: Unmoved,
    changed: Vec<Rc<OwnedFd>>,
    leave: RemovalPermission,
) -> Begun<Removing> {
    let sync = ex.location().settings.upload.sync;
    match TrashCopy::begin(what, sync, cx) {
        Ok(copy) => {
            let removing = Removing::Copying { copy: Box::new(copy), changed, leave, rules: None };
            first_slice::begin(Box::new(removing), ex, cx, Removing::work)
        }
        Err((call, errno)) => Err(refused(ex, cx, NotRemoved::Failed { call, errno })),
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
    use super::super::webdav;
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};
    use crate::http::dav::lock::Token;
    use crate::services::dav_locks::Lock;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;

    fn site() -> Site {
        let site = Site::new(
            "",
            "location / { dav_methods DELETE; dav_ext_methods PROPFIND; }
             location /put/ { allowed_methods PUT; upload_store DIR/html/kept/in/store; }",
        );
        let root = site.root();
        for dir in ["d/in", "kept/in/store"] {
            fs::create_dir_all(root.join(dir)).expect("made");
        }
        ["f", "d/a", "d/in/b"].iter().for_each(|name| fs::write(root.join(name), name).expect("written"));
        site
    }

    /// The status of a DELETE that goes on to its end.
    fn removed(site: &mut Site, uri: &str, meanwhile: impl FnOnce(&mut Services)) -> u16 {
        let mut ex = site.at(&format!("DELETE {uri}"), &[], INSIDE);
        // The first turn is over when the name is moved away.
        site.cx.slice.steps = Some(0);
        let flow = match webdav(&mut ex, &mut site.cx) {
            Ok(mut removing) => {
                meanwhile(&mut site.cx);
                loop {
                    match removing.work(&mut ex, &mut site.cx) {
                        Flow::Wait => {}
                        flow => break flow,
                    }
                }
            }
            Err(flow) => flow,
        };
        match flow {
            Flow::Respond => ex.response.status.0,
            Flow::Status(status) => status.0,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_a_tree_without_directories_of_the_configuration_goes() {
        for (uri, status) in
            [("/f", 204), ("/d/", 204), ("/d", 204), ("/kept/", 403), ("/kept/in", 403), ("/none", 404)]
        {
            let mut site = site();
            assert_eq!(removed(&mut site, uri, |_| {}), status, "{uri}");
            let path = site.scratch.path().join("html").join(uri.trim_matches('/'));
            assert_eq!(path.exists(), status == 403, "{uri}");
        }
    }

    #[test]
    fn what_another_client_locks_while_its_tree_is_removed_stays() {
        let mut site = site();
        let locked = fs::canonicalize(site.scratch.path()).expect("a path").join("html/d/in/b");
        let status = removed(&mut site, "/d/", |cx| {
            let (path, other) = (std::rc::Rc::from(locked.as_os_str().as_bytes()), std::rc::Rc::from(&b"other"[..]));
            let lock = Lock {
                token: Token::new([1; 16]),
                href: std::rc::Rc::clone(&path),
                path,
                exclusive: true,
                deep: false,
                owner: std::rc::Rc::clone(&other),
                creator: other,
                timeout: 1000,
                until: u64::MAX,
            };
            cx.dav_locks.grant(&"z".into(), 1 << 20, lock).expect("granted");
        });
        assert_eq!(status, 409);
        assert!(locked.exists());
    }
}

//! Whether a COPY or MOVE is allowed: by the rules of every path that is read, removed or written, and by what is
//! left of the quota and of the disk. In slices, before anything is changed.

use super::job::{After, Job};
use crate::config::settings::upload::Quota;
use crate::exchange::Exchange;
use crate::exchange::handlers::path_rules::{PathAction, PathRules, Target};
use crate::exchange::handlers::resumable::{self, held::Unstored};
use crate::exchange::handlers::target_limits::{TargetLimits, has_file_rules};
use crate::exchange::handlers::tree_rules::{Base, TreeRules};
use crate::exchange::handlers::upload::{self, QuotaShare, Refusal};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::quotas::shared::QuotaLock;
use crate::services::quotas::{Claim, Usage};
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, Stat};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Both ends of a transfer.
pub struct Paths {
    /// The path of the source, for the rules of what is read and removed.
    pub from: Vec<u8>,
    /// The destination as a URI and as a path.
    pub to: (Vec<u8>, Vec<u8>),
}

/// The checks of one transfer, as far as they have come.
pub struct TransferChecks {
    rules: PathRules,
    /// What must be checked; the first is asked again about each entry when it is copied.
    source: Option<TreeRules>,
    replaced: Option<TreeRules>,
    /// What has been copied.
    copied: Usage,
    /// The source is a directory.
    pub is_tree: bool,
    /// What is added, and what is freed for it.
    added: Usage,
    freed: Usage,
    quota: Option<(Quota, Vec<u8>)>,
    share: Option<QuotaShare>,
    /// The lock of a quota that other processes share: held while what is copied or moved gets its name.
    lock: Option<QuotaLock>,
    /// The rules for the destination of a file, and the tree that was checked (device and inode).
    target_limits: Option<TargetLimits>,
    tree: Option<(u64, u64)>,
}

impl TransferChecks {
    /// For a transfer whose ends are known; `there` is what exists at the destination.
    ///
    /// # Errors
    /// A rule of one of the two paths forbids it.
    pub fn new(
        ex: &mut Exchange,
        cx: &mut Services,
        job: &Job,
        paths: Paths,
        is_tree: bool,
        there: Option<Stat>,
    ) -> Result<TransferChecks, Refusal> {
        let rules = PathRules::of(ex, cx);
        let replaces_tree = there.is_some_and(|stat| stat.kind == FileKind::Dir);
        let (uri, from_path) = (named(&rules.uri, is_tree), named(&paths.from, is_tree));
        let from = Target { uri: &uri, path: Some(&from_path) };
        // What is replaced may be of the other kind, and its URI belong to another location.
        let to_as = |is_tree| (named(&paths.to.0, is_tree), named(&paths.to.1, is_tree));
        let (made, replaced) = (to_as(is_tree), to_as(replaces_tree));
        let to = Target { uri: &made.0, path: Some(&made.1) };
        let replaced = Target { uri: &replaced.0, path: Some(&replaced.1) };
        let actions: &'static [PathAction] =
            if job.moves { &[PathAction::Read, PathAction::Remove] } else { &[PathAction::Read] };
        for action in actions {
            rules.check_transfer(ex, cx, from, *action, Some(to.uri))?;
        }
        if there.is_some() && replaces_tree != is_tree {
            rules.check(ex, cx, replaced, PathAction::Put)?;
        }
        let target_limits = rules.check(ex, cx, to, PathAction::Put)?;
        let mut judging = TransferChecks::begin(rules, is_tree);
        if is_tree {
            let rules = &judging.rules;
            let same = |ex: &Exchange, target: Target<'_>| rules.are_same_below(ex, target.uri, PathAction::Read);
            if (job.deep || job.moves) && !(same(ex, from) && same(ex, to) && !has_file_rules(&target_limits.upload)) {
                let top = open(job.source.dir.as_fd(), &job.source.name).map_err(source_failed)?;
                let base = |target: Target<'_>| Base::new(target.uri, target.path.unwrap_or_default());
                let source = TreeRules::new(cx, top, base(from), actions, Some(base(to))).map_err(failed)?;
                judging.source = Some(source.leave_out(&job.trashes));
                let stat = stat_source(job)?;
                judging.tree = Some((stat.dev, stat.ino));
            }
        } else {
            let stat = stat_source(job)?;
            target_limits.check_file(job.target.name.to_bytes(), Some(job.source.name.to_bytes()), stat.size)?;
            judging.added = Usage::file(stat.size);
            if let Some(there) = there.filter(|there| there.kind == FileKind::Regular) {
                judging.freed = Usage::file(there.size);
            }
        }
        if replaces_tree
            && !(judging.rules.are_same_below(ex, replaced.uri, PathAction::Remove)
                && target_limits.upload.quota.is_none())
        {
            let top = open(job.target.dir.as_fd(), &job.target.name).map_err(failed)?;
            let base = Base::new(replaced.uri, replaced.path.unwrap_or_default());
            judging.replaced = Some(TreeRules::new(cx, top, base, &[PathAction::Remove], None).map_err(failed)?);
        }
        if let Some(quota) = target_limits.upload.quota {
            judging.find_area(ex, cx, quota, to)?;
        }
        judging.target_limits = Some(target_limits).filter(|_| !is_tree);
        Ok(judging)
    }

    fn begin(rules: PathRules, is_tree: bool) -> TransferChecks {
        TransferChecks {
            source: None,
            replaced: None,
            copied: Usage::default(),
            is_tree,
            added: Usage::default(),
            freed: Usage::default(),
            quota: None,
            share: None,
            lock: None,
            target_limits: None,
            tree: None,
            rules,
        }
    }

    /// Finds the quota area of the destination. A move within one area changes nothing.
    fn find_area(&mut self, ex: &mut Exchange, cx: &mut Services, quota: Quota, to: Target<'_>) -> Result<(), Refusal> {
        let rules = ex.location().settings.upload.clone();
        let from = upload::area_of(ex, cx, &rules);
        let (area, path) = ex.with_uri(to.uri.to_vec(), |ex| upload::area_of(ex, cx, &rules))?;
        let stays = ex.route.method == Method::Move && from.is_ok_and(|(from, _)| Rc::ptr_eq(&from, &area));
        if !stays {
            self.share = Some(QuotaShare::new(Claim::new(area), quota));
            self.quota = Some((quota, path));
        }
        Ok(())
    }

    /// Checks a little more; false when everything is allowed.
    pub fn step(&mut self, ex: &mut Exchange, cx: &mut Services, job: &Job) -> Result<bool, Refusal> {
        // Both are checked to the end, and again from the first one on if something was added to it since.
        if let Some(source) = &mut self.source {
            if source.step(ex, cx, &self.rules)? {
                return Ok(true);
            }
            self.added = source.total.plus(Usage::directories(1));
        }
        if let Some(replaced) = &mut self.replaced {
            if replaced.step(ex, cx, &self.rules)? {
                return Ok(true);
            }
            self.freed = replaced.total.plus(Usage::directories(1));
        }
        if takes_room(job) {
            let rules = ex.location().settings.upload.clone();
            upload::check_room(job.target.dir.as_fd(), rules.min_free, self.added.bytes)?;
        }
        let (Some(share), Some((_, path))) = (&mut self.share, &self.quota) else { return Ok(false) };
        if resumable::sweep::is_reading(cx) {
            return Ok(true);
        }
        let beside = Unstored::of(path, &[]);
        let need = self.added.minus(self.freed);
        if !share.admit(need, beside, cx)? {
            return Ok(true);
        }
        self.lock(ex, cx).map(|has| !has)
    }
}

/// Whether the target's file system gets more: a MOVE from another one is a copy.
fn takes_room(job: &Job) -> bool {
    let device = |dir: BorrowedFd<'_>| file::fstat(dir).map(|stat| stat.dev);
    !job.moves || device(job.source.dir.as_fd()) != device(job.target.dir.as_fd())
}

impl TransferChecks {
    /// What is added is about to get its name, or to be copied: checks that what other processes have stored
    /// meanwhile leaves room. False: not known yet.
    ///
    /// # Errors
    /// 507, or 503 if another process does not release the lock.
    pub fn lock(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<bool, Refusal> {
        let Some(share) = &self.share else { return Ok(true) };
        match share.lock(ex, cx, (self.added, self.freed)) {
            Err(refusal) if refusal.later => Ok(false),
            outcome => outcome.map(|lock| {
                self.lock = lock;
                true
            }),
        }
    }

    /// Releases the lock, so that other processes continue and count what was added.
    pub fn unlock(&mut self) {
        self.lock = None;
    }

    /// Lets other processes go on: nothing has been added yet.
    pub fn take_back(&mut self) {
        if let Some(lock) = self.lock.take() {
            lock.take_back();
        }
    }

    /// Checks source and target again, since both may have been replaced since they were checked. `whole`: the length
    /// of a complete copy.
    ///
    /// # Errors
    /// It is not what was checked before; it is too large; 507; [`Refusal::later`] while that is not known.
    pub fn claim_again(
        &mut self,
        ex: &Exchange,
        cx: &mut Services,
        job: &Job,
        whole: Option<u64>,
    ) -> Result<(), Refusal> {
        let size = match whole {
            Some(size) => size,
            None => {
                let source = stat_source(job)?;
                let is_same = self.tree.is_none_or(|tree| tree == (source.dev, source.ino));
                if (source.kind == FileKind::Dir) != self.is_tree || !is_same {
                    let why = "something else has the name of the source now";
                    return Err(Refusal::new(Status::CONFLICT, why));
                }
                source.size
            }
        };
        if self.is_tree {
            return Ok(());
        }
        if let Some(target_limits) = &self.target_limits {
            target_limits.check_file(job.target.name.to_bytes(), Some(job.source.name.to_bytes()), size)?;
        }
        let there = file::stat_at(Some(job.to()), &job.target.name, Follow::No).ok();
        let added = Usage::file(size);
        let freed = match there.filter(|there| there.kind == FileKind::Regular) {
            Some(there) => Usage::file(there.size),
            // A tree that it replaces was counted.
            None if self.replaced.is_some() => self.freed,
            None => Usage::default(),
        };
        let (was, need) = (self.added.minus(self.freed), added.minus(freed));
        // Before the share is asked: if that takes more turns, [`TransferChecks::step`] goes on asking for the same.
        (self.added, self.freed) = (added, freed);
        if need == was && self.share.as_ref().is_none_or(QuotaShare::is_admitted) {
            return Ok(());
        }
        if takes_room(job) {
            let rules = ex.location().settings.upload.clone();
            upload::check_room(job.to(), rules.min_free, added.bytes)?;
        }
        if let (Some(share), Some((_, path))) = (&mut self.share, &self.quota) {
            share.need(need, Unstored::of(path, &[]), cx).inspect_err(|_| self.take_back())?;
        }
        Ok(())
    }

    /// Whether the copy of a tree may replace what is there now, and has room; false: not known yet.
    pub fn may_swap(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<bool, After> {
        if self.check_replaced(ex, cx).map_err(After::Failed)? {
            return Ok(false);
        }
        self.lock(ex, cx).map_err(After::Refused)
    }

    /// The copy is about to replace a tree, which may have got new entries since it was checked. True: it is being
    /// checked again.
    fn check_replaced(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<bool, Errno> {
        match &mut self.replaced {
            Some(replaced) => replaced.step(ex, cx, &self.rules).map_err(|_| Errno::EACCES),
            None => Ok(false),
        }
    }

    /// Whether an entry is still allowed when it is copied: it may have come, or grown, since all were checked.
    pub fn check_copied(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        way: &[u8],
        name: &CStr,
        (kind, size): (FileKind, u64),
    ) -> Result<(), Errno> {
        let Some(source) = &self.source else { return Ok(()) };
        let more = match kind {
            FileKind::Regular => Usage::file(size),
            FileKind::Dir => Usage::directories(1),
            _ => Usage::default(),
        };
        if more != Usage::default() {
            self.copied = self.copied.plus(more);
            if self.share.is_some() && self.copied.minus(self.added) != Usage::default() {
                return Err(Errno::EDQUOT);
            }
        }
        source.check(ex, cx, &self.rules, way, name, (kind, size)).map_err(|_| Errno::EACCES)
    }
}

fn open(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    file::open_at(Some(dir), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0)
}

fn stat_source(job: &Job) -> Result<Stat, Refusal> {
    file::stat_at(Some(job.from()), &job.source.name, Follow::No).map_err(source_failed)
}

/// A source that another request removes during the check counts as not found.
fn source_failed(e: Errno) -> Refusal {
    match e {
        Errno::ENOENT => Refusal::new(Status::NOT_FOUND, "the source was moved or removed meanwhile"),
        e => failed(e),
    }
}

fn failed(e: Errno) -> Refusal {
    Refusal::call("open()", b"", e)
}

/// A collection may be named without its slash, and a file with one: adds or removes the slash.
fn named(path: &[u8], is_tree: bool) -> Vec<u8> {
    let bare = path.strip_suffix(b"/").unwrap_or(path);
    if is_tree { [bare, b"/"].concat() } else { bare.to_vec() }
}

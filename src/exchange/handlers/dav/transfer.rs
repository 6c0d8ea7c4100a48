//! COPY and MOVE: nginx's order of checks and its statuses (204 for a file, 201 for a collection); with dav_ext_methods
//! RFC 4918's (201 for a new name, 204 for one that was taken), and collections with or without their slash.

use super::copied::{Copied, Leaving};
use super::copying::{FileCopy, Staged};
use super::guard;
use super::job::{After, Job, NameBefore, Stage};
use super::lock_tokens::RemovalPermission;
use super::refuse::{failed, refuse, report_stranded};
use super::transfer_checks::TransferChecks;
use super::transfer_request;
use crate::config::model::Level;
use crate::exchange::Exchange;
use crate::exchange::flow::{Begun, Flow};
use crate::exchange::handlers::{delete, first_slice, upload};
use crate::http::status::Status;
use crate::io::make_path::NewDirectories;
use crate::services::Services;
use crate::services::checked_trees::Watch;
use crate::services::dav_locks::Forgotten;
use crate::services::remove_tree::Stuck;
use crate::services::syncs::{Sync, all_ended};
use crate::services::temp_names::TempNames;
use crate::sys::Errno;
use crate::sys::file::{self, Follow, O_DIRECTORY, O_PATH, Stat};
use std::os::fd::AsFd;
use std::rc::Rc;

/// Begins a COPY or MOVE. Err: it is refused, or already done.
pub fn run(ex: &mut Exchange, cx: &mut Services) -> Begun<Transfer> {
    let (job, judging) = transfer_request::check(ex, cx)?;
    let judging = Box::new(judging);
    let (stage, syncs, stores_in) =
        (Stage::TransferChecks, Vec::new(), NewDirectories::storing_in(&cx.uploading, job.to()));
    let transfer = Box::new(Transfer {
        job,
        stage,
        judging,
        syncs,
        source_changed: None,
        leaves: None,
        copied: None,
        named: None,
        filled: None,
        _stores_in: stores_in,
        is_final: false,
        leave: RemovalPermission::default(),
        forgotten: None,
    });
    first_slice::begin(transfer, ex, cx, Transfer::work)
}

/// A COPY or MOVE in progress, a slice each turn of the loop. It is finished even if its client goes away.
pub struct Transfer {
    /// What is to be done.
    pub(super) job: Job,
    /// What it is at.
    pub(super) stage: Stage,
    /// Whether it is allowed; holds its share of upload_quota until it is over.
    pub(super) judging: Box<TransferChecks>,
    /// upload_sync: the parts of a tree that are being written to the disk.
    syncs: Vec<Sync>,
    /// MOVE of a tree by copying: whether a request has put something into it since, and what the copy holds.
    source_changed: Option<Watch>,
    leaves: Option<Copied>,
    /// MOVE of a file by copying: the file that was copied.
    pub(super) copied: Option<Stat>,
    /// upload_sync: what got the new name, until that is on the disk or taken back (device and inode).
    named: Option<(u64, u64)>,
    /// upload_sync: whether a request has put something into the copy of a tree, since that got its name.
    filled: Option<Watch>,
    /// Another request may have made the directory that it stores in, and may not take it back meanwhile.
    _stores_in: NewDirectories,
    /// The new name is on the disk.
    is_final: bool,
    /// MOVE of a tree by copying: which locks its removal may pass.
    leave: RemovalPermission,
    /// MOVE: the locks of the old name, once that is gone.
    forgotten: Option<Forgotten>,
}

/// Most files of a tree that are being written to the disk at a time.
const SYNCS: usize = 64;

impl Transfer {
    /// The next slice.
    pub fn work(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        if !matches!(self.stage, Stage::TransferChecks) {
            // What was there may be removed. A copy under its hidden name is not counted yet.
            cx.quotas.files_removed();
        }
        if let Stage::Leaving(removal) = &mut self.stage
            && let Err(stuck) = removal.leave_moved()
        {
            return delete::stopped(ex, cx, &stuck, removal.removed);
        }
        loop {
            match self.step(ex, cx) {
                Ok(()) if ex.progress.pause.is_none() && !cx.slice.is_over() => {}
                Ok(()) => return Flow::Wait,
                Err(flow) => {
                    // Earlier looks at files in this turn no longer hold.
                    cx.now.changed();
                    return flow;
                }
            }
        }
    }

    /// Goes on a little. Err: the result.
    fn step(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<(), Flow> {
        let outcome = self.step_unreported(ex, cx);
        if let Some(stranded) = self.job.stranded.take() {
            report_stranded(ex, cx, &stranded);
        }
        outcome
    }

    fn step_unreported(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<(), Flow> {
        let next = match &mut self.stage {
            Stage::TransferChecks => match self.judging.step(ex, cx, &self.job) {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    let Some(next) = self.begin(ex, cx)? else { return Ok(()) };
                    next
                }
                Err(refusal) => return Err(upload::refuse(ex, cx, &refusal)),
            },
            Stage::File(copy) => match copy.step(&mut cx.scratch) {
                Ok(true) => return Ok(()),
                Ok(false) => self.file_is_whole(),
                Err(e) => Err(e),
            },
            Stage::Tree(..) => match self.copy_tree(ex, cx)? {
                Some(outcome) => self.copied(outcome),
                None => return Ok(()),
            },
            Stage::Syncing(syncs, next) => match all_ended(syncs) {
                Ok(false) => return Err(Flow::Wait),
                Ok(true) => {
                    self.is_final |= self.named.is_some();
                    self.stage = std::mem::replace(&mut **next, Stage::TransferChecks);
                    return self.go_on(ex, cx);
                }
                Err(e) => self.unsynced(cx, e),
            },
            Stage::Clearing { removal, .. } => match removal.step(&mut cx.temp_names) {
                Ok(true) => return Ok(()),
                Ok(false) => Ok(self.cleared()),
                Err(stuck) => {
                    report_stuck(ex, cx, &stuck);
                    // Removal is tried again later.
                    if let Some((dir, name)) = removal.rest() {
                        cx.temp_names.left().add((Rc::new(dir), name));
                    }
                    Ok(self.cleared())
                }
            },
            Stage::Leaving(removal) => {
                let (source_changed, copied) = (self.source_changed.as_ref(), self.leaves.as_ref());
                let locks = Some((&cx.dav_locks, &self.leave));
                match removal.step(Leaving { temp_names: &mut cx.temp_names, source_changed, copied, locks }) {
                    Ok(true) => return Ok(()),
                    Ok(false) => Ok(Stage::Done(self.job.status)),
                    Err(stuck) => return Err(delete::stopped(ex, cx, &stuck, removal.removed)),
                }
            }
            Stage::Placing(_) | Stage::Swapping(_) | Stage::Old { .. } | Stage::Cleared(_) => {
                return self.go_on(ex, cx);
            }
            Stage::Unsure(call, e) => return Err(upload::resumed::unconfirmed(ex, cx, call, *e)),
            Stage::Done(status) => {
                ex.response.status = *status;
                return Err(if ex.route.form_action.is_some() { delete::back(ex) } else { Flow::Respond });
            }
        };
        self.change(ex, cx, next)
    }

    /// Copies a little of a tree; with upload_sync what is copied is written to the disk meanwhile. Some: copying has
    /// ended.
    fn copy_tree(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<Option<Result<(), Errno>>, Flow> {
        let Stage::Tree(copy, syncs) = &mut self.stage else { return Ok(None) };
        syncs.retain(|sync| sync.outcome() != Some(Ok(())));
        match all_ended(syncs) {
            Err(e) => return Ok(Some(Err(e))),
            Ok(_) if syncs.len() >= SYNCS => return Err(Flow::Wait),
            Ok(_) => {}
        }
        let mut scratch = std::mem::take(&mut cx.scratch);
        let judging = &mut self.judging;
        let outcome =
            copy.step(&mut scratch, |way, name, kind, size| judging.check_copied(ex, cx, way, name, (kind, size)));
        cx.scratch = scratch;
        if let Some(way) = copy.obstacle.take() {
            let way = String::from_utf8_lossy(&way).into_owned();
            ex.report(
                cx,
                Level::Error,
                format_args!("\"{way}\" has no copy on the other file system: nothing is moved"),
            );
        }
        let whole = std::mem::take(&mut copy.whole);
        if self.job.sync {
            syncs.extend(whole.iter().map(|fd| cx.syncs.begin(fd.as_fd())));
        }
        Ok(match outcome {
            Ok(true) => None,
            Ok(false) => Some(Ok(())),
            Err(e) => Some(Err(e)),
        })
    }

    /// Begins with a directory; for a MOVE by copying also watches the source, to see what others put into it
    /// meanwhile.
    pub(super) fn begin_tree(&mut self, ex: &Exchange, cx: &mut Services) -> Result<Stage, Errno> {
        let mut stage = self.job.begin_tree(&mut cx.temp_names)?;
        if let (true, Stage::Tree(copy, _)) = (self.job.moves, &mut stage) {
            copy.copied = Some(Copied::begin(&cx.now));
            self.leave = RemovalPermission::of(ex, self.job.from(), self.job.source.name.to_bytes())?;
            self.source_changed = copy.source().map(|source| cx.checked_trees.watch(source)).transpose()?;
        }
        Ok(stage)
    }

    /// A step that changes names, once everything before it is on the disk.
    fn go_on(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<(), Flow> {
        let next = match std::mem::replace(&mut self.stage, Stage::TransferChecks) {
            // Its name does not count yet.
            Stage::Placing(copy) if self.job.swaps.get() => Some(self.place_file(copy, &mut cx.temp_names)),
            Stage::Placing(copy) => self.place(copy, ex, cx)?,
            Stage::Swapping(staged) => self.swap(staged, ex, cx),
            Stage::Old { old, then } => Some(Ok(self.job.clear(old, then))),
            Stage::Cleared(After::Refused(refusal)) => return Err(upload::refuse(ex, cx, &refusal)),
            Stage::Cleared(After::Leave) => self.begin_leaving(ex, cx),
            Stage::Cleared(then) => Some(self.job.after(then)),
            stage => {
                self.stage = stage;
                None
            }
        };
        match next {
            Some(next) => self.change(ex, cx, next),
            None => Ok(()),
        }
    }

    /// Goes to the next stage. With upload_sync the disk must first have what it builds on: the file's content before
    /// a name is given, and the names before anything old is removed and before the response.
    fn change(&mut self, ex: &mut Exchange, cx: &mut Services, next: Result<Stage, Errno>) -> Result<(), Flow> {
        let mut next = next;
        let is_named = match &next {
            Ok(Stage::Old { then, .. }) => matches!(then, After::Leave | After::Done),
            Ok(stage) => matches!(stage, Stage::Cleared(_) | Stage::Done(_)),
            Err(_) => false,
        };
        if is_named && self.job.sync && self.named.is_none() {
            let there = file::stat_at(Some(self.job.to()), &self.job.target.name, Follow::No);
            self.named = there.ok().map(|stat| (stat.dev, stat.ino));
        }
        if is_named {
            cx.checked_trees.name_added(self.job.to());
            self.tell_of_names(cx);
        }
        // In the turn in which the old name goes: another client may use it, and lock it, from the next one on.
        let has_left = if self.is_renamed() { is_named } else { matches!(next, Ok(Stage::Done(_))) };
        if self.job.moves && has_left && self.forgotten.is_none() {
            self.forgotten = Some(guard::forget(cx, self.job.from(), self.job.source.name.to_bytes()));
        }
        let is_copying = matches!(next, Ok(Stage::File(_) | Stage::Tree(..)));
        if !is_copying && !matches!(next, Ok(Stage::Placing(_) | Stage::Swapping(_))) {
            // Files were added, how many is not known.
            cx.quotas.files_added();
        }
        if is_copying {
            self.judging.take_back();
        } else {
            self.judging.unlock();
        }
        if self.job.sync {
            let syncs = self.syncs_before(cx, &mut next);
            next = match (syncs, next) {
                (Ok(syncs), Ok(stage)) if !syncs.is_empty() => Ok(Stage::Syncing(syncs, Box::new(stage))),
                (Ok(_), next) => next,
                (Err(e), Ok(stage)) => self.without_sync(cx, stage, "open()", e),
                (Err(_), Err(e)) => Err(e),
            };
        }
        match next {
            Ok(stage) => {
                self.stage = stage;
                Ok(())
            }
            Err(Errno::EEXIST) => {
                let text = format_args!("the destination exists now");
                Err(refuse(ex, cx, Status::PRECONDITION_FAILED, text))
            }
            Err(e) => Err(failed(ex, cx, "copy", e)),
        }
    }

    /// What must be on the disk before that stage.
    fn syncs_before(&mut self, cx: &mut Services, next: &mut Result<Stage, Errno>) -> Result<Vec<Sync>, Errno> {
        match next {
            Ok(Stage::Placing(copy)) => {
                copy.durable = true;
                Ok(vec![cx.syncs.begin(copy.fd())])
            }
            Ok(Stage::Swapping(_)) => Ok(std::mem::take(&mut self.syncs)),
            // That the replaced file is gone need not be on the disk; that the source is gone, after a copy, must be.
            Ok(Stage::Done(_)) if self.is_final && (self.is_renamed() || !self.job.moves) => Ok(Vec::new()),
            Ok(Stage::Old { then: After::Leave | After::Done, .. } | Stage::Cleared(After::Leave) | Stage::Done(_)) => {
                if self.judging.is_tree {
                    cx.syncs.made_directory();
                }
                let source = Some(&self.job.source.dir).filter(|_| self.job.moves);
                cx.syncs.begin_names([&self.job.target.dir].into_iter().chain(source))
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The source is not what was copied: it was renamed, replaced or written to, so that a MOVE must not remove it. A
    /// file that is gone counts as unchanged.
    pub(super) fn has_source_changed(&self) -> bool {
        if self.job.source.is_at_its_path() != Ok(true) {
            return true;
        }
        let Some(copied) = &self.copied else {
            return self.leaves.is_some() && !self.leave.is_at(self.job.from(), self.job.source.name.to_bytes());
        };
        let there = file::stat_at(Some(self.job.from()), &self.job.source.name, Follow::No);
        there.is_ok_and(|there| (there.ino, there.size, there.mtime) != (copied.ino, copied.size, copied.mtime))
    }

    /// What is built on next could not be written to the disk.
    fn unsynced(&mut self, cx: &mut Services, e: Errno) -> Result<Stage, Errno> {
        match std::mem::replace(&mut self.stage, Stage::TransferChecks) {
            Stage::Syncing(_, next) => self.without_sync(cx, *next, "fsync()", e),
            _ => Err(e),
        }
    }

    /// Ends the transfer in place of `next`: as if nothing had been done, as far as names can be taken back.
    fn without_sync(&mut self, cx: &mut Services, next: Stage, call: &'static str, e: Errno) -> Result<Stage, Errno> {
        match next {
            // A file without a name disappears by itself.
            Stage::Placing(_) => Err(e),
            Stage::Swapping(staged) => Ok(Stage::Old { old: staged, then: After::Failed(e) }),
            Stage::Old { old, .. } if self.may_go_back() => self.go_back(cx, Some(old), call, e),
            // The source of a MOVE stays.
            Stage::Old { old, .. } => Ok(self.job.clear(old, After::Unsure(call, e))),
            Stage::Cleared(After::Leave) | Stage::Done(_) if self.may_go_back() => self.go_back(cx, None, call, e),
            _ => Ok(Stage::Unsure(call, e)),
        }
    }

    /// What got the new name still has it, and taking it back removes nothing that others may have put into it.
    fn may_go_back(&self) -> bool {
        let there = file::stat_at(Some(self.job.to()), &self.job.target.name, Follow::No);
        let is_ours = there.is_ok_and(|stat| self.named == Some((stat.dev, stat.ino)));
        let is_final = self.is_final || self.job.has_lost.get();
        let is_as_copied = || self.filled.as_ref().is_some_and(|filled| !filled.is_set());
        is_ours && !is_final && (self.is_renamed() || !self.judging.is_tree || is_as_copied())
    }

    /// MOVE within one file system.
    fn is_renamed(&self) -> bool {
        self.job.moves && self.copied.is_none() && self.leaves.is_none()
    }

    fn go_back(
        &mut self,
        cx: &mut Services,
        old: Option<Staged>,
        call: &'static str,
        e: Errno,
    ) -> Result<Stage, Errno> {
        let stage = if self.is_renamed() {
            match self.job.move_back(old) {
                Ok(()) => {
                    cx.dav_locks.put_back(self.forgotten.take().unwrap_or_default());
                    Err(e)
                }
                Err(_) => Ok(Stage::Unsure(call, e)),
            }
        } else {
            match self.job.unname_copy(old, &mut cx.temp_names) {
                Ok(copy) => Ok(Stage::Old { old: copy, then: After::Failed(e) }),
                Err(_) => Ok(Stage::Unsure(call, e)),
            }
        };
        for dir in [self.job.to(), self.job.from()] {
            cx.checked_trees.name_added(dir);
        }
        self.tell_of_names(cx);
        stage
    }

    fn tell_of_names(&self, cx: &mut Services) {
        let (source, target) = (&self.job.source, &self.job.target);
        cx.names_moved(&[(self.job.from(), source.name.as_c_str()), (self.job.to(), target.name.as_c_str())]);
    }

    /// The copy of a file is whole.
    fn file_is_whole(&mut self) -> Result<Stage, Errno> {
        match std::mem::replace(&mut self.stage, Stage::TransferChecks) {
            Stage::File(copy) => {
                self.copied = Some(*copy.source());
                Ok(Stage::Placing(copy))
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// The copy of a file is whole: gives it its name, or makes it ready to change places with what is there.
    pub(super) fn place_file(&mut self, mut copy: FileCopy, temp_names: &mut TempNames) -> Result<Stage, Errno> {
        if self.job.swaps.get() {
            return copy.stage(temp_names).map(Stage::Swapping);
        }
        copy.place(&self.job.target.name, self.job.how(), temp_names)?;
        Ok(if self.job.moves { Stage::Cleared(After::Leave) } else { Stage::Done(self.job.status) })
    }

    /// The copy of a tree is whole, or has failed.
    fn copied(&mut self, outcome: Result<(), Errno>) -> Result<Stage, Errno> {
        let Stage::Tree(copy, syncs) = std::mem::replace(&mut self.stage, Stage::TransferChecks) else {
            return Err(Errno::EINVAL);
        };
        let copy = *copy;
        self.syncs = syncs;
        self.leaves = copy.copied;
        match outcome {
            Ok(()) => Ok(Stage::Swapping(copy.staged)),
            Err(e) => Ok(Stage::Old { old: copy.staged, then: After::Failed(e) }),
        }
    }

    /// The whole copy takes the place of what stood there.
    pub(super) fn swapped(&mut self, staged: Staged, cx: &mut Services) -> Result<Stage, Errno> {
        let then = if self.job.moves { After::Leave } else { After::Done };
        let copy = self.job.sync && self.judging.is_tree;
        let copy = copy.then(|| file::open_at(Some(staged.dir.as_fd()), &staged.name, O_PATH | O_DIRECTORY, 0).ok());
        let swapped = self.job.swap(self.job.to(), &staged.name, &mut cx.temp_names);
        // By its new path: no request knows the old one.
        self.filled = copy.flatten().and_then(|copy| cx.checked_trees.watch(copy.as_fd()).ok());
        match swapped {
            Ok(NameBefore::Free) => {
                staged.keep();
                Ok(Stage::Cleared(then))
            }
            Ok(NameBefore::Taken) => Ok(Stage::Old { old: staged, then }),
            Err(e) => Ok(Stage::Old { old: staged, then: After::Failed(e) }),
        }
    }

    fn cleared(&mut self) -> Stage {
        match std::mem::replace(&mut self.stage, Stage::TransferChecks) {
            Stage::Clearing { then, .. } => Stage::Cleared(then),
            stage => stage,
        }
    }

    /// Whether it waits for the disk.
    pub fn waits(&self) -> bool {
        match &self.stage {
            Stage::Syncing(syncs, _) => all_ended(syncs) == Ok(false),
            Stage::Tree(_, syncs) => syncs.len() >= SYNCS && all_ended(syncs) == Ok(false),
            _ => false,
        }
    }
}

/// What was replaced has lost its name; that parts of it remain is only logged.
fn report_stuck(ex: &mut Exchange, cx: &mut Services, stuck: &Stuck) {
    let path = String::from_utf8_lossy(&stuck.path);
    let text = format_args!("{} \"{path}\" of a hidden directory failed {}", stuck.call, stuck.errno);
    ex.report(cx, Level::Crit, text);
}

#[cfg(test)]
mod tests;

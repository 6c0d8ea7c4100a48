//! The steps of COPY and MOVE that change names, when the request names versions: these are locked meanwhile.
//!
//! Invariant: while something else is changing such a version, the stage stays and is tried again in another turn;
//! nothing has been changed by it, and no lock of a quota is kept.

use super::copying::{FileCopy, Staged};
use super::guard;
use super::job::{After, Job, Stage};
use super::transfer::Transfer;
use super::transfer_request;
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::upload::{self, Refusal};
use crate::exchange::handlers::versions::{self, Denied, Versions};
use crate::http::status::Status;
use crate::services::Services;
use crate::sys::Errno;

/// What comes next. None: the stage stays.
type Next = Option<Result<Stage, Errno>>;

/// Whether it is granted. False: that is not known yet. Err: it is refused.
fn is_granted(outcome: Result<(), Refusal>, ex: &mut Exchange, cx: &mut Services) -> Result<bool, Flow> {
    match outcome {
        Ok(()) => Ok(true),
        Err(refusal) if refusal.later => Ok(false),
        Err(refusal) => Err(upload::refuse(ex, cx, &refusal)),
    }
}

impl Transfer {
    /// The rules allow it: begins, if the conditions of the request still hold. None: all is judged again.
    pub(super) fn begin(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<Next, Flow> {
        let _versions = match guard::hold_both(ex, cx, &self.job) {
            Ok(versions) => versions,
            Err(denied) => return self.denied(ex, cx, denied).map(|()| None),
        };
        versions::end_wait(ex);
        self.at_their_paths(self.job.moves).map_err(|refusal| upload::refuse(ex, cx, &refusal))?;
        // It was judged some turns ago.
        transfer_request::check_locks(ex, cx, &self.job, self.judging.is_tree).map_err(Flow::Status)?;
        let claimed = self.judging.claim_again(ex, cx, &self.job, None);
        if !is_granted(claimed, ex, cx)? {
            return Ok(None);
        }
        if self.judging.is_tree {
            return Ok(Some(self.begin_tree(ex, cx)));
        }
        let begun = self.job.begin_file(&mut cx.temp_names);
        if let Ok(Stage::File(copy)) = &begun {
            let claimed = self.judging.claim_again(ex, cx, &self.job, Some(copy.source().size));
            if !is_granted(claimed, ex, cx)? {
                return Ok(None);
            }
        }
        Ok(Some(begun))
    }

    /// The copy of a file gets its name.
    pub(super) fn place(&mut self, copy: FileCopy, ex: &mut Exchange, cx: &mut Services) -> Result<Next, Flow> {
        let outcome = self.may_have_name(Some(copy.source().size), ex, cx);
        if !is_granted(outcome, ex, cx)? {
            self.stage = Stage::Placing(copy);
            return Ok(None);
        }
        let has_room = self.judging.lock(ex, cx).map_err(|refusal| upload::refuse(ex, cx, &refusal))?;
        if has_room {
            let mut versions = Versions::default();
            match guard::hold(ex, cx, &mut versions) {
                Ok(()) => {
                    versions::end_wait(ex);
                    self.at_their_paths(false).map_err(|refusal| upload::refuse(ex, cx, &refusal))?;
                    return Ok(Some(self.place_file(copy, &mut cx.temp_names)));
                }
                Err(denied) => self.denied(ex, cx, denied)?,
            }
        }
        self.stage = Stage::Placing(copy);
        Ok(None)
    }

    /// The copy of a tree takes the place of what is there.
    pub(super) fn swap(&mut self, staged: Staged, ex: &mut Exchange, cx: &mut Services) -> Next {
        let size = self.copied.map(|source| source.size);
        if let Err(refusal) = self.may_have_name(size, ex, cx) {
            if refusal.later {
                self.stage = Stage::Swapping(staged);
                return None;
            }
            return Some(Ok(Stage::Old { old: staged, then: After::Refused(refusal) }));
        }
        match self.judging.may_swap(ex, cx) {
            Ok(true) => {}
            Ok(false) => {
                self.stage = Stage::Swapping(staged);
                return None;
            }
            Err(then) => return Some(Ok(Stage::Old { old: staged, then })),
        }
        let mut versions = Versions::default();
        match guard::hold(ex, cx, &mut versions) {
            Ok(()) => {
                versions::end_wait(ex);
                Some(match self.at_their_paths(false) {
                    Ok(()) => self.swapped(staged, cx),
                    Err(refusal) => Ok(Stage::Old { old: staged, then: After::Refused(refusal) }),
                })
            }
            Err(denied) => {
                self.judging.take_back();
                if denied.is_waited_for(ex, cx) {
                    self.stage = Stage::Swapping(staged);
                    return None;
                }
                Some(Ok(Stage::Old { old: staged, then: After::Refused(denied.into()) }))
            }
        }
    }

    /// Whether the copy may still get its name: another client may have locked that meanwhile. `size`: a file's.
    fn may_have_name(&mut self, size: Option<u64>, ex: &mut Exchange, cx: &mut Services) -> Result<(), Refusal> {
        let is_tree = self.judging.is_tree;
        if transfer_request::check_target_lock(ex, cx, &self.job, is_tree).is_err() {
            return Err(Refusal::new(Status::LOCKED, "the destination was locked meanwhile"));
        }
        match size {
            Some(size) if !is_tree => self.judging.claim_again(ex, cx, &self.job, Some(size)),
            _ => Ok(()),
        }
    }

    /// What was moved by copying is about to be removed.
    pub(super) fn begin_leaving(&mut self, ex: &mut Exchange, cx: &mut Services) -> Next {
        match guard::hold_leaving(ex, cx, &self.job) {
            Err(denied) if denied.is_waited_for(ex, cx) => {
                self.stage = Stage::Cleared(After::Leave);
                None
            }
            Ok(_versions) if !self.has_source_changed() => Some(self.job.after(After::Leave)),
            // Another file has the name by now: that one was not copied.
            _ => Some(Err(Errno::EBUSY)),
        }
    }

    /// The paths of the request still lead where the names are given: the destination's, and with `source` the
    /// source's.
    fn at_their_paths(&mut self, source: bool) -> Result<(), Refusal> {
        let Job { source: from, target: to, .. } = &self.job;
        for end in [to].into_iter().chain(source.then_some(from)) {
            let why = match end.is_at_its_path() {
                Ok(true) => continue,
                Ok(false) => Refusal::new(Status::CONFLICT, "the folder was moved or removed meanwhile"),
                Err(e) => Refusal::call("stat()", b"", e),
            };
            self.judging.take_back();
            return Err(why);
        }
        Ok(())
    }

    /// Ok: the version is waited for.
    fn denied(&mut self, ex: &mut Exchange, cx: &Services, denied: Denied) -> Result<(), Flow> {
        self.judging.take_back();
        if denied.is_waited_for(ex, cx) { Ok(()) } else { Err(denied.flow(ex)) }
    }
}

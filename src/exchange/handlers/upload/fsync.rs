//! upload_sync: the response is sent when the upload is on the disk. First the files' content, then their names: a
//! power cut leaves the old file or the whole new one, and what was answered with success is there. If the names
//! cannot be written to the disk, what had them before gets them back, and the upload is refused: after a failed
//! fsync it is not known what a power cut would leave, so it is not tried again. What cannot be taken back is
//! answered with 500, which says so.

use super::answer;
use super::record::Stored;
use super::refusal::Refusal;
use super::state::{Because, Upload, Writing, target_of};
use super::temp_file::Birth;
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::services::Services;
use crate::services::syncs::{Sync, all_ended};
use crate::sys::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

impl Upload {
    /// It waits for the disk; the loop drives its connection when that has finished.
    pub fn is_writing(&self) -> bool {
        matches!(self.writing, Writing::Content(_) | Writing::Names(..))
    }

    /// Begins to write the content, before it gets a name. False: there is nothing to wait for.
    ///
    /// # Errors
    /// [`Refusal::later`] where there is more to begin in another turn.
    pub fn write_content(&mut self, cx: &mut Services) -> Result<bool, Refusal> {
        if !self.rules.sync || self.parts.is_empty() {
            return Ok(false);
        }
        let mut syncs = match std::mem::take(&mut self.writing) {
            Writing::None => Vec::with_capacity(self.parts.len()),
            Writing::Begun(syncs) => syncs,
            other => {
                self.writing = other;
                return Ok(false);
            }
        };
        while let Some(part) = self.parts.get_mut(syncs.len()) {
            let dir = &target_of(&self.target, &self.folders, part.folder).dir;
            part.durable = true;
            let failed = |e| Refusal::call("write()", &self.target.path, e);
            let moved = part.move_to_file(dir, &mut cx.temp_names, Birth::Nameless);
            cx.buffers.give(moved.map_err(failed)?);
            part.stat().map_err(failed)?;
            let Some(fd) = part.fd() else { break };
            syncs.push(cx.syncs.begin(fd));
            if syncs.len() < self.parts.len() && cx.slice.is_over() {
                self.writing = Writing::Begun(syncs);
                return Err(Refusal::later());
            }
        }
        self.writing = Writing::Content(syncs);
        Ok(true)
    }

    /// Before names are given: what is needed to write them to the disk. A shortage of descriptors refuses the upload
    /// while nothing has changed. The folders of a form are opened later: there may be thousands. A resumable upload
    /// keeps its bytes when that fails later.
    ///
    /// # Errors
    /// The directory, or one above it, cannot be opened.
    pub fn prepare_writing(&mut self, cx: &mut Services) -> Result<(), Refusal> {
        if !self.rules.sync || !self.folders.is_empty() || !self.own.is_empty() || self.prepared.is_some() {
            return Ok(());
        }
        let prepared = cx.syncs.prepare(self.target.dir.as_fd());
        let prepared = prepared.map_err(|e| Refusal::call("open()", &self.target.path, e))?;
        self.prepared = Some(Box::new(prepared));
        Ok(())
    }

    /// Begins to write the names, of the files and of the directories that were made for them, from the directory
    /// `next` on.
    pub fn write_names(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        (mut next, mut syncs, stored): (usize, Vec<Sync>, Vec<Stored>),
    ) -> Flow {
        loop {
            let dir = self.directories().nth(next).cloned();
            let Some(dir) = dir else { break };
            let begun = match self.prepared.take() {
                Some(prepared) => Ok(cx.syncs.begin_prepared(*prepared)),
                None => cx.syncs.begin_names([&dir]),
            };
            match begun {
                Ok(begun) => syncs.extend(begun),
                Err(e) => return self.unwritten(ex, cx, "open()", e),
            }
            next += 1;
            if next <= self.folders.len() && cx.slice.is_over() {
                self.writing = Writing::NamesBegun(next, syncs, stored);
                return Flow::Wait;
            }
        }
        self.writing = Writing::Names(syncs, stored);
        self.written(ex, cx)
    }

    /// The directories that hold the files' names.
    pub fn directories(&self) -> impl Iterator<Item = &Rc<OwnedFd>> {
        std::iter::once(&self.target.dir).chain(self.folders.iter().map(|folder| &folder.target.dir))
    }

    /// The disk may have finished.
    pub fn written(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        let outcome = match &self.writing {
            Writing::Content(syncs) | Writing::Names(syncs, _) => all_ended(syncs),
            Writing::None | Writing::Begun(_) | Writing::Named | Writing::NamesBegun(..) => Ok(true),
        };
        match outcome {
            Ok(true) => {}
            Ok(false) => return Flow::Wait,
            Err(e) if matches!(self.writing, Writing::Names(..)) => return self.unwritten(ex, cx, "fsync()", e),
            Err(e) => {
                let refusal = Refusal::call("fsync()", &self.target.path, e);
                return answer::refuse(ex, cx, &refusal);
            }
        }
        match std::mem::take(&mut self.writing) {
            Writing::Names(_, stored) => self.stored(ex, cx, stored),
            _ => {
                self.writing = Writing::Named;
                self.finish(ex, cx)
            }
        }
    }

    /// The names could not be written to the disk.
    fn unwritten(&mut self, ex: &mut Exchange, cx: &mut Services, call: &'static str, e: Errno) -> Flow {
        self.writing = Writing::Named;
        self.naming.given = self.parts.len();
        self.go_back(ex, cx, Because::Unwritten(call, e))
    }
}

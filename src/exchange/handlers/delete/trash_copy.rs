//! A directory that the file system cannot rename into the trash (overlayfs: one of a lower layer) is copied there
//! under a hidden name. The whole copy gets the directory's name, and the original is removed then.
//!
//! Invariant: nothing of the original is removed before all of it is in the trash, with upload_sync on the disk; nor
//! what came into it, or changed, after it was copied.

use super::trash::{Layered, rename_into};
use crate::exchange::handlers::dav::copied::Copied;
use crate::exchange::handlers::dav::copying::{Staged, TreeCopy};
use crate::exchange::handlers::dav::lock_tokens::RemovalPermission;
use crate::services::Services;
use crate::services::checked_trees::Watch;
use crate::services::remove_tree::Removal;
use crate::services::syncs::{Sync, all_ended};
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, Rename};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Most files that are being written to the disk at a time.
const SYNCS: usize = 64;

/// The copying of a directory into the trash, a slice each turn of the loop.
pub struct TrashCopy {
    stage: Stage,
    /// All of it is copied.
    is_whole: bool,
    /// The directory of the original, and its name.
    original: (Rc<OwnedFd>, CString),
    trash: Rc<OwnedFd>,
    /// The trash was made for it.
    is_new: bool,
    /// upload_sync, and what is being written to the disk.
    sync: bool,
    syncs: Vec<Sync>,
    /// What may be removed of the original.
    held: CopiedContent,
}

enum Stage {
    Copying(Box<TreeCopy>),
    /// The copy has this name in the trash.
    Named(CString),
}

/// What the copy in a trash holds of its original.
#[derive(Default)]
pub struct CopiedContent {
    copied: Option<Copied>,
    /// Tells whether another request has put something into the original since.
    came: Option<Watch>,
}

/// How far a slice has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyProgress {
    /// There is more to be copied.
    More,
    /// Whether it waits for the disk.
    Waits,
    /// The copy has its name: the original may be removed.
    Done,
}

impl TrashCopy {
    /// # Errors
    /// The system call that failed, and how: nothing was changed.
    pub fn begin(what: Layered, sync: bool, cx: &mut Services) -> Result<TrashCopy, (&'static str, Errno)> {
        let Layered { parent, name, trash, is_new } = what;
        let (parent, trash) = (Rc::new(parent), Rc::new(trash));
        let mut copy =
            TreeCopy::new(parent.as_fd(), &name, &trash, true, &mut cx.temp_names).map_err(|e| ("open()", e))?;
        copy.copied = Some(Copied::begin(&cx.now));
        copy.keeps_links = true;
        let came =
            copy.source().map(|source| cx.checked_trees.watch(source)).transpose().map_err(|e| ("readlink()", e))?;
        let held = CopiedContent { copied: None, came };
        let stage = Stage::Copying(Box::new(copy));
        Ok(TrashCopy { stage, is_whole: false, original: (parent, name), trash, is_new, sync, syncs: Vec::new(), held })
    }

    /// Copies a little more. `check` is asked about each entry: the path to its directory, its name and its type.
    ///
    /// # Errors
    /// The system call that failed, and how: the original is as it was.
    pub fn step(
        &mut self,
        cx: &mut Services,
        check: impl FnMut(&mut Services, &[u8], &CStr, FileKind) -> Result<(), Errno>,
    ) -> Result<CopyProgress, (&'static str, Errno)> {
        self.syncs.retain(|sync| sync.outcome() != Some(Ok(())));
        let is_on_disk = all_ended(&self.syncs).inspect_err(|_| self.take_back(cx)).map_err(|e| ("fsync()", e))?;
        match &self.stage {
            Stage::Copying(_) if !self.is_whole && self.syncs.len() < SYNCS => self.copy(cx, check),
            Stage::Copying(_) | Stage::Named(_) if !is_on_disk => Ok(CopyProgress::Waits),
            Stage::Copying(_) if self.is_whole => self.name(cx).map(|()| CopyProgress::More),
            Stage::Copying(_) => Ok(CopyProgress::More),
            Stage::Named(_) => Ok(CopyProgress::Done),
        }
    }

    fn copy(
        &mut self,
        cx: &mut Services,
        mut check: impl FnMut(&mut Services, &[u8], &CStr, FileKind) -> Result<(), Errno>,
    ) -> Result<CopyProgress, (&'static str, Errno)> {
        let Stage::Copying(copy) = &mut self.stage else { return Ok(CopyProgress::Done) };
        let mut scratch = std::mem::take(&mut cx.scratch);
        let outcome = copy.step(&mut scratch, |way, name, kind, _| check(cx, way, name, kind));
        cx.scratch = scratch;
        let whole = std::mem::take(&mut copy.whole);
        if self.sync {
            self.syncs.extend(whole.iter().map(|fd| cx.syncs.begin(fd.as_fd())));
        }
        if outcome.map_err(|e| ("copying into the trash", e))? {
            return Ok(CopyProgress::More);
        }
        self.held.copied = copy.copied.take();
        self.is_whole = true;
        Ok(CopyProgress::More)
    }

    /// Gives the whole copy a name in the trash that is free there.
    fn name(&mut self, cx: &mut Services) -> Result<(), (&'static str, Errno)> {
        let (_, name) = &self.original;
        let Stage::Copying(copy) = &self.stage else { return Ok(()) };
        let new = rename_into(self.trash.as_fd(), name, self.trash.as_fd(), &copy.staged.name)
            .map_err(|e| ("rename()", e))?;
        if let Stage::Copying(copy) = std::mem::replace(&mut self.stage, Stage::Named(new)) {
            copy.staged.keep();
        }
        cx.quotas.files_added();
        cx.checked_trees.name_added(self.trash.as_fd());
        if self.is_new {
            cx.syncs.made_directory();
        }
        if self.sync {
            self.syncs =
                cx.syncs.begin_names([&self.trash]).inspect_err(|_| self.take_back(cx)).map_err(|e| ("open()", e))?;
        }
        Ok(())
    }

    /// The copy may not be on the disk: it is removed, and the original stays.
    fn take_back(&mut self, cx: &mut Services) {
        let Stage::Named(name) = &self.stage else { return };
        let (dir, hidden) = (Some(self.trash.as_fd()), Staged::new(&self.trash, &mut cx.temp_names));
        // If that fails, both stay.
        if file::rename_at(dir, name, dir, &hidden.name, Rename::NoReplace).is_err() {
            hidden.keep();
        }
    }

    /// The relative path of what cannot be copied, if that is why it failed.
    pub fn obstacle(&mut self) -> Option<Vec<u8>> {
        match &mut self.stage {
            Stage::Copying(copy) => copy.obstacle.take(),
            Stage::Named(_) => None,
        }
    }

    /// Whether it waits for the disk.
    pub fn waits(&self) -> bool {
        let is_copying = matches!(self.stage, Stage::Copying(_)) && !self.is_whole && self.syncs.len() < SYNCS;
        !is_copying && all_ended(&self.syncs) == Ok(false)
    }

    /// Begins to remove the original, once the copy has its name; also gives what may be removed of it.
    ///
    /// # Errors
    /// The system call that failed, and how. EBUSY: another request has moved it, and what has its name was not copied.
    pub fn begin_removal(
        &mut self,
        leave: &RemovalPermission,
    ) -> Result<(Removal, CopiedContent), (&'static str, Errno)> {
        let (dir, name) = &self.original;
        if !leave.is_at(dir.as_fd(), name.to_bytes()) {
            return Err(("removal of", Errno::EBUSY));
        }
        let removal = file::dup(dir.as_fd()).and_then(|dir| Removal::new(dir, name)).map_err(|e| ("open()", e))?;
        Ok((removal, std::mem::take(&mut self.held)))
    }
}

impl CopiedContent {
    /// Whether an entry of the original may be removed; of a directory that was not copied, each may.
    ///
    /// # Errors
    /// EBUSY: it is not in the copy as it is now.
    pub fn check(&self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        if self.came.as_ref().is_some_and(Watch::is_set) {
            return Err(Errno::EBUSY);
        }
        let Some(copied) = &self.copied else { return Ok(()) };
        file::stat_at(Some(dir), name, Follow::No).map_or(Ok(()), |there| copied.check(&there))
    }
}

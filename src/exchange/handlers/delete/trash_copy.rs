//! What cannot be renamed into the trash (it is on another file system, or a directory of a lower layer of overlayfs)
//! is copied there under a hidden name. The whole copy gets the name of the original, which is removed then.
//!
//! Invariant: nothing of the original is removed before all of it is in the trash, with upload_sync on the disk; nor
//! what came into it, or changed, after it was copied.

use super::trash::{COPYING, Unmoved, rename_into};
use crate::exchange::handlers::dav::copied::Copied;
use crate::exchange::handlers::dav::copying::{Staged, TreeCopy};
use crate::exchange::handlers::dav::lock_tokens::RemovalPermission;
use crate::services::Services;
use crate::services::checked_trees::Watch;
use crate::services::dav_locks::DavLocks;
use crate::services::remove_tree::Removal;
use crate::services::syncs::{Sync, all_ended};
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, Rename, Unlink};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Most files that are being written to the disk at a time.
const SYNCS: usize = 64;

/// The copying of a file, a link or a directory into the trash, a slice each turn of the loop.
pub struct TrashCopy {
    stage: Stage,
    /// All of it is copied.
    is_whole: bool,
    /// The directory of the original, its name, and what it is.
    original: (Rc<OwnedFd>, CString),
    kind: FileKind,
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
    pub fn begin(what: Unmoved, sync: bool, cx: &mut Services) -> Result<TrashCopy, (&'static str, Errno)> {
        let Unmoved { parent, name, kind, trash, is_new } = what;
        let (parent, trash) = (Rc::new(parent), Rc::new(trash));
        let (copied, names) = (Copied::begin(&cx.now), &mut cx.temp_names);
        let copy = match kind {
            FileKind::Dir => TreeCopy::new(parent.as_fd(), &name, &trash, true, names).map(|mut copy| {
                (copy.copied, copy.keeps_links) = (Some(copied), true);
                copy
            }),
            _ => TreeCopy::of_file(parent.as_fd(), &name, &trash, copied, names),
        };
        let copy = copy.map_err(|e| ("open()", e))?;
        let came =
            copy.source().map(|source| cx.checked_trees.watch(source)).transpose().map_err(|e| ("readlink()", e))?;
        let held = CopiedContent { copied: None, came };
        let stage = Stage::Copying(Box::new(copy));
        let (original, syncs) = ((parent, name), Vec::new());
        Ok(TrashCopy { stage, is_whole: false, original, kind, trash, is_new, sync, syncs, held })
    }

    /// It is a file or a link.
    pub fn is_of_one_file(&self) -> bool {
        self.kind != FileKind::Dir
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
        if outcome.map_err(|e| (COPYING, e))? {
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

    /// Removes the original, a file or a link, once the copy has its name.
    ///
    /// # Errors
    /// The system call that failed, and how. EBUSY: it was moved or changed while it was copied, or locked.
    pub fn remove_file(&self, locks: &DavLocks, leave: &RemovalPermission) -> Result<(), (&'static str, Errno)> {
        let (dir, name) = &self.original;
        if !leave.is_at(dir.as_fd(), name.to_bytes()) {
            return Err(("removal of", Errno::EBUSY));
        }
        leave.check_itself(locks).and_then(|()| self.held.check(dir.as_fd(), name)).map_err(|e| ("removal of", e))?;
        file::unlink_at(Some(dir.as_fd()), name, Unlink::File).map_err(|e| ("unlink()", e))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{OUTSIDE, Site};
    use crate::sys::scratch::Scratch;
    use std::fs;
    use std::path::Path;

    /// Copies `f` into a trash, lets `meanwhile` happen to it, and removes the original.
    fn trashed(meanwhile: impl FnOnce(&Path)) -> (Scratch, Result<(), Errno>) {
        let (mut site, scratch) = (Site::new("", "location / { }"), Scratch::new());
        scratch.write("f", b"first");
        fs::create_dir(scratch.path().join("trash")).expect("a directory");
        let (parent, dir) = (scratch.fd(), scratch.fd());
        let trash = fs::File::open(scratch.path().join("trash")).expect("it is there").into();
        let ex = site.at("DELETE /f", &[], OUTSIDE);
        let leave = RemovalPermission::of(&ex, dir.as_fd(), b"f").expect("its path");
        let cx = &mut site.cx;
        let what = Unmoved { parent, name: c"f".into(), kind: FileKind::Regular, trash, is_new: false };
        let mut copy = TrashCopy::begin(what, false, cx).map_err(|(_, e)| e).expect("it begins");
        while copy.step(cx, |_, _, _, _| Ok(())).map_err(|(_, e)| e).expect("it is copied") != CopyProgress::Done {}
        meanwhile(&scratch.path().join("f"));
        let removed = copy.remove_file(&cx.dav_locks, &leave).map_err(|(_, e)| e);
        (scratch, removed)
    }

    /// A version that came while the old one was copied must not be lost with that.
    #[test]
    fn a_file_that_changes_while_it_is_copied_into_the_trash_stays() {
        let (scratch, removed) = trashed(|_| {});
        assert_eq!((removed, scratch.path().join("f").exists()), (Ok(()), false));
        let replaced = |f: &Path| {
            fs::write(f.with_file_name("new"), "second version").expect("written");
            fs::rename(f.with_file_name("new"), f).expect("renamed");
        };
        let written = |f: &Path| fs::write(f, "longer than it was").expect("written");
        for (change, content) in [(replaced as fn(&Path), "second version"), (written, "longer than it was")] {
            let (scratch, removed) = trashed(change);
            assert_eq!(removed, Err(Errno::EBUSY), "{content}");
            assert_eq!(fs::read_to_string(scratch.path().join("f")).expect("it is there"), content);
            assert_eq!(fs::read_to_string(scratch.path().join("trash/f")).expect("it is there"), "first");
        }
    }
}

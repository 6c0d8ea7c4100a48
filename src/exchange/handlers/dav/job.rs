//! What a COPY or MOVE is to do, how far it has come, and the calls that give names.

use super::copying::{FileCopy, Staged, TreeCopy};
use super::target::Resource;
use crate::exchange::handlers::upload::Refusal;
use crate::http::status::Status;
use crate::services::remove_tree::Removal;
use crate::services::syncs::Sync;
use crate::services::temp_names::TempNames;
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, Rename, Unlink};
use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// The request, checked.
pub struct Job {
    /// The resource that is copied or moved.
    pub source: Resource,
    /// The destination: its directory exists.
    pub target: Resource,
    /// With everything below (`Depth: infinity`); otherwise a collection without its members.
    pub deep: bool,
    /// MOVE; otherwise COPY.
    pub moves: bool,
    /// `Overwrite: T`, the default (RFC 4918 §10.6): what is at the destination is replaced.
    pub overwrite: bool,
    /// MOVE: the destination is the source by another spelling, on a file system that ignores case. One rename, which
    /// replaces nothing, gives it.
    pub is_respelled: bool,
    /// The destination is another hard link of the source: there is nothing to be replaced, and a rename does nothing.
    pub is_linked: bool,
    /// The status of success.
    pub status: Status,
    /// The destination is a directory, so that not even a file replaces it in one step. Or, with upload_sync, the old
    /// destination must be kept until the new name is on the disk.
    pub swaps: Cell<bool>,
    /// upload_sync.
    pub sync: bool,
    /// What the destination was is gone for good: it cannot be taken back.
    pub has_lost: Cell<bool>,
    /// The place of a client's file or directory that could be given neither its new nor its old name.
    pub stranded: Cell<Option<Stranded>>,
    /// Relative paths from the source to the hidden trash directories below it, which a COPY leaves out.
    pub trashes: Vec<Box<[u8]>>,
}

/// The directory and the hidden name of what is left there.
pub type Stranded = (Rc<OwnedFd>, CString);

/// What the job is at; each step returns the next.
pub enum Stage {
    /// The rules are being checked: nothing has been changed.
    TransferChecks,
    /// A file is being copied.
    File(FileCopy),
    /// The copy is whole, and is about to get its name.
    Placing(FileCopy),
    /// A tree is being copied; files of it are being written to the disk.
    Tree(Box<TreeCopy>, Vec<Sync>),
    /// The copy is about to change places with what is at the destination.
    Swapping(Staged),
    /// These are being written to the disk; then that stage follows.
    Syncing(Vec<Sync>, Box<Stage>),
    /// What stood at the destination, under a hidden name, or a copy that failed: it is removed.
    Old { old: Staged, then: After },
    /// A directory and all in it is being removed, a slice each turn.
    Clearing { removal: Removal, then: After },
    /// What stood at the destination is gone.
    Cleared(After),
    /// MOVE: the copy is in its place, the source is removed.
    Leaving(Removal),
    /// Done, with this status.
    Done(Status),
    /// The names are given, but could not be written to the disk: the call that failed.
    Unsure(&'static str, Errno),
}

/// What a name was before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum NameBefore {
    /// The name was free.
    Free,
    /// The replaced file has the name of what replaced it.
    Taken,
}

/// What follows when something hidden has been removed.
pub enum After {
    /// A MOVE by copying: the source.
    Leave,
    /// The job is done.
    Done,
    /// The job has failed; what was made for it is removed.
    Failed(Errno),
    /// The quota refuses: other requests were faster.
    Refused(Refusal),
    /// As [`Stage::Unsure`].
    Unsure(&'static str, Errno),
}

impl Job {
    /// The directory of the source.
    pub fn from(&self) -> BorrowedFd<'_> {
        self.source.dir.as_fd()
    }

    /// The directory of the destination.
    pub fn to(&self) -> BorrowedFd<'_> {
        self.target.dir.as_fd()
    }

    /// Begins with a file: by rename(2) if it is moved within a file system, else by copying.
    pub fn begin_file(&self, temp_names: &mut TempNames) -> Result<Stage, Errno> {
        if self.is_respelled {
            return self.respell();
        }
        if self.moves && self.is_linked && self.are_links() {
            let (from, old) = (Some(self.from()), Staged::new(&self.source.dir, temp_names));
            file::rename_at(from, &self.source.name, from, &old.name, Rename::NoReplace)?;
            return Ok(Stage::Old { old, then: After::Done });
        }
        if self.moves && self.swaps.get() {
            return match self.begin_move(temp_names) {
                Err(Errno::EXDEV) => {
                    FileCopy::new(self.from(), &self.source.name, &self.target.dir, temp_names).map(Stage::File)
                }
                outcome => outcome,
            };
        }
        if self.moves {
            let old = self.keep_old(temp_names);
            match file::rename_at(Some(self.from()), &self.source.name, Some(self.to()), &self.target.name, self.how())
            {
                // The copy takes its place as a COPY's does: what is there can be put back.
                Err(Errno::EXDEV) => {
                    self.swaps.set(self.sync);
                    self.has_lost.set(self.has_lost.get() && !self.sync);
                }
                Ok(()) => {
                    self.has_lost.set(self.has_lost.get() && old.is_none());
                    let done = Stage::Done(self.status);
                    return Ok(old.map_or(done, |old| Stage::Old { old, then: After::Done }));
                }
                Err(e) => return Err(e),
            }
        }
        FileCopy::new(self.from(), &self.source.name, &self.target.dir, temp_names).map(Stage::File)
    }

    /// Begins with a directory, as [`Job::begin_file`].
    pub fn begin_tree(&self, temp_names: &mut TempNames) -> Result<Stage, Errno> {
        if self.is_respelled {
            return self.respell();
        }
        if self.moves {
            match self.begin_move(temp_names) {
                Err(Errno::EXDEV) => {}
                outcome => return outcome,
            }
        }
        let mut copy = TreeCopy::new(self.from(), &self.source.name, &self.target.dir, self.deep, temp_names)?;
        copy.trashes.clone_from(&self.trashes);
        Ok(Stage::Tree(Box::new(copy), Vec::new()))
    }

    /// Both names are still those of one file.
    fn are_links(&self) -> bool {
        let stat = |dir, name| file::stat_at(Some(dir), name, Follow::No).ok();
        let ends = stat(self.from(), &self.source.name).zip(stat(self.to(), &self.target.name));
        ends.is_some_and(|(one, other)| one.is_same_inode(&other))
    }

    fn respell(&self) -> Result<Stage, Errno> {
        let (from, to) = (Some(self.from()), Some(self.to()));
        file::rename_at(from, &self.source.name, to, &self.target.name, Rename::Replace)?;
        Ok(Stage::Done(self.status))
    }

    /// upload_sync: the file that a MOVE replaces keeps a hidden name until the new one is on the disk.
    fn keep_old(&self, temp_names: &mut TempNames) -> Option<Staged> {
        // Without a journal a hidden name could stay for ever, should the process be killed meanwhile.
        if !self.sync || !self.overwrite || !temp_names.is_kept() {
            return None;
        }
        let (to, old) = (Some(self.to()), Staged::new(&self.target.dir, temp_names));
        file::link_at(to, &self.target.name, to, &old.name).ok().map(|()| old)
    }

    /// Gives the source its new name in one step, whatever has that name.
    fn begin_move(&self, temp_names: &mut TempNames) -> Result<Stage, Errno> {
        match self.swap(self.from(), &self.source.name, temp_names)? {
            NameBefore::Free => Ok(Stage::Done(self.status)),
            NameBefore::Taken => {
                // What stood there now has the source's name.
                let (from, old) = (Some(self.from()), Staged::new(&self.source.dir, temp_names));
                match file::rename_at(from, &self.source.name, from, &old.name, Rename::NoReplace) {
                    Ok(()) => Ok(Stage::Old { old, then: After::Done }),
                    Err(e) => {
                        let to = Some(self.to());
                        let back = || file::rename_at(from, &self.source.name, to, &self.target.name, Rename::Exchange);
                        match back() {
                            Err(e) if file::is_missing(e) => {
                                self.swap_aside(self.from(), &self.source.name, temp_names)?;
                            }
                            Err(_) => self.stranded.set(Some((self.source.dir.clone(), self.source.name.clone()))),
                            Ok(()) => {}
                        }
                        Err(e)
                    }
                }
            }
        }
    }

    /// Whether the rename that gives the name may replace something.
    pub fn how(&self) -> Rename {
        if self.overwrite { Rename::Replace } else { Rename::NoReplace }
    }

    /// Gives a whole tree its name in one step; what had the name gets the tree's.
    pub fn swap(&self, dir: BorrowedFd<'_>, name: &CStr, temp_names: &mut TempNames) -> Result<NameBefore, Errno> {
        let (from, to) = (Some(dir), Some(self.to()));
        match file::rename_at(from, name, to, &self.target.name, Rename::NoReplace) {
            Err(Errno::EEXIST) if self.overwrite => {}
            outcome => return outcome.map(|()| NameBefore::Free),
        }
        match file::rename_at(from, name, to, &self.target.name, Rename::Exchange) {
            Err(e) if file::is_missing(e) && self.is_of_files(dir, name) => {
                // A file takes another file's place in one step on every file system.
                self.has_lost.set(true);
                return file::rename_at(from, name, to, &self.target.name, Rename::Replace).map(|()| NameBefore::Free);
            }
            Err(e) if file::is_missing(e) => self.swap_aside(dir, name, temp_names)?,
            outcome => outcome?,
        }
        Ok(NameBefore::Taken)
    }

    /// Neither has a directory.
    fn is_of_files(&self, dir: BorrowedFd<'_>, name: &CStr) -> bool {
        let is_file =
            |dir, name| file::stat_at(Some(dir), name, Follow::No).is_ok_and(|stat| stat.kind != FileKind::Dir);
        is_file(dir, name) && is_file(self.to(), &self.target.name)
    }

    /// As [`Job::swap`], on a file system that cannot exchange names: the existing entry is renamed first, so that for
    /// a moment nothing has the name.
    fn swap_aside(&self, dir: BorrowedFd<'_>, name: &CStr, temp_names: &mut TempNames) -> Result<(), Errno> {
        let (from, to, aside) = (Some(dir), Some(self.to()), Staged::new(&self.target.dir, temp_names));
        file::rename_at(to, &self.target.name, to, &aside.name, Rename::NoReplace)?;
        let outcome = file::rename_at(from, name, to, &self.target.name, Rename::NoReplace);
        let (back_dir, back) = if outcome.is_ok() { (from, name) } else { (to, &*self.target.name) };
        match file::rename_at(to, &aside.name, back_dir, back, Rename::NoReplace) {
            Ok(()) => aside.keep(),
            // It stays where it was found.
            Err(e) => {
                self.stranded.set(Some(aside.strand()));
                return Err(e);
            }
        }
        outcome
    }

    /// Removes what is under a hidden name; what cannot be removed at once is tried again when this stage is over.
    pub fn clear(&self, old: Staged, then: After) -> Stage {
        let stat = file::stat_at(Some(old.dir.as_fd()), &old.name, Follow::No);
        if stat.is_ok_and(|stat| stat.kind == FileKind::Dir)
            && let Ok(removal) = old.removal()
        {
            return Stage::Clearing { removal, then };
        }
        Stage::Cleared(then)
    }

    /// The new name could not be written to the disk: the renamed file gets its old name back, and so does `old`.
    pub fn move_back(&self, old: Option<Staged>) -> Result<(), Errno> {
        let (from, to) = (Some(self.from()), Some(self.to()));
        match old {
            None => file::rename_at(to, &self.target.name, from, &self.source.name, Rename::NoReplace),
            Some(old) => {
                let at = Some(old.dir.as_fd());
                file::rename_at(at, &old.name, to, &self.target.name, Rename::Exchange)?;
                let moved = file::rename_at(at, &old.name, from, &self.source.name, Rename::NoReplace);
                // Another client took the old name meanwhile: the new one stays. What was moved must not be removed
                // with `old`.
                if moved.is_ok() {
                    old.keep();
                } else if file::rename_at(at, &old.name, to, &self.target.name, Rename::Exchange).is_err() {
                    self.stranded.set(Some(old.strand()));
                }
                moved
            }
        }
    }

    /// As [`Job::move_back`] for a copy: it gets a hidden name again.
    pub fn unname_copy(&self, old: Option<Staged>, temp_names: &mut TempNames) -> Result<Staged, Errno> {
        let to = Some(self.to());
        let (copy, how) = match old {
            Some(old) => (old, Rename::Exchange),
            None => (Staged::new(&self.target.dir, temp_names), Rename::NoReplace),
        };
        file::rename_at(to, &self.target.name, to, &copy.name, how)?;
        Ok(copy)
    }

    /// The stage that follows once something hidden is gone.
    pub fn after(&self, then: After) -> Result<Stage, Errno> {
        match then {
            After::Leave => match file::unlink_at(Some(self.from()), &self.source.name, Unlink::File) {
                // Another client removed it: the copy has taken its place all the same.
                Err(Errno::ENOENT) => Ok(Stage::Done(self.status)),
                Err(Errno::EISDIR) => Ok(Stage::Leaving(Removal::new(file::dup(self.from())?, &self.source.name)?)),
                outcome => outcome.map(|()| Stage::Done(self.status)),
            },
            After::Done => Ok(Stage::Done(self.status)),
            After::Failed(e) => Err(e),
            After::Refused(_) => Err(Errno::EDQUOT),
            After::Unsure(call, e) => Ok(Stage::Unsure(call, e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::transfer_request;
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};

    #[test]
    fn a_move_whose_source_vanishes_after_it_was_copied_is_no_404() {
        let mut site = Site::new("", "location / { dav_methods MOVE; }");
        let root = site.root();
        std::fs::write(root.join("a"), "content").expect("written");
        let mut ex = site.at("MOVE /a", &["Destination: /b"], INSIDE);
        let (job, _) = transfer_request::check(&mut ex, &mut site.cx).expect("it may be moved");
        std::fs::remove_file(root.join("a")).expect("removed");
        assert!(matches!(job.after(After::Leave), Ok(Stage::Done(Status::CREATED | Status::NO_CONTENT))));
    }
}

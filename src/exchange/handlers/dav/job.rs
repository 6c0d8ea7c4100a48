//! What a COPY or MOVE is to do, how far it is, and the calls that give names.

use super::copying::{FileCopy, Staged, TreeCopy};
use super::target::Resource;
use crate::exchange::handlers::upload::Refusal;
use crate::http::status::Status;
use crate::services::remove_tree::Removal;
use crate::services::syncs::Sync;
use crate::services::temp_names::TempNames;
use crate::sys::Errno;
use crate::sys::file::{self, FileKind, Follow, Rename, Unlink};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

/// All that was asked for, checked.
pub struct Job {
    pub source: Resource,
    pub target: Resource,
    pub deep: bool,
    pub moves: bool,
    pub overwrite: bool,
    pub status: Status,
    /// The destination is a directory: not even a file replaces it in one step.
    pub swaps: bool,
    /// upload_sync.
    pub sync: bool,
    /// Ways from the source to the hidden trashes below it, which a COPY leaves out.
    pub trashes: Vec<Box<[u8]>>,
}

pub enum Stage {
    /// Whether it may be done is being looked at: nothing has been changed.
    Judging,
    File(FileCopy),
    /// The copy is whole, and gets its name.
    Placing(FileCopy),
    Tree(TreeCopy, Vec<Sync>),
    Swapping(Staged),
    /// The disk is waited for; then it goes on with that.
    Syncing(Vec<Sync>, Box<Stage>),
    /// What stood at the destination, under a hidden name, or a copy that failed: it goes.
    Old {
        old: Staged,
        then: After,
    },
    Clearing {
        removal: Removal,
        then: After,
    },
    /// What stood at the destination is gone.
    Cleared(After),
    /// MOVE: the copy is in its place, the source goes.
    Leaving(Removal),
    Done(Status),
    /// The names are given, but the disk did not take them: the call that failed.
    Unsure(&'static str, Errno),
}

/// What a name was before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Was {
    Free,
    Taken,
}

/// What follows when something hidden is gone.
pub enum After {
    /// A MOVE by copying: the source.
    Leave,
    Done,
    Failed(Errno),
    /// By the quota: others were faster.
    Refused(Box<Refusal>),
    /// As [`Stage::Unsure`].
    Unsure(&'static str, Errno),
}

impl Job {
    pub fn from(&self) -> BorrowedFd<'_> {
        self.source.dir.as_fd()
    }

    pub fn to(&self) -> BorrowedFd<'_> {
        self.target.dir.as_fd()
    }

    pub fn begin_file(&self, temp_names: &mut TempNames) -> Result<Stage, Errno> {
        if self.moves && self.swaps {
            return match self.begin_move(temp_names) {
                Err(Errno::EXDEV) => {
                    FileCopy::new(self.from(), &self.source.name, &self.target.dir, temp_names).map(Stage::File)
                }
                outcome => outcome,
            };
        }
        if self.moves {
            match file::rename_at(Some(self.from()), &self.source.name, Some(self.to()), &self.target.name, self.how())
            {
                Err(Errno::EXDEV) => {}
                outcome => return outcome.map(|()| Stage::Done(self.status)),
            }
        }
        FileCopy::new(self.from(), &self.source.name, &self.target.dir, temp_names).map(Stage::File)
    }

    pub fn begin_tree(&self, temp_names: &mut TempNames) -> Result<Stage, Errno> {
        if self.moves {
            match self.begin_move(temp_names) {
                Err(Errno::EXDEV) => {}
                outcome => return outcome,
            }
        }
        let mut copy = TreeCopy::new(self.from(), &self.source.name, &self.target.dir, self.deep, temp_names)?;
        copy.trashes.clone_from(&self.trashes);
        Ok(Stage::Tree(copy, Vec::new()))
    }

    /// The source gets its new name in one step, whatever had that.
    fn begin_move(&self, temp_names: &mut TempNames) -> Result<Stage, Errno> {
        match self.swap(self.from(), &self.source.name, temp_names)? {
            Was::Free => Ok(Stage::Done(self.status)),
            Was::Taken => {
                // What stood there has the source's name now.
                let (from, old) = (Some(self.from()), Staged::new(&self.source.dir, temp_names));
                file::rename_at(from, &self.source.name, from, &old.name, Rename::NoReplace)?;
                Ok(Stage::Old { old, then: After::Done })
            }
        }
    }

    pub fn how(&self) -> Rename {
        if self.overwrite { Rename::Replace } else { Rename::NoReplace }
    }

    /// Gives a whole tree its name in one step; what had the name gets the tree's.
    pub fn swap(&self, dir: BorrowedFd<'_>, name: &CStr, temp_names: &mut TempNames) -> Result<Was, Errno> {
        let (from, to) = (Some(dir), Some(self.to()));
        match file::rename_at(from, name, to, &self.target.name, Rename::NoReplace) {
            Err(Errno::EEXIST) if self.overwrite => {}
            outcome => return outcome.map(|()| Was::Free),
        }
        match file::rename_at(from, name, to, &self.target.name, Rename::Exchange) {
            Err(e) if file::is_missing(e) => self.swap_aside(dir, name, temp_names)?,
            outcome => outcome?,
        }
        Ok(Was::Taken)
    }

    /// The same where the file system cannot exchange names: what had the name steps aside, and for a moment nothing has it.
    fn swap_aside(&self, dir: BorrowedFd<'_>, name: &CStr, temp_names: &mut TempNames) -> Result<(), Errno> {
        let (from, to, aside) = (Some(dir), Some(self.to()), Staged::new(&self.target.dir, temp_names));
        file::rename_at(to, &self.target.name, to, &aside.name, Rename::NoReplace)?;
        let outcome = file::rename_at(from, name, to, &self.target.name, Rename::NoReplace);
        let (back_dir, back) = if outcome.is_ok() { (from, name) } else { (to, &*self.target.name) };
        match file::rename_at(to, &aside.name, back_dir, back, Rename::NoReplace) {
            Ok(()) => aside.keep(),
            // It stays where it is found.
            Err(e) => {
                aside.keep();
                return Err(e);
            }
        }
        outcome
    }

    /// What is under a hidden name goes.
    pub fn clear(&self, old: Staged, then: After) -> Result<Stage, Errno> {
        let dir = old.dir.clone();
        let is_dir = file::stat_at(Some(dir.as_fd()), &old.name, Follow::No)?.kind == FileKind::Dir;
        if is_dir {
            return Ok(Stage::Clearing { removal: old.removal()?, then });
        }
        file::unlink_at(Some(dir.as_fd()), &old.name, Unlink::File)?;
        old.keep();
        Ok(Stage::Cleared(then))
    }

    pub fn after(&self, then: After) -> Result<Stage, Errno> {
        match then {
            After::Leave => match file::unlink_at(Some(self.from()), &self.source.name, Unlink::File) {
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

//! Leftovers under hidden names, of an earlier process or of a request of this one: removed in slices beside requests,
//! and retried with increasing pauses if a system call fails.
//!
//! Invariants: what could not be removed is logged once, and stays in the journal for the next process. This one keeps
//! at most [`MOST`] of their directories open.

use super::names::{HiddenKind, Names};
use crate::services::remove_tree::{Removal, RemovalPolicy};
use crate::sys::file::{self, Unlink};
use crate::sys::{Errno, clock};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Milliseconds until a failed removal is retried; doubled each time.
pub(super) const FIRST: u64 = 1_000;
/// The longest delay.
pub(super) const LAST: u64 = 300_000;

/// Maximum number of removals retried: each keeps its directory open. The others are in the journal.
pub(super) const MOST: usize = 256;

/// The directory and hidden name of a file or tree.
pub type Tree = (Rc<OwnedFd>, CString);

/// What the name was given to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A file; a directory that has the name by now is not ours.
    File,
    /// Whatever it is by now.
    Any,
    /// A directory, which stays unless it is empty.
    Empty,
}

/// Leftovers of this process's requests: removed in slices, or at once when the process exits.
#[derive(Clone, Default)]
pub struct Left(pub(super) Rc<Leftovers>);

/// What was left since the last turn.
#[derive(Default)]
pub(super) struct Leftovers {
    /// Names, with what may be removed.
    pub trees: RefCell<Vec<(Tree, Kind)>>,
    /// Unlinked files, and directories: closing the last descriptor frees their blocks, which takes time.
    pub open: RefCell<Vec<Rc<OwnedFd>>>,
    at_once: Cell<bool>,
}

impl Left {
    /// A name that may be removed, whatever it is.
    pub fn add(&self, tree: Tree) {
        self.add_one((tree, Kind::Any));
    }

    /// As [`Left::add`], for a file.
    pub fn add_file(&self, file: Tree) {
        self.add_one((file, Kind::File));
    }

    /// Closes one of many unneeded files later.
    pub fn close(&self, fd: Rc<OwnedFd>) {
        if !self.0.at_once.get() {
            self.0.open.borrow_mut().push(fd);
        }
    }

    /// There is nothing to be removed or closed.
    pub(super) fn is_empty(&self) -> bool {
        self.0.trees.borrow().is_empty() && self.0.open.borrow().is_empty()
    }

    /// Files of a directory. `own`: the path of the directory itself, which is removed after them if it is empty.
    pub fn add_files(&self, dir: &Rc<OwnedFd>, files: impl IntoIterator<Item = CString>, own: Option<CString>) {
        files.into_iter().for_each(|name| self.add_one(((dir.clone(), name), Kind::File)));
        if let Some(path) = own {
            self.add_one(((dir.clone(), path), Kind::Empty));
        }
    }

    fn add_one(&self, one: (Tree, Kind)) {
        // If it fails, only the next process can do it.
        if !self.0.at_once.get() || remove(&one.0, one.1).is_err() {
            self.0.trees.borrow_mut().push(one);
        }
    }
}

/// A name that is to be removed.
pub(super) struct Waiting {
    /// Its directory and its name.
    pub(super) tree: Tree,
    /// What may be removed there.
    pub(super) kind: Kind,
    /// When it is due, and the pause after that (monotonic milliseconds).
    pub(super) at: u64,
    /// Milliseconds.
    pub(super) wait: u64,
}

/// The system call and its error.
pub(super) type Failed = (&'static str, Errno);

/// The removals of this process.
#[derive(Default)]
pub struct Cleaning {
    /// Not begun, or to be tried again.
    pub(super) waiting: VecDeque<Waiting>,
    /// The one under way.
    pub(super) removal: Option<(Removal, Waiting)>,
    /// What requests leave; taken over in each turn.
    pub(super) left: Left,
    /// Lines for the error log.
    pub(super) complaints: Vec<String>,
    /// Whether some are left to the next process.
    pub(super) has_given_up: bool,
}

impl Cleaning {
    /// As [`Left::add`].
    pub fn add(&mut self, tree: Tree) {
        self.add_one(tree, Kind::Any);
    }

    /// Queues a removal.
    pub(super) fn add_one(&mut self, tree: Tree, kind: Kind) {
        self.waiting.push_back(Waiting { tree, kind, at: 0, wait: FIRST });
    }

    /// Whether nothing is left, for this process or the next.
    pub fn is_over(&self) -> bool {
        !self.has_given_up && self.removal.is_none() && self.waiting.is_empty() && self.left.is_empty()
    }

    /// At exit: removes what this process's requests left.
    pub fn end(&mut self) {
        self.left.0.at_once.set(true);
        self.left.0.open.take();
        let left = self.left.0.trees.take();
        left.into_iter().for_each(|one| self.left.add_one(one));
        // Failed removals are tried once more.
        self.waiting.retain(|one| one.at == 0 || remove(&one.tree, one.kind).is_err());
    }

    /// A removal failed: logs it the first time, and retries it after a pause that doubles.
    pub(super) fn failed(&mut self, mut one: Waiting, (call, errno): Failed) {
        let has_room = self.waiting.len() < MOST;
        if one.wait == FIRST && !self.has_given_up {
            let (dir, name) = &one.tree;
            let dir = file::path_of(dir.as_fd()).unwrap_or_default();
            let (dir, name) = (String::from_utf8_lossy(&dir), name.to_string_lossy());
            self.complaints.push(format!(
                "\"{dir}/{name}\" is left over and could not be removed: {call} failed {errno}; {}",
                if has_room {
                    "it is tried again, also at the next start"
                } else {
                    "it and others are left to the next start"
                }
            ));
        }
        if !has_room {
            self.has_given_up = true;
            return;
        }
        one.at = clock::monotonic() + one.wait;
        one.wait = (2 * one.wait).min(LAST);
        self.waiting.push_back(one);
    }
}

/// Removes a file, or begins removing a directory. None: it is gone, or a directory has a file's name.
pub(super) fn begin((dir, name): &Tree, kind: Kind) -> Result<Option<Removal>, Failed> {
    if kind == Kind::Empty {
        // Others that use it, or may not remove it, keep it.
        let _ = file::unlink_at(Some(dir.as_fd()), name, Unlink::Dir);
        return Ok(None);
    }
    match file::unlink_at(Some(dir.as_fd()), name, Unlink::File) {
        Ok(()) | Err(Errno::ENOENT) => Ok(None),
        Err(Errno::EISDIR) if kind == Kind::File => Ok(None),
        Err(Errno::EISDIR) => {
            let removal = file::dup(dir.as_fd()).and_then(|dir| Removal::new(dir, name));
            removal.map(Some).map_err(|e| ("open()", e))
        }
        Err(e) => Err(("unlink()", e)),
    }
}

impl RemovalPolicy for &mut Names {
    fn hide(&mut self, _: BorrowedFd<'_>) -> CString {
        // The directory is recorded already, since the tree was hidden in it.
        self.next(HiddenKind::Delete)
    }
}

/// Removes it at once.
fn remove(tree: &Tree, kind: Kind) -> Result<(), Failed> {
    let Some(mut removal) = begin(tree, kind)? else { return Ok(()) };
    let mut names = Names::default();
    while removal.step(&mut names).map_err(|stuck| (stuck.call, stuck.errno))? {}
    Ok(())
}

//! What was left under hidden names, by an earlier process or by a request of this one: removed in slices beside what is
//! served, and tried again, less and less often, where a system call fails.
//!
//! Invariant: what could not be removed is in the log once, and in the journal: the next process tries too.

use super::TempNames;
use crate::services::remove_tree::Removal;
use crate::sys::file::{self, Unlink};
use crate::sys::{Errno, clock};
use std::cell::{Cell, RefCell};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

/// Milliseconds of a turn.
const SLICE: u64 = 2;
/// Milliseconds after which a removal that failed is tried again: twice as many each time.
const FIRST: u64 = 1_000;
const LAST: u64 = 300_000;

/// A hidden name of a file or a tree, and where.
pub type Tree = (Rc<OwnedFd>, CString);

/// What requests of this process left: it goes in slices, or, once the process ends, at once.
#[derive(Clone, Default)]
pub struct Left {
    trees: Rc<RefCell<Vec<Tree>>>,
    at_once: Rc<Cell<bool>>,
}

impl Left {
    pub fn add(&self, tree: Tree) {
        // Where it fails, there is only the next process.
        if !self.at_once.get() || remove(&tree).is_err() {
            self.trees.borrow_mut().push(tree);
        }
    }
}

struct Waiting {
    tree: Tree,
    /// When it is due, and how long it waits after that (monotonic milliseconds).
    at: u64,
    wait: u64,
}

type Failed = (&'static str, Errno);

#[derive(Default)]
pub struct Cleaning {
    waiting: Vec<Waiting>,
    removal: Option<(Removal, Waiting)>,
    left: Left,
    complaints: Vec<String>,
}

impl Cleaning {
    pub fn add(&mut self, tree: Tree) {
        self.waiting.push(Waiting { tree, at: 0, wait: FIRST });
    }

    /// There is nothing left.
    pub fn is_over(&self) -> bool {
        self.removal.is_none() && self.waiting.is_empty() && self.left.trees.borrow().is_empty()
    }

    /// The process ends: what its own requests left goes now.
    pub fn end(&mut self) {
        self.left.at_once.set(true);
        let left = self.left.trees.take();
        left.into_iter().for_each(|tree| self.left.add(tree));
        // What failed before: once more.
        self.waiting.retain(|one| one.at == 0 || remove(&one.tree).is_err());
    }

    fn failed(&mut self, mut one: Waiting, (call, errno): Failed) {
        if one.wait == FIRST {
            let (dir, name) = &one.tree;
            let dir = file::path_of(dir.as_fd()).unwrap_or_default();
            let (dir, name) = (String::from_utf8_lossy(&dir), name.to_string_lossy());
            self.complaints.push(format!(
                "\"{dir}/{name}\" is left over and could not be removed: {call} failed {errno}; it is tried again, \
                 also at the next start"
            ));
        }
        one.at = clock::monotonic() + one.wait;
        one.wait = (2 * one.wait).min(LAST);
        self.waiting.push(one);
    }
}

impl TempNames {
    /// There is something to be removed now.
    pub fn is_cleaning(&self) -> bool {
        let cleaning = &self.cleaning;
        cleaning.removal.is_some()
            || !cleaning.left.trees.borrow().is_empty()
            || cleaning.waiting.iter().any(|one| one.at == 0)
            || self.next_try().is_some_and(|at| at <= clock::coarse())
    }

    /// When what could not be removed is tried again, monotonic milliseconds.
    pub fn next_try(&self) -> Option<u64> {
        self.cleaning.waiting.iter().map(|one| one.at).min()
    }

    /// Where is left what has to be removed.
    pub fn left(&self) -> Left {
        self.cleaning.left.clone()
    }

    /// What could not be removed, for the log.
    pub fn complaints(&mut self) -> Vec<String> {
        std::mem::take(&mut self.cleaning.complaints)
    }

    /// Goes on to remove it, for a slice of time.
    pub fn clean(&mut self) {
        if !self.is_cleaning() {
            return;
        }
        let left = self.cleaning.left.trees.take();
        left.into_iter().for_each(|tree| self.cleaning.add(tree));
        let now = clock::monotonic();
        loop {
            let Some((mut removal, one)) = self.cleaning.removal.take().or_else(|| self.begin_next(now)) else {
                return;
            };
            match removal.step(&mut *self) {
                Ok(true) => self.cleaning.removal = Some((removal, one)),
                Ok(false) => {}
                Err(stuck) => self.cleaning.failed(one, (stuck.call, stuck.errno)),
            }
            if clock::monotonic() >= now + SLICE {
                return;
            }
        }
    }

    /// The next tree that is due; files go here.
    fn begin_next(&mut self, now: u64) -> Option<(Removal, Waiting)> {
        loop {
            let at = self.cleaning.waiting.iter().position(|one| one.at <= now)?;
            let one = self.cleaning.waiting.swap_remove(at);
            match begin(&one.tree) {
                Ok(None) => {}
                Ok(Some(removal)) => return Some((removal, one)),
                Err(failed) => self.cleaning.failed(one, failed),
            }
        }
    }
}

/// Removes a file; of a directory, its removal. None: it is gone.
fn begin((dir, name): &Tree) -> Result<Option<Removal>, Failed> {
    match file::unlink_at(Some(dir.as_fd()), name, Unlink::File) {
        Ok(()) | Err(Errno::ENOENT) => Ok(None),
        Err(Errno::EISDIR) => {
            let removal = file::dup(dir.as_fd()).and_then(|dir| Removal::new(dir, name));
            removal.map(Some).map_err(|e| ("open()", e))
        }
        Err(e) => Err(("unlink()", e)),
    }
}

fn remove(tree: &Tree) -> Result<(), Failed> {
    let Some(mut removal) = begin(tree)? else { return Ok(()) };
    let mut temp_names = TempNames::default();
    while removal.step(&mut temp_names).map_err(|stuck| (stuck.call, stuck.errno))? {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;

    #[test]
    fn what_could_not_be_removed_is_complained_of_once_and_tried_again() {
        let scratch = Scratch::new();
        let mut temp_names = TempNames::default();
        temp_names.left().add((Rc::new(scratch.fd()), c".webserv-copy-file".to_owned()));
        temp_names.clean();
        assert!(temp_names.cleaning.is_over(), "what is gone is gone");
        let tree: Tree = (Rc::new(scratch.fd()), c".webserv-copy-tree".to_owned());
        let mut one = Waiting { tree, at: 0, wait: FIRST };
        for round in 0..12 {
            temp_names.cleaning.failed(one, ("unlink()", Errno::EIO));
            assert_eq!(temp_names.complaints().len(), usize::from(round == 0));
            assert!(!temp_names.cleaning.is_over());
            one = temp_names.cleaning.waiting.pop().expect("it waits");
            assert!(one.wait <= LAST);
        }
        scratch.write(".webserv-copy-tree", b"");
        one.at = 0;
        temp_names.cleaning.waiting.push(one);
        temp_names.clean();
        assert!(temp_names.cleaning.is_over() && !scratch.path().join(".webserv-copy-tree").exists());
    }
}

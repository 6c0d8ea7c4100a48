//! Removes leftovers in slices, between requests.

use super::TempNames;
use super::leftovers::{self, Left, Waiting};
use crate::services::remove_tree::Removal;
use crate::sys::clock;

/// Milliseconds per turn.
const SLICE: u64 = 2;

impl TempNames {
    /// Whether there is something to remove now.
    pub fn is_cleaning(&self) -> bool {
        let cleaning = &self.cleaning;
        cleaning.removal.is_some()
            || !cleaning.left.is_empty()
            || self.next_try().is_some_and(|at| at <= clock::coarse())
    }

    /// When to retry a failed removal (monotonic milliseconds).
    pub fn next_try(&self) -> Option<u64> {
        self.cleaning.waiting.iter().map(|one| one.at).min()
    }

    /// A handle to add leftovers.
    pub fn left(&self) -> Left {
        self.cleaning.left.clone()
    }

    /// What could not be removed, for the log.
    pub fn complaints(&mut self) -> Vec<String> {
        std::mem::take(&mut self.cleaning.complaints)
    }

    /// Continues removing, for a slice of time.
    pub fn clean(&mut self) {
        if !self.is_cleaning() {
            return;
        }
        let left = self.cleaning.left.clone();
        left.0.trees.take().into_iter().for_each(|(tree, kind)| self.cleaning.add_one(tree, kind));
        let now = clock::monotonic();
        while clock::monotonic() < now + SLICE && left.0.open.borrow_mut().pop().is_some() {}
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

    /// The next tree that is due; files are removed here. None: there is none, or the slice is over.
    fn begin_next(&mut self, now: u64) -> Option<(Removal, Waiting)> {
        loop {
            if clock::monotonic() >= now + SLICE {
                return None;
            }
            let at = self.cleaning.waiting.iter().position(|one| one.at <= now)?;
            // A directory follows its files.
            let one = self.cleaning.waiting.remove(at)?;
            match leftovers::begin(&one.tree, one.kind) {
                Ok(None) => {}
                Ok(Some(removal)) => return Some((removal, one)),
                Err(failed) => self.cleaning.failed(one, failed),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::temp_names::leftovers::{FIRST, Kind, LAST, MOST, Tree};
    use crate::sys::Errno;
    use crate::sys::scratch::Scratch;
    use std::rc::Rc;

    #[test]
    fn what_could_not_be_removed_is_complained_of_once_and_tried_again() {
        let scratch = Scratch::new();
        let mut temp_names = TempNames::default();
        temp_names.left().add((Rc::new(scratch.fd()), c".webserv-copy-file".to_owned()));
        temp_names.clean();
        assert!(temp_names.cleaning.is_over(), "what is gone is gone");
        let tree: Tree = (Rc::new(scratch.fd()), c".webserv-copy-tree".to_owned());
        let mut one = Waiting { tree, kind: Kind::Any, at: 0, wait: FIRST };
        for round in 0..12 {
            temp_names.cleaning.failed(one, ("unlink()", Errno::EIO));
            assert_eq!(temp_names.complaints().len(), usize::from(round == 0));
            assert!(!temp_names.cleaning.is_over());
            one = temp_names.cleaning.waiting.pop_back().expect("it waits");
            assert!(one.wait <= LAST);
        }
        scratch.write(".webserv-copy-tree", b"");
        one.at = 0;
        temp_names.cleaning.waiting.push_back(one);
        temp_names.clean();
        assert!(temp_names.cleaning.is_over() && !scratch.path().join(".webserv-copy-tree").exists());
    }

    #[test]
    fn a_disk_that_removes_nothing_does_not_take_all_descriptors() {
        let scratch = Scratch::new();
        let mut temp_names = TempNames::default();
        let dir = Rc::new(scratch.fd());
        for _ in 0..MOST + 50 {
            let tree: Tree = (dir.clone(), c".webserv-upload-x".to_owned());
            temp_names
                .cleaning
                .failed(Waiting { tree, kind: Kind::File, at: 0, wait: FIRST }, ("unlink()", Errno::EIO));
        }
        assert_eq!(Rc::strong_count(&dir), MOST + 1);
        let complaints = temp_names.complaints();
        assert_eq!(complaints.len(), MOST + 1);
        assert!(complaints.last().is_some_and(|last| last.contains("left to the next start")));
        assert!(!temp_names.cleaning.is_over(), "the journal stays");
    }

    #[test]
    fn files_of_large_forms_are_closed_beside_requests() {
        let scratch = Scratch::new();
        for ends in [false, true] {
            let mut temp_names = TempNames::default();
            let fds = [Rc::new(scratch.fd()), Rc::new(scratch.fd())];
            fds.iter().for_each(|fd| temp_names.left().close(fd.clone()));
            assert!(temp_names.is_cleaning() && fds.iter().all(|fd| Rc::strong_count(fd) == 2));
            if ends {
                temp_names.end();
            }
            while temp_names.is_cleaning() {
                temp_names.clean();
            }
            assert!(fds.iter().all(|fd| Rc::strong_count(fd) == 1), "{ends}");
        }
    }

    #[test]
    fn files_that_are_left_go_before_their_directory_which_stays_if_others_are_in_it() {
        let (scratch, mut temp_names) = (Scratch::new(), TempNames::default());
        for (name, stays) in [("alone", false), ("shared", true)] {
            let dir = scratch.path().join(name);
            std::fs::create_dir(&dir).expect("made");
            for file in ["a", "b"].iter().chain(stays.then_some(&"c")) {
                std::fs::write(dir.join(file), "x").expect("written");
            }
            let fd = Rc::new(std::fs::File::open(&dir).expect("opens").into());
            let files = [c"a".to_owned(), c"gone".to_owned(), c"b".to_owned()];
            temp_names.left().add_files(&fd, files, Some(scratch.join(name)));
            assert!(dir.join("a").exists(), "not in the turn of the request");
            while temp_names.is_cleaning() {
                temp_names.clean();
            }
            assert_eq!((dir.exists(), dir.join("a").exists(), dir.join("c").exists()), (stays, false, stays));
        }
    }

    #[test]
    fn a_directory_that_took_the_name_of_a_file_is_not_removed() {
        let scratch = Scratch::new();
        let mut temp_names = TempNames::default();
        std::fs::create_dir_all(scratch.path().join(".webserv-upload-x/in")).expect("made");
        temp_names.left().add_file((Rc::new(scratch.fd()), c".webserv-upload-x".to_owned()));
        while temp_names.is_cleaning() {
            temp_names.clean();
        }
        assert!(scratch.path().join(".webserv-upload-x/in").exists() && temp_names.cleaning.is_over());
    }
}

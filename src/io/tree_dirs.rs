//! The directories of a tree, opened in the order in which a walk enters them ([`crate::util::descent`]).
//!
//! Invariant: no link is followed and nothing above the top is opened; at most [`HELD`] descriptors are held, and a
//! walk through a tree of any shape opens a few names for each directory, not its whole path: the kernel needs 0.1 ms
//! for a path of 2 000 names.

use crate::sys::Errno;
use crate::sys::file::{
    self, O_DIRECTORY, O_NOFOLLOW, O_PATH, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS,
};
use std::collections::VecDeque;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Directories above the present one that are kept open.
const HELD: usize = 16;
/// Bytes of a path for one system call.
const PIECE: usize = 3000;
const RESOLVE: u64 = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

/// The tree's top, and the directories that are held open.
pub struct TreeDirs {
    top: OwnedFd,
    /// The directory that was last asked for: each name with its slash.
    parent: Vec<u8>,
    /// The last directories on it, with the lengths of their ways.
    held: VecDeque<(usize, OwnedFd)>,
    /// Names that the kernel was given.
    opened: u64,
}

impl TreeDirs {
    /// `top`: a directory, opened for reading.
    pub fn new(top: OwnedFd) -> TreeDirs {
        TreeDirs { top, parent: Vec::new(), held: VecDeque::new(), opened: 0 }
    }

    /// The directory that the walk begins in.
    pub fn top(&self) -> BorrowedFd<'_> {
        self.top.as_fd()
    }

    /// Opens the entry at the end of `path`, which has no slash behind it; empty for the top itself.
    ///
    /// # Errors
    /// Those of openat2: ENOENT, ENOTDIR and ELOOP where something on the way is no directory any more.
    pub fn open(&mut self, path: &[u8], flags: i32) -> Result<OwnedFd, Errno> {
        let (parent, name) = path.split_at(memchr::memrchr(b'/', path).map_or(0, |at| at + 1));
        let name = file::c_string(if name.is_empty() { b"." } else { name })?;
        self.opened += 1;
        self.enter(parent)?;
        self.open_below(&name, flags | O_NOFOLLOW)
    }

    /// Closes all but the top: nothing will be asked for soon.
    pub fn rest(&mut self) {
        self.parent.clear();
        self.held.clear();
    }

    /// For a call that may have found no free descriptor: gives back all but the directory that it opens from. False:
    /// it failed for another reason, or nothing more was held.
    fn makes_room(&mut self, e: Errno) -> bool {
        let older = self.held.len().saturating_sub(1);
        if !matches!(e, Errno::EMFILE | Errno::ENFILE) || older == 0 {
            return false;
        }
        self.held.drain(..older);
        true
    }

    /// The directory that is held last.
    fn last(&self) -> BorrowedFd<'_> {
        self.held.back().map_or(self.top.as_fd(), |(_, dir)| dir.as_fd())
    }

    /// Opens an entry of the directory that is held last.
    fn open_below(&mut self, names: &CStr, flags: i32) -> Result<OwnedFd, Errno> {
        match file::open_beneath(self.last(), names, flags, 0, RESOLVE) {
            Err(e) if self.makes_room(e) => file::open_beneath(self.last(), names, flags, 0, RESOLVE),
            opened => opened,
        }
    }

    /// The directory at the end of `parent` is held last.
    fn enter(&mut self, parent: &[u8]) -> Result<(), Errno> {
        let common = match parent.starts_with(&self.parent) {
            true => self.parent.len(),
            false if self.parent.starts_with(parent) => parent.len(),
            false => self.parent.iter().zip(parent).take_while(|(was, is)| was == is).count(),
        };
        while self.held.back().is_some_and(|(end, _)| *end > common) {
            self.held.pop_back();
        }
        self.parent.clear();
        self.parent.extend_from_slice(parent);
        let mut at = self.held.back().map_or(0, |(end, _)| *end);
        // The last names of the way one by one, and all before them at once: nothing above them is asked for soon.
        let rest = parent.get(at..).unwrap_or_default();
        let apart = memchr::memrchr_iter(b'/', rest).nth(HELD).map_or(at, |slash| at + slash + 1);
        let mut ends = Vec::new();
        while apart - at > PIECE {
            let piece = parent.get(at..at + PIECE).unwrap_or_default();
            at += memchr::memrchr(b'/', piece).ok_or(Errno::ENAMETOOLONG)? + 1;
            ends.push(at);
        }
        ends.extend((apart > at).then_some(apart));
        ends.extend(memchr::memchr_iter(b'/', parent.get(apart..).unwrap_or_default()).map(|slash| apart + slash + 1));
        ends.into_iter().try_for_each(|end| self.down(end))
    }

    /// Opens the way up to `end` from the directory that is held last.
    fn down(&mut self, end: usize) -> Result<(), Errno> {
        let at = self.held.back().map_or(0, |(at, _)| *at);
        let names = self.parent.get(at..end).and_then(|names| names.strip_suffix(b"/")).unwrap_or_default();
        self.opened += 1 + memchr::memchr_iter(b'/', names).count() as u64;
        let names = file::c_string(names)?;
        let dir = self.open_below(&names, O_PATH | O_DIRECTORY | O_NOFOLLOW)?;
        self.held.push_back((end, dir));
        if self.held.len() > HELD {
            self.held.pop_front();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::file::{O_RDONLY, ReadDir};
    use crate::sys::scratch::Scratch;
    use crate::util::descent::{Descent, Next};
    use std::ffi::CString;

    /// Directories one inside the other, with names of that length, and beside each `beside` others.
    fn deep(scratch: &Scratch, levels: usize, beside: usize, length: usize) {
        let (mut dir, name) = (scratch.fd(), CString::new("d".repeat(length)).expect("no NUL"));
        for _ in 0..levels {
            for other in 0..beside {
                let other = CString::new(format!("{other}")).expect("digits");
                file::mkdir_at(Some(dir.as_fd()), &other, 0o755).expect("made");
            }
            file::mkdir_at(Some(dir.as_fd()), &name, 0o755).expect("made");
            dir = file::open_at(Some(dir.as_fd()), &name, O_PATH | O_DIRECTORY, 0).expect("opened");
        }
    }

    /// Enters every directory of the tree: how many there are, and how many names were opened for it.
    fn walk(scratch: &Scratch) -> (u64, u64) {
        let (mut tree_dirs, mut descent) = (TreeDirs::new(scratch.fd()), Descent::default());
        let (mut entered, mut is_new) = (0, true);
        loop {
            if is_new {
                let path = descent.path().strip_suffix(b"/").unwrap_or(descent.path()).to_vec();
                let mut dir: ReadDir = file::read_dir(tree_dirs.open(&path, O_RDONLY | O_DIRECTORY).expect("opened"));
                entered += 1;
                let mut names = Vec::new();
                while dir.fill().expect("read") {
                    names.extend(dir.entries().map(|entry| entry.name.to_owned()));
                }
                names.sort();
                names.into_iter().for_each(|name| descent.add(name));
            }
            assert!(tree_dirs.held.len() <= HELD);
            match descent.advance() {
                Next::Enter => is_new = true,
                Next::Back => is_new = false,
                Next::End => return (entered, tree_dirs.opened),
            }
        }
    }

    #[test]
    fn a_deep_tree_costs_a_few_names_for_each_directory() {
        // With others beside it each level is come back to, and most are no longer open then.
        for (levels, beside, length, most) in [(200, 0, 1, 3), (100, 0, 200, 3), (200, 1, 1, 10), (60, 2, 200, 6)] {
            let scratch = Scratch::new();
            deep(&scratch, levels, beside, length);
            let (entered, opened) = walk(&scratch);
            assert_eq!(entered, 1 + (levels * (1 + beside)) as u64);
            assert!(
                opened <= most * entered,
                "{levels} levels, {beside} beside: {opened} names, {entered} directories"
            );
        }
    }

    #[test]
    fn neither_a_link_nor_a_way_up_is_followed_wherever_it_stands() {
        let scratch = Scratch::new();
        std::fs::create_dir_all(scratch.path().join("a/b/c")).expect("made");
        std::os::unix::fs::symlink("b", scratch.path().join("a/link")).expect("linked");
        let mut tree_dirs = TreeDirs::new(scratch.fd());
        let table = [
            ("", true),
            ("a/b/c", true),
            ("a/b", true),
            ("a/link", false),
            ("a/link/c", false),
            ("a/b/none/c", false),
            ("a/b/c", true),
            ("..", false),
            ("a/../a", false),
        ];
        for (path, expected) in table {
            assert_eq!(tree_dirs.open(path.as_bytes(), O_RDONLY | O_DIRECTORY).is_ok(), expected, "{path}");
        }
    }

    #[test]
    fn what_rests_holds_only_the_top_and_goes_on() {
        let scratch = Scratch::new();
        deep(&scratch, 5, 0, 1);
        let mut tree_dirs = TreeDirs::new(scratch.fd());
        tree_dirs.open(b"d/d/d/d", O_PATH).expect("opened");
        assert_eq!(tree_dirs.held.len(), 3);
        assert!(!tree_dirs.makes_room(Errno::ENOENT) && tree_dirs.makes_room(Errno::EMFILE));
        assert_eq!(tree_dirs.held.len(), 1);
        assert!(!tree_dirs.makes_room(Errno::EMFILE), "the next is opened from that one");
        tree_dirs.open(b"d/d/d/d/d", O_PATH).expect("opened");
        tree_dirs.rest();
        assert!(tree_dirs.held.is_empty());
        tree_dirs.open(b"d/d", O_PATH).expect("opened");
    }

    #[test]
    fn a_directory_that_another_took_the_place_of_is_not_mistaken_for_it() {
        let scratch = Scratch::new();
        for name in ["ab/x", "ac/x/only"] {
            std::fs::create_dir_all(scratch.path().join(name)).expect("made");
        }
        let mut tree_dirs = TreeDirs::new(scratch.fd());
        let mut is_there = |path: &[u8]| tree_dirs.open(path, O_PATH).is_ok();
        assert_eq!([is_there(b"ab/x/only"), is_there(b"ac/x/only"), is_there(b"ab/x/only")], [false, true, false]);
    }
}

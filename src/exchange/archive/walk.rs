//! Everything below a directory, an entry at a time: what a listing shows, in its order (folders first, then the
//! names), and then what is in each of its folders.
//!
//! Invariant: no link is followed, and nothing above the top is opened; memory holds at most about [`MOST_SORTED`]
//! names and the folders that wait, two descriptors are open at most, however deep it goes.

use crate::services::temp_names;
use crate::sys::Errno;
use crate::sys::file::{
    self, FileKind, Follow, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS, ReadDir, Stat,
};
use crate::util::descent::{Descent, Next};
use crate::util::{bytes, natural_order, subpaths};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const RESOLVE: u64 = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
/// How deep it goes at most: the path must fit in a system call.
const DEEPEST: usize = 3800;
/// Names of one directory that are sorted together; a larger one comes in several runs, each in order.
const MOST_SORTED: usize = 10_000;

/// The walk: where it is, and what is still to be looked at.
pub struct Walk {
    top: OwnedFd,
    hidden: Vec<Box<[u8]>>,
    descent: Descent,
    /// The present directory.
    reading: Option<ReadDir>,
    /// It has been read to its end, or as far as possible.
    is_read: bool,
    /// Names that were read, the next at the end once they are sorted.
    batch: Vec<Named>,
    is_sorted: bool,
}

/// A name, and whether the directory says that it is a directory's.
type Named = (CString, bool);

/// A file or a folder.
pub struct Member {
    /// From the top; a folder's ends in a slash.
    pub path: Vec<u8>,
    /// As it was when the entry was found, links not followed.
    pub stat: Stat,
}

/// What a step found.
pub enum WalkStep {
    /// A file, or a folder before what is in it.
    Found(Member),
    /// Something is there and has a fault: it cannot be looked at, opened, or read to its end. Its path.
    Unreadable(Vec<u8>),
    /// Nothing to report, but there is more.
    On,
    /// Everything has been found.
    End,
}

impl Walk {
    /// `hidden`: paths from the top that are not shown, nor anything below them.
    pub fn new(top: OwnedFd, hidden: Vec<Box<[u8]>>) -> Result<Walk, Errno> {
        let reading = Some(file::read_dir(file::open_at(Some(top.as_fd()), c".", O_RDONLY | O_DIRECTORY, 0)?));
        let descent = Descent::default();
        Ok(Walk { top, hidden, descent, reading, is_read: false, batch: Vec::new(), is_sorted: false })
    }

    /// The descriptor that it opened last.
    pub fn newest(&self) -> BorrowedFd<'_> {
        self.reading.as_ref().map_or(self.top.as_fd(), ReadDir::dir)
    }

    /// As if the folder that is being read had these names next, the last first.
    #[cfg(test)]
    pub fn meet(&mut self, names: Vec<CString>) {
        self.batch = names.into_iter().map(|name| (name, false)).collect();
        self.is_sorted = true;
    }

    /// Leaves out the folder that was found last, with everything in it.
    pub fn skip(&mut self) {
        self.descent.forget_last();
    }

    /// The next entry; or opens a directory, or reads a little more of one.
    ///
    /// # Errors
    /// The top cannot be read, or memory or descriptors are short: what is made of it would seem to be whole.
    pub fn step(&mut self) -> Result<WalkStep, Errno> {
        if self.is_sorted
            && let Some((name, _)) = self.batch.pop()
        {
            return match self.entry(&name) {
                Ok(found) => Ok(found.map_or(WalkStep::On, WalkStep::Found)),
                Err(e) => fault(e, [self.descent.path(), name.to_bytes()].concat()),
            };
        }
        if self.reading.is_some() && !self.is_read {
            return self.read();
        }
        self.reading = None;
        match self.descent.advance() {
            Next::Enter => match self.open(self.descent.path(), O_DIRECTORY) {
                Ok(dir) => (self.reading, self.is_read) = (dir.map(file::read_dir), false),
                Err(e) => return fault(e, self.descent.path().to_vec()),
            },
            Next::Back => {}
            Next::End => return Ok(WalkStep::End),
        }
        Ok(WalkStep::On)
    }

    /// Reads the present directory a little further.
    fn read(&mut self) -> Result<WalkStep, Errno> {
        let Some(dir) = &mut self.reading else { return Ok(WalkStep::On) };
        let filled = dir.fill();
        self.is_read = filled != Ok(true);
        if filled == Ok(true) {
            let (dir, parent) = (&*dir, self.descent.path());
            let is_left_out = |name: &[u8]| {
                name.starts_with(b".")
                    || bytes::has_control(name)
                    || temp_names::is_hidden(name)
                    || subpaths::contains(&self.hidden, parent, name)
            };
            let entries = dir.entries().filter(|entry| !is_left_out(entry.name.to_bytes()));
            self.batch.extend(entries.map(|entry| (entry.name.to_owned(), entry.kind == Some(FileKind::Dir))));
        }
        self.is_sorted = self.is_read || self.batch.len() >= MOST_SORTED;
        if self.is_sorted {
            // The last is taken first.
            self.batch.sort_by(|(a, a_is_dir), (b, b_is_dir)| {
                a_is_dir.cmp(b_is_dir).then_with(|| natural_order::compare(b.to_bytes(), a.to_bytes()))
            });
        }
        match filled {
            Ok(_) => Ok(WalkStep::On),
            Err(e) => fault(e, self.descent.path().to_vec()),
        }
    }

    fn entry(&mut self, name: &CStr) -> Result<Option<Member>, Errno> {
        let Some(dir) = &self.reading else { return Ok(None) };
        let stat = match file::stat_at(Some(dir.dir()), name, Follow::No) {
            Ok(stat) => stat,
            Err(e) if is_out_of_reach(e) => return Ok(None),
            Err(e) => return Err(e),
        };
        let mut path = [self.descent.path(), name.to_bytes()].concat();
        if path.len() > DEEPEST {
            return Ok(None);
        }
        match stat.kind {
            FileKind::Regular => {}
            FileKind::Dir => {
                path.push(b'/');
                self.descent.add(name.to_owned());
            }
            FileKind::Symlink | FileKind::Other => return Ok(None),
        }
        Ok(Some(Member { path, stat }))
    }

    /// Opens a path relative to the top. None: it has gone, or may not be read.
    ///
    /// # Errors
    /// It is there, and cannot be opened.
    pub fn open(&self, path: &[u8], flags: i32) -> Result<Option<OwnedFd>, Errno> {
        let path = file::c_string(path.strip_suffix(b"/").unwrap_or(path))?;
        match file::open_beneath(self.top.as_fd(), &path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | flags, 0, RESOLVE) {
            Ok(fd) => Ok(Some(fd)),
            Err(e) if is_out_of_reach(e) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// What has a fault is passed over, but for the top, whose path is empty. A shortage ends the walk.
fn fault(e: Errno, path: Vec<u8>) -> Result<WalkStep, Errno> {
    if is_shortage(e) || path.is_empty() { Err(e) } else { Ok(WalkStep::Unreadable(path)) }
}

/// Not a fault of what was looked at: the next attempt may succeed.
pub fn is_shortage(e: Errno) -> bool {
    matches!(e, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM)
}

/// The entry has gone, became something else, or may not be read. Any other error says nothing of it.
pub fn is_out_of_reach(e: Errno) -> bool {
    matches!(
        e,
        Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES | Errno::EPERM | Errno::ELOOP | Errno::ENXIO | Errno::ENODEV
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;

    #[test]
    fn an_entry_with_a_lasting_fault_is_told_and_neither_left_out_nor_the_end_of_all() {
        let scratch = Scratch::new();
        let mut walk = Walk::new(scratch.fd(), Vec::new()).expect("opened");
        // It has been read to its end.
        while !matches!(walk.step(), Ok(WalkStep::End)) {}
        (walk.reading, walk.is_read) = (Some(file::read_dir(scratch.fd())), false);
        walk.meet(vec![CString::new("gone").expect("no NUL")]);
        assert!(matches!(walk.step(), Ok(WalkStep::On)));
        // The kernel answers this one with an error of another kind.
        let long = vec![b'x'; 300];
        walk.meet(["gone".into(), long.clone()].map(|name: Vec<u8>| CString::new(name).expect("no NUL")).into());
        assert!(matches!(walk.step(), Ok(WalkStep::Unreadable(path)) if path == long));
        assert!(matches!(walk.step(), Ok(WalkStep::On)), "it goes on");
        assert_eq!(walk.open(&long, 0).err(), Some(Errno::ENAMETOOLONG));
        assert!(matches!(walk.open(b"gone", 0), Ok(None)));
    }

    /// The paths that a walk finds, in its order.
    fn all_of(scratch: &Scratch) -> Vec<String> {
        let mut walk = Walk::new(scratch.fd(), Vec::new()).expect("opened");
        let mut found = Vec::new();
        loop {
            match walk.step().expect("readable") {
                WalkStep::Found(member) => found.push(String::from_utf8(member.path).expect("ASCII")),
                WalkStep::Unreadable(path) => panic!("{path:?}"),
                WalkStep::On => {}
                WalkStep::End => return found,
            }
        }
    }

    #[test]
    fn entries_come_in_the_order_of_the_listing() {
        let scratch = Scratch::new();
        for dir in ["b", "a10", "a9", "B/in"] {
            std::fs::create_dir_all(scratch.path().join(dir)).expect("mkdir");
        }
        for file in ["z.txt", "c10", "c9", "a9/y", "a9/x", "B/in/f", "0"] {
            std::fs::write(scratch.path().join(file), "").expect("written");
        }
        let found = all_of(&scratch);
        let expected = ["a9/", "a10/", "B/", "b/", "0", "c9", "c10", "z.txt", "a9/x", "a9/y", "B/in/", "B/in/f"];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_folder_of_more_entries_than_the_kernel_gives_at_a_time_is_walked_whole() {
        let scratch = Scratch::new();
        let name = |at: usize| format!("{}{at}", "x".repeat(100));
        (0..1000).for_each(|at| scratch.write(&name(at), b""));
        let found = all_of(&scratch);
        assert!(found.into_iter().eq((0..1000).map(name)), "all of them, in order");
    }
}

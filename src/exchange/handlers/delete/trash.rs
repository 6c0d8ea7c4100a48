//! delete_trash: deleted files move into a directory instead.
//!
//! Invariant: nothing in the trash is ever overwritten, and nothing is half in it: each move is a rename within one
//! file system, or of an empty directory; what cannot be renamed is left to [`super::trash_copy`].

use crate::exchange::handlers::upload::numbered;
use crate::io::make_path::make_path;
use crate::sys::file::{self, FileKind, Follow, O_DIRECTORY, O_PATH, Rename, Unlink};
use crate::sys::{Errno, random};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// `name-1` to `name-100` are tried where the name is taken, then random digits.
const COUNTED: u32 = 100;
/// Longest beginning of a name in bytes that leaves room for a number, on every file system.
const LONGEST: usize = 200;
/// Mode of directories made for it: deleted files are private.
const MODE: u32 = 0o700;
/// What the log says of something that cannot be renamed and has no copy, in place of a system call.
pub const COPYING: &str = "copying into the trash";

/// The trash directory of a location. It is made when something is to be moved there.
pub struct Trash {
    path: CString,
}

/// What was moved into a trash.
pub struct Trashed {
    /// The trash, opened, and the name there.
    pub dir: OwnedFd,
    pub name: CString,
    /// The trash was made for it.
    pub is_new: bool,
}

/// What cannot be renamed into the trash: it is on another file system or mount, or a directory of a lower layer of
/// overlayfs, which is renamed only with `redirect_dir`. A file, a link, or a directory that is not empty.
pub struct Unmoved {
    /// Its directory, its name there, and what it is.
    pub parent: OwnedFd,
    pub name: CString,
    pub kind: FileKind,
    /// The trash, opened.
    pub trash: OwnedFd,
    /// The trash was made for it.
    pub is_new: bool,
}

/// What became of something that may be moved into a trash.
pub enum Taken {
    /// It is there.
    Moved(Trashed),
    /// It has to be copied.
    Unmoved(Unmoved),
}

/// Why something was not moved into a trash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// The trash could not be opened or made.
    Trash(Errno),
    /// The call that failed, for the log. EINVAL for a directory that the trash is in, ENODEV for something that cannot
    /// be renamed and has no copy.
    Entry { call: &'static str, errno: Errno },
}

impl Trash {
    /// The directory at this path, which is absolute.
    pub fn at(path: &[u8]) -> Result<Trash, Errno> {
        Ok(Trash { path: file::c_string(path)? })
    }

    /// Moves the entry `name` of `dir` here: a link as a link, a directory with everything in it. Missing parts of the
    /// trash's path are made, and removed again if it is neither moved nor to be copied.
    pub fn take(&self, dir: BorrowedFd<'_>, name: &CStr) -> Result<Taken, NotTaken> {
        for is_last in [false, true] {
            let mut made = 0;
            let trash = self.open(&mut made).map_err(NotTaken::Trash)?;
            if let Some(outcome) = self.take_into((trash, made), dir, name, is_last) {
                return outcome;
            }
        }
        Err(entry("rename()")(Errno::ENOENT))
    }

    /// Moves the entry into the opened trash, of whose path `made` directories were missing. None: another process has
    /// removed that trash, which it had made for nothing, and it is opened once more unless this is the last attempt.
    fn take_into(
        &self,
        (trash, made): (OwnedFd, usize),
        dir: BorrowedFd<'_>,
        name: &CStr,
        is_last: bool,
    ) -> Option<Result<Taken, NotTaken>> {
        match rename_into(trash.as_fd(), name, dir, name) {
            Ok(name) => Some(Ok(Taken::Moved(Trashed { dir: trash, name, is_new: made > 0 }))),
            Err(Errno::ENOENT) if !is_last && self.is_replaced(trash.as_fd()) => None,
            Err(e) => {
                let outcome = match e {
                    Errno::EXDEV => without_rename(trash, dir, name, made > 0),
                    _ => Err(entry("rename()")(e)),
                };
                if outcome.is_err() {
                    self.unmake(made);
                }
                Some(outcome)
            }
        }
    }

    /// Adds to `made` how many directories were missing.
    fn open(&self, made: &mut usize) -> Result<OwnedFd, Errno> {
        let open = || file::open_at(None, &self.path, O_PATH | O_DIRECTORY, 0);
        match open() {
            Err(Errno::ENOENT) => {}
            outcome => return outcome,
        }
        let outcome = make_path(self.path.to_bytes(), MODE, || *made += 1).and_then(|()| open());
        if outcome.is_err() {
            self.unmake(*made);
        }
        outcome
    }

    /// The path does not lead to this directory any more.
    fn is_replaced(&self, dir: BorrowedFd<'_>) -> bool {
        !file::has_name(dir, None, &self.path, Follow::Yes).unwrap_or(false)
    }

    /// Removes the last `made` directories of the path, which are empty unless others use them by now.
    fn unmake(&self, made: usize) {
        let path = self.path.to_bytes();
        let ends = std::iter::successors(Some(path), |path| {
            let end = path.iter().rposition(|b| *b == b'/')?;
            path.get(..end).filter(|parent| !parent.is_empty())
        });
        for path in ends.take(made) {
            let Ok(path) = file::c_string(path) else { return };
            if file::unlink_at(None, &path, Unlink::Dir).is_err() {
                return;
            }
        }
    }
}

/// Gives the entry `old` of `dir` this name in the trash, or one like it that is free there.
pub fn rename_into(trash: BorrowedFd<'_>, name: &CStr, dir: BorrowedFd<'_>, old: &CStr) -> Result<CString, Errno> {
    with_free_name(name, |new| file::rename_at(Some(dir), old, Some(trash), new, Rename::NoReplace))
}

/// The entry was not moved, since this call failed.
fn entry(call: &'static str) -> impl Fn(Errno) -> NotTaken {
    move |errno| NotTaken::Entry { call, errno }
}

/// What cannot be renamed: an empty directory is made in the trash in its place, since it has nothing to be copied.
fn without_rename(trash: OwnedFd, dir: BorrowedFd<'_>, name: &CStr, is_new: bool) -> Result<Taken, NotTaken> {
    let stat = file::stat_at(Some(dir), name, Follow::No).map_err(entry("lstat()"))?;
    let unmoved = |trash| {
        let parent = file::dup(dir).map_err(entry("fcntl()"))?;
        Ok(Taken::Unmoved(Unmoved { parent, name: name.to_owned(), kind: stat.kind, trash, is_new }))
    };
    let mode = match stat.kind {
        FileKind::Dir => stat.mode & 0o777 | 0o700,
        FileKind::Regular | FileKind::Symlink => return unmoved(trash),
        FileKind::Other => return Err(entry(COPYING)(Errno::ENODEV)),
    };
    let make = |new: &CStr| file::mkdir_at(Some(trash.as_fd()), new, mode);
    let new = with_free_name(name, make).map_err(NotTaken::Trash)?;
    let Err(e) = file::unlink_at(Some(dir), name, Unlink::Dir) else {
        return Ok(Taken::Moved(Trashed { dir: trash, name: new, is_new }));
    };
    // An empty directory that stays does no harm.
    let _ = file::unlink_at(Some(trash.as_fd()), &new, Unlink::Dir);
    match e {
        Errno::ENOTEMPTY | Errno::EEXIST => unmoved(trash),
        e => Err(entry("rmdir()")(e)),
    }
}

/// Calls `take` with the name, and as long as that exists with others.
fn with_free_name(name: &CStr, mut take: impl FnMut(&CStr) -> Result<(), Errno>) -> Result<CString, Errno> {
    let mut new = name.to_owned();
    let mut outcome = take(&new);
    let short = shortened(name.to_bytes());
    for n in 1..=COUNTED + 3 {
        if outcome != Err(Errno::EEXIST) {
            break;
        }
        let number = if n <= COUNTED { n.to_string() } else { format!("{:016x}", random::number()?) };
        new = file::c_string(numbered(short, &number))?;
        outcome = take(&new);
    }
    outcome.map(|()| new)
}

/// The beginning of a name that is too long for a number behind it, cut between two characters.
fn shortened(name: &[u8]) -> &[u8] {
    if name.len() <= LONGEST {
        return name;
    }
    let is_inside = |at: usize| name.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let cut = (LONGEST - 3..=LONGEST).rev().find(|at| !is_inside(*at)).unwrap_or(LONGEST);
    name.get(..cut).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_name_has_a_place_in_the_trash_and_replaces_none() {
        let base = std::env::temp_dir().join(format!("webserv-trash-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        fs::create_dir_all(base.join("area")).expect("mkdir");
        let path = base.join("a/b/trash");
        let trash = Trash::at(path.as_os_str().as_bytes()).expect("a path");
        let dir = fs::File::open(base.join("area")).expect("open");
        let take = |name: &str| trash.take(dir.as_fd(), &CString::new(name).expect("no NUL")).map(drop);
        assert_eq!(take("none"), Err(entry("rename()")(Errno::ENOENT)));
        assert!(!base.join("a").exists(), "nothing goes there");
        let long = format!("{}.txt", "ä".repeat(125));
        for name in ["f.txt", "g.tar.gz", &long] {
            for n in 0..3 {
                fs::write(base.join("area").join(name), n.to_string()).expect("write");
                assert_eq!(take(name), Ok(()), "{name} {n}");
            }
        }
        symlink("/etc/passwd", base.join("area/link")).expect("symlink");
        fs::create_dir_all(base.join("area/tree/inner")).expect("mkdir");
        assert_eq!((take("link"), take("tree")), (Ok(()), Ok(())));
        assert_eq!(take("none"), Err(entry("rename()")(Errno::ENOENT)));
        let read = |name: &str| fs::read_to_string(path.join(name)).unwrap_or_default();
        assert_eq!(["f.txt", "f-1.txt", "f-2.txt"].map(read), ["0", "1", "2"]);
        assert_eq!(["g.tar.gz", "g-1.tar.gz"].map(read), ["0", "1"]);
        assert_eq!(read(&format!("{}-2", "ä".repeat(100))), "2");
        assert_eq!(fs::read_link(path.join("link")).expect("a link"), std::path::Path::new("/etc/passwd"));
        assert!(path.join("tree/inner").is_dir());
        assert_eq!(fs::read_dir(base.join("area")).expect("read_dir").count(), 0);
        fs::remove_dir_all(&base).expect("clean up");
    }

    #[test]
    fn a_trash_is_new_once_and_no_file_is_one() {
        let scratch = Scratch::new();
        scratch.write("a", b"a");
        scratch.write("b", b"b");
        let at = |name: &str| Trash::at(scratch.path().join(name).as_os_str().as_bytes()).expect("a path");
        let (dir, trash) = (scratch.fd(), at("made/for/it"));
        let is_new = |trash: &Trash, name: &CStr| {
            let taken = trash.take(dir.as_fd(), name)?;
            Ok(matches!(taken, Taken::Moved(Trashed { is_new: true, .. })))
        };
        assert_eq!([is_new(&trash, c"a"), is_new(&trash, c"b")], [Ok(true), Ok(false)]);
        scratch.write("c", b"c");
        assert_eq!(is_new(&at("made/for/it/a"), c"c"), Err(NotTaken::Trash(Errno::ENOTDIR)));
        // Only what was made for it is removed again.
        fs::create_dir(scratch.path().join("kept")).expect("mkdir");
        assert_eq!(is_new(&at("kept/in/it"), c"none"), Err(entry("rename()")(Errno::ENOENT)));
        assert_eq!(fs::read_dir(scratch.path().join("kept")).expect("it stays").count(), 0);
    }

    /// The log said that rename() failed with ENODEV, which it never does.
    #[test]
    fn what_has_no_copy_is_not_said_to_have_failed_in_rename() {
        let scratch = Scratch::new();
        drop(std::os::unix::net::UnixListener::bind(scratch.path().join("socket")).expect("a socket"));
        let dir = scratch.fd();
        let taken = |name: &CStr| {
            let trash = file::dup(dir.as_fd()).expect("a descriptor");
            without_rename(trash, dir.as_fd(), name, false).map(drop)
        };
        assert_eq!(taken(c"socket"), Err(NotTaken::Entry { call: COPYING, errno: Errno::ENODEV }));
        assert_eq!(taken(c"none"), Err(NotTaken::Entry { call: "lstat()", errno: Errno::ENOENT }));
        scratch.write("f", b"f");
        assert_eq!(taken(c"f"), Ok(()));
    }

    #[test]
    fn a_trash_that_another_process_removed_is_opened_once_more() {
        let scratch = Scratch::new();
        scratch.write("a", b"a");
        let path = scratch.path().join("trash");
        let trash = Trash::at(path.as_os_str().as_bytes()).expect("a path");
        let dir = scratch.fd();
        let removed = || {
            let mut made = 0;
            let opened = trash.open(&mut made).expect("it is made");
            fs::remove_dir(&path).expect("removed");
            (opened, made)
        };
        let missing = Some(Err(entry("rename()")(Errno::ENOENT)));
        let take = |opened, name, is_last| {
            trash.take_into(opened, dir.as_fd(), name, is_last).map(|outcome| outcome.map(drop))
        };
        assert_eq!(take(removed(), c"a", true), missing);
        assert_eq!(take(removed(), c"a", false), None);
        // The trash is there: the entry is not.
        let opened = trash.open(&mut 0).expect("it is made");
        assert_eq!(take((opened, 0), c"none", false), missing);
        assert_eq!(trash.take(dir.as_fd(), c"a").map(drop), Ok(()));
        assert!(path.join("a").exists());
    }

    #[test]
    fn names_that_exist_are_counted_on_and_then_drawn() {
        let mut tried = Vec::new();
        let outcome = with_free_name(c"f.txt", |name| {
            tried.push(name.to_string_lossy().into_owned());
            Err(Errno::EEXIST)
        });
        assert_eq!((outcome, tried.len()), (Err(Errno::EEXIST), 1 + COUNTED as usize + 3));
        let (counted, drawn) = tried.split_at(1 + COUNTED as usize);
        assert_eq!((&*counted[0], &*counted[1]), ("f.txt", "f-1.txt"));
        assert_eq!(counted.last(), Some(&format!("f-{COUNTED}.txt")));
        assert!(drawn.iter().all(|name| name.len() == "f-0123456789abcdef.txt".len()), "{drawn:?}");
        // Another fault ends it.
        let mut asked = 0;
        let full = with_free_name(c"f.txt", |_| {
            asked += 1;
            Err(if asked < 3 { Errno::EEXIST } else { Errno::ENOSPC })
        });
        assert_eq!((full, asked), (Err(Errno::ENOSPC), 3));
    }

    #[test]
    fn a_long_name_is_cut_between_two_characters() {
        for (before, character) in [(0, "\u{e4}"), (1, "\u{e4}"), (1, "\u{20ac}"), (2, "\u{20ac}"), (3, "\u{1f600}")] {
            let name = "a".repeat(before) + &character.repeat(LONGEST);
            let cut = std::str::from_utf8(shortened(name.as_bytes())).expect("whole characters");
            assert!(name.starts_with(cut) && cut.len() > LONGEST - 4 && cut.len() <= LONGEST, "{}", cut.len());
        }
        // What is no UTF-8 is cut where it must be.
        assert_eq!(shortened(&[0x80; LONGEST + 1]).len(), LONGEST);
        assert_eq!(shortened(&[b'a'; LONGEST]).len(), LONGEST);
    }
}

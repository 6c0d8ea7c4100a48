//! delete_trash: deleted files move into a directory instead.
//!
//! Invariant: nothing in the trash is ever overwritten, and nothing is half in it: each move is a rename within one
//! file system.

use crate::exchange::handlers::upload::numbered;
use crate::io::make_path::make_path;
use crate::sys::file::{self, O_DIRECTORY, O_PATH, Rename};
use crate::sys::{Errno, random};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// `name-1` to `name-100` are tried where the name is taken, then random digits.
const COUNTED: u32 = 100;
/// Longest beginning of a name in bytes that leaves room for a number, on every file system.
const LONGEST: usize = 200;
/// Mode of directories made for it: deleted files are private.
const MODE: u32 = 0o700;

/// The trash directory, opened.
pub struct Trash(OwnedFd);

impl Trash {
    /// Opens the directory `path`, absolute, and makes its missing parts: whether any were missing.
    pub fn open(path: &[u8]) -> Result<(Trash, bool), Errno> {
        let name = file::c_string(path)?;
        let open = || file::open_at(None, &name, O_PATH | O_DIRECTORY, 0).map(Trash);
        match open() {
            Err(Errno::ENOENT) => {}
            outcome => return outcome.map(|trash| (trash, false)),
        }
        make_path(path, MODE, || {})?;
        open().map(|trash| (trash, true))
    }

    /// For renames into it.
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Moves the entry `name` of `dir` here: a link as a link, a directory with everything in it. Gives the name that
    /// it has here. EXDEV from another file system, EINVAL for a directory that the trash is in.
    pub fn take(&self, dir: BorrowedFd<'_>, name: &CStr) -> Result<CString, Errno> {
        let take = |new: CString| {
            file::rename_at(Some(dir), name, Some(self.0.as_fd()), &new, Rename::NoReplace).map(|()| new)
        };
        let mut outcome = take(name.to_owned());
        let short = shortened(name.to_bytes());
        for n in 1..=COUNTED + 3 {
            if outcome != Err(Errno::EEXIST) {
                break;
            }
            let number = if n <= COUNTED { n.to_string() } else { format!("{:016x}", random::number()?) };
            outcome = take(file::c_string(numbered(short, &number))?);
        }
        outcome
    }
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
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_name_has_a_place_in_the_trash_and_replaces_none() {
        let base = std::env::temp_dir().join(format!("webserv-trash-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        fs::create_dir_all(base.join("area")).expect("mkdir");
        let path = base.join("a/b/trash");
        let (trash, made) = Trash::open(path.to_str().expect("UTF-8").as_bytes()).expect("made");
        assert!(made);
        let (_, made) = Trash::open(path.to_str().expect("UTF-8").as_bytes()).expect("opened");
        assert!(!made);
        let dir = fs::File::open(base.join("area")).expect("open");
        let take = |name: &str| trash.take(dir.as_fd(), &CString::new(name).expect("no NUL")).map(drop);
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
        assert_eq!(take("none"), Err(Errno::ENOENT));
        let read = |name: &str| fs::read_to_string(path.join(name)).unwrap_or_default();
        assert_eq!(["f.txt", "f-1.txt", "f-2.txt"].map(read), ["0", "1", "2"]);
        assert_eq!(["g.tar.gz", "g-1.tar.gz"].map(read), ["0", "1"]);
        assert_eq!(read(&format!("{}-2", "ä".repeat(100))), "2");
        assert_eq!(fs::read_link(path.join("link")).expect("a link"), std::path::Path::new("/etc/passwd"));
        assert!(path.join("tree/inner").is_dir());
        assert_eq!(fs::read_dir(base.join("area")).expect("read_dir").count(), 0);
        fs::remove_dir_all(&base).expect("clean up");
    }
}

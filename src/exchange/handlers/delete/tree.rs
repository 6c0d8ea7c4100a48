//! Removing a directory with all that is in it.
//!
//! It is done in one go, so it is bounded: what is in the tree is counted first, and a larger one is left alone
//! whole. (In slices over turns of the loop it needs no bound; that wants a handler that waits.)
//!
//! Invariant: no link is followed and no other file system entered, whoever changes the tree meanwhile.

use super::place::Refusal;
use crate::sys::Errno;
use crate::sys::file::{
    self, Entry, FileKind, Follow, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, Unlink,
};
use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Entries removed by one request: some tens of milliseconds.
pub const ENTRIES: usize = 10_000;
/// Directories inside each other: each holds a descriptor and a batch of names.
const DEPTH: usize = 32;

/// Removes the directory `name` of `parent`.
pub fn remove(parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Refusal> {
    let failed = |errno| Refusal::Failed { call: "rmdir()", errno };
    let mut budget = ENTRIES;
    if !fits(open(parent, name).map_err(failed)?, DEPTH, &mut budget).map_err(failed)? {
        return Err(Refusal::TooMuch);
    }
    // More may be put in meanwhile: as much again is removed, and then it is somebody else's turn.
    let mut budget = 2 * ENTRIES;
    empty(open(parent, name).map_err(failed)?, DEPTH, &mut budget).map_err(failed)?;
    file::unlink_at(Some(parent), name, Unlink::Dir).map_err(failed)
}

/// Whether the directory `name` holds no more than [`ENTRIES`].
pub fn is_bounded(parent: BorrowedFd<'_>, name: &CStr) -> Result<bool, Errno> {
    let mut budget = ENTRIES;
    fits(open(parent, name)?, DEPTH, &mut budget)
}

fn open(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    const RESOLVE: u64 = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    file::open_beneath(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, RESOLVE)
}

/// The entry itself is a directory; the file system is asked where the directory does not say.
fn is_directory(dir: BorrowedFd<'_>, entry: &Entry<'_>) -> Result<bool, Errno> {
    let kind = match entry.kind {
        Some(kind) => kind,
        None => file::stat_at(Some(dir), entry.name, Follow::No)?.kind,
    };
    Ok(kind == FileKind::Dir)
}

/// Whether the tree holds no more than `budget` entries, `depth` deep.
fn fits(dir: OwnedFd, depth: usize, budget: &mut usize) -> Result<bool, Errno> {
    let mut dir = file::read_dir(dir);
    while dir.fill()? {
        for entry in dir.entries() {
            if *budget == 0 {
                return Ok(false);
            }
            *budget -= 1;
            if is_directory(dir.dir(), &entry)?
                && (depth == 0 || !fits(open(dir.dir(), entry.name)?, depth - 1, budget)?)
            {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Removes what is in the directory.
fn empty(dir: OwnedFd, depth: usize, budget: &mut usize) -> Result<(), Errno> {
    let mut dir = file::read_dir(dir);
    loop {
        let mut found = false;
        while dir.fill()? {
            for entry in dir.entries() {
                found = true;
                if *budget == 0 || depth == 0 {
                    return Err(Errno::ENOTEMPTY);
                }
                *budget -= 1;
                let what = if is_directory(dir.dir(), &entry)? {
                    empty(open(dir.dir(), entry.name)?, depth - 1, budget)?;
                    Unlink::Dir
                } else {
                    Unlink::File
                };
                match file::unlink_at(Some(dir.dir()), entry.name, what) {
                    Ok(()) | Err(Errno::ENOENT) => {}
                    Err(e) => return Err(e),
                }
            }
        }
        // A position in a directory that lost entries is the file system's to interpret: until a pass finds none.
        if !found {
            return Ok(());
        }
        dir.rewind()?;
    }
}

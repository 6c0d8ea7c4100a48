//! Copies of files and trees, relative to open directories.
//!
//! Invariant: no link is followed or copied; a file appears under its name whole or not at all.

use crate::sys::file::{
    self, FileKind, Follow, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY, Rename, Unlink,
};
use crate::sys::{Errno, random};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Directories inside each other; deeper trees were refused before.
const DEPTH: usize = 40;

/// Copies a file with its mode and time.
///
/// # Errors
/// EEXIST where `how` says that nothing is replaced; ELOOP for a link, EISDIR for what is no file.
pub fn copy_file(
    from: BorrowedFd<'_>,
    name: &CStr,
    to: BorrowedFd<'_>,
    new: &CStr,
    how: Rename,
    scratch: &mut Vec<u8>,
) -> Result<(), Errno> {
    let source = file::open_at(Some(from), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0)?;
    let stat = file::fstat(source.as_fd())?;
    if stat.kind != FileKind::Regular {
        return Err(Errno::EISDIR);
    }
    let temporary = CString::new(format!(".webserv-upload-{:016x}", random::number()?)).expect("digits hold no NUL");
    let copy = file::open_at(Some(to), &temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)?;
    let outcome = fill(&source, &copy, scratch)
        .and_then(|()| file::chmod_fd(copy.as_fd(), stat.mode & 0o777))
        .and_then(|()| file::set_mtime(copy.as_fd(), stat.mtime))
        .and_then(|()| file::rename_at(Some(to), &temporary, Some(to), new, how));
    if outcome.is_err() {
        // The first error is the one to tell.
        let _ = file::unlink_at(Some(to), &temporary, Unlink::File);
    }
    outcome
}

fn fill(source: &OwnedFd, copy: &OwnedFd, scratch: &mut Vec<u8>) -> Result<(), Errno> {
    let mut at = 0;
    loop {
        scratch.clear();
        let n = file::pread_into(source.as_fd(), scratch, 256 << 10, at)?;
        if n == 0 {
            return Ok(());
        }
        at += n as u64;
        let mut rest = &scratch[..];
        while !rest.is_empty() {
            let written = file::write(copy.as_fd(), rest)?;
            rest = rest.get(written..).unwrap_or_default();
        }
    }
}

/// Copies a directory; `deep`: with all that is in it.
pub fn copy(
    from: BorrowedFd<'_>,
    name: &CStr,
    to: BorrowedFd<'_>,
    new: &CStr,
    deep: bool,
    scratch: &mut Vec<u8>,
) -> Result<(), Errno> {
    directory(from, name, to, new, if deep { DEPTH } else { 0 }, scratch)
}

fn directory(
    from: BorrowedFd<'_>,
    name: &CStr,
    to: BorrowedFd<'_>,
    new: &CStr,
    depth: usize,
    scratch: &mut Vec<u8>,
) -> Result<(), Errno> {
    let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    let source = file::open_at(Some(from), name, flags, 0)?;
    let stat = file::fstat(source.as_fd())?;
    file::mkdir_at(Some(to), new, stat.mode & 0o777 | 0o700)?;
    let copy = file::open_at(Some(to), new, flags, 0)?;
    if depth > 0 {
        let mut entries = file::read_dir(source);
        while entries.fill()? {
            for entry in entries.entries() {
                let kind = match entry.kind {
                    Some(kind) => kind,
                    None => file::stat_at(Some(entries.dir()), entry.name, Follow::No)?.kind,
                };
                match kind {
                    FileKind::Dir => {
                        directory(entries.dir(), entry.name, copy.as_fd(), entry.name, depth - 1, scratch)?
                    }
                    FileKind::Regular => {
                        copy_file(entries.dir(), entry.name, copy.as_fd(), entry.name, Rename::Replace, scratch)?;
                    }
                    _ => {}
                }
            }
        }
    }
    file::chmod_fd(copy.as_fd(), stat.mode & 0o777)?;
    file::set_mtime(copy.as_fd(), stat.mtime)
}

//! The only place that opens files named by the configuration or the command line.
//!
//! Invariants: opening never waits (a FIFO without the other end is opened non-blocking, or refused); `/dev/stdout`
//! and `/proc/self/fd/N` mean the descriptor itself, be it a socket, also behind a symbolic link; as root no symbolic
//! link is followed that belongs to another user, nor is a file taken by a second name in another user's directory:
//! anyone who may write to a log directory does not choose what root writes to.

use crate::sys::file::{
    self, FileKind, Follow, O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY,
    O_RDWR, O_WRONLY, Special,
};
use crate::sys::{Errno, process};
use crate::util::checkpoint;
use std::collections::VecDeque;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Symbolic links followed in one path; more are ELOOP, as in the kernel.
const LINKS: usize = 40;
/// Most bytes of one read, which takes a fraction of a millisecond.
const AT_ONCE: usize = 1 << 20;
/// Bytes read from a device: /dev/null has none, /dev/zero no end.
const DEVICE: usize = 64 << 10;
/// How long the text of a configuration may take to come through a pipe, milliseconds.
const PATIENCE: u32 = 10_000;
/// Milliseconds to wait for passwords that a program writes to a FIFO: it should be waiting for its reader already.
const FIFO_WAIT: u32 = 2_000;
/// The permissions of a socket that all may connect to.
const ALL_CONNECT: u32 = 0o666;
/// Milliseconds between two checks for other work during a wait.
const STEP: u32 = 2;

/// Where a path leads.
enum PathEnd {
    /// One of the process's own descriptors.
    Descriptor(i32),
    /// A name that is no symbolic link, or nothing yet.
    Name(OwnedFd, CString),
}

/// The descriptor that a path names by its text alone: no link is followed.
pub fn descriptor(path: &Path) -> Option<i32> {
    let path = path.as_os_str().as_bytes();
    match path {
        b"/dev/stdin" => return Some(0),
        b"/dev/stdout" => return Some(1),
        b"/dev/stderr" => return Some(2),
        _ => {}
    }
    let number = path.strip_prefix(b"/dev/fd/").or_else(|| path.strip_prefix(b"/proc/self/fd/"))?;
    std::str::from_utf8(number).ok()?.parse().ok().filter(|number| *number >= 0)
}

/// Opens a log file for appending; it is created if missing.
///
/// # Errors
/// That of the call that failed. EACCES for a symbolic or hard link that another user made.
pub fn append(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = O_WRONLY | O_APPEND | O_CREAT;
    let (dir, name) = match resolve(path)? {
        PathEnd::Descriptor(number) => return file::dup_number(number),
        PathEnd::Name(dir, name) => (dir, name),
    };
    if let Some(made) = made_for_owner(dir.as_fd(), &name, O_WRONLY | O_APPEND, 0o644) {
        return made;
    }
    // A FIFO is opened for reading too, so that writes are kept in it while it has no other reader.
    let opened = regular_or_stream(dir.as_fd(), &name, flags, 0o644);
    let is_fifo = match &opened {
        Ok(fd) => file::special(fd.as_fd())? == Special::Pipe,
        Err(e) => *e == Errno::ENXIO,
    };
    if is_fifo { regular_or_stream(dir.as_fd(), &name, O_RDWR | O_APPEND, 0) } else { opened }
}

/// Opens a file of the process itself (pid file, journal) for reading and writing; it is created if missing.
///
/// # Errors
/// As [`append`]; EINVAL where it is not a regular file.
pub fn own(path: &Path, mode: u32) -> Result<OwnedFd, Errno> {
    let (dir, name) = name(path)?;
    regular_at(dir.as_fd(), &name, O_RDWR | O_CREAT, mode)
}

/// As [`own`], but the file must not exist yet.
///
/// # Errors
/// As [`own`]; EEXIST.
pub fn fresh(path: &Path, mode: u32) -> Result<OwnedFd, Errno> {
    let (dir, name) = name(path)?;
    regular_at(dir.as_fd(), &name, O_RDWR | O_CREAT | O_EXCL, mode)
}

/// As [`own`], but the file must exist.
///
/// # Errors
/// As [`own`]; ENOENT.
pub fn existing(path: &Path) -> Result<OwnedFd, Errno> {
    let (dir, name) = name(path)?;
    regular_at(dir.as_fd(), &name, O_RDWR, 0)
}

/// The directory of a file to be made, opened, and its name in it: what takes the directory's place later is not meant.
///
/// # Errors
/// As [`append`].
pub fn name(path: &Path) -> Result<(OwnedFd, CString), Errno> {
    named(resolve(path)?)
}

/// As [`name`], but a link that has the name is not followed: it is to be replaced.
///
/// # Errors
/// As [`append`].
pub fn own_name(path: &Path) -> Result<(OwnedFd, CString), Errno> {
    named(resolve_to(path, LastLink::Keep)?)
}

fn named(end: PathEnd) -> Result<(OwnedFd, CString), Errno> {
    match end {
        PathEnd::Descriptor(_) => Err(Errno::EINVAL),
        PathEnd::Name(dir, name) => Ok((dir, name)),
    }
}

/// What is done with a symbolic link that has the last name of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LastLink {
    Follow,
    /// The name is the link's own.
    Keep,
}

/// As [`own`]; made by root, it belongs to the owner of its directory.
///
/// # Errors
/// As [`own`].
pub fn own_of_directory(path: &Path, mode: u32) -> Result<OwnedFd, Errno> {
    let (dir, name) = name(path)?;
    made_for_owner(dir.as_fd(), &name, O_RDWR, mode)
        .unwrap_or_else(|| regular_at(dir.as_fd(), &name, O_RDWR | O_CREAT, mode))
}

/// Makes a file that is missing, where root makes it in the directory of another user, and gives it to that user: a
/// server that root starts by hand leaves no log that the service, which runs as that user, may not open. The group
/// is that of any new file. None: no other user owns the directory, or the file exists.
fn made_for_owner(dir: BorrowedFd<'_>, name: &std::ffi::CStr, flags: i32, mode: u32) -> Option<Result<OwnedFd, Errno>> {
    owner_to_serve(dir)?;
    match file::open_at(Some(dir), name, flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY, mode) {
        Ok(fd) => {
            give_to_owner(fd.as_fd(), dir);
            Some(Ok(fd))
        }
        Err(Errno::EEXIST) => None,
        Err(e) => Some(Err(e)),
    }
}

/// Gives what was just made to the owner of its directory, where root made it in the directory of another user.
pub fn give_to_owner(made: BorrowedFd<'_>, dir: BorrowedFd<'_>) {
    if let Some(owner) = owner_to_serve(dir) {
        // Root without this right (a container without CAP_CHOWN) keeps it.
        let _ = file::chown_fd(made, Some(owner), None);
    }
}

/// The owner of a directory, where root makes something in that of another user.
fn owner_to_serve(dir: BorrowedFd<'_>) -> Option<u32> {
    file::fstat(dir).ok().map(|found| found.uid).filter(|uid| !is_trusted(*uid))
}

/// Opens a directory; it is created if missing, its parent is not. Made by root, it belongs to its parent's owner.
///
/// # Errors
/// As [`append`].
pub fn directory(path: &Path, mode: u32) -> Result<OwnedFd, Errno> {
    let PathEnd::Name(dir, name) = resolve(path)? else { return Err(Errno::ENOTDIR) };
    let is_new = match file::mkdir_at(Some(dir.as_fd()), &name, mode) {
        Ok(()) => true,
        Err(Errno::EEXIST) => false,
        Err(e) => return Err(e),
    };
    let made = file::open_at(Some(dir.as_fd()), &name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0)?;
    if is_new {
        give_to_owner(made.as_fd(), dir.as_fd());
    }
    Ok(made)
}

/// As [`directory`], with the directories above it.
///
/// # Errors
/// As [`append`].
pub fn directories(path: &Path, mode: u32) -> Result<(), Errno> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        directories(above, mode)?;
    }
    directory(path, mode).map(drop)
}

/// Opens a name in a directory that other users may write to: never through a link, never anything but a regular file.
///
/// # Errors
/// ELOOP for a link, EINVAL for a FIFO, socket, device or directory.
pub fn regular_at(dir: BorrowedFd<'_>, name: &std::ffi::CStr, flags: i32, mode: u32) -> Result<OwnedFd, Errno> {
    let fd = match file::open_at(Some(dir), name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode) {
        // ENXIO: a FIFO without a reader, or a socket.
        Err(Errno::ENXIO) => return Err(Errno::EINVAL),
        other => other?,
    };
    match file::fstat(fd.as_fd())?.kind {
        FileKind::Regular => Ok(fd),
        _ => Err(Errno::EINVAL),
    }
}

/// Reads a whole file of a configuration, at most `room + 1` bytes: a result longer than `room` means a file that is
/// too large.
///
/// # Errors
/// That of the call that failed; EINVAL for a FIFO, which may never end.
pub fn read(path: &Path, room: u64) -> Result<Vec<u8>, Errno> {
    read_within(path, room, None)
}

/// As [`read`], for a text of the process's own, in a directory where others may put a FIFO in its place: what would be
/// longer than `room`, or is not UTF-8, is none.
///
/// # Errors
/// As [`read`]; EFBIG, EINVAL.
pub fn text(path: &Path, room: u64) -> Result<String, Errno> {
    let bytes = read(path, room)?;
    if bytes.len() as u64 > room {
        return Err(Errno::EFBIG);
    }
    String::from_utf8(bytes).map_err(|_| Errno::EINVAL)
}

/// As [`read`], but a FIFO is allowed: it gives what another program writes to it within the patience.
///
/// # Errors
/// As [`read`]; ETIMEDOUT where nothing came.
pub fn read_piped(path: &Path, room: u64) -> Result<Vec<u8>, Errno> {
    read_within(path, room, Some(FIFO_WAIT))
}

/// `patience`: how long a FIFO may take, milliseconds; None: it is refused.
fn read_within(path: &Path, room: u64, patience: Option<u32>) -> Result<Vec<u8>, Errno> {
    let c_path = file::c_string(path.as_os_str().as_bytes())?;
    let own = descriptor(path);
    let fd = match own {
        Some(number) => file::dup_number(number)?,
        None => file::open_at(None, &c_path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0)?,
    };
    let stat = file::fstat(fd.as_fd())?;
    let streams = stat.kind == FileKind::Other;
    let mut wait = PATIENCE;
    if streams && own.is_none() {
        wait = match (file::special(fd.as_fd())?, patience) {
            // /dev/null is at its end at once; a terminal would wait for someone to type.
            (Special::Device, _) => 0,
            (Special::Pipe, Some(patience)) => patience,
            _ => return Err(Errno::EINVAL),
        };
    }
    let most = usize::try_from(room).unwrap_or(usize::MAX).saturating_add(1);
    let is_device = streams && own.is_none();
    let mut text = Vec::new();
    text.try_reserve_exact(usize::try_from(stat.size).unwrap_or(0).min(most).saturating_add(1))?;
    while text.len() < most {
        if streams && !is_readable(fd.as_fd(), wait)? {
            return Err(if is_device && wait == 0 { Errno::EINVAL } else { Errno::ETIMEDOUT });
        }
        text.try_reserve(8 << 10)?;
        let most = (most - text.len()).min(AT_ONCE);
        checkpoint::pass_costly();
        if file::read_into(fd.as_fd(), &mut text, most)? == 0 {
            break;
        }
        // /dev/zero has no end.
        if is_device && text.len() > DEVICE {
            return Err(Errno::EINVAL);
        }
    }
    Ok(text)
}

/// Waits until it is readable; a server that reloads its configuration serves clients meanwhile.
fn is_readable(fd: BorrowedFd<'_>, patience: u32) -> Result<bool, Errno> {
    let mut left = patience;
    loop {
        let step = left.min(STEP);
        if file::wait_readable(fd, step)? {
            return Ok(true);
        }
        left -= step;
        if left == 0 {
            return Ok(false);
        }
        checkpoint::pass_costly();
    }
}

/// Opens without waiting, whatever the kind of file; as root, not through a link that another user may have made.
fn regular_or_stream(dir: BorrowedFd<'_>, name: &std::ffi::CStr, flags: i32, mode: u32) -> Result<OwnedFd, Errno> {
    let fd = file::open_at(Some(dir), name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode)?;
    let stat = file::fstat(fd.as_fd())?;
    if stat.kind == FileKind::Regular && stat.nlink > 1 && !is_trusted(file::fstat(dir)?.uid) {
        return Err(Errno::EACCES);
    }
    Ok(fd)
}

/// Lets every user who may enter its directory connect to a unix socket that was just bound. By its path alone, a link
/// that the directory's owner put in its place in between would have root change the mode of any file.
///
/// # Errors
/// As [`append`]; EINVAL where it is no socket.
pub fn let_all_connect(path: &Path) -> Result<(), Errno> {
    let PathEnd::Name(dir, name) = resolve(path)? else { return Err(Errno::EINVAL) };
    let socket = file::open_at(Some(dir.as_fd()), &name, O_PATH | O_NOFOLLOW, 0)?;
    match file::special(socket.as_fd())? {
        Special::Socket => match file::chmod_path(socket.as_fd(), ALL_CONNECT) {
            Err(Errno::ENOSYS) if has_lasting_names(dir.as_fd())? => {
                file::chmod_at(Some(dir.as_fd()), &name, ALL_CONNECT)
            }
            other => other,
        },
        _ => Err(Errno::EINVAL),
    }
}

/// Whether only root and this user may put another file in the place of theirs in a directory.
fn has_lasting_names(dir: BorrowedFd<'_>) -> Result<bool, Errno> {
    let stat = file::fstat(dir)?;
    let is_open = stat.mode & 0o022 != 0 && stat.mode & 0o1000 == 0;
    Ok(!is_open && [0, process::geteuid()].contains(&stat.uid))
}

/// Whether links of this owner are followed.
fn is_trusted(uid: u32) -> bool {
    process::geteuid() != 0 || uid == 0
}

/// Resolves the directories and symbolic links of a path.
fn resolve(path: &Path) -> Result<PathEnd, Errno> {
    resolve_to(path, LastLink::Follow)
}

fn resolve_to(path: &Path, last: LastLink) -> Result<PathEnd, Errno> {
    let mut rest: VecDeque<Vec<u8>> = components(path.as_os_str().as_bytes());
    let mut at = start(path.as_os_str().as_bytes())?;
    let mut links = 0;
    if let Some(number) = descriptor(path) {
        return Ok(PathEnd::Descriptor(number));
    }
    while let Some(name) = rest.pop_front() {
        let c_name = file::c_string(name)?;
        let stat = match file::stat_at(Some(at.as_fd()), &c_name, Follow::No) {
            Err(Errno::ENOENT) if rest.is_empty() => return Ok(PathEnd::Name(at, c_name)),
            other => other?,
        };
        if stat.kind == FileKind::Symlink && !(rest.is_empty() && last == LastLink::Keep) {
            links += 1;
            if links > LINKS {
                return Err(Errno::ELOOP);
            }
            if !is_trusted(stat.uid) {
                return Err(Errno::EACCES);
            }
            let target = file::readlink_at(Some(at.as_fd()), &c_name)?;
            if rest.is_empty()
                && let Some(number) = descriptor(Path::new(std::ffi::OsStr::from_bytes(&target)))
            {
                return Ok(PathEnd::Descriptor(number));
            }
            if target.starts_with(b"/") {
                at = start(&target)?;
            }
            for part in components(&target).into_iter().rev() {
                rest.push_front(part);
            }
        } else if rest.is_empty() {
            return Ok(PathEnd::Name(at, c_name));
        } else {
            at = file::open_at(Some(at.as_fd()), &c_name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0)?;
        }
    }
    Err(Errno::EISDIR)
}

fn start(path: &[u8]) -> Result<OwnedFd, Errno> {
    let from = if path.starts_with(b"/") { c"/" } else { c"." };
    file::open_at(None, from, O_PATH | O_DIRECTORY, 0)
}

fn components(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec).collect()
}

/// The cure where this user may not read a file of the configuration.
pub fn unreadable(path: &Path) -> String {
    let (uid, gid) = (process::geteuid(), process::getegid());
    let (who, cure) = (process::user_of(uid), reading_cure(path, uid, gid));
    let may_enter = |dir: &Path| file::access(dir, file::X_OK).is_ok();
    if let Some(closed) = closed_above(path, &who, may_enter) {
        return format!("{closed}, or start as a user who may");
    }
    match denies_owner(path, uid, READ) {
        true => format!("it belongs to {who} and denies reading: {cure}"),
        false => format!("{who} may not read it: start as a user who may, or let its group: {cure}"),
    }
}

/// The directory above a path that keeps a user out, and the command: before it is done, no other helps.
pub fn closed_above(path: &Path, user: &str, may_enter: impl Fn(&Path) -> bool) -> Option<String> {
    let above = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
    let closed = above.filter(|above| !may_enter(above)).last()?;
    // Root's home is closed for a reason.
    let is_home = closed == Path::new("/root");
    let closed = closed.display();
    Some(match is_home {
        true => format!("{user} may not enter \"{closed}\" above it: move it elsewhere, to /srv for example"),
        false => format!("{user} may not enter \"{closed}\" above it: chmod o+x \"{closed}\""),
    })
}

/// Rights as the bits of one class of a mode: to enter a directory, to read, to change what is in a directory.
pub const ENTER: u32 = 1;
/// The permission bit to read.
pub const READ: u32 = 4;
/// The permission bits that adding and removing entries of a directory takes.
pub const WRITE: u32 = 2 | ENTER;

/// Whether a file or directory belongs to the user and its mode denies its owner some of these rights.
pub fn denies_owner(path: &Path, uid: u32, rights: u32) -> bool {
    let wanted = rights << 6;
    path.metadata().is_ok_and(|meta| meta.uid() == uid && meta.mode() & wanted != wanted)
}

/// The command by which a user comes to read a file: by the owner's right, or by the group's.
pub fn reading_cure(path: &Path, uid: u32, gid: u32) -> String {
    let shown = format!("\"{}\"", path.display());
    match denies_owner(path, uid, READ) {
        true => format!("chmod u+r {shown}"),
        false => format!("chgrp {} {shown} && chmod g+r {shown}", process::group_of(gid)),
    }
}

#[cfg(test)]
mod tests;

//! The locks that keep two processes from writing to one upload. Some file systems have no locks, and some have locks
//! that end at the mount, so that two servers with one store would not see each other's.
//!
//! Invariant: unreliable locks are logged before the first upload depends on them.

use crate::services::Services;
use crate::services::boot::Boot;
use crate::sys::file::{self, O_DIRECTORY, O_RDONLY};
use crate::sys::{Errno, random};
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

const FUSE: u64 = 0x6573_5546;
const NFS: u64 = 0x6969;
const NINE_P: u64 = 0x0102_1997;

/// [`file::flock`], if the file system supports it.
///
/// # Errors
/// EAGAIN: another process has it.
pub fn take(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    match file::flock(fd) {
        Err(e) if is_missing(e) => Ok(()),
        other => other,
    }
}

/// The file system does not support such locks.
pub fn is_missing(e: Errno) -> bool {
    matches!(e, Errno::ENOLCK | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL)
}

/// What is wrong with the locks of a directory whose files are locked as `fd` is; None: all processes that write
/// there see them.
pub fn unreliable(fd: BorrowedFd<'_>, path: &[u8]) -> Option<&'static str> {
    if file::flock(fd).is_err_and(is_missing) {
        return Some("there are no file locks on this file system");
    }
    let path = CString::new(path).ok()?;
    match file::file_system(&path).ok()? {
        FUSE => Some("file locks on FUSE may end at the mount"),
        NINE_P => Some("file locks on 9p may end at the mount"),
        NFS => {
            let stat = file::stat(&path).ok()?;
            let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else {
                return Some("whether file locks of this NFS mount end at this machine cannot be read from /proc");
            };
            let local = has_local_locks(&mounts, stat.dev);
            local.then_some("file locks of this NFS mount end at this machine (nolock or local_lock)")
        }
        _ => None,
    }
}

/// How far the locks of the uploads in a directory reach: empty if all processes that write there see them. Otherwise
/// a name of this mount, which stays the same until it is mounted again or the machine is started again.
pub fn reach(cx: &mut Services, path: &Rc<[u8]>, dir: BorrowedFd<'_>) -> Rc<[u8]> {
    // Another file system may be mounted there later.
    let device = file::fstat(dir).map_or(0, |stat| stat.dev);
    if let Some((_, reach)) = cx.resumable.lock_reach.get(path).filter(|(known, _)| *known == device) {
        return reach.clone();
    }
    let reach: Rc<[u8]> = match unreliable_in(path) {
        None => Rc::default(),
        Some(_) => {
            // Without an id of the boot each process is for itself: two machines must not be taken for one.
            let of_process = || format!("-{:x}", random::number().unwrap_or_default());
            let boot = cx.boot.map_or_else(of_process, Boot::text);
            format!("{boot}.{device:x}").into_bytes().into()
        }
    };
    cx.resumable.lock_reach.insert(path.clone(), (device, reach.clone()));
    reach
}

/// [`unreliable`] for the locks of files in a directory. None if it cannot be opened, too.
pub fn unreliable_in(path: &[u8]) -> Option<&'static str> {
    let dir = file::open_at(None, &CString::new(path).ok()?, O_RDONLY | O_DIRECTORY, 0).ok()?;
    unreliable(dir.as_fd(), path)
}

/// Whether a mount of this device keeps flock's locks local.
fn has_local_locks(mounts: &str, device: u64) -> bool {
    let number = format!("{}:{}", major(device), minor(device));
    let options = |line: &str| {
        let mut words = line.split(' ');
        (words.nth(2) == Some(number.as_str())).then(|| words.next_back().unwrap_or_default().to_owned())
    };
    let is_local = |word: &str| matches!(word, "nolock" | "local_lock=flock" | "local_lock=all");
    mounts.lines().filter_map(options).any(|options| options.split(',').any(is_local))
}

fn major(device: u64) -> u64 {
    (device >> 8) & 0xfff | (device >> 32) & !0xfff
}

fn minor(device: u64) -> u64 {
    device & 0xff | (device >> 12) & !0xff
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;

    #[test]
    fn an_nfs_mount_says_how_far_its_locks_reach() {
        let line =
            |options: &str| format!("36 35 0:52 / /srv rw,relatime shared:1 - nfs4 host:/x rw,vers=4.2,{options}");
        let table = [
            ("local_lock=none,addr=1", 52, false),
            ("local_lock=all", 52, true),
            ("local_lock=flock,addr=1", 52, true),
            ("local_lock=posix", 52, false),
            ("nolock,addr=1", 52, true),
            ("nolock", 53, false),
        ];
        for (options, device, expected) in table {
            let mounts = format!("1 1 8:1 / / rw - ext4 /dev/sda1 rw\n{}\n", line(options));
            assert_eq!(has_local_locks(&mounts, device), expected, "{options}");
        }
    }

    #[test]
    fn a_local_file_system_is_not_doubted() {
        let scratch = Scratch::new();
        scratch.write("part", b"");
        let fd = file::open_at(Some(scratch.fd().as_fd()), c"part", file::O_WRONLY, 0).expect("opened");
        let path = scratch.path().as_os_str().to_owned().into_encoded_bytes();
        assert_eq!(unreliable(fd.as_fd(), &path), None);
    }
}

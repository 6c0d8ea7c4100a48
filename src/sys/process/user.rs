//! The process's user: looking up users and groups, and switching to one.

use std::ffi::{c_char, c_int};
use std::mem;
use std::ptr;

use crate::sys::file::c_string;
use crate::sys::{Errno, once};

/// Maximum size of the buffer for a user or group entry.
const LARGEST_ENTRY: usize = 1 << 20;

/// Runs one of the `get…nam_r` calls with a buffer that grows until the entry fits. `None`: no such name.
fn lookup<T, R>(
    name: &str,
    call: unsafe extern "C" fn(*const c_char, *mut T, *mut c_char, usize, *mut *mut T) -> c_int,
    pick: impl Fn(&T) -> R,
) -> Result<Option<R>, Errno> {
    let name = c_string(name)?;
    let mut buffer = vec![0u8; 1024];
    loop {
        // SAFETY: T is passwd or group: integers and nullable pointers, valid as zeroes.
        let mut entry: T = unsafe { mem::zeroed() };
        let mut found: *mut T = ptr::null_mut();
        // SAFETY: `name` is NUL-terminated; entry, buffer (for its length) and found are writable for the call.
        let errno = unsafe { call(name.as_ptr(), &mut entry, buffer.as_mut_ptr().cast(), buffer.len(), &mut found) };
        match Errno(errno) {
            Errno(0) if found.is_null() => return Ok(None),
            Errno(0) => return Ok(Some(pick(&entry))),
            Errno::EINTR => {}
            Errno::ERANGE if buffer.len() < LARGEST_ENTRY => {
                let twice = buffer.len() * 2;
                buffer.resize(twice, 0);
            }
            // Errors by which POSIX allows systems to report "not found".
            Errno::ENOENT | Errno::ESRCH => return Ok(None),
            errno => return Err(errno),
        }
    }
}

/// The uid of a user, and the gid of its primary group.
pub fn lookup_user(name: &str) -> Result<Option<(u32, u32)>, Errno> {
    lookup(name, libc::getpwnam_r, |entry: &libc::passwd| (entry.pw_uid, entry.pw_gid))
}

/// The gid of a group.
pub fn lookup_group(name: &str) -> Result<Option<u32>, Errno> {
    lookup(name, libc::getgrnam_r, |entry: &libc::group| entry.gr_gid)
}

/// Switches to `uid` and `gid` for good, with the supplementary groups of user `name`. The order matters, since the
/// last step drops the right to do the others; after a failure the process must exit.
pub fn set_user(uid: u32, gid: u32, name: &str) -> Result<(), Errno> {
    let name = c_string(name)?;
    // SAFETY: no pointers are passed.
    once(|| unsafe { libc::setresgid(gid, gid, gid) })?;
    // SAFETY: `name` is NUL-terminated.
    once(|| unsafe { libc::initgroups(name.as_ptr(), gid) })?;
    // SAFETY: no pointers are passed.
    once(|| unsafe { libc::setresuid(uid, uid, uid) })?;
    Ok(())
}

/// The effective uid; 0 is root.
pub fn geteuid() -> u32 {
    // SAFETY: no pointers are passed; cannot fail.
    unsafe { libc::geteuid() }
}

/// The effective gid.
pub fn getegid() -> u32 {
    // SAFETY: no pointers are passed; cannot fail.
    unsafe { libc::getegid() }
}

/// User names in /etc/passwd, for "did you mean". Empty if it cannot be read.
pub fn user_names() -> Vec<String> {
    names_of("/etc/passwd")
}

/// A user's name according to /etc/passwd; otherwise the number.
pub fn user_of(uid: u32) -> String {
    name_of("/etc/passwd", uid).unwrap_or_else(|| format!("user {uid}"))
}

/// A group's name according to /etc/group; otherwise the number.
pub fn group_of(gid: u32) -> String {
    name_of("/etc/group", gid).unwrap_or_else(|| gid.to_string())
}

/// The first field of the line whose third field is this number.
fn name_of(file: &str, number: u32) -> Option<String> {
    let list = std::fs::read_to_string(file).unwrap_or_default();
    let is_it = |line: &&str| line.split(':').nth(2) == Some(&number.to_string());
    Some(list.lines().find(is_it)?.split(':').next()?.to_owned())
}

/// Group names in /etc/group, likewise.
pub fn group_names() -> Vec<String> {
    names_of("/etc/group")
}

fn names_of(path: &str) -> Vec<String> {
    let list = std::fs::read_to_string(path).unwrap_or_default();
    list.lines().filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect()
}

//! Starts a program by posix_spawn, which glibc and musl base on vfork, so that our memory is not copied.

use std::ffi::{CString, OsStr, c_char, c_int};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use super::signal::WRITE_SIGNALS;
use crate::sys::Errno;
use crate::sys::file::c_string;

/// Starts the program `path` (for a binary upgrade: ourselves; PATH is not searched) with exactly these arguments,
/// including `argv[0]`, and this environment. `keep` is inherited under the same numbers; otherwise only the standard
/// streams are. In the child no signal is blocked or ignored. Returns the pid, to be [`super::reap`]ed. ENOENT, EACCES
/// and the like if it cannot be executed; EINVAL for a NUL in a string.
pub fn spawn_exec(
    path: &OsStr,
    args: &[&OsStr],
    env: &[(&OsStr, &OsStr)],
    keep: &[BorrowedFd<'_>],
) -> Result<i32, Errno> {
    let path = c_string(path.as_bytes())?;
    let args: Vec<CString> = args.iter().map(|arg| c_string(arg.as_bytes())).collect::<Result<_, _>>()?;
    let env: Vec<CString> = env
        .iter()
        .map(|(name, value)| c_string([name.as_bytes(), b"=", value.as_bytes()].concat()))
        .collect::<Result<_, _>>()?;
    let (args, env) = (pointers(&args), pointers(&env));

    let mut inherited = FileActions::new()?;
    for fd in keep {
        inherited.keep(*fd)?;
    }
    let mut attributes = Attributes::new()?;
    attributes.reset_signals()?;

    let mut pid = 0;
    // SAFETY: `path` is NUL-terminated; `args` and `env` are null-terminated arrays of NUL-terminated strings whose
    // owners live until the end of this function; actions and attributes are initialised.
    check(unsafe {
        libc::posix_spawn(&mut pid, path.as_ptr(), &inherited.0, &attributes.0, args.as_ptr(), env.as_ptr())
    })?;
    Ok(pid)
}

/// A null-terminated array for C; the strings stay with their owner.
fn pointers(strings: &[CString]) -> Vec<*mut c_char> {
    strings.iter().map(|string| string.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
}

/// The posix_spawn family returns the error instead of setting errno.
fn check(returned: c_int) -> Result<(), Errno> {
    if returned == 0 { Ok(()) } else { Err(Errno(returned)) }
}

/// What the child does with descriptors before exec.
struct FileActions(libc::posix_spawn_file_actions_t);

impl FileActions {
    fn new() -> Result<FileActions, Errno> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: `actions` is writable for one such object.
        check(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        // SAFETY: the call above initialised it.
        Ok(FileActions(unsafe { actions.assume_init() }))
    }

    /// Duplicating a descriptor onto itself clears its close-on-exec flag (POSIX 2024; glibc since 2.29).
    fn keep(&mut self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        // SAFETY: the object is initialised.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&mut self.0, fd.as_raw_fd(), fd.as_raw_fd()) })
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: initialised, and not used after this.
        unsafe { libc::posix_spawn_file_actions_destroy(&mut self.0) };
    }
}

struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new() -> Result<Attributes, Errno> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: `attributes` is writable for one such object.
        check(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: the call above initialised it.
        Ok(Attributes(unsafe { attributes.assume_init() }))
    }

    /// An empty signal mask, and default actions for [`WRITE_SIGNALS`]: what [`super::signalfd`] and
    /// [`super::ignore_write_signals`] changed would otherwise survive exec.
    fn reset_signals(&mut self) -> Result<(), Errno> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: `set` is writable; sigemptyset initialises it.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: initialised by the call above.
        let mut set = unsafe { set.assume_init() };
        // SAFETY: the object and the set are initialised.
        check(unsafe { libc::posix_spawnattr_setsigmask(&mut self.0, &set) })?;
        for signal in WRITE_SIGNALS {
            // SAFETY: the set is initialised, these are signals.
            unsafe { libc::sigaddset(&mut set, signal) };
        }
        // SAFETY: the object and the set are initialised.
        check(unsafe { libc::posix_spawnattr_setsigdefault(&mut self.0, &set) })?;
        let flags = libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
        // SAFETY: the object is initialised.
        check(unsafe { libc::posix_spawnattr_setflags(&mut self.0, flags as _) })
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised, and not used after this.
        unsafe { libc::posix_spawnattr_destroy(&mut self.0) };
    }
}

//! Signals, read from a descriptor.

use std::fmt;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use crate::sys::{Errno, once, retry};

pub const SIGHUP: i32 = libc::SIGHUP;
pub const SIGINT: i32 = libc::SIGINT;
pub const SIGQUIT: i32 = libc::SIGQUIT;
pub const SIGTERM: i32 = libc::SIGTERM;
pub const SIGUSR1: i32 = libc::SIGUSR1;
pub const SIGUSR2: i32 = libc::SIGUSR2;
pub const SIGWINCH: i32 = libc::SIGWINCH;
pub const SIGALRM: i32 = libc::SIGALRM;
pub const SIGIO: i32 = libc::SIGIO;
pub const SIGCHLD: i32 = libc::SIGCHLD;
pub const SIGKILL: i32 = libc::SIGKILL;

/// The drain signal: the lowest real-time signal that no C library reserves for its threads (RTMIN+1 of glibc, RTMIN of
/// musl). A fixed number, since the command that sends it may be linked with the other library.
pub const SIGDRAIN: i32 = 35;
/// The drain signal of earlier versions: glibc's RTMIN. musl reserves it for its threads.
pub const SIGDRAIN_BEFORE: i32 = 34;

/// The signals that start a drain: scripts may still send RTMIN.
pub fn drains() -> [i32; 2] {
    [SIGDRAIN, libc::SIGRTMIN()]
}

/// A received signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signal {
    /// As in the constants above.
    pub number: i32,
    /// The sender's pid; 0 for the kernel.
    pub pid: i32,
    /// The sender's real user id; 0 for the kernel.
    pub uid: u32,
    /// Whether the kernel sent it by itself: for a key, or a terminal that was closed or resized.
    pub is_kernels: bool,
}

/// As in the lines of nginx's log: `15 (SIGTERM) received from 4711`.
impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(i32, &str); 7] = [
            (SIGHUP, "SIGHUP"),
            (SIGINT, "SIGINT"),
            (SIGQUIT, "SIGQUIT"),
            (SIGTERM, "SIGTERM"),
            (SIGUSR1, "SIGUSR1"),
            (SIGUSR2, "SIGUSR2"),
            (SIGWINCH, "SIGWINCH"),
        ];
        write!(f, "{}", self.number)?;
        if let Some((_, name)) = NAMES.iter().find(|(number, _)| *number == self.number) {
            write!(f, " ({name})")?;
        }
        f.write_str(" received")?;
        // The kernel has no pid, and a process of another namespace has none here.
        if self.pid > 0 { write!(f, " from {}", self.pid) } else { Ok(()) }
    }
}

/// Blocks these signals (in this thread, so call it before starting others) and returns a descriptor, non-blocking and
/// close-on-exec, that is readable while one is pending. Resets an inherited SIG_IGN, with which SIGCHLD would never be
/// reported. Programs we start must not inherit the mask: [`super::spawn_exec`] resets it.
pub fn signalfd(signals: &[i32]) -> Result<OwnedFd, Errno> {
    let set = mask(libc::SIG_BLOCK, signals)?;
    for &signal in signals {
        // SAFETY: the default action runs no handler of ours, and none at all while the signal is blocked.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: `set` is initialised.
    let fd = retry(|| unsafe { libc::signalfd(-1, &set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) })?;
    // SAFETY: the kernel just gave us this descriptor; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lets these signals through again, those that are pending at once.
pub fn unblock(signals: &[i32]) -> Result<(), Errno> {
    mask(libc::SIG_UNBLOCK, signals).map(drop)
}

/// Blocks or unblocks these signals in this thread. Returns the set of them.
fn mask(how: i32, signals: &[i32]) -> Result<libc::sigset_t, Errno> {
    // SAFETY: a sigset of zeroes is valid; sigemptyset makes it the empty set, whatever its form.
    let mut set: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: `set` is writable.
    unsafe { libc::sigemptyset(&mut set) };
    for &signal in signals {
        // SAFETY: `set` is initialised; a number that is no signal is EINVAL.
        once(|| unsafe { libc::sigaddset(&mut set, signal) })?;
    }
    // SAFETY: `set` is initialised; a null pointer asks for no old mask.
    match unsafe { libc::pthread_sigmask(how, &set, ptr::null_mut()) } {
        0 => Ok(set),
        errno => Err(Errno(errno)),
    }
}

/// Signals read per call: usually all that are pending.
const SIGNALS: usize = 4;

/// Calls `each` for the pending signals of a [`signalfd`]. Equal pending signals are merged into one.
pub fn read_signals(fd: BorrowedFd<'_>, mut each: impl FnMut(Signal)) -> Result<(), Errno> {
    loop {
        // SAFETY: signalfd_siginfos of zeroes are valid: plain integers.
        let mut infos: [libc::signalfd_siginfo; SIGNALS] = unsafe { mem::zeroed() };
        let len = size_of_val(&infos);
        // SAFETY: `infos` is writable for `len` bytes, and any bytes are a valid siginfo.
        let got = match retry(|| unsafe { libc::read(fd.as_raw_fd(), infos.as_mut_ptr().cast(), len) }) {
            Err(Errno::EAGAIN) => return Ok(()),
            got => got? as usize / size_of::<libc::signalfd_siginfo>(),
        };
        for info in infos.iter().take(got) {
            let (number, is_kernels) = (info.ssi_signo as i32, info.ssi_code == libc::SI_KERNEL);
            each(Signal { number, pid: info.ssi_pid as i32, uid: info.ssi_uid, is_kernels });
        }
        if got < SIGNALS {
            return Ok(());
        }
    }
}

/// Signals caused by failed writes: ignored by this process, but not by programs that it starts.
pub(super) const WRITE_SIGNALS: [i32; 2] = [libc::SIGPIPE, libc::SIGXFSZ];

/// Makes a write to a closed peer fail with EPIPE, and one beyond RLIMIT_FSIZE with EFBIG, instead of ending the
/// process. (Socket calls can suppress SIGPIPE themselves; sendfile, splice and writes to pipes cannot.)
pub fn ignore_write_signals() {
    for signal in WRITE_SIGNALS {
        // SAFETY: ignoring runs no handler. Cannot fail for these.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Sends `signal` to process `pid`; signal 0 only tests whether it exists. Pids below 1 denote groups and are EINVAL
/// here: a corrupt pid file must not signal all processes.
pub fn kill(pid: i32, signal: i32) -> Result<(), Errno> {
    if pid < 1 {
        return Err(Errno::EINVAL);
    }
    // SAFETY: no pointers are passed.
    retry(|| unsafe { libc::kill(pid, signal) })?;
    Ok(())
}

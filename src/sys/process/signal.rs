//! Signals, read like any other descriptor.

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

/// Asks for a drain: the first of the signals that mean nothing by themselves and that no C library keeps for its threads,
/// RTMIN+1 of glibc and RTMIN of musl. A number, as a server may be signalled by a command built for the other library.
pub const SIGDRAIN: i32 = 35;
/// The drain of versions before that: RTMIN of glibc. musl keeps it for its threads.
pub const SIGDRAIN_BEFORE: i32 = 34;

/// The signals that a server takes for a drain: scripts may still send RTMIN.
pub fn drains() -> [i32; 2] {
    [SIGDRAIN, libc::SIGRTMIN()]
}

/// A signal that arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signal {
    pub number: i32,
    /// The sender's pid; 0 for the kernel.
    pub pid: i32,
    /// The sender's real user id; 0 for the kernel.
    pub uid: u32,
    /// The kernel sent it by itself: for a key, or a terminal that closes or changes its size.
    pub is_kernels: bool,
}

/// Blocks these signals (in this thread: call it before any other is started) and returns a descriptor, non-blocking and
/// close-on-exec, that is readable when one is pending. An inherited SIG_IGN is reset: SIGCHLD would never be reported.
/// Programs we start must not inherit the mask: [`super::spawn_exec`] resets it.
pub fn signalfd(signals: &[i32]) -> Result<OwnedFd, Errno> {
    // SAFETY: a sigset of zeroes is valid; sigemptyset makes it the empty set whatever its form.
    let mut set: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: `set` is writable.
    unsafe { libc::sigemptyset(&mut set) };
    for &signal in signals {
        // SAFETY: `set` is initialised; a number that is no signal is EINVAL.
        once(|| unsafe { libc::sigaddset(&mut set, signal) })?;
    }
    // SAFETY: `set` is initialised; a null pointer asks for no old mask.
    match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, ptr::null_mut()) } {
        0 => {}
        errno => return Err(Errno(errno)),
    }
    for &signal in signals {
        // SAFETY: the default action runs no handler of ours, and none at all while the signal is blocked.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: `set` is initialised.
    let fd = retry(|| unsafe { libc::signalfd(-1, &set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) })?;
    // SAFETY: the kernel just gave us this descriptor; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Signals read at a time: more than usually come together.
const SIGNALS: usize = 4;

/// The pending signals of a [`signalfd`], one after the other. Equal signals that came together are one.
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

/// The signals of writes that fail: this process ignores them, and programs that it starts do not.
pub(super) const WRITE_SIGNALS: [i32; 2] = [libc::SIGPIPE, libc::SIGXFSZ];

/// A write to a closed peer is EPIPE, and one beyond the largest file allowed (RLIMIT_FSIZE) is EFBIG: not the end of the
/// process. (Of SIGPIPE, sockets ask per call; sendfile, splice and writes to pipes cannot.)
pub fn ignore_write_signals() {
    for signal in WRITE_SIGNALS {
        // SAFETY: ignoring runs no handler. Cannot fail for these.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Sends `signal` to process `pid`; signal 0 only asks whether it exists. Pids below 1 name groups and are EINVAL here:
/// a damaged pid file must not signal everyone.
pub fn kill(pid: i32, signal: i32) -> Result<(), Errno> {
    if pid < 1 {
        return Err(Errno::EINVAL);
    }
    // SAFETY: no pointers are passed.
    retry(|| unsafe { libc::kill(pid, signal) })?;
    Ok(())
}

//! Programs that answer a request (CGI): started by posix_spawn in a process group of their own, watched by a pidfd.
//! Never fork: copying the page tables of a server that holds 512 MB takes 11 ms.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::Exit;
use super::spawn::{Attributes, FileActions, check, pointers};
use crate::sys::{Errno, once, retry};

/// A program to start, and what it inherits.
pub struct Program<'a> {
    pub path: &'a CStr,
    /// argv, the program's name first.
    pub args: &'a [CString],
    /// `NAME=value`.
    pub env: &'a [CString],
    /// Its working directory.
    pub dir: &'a CStr,
    /// A file is read from its beginning.
    pub stdin: BorrowedFd<'a>,
    pub stdout: BorrowedFd<'a>,
    pub stderr: BorrowedFd<'a>,
}

/// Starts a program. Gives its pid, which is its process group's id too, and what becomes readable when it ends. ENOENT,
/// EACCES and the like if it cannot be executed, or its directory not entered.
pub fn start(program: &Program<'_>) -> Result<(i32, OwnedFd), Errno> {
    // SAFETY: no pointers are passed. What cannot be rewound (a device) is read from where it is.
    unsafe { libc::lseek(program.stdin.as_raw_fd(), 0, libc::SEEK_SET) };
    let (args, env) = (pointers(program.args), pointers(program.env));
    let mut actions = FileActions::new()?;
    for (fd, number) in [(program.stdin, 0), (program.stdout, 1), (program.stderr, 2)] {
        actions.put(fd, number)?;
    }
    actions.enter(program.dir)?;
    let mut attributes = Attributes::new()?;
    attributes.fresh_group()?;
    let mut pid = 0;
    // SAFETY: the path is NUL-terminated; `args` and `env` are null-terminated arrays of NUL-terminated strings that the
    // caller keeps; actions and attributes are initialised.
    check(unsafe {
        libc::posix_spawn(&mut pid, program.path.as_ptr(), actions.raw(), attributes.raw(), args.as_ptr(), env.as_ptr())
    })?;
    // SAFETY: no pointers are passed.
    match retry(|| unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) as i32 }) {
        // SAFETY: the kernel just gave us this descriptor; nothing else owns it.
        Ok(fd) => Ok((pid, unsafe { OwnedFd::from_raw_fd(fd) })),
        Err(errno) => {
            let _ = signal_group(pid, libc::SIGKILL);
            Err(errno)
        }
    }
}

/// Of the descriptors that are open now, programs that are started from here on get none but their three streams.
pub fn close_on_exec() {
    let first = libc::STDERR_FILENO + 1;
    // SAFETY: no pointers are passed; nothing is closed. Before Linux 5.11 what was inherited stays inherited.
    let _ = once(|| unsafe { libc::syscall(libc::SYS_close_range, first, i32::MAX, libc::CLOSE_RANGE_CLOEXEC) });
}

/// Sends a signal to a program and all that it started, as far as they stay in its group. Only while it is not reaped:
/// afterwards the number may be another process's.
pub fn signal_group(pid: i32, signal: i32) -> Result<(), Errno> {
    if pid < 2 {
        return Err(Errno::EINVAL);
    }
    // SAFETY: no pointers are passed.
    retry(|| unsafe { libc::kill(-pid, signal) })?;
    Ok(())
}

/// Seconds of processor time that a program may use, and that it leaves no core behind.
pub fn limit(pid: i32, cpu_seconds: u64) {
    for (resource, most) in [(libc::RLIMIT_CPU, cpu_seconds), (libc::RLIMIT_CORE, 0)] {
        let limit = libc::rlimit { rlim_cur: most, rlim_max: most.saturating_add(5) };
        // SAFETY: `limit` is readable; the old limits are not asked for. A program that has ended needs none.
        unsafe { libc::prlimit(pid, resource, &limit, std::ptr::null_mut()) };
    }
}

/// From here on what a child leaves behind when it ends becomes a child of this process, not of init.
pub fn adopt_orphans() -> Result<(), Errno> {
    // SAFETY: no pointers are passed.
    once(|| unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map(drop)
}

/// The children of this process (which has one thread) that lead a process group of their own in its session, as programs
/// from [`start`] do; one that made itself a daemon has another session. Those that have ended and are not reaped are
/// among them. None where /proc is not mounted, or the kernel keeps no such list.
pub fn group_leaders() -> Vec<i32> {
    let own = super::getpid();
    let list = std::fs::read_to_string(format!("/proc/self/task/{own}/children")).unwrap_or_default();
    // SAFETY: no pointers are passed; fails where the process is not there.
    let (group, session) = (|pid| unsafe { libc::getpgid(pid) }, |pid| unsafe { libc::getsid(pid) });
    let pids = list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
    pids.filter(|pid| group(*pid) == *pid && session(*pid) == session(0)).collect()
}

/// How a child ended, which is not reaped by this; None: it runs.
pub fn peek_exit(pid: i32) -> Option<Exit> {
    // SAFETY: all zero is a valid siginfo_t.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `info` is writable.
    retry(|| unsafe { libc::waitid(libc::P_PID, pid as libc::id_t, &mut info, flags) }).ok()?;
    // SAFETY: waitid() sets both; the pid stays 0 where the child runs.
    let (ended, status) = unsafe { (info.si_pid(), info.si_status()) };
    let exit = if info.si_code == libc::CLD_EXITED { Exit::Code(status) } else { Exit::Signal(status) };
    (ended == pid).then_some(exit)
}

/// Reaps a child that has ended, if that was not done yet.
pub fn reap_one(pid: i32) {
    let mut status = 0;
    // SAFETY: `status` is writable.
    let _ = retry(|| unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) });
}

//! Starts programs that produce a response (CGI), each in a process group of its own.
//!
//! Does not fork: copying the page tables of a server with 512 MB takes 11 ms. Does what posix_spawn does with 13 fewer
//! system calls (that reads the descriptor limit six times, and maps and unmaps a stack), and can set resource limits,
//! which posix_spawn cannot.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use super::signal::WRITE_SIGNALS;
use super::{Exit, Strings};
use crate::sys::{Errno, once, retry};

/// A program to start, and what it inherits.
pub struct Program<'a> {
    /// The executable; PATH is not searched.
    pub path: &'a CStr,
    /// argv, the program's name first.
    pub args: &'a Strings,
    /// `NAME=value`.
    pub env: &'a Strings,
    /// The working directory.
    pub dir: &'a CStr,
    /// A file is read from its start.
    pub stdin: BorrowedFd<'a>,
    /// Where its response goes.
    pub stdout: BorrowedFd<'a>,
    /// Where its messages go.
    pub stderr: BorrowedFd<'a>,
    /// RLIMIT_CPU in seconds. Core dumps are disabled.
    pub cpu_seconds: u64,
}

/// Size of the child's stack until exec: only a few calls deep, without buffers.
const STACK: usize = 32 << 10;

/// A child between clone and exec: it uses our memory while we wait.
struct ChildStart<'a> {
    program: &'a Program<'a>,
    args: Vec<*const c_char>,
    env: Vec<*const c_char>,
    /// The errno of a failed exec; 0: it succeeded.
    failed: AtomicI32,
}

/// Starts a program. Returns its pid, which is also its process group id. ENOENT, EACCES and the like if it cannot be
/// executed or its directory not be entered.
pub fn start(program: &Program<'_>) -> Result<i32, Errno> {
    let (args, env) = (program.args.pointers(), program.env.pointers());
    let child = ChildStart { program, args, env, failed: AtomicI32::new(0) };
    let mut stack: Vec<MaybeUninit<u128>> = Vec::with_capacity(STACK / size_of::<u128>());
    let top = stack.spare_capacity_mut().as_mut_ptr_range().end;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let told = ptr::from_ref(&child).cast_mut();
    // No signal has a handler that the child could run in our memory, but those of faults.
    // SAFETY: CLONE_VFORK: this thread waits until the child has executed its program or ended: the stack, aligned and
    // writable, and `child` outlive the child's use. It allocates nothing and never returns.
    let pid = once(|| unsafe { libc::clone(child_main, top.cast(), flags, told.cast()) })?;
    match child.failed.load(Ordering::Relaxed) {
        0 => Ok(pid),
        errno => {
            let _ = super::await_end(pid);
            Err(Errno(errno))
        }
    }
}

/// The child's entry point.
extern "C" fn child_main(child: *mut c_void) -> c_int {
    // SAFETY: [`start`] gives a `ChildStart` that lives until this process has executed its program or ended.
    let child = unsafe { &*child.cast::<ChildStart<'_>>() };
    if let Err(errno) = child.execute() {
        child.failed.store(errno.0, Ordering::Relaxed);
    }
    // SAFETY: ends the child only; nothing of the parent's is run or flushed.
    unsafe { libc::_exit(127) }
}

impl ChildStart<'_> {
    /// Returns only if exec fails. Runs in the child, in its parent's memory, so it must not allocate.
    fn execute(&self) -> Result<(), Errno> {
        let Program { path, dir, stdin, stdout, stderr, cpu_seconds, .. } = self.program;
        fresh_signals()?;
        // SAFETY: no pointers are passed.
        once(|| unsafe { libc::setpgid(0, 0) })?;
        for (fd, number) in [(stdin, 0), (stdout, 1), (stderr, 2)] {
            place(fd.as_raw_fd(), number)?;
        }
        // SAFETY: no pointers are passed. What cannot be rewound (a pipe, a device) is read from where it is.
        unsafe { libc::lseek(0, 0, libc::SEEK_SET) };
        // SAFETY: the path is NUL-terminated.
        once(|| unsafe { libc::chdir(dir.as_ptr()) })?;
        limit(libc::RLIMIT_CPU as c_int, *cpu_seconds);
        limit(libc::RLIMIT_CORE as c_int, 0);
        // SAFETY: the path is NUL-terminated; both are null-terminated arrays of NUL-terminated strings.
        once(|| unsafe { libc::execve(path.as_ptr(), self.args.as_ptr(), self.env.as_ptr()) })?;
        Ok(())
    }
}

/// Unblocks all signals and resets ignored ones, as set by [`super::signalfd`] and [`super::ignore_write_signals`].
fn fresh_signals() -> Result<(), Errno> {
    for signal in WRITE_SIGNALS {
        // SAFETY: no handler is set. The child has signal actions of its own.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let mut set = MaybeUninit::uninit();
    // SAFETY: `set` is writable, and initialised by the first call; the old mask is not asked for.
    once(|| unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), ptr::null_mut())
    })
    .map(drop)
}

/// Makes `fd` available under this number, inherited by the program.
fn place(fd: c_int, number: c_int) -> Result<(), Errno> {
    if fd == number {
        // SAFETY: no pointers are passed; its owner keeps owning it.
        return once(|| unsafe { libc::fcntl(fd, libc::F_SETFD, 0) }).map(drop);
    }
    // SAFETY: no pointers are passed. In the child nothing owns the numbers of the standard streams.
    retry(|| unsafe { libc::dup2(fd, number) }).map(drop)
}

/// Sets a resource limit of the calling process; ignores errors.
fn limit(resource: c_int, most: u64) {
    let most = most as libc::rlim_t;
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most.saturating_add(5) };
    // SAFETY: `limit` is readable.
    unsafe { libc::setrlimit(resource as _, &limit) };
}

/// Marks all descriptors that are open now, except the three standard streams, close-on-exec.
pub fn close_on_exec() {
    let first = libc::STDERR_FILENO + 1;
    // SAFETY: no pointers are passed; nothing is closed. Before Linux 5.11 what was inherited stays inherited.
    let _ = once(|| unsafe { libc::syscall(libc::SYS_close_range, first, i32::MAX, libc::CLOSE_RANGE_CLOEXEC) });
}

/// Sends a signal to a program and to what it started in its process group. Only before it is reaped: afterwards the
/// number may belong to another process.
pub fn signal_group(pid: i32, signal: i32) -> Result<(), Errno> {
    if pid < 2 {
        return Err(Errno::EINVAL);
    }
    // SAFETY: no pointers are passed.
    retry(|| unsafe { libc::kill(-pid, signal) })?;
    Ok(())
}

/// Makes this process, instead of init, the parent of orphaned descendants (child subreaper).
pub fn adopt_orphans() -> Result<(), Errno> {
    // SAFETY: no pointers are passed.
    once(|| unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map(drop)
}

/// The children of this single-threaded process that lead a process group in its session, as programs from [`start`] do
/// (a daemonized one has another session). Includes terminated ones not yet reaped. Empty if /proc is not mounted, or
/// the kernel does not list children.
pub fn group_leaders() -> Vec<i32> {
    let own = super::getpid();
    let list = std::fs::read_to_string(format!("/proc/self/task/{own}/children")).unwrap_or_default();
    // SAFETY: no pointers are passed; fails where the process is not there.
    let (group, session) = (|pid| unsafe { libc::getpgid(pid) }, |pid| unsafe { libc::getsid(pid) });
    let pids = list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
    pids.filter(|pid| group(*pid) == *pid && session(*pid) == session(0)).collect()
}

/// How a child terminated, without reaping it; None: it is running.
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

/// Waits until a child terminates, without reaping it.
#[cfg(test)]
pub fn await_exit(pid: i32) {
    // SAFETY: all zero is a valid siginfo_t.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: `info` is writable.
    retry(|| unsafe { libc::waitid(libc::P_PID, pid as libc::id_t, &mut info, libc::WEXITED | libc::WNOWAIT) })
        .expect("a child");
}

/// Reaps a terminated child, unless that was done already; returns how it terminated.
pub fn reap_one(pid: i32) -> Option<Exit> {
    super::wait(pid, libc::WNOHANG).ok().flatten().map(|(_, exit)| exit)
}

//! The process itself: identity, limits, children, standard streams. Signals, users and starting programs are in the
//! modules below.

pub mod child;
pub mod free_memory;
pub mod helper;
mod signal;
mod spawn;
mod strings;
mod user;

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

pub use signal::{
    SIGALRM, SIGCHLD, SIGDRAIN, SIGDRAIN_BEFORE, SIGHUP, SIGINT, SIGIO, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2,
    SIGWINCH, Signal, drains, ignore_write_signals, kill, read_signals, signalfd, unblock,
};
pub use spawn::spawn_exec;
pub use strings::Strings;
pub use user::{getegid, geteuid, group_names, group_of, lookup_group, lookup_user, set_user, user_names, user_of};

use super::{Errno, file, once, retry};

/// The process's own id, by the kernel: right after a fork, too.
pub fn getpid() -> i32 {
    // SAFETY: no pointers are passed; cannot fail.
    unsafe { libc::getpid() }
}

/// The parent process, or the one that adopted us.
pub fn getppid() -> i32 {
    // SAFETY: no pointers are passed; cannot fail.
    unsafe { libc::getppid() }
}

/// fork(2): returns the child's pid in the parent, `None` in the child. Only while the process has one thread. What was
/// created before is shared (epoll, locks on open files).
pub fn fork() -> Result<Option<i32>, Errno> {
    // SAFETY: with one thread (the contract above) the child may go on as if nothing had happened.
    let pid = once(|| unsafe { libc::fork() })?;
    Ok((pid > 0).then_some(pid))
}

/// Ends the process at once, without running destructors or exit handlers. For children that share their parent's
/// state.
pub fn leave(status: i32) -> ! {
    // SAFETY: does not return.
    unsafe { libc::_exit(status) }
}

/// Daemonizes: the child continues in a new session; the parent waits until [`Ready::tell`] and exits with 0, or with 1
/// if the child exits before. Only while the process has one thread, and before creating epoll, signalfd or locks,
/// which a child would share or lose.
pub fn daemonize() -> Result<Ready, Errno> {
    let (wait, tell) = file::pipe()?;
    if fork()?.is_some() {
        drop(tell);
        let received = file::wait_readable(wait.as_fd(), u32::MAX).and_then(|_| file::read(wait.as_fd(), &mut [0]));
        leave(i32::from(received != Ok(1)));
    }
    // SAFETY: no pointers are passed. A fresh child leads no group, so this cannot be refused.
    once(|| unsafe { libc::setsid() })?;
    Ok(Ready(tell))
}

/// The daemon's end of the pipe that its parent reads.
pub struct Ready(OwnedFd);

impl Ready {
    /// Startup is complete: lets the parent exit.
    pub fn tell(self) {
        // A parent that was killed does not matter.
        let _ = file::write(self.0.as_fd(), b"1");
    }
}

/// Which standard streams [`redirect_stdio_to_null`] redirects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Streams {
    /// Input and output, as in nginx: standard error is unchanged.
    InputOutput,
    /// Standard error as well.
    All,
}

/// Opens /dev/null in the place of these streams.
pub fn redirect_stdio_to_null(streams: Streams) -> Result<(), Errno> {
    let null = file::open_at(None, c"/dev/null", file::O_RDWR, 0)?;
    dup2(null.as_fd(), std::io::stdin().as_fd())?;
    dup2(null.as_fd(), std::io::stdout().as_fd())?;
    if streams == Streams::All {
        dup2(null.as_fd(), std::io::stderr().as_fd())?;
    }
    Ok(())
}

/// Makes `onto` refer to the open file of `from`; its previous file is closed. Ownership of `onto` is unchanged (log
/// files are reopened this way). Standard streams stay inheritable, all others close-on-exec.
pub fn dup2(from: BorrowedFd<'_>, onto: BorrowedFd<'_>) -> Result<(), Errno> {
    let (from, onto) = (from.as_raw_fd(), onto.as_raw_fd());
    if from == onto {
        return Ok(());
    }
    let flags = if onto <= libc::STDERR_FILENO { 0 } else { libc::O_CLOEXEC };
    // SAFETY: no pointers are passed; `onto` remains an open descriptor, so its owner's claim stays true.
    retry(|| unsafe { libc::dup3(from, onto, flags) })?;
    Ok(())
}

/// How a child ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Its exit status.
    Code(i32),
    /// The signal that ended it.
    Signal(i32),
}

/// Reaps a terminated child: its pid and status. `None` if none has terminated; ECHILD if there are no children.
pub fn reap() -> Result<Option<(i32, Exit)>, Errno> {
    wait(-1, libc::WNOHANG)
}

/// Waits until this child terminates. ECHILD if it is not a child.
pub fn await_end(pid: i32) -> Result<Exit, Errno> {
    wait(pid, 0)?.map(|(_, exit)| exit).ok_or(Errno::ECHILD)
}

/// The pid of a terminated child, without reaping it.
pub fn peek_ended() -> Result<Option<i32>, Errno> {
    // SAFETY: all zero is a valid siginfo_t.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `info` is writable.
    retry(|| unsafe { libc::waitid(libc::P_ALL, 0, &mut info, flags) })?;
    // SAFETY: waitid() sets the pid; it stays 0 where no child has ended.
    let pid = unsafe { info.si_pid() };
    Ok((pid > 0).then_some(pid))
}

/// `pid` -1 is any child.
fn wait(pid: i32, flags: i32) -> Result<Option<(i32, Exit)>, Errno> {
    let mut status = 0;
    // SAFETY: `status` is writable.
    let pid = retry(|| unsafe { libc::waitpid(pid, &mut status, flags) })?;
    if pid == 0 {
        return Ok(None);
    }
    let exit = if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status))
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    };
    Ok(Some((pid, exit)))
}

/// The soft and hard limit of open descriptors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nofile {
    /// What holds now.
    pub soft: u64,
    /// What `soft` may be raised to.
    pub hard: u64,
}

/// getrlimit(2), RLIMIT_NOFILE.
#[allow(clippy::useless_conversion)] // rlim_t is narrower on some targets
pub fn nofile_limit() -> Result<Nofile, Errno> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is writable.
    retry(|| unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    Ok(Nofile { soft: u64::from(limit.rlim_cur), hard: u64::from(limit.rlim_max) })
}

/// Sets the limit of open descriptors to `wanted` (`worker_rlimit_nofile`), by default as high as allowed. Returns the
/// soft limit before and after. EPERM above the hard limit without privilege, and above fs.nr_open with it.
pub fn raise_nofile(wanted: Option<u64>) -> Result<(u64, u64), Errno> {
    let old = nofile_limit()?;
    let soft = wanted.unwrap_or(old.hard);
    let hard = soft.max(old.hard);
    if soft != old.soft || hard != old.hard {
        let limit = libc::rlimit { rlim_cur: soft as libc::rlim_t, rlim_max: hard as libc::rlim_t };
        // SAFETY: `limit` is readable.
        retry(|| unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) })?;
    }
    Ok((old.soft, soft))
}

/// Sets the nice value: -20 (highest priority) to 19 (lowest). EACCES for a lower value without privilege.
pub fn set_priority(nice: i32) -> Result<(), Errno> {
    // SAFETY: no pointers are passed.
    retry(|| unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) })?;
    Ok(())
}

/// The page size in bytes.
pub fn page_size() -> u64 {
    // SAFETY: no pointers are passed.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).unwrap_or(4096)
}

/// Makes malloc map blocks of 128 KiB and more separately (glibc raises this threshold whenever such a block is freed,
/// and then keeps them in a heap that never shrinks). Call it before the first large allocation.
pub fn map_large_blocks() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no pointers are passed; it holds for later allocations only.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10);
    }
}

/// Makes free() merge small blocks with their neighbours immediately (glibc otherwise defers that until a large
/// allocation: half a million blocks of an old configuration then took 40 ms of one turn). Call it at startup.
pub fn merge_freed_blocks() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no pointers are passed; it holds for later calls only.
    unsafe {
        libc::mallopt(libc::M_MXFAST, 0);
    }
}

/// Sorts what was freed since the last call into malloc's lists. Otherwise each of the next allocations sorts ten
/// thousand blocks: after half a million were freed, fifty allocations took 25 ms. To be called now and then while much
/// is freed.
pub fn sort_freed_blocks() {
    /// More than each thread keeps unsorted for itself.
    const SIZE: usize = 2 << 10;
    #[cfg(target_env = "gnu")]
    // SAFETY: the block is ours, is not read or written, and is freed once; free() takes a null pointer, too.
    unsafe {
        // Seen from outside, or the compiler would leave both calls out.
        libc::free(std::hint::black_box(libc::malloc(SIZE)));
    }
}

/// Returns freed heap memory to the kernel, if the C library can (glibc). Takes time proportional to the heap, so call
/// it when idle.
pub fn trim_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no pointers are passed; memory in use is not touched.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The host name; empty if it is unset or exceeds 255 bytes.
pub fn hostname() -> String {
    let mut name = [0u8; 256];
    // SAFETY: `name` is writable for the length given; the last byte stays NUL.
    if once(|| unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) }).is_err() {
        return String::new();
    }
    CStr::from_bytes_until_nul(&name).map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests;

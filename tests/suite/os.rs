//! The few system calls the tests need and std does not offer. Nothing here knows HTTP.
//! This is the only test module with `unsafe`; every function is one call or one short protocol of calls.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Lets the child keep `fds` under their numbers, and die with the test process.
pub fn inherit(command: &mut Command, fds: Vec<RawFd>) {
    // SAFETY: between fork and exec only fcntl and prctl are called, both async-signal-safe; nothing allocates.
    unsafe {
        command.pre_exec(move || {
            for &fd in &fds {
                if libc::fcntl(fd, libc::F_SETFD, 0) == -1 {
                    return Err(io::Error::last_os_error());
                }
            }
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
}

/// A system call that fails, with which error; where the flags are not 0, only with one of them in its third argument.
pub type Denied = (libc::c_long, i32, i32);

/// Lets these system calls of the child fail with these errors, as a kernel or a file system without them would.
pub fn deny(command: &mut Command, calls: &[Denied]) {
    let step = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    let load = |at: usize| step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, at as u32);
    let mut program = Vec::new();
    for (call, flags, errno) in calls {
        program.push(load(std::mem::offset_of!(libc::seccomp_data, nr)));
        let refuse = step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | *errno as u32);
        if *flags == 0 {
            program.push(step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, *call as u32));
        } else {
            program.push(step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 3, *call as u32));
            program.push(load(std::mem::offset_of!(libc::seccomp_data, args) + 2 * size_of::<u64>()));
            program.push(step(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 0, 1, *flags as u32));
        }
        program.push(refuse);
    }
    program.push(step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW));
    // SAFETY: between fork and exec only prctl is called, which is async-signal-safe; the program lives in the closure.
    unsafe {
        command.pre_exec(move || {
            let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
            if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1
                || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) == -1
            {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
}

/// Sends `signal` to one process that the test started itself.
pub fn kill(pid: u32, signal: i32) {
    // SAFETY: a plain system call on integers; the pid is a child not yet waited for, so it cannot have been reused.
    let result = unsafe { libc::kill(pid as libc::pid_t, signal) };
    assert_eq!(result, 0, "kill({pid}, {signal}): {}", io::Error::last_os_error());
}

pub fn shutdown(fd: RawFd, how: i32) {
    // SAFETY: no pointers are passed.
    assert_eq!(unsafe { libc::shutdown(fd, how) }, 0, "{}", io::Error::last_os_error());
}

/// Whether a process has this file open.
pub fn has_open(pid: u32, path: &Path) -> bool {
    let Ok(descriptors) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors.flatten().any(|descriptor| std::fs::read_link(descriptor.path()).is_ok_and(|target| target == path))
}

pub fn is_root() -> bool {
    // SAFETY: cannot fail, takes nothing.
    unsafe { libc::geteuid() == 0 }
}

pub fn chown(path: &Path, id: u32) {
    let path = CString::new(path.as_os_str().as_bytes()).expect("test paths have no NUL");
    // SAFETY: the string outlives the call.
    unsafe { libc::lchown(path.as_ptr(), id, id) };
}

/// Waits until the process is gone (it still has to be reaped); false after `limit`.
pub fn wait_exit(pid: u32, limit: Duration) -> bool {
    // SAFETY: pidfd_open takes two integers and gives a new descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
    if fd < 0 {
        return true;
    }
    // SAFETY: the descriptor is new and has no other owner.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
    readable(fd.as_raw_fd(), limit)
}

/// Waits until `fd` is readable; false after `limit`.
pub fn readable(fd: RawFd, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    loop {
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let left = end.saturating_duration_since(Instant::now()).as_millis() as i32;
        // SAFETY: one pollfd, and the count says one.
        let n = unsafe { libc::poll(&mut poll, 1, left) };
        if n > 0 {
            return true;
        }
        if n == 0 {
            return false;
        }
    }
}

/// Bytes sent, and a FIN, that the other end has not acknowledged.
pub fn unacknowledged(stream: &TcpStream) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: TIOCOUTQ writes one int, and `count` is one.
    let result = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &mut count) };
    assert_eq!(result, 0, "TIOCOUTQ: {}", io::Error::last_os_error());
    count.unsigned_abs() as usize
}

/// What is written goes out with what follows, at the latest with the end of the stream.
pub fn cork(stream: &TcpStream) {
    let on: libc::c_int = 1;
    // SAFETY: pointer and length describe one integer.
    unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_CORK,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
}

/// Makes the coming close of the socket an RST instead of a FIN.
pub fn reset_on_close(stream: &TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: pointer and length describe one `linger`.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of::<libc::linger>() as libc::socklen_t,
        )
    };
    assert_eq!(result, 0, "SO_LINGER: {}", io::Error::last_os_error());
}

/// Waits, without polling, until `done` holds, asking again after each change in `dir`. False after `limit`.
pub fn wait_for_change(dir: &Path, limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    // SAFETY: takes flags, gives a new descriptor or -1.
    let fd = unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) };
    assert!(fd >= 0, "inotify_init1: {}", io::Error::last_os_error());
    // SAFETY: the descriptor is new and has no other owner.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let path = CString::new(dir.as_os_str().as_bytes()).expect("test paths have no NUL");
    let mask = libc::IN_CREATE
        | libc::IN_MODIFY
        | libc::IN_DELETE
        | libc::IN_MOVED_TO
        | libc::IN_MOVED_FROM
        | libc::IN_CLOSE_WRITE;
    // SAFETY: the string outlives the call.
    let watch = unsafe { libc::inotify_add_watch(fd.as_raw_fd(), path.as_ptr(), mask) };
    assert!(watch >= 0, "inotify_add_watch {}: {}", dir.display(), io::Error::last_os_error());
    let end = Instant::now() + limit;
    loop {
        if done() {
            return true;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || !readable(fd.as_raw_fd(), left) {
            return done();
        }
        let mut events = [0u8; 4096];
        // SAFETY: pointer and length describe `events`.
        unsafe { libc::read(fd.as_raw_fd(), events.as_mut_ptr().cast(), events.len()) };
    }
}

pub fn mkfifo(path: &Path) {
    let text = CString::new(path.as_os_str().as_bytes()).expect("test paths have no NUL");
    // SAFETY: the string outlives the call.
    let made = unsafe { libc::mkfifo(text.as_ptr(), 0o644) };
    assert_eq!(made, 0, "{}: {}", path.display(), io::Error::last_os_error());
}

/// Swaps two names in one step (renameat2 RENAME_EXCHANGE).
pub fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    let path = |path: &Path| CString::new(path.as_os_str().as_bytes()).expect("test paths have no NUL");
    let (one, other) = (path(one), path(other));
    // SAFETY: both strings outlive the call; the paths are absolute, so the directories do not matter.
    let result =
        unsafe { libc::renameat2(libc::AT_FDCWD, one.as_ptr(), libc::AT_FDCWD, other.as_ptr(), libc::RENAME_EXCHANGE) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A small file system in memory, unmounted when it is dropped.
pub struct Tmpfs(CString);

impl Tmpfs {
    /// Mounts it on a directory; `options` are those of mount(8), `size=512k`. Needs to be root.
    pub fn mount(on: &Path, options: &str) -> io::Result<Tmpfs> {
        let on = CString::new(on.as_os_str().as_bytes()).expect("test paths have no NUL");
        let options = CString::new(options).expect("options have no NUL");
        // SAFETY: four strings that outlive the call.
        let result = unsafe {
            libc::mount(c"tmpfs".as_ptr(), on.as_ptr(), c"tmpfs".as_ptr(), libc::MS_NOSUID, options.as_ptr().cast())
        };
        if result == 0 { Ok(Tmpfs(on)) } else { Err(io::Error::last_os_error()) }
    }

    /// Free blocks and free inodes.
    pub fn free(&self) -> (u64, u64) {
        // SAFETY: all zeroes is a statvfs.
        let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
        // SAFETY: the string and the structure outlive the call.
        let result = unsafe { libc::statvfs(self.0.as_ptr(), &mut stat) };
        assert_eq!(result, 0, "statvfs: {}", io::Error::last_os_error());
        (stat.f_bfree, stat.f_ffree)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // SAFETY: the string outlives the call. Detached: a server that still runs does not keep it in the tree.
        unsafe { libc::umount2(self.0.as_ptr(), libc::MNT_DETACH) };
    }
}

/// A port of 127.0.0.1 that is bound and not listened on: connecting to it is refused, and the kernel gives it to no
/// other socket. A server may take it while it is held, for it is bound as servers bind (SO_REUSEADDR).
pub fn reserve() -> io::Result<(OwnedFd, SocketAddr)> {
    let check = |result: libc::c_int| if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) };
    // SAFETY: takes integers, gives a new descriptor or -1.
    let fd = check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the descriptor is new and has no other owner.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let on: libc::c_int = 1;
    // SAFETY: pointer and length describe one integer.
    check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_REUSEADDR,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    })?;
    // SAFETY: all zeroes is a sockaddr_in.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::AF_INET as libc::sa_family_t;
    address.sin_addr.s_addr = u32::from(Ipv4Addr::LOCALHOST).to_be();
    let mut length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    // SAFETY: pointer and length describe `address`.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) })?;
    // SAFETY: both are written within the length that is given.
    check(unsafe { libc::getsockname(fd.as_raw_fd(), (&raw mut address).cast(), &mut length) })?;
    Ok((fd, (Ipv4Addr::LOCALHOST, u16::from_be(address.sin_port)).into()))
}

/// A new pipe: the end to read from, the end to write to.
pub fn pipe() -> (OwnedFd, OwnedFd) {
    let mut fds = [0; 2];
    // SAFETY: room for the two descriptors that the call gives.
    let result = unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) };
    assert_eq!(result, 0, "pipe2: {}", io::Error::last_os_error());
    // SAFETY: both descriptors are new and have no other owner.
    unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) }
}

/// Gives the child `fds` under other numbers (from, to), and lets it die with the test.
pub fn inherit_as(command: &mut Command, fds: Vec<(RawFd, RawFd)>) {
    // SAFETY: between fork and exec only fcntl, dup2 and prctl are called, all async-signal-safe; nothing allocates.
    unsafe {
        command.pre_exec(move || {
            let mut aside = [-1; 4];
            for (place, &(from, _)) in aside.iter_mut().zip(&fds) {
                // Out of the way of the numbers that are wanted.
                *place = libc::fcntl(from, libc::F_DUPFD_CLOEXEC, 64);
            }
            for (&from, &(_, to)) in aside.iter().zip(&fds) {
                if from == -1 || libc::dup2(from, to) == -1 {
                    return Err(io::Error::last_os_error());
                }
            }
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
}

/// A terminal: the side of the person at it, and the side of the program.
pub fn terminal() -> (OwnedFd, OwnedFd) {
    let (mut person, mut program) = (-1, -1);
    let none = std::ptr::null_mut();
    // SAFETY: both numbers are writable; no name, no settings and no size are asked for.
    let result = unsafe { libc::openpty(&mut person, &mut program, none, none.cast(), none.cast()) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
    // SAFETY: the call above made both, and nothing else owns them.
    unsafe { (OwnedFd::from_raw_fd(person), OwnedFd::from_raw_fd(program)) }
}

/// Whether a terminal shows what is typed.
pub fn echoes(terminal: RawFd) -> bool {
    let mut settings = std::mem::MaybeUninit::<libc::termios>::uninit();
    // SAFETY: the structure is writable.
    let result = unsafe { libc::tcgetattr(terminal, settings.as_mut_ptr()) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
    // SAFETY: the call above filled it.
    unsafe { settings.assume_init() }.c_lflag & libc::ECHO != 0
}

/// Lets a process have this many bytes of addresses at most (RLIMIT_AS).
pub fn limit_memory(pid: u32, bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` is readable, and the old limit is not asked for.
    let result = unsafe { libc::prlimit(pid as libc::pid_t, libc::RLIMIT_AS, &limit, std::ptr::null_mut()) };
    assert_eq!(result, 0, "prlimit: {}", io::Error::last_os_error());
}

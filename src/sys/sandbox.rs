//! Rights that a process drops for good: capabilities, new privileges at exec, system calls (seccomp), the file system
//! (Landlock).

use super::{Errno, once, retry};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

/// From now on exec grants no additional privileges (set-user-id is ignored). Required for [`deny_calls`] and
/// [`Landlock::enforce`] without root.
pub fn no_new_privs() -> Result<(), Errno> {
    // SAFETY: no pointers are passed.
    once(|| unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }).map(drop)
}

/// Empties the bounding set: no capability can be regained, not even by executing a file that grants it. Needs root.
pub fn drop_capability_bounds() -> Result<(), Errno> {
    for capability in 0..64 {
        // SAFETY: no pointers are passed.
        match once(|| unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) }) {
            Ok(_) => {}
            // Beyond the kernel's last capability.
            Err(Errno::EINVAL) => break,
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// System calls that a web server does not need but an intruder might: tracing and reading other processes, namespaces
/// and mounts, modules, keys, BPF, io_uring (which bypasses this filter), changing ids, file handles.
const DENIED: &[libc::c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_perf_event_open,
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fspick,
    libc::SYS_fsmount,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_personality,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_clock_settime,
    libc::SYS_settimeofday,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_mknodat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mknod,
    libc::SYS_fanotify_init,
];

/// Starting programs.
const EXEC: &[libc::c_long] = &[libc::SYS_execve, libc::SYS_execveat];

/// Flags of clone that make namespaces, as unshare does: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
const NAMESPACES: u32 = 0x7e02_0000;

/// ioctl()s that type into a terminal (TIOCSTI, TIOCLINUX): standard error may be that of the root user who started the
/// server.
const TYPING: [u32; 2] = [0x5412, 0x541c];

/// Socket options, by level and name, that serving sets. Any other would last on the listening sockets, which the
/// parent and later processes share: a filter (SO_ATTACH_FILTER) or a time to live of 1 would end service.
const OPTIONS: [(libc::c_int, libc::c_int); 5] = [
    (libc::IPPROTO_TCP, libc::TCP_NODELAY),
    (libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT),
    (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
    (libc::SOL_SOCKET, libc::SO_LINGER),
    (libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT),
];

#[cfg(target_arch = "x86_64")]
const ARCH: Option<u32> = Some(0xc000_003e);
#[cfg(target_arch = "aarch64")]
const ARCH: Option<u32> = Some(0xc000_00b7);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCH: Option<u32> = None;

/// Makes [`DENIED`] fail with EPERM, as well as calls of another architecture, clone into new namespaces and
/// [`TYPING`]; without `exec`, starting programs too, shutdown() unless only of the writing direction (which a
/// listening socket ignores, while the others end it for all processes that share it), and options besides [`OPTIONS`].
/// Programs need these. clone3 does not exist then, since a filter cannot see its flags: libc uses clone. EOPNOTSUPP if
/// this machine's architecture is unknown.
pub fn deny_calls(exec: bool) -> Result<(), Errno> {
    let Some(arch) = ARCH else { return Err(Errno::EOPNOTSUPP) };
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let at_least = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    let any_bit = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
    let ret = (libc::BPF_RET | libc::BPF_K) as u16;
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    // Offsets in seccomp_data: the call number is first, then the architecture.
    let mut program = vec![step(load, 4, 0, 0), step(equal, arch, 1, 0), step(ret, refuse, 0, 0), step(load, 0, 0, 0)];
    if cfg!(target_arch = "x86_64") {
        // The x32 ABI has the same calls with other numbers.
        program.extend([step(at_least, 0x4000_0000, 0, 1), step(ret, refuse, 0, 0)]);
    }
    for &number in DENIED.iter().chain(if exec { [].iter() } else { EXEC.iter() }) {
        program.extend([step(equal, number as u32, 0, 1), step(ret, refuse, 0, 0)]);
    }
    let missing = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    program.extend([step(equal, libc::SYS_clone3 as u32, 0, 1), step(ret, missing, 0, 0)]);
    // The kernel takes the low half of ioctl's second argument.
    let allow = libc::SECCOMP_RET_ALLOW;
    program.extend([step(equal, libc::SYS_ioctl as u32, 0, 5), step(load, 24, 0, 0)]);
    program.extend([step(equal, TYPING[0], 1, 0), step(equal, TYPING[1], 0, 1)]);
    program.extend([step(ret, refuse, 0, 0), step(ret, allow, 0, 0)]);
    // The low half of clone's first argument: offset 16 on both architectures, which are little-endian.
    program.extend([step(equal, libc::SYS_clone as u32, 0, 4), step(load, 16, 0, 0)]);
    program.extend([step(any_bit, NAMESPACES, 1, 0), step(ret, allow, 0, 0), step(ret, refuse, 0, 0)]);
    if !exec {
        program.extend([step(equal, libc::SYS_shutdown as u32, 0, 4), step(load, 24, 0, 0)]);
        program.extend([step(equal, libc::SHUT_WR as u32, 0, 1), step(ret, allow, 0, 0), step(ret, refuse, 0, 0)]);
        let options = OPTIONS.iter().flat_map(|&(level, name)| {
            let is_level = [step(load, 24, 0, 0), step(equal, level as u32, 0, 3)];
            let is_name = [step(load, 32, 0, 0), step(equal, name as u32, 0, 1), step(ret, allow, 0, 0)];
            is_level.into_iter().chain(is_name)
        });
        let options: Vec<_> = options.chain([step(ret, refuse, 0, 0)]).collect();
        // The accumulator still holds the number: each call whose arguments were loaded was decided on there.
        program.push(step(equal, libc::SYS_setsockopt as u32, 0, options.len() as u8));
        program.extend(options);
    }
    program.push(step(ret, allow, 0, 0));
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let mode = libc::SECCOMP_MODE_FILTER as libc::c_ulong;
    // SAFETY: `filter` describes a program that outlives the call, which copies it.
    once(|| unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, ptr::from_ref(&filter), 0, 0) }).map(drop)
}

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
/// All file access rights of Landlock ABI version 2: 13 of version 1, and REFER (moving between directories).
const ALL: u64 = (1 << 14) - 1;
/// ABI version 3.
const TRUNCATE: u64 = 1 << 14;

/// Access that stays allowed to a file, or below a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Read files and list directories.
    Read,
    /// Create, write, rename and remove; not execute.
    Write,
}

#[repr(C)]
struct RulesetAttr {
    handled_access_fs: u64,
}

#[repr(C, packed)]
struct PathBeneathAttr {
    allowed_access: u64,
    parent_fd: i32,
}

/// A Landlock ruleset for the file system; once it is enforced, what no rule allows fails with EACCES.
pub struct Landlock {
    fd: OwnedFd,
    handled: u64,
}

impl Landlock {
    /// EOPNOTSUPP, ENOSYS: the kernel lacks Landlock, or has version 1, which forbids moving between directories.
    pub fn new() -> Result<Landlock, Errno> {
        let none = ptr::null::<RulesetAttr>();
        // SAFETY: with this flag the call asks for the version, and takes no pointer.
        let version = once(|| unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0usize, 1u32) })?;
        if version < 2 {
            return Err(Errno::EOPNOTSUPP);
        }
        let handled = if version >= 3 { ALL | TRUNCATE } else { ALL };
        let attr = RulesetAttr { handled_access_fs: handled };
        // SAFETY: `attr` is readable for the size given.
        let fd = retry(|| unsafe {
            libc::syscall(libc::SYS_landlock_create_ruleset, &raw const attr, size_of::<RulesetAttr>(), 0u32)
        })?;
        // SAFETY: the kernel just gave us this descriptor; nothing else owns it.
        Ok(Landlock { fd: unsafe { OwnedFd::from_raw_fd(fd as i32) }, handled })
    }

    /// Allows access to `place` (an `O_PATH` descriptor) and, for a directory, to everything below.
    pub fn allow(&self, place: BorrowedFd<'_>, is_dir: bool, access: Access) -> Result<(), Errno> {
        let mut rights = match access {
            Access::Read => READ_FILE | READ_DIR,
            Access::Write => self.handled & !EXECUTE,
        };
        if !is_dir {
            rights &= READ_FILE | WRITE_FILE | TRUNCATE;
        }
        let attr = PathBeneathAttr { allowed_access: rights & self.handled, parent_fd: place.as_raw_fd() };
        // SAFETY: `attr` is what rule type 1 wants, readable for the call.
        retry(|| unsafe {
            libc::syscall(libc::SYS_landlock_add_rule, self.fd.as_raw_fd(), 1u32, &raw const attr, 0u32)
        })?;
        Ok(())
    }

    /// Takes effect from now on, also for children.
    pub fn enforce(self) -> Result<(), Errno> {
        // SAFETY: no pointers are passed.
        retry(|| unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.fd.as_raw_fd(), 0u32) })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A filter holds for the thread that sets it, and the threads and children that it makes.
    #[test]
    fn a_filtered_process_makes_no_namespaces_but_children() {
        let filtered = std::thread::spawn(|| {
            no_new_privs().expect("prctl");
            if deny_calls(true).is_err() {
                // A kernel without seccomp, or another filter that forbids this.
                return;
            }
            let clone = |flags: libc::c_int| {
                // SAFETY: no pointers are passed; a child shares nothing with this process and ends at once.
                once(|| unsafe {
                    let pid = libc::syscall(libc::SYS_clone, flags | libc::SIGCHLD, 0, 0, 0, 0);
                    if pid == 0 {
                        libc::_exit(0);
                    }
                    pid
                })
            };
            for flags in [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWNET | libc::CLONE_NEWPID] {
                assert_eq!(clone(flags), Err(Errno::EPERM), "{flags:x}");
            }
            // SAFETY: the kernel reads nothing of a structure without a size.
            let clone3 = once(|| unsafe { libc::syscall(libc::SYS_clone3, ptr::null::<u8>(), 0) });
            assert_eq!(clone3, Err(Errno(libc::ENOSYS)));
            // SAFETY: no pointers are passed.
            assert_eq!(once(|| unsafe { libc::syscall(libc::SYS_unshare, 0) }), Err(Errno::EPERM));
            let status = std::process::Command::new("true").status();
            assert!(status.is_ok_and(|status| status.success()), "children are started all the same");
            std::thread::spawn(|| {}).join().expect("and threads");
        });
        filtered.join().expect("the calls are refused");
    }

    /// Its flags were taken for the number of a call, whose rules it then had to pass.
    #[test]
    fn a_filtered_process_clones_with_flags_that_are_the_number_of_a_call() {
        let filtered = std::thread::spawn(|| {
            no_new_privs().expect("prctl");
            if deny_calls(false).is_err() {
                return;
            }
            for flags in [libc::SYS_shutdown, libc::SYS_setsockopt] {
                // SAFETY: no pointers are passed; a signal that the parent ignores is sent at the child's end, and the
                // child shares nothing with this process and ends at once.
                let pid = once(|| unsafe {
                    libc::signal(flags as libc::c_int, libc::SIG_IGN);
                    let pid = libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0);
                    if pid == 0 {
                        libc::_exit(0);
                    }
                    pid
                });
                let pid = pid.unwrap_or_else(|e| panic!("clone with flags {flags:x} fails {e}"));
                // SAFETY: no status is wanted.
                let ended = once(|| unsafe { libc::waitpid(pid as libc::pid_t, ptr::null_mut(), libc::__WALL) });
                assert_eq!(ended.map(i64::from), Ok(pid));
            }
        });
        filtered.join().expect("the call is not refused");
    }

    /// All processes that share a listening socket share its state.
    #[test]
    fn a_filtered_process_cannot_end_a_listening_socket() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let filtered = std::thread::spawn(move || {
            no_new_privs().expect("prctl");
            if deny_calls(false).is_err() {
                return;
            }
            let number = listener.as_raw_fd();
            // SAFETY: no pointers are passed.
            let shutdown = |how: libc::c_int| once(|| unsafe { libc::syscall(libc::SYS_shutdown, number, how) });
            assert_eq!(shutdown(libc::SHUT_RD), Err(Errno::EPERM));
            assert_eq!(shutdown(libc::SHUT_RDWR), Err(Errno::EPERM));
            assert_eq!(shutdown(libc::SHUT_WR), Ok(0));
            let set = |level: libc::c_int, name: libc::c_int| {
                let one = [1i32, 0];
                // SAFETY: `one` is readable for the length given, which is that of the largest of these options.
                once(|| unsafe { libc::setsockopt(number, level, name, one.as_ptr().cast(), 8) })
            };
            for (level, name) in [
                (libc::IPPROTO_IP, libc::IP_TTL),
                (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER),
                (libc::SOL_SOCKET, libc::SO_RCVBUF),
                (libc::IPPROTO_TCP, libc::TCP_MAXSEG),
            ] {
                assert_eq!(set(level, name), Err(Errno::EPERM), "{level} {name}");
            }
            for (level, name) in OPTIONS {
                assert_eq!(set(level, name), Ok(0), "{level} {name}");
            }
            let client = std::net::TcpStream::connect(listener.local_addr().expect("bound"));
            assert!(client.is_ok() && listener.accept().is_ok(), "it listens still");
        });
        filtered.join().expect("the calls are refused");
    }

    #[test]
    fn a_filtered_process_types_into_no_terminal() {
        let filtered = std::thread::spawn(|| {
            no_new_privs().expect("prctl");
            if deny_calls(true).is_err() {
                return;
            }
            // SAFETY: there is no such descriptor, so that the kernel reads and writes nothing.
            let ioctl = |number: u64| once(|| unsafe { libc::syscall(libc::SYS_ioctl, -1, number, 0) });
            for (number, expected) in [
                (0x5412, Errno::EPERM),
                (0x541c, Errno::EPERM),
                (0x1_0000_5412, Errno::EPERM),
                (0x541b, Errno(libc::EBADF)),
                (0x5413, Errno(libc::EBADF)),
            ] {
                assert_eq!(ioctl(number), Err(expected), "{number:x}");
            }
        });
        filtered.join().expect("the calls are refused");
    }
}

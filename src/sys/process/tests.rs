//! What is harmless to the test process is tested here; the rest runs in a process of its own: this test binary with a
//! single ignored test.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use super::*;
use crate::sys::file::{pipe, read, write};
use crate::sys::scratch::Scratch;
use crate::sys::socket;

/// Runs the ignored test `name` in its own process with `WEBSERV_TEST_SCRATCH` set; returns its standard error.
fn in_own_process(name: &str, scratch: &Scratch) -> String {
    let mut child = Command::new(std::env::current_exe().expect("our own path"))
        .args(["--exact", &format!("sys::process::tests::{name}"), "--ignored", "--nocapture", "--test-threads=1"])
        .env("WEBSERV_TEST_SCRATCH", scratch.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("our own program starts");
    let mut said = String::new();
    // Read to the end: even a daemonized child has closed it then.
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    child.wait().expect("our child");
    said
}

/// The parent test's directory; `None` when the ignored tests are run directly, not by [`in_own_process`].
fn scratch_of_parent() -> Option<std::path::PathBuf> {
    std::env::var_os("WEBSERV_TEST_SCRATCH").map(Into::into)
}

#[test]
fn signals_are_read_from_a_descriptor() {
    let all = [SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGALRM];
    let fd = signalfd(&all).expect("signalfd");
    let read = || {
        let mut signals = Vec::new();
        read_signals(fd.as_fd(), |signal| signals.push(signal)).expect("a signalfd");
        signals
    };
    assert_eq!(read(), []);
    // One signal, and more than are read per call.
    for numbers in [&[SIGWINCH][..], &all] {
        for number in numbers {
            // SAFETY: no pointers are passed. Sent to this thread, which has just blocked it.
            unsafe { libc::raise(*number) };
        }
        let (pid, uid) = (getpid(), geteuid());
        let mut signals = read();
        signals.sort_by_key(|signal| signal.number);
        let mut numbers = numbers.to_vec();
        numbers.sort_unstable();
        let expected = numbers.into_iter().map(|number| Signal { number, pid, uid, is_kernels: false });
        assert_eq!(signals, expected.collect::<Vec<_>>());
    }
    assert_eq!(read(), []);
    assert_eq!(signalfd(&[1000]).map(|_| ()), Err(Errno::EINVAL));
}

#[test]
fn a_signal_goes_to_one_process_only() {
    assert_eq!(kill(getpid(), 0), Ok(()), "we exist");
    assert!(getppid() >= 0);
    for pid in [0, -1, i32::MIN] {
        assert_eq!(kill(pid, 0), Err(Errno::EINVAL), "{pid}");
    }
    assert_eq!(kill(i32::MAX, 0), Err(Errno::ESRCH));
}

#[test]
fn a_write_to_a_closed_pipe_is_an_error() {
    ignore_write_signals();
    let (read_end, write_end) = pipe().expect("pipe2");
    drop(read_end);
    assert_eq!(write(write_end.as_fd(), b"x"), Err(Errno::EPIPE));
}

#[test]
fn users_and_groups_are_found_by_name() {
    assert_eq!(lookup_user("root"), Ok(Some((0, 0))));
    assert_eq!(lookup_group("root"), Ok(Some(0)));
    assert_eq!(lookup_user("no-such-user-here"), Ok(None));
    assert_eq!(lookup_group("no-such-group-here"), Ok(None));
    assert_eq!(lookup_user("a\0b"), Err(Errno::EINVAL));
}

#[test]
fn a_descriptor_can_be_replaced_under_its_owner() {
    let (old_end, _old) = pipe().expect("pipe2");
    let (new_end, new) = pipe().expect("pipe2");
    dup2(new_end.as_fd(), old_end.as_fd()).expect("dup3");
    dup2(new_end.as_fd(), new_end.as_fd()).expect("onto itself");
    drop(new_end);
    write(new.as_fd(), b"x").expect("write");
    assert_eq!(read(old_end.as_fd(), &mut [0; 8]), Ok(1));
}

#[test]
fn limits_are_read_and_a_soft_limit_left_alone_when_nothing_changes() {
    let limit = nofile_limit().expect("getrlimit");
    assert!(0 < limit.soft && limit.soft <= limit.hard);
    assert_eq!(raise_nofile(Some(limit.soft)), Ok((limit.soft, limit.soft)));
    trim_memory();
    let name = fs::read_to_string("/proc/sys/kernel/hostname").expect("Linux");
    assert_eq!(hostname(), name.trim_end());
}

#[test]
fn a_program_gets_its_arguments_environment_and_the_kept_descriptors() {
    let (from_child, to_us) = pipe().expect("pipe2");
    socket::set_nonblocking(from_child.as_fd(), false).expect("fcntl");
    let (_unkept, other) = pipe().expect("pipe2");
    let script = format!(
        // Ask the system: the shell may use this number itself while redirecting, and dash cannot redirect numbers of
        // two digits.
        "fds=/proc/$$/fd; echo \"$0 $1 $VALUE $HOME\" >$fds/{kept}
         [ -e $fds/{other} ] && is=open || is=closed; echo $is >$fds/{kept}",
        kept = to_us.as_raw_fd(),
        other = other.as_raw_fd(),
    );
    let args = ["sh", "-c", &script, "name", "argument"].map(OsStr::new);
    let env = [(OsStr::new("VALUE"), OsStr::new("v"))];
    let pid = spawn_exec(OsStr::new("/bin/sh"), &args, &env, &[to_us.as_fd()]).expect("sh starts");
    drop(to_us);
    let mut said = String::new();
    fs::File::from(from_child).read_to_string(&mut said).expect("text");
    assert_eq!(said, "name argument v \nclosed\n");
    assert_eq!(wait(pid, 0), Ok(Some((pid, Exit::Code(0)))));
    for (path, errno) in [("/no/such/program", Errno::ENOENT), ("/dev/null", Errno::EACCES), ("a\0b", Errno::EINVAL)] {
        assert_eq!(spawn_exec(OsStr::new(path), &[], &[], &[]), Err(errno), "{path:?}");
    }
}

#[test]
fn a_started_program_has_no_signals_blocked_or_ignored() {
    let _fd = signalfd(&[SIGTERM]).expect("signalfd");
    ignore_write_signals();
    for (name, number) in [("TERM", SIGTERM), ("PIPE", libc::SIGPIPE), ("XFSZ", libc::SIGXFSZ)] {
        let command = format!("kill -{name} $$; exit 7");
        let args = ["sh", "-c", &command].map(OsStr::new);
        let pid = spawn_exec(OsStr::new("/bin/sh"), &args, &[], &[]).expect("sh starts");
        assert_eq!(wait(pid, 0), Ok(Some((pid, Exit::Signal(number)))), "{name}");
    }
}

#[test]
fn going_to_the_background_ends_the_parent_and_keeps_the_errors() {
    let scratch = Scratch::new();
    let said = in_own_process("child_goes_to_the_background", &scratch);
    assert!(said.ends_with("in the background\n"), "{said}");
    let found = fs::read_to_string(scratch.path().join("found")).expect("the child wrote it");
    assert_eq!(found, "leads its session\nanother process\nstdin ends\n");
}

#[test]
#[ignore = "run by the test above in a process of its own"]
fn child_goes_to_the_background() {
    let Some(scratch) = scratch_of_parent() else { return };
    let parent = getpid();
    daemonize().expect("fork and setsid");
    redirect_stdio_to_null(Streams::InputOutput).expect("dup3");
    let mut found = String::new();
    // SAFETY: no pointers are passed.
    if unsafe { libc::getsid(0) } == getpid() {
        found.push_str("leads its session\n");
    }
    if getpid() != parent {
        found.push_str("another process\n");
    }
    if read(std::io::stdin().as_fd(), &mut [0; 1]) == Ok(0) {
        found.push_str("stdin ends\n");
    }
    fs::write(scratch.join("found"), found).expect("the parent's directory");
    eprintln!("in the background");
    // SAFETY: ends the process. The test harness's other threads did not come along with the fork.
    unsafe { libc::_exit(0) };
}

#[test]
fn identity_limits_and_reaping_change_in_a_process_of_their_own() {
    let scratch = Scratch::new();
    let said = in_own_process("child_changes_itself", &scratch);
    assert!(said.ends_with("changed\n"), "{said}");
}

#[test]
#[ignore = "run by the test above in a process of its own"]
fn child_changes_itself() {
    if scratch_of_parent().is_none() {
        return;
    }
    let before = nofile_limit().expect("getrlimit");
    let lower = before.soft.min(100);
    assert_eq!(raise_nofile(Some(lower)), Ok((before.soft, lower)));
    assert_eq!(nofile_limit(), Ok(Nofile { soft: lower, hard: before.hard }), "the hard limit stays");
    assert_eq!(raise_nofile(None), Ok((lower, before.hard)));
    set_priority(5).expect("nicer is always allowed");

    assert_eq!(reap(), Err(Errno::ECHILD));
    let pid = spawn_exec(OsStr::new("/bin/sh"), &["sh", "-c", "read x; exit 3"].map(OsStr::new), &[], &[]);
    let pid = pid.expect("sh starts");
    let mut ended = reap().expect("a child");
    while ended.is_none() {
        std::thread::yield_now();
        ended = reap().expect("a child");
    }
    assert_eq!(ended, Some((pid, Exit::Code(3))));

    if geteuid() == 0 {
        let (uid, gid) = lookup_user("nobody").expect("getpwnam_r").unwrap_or((65_534, 65_534));
        set_user(uid, gid, "nobody").expect("root may");
        assert_eq!((geteuid(), getegid()), (uid, gid));
        assert_eq!(set_user(0, 0, "root"), Err(Errno::EPERM), "for good");
    }
    redirect_stdio_to_null(Streams::InputOutput).expect("dup3");
    eprintln!("changed");
    redirect_stdio_to_null(Streams::All).expect("dup3");
    eprintln!("nobody hears this");
}

//! Starts by root where something is missing: a right, or /proc.

use crate::client::LIMIT;
use crate::harness::{eventually, skipped};
use crate::os;
use crate::privsep::Parent;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

const UNIX: &str = "server { listen 127.0.0.1:PORT; listen unix:DIR/s.sock; root DIR/html; }";

/// Runs the server in a mount namespace of its own, in which /proc is not mounted.
const WITHOUT_PROC: &str = "exec unshare -m sh -c 'umount -l /proc && exec \"$0\" \"$@\"' \"$0\" \"$@\";";

fn can_unmount_proc() -> bool {
    let ended = Command::new("unshare").args(["-m", "umount", "-l", "/proc"]).stderr(Stdio::null()).status();
    let can = ended.is_ok_and(|status| status.success());
    if !can {
        skipped("a mount namespace");
    }
    can
}

#[test]
fn a_first_serving_process_that_does_not_come_up_is_in_the_error_log_once() {
    let Some(mut s) = Parent::start("user nobody;") else { return };
    s.signal(libc::SIGTERM);
    s.process.wait().expect("our child");
    s.process = Parent::spawn(&s.setup, "exec setpriv --bounding-set=-setuid --inh-caps=-setuid \"$0\" \"$@\";");
    assert_eq!(s.process.wait().expect("our child").code(), Some(1));
    let stderr = std::fs::read_to_string(s.setup.dir().join("logs/stderr")).expect("written");
    let why = "[emerg] the serving process did not start: process ";
    assert_eq!(stderr.matches(why).count(), 1, "{stderr}");
    let log = s.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("the serving process did not start")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("[emerg]") && lines[0].ends_with("exited with code 2"), "{log}");
}

/// Its end was known before its message that it serves had been read: a start that had failed, and its clients'
/// connections were reset.
#[test]
fn a_first_serving_process_that_serves_and_crashes_at_once_ends_no_server() {
    let Some(mut s) = Parent::start("user nobody;") else { return };
    s.signal(libc::SIGTERM);
    s.process.wait().expect("our child");
    s.process = Parent::spawn(&s.setup, "");
    let stand_still = |pid: u32| {
        os::kill(pid, libc::SIGSTOP);
        eventually("it stands still", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T"))
        });
    };
    // Before it has told its parent that it serves.
    let mut child = None;
    eventually("it is forked", || {
        child = s.try_child().inspect(|child| os::kill(*child, libc::SIGSTOP));
        child.is_some()
    });
    let child = child.expect("it is forked");
    stand_still(child);
    stand_still(s.process.id());
    os::kill(child, libc::SIGCONT);
    s.get("/f").is(200);
    os::kill(child, libc::SIGKILL);
    assert!(os::wait_exit(child, LIMIT));
    let mut client = s.client();
    client.send("GET /f HTTP/1.1\r\nHost: a\r\n\r\n");
    s.signal(libc::SIGCONT);
    client.response().is(200).body_is("f");
    assert!(s.log().contains(&format!("serving process {child} exited on signal 9; started again")), "{}", s.log());
}

#[test]
fn all_may_connect_to_a_unix_listener_where_proc_is_not_mounted() {
    if os::is_root() && !can_unmount_proc() {
        return;
    }
    let main = "user nobody; worker_memory_limit 1g;";
    let Some(s) = Parent::start_after(WITHOUT_PROC, main, UNIX) else { return };
    let mode = std::fs::metadata(s.setup.dir().join("s.sock")).expect("bound").permissions().mode();
    assert_eq!(mode & 0o777, 0o666, "{mode:o}");
    let says = |what: &str| s.log().contains(&format!(": /proc is not mounted: {what}"));
    eventually("it says what does not work", || {
        says("the real paths of files are unknown") && says("the memory in use is unknown")
    });
    assert!(!s.log().contains("CGI"), "{}", s.log());
}

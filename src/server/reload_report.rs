//! Reports the result of a reload, or of a failed upgrade, to the command that requested it.
//!
//! Signals have no response, so the serving process writes one beside its pid file (`PIDFILE.reload`): its pid, the
//! number of reloads and failed upgrades so far, and the errors of the last one. `webserv -s reload` notes pid and
//! number, sends the signal, and reads until one of them changes: its exit status and output are those of the reload. A
//! successful upgrade shows in the pid file.
//!
//! Invariant: the file is replaced atomically (written under another name, renamed), and removed by the process that
//! wrote it: after an upgrade the old process may end long after the new one has reported. The command does not wait
//! for a server that writes no report: nginx, or another build of this one.

use super::failure::Cause;
use crate::config::model::Config;
use crate::io::open;
use crate::sys::clock;
use crate::sys::epoll::{Epoll, Events, Timeout};
use crate::sys::process::getpid;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Timeout for the report in milliseconds: reading ten thousand server blocks takes a tenth of it.
const PATIENCE: u64 = 5_000;
/// It shows lines of the configuration, which may hold secrets: those who may signal the process can read it.
const MODE: u32 = 0o600;
/// Largest report that is read: messages of a configuration are bounded.
const LARGEST: u64 = 16 << 20;
/// Milliseconds between two checks of the file.
const POLL: u32 = 10;

/// The server's report of its last reload, or failed upgrade.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The pid of the reporting process.
    process: i32,
    /// The number of its reports so far.
    number: u64,
    /// What was wrong; empty: the configuration was applied.
    pub errors: String,
    /// What the configuration names but was unavailable, as written by [`Cause::line`]; empty if nothing, or unknown.
    cause: String,
}

/// Why nothing was changed.
#[derive(Debug, Default)]
pub struct Refused {
    /// Lines for the terminal of the requesting command.
    pub errors: String,
    /// The directive whose file or address it was, if one is known.
    pub cause: Option<Cause>,
}

impl From<String> for Refused {
    fn from(errors: String) -> Refused {
        Refused { errors, cause: None }
    }
}

impl Report {
    /// This process's report with this number.
    pub fn new(number: u64, refused: Refused) -> Report {
        let cause = refused.cause.and_then(|cause| cause.line()).unwrap_or_default();
        Report { process: getpid(), number, errors: refused.errors, cause }
    }

    /// The failure, for a command that has read the configuration itself.
    pub fn refused(self, config: &Config) -> Option<Refused> {
        let cause = Cause::from_line(&self.cause, config);
        (!self.errors.is_empty()).then_some(Refused { errors: self.errors, cause })
    }
}

fn path_of(pid: &Path) -> PathBuf {
    let mut path = pid.as_os_str().to_owned();
    path.push(".reload");
    path.into()
}

/// Writes the report. If that fails, the error log still has the result.
pub fn write(pid: &Path, report: &Report) {
    let path = path_of(pid);
    let mut fresh = path.clone().into_os_string();
    fresh.push(format!(".{}", getpid()));
    let fresh = PathBuf::from(fresh);
    // A file of an earlier process with the same pid may exist.
    let _ = fs::remove_file(&fresh);
    let written = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&fresh).and_then(|mut file| {
        let cause = if report.cause.is_empty() { String::new() } else { format!(" {}", report.cause) };
        write!(file, "{} {}{cause}\n{}", report.process, report.number, report.errors)
    });
    if written.and_then(|()| fs::rename(&fresh, &path)).is_err() {
        let _ = fs::remove_file(&fresh);
    }
}

/// Removes the report when this process ends.
pub fn remove(pid: &Path) {
    if read(pid).is_some_and(|report| report.process == getpid()) {
        let _ = fs::remove_file(path_of(pid));
    }
}

/// Reads the file; None: there is none.
pub fn read(pid: &Path) -> Option<Report> {
    parse(&open::text(&path_of(pid), LARGEST).ok()?)
}

fn parse(text: &str) -> Option<Report> {
    let (first, errors) = text.split_once('\n')?;
    let (process, rest) = first.split_once(' ')?;
    let (number, cause) = rest.split_once(' ').unwrap_or((rest, ""));
    let (errors, cause) = (errors.to_owned(), cause.to_owned());
    Some(Report { process: process.parse().ok()?, number: number.parse().ok()?, errors, cause })
}

/// A report that differs from `before`, if there is one.
pub fn later(pid: &Path, before: Option<&Report>) -> Option<Report> {
    read(pid)
        .filter(|report| before.is_none_or(|before| (before.process, before.number) != (report.process, report.number)))
}

/// Waits for a report that differs from `before`. None: none arrived in time, or the process does not write any.
pub fn wait(pid: &Path, process: i32, before: Option<&Report>) -> Option<Report> {
    if !is_this_program(process) {
        return None;
    }
    let until = clock::monotonic() + PATIENCE;
    let pause = Epoll::new().ok()?;
    let mut events = Events::new();
    while clock::monotonic() < until {
        let report = later(pid, before);
        if report.is_some() {
            return report;
        }
        pause.wait(&mut events, Timeout::Millis(POLL)).ok()?;
    }
    None
}

/// Polls until `done` returns true.
pub fn until(mut done: impl FnMut() -> bool) {
    let Ok(pause) = Epoll::new() else { return };
    let mut events = Events::new();
    while !done() {
        if pause.wait(&mut events, Timeout::Millis(POLL)).is_err() {
            return;
        }
    }
}

/// Whether a process runs the same program as this one.
fn is_this_program(process: i32) -> bool {
    let theirs = fs::read_link(format!("/proc/{process}/exe"));
    let ours = fs::read_link("/proc/self/exe");
    match (theirs, ours) {
        (Ok(theirs), Ok(ours)) => theirs == ours,
        // /proc is not mounted; the process has the lock on the pid file.
        (_, Err(_)) => true,
        (Err(_), Ok(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let scratch = Scratch::new();
        let pid = scratch.path().join("pid");
        assert_eq!(read(&pid), None);
        for (number, errors) in [(1, ""), (2, "one\ntwo\n"), (3, "")] {
            let cause = (number == 2).then(|| Cause::Open("/var/log/a log".into(), crate::sys::Errno::ENOENT));
            let report = Report::new(number, Refused { errors: errors.to_owned(), cause });
            write(&pid, &report);
            assert_eq!(read(&pid), Some(report));
        }
        let names: Vec<_> =
            fs::read_dir(scratch.path()).expect("a directory").flatten().map(|e| e.file_name()).collect();
        assert_eq!(names, ["pid.reload"]);
        let mode = fs::metadata(path_of(&pid)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "its lines of the configuration are not for all");
        remove(&pid);
        assert_eq!(read(&pid), None);
        crate::sys::file::make_fifo(&scratch.join("pid.reload"), 0o600).expect("mkfifo");
        assert_eq!(read(&pid), None, "nothing is waited for");
        for text in ["", "x\n", "1\n", "1 x\n", "1 2", "1 x open 2 /a\n"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_report_of_another_process_is_another_report_and_stays() {
        let scratch = Scratch::new();
        let pid = scratch.path().join("pid");
        let old = Report { process: getpid() + 1, number: 1, ..Report::default() };
        let new = Report::new(1, "refused\n".to_owned().into());
        write(&pid, &old);
        assert_eq!(later(&pid, Some(&old)), None);
        remove(&pid);
        assert_eq!(read(&pid).as_ref(), Some(&old));
        write(&pid, &new);
        assert_eq!(later(&pid, Some(&old)), Some(new));
    }

    #[test]
    fn another_program_is_not_waited_for() {
        // Process 1 is not this test.
        assert_eq!(wait(Path::new("/nowhere/pid"), 1, None), None);
    }
}

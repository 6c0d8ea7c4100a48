//! `-s SIGNAL`: finds the running server by its pid file, signals it, and waits for its report. This runs in a separate
//! process, so nothing here may use a [`Server`](super::Server); `signals.rs` handles signals in the server.

use super::failure::Failure;
use super::pid_file;
use super::reload_report::{self, Refused, Report};
use crate::config::model::Config;
use crate::sys::{Errno, clock, process};
use std::borrow::Cow;
use std::path::Path;

/// The signal for a word of `-s`, and its name in kill(1).
fn signal_of(word: &str) -> Option<(i32, Cow<'static, str>)> {
    Some(match word {
        "stop" => (process::SIGTERM, "TERM".into()),
        "quit" => (process::SIGQUIT, "QUIT".into()),
        "reload" => (process::SIGHUP, "HUP".into()),
        "reopen" => (process::SIGUSR1, "USR1".into()),
        "drain" => (process::SIGDRAIN, "RTMIN+1".into()),
        "upgrade" => (process::SIGUSR2, "USR2".into()),
        _ => return None,
    })
}

/// The number of the signal for a word of `-s`; None: the word is unknown.
pub fn signal_number(word: &str) -> Option<i32> {
    signal_of(word).map(|(number, _)| number)
}

/// The name of that signal, as `HUP`.
pub fn signal_name(word: &str) -> Option<Cow<'static, str>> {
    signal_of(word).map(|(_, name)| name)
}

/// The result of `-s`.
#[derive(Debug)]
pub enum Signalled {
    /// The signal is sent; a reload or an upgrade has succeeded.
    Sent,
    /// The server continues unchanged; with its report about the configuration, logs or new binary.
    Refused(Refused),
}

/// Who may signal a process that this user may not.
fn who_may(pid: i32) -> String {
    match pid_file::owner_of(pid).map(process::user_of) {
        Some(owner) if owner != "root" => {
            format!("\nthe server was started by {owner}: only {owner} and root may signal it")
        }
        Some(_) => "\nthe server was started by root, and only root may signal it: sudo, or systemctl".to_owned(),
        // Without /proc.
        None => "\nonly root and the user who started the server may signal it".to_owned(),
    }
}

/// `-s`: signals the process in the pid file. `drain` waits until it has exited, `upgrade` until the new binary serves,
/// `reload` and `reopen` for the report, but not for long: a server that does not report in time may still be working.
pub fn signal(config: &Config, name: &str) -> Result<Signalled, Failure> {
    let number = signal_number(name).ok_or_else(|| Failure::of(format!("invalid option: \"-s {name}\"")))?;
    let Some(path) = &config.process.pid else {
        return Err(Failure::of(
            "the configuration writes no pid file, so the process is not known\nwrite \"pid PATH;\" at its top, or use the service manager",
        ));
    };
    let pid = pid_file::running(path).map_err(|failure| match path.exists() {
        true => failure,
        false => Failure::of(format!(
            "{}\nno server runs by this configuration, or it was started with another pid file (-g 'pid PATH;')",
            failure.why
        )),
    })?;
    let before = reload_report::read(path);
    if number == process::SIGDRAIN {
        // Unreadable if this user may not signal the process: `send` reports that.
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        send(pid, drain_of(pid, &status)?)?;
        // The next command of a script may need the addresses.
        reload_report::until(|| pid_file::running(path).ok() != Some(pid));
        return Ok(Signalled::Sent);
    }
    send(pid, number)?;
    if number == process::SIGUSR2 {
        return replace(config, path, pid, before.as_ref());
    }
    if ![process::SIGHUP, process::SIGUSR1].contains(&number) {
        return Ok(Signalled::Sent);
    }
    Ok(match reload_report::wait(path, pid, before.as_ref()) {
        Some(report) => report.refused(config).map_or(Signalled::Sent, Signalled::Refused),
        None => Signalled::Sent,
    })
}

/// The drain signal of the running server: an earlier version has another number for it, and a signal that it does not
/// handle would kill it. `status`: its /proc/PID/status; empty if unreadable.
///
/// # Errors
/// It handles neither number.
fn drain_of(pid: i32, status: &str) -> Result<i32, Failure> {
    let Some(blocked) = blocked_signals(status) else { return Ok(process::SIGDRAIN) };
    let is_taken = |number: &i32| blocked >> (number - 1) & 1 == 1;
    [process::SIGDRAIN, process::SIGDRAIN_BEFORE].into_iter().find(is_taken).ok_or_else(|| {
        Failure::of(format!(
            "process {pid} takes no signal for a drain: it is another program, or a version without one\n\
             -s quit finishes its requests and ends it"
        ))
    })
}

/// The signals that a process blocks, and so reads as events, by /proc/PID/status: bit n - 1 is signal n.
fn blocked_signals(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

fn send(pid: i32, number: i32) -> Result<(), Failure> {
    process::kill(pid, number).map_err(|e| {
        let cure = if e == Errno::EPERM { who_may(pid) } else { String::new() };
        Failure::of(format!("kill({pid}, {number}) failed {e}{cure}"))
    })
}

/// Timeout in milliseconds for a new binary to serve, similar to service managers' timeouts.
const UPGRADE: u64 = 60_000;

/// The process `old` was signalled to start the new binary. Once that has the pid file, which it takes after opening
/// its listeners, the old process gets QUIT: it completes its requests, and no connection is refused.
fn replace(config: &Config, path: &Path, old: i32, before: Option<&Report>) -> Result<Signalled, Failure> {
    let until = clock::monotonic() + UPGRADE;
    let mut outcome = None;
    reload_report::until(|| {
        outcome = match pid_file::running(path) {
            Ok(pid) if pid != old => Some(send(old, process::SIGQUIT).map(|()| Signalled::Sent)),
            _ => reload_report::later(path, before)
                .and_then(|report| report.refused(config))
                .map(|refused| Ok(Signalled::Refused(refused))),
        };
        outcome.is_some() || clock::monotonic() >= until
    });
    outcome.unwrap_or_else(|| {
        Err(Failure::of(format!(
            "the new binary does not serve after {} s; process {old} goes on\nthe error log may have the reason",
            UPGRADE / 1000
        )))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_is_the_signal_that_the_running_version_takes() {
        for (status, expected) in [
            ("Name:\twebserv\nSigBlk:\t0000000408014203\nSigIgn:\t0\n", Some(35)),
            ("SigBlk:\t0000000208014203\n", Some(34)),
            ("SigBlk:\t0000000608014203\n", Some(35)),
            // nginx, or a version without drain.
            ("SigBlk:\t0000000008014203\n", None),
            ("", Some(35)),
            ("SigBlk:\tx\n", Some(35)),
        ] {
            assert_eq!(drain_of(7, status).ok(), expected, "{status}");
        }
    }
}

//! The service manager that started us (systemd, or what speaks its protocol): it is notified when we serve, reload
//! and end, and, where it wants that, now and then that the loop still turns; and the sockets that it bound for us.
//!
//! Invariants: a process whose environment names no manager does nothing here; a manager that does not listen costs a
//! start one second at most, and nothing else ever waits for it.

use crate::sys::{clock, process};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How long a manager may take to read that we are ready.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct ServiceManager {
    socket: Option<UnixDatagram>,
    /// How often this process sends WATCHDOG=1, in milliseconds: half of the interval that the manager allows.
    watchdog: Option<u64>,
    /// When it is due next, monotonic milliseconds.
    due: u64,
    /// Under a parent it is the parent that serves, reloads and ends.
    is_child: bool,
}

impl ServiceManager {
    /// The one that the environment names (sd_notify(3)).
    pub fn from_env() -> ServiceManager {
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|name| connect(name.as_bytes()));
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        // A process that an upgrade started goes on with what its parent was asked for.
        let ours = [process::getpid(), process::getppid()].map(|pid| u64::from(pid.unsigned_abs()));
        let is_for_us = number("WATCHDOG_PID").is_none_or(|pid| ours.contains(&pid));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| *usec > 0 && is_for_us && socket.is_some());
        let watchdog = watchdog.map(|usec| (usec / 2000).max(1));
        ServiceManager { socket, watchdog, due: 0, is_child: false }
    }

    /// What a process under a parent has of it: it gives the signs of life. A unit needs `NotifyAccess=all` for these.
    #[must_use]
    pub fn for_child(self) -> ServiceManager {
        ServiceManager { is_child: true, ..self }
    }

    /// Requests are answered: at the start, and again after each reload, whatever became of it.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
        if let Some(socket) = &self.socket {
            // From now on no call waits for the manager.
            let _ = socket.set_nonblocking(true);
        }
    }

    pub fn reloading(&self) {
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=reloading", clock::monotonic_ns() / 1000));
    }

    /// Requests in progress are finished. `successor`: the process that an upgrade started, which is the service from now on.
    pub fn stopping(&self, successor: Option<i32>) {
        match successor {
            Some(pid) => self.tell(&format!("MAINPID={pid}")),
            None => self.tell("STOPPING=1\nSTATUS=finishing requests in progress"),
        }
    }

    /// A health check fails from now on.
    pub fn draining(&self) {
        self.tell("STATUS=draining");
    }

    /// When the next WATCHDOG=1 is due.
    pub fn next_due(&self) -> Option<u64> {
        self.watchdog.map(|_| self.due)
    }

    pub fn tick(&mut self, now: u64) {
        if let (Some(every), Some(socket)) = (self.watchdog, &self.socket)
            && self.due <= now
        {
            self.due = now + every;
            // A message that is lost is followed by another.
            let _ = socket.send(b"WATCHDOG=1");
        }
    }

    fn tell(&self, what: &str) {
        if let Some(socket) = self.socket.as_ref().filter(|_| !self.is_child) {
            // The manager may be gone.
            let _ = socket.send(what.as_bytes());
        }
    }
}

/// `@name` is an abstract socket.
fn connect(name: &[u8]) -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    match name.split_first() {
        Some((b'@', name)) => socket.connect_addr(&SocketAddr::from_abstract_name(name).ok()?).ok()?,
        _ => socket.connect(std::ffi::OsStr::from_bytes(name)).ok()?,
    }
    socket.set_write_timeout(Some(PATIENCE)).ok()?;
    Some(socket)
}

/// Sockets that the manager bound for this very process (sd_listen_fds(3)), in the form of nginx's `NGINX=fd;fd;`.
pub fn sockets() -> Option<String> {
    let pid = std::env::var("LISTEN_PID").ok()?;
    let count = std::env::var("LISTEN_FDS").ok()?;
    names(&pid, &count, process::getpid())
}

fn names(pid: &str, count: &str, ours: i32) -> Option<String> {
    /// The first of them, by that protocol.
    const FIRST: u32 = 3;
    /// A unit has some; a number beyond is no number of sockets.
    const MOST: u32 = 4096;
    if pid.parse() != Ok(ours) {
        return None;
    }
    let count: u32 = count.parse().ok().filter(|count| (1..=MOST).contains(count))?;
    Some((FIRST..FIRST + count).map(|fd| format!("{fd};")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_taken_only_by_the_process_they_are_for() {
        let table = [
            ("7", "2", Some("3;4;")),
            ("8", "2", None),
            ("7", "0", None),
            ("7", "x", None),
            ("", "1", None),
            ("7", "99999999", None),
        ];
        for (pid, count, expected) in table {
            assert_eq!(names(pid, count, 7).as_deref(), expected, "LISTEN_PID={pid} LISTEN_FDS={count}");
        }
    }
}

//! The service manager that started us (systemd, or one with its protocol): notifies it when we are ready, reload and
//! stop, and of liveness if it has a watchdog; and takes the sockets that it bound for us.
//!
//! Invariants: without a manager in the environment, nothing is done; a manager that does not read delays startup by at
//! most one second, and nothing else ever waits for it.

use crate::sys::{clock, process};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How long to wait for a manager to take the message that we are ready.
const PATIENCE: Duration = Duration::from_secs(1);

/// The manager's socket, and the notifications that it expects.
#[derive(Default)]
pub struct ServiceManager {
    socket: Option<UnixDatagram>,
    /// The interval of WATCHDOG=1 in milliseconds: half of what the manager allows.
    watchdog: Option<u64>,
    /// When the next one is due (monotonic milliseconds).
    next_ping: u64,
    /// Whether a parent serves as the service's main process: then it reports readiness, reloads and stopping.
    is_child: bool,
}

impl ServiceManager {
    /// The manager named in the environment (sd_notify(3)).
    pub fn from_env() -> ServiceManager {
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|name| connect(name.as_bytes()));
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        // A process started by an upgrade continues its parent's duty.
        let ours = [process::getpid(), process::getppid()].map(|pid| u64::from(pid.unsigned_abs()));
        let is_for_us = number("WATCHDOG_PID").is_none_or(|pid| ours.contains(&pid));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| *usec > 0 && is_for_us && socket.is_some());
        let watchdog = watchdog.map(|usec| (usec / 2000).max(1));
        ServiceManager { socket, watchdog, next_ping: 0, is_child: false }
    }

    /// For a process under a parent: it only sends watchdog messages. The unit needs `NotifyAccess=all` for these.
    #[must_use]
    pub fn for_child(self) -> ServiceManager {
        ServiceManager { is_child: true, ..self }
    }

    /// Reports readiness: at startup, and after each reload, successful or not.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
        if let Some(socket) = &self.socket {
            // From now on nothing waits for the manager.
            let _ = socket.set_nonblocking(true);
        }
    }

    /// Tells that a reload begins; readiness must follow.
    pub fn reloading(&self) {
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=reloading", clock::monotonic_ns() / 1000));
    }

    /// Reports stopping. `successor`: the new binary started by an upgrade, which becomes the main process.
    pub fn stopping(&self, successor: Option<i32>) {
        match successor {
            Some(pid) => self.tell(&format!("MAINPID={pid}")),
            None => self.tell("STOPPING=1\nSTATUS=finishing requests in progress"),
        }
    }

    /// Reports that a drain has begun.
    pub fn draining(&self) {
        self.tell("STATUS=draining");
    }

    /// When the next WATCHDOG=1 is due.
    pub fn next_due(&self) -> Option<u64> {
        self.watchdog.map(|_| self.next_ping)
    }

    /// Tells that the loop runs, if that is due.
    pub fn tick(&mut self, now: u64) {
        if let (Some(every), Some(socket)) = (self.watchdog, &self.socket)
            && self.next_ping <= now
        {
            self.next_ping = now + every;
            // A lost message is followed by another.
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

/// The sockets that the manager bound for this process (sd_listen_fds(3)), in nginx's format `fd;fd;`.
pub fn sockets() -> Option<String> {
    let pid = std::env::var("LISTEN_PID").ok()?;
    let count = std::env::var("LISTEN_FDS").ok()?;
    names(&pid, &count, process::getpid())
}

fn names(pid: &str, count: &str, ours: i32) -> Option<String> {
    /// The first descriptor in that protocol.
    const FIRST: u32 = 3;
    /// Larger numbers are invalid.
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

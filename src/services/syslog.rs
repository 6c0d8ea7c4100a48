//! Sends messages to syslog servers: one datagram each, sent at once or dropped. Messages for an unreachable server are
//! lost; this is reported from time to time, with their number once it is reachable again. Nothing blocks.

use crate::config::settings::syslog::Syslog;
use crate::sys::Errno;
use crate::sys::socket::{self, Addr, More};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

/// Milliseconds until an unreachable server is tried again.
const RETRY_DELAY: u64 = 50;
/// Milliseconds between two reports of an unreachable server, or of lost messages.
const NOTE: u64 = 60_000;

/// The sockets, one for each server.
#[derive(Default)]
pub struct Syslogs {
    servers: Vec<Server>,
    message: Vec<u8>,
    /// Messages about servers that are reachable again.
    troubles: Vec<String>,
}

struct Server {
    addr: Addr,
    fd: Option<OwnedFd>,
    /// When the socket may be opened, a loss reported, and the number of losses, again (monotonic milliseconds).
    open_at: u64,
    note_at: u64,
    count_at: u64,
    /// Messages that were lost and not reported yet.
    lost: u64,
}

impl Syslogs {
    /// Sends one message of one line. `stamp`: the local time in syslog format.
    ///
    /// # Errors
    /// The message was lost, and no loss was reported recently.
    pub fn send(&mut self, to: &Syslog, severity: u8, stamp: &str, line: &[u8], now: u64) -> Result<(), Errno> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        self.message.clear();
        let _ = write!(self.message, "<{}>{stamp} ", u32::from(to.facility) * 8 + u32::from(severity));
        if let Some(hostname) = &to.hostname {
            let _ = write!(self.message, "{hostname} ");
        }
        let _ = write!(self.message, "{}: ", to.tag);
        self.message.extend_from_slice(line);
        let at = self.servers.iter().position(|server| server.addr == to.addr).unwrap_or_else(|| {
            let (addr, fd) = (to.addr.clone(), None);
            self.servers.push(Server { addr, fd, open_at: 0, note_at: 0, count_at: 0, lost: 0 });
            self.servers.len() - 1
        });
        let server = &mut self.servers[at];
        match server.send(&self.message, now) {
            Ok(()) => {
                if let Some(lost) = server.lost_until(now) {
                    let name = &to.server;
                    self.troubles.push(format!(
                        "{lost} messages were lost while logging to syslog server {name}, which is reachable again"
                    ));
                }
                Ok(())
            }
            Err(errno) => {
                server.lost += 1;
                if now < server.note_at {
                    return Ok(());
                }
                server.note_at = now + NOTE;
                Err(errno)
            }
        }
    }

    /// Messages about servers that were unreachable, since the last call.
    pub fn troubles(&mut self) -> Vec<String> {
        std::mem::take(&mut self.troubles)
    }

    /// Closes the sockets; they are opened again when needed.
    pub fn clear(&mut self) {
        self.servers.clear();
    }
}

impl Server {
    fn send(&mut self, message: &[u8], now: u64) -> Result<(), Errno> {
        let was_open = self.fd.is_some();
        match self.try_send(message, now) {
            // The server was started again, and has a new socket.
            Err(_) if was_open && self.fd.is_none() => self.try_send(message, now),
            outcome => outcome,
        }
    }

    /// A message has been sent: the number of those that were lost before, if it is due.
    fn lost_until(&mut self, now: u64) -> Option<u64> {
        if self.lost == 0 || now < self.count_at {
            return None;
        }
        self.count_at = now + NOTE;
        Some(std::mem::take(&mut self.lost))
    }

    fn open(&self) -> Result<OwnedFd, Errno> {
        let fd = socket::datagram(self.addr.family())?;
        socket::connect(fd.as_fd(), &self.addr)?;
        Ok(fd)
    }

    fn try_send(&mut self, message: &[u8], now: u64) -> Result<(), Errno> {
        if self.fd.is_none() {
            if now < self.open_at {
                return Err(Errno::ENOTCONN);
            }
            self.fd = Some(self.open().inspect_err(|_| self.open_at = now + RETRY_DELAY)?);
        }
        let Some(fd) = &self.fd else { return Err(Errno::ENOTCONN) };
        match socket::send(fd.as_fd(), message, More::No) {
            Ok(_) => Ok(()),
            // The server is too slow, or the message too long: the socket remains usable.
            Err(errno @ (Errno::EAGAIN | Errno::EMSGSIZE)) => Err(errno),
            // An earlier UDP datagram was refused; this one may reach the server again.
            Err(Errno::ECONNREFUSED) if self.addr.port().is_some() => {
                socket::send(fd.as_fd(), message, More::No).map(drop)
            }
            Err(errno) => {
                self.fd = None;
                Err(errno)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;
    use std::os::unix::net::UnixDatagram;
    use std::path::Path;

    fn unix(path: &Path) -> Syslog {
        let (server, tag) = ("unix:s".into(), "t".into());
        Syslog { addr: Addr::Unix(path.to_owned()), server, facility: 23, severity: 6, tag, hostname: None }
    }

    #[test]
    fn the_first_message_after_a_syslog_server_was_started_again_is_not_lost() {
        let scratch = Scratch::new();
        let path = scratch.path().join("s");
        let to = unix(&path);
        let mut logs = Syslogs::default();
        let mut send = |line: &str, now| logs.send(&to, 6, "stamp", line.as_bytes(), now);
        let received = |socket: &UnixDatagram| {
            let mut buf = [0; 100];
            let n = socket.recv(&mut buf).expect("a message");
            String::from_utf8_lossy(&buf[..n]).rsplit(' ').next().map(str::to_owned)
        };
        let again = || {
            let _ = std::fs::remove_file(&path);
            UnixDatagram::bind(&path).expect("bound")
        };
        let first = again();
        send("one", 0).expect("sent");
        assert_eq!(received(&first).as_deref(), Some("one"));
        drop(first);
        let second = again();
        send("two", 1).expect("sent");
        assert_eq!(received(&second).as_deref(), Some("two"), "its new socket was there");
        drop(second);
        assert!(send("three", 2).is_err());
        assert_eq!(send("four", 3), Ok(()), "reported once");
        let third = again();
        send("five", 2 + RETRY_DELAY).expect("sent");
        assert_eq!(received(&third).as_deref(), Some("five"));
        let troubles = logs.troubles();
        assert!(troubles.len() == 1 && troubles[0].starts_with("2 messages"), "{troubles:?}");
        assert!(logs.troubles().is_empty());
    }
}

//! Sends messages to syslog servers: one datagram each, sent at once or dropped. If a server is unreachable, its
//! messages are lost and this is reported now and then; nothing blocks.

use crate::config::settings::syslog::Syslog;
use crate::sys::Errno;
use crate::sys::socket::{self, Addr, More};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

/// Milliseconds until an unreachable server is tried and reported again.
const AGAIN: u64 = 1000;
const NOTE: u64 = 60_000;

/// The sockets, one for each server.
#[derive(Default)]
pub struct Syslogs {
    servers: Vec<Server>,
    message: Vec<u8>,
}

struct Server {
    addr: Addr,
    fd: Option<OwnedFd>,
    /// When the socket may be opened, and a loss reported, again (monotonic milliseconds).
    open_at: u64,
    note_at: u64,
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
            self.servers.push(Server { addr: to.addr.clone(), fd: None, open_at: 0, note_at: 0 });
            self.servers.len() - 1
        });
        let server = &mut self.servers[at];
        server.send(&self.message, now).or_else(|errno| {
            if now < server.note_at {
                return Ok(());
            }
            server.note_at = now + NOTE;
            Err(errno)
        })
    }

    /// Closes the sockets; they are opened again when needed.
    pub fn clear(&mut self) {
        self.servers.clear();
    }
}

impl Server {
    fn send(&mut self, message: &[u8], now: u64) -> Result<(), Errno> {
        if self.fd.is_none() {
            if now < self.open_at {
                return Err(Errno::ENOTCONN);
            }
            self.open_at = now + AGAIN;
            let fd = socket::datagram(self.addr.family())?;
            socket::connect(fd.as_fd(), &self.addr)?;
            self.fd = Some(fd);
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

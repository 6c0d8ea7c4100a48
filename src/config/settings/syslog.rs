//! A log that is sent to a syslog server.

use crate::sys::socket::Addr;

/// A log that is sent to a syslog server by datagrams (RFC 3164).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    pub addr: Addr,
    /// As written, for messages about it.
    pub server: Box<str>,
    pub facility: u8,
    /// The severity of access lines; an error line has that of its level.
    pub severity: u8,
    pub tag: Box<str>,
    /// None: `nohostname`.
    pub hostname: Option<Box<str>>,
}

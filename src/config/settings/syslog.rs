//! Logging to a syslog server.

use crate::sys::socket::Addr;

/// A syslog server and its parameters; messages are sent as datagrams (RFC 3164).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    pub addr: Addr,
    /// As written, for messages about the server.
    pub server: Box<str>,
    pub facility: u8,
    /// The severity of access log lines; error log lines have their own.
    pub severity: u8,
    pub tag: Box<str>,
    /// None: `nohostname`.
    pub hostname: Option<Box<str>>,
}

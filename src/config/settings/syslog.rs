//! Logging to a syslog server.

use crate::sys::socket::Addr;

/// A syslog server and its parameters; messages are sent as datagrams (RFC 3164).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    /// The server's address.
    pub addr: Addr,
    /// As written, for messages about the server.
    pub server: Box<str>,
    /// The number of the facility (RFC 3164 §4.1.1).
    pub facility: u8,
    /// The severity of access log lines; error log lines have their own.
    pub severity: u8,
    /// The name of the program.
    pub tag: Box<str>,
    /// None: `nohostname`.
    pub hostname: Option<Box<str>>,
}

//! The two protocol versions spoken over this parser.

/// A request's version. `HTTP/1.2` to `HTTP/1.9` count as 1.1 (RFC 9110 §2.5).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Version {
    Http10,
    #[default]
    Http11,
}

impl Version {
    /// As `$server_protocol` shows it.
    pub fn name(self) -> &'static str {
        match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        }
    }
}

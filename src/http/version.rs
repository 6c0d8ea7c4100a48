//! The protocol versions that requests come in.

/// A request's version. `HTTP/1.2` to `HTTP/1.9` count as 1.1 (RFC 9110 §2.5).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Version {
    /// `HTTP/1.0`.
    Http10,
    /// `HTTP/1.1`, and the later minor versions that are treated as it.
    #[default]
    Http11,
    /// `HTTP/2.0` in `$server_protocol`.
    Http2,
}

impl Version {
    /// As `$server_protocol` shows it.
    pub fn name(self) -> &'static str {
        match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
            Version::Http2 => "HTTP/2.0",
        }
    }
}

//! Which connection or stream to wake when an event arrives.

use super::slab::Key;

/// A stream of a client's connection. Services keep it as an opaque address to wake.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Wake {
    /// The client's connection.
    pub conn: Key,
    /// 0 on a connection that has one exchange at a time.
    pub stream: u32,
}

impl Wake {
    /// A connection itself.
    pub fn conn(conn: Key) -> Wake {
        Wake { conn, stream: 0 }
    }
}

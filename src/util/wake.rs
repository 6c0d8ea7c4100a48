//! What to wake when an event arrives. A key is enough: each stream of HTTP/2 is a connection's state of its own, with
//! a key of its own (`conn::http2`). So, unlike planned, no number of a stream stands beside it, and services need not
//! know of streams.

use super::slab::Key;

/// A client's connection, or a stream of one. Services keep it as an opaque address to wake.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Wake {
    /// Where its state is, among those of all connections.
    pub conn: Key,
}

impl Wake {
    /// That which has this key.
    pub fn conn(conn: Key) -> Wake {
        Wake { conn }
    }
}

//! Who goes on when something has happened that was waited for.

use super::slab::Key;

/// A stream of a client's connection. Services remember whom to wake by it, and know neither.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Wake {
    pub conn: Key,
    /// 0 on a connection that has one exchange at a time.
    pub stream: u32,
}

impl Wake {
    pub fn conn(conn: Key) -> Wake {
        Wake { conn, stream: 0 }
    }
}

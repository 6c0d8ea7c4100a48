//! What holds of a connection between two turns; checked in debug builds and by the simulation.

use super::{Http2, OUTPUT, QUANTUM, READ, Work};
use crate::conn::Conn;
use crate::util::slab::{Key, Slab};

/// Heads that are written whatever the output holds: those of one turn.
const ROOM: usize = 256 << 10;
/// Bytes of bodies that a client may send ahead of their consumers.
const WINDOW: usize = 4 << 20;

impl Http2 {
    /// What has to hold between two turns: output and input are bounded, each stream has its place in the protocol, and
    /// is a connection that knows its own.
    ///
    /// # Panics
    /// When something does not hold.
    pub fn check_invariants(&self, key: Key, conns: &Slab<Conn>) {
        self.protocol.check_invariants();
        let (out, input) = (self.unsent(), self.input.len());
        assert!(out <= OUTPUT + QUANTUM + ROOM, "{out} bytes of output wait");
        assert!(input <= 2 * READ, "{input} bytes of input wait");
        assert!(self.streams.is_sorted_by_key(|entry| entry.id), "streams are not in order");
        let mut held = 0;
        for entry in &self.streams {
            let id = entry.id;
            assert!(self.protocol.streams().get(id).is_some(), "stream {id} is unknown to the protocol");
            let Work::Exchange(of) = entry.work else { continue };
            let Some(conn) = conns.get(of) else {
                assert!(self.ended.iter().any(|ended| ended.id == id), "stream {id} has no connection");
                continue;
            };
            let Some(stream) = conn.transport.stream() else { continue };
            assert!(stream.parent == Some(key) && stream.id == id, "stream {id} belongs to another");
            assert!(stream.taken == 0, "{} bytes of stream {id} are not granted again", stream.taken);
            held += stream.unread();
        }
        assert!(held <= WINDOW, "{held} bytes of bodies are held");
        assert_eq!(self.protocol.streams().len(), self.streams.len(), "streams of the protocol that nothing answers");
    }
}

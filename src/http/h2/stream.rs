//! One stream's state (RFC 9113 §5.1), and the table of those that are open.
//!
//! A stream keeps its place, and counts against the limit, until the server has given up the work it caused
//! ([`Streams::remove`]), be it reset long before: a client cannot start more work than the limit by resetting.

use super::priority::{Dependency, Priority};
use super::window::{ReceiveWindow, SendWindow};

/// The protocol's view of an open stream: windows, and which side has ended.
#[derive(Debug)]
pub struct Stream {
    pub id: u32,
    /// How much DATA may be sent.
    pub send: SendWindow,
    /// How much DATA the client may send.
    pub receive: ReceiveWindow,
    /// RFC 9218: from PRIORITY_UPDATE, else from the Priority field.
    pub priority: Priority,
    /// RFC 7540 §5.3: from HEADERS or PRIORITY frames of older clients.
    pub dependency: Dependency,
    /// The client has ended its side.
    pub is_received: bool,
    /// We have ended ours.
    pub is_sent: bool,
    /// Either side has reset it: nothing more is sent.
    pub is_reset: bool,
    /// The client has reset it, and may send no more frames on it (§5.1).
    pub is_cancelled: bool,
    /// CONNECT: no header block follows the first (§8.5).
    pub is_tunnel: bool,
    /// Body bytes still to come by Content-Length.
    pub expected: Option<u64>,
    /// The request breaks a rule of §8: the stream is reset for that behind its answer.
    pub is_malformed: bool,
    /// More body has arrived than Content-Length announced: `is_received` is set so that no more is accepted, though
    /// the client has not ended its side.
    pub is_overrun: bool,
}

impl Stream {
    /// The client may still send.
    pub fn is_open_for_receive(&self) -> bool {
        !self.is_received || self.is_overrun
    }
}

/// Open streams in the order of their identifiers, which is that of their opening.
#[derive(Debug, Default)]
pub struct Streams {
    open: Vec<Stream>,
}

impl Streams {
    pub fn len(&self) -> usize {
        self.open.len()
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// None: it is not open. It may be idle, or be over.
    pub fn get(&self, id: u32) -> Option<&Stream> {
        self.find(id).and_then(|at| self.open.get(at))
    }

    /// As [`Streams::get`].
    pub fn get_mut(&mut self, id: u32) -> Option<&mut Stream> {
        self.find(id).and_then(|at| self.open.get_mut(at))
    }

    /// A new one; its identifier is above all others.
    pub fn push(&mut self, stream: Stream) {
        debug_assert!(self.open.last().is_none_or(|last| last.id < stream.id));
        self.open.push(stream);
    }

    /// Frees its place. None: it was not open.
    pub fn remove(&mut self, id: u32) -> Option<Stream> {
        let at = self.find(id)?;
        let gone = self.open.remove(at);
        // An idle connection keeps no room for the most it ever had.
        if self.open.is_empty() && self.open.capacity() > 8 {
            self.open = Vec::new();
        }
        Some(gone)
    }

    /// In ascending order of identifiers.
    pub fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.open.iter()
    }

    /// As [`Streams::iter`].
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.open.iter_mut()
    }

    fn find(&self, id: u32) -> Option<usize> {
        // Mostly there is one, or the last is meant.
        match self.open.last() {
            Some(last) if last.id == id => Some(self.open.len() - 1),
            Some(last) if last.id < id => None,
            _ => self.open.binary_search_by_key(&id, |stream| stream.id).ok(),
        }
    }
}

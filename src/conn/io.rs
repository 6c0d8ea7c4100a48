//! The types shared by the steps of a connection: the result of a step, the budget of a turn, and the client's side of
//! the connection.

pub use super::close_reason::CloseReason;
use super::timers::{Deadline, Timer};
use super::transport::Transport;

/// Bytes that a connection may move without holding up others: one with more to move waits for those with less.
pub const SHARE: u64 = 64 << 10;

/// What one connection may do in a turn before the others have theirs.
pub struct Budget {
    /// Requests to begin.
    pub requests: u32,
    /// Of bodies, read or written.
    pub bytes: usize,
    /// Short responses are held until other connections have made theirs ([`Next::Send`]).
    pub batch: bool,
    /// Pieces of large files; the other connections send theirs before it sends more.
    pub pieces: u32,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { requests: 64, bytes: 4 << 20, batch: false, pieces: 4 }
    }
}

impl Budget {
    /// Bytes of bodies were read or written.
    pub fn moved(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// The connection has used its share of the turn, and continues in its next one ([`Step::Yield`]).
    pub fn is_used_up(&self) -> bool {
        self.requests == 0 || self.bytes == 0
    }
}

/// What a connection waits for now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// The socket, until `Conn::deadline`.
    Wait,
    /// Its next turn.
    Run,
    /// Its response is short and complete: it is driven again before the turn ends, once the other connections have
    /// made theirs.
    Send,
    /// The connection is over, for this reason.
    Close(CloseReason),
}

/// How a step left things.
pub enum Step {
    /// Something moved: the next step follows at once.
    Again,
    /// Nothing moves before an event or the deadline.
    Wait,
    /// Its share of the turn is used up.
    Yield,
    /// The response is complete and short: it is sent at the end of the turn ([`Next::Send`]).
    Batched,
    /// This request is answered and flushed.
    Answered,
    /// The connection is over, for this reason; a lingering close is up to the caller.
    Close(CloseReason),
}

/// The client's side of a connection.
pub struct Io<'a> {
    /// The client's socket, or its stream of HTTP/2.
    pub transport: &'a mut Transport,
    /// When the present step times out.
    pub deadline: &'a mut Deadline,
}

impl Io<'_> {
    /// `at`: monotonic milliseconds.
    pub fn arm(&mut self, timer: Timer, at: u64) {
        *self.deadline = Deadline::new(timer, at);
    }

    /// The same transport, with a deadline of its own: a proxied request has one for its client beside the upstream's.
    pub fn by<'b>(&'b mut self, deadline: &'b mut Deadline) -> Io<'b> {
        Io { transport: self.transport, deadline }
    }
}

//! The words that the steps of a connection share: what a step came to, what a turn may cost, what the socket is known
//! to be ready for.

use super::transport::Transport;
use crate::sys::epoll;

/// Bytes that a connection may move whatever others do in the turn.
pub const SHARE: u64 = 64 << 10;

/// What one connection may do in a turn before the others have theirs.
pub struct Budget {
    pub requests: u32,
    /// Of bodies, read or written.
    pub bytes: usize,
    /// Short answers are kept back ([`Next::Send`]).
    pub gather: bool,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { requests: 64, bytes: 4 << 20, gather: false }
    }
}

/// What a connection waits for now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// The socket, until `Conn::deadline`.
    Wait,
    /// Its next turn.
    Run,
    /// Its answer is made and short: to be driven again before the turn ends, when those of others are made.
    Send,
    Close,
}

/// How a step left things.
pub enum Step {
    Again,
    Wait,
    Yield,
    /// The answer is complete, and goes out with others.
    Batched,
    /// This request is answered and flushed.
    Answered,
    Close,
}

/// What epoll reported of a socket and no system call has contradicted since.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ready(u8);

impl Ready {
    const READ: u8 = 1;
    const WRITE: u8 = 2;
    const PEER_CLOSED: u8 = 4;
    const ERROR: u8 = 8;

    /// A socket just accepted or connected: nothing is known, so trying is right.
    pub fn fresh() -> Ready {
        Ready(Ready::READ | Ready::WRITE)
    }

    /// Adds what epoll reports.
    pub fn add(&mut self, events: u32) {
        if events & epoll::IN != 0 {
            self.0 |= Ready::READ;
        }
        if events & epoll::OUT != 0 {
            self.0 |= Ready::WRITE;
        }
        if events & (epoll::RDHUP | epoll::HUP) != 0 {
            self.0 |= Ready::PEER_CLOSED;
        }
        if events & epoll::ERR != 0 {
            self.0 |= Ready::ERROR;
        }
    }

    /// A read would find bytes, the end or an error.
    pub fn can_read(self) -> bool {
        self.0 & (Ready::READ | Ready::PEER_CLOSED | Ready::ERROR) != 0
    }

    pub fn can_write(self) -> bool {
        self.0 & (Ready::WRITE | Ready::ERROR) != 0
    }

    /// The peer will send no more; it may still read.
    pub fn peer_closed(self) -> bool {
        self.0 & Ready::PEER_CLOSED != 0
    }

    /// The connection is broken: nothing will be read or written.
    pub fn has_failed(self) -> bool {
        self.0 & Ready::ERROR != 0
    }

    /// recv gave EAGAIN.
    pub fn no_read(&mut self) {
        self.0 &= !(Ready::READ | Ready::PEER_CLOSED | Ready::ERROR);
    }

    /// recv gave less than asked for: the socket is empty, unless its end waits behind the bytes.
    pub fn short_read(&mut self) {
        if !self.peer_closed() {
            self.0 &= !Ready::READ;
        }
    }

    /// send gave EAGAIN, or took less than it was given.
    pub fn no_write(&mut self) {
        self.0 &= !(Ready::WRITE | Ready::ERROR);
    }
}

/// The client's side of a connection in a turn.
pub struct Io<'a> {
    pub transport: &'a mut Transport,
    /// When what goes on now must have got on: monotonic milliseconds.
    pub deadline: &'a mut u64,
    pub budget: &'a mut Budget,
}

impl Io<'_> {
    /// The same, with another deadline.
    pub fn by<'b>(&'b mut self, deadline: &'b mut u64) -> Io<'b> {
        Io { transport: self.transport, deadline, budget: self.budget }
    }
}

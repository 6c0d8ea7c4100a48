//! The known readiness of a socket between two events.
//!
//! Invariant: whatever epoll has reported and no system call has contradicted is recorded: events are edge triggered
//! and are not repeated.

use crate::sys::epoll;

/// What epoll reported of a socket and no system call has contradicted since.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ready(u8);

/// The readiness of an HTTP/2 stream, about which epoll reports nothing.
#[derive(Clone, Copy, Debug)]
pub struct StreamReady {
    /// Bytes of its body, its end or an error have arrived.
    pub can_read: bool,
    /// Its connection has room for its frames.
    pub can_write: bool,
    /// It was reset, or its connection is gone.
    pub has_failed: bool,
}

impl Ready {
    const READ: u8 = 1;
    const WRITE: u8 = 2;
    const PEER_CLOSED: u8 = 4;
    const ERROR: u8 = 8;

    /// A socket just accepted or connected: nothing is known yet, so reads and writes are tried.
    pub fn fresh() -> Ready {
        Ready(Ready::READ | Ready::WRITE)
    }

    /// What a stream of HTTP/2 is known to be ready for.
    pub fn of_stream(stream: StreamReady) -> Ready {
        let bit = |is: bool, bit: u8| if is { bit } else { 0 };
        let StreamReady { can_read, can_write, has_failed } = stream;
        Ready(bit(can_read, Ready::READ) | bit(can_write, Ready::WRITE) | bit(has_failed, Ready::ERROR))
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

    /// A write would take bytes or find an error.
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

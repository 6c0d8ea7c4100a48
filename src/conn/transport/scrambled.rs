//! A second transport, for tests, in debug builds only: what a client sends from an address of 127.88.0.0/16, and what
//! it gets, goes in frames, xored. It keeps what is decoded and not taken, and what was taken and not sent; it gives
//! less than it has and takes less than it could. So it does what TLS does to those who use a transport, and more
//! often.
//!
//! A frame is its length in two bytes, and the bytes; an empty one ends the stream, as close_notify does.

use super::ready::Ready;
use crate::sys::Errno;
use crate::sys::socket::{self, More, Peer};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

const KEY: u8 = 0x5a;
/// Bytes that one call gives or takes, at most.
const MAX_CALL: usize = 6_000;

/// Appends `bytes` as frames.
pub fn frame(bytes: &[u8], into: &mut Vec<u8>) {
    for piece in bytes.chunks(usize::from(u16::MAX)) {
        into.extend_from_slice(&(piece.len() as u16).to_be_bytes());
        into.extend(piece.iter().map(|byte| byte ^ KEY));
    }
}

/// The end of the stream.
pub const END: [u8; 2] = [0, 0];

/// Takes frames apart, wherever they are cut.
#[derive(Debug, Default)]
pub struct Unframer {
    raw: Vec<u8>,
    /// The empty frame has come: the peer has ended the stream in order.
    pub ended: bool,
}

impl Unframer {
    /// Takes raw bytes; the content of all complete frames is appended to `into`.
    pub fn push(&mut self, bytes: &[u8], into: &mut Vec<u8>) {
        self.raw.extend_from_slice(bytes);
        let mut at = 0;
        while let Some([a, b]) = self.raw.get(at..at + 2) {
            let len = usize::from(u16::from_be_bytes([*a, *b]));
            let Some(piece) = self.raw.get(at + 2..at + 2 + len) else { break };
            self.ended |= len == 0;
            into.extend(piece.iter().map(|byte| byte ^ KEY));
            at += 2 + len;
        }
        self.raw.drain(..at);
    }
}

/// A socket with that framing, which gives and takes pieces of random size.
#[derive(Debug)]
pub struct Scrambled {
    fd: OwnedFd,
    /// What epoll reported and no call has contradicted.
    pub(super) ready: Ready,
    unframer: Unframer,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    dice: u32,
    is_cut: bool,
}

impl Scrambled {
    /// Whether a client speaks it.
    pub fn is_spoken_by(peer: &Peer) -> bool {
        matches!(peer.ip(), Some(std::net::IpAddr::V4(ip)) if ip.octets()[..2] == [127, 88])
    }

    /// As [`Plain::new`](super::plain::Plain::new). The sizes follow from the descriptor's number.
    pub fn new(fd: OwnedFd, ready: Ready) -> Scrambled {
        let dice = fd.as_raw_fd() as u32;
        Scrambled {
            fd,
            ready,
            unframer: Unframer::default(),
            inbox: Vec::new(),
            outbox: Vec::new(),
            dice,
            is_cut: false,
        }
    }

    fn roll(&mut self) -> usize {
        self.dice = self.dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let most = if self.dice & 0x1000 == 0 { 64 } else { MAX_CALL };
        (self.dice >> 16) as usize % most + 1
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// A `recv` would give bytes or the end without the socket being read.
    pub fn has_plaintext(&self) -> bool {
        !self.inbox.is_empty() || self.unframer.ended
    }

    /// Bytes were taken by `send` and not by the socket.
    pub fn has_unsent(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// At most `most` bytes, and not more than `into` has capacity for. 0: ended in order; ECONNRESET: cut off.
    pub fn recv(&mut self, into: &mut Vec<u8>, most: usize) -> Result<usize, Errno> {
        let room = (into.capacity() - into.len()).min(most).min(self.roll());
        if room == 0 {
            return Err(Errno::ENOBUFS);
        }
        while !self.has_plaintext() {
            let mut bytes = [0; MAX_CALL];
            let wanted = self.roll();
            match socket::recv(self.fd.as_fd(), &mut bytes[..wanted]) {
                // Cut off.
                Ok(0) => return Err(Errno::ECONNRESET),
                Ok(n) => {
                    if n < wanted {
                        self.ready.short_read();
                    }
                    self.unframer.push(&bytes[..n], &mut self.inbox);
                }
                Err(e) => {
                    if e == Errno::EAGAIN {
                        self.ready.no_read();
                    }
                    return Err(e);
                }
            }
        }
        let taken = self.inbox.len().min(room);
        into.extend_from_slice(&self.inbox[..taken]);
        self.inbox.drain(..taken);
        Ok(taken)
    }

    /// The bytes taken: they may still be in the outbox, which [`Scrambled::flush`] empties.
    pub fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        self.flush()?;
        let taken = bytes.len().min(self.roll());
        frame(&bytes[..taken], &mut self.outbox);
        match self.flush() {
            Ok(()) | Err(Errno::EAGAIN) => Ok(taken),
            Err(e) => Err(e),
        }
    }

    /// Sends what was taken. EAGAIN: some is left.
    pub fn flush(&mut self) -> Result<(), Errno> {
        while !self.outbox.is_empty() {
            let wanted = self.outbox.len().min(self.roll());
            match socket::send(self.fd.as_fd(), &self.outbox[..wanted], More::No) {
                Ok(n) => _ = self.outbox.drain(..n),
                Err(e) => {
                    if e == Errno::EAGAIN {
                        self.ready.no_write();
                    }
                    return Err(e);
                }
            }
        }
        Ok(())
    }

    /// The end will look like a cut connection.
    pub fn suppress_close_notify(&mut self) {
        self.is_cut = true;
    }

    /// Sends the empty frame, unless that is suppressed. What the socket does not take is lost.
    pub fn send_close_notify(&mut self) {
        if self.is_cut {
            return;
        }
        self.outbox.extend_from_slice(&END);
        // As far as there is room.
        let _ = self.flush();
    }

    /// Nothing has come and the peer has not closed, by a look at the socket: an idle connection may be used.
    pub fn is_silent(&mut self) -> bool {
        !self.has_plaintext() && socket::peek(self.fd.as_fd(), &mut [0]) == Err(Errno::EAGAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_apart_wherever_they_are_cut() {
        let mut wire = Vec::new();
        frame(b"one", &mut wire);
        frame(&vec![7; 70_000], &mut wire);
        frame(b"last", &mut wire);
        wire.extend_from_slice(&END);
        let whole = [b"one".to_vec(), vec![7; 70_000], b"last".to_vec()].concat();
        for at in (0..12).chain(65_535..65_548).chain(wire.len() - 8..=wire.len()) {
            let (mut unframer, mut seen) = (Unframer::default(), Vec::new());
            unframer.push(&wire[..at], &mut seen);
            assert_eq!(unframer.ended, at == wire.len(), "{at}");
            unframer.push(&wire[at..], &mut seen);
            assert!(seen == whole && unframer.ended, "{at}");
        }
    }
}

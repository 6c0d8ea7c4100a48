//! A socket without encryption, or the pipe from which a program's output is read.
//!
//! Edge-triggered readiness without unnecessary system calls: a read shorter than requested has emptied the socket, a
//! short write has filled it.

use super::file_part::FilePart;
use super::ready::Ready;
use crate::sys::socket::{self, More};
use crate::sys::{Errno, file};
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A non-blocking descriptor and its known readiness.
#[derive(Debug)]
pub struct Plain {
    fd: OwnedFd,
    /// What epoll reported and no system call has contradicted.
    pub(super) ready: Ready,
    is_pipe: bool,
}

impl Plain {
    /// A socket, which must not block.
    pub fn new(fd: OwnedFd, ready: Ready) -> Plain {
        Plain { fd, ready, is_pipe: false }
    }

    /// The reading end of a pipe that has had no event yet.
    pub fn pipe(fd: OwnedFd) -> Plain {
        Plain { fd, ready: Ready::default(), is_pipe: true }
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// As [`socket::recv_into`].
    pub fn recv(&mut self, into: &mut Vec<u8>, most: usize) -> Result<usize, Errno> {
        let room = (into.capacity() - into.len()).min(most);
        let got = match self.is_pipe {
            false => socket::recv_into(self.fd.as_fd(), into, room),
            true => file::read_into(self.fd.as_fd(), into, room),
        };
        match got {
            // The end stays readable for the next read.
            Ok(0) => {}
            Ok(n) if n < room => self.ready.short_read(),
            Err(Errno::EAGAIN) => self.ready.no_read(),
            _ => {}
        }
        got
    }

    /// Returns how many of `bytes` the socket accepted.
    pub fn send(&mut self, bytes: &[u8], more: More) -> Result<usize, Errno> {
        let sent = socket::send(self.fd.as_fd(), bytes, more);
        self.sent(sent, bytes.len())
    }

    /// Returns how many bytes of these parts the socket accepted.
    pub fn send_parts(&mut self, parts: &[IoSlice<'_>], more: More) -> Result<usize, Errno> {
        let sent = socket::send_parts(self.fd.as_fd(), parts, more);
        self.sent(sent, parts.iter().map(|part| part.len()).sum())
    }

    fn sent(&mut self, sent: Result<usize, Errno>, wanted: usize) -> Result<usize, Errno> {
        match sent {
            Ok(n) if n < wanted => self.ready.no_write(),
            Err(Errno::EAGAIN) => self.ready.no_write(),
            _ => {}
        }
        sent
    }

    /// sendfile(2). Returns the bytes sent, which may be fewer than requested; 0: the file ends before `at`.
    pub fn send_file(&mut self, part: FilePart<'_>) -> Result<usize, Errno> {
        let FilePart { source, at, wanted } = part;
        let sent = file::sendfile(self.fd.as_fd(), source, at, wanted);
        match sent {
            // A file may stop for reasons of its own, so the socket is asked; trying again would find room for a
            // little, many times, where waiting brings a third of the buffer (6 % of the CPU of 100 MiB).
            Ok(n @ 1..) if n < wanted && !socket::is_writable(self.fd.as_fd()) => self.ready.no_write(),
            Err(Errno::EAGAIN) => self.ready.no_write(),
            _ => {}
        }
        sent
    }

    /// Moves up to `most` bytes into the pipe. Ok(0): the client has closed its side.
    pub fn splice_to(&mut self, pipe: BorrowedFd<'_>, most: usize) -> Result<usize, Errno> {
        let flags = file::SPLICE_MOVE | file::SPLICE_NONBLOCK;
        let moved = file::splice(self.fd.as_fd(), None, pipe, None, most, flags);
        if moved == Err(Errno::EAGAIN) {
            self.ready.no_read();
        }
        moved
    }

    /// The connection is open and has nothing to read; one system call.
    pub fn is_silent(&mut self) -> bool {
        let silent = socket::peek(self.fd.as_fd(), &mut [0]) == Err(Errno::EAGAIN);
        if silent {
            self.ready.no_read();
        }
        silent
    }
}

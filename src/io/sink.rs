//! Where log lines go: a file, a FIFO, a terminal, a socket of systemd. A write never waits for the reader, even if
//! other processes share the descriptor: what does not fit is left to the caller.

use crate::sys::file::{self, Special};
use crate::sys::{Errno, socket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a pipe that is writable takes without waiting, even if another process left it in blocking mode (PIPE_BUF of
/// Linux).
const PIECE: usize = 4096;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Writes to files wait for nothing but the disk.
    File,
    Socket,
    /// Pipes and terminals, which may be shared with processes that want them blocking.
    Stream,
}

/// An open destination, and what kind of file it is.
pub struct Sink {
    fd: OwnedFd,
    kind: Kind,
}

impl Sink {
    /// A socket, a pipe and a terminal are written to without waiting; anything else is a file.
    pub fn new(fd: OwnedFd) -> Sink {
        let kind = match file::special(fd.as_fd()) {
            Ok(Special::Socket) => Kind::Socket,
            Ok(Special::Pipe | Special::Device) => Kind::Stream,
            Ok(Special::File) | Err(_) => Kind::File,
        };
        Sink { fd, kind }
    }

    /// The destination's descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Writes as much as is possible without waiting.
    ///
    /// # Errors
    /// EAGAIN: nothing could be written now. After any other error the bytes are lost.
    pub fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let wrote = match self.kind {
            Kind::File => file::write(self.fd(), bytes)?,
            Kind::Socket => socket::send_now(self.fd(), bytes)?,
            Kind::Stream if !socket::is_writable(self.fd()) => return Err(Errno::EAGAIN),
            Kind::Stream => file::write(self.fd(), bytes.get(..PIECE).unwrap_or(bytes))?,
        };
        if wrote == 0 && !bytes.is_empty() { Err(Errno::EIO) } else { Ok(wrote) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_pipe_takes_nothing_and_does_not_block() {
        let (reader, writer) = file::pipe().expect("pipe2");
        // Blocking, as a pipe inherited from a parent usually is.
        socket::set_nonblocking(writer.as_fd(), false).expect("fcntl");
        let sink = Sink::new(writer);
        let mut taken = 0;
        let full = loop {
            match sink.write(&[b'x'; 10_000]) {
                Ok(n) => taken += n,
                Err(e) => break e,
            }
        };
        assert_eq!(full, Errno::EAGAIN);
        assert!(taken >= PIECE, "{taken}");
        assert_eq!(file::read(reader.as_fd(), &mut [0; PIECE]), Ok(PIECE));
        assert!(sink.write(b"again").is_ok());
    }
}

//! What carries a connection's bytes, to a client or to an upstream: the only place where their sockets are read and
//! written. A further transport is a variant here and a file beside `plain`.
//!
//! The contract of a transport:
//! * [`Transport::can_read`] and [`Transport::can_write`] say whether the next `recv` or `send` may make progress,
//!   whatever that takes: a `recv` that has to write first (a handshake, a new key) waits for the socket to be
//!   writable, which `can_read` reflects. Bytes that are decoded but not yet read count as readable.
//! * EAGAIN means that no progress is possible before the next event; the transport has recorded that itself. Whether a
//!   short read or write means the same is for the transport to know, not for callers.
//! * Bytes accepted by `send` may still be in the transport ([`Transport::has_unsent`]); [`Transport::flush`] sends
//!   them. A response is sent when there are none.
//!
//! Invariant: after EAGAIN the socket has an event to report, because all events are edge triggered; so no other code
//! may change a socket's readiness.

pub mod file_part;
mod plain;
pub mod ready;
#[cfg(debug_assertions)]
pub mod scrambled;
mod tls;

use super::http2::stream::{Ending, StreamTransport};
use crate::exchange::tls::TlsFacts;
use crate::http::reject::Reject;
use crate::sys::Errno;
use crate::sys::file;
use crate::sys::socket::{self, Connect, More, Peer};
use crate::tls::session::Session;
use crate::util::slab::Key;
use file_part::FilePart;
use plain::Plain;
use ready::Ready;
#[cfg(debug_assertions)]
use scrambled::Scrambled;
use std::io::IoSlice;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;
pub use tls::{Chosen, Tls};

/// How a connection's bytes are carried.
#[derive(Debug)]
pub enum Transport {
    /// The bytes as they are: a socket, or the pipe of a CGI program.
    Plain(Plain),
    /// TLS on a socket.
    Tls(Box<Tls>),
    /// Only for tests.
    #[cfg(debug_assertions)]
    Scrambled(Box<Scrambled>),
    /// A stream of HTTP/2, on the connection of another transport.
    Stream(Box<StreamTransport>),
}

const _: () = assert!(size_of::<Transport>() <= 16);

impl Transport {
    /// A socket or pipe, with its known readiness: [`Ready::fresh`] for one just opened.
    pub fn plain(fd: OwnedFd, ready: Ready) -> Transport {
        Transport::Plain(Plain::new(fd, ready))
    }

    /// The output of a program. Nothing is known of its readiness before an event.
    pub fn pipe(output: OwnedFd) -> Transport {
        Transport::Plain(Plain::pipe(output))
    }

    /// For a client, which has to begin with a ClientHello.
    pub fn tls_server(fd: OwnedFd, ready: Ready) -> Transport {
        Transport::Tls(Box::new(Tls::server(fd, ready)))
    }

    /// To a server; begins with the handshake.
    pub fn tls_client(fd: OwnedFd, ready: Ready, session: Session) -> Transport {
        Transport::Tls(Box::new(Tls::client(fd, ready, session)))
    }

    /// None: it is not TLS.
    pub fn tls(&self) -> Option<&Tls> {
        match self {
            Transport::Tls(tls) => Some(tls),
            _ => None,
        }
    }

    /// None: it is not TLS.
    pub fn tls_mut(&mut self) -> Option<&mut Tls> {
        match self {
            Transport::Tls(tls) => Some(tls),
            _ => None,
        }
    }

    /// The facts of its handshake.
    pub fn facts(&self) -> Option<Rc<TlsFacts>> {
        self.tls().and_then(|tls| tls.facts.clone())
    }

    /// The handshake is in progress: no application data can be read or written.
    pub fn is_handshaking(&self) -> bool {
        self.tls().is_some_and(Tls::is_handshaking)
    }

    /// Early data (0-RTT): requests are served although the client has not finished the handshake, so that more of that
    /// will come.
    pub fn is_early(&self) -> bool {
        self.tls().is_some_and(Tls::is_early)
    }

    /// For a client's connection that was just accepted.
    pub fn accepted(fd: OwnedFd, _peer: &Peer) -> Transport {
        #[cfg(debug_assertions)]
        if Scrambled::is_spoken_by(_peer) {
            return Transport::Scrambled(Box::new(Scrambled::new(fd, Ready::fresh())));
        }
        Transport::plain(fd, Ready::fresh())
    }

    /// The socket, for epoll and for its addresses and options; never for its bytes.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            #[cfg(debug_assertions)]
            Transport::Scrambled(scrambled) => Some(scrambled.fd()),
            Transport::Plain(plain) => Some(plain.fd()),
            Transport::Tls(tls) => Some(tls.fd()),
            Transport::Stream(_) => None,
        }
    }

    /// A stream of HTTP/2, carried by the connection `stream.parent`.
    pub fn of_stream(stream: StreamTransport) -> Transport {
        Transport::Stream(Box::new(stream))
    }

    /// A stream of HTTP/2: closing and shutting down are up to the connection that carries it.
    pub fn is_stream(&self) -> bool {
        matches!(self, Transport::Stream(_))
    }

    /// None: it is not a stream of HTTP/2.
    pub fn stream(&self) -> Option<&StreamTransport> {
        match self {
            Transport::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    /// The stream that it is, taken out.
    pub fn into_stream(self) -> Option<Box<StreamTransport>> {
        match self {
            Transport::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    /// Whether there may be many on one connection, so that a waiting request returns its buffers and gets one again
    /// before it is driven.
    pub fn sheds_buffers(&self) -> bool {
        self.is_stream()
    }

    /// Whether a request that arrives too slowly is answered (408) before the close. For a stream the reset says the
    /// same, and its connection stays open.
    pub fn explains_timeouts(&self) -> bool {
        !self.is_stream()
    }

    /// The client took too long: a stream will be reset by its connection, a socket if `reset` is set
    /// (reset_timedout_connection).
    pub fn time_out(&mut self, reset: bool) {
        match self {
            Transport::Stream(stream) => stream.ending = Ending::TimedOut,
            _ if reset => self.reset(),
            _ => {}
        }
    }

    /// None: it is not a stream of HTTP/2.
    pub fn stream_mut(&mut self) -> Option<&mut StreamTransport> {
        match self {
            Transport::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    /// The connection that carries it, where it is a stream.
    pub fn parent(&self) -> Option<Key> {
        self.stream()?.parent
    }

    /// The HTTP/2 stream that it is, where frames may be written now.
    pub fn writable_stream(&mut self) -> Option<&mut StreamTransport> {
        self.stream_mut().filter(|stream| stream.may_frame())
    }

    /// The fault of a stream whose body differs from its announced length; it is reported once.
    pub fn take_fault(&mut self) -> Option<Reject> {
        self.stream_mut().and_then(|stream| stream.fault.take())
    }

    /// What is known of the socket itself.
    fn ready(&self) -> Ready {
        match self {
            Transport::Plain(plain) => plain.ready,
            Transport::Tls(tls) => tls.ready,
            #[cfg(debug_assertions)]
            Transport::Scrambled(scrambled) => scrambled.ready,
            Transport::Stream(stream) => stream.ready(),
        }
    }

    /// What epoll reports.
    pub fn event(&mut self, events: u32) {
        match self {
            Transport::Plain(plain) => plain.ready.add(events),
            Transport::Tls(tls) => tls.ready.add(events),
            #[cfg(debug_assertions)]
            Transport::Scrambled(scrambled) => scrambled.ready.add(events),
            Transport::Stream(_) => {}
        }
    }

    /// The outcome of a non-blocking connect.
    pub fn connected(&mut self) -> Result<(), Errno> {
        let Some(fd) = self.fd() else { return Ok(()) };
        match socket::take_error(fd) {
            Ok(None) => Ok(()),
            Ok(Some(e)) | Err(e) => Err(e),
        }
    }

    /// The peer has not acknowledged all that was sent.
    pub fn is_unacknowledged(&self) -> bool {
        self.fd().is_some_and(|fd| socket::bytes_unsent(fd).is_ok_and(|bytes| bytes > 0))
    }

    /// Whether a `recv` may find bytes, the end or an error.
    pub fn can_read(&self) -> bool {
        match self {
            Transport::Plain(plain) => plain.ready.can_read(),
            Transport::Tls(tls) => tls.can_read(),
            #[cfg(debug_assertions)]
            Transport::Scrambled(scrambled) => scrambled.has_plaintext() || scrambled.ready.can_read(),
            Transport::Stream(stream) => stream.can_read(),
        }
    }

    /// Whether a `send` may accept bytes.
    pub fn can_write(&self) -> bool {
        self.ready().can_write()
    }

    /// The peer will send no more; it may still read.
    pub fn peer_closed(&self) -> bool {
        self.ready().peer_closed() || self.tls().is_some_and(Tls::has_ended)
    }

    /// The peer has closed its socket. Over TLS it may have ended only its side (close_notify) and be waiting for a
    /// response.
    pub fn socket_closed(&self) -> bool {
        self.ready().peer_closed()
    }

    /// The connection is broken: nothing will be read or written.
    pub fn has_failed(&self) -> bool {
        self.ready().has_failed() || self.tls().is_some_and(|tls| tls.fault().is_some())
    }

    /// Whether bytes accepted by [`Transport::send`] have not been written to the socket.
    pub fn has_unsent(&self) -> bool {
        match self {
            Transport::Plain(_) => false,
            Transport::Tls(tls) => tls.has_unsent(),
            #[cfg(debug_assertions)]
            Transport::Scrambled(scrambled) => scrambled.has_unsent(),
            Transport::Stream(_) => false,
        }
    }

    /// The connection is about to wait: bytes are no longer held back to be sent together with later ones.
    pub fn flush_held(&mut self) {
        if let Transport::Tls(tls) = self {
            tls.flush_held();
        }
    }

    /// There was no response in that time: the tickets are sent alone.
    pub fn flush_tickets(&mut self) {
        if let Transport::Tls(tls) = self {
            tls.flush_tickets();
        }
    }

    /// Sends the bytes of [`Transport::has_unsent`]. EAGAIN: not all of them.
    pub fn flush(&mut self) -> Result<(), Errno> {
        match self {
            Transport::Plain(_) => Ok(()),
            Transport::Tls(tls) => tls.flush(),
            #[cfg(debug_assertions)]
            Transport::Scrambled(scrambled) => scrambled.flush(),
            Transport::Stream(_) => Ok(()),
        }
    }

    /// Whether the kernel may move this connection's bytes (sendfile, splice): the socket carries them unchanged.
    pub fn is_raw(&self) -> bool {
        match self {
            Transport::Plain(_) => true,
            Transport::Tls(_) => false,
            #[cfg(debug_assertions)]
            Transport::Scrambled(_) => false,
            Transport::Stream(_) => false,
        }
    }

    /// The peer's identity and the bytes are protected: `https`.
    pub fn is_secure(&self) -> bool {
        match self {
            Transport::Plain(_) => false,
            Transport::Tls(tls) => !tls.is_plain(),
            #[cfg(debug_assertions)]
            Transport::Scrambled(_) => false,
            Transport::Stream(stream) => stream.is_secure,
        }
    }

    /// Appends at most `most` bytes to the spare capacity of `into`, which is not grown. 0 is the peer's end of stream,
    /// so there must be room. EAGAIN: nothing now.
    pub fn recv(&mut self, into: &mut Vec<u8>, most: usize) -> Result<usize, Errno> {
        match self {
            Transport::Plain(plain) => plain.recv(into, most),
            Transport::Tls(tls) => tls.recv(into, most),
            #[cfg(debug_assertions)]
            Transport::Scrambled(scrambled) => scrambled.recv(into, most),
            Transport::Stream(stream) => stream.recv(into, most),
        }
    }

    /// How many of `bytes` were taken.
    pub fn send(&mut self, bytes: &[u8], more: More) -> Result<usize, Errno> {
        match self {
            Transport::Plain(plain) => plain.send(bytes, more),
            Transport::Tls(tls) => tls.send(bytes, more),
            #[cfg(debug_assertions)]
            Transport::Scrambled(scrambled) => scrambled.send(bytes),
            Transport::Stream(stream) => stream.send(bytes),
        }
    }

    /// How many bytes of these parts were taken: by one call if the socket carries them unchanged, else of the first.
    pub fn send_parts(&mut self, parts: &[IoSlice<'_>], more: More) -> Result<usize, Errno> {
        match (self, parts) {
            (_, []) => Ok(0),
            (other, [part]) => other.send(part, more),
            (Transport::Plain(plain), _) => plain.send_parts(parts, more),
            (other, [part, ..]) => other.send(part, More::Yes),
        }
    }

    /// A part of a file, by the cheapest way there is. 0: the file has no more.
    pub fn send_file(&mut self, part: FilePart<'_>, scratch: &mut Vec<u8>, more: More) -> Result<usize, Errno> {
        match self {
            Transport::Plain(plain) => plain.send_file(part),
            _ => self.send_copy(part, scratch, more),
        }
    }

    /// As [`Transport::send_file`], through a buffer (`sendfile off`).
    pub fn send_copy(&mut self, part: FilePart<'_>, scratch: &mut Vec<u8>, more: More) -> Result<usize, Errno> {
        match self {
            Transport::Stream(stream) => return stream.send_file(part),
            Transport::Tls(tls) => return tls.send_file(part, scratch, more),
            _ => {}
        }
        scratch.clear();
        let most = part.wanted.min(scratch.capacity());
        let read = file::pread_into(part.source, scratch, most, part.at)?;
        let result = if read == 0 { Ok(0) } else { self.send(scratch, more) };
        scratch.clear();
        result
    }

    /// From the socket into a pipe, where the transport [is raw](Transport::is_raw).
    pub fn splice_to(&mut self, pipe: BorrowedFd<'_>, most: usize) -> Result<usize, Errno> {
        match self {
            Transport::Plain(plain) => plain.splice_to(pipe, most),
            Transport::Tls(_) => Err(Errno::EINVAL),
            #[cfg(debug_assertions)]
            Transport::Scrambled(_) => Err(Errno::EINVAL),
            Transport::Stream(_) => Err(Errno::EINVAL),
        }
    }

    /// There is nothing to be read now, neither bytes nor the end. Asks the kernel, whatever readiness was reported.
    pub fn is_silent(&mut self) -> bool {
        match self {
            Transport::Plain(plain) => plain.is_silent(),
            Transport::Tls(tls) => tls.is_silent(),
            #[cfg(debug_assertions)]
            Transport::Scrambled(scrambled) => scrambled.is_silent(),
            Transport::Stream(stream) => !stream.can_read(),
        }
    }

    /// Sends the end of the stream; reading goes on. ENOTCONN if the connection is gone already.
    pub fn shutdown_write(&mut self) -> Result<(), Errno> {
        match self {
            Transport::Plain(plain) => socket::shutdown_write(plain.fd()),
            Transport::Stream(_) => Ok(()),
            Transport::Tls(tls) => tls.shutdown_write(),
            #[cfg(debug_assertions)]
            Transport::Scrambled(scrambled) => {
                scrambled.send_close_notify();
                socket::shutdown_write(scrambled.fd())
            }
        }
    }

    /// Closing it will reset the connection: what was not sent is dropped.
    pub fn reset(&mut self) {
        // A socket that does not take the option is closed in the usual way.
        if let Some(fd) = self.fd() {
            let _ = socket::linger_reset(fd);
        }
    }

    /// What was sent is cut short: the protocol's closing message is left out, so that the peer can tell.
    pub fn suppress_close_notify(&mut self) {
        match self {
            Transport::Plain(_) => {}
            Transport::Stream(stream) => stream.cut(),
            Transport::Tls(tls) => tls.suppress_close_notify(),
            #[cfg(debug_assertions)]
            Transport::Scrambled(scrambled) => scrambled.suppress_close_notify(),
        }
    }

    /// Called before the socket is closed in order: sends the protocol's closing message (TLS: close_notify), as far as
    /// the socket takes it.
    pub fn send_close_notify(&mut self) {
        match self {
            Transport::Plain(_) => {}
            Transport::Tls(tls) => tls.send_close_notify(),
            #[cfg(debug_assertions)]
            Transport::Scrambled(scrambled) => scrambled.send_close_notify(),
            Transport::Stream(_) => {}
        }
    }
}

/// The readiness of a socket whose connect has just begun.
pub fn readiness(connect: Connect) -> Ready {
    match connect {
        Connect::Done => Ready::fresh(),
        Connect::InProgress => Ready::default(),
    }
}

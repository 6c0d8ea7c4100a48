//! TLS on a socket: `tls::session`, which works in memory, with a descriptor.
//!
//! Buffers belong to the thread and are used within one call; a connection owns bytes only if the socket or the
//! application does not accept them at once. Invariant: an idle connection owns none.

mod hello;

use super::file_part::FilePart;
use super::ready::Ready;
use crate::config::tls_material::ServerTls;
use crate::exchange::tls::TlsFacts;
use crate::sys::Errno;
use crate::sys::file;
use crate::sys::socket::{self, More};
use crate::tls::hello::Hello;
use crate::tls::session::{MAX_PLAINTEXT, SEALED, Session, SessionFault, SessionState};
use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Maximum bytes per read from a socket.
const READ: usize = 64 << 10;

/// The buffers of one call.
struct Scratch {
    input: Vec<u8>,
    plain: Vec<u8>,
    out: Vec<u8>,
    sealed: Box<[u8]>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        input: Vec::with_capacity(READ),
        plain: Vec::with_capacity(READ),
        out: Vec::new(),
        sealed: vec![0; SEALED + HELD].into(),
    });
}

/// Maximum bytes of protocol messages that wait to be sent together with application data.
const HELD: usize = 8 << 10;
/// The largest buffer for decrypted bytes that is kept between reads.
const KEEP: usize = 4 * READ;

enum Stage {
    /// The ClientHello is incomplete; its bytes so far are kept.
    Hello(Vec<u8>),
    Running(Box<Session>),
    /// The client sends something other than TLS: bytes are passed on unchanged.
    Plain,
}

/// What was chosen for a connection, kept until the handshake is over.
#[derive(Debug)]
pub struct Chosen {
    /// The settings of the server that was chosen, for its handshake.
    pub tls: Rc<ServerTls>,
    /// The ClientHello that it was chosen by.
    pub hello: Box<Hello>,
    /// The server was chosen by the name of the hello.
    pub is_named: bool,
}

/// A TLS connection on a socket, as client or server.
pub struct Tls {
    fd: OwnedFd,
    /// What epoll reported and no system call has contradicted.
    pub(super) ready: Ready,
    stage: Stage,
    /// Decrypted bytes, not yet read by the application from `taken` on.
    plain: Vec<u8>,
    taken: usize,
    /// Encrypted bytes, not yet written to the socket from `sent` on.
    unsent: Vec<u8>,
    sent: usize,
    /// Unsent bytes (tickets, the response to a key update) may wait for the application's next bytes of this turn, to
    /// be sent in one packet; [`Tls::flush_held`] ends that.
    held: bool,
    /// Held bytes (the tickets of the handshake) may wait for the first response even beyond this turn;
    /// [`Tls::flush_tickets`] sends them alone.
    holds_tickets: bool,
    is_server: bool,
    /// The peer has ended the stream: with close_notify, or without.
    ended: bool,
    closed: bool,
    /// The socket's sending side has ended.
    is_shut: bool,
    /// The fault that ended the connection.
    fault: Option<SessionFault>,
    /// The ClientHello is complete; its handshake waits for a later turn ([`crate::services::handshakes`]).
    pub postponed: bool,
    /// What was chosen by the hello, until the handshake is over.
    pub chosen: Option<Box<Chosen>>,
    /// The facts of the handshake, for requests.
    pub facts: Option<Rc<TlsFacts>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (plain, unsent) = (self.plain.len() - self.taken, self.unsent.len() - self.sent);
        write!(f, "Tls {{ {:?}, {plain} bytes unread, {unsent} unsent, ended: {} }}", self.ready, self.ended)
    }
}

impl Tls {
    /// For a client that has to send its ClientHello.
    pub fn server(fd: OwnedFd, ready: Ready) -> Tls {
        Tls { is_server: true, ..Tls::new(fd, ready, Stage::Hello(Vec::new())) }
    }

    /// For an upstream: [`Tls::handshake`] sends the hello.
    pub fn client(fd: OwnedFd, ready: Ready, session: Session) -> Tls {
        Tls::new(fd, ready, Stage::Running(Box::new(session)))
    }

    fn new(fd: OwnedFd, ready: Ready, stage: Stage) -> Tls {
        Tls {
            fd,
            ready,
            stage,
            plain: Vec::new(),
            taken: 0,
            unsent: Vec::new(),
            sent: 0,
            held: false,
            holds_tickets: false,
            is_server: false,
            ended: false,
            closed: false,
            is_shut: false,
            fault: None,
            postponed: false,
            chosen: None,
            facts: None,
        }
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The client did not send a ClientHello: bytes are sent unencrypted. For the response to a plain request on a TLS
    /// port.
    pub fn is_plain(&self) -> bool {
        matches!(self.stage, Stage::Plain)
    }

    /// None: no server is chosen yet, or it is not TLS after all.
    pub fn session(&self) -> Option<&Session> {
        match &self.stage {
            Stage::Running(session) => Some(session),
            Stage::Hello(_) | Stage::Plain => None,
        }
    }

    /// The handshake is awaited or not finished. During early data it is not finished for the session either, though
    /// requests may be served: see [`Tls::is_early`].
    pub fn is_handshaking(&self) -> bool {
        match &self.stage {
            Stage::Hello(_) => true,
            Stage::Running(session) => session.state() == SessionState::Handshaking,
            Stage::Plain => false,
        }
    }

    /// Whether requests are served although the client has not finished the handshake.
    pub fn is_early(&self) -> bool {
        self.session().is_some_and(Session::is_early)
    }

    /// Why the connection cannot continue.
    pub fn fault(&self) -> Option<&SessionFault> {
        self.fault.as_ref()
    }

    /// Whether a `recv` would return bytes or the end without reading the socket.
    pub fn has_plaintext(&self) -> bool {
        self.taken < self.plain.len() || self.ended
    }

    /// Whether a `recv` may make progress; it may have to write first.
    pub fn can_read(&self) -> bool {
        if self.is_handshaking() && self.has_unsent() {
            return self.ready.can_write();
        }
        self.postponed || self.has_plaintext() || self.ready.can_read()
    }

    /// Whether the peer has ended the stream and all its bytes have been read.
    pub fn has_ended(&self) -> bool {
        self.ended && self.taken >= self.plain.len()
    }

    /// Whether bytes wait for the socket. Tickets that wait for a response do not count.
    pub fn has_unsent(&self) -> bool {
        self.sent < self.unsent.len() && !self.holds_tickets
    }

    /// Session tickets wait for the first response; after a while they are sent alone.
    pub fn holds_tickets(&self) -> bool {
        self.holds_tickets
    }

    /// Continues the handshake as far as possible. EAGAIN: the peer has to send or to read first.
    pub fn handshake(&mut self) -> Result<(), Errno> {
        if let Stage::Running(session) = &mut self.stage
            && session.state() == SessionState::Handshaking
            && self.unsent.is_empty()
        {
            // A client begins.
            let taken = session.receive(&mut [], &mut self.plain, &mut self.unsent);
            self.after(taken)?;
        }
        loop {
            if !self.held {
                self.flush()?;
            }
            if !self.is_handshaking() {
                self.holds_tickets = self.held && self.has_unsent();
                return Ok(());
            }
            self.fill(&mut Vec::new(), 0)?;
            // If the client ended its side together with the handshake, a request came before its end.
            if self.ended && self.session().is_none_or(|session| !session.is_established()) {
                return Err(Errno::ECONNRESET);
            }
        }
    }

    fn after(&mut self, taken: Result<(), SessionFault>) -> Result<(), Errno> {
        match taken {
            Ok(()) => {
                if let Some(facts) = self.facts.as_ref().filter(|facts| facts.early.get()) {
                    facts.early.set(self.is_early());
                }
                self.ended |= self.session().is_some_and(|session| session.state() == SessionState::Ended);
                Ok(())
            }
            Err(fault) => {
                // The alert, as far as there is room for it.
                let _ = self.flush();
                self.fault = Some(fault);
                Err(Errno::EPROTO)
            }
        }
    }

    /// Reads from the socket once and decrypts. At most `most` bytes of plaintext are appended to `into`, and their
    /// number is returned; the rest is kept.
    fn fill(&mut self, into: &mut Vec<u8>, most: usize) -> Result<usize, Errno> {
        if self.fault.is_some() {
            return Err(Errno::EPROTO);
        }
        if !self.ready.can_read() {
            return Err(Errno::EAGAIN);
        }
        let Stage::Running(session) = &mut self.stage else { return Err(Errno::EAGAIN) };
        let (moved, taken) = SCRATCH.with_borrow_mut(|scratch| {
            let Scratch { input, plain, out, .. } = scratch;
            input.clear();
            plain.clear();
            out.clear();
            if receive(self.fd.as_fd(), &mut self.ready, input, READ)? == 0 {
                return Ok::<_, Errno>((0, None));
            }
            let taken = session.receive(input, plain, out);
            self.unsent.extend_from_slice(out);
            let now = plain.len().min(most);
            into.extend_from_slice(&plain[..now]);
            if now < plain.len() {
                self.plain.extend_from_slice(&plain[now..]);
            }
            if plain.capacity() > KEEP {
                *plain = Vec::with_capacity(READ);
            }
            Ok((now, Some(taken)))
        })?;
        match taken {
            // The end of the socket without the peer's word for it: what came may be cut.
            None => {
                self.ended = true;
                self.end()
            }
            Some(taken) => {
                self.after(taken)?;
                self.held = self.is_server && !self.is_handshaking() && self.unsent.len() - self.sent <= HELD;
                if self.has_unsent() && !self.held {
                    // An answer of the protocol itself; the socket may take it later.
                    match self.flush() {
                        Ok(()) | Err(Errno::EAGAIN) => {}
                        Err(e) => return Err(e),
                    }
                }
                Ok(moved)
            }
        }
    }

    /// What the end of the socket means. A client ends with close_notify (RFC 8446 §6.1), otherwise its data may be
    /// truncated. Many upstreams send none: that is an end as over TCP (nginx); [`Tls::is_cut`] tells the difference.
    fn end(&self) -> Result<usize, Errno> {
        let is_lost = self.is_cut() && (self.is_server || self.is_handshaking());
        if is_lost { Err(Errno::ECONNRESET) } else { Ok(0) }
    }

    /// The connection was closed without close_notify.
    pub fn is_cut(&self) -> bool {
        self.ended && self.session().is_none_or(|session| session.state() != SessionState::Ended)
    }

    /// Decrypts at most `most` bytes, and no more than `into` has capacity for. 0: the peer has ended its side;
    /// ECONNRESET: a client closed the connection without close_notify.
    pub fn recv(&mut self, into: &mut Vec<u8>, most: usize) -> Result<usize, Errno> {
        let room = (into.capacity() - into.len()).min(most);
        if self.taken < self.plain.len() {
            let n = room.min(self.plain.len() - self.taken);
            into.extend_from_slice(&self.plain[self.taken..self.taken + n]);
            self.taken += n;
            if self.taken == self.plain.len() {
                (self.plain, self.taken) = (Vec::new(), 0);
            }
            return Ok(n);
        }
        if self.is_plain() {
            return receive(self.fd.as_fd(), &mut self.ready, into, room);
        }
        loop {
            if self.ended {
                return self.end();
            }
            let moved = self.fill(into, room)?;
            if moved > 0 {
                return Ok(moved);
            }
        }
    }

    /// The turn is over: bytes held for the application's are sent alone, unless they can wait longer.
    pub fn flush_held(&mut self) {
        if self.held && !self.holds_tickets {
            // What the socket does not take goes when it is writable.
            let _ = self.flush();
        }
    }

    /// There was no response for a while: sends the tickets alone.
    pub fn flush_tickets(&mut self) {
        self.holds_tickets = false;
        self.flush_held();
    }

    /// Writes encrypted bytes to the socket.
    pub fn flush(&mut self) -> Result<(), Errno> {
        (self.held, self.holds_tickets) = (false, false);
        while self.has_unsent() {
            if !self.ready.can_write() {
                return Err(Errno::EAGAIN);
            }
            let n = send(self.fd.as_fd(), &mut self.ready, &self.unsent[self.sent..], More::No)?;
            self.sent += n;
        }
        if !self.unsent.is_empty() {
            (self.unsent, self.sent) = (Vec::new(), 0);
        }
        Ok(())
    }

    /// Encrypts and sends; returns the bytes accepted, some of which may be kept until the socket accepts them. EAGAIN:
    /// none were accepted. `more`: further bytes follow at once, so the kernel may wait for them to fill a packet.
    pub fn send(&mut self, bytes: &[u8], more: More) -> Result<usize, Errno> {
        if self.is_plain() {
            return send(self.fd.as_fd(), &mut self.ready, bytes, more);
        }
        if !self.held {
            self.flush()?;
        }
        let mut done = 0;
        while done < bytes.len() && (self.held || !self.has_unsent()) {
            if !self.ready.can_write() {
                break;
            }
            let end = bytes.len().min(done + MAX_PLAINTEXT);
            let last = if end < bytes.len() { More::Yes } else { more };
            self.seal(&bytes[done..end], last)?;
            done = end;
        }
        if done == 0 && !bytes.is_empty() { Err(Errno::EAGAIN) } else { Ok(done) }
    }

    /// Encrypts one piece and sends it; what the socket does not accept is kept.
    fn seal(&mut self, bite: &[u8], more: More) -> Result<(), Errno> {
        let Stage::Running(session) = &mut self.stage else { return Err(Errno::ENOTCONN) };
        SCRATCH.with_borrow_mut(|scratch| {
            // What is held goes before it, in the same packet.
            let held = self.unsent.len() - self.sent;
            scratch.sealed[..held].copy_from_slice(&self.unsent[self.sent..]);
            (self.unsent, self.sent) = (Vec::new(), 0);
            (self.held, self.holds_tickets) = (false, false);
            let mut written = match session.seal(bite, &mut scratch.sealed[held..]) {
                Ok(written) => held + written,
                Err(fault) => {
                    self.fault = Some(fault);
                    return Err(Errno::EPROTO);
                }
            };
            // What ends the stream goes with its last bytes, and so does the end itself: one packet, which wakes the
            // client once.
            let ends = more == More::Last && !self.closed && written < scratch.sealed.len();
            if ends {
                written += session.close(&mut scratch.sealed[written..]).unwrap_or_default();
                self.closed = true;
            }
            let sealed = &scratch.sealed[..written];
            let n = match send(self.fd.as_fd(), &mut self.ready, sealed, if ends { More::Yes } else { more }) {
                Ok(n) => n,
                Err(Errno::EAGAIN) => 0,
                Err(e) => return Err(e),
            };
            self.unsent.extend_from_slice(&sealed[n..]);
            // It fails where the connection is gone already: the next call reports that.
            self.is_shut |= ends && n == written && socket::shutdown_write(self.fd.as_fd()).is_ok();
            Ok(())
        })
    }

    /// As [`Transport::shutdown_write`](super::Transport::shutdown_write).
    pub fn shutdown_write(&mut self) -> Result<(), Errno> {
        self.send_close_notify();
        if self.is_shut { Ok(()) } else { socket::shutdown_write(self.fd.as_fd()) }
    }

    /// In pieces, as long as the socket accepts them.
    pub fn send_file(&mut self, part: FilePart<'_>, scratch: &mut Vec<u8>, more: More) -> Result<usize, Errno> {
        let FilePart { source, at, wanted } = part;
        if !self.held {
            self.flush()?;
        }
        let mut done = 0;
        while done < wanted && (self.held || !self.has_unsent()) && self.ready.can_write() {
            scratch.clear();
            scratch.reserve(MAX_PLAINTEXT);
            let read = file::pread_into(source, scratch, MAX_PLAINTEXT.min(wanted - done), at + done as u64);
            let read = match read {
                Ok(read) => read,
                Err(e) if done == 0 => return Err(e),
                Err(_) => break,
            };
            if read == 0 {
                scratch.clear();
                return Ok(done);
            }
            let last = if done + read < wanted { More::Yes } else { more };
            if self.is_plain() {
                done += self.send(scratch, last)?;
                break;
            }
            self.seal(scratch, last)?;
            done += read;
        }
        scratch.clear();
        if done == 0 && wanted > 0 { Err(Errno::EAGAIN) } else { Ok(done) }
    }

    /// Whether there is nothing to read now; protocol messages (tickets) are processed.
    pub fn is_silent(&mut self) -> bool {
        self.ready.add(crate::sys::epoll::IN);
        loop {
            if self.has_plaintext() || self.is_plain() {
                return false;
            }
            match self.fill(&mut Vec::new(), 0) {
                Ok(_) => {}
                Err(e) => return e == Errno::EAGAIN,
            }
        }
    }

    /// Suppresses close_notify, so that the peer knows that its data may be truncated.
    pub fn suppress_close_notify(&mut self) {
        self.closed = true;
    }

    /// The close_notify: once, and as far as the socket takes it.
    pub fn send_close_notify(&mut self) {
        if std::mem::replace(&mut self.closed, true) || self.fault.is_some() {
            return;
        }
        let Stage::Running(session) = &mut self.stage else { return };
        SCRATCH.with_borrow_mut(|scratch| {
            if let Ok(written) = session.close(&mut scratch.sealed) {
                self.unsent.extend_from_slice(&scratch.sealed[..written]);
            }
        });
        // The peer would wait for more only if it had not read what is before it.
        let _ = self.flush();
    }
}

fn receive(fd: BorrowedFd<'_>, ready: &mut Ready, into: &mut Vec<u8>, most: usize) -> Result<usize, Errno> {
    let got = socket::recv_into(fd, into, most);
    match got {
        // The end stays readable for the next read.
        Ok(0) => {}
        Ok(n) if n < most => ready.short_read(),
        Err(Errno::EAGAIN) => ready.no_read(),
        _ => {}
    }
    got
}

fn send(fd: BorrowedFd<'_>, ready: &mut Ready, bytes: &[u8], more: More) -> Result<usize, Errno> {
    let sent = socket::send(fd, bytes, more);
    match sent {
        Ok(n) if n < bytes.len() => ready.no_write(),
        Err(Errno::EAGAIN) => ready.no_write(),
        _ => {}
    }
    sent
}

#[cfg(test)]
mod tests;

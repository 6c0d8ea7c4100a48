//! Before there is a session: the hello is gathered, and chooses what the handshake is made with.

use super::{SCRATCH, Stage, Tls, receive};
use crate::sys::Errno;
use crate::tls::hello;
use crate::tls::session::Session;
use std::os::fd::AsFd;

impl Tls {
    /// The bytes are no ClientHello: the connection continues without TLS, beginning with them.
    pub fn become_plain(&mut self) {
        if let Stage::Hello(bytes) = &mut self.stage {
            self.plain = std::mem::take(bytes);
            self.stage = Stage::Plain;
        }
    }

    /// What has come of the hello, to be looked at and cut.
    pub fn hello(&mut self) -> Option<&mut Vec<u8>> {
        match &mut self.stage {
            Stage::Hello(bytes) => Some(bytes),
            Stage::Running(_) | Stage::Plain => None,
        }
    }

    /// Reads more of the hello. 0: the client has gone.
    pub fn gather(&mut self) -> Result<usize, Errno> {
        let Stage::Hello(bytes) = &mut self.stage else { return Err(Errno::EINVAL) };
        if std::mem::take(&mut self.postponed) {
            return Ok(bytes.len());
        }
        if !self.ready.can_read() {
            return Err(Errno::EAGAIN);
        }
        // Never more than a hello may have: the rest stays in the socket.
        let room = (hello::BYTES + 1).saturating_sub(bytes.len()).clamp(1, 4 << 10);
        bytes.reserve_exact(room);
        receive(self.fd.as_fd(), &mut self.ready, bytes, room)
    }

    /// The configuration is chosen: the hello goes to the session.
    pub fn begin(&mut self, mut session: Session) -> Result<(), Errno> {
        let Stage::Hello(bytes) = &mut self.stage else { return Err(Errno::EINVAL) };
        let mut bytes = std::mem::take(bytes);
        let taken = SCRATCH.with_borrow_mut(|scratch| {
            scratch.out.clear();
            let taken = session.receive(&mut bytes, &mut self.plain, &mut scratch.out);
            self.unsent.extend_from_slice(&scratch.out);
            taken
        });
        self.stage = Stage::Running(Box::new(session));
        self.after(taken)
    }

    /// Sends these bytes as they are: an alert before there is a session.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
        // The connection ends; what the socket does not take is lost.
        let _ = self.flush();
    }
}

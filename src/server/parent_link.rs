//! Messages to the serving process from its privileged parent: reopened log files, a renewed certificate, a channel to
//! its successor, and EOF when the parent exits. The serving process sends only one byte, when it is ready.

use super::{Mode, Role, Server, token_of};
use crate::sys::process::{self, Signal};
use crate::sys::socket::pass;
use crate::sys::{Errno, epoll};
use std::os::fd::{AsFd, OwnedFd};

/// Every message begins with a byte for its type.
pub const LOGS: u8 = b'L';
/// First byte of a message with the channel to the successor.
pub const SUCCESSOR: u8 = b'H';
/// First byte of a message with renewed certificates.
pub const CERTIFICATE: u8 = b'C';

/// The channel to the parent.
pub struct ParentLink {
    channel: OwnedFd,
    pid: i32,
}

impl ParentLink {
    /// The parent is the process's present one.
    pub fn new(channel: OwnedFd) -> ParentLink {
        ParentLink { channel, pid: process::getppid() }
    }

    /// Accepts signals only from the parent and root: another process may run as our user.
    pub fn may_signal(&self, signal: &Signal) -> bool {
        signal.uid == 0 || signal.pid == self.pid
    }

    /// Tells the parent that listeners are watched, so that it can end this process's predecessor.
    pub fn send_ready(&self) {
        // The loop notices if the parent has exited.
        let _ = pass::send(self.channel.as_fd(), b"R", &[]);
    }
}

/// The ids of log files whose descriptors are attached.
pub fn logs_message(ids: &[u32]) -> Vec<u8> {
    std::iter::once(LOGS).chain(ids.iter().flat_map(|id| id.to_le_bytes())).collect()
}

/// The place of the server in the configuration that a certificate is for; the descriptor holds the certificate.
pub fn certificate_message(server: usize) -> Vec<u8> {
    std::iter::once(CERTIFICATE).chain((server as u32).to_le_bytes()).collect()
}

/// The numbers behind the first byte of a message.
fn numbers(message: &[u8]) -> impl Iterator<Item = usize> {
    let words = message.get(1..).unwrap_or_default().chunks_exact(4);
    words.map(|word| u32::from_le_bytes(word.try_into().unwrap_or_default()) as usize)
}

impl Server {
    /// From now on this process is controlled by a parent.
    ///
    /// # Errors
    /// The error of epoll.
    pub fn attach_parent(&mut self, link: ParentLink) -> Result<(), Errno> {
        self.epoll.add(link.channel.as_fd(), epoll::IN, token_of(Role::Parent))?;
        self.parent = Some(link);
        Ok(())
    }

    /// Reads all messages. If the parent is gone, the process completes its requests and ends.
    pub(super) fn read_parent_messages(&mut self) {
        let mut text = [0; 1 + 4 * pass::MOST];
        let mut is_first = true;
        // What is not received now is reported again in the next turn: the channel is not edge triggered.
        while self.log_work.has_used_all()
            && (std::mem::take(&mut is_first) || !self.cx.slice.is_turn_over())
            && let Some(link) = &self.parent
        {
            match pass::receive(link.channel.as_fd(), &mut text) {
                Err(Errno::EAGAIN) => return,
                Ok((got @ 1.., fds)) if text[0] == LOGS => {
                    self.take_logs(numbers(&text[..got]).zip(fds));
                }
                Ok((got @ 1.., fds)) if text[0] == CERTIFICATE => {
                    numbers(&text[..got]).zip(fds).for_each(|(server, fd)| self.install_certificate(server, fd));
                }
                Ok((1.., fds)) if text[0] == SUCCESSOR => {
                    fds.into_iter().for_each(|channel| self.hand_over(channel));
                }
                Ok((1.., _)) => {}
                // Without a parent nothing can stop or reload us, so complete requests in progress and exit.
                Ok((0, _)) | Err(_) => {
                    let _ = self.epoll.delete(link.channel.as_fd());
                    if self.mode == Mode::Serving {
                        self.note(format_args!("the parent process is gone, shutting down"));
                        self.quit();
                    }
                    return;
                }
            }
        }
    }
}

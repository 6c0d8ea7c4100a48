//! Messages to the serving process from its parent, which keeps root's rights: log files that were opened again, a
//! channel to the process that takes its place, and, when the parent is gone, that it is. The serving process sends one
//! byte only, when it serves.

use super::{Mode, Role, Server, token_of};
use crate::sys::process::{self, Signal};
use crate::sys::socket::pass;
use crate::sys::{Errno, epoll};
use std::os::fd::{AsFd, OwnedFd};

/// Every message begins with a byte that says what it is.
pub const LOGS: u8 = b'L';
pub const SUCCESSOR: u8 = b'H';

pub struct ParentLink {
    channel: OwnedFd,
    pid: i32,
}

impl ParentLink {
    pub fn new(channel: OwnedFd) -> ParentLink {
        ParentLink { channel, pid: process::getppid() }
    }

    /// Signals of the parent and of root are obeyed, and no others: another process may run as our user.
    pub fn may_signal(&self, signal: &Signal) -> bool {
        signal.uid == 0 || signal.pid == self.pid
    }

    /// Tells the parent that the listeners are watched, so that it may end the process before this one.
    pub fn send_ready(&self) {
        // A parent that is gone is noticed by the loop.
        let _ = pass::send(self.channel.as_fd(), b"R", &[]);
    }
}

/// The numbers of log files, for their descriptors.
pub fn logs_message(ids: &[u32]) -> Vec<u8> {
    std::iter::once(LOGS).chain(ids.iter().flat_map(|id| id.to_le_bytes())).collect()
}

impl Server {
    /// From now on this process obeys a parent.
    ///
    /// # Errors
    /// That of epoll.
    pub fn attach_parent(&mut self, link: ParentLink) -> Result<(), Errno> {
        self.epoll.add(link.channel.as_fd(), epoll::IN, token_of(Role::Parent))?;
        self.parent = Some(link);
        Ok(())
    }

    pub(super) fn read_parent_messages(&mut self) {
        let mut text = [0; 1 + 4 * pass::MOST];
        while let Some(link) = &self.parent {
            match pass::receive(link.channel.as_fd(), &mut text) {
                Err(Errno::EAGAIN) => return,
                Ok((got @ 1.., fds)) if text[0] == LOGS => {
                    let ids = text.get(1..got).unwrap_or_default().chunks_exact(4);
                    let ids = ids.map(|id| u32::from_le_bytes(id.try_into().unwrap_or_default()) as usize);
                    self.cx.logs.begin_reopen();
                    for (id, fd) in ids.zip(fds) {
                        self.cx.logs.replace(id, fd);
                    }
                }
                Ok((1.., fds)) if text[0] == SUCCESSOR => {
                    fds.into_iter().for_each(|channel| self.hand_over(channel));
                }
                Ok((1.., _)) => {}
                // Without a parent nothing can stop or reload us: requests in progress are finished.
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

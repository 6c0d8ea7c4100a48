//! The channels of a handover between serving processes: to the successor, and from predecessors
//! (`server/handover.rs`).

use crate::services::handover::{HandoverState, Predecessor};
use crate::sys::Errno;
use crate::sys::socket::pass;
use crate::util::slab::{Key, Slab};
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

/// Size of a message up to which another record is appended.
pub(super) const MESSAGE: usize = 16 << 10;
/// Maximum size of a record; longer ones (a key of 64 KiB, a lock's owner) are not handed over.
pub(super) const LARGEST: usize = 128 << 10;

/// Handover of state between serving processes: to this one's successor, and from its predecessors.
#[derive(Default)]
pub struct Handover {
    pub(super) successor: Option<Successor>,
    pub(super) predecessors: Slab<PredecessorLink>,
    /// The buffer for received messages.
    pub(super) text: Vec<u8>,
}

/// The process that replaces this one.
pub(super) struct Successor {
    pub(super) channel: OwnedFd,
    pub(super) state: Option<HandoverState>,
    /// Unsent messages, with the channels to pass along.
    pub(super) made: VecDeque<(Vec<u8>, Option<OwnedFd>)>,
    /// Its channel is full; epoll reports when it can be written.
    pub(super) is_slow: bool,
    pub(super) links: u8,
}

/// A process that this one replaced.
pub(super) struct PredecessorLink {
    pub(super) channel: OwnedFd,
    /// By number: what it holds, and what those hold whose channels it passes on.
    pub(super) predecessor: Predecessor,
    pub(super) passed: Vec<(u8, Key)>,
    /// No message has arrived yet.
    pub(super) is_silent: bool,
    /// Its complete initial state has arrived.
    pub(super) has_ended: bool,
    /// Records that it does not read yet.
    pub(super) unread: VecDeque<Vec<u8>>,
}

impl Successor {
    /// `link`: the number of the process whose record it is, 0 for this one.
    pub(super) fn write(&mut self, link: u8, record: &[u8], with: Option<OwnedFd>) {
        if record.len() > LARGEST {
            return;
        }
        match self.made.back_mut() {
            Some((message, None)) if with.is_none() && message[0] == link && message.len() < MESSAGE => {
                message.extend_from_slice(record);
            }
            _ => self.made.push_back(([&[link], record].concat(), with)),
        }
    }

    /// Sends what was made, as far as the channel takes it.
    ///
    /// # Errors
    /// The successor has exited.
    pub(super) fn send(&mut self) -> Result<(), Errno> {
        while let Some((message, with)) = self.made.front() {
            let fds: Vec<_> = with.iter().map(AsFd::as_fd).collect();
            match pass::send(self.channel.as_fd(), message, &fds) {
                Ok(()) => drop(self.made.pop_front()),
                Err(Errno::EAGAIN) => {
                    self.is_slow = true;
                    return Ok(());
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

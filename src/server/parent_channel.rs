//! The channel between the serving process and its privileged parent.

use crate::sys::process::{self, Signal};
use crate::sys::socket::pass;
use std::os::fd::{AsFd, OwnedFd};

/// The channel to the parent.
pub struct ParentLink {
    pub(super) channel: OwnedFd,
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

//! The process that computes slow hashes: forked from this one before it has much memory, it keeps nothing open but its
//! end of a channel, and the loop's rights or fewer (what the sandbox forbids the loop is forbidden here). It computes one
//! hash for each message and ends when the other end is closed.
//!
//! Fork, not another program: exec is forbidden where the loop is confined.

use super::Verify;
use crate::sys::process::helper;
use crate::sys::socket::pass;
use crate::sys::{Errno, file, process};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The most bytes of a stored hash, and of a password.
pub const LARGEST: usize = 1024;
/// Seconds that one hash may take; then the process is ended by its own alarm.
pub const LONGEST: u32 = 30;
/// Below the loop, which goes first where they share a processor.
const NICE: i32 = 10;

pub struct Helper {
    channel: OwnedFd,
    /// The loop's epoll knows the channel.
    pub watched: bool,
}

impl Helper {
    /// # Errors
    /// No socket, no memory, or no more processes.
    pub fn start(verify: Verify) -> Result<Helper, Errno> {
        let (ours, theirs) = pass::pair()?;
        if process::fork()?.is_none() {
            let outcome = catch_unwind(AssertUnwindSafe(|| serve(theirs.as_fd(), verify)));
            // Nothing of the loop's state may be torn down here.
            process::leave(i32::from(outcome.is_err()));
        }
        Ok(Helper { channel: ours, watched: false })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    /// # Errors
    /// EPIPE: it is gone.
    pub fn ask(&self, stored: &[u8], password: &[u8]) -> Result<(), Errno> {
        let mut text = (stored.len() as u32).to_le_bytes().to_vec();
        text.extend_from_slice(stored);
        text.extend_from_slice(password);
        pass::send(self.channel.as_fd(), &text, &[])
    }

    /// The verdict of the last question. None: it has none yet. Err: it is gone.
    pub fn answer(&self) -> Option<Result<bool, Errno>> {
        let mut text = [0; 1];
        match pass::receive(self.channel.as_fd(), &mut text) {
            Err(Errno::EAGAIN) => None,
            Ok((1.., _)) => Some(Ok(text == [1])),
            Ok((0, _)) => Some(Err(Errno::EPIPE)),
            Err(e) => Some(Err(e)),
        }
    }
}

/// The life of the helper.
fn serve(channel: BorrowedFd<'_>, verify: Verify) {
    helper::detach(channel, c"webserv-hash");
    // A loop that is nicer still stays so.
    let _ = process::set_priority(NICE);
    let mut text = vec![0; 4 + 2 * LARGEST];
    while file::wait_readable(channel, u32::MAX).is_ok() {
        let got = match pass::receive(channel, &mut text) {
            Err(Errno::EAGAIN) => continue,
            Ok((got @ 1.., _)) => got,
            Ok((0, _)) | Err(_) => return,
        };
        let question = text.get(..got).and_then(|text| text.split_first_chunk::<4>());
        let question = question.and_then(|(len, rest)| rest.split_at_checked(u32::from_le_bytes(*len) as usize));
        helper::alarm(LONGEST);
        let is_right = question.is_some_and(|(stored, password)| verify(stored, password));
        helper::alarm(0);
        if pass::send(channel, &[u8::from(is_right)], &[]).is_err() {
            return;
        }
    }
}

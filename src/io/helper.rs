//! A child process that computes answers which would block the event loop. It is forked, not executed, since a
//! sandboxed process may not call exec. It keeps only its end of a channel open and exits when the other end is closed.
//! It takes one question at a time.

use crate::sys::process::helper;
use crate::sys::socket::pass::{self, Message};
use crate::sys::{Errno, file, process};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The most bytes of a question, and of an answer.
pub const LARGEST: usize = 4096;
/// A higher nice value than the event loop's, which so has precedence where both share a processor.
const NICE: i32 = 10;

/// This process's end of the channel; the child ends when it is dropped.
pub struct Helper {
    channel: OwnedFd,
}

impl Helper {
    /// `name` is shown by ps. The child is killed by its own alarm when an answer takes longer than `seconds`.
    ///
    /// # Errors
    /// No socket, no memory, or no more processes.
    pub fn start(name: &CStr, seconds: u32, answer: impl Fn(&[u8]) -> Vec<u8>) -> Result<Helper, Errno> {
        let (ours, theirs) = pass::pair()?;
        if process::fork()?.is_none() {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                helper::detach(theirs.as_fd(), name);
                // Fails where the nice value is higher already: then it stays so.
                let _ = process::set_priority(NICE);
                serve(theirs.as_fd(), seconds, answer);
            }));
            // The state inherited from the parent must not be dropped here.
            process::leave(i32::from(outcome.is_err()));
        }
        Ok(Helper { channel: ours })
    }

    /// Readable when an answer has come, or the child has ended.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    /// # Errors
    /// EPIPE: the helper has exited.
    pub fn ask(&self, question: &[u8]) -> Result<(), Errno> {
        pass::send(self.channel.as_fd(), question, &[])
    }

    /// The answer to the last question; None while there is none. Err: the helper has exited.
    pub fn answer(&self) -> Option<Result<Vec<u8>, Errno>> {
        let mut text = [0; LARGEST];
        match pass::receive(self.channel.as_fd(), &mut text) {
            Err(Errno::EAGAIN) => None,
            Ok(Message { len: 0, .. }) => Some(Err(Errno::EPIPE)),
            Ok(Message { len, .. }) => Some(Ok(text.get(..len).unwrap_or_default().to_vec())),
            Err(e) => Some(Err(e)),
        }
    }
}

/// The main loop of the helper.
fn serve(channel: BorrowedFd<'_>, seconds: u32, answer: impl Fn(&[u8]) -> Vec<u8>) {
    let mut text = vec![0; LARGEST];
    while file::wait_readable(channel, u32::MAX).is_ok() {
        let got = match pass::receive(channel, &mut text) {
            Err(Errno::EAGAIN) => continue,
            Ok(Message { len: 0, .. }) | Err(_) => return,
            Ok(Message { len, .. }) => len,
        };
        helper::alarm(seconds);
        let answer = answer(text.get(..got).unwrap_or_default());
        helper::alarm(0);
        if pass::send(channel, &answer, &[]).is_err() {
            return;
        }
    }
}

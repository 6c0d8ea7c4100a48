//! A child of this process that answers questions: forked, so that it needs no program (exec is forbidden where the loop is
//! confined); it keeps nothing open but its end of a channel, and ends when the other end is closed. One question at a
//! time: what takes long takes it there.

use crate::sys::process::helper;
use crate::sys::socket::pass;
use crate::sys::{Errno, file, process};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The most bytes of a question, and of an answer.
pub const LARGEST: usize = 4096;
/// Below the loop, which goes first where they share a processor.
const NICE: i32 = 10;

pub struct Helper {
    channel: OwnedFd,
}

impl Helper {
    /// `name`: what lists of processes show. It is ended by its own alarm where an answer takes longer than `seconds`.
    ///
    /// # Errors
    /// No socket, no memory, or no more processes.
    pub fn start(name: &CStr, seconds: u32, answer: impl Fn(&[u8]) -> Vec<u8>) -> Result<Helper, Errno> {
        let (ours, theirs) = pass::pair()?;
        if process::fork()?.is_none() {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                helper::detach(theirs.as_fd(), name);
                // A loop that is nicer still stays so.
                let _ = process::set_priority(NICE);
                serve(theirs.as_fd(), seconds, answer);
            }));
            // Nothing of the loop's state may be torn down here.
            process::leave(i32::from(outcome.is_err()));
        }
        Ok(Helper { channel: ours })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    /// # Errors
    /// EPIPE: it is gone.
    pub fn ask(&self, question: &[u8]) -> Result<(), Errno> {
        pass::send(self.channel.as_fd(), question, &[])
    }

    /// The answer to the last question. None: there is none yet. Err: the helper is gone.
    pub fn answer(&self) -> Option<Result<Vec<u8>, Errno>> {
        let mut text = [0; LARGEST];
        match pass::receive(self.channel.as_fd(), &mut text) {
            Err(Errno::EAGAIN) => None,
            Ok((got @ 1.., _)) => Some(Ok(text.get(..got).unwrap_or_default().to_vec())),
            Ok((0, _)) => Some(Err(Errno::EPIPE)),
            Err(e) => Some(Err(e)),
        }
    }
}

/// The life of the helper.
fn serve(channel: BorrowedFd<'_>, seconds: u32, answer: impl Fn(&[u8]) -> Vec<u8>) {
    let mut text = vec![0; LARGEST];
    while file::wait_readable(channel, u32::MAX).is_ok() {
        let got = match pass::receive(channel, &mut text) {
            Err(Errno::EAGAIN) => continue,
            Ok((got @ 1.., _)) => got,
            Ok((0, _)) | Err(_) => return,
        };
        helper::alarm(seconds);
        let answer = answer(text.get(..got).unwrap_or_default());
        helper::alarm(0);
        if pass::send(channel, &answer, &[]).is_err() {
            return;
        }
    }
}

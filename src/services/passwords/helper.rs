//! The process that computes slow hashes, one for each request.

use crate::io::helper::Helper;
use crate::sys::Errno;
use std::os::fd::BorrowedFd;

/// Whether the second is the password that the first stores.
pub type Verify = fn(&[u8], &[u8]) -> bool;

/// Most bytes of a stored hash, and of a password.
pub const LARGEST: usize = 1024;
/// Seconds that one hash may take; then the process is ended by its own alarm.
pub const LONGEST: u32 = 30;

pub struct Hasher {
    helper: Helper,
    /// The loop's epoll knows the channel.
    pub watched: bool,
}

impl Hasher {
    /// # Errors
    /// No socket, no memory, or no more processes.
    pub fn start(verify: Verify) -> Result<Hasher, Errno> {
        let helper = Helper::start(c"webserv-hash", LONGEST, move |question| {
            let split = question.split_first_chunk::<4>();
            let split = split.and_then(|(len, rest)| rest.split_at_checked(u32::from_le_bytes(*len) as usize));
            vec![u8::from(split.is_some_and(|(stored, password)| verify(stored, password)))]
        })?;
        Ok(Hasher { helper, watched: false })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.helper.fd()
    }

    /// # Errors
    /// EPIPE: the process has ended.
    pub fn ask(&self, stored: &[u8], password: &[u8]) -> Result<(), Errno> {
        let len = (stored.len() as u32).to_le_bytes();
        self.helper.ask(&[&len, stored, password].concat())
    }

    /// The verdict on the last password. None: not yet. Err: the process has ended.
    pub fn answer(&self) -> Option<Result<bool, Errno>> {
        self.helper.answer().map(|answer| answer.map(|text| text == [1]))
    }
}

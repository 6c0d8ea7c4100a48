//! The helper process that computes slow hashes, one per request.

use crate::io::helper::Helper;
use crate::sys::Errno;
use std::os::fd::BorrowedFd;

/// Whether the second argument is the password for the first, a stored hash.
pub type Verify = fn(&[u8], &[u8]) -> bool;

/// Maximum size of a stored hash, and of a password.
pub const LARGEST: usize = 1024;
/// Maximum seconds per hash; then the helper is ended by its own alarm.
pub const LONGEST: u32 = 30;

/// The helper's end of the channel.
pub struct Hasher {
    helper: Helper,
    /// Whether the loop's epoll watches the channel.
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

    /// Readable when a verdict has come.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.helper.fd()
    }

    /// # Errors
    /// EPIPE: the helper has exited.
    pub fn ask(&self, stored: &[u8], password: &[u8]) -> Result<(), Errno> {
        let len = (stored.len() as u32).to_le_bytes();
        self.helper.ask(&[&len, stored, password].concat())
    }

    /// The verdict on the last password. None: pending. Err: the helper has exited.
    pub fn answer(&self) -> Option<Result<bool, Errno>> {
        self.helper.answer().map(|answer| answer.map(|text| text == [1]))
    }
}

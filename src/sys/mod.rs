//! The only `unsafe` code of the crate: one function per system call. Descriptors are passed as `BorrowedFd` and
//! returned as `OwnedFd`, always close-on-exec; EINTR is retried; errors are [`Errno`]. No policy, no logging, nothing
//! that knows HTTP or the configuration. Every `unsafe` block has a SAFETY comment.

#![allow(unsafe_code)]
#![deny(clippy::undocumented_unsafe_blocks)]

pub mod aio;
pub mod clock;
pub mod epoll;
pub mod errno;
pub mod file;
pub mod inotify;
pub mod pcre2;
pub mod process;
pub mod random;
pub mod sandbox;
pub mod shared;
pub mod socket;
pub mod terminal;
pub mod timer;

pub use errno::Errno;

#[cfg(test)]
pub(crate) mod scratch;

/// The return types of C functions: negative means that errno is set.
trait Returned: Copy {
    fn failed(self) -> bool;
}

impl Returned for i32 {
    fn failed(self) -> bool {
        self < 0
    }
}

impl Returned for i64 {
    fn failed(self) -> bool {
        self < 0
    }
}

impl Returned for isize {
    fn failed(self) -> bool {
        self < 0
    }
}

/// Makes a call without retrying: the caller must see EINTR, or it cannot occur.
fn once<R: Returned>(call: impl FnOnce() -> R) -> Result<R, Errno> {
    let returned = call();
    if returned.failed() { Err(Errno::last()) } else { Ok(returned) }
}

/// Makes a call, and repeats it while it is interrupted. Our own signals arrive by signalfd, but a tracer or an
/// unblocked signal may still interrupt.
fn retry<R: Returned>(mut call: impl FnMut() -> R) -> Result<R, Errno> {
    loop {
        match once(&mut call) {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

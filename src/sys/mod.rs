//! The only `unsafe` of the crate: one function is one system call. Descriptors go in as `BorrowedFd` and come out as
//! `OwnedFd`, always close-on-exec; EINTR is retried; a failure is an [`Errno`]. No policy, no logging, nothing that
//! knows HTTP or the configuration. Every `unsafe` block says why it is sound.

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

/// What a C function returns: negative says "look at errno".
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

/// One call whose EINTR the caller must see (or which cannot fail so).
fn once<R: Returned>(call: impl FnOnce() -> R) -> Result<R, Errno> {
    let returned = call();
    if returned.failed() { Err(Errno::last()) } else { Ok(returned) }
}

/// One call, repeated while a signal interrupts it. Our own signals arrive by signalfd, but a tracer's stop or a
/// signal that is not blocked may still interrupt.
fn retry<R: Returned>(mut call: impl FnMut() -> R) -> Result<R, Errno> {
    loop {
        match once(&mut call) {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

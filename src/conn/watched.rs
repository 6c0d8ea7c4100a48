//! Which events epoll reports of a client's socket: readable from the first wait on, writable from the first time that
//! it took no more.
//!
//! Invariant: a connection that waits is watched, for writing too where its socket is not known to take bytes. (Most
//! connections never fill their socket. Watched for writing from the beginning, each of them would be reported once
//! more, as writable, as soon as it is watched.)

use crate::sys::Errno;
use crate::sys::epoll::{self, Epoll};
use std::os::fd::BorrowedFd;

/// A connection that is answered and closed at once is never watched. Events of clients' sockets are edge triggered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Watched {
    /// Not registered with epoll.
    No,
    /// Registered for EPOLLIN and EPOLLRDHUP.
    ForReading,
    /// Registered for EPOLLOUT as well.
    ForBoth,
}

impl Watched {
    /// Registers the events that are about to be waited for. `can_write`: the socket is known to accept bytes.
    pub fn extend(&mut self, epoll: &Epoll, fd: BorrowedFd<'_>, can_write: bool, token: u64) -> Result<(), Errno> {
        const READING: u32 = epoll::IN | epoll::RDHUP | epoll::ET;
        match (*self, can_write) {
            (Watched::ForBoth, _) | (Watched::ForReading, true) => return Ok(()),
            (Watched::No, true) => epoll.add(fd, READING, token)?,
            (Watched::No, false) => epoll.add(fd, READING | epoll::OUT, token)?,
            (Watched::ForReading, false) => epoll.modify(fd, READING | epoll::OUT, token)?,
        }
        *self = if can_write { Watched::ForReading } else { Watched::ForBoth };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::epoll::{Events, Timeout};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_is_writable_is_reported_only_after_it_was_not() {
        let (near, far) = UnixStream::pair().expect("socketpair");
        let epoll = Epoll::new().expect("epoll_create1");
        let mut events = Events::new();
        let mut watched = Watched::No;
        watched.extend(&epoll, near.as_fd(), true, 1).expect("epoll_ctl");
        assert_eq!((watched, epoll.wait(&mut events, Timeout::Now)), (Watched::ForReading, Ok(0)));
        // It became writable between the write that said no and this: that is reported all the same.
        watched.extend(&epoll, near.as_fd(), false, 1).expect("epoll_ctl");
        assert_eq!((watched, epoll.wait(&mut events, Timeout::Now)), (Watched::ForBoth, Ok(1)));
        watched.extend(&epoll, near.as_fd(), true, 1).expect("epoll_ctl");
        assert_eq!((watched, epoll.wait(&mut events, Timeout::Now)), (Watched::ForBoth, Ok(0)));
        drop(far);
        assert_eq!(epoll.wait(&mut events, Timeout::Now), Ok(1));
    }
}

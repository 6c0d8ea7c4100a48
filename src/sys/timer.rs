//! A kernel timer (timerfd) on the monotonic clock: readable once it has expired.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{Errno, retry};

/// timerfd_create(2) with CLOCK_MONOTONIC.
pub struct Timer(OwnedFd);

impl Timer {
    /// EMFILE if the process is out of descriptors.
    pub fn new() -> Result<Timer, Errno> {
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: no pointers are passed.
        let fd = retry(|| unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })?;
        // SAFETY: the kernel just gave us this descriptor; nothing else owns it.
        Ok(Timer(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// For epoll.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Arms the timer to expire once, in this many milliseconds, replacing an earlier setting. 0 disarms it.
    pub fn set(&self, millis: u32) -> Result<(), Errno> {
        let (seconds, rest) = (millis / 1000, millis % 1000);
        let at = libc::itimerspec {
            it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: libc::timespec { tv_sec: seconds.into(), tv_nsec: i64::from(rest) * 1_000_000 },
        };
        // SAFETY: `at` is a valid itimerspec for the time of the call; the old one is not wanted.
        retry(|| unsafe { libc::timerfd_settime(self.0.as_raw_fd(), 0, &at, std::ptr::null_mut()) }).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::super::epoll::{Epoll, Events, IN, Timeout};
    use super::*;

    #[test]
    fn a_timer_goes_off_once_and_not_where_it_is_taken_back() {
        let (epoll, timer) = (Epoll::new().expect("epoll_create1"), Timer::new().expect("timerfd_create"));
        epoll.add(timer.fd(), IN, 7).expect("add");
        let mut events = Events::new();
        let mut waited = |timeout| epoll.wait(&mut events, timeout).expect("epoll_wait");
        timer.set(3_600_000).expect("set");
        timer.set(0).expect("taken back");
        assert_eq!(waited(Timeout::Now), 0);
        timer.set(1).expect("set");
        assert_eq!(waited(Timeout::Millis(60_000)), 1);
        timer.set(3_600_000).expect("set again");
        assert_eq!(waited(Timeout::Now), 0, "what went off before is forgotten");
    }
}

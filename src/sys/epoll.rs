//! The process's only source of readiness events. A registration carries a token, which the kernel returns with its
//! events; callers define what tokens mean.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{Errno, once, retry};

/// There is something to read, or the end.
pub const IN: u32 = libc::EPOLLIN as u32;
/// There is room to write.
pub const OUT: u32 = libc::EPOLLOUT as u32;
/// The peer shut down its writing half.
pub const RDHUP: u32 = libc::EPOLLRDHUP as u32;
/// Reported even if not requested, like [`ERR`].
pub const HUP: u32 = libc::EPOLLHUP as u32;
/// The socket has an error; always reported.
pub const ERR: u32 = libc::EPOLLERR as u32;
/// Edge-triggered: an event reports a change, and the caller must remember it until EAGAIN.
pub const ET: u32 = libc::EPOLLET as u32;
/// Reports one event, then none until the registration is modified.
pub const ONESHOT: u32 = libc::EPOLLONESHOT as u32;

/// Maximum number of events fetched per wait; more stay in the kernel.
const BATCH: usize = 512;

/// How long [`Epoll::wait`] may sleep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timeout {
    /// Not at all.
    Now,
    /// At most that long.
    Millis(u32),
    /// Until an event comes.
    Never,
}

/// An epoll instance; a closed descriptor leaves it by itself.
pub struct Epoll(OwnedFd);

impl Epoll {
    /// epoll_create1(2), closed at exec.
    pub fn new() -> Result<Epoll, Errno> {
        // SAFETY: no pointers are passed.
        let fd = retry(|| unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel just gave us this descriptor; nothing else owns it.
        Ok(Epoll(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The epoll descriptor, for registration in another epoll: readable while events are pending.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Watches `fd` until it is deleted or its last duplicate is closed. EEXIST if it is watched already, EPERM for
    /// regular files.
    pub fn add(&self, fd: BorrowedFd<'_>, events: u32, token: u64) -> Result<(), Errno> {
        self.control(libc::EPOLL_CTL_ADD, fd, events, token)
    }

    /// Changes events and token. An edge-triggered registration reports its current state again.
    pub fn modify(&self, fd: BorrowedFd<'_>, events: u32, token: u64) -> Result<(), Errno> {
        self.control(libc::EPOLL_CTL_MOD, fd, events, token)
    }

    /// Events of `fd` already fetched into [`Events`] stay there, so tokens need a generation.
    pub fn delete(&self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    fn control(&self, operation: i32, fd: BorrowedFd<'_>, events: u32, token: u64) -> Result<(), Errno> {
        let mut event = libc::epoll_event { events, u64: token };
        // SAFETY: `event` is a valid epoll_event for the time of the call.
        retry(|| unsafe { libc::epoll_ctl(self.0.as_raw_fd(), operation, fd.as_raw_fd(), &mut event) })?;
        Ok(())
    }

    /// Refills `events` and returns their number. An interrupted wait (the process was stopped, or is traced) returns
    /// what is pending by then, so that the caller reads its clock again.
    pub fn wait(&self, events: &mut Events, timeout: Timeout) -> Result<usize, Errno> {
        let timeout = match timeout {
            Timeout::Now => 0,
            Timeout::Millis(millis) => i32::try_from(millis).unwrap_or(i32::MAX),
            Timeout::Never => -1,
        };
        events.ready = 0;
        let room = events.list.len() as i32;
        let list = events.list.as_mut_ptr();
        // SAFETY: the list is writable for `room` events.
        let wait = |timeout| once(|| unsafe { libc::epoll_wait(self.0.as_raw_fd(), list, room, timeout) });
        let waited = match wait(timeout) {
            Err(Errno::EINTR) => wait(0),
            waited => waited,
        };
        events.ready = match waited {
            Ok(count) => count as usize,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno),
        };
        Ok(events.ready)
    }
}

/// The events of one wait. Allocated once and reused.
pub struct Events {
    list: Box<[libc::epoll_event]>,
    ready: usize,
}

impl Events {
    /// Room for the events of one wait.
    pub fn new() -> Events {
        Events { list: vec![libc::epoll_event { events: 0, u64: 0 }; BATCH].into_boxed_slice(), ready: 0 }
    }

    /// Whether more events may be pending.
    pub fn is_full(&self) -> bool {
        self.ready == self.list.len()
    }

    /// Token and flags of each event.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.list.iter().take(self.ready).map(|event| (event.u64, event.events))
    }

    /// The event at `index`, for loops that must not hold a borrow.
    pub fn get(&self, index: usize) -> Option<(u64, u32)> {
        let event = self.list.get(index).filter(|_| index < self.ready)?;
        Some((event.u64, event.events))
    }
}

impl Default for Events {
    fn default() -> Events {
        Events::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    fn ready(epoll: &Epoll) -> Vec<(u64, u32)> {
        let mut events = Events::new();
        let count = epoll.wait(&mut events, Timeout::Now).expect("epoll_wait");
        let list: Vec<_> = events.iter().collect();
        assert_eq!(list.len(), count);
        assert_eq!(events.get(count), None);
        assert_eq!(events.get(0), list.first().copied());
        list
    }

    #[test]
    fn a_registration_reports_its_token_and_what_happened() {
        let epoll = Epoll::new().expect("epoll_create1");
        let (near, mut far) = UnixStream::pair().expect("socketpair");
        let token = 0xfedc_ba98_7654_3210;
        epoll.add(near.as_fd(), IN | RDHUP | ET, token).expect("add");
        assert_eq!(epoll.add(near.as_fd(), IN, 1), Err(Errno::EEXIST));
        assert_eq!(ready(&epoll), []);

        far.write_all(b"x").expect("write");
        assert_eq!(ready(&epoll), [(token, IN)]);
        assert_eq!(ready(&epoll), [], "an edge is reported once");

        epoll.modify(near.as_fd(), IN | OUT, 7).expect("modify");
        assert_eq!(ready(&epoll), [(7, IN | OUT)]);

        drop(far);
        let (_, flags) = ready(&epoll).first().copied().expect("the close is an event");
        assert_eq!(flags & (IN | HUP), IN | HUP);

        epoll.delete(near.as_fd()).expect("delete");
        assert_eq!(ready(&epoll), []);
        assert_eq!(epoll.delete(near.as_fd()), Err(Errno::ENOENT));
    }

    #[test]
    fn a_bounded_wait_ends_without_events() {
        let epoll = Epoll::new().expect("epoll_create1");
        let mut events = Events::default();
        assert_eq!(epoll.wait(&mut events, Timeout::Millis(1)), Ok(0));
    }

    #[test]
    fn a_wait_without_bound_ends_with_an_event() {
        let epoll = Epoll::new().expect("epoll_create1");
        let (near, _far) = UnixStream::pair().expect("socketpair");
        epoll.add(near.as_fd(), OUT, 1).expect("add");
        let mut events = Events::new();
        assert_eq!(epoll.wait(&mut events, Timeout::Never), Ok(1));
    }
}

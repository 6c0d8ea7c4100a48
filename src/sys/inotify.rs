//! Changes in directories, as reported by the kernel. One descriptor for all watches; reads never block.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{Errno, retry};

/// The content of a file in the directory was written or truncated.
pub const MODIFY: u32 = libc::IN_MODIFY;
/// Permissions, times, owner or link count changed: of an entry if the event has a name, otherwise of the watched
/// object itself.
pub const ATTRIB: u32 = libc::IN_ATTRIB;
/// A file open for writing was closed: it may have been written through a shared mapping.
pub const CLOSE_WRITE: u32 = libc::IN_CLOSE_WRITE;
/// An entry has left the directory.
pub const MOVED_FROM: u32 = libc::IN_MOVED_FROM;
/// An entry has come into the directory.
pub const MOVED_TO: u32 = libc::IN_MOVED_TO;
/// An entry was made.
pub const CREATE: u32 = libc::IN_CREATE;
/// An entry was removed.
pub const DELETE: u32 = libc::IN_DELETE;
/// The watched object was deleted or renamed.
pub const DELETE_SELF: u32 = libc::IN_DELETE_SELF;
/// The directory itself was moved.
pub const MOVE_SELF: u32 = libc::IN_MOVE_SELF;
/// Events were lost: anything may have changed. Belongs to no watch.
pub const Q_OVERFLOW: u32 = libc::IN_Q_OVERFLOW;
/// The watch ended: it was removed, or its object is gone.
pub const IGNORED: u32 = libc::IN_IGNORED;
/// For [`Inotify::add`]: does not follow a symbolic link.
pub const DONT_FOLLOW: u32 = libc::IN_DONT_FOLLOW;
/// For [`Inotify::add`]: ENOTDIR for anything but a directory.
pub const ONLYDIR: u32 = libc::IN_ONLYDIR;
/// For [`Inotify::add`]: the watch ends after its first event, which keeps the queue short even if it is seldom read.
pub const ONESHOT: u32 = libc::IN_ONESHOT;

/// The descriptor of all watches.
pub struct Inotify(OwnedFd);

/// Watch number and event mask, and the name of the entry; empty if the event is about the watched object itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event<'a> {
    /// As adding the watch returned it. -1: the queue overflowed, and events are lost.
    pub watch: i32,
    /// Bits such as [`CREATE`].
    pub mask: u32,
    /// The entry in the directory.
    pub name: &'a [u8],
}

impl Inotify {
    /// EMFILE if the user's limit of instances is reached.
    pub fn new() -> Result<Inotify, Errno> {
        // SAFETY: no pointers are passed.
        let fd = retry(|| unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) })?;
        // SAFETY: the kernel just gave us this descriptor; nothing else owns it.
        Ok(Inotify(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Watches the object at `path` for the events of `mask`, in addition to those already watched; returns the watch
    /// number. EACCES if it may not be read, ENOSPC if the user's limit of watches is reached.
    pub fn add(&self, path: &CStr, mask: u32) -> Result<i32, Errno> {
        let mask = mask | libc::IN_MASK_ADD;
        // SAFETY: `path` is a C string for the time of the call.
        retry(|| unsafe { libc::inotify_add_watch(self.0.as_raw_fd(), path.as_ptr(), mask) })
    }

    /// Removes a watch. EINVAL if it has ended already.
    pub fn remove(&self, watch: i32) -> Result<(), Errno> {
        // SAFETY: no pointers are passed.
        retry(|| unsafe { libc::inotify_rm_watch(self.0.as_raw_fd(), watch) }).map(|_| ())
    }

    /// For epoll: readable while there are events.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Reads as many complete events as fit; EAGAIN if there are none. `into` must have room for at least one (272
    /// bytes).
    pub fn read(&self, into: &mut [u8]) -> Result<usize, Errno> {
        let (at, room) = (into.as_mut_ptr(), into.len());
        // SAFETY: `into` is writable for its length.
        retry(|| unsafe { libc::read(self.0.as_raw_fd(), at.cast(), room) }).map(|n| n as usize)
    }
}

/// Parses the bytes from [`Inotify::read`].
pub fn events(mut bytes: &[u8]) -> impl Iterator<Item = Event<'_>> {
    /// watch, mask, cookie, length of the name; each four bytes.
    const HEAD: usize = 16;
    std::iter::from_fn(move || {
        let (head, rest) = bytes.split_at_checked(HEAD)?;
        let word = |at: usize| head.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
        // Padded with NULs.
        let (name, rest) = rest.split_at_checked(word(12)? as usize)?;
        let name = name.split(|b| *b == 0).next().unwrap_or_default();
        bytes = rest;
        Some(Event { watch: word(0)?.cast_signed(), mask: word(4)?, name })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::scratch::Scratch;

    #[test]
    fn a_change_in_a_directory_is_told_once() {
        let dir = Scratch::new();
        let inotify = Inotify::new().expect("inotify_init1");
        let watch = inotify.add(&dir.join(""), CREATE | ATTRIB | ONLYDIR).expect("a directory can be watched");
        let mut buf = [0; 4096];
        assert_eq!(inotify.read(&mut buf), Err(Errno::EAGAIN));
        dir.write("a", b"x");
        let len = inotify.read(&mut buf).expect("an event");
        let seen: Vec<_> = events(&buf[..len]).collect();
        assert_eq!(seen, [Event { watch, mask: CREATE, name: b"a" }]);
        assert_eq!(inotify.read(&mut buf), Err(Errno::EAGAIN));
        inotify.remove(watch).expect("it was watched");
        let len = inotify.read(&mut buf).expect("the end of the watch");
        assert_eq!(events(&buf[..len]).next(), Some(Event { watch, mask: IGNORED, name: b"" }));
        assert_eq!(inotify.remove(watch), Err(Errno::EINVAL));
    }

    #[test]
    fn a_watch_for_one_event_tells_one() {
        let dir = Scratch::new();
        let inotify = Inotify::new().expect("inotify_init1");
        let add = || inotify.add(&dir.join(""), CREATE | ONLYDIR | ONESHOT).expect("a directory can be watched");
        let (first, again) = (add(), add());
        assert_eq!(first, again, "it is watched already");
        dir.write("a", b"x");
        dir.write("b", b"x");
        let mut buf = [0; 4096];
        let len = inotify.read(&mut buf).expect("an event");
        let seen: Vec<_> = events(&buf[..len]).map(|event| (event.watch, event.mask, event.name.len())).collect();
        assert_eq!(seen, [(first, CREATE, 1), (first, IGNORED, 0)]);
        assert_ne!(add(), first, "numbers are not given again soon");
    }

    #[test]
    fn cut_events_are_none() {
        let mut bytes = vec![0; 32];
        bytes[12] = 16;
        for cut in 0..bytes.len() {
            assert_eq!(events(&bytes[..cut]).count(), 0, "{cut}");
        }
        assert_eq!(events(&bytes).count(), 1);
    }
}

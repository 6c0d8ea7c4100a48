//! fsync by kernel workers (io_submit, Linux 4.18): the caller continues, and an eventfd reports completion. io_uring
//! can do it too, but many containers that allow this forbid it.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{Errno, retry};

/// Maximum number of calls in flight; more get EAGAIN.
const DEPTH: u32 = 256;
/// Maximum number of results fetched per call.
const BATCH: usize = 64;
/// IOCB_CMD_FSYNC and IOCB_FLAG_RESFD of linux/aio_abi.h.
const FSYNC: u16 = 2;
const RESFD: u32 = 1;

/// The kernel's `struct iocb`.
#[repr(C)]
#[derive(Default)]
struct Iocb {
    data: u64,
    key_and_flags: u64,
    opcode: u16,
    priority: i16,
    fd: u32,
    buffer: u64,
    length: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    resfd: u32,
}

/// `struct io_event`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Event {
    data: u64,
    object: u64,
    result: i64,
    result2: i64,
}

const _: () = assert!(size_of::<Iocb>() == 64 && size_of::<Event>() == 32);

/// A context for asynchronous calls, and the eventfd that reports their completion.
pub struct Aio {
    context: u64,
    eventfd: OwnedFd,
}

impl Aio {
    /// ENOSYS if the kernel was built without it; EAGAIN if fs.aio-max-nr is exhausted.
    pub fn new() -> Result<Aio, Errno> {
        // SAFETY: no pointers are passed.
        let fd = retry(|| unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the kernel just gave us this descriptor; nothing else owns it.
        let eventfd = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut context: u64 = 0;
        // SAFETY: `context` is writable, and zero as the call wants it.
        retry(|| unsafe { libc::syscall(libc::SYS_io_setup, DEPTH, &raw mut context) })?;
        Ok(Aio { context, eventfd })
    }

    /// Readable when calls have completed.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }

    /// Submits an fsync of `fd`, which may be closed before it completes. `data` is returned with the completion.
    pub fn fsync(&self, fd: BorrowedFd<'_>, data: u64) -> Result<(), Errno> {
        let (fd, resfd) = (fd.as_raw_fd() as u32, self.eventfd.as_raw_fd() as u32);
        let mut call = Iocb { data, opcode: FSYNC, fd, flags: RESFD, resfd, ..Iocb::default() };
        let mut calls = [&raw mut call];
        // SAFETY: `calls` holds one pointer to a valid iocb; the kernel copies it before the call returns, and an
        // fsync has no buffer.
        retry(|| unsafe { libc::syscall(libc::SYS_io_submit, self.context, 1, calls.as_mut_ptr()) })?;
        Ok(())
    }

    /// Calls `tell` for each completed call; does not wait for others.
    pub fn ended(&self, mut tell: impl FnMut(u64, Result<(), Errno>)) -> Result<(), Errno> {
        let mut count = [0u8; 8];
        // Only resets the eventfd; completions are fetched below. EAGAIN: nothing was signalled.
        let _ = super::file::read(self.eventfd.as_fd(), &mut count);
        loop {
            let mut events = [Event::default(); BATCH];
            let mut zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: `events` is writable for BATCH events, `zero` is a valid timespec.
            let got = retry(|| unsafe {
                libc::syscall(libc::SYS_io_getevents, self.context, 0, BATCH, events.as_mut_ptr(), &raw mut zero)
            })? as usize;
            for event in events.iter().take(got) {
                let result = if event.result < 0 { Err(Errno(-event.result as i32)) } else { Ok(()) };
                tell(event.data, result);
            }
            if got < BATCH {
                return Ok(());
            }
        }
    }
}

impl Drop for Aio {
    fn drop(&mut self) {
        // SAFETY: the context is ours, and it is not used after this.
        let _ = retry(|| unsafe { libc::syscall(libc::SYS_io_destroy, self.context) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::file;
    use crate::sys::scratch::Scratch;

    #[test]
    fn an_fsync_ends_by_itself() {
        let Ok(aio) = Aio::new() else { return }; // not in every kernel
        let scratch = Scratch::new();
        scratch.write("file", b"content");
        let file = file::open_at(None, &scratch.join("file"), file::O_RDWR, 0).expect("opens");
        for (fd, data) in [(file.as_fd(), 7), (scratch.fd().as_fd(), 8)] {
            aio.fsync(fd, data).expect("io_submit");
        }
        let mut ended = Vec::new();
        while ended.len() < 2 {
            let epoll = crate::sys::epoll::Epoll::new().expect("epoll");
            epoll.add(aio.fd(), crate::sys::epoll::IN, 1).expect("epoll_ctl");
            epoll
                .wait(&mut crate::sys::epoll::Events::new(), crate::sys::epoll::Timeout::Millis(10_000))
                .expect("epoll_wait");
            aio.ended(|data, result| ended.push((data, result))).expect("io_getevents");
        }
        ended.sort_by_key(|(data, _)| *data);
        assert_eq!(ended, [(7, Ok(())), (8, Ok(()))]);
        let (read_end, _write_end) = file::pipe().expect("pipe2");
        assert_eq!(aio.fsync(read_end.as_fd(), 1), Err(Errno::EINVAL), "nothing to sync");
    }
}

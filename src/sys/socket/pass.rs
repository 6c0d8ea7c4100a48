//! Passes descriptors in messages between a process and its children (SCM_RIGHTS).
//!
//! Invariant: the descriptors that are received are the first ones of those that were sent, in their order; if some are
//! lost, [`Message::lost`] says so.

use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use crate::sys::{Errno, retry};

/// Maximum number of descriptors per message (the kernel's SCM_MAX_FD is 253).
pub const MOST: usize = 64;
/// Space for the control message header, in u64s for alignment; two descriptors take another one.
const HEADER: usize = 8;
const CONTROL: usize = HEADER + MOST / 2;

/// What has been received besides the bytes.
#[derive(Debug)]
pub struct Message {
    /// Number of bytes; 0 means the end.
    pub len: usize,
    /// The descriptors.
    pub fds: Vec<OwnedFd>,
    /// Further descriptors of the message are lost (MSG_CTRUNC): this process may not open more, or there were more
    /// than [`MOST`].
    pub lost: bool,
}

/// A connected pair of sockets that preserves message boundaries: close-on-exec, non-blocking.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut fds = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: `fds` is writable for two descriptors.
    retry(|| unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) })?;
    // SAFETY: the kernel just gave us both; nothing else owns them.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// Sends one message with at most [`MOST`] descriptors. EAGAIN if the receiver's queue is full.
pub fn send(to: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    if fds.len() > MOST {
        return Err(Errno::E2BIG);
    }
    send_all(to, bytes, fds)
}

/// As [`send`], for any number that the kernel takes.
fn send_all(to: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let numbers: Vec<i32> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let mut control = if fds.is_empty() { Vec::new() } else { vec![0u64; HEADER + fds.len().div_ceil(2)] };
    let slice = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: a msghdr of zeroes is valid: null pointers and lengths of zero.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = (&raw const slice).cast_mut();
    message.msg_iovlen = 1;
    if !numbers.is_empty() {
        let len = size_of_val(numbers.as_slice());
        message.msg_control = control.as_mut_ptr().cast();
        // SAFETY: computes from the length alone.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(len as u32) } as _;
        // SAFETY: `control` is writable, aligned and large enough for one header and the descriptors.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(len as u32) as _;
            ptr::copy_nonoverlapping(numbers.as_ptr().cast::<u8>(), libc::CMSG_DATA(header), len);
        }
    }
    // SAFETY: `message` describes memory that outlives the call.
    retry(|| unsafe { libc::sendmsg(to.as_raw_fd(), &message, libc::MSG_NOSIGNAL) })?;
    Ok(())
}

/// As [`send`], of more descriptors than [`receive`] has room for.
#[cfg(test)]
pub fn send_too_many(to: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    assert!(fds.len() > 2 * CONTROL, "there is room for these");
    send_all(to, bytes, fds)
}

/// Receives one message.
pub fn receive(from: BorrowedFd<'_>, into: &mut [u8]) -> Result<Message, Errno> {
    let mut control = [0u64; CONTROL];
    let slice = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // SAFETY: a msghdr of zeroes is valid: null pointers and lengths of zero.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = (&raw const slice).cast_mut();
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: `message` describes writable memory that outlives the call.
    let got = retry(|| unsafe { libc::recvmsg(from.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC) })?;
    let mut fds = Vec::new();
    // SAFETY: the kernel filled `control` up to msg_controllen; the macros stay within.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(&message) };
    while !header.is_null() {
        // SAFETY: not null, so a header within `control`; of SCM_RIGHTS the data are descriptors that are ours now.
        unsafe {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let bytes = (*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                for at in 0..bytes / size_of::<i32>() {
                    let number = ptr::read_unaligned(libc::CMSG_DATA(header).cast::<i32>().add(at));
                    fds.push(OwnedFd::from_raw_fd(number));
                }
            }
            header = libc::CMSG_NXTHDR(&message, header);
        }
    }
    Ok(Message { len: got as usize, fds, lost: message.msg_flags & libc::MSG_CTRUNC != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::file;
    use std::os::fd::AsFd;

    #[test]
    fn descriptors_arrive_with_their_message_and_the_end_is_seen() {
        let (one, other) = pair().expect("socketpair");
        let (reader, writer) = file::pipe().expect("pipe2");
        let mut into = [0; 16];
        assert_eq!(receive(other.as_fd(), &mut into).err(), Some(Errno::EAGAIN));
        send(one.as_fd(), b"two", &[writer.as_fd(), reader.as_fd()]).expect("sent");
        send(one.as_fd(), b"none", &[]).expect("sent");
        let Message { len, fds, lost } = receive(other.as_fd(), &mut into).expect("received");
        assert_eq!((into.get(..len), fds.len(), lost), (Some(&b"two"[..]), 2, false));
        file::write(fds[0].as_fd(), b"x").expect("it is the pipe");
        assert_eq!(file::read(reader.as_fd(), &mut [0; 4]), Ok(1));
        let Message { len, fds, lost } = receive(other.as_fd(), &mut into).expect("received");
        assert_eq!((len, fds.len(), lost), (4, 0, false));
        assert_eq!(send(one.as_fd(), b"x", &vec![reader.as_fd(); MOST + 1]), Err(Errno::E2BIG));
        drop(one);
        assert_eq!(receive(other.as_fd(), &mut into).expect("the end").len, 0);
    }

    /// They were missing in silence.
    #[test]
    fn descriptors_that_are_lost_are_reported_and_the_others_are_the_first_ones() {
        let (one, other) = pair().expect("socketpair");
        let (reader, writer) = file::pipe().expect("pipe2");
        let mut all = vec![reader.as_fd(); 2 * CONTROL + 1];
        all[0] = writer.as_fd();
        send_too_many(one.as_fd(), b"many", &all).expect("sent");
        let Message { len, fds, lost } = receive(other.as_fd(), &mut [0; 16]).expect("received");
        assert_eq!((len, lost), (4, true));
        assert!((MOST..all.len()).contains(&fds.len()), "{}", fds.len());
        file::write(fds[0].as_fd(), b"x").expect("the first one is the first one");
        assert_eq!(file::read(reader.as_fd(), &mut [0; 4]), Ok(1));
    }
}

//! Stream sockets: TCP over IPv4 and IPv6, and Unix. Every socket made here is non-blocking and close-on-exec; a write
//! to a closed peer is EPIPE, never a signal.

mod addr;
mod kept;
mod option;
pub mod pass;

use std::io::IoSlice;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

pub use addr::{Addr, Family, Peer};
pub use kept::KeptOptions;
pub use option::{
    TcpInfo, bind_address_no_port, bytes_unsent, defer_accept, fastopen, is_listening, is_shut_down, is_stream,
    is_v6only, keepalive, linger_reset, nodelay, notsent_lowat, rcvbuf, reuseaddr, reuseport, set_cloexec,
    set_nonblocking, sndbuf, take_error, tcp_info, v6only,
};

use super::{Errno, once, retry};
use addr::Raw;

/// Whether more data follows, so that the kernel may delay a partial packet (MSG_MORE).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum More {
    /// Nothing follows now: a partial packet is sent at once.
    No,
    /// More follows immediately.
    Yes,
    /// Nothing follows, ever: a transport with an end marker (TLS) sends it with these bytes.
    Last,
}

impl More {
    fn flags(self) -> libc::c_int {
        match self {
            More::No | More::Last => libc::MSG_NOSIGNAL,
            More::Yes => libc::MSG_NOSIGNAL | libc::MSG_MORE,
        }
    }
}

/// The result of starting a non-blocking connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Connect {
    /// It is connected already: Unix sockets are at once.
    Done,
    /// The socket becomes writable when it is decided; [`take_error`] returns the result.
    InProgress,
}

/// socket(2): a stream socket that is not bound yet.
pub fn socket(family: Family) -> Result<OwnedFd, Errno> {
    of_kind(family, libc::SOCK_STREAM)
}

/// A non-blocking, close-on-exec datagram socket: UDP, or Unix.
pub fn datagram(family: Family) -> Result<OwnedFd, Errno> {
    of_kind(family, libc::SOCK_DGRAM)
}

fn of_kind(family: Family, kind: libc::c_int) -> Result<OwnedFd, Errno> {
    let domain = match family {
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
        Family::Unix => libc::AF_UNIX,
    };
    let kind = kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers are passed.
    let fd = retry(|| unsafe { libc::socket(domain, kind, 0) })?;
    // SAFETY: the kernel just gave us this descriptor; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// EADDRINUSE also if a Unix socket's path exists, even without a listener.
pub fn bind(fd: BorrowedFd<'_>, addr: &Addr) -> Result<(), Errno> {
    let raw = Raw::new(addr)?;
    // SAFETY: `raw` holds an initialised address of the length it tells.
    retry(|| unsafe { libc::bind(fd.as_raw_fd(), raw.pointer(), raw.len()) })?;
    Ok(())
}

/// `backlog`: the number of completed connections waiting for accept, capped by net.core.somaxconn. May be called again
/// to change it.
pub fn listen(fd: BorrowedFd<'_>, backlog: i32) -> Result<(), Errno> {
    // SAFETY: no pointers are passed.
    retry(|| unsafe { libc::listen(fd.as_raw_fd(), backlog) })?;
    Ok(())
}

/// The next connection, non-blocking and close-on-exec. EAGAIN if none is waiting; ECONNABORTED if it was closed
/// meanwhile; EMFILE and ENFILE leave it in the backlog.
pub fn accept(fd: BorrowedFd<'_>) -> Result<(OwnedFd, Peer), Errno> {
    let mut raw = Raw::empty();
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let client = retry(|| {
        raw = Raw::empty();
        let (address, len) = raw.parts_mut();
        // SAFETY: both point into `raw`, which is writable; `len` tells its size.
        unsafe { libc::accept4(fd.as_raw_fd(), address, len, flags) }
    })?;
    // SAFETY: the kernel just gave us this descriptor; nothing else owns it.
    Ok((unsafe { OwnedFd::from_raw_fd(client) }, raw.peer()))
}

/// Starts connecting a non-blocking socket. EAGAIN from a Unix socket means that the backlog is full.
pub fn connect(fd: BorrowedFd<'_>, addr: &Addr) -> Result<Connect, Errno> {
    let raw = Raw::new(addr)?;
    // SAFETY: `raw` holds an initialised address of the length it tells.
    match once(|| unsafe { libc::connect(fd.as_raw_fd(), raw.pointer(), raw.len()) }) {
        Ok(_) => Ok(Connect::Done),
        // An interrupted connect continues in the background; retrying would return EALREADY.
        Err(Errno::EINPROGRESS | Errno::EINTR) => Ok(Connect::InProgress),
        Err(errno) => Err(errno),
    }
}

/// 0 is the peer's end of stream (or an empty `into`).
pub fn recv(fd: BorrowedFd<'_>, into: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: `into` is writable for its length.
    let got = retry(|| unsafe { libc::recv(fd.as_raw_fd(), into.as_mut_ptr().cast(), into.len(), 0) })?;
    Ok(got as usize)
}

/// Appends at most `max` bytes to the spare capacity of `into`, which is neither zeroed nor grown. 0 is the peer's end
/// of stream, so a call without spare capacity is ENOBUFS instead.
pub fn recv_into(fd: BorrowedFd<'_>, into: &mut Vec<u8>, max: usize) -> Result<usize, Errno> {
    let spare = into.spare_capacity_mut();
    let room = spare.len().min(max);
    if room == 0 {
        return Err(Errno::ENOBUFS);
    }
    // SAFETY: the spare capacity is writable for `room` bytes, and the kernel only writes there.
    let got = retry(|| unsafe { libc::recv(fd.as_raw_fd(), spare.as_mut_ptr().cast(), room, 0) })? as usize;
    // SAFETY: the kernel wrote `got` ≤ `room` bytes right after the present end, within the capacity.
    unsafe { into.set_len(into.len() + got) };
    Ok(got)
}

/// Reads what has arrived without consuming it.
pub fn peek(fd: BorrowedFd<'_>, into: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: `into` is writable for its length.
    let got = retry(|| unsafe { libc::recv(fd.as_raw_fd(), into.as_mut_ptr().cast(), into.len(), libc::MSG_PEEK) })?;
    Ok(got as usize)
}

/// Returns how many of `bytes` the kernel took.
pub fn send(fd: BorrowedFd<'_>, bytes: &[u8], more: More) -> Result<usize, Errno> {
    // SAFETY: `bytes` is readable for its length.
    let sent = retry(|| unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), more.flags()) })?;
    Ok(sent as usize)
}

/// [`send`] of parts that lie in different places, in order.
pub fn send_parts(fd: BorrowedFd<'_>, parts: &[IoSlice<'_>], more: More) -> Result<usize, Errno> {
    // SAFETY: a msghdr of zeroes is valid: null pointers and lengths of zero.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = parts.as_ptr().cast_mut().cast();
    message.msg_iovlen = parts.len() as _;
    // SAFETY: an IoSlice has the layout of an iovec; the parts are readable for their lengths, and outlive the call.
    let sent = retry(|| unsafe { libc::sendmsg(fd.as_raw_fd(), &message, more.flags()) })?;
    Ok(sent as usize)
}

/// [`send`] on a socket that may be blocking: EAGAIN if it would block.
pub fn send_now(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: `bytes` is readable for its length.
    let sent = retry(|| unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) })?;
    Ok(sent as usize)
}

/// Whether there is enough room to write: for TCP a third of the buffer. If not, epoll reports it once there is.
pub fn is_writable(fd: BorrowedFd<'_>) -> bool {
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: one pollfd, writable for the time of the call.
    let count = once(|| unsafe { libc::poll(&mut entry, 1, 0) });
    count != Ok(0)
}

/// Shuts down the writing direction; reading continues. ENOTCONN if the connection is gone.
pub fn shutdown_write(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: no pointers are passed.
    retry(|| unsafe { libc::shutdown(fd.as_raw_fd(), libc::SHUT_WR) })?;
    Ok(())
}

/// getsockname(2): the address that the socket is bound to.
pub fn local_addr(fd: BorrowedFd<'_>) -> Result<Addr, Errno> {
    let mut raw = Raw::empty();
    let (address, len) = raw.parts_mut();
    // SAFETY: both point into `raw`, which is writable; `len` tells its size.
    retry(|| unsafe { libc::getsockname(fd.as_raw_fd(), address, len) })?;
    raw.addr()
}

/// ENOTCONN if it is not connected (any more).
pub fn peer_addr(fd: BorrowedFd<'_>) -> Result<Addr, Errno> {
    let mut raw = Raw::empty();
    let (address, len) = raw.parts_mut();
    // SAFETY: both point into `raw`, which is writable; `len` tells its size.
    retry(|| unsafe { libc::getpeername(fd.as_raw_fd(), address, len) })?;
    raw.addr()
}

/// Takes ownership of a descriptor inherited from the parent (`NGINX=<fd>;`) and makes it close-on-exec. EBADF if the
/// number is not open, or is a standard stream. Call it once per number, before the process opens anything itself: the
/// result closes the descriptor when dropped.
pub fn inherit(number: i32) -> Result<OwnedFd, Errno> {
    if number <= libc::STDERR_FILENO {
        return Err(Errno::EBADF);
    }
    // SAFETY: no pointers are passed; on a number that is not open it fails with EBADF.
    retry(|| unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: the descriptor is open (the call above proved it) and, by this function's contract, has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests;

//! Socket options and descriptor flags, one function each.

use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use crate::sys::{Errno, retry};

pub(super) fn set<T: Copy>(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: T) -> Result<(), Errno> {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is readable for `len` bytes for the time of the call.
    retry(|| unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, ptr::from_ref(&value).cast(), len) })?;
    Ok(())
}

pub(super) fn get(fd: BorrowedFd<'_>, level: c_int, name: c_int) -> Result<c_int, Errno> {
    let mut value: c_int = 0;
    let mut len = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: `value` is writable for `len` bytes for the time of the call.
    retry(|| unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, ptr::from_mut(&mut value).cast(), &mut len) })?;
    Ok(value)
}

/// The kernel's int; larger values are clamped to its maximum.
fn int(value: u32) -> c_int {
    c_int::try_from(value).unwrap_or(c_int::MAX)
}

/// Parts of TCP_INFO: round-trip time and its variance in microseconds, congestion window in packets, receive window in
/// bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpInfo {
    /// Microseconds.
    pub rtt: u32,
    /// Microseconds.
    pub rttvar: u32,
    /// Packets.
    pub snd_cwnd: u32,
    /// Bytes.
    pub rcv_space: u32,
}

/// Takes the descriptor's number, since the caller does not own the connection. EOPNOTSUPP if it is not TCP.
pub fn tcp_info(number: i32) -> Result<TcpInfo, Errno> {
    // SAFETY: a tcp_info of zeroes is valid: plain integers.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    let at = ptr::from_mut(&mut info).cast();
    // SAFETY: `info` is writable for `len` bytes for the time of the call.
    retry(|| unsafe { libc::getsockopt(number, libc::IPPROTO_TCP, libc::TCP_INFO, at, &mut len) })?;
    Ok(TcpInfo {
        rtt: info.tcpi_rtt,
        rttvar: info.tcpi_rttvar,
        snd_cwnd: info.tcpi_snd_cwnd,
        rcv_space: info.tcpi_rcv_space,
    })
}

/// SO_REUSEADDR: allows binding while old connections of the address are in TIME_WAIT.
pub fn reuseaddr(fd: BorrowedFd<'_>, on: bool) -> Result<(), Errno> {
    set(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, c_int::from(on))
}

/// SO_REUSEPORT: allows several listeners on one address.
pub fn reuseport(fd: BorrowedFd<'_>, on: bool) -> Result<(), Errno> {
    set(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, c_int::from(on))
}

/// IPV6_V6ONLY: an IPv6 listener does not accept IPv4 clients. Call it before `bind`.
pub fn v6only(fd: BorrowedFd<'_>, on: bool) -> Result<(), Errno> {
    set(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, c_int::from(on))
}

/// IPV6_V6ONLY, of a socket of IPv6: it takes no IPv4.
pub fn is_v6only(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(get(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY)? != 0)
}

/// TCP_NODELAY. EOPNOTSUPP for Unix sockets.
pub fn nodelay(fd: BorrowedFd<'_>, on: bool) -> Result<(), Errno> {
    set(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, c_int::from(on))
}

/// IP_BIND_ADDRESS_NO_PORT: defers the choice of a port from bind to connect.
pub fn bind_address_no_port(fd: BorrowedFd<'_>, on: bool) -> Result<(), Errno> {
    set(fd, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, c_int::from(on))
}

/// TCP_DEFER_ACCEPT: the listener reports a client once it has sent data, or after about `seconds`. 0 disables it.
pub fn defer_accept(fd: BorrowedFd<'_>, seconds: u32) -> Result<(), Errno> {
    set(fd, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, int(seconds))
}

/// SO_KEEPALIVE and, if given, the idle seconds before the first probe, the seconds between probes, and the number of
/// probes until the connection counts as dead. Accepted sockets inherit it from the listener.
pub fn keepalive(
    fd: BorrowedFd<'_>,
    on: bool,
    idle: Option<u32>,
    interval: Option<u32>,
    count: Option<u32>,
) -> Result<(), Errno> {
    set(fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE, c_int::from(on))?;
    for (name, value) in [(libc::TCP_KEEPIDLE, idle), (libc::TCP_KEEPINTVL, interval), (libc::TCP_KEEPCNT, count)] {
        if let Some(value) = value {
            set(fd, libc::IPPROTO_TCP, name, int(value))?;
        }
    }
    Ok(())
}

/// SO_LINGER with zero seconds: closing discards what is unsent and sends a reset (nginx's
/// `reset_timedout_connection`).
pub fn linger_reset(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    set(fd, libc::SOL_SOCKET, libc::SO_LINGER, libc::linger { l_onoff: 1, l_linger: 0 })
}

/// SO_RCVBUF in bytes; the kernel doubles it and caps it at net.core.rmem_max.
pub fn rcvbuf(fd: BorrowedFd<'_>, bytes: u32) -> Result<(), Errno> {
    set(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, int(bytes))
}

/// SO_SNDBUF in bytes; the kernel doubles it and caps it at net.core.wmem_max.
pub fn sndbuf(fd: BorrowedFd<'_>, bytes: u32) -> Result<(), Errno> {
    set(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, int(bytes))
}

/// TCP_NOTSENT_LOWAT: the maximum number of unsent bytes in the kernel's buffer, not counting those in flight.
/// EOPNOTSUPP for Unix sockets.
pub fn notsent_lowat(fd: BorrowedFd<'_>, bytes: u32) -> Result<(), Errno> {
    set(fd, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, int(bytes))
}

/// TCP_FASTOPEN on a listener: at most `pending` connections that have not finished the handshake.
pub fn fastopen(fd: BorrowedFd<'_>, pending: u32) -> Result<(), Errno> {
    set(fd, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, int(pending))
}

/// SO_ACCEPTCONN: whether `fd` is a listening socket. ENOTSOCK if it is no socket.
pub fn is_listening(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(get(fd, libc::SOL_SOCKET, libc::SO_ACCEPTCONN)? != 0)
}

/// Whether a listening socket's reading direction was shut down, which ends it: of a Unix socket no option shows this.
/// One that does not listen (any more) counts too.
pub fn is_shut_down(fd: BorrowedFd<'_>) -> bool {
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
    // SAFETY: one pollfd, writable for the time of the call.
    let _ = retry(|| unsafe { libc::poll(&mut entry, 1, 0) });
    entry.revents & (libc::POLLRDHUP | libc::POLLHUP) != 0
}

/// SO_TYPE: whether `fd` is a stream socket. ENOTSOCK if it is no socket.
pub fn is_stream(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(get(fd, libc::SOL_SOCKET, libc::SO_TYPE)? == libc::SOCK_STREAM)
}

/// SO_ERROR: the error a non-blocking connect or an epoll `ERR` left behind; reading it clears it.
pub fn take_error(fd: BorrowedFd<'_>) -> Result<Option<Errno>, Errno> {
    Ok(match get(fd, libc::SOL_SOCKET, libc::SO_ERROR)? {
        0 => None,
        errno => Some(Errno(errno)),
    })
}

/// SIOCOUTQ: bytes the peer has not acknowledged (TCP) or read (Unix).
pub fn bytes_unsent(fd: BorrowedFd<'_>) -> Result<usize, Errno> {
    let mut count: c_int = 0;
    // SAFETY: TIOCOUTQ (the number of SIOCOUTQ) writes one int, to `count`.
    retry(|| unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCOUTQ, &mut count) })?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// O_NONBLOCK on the open file description: it affects everyone who shares that.
pub fn set_nonblocking(fd: BorrowedFd<'_>, on: bool) -> Result<(), Errno> {
    let on = libc::c_int::from(on);
    // SAFETY: `on` is readable for the time of the call.
    retry(|| unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONBIO, &raw const on) })?;
    Ok(())
}

/// FD_CLOEXEC: whether exec closes this descriptor.
pub fn set_cloexec(fd: BorrowedFd<'_>, on: bool) -> Result<(), Errno> {
    let flags = if on { libc::FD_CLOEXEC } else { 0 };
    // SAFETY: no pointers are passed. FD_CLOEXEC is the only descriptor flag there is, so nothing is overwritten.
    retry(|| unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, flags) })?;
    Ok(())
}

//! Saves the options of a listening socket and restores them. All processes that hold the socket share its options, and
//! accepted sockets inherit them. The sandbox lets a serving process change a few of them, and all if it may start
//! programs: a seccomp filter cannot see which descriptor a call is about.

use super::option;
use crate::sys::{Errno, retry};
use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Options that accepted sockets inherit, or that decide which packets arrive. For TCP_MAXSEG and TCP_WINDOW_CLAMP
/// getsockopt does not return the value that was set ([`default_of`]).
const KEPT: [(c_int, c_int); 31] = [
    (libc::SOL_SOCKET, libc::SO_LINGER),
    (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
    (libc::SOL_SOCKET, libc::SO_RCVLOWAT),
    (libc::SOL_SOCKET, libc::SO_RCVTIMEO),
    (libc::SOL_SOCKET, libc::SO_SNDTIMEO),
    (libc::SOL_SOCKET, libc::SO_PRIORITY),
    (libc::SOL_SOCKET, libc::SO_DONTROUTE),
    (libc::SOL_SOCKET, libc::SO_OOBINLINE),
    (libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE),
    (libc::SOL_SOCKET, libc::SO_PASSCRED),
    (libc::IPPROTO_TCP, libc::TCP_NODELAY),
    (libc::IPPROTO_TCP, libc::TCP_CORK),
    (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE),
    (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL),
    (libc::IPPROTO_TCP, libc::TCP_KEEPCNT),
    (libc::IPPROTO_TCP, libc::TCP_SYNCNT),
    (libc::IPPROTO_TCP, libc::TCP_LINGER2),
    (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT),
    (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT),
    (libc::IPPROTO_TCP, libc::TCP_FASTOPEN),
    (libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT),
    (libc::IPPROTO_TCP, libc::TCP_CONGESTION),
    (libc::IPPROTO_TCP, libc::TCP_MAXSEG),
    (libc::IPPROTO_TCP, libc::TCP_WINDOW_CLAMP),
    (libc::IPPROTO_IP, libc::IP_TOS),
    (libc::IPPROTO_IP, libc::IP_TTL),
    (libc::IPPROTO_IP, libc::IP_MINTTL),
    (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER),
    (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS),
    (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
    (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER),
];
/// Bytes of the longest value: the name of a congestion control, and a timeval.
const LONGEST: usize = 16;

/// The values of a socket's options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptOptions {
    values: Vec<((c_int, c_int), Vec<u8>)>,
    /// As getsockopt returns them: twice what was set.
    buffers: [Option<c_int>; 2],
}

impl KeptOptions {
    /// The present values; options that this kind of socket lacks are left out.
    pub fn of(fd: BorrowedFd<'_>) -> KeptOptions {
        let values = KEPT.iter().filter_map(|option| Some((*option, get(fd, *option).ok()?))).collect();
        let buffers = BUFFERS.map(|name| option::get(fd, libc::SOL_SOCKET, name).ok());
        KeptOptions { values, buffers }
    }

    /// Restores options whose value differs, and removes a packet filter. Returns whether anything differed.
    ///
    /// # Errors
    /// An option could not be restored, or the filter not be removed.
    pub fn restore(&self, fd: BorrowedFd<'_>) -> Result<bool, Errno> {
        // A locked filter cannot be removed; the options are restored nevertheless.
        let filter = option::set(fd, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, 0);
        let mut has_changed = filter.is_ok();
        for (option, value) in &self.values {
            if get(fd, *option)? != *value {
                has_changed = true;
                match default_of(*option) {
                    Some(default) => option::set(fd, option.0, option.1, default)?,
                    None => set(fd, *option, value)?,
                }
            }
        }
        for (name, value) in BUFFERS.into_iter().zip(self.buffers) {
            if let Some(value) = value
                && option::get(fd, libc::SOL_SOCKET, name)? != value
            {
                has_changed = true;
                option::set(fd, libc::SOL_SOCKET, name, value / 2)?;
                // Lets the kernel choose sizes again (possible since Linux 5.11).
                let _ = option::set(fd, libc::SOL_SOCKET, libc::SO_BUF_LOCK, 0);
            }
        }
        match filter {
            Err(e) if e != Errno::ENOENT => Err(e),
            _ => Ok(has_changed),
        }
    }
}

const BUFFERS: [c_int; 2] = [libc::SO_RCVBUF, libc::SO_SNDBUF];

/// The value that unsets an option whose getsockopt returns another value than was set.
fn default_of(option: (c_int, c_int)) -> Option<c_int> {
    match option {
        (libc::IPPROTO_TCP, libc::TCP_MAXSEG) => Some(0),
        // The largest value; a listening socket refuses 0.
        (libc::IPPROTO_TCP, libc::TCP_WINDOW_CLAMP) => Some(1 << 30),
        _ => None,
    }
}

fn get(fd: BorrowedFd<'_>, (level, name): (c_int, c_int)) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0_u8; LONGEST];
    let mut len = LONGEST as libc::socklen_t;
    // SAFETY: `value` is writable for `len` bytes for the time of the call.
    retry(|| unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &mut len) })?;
    value.truncate(len as usize);
    Ok(value)
}

fn set(fd: BorrowedFd<'_>, (level, name): (c_int, c_int), value: &[u8]) -> Result<(), Errno> {
    // SAFETY: `value` is readable for its length for the time of the call.
    retry(|| unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), value.len() as libc::socklen_t)
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Addr, Family, bind, linger_reset, listen, rcvbuf, socket};
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn what_another_process_set_on_a_shared_listening_socket_is_taken_back() {
        for (family, addr) in [
            (Family::V4, Addr::V4("127.0.0.1:0".parse().expect("an address"))),
            (Family::V6, Addr::V6("[::]:0".parse().expect("an address"))),
        ] {
            let Ok(fd) = socket(family) else { continue };
            if bind(fd.as_fd(), &addr).is_err() {
                continue;
            }
            listen(fd.as_fd(), 1).expect("listen");
            let fd = fd.as_fd();
            let before = KeptOptions::of(fd);
            assert_eq!(before.restore(fd), Ok(false));
            linger_reset(fd).expect("setsockopt");
            rcvbuf(fd, 2304).expect("setsockopt");
            for (level, name, value) in [
                (libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE, 1),
                (libc::IPPROTO_TCP, libc::TCP_MAXSEG, 100),
                (libc::IPPROTO_TCP, libc::TCP_WINDOW_CLAMP, 1),
                (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, 1),
                (libc::IPPROTO_IP, libc::IP_TTL, 1),
            ] {
                option::set(fd, level, name, value).expect("setsockopt");
            }
            // One instruction that drops every packet.
            let mut drop_all = libc::sock_filter { code: 6, jt: 0, jf: 0, k: 0 };
            let program = libc::sock_fprog { len: 1, filter: &raw mut drop_all };
            option::set(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, program).expect("setsockopt");
            assert_ne!(KeptOptions::of(fd), before);
            assert_eq!(before.restore(fd), Ok(true));
            let mut after = KeptOptions::of(fd);
            let clamp = (libc::IPPROTO_TCP, libc::TCP_WINDOW_CLAMP);
            for (option, value) in &mut after.values {
                if *option == clamp {
                    assert_eq!(*value, (1_i32 << 30).to_ne_bytes());
                    *value = 0_i32.to_ne_bytes().to_vec();
                }
            }
            assert_eq!(after, before);
            let gone = option::set(fd, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, 0);
            assert_eq!(gone, Err(Errno::ENOENT));
        }
    }
}

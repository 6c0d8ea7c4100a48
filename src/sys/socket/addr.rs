//! Addresses: where a socket listens or connects ([`Addr`]), and the peer of a connection ([`Peer`], small enough to be
//! stored in each), with conversions to and from the kernel's `sockaddr`.

use std::ffi::OsStr;
use std::fmt;
use std::mem::{self, offset_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr;

use crate::sys::Errno;

/// Address families.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Family {
    V4,
    V6,
    Unix,
}

/// The address to listen on or connect to. Formatted as in nginx: `0.0.0.0:80`, `[::]:80`, `unix:/run/x.sock`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Addr {
    V4(SocketAddrV4),
    V6(SocketAddrV6),
    /// A path; empty for an unnamed socket, starting with NUL for Linux's abstract names.
    Unix(PathBuf),
}

impl Addr {
    pub fn family(&self) -> Family {
        match self {
            Addr::V4(_) => Family::V4,
            Addr::V6(_) => Family::V6,
            Addr::Unix(_) => Family::Unix,
        }
    }

    /// `None` for Unix sockets.
    pub fn inet(&self) -> Option<SocketAddr> {
        match self {
            Addr::V4(addr) => Some((*addr).into()),
            Addr::V6(addr) => Some((*addr).into()),
            Addr::Unix(_) => None,
        }
    }

    /// `None` for Unix sockets.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Addr::V4(addr) => Some(IpAddr::V4(*addr.ip())),
            Addr::V6(addr) => Some(IpAddr::V6(*addr.ip())),
            Addr::Unix(_) => None,
        }
    }

    /// `None` for Unix sockets.
    pub fn port(&self) -> Option<u16> {
        match self {
            Addr::V4(addr) => Some(addr.port()),
            Addr::V6(addr) => Some(addr.port()),
            Addr::Unix(_) => None,
        }
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Addr::V4(addr) => addr.fmt(f),
            Addr::V6(addr) => addr.fmt(f),
            Addr::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<SocketAddr> for Addr {
    fn from(addr: SocketAddr) -> Addr {
        match addr {
            SocketAddr::V4(addr) => Addr::V4(addr),
            SocketAddr::V6(addr) => Addr::V6(addr),
        }
    }
}

/// The peer of a connection. Formatted as `$remote_addr`: the address without port, `unix:` for Unix sockets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Peer {
    octets: [u8; 16],
    port: u16,
    family: Family,
}

const _: () = assert!(size_of::<Peer>() <= 20);

impl Peer {
    /// The peer of a Unix socket, which usually has no name.
    pub const UNIX: Peer = Peer { octets: [0; 16], port: 0, family: Family::Unix };

    /// A client at an IP address.
    pub fn new(ip: IpAddr, port: u16) -> Peer {
        match ip {
            IpAddr::V4(ip) => {
                let [a, b, c, d] = ip.octets();
                let octets = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                Peer { octets, port, family: Family::V4 }
            }
            IpAddr::V6(ip) => Peer { octets: ip.octets(), port, family: Family::V6 },
        }
    }

    pub fn family(&self) -> Family {
        self.family
    }

    /// The address as reported by the socket: as in nginx, an IPv4 client of a dual-stack listener is `::ffff:a.b.c.d`.
    /// `None` for Unix sockets.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.family {
            Family::V4 => {
                let [a, b, c, d, ..] = self.octets;
                Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
            }
            Family::V6 => Some(IpAddr::V6(Ipv6Addr::from(self.octets))),
            Family::Unix => None,
        }
    }

    /// 0 for Unix sockets.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address in network byte order, 4 or 16 bytes (`$binary_remote_addr`); empty for Unix sockets,
    /// which that variable shows by name.
    pub fn octets(&self) -> &[u8] {
        match self.family {
            Family::V4 => &self.octets[..4],
            Family::V6 => &self.octets,
            Family::Unix => &[],
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip() {
            Some(ip) => ip.fmt(f),
            None => f.write_str("unix:"),
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(addr: SocketAddr) -> Peer {
        Peer::new(addr.ip(), addr.port())
    }
}

/// Any address in the kernel's form, with its length.
pub(super) struct Raw {
    storage: libc::sockaddr_storage,
    len: libc::socklen_t,
}

impl Raw {
    /// Space for an address of any family.
    pub(super) fn empty() -> Raw {
        // SAFETY: a sockaddr_storage of zeroes is valid: plain integers, family AF_UNSPEC.
        Raw { storage: unsafe { mem::zeroed() }, len: size_of::<libc::sockaddr_storage>() as libc::socklen_t }
    }

    /// ENAMETOOLONG for a Unix path over 107 bytes, EINVAL if it contains a NUL.
    pub(super) fn new(addr: &Addr) -> Result<Raw, Errno> {
        let mut raw = Raw::empty();
        raw.len = match addr {
            Addr::V4(addr) => {
                let inet = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: addr.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(addr.ip().octets()) },
                    sin_zero: [0; 8],
                };
                raw.put(inet);
                size_of::<libc::sockaddr_in>()
            }
            Addr::V6(addr) => {
                let inet = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: addr.port().to_be(),
                    sin6_flowinfo: addr.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: addr.ip().octets() },
                    sin6_scope_id: addr.scope_id(),
                };
                raw.put(inet);
                size_of::<libc::sockaddr_in6>()
            }
            Addr::Unix(path) => {
                let name = path.as_os_str().as_bytes();
                let mut unix = libc::sockaddr_un { sun_family: libc::AF_UNIX as libc::sa_family_t, sun_path: [0; 108] };
                // An abstract name is delimited by its length; a path ends with a NUL, which must fit.
                let (abstract_name, end) = match name {
                    [0, ..] => (true, name.len()),
                    _ => (false, name.len() + 1),
                };
                if end > unix.sun_path.len() {
                    return Err(Errno::ENAMETOOLONG);
                }
                if !abstract_name && name.contains(&0) {
                    return Err(Errno::EINVAL);
                }
                for (to, from) in unix.sun_path.iter_mut().zip(name) {
                    *to = *from as libc::c_char;
                }
                raw.put(unix);
                offset_of!(libc::sockaddr_un, sun_path) + end
            }
        } as libc::socklen_t;
        Ok(raw)
    }

    fn put<T: Copy>(&mut self, address: T) {
        const { assert!(size_of::<T>() <= size_of::<libc::sockaddr_storage>()) };
        const { assert!(align_of::<T>() <= align_of::<libc::sockaddr_storage>()) };
        // SAFETY: the storage is large and aligned enough for a T (asserted above), and any bytes are a valid storage.
        unsafe { ptr::from_mut(&mut self.storage).cast::<T>().write(address) }
    }

    fn get<T: Copy>(&self) -> T {
        const { assert!(size_of::<T>() <= size_of::<libc::sockaddr_storage>()) };
        const { assert!(align_of::<T>() <= align_of::<libc::sockaddr_storage>()) };
        // SAFETY: the storage is initialised, large and aligned enough (asserted above); T is one of the sockaddr
        // structs, which are plain integers.
        unsafe { ptr::from_ref(&self.storage).cast::<T>().read() }
    }

    /// For system calls; valid as long as `self` is.
    pub(super) fn pointer(&self) -> *const libc::sockaddr {
        ptr::from_ref(&self.storage).cast()
    }

    /// Bytes of the address.
    pub(super) fn len(&self) -> libc::socklen_t {
        self.len
    }

    /// The out-parameters of accept, getsockname and getpeername.
    pub(super) fn parts_mut(&mut self) -> (*mut libc::sockaddr, *mut libc::socklen_t) {
        (ptr::from_mut(&mut self.storage).cast(), &mut self.len)
    }

    /// EAFNOSUPPORT for a family that is neither IP nor Unix.
    pub(super) fn addr(&self) -> Result<Addr, Errno> {
        match i32::from(self.storage.ss_family) {
            libc::AF_INET => {
                let (ip, port) = self.v4();
                Ok(Addr::V4(SocketAddrV4::new(ip, port)))
            }
            libc::AF_INET6 => {
                let inet: libc::sockaddr_in6 = self.get();
                let ip = Ipv6Addr::from(inet.sin6_addr.s6_addr);
                let port = u16::from_be(inet.sin6_port);
                Ok(Addr::V6(SocketAddrV6::new(ip, port, inet.sin6_flowinfo, inet.sin6_scope_id)))
            }
            libc::AF_UNIX => {
                let unix: libc::sockaddr_un = self.get();
                let len = (self.len as usize).saturating_sub(offset_of!(libc::sockaddr_un, sun_path));
                let name: Vec<u8> = unix.sun_path.iter().take(len).map(|&byte| byte as u8).collect();
                // A path ends at its NUL; an abstract name starts with one and is delimited by the length.
                let end = match name.first() {
                    Some(0) => name.len(),
                    _ => name.iter().position(|&byte| byte == 0).unwrap_or(name.len()),
                };
                Ok(Addr::Unix(PathBuf::from(OsStr::from_bytes(name.get(..end).unwrap_or_default()))))
            }
            _ => Err(Errno::EAFNOSUPPORT),
        }
    }

    /// Never fails: families other than IP count as Unix, without a printable address.
    pub(super) fn peer(&self) -> Peer {
        match i32::from(self.storage.ss_family) {
            libc::AF_INET => {
                let (ip, port) = self.v4();
                Peer::new(IpAddr::V4(ip), port)
            }
            libc::AF_INET6 => {
                let inet: libc::sockaddr_in6 = self.get();
                Peer::new(IpAddr::V6(Ipv6Addr::from(inet.sin6_addr.s6_addr)), u16::from_be(inet.sin6_port))
            }
            _ => Peer::UNIX,
        }
    }

    fn v4(&self) -> (Ipv4Addr, u16) {
        let inet: libc::sockaddr_in = self.get();
        (Ipv4Addr::from(inet.sin_addr.s_addr.to_ne_bytes()), u16::from_be(inet.sin_port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inet(text: &str) -> Addr {
        Addr::from(text.parse::<SocketAddr>().expect("a literal address"))
    }

    #[test]
    fn an_address_prints_as_nginx_prints_it_and_survives_the_kernel_form() {
        let table = [
            (inet("0.0.0.0:80"), "0.0.0.0:80", Family::V4),
            (inet("127.0.0.1:65535"), "127.0.0.1:65535", Family::V4),
            (inet("[::]:80"), "[::]:80", Family::V6),
            (inet("[2001:db8::1]:8443"), "[2001:db8::1]:8443", Family::V6),
            (inet("[::ffff:1.2.3.4]:1"), "[::ffff:1.2.3.4]:1", Family::V6),
            (Addr::Unix("/run/web.sock".into()), "unix:/run/web.sock", Family::Unix),
            (Addr::Unix("\0abstract".into()), "unix:\0abstract", Family::Unix),
        ];
        for (addr, printed, family) in table {
            assert_eq!(addr.to_string(), printed);
            assert_eq!(addr.family(), family);
            assert_eq!(addr.ip().is_none(), family == Family::Unix);
            assert_eq!(addr.port().is_none(), family == Family::Unix);
            let raw = Raw::new(&addr).expect("encodes");
            assert_eq!(raw.addr().expect("decodes"), addr);
            assert_eq!(raw.peer().ip(), addr.ip());
            assert_eq!(raw.peer().port(), addr.port().unwrap_or(0));
        }
    }

    #[test]
    fn a_unix_path_the_kernel_cannot_hold_is_refused() {
        let table = [
            ("the longest path", "a".repeat(107), Ok(())),
            ("one byte more", "a".repeat(108), Err(Errno::ENAMETOOLONG)),
            ("the longest abstract name", format!("\0{}", "a".repeat(107)), Ok(())),
            ("a NUL inside a path", String::from("a\0b"), Err(Errno::EINVAL)),
        ];
        for (name, path, expected) in table {
            assert_eq!(Raw::new(&Addr::Unix(path.into())).map(|_| ()), expected, "{name}");
        }
        assert_eq!(Raw::empty().addr(), Err(Errno::EAFNOSUPPORT));
    }

    #[test]
    fn a_peer_prints_its_address_without_the_port() {
        let table: [(Peer, &str, &[u8]); 3] = [
            (Peer::new(IpAddr::from([10, 0, 0, 7]), 99), "10.0.0.7", &[10, 0, 0, 7]),
            (
                Peer::from("[::1]:4".parse::<SocketAddr>().expect("a literal address")),
                "::1",
                &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            ),
            (Peer::UNIX, "unix:", &[]),
        ];
        for (peer, printed, octets) in table {
            assert_eq!(peer.to_string(), printed);
            assert_eq!(peer.octets(), octets);
        }
    }
}

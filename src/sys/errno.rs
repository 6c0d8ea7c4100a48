//! The kernel's error numbers, with their names and nginx's format. What an error means for a request (ENOENT is a 404)
//! is decided elsewhere.

use std::collections::TryReserveError;
use std::ffi::CStr;
use std::fmt;
use std::io;

/// The error number of a failed system call. Formatted as at the end of nginx's log lines: `(2: No such file or
/// directory)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

macro_rules! errnos {
    ($($name:ident)*) => {
        impl Errno {
            $(pub const $name: Errno = Errno(libc::$name);)*

            /// The symbolic name in C, such as `"ENOENT"`; `None` for numbers that this server never handles.
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Errno::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

errnos! {
    E2BIG EACCES EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EAGAIN EALREADY EBADF EBUSY ECHILD ECONNABORTED ECONNREFUSED
    ECONNRESET EDESTADDRREQ EDQUOT EEXIST EFAULT EFBIG EHOSTDOWN EHOSTUNREACH EINPROGRESS EINTR EINVAL EIO EISCONN
    EISDIR ELOOP EMFILE EMLINK EMSGSIZE ENAMETOOLONG ENETDOWN ENETUNREACH ENFILE ENOBUFS ENODEV ENOENT ENOEXEC ENOLCK
    ENOMEM ENOPROTOOPT ENOSPC ENOSYS ENOTCONN ENOTDIR ENOTEMPTY ENOTSOCK ENXIO EOPNOTSUPP EPERM EPIPE EPROTO
    EPROTONOSUPPORT ERANGE EROFS ESPIPE ESRCH ESTALE ETIMEDOUT ETXTBSY EXDEV
}

impl Errno {
    /// The errno of this thread, as the last failing call left it.
    pub fn last() -> Errno {
        Errno(io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }

    /// The C library's message, without the number: `No such file or directory`.
    pub fn message(self) -> String {
        let mut text = [0u8; 256];
        // SAFETY: `text` is writable for the length given; strerror_r (the POSIX one, which `libc` binds) writes a
        // NUL-terminated string within it.
        unsafe { libc::strerror_r(self.0, text.as_mut_ptr().cast(), text.len()) };
        match CStr::from_bytes_until_nul(&text) {
            Ok(sentence) => sentence.to_string_lossy().into_owned(),
            Err(_) => String::from("Unknown error"),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Fast path: scanners cause thousands of these.
        if *self == Errno::ENOENT {
            return f.write_str("(2: No such file or directory)");
        }
        write!(f, "({}: {})", self.0, self.message())
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Errno({})", self.0),
        }
    }
}

impl std::error::Error for Errno {}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> io::Error {
        io::Error::from_raw_os_error(errno.0)
    }
}

/// An error that std generates itself (no number) becomes EINVAL: std does so for arguments that the kernel would
/// refuse, such as a NUL in a path.
impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Errno {
        error.raw_os_error().map_or(Errno::EINVAL, Errno)
    }
}

/// Memory that could not be had.
impl From<TryReserveError> for Errno {
    fn from(_: TryReserveError) -> Errno {
        Errno::ENOMEM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errno_prints_as_nginx_prints_it() {
        let table = [
            (Errno::ENOENT, "(2: No such file or directory)", "ENOENT"),
            (Errno::EACCES, "(13: Permission denied)", "EACCES"),
            (Errno::ENOSPC, "(28: No space left on device)", "ENOSPC"),
        ];
        for (errno, display, debug) in table {
            assert_eq!(errno.to_string(), display);
            assert_eq!(format!("{errno:?}"), debug);
        }
        assert_eq!(format!("{:?}", Errno(4095)), "Errno(4095)");
        assert!(Errno(4095).to_string().starts_with("(4095: "));
    }

    #[test]
    fn an_errno_survives_the_way_through_io_error() {
        assert_eq!(Errno::from(io::Error::from(Errno::EXDEV)), Errno::EXDEV);
        assert_eq!(Errno::from(io::Error::other("no number")), Errno::EINVAL);
    }
}

//! Lines for the person, or the script, that started the program. The macros of std panic when the terminal is closed
//! or the disk is full; here a failure is a value, and for standard error, where there is no one left to report it to,
//! ignored.

use crate::sys::{Errno, file};
use std::fmt;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};

/// Writes to standard output, all of it.
///
/// # Errors
/// The output is incomplete. A reader that closes its end early (`| head`) is not an error.
pub fn print(text: &[u8]) -> Result<(), Errno> {
    match write_all(std::io::stdout().as_fd(), text) {
        Err(Errno::EPIPE) => Ok(()),
        other => other,
    }
}

/// Writes the text to standard error unchanged.
pub fn complain(text: &str) {
    // There is no other place to report to.
    let _ = write_all(std::io::stderr().as_fd(), text.as_bytes());
}

/// A line on standard error, with one call, so that lines of several processes do not mix.
pub fn line(what: fmt::Arguments<'_>) {
    let mut text = Vec::with_capacity(128);
    // A Vec takes all that is written.
    let _ = text.write_fmt(what);
    text.push(b'\n');
    let _ = write_all(std::io::stderr().as_fd(), &text);
}

fn write_all(fd: BorrowedFd<'_>, mut rest: &[u8]) -> Result<(), Errno> {
    while !rest.is_empty() {
        match file::write(fd, rest) {
            Ok(0) => return Err(Errno::EIO),
            Ok(n) => rest = rest.get(n..).unwrap_or_default(),
            // A terminal that another program made non-blocking.
            Err(Errno::EAGAIN) => file::wait_writable(fd)?,
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::file::pipe;

    #[test]
    fn a_reader_that_is_gone_or_a_full_disk_is_an_error_and_no_panic() {
        let (reader, writer) = pipe().expect("pipe2");
        drop(reader);
        crate::sys::process::ignore_write_signals();
        assert_eq!(write_all(writer.as_fd(), b"text"), Err(Errno::EPIPE));
        let full = file::open_at(None, c"/dev/full", file::O_WRONLY, 0).expect("/dev/full");
        assert_eq!(write_all(full.as_fd(), b"text"), Err(Errno::ENOSPC));
        assert_eq!(write_all(full.as_fd(), b""), Ok(()));
    }
}

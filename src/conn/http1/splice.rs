//! Socket → pipe → file inside the kernel. The pipe is shared by the process and empty between two calls.

use crate::conn::transport::Transport;
use crate::services::Services;
use crate::sys::Errno;
use crate::sys::file::{self, SPLICE_MOVE};
use std::os::fd::{AsFd, BorrowedFd};

/// Bytes in flight at most: as much as an unprivileged pipe may hold.
const PIPE: usize = 1 << 20;

pub enum Moved {
    Bytes(u64),
    Nothing,
    End,
    /// Not possible here: the bytes have to be read and written.
    Refused,
    /// The file could not be written.
    Failed(Errno),
}

/// Moves up to `most` bytes, all that is there.
pub fn socket_to_file(transport: &mut Transport, target: BorrowedFd<'_>, most: u64, cx: &mut Services) -> Moved {
    if cx.pipe.is_none() {
        let Ok((read, write)) = file::pipe() else { return Moved::Failed(Errno::EMFILE) };
        // Smaller where the system forbids it: only slower.
        let _ = file::set_pipe_size(write.as_fd(), PIPE);
        cx.pipe = Some((read, write));
    }
    let Some((read, write)) = &cx.pipe else { return Moved::Nothing };
    let most = most.min(PIPE as u64) as usize;
    let got = match transport.splice_to(write.as_fd(), most) {
        Ok(0) => return Moved::End,
        Ok(n) => n,
        Err(Errno::EAGAIN) => return Moved::Nothing,
        // A filter of system calls; no byte is lost.
        Err(e) if file::is_missing(e) => return Moved::Refused,
        Err(_) => return Moved::End,
    };
    let mut left = got;
    while left > 0 {
        match file::splice(read.as_fd(), None, target, None, left, SPLICE_MOVE) {
            Ok(0) => break,
            Ok(n) => left -= n,
            // The file system does not take it: through the process, then.
            Err(e) if file::is_missing(e) => match by_hand(read.as_fd(), target, left, &mut cx.scratch) {
                Ok(n) => left -= n,
                Err(e) => {
                    cx.pipe = None;
                    return Moved::Failed(e);
                }
            },
            Err(e) => {
                // Bytes are left in the pipe: it is dropped, and a new one made next time.
                cx.pipe = None;
                return Moved::Failed(e);
            }
        }
    }
    if left > 0 {
        cx.pipe = None;
        return Moved::Failed(Errno::EIO);
    }
    Moved::Bytes(got as u64)
}

/// A piece of what is in the pipe, read and written.
fn by_hand(pipe: BorrowedFd<'_>, target: BorrowedFd<'_>, most: usize, scratch: &mut Vec<u8>) -> Result<usize, Errno> {
    scratch.clear();
    let read = file::read_into(pipe, scratch, most)?;
    let written = file::write_all(target, scratch);
    scratch.clear();
    written.map(|()| read)
}

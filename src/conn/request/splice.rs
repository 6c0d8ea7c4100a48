//! A raw body of known length goes socket → pipe → file inside the kernel: half the price of read and write. The pipe
//! is shared by the process and empty between two calls.

use crate::conn::io::{CloseReason, Io, Step};
use crate::conn::timers::Timer;
use crate::conn::transport::Transport;
use crate::conn::{Active, Turn};
use crate::exchange::{handlers, pace};
use crate::http::body_length::BodyLength;
use crate::services::Services;
use crate::sys::Errno;
use crate::sys::file::{self, SPLICE_MOVE};
use std::os::fd::{AsFd, BorrowedFd};

/// Bytes in flight at most: as much as an unprivileged pipe may hold.
const PIPE: usize = 1 << 20;

/// Bodies of less are as cheap by read and write.
const MIN_SPLICED: u64 = 64 << 10;

enum Moved {
    Bytes(u64),
    Nothing,
    End,
    /// Not possible here: the bytes have to be read and written.
    Refused,
    /// The file could not be written. These bytes of the body were taken from the socket nevertheless.
    Failed(Errno, u64),
}

/// Moves what has come of the body to the handler's file. None: not possible here, the bytes have to be read.
pub fn body(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Option<Step> {
    let Active { ex, handler, reader, .. } = active;
    let length = matches!(ex.request.head.body_length, BodyLength::Known(_));
    let left = reader.remaining().filter(|left| length && *left >= MIN_SPLICED)?;
    if !io.transport.is_raw() {
        return None;
    }
    let file = handlers::splice_target(handler, turn.cx)?;
    if !io.transport.can_read() {
        return Some(Step::Wait);
    }
    // All that the pipe takes: a bite cut to what is left of the budget costs as many calls as a whole one.
    let most = pace::open(ex.progress.pace.as_ref()) as u64;
    let cx = &mut *turn.cx;
    let (taken, written) = match socket_to_file(io.transport, file, left.min(most), cx) {
        Moved::Bytes(n) => {
            io.arm(Timer::Body, cx.now.ms + ex.location().settings.client.body_timeout.0);
            (n, Ok(n))
        }
        Moved::Failed(e, n) => (n, Err(e)),
        Moved::Nothing => return Some(Step::Wait),
        Moved::Refused => return None,
        Moved::End => return Some(Step::Close(CloseReason::ClientGone)),
    };
    // Also if they were not written: the next request begins behind the rest of the body.
    turn.budget.moved(taken as usize);
    pace::took(ex.progress.pace.as_mut(), taken as usize);
    if let Some(body) = &mut reader.body {
        body.skip(taken);
    }
    ex.progress.body_received += taken;
    ex.log.request_length += taken;
    if let Err(flow) = handlers::spliced(ex, handler, cx, written) {
        active.apply_flow(cx, flow);
    }
    Some(Step::Again)
}

/// Moves up to `most` bytes, all that is there.
fn socket_to_file(transport: &mut Transport, target: BorrowedFd<'_>, most: u64, cx: &mut Services) -> Moved {
    if cx.pipe.is_none() {
        // Without descriptors for it, it goes through the process.
        let Ok((read, write)) = file::pipe() else { return Moved::Refused };
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
        // Refused by a filter of system calls: no byte is lost.
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
                    return Moved::Failed(e, got as u64);
                }
            },
            Err(e) => {
                // Bytes are left in the pipe: it is dropped, and a new one made next time.
                cx.pipe = None;
                return Moved::Failed(e, got as u64);
            }
        }
    }
    if left > 0 {
        cx.pipe = None;
        return Moved::Failed(Errno::EIO, got as u64);
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

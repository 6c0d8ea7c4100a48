//! Writing: the queue of an exchange to the socket.

use crate::config::model::Level;
use crate::conn::Io;
use crate::exchange::Exchange;
use crate::exchange::flow::Pause;
use crate::exchange::send_queue::Segment;
use crate::services::Services;
use crate::sys::socket::{self, More};
use crate::sys::{Errno, file};
use std::os::fd::BorrowedFd;

pub enum Flushed {
    All,
    /// The socket takes no more for now.
    Blocked,
    /// The share of this turn is used up.
    Yield,
    Gone,
}

/// One sendfile at most: large bites are what makes big files cheap.
const BITE: u64 = 4 << 20;

pub fn flush(io: &mut Io<'_>, ex: &mut Exchange, cx: &mut Services) -> Flushed {
    if ex.out.is_empty() {
        return Flushed::All;
    }
    let sendfile = ex.here().settings.files.sendfile;
    let timeout = ex.here().settings.client.send_timeout.0;
    loop {
        let most = match allowance(ex, cx.now.ms) {
            Ok(most) => most,
            Err(until) => {
                ex.pause = Some(Pause { until, then: None });
                *io.deadline = until;
                return Flushed::Blocked;
            }
        };
        match ex.out.make(&mut cx.scratch) {
            Ok(used) => io.budget.bytes = io.budget.bytes.saturating_sub(used),
            Err(e) => {
                ex.report(cx, Level::Crit, format_args!("the body could not be read {e}"));
                return Flushed::Gone;
            }
        }
        let Some((segment, text, more)) = ex.out.front() else { return Flushed::All };
        if !io.ready.can_write() {
            return Flushed::Blocked;
        }
        if io.budget.bytes == 0 {
            return Flushed::Yield;
        }
        let more = if more { More::Yes } else { More::No };
        let is_file = matches!(segment, Segment::File { .. });
        let (wanted, result) = match segment {
            Segment::Text(range) => {
                let range = range.start..range.end.min(range.start.saturating_add(most));
                (range.len(), socket::send(io.fd, &text[range], more))
            }
            Segment::Shared(bytes, range) => {
                let range = range.start..range.end.min(range.start.saturating_add(most));
                (range.len(), socket::send(io.fd, &bytes[range], more))
            }
            // Made above.
            Segment::Made(_) => return Flushed::Gone,
            Segment::File { file, at, end } => {
                let wanted = (end - at).min(BITE).min(most as u64) as usize;
                let result = match file.fd() {
                    Some(source) if sendfile => file::sendfile(io.fd, source, *at, wanted),
                    Some(source) => copy(io.fd, source, *at, wanted, &mut cx.scratch, more),
                    None => Ok(0),
                };
                if result == Ok(0) {
                    let text = format!("file was truncated while sending: {} bytes were promised", file.stat.size);
                    ex.report(cx, Level::Error, format_args!("{text}"));
                    return Flushed::Gone;
                }
                (wanted, result)
            }
        };
        match result {
            Ok(n) => {
                ex.out.advance(n);
                io.budget.bytes = io.budget.bytes.saturating_sub(n);
                *io.deadline = cx.now.ms + timeout;
                // What did not fit: the socket is full. A file may stop for reasons of its own, so the socket is asked;
                // trying again would find room for a little, many times, where waiting brings a third of the buffer
                // (6 % of the CPU of 100 MiB).
                if n < wanted && (!is_file || !socket::is_writable(io.fd)) {
                    io.ready.no_write();
                }
            }
            Err(Errno::EAGAIN) => {
                io.ready.no_write();
                return Flushed::Blocked;
            }
            Err(_) => return Flushed::Gone,
        }
    }
}

/// Bytes that limit_rate lets go now; Err: none before then. nginx's rule: so many in each second begun since the
/// request, and what was sent is followed by the time it should have taken.
fn allowance(ex: &mut Exchange, now: u64) -> Result<usize, u64> {
    let Some(rate) = ex.limit_rate.filter(|rate| *rate > 0) else { return Ok(usize::MAX) };
    let sent = ex.out.sent().saturating_sub(ex.out_mark);
    let seconds = now.saturating_sub(ex.started) / 1000 + 1;
    let allowed = rate.saturating_mul(seconds).saturating_add(ex.limit_rate_after);
    if sent < allowed {
        return Ok(usize::try_from(allowed - sent).unwrap_or(usize::MAX));
    }
    Err(now + ((sent - allowed).saturating_mul(1000) / rate).max(1000 - now.saturating_sub(ex.started) % 1000))
}

/// `sendfile off`: through the scratch buffer.
fn copy(
    fd: BorrowedFd<'_>,
    source: BorrowedFd<'_>,
    at: u64,
    wanted: usize,
    scratch: &mut Vec<u8>,
    more: More,
) -> Result<usize, Errno> {
    scratch.clear();
    let most = wanted.min(scratch.capacity());
    let read = file::pread_into(source, scratch, most, at)?;
    let result = if read == 0 { Ok(0) } else { socket::send(fd, scratch, more) };
    scratch.clear();
    result
}

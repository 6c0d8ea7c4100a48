//! Writing: the queue of an exchange to the socket.

use super::Ready;
use super::drive::Budget;
use crate::config::model::Level;
use crate::exchange::Exchange;
use crate::exchange::out::Segment;
use crate::shared::Cx;
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
const BITE: u64 = 1 << 20;

pub fn flush(
    fd: BorrowedFd<'_>,
    ready: &mut Ready,
    ex: &mut Exchange,
    cx: &mut Cx,
    budget: &mut Budget,
    deadline: &mut u64,
) -> Flushed {
    if ex.out.is_empty() {
        return Flushed::All;
    }
    let sendfile = ex.here().settings.files.sendfile;
    let timeout = ex.here().settings.client.send_timeout.0;
    loop {
        let Some((segment, text, more)) = ex.out.front() else { return Flushed::All };
        if !ready.can_write() {
            return Flushed::Blocked;
        }
        if budget.written == 0 {
            return Flushed::Yield;
        }
        let more = if more { More::Yes } else { More::No };
        let (wanted, result) = match segment {
            Segment::Text(range) => (range.len(), socket::send(fd, &text[range.clone()], more)),
            Segment::Shared(bytes, range) => (range.len(), socket::send(fd, &bytes[range.clone()], more)),
            Segment::File { file, at, end } => {
                let wanted = (end - at).min(BITE) as usize;
                let result = match file.fd() {
                    Some(source) if sendfile => file::sendfile(fd, source, *at, wanted),
                    Some(source) => copy(fd, source, *at, wanted, &mut cx.scratch, more),
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
                let is_file = matches!(segment_kind(ex), Kind::File);
                ex.out.advance(n);
                budget.written = budget.written.saturating_sub(n);
                *deadline = cx.now.ms + timeout;
                // A text that did not fit: the socket is full. A file may stop for reasons of its own.
                if n < wanted && !is_file {
                    ready.no_write();
                }
            }
            Err(Errno::EAGAIN) => {
                ready.no_write();
                return Flushed::Blocked;
            }
            Err(_) => return Flushed::Gone,
        }
    }
}

enum Kind {
    Text,
    File,
}

fn segment_kind(ex: &mut Exchange) -> Kind {
    match ex.out.front() {
        Some((Segment::File { .. }, _, _)) => Kind::File,
        _ => Kind::Text,
    }
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

//! Writing: the queue of an exchange to the socket.

use crate::config::model::Level;
use crate::conn::Turn;
use crate::conn::io::{CloseReason, Io};
use crate::conn::timers::Timer;
use crate::conn::transport::file_part::FilePart;
use crate::exchange::flow::Pause;
use crate::exchange::send_queue::{Behind, PARTS, Segment};
use crate::exchange::{Exchange, Rx, Tx};
use crate::services::Services;
use crate::sys::Errno;
use crate::sys::socket::More;
use std::io::IoSlice;

/// How far [`flush`] came.
pub enum Flushed {
    /// The queue is empty: all that the exchange has made so far is with the kernel.
    All,
    /// The socket takes no more for now.
    Blocked,
    /// The share of this turn is used up.
    Yield,
    /// The connection cannot be written to any more.
    Gone(CloseReason),
}

/// Maximum bytes of a file sent by one call.
const BITE: u64 = 4 << 20;
/// Larger files are sent in pieces, a few for each connection in turn ([`crate::conn::io::Budget::pieces`]).
const LARGE: u64 = 1 << 20;
/// Bytes of a piece: the whole pages that fit into one TCP segment (64 KiB with its headers); the kernel splits larger
/// ones page by page. CPU time for a file of 4 MiB with 32 clients: 0.48 ms in pieces, 1.3 ms in one call; for 100 MiB
/// with four clients that discard it: 16 ms in pieces, 19 ms in one call, 20 ms with one piece per connection in turn.
/// Below [`LARGE`] one call is as cheap.
const PIECE: u64 = 60 << 10;

/// Sends what is queued, for as long as the socket takes it, limit_rate allows it and the turn has bytes left. Sets the
/// timer that the connection then waits for.
pub fn flush(io: &mut Io<'_>, ex: &mut Exchange, turn: &mut Turn<'_>) -> Flushed {
    if ex.out.is_empty() {
        return flush_transport(io);
    }
    let cx = &mut *turn.cx;
    let timeout = ex.location().settings.client.send_timeout.0;
    loop {
        let most = match allowance(ex, cx.now.ms) {
            Ok(most) => most,
            Err(until) => {
                ex.out.release_buffers();
                ex.progress.pause = Some(Pause { until, then: None });
                io.arm(Timer::Pause, until);
                return Flushed::Blocked;
            }
        };
        // What is made for a client that takes nothing only fills memory. But where the window is used up, the end of a
        // body may be all that is left, and that needs none (RFC 9113 §6.9.1).
        let may_end = io.transport.writable_stream().is_some() && ex.out.may_be_at_end();
        if io.transport.can_write() || may_end {
            match make(ex, cx) {
                Ok(used) => turn.budget.moved(used),
                Err(reason) => return Flushed::Gone(reason),
            }
        }
        if let Some(stream) = io.transport.writable_stream()
            && let Some(marker) = ex.out.marker()
        {
            stream.send_marker(marker);
            ex.out.pass_marker();
            continue;
        }
        if ex.out.front().is_none() {
            return flush_transport(io);
        }
        if !io.transport.can_write() {
            ex.out.release_buffers();
            // Made no further only because the time is over.
            let goes_on = may_end && ex.out.may_be_at_end();
            return if goes_on { Flushed::Yield } else { Flushed::Blocked };
        }
        if turn.budget.bytes == 0 {
            return Flushed::Yield;
        }
        // What is sealed costs several times what the kernel takes by itself: never more of it than the turn's share.
        let most = if io.transport.is_secure() { most.min(turn.budget.bytes) } else { most };
        match send_front(io, ex, cx, most) {
            Ok((n, piece)) => {
                ex.out.advance(n);
                turn.budget.moved(n);
                io.arm(Timer::Send, cx.now.ms + timeout);
                if piece && io.transport.can_write() {
                    turn.budget.pieces = turn.budget.pieces.saturating_sub(1);
                    if turn.budget.pieces == 0 {
                        return Flushed::Yield;
                    }
                }
            }
            Err(outcome) => return outcome,
        }
    }
}

/// Makes the next piece, where that must be made first. Gives the bytes of input that took.
fn make(ex: &mut Exchange, cx: &mut Services) -> Result<usize, CloseReason> {
    match ex.out.make(&mut cx.scratch, &mut cx.slice, cx.overload.piece()) {
        Ok(used) => {
            cx.overload.grow(used);
            Ok(used)
        }
        Err(e) => {
            ex.report(cx, Level::Crit, format_args!("the body could not be read {e}"));
            Err(CloseReason::CutShort)
        }
    }
}

/// Sends what is next, `most` bytes of it at most: bytes in memory, together where the transport can, or of a file.
/// Gives how many were taken, and whether they were a piece of a large file ([`PIECE`]).
fn send_front(io: &mut Io<'_>, ex: &mut Exchange, cx: &mut Services, most: usize) -> Result<(usize, bool), Flushed> {
    let sendfile = ex.location().settings.files.sendfile;
    // TLS's close_notify goes with the last piece.
    let ends = io.transport.is_secure()
        && ex.progress.tx == Tx::Done
        && ex.progress.rx == Rx::Done
        && !ex.out.keeps_connection()
        && !ex.out.is_cut();
    let last = if ends { More::Last } else { More::No };
    let sent = ex.out.response_sent();
    let mut parts = [IoSlice::new(b""); PARTS];
    let at_once = if io.transport.is_raw() { PARTS } else { 1 };
    let (count, behind) = ex.out.parts(most, &mut parts[..at_once]);
    if count > 0 {
        let more = match behind {
            Behind::More => More::Yes,
            Behind::Later => More::No,
            Behind::Nothing => last,
        };
        return taken(io.transport.send_parts(&parts[..count], more), false);
    }
    let Some((segment, more)) = ex.out.front() else { return Ok((0, false)) };
    let mut piece = false;
    let result = match segment {
        // Sent above.
        Segment::Text(_) | Segment::Shared(..) | Segment::Received(..) => Ok(0),
        // Its next piece is not made yet: the time slice of this turn is used up.
        Segment::Made { .. } => return Err(Flushed::Yield),
        // Nothing is framed for a stream that was reset: its request is given up.
        Segment::Head { .. } | Segment::End { .. } if io.transport.has_failed() => {
            return Err(Flushed::Gone(CloseReason::ClientGone));
        }
        Segment::Head { .. } | Segment::End { .. } => return Err(Flushed::Blocked),
        Segment::File { file, at, end } => {
            let left = *end - *at;
            piece = io.transport.is_raw() && sendfile && left > PIECE && left + sent > LARGE;
            let wanted = left.min(if piece { PIECE } else { BITE }).min(most as u64) as usize;
            let more = match more {
                true => More::Yes,
                false if wanted as u64 == left => last,
                false => More::No,
            };
            let result = match file.fd().map(|source| FilePart { source, at: *at, wanted }) {
                Some(part) if sendfile => io.transport.send_file(part, &mut cx.scratch, more),
                Some(part) => io.transport.send_copy(part, &mut cx.scratch, more),
                None => Ok(0),
            };
            if result == Ok(0) {
                let text = format!("file was truncated while sending: {} bytes were promised", file.stat.size);
                ex.report(cx, Level::Error, format_args!("{text}"));
                return Err(Flushed::Gone(CloseReason::CutShort));
            }
            result
        }
    };
    taken(result, piece)
}

/// What the transport took, as [`send_front`] gives it.
fn taken(result: Result<usize, Errno>, piece: bool) -> Result<(usize, bool), Flushed> {
    match result {
        Ok(n) => Ok((n, piece)),
        Err(Errno::EAGAIN) => Err(Flushed::Blocked),
        Err(_) => Err(Flushed::Gone(CloseReason::ClientGone)),
    }
}

/// What the transport has taken must be in the socket before the queue counts as flushed.
fn flush_transport(io: &mut Io<'_>) -> Flushed {
    match io.transport.flush() {
        Ok(()) => Flushed::All,
        Err(Errno::EAGAIN) => Flushed::Blocked,
        Err(_) => Flushed::Gone(CloseReason::ClientGone),
    }
}

/// Bytes that limit_rate lets go now; Err: none before then. nginx's rule: this many in each second begun since the
/// request, and what was sent is followed by the time it should have taken.
fn allowance(ex: &mut Exchange, now: u64) -> Result<usize, u64> {
    let Some(rate) = ex.progress.limit_rate.filter(|rate| *rate > 0) else { return Ok(usize::MAX) };
    let sent = ex.out.response_sent();
    let seconds = now.saturating_sub(ex.log.started) / 1000 + 1;
    let allowed = rate.saturating_mul(seconds).saturating_add(ex.progress.limit_rate_after);
    if sent < allowed {
        return Ok(usize::try_from(allowed - sent).unwrap_or(usize::MAX));
    }
    Err(now + ((sent - allowed).saturating_mul(1000) / rate).max(1000 - now.saturating_sub(ex.log.started) % 1000))
}

//! Reading: bodies go through the shared scratch buffer to the handler. Nothing is read that has no room.

use super::state::RequestReader;
use super::write::{self, Flushed};
use super::{respond, splice};
use crate::config::model::Level;
use crate::conn::io::{CloseReason, Io, Step};
use crate::conn::timers::Timer;
use crate::conn::transport::Transport;
use crate::conn::{Active, Turn};
use crate::exchange::flow::{Flow, Pause};
use crate::exchange::handlers::Handler;
use crate::exchange::{Exchange, Rx, Tx, body_limit, entry, handlers, pace, phases};
use crate::http::body_length::BodyLength;
use crate::http::body_reader::BodyReader;
use crate::http::fields::Fields;
use crate::http::reject::Reject;
use crate::http::status::Status;
use crate::services::{SCRATCH, Services};
use crate::sys::Errno;

/// Smallest room worth a system call.
pub const ROOM: usize = 512;

/// A head of more bytes may take as long as hundreds of short ones: regexes, lists, names to be compared.
const LONG: usize = 4 << 10;

/// What a read brought. An error counts as the end: no more will come.
pub enum ReadOutcome {
    /// Bytes were appended to the input.
    Some,
    /// EAGAIN: there is nothing to read for now.
    None,
    /// The client has closed its side, or the connection is broken.
    End,
}

/// Reads into the room there is.
pub fn receive(transport: &mut Transport, input: &mut Vec<u8>) -> ReadOutcome {
    let room = input.capacity() - input.len();
    match transport.recv(input, room) {
        Ok(0) => ReadOutcome::End,
        Ok(_) => ReadOutcome::Some,
        Err(Errno::EAGAIN) => ReadOutcome::None,
        Err(_) => ReadOutcome::End,
    }
}

/// The exchange has the head of a request, or what came of one that is refused: `answer` decides on it; the response is
/// queued, if there is one yet.
pub fn begin(
    io: &mut Io<'_>,
    active: &mut Active,
    turn: &mut Turn<'_>,
    answer: impl FnOnce(&mut Exchange, &mut Handler, &mut Services),
) {
    count_request(active, turn);
    answer(&mut active.ex, &mut active.handler, turn.cx);
    respond(active, turn.cx);
    arm(io, &active.ex, turn.cx);
}

fn count_request(active: &mut Active, turn: &mut Turn<'_>) {
    let cx = &mut *turn.cx;
    if active.ex.buf().len() > LONG {
        cx.slice.look();
    }
    active.reader.arrival.request(&mut cx.now);
    turn.budget.requests = turn.budget.requests.saturating_sub(1);
    cx.stats.reading = cx.stats.reading.saturating_sub(1);
    cx.stats.writing += 1;
}

/// How long the next step may take: the body's next bytes, or the first of the answer.
pub fn arm(io: &mut Io<'_>, ex: &Exchange, cx: &Services) {
    let client = &ex.location().settings.client;
    match ex.progress.rx {
        Rx::Body => io.arm(Timer::Body, cx.now.ms + client.body_timeout.0),
        _ => io.arm(Timer::Send, cx.now.ms + client.send_timeout.0),
    }
}

/// Body bytes for the handler: those that came with the head, then the socket's.
pub fn body(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, reader, .. } = active;
    send_continue(ex, reader);
    let invited = !ex.out.is_empty();
    match write::flush(io, ex, turn) {
        Flushed::All if invited => arm(io, ex, turn.cx),
        Flushed::All => {}
        Flushed::Blocked => return Step::Wait,
        Flushed::Yield => return Step::Yield,
        Flushed::Gone(reason) => return Step::Close(reason),
    }
    if let Some(pace) = &mut ex.progress.pace
        && let Err(until) = pace.allow(turn.cx.now.ms)
    {
        ex.progress.pause = Some(Pause { until, then: None });
        io.arm(Timer::Pause, until);
        return Step::Wait;
    }
    if ex.progress.replayed.is_some() {
        return replay(active, turn);
    }
    if !reader.has_more()
        && let Some(outcome) = splice::body(io, active, turn)
    {
        return outcome;
    }
    body_piece(io, active, turn)
}

/// Answers `Expect: 100-continue`: the body is wanted.
pub fn send_continue(ex: &mut Exchange, reader: &mut RequestReader) {
    if reader.expects_continue {
        reader.expects_continue = false;
        // Not for a client that did not wait for it, nor within a response.
        if !reader.has_more() && !reader.is_body_complete() && ex.progress.tx == Tx::Wait {
            ex.out.interim(Status::CONTINUE, &Fields::default());
        }
    }
}

/// One read of the body, for the handler.
pub fn body_piece(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, reader, .. } = active;
    // There is no body: what the buffer holds is the next request.
    if reader.is_body_complete() {
        return finish(active, turn.cx, &[]);
    }
    if let Some(why) = io.transport.take_fault() {
        if ex.progress.tx != Tx::Wait {
            return Step::Close(CloseReason::BrokenBody);
        }
        active.handler = Handler::None;
        entry::bad_body(ex, &mut active.handler, turn.cx, &why);
        respond(active, turn.cx);
        return Step::Again;
    }
    if let Some(step) = whole_body(io, active, turn) {
        return step;
    }
    let Active { ex, reader, .. } = active;
    let mut bytes = std::mem::take(&mut turn.cx.scratch);
    let step = match fill(io, ex, reader, &mut bytes, turn) {
        Filled::Bytes => {
            io.arm(Timer::Body, turn.cx.now.ms + ex.location().settings.client.body_timeout.0);
            decode(active, turn.cx, &mut bytes)
        }
        Filled::Nothing => Step::Wait,
        Filled::End if reader.body.as_mut().is_none_or(BodyReader::end) => finish(active, turn.cx, &[]),
        Filled::End | Filled::Broken => Step::Close(CloseReason::ClientGone),
    };
    bytes.clear();
    turn.cx.scratch = bytes;
    step
}

/// A whole body that came with its head, and nothing behind it, is handed on where it lies, with its buffer: to copy
/// 4 KiB took 400 instructions.
fn whole_body(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> Option<Step> {
    let Active { ex, reader, .. } = active;
    let (at, came) = (reader.at, reader.unread().len());
    let is_whole =
        matches!(ex.request.head.body_length, BodyLength::Known(_)) && reader.remaining() == Some(came as u64);
    if came == 0 || !is_whole {
        return None;
    }
    ex.progress.has_buffered_body = false;
    pace::took(ex.progress.pace.as_mut(), came);
    io.arm(Timer::Body, turn.cx.now.ms + ex.location().settings.client.body_timeout.0);
    let mut input = std::mem::take(&mut reader.input);
    let step = take_whole(active, turn.cx, &mut input, at);
    input.truncate(at);
    // The handler may have kept the buffer, and given another.
    active.reader.at = input.len();
    input.append(&mut active.reader.input);
    active.reader.input = input;
    Some(step)
}

/// As [`decode`], for a body of a known length, all of which is in `input` from `at` on.
fn take_whole(active: &mut Active, cx: &mut Services, input: &mut Vec<u8>, at: usize) -> Step {
    let Active { ex, handler, reader, .. } = active;
    let came = (input.len() - at) as u64;
    if let Some(body) = &mut reader.body {
        body.skip(came);
    }
    ex.log.request_length += came;
    ex.progress.body_received += came;
    match handlers::accept_whole(ex, handler, cx, (input, at)) {
        Ok(()) if reader.is_body_complete() => finish(active, cx, &[]),
        // The end of a stream may have yet to come.
        Ok(()) => Step::Again,
        Err(flow) => {
            active.apply_flow(cx, flow);
            Step::Again
        }
    }
}

/// The next piece of a body that was read before its handler began: the `replayed` of
/// [`Progress`](crate::exchange::progress::Progress).
fn replay(active: &mut Active, turn: &mut Turn<'_>) -> Step {
    let Active { ex, handler, .. } = active;
    let (Some(at), Some(body)) = (ex.progress.replayed, &ex.progress.body) else { return Step::Again };
    if at >= body.len() {
        (ex.progress.rx, ex.progress.replayed) = (Rx::Done, None);
        return complete(active, turn.cx);
    }
    let mut bytes = std::mem::take(&mut turn.cx.scratch);
    bytes.clear();
    let outcome = match body.read(at, SCRATCH, &mut bytes) {
        Ok(()) => {
            turn.budget.moved(bytes.len());
            ex.progress.replayed = Some(at + bytes.len() as u64);
            handlers::accept(ex, handler, turn.cx, &bytes)
        }
        Err(e) => {
            ex.report(turn.cx, Level::Crit, format_args!("the buffered body could not be read {e}"));
            Err(Flow::Status(Status::INTERNAL_SERVER_ERROR))
        }
    };
    bytes.clear();
    turn.cx.scratch = bytes;
    if let Err(flow) = outcome {
        // All of it is there for whatever comes next.
        (ex.progress.rx, ex.progress.replayed) = (Rx::Done, None);
        active.apply_flow(turn.cx, flow);
        return Step::Again;
    }
    if turn.budget.is_used_up() { Step::Yield } else { Step::Again }
}

/// What [`fill`] got.
pub enum Filled {
    /// At least one byte.
    Bytes,
    /// The body is complete, or there is nothing to read for now.
    Nothing,
    /// In order: a body without a length may be complete.
    End,
    /// Reset: no body is complete.
    Broken,
}

/// Reads the next body bytes into `bytes`: what is left in the input, then from the socket; no more than the remaining
/// body and the head of a next request may have.
pub fn fill(
    io: &mut Io<'_>,
    ex: &mut Exchange,
    reader: &mut RequestReader,
    bytes: &mut Vec<u8>,
    turn: &mut Turn<'_>,
) -> Filled {
    bytes.clear();
    if reader.has_more() {
        bytes.extend_from_slice(reader.unread());
        reader.input.truncate(reader.at);
        ex.progress.has_buffered_body = false;
        pace::took(ex.progress.pace.as_mut(), bytes.len());
        return Filled::Bytes;
    }
    if reader.is_body_complete() || !io.transport.can_read() {
        return Filled::Nothing;
    }
    bytes.reserve(SCRATCH);
    let length = matches!(ex.request.head.body_length, BodyLength::Known(_));
    let most = match reader.remaining() {
        // Room for more than there should be: a read that does not fill it says that the socket is empty.
        Some(left) if length => (left.min(SCRATCH as u64) as usize + ROOM).min(SCRATCH),
        _ => SCRATCH,
    };
    let most = most.min(pace::open(ex.progress.pace.as_ref()));
    match io.transport.recv(bytes, most) {
        Ok(0) => Filled::End,
        Ok(n) => {
            turn.budget.moved(n);
            pace::took(ex.progress.pace.as_mut(), n);
            reader.arrival.received();
            Filled::Bytes
        }
        Err(Errno::EAGAIN) => Filled::Nothing,
        Err(_) => Filled::Broken,
    }
}

/// Why a body is not taken to its end.
enum BodyFault {
    /// Its framing is wrong: where the next request begins is not known.
    Framing(Reject),
    /// It is refused.
    Refused(Flow),
}

impl From<Reject> for BodyFault {
    fn from(why: Reject) -> BodyFault {
        BodyFault::Framing(why)
    }
}

impl From<Flow> for BodyFault {
    fn from(flow: Flow) -> BodyFault {
        BodyFault::Refused(flow)
    }
}

/// Decodes `bytes` and hands them on; what follows the body goes back into the input.
fn decode(active: &mut Active, cx: &mut Services, bytes: &mut [u8]) -> Step {
    let Active { ex, handler, reader, .. } = active;
    let Some(body) = &mut reader.body else { return finish(active, cx, bytes) };
    let mut at = 0;
    let outcome = body.run(bytes, &mut at, |run| {
        ex.log.request_length += run.consumed as u64;
        ex.progress.body_received += run.data.len() as u64;
        body_limit::check_received(ex, cx, run.remaining)?;
        if !run.data.is_empty() {
            handlers::accept(ex, handler, cx, run.data)?;
        }
        Ok(())
    });
    let rest = bytes.get(at..).unwrap_or_default();
    match outcome {
        Ok(true) => finish(active, cx, rest),
        Ok(false) => Step::Again,
        // The response has begun: it cannot be replaced by another.
        Err(_) if ex.progress.tx != Tx::Wait => Step::Close(CloseReason::BrokenBody),
        Err(BodyFault::Framing(why)) => {
            *handler = Handler::None;
            entry::bad_body(ex, handler, cx, &why);
            respond(active, cx);
            Step::Again
        }
        Err(BodyFault::Refused(flow)) => {
            // The rest is thrown away; keep what may be the next request.
            reader.input.extend_from_slice(rest);
            active.apply_flow(cx, flow);
            Step::Again
        }
    }
}

fn finish(active: &mut Active, cx: &mut Services, rest: &[u8]) -> Step {
    let Active { ex, reader, .. } = active;
    reader.input.extend_from_slice(rest);
    ex.progress.rx = Rx::Done;
    ex.progress.trailers = reader.end_body();
    complete(active, cx)
}

/// The handler has the whole body.
fn complete(active: &mut Active, cx: &mut Services) -> Step {
    let Active { ex, handler, .. } = active;
    let flow = handlers::finish(ex, handler, cx);
    phases::apply_flow(ex, handler, cx, flow);
    respond(active, cx);
    Step::Again
}

//! A request's head as HTTP/1 brings it: read into the connection's buffer, parsed as far as it has come, and passed to
//! the exchange once it is complete or refused. From then on the request is one of any protocol
//! ([`super::super::request`]).

use crate::conn::io::{CloseReason, Io, Step};
use crate::conn::request::RequestReader;
use crate::conn::request::read::{self, ROOM, ReadOutcome};
use crate::conn::request::write::{self, Flushed};
use crate::conn::timers::Timer;
use crate::conn::transport::Transport;
use crate::conn::{Active, Turn};
use crate::exchange::handlers::Handler;
use crate::exchange::{Exchange, cacheable, entry};
use crate::http::h1::head::HeadProgress;
use crate::services::Services;

/// What reading a head leads to.
pub enum HeadStep {
    /// The head is incomplete, or complete and begun: what to do next.
    Step(Step),
    /// No request has begun and there is nothing to read.
    Idle,
}

/// The head of the next request: parsed as far as it is there.
pub fn step(io: &mut Io<'_>, active: &mut Active, turn: &mut Turn<'_>) -> HeadStep {
    let Active { ex, reader, http1, .. } = active;
    // A stream's request is begun by its connection.
    let Some(http1) = http1 else { return HeadStep::Step(Step::Close(CloseReason::Bug)) };
    match http1.parse(ex, reader) {
        Ok(HeadProgress::Complete) => {
            let seen = http1.seen.take();
            http1.hand_over(ex, reader);
            read::begin(io, active, turn, entry::begin);
            if let Some(hash) = seen {
                cacheable::learn(hash, None, &mut active.ex, turn.cx);
            }
            HeadStep::Step(Step::Again)
        }
        Err(why) => refuse(io, active, turn, |ex, handler, cx| entry::reject(ex, handler, cx, &why)),
        Ok(HeadProgress::Partial) => {
            // Responses to earlier requests are not held back for this one, and the time to send them is not added to
            // its own.
            let answers = !ex.out.is_empty();
            match write::flush(io, ex, turn) {
                Flushed::All if answers => {
                    io.arm(Timer::Header, turn.cx.now.ms + ex.location().settings.client.header_timeout.0);
                }
                Flushed::All => {}
                Flushed::Blocked => return HeadStep::Step(Step::Wait),
                Flushed::Yield => return HeadStep::Step(Step::Yield),
                Flushed::Gone(reason) => return HeadStep::Step(Step::Close(reason)),
            }
            if !io.transport.can_read() {
                return if reader.has_more() { HeadStep::Step(Step::Wait) } else { HeadStep::Idle };
            }
            if turn.cx.overload.refuses() && must_grow(reader) {
                // Clients that send long heads slowly would take all that is left.
                return refuse(io, active, turn, entry::turn_away);
            }
            let held = reader.input.capacity();
            let more = more(io.transport, reader);
            turn.cx.overload.grow(reader.input.capacity() - held);
            HeadStep::Step(match more {
                ReadOutcome::Some => Step::Again,
                ReadOutcome::None if !reader.has_more() => return HeadStep::Idle,
                ReadOutcome::None => Step::Wait,
                ReadOutcome::End => Step::Close(CloseReason::ClientGone),
            })
        }
    }
}

/// The request ends with what there is of its head: `answer` makes the response.
fn refuse(
    io: &mut Io<'_>,
    active: &mut Active,
    turn: &mut Turn<'_>,
    answer: impl FnOnce(&mut Exchange, &mut Handler, &mut Services),
) -> HeadStep {
    give_up(active);
    read::begin(io, active, turn, answer);
    HeadStep::Step(Step::Again)
}

/// No more of the head is read: the exchange has what came of it. A stream has no partial head: nothing is done.
pub fn give_up(active: &mut Active) {
    let Active { ex, reader, http1, .. } = active;
    if let Some(http1) = http1 {
        http1.hand_over_partial(ex, reader);
    }
}

/// Reads more of what comes before the first request's head: a header of the PROXY protocol, or the preface of HTTP/2.
pub fn before_head(transport: &mut Transport, reader: &mut RequestReader) -> Step {
    if !transport.can_read() {
        return Step::Wait;
    }
    match more(transport, reader) {
        ReadOutcome::Some => Step::Again,
        ReadOutcome::None => Step::Wait,
        ReadOutcome::End => Step::Close(CloseReason::ClientGone),
    }
}

/// Reads more of the request's head.
fn more(transport: &mut Transport, reader: &mut RequestReader) -> ReadOutcome {
    let RequestReader { input, at, .. } = reader;
    if input.capacity() - input.len() < ROOM {
        input.drain(..*at);
        *at = 0;
        if input.capacity() - input.len() < ROOM {
            input.reserve(input.capacity().max(ROOM));
        }
    }
    let more = read::receive(transport, input);
    if let ReadOutcome::Some = more {
        reader.arrival.received();
    }
    more
}

/// The head fills its buffer: to read more, that has to grow.
fn must_grow(reader: &RequestReader) -> bool {
    reader.has_more() && reader.input.capacity() - reader.unread().len() < ROOM
}

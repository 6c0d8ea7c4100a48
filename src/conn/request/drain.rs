//! A body that no handler takes, on a connection that is kept: read to its end and dropped, within bounds.

use super::read::{self, Filled};
use super::respond::DRAIN;
use super::state::RequestReader;
use crate::conn::Turn;
use crate::conn::io::{CloseReason, Io, Step};
use crate::conn::timers::Timer;
use crate::exchange::{Exchange, Rx};
use crate::http::body_reader::BodyReader;
use crate::http::reject::Reject;

/// A body that is not wanted, on a connection that is kept: read to its end.
pub fn step(io: &mut Io<'_>, ex: &mut Exchange, reader: &mut RequestReader, turn: &mut Turn<'_>) -> Step {
    if reader.is_body_complete() {
        reader.end_body();
        ex.progress.rx = Rx::Done;
        return Step::Answered;
    }
    let mut bytes = std::mem::take(&mut turn.cx.scratch);
    let step = match read::fill(io, ex, reader, &mut bytes, turn) {
        Filled::Nothing => Step::Wait,
        Filled::End | Filled::Broken => Step::Close(CloseReason::ClientGone),
        Filled::Bytes => {
            let cx = &mut *turn.cx;
            io.arm(Timer::Drain, cx.now.ms + ex.location().settings.client.lingering_timeout.0);
            if reader.drain_until == 0 {
                reader.drain_until = cx.now.ms + ex.location().settings.client.lingering_time.0;
            }
            // More bytes or a longer time than is spent on a body that is thrown away: the connection ends instead.
            let too_much =
                ex.response.status.0 >= 400 && ex.log.request_length > DRAIN || cx.now.ms > reader.drain_until;
            let mut at = 0;
            let mut skip = |body: &mut BodyReader| {
                body.run(&mut bytes, &mut at, |run| {
                    ex.log.request_length += run.consumed as u64;
                    Ok::<(), Reject>(())
                })
            };
            // The response is out; behind wrong framing the next request cannot be found.
            let ended = reader.body.as_mut().filter(|_| !too_much).and_then(|body| skip(body).ok());
            match ended {
                Some(false) => Step::Again,
                Some(true) => {
                    reader.end_body();
                    ex.progress.rx = Rx::Done;
                    reader.input.extend_from_slice(bytes.get(at..).unwrap_or_default());
                    Step::Answered
                }
                None => {
                    ex.out.end_connection();
                    Step::Answered
                }
            }
        }
    };
    bytes.clear();
    turn.cx.scratch = bytes;
    step
}

//! A body that no handler takes, on a connection that is kept: read to its end and dropped, within bounds.

use super::read::{self, Filled};
use super::respond::DRAIN;
use super::state::Http1;
use crate::conn::Turn;
use crate::conn::io::{CloseReason, Io, Step};
use crate::conn::timers::Timer;
use crate::exchange::{Exchange, Rx};
use crate::http::h1::body::Decoder;
use crate::http::reject::Reject;

/// A body that is not wanted, on a connection that is kept: read to its end.
pub fn step(io: &mut Io<'_>, ex: &mut Exchange, http1: &mut Http1, turn: &mut Turn<'_>) -> Step {
    if http1.is_body_complete() {
        http1.end_body();
        ex.rx = Rx::Done;
        return Step::Answered;
    }
    let mut bytes = std::mem::take(&mut turn.cx.scratch);
    let step = match read::fill(io, ex, http1, &mut bytes, turn) {
        Filled::Nothing => Step::Wait,
        Filled::End | Filled::Broken => Step::Close(CloseReason::ClientGone),
        Filled::Bytes => {
            let cx = &mut *turn.cx;
            io.arm(Timer::Drain, cx.now.ms + ex.here().settings.client.lingering_timeout.0);
            if http1.drain_until == 0 {
                http1.drain_until = cx.now.ms + ex.here().settings.client.lingering_time.0;
            }
            // More bytes or a longer time than is spent on a body that is thrown away: the connection ends instead.
            let too_much =
                ex.response.status.0 >= 400 && ex.log.request_length > DRAIN || cx.now.ms > http1.drain_until;
            let mut at = 0;
            let mut skip = |decoder: &mut Decoder| {
                decoder.run(&mut bytes, &mut at, |run| {
                    ex.log.request_length += run.consumed as u64;
                    Ok::<(), Reject>(())
                })
            };
            // The response is out; behind wrong framing the next request cannot be found.
            let ended = http1.decoder.as_mut().filter(|_| !too_much).and_then(|decoder| skip(decoder).ok());
            match ended {
                Some(false) => Step::Again,
                Some(true) => {
                    http1.end_body();
                    ex.rx = Rx::Done;
                    http1.input.extend_from_slice(bytes.get(at..).unwrap_or_default());
                    Step::Answered
                }
                None => {
                    ex.out.keep_alive = false;
                    Step::Answered
                }
            }
        }
    };
    bytes.clear();
    turn.cx.scratch = bytes;
    step
}

//! A body that no handler takes, on a connection that is kept: read to its end and dropped, within bounds.

use super::read::{self, Filled};
use super::respond::DRAIN;
use super::state::Http1;
use crate::conn::Turn;
use crate::conn::io::{CloseReason, Io, Step};
use crate::conn::timers::Timer;
use crate::exchange::{Exchange, Rx};

/// A body that is not wanted, on a connection that is kept: read to its end.
pub fn step(io: &mut Io<'_>, ex: &mut Exchange, http1: &mut Http1, turn: &mut Turn<'_>) -> Step {
    if http1.decoder.is_done() {
        ex.rx = Rx::Done;
        return Step::Answered;
    }
    let mut bytes = std::mem::take(&mut turn.cx.scratch);
    let step = match read::fill(io, ex, http1, &mut bytes, turn) {
        Filled::Nothing => Step::Wait,
        Filled::End => Step::Close(CloseReason::ClientGone),
        Filled::Bytes => {
            let cx = &mut *turn.cx;
            io.arm(Timer::Drain, cx.now.ms + ex.here().settings.client.lingering_timeout.0);
            if http1.drain_until == 0 {
                http1.drain_until = cx.now.ms + ex.here().settings.client.lingering_time.0;
            }
            let mut at = 0;
            loop {
                // More, or longer, than anyone should send for nothing: the rest is not waited for.
                if ex.response.status.0 >= 400 && ex.log.request_length > DRAIN || cx.now.ms > http1.drain_until {
                    ex.out.keep_alive = false;
                    break Step::Answered;
                }
                match http1.decoder.next(&bytes[at..]) {
                    Ok(step) => {
                        at += step.consumed;
                        ex.log.request_length += step.consumed as u64;
                        if step.done {
                            ex.rx = Rx::Done;
                            http1.input.extend_from_slice(&bytes[at..]);
                            break Step::Answered;
                        }
                        if step.consumed == 0 || at >= bytes.len() {
                            break Step::Again;
                        }
                    }
                    // The answer is out; what follows cannot be told from a request.
                    Err(_) => {
                        ex.out.keep_alive = false;
                        break Step::Answered;
                    }
                }
            }
        }
    };
    bytes.clear();
    turn.cx.scratch = bytes;
    step
}

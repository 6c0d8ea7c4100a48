//! A body that no handler takes, on a connection that is kept: read to its end and dropped, within bounds.

use super::read::{self, Filled};
use crate::conn::Turn;
use crate::conn::close::CloseReason;
use crate::conn::io::{Io, Step};
use crate::conn::timers::Timer;
use crate::exchange::keep_alive::DRAIN;
use crate::exchange::{Exchange, Rx};

/// A body that is not wanted, on a connection that is kept: read to its end.
pub fn step(io: &mut Io<'_>, ex: &mut Exchange, turn: &mut Turn<'_>) -> Step {
    if ex.decoder.is_done() {
        ex.rx = Rx::Done;
        return Step::Answered;
    }
    let mut bytes = std::mem::take(&mut turn.cx.scratch);
    let step = match read::fill(io, ex, &mut bytes, turn) {
        Filled::Nothing => Step::Wait,
        Filled::End => Step::Close(CloseReason::ClientGone),
        Filled::Bytes => {
            let cx = &mut *turn.cx;
            io.arm(Timer::Drain, cx.now.ms + ex.here().settings.client.lingering_timeout.0);
            if ex.drain_until == 0 {
                ex.drain_until = cx.now.ms + ex.here().settings.client.lingering_time.0;
            }
            let mut at = 0;
            loop {
                // More, or longer, than anyone should send for nothing: the rest is not waited for.
                if ex.response.status.0 >= 400 && ex.request_length > DRAIN || cx.now.ms > ex.drain_until {
                    ex.keep_alive = false;
                    break Step::Answered;
                }
                match ex.decoder.next(&bytes[at..]) {
                    Ok(step) => {
                        at += step.consumed;
                        ex.request_length += step.consumed as u64;
                        if step.done {
                            ex.rx = Rx::Done;
                            ex.input.extend_from_slice(&bytes[at..]);
                            break Step::Answered;
                        }
                        if step.consumed == 0 || at >= bytes.len() {
                            break Step::Again;
                        }
                    }
                    // The answer is out; what follows cannot be told from a request.
                    Err(_) => {
                        ex.keep_alive = false;
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

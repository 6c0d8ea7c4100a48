//! Lingering close: the answer is out, the client may still be sending. Closing now would reset the connection and
//! could destroy the answer on its way; so the writing side is shut and what arrives is read and dropped for a while.

use super::Ready;
use super::http1::read;
use crate::config::directives::client::Lingering;
use crate::conn::drive::Step;
use crate::exchange::{Exchange, Rx};
use crate::services::{SCRATCH, Services};
use crate::sys::{Errno, socket};
use std::os::fd::BorrowedFd;

/// Whether the connection of this answered request must linger: until when at most, and how long a client that sends
/// nothing is waited for.
pub fn begin(ex: &Exchange, ready: &Ready, cx: &Services) -> Option<(u64, u32)> {
    let client = &ex.here().settings.client;
    let sending = ex.rx == Rx::Drain || read::has_more(ex) || (ready.can_read() && !ready.peer_closed());
    let wanted = match client.lingering {
        Lingering::Off => false,
        Lingering::On => sending && !ex.abort,
        Lingering::Always => !ex.abort,
    };
    let until = cx.now.ms + client.lingering_time.0;
    wanted.then(|| (until, u32::try_from(client.lingering_timeout.0).unwrap_or(u32::MAX)))
}

/// Reads and drops.
pub fn step(
    fd: BorrowedFd<'_>,
    ready: &mut Ready,
    deadline: &mut u64,
    until: u64,
    timeout: u32,
    cx: &mut Services,
) -> Step {
    if !ready.can_read() {
        return Step::Wait;
    }
    if cx.now.ms >= until {
        return Step::Close;
    }
    cx.scratch.clear();
    cx.scratch.reserve(SCRATCH);
    let outcome = socket::recv_into(fd, &mut cx.scratch, SCRATCH);
    cx.scratch.clear();
    match outcome {
        Ok(0) => Step::Close,
        Ok(n) => {
            *deadline = until.min(cx.now.ms + u64::from(timeout));
            if n < SCRATCH {
                ready.short_read();
            }
            Step::Yield
        }
        Err(Errno::EAGAIN) => {
            ready.no_read();
            Step::Wait
        }
        Err(_) => Step::Close,
    }
}

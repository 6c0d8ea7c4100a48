//! Lingering close: the answer is out, the client may still be sending. Closing now would reset the connection and
//! could destroy the answer on its way; so the writing side is shut and what arrives is read and dropped for a while.

use super::http1::read;
use super::io::Step;
use super::transport::Transport;
use crate::config::directives::client::Lingering;
use crate::exchange::{Exchange, Rx};
use crate::services::{SCRATCH, Services};
use crate::sys::Errno;

/// Whether the connection of this answered request must linger: until when at most, and how long a client that sends
/// nothing is waited for.
pub fn begin(ex: &Exchange, transport: &Transport, cx: &Services) -> Option<(u64, u32)> {
    let client = &ex.here().settings.client;
    let sending = ex.rx == Rx::Drain || read::has_more(ex) || (transport.can_read() && !transport.peer_closed());
    let wanted = match client.lingering {
        Lingering::Off => false,
        Lingering::On => sending && !ex.abort,
        Lingering::Always => !ex.abort,
    };
    let until = cx.now.ms + client.lingering_time.0;
    wanted.then(|| (until, u32::try_from(client.lingering_timeout.0).unwrap_or(u32::MAX)))
}

/// Reads and drops.
pub fn step(transport: &mut Transport, deadline: &mut u64, until: u64, timeout: u32, cx: &mut Services) -> Step {
    if !transport.can_read() {
        return Step::Wait;
    }
    if cx.now.ms >= until {
        return Step::Close;
    }
    cx.scratch.clear();
    cx.scratch.reserve(SCRATCH);
    let outcome = transport.recv(&mut cx.scratch, SCRATCH);
    cx.scratch.clear();
    match outcome {
        Ok(0) => Step::Close,
        Ok(_) => {
            *deadline = until.min(cx.now.ms + u64::from(timeout));
            Step::Yield
        }
        Err(Errno::EAGAIN) => Step::Wait,
        Err(_) => Step::Close,
    }
}

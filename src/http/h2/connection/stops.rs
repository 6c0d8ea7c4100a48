//! Streams whose response is sent and whose client still sends its body: the client is to be asked to stop, a little
//! later.
//!
//! Meanwhile what comes is thrown away, and its window granted again: clients that read no response before their body
//! is sent (Java's, httpx) would wait for that window for ever, since a reset behind a whole response means nothing to
//! them.
//!
//! Invariants: at most [`MOST`] streams wait, in the order of their responses; what is granted to each is bounded by
//! [`DISCARDED`], and the wait by the time its caller gave. What a client sends on one is ignored, as on those that are
//! reset (`Connection::reset`), where a stream goes once its client was asked; one whose client has ended its side
//! waits no longer. A body that exceeds its Content-Length or its window is the error that it is before the response.

use crate::http::h2::error::StreamFault;
use crate::http::h2::numbers::ErrorCode;
use crate::http::h2::stream::Stream;
use crate::http::h2::window::{ReceiveWindow, SendWindow};
use std::collections::VecDeque;

/// Milliseconds between a response and the reset that tells its client to stop sending: time enough to read the
/// response without it.
const MIN_STOP_DELAY: u64 = 100;

/// Milliseconds without a frame after which a client is reset, though its window was or is being widened.
const SILENCE: u64 = 1000;

/// Maximum bytes of a body that are discarded. A client that announces more is stopped at once.
const DISCARDED: u64 = 64 << 20;

/// The window of a stream whose body is discarded.
const WIDE: u32 = 1 << 20;

/// Maximum number of streams that wait: as many as are open at once by default. If there are more, the oldest wait
/// less.
pub(super) const MOST: usize = 128;

/// One stream that waits.
#[derive(Debug)]
struct Stop {
    id: u32,
    /// When it is due, and when it is due at the latest, in milliseconds.
    at: u64,
    until: u64,
    /// Bytes that may still come.
    left: u64,
    /// Bytes that the client has announced and not sent yet.
    announced: Option<u64>,
    window: ReceiveWindow,
    /// What the client grants. Nothing is sent into it any more.
    send: SendWindow,
}

/// DATA on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Data {
    /// Bytes that count against windows: all of the frame, padding included.
    pub len: u32,
    /// Those of them that are the body's.
    pub body: u32,
    /// END_STREAM.
    pub is_last: bool,
}

/// What becomes of DATA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DataOutcome {
    /// The stream does not wait here.
    Unknown,
    /// Thrown away; the increment of the stream's window, or 0.
    Grant(u32),
    /// It is not what was announced (§8.1.1), or exceeds the window (§6.9.1): the stream is to be reset.
    Fault(ErrorCode),
}

/// Those streams, the one that was added first in front.
#[derive(Debug, Default)]
pub(super) struct Stops(VecDeque<Stop>);

impl Stops {
    /// One more, whose response has just been sent. For `patience` milliseconds at most the rest of its body is taken.
    /// The increment of the stream's window, if it is granted more.
    pub(super) fn add(&mut self, stream: &Stream, patience: u64, now: u64) -> Option<u32> {
        let &Stream { id, send, receive: mut window, expected: announced, .. } = stream;
        let takes = patience > 0 && announced.is_none_or(|length| length <= DISCARDED);
        // One that has used its window up waits for another already.
        let waits = takes && window.left() <= 0;
        let until = now + patience.max(MIN_STOP_DELAY);
        let at = if waits { until.min(now + SILENCE) } else { now + MIN_STOP_DELAY };
        let grant = if takes { window.widen(WIDE) } else { None };
        let held = self.0.len();
        if held == self.0.capacity() {
            // Doubled as usual, but never beyond what there can be.
            self.0.reserve_exact(held.clamp(4, (MOST + 1).saturating_sub(held).max(4)));
        }
        self.0.push_back(Stop { id, at, until, left: if takes { DISCARDED } else { 0 }, announced, window, send });
        grant
    }

    /// DATA has come on a stream.
    pub(super) fn receive(&mut self, id: u32, data: Data, now: u64) -> DataOutcome {
        let Some(stop) = self.0.iter_mut().find(|stop| stop.id == id) else { return DataOutcome::Unknown };
        if !stop.window.receive(data.len) {
            return DataOutcome::Fault(ErrorCode::FLOW_CONTROL_ERROR);
        }
        if let Some(announced) = &mut stop.announced {
            match announced.checked_sub(u64::from(data.body)) {
                Some(left) if left == 0 || !data.is_last => *announced = left,
                _ => return DataOutcome::Fault(ErrorCode::PROTOCOL_ERROR),
            }
        }
        if data.is_last {
            self.remove(id);
            return DataOutcome::Grant(0);
        }
        if stop.left == 0 {
            return DataOutcome::Grant(0);
        }
        stop.left = stop.left.saturating_sub(u64::from(data.len));
        stop.at = if stop.left == 0 { now } else { stop.until.min(now + SILENCE) };
        DataOutcome::Grant(stop.window.consume(data.len).unwrap_or(0))
    }

    /// WINDOW_UPDATE has come for a stream. The fault that it is, though nothing waits for that window (§6.9, §6.9.1).
    pub(super) fn open(&mut self, id: u32, increment: u32) -> Option<StreamFault> {
        let stop = self.0.iter_mut().find(|stop| stop.id == id)?;
        match increment {
            0 => Some(StreamFault::ZeroIncrement),
            _ => stop.send.open(increment).err().map(|_| StreamFault::WindowOverflow),
        }
    }

    /// The client's SETTINGS_INITIAL_WINDOW_SIZE has changed by this.
    pub(super) fn shift(&mut self, by: i64) {
        for stop in &mut self.0 {
            // One that overflows stays as it is: nothing is sent into it.
            let _ = stop.send.shift(by);
        }
    }

    /// When the first is due.
    pub(super) fn due(&self) -> Option<u64> {
        self.0.iter().map(|stop| stop.at).min()
    }

    /// Whether the stream's client is still to be asked to stop.
    pub(super) fn contains(&self, id: u32) -> bool {
        self.0.iter().any(|stop| stop.id == id)
    }

    /// The client need not be asked any more. Whether it was to be.
    pub(super) fn remove(&mut self, id: u32) -> bool {
        let at = self.0.iter().position(|stop| stop.id == id);
        at.is_some_and(|at| self.take_at(at).is_some())
    }

    /// One that is due, or the first where there are too many.
    pub(super) fn take(&mut self, now: u64) -> Option<u32> {
        let is_due = |stop: &Stop| stop.at <= now || self.0.len() > MOST;
        let at = self.0.iter().position(is_due)?;
        self.take_at(at)
    }

    fn take_at(&mut self, at: usize) -> Option<u32> {
        let stop = self.0.remove(at);
        // An idle connection keeps no room for the most it ever had.
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
        stop.map(|stop| stop.id)
    }

    /// Bytes on the heap.
    pub(super) fn memory(&self) -> usize {
        self.0.capacity() * size_of::<Stop>()
    }

    /// For tests and the simulation.
    pub(super) fn check_invariants(&self) {
        assert!(self.0.len() <= MOST);
        assert!(self.0.iter().all(|stop| stop.at <= stop.until && stop.left <= DISCARDED));
    }
}

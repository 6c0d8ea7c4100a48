//! Frames that are neither header blocks nor bodies, and what becomes of a stream whose client breaks a rule.

use super::{Connection, Event};
use crate::http::h2::error::{ConnectionFault, ErrorCode, StreamFault};
use crate::http::h2::frame::{self, FrameHeader, flag, kind};
use crate::http::h2::priority::{Dependency, Priority};
use crate::http::h2::window;

impl Connection {
    /// A whole frame that is neither DATA nor part of a header block. None: nothing for the server to do, for which
    /// there may be an answer in [`Connection::take_control`].
    pub(super) fn control_frame(
        &mut self,
        frame: FrameHeader,
        payload: &[u8],
        now: u64,
    ) -> Result<Option<Event>, ConnectionFault> {
        let stream = frame.stream;
        Ok(match frame.kind {
            kind::PRIORITY => return self.priority(stream, payload, now),
            kind::RST_STREAM => self.client_reset(stream, number(payload), now)?,
            kind::SETTINGS if frame.has(flag::ACK) => self.settings_acked(),
            kind::SETTINGS => {
                self.new_settings(payload)?;
                // Windows may have grown.
                Some(Event::Window { stream: 0 })
            }
            kind::PING => {
                if let (false, Some(content)) = (frame.has(flag::ACK), payload.first_chunk::<8>()) {
                    frame::ping_ack(&mut self.control, *content);
                }
                None
            }
            kind::GOAWAY => Some(Event::GoAway { code: ErrorCode(number(payload.get(4..).unwrap_or_default())) }),
            kind::WINDOW_UPDATE => return self.window_update(stream, number(payload), now),
            kind::PRIORITY_UPDATE => {
                let prioritized = number(payload) & window::MAX;
                if prioritized == 0 {
                    return Err(ConnectionFault::StreamId { kind: frame.kind, stream: 0 });
                }
                // RFC 9218 §7.1: none was promised to the client.
                if prioritized.is_multiple_of(2) {
                    return Err(ConnectionFault::Idle { kind: frame.kind, stream: prioritized });
                }
                let priority = Priority::parse(payload.get(4..).unwrap_or_default());
                if self.is_idle(prioritized) {
                    self.early_priorities.keep(prioritized, priority);
                }
                self.streams.get_mut(prioritized).map(|stream| {
                    stream.priority = priority;
                    Event::Priority { stream: prioritized }
                })
            }
            // §4.1: frames of unknown types are ignored.
            _ => None,
        })
    }

    /// The client's SETTINGS (§6.5): applied, then acknowledged. A new SETTINGS_INITIAL_WINDOW_SIZE moves the windows
    /// of all open streams, which may become negative (§6.9.2).
    pub(super) fn new_settings(&mut self, payload: &[u8]) -> Result<(), ConnectionFault> {
        let before = self.peer.initial_window;
        // The widest stream overflows first: one look at all of them will do, however many values the frame has.
        let open = self.streams.iter().filter(|stream| !stream.is_reset);
        let widest = open.map(|stream| (stream.send, stream.id)).max();
        self.peer.apply(payload, |value| match widest {
            Some((mut window, stream)) => window
                .shift(i64::from(value) - i64::from(before))
                .map_err(|_| ConnectionFault::InitialWindowOverflow { stream }),
            None => Ok(()),
        })?;
        let by = i64::from(self.peer.initial_window) - i64::from(before);
        if by != 0 {
            for stream in self.streams.iter_mut().filter(|stream| !stream.is_reset) {
                if stream.send.shift(by).is_err() {
                    return Err(ConnectionFault::InitialWindowOverflow { stream: stream.id });
                }
            }
            self.stops.shift(by);
        }
        frame::settings_ack(&mut self.control);
        Ok(())
    }

    /// The client has acknowledged our SETTINGS: from now on its streams begin with the window they grant, and those
    /// that are open are moved to it.
    pub(super) fn settings_acked(&mut self) -> Option<Event> {
        let (from, to) = (self.granted, self.limits.preread);
        if from == to {
            return Some(Event::SettingsAcked);
        }
        self.granted = to;
        for stream in self.streams.iter_mut() {
            stream.receive.shift(from, to);
        }
        Some(Event::SettingsAcked)
    }

    /// WINDOW_UPDATE (§6.9). For a stream that is over it is no fault: it may cross our END_STREAM (§5.1).
    pub(super) fn window_update(
        &mut self,
        id: u32,
        increment: u32,
        now: u64,
    ) -> Result<Option<Event>, ConnectionFault> {
        let increment = increment & window::MAX;
        if id == 0 {
            if increment == 0 {
                return Err(ConnectionFault::ZeroIncrement);
            }
            self.send.open(increment).map_err(|_| ConnectionFault::WindowOverflow)?;
            return Ok(Some(Event::Window { stream: 0 }));
        }
        let Some(stream) = self.streams.get_mut(id).filter(|stream| !stream.is_reset) else {
            // §5.1: it may come for a while after the stream has ended.
            let fault = self.stops.open(id, increment);
            return fault.map(|fault| self.fail(id, fault, now)).transpose();
        };
        if increment == 0 {
            return self.fail(id, StreamFault::ZeroIncrement, now).map(Some);
        }
        match stream.send.open(increment) {
            Ok(()) => Ok(Some(Event::Window { stream: id })),
            Err(_) => self.fail(id, StreamFault::WindowOverflow, now).map(Some),
        }
    }

    /// PRIORITY (RFC 7540 §6.3, deprecated by RFC 9113 §5.3.2 but sent all the same). It may precede its stream.
    pub(super) fn priority(&mut self, id: u32, payload: &[u8], now: u64) -> Result<Option<Event>, ConnectionFault> {
        let fault = match payload.try_into().map(Dependency::parse) {
            Err(_) => StreamFault::PriorityLength { len: payload.len() as u32 },
            Ok(dependency) if dependency.parent == id => return Err(ConnectionFault::SelfDependency { stream: id }),
            Ok(dependency) => {
                if id > self.last {
                    self.early_dependencies.keep(id, dependency);
                }
                return Ok(self.streams.get_mut(id).map(|stream| {
                    stream.dependency = dependency;
                    Event::Priority { stream: id }
                }));
            }
        };
        // Of a stream that is not open, nothing can be reset.
        match self.streams.get(id) {
            Some(stream) if !stream.is_reset => self.fail(id, fault, now).map(Some),
            _ => Ok(None),
        }
    }

    /// RST_STREAM (§6.4). One that wastes work is charged to the budget of resets, which bounds Rapid Reset
    /// (CVE-2023-44487).
    pub(super) fn client_reset(&mut self, id: u32, code: u32, now: u64) -> Result<Option<Event>, ConnectionFault> {
        self.stops.remove(id);
        let Some(stream) = self.streams.get_mut(id).filter(|stream| !stream.is_reset) else { return Ok(None) };
        // Where the response is sent already, no work is lost.
        let is_wasted = !stream.is_sent;
        (stream.is_reset, stream.is_cancelled) = (true, true);
        if is_wasted && !self.resets.spend(now) {
            return Err(ConnectionFault::TooManyResets);
        }
        Ok(Some(Event::Reset { stream: id, code: ErrorCode(code) }))
    }

    /// Resets a stream for a fault of the client's, open or not.
    pub(super) fn fail(&mut self, id: u32, fault: StreamFault, now: u64) -> Result<Event, ConnectionFault> {
        let is_refused = fault.code() == ErrorCode::REFUSED_STREAM;
        let budget = if is_refused { &mut self.refused } else { &mut self.resets };
        if !budget.spend(now) {
            return Err(if is_refused { ConnectionFault::TooManyRefused } else { ConnectionFault::TooManyResets });
        }
        let stream = self.streams.get_mut(id);
        if stream.is_some_and(|stream| std::mem::take(&mut stream.is_cancelled)) {
            // The client hears once that nothing may follow its reset.
            self.write_reset(id, fault.code());
        } else {
            self.reset(id, fault.code());
        }
        Ok(Event::Failed { stream: id, fault })
    }

    /// A HEADERS frame or its block has been under way for too long: its stream is reset, the block read on for the
    /// sake of the table. False where there is none, or `input`, what has come of it, does not begin with one.
    pub fn abandon_head(&mut self, input: &[u8]) -> bool {
        let begun = FrameHeader::parse(input).filter(|frame| frame.kind == kind::HEADERS).map(|frame| frame.stream);
        let Some(id) = self.unfinished.as_ref().map(|block| block.stream).or(begun) else { return false };
        if id == 0 || self.forgotten.contains(&id) {
            return false;
        }
        self.reset(id, ErrorCode::PROTOCOL_ERROR);
        true
    }
}

/// The first four bytes as a number.
fn number(payload: &[u8]) -> u32 {
    payload.first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

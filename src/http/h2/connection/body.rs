//! DATA that comes, and the windows it is granted.

use super::stops::{Data, DataOutcome};
use super::{Connection, Event, IDLE_PER_DATA, ReadStep, Reading, took};
use crate::http::h2::error::{ConnectionFault, StreamFault};
use crate::http::h2::frame::{self, FrameHeader, HEADER_LEN, flag};
use crate::http::reject::Reject;

impl Connection {
    /// The header of a DATA frame (§6.1): windows are charged for the whole payload, padding included, before any of it
    /// has come. What will be of no use is skipped, and the connection's window is granted again at once.
    pub(super) fn data_begins(
        &mut self,
        input: &[u8],
        frame: FrameHeader,
        now: u64,
    ) -> Result<ReadStep, ConnectionFault> {
        let FrameHeader { len, kind, stream: id, .. } = frame;
        if id == 0 {
            return Err(ConnectionFault::StreamId { kind, stream: id });
        }
        if self.is_idle(id) {
            return Err(ConnectionFault::Idle { kind, stream: id });
        }
        let Some((consumed, padding, left)) = padding_of(input, &frame)? else { return Ok(ReadStep::More) };
        if !self.receive.receive(len) {
            return Err(ConnectionFault::ConnectionWindow { len });
        }
        let end = frame.has(flag::END_STREAM);
        if left == 0 && !end {
            // Content of no use, be it padding.
            if !self.idle_frames.spend(now) {
                return Err(ConnectionFault::Flood);
            }
        } else {
            self.idle_frames.earn(IDLE_PER_DATA);
        }
        // It was sent before the peer saw the response, which did not wait for it.
        let is_stopped = self.is_thrown_away(id, Data { len, body: left, is_last: end }, now);
        let fault = match self.streams.get_mut(id) {
            // An overrun one sent too much already, and is reset for that.
            Some(stream) if stream.is_reset && !stream.is_cancelled || stream.is_overrun => {
                stream.is_overrun &= !end;
                None
            }
            Some(stream) if stream.is_received || stream.is_cancelled => Some(StreamFault::DataAfterEnd),
            Some(stream) => {
                if !stream.receive.receive(len) {
                    self.credit(0, len);
                    self.reading = Reading::Skip { left: left + u32::from(padding) };
                    let event = self.fail(id, StreamFault::Window { len }, now)?;
                    return took(consumed, event);
                }
                // Padding is no content, and needs no place.
                self.credit(id, len - left);
                self.reading = Reading::Data { stream: id, left, padding, end };
                return match self.over_length(id, left, end) {
                    Some(reject) => {
                        self.reading = Reading::Skip { left: left + u32::from(padding) };
                        self.credit(id, left);
                        took(consumed, Event::Malformed { stream: id, reject })
                    }
                    None => Ok(ReadStep::Took { consumed, event: None }),
                };
            }
            // Of a stream that we have reset, or ignore: it was sent before the peer saw that.
            None if is_stopped || self.forgotten.contains(&id) || self.goaway.is_some_and(|last| id > last) => None,
            None => Some(StreamFault::DataAfterEnd),
        };
        self.credit(0, len);
        self.reading = Reading::Skip { left: left + u32::from(padding) };
        let event = fault.map(|fault| self.fail(id, fault, now)).transpose()?;
        Ok(ReadStep::Took { consumed, event })
    }

    /// Whether DATA belongs to a stream whose client is to be told to stop, and what became of it is done.
    fn is_thrown_away(&mut self, id: u32, data: Data, now: u64) -> bool {
        match self.stops.receive(id, data, now) {
            DataOutcome::Unknown => return false,
            DataOutcome::Grant(0) => {}
            DataOutcome::Grant(increment) => frame::window_update(&mut self.control, id, increment),
            DataOutcome::Fault(code) => self.write_reset(id, code),
        }
        true
    }

    /// §8.1.1: DATA is as long as Content-Length says.
    pub(super) fn over_length(&mut self, id: u32, len: u32, end: bool) -> Option<Reject> {
        let stream = self.streams.get_mut(id)?;
        let left = stream.expected?;
        let reject = match left.checked_sub(u64::from(len)) {
            None => Reject::BadFraming("more body than \"Content-Length\""),
            Some(1..) if end => Reject::BadFraming("less body than \"Content-Length\""),
            Some(left) => {
                stream.expected = Some(left);
                return None;
            }
        };
        // Nothing more of it is taken.
        stream.is_received = true;
        stream.is_malformed = true;
        stream.is_overrun = !end;
        if !end {
            self.forget(id);
        }
        Some(reject)
    }

    /// The next bytes of a DATA frame whose header [`Self::data_begins`] has taken. The event names a range of `input`;
    /// both windows are granted again only when the server has consumed it.
    pub(super) fn data_frame(&mut self, input: &[u8]) -> Result<ReadStep, ConnectionFault> {
        let Reading::Data { stream, left, padding, end } = self.reading else { return Ok(ReadStep::More) };
        let take = input.len().min(left as usize);
        let left = left - take as u32;
        if left > 0 {
            if take == 0 {
                return Ok(ReadStep::More);
            }
            self.reading = Reading::Data { stream, left, padding, end };
        } else {
            self.reading = Reading::Skip { left: u32::from(padding) };
        }
        let end = end && left == 0;
        if end {
            self.stops.remove(stream);
        }
        let Some(state) = self.streams.get_mut(stream) else {
            // Released within the frame.
            self.credit(0, take as u32);
            return Ok(ReadStep::Took { consumed: take, event: None });
        };
        state.is_received |= end;
        if state.is_reset {
            self.credit(0, take as u32);
            return Ok(ReadStep::Took { consumed: take, event: None });
        }
        if take == 0 && !end {
            return Ok(ReadStep::Took { consumed: 0, event: None });
        }
        took(take, Event::Data { stream, data: 0..take, end })
    }

    /// Grants what was received once more: on the stream, unless that is 0 or at its end, and on the connection.
    pub(super) fn credit(&mut self, id: u32, len: u32) {
        if let Some(stream) = self.streams.get_mut(id)
            && !stream.is_received
            && !stream.is_reset
            && let Some(increment) = stream.receive.consume(len)
        {
            frame::window_update(&mut self.control, id, increment);
        }
        if let Some(increment) = self.receive.consume(len) {
            frame::window_update(&mut self.control, 0, increment);
        }
    }

    /// Bytes of the stream's body were consumed, and their place is free. Also for what is thrown away.
    pub fn consumed(&mut self, stream: u32, len: usize) {
        self.credit(stream, len as u32);
    }

    /// The body has a consumer: the client need not wait for each window.
    pub fn widen(&mut self, id: u32, size: u32) {
        if let Some(stream) = self.streams.get_mut(id)
            && !stream.is_received
            && !stream.is_reset
            && let Some(increment) = stream.receive.widen(size)
        {
            frame::window_update(&mut self.control, id, increment);
        }
    }
}

/// Bytes of a DATA frame before its content, of its padding and of its content; None: the padding's length has not
/// come.
fn padding_of(input: &[u8], frame: &FrameHeader) -> Result<Option<(usize, u8, u32)>, ConnectionFault> {
    let &FrameHeader { len, kind, .. } = frame;
    Ok(match frame.has(flag::PADDED) {
        false => Some((HEADER_LEN, 0, len)),
        true if len == 0 => return Err(ConnectionFault::FrameLength { kind, len }),
        true => match input.get(HEADER_LEN) {
            None => None,
            Some(&padding) if u32::from(padding) >= len => return Err(ConnectionFault::Padding { kind }),
            Some(&padding) => Some((HEADER_LEN + 1, padding, len - 1 - u32::from(padding))),
        },
    })
}

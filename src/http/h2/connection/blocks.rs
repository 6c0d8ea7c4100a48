//! Header blocks: HEADERS and CONTINUATION to requests and trailers.

use super::stops::{Data, DataOutcome};
use super::{BLOCK_FRAMES, Connection, Event, IDLE_PER_REQUEST, Unfinished};
use crate::http::body_length::BodyLength;
use crate::http::field::Field;
use crate::http::h2::error::{ConnectionFault, ErrorCode, StreamFault};
use crate::http::h2::frame::{FrameHeader, flag};
use crate::http::h2::priority::{Dependency, Priority};
use crate::http::h2::request;
use crate::http::h2::stream::Stream;
use crate::http::h2::window::{ReceiveWindow, SendWindow};
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::reject::Reject;

impl Connection {
    /// A whole HEADERS frame (§6.2). None: CONTINUATION is to follow, or there is nothing for the server to do. A
    /// stream that is not new must be one whose trailers may still come; any other is a fault of the connection.
    pub(super) fn headers(
        &mut self,
        frame: FrameHeader,
        payload: &[u8],
        now: u64,
    ) -> Result<Option<Event>, ConnectionFault> {
        let mut fragment = unpadded(&frame, payload)?;
        let mut dependency = None;
        if frame.has(flag::PRIORITY) {
            let too_short = ConnectionFault::FrameLength { kind: frame.kind, len: frame.len };
            let (bytes, rest) = fragment.split_first_chunk::<5>().ok_or(too_short)?;
            dependency = Some(Dependency::parse(bytes));
            if dependency.is_some_and(|dependency| dependency.parent == frame.stream) {
                return Err(ConnectionFault::SelfDependency { stream: frame.stream });
            }
            fragment = rest;
        }
        let stream = frame.stream;
        if self.streams.get(stream).is_none() {
            let is_client = !stream.is_multiple_of(2);
            // A refused or ignored one counts as opened (§5.1.1).
            if !is_client || stream <= self.last {
                let is_late = is_client && (self.forgotten.contains(&stream) || self.stops.contains(stream));
                if !is_late {
                    return Err(ConnectionFault::StreamOrder { stream, last: self.last });
                }
            }
        }
        let end = frame.has(flag::END_STREAM);
        if frame.has(flag::END_HEADERS) {
            self.decode(fragment)?;
            return self.block_ends(stream, end, dependency, now);
        }
        let bytes = fragment.to_vec();
        self.unfinished = Some(Box::new(Unfinished { stream, end, frames: 1, dependency, bytes }));
        Ok(None)
    }

    /// A whole CONTINUATION frame (§6.10) of the block that HEADERS began. Both the number of frames and the bytes of a
    /// block are bounded, since nothing is decoded before its end.
    pub(super) fn continuation(
        &mut self,
        frame: FrameHeader,
        payload: &[u8],
        now: u64,
    ) -> Result<Option<Event>, ConnectionFault> {
        let Some(mut block) = self.unfinished.take() else {
            return Err(ConnectionFault::StrayContinuation { stream: frame.stream });
        };
        block.frames += 1;
        if block.frames > BLOCK_FRAMES {
            return Err(ConnectionFault::TooManyContinuations { limit: BLOCK_FRAMES });
        }
        let limit = self.limits.bounds.encoded();
        if block.bytes.len() + payload.len() > limit {
            return Err(ConnectionFault::HeaderBlockTooLong { limit: limit as u32 });
        }
        block.bytes.extend_from_slice(payload);
        if !frame.has(flag::END_HEADERS) {
            self.unfinished = Some(block);
            return Ok(None);
        }
        self.decode(&block.bytes)?;
        self.block_ends(block.stream, block.end, block.dependency, now)
    }

    /// Decompresses a complete block into `self.block`. A block has to be decoded even if its stream is of no interest:
    /// the dynamic table must keep in step with the client's (RFC 7541 §2.2).
    pub(super) fn decode(&mut self, fragment: &[u8]) -> Result<(), ConnectionFault> {
        self.block.clear();
        self.decoder.decode(fragment, &self.limits.bounds, &mut self.block).map_err(ConnectionFault::Compression)
    }

    /// A complete block is decoded: a request, trailers, or one for a stream that is over. `end`: its HEADERS frame had
    /// END_STREAM. None: it is ignored.
    pub(super) fn block_ends(
        &mut self,
        id: u32,
        end: bool,
        dependency: Option<Dependency>,
        now: u64,
    ) -> Result<Option<Event>, ConnectionFault> {
        if self.streams.get(id).is_some() {
            if end {
                // The client will not have to be told to stop.
                self.stops.remove(id);
            }
            return self.second_block(id, end, now);
        }
        if self.stops.contains(id) {
            return self.late_block(id, end, now);
        }
        // Of a stream that we have reset, or that GOAWAY has excluded: it was sent before the peer saw that.
        if id <= self.last || self.goaway.is_some() || self.forgotten.contains(&id) {
            self.last = if self.goaway.is_none() { self.last.max(id) } else { self.last };
            return if self.idle_frames.spend(now) { Ok(None) } else { Err(ConnectionFault::Flood) };
        }
        self.last = id;
        if self.streams.len() >= self.limits.streams as usize {
            return self.fail(id, StreamFault::Refused, now).map(Some);
        }
        if !end && self.granted > self.limits.preread {
            return self.fail(id, StreamFault::Unacknowledged, now).map(Some);
        }
        self.idle_frames.earn(IDLE_PER_REQUEST);
        let early_dependency = self.early_dependencies.take(id);
        // RFC 9218 §7: it counts more than the field, though it came before.
        let early_priority = self.early_priorities.take(id);
        let fault = request::read(&mut self.block, end, self.limits.rules, &mut self.head).err();
        let expected = match self.head.body_length {
            BodyLength::Known(length) => Some(length),
            // Its length is 0.
            BodyLength::Unknown if self.block.fields.iter().any(|field| field.id == HeaderId::ContentLength) => Some(0),
            _ => None,
        };
        self.streams.push(Stream {
            id,
            send: SendWindow::new(self.peer.initial_window),
            receive: ReceiveWindow::new(self.granted),
            priority: early_priority.unwrap_or_else(|| self.priority_field()),
            dependency: dependency.or(early_dependency).unwrap_or(Dependency::DEFAULT),
            is_received: end,
            is_sent: false,
            is_reset: false,
            is_cancelled: false,
            is_tunnel: self.head.method == Method::Connect,
            expected,
            is_malformed: fault.is_some_and(|fault| fault.is_malformed()),
            is_overrun: false,
        });
        Ok(Some(Event::Request { stream: id, end, fault }))
    }

    /// The Priority field of the request in `self.block` (RFC 9218 §5), or its defaults. An invalid one counts as
    /// absent.
    pub(super) fn priority_field(&self) -> Priority {
        let is_priority = |name: &[u8]| name == b"priority";
        let text = &self.block.text;
        let of_that_name =
            |field: &&Field| field.id == HeaderId::Other && field.name.len == 8 && is_priority(field.name.of(text));
        let field = self.block.fields.iter().find(of_that_name);
        field.map_or_else(Priority::default, |field| Priority::parse(field.value.of(text)))
    }

    /// A trailer section behind the response, which did not wait for the body: it ends that. As on any stream (§8.1),
    /// what is none is malformed, and so is one whose body is shorter than its Content-Length.
    fn late_block(&mut self, id: u32, end: bool, now: u64) -> Result<Option<Event>, ConnectionFault> {
        const LAST: Data = Data { len: 0, body: 0, is_last: true };
        if end
            && request::trailers(&self.block, self.limits.rules).is_ok()
            && self.stops.receive(id, LAST, now) == DataOutcome::Grant(0)
        {
            return Ok(None);
        }
        if !self.idle_frames.spend(now) {
            return Err(ConnectionFault::Flood);
        }
        self.write_reset(id, ErrorCode::PROTOCOL_ERROR);
        Ok(None)
    }

    /// A trailer section.
    pub(super) fn second_block(&mut self, id: u32, end: bool, now: u64) -> Result<Option<Event>, ConnectionFault> {
        let Some(stream) = self.streams.get_mut(id) else { return Ok(None) };
        if stream.is_cancelled {
            return self.fail(id, StreamFault::HeadersAfterEnd, now).map(Some);
        }
        if stream.is_reset {
            return Ok(None);
        }
        if stream.is_overrun && end {
            stream.is_overrun = false;
            return Ok(None);
        }
        if stream.is_received {
            return self.fail(id, StreamFault::HeadersAfterEnd, now).map(Some);
        }
        if !end || stream.is_tunnel {
            return self.fail(id, StreamFault::Trailers, now).map(Some);
        }
        stream.is_received = true;
        let judged = match stream.expected {
            Some(1..) => Err(Reject::BadFraming("less body than \"Content-Length\"")),
            _ => request::trailers(&self.block, self.limits.rules),
        };
        stream.is_malformed |= judged.is_err();
        Ok(Some(match judged {
            Ok(()) => Event::Trailers { stream: id },
            Err(reject) => Event::Malformed { stream: id, reject },
        }))
    }
}

/// A payload without its padding (§6.2).
fn unpadded<'a>(frame: &FrameHeader, payload: &'a [u8]) -> Result<&'a [u8], ConnectionFault> {
    if !frame.has(flag::PADDED) {
        return Ok(payload);
    }
    let fault = ConnectionFault::Padding { kind: frame.kind };
    let (&padding, rest) =
        payload.split_first().ok_or(ConnectionFault::FrameLength { kind: frame.kind, len: frame.len })?;
    let len = rest.len().checked_sub(usize::from(padding)).ok_or(fault)?;
    Ok(&rest[..len])
}

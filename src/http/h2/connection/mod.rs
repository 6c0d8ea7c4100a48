//! The server's side of an HTTP/2 connection as a state machine without I/O or clock.
//!
//! The caller gives bytes to [`Connection::receive`] and gets events; what the protocol answers by itself (SETTINGS and
//! PING acknowledgements, window updates, resets, GOAWAY) collects in [`Connection::take_control`]. Heads and DATA are
//! written through [`Connection::head`] and [`Connection::data`], which account for the windows.
//!
//! Invariants: what a client may cost is bounded whatever it sends ([`ConnectionLimits`], [`super::budget`]): a header
//! block by frames, bytes and fields; control output by [`CONTROL`], beyond which nothing is read; streams by the
//! limit, a reset one included until [`Connection::release`]; frames that transfer nothing, resets and refused streams
//! by budgets. After an `Err` the connection takes and sends nothing but the GOAWAY already queued.

mod blocks;
mod body;
mod control;
mod send;
mod stops;

use super::budget::RateBudget;
use super::early_priorities::EarlyPriorities;
use super::error::{ConnectionFault, ErrorCode, StreamFault};
use super::frame::{self, FrameHeader, HEADER_LEN, MIN_MAX_FRAME, PREFACE, flag, kind};
use super::hpack::{Block, Bounds, Decoder};
use super::priority::{Dependency, Priority};
use super::request::{DecodedHead, Rules};
use super::settings::{self, PeerSettings};
use super::stream::{Stream, Streams};
use super::window::{self, ReceiveWindow, SendWindow};
use crate::http::field::Field;
use crate::http::header::UnusualNames;
use crate::http::reject::Reject;
use std::ops::Range;
use stops::Stops;

/// Bytes of control output beyond which nothing more is read: a client that does not take its answers gets no more.
pub const CONTROL: usize = 8 * 1024;

/// Maximum frames of one header block.
const BLOCK_FRAMES: u32 = 20;

/// Frames that transfer nothing (PING, SETTINGS, updates of windows …): the most at once, and the number per second.
const IDLE_FRAMES: (u32, u32) = (1000, 100);
/// Those that each DATA frame earns: an update of both windows, and a PING that measures the bandwidth.
const IDLE_PER_DATA: u32 = 3;
/// Those that each new request earns.
const IDLE_PER_REQUEST: u32 = 4;
/// Where the client's window is as small as the frames: bytes of DATA sent that earn one, since a client may have made
/// it small to provoke small frames.
const BYTES_PER_IDLE: usize = 512;
/// Resets by the client, or by us for its faults, of requests in work.
const RESETS: (u32, u32) = (200, 20);
/// Streams beyond the limit.
const REFUSED: (u32, u32) = (200, 20);

/// Streams that we have reset, and whose DATA may still arrive: those of a client whose uploads are all refused at once
/// ([`stops::MOST`]), and as many again.
const REMEMBERED: usize = 2 * stops::MOST;

/// What the configuration allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionLimits {
    /// `http2_max_concurrent_streams`.
    pub streams: u32,
    /// `http2_body_preread_size`: a stream's window until its body has a consumer.
    pub preread: u32,
    /// The connection's window: the bytes of all bodies that are not consumed yet.
    pub window: u32,
    /// `large_client_header_buffers`, `max_headers`.
    pub bounds: Bounds,
    /// How strictly requests are read.
    pub rules: Rules,
}

impl Default for ConnectionLimits {
    fn default() -> ConnectionLimits {
        ConnectionLimits {
            streams: 128,
            preread: 65_536,
            window: 4 << 20,
            bounds: Bounds { total: 8192, fields: 1000 },
            rules: Rules { unusual: UnusualNames::default(), extended_connect: true, fields: 1000 },
        }
    }
}

/// What has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A request: [`Connection::request`] has its head, or its fault: it is answered with an error then, and nothing of
    /// it is taken.
    Request { stream: u32, end: bool, fault: Option<Reject> },
    /// A piece of a body, as a range of the input. Each byte is to be given back by [`Connection::consumed`].
    Data { stream: u32, data: Range<usize>, end: bool },
    /// The trailer section, in [`Connection::block`]; the stream ends with it.
    Trailers { stream: u32 },
    /// More or less body than Content-Length announced, or a malformed trailer section; the stream is at its end for
    /// the handler. Answered with an error where the answer has not begun.
    Malformed { stream: u32, reject: Reject },
    /// The client has reset the stream.
    Reset { stream: u32, code: ErrorCode },
    /// We have reset the stream for what the client did. It may be one that was never opened.
    Failed { stream: u32, fault: StreamFault },
    /// More may be sent: on a stream, or, 0, on all.
    Window { stream: u32 },
    /// The stream's priority has changed.
    Priority { stream: u32 },
    /// The client has acknowledged our settings.
    SettingsAcked,
    /// The client will open no further streams.
    GoAway { code: ErrorCode },
}

/// What became of the input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReadStep {
    /// More bytes are needed: the unread ones stay, and are given again with those.
    More,
    /// Control output has to be sent first.
    Blocked,
    /// Bytes of the input that were consumed.
    Took { consumed: usize, event: Option<Event> },
}

fn took(consumed: usize, event: Event) -> Result<ReadStep, ConnectionFault> {
    Ok(ReadStep::Took { consumed, event: Some(event) })
}

#[derive(Debug)]
enum Reading {
    Preface,
    /// Before the client's SETTINGS (§3.4).
    FirstFrame,
    Frame,
    Data {
        stream: u32,
        left: u32,
        padding: u8,
        end: bool,
    },
    /// A frame that is of no use.
    Skip {
        left: u32,
    },
}

/// A header block that CONTINUATION goes on with.
#[derive(Debug)]
struct Unfinished {
    stream: u32,
    end: bool,
    frames: u32,
    dependency: Option<Dependency>,
    bytes: Vec<u8>,
}

/// The server's side of an HTTP/2 connection, without I/O.
#[derive(Debug)]
pub struct Connection {
    limits: ConnectionLimits,
    reading: Reading,
    peer: PeerSettings,
    /// What the client believes our initial window is.
    granted: u32,
    send: SendWindow,
    receive: ReceiveWindow,
    streams: Streams,
    /// The highest stream that was opened.
    last: u32,
    /// Streams above are ignored: GOAWAY announced that.
    goaway: Option<u32>,
    decoder: Decoder,
    unfinished: Option<Box<Unfinished>>,
    block: Block,
    head: DecodedHead,
    control: Vec<u8>,
    /// Streams that are answered and whose client still sends: to be reset a little later.
    stops: Stops,
    /// No header block was sent yet.
    first_block: bool,
    /// The client has said GOAWAY.
    has_heard_goaway: bool,
    /// For frames that transfer nothing.
    idle_frames: RateBudget,
    /// Updates that DATA frames have earned, of both windows: they may come all at once, however many frames lay in
    /// buffers.
    updates: u64,
    resets: RateBudget,
    refused: RateBudget,
    /// The latest streams that we have reset.
    forgotten: Vec<u32>,
    early_dependencies: EarlyPriorities<Dependency>,
    early_priorities: EarlyPriorities<Priority>,
}

impl Connection {
    /// Queues our SETTINGS and the connection's window.
    pub fn new(limits: ConnectionLimits, now: u64) -> Connection {
        let mut control = Vec::new();
        let settings = [
            (settings::MAX_CONCURRENT_STREAMS, limits.streams),
            (settings::INITIAL_WINDOW_SIZE, limits.preread),
            (settings::MAX_HEADER_LIST_SIZE, limits.bounds.total as u32),
            (settings::ENABLE_CONNECT_PROTOCOL, 1),
        ];
        let count = if limits.rules.extended_connect { 4 } else { 3 };
        frame::settings(&mut control, &settings[..count]);
        let mut receive = ReceiveWindow::new(window::DEFAULT);
        if let Some(increment) = receive.widen(limits.window) {
            frame::window_update(&mut control, 0, increment);
        }
        Connection {
            limits,
            reading: Reading::Preface,
            peer: PeerSettings::default(),
            granted: window::DEFAULT,
            send: SendWindow::new(window::DEFAULT),
            receive,
            streams: Streams::default(),
            last: 0,
            goaway: None,
            decoder: Decoder::default(),
            unfinished: None,
            block: Block::default(),
            head: DecodedHead::default(),
            control,
            stops: Stops::default(),
            first_block: true,
            has_heard_goaway: false,
            idle_frames: RateBudget::new(IDLE_FRAMES.0, IDLE_FRAMES.1, now),
            updates: 0,
            resets: RateBudget::new(RESETS.0, RESETS.1, now),
            refused: RateBudget::new(REFUSED.0, REFUSED.1, now),
            forgotten: Vec::new(),
            early_dependencies: EarlyPriorities::default(),
            early_priorities: EarlyPriorities::default(),
        }
    }

    /// Reads on: at most one frame, or what has come of a DATA frame. `now` is in milliseconds.
    ///
    /// # Errors
    /// The client's fault; GOAWAY is queued.
    pub fn receive(&mut self, input: &[u8], now: u64) -> Result<ReadStep, ConnectionFault> {
        if self.control.len() >= CONTROL {
            return Ok(ReadStep::Blocked);
        }
        let result = match self.reading {
            Reading::Preface => self.preface(input),
            Reading::FirstFrame | Reading::Frame => self.frame(input, now),
            Reading::Data { .. } => self.data_frame(input),
            Reading::Skip { left } => Ok(self.skip(input, left)),
        };
        if let Err(fault) = &result {
            let last = self.goaway.unwrap_or(self.last);
            frame::goaway(&mut self.control, last, fault.code());
        }
        result
    }

    /// The head of the request that [`Event::Request`] has named; its fields are in [`Connection::block`].
    pub fn request(&self) -> &DecodedHead {
        &self.head
    }

    /// The fields that the last event was about.
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// As [`Connection::block`]; its buffers may be taken and others left in their place.
    pub fn block_mut(&mut self) -> &mut Block {
        &mut self.block
    }

    /// Part of a header block has come: `client_header_timeout` runs.
    pub fn is_in_head(&self) -> bool {
        self.unfinished.is_some() || matches!(self.reading, Reading::Preface | Reading::FirstFrame)
    }

    /// The open streams, in ascending order of their identifiers.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// The largest payload that the client takes.
    pub fn max_frame(&self) -> usize {
        self.peer.max_frame as usize
    }

    /// Appends what the protocol has to say. Between frames only.
    pub fn take_control(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.control);
        if self.control.capacity() > CONTROL {
            self.control = Vec::new();
        }
    }

    /// [`Connection::take_control`] has something to send.
    pub fn has_control(&self) -> bool {
        !self.control.is_empty()
    }

    /// Bytes of memory that the connection holds beside itself.
    pub fn memory(&self) -> usize {
        let unfinished = self.unfinished.as_ref().map_or(0, |block| block.bytes.capacity());
        self.decoder.memory()
            + unfinished
            + self.block.text.capacity()
            + self.block.fields.capacity() * size_of::<Field>()
            + self.control.capacity()
            + self.streams.len() * size_of::<Stream>()
            + self.forgotten.capacity() * size_of::<u32>()
            + self.stops.memory()
    }

    /// Gives the buffer of control output back. Those of fields are the caller's affair ([`Connection::block_mut`]):
    /// nothing is in them between two calls of [`Connection::receive`] that the caller still needs.
    pub fn shrink(&mut self) {
        if self.control.is_empty() {
            self.control = Vec::new();
        }
    }

    fn preface(&mut self, input: &[u8]) -> Result<ReadStep, ConnectionFault> {
        let len = input.len().min(PREFACE.len());
        if input[..len] != PREFACE[..len] {
            return Err(ConnectionFault::Preface);
        }
        if len < PREFACE.len() {
            return Ok(ReadStep::More);
        }
        self.reading = Reading::FirstFrame;
        Ok(ReadStep::Took { consumed: len, event: None })
    }

    fn skip(&mut self, input: &[u8], left: u32) -> ReadStep {
        let consumed = input.len().min(left as usize);
        let left = left - consumed as u32;
        if consumed == 0 && left > 0 {
            return ReadStep::More;
        }
        self.reading = if left > 0 { Reading::Skip { left } } else { Reading::Frame };
        ReadStep::Took { consumed, event: None }
    }

    fn frame(&mut self, input: &[u8], now: u64) -> Result<ReadStep, ConnectionFault> {
        let Some(frame) = FrameHeader::parse(input) else { return Ok(ReadStep::More) };
        let FrameHeader { len, kind, stream, .. } = frame;
        // §3.4 asks for SETTINGS. A client that leaves all of them at their default may begin with a request or its
        // window as well; nginx takes any frame.
        let may_begin = matches!(kind, kind::SETTINGS | kind::HEADERS | kind::WINDOW_UPDATE);
        if matches!(self.reading, Reading::FirstFrame) && !may_begin {
            return Err(ConnectionFault::NoSettings { kind });
        }
        if len > MIN_MAX_FRAME {
            return Err(ConnectionFault::FrameTooLong { kind, len });
        }
        match &self.unfinished {
            Some(block) if kind != kind::CONTINUATION || stream != block.stream => {
                return Err(ConnectionFault::Interleaved { kind, stream });
            }
            None if kind == kind::CONTINUATION => return Err(ConnectionFault::StrayContinuation { stream }),
            _ => {}
        }
        if kind == kind::DATA {
            return self.data_begins(input, frame, now);
        }
        self.check(&frame)?;
        let Some(payload) = input.get(HEADER_LEN..HEADER_LEN + len as usize) else { return Ok(ReadStep::More) };
        if kind != kind::WINDOW_UPDATE || !matches!(self.reading, Reading::FirstFrame) {
            self.reading = Reading::Frame;
        }
        let event = match kind {
            kind::HEADERS => self.headers(frame, payload, now)?,
            kind::CONTINUATION => self.continuation(frame, payload, now)?,
            _ => {
                // A GOAWAY may always be sent; a second one is as good as any other frame.
                let is_farewell = kind == kind::GOAWAY && !std::mem::replace(&mut self.has_heard_goaway, true);
                if !is_farewell && !self.is_earned(kind) && !self.idle_frames.spend(now) {
                    return Err(ConnectionFault::Flood);
                }
                self.control_frame(frame, payload, now)?
            }
        };
        Ok(ReadStep::Took { consumed: HEADER_LEN + payload.len(), event })
    }

    /// An update of a window for a DATA frame that was sent.
    fn is_earned(&mut self, kind: u8) -> bool {
        let is_earned = kind == kind::WINDOW_UPDATE && self.updates > 0;
        self.updates -= u64::from(is_earned);
        is_earned
    }

    /// What is wrong already by the nine bytes, before the payload is waited for.
    fn check(&self, frame: &FrameHeader) -> Result<(), ConnectionFault> {
        let &FrameHeader { len, kind, stream, .. } = frame;
        let on_stream = match kind {
            kind::HEADERS | kind::CONTINUATION | kind::PRIORITY | kind::RST_STREAM => Some(true),
            kind::SETTINGS | kind::PING | kind::GOAWAY | kind::PRIORITY_UPDATE => Some(false),
            _ => None,
        };
        if on_stream.is_some_and(|on_stream| on_stream == (stream == 0)) {
            return Err(ConnectionFault::StreamId { kind, stream });
        }
        let is_right = match kind {
            kind::RST_STREAM | kind::WINDOW_UPDATE => len == 4,
            kind::PING => len == 8,
            kind::SETTINGS if frame.has(flag::ACK) && len > 0 => {
                return Err(ConnectionFault::SettingsAckLength { len });
            }
            kind::SETTINGS => (len as usize).is_multiple_of(settings::ENTRY),
            kind::GOAWAY => len >= 8,
            kind::PRIORITY_UPDATE => len >= 4,
            // §6.3: an error of the stream, as far as there is one.
            kind::PRIORITY => len == 5 || self.streams.get(stream).is_some(),
            kind::PUSH_PROMISE => return Err(ConnectionFault::PushPromise),
            _ => true,
        };
        if !is_right {
            return Err(ConnectionFault::FrameLength { kind, len });
        }
        // §5.1: nothing but HEADERS and PRIORITY opens or concerns a stream that is idle.
        if matches!(kind, kind::RST_STREAM | kind::WINDOW_UPDATE) && self.is_idle(stream) {
            return Err(ConnectionFault::Idle { kind, stream });
        }
        Ok(())
    }

    fn is_idle(&self, stream: u32) -> bool {
        stream > 0 && (stream.is_multiple_of(2) || stream > self.last && self.goaway.is_none())
    }

    /// What has to hold between calls; for tests.
    pub fn check_invariants(&self) {
        assert!(self.streams.len() <= self.limits.streams as usize);
        assert!(self.forgotten.len() <= REMEMBERED);
        self.stops.check_invariants();
        // Clients may be asked to stop all at once.
        let most = CONTROL + 256 + stops::MOST * (HEADER_LEN + 4);
        assert!(self.control.len() <= most, "{}", self.control.len());
        assert!(self.receive.left() <= i64::from(window::MAX));
        for stream in self.streams.iter() {
            assert!(stream.id <= self.last && !stream.id.is_multiple_of(2));
            assert!(stream.send.room() <= window::MAX as usize);
            assert!(stream.receive.left() <= i64::from(window::MAX));
        }
    }
}

#[cfg(test)]
mod tests;

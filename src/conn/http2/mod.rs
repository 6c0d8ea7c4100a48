//! HTTP/2 on a connection: many exchanges at once, each on a connection of its own that has a stream for its transport
//! ([`stream`]). The code that serves HTTP/1 requests serves them too; here are only frames, windows and turns.
//!
//! - [`connection`]: a turn: reads, has streams driven, sends
//! - [`produce`]: drives the streams that can go on
//! - [`cached`]: streams answered from the response cache, without an exchange
//! - [`events`]: what is done about the events of frames
//! - [`schedule`]: whose turn it is to send
//! - [`stream`]: the transport of one stream
//! - [`begin`]: requests to exchanges, and which connections speak HTTP/2; [`end`]: streams whose request is answered
//!
//! Invariants: a stream's connection lives as long as its parent at most, and the parent knows all of them; output is
//! bounded by [`OUTPUT`] however much the streams have to send. While it is full frames are read all the same, and
//! bodies taken, up to [`CHOKED`]: a client that sends first and reads then would wait for us, and we for it. A stream
//! that waits for its turn holds its head and no buffer, and none is begun beside others once worker_memory_limit is
//! nearly reached.

pub mod begin;
mod cached;
mod cached_send;
pub mod connection;
pub mod end;
pub mod events;
mod invariants;
mod produce;
mod schedule;
pub mod stream;

use super::arrival::Arrival;
use super::io::{CloseReason, Next};
use super::timers::Deadline;
use crate::config::model::{Config, Settings};
use crate::exchange::Client;
use crate::http::h2::connection::Connection;
use crate::http::h2::error::ErrorCode;
use crate::http::h2::hpack::Block;
use crate::services::Services;
use crate::util::buf::BufPool;
use crate::util::slab::Key;
use cached_send::CachedSend;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use stream::{Ending, StreamTransport};

/// Bytes of output that may wait for the socket; while there are more, streams wait. As many as keep the socket busy,
/// few enough that a new stream does not wait for long.
const OUTPUT: usize = 128 << 10;
/// Instead of [`OUTPUT`] and [`QUANTUM`] where memory is short: a thousand clients that read nothing would hold 160 MB
/// otherwise.
const SCARCE: usize = 16 << 10;
/// Output beside which nothing more is read: what answers the client's frames stands behind [`OUTPUT`].
const CHOKED: usize = OUTPUT + QUANTUM + (64 << 10);
/// Bytes that the kernel keeps unsent, of a connection with a [`LARGE`] response: what stands there goes before each
/// new answer, and by itself the kernel takes megabytes from a client that is slower than we are.
const UNSENT: u32 = 256 << 10;
/// Bytes of a response that others may have to wait behind. With [`UNSENT`] a connection is woken more often: 100
/// responses of 100 KiB at once, which share the connection fairly anyway, would cost a third more (47 µs of CPU each
/// instead of 34).
const LARGE: u64 = 1 << 20;
/// DATA that a stream may write before others have their turn.
const QUANTUM: usize = 32 << 10;
/// Room for a read: a frame of the largest size that we take, and some more.
const READ: usize = 32 << 10;
/// Buffers of either kind that lie ready: as many as connections use in a turn.
const BUFFERS: usize = 8;
/// The window of a body that is taken as it comes: less than the connection's
/// ([`ConnectionLimits`](crate::http::h2::connection::ConnectionLimits)), so that one which its consumer does not take
/// stops no other.
const WIDE: u32 = 1 << 20;

/// A connection that speaks HTTP/2.
pub struct Http2 {
    /// The protocol's state machine: windows, streams, header compression.
    pub protocol: Connection,
    /// Bytes that were read and not yet parsed.
    input: Vec<u8>,
    arrival: Arrival,
    /// `input` holds part of a frame: the rest has to be read.
    is_partial: bool,
    /// Frames, of which the first `sent` bytes are gone.
    out: Vec<u8>,
    sent: usize,
    /// The connection's own deadline, while an earlier one is set at which the client is asked to stop sending a body
    /// (RST_STREAM with NO_ERROR). Between turns only.
    displaced: Option<Deadline>,
    /// Open streams, in the order of their identifiers.
    streams: Vec<Entry>,
    /// Streams that ended while the connection was not driven.
    // Boxed: a stream is large, and few end in this way.
    #[allow(clippy::vec_box)]
    ended: Vec<Box<StreamTransport>>,
    /// Requests that broke a rule.
    glitches: u64,
    client: Client,
    /// What the connection began under: a reload ends it in order.
    config: Rc<Config>,
    /// Turns of streams so far.
    turns: u64,
    /// The connection is idle, and its deadline was set after that many requests.
    idle_after: Option<u32>,
    /// A large response is being sent, so the socket's unsent bytes should be limited to [`UNSENT`].
    has_large: bool,
    /// That limit is set.
    is_limited: bool,
    /// The connection ends once its output is sent.
    ends: Option<CloseReason>,
    /// It ends in order, by a lingering close.
    lingers: bool,
    /// What each stream that was driven waits for now; the event loop schedules their connections by it.
    pub driven: Vec<(Key, Next)>,
}

/// What connections share, one using it at a time.
pub struct Shared {
    input: BufPool,
    out: BufPool,
    /// Fields of the request that has just come.
    block: Block,
    /// The cache key of the request that has just come.
    key: Vec<u8>,
    /// Streams that could send.
    order: BinaryHeap<Reverse<schedule::Order>>,
}

impl Default for Shared {
    fn default() -> Shared {
        let (input, out) = (BufPool::new(READ, BUFFERS), BufPool::new(OUTPUT / 2, BUFFERS));
        Shared { input, out, block: Block::default(), key: Vec::new(), order: BinaryHeap::new() }
    }
}

/// What answers a stream.
enum Work {
    /// The exchange of a connection of its own.
    Exchange(Key),
    Cached(CachedSend),
}

struct Entry {
    id: u32,
    work: Work,
    /// An event has come for it: it is driven in the connection's next turn.
    is_ready: bool,
    /// It had its turn and sent nothing, though it could have: it is not driven again in this turn.
    is_stalled: bool,
    /// DATA bytes so far.
    sent: u64,
    /// Its last turn.
    turn: u64,
}

impl Entry {
    /// A new stream, which is driven in this turn.
    fn ready(id: u32, exchange: Key) -> Entry {
        Entry { id, work: Work::Exchange(exchange), is_ready: true, is_stalled: false, sent: 0, turn: 0 }
    }

    /// A cached response: sent in its turn, without an exchange to be driven.
    fn cached(id: u32, response: CachedSend) -> Entry {
        Entry { id, work: Work::Cached(response), is_ready: false, is_stalled: false, sent: 0, turn: 0 }
    }

    fn key(&self) -> Option<Key> {
        match self.work {
            Work::Exchange(key) => Some(key),
            Work::Cached(_) => None,
        }
    }
}

impl Http2 {
    fn entry(&mut self, id: u32) -> Option<&mut Entry> {
        let at = self.streams.binary_search_by_key(&id, |entry| entry.id).ok()?;
        self.streams.get_mut(at)
    }

    /// The settings of the endpoint's default server.
    fn settings(&self) -> &Settings {
        let endpoint = &self.config.endpoints[self.client.endpoint.at()];
        &self.config.location(self.config.server(endpoint.default).root).settings
    }

    /// The configuration it began under.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// No request is in progress, and nothing waits to be sent.
    pub fn is_idle(&self) -> bool {
        self.streams.is_empty() && self.out.is_empty() && !self.protocol.has_control() && !self.protocol.is_in_head()
    }

    /// A stream has ended, woken by itself and not driven by this connection.
    pub fn note_ended(&mut self, stream: Box<StreamTransport>) {
        self.ended.push(stream);
    }

    /// Bytes that wait for the socket.
    fn unsent(&self) -> usize {
        self.out.len() - self.sent
    }

    /// So much output waits that nothing more is read: the client does not take the replies to its frames.
    fn is_choked(&self) -> bool {
        self.unsent() >= CHOKED
    }

    /// At most one request is in progress, and no frame waits.
    pub fn has_one_request(&self) -> bool {
        self.streams.len() < 2 && self.input.is_empty()
    }

    /// Frames are waiting for room in the socket's send buffer.
    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }
}

/// [`OUTPUT`], as things are.
fn output(cx: &Services) -> usize {
    if cx.overload.is_tight() { SCARCE } else { OUTPUT }
}

/// [`QUANTUM`], as things are.
fn quantum(cx: &Services) -> usize {
    if cx.overload.is_tight() { SCARCE } else { QUANTUM }
}

/// The error code that a stream is reset with whose response is not complete.
fn code_of(stream: &StreamTransport) -> ErrorCode {
    match stream.ending {
        // nginx.
        Ending::TimedOut | Ending::Refused => ErrorCode::PROTOCOL_ERROR,
        // RFC 9113 §8.5: the server's connection was reset, or broke off.
        Ending::Cut if stream.is_tunnel => ErrorCode::CONNECT_ERROR,
        Ending::Complete(_) | Ending::Cut => ErrorCode::INTERNAL_ERROR,
    }
}

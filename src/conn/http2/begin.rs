//! Which connections speak HTTP/2, and how a stream's head becomes an exchange's request.

use super::stream::StreamTransport;
use super::{Entry, Http2};
use crate::config::model::{Config, EndpointId};
use crate::conn::arrival::Arrival;
use crate::conn::close;
use crate::conn::http1::head::before_head;
use crate::conn::io::Step;
use crate::conn::request::state::RequestReader;
use crate::conn::timers::{Deadline, Timer};
use crate::conn::transport::Transport;
use crate::conn::{Active, Conn, ConnState, Queueing, Turn, Watched};
use crate::exchange::Exchange;
use crate::http::body_length::BodyLength;
use crate::http::body_reader::BodyReader;
use crate::http::escape::to_base64;
use crate::http::h2::connection::{Connection, ConnectionLimits};
use crate::http::h2::error::ErrorCode;
use crate::http::h2::extended;
use crate::http::h2::frame::PREFACE;
use crate::http::h2::hpack::{Block, Bounds};
use crate::http::h2::request::{DecodedHead, Rules};
use crate::http::method::Method;
use crate::http::reject::Reject;
use crate::http::request_target::TargetForm;
use crate::http::version::Version;
use crate::sys::random;
use crate::util::slab::{Key, Slab};
use crate::util::span::Span;
use std::rc::Rc;

/// Whether an endpoint's connections may speak HTTP/2: `listen … http2`, or `http2 on` at its default server.
pub fn is_spoken(config: &Config, endpoint: EndpointId) -> bool {
    let endpoint = &config.endpoints[endpoint.at()];
    endpoint.http2 || config.location(config.server(endpoint.default).root).settings.http2.enable
}

/// Whether the connection may speak HTTP/2: over TLS if ALPN has selected it, whatever the client sends then; without
/// TLS if the bytes received so far are a prefix of the preface (prior knowledge, RFC 9113 §3.3).
pub fn is_awaited(conn: &Conn, active: &Active) -> bool {
    if conn.transport.is_stream() {
        return false;
    }
    if let Some(facts) = &active.ex.client.tls {
        return facts.speaks_http2();
    }
    let begin = active.reader.unread();
    let begin = &begin[..begin.len().min(PREFACE.len())];
    !begin.is_empty() && PREFACE.starts_with(begin) && is_spoken(&active.ex.config, active.ex.client.endpoint)
}

/// Makes this an HTTP/2 connection once the preface is complete.
pub fn begin(conn: &mut Conn, turn: &mut Turn<'_>) -> Step {
    let ConnState::Active(active) = &mut conn.state else { return Step::Again };
    let is_agreed = active.ex.client.tls.is_some() && !active.reader.unread().is_empty();
    if is_agreed || active.reader.unread().len() >= PREFACE.len() {
        enter(conn, turn);
        return Step::Yield;
    }
    before_head(&mut conn.transport, &mut active.reader)
}

fn enter(conn: &mut Conn, turn: &mut Turn<'_>) {
    let ConnState::Active(active) = &mut conn.state else { return };
    let input = active.reader.take_rest();
    let ex = &active.ex;
    let now = turn.cx.now.ms;
    let protocol = Connection::new(limits(ex), now);
    conn.deadline = Deadline::new(Timer::Header, now + ex.location().settings.client.header_timeout.0);
    let http2 = Http2 {
        protocol,
        input,
        arrival: Arrival::default(),
        out: Vec::new(),
        sent: 0,
        streams: Vec::new(),
        ended: Vec::new(),
        glitches: 0,
        client: ex.client.clone(),
        config: ex.config.clone(),
        turns: 0,
        idle_after: None,
        has_large: false,
        is_limited: false,
        is_partial: false,
        displaced: None,
        ends: None,
        lingers: false,
        driven: Vec::new(),
    };
    close::leave_active(conn, turn);
    conn.state = ConnState::Http2(Box::new(http2));
}

/// With the settings of the endpoint's default server.
pub fn limits(ex: &Exchange) -> ConnectionLimits {
    let head = ex.head_limits();
    let settings = &ex.location().settings;
    let fields = if head.fields == 0 { 1000 } else { head.fields };
    ConnectionLimits {
        streams: settings.http2.max_concurrent_streams,
        preread: settings.http2.body_preread_size,
        bounds: Bounds {
            // Over HTTP/2 only the sum counts (nginx).
            total: head.total,
            // And the pseudo-header fields.
            fields: fields + 5,
        },
        rules: Rules { unusual: head.unusual, extended_connect: true, fields },
        ..ConnectionLimits::default()
    }
}

impl Http2 {
    /// A request has arrived: its exchange gets a connection of its own.
    pub(super) fn open(
        &mut self,
        conns: &mut Slab<Conn>,
        key: Key,
        turn: &mut Turn<'_>,
        (id, end, fault): (u32, bool, Option<Reject>),
    ) {
        let seen = match &fault {
            None if end => match self.answer_cached(conns, key, turn, id) {
                Ok(()) => return,
                Err(seen) => seen,
            },
            _ => None,
        };
        let Some(parent) = conns.get_mut(key) else { return };
        parent.served.add(1);
        if turn.cx.overload.refuses() && !self.streams.is_empty() {
            return self.turn_away(turn, id);
        }
        self.client.requests = u64::from(parent.served.requests());
        self.client.has_others = !self.streams.is_empty();
        let cx = &mut *turn.cx;
        let deadline = Deadline::new(Timer::Send, cx.now.ms + self.settings().client.send_timeout.0);
        let mut active = parent.exchange_of(self.client.clone(), (Vec::new(), 0), cx, turn.pool);
        let Active { ex, reader, .. } = &mut *active;
        ex.out.use_frames();
        // It may wait for its first turn beside many others: it gets a buffer when that comes.
        ex.out.rest(&mut cx.buffers);
        let is_tunnel = self.hand_over(ex, reader);
        cx.overload.grow(ex.request.text.len());
        if is_tunnel {
            ex.out.expect_tunnel();
        }
        let mut stream = StreamTransport::new(key, id, fault);
        stream.is_received = end;
        stream.is_secure = parent.transport.is_secure();
        stream.seen = seen;
        stream.is_tunnel = is_tunnel;
        let conn = Conn {
            transport: Transport::of_stream(stream),
            watched: Watched::ForBoth,
            queueing: Queueing::default(),
            listener: parent.listener,
            served: parent.served,
            peer: parent.peer,
            serial: parent.serial,
            accepted: parent.accepted,
            deadline,
            proxy_header: parent.proxy_header.clone(),
            state: ConnState::Active(active),
        };
        cx.stats.reading += 1;
        let key = conns.insert(conn);
        self.streams.push(Entry::ready(id, key));
    }

    /// worker_memory_limit is nearly reached, and the connection has a stream that is answered already (503, if it is
    /// new): each further one would hold an exchange until the client reads. It may be tried again.
    fn turn_away(&mut self, turn: &mut Turn<'_>, id: u32) {
        turn.budget.requests = turn.budget.requests.saturating_sub(1);
        self.protocol.reset(id, ErrorCode::REFUSED_STREAM);
        self.protocol.release(id);
        self.report(turn.cx, format_args!("stream {id} is refused: worker_memory_limit is nearly reached"));
    }

    /// Passes the head to the exchange ([`hand_over`]).
    fn hand_over(&mut self, ex: &mut Exchange, reader: &mut RequestReader) -> bool {
        let from = *self.protocol.request();
        hand_over(self.protocol.block_mut(), from, ex, reader)
    }
}

/// Passes a decoded head to the exchange by swapping its buffers with the block's. True: the request asks for another
/// protocol on its stream (RFC 8441).
pub fn hand_over(block: &mut Block, mut from: DecodedHead, ex: &mut Exchange, reader: &mut RequestReader) -> bool {
    if Rc::get_mut(&mut ex.request).is_none() {
        ex.request = Rc::default();
    }
    let Some(request) = Rc::get_mut(&mut ex.request) else { return false };
    let is_tunnel = !from.protocol.is_empty();
    if is_tunnel {
        let mut key = Vec::new();
        to_base64(&nonce(), &mut key);
        extended::as_upgrade(block, &mut from, &key);
    }
    let head = &mut request.head;
    head.clear();
    std::mem::swap(&mut head.fields, &mut block.fields);
    std::mem::swap(&mut request.text, &mut block.text);
    head.version = Version::Http2;
    head.method = from.method;
    head.method_name = from.method_name;
    head.target = from.target;
    let target = from.target.of(&request.text);
    let end = memchr::memchr(b'#', target).unwrap_or(target.len());
    head.origin = Span::new(from.target.start as usize, from.target.start as usize + end);
    head.form = match from.target.of(&request.text) {
        b"*" => TargetForm::Asterisk,
        _ if from.method == Method::Connect => TargetForm::Authority,
        _ => TargetForm::Origin,
    };
    head.request_line = from.request_line;
    head.host = from.host;
    head.body_length = from.body_length;
    head.expect_continue = from.expect_continue;
    head.len = from.len + from.request_line.start as usize;
    reader.body = match from.body_length {
        BodyLength::None => None,
        length @ (BodyLength::Unknown | BodyLength::Known(_)) => Some(BodyReader::of_stream(length)),
    };
    reader.expects_continue = request.expects_continue();
    // The connection that carries it has begun an epoch already, where one was needed.
    reader.arrival = Arrival::BeforeEpoch;
    is_tunnel
}

/// A WebSocket key must be unique, but need not be secret.
fn nonce() -> [u8; 16] {
    let mut bytes = [0; 16];
    // Without randomness it is the same each time: the upstream only echoes it.
    let _ = random::fill(&mut bytes);
    bytes
}

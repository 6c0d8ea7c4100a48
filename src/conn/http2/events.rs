//! What a connection does about the events of its frames: requests begun, bodies passed on, streams reset.

use super::{Http2, WIDE};
use crate::config::model::{ErrorLog, Level, LineFormat};
use crate::conn::io::CloseReason;
use crate::conn::{Conn, ConnState, Turn};
use crate::exchange::error_log;
use crate::exchange::{Rx, Tx};
use crate::http::fields::Fields;
use crate::http::h2::connection::{Event, ReadStep};
use crate::http::h2::error::{ConnectionFault, ErrorCode};
use crate::services::Services;
use crate::services::logs::Who;
use crate::util::slab::{Key, Slab};

/// Why parsing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// All input is processed, except for an incomplete frame.
    More,
    /// Output must be sent first, or the share of the turn is used up.
    Blocked,
    /// The client broke a rule that ends the connection.
    Failed,
}

impl Http2 {
    /// Parses what was read and acts on it, up to the number of requests and the time that the turn has left, but at
    /// least one frame: 32 KiB of compressed header blocks took a millisecond of each of 200 connections.
    pub(super) fn process_input(&mut self, conns: &mut Slab<Conn>, key: Key, turn: &mut Turn<'_>) -> Read {
        let input = std::mem::take(&mut self.input);
        let mut at = 0;
        let outcome = loop {
            if turn.budget.requests == 0 {
                break Read::Blocked;
            }
            match self.protocol.receive(&input[at..], turn.cx.now.ms) {
                Ok(ReadStep::More) => break Read::More,
                Ok(ReadStep::Blocked) => break Read::Blocked,
                Ok(ReadStep::Took { consumed, event }) => {
                    let rest = &input[at..];
                    let is_costly = matches!(event, Some(Event::Request { .. }));
                    at += consumed;
                    match event {
                        None => {}
                        Some(Event::Request { stream, end, fault }) => {
                            self.arrival.request(&mut turn.cx.now);
                            self.open(conns, key, turn, (stream, end, fault));
                            self.limit_requests(conns, key, turn.cx);
                        }
                        Some(Event::Data { stream, data, end }) => {
                            self.data(conns, stream, rest.get(data).unwrap_or_default(), end);
                        }
                        Some(event) => self.event(conns, turn.cx, event),
                    }
                    // After the last frame there is nothing left to postpone: a single small request makes no
                    // connection heavy.
                    if is_costly && at < input.len() && turn.cx.slice.is_share_late() {
                        break Read::Blocked;
                    }
                }
                Err(fault) => {
                    self.fail(turn.cx, fault);
                    break Read::Failed;
                }
            }
        };
        self.keep(input, at..);
        self.is_partial = outcome == Read::More;
        outcome
    }

    /// Keeps the input that was not parsed.
    fn keep(&mut self, mut input: Vec<u8>, rest: std::ops::RangeFrom<usize>) {
        input.drain(..rest.start);
        self.input = input;
    }

    fn fail(&mut self, cx: &mut Services, fault: ConnectionFault) {
        self.report(cx, format_args!("{fault}"));
        self.ends = Some(CloseReason::ProtocolError);
    }

    /// Writes a line about the connection to the error log.
    pub(super) fn report(&self, cx: &mut Services, what: std::fmt::Arguments<'_>) {
        self.write_error(&self.settings().logs.error, Level::Info, what, cx);
    }

    /// Writes a line about the connection, not one of its streams, to the error log, with the client's address.
    pub(super) fn write_error(&self, log: &ErrorLog, level: Level, what: std::fmt::Arguments<'_>, cx: &mut Services) {
        let who = Who {
            serial: self.client.serial,
            asked: &|format: LineFormat, out: &mut Vec<u8>| error_log::client(&self.client.peer, format, out),
        };
        cx.logs.error(log, level, &mut cx.now, Some(who), what);
    }

    /// keepalive_requests and keepalive_time: no streams are accepted after the one that reaches them.
    fn limit_requests(&mut self, conns: &Slab<Conn>, key: Key, cx: &Services) {
        let Some(conn) = conns.get(key) else { return };
        let client = &self.settings().client;
        let is_old = cx.now.ms.saturating_sub(self.client.accepted) >= client.keepalive_time.0;
        if u64::from(conn.served.requests()) >= client.keepalive_requests || is_old {
            self.protocol.go_away(ErrorCode::NO_ERROR);
        }
    }

    fn data(&mut self, conns: &mut Slab<Conn>, id: u32, data: &[u8], end: bool) {
        let Some(entry) = self.entry(id) else { return self.protocol.consumed(id, data.len()) };
        let Some(key) = entry.key() else { return self.protocol.consumed(id, data.len()) };
        entry.is_ready = true;
        let Some((stream, is_wanted)) = conns.get_mut(key).and_then(stream_and_wanted) else {
            return self.protocol.consumed(id, data.len());
        };
        stream.is_received |= end;
        if !is_wanted {
            return self.protocol.consumed(id, data.len());
        }
        stream.push(data);
    }

    fn event(&mut self, conns: &mut Slab<Conn>, cx: &mut Services, event: Event) {
        let (id, broken) = match event {
            Event::Trailers { stream } => {
                let block = self.protocol.block();
                let mut trailers = Fields::default();
                for field in &block.fields {
                    trailers.push(field.name.of(&block.text), field.value.of(&block.text));
                }
                self.change_stream(conns, stream, |conn| {
                    if let ConnState::Active(active) = &mut conn.state
                        && let Some(body) = &mut active.reader.body
                    {
                        body.trailers = trailers;
                    }
                    if let Some(stream) = conn.transport.stream_mut() {
                        stream.is_received = true;
                    }
                });
                return;
            }
            Event::Malformed { stream, reject } => {
                self.change_stream(conns, stream, |conn| {
                    if let Some(stream) = conn.transport.stream_mut() {
                        stream.fault = Some(reject);
                    }
                });
                return;
            }
            Event::Reset { stream, code } => {
                self.report(cx, format_args!("client reset stream {stream} with code {}", code.0));
                (stream, true)
            }
            Event::Failed { stream, fault } => {
                self.report(cx, format_args!("{fault}, stream {stream}"));
                (stream, true)
            }
            Event::Window { stream: 0 } => return self.streams.iter_mut().for_each(|entry| entry.is_stalled = false),
            Event::Window { stream } => {
                if let Some(entry) = self.entry(stream) {
                    entry.is_stalled = false;
                }
                return;
            }
            // The ranking of streams reads these from the protocol's state.
            Event::Priority { .. } | Event::SettingsAcked | Event::GoAway { .. } => return,
            Event::Request { .. } | Event::Data { .. } => return,
        };
        if let Some(at) = self.streams.iter().position(|entry| entry.id == id && entry.key().is_none()) {
            return self.end_cached(at, ErrorCode::CANCEL, cx);
        }
        self.change_stream(conns, id, |conn| {
            if let Some(stream) = conn.transport.stream_mut() {
                stream.is_broken |= broken;
            }
        });
    }

    fn change_stream(&mut self, conns: &mut Slab<Conn>, id: u32, change: impl FnOnce(&mut Conn)) {
        let Some(entry) = self.entry(id) else { return };
        let Some(key) = entry.key() else { return };
        entry.is_ready = true;
        if let Some(conn) = conns.get_mut(key) {
            change(conn);
        }
    }

    /// Widens the window of a body that is read as it arrives.
    pub(super) fn widen(&mut self, conns: &Slab<Conn>, at: usize) {
        let Some(entry) = self.streams.get(at) else { return };
        if entry.key().and_then(|key| conns.get(key)).is_some_and(takes_body) {
            self.protocol.widen(entry.id, WIDE);
        }
    }

    /// A stream was driven on its own, woken by a timer or by its upstream: the window is widened by what it read of
    /// its body.
    pub fn went_on(&mut self, Intake { id, taken, takes }: Intake) {
        if taken > 0 {
            self.protocol.consumed(id, taken);
        }
        if takes {
            self.protocol.widen(id, WIDE);
        }
    }
}

/// How much of its body a stream has read.
#[derive(Clone, Copy, Debug)]
pub struct Intake {
    id: u32,
    /// Bytes read since this was last checked.
    taken: usize,
    /// The rest is read as it arrives.
    takes: bool,
}

impl Intake {
    /// None: the connection is no stream.
    pub fn of(conn: &mut Conn) -> Option<Intake> {
        let takes = takes_body(conn);
        let stream = conn.transport.stream_mut()?;
        Some(Intake { id: stream.id, taken: std::mem::take(&mut stream.taken), takes })
    }
}

/// Whether the body is read as it arrives.
pub(super) fn takes_body(conn: &Conn) -> bool {
    let ConnState::Active(active) = &conn.state else { return false };
    active.ex.progress.rx == Rx::Body || conn.transport.stream().is_some_and(|stream| stream.is_tunnel)
}

/// The stream of a connection, and whether its body is still wanted.
fn stream_and_wanted(conn: &mut Conn) -> Option<(&mut super::stream::StreamTransport, bool)> {
    let is_wanted = match &conn.state {
        // Before there is a response a handler may still come to want it: after a delay, or once access is granted.
        ConnState::Active(active) => {
            // The client's own request: a subrequest has no body.
            let mut ex = &active.ex;
            while let Some(sub) = &ex.nesting.subrequest {
                ex = &sub.parent;
            }
            match ex.progress.rx {
                Rx::Done => false,
                Rx::Drain => ex.progress.tx == Tx::Wait,
                _ => true,
            }
        }
        _ => false,
    };
    let stream = conn.transport.stream_mut()?;
    let is_wanted = is_wanted || stream.is_tunnel;
    Some((stream, is_wanted))
}

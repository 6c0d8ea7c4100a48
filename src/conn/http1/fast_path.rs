//! The fast path: requests in the response cache ([`crate::services::response_cache`]) are answered without an
//! exchange. Their bytes are compared, the responses are rendered one after the other, and all of them sent by one
//! call.
//!
//! Invariant: a connection whose responses are rendered has nothing else under way; they are sent in the same turn,
//! or an exchange takes them over.

use super::send_batch::{BATCH, BatchedResponse, SendBatch};
use crate::config::model::EndpointId;
use crate::conn::arrival::Arrival;
use crate::conn::io::{CloseReason, Step};
use crate::conn::timers::Timer;
use crate::conn::transport::Transport;
use crate::conn::transport::file_part::FilePart;
use crate::conn::{Conn, ConnState, Turn};
use crate::exchange::Exchange;
use crate::exchange::access_log::{self, ClientFacts};
use crate::exchange::cacheable;
use crate::exchange::counters;
use crate::exchange::send_queue::SHORT;
use crate::http::h1::head::HeadParser;
use crate::services::Services;
use crate::services::open_files::OpenFile;
use crate::services::response_cache::CachedBody;
use crate::sys::Errno;
use crate::sys::socket::More;

/// How much of the input was answered.
#[derive(Clone, Copy, Default)]
pub struct Answered {
    /// Bytes of whole heads; what follows them is left for an exchange.
    pub bytes: usize,
    /// The hash of the next request, if that was seen before: its response may then be cached.
    pub next: Option<u64>,
}

/// Answers requests of `input`, which was read from an idle connection, from its beginning on, as long as their
/// responses are cached. The connection's state then names the responses in the batch.
pub fn answer(
    conn: &mut Conn,
    endpoint: EndpointId,
    input: &[u8],
    arrival: &mut Arrival,
    turn: &mut Turn<'_>,
) -> Answered {
    let Turn { cx, pool, budget, .. } = turn;
    let batch = &mut pool.send_batch;
    let mut answered = Answered::default();
    if needs_exchange(conn, endpoint, cx) {
        return answered;
    }
    let from = batch.responses.len();
    let mut closes = false;
    while !closes && answered.bytes < input.len() {
        let rest = input.get(answered.bytes..).unwrap_or_default();
        let Some(len) = pool.head_finder.find(rest) else { break };
        let head = rest.get(..len).unwrap_or_default();
        let hash = cx.response_cache.hash(endpoint, head);
        let Some(cached) = cx.response_cache.find(hash, endpoint, head).cloned() else {
            answered.next = cx.response_cache.mark_seen(hash).then_some(hash);
            break;
        };
        let count = batch.responses.len() - from;
        let requests = u64::from(conn.served.requests()) + count as u64 + 1;
        let start = batch.text.len();
        let begun = batch.responses.get(from).map_or(start, |first| first.text.start);
        closes = !cached.keep_alive;
        // The last one says that the connection closes; what follows it is not a request.
        let ends =
            requests >= cached.client.keepalive_requests || conn.age(cx.now.ms) >= cached.client.keepalive_time.0;
        if ends && !closes || closes && len < rest.len() || budget.requests == 0 || start - begun > BATCH {
            break;
        }
        // The file of a response is sent behind the text, so that no other response may follow or precede it.
        if cached.body == CachedBody::File && (count > 0 || len < rest.len()) {
            break;
        }
        arrival.request(&mut cx.now);
        let client = ClientFacts { peer: &conn.peer, serial: conn.serial, requests, ms: 0, cut: None };
        let Some(tail) = cacheable::render(&cached, client, cx, &mut batch.text) else {
            cx.response_cache.forget(hash);
            answered.next = Some(hash);
            break;
        };
        budget.requests -= 1;
        batch.responses.push(BatchedResponse { text: start..batch.text.len(), tail, cached });
        answered.bytes += len;
    }
    if answered.bytes > 0 {
        conn.state = ConnState::PendingSend { from: from as u32, count: (batch.responses.len() - from) as u32 };
    }
    answered
}

/// An exchange serves a connection whose PROXY header is yet to be read, one that is about to end (its response says
/// so), one that cannot be written to or has more to be read, and all of them where nothing is cached.
fn needs_exchange(conn: &Conn, endpoint: EndpointId, cx: &Services) -> bool {
    cx.config.endpoints[endpoint.at()].proxy_protocol
        || cx.response_cache.is_off()
        || conn.transport.is_early()
        || cx.quitting
        || cx.overload.is_tight()
        || !conn.transport.can_write()
        || conn.transport.can_read()
}

/// Sends the rendered responses, or leaves short ones for the end of the turn.
pub fn send(conn: &mut Conn, turn: &mut Turn<'_>) -> Step {
    let Turn { cx, pool, endpoints, budget, .. } = turn;
    let ConnState::PendingSend { from, count } = conn.state else { return Step::Again };
    let responses = pool.send_batch.responses(from, count);
    let text = pool.send_batch.text(responses);
    let Some(last) = responses.last() else { return Step::Close(CloseReason::Bug) };
    if budget.batch && last.tail.is_none() && text.len() < SHORT {
        return Step::Batched;
    }
    let end = if last.cached.keep_alive { More::No } else { More::Last };
    let sent = write(&mut conn.transport, text, last.tail.as_deref(), end, &mut cx.scratch);
    let Ok((of_text, of_tail)) = sent else {
        log(conn, responses, Outcome::Unsent, cx);
        return Step::Close(CloseReason::ClientGone);
    };
    budget.moved(of_tail);
    let is_out = !conn.transport.has_unsent();
    if is_out && of_text == text.len() && last.tail.as_ref().is_none_or(|file| of_tail as u64 == file.stat.size) {
        log(conn, responses, Outcome::Sent, cx);
        conn.state = ConnState::Idle;
        conn.arm(Timer::KeepAlive, cx.now.ms + last.cached.client.keepalive_timeout.0);
        let keep_alive = last.cached.keep_alive && !cx.quitting;
        pool.send_batch.done(from, count);
        return if keep_alive { Step::Again } else { Step::Close(CloseReason::Served) };
    }
    // All but the last count as sent, as in any batch; an exchange is made for the last one, to send what is left.
    let (cached, mark) = (last.cached.clone(), text.len() - last.text.len());
    log(conn, responses.split_last().map_or(&[], |(_, others)| others), Outcome::Sent, cx);
    let Some(endpoint) = endpoints.find(conn.listener, conn.fd()) else {
        return Step::Close(CloseReason::NotListened);
    };
    let input = cx.buffers.take();
    // It also serves what is pipelined behind, which knows of the connection what any other request does.
    let mut active = conn.exchange(endpoint, (input, 0), cx, pool);
    let ex = &mut active.ex;
    let mut parser = HeadParser::default();
    // It was parsed before, without a fault.
    let _ = parser.parse(cached.bytes(cached.request), &ex.head_limits());
    cacheable::resume(ex, &cached, parser.head);
    let responses = pool.send_batch.responses(from, count);
    ex.out.text().extend_from_slice(pool.send_batch.text(responses));
    if let Some(file) = responses.last().and_then(|last| last.tail.as_ref()) {
        ex.out.push_file(file, 0, file.stat.size);
    }
    ex.out.began_at(mark as u64);
    ex.out.decide_connection(cached.keep_alive, None);
    pool.send_batch.done(from, count);
    // `front` makes a segment of the queued text, which `advance` needs.
    let _ = ex.out.front();
    ex.out.advance(of_text);
    ex.out.advance(of_tail);
    conn.arm(Timer::Send, cx.now.ms + cached.client.send_timeout.0);
    cx.stats.waiting -= 1;
    cx.stats.writing += 1;
    conn.state = ConnState::Active(active);
    Step::Again
}

/// Writes text and the file behind it; `end` says what follows both. Gives how many bytes of each the socket took; Err:
/// the client has gone.
fn write(
    transport: &mut Transport,
    text: &[u8],
    tail: Option<&OpenFile>,
    end: More,
    scratch: &mut Vec<u8>,
) -> Result<(usize, usize), Errno> {
    let taken = |result| match result {
        Err(Errno::EAGAIN) => Ok(0),
        result => result,
    };
    let more = if tail.is_some() { More::Yes } else { end };
    let of_text = taken(transport.send(text, more))?;
    let tail = tail.and_then(|file| Some(FilePart { source: file.fd()?, at: 0, wanted: file.stat.size as usize }));
    let of_tail = match tail {
        Some(part) if of_text == text.len() => taken(transport.send_file(part, scratch, end))?,
        _ => 0,
    };
    Ok((of_text, of_tail))
}

/// Responses that were rendered go before those that the exchange will make.
pub fn hand_over(conn: &mut Conn, ex: &mut Exchange, cx: &mut Services, batch: &mut SendBatch) {
    let ConnState::PendingSend { from, count } = conn.state else { return };
    let responses = batch.responses(from, count);
    log(conn, responses, Outcome::Sent, cx);
    ex.client.requests = u64::from(conn.served.requests()) + 1;
    ex.out.text().extend_from_slice(batch.text(responses));
    ex.out.begin_response();
    batch.done(from, count);
    conn.state = ConnState::Idle;
}

/// What became of responses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Sent,
    /// The client had gone before them.
    Unsent,
}

fn log(conn: &mut Conn, responses: &[BatchedResponse], outcome: Outcome, cx: &mut Services) {
    for answer in responses {
        conn.served.add(1);
        let client = ClientFacts {
            peer: &conn.peer,
            serial: conn.serial,
            requests: u64::from(conn.served.requests()),
            ms: 0,
            cut: (outcome == Outcome::Unsent).then_some(0),
        };
        let tail = answer.tail.as_ref().map_or(0, |file| file.stat.size);
        let size = answer.text.len() as u64 + tail;
        counters::cached(&answer.cached, if outcome == Outcome::Sent { size } else { 0 }, cx);
        access_log::sent(&answer.cached, client, cx);
    }
}

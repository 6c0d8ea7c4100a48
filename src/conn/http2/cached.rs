//! Streams answered from the cache ([`crate::services::response_cache`]), without an exchange of their own: a short
//! response at once, a longer one in turns as any stream's.
//!
//! Invariant: such a stream has no state but how much of its response is sent; it ends when all is sent, by the
//! client's reset, by its deadline, or with its connection, and is logged then.

use super::cached_send::{CacheKey, CachedSend};
use super::{Entry, Http2, Work, output, quantum};
use crate::config::model::Level;
use crate::conn::{Conn, Turn};
use crate::exchange::access_log::{self, ClientFacts};
use crate::exchange::cacheable;
use crate::http::body_length::BodyLength;
use crate::http::h2::error::ErrorCode;
use crate::http::h2::frame::{EndStream, HEADER_LEN};
use crate::http::method::Method;
use crate::services::Services;
use crate::services::response_cache::{CachedBody, frame_key};
use crate::sys::file::{self, Pieces};
use crate::util::slab::{Key, Slab};
use std::rc::Rc;

/// Responses up to this size are sent at once: scheduling them would cost more.
const SHORT: u64 = 16 << 10;

impl Http2 {
    /// Answers a stream's request if its response is cached.
    ///
    /// # Errors
    /// It is not cached; the key to cache it by, if the request was seen before.
    pub(super) fn answer_cached(
        &mut self,
        conns: &mut Slab<Conn>,
        key: Key,
        turn: &mut Turn<'_>,
        id: u32,
    ) -> Result<(), Option<CacheKey>> {
        let cx = &mut *turn.cx;
        let (head, block) = (self.protocol.request(), self.protocol.block());
        let may_be_known = matches!(head.method, Method::Get | Method::Head)
            && head.body_length == BodyLength::None
            && !cx.quitting
            && !cx.overload.refuses()
            && Rc::ptr_eq(&self.config, &cx.config)
            && !cx.config.endpoints[self.client.endpoint.at()].proxy_protocol;
        let Some(conn) = conns.get_mut(key).filter(|_| may_be_known) else { return Err(None) };
        let mut fields = std::mem::take(&mut turn.pool.http2.key);
        fields.clear();
        let spans = [head.method_name, head.scheme, head.host, head.target].into_iter();
        let spans = spans.chain(block.fields.iter().flat_map(|field| [field.name, field.value]));
        frame_key(&block.text, spans, &mut fields);
        let answered = self.look_up(conn, turn, id, &fields);
        turn.pool.http2.key = fields;
        answered
    }

    fn look_up(&mut self, conn: &mut Conn, turn: &mut Turn<'_>, id: u32, key: &[u8]) -> Result<(), Option<CacheKey>> {
        let cx = &mut *turn.cx;
        let endpoint = self.client.endpoint;
        if !cx.response_cache.takes(key) {
            return Err(None);
        }
        let hash = cx.response_cache.hash(endpoint, key);
        let seen = || CacheKey { hash, key: key.into() };
        let Some(response) = cx.response_cache.find(hash, endpoint, key).cloned() else {
            return Err(cx.response_cache.mark_seen(hash).then(seen));
        };
        let requests = u64::from(conn.served.requests()) + 1;
        let facts = ClientFacts { peer: &conn.peer, serial: conn.serial, requests, ms: 0, cut: None };
        let Some(file) = cacheable::check(&response, facts, cx) else {
            cx.response_cache.forget(hash);
            return Err(Some(seen()));
        };
        conn.served.add(1);
        self.client.requests = requests;
        turn.budget.requests = turn.budget.requests.saturating_sub(1);
        let size = match (response.body, &file) {
            (CachedBody::File, Some(file)) => file.stat.size,
            _ => cacheable::content(&response, file.as_ref()).len() as u64,
        };
        let deadline = cx.now.ms + response.client.send_timeout.0;
        let started = cx.now.ms;
        let cached = CachedSend { response, file, at: 0, size, is_begun: false, requests, started, deadline };
        self.streams.push(Entry::cached(id, cached));
        if size <= SHORT && self.out.len() - self.sent < output(turn.cx) {
            // Replies to frames (SETTINGS, PING) go before all else.
            self.protocol.take_control(&mut self.out);
            self.send_cached(self.streams.len() - 1, turn.cx);
        }
        Ok(())
    }

    /// A turn of the stream at that place. It is gone once its answer is sent.
    pub(super) fn send_cached(&mut self, at: usize, cx: &mut Services) {
        self.turns += 1;
        let Http2 { streams, protocol, out, .. } = self;
        let Some(entry) = streams.get_mut(at) else { return };
        let id = entry.id;
        let Work::Cached(cached) = &mut entry.work else { return };
        let (response, before) = (&cached.response, cached.at);
        if !cached.is_begun {
            cached.is_begun = true;
            protocol.head(id, EndStream::when(cached.size == 0), out, |out| cacheable::head(response, cx, out));
        }
        let chunk = self.config.location(response.location).settings.http2.chunk_size.0 as usize;
        let chunk = chunk.clamp(1, protocol.max_frame());
        let mut room = protocol.room(id).min(quantum(cx)).min((cached.size - cached.at) as usize);
        let mut has_ended = false;
        match (response.body, &cached.file) {
            (CachedBody::File, Some(file)) => {
                while room > 0 && !has_ended {
                    let left = (cached.size - cached.at) as usize;
                    let got = protocol.data_from(id, (left, chunk), out, |out| {
                        let pieces = Pieces { gap: HEADER_LEN, size: chunk };
                        file.fd().and_then(|fd| file::pread_pieces(fd, out, pieces, room, cached.at).ok()).unwrap_or(0)
                    });
                    has_ended = got == 0;
                    cached.at += got as u64;
                    room -= got;
                }
            }
            (_, file) => {
                let content = cacheable::content(response, file.as_ref());
                while room > 0 {
                    let len = room.min(chunk);
                    let from = cached.at as usize;
                    cached.at += len as u64;
                    protocol.data(id, len, EndStream::when(cached.at == cached.size), out);
                    out.extend_from_slice(content.get(from..from + len).unwrap_or_default());
                    room -= len;
                }
            }
        }
        let sent = cached.at - before;
        if sent > 0 {
            cached.deadline = cx.now.ms + cached.response.client.send_timeout.0;
        }
        let is_over = cached.at == cached.size || has_ended;
        entry.turn = self.turns;
        entry.sent += sent;
        entry.is_stalled = sent == 0;
        if has_ended {
            self.report_short(at, cx);
        }
        if is_over {
            self.end_cached(at, ErrorCode::INTERNAL_ERROR, cx);
        }
    }

    fn report_short(&self, at: usize, cx: &mut Services) {
        let Some(Work::Cached(cached)) = self.streams.get(at).map(|entry| &entry.work) else { return };
        let log = &cached.response.logs.error;
        let size = cached.size;
        let text = format_args!("file was truncated while sending: {size} bytes were promised");
        self.write_error(log, Level::Error, text, cx);
    }

    /// The stream at that place is over; it is reset with `code` unless its response was sent whole.
    pub(super) fn end_cached(&mut self, at: usize, code: ErrorCode, cx: &mut Services) {
        let entry = self.streams.remove(at);
        let Work::Cached(cached) = &entry.work else { return };
        let ms = cx.now.ms.saturating_sub(cached.started);
        let (peer, serial, requests) = (&self.client.peer, self.client.serial, cached.requests);
        let is_whole = cached.is_begun && cached.at == cached.size;
        let head = if cached.is_begun { cached.response.head_size } else { 0 };
        let cut = (!is_whole).then_some(head + cached.at);
        access_log::sent(&cached.response, ClientFacts { peer, serial, requests, ms, cut }, cx);
        if !is_whole {
            self.protocol.reset(entry.id, code);
        }
        self.protocol.release(entry.id);
    }

    /// When the first of them times out.
    pub(super) fn cached_deadline(&self) -> Option<u64> {
        let deadline = |entry: &Entry| match &entry.work {
            Work::Cached(cached) => Some(cached.deadline),
            Work::Exchange(_) => None,
        };
        self.streams.iter().filter_map(deadline).min()
    }

    /// Ends those whose client did not open a window for too long. True: there were some.
    pub(super) fn expire_cached(&mut self, cx: &mut Services) -> bool {
        let now = cx.now.ms;
        let is_late = |entry: &Entry| matches!(&entry.work, Work::Cached(cached) if cached.deadline <= now);
        let before = self.streams.len();
        while let Some(at) = self.streams.iter().position(is_late) {
            self.end_cached(at, ErrorCode::PROTOCOL_ERROR, cx);
        }
        self.streams.len() < before
    }
}

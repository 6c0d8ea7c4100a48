//! Drives the streams of a connection that can continue, in order of priority, as long as the output has room.

use super::events::takes_body;
use super::stream::{Grant, StreamTransport};
use super::{Http2, LARGE, Work, output, quantum, schedule};
use crate::conn::io::Next;
use crate::conn::request::read;
use crate::conn::{Conn, ConnState, Turn, drive};
use crate::exchange::{cacheable, entry};
use crate::util::slab::Slab;
use crate::util::wake::Wake;
use schedule::{Candidate, Order};
use std::cmp::Reverse;

/// What a stream may send when it is its turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MaySend {
    /// A head, but no DATA.
    Head,
    All,
}

impl Http2 {
    /// Drives streams until the output is full or none can continue. True: progress was made.
    pub(super) fn produce(&mut self, conns: &mut Slab<Conn>, turn: &mut Turn<'_>) -> bool {
        let mut moved = self.drive_ready(conns, turn);
        if self.is_full(turn) || self.streams.is_empty() {
            return moved;
        }
        let mut order = std::mem::take(&mut turn.pool.http2.order);
        let mut depends = self.rank(conns, &mut order);
        while !self.is_full(turn) {
            let Some(Reverse(next)) = order.pop() else { break };
            let Some(at) = self.place(next.id) else { continue };
            moved = true;
            self.take_turn(conns, turn, at, MaySend::All);
            match self.place(next.id).and_then(|at| self.candidate(conns, at)) {
                Some(candidate) => order.push(Reverse(schedule::order(&candidate, next.waits))),
                // Streams that depended on it may send now.
                None if depends => depends = self.rank(conns, &mut order),
                None => {}
            }
        }
        order.clear();
        turn.pool.http2.order = order;
        moved
    }

    /// No further stream is driven in this turn: the output has no room, or others wait.
    fn is_full(&self, turn: &Turn<'_>) -> bool {
        self.unsent() >= output(turn.cx) || turn.budget.bytes == 0 || turn.cx.slice.has_ended()
    }

    fn place(&self, id: u32) -> Option<usize> {
        self.streams.binary_search_by_key(&id, |entry| entry.id).ok()
    }

    /// Drives streams that have had an event. While the output is full, only those that were reset, which release what
    /// they use, and those that read a body; once the turn's time is over, only the former.
    fn drive_ready(&mut self, conns: &mut Slab<Conn>, turn: &mut Turn<'_>) -> bool {
        let (mut moved, mut at) = (false, 0);
        let urgent = self.protocol.streams().iter().map(|stream| stream.priority.urgency).min();
        while let Some(entry) = self.streams.get(at) {
            let id = entry.id;
            // A step that changed files may have taken long.
            turn.cx.slice.is_share_late();
            let is_full = self.is_full(turn);
            if !entry.is_ready || is_full && !self.is_broken(conns, at) && !self.wants_body_now(conns, turn, at) {
                at += 1;
                continue;
            }
            moved = true;
            // Less urgent streams begin as well, but send nothing but heads before their turn.
            let stream = self.protocol.streams().get(id);
            let is_next = !is_full && stream.is_none_or(|stream| Some(stream.priority.urgency) == urgent);
            self.take_turn(conns, turn, at, if is_next { MaySend::All } else { MaySend::Head });
            if self.streams.get(at).is_some_and(|entry| entry.id == id) {
                at += 1;
            }
        }
        moved
    }

    /// It was reset, and its request is still in progress.
    fn is_broken(&self, conns: &Slab<Conn>, at: usize) -> bool {
        let Some(Work::Exchange(key)) = self.streams.get(at).map(|entry| &entry.work) else { return false };
        conns.get(*key).and_then(|conn| conn.transport.stream()).is_some_and(|stream| stream.is_broken)
    }

    /// More of its body has arrived and is wanted: it is read even if others have much to send.
    fn wants_body_now(&self, conns: &Slab<Conn>, turn: &Turn<'_>, at: usize) -> bool {
        if turn.budget.bytes == 0 || turn.cx.slice.has_ended() || self.is_choked() {
            return false;
        }
        let Some(Work::Exchange(key)) = self.streams.get(at).map(|entry| &entry.work) else { return false };
        let Some(conn) = conns.get(*key).filter(|conn| takes_body(conn)) else { return false };
        conn.transport.stream().is_some_and(|stream| stream.unstarted.is_none() && stream.can_read())
    }

    /// The streams that could send, the next one first. True: some depend on others.
    fn rank(&self, conns: &Slab<Conn>, order: &mut std::collections::BinaryHeap<Reverse<Order>>) -> bool {
        order.clear();
        let mut depends = false;
        for at in 0..self.streams.len() {
            let Some(candidate) = self.candidate(conns, at) else { continue };
            let parent = candidate.dependency.parent;
            let waits = parent > 0 && self.place(parent).is_some_and(|at| self.candidate(conns, at).is_some());
            depends |= waits;
            order.push(Reverse(schedule::order(&candidate, waits)));
        }
        depends
    }

    /// The stream at that place, if it could send.
    fn candidate(&self, conns: &Slab<Conn>, at: usize) -> Option<Candidate> {
        let entry = self.streams.get(at).filter(|entry| !entry.is_stalled)?;
        let stream = self.protocol.streams().get(entry.id)?;
        let room = self.protocol.room_of(stream);
        let can_send = match &entry.work {
            Work::Cached(cached) => cached.can_send(room),
            Work::Exchange(key) => conns.get(*key).is_some_and(|conn| wants_to_send(conn, room)),
        };
        let (priority, dependency) = (stream.priority, stream.dependency);
        can_send.then_some(Candidate { id: entry.id, priority, dependency, sent: entry.sent, turn: entry.turn })
    }

    fn take_turn(&mut self, conns: &mut Slab<Conn>, turn: &mut Turn<'_>, at: usize, share: MaySend) {
        match self.streams.get(at).map(|entry| &entry.work) {
            Some(Work::Cached(_)) => self.send_cached(at, turn.cx),
            Some(Work::Exchange(_)) => self.drive(conns, turn, at, share),
            None => {}
        }
    }

    fn drive(&mut self, conns: &mut Slab<Conn>, turn: &mut Turn<'_>, at: usize, share: MaySend) {
        self.turns += 1;
        let turns = self.turns;
        let Some(entry) = self.streams.get_mut(at) else { return };
        entry.is_ready = false;
        entry.is_stalled = false;
        entry.turn = turns;
        let id = entry.id;
        let Work::Exchange(key) = entry.work else { return };
        let room = match share {
            MaySend::Head => 0,
            MaySend::All => self.protocol.room(id).min(quantum(turn.cx)),
        };
        let Some(conn) = conns.get_mut(key) else { return };
        if is_to_end_first(conn) {
            return self.note_driven(key, Next::Wait);
        }
        turn.wake = Wake::conn(key);
        turn.cx.syncs.driven = Some(turn.wake);
        begin_request(conn, turn);
        let (Some(stream), ConnState::Active(active)) = (conn.transport.stream_mut(), &conn.state) else { return };
        let max_frame = self.protocol.max_frame();
        let chunk = active.ex.location().settings.http2.chunk_size.0 as usize;
        let is_first = self.protocol.is_before_first_block();
        let grant = Grant { room, chunk: chunk.clamp(1, max_frame), max_frame: max_frame as u32, is_first };
        let before = self.out.len();
        stream.begin(&mut self.out, grant);
        let next = drive::drive(conn, turn);
        if let ConnState::Active(active) = &mut conn.state {
            active.ex.rest(turn.cx);
        }
        let Some(stream) = conn.transport.stream_mut() else { return };
        if stream.end(&mut self.out) {
            self.protocol.first_block_sent();
        }
        let is_stalled = self.out.len() == before && share == MaySend::All;
        let written = stream.written;
        if written > 0 {
            self.protocol.data_sent(id, written, written.div_ceil(grant.chunk));
        }
        let taken = std::mem::take(&mut stream.taken);
        if taken > 0 {
            self.protocol.consumed(id, taken);
        }
        if let Next::Close(_) = next {
            let mut stream = std::mem::replace(stream, StreamTransport::gone());
            stream.taken = 0;
            self.close_stream(&stream, turn.cx.now.ms);
            self.streams.remove(at);
        } else {
            stream.close_frame();
            self.widen(conns, at);
            if let Some(entry) = self.streams.get_mut(at) {
                entry.sent += written as u64;
                self.has_large |= entry.sent >= LARGE;
                entry.is_stalled = is_stalled;
            }
        }
        self.note_driven(key, next);
    }
}

/// A request that changes something has announced a length of 0, and its stream goes on: anything but its end makes it
/// malformed (RFC 9113 §8.1.1), and what a handler does at the head could not be taken back.
fn is_to_end_first(conn: &Conn) -> bool {
    let (Some(stream), ConnState::Active(active)) = (conn.transport.stream(), &conn.state) else { return false };
    let request = &active.ex.request;
    stream.unstarted == Some(None) && !stream.can_read() && request.is_to_be_empty() && !request.head.method.is_safe()
}

/// Begins the request of a new stream.
fn begin_request(conn: &mut Conn, turn: &mut Turn<'_>) {
    let Some(stream) = conn.transport.stream_mut() else { return };
    let Some(fault) = stream.unstarted.take() else { return };
    // Its whole body has come already and has not the announced length: that is refused before a handler sees it.
    let fault = fault.or_else(|| stream.fault.take());
    let seen = stream.seen.take();
    let Some((mut io, active)) = conn.active() else { return };
    active.ex.out.wake(&mut turn.cx.buffers);
    read::begin(&mut io, active, turn, |ex, handler, cx| match fault {
        None => entry::begin(ex, handler, cx),
        Some(reject) => entry::reject(ex, handler, cx, &reject),
    });
    if let Some(seen) = seen {
        cacheable::learn(seen.hash, Some(&seen.key), &mut active.ex, turn.cx);
    }
}

/// Whether it has output and may send it.
fn wants_to_send(conn: &Conn, room: usize) -> bool {
    let ConnState::Active(active) = &conn.state else { return false };
    let ex = &active.ex;
    !ex.out.is_empty() && ex.progress.pause.is_none() && (room > 0 || ex.out.has_marker())
}

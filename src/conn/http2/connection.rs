//! A turn of an HTTP/2 connection: what has come is understood, streams that can go on are driven, and what they say is
//! sent, until nothing moves or the turn's share is used up.

use super::events::Read;
use super::schedule::{self, Candidate};
use super::stream::{Ending, Grant, StreamTransport};
use super::{Http2, OUTPUT, QUANTUM, code_of};
use crate::config::settings::client::Lingering;
use crate::conn::close;
use crate::conn::http1::{read, respond};
use crate::conn::io::{Budget, CloseReason, Next};
use crate::conn::timers::{Deadline, Timer};
use crate::conn::transport::Transport;
use crate::conn::{Active, Conn, State, Turn, drive};
use crate::exchange::phases;
use crate::http::h2::error::ErrorCode;
use crate::http::reject::Reject;
use crate::sys::Errno;
use crate::sys::socket::More;
use crate::util::slab::{Key, Slab};
use crate::util::wake::Wake;
use std::rc::Rc;

/// Room for a read: a frame of the largest size that we take, and some more.
const READ: usize = 32 << 10;

/// Drives the connection `key`. What became of its streams is to be filed.
pub fn step(conns: &mut Slab<Conn>, turn: &mut Turn<'_>, key: Key) -> (Next, Vec<(Key, Next)>) {
    let Some(conn) = conns.get_mut(key) else { return (Next::Close, Vec::new()) };
    let State::Http2(mut http2) = std::mem::replace(&mut conn.state, State::Idle) else {
        return (Next::Close, Vec::new());
    };
    let mut next = http2.run(conns, turn, key);
    let filed = std::mem::take(&mut http2.filed);
    if let Some(conn) = conns.get_mut(key) {
        match next {
            Next::Close if http2.lingers && conn.transport.shutdown_write().is_ok() => {
                // What the client still sends would reset the connection, and GOAWAY would be lost.
                let client = &http2.settings().client;
                let until = turn.cx.now.ms + client.lingering_time.0;
                let timeout = u32::try_from(client.lingering_timeout.0).unwrap_or(u32::MAX);
                conn.arm(Timer::Linger, until.min(turn.cx.now.ms + u64::from(timeout)));
                conn.state = State::Lingering { until, timeout };
                next = Next::Run;
            }
            _ => conn.state = State::Http2(http2),
        }
    }
    (next, filed)
}

/// What a send came to.
enum Sent {
    All,
    Blocked,
    Gone,
}

impl Http2 {
    fn run(&mut self, conns: &mut Slab<Conn>, turn: &mut Turn<'_>, key: Key) -> Next {
        if turn.cx.quitting || !Rc::ptr_eq(&self.config, &turn.cx.config) {
            self.protocol.go_away(ErrorCode::NO_ERROR);
        }
        self.bury();
        turn.budget.gather = false;
        for entry in &mut self.streams {
            entry.is_stalled = false;
        }
        let mut received = false;
        loop {
            let read = match self.is_dying {
                true => Read::Dead,
                false => self.understand(conns, key, turn),
            };
            // What answers frames goes first: SETTINGS before all else (RFC 9113 §3.4).
            self.protocol.take_control(&mut self.out);
            let moved = read != Read::Dead && self.produce(conns, turn);
            self.protocol.take_control(&mut self.out);
            let Some(conn) = conns.get_mut(key) else { return Next::Close };
            let had = self.out.len() - self.sent;
            match self.send(&mut conn.transport, &mut turn.budget) {
                Sent::All => {}
                Sent::Blocked => {
                    if self.out.len() - self.sent < had {
                        conn.arm(Timer::Send, turn.cx.now.ms + self.settings().client.send_timeout.0);
                    }
                    // Streams that have something to do without output are driven above.
                    return if turn.budget.requests == 0 { Next::Run } else { Next::Wait };
                }
                Sent::Gone => return self.gone(conns, turn),
            }
            if read == Read::Dead {
                return self.die(conns, turn);
            }
            if self.protocol.is_going_away() && self.streams.is_empty() {
                return self.die(conns, turn);
            }
            if turn.budget.requests == 0 || turn.budget.bytes == 0 {
                return Next::Run;
            }
            if had > 0 || moved || read == Read::Blocked {
                continue;
            }
            // Nothing more of what was read: what has come since.
            let Some(conn) = conns.get_mut(key) else { return Next::Close };
            if !conn.transport.can_read() {
                return self.wait(conns, turn, key, received);
            }
            if self.input.capacity() - self.input.len() < READ / 2 {
                self.input.reserve(READ);
            }
            let room = self.input.capacity() - self.input.len();
            match conn.transport.recv(&mut self.input, room) {
                Ok(0) => return self.gone(conns, turn),
                Ok(n) => {
                    received = true;
                    turn.budget.bytes = turn.budget.bytes.saturating_sub(n);
                    // It may have been sent after what was looked up in this epoch.
                    turn.cx.now.advance_epoch();
                }
                Err(Errno::EAGAIN) => return self.wait(conns, turn, key, received),
                Err(_) => return self.gone(conns, turn),
            }
        }
    }

    /// Nothing moves: until when at most.
    fn wait(&mut self, conns: &mut Slab<Conn>, turn: &mut Turn<'_>, key: Key, received: bool) -> Next {
        let client = &self.settings().client;
        let (header, idle) = (client.header_timeout.0, client.keepalive_timeout.0);
        let Some(conn) = conns.get_mut(key) else { return Next::Close };
        let now = turn.cx.now.ms;
        if !self.streams.is_empty() {
            // They have deadlines of their own; a head that is under way has its own as well.
            if self.input.is_empty() && !self.protocol.is_in_head() || conn.deadline.at() <= now {
                conn.arm(Timer::Header, now + header.max(1000));
            }
            return Next::Wait;
        }
        if conn.served.requests() > 0 && idle == 0 {
            self.protocol.go_away(ErrorCode::NO_ERROR);
            return Next::Run;
        }
        if self.input.is_empty() && !self.protocol.is_in_head() && (received || conn.served.requests() > 0) {
            if self.is_fresh_idle() {
                match conn.served.requests() {
                    0 => conn.arm(Timer::Header, now + header),
                    _ => conn.arm(Timer::KeepAlive, now + idle),
                }
            }
            self.rest();
        }
        Next::Wait
    }

    /// It has just become idle: buffers are still held.
    fn is_fresh_idle(&self) -> bool {
        self.input.capacity() > 0 || self.out.capacity() > 0
    }

    /// An idle connection keeps no buffers.
    fn rest(&mut self) {
        self.input = Vec::new();
        self.out = Vec::new();
        self.protocol.shrink();
    }

    /// Streams that ended meanwhile.
    fn bury(&mut self) {
        let mut ended = std::mem::take(&mut self.ended);
        for stream in ended.drain(..) {
            if let Some(at) = self.streams.iter().position(|entry| entry.id == stream.id) {
                self.streams.remove(at);
            }
            self.close_stream(&stream);
        }
        self.ended = ended;
    }

    /// The last that is said on a stream.
    fn close_stream(&mut self, stream: &StreamTransport) {
        let id = stream.id;
        self.protocol.consumed(id, stream.taken + stream.unread());
        match &stream.ending {
            Ending::Complete(trailers) if stream.finish(&mut self.out, trailers, &mut self.protocol) => {
                self.protocol.stop(id);
            }
            ending => self.protocol.reset(id, code_of(ending)),
        }
        self.protocol.release(id);
    }

    /// Drives the streams that can go on, as long as there is room for what they say. True: something moved.
    fn produce(&mut self, conns: &mut Slab<Conn>, turn: &mut Turn<'_>) -> bool {
        let mut moved = false;
        loop {
            let is_full = self.out.len() - self.sent >= OUTPUT || turn.budget.bytes == 0;
            // What was reset is given up though nothing can be said.
            let picked = if is_full { self.pick_broken(conns) } else { self.pick(conns) };
            let Some(at) = picked else { return moved };
            moved = true;
            self.drive(conns, turn, at);
        }
    }

    /// A stream that was reset, and is still under way.
    fn pick_broken(&self, conns: &Slab<Conn>) -> Option<usize> {
        let is_broken = |key| matches!(conns.get(key).map(|c| &c.transport), Some(Transport::Stream(s)) if s.is_broken);
        self.streams.iter().position(|entry| entry.is_ready && is_broken(entry.key))
    }

    /// The stream whose turn it is.
    fn pick(&mut self, conns: &Slab<Conn>) -> Option<usize> {
        if let Some(at) = self.streams.iter().position(|entry| entry.is_ready) {
            return Some(at);
        }
        let mut best = None;
        for at in 0..self.streams.len() {
            let Some(candidate) = self.candidate(conns, at) else { continue };
            let parent = candidate.dependency.parent;
            let waits = parent > 0
                && self
                    .streams
                    .binary_search_by_key(&parent, |entry| entry.id)
                    .is_ok_and(|at| self.candidate(conns, at).is_some());
            let order = schedule::order(&candidate, waits);
            if best.as_ref().is_none_or(|(least, _)| order < *least) {
                best = Some((order, at));
            }
        }
        best.map(|(_, at)| at)
    }

    /// The stream at that place, if it could send.
    fn candidate(&self, conns: &Slab<Conn>, at: usize) -> Option<Candidate> {
        let entry = self.streams.get(at)?;
        let conn = conns.get(entry.key)?;
        if entry.is_stalled || !wants_to_send(conn, self.protocol.room(entry.id)) {
            return None;
        }
        let stream = self.protocol.streams().get(entry.id)?;
        let (priority, dependency) = (stream.priority, stream.dependency);
        Some(Candidate { id: entry.id, priority, dependency, sent: entry.sent, turn: entry.turn })
    }

    fn drive(&mut self, conns: &mut Slab<Conn>, turn: &mut Turn<'_>, at: usize) {
        self.turns += 1;
        let turns = self.turns;
        let Some(entry) = self.streams.get_mut(at) else { return };
        entry.is_ready = false;
        entry.is_stalled = false;
        entry.turn = turns;
        let (id, key) = (entry.id, entry.key);
        let room = self.protocol.room(id).min(QUANTUM);
        let Some(conn) = conns.get_mut(key) else { return };
        turn.wake = Wake::conn(key);
        turn.cx.syncs.driven = Some(turn.wake);
        if let Transport::Stream(stream) = &mut conn.transport
            && let Some(fault) = stream.unborn.take()
        {
            born(conn, fault, turn);
        }
        let (Transport::Stream(stream), State::Active(active)) = (&mut conn.transport, &conn.state) else { return };
        let max_frame = self.protocol.max_frame();
        let chunk = active.ex.here().settings.http2.chunk_size.0 as usize;
        let is_first = self.protocol.is_before_first_block();
        let grant = Grant { room, chunk: chunk.clamp(1, max_frame), max_frame: max_frame as u32, is_first };
        let before = self.out.len();
        stream.begin(&mut self.out, grant);
        let next = drive::drive(conn, turn);
        let Transport::Stream(stream) = &mut conn.transport else { return };
        if stream.end(&mut self.out) {
            self.protocol.first_block_sent();
        }
        let is_stalled = self.out.len() == before;
        let written = stream.written;
        if written > 0 {
            self.protocol.data_sent(id, written);
        }
        let taken = std::mem::take(&mut stream.taken);
        if taken > 0 {
            self.protocol.consumed(id, taken);
        }
        if next == Next::Close {
            let mut stream = std::mem::replace(&mut **stream, StreamTransport::gone());
            stream.taken = 0;
            self.close_stream(&stream);
            self.streams.remove(at);
        } else {
            stream.close_frame();
            self.widen(conns, at);
            if let Some(entry) = self.streams.get_mut(at) {
                entry.sent += written as u64;
                entry.is_stalled = is_stalled;
            }
        }
        self.file(key, next);
    }

    /// What has become of a stream: the last counts.
    fn file(&mut self, key: Key, next: Next) {
        match self.filed.iter_mut().rfind(|(filed, _)| *filed == key) {
            Some((_, filed)) => *filed = next,
            None => self.filed.push((key, next)),
        }
    }

    fn send(&mut self, transport: &mut Transport, budget: &mut Budget) -> Sent {
        while self.sent < self.out.len() {
            if !transport.can_write() {
                return Sent::Blocked;
            }
            match transport.send(&self.out[self.sent..], More::No) {
                Ok(n) => {
                    self.sent += n;
                    budget.bytes = budget.bytes.saturating_sub(n);
                }
                Err(Errno::EAGAIN) => return self.compact(),
                Err(_) => return Sent::Gone,
            }
        }
        self.out.clear();
        self.sent = 0;
        match transport.flush() {
            Ok(()) => Sent::All,
            Err(Errno::EAGAIN) => Sent::Blocked,
            Err(_) => Sent::Gone,
        }
    }

    /// What is sent makes room.
    fn compact(&mut self) -> Sent {
        if self.sent >= OUTPUT / 2 {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
        Sent::Blocked
    }

    /// The client is gone: so is what it asked for.
    fn gone(&mut self, conns: &mut Slab<Conn>, turn: &mut Turn<'_>) -> Next {
        self.is_dying = true;
        self.abandon(conns, turn);
        Next::Close
    }

    /// The connection has said all it had to say.
    fn die(&mut self, conns: &mut Slab<Conn>, turn: &mut Turn<'_>) -> Next {
        self.abandon(conns, turn);
        self.lingers = self.settings().client.lingering != Lingering::Off;
        Next::Close
    }

    /// Ends every stream that is under way.
    fn abandon(&mut self, conns: &mut Slab<Conn>, turn: &mut Turn<'_>) {
        for entry in std::mem::take(&mut self.streams) {
            if let Some(conn) = conns.get_mut(entry.key) {
                if let Transport::Stream(stream) = &mut conn.transport {
                    stream.parent = None;
                }
                close::abandon(conn, turn, CloseReason::ClientGone);
                self.file(entry.key, Next::Close);
            }
        }
    }

    /// The connection is closed for a reason of ours: said as far as there is room for it.
    pub fn farewell(&mut self, transport: &mut Transport) {
        if self.is_dying || self.sent > 0 || transport.has_failed() {
            return;
        }
        self.protocol.go_away(ErrorCode::NO_ERROR);
        self.protocol.take_control(&mut self.out);
        // There is nothing to be done where it does not go out.
        let _ = transport.send(&self.out, More::No);
    }

    /// The connection's deadline has come. The streams have their own.
    pub fn timeout(&mut self, now: u64, deadline: &mut Deadline) -> Next {
        let client = &self.settings().client;
        let (header, idle) = (client.header_timeout.0, client.keepalive_timeout.0);
        if self.has_output() {
            return Next::Close;
        }
        if self.protocol.abandon_head(&self.input) {
            // The rest of it may come later; the connection is not at fault.
            *deadline = Deadline::new(Timer::Header, now + idle.max(header));
            return Next::Run;
        }
        if !self.streams.is_empty() {
            *deadline = Deadline::new(Timer::KeepAlive, now + idle.max(1000));
            return Next::Wait;
        }
        self.protocol.go_away(ErrorCode::NO_ERROR);
        self.is_dying = true;
        Next::Run
    }
}

/// The request of a stream is begun.
fn born(conn: &mut Conn, fault: Option<Reject>, turn: &mut Turn<'_>) {
    let Some((mut io, active)) = conn.active() else { return };
    let Active { ex, handler, .. } = active;
    read::begin(turn);
    match fault {
        None => phases::begin(ex, handler, turn.cx),
        Some(reject) => phases::reject(ex, handler, turn.cx, &reject),
    }
    respond(active, turn.cx);
    read::arm(&mut io, &active.ex, turn.cx);
}

/// Whether it has output, and may write.
fn wants_to_send(conn: &Conn, room: usize) -> bool {
    let State::Active(active) = &conn.state else { return false };
    let ex = &active.ex;
    !ex.out.is_empty() && ex.pause.is_none() && (room > 0 || ex.out.has_marker())
}

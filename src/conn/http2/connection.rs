//! A turn of an HTTP/2 connection: frames are read and parsed, streams that can go on are driven, and their output is
//! sent, until nothing moves or the turn's share is used up.

use super::events::Read;
use super::stream::{Ending, StreamTransport};
use super::{Entry, Http2, OUTPUT, READ, UNSENT, Work, code_of};
use crate::config::settings::client::Lingering;
use crate::conn::close;
use crate::conn::io::{Budget, CloseReason, Next};
use crate::conn::timers::{Deadline, Timer};
use crate::conn::transport::Transport;
use crate::conn::{Conn, ConnState, Pool, Turn, upstream};
use crate::exchange::{Rx, Tx};
use crate::http::h2::error::ErrorCode;
use crate::services::Services;
use crate::sys::Errno;
use crate::sys::socket::{self, More};
use crate::util::slab::{Key, Slab};
use std::rc::Rc;

/// Drives the connection `key`. Also gives what each stream that was driven waits for now.
pub fn step(conns: &mut Slab<Conn>, turn: &mut Turn<'_>, key: Key) -> (Next, Vec<(Key, Next)>) {
    let Some(conn) = conns.get_mut(key) else { return (Next::Close(CloseReason::Bug), Vec::new()) };
    let ConnState::Http2(mut http2) = std::mem::replace(&mut conn.state, ConnState::Idle) else {
        return (Next::Close(CloseReason::Bug), Vec::new());
    };
    let held = http2.held();
    http2.take_buffers(turn.pool);
    let mut next = http2.run(conns, turn, key);
    http2.note_unstarted(conns);
    http2.give_buffers(turn.pool);
    turn.cx.overload.grow(http2.held().saturating_sub(held));
    let driven = std::mem::take(&mut http2.driven);
    if let Some(conn) = conns.get_mut(key) {
        match next {
            Next::Close(reason) if http2.lingers && conn.transport.shutdown_write().is_ok() => {
                // What the client still sends would reset the connection, and GOAWAY would be lost.
                close::begin_lingering(conn, &http2.settings().client, reason, turn.cx.now.ms);
                next = Next::Run;
            }
            _ => conn.state = ConnState::Http2(http2),
        }
    }
    (next, driven)
}

/// How sending ended.
enum Sent {
    All,
    Blocked,
    Gone,
}

/// The client has closed the connection, or it is broken.
struct Gone;

impl Http2 {
    fn run(&mut self, conns: &mut Slab<Conn>, turn: &mut Turn<'_>, key: Key) -> Next {
        self.begin_turn(conns.get_mut(key), turn);
        if self.ends == Some(CloseReason::ClientGone) {
            return self.gone(conns, turn);
        }
        // Frames are read in every turn, however much there is to be sent: they bring requests and open windows.
        let mut received = match conns.get_mut(key) {
            Some(conn) if conn.transport.can_read() && self.should_read() => {
                match self.receive(&mut conn.transport, turn) {
                    Ok(received) => received,
                    Err(Gone) => return self.gone(conns, turn),
                }
            }
            _ => false,
        };
        loop {
            let read = match self.ends {
                Some(_) => Read::Failed,
                None => self.process_input(conns, key, turn),
            };
            // Replies to frames go first: SETTINGS before all else (RFC 9113 §3.4).
            self.protocol.take_control(&mut self.out);
            let moved = read != Read::Failed && self.produce(conns, turn);
            self.protocol.take_control(&mut self.out);
            let Some(conn) = conns.get_mut(key) else { return Next::Close(CloseReason::Bug) };
            let had = self.unsent();
            match self.send(&mut conn.transport, &mut turn.budget) {
                Sent::All => {}
                Sent::Blocked => {
                    // What has come and was not read brings no further event.
                    let has_more = read == Read::Blocked || received && conn.transport.can_read();
                    return self.wait_to_send(conn, turn, had, has_more);
                }
                Sent::Gone => return self.gone(conns, turn),
            }
            if read == Read::Failed {
                return self.finish(conns, turn, self.ends.unwrap_or(CloseReason::ProtocolError));
            }
            if self.protocol.has_gone_away() && self.streams.is_empty() {
                let reason = if turn.cx.quitting { CloseReason::ShuttingDown } else { CloseReason::Served };
                return self.finish(conns, turn, reason);
            }
            // A client that reads as fast as we write would keep this loop busy for ever: its next request is read in
            // the next turn. Streams that are ready are driven then, too, where others have used the slice up.
            let is_late = had >= OUTPUT / 2 && turn.cx.slice.is_over() || turn.cx.slice.has_ended();
            if turn.budget.is_used_up() || is_late {
                return Next::Run;
            }
            if had > 0 || moved || read == Read::Blocked {
                continue;
            }
            // Everything read so far has been processed: reads what has arrived since.
            let Some(conn) = conns.get_mut(key) else { return Next::Close(CloseReason::Bug) };
            if !conn.transport.can_read() {
                return self.wait(conns, turn, key, received);
            }
            match self.receive(&mut conn.transport, turn) {
                Ok(true) => received = true,
                Ok(false) => return self.wait(conns, turn, key, received),
                Err(Gone) => return self.gone(conns, turn),
            }
        }
    }

    /// The socket takes no more: of the `had` bytes some are left. `has_more`: the client has sent something that was
    /// not read. Streams with something to do but send have been driven.
    fn wait_to_send(&mut self, conn: &mut Conn, turn: &mut Turn<'_>, had: usize, has_more: bool) -> Next {
        self.idle_after = None;
        if self.unsent() < had {
            conn.arm(Timer::Send, turn.cx.now.ms + self.settings().client.send_timeout.0);
        }
        let is_late = turn.cx.slice.has_ended() || turn.budget.requests == 0;
        if is_late || has_more && !self.is_choked() { Next::Run } else { self.pause(conn) }
    }

    /// Whether what the client has sent is read before anything else.
    fn should_read(&self) -> bool {
        self.ends.is_none() && (self.input.is_empty() || self.is_partial) && !self.is_choked()
    }

    fn begin_turn(&mut self, conn: Option<&mut Conn>, turn: &mut Turn<'_>) {
        if let Some(conn) = conn {
            self.restore(&mut conn.deadline);
        }
        self.protocol.send_stops(turn.cx.now.ms);
        if turn.cx.quitting || !Rc::ptr_eq(&self.config, &turn.cx.config) {
            self.protocol.go_away(ErrorCode::NO_ERROR);
        }
        self.remove_ended(turn.cx.now.ms);
        turn.budget.batch = false;
        for entry in &mut self.streams {
            entry.is_stalled = false;
        }
    }

    /// Reads what the client has sent, as far as there is room for it. Whether anything had come.
    fn receive(&mut self, transport: &mut Transport, turn: &mut Turn<'_>) -> Result<bool, Gone> {
        if self.input.capacity() - self.input.len() < READ / 2 {
            // Part of a frame waits in it.
            self.input.reserve(READ);
        }
        let room = self.input.capacity() - self.input.len();
        match transport.recv(&mut self.input, room) {
            Ok(n) if n > 0 => {
                turn.budget.moved(n);
                self.arrival.received();
                Ok(true)
            }
            Err(Errno::EAGAIN) => Ok(false),
            _ => Err(Gone),
        }
    }

    /// Nothing moves: arms the deadline.
    fn wait(&mut self, conns: &mut Slab<Conn>, turn: &mut Turn<'_>, key: Key, received: bool) -> Next {
        let client = &self.settings().client;
        let (header, idle) = (client.header_timeout.0, client.keepalive_timeout.0);
        let Some(conn) = conns.get_mut(key) else { return Next::Close(CloseReason::Bug) };
        let now = turn.cx.now.ms;
        if !self.streams.is_empty() {
            self.idle_after = None;
            // They have deadlines of their own, and so has a head that is being received.
            if self.input.is_empty() && !self.protocol.is_in_head() || conn.deadline.at() <= now {
                conn.arm(Timer::Header, now + header.max(1000));
            }
            // Those without a connection of their own share this one's.
            if let Some(at) = self.cached_deadline().filter(|at| *at < conn.deadline.at()) {
                conn.arm(Timer::Send, at);
            }
            return self.pause(conn);
        }
        if conn.served.requests() > 0 && idle == 0 {
            self.protocol.go_away(ErrorCode::NO_ERROR);
            if self.protocol.has_gone_away() {
                return Next::Run;
            }
        }
        if self.input.is_empty() && !self.protocol.is_in_head() && (received || conn.served.requests() > 0) {
            // Only requests prolong it: PING and other frames do not (nginx).
            let requests = conn.served.requests();
            if self.idle_after.replace(requests) != Some(requests) {
                match requests {
                    0 => conn.arm(Timer::Header, now + header),
                    _ => conn.arm(Timer::KeepAlive, now + idle),
                }
            }
            self.protocol.shrink();
        }
        self.pause(conn)
    }

    /// Ends the turn; the connection is woken in time to ask a client to stop sending a body.
    fn pause(&mut self, conn: &mut Conn) -> Next {
        if let Some(at) = self.protocol.stops_at().filter(|at| *at < conn.deadline.at()) {
            self.displaced = Some(conn.deadline);
            conn.arm(Timer::Pause, at);
        }
        Next::Wait
    }

    /// Puts the connection's own deadline back. True: an earlier one had taken its place ([`Http2::pause`]).
    fn restore(&mut self, deadline: &mut Deadline) -> bool {
        let displaced = self.displaced.take();
        *deadline = displaced.unwrap_or(*deadline);
        displaced.is_some()
    }

    /// Buffers are borrowed for a turn; the connection keeps one only while there is something in it.
    fn take_buffers(&mut self, pool: &mut Pool) {
        if self.out.capacity() == 0 {
            self.out = pool.http2.out.take();
        }
        if self.input.capacity() == 0 {
            self.input = pool.http2.input.take();
        }
        std::mem::swap(self.protocol.block_mut(), &mut pool.http2.block);
    }

    fn give_buffers(&mut self, pool: &mut Pool) {
        std::mem::swap(self.protocol.block_mut(), &mut pool.http2.block);
        if self.out.is_empty() {
            pool.http2.out.give(std::mem::take(&mut self.out));
        }
        if self.input.is_empty() {
            pool.http2.input.give(std::mem::take(&mut self.input));
        }
    }

    /// Bytes of room in buffers that stay between turns.
    fn held(&self) -> usize {
        self.out.capacity() + self.input.capacity()
    }

    /// Removes streams that ended between two turns.
    fn remove_ended(&mut self, now: u64) {
        let mut ended = std::mem::take(&mut self.ended);
        for stream in ended.drain(..) {
            if let Some(at) = self.streams.iter().position(|entry| entry.id == stream.id) {
                self.streams.remove(at);
            }
            self.close_stream(&stream, now);
        }
        self.ended = ended;
    }

    /// Sends the last frame of a stream and forgets it.
    pub(super) fn close_stream(&mut self, stream: &StreamTransport, now: u64) {
        let id = stream.id;
        self.protocol.consumed(id, stream.taken + stream.unread());
        if let Some(most) = stream.glitch {
            self.glitches += 1;
            if most > 0 && self.glitches >= most {
                self.protocol.go_away(ErrorCode::ENHANCE_YOUR_CALM);
            }
        }
        match &stream.ending {
            Ending::Complete(trailers) if stream.finish(&mut self.out, trailers, &mut self.protocol) => {
                let client = &self.settings().client;
                let patience = if client.lingering == Lingering::Off { 0 } else { client.lingering_time.0 };
                self.protocol.stop(id, patience, now);
            }
            _ => self.protocol.reset(id, code_of(stream)),
        }
        self.protocol.release(id);
    }

    /// Streams whose first turn waits for room in the output get a deadline, and give back room that their head does
    /// not fill.
    fn note_unstarted(&mut self, conns: &mut Slab<Conn>) {
        for at in 0..self.streams.len() {
            let Some(Entry { work: Work::Exchange(key), is_ready: true, turn: 0, .. }) = self.streams.get(at) else {
                continue;
            };
            let key = *key;
            if let Some(Conn { state: ConnState::Active(active), .. }) = conns.get_mut(key)
                && let Some(request) = Rc::get_mut(&mut active.ex.request)
            {
                request.tighten();
            }
            self.note_driven(key, Next::Wait);
        }
    }

    /// Notes what a stream waits for now; the last note counts.
    pub(super) fn note_driven(&mut self, key: Key, next: Next) {
        match self.driven.iter_mut().rfind(|(driven, _)| *driven == key) {
            Some((_, driven)) => *driven = next,
            None => self.driven.push((key, next)),
        }
    }

    fn send(&mut self, transport: &mut Transport, budget: &mut Budget) -> Sent {
        while self.sent < self.out.len() {
            if !transport.can_write() {
                return self.compact();
            }
            match transport.send(&self.out[self.sent..], More::No) {
                Ok(n) => {
                    self.sent += n;
                    budget.moved(n);
                    self.limit_unsent(transport);
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

    /// Limits what the kernel keeps unsent, on a connection with a large response: more urgent frames would wait behind
    /// it.
    fn limit_unsent(&mut self, transport: &Transport) {
        if self.is_limited || !self.has_large {
            return;
        }
        self.is_limited = true;
        if let Some(fd) = transport.fd() {
            // Where the kernel has no such option, responses wait longer.
            let _ = socket::notsent_lowat(fd, UNSENT);
        }
    }

    /// Drops what was sent from the front of the buffer, once that is worth a copy.
    fn compact(&mut self) -> Sent {
        if self.sent >= OUTPUT / 2 {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
        Sent::Blocked
    }

    /// The client is gone: its requests are dropped.
    fn gone(&mut self, conns: &mut Slab<Conn>, turn: &mut Turn<'_>) -> Next {
        self.ends = Some(CloseReason::ClientGone);
        match self.abandon_in_time(conns, turn) {
            true => Next::Close(CloseReason::ClientGone),
            false => Next::Run,
        }
    }

    /// Ends the connection in order, once all of its output is sent.
    fn finish(&mut self, conns: &mut Slab<Conn>, turn: &mut Turn<'_>, reason: CloseReason) -> Next {
        if !self.abandon_in_time(conns, turn) {
            return Next::Run;
        }
        self.lingers = self.settings().client.lingering != Lingering::Off;
        Next::Close(reason)
    }

    /// Ends open streams as far as there is time: each may have a file that the kernel must free. False: some are left
    /// for the next turn.
    fn abandon_in_time(&mut self, conns: &mut Slab<Conn>, turn: &mut Turn<'_>) -> bool {
        while self.abandon_last(conns, turn, CloseReason::ClientGone) {
            if turn.cx.slice.is_share_late() && !self.streams.is_empty() {
                return false;
            }
        }
        true
    }

    /// Ends every open stream: the connection is gone.
    pub fn abandon(&mut self, conns: &mut Slab<Conn>, turn: &mut Turn<'_>, reason: CloseReason) {
        while self.abandon_last(conns, turn, reason) {}
    }

    /// False: there is none.
    fn abandon_last(&mut self, conns: &mut Slab<Conn>, turn: &mut Turn<'_>, reason: CloseReason) -> bool {
        let Some(entry) = self.streams.last() else { return false };
        let id = entry.id;
        let Work::Exchange(key) = entry.work else {
            self.end_cached(self.streams.len() - 1, ErrorCode::CANCEL, turn.cx);
            return true;
        };
        self.streams.pop();
        self.protocol.release(id);
        if let Some(conn) = conns.get_mut(key) {
            let next = orphan(conn, turn, reason);
            self.note_driven(key, next);
        }
        true
    }

    /// The server closes the connection: GOAWAY is sent as far as there is room for it.
    pub fn send_goaway(&mut self, transport: &mut Transport) {
        if self.ends.is_some() || self.sent > 0 || transport.has_failed() {
            return;
        }
        self.protocol.send_stops(u64::MAX);
        self.protocol.go_away(ErrorCode::NO_ERROR);
        self.protocol.take_control(&mut self.out);
        // There is nothing to be done where it does not go out.
        let _ = transport.send(&self.out, More::No);
    }

    /// The connection's deadline has come. The streams have their own.
    pub fn timeout(&mut self, cx: &mut Services, deadline: &mut Deadline) -> Next {
        let now = cx.now.ms;
        let client = &self.settings().client;
        let (header, idle) = (client.header_timeout.0, client.keepalive_timeout.0);
        if self.restore(deadline) && deadline.at() > now {
            return Next::Run;
        }
        if self.has_output() {
            return Next::Close(CloseReason::TimedOut(Timer::Send));
        }
        if self.expire_cached(cx) {
            *deadline = Deadline::new(Timer::Header, now + header.max(1000));
            return Next::Run;
        }
        if self.protocol.abandon_head(&self.input) {
            // The rest of that head may come later; the connection itself goes on.
            *deadline = Deadline::new(Timer::Header, now + idle.max(header));
            return Next::Run;
        }
        let stops = self.protocol.stops_at().is_some();
        if stops || !self.streams.is_empty() {
            *deadline = Deadline::new(Timer::KeepAlive, now + idle.max(1000));
            return if stops { Next::Run } else { Next::Wait };
        }
        self.protocol.go_away(ErrorCode::NO_ERROR);
        self.ends = Some(CloseReason::TimedOut(Timer::KeepAlive));
        Next::Run
    }
}

/// The connection that carries a stream is gone. A request that changes files is finished all the same, so that it
/// leaves none half done.
fn orphan(conn: &mut Conn, turn: &mut Turn<'_>, reason: CloseReason) -> Next {
    if let Some(stream) = conn.transport.stream_mut() {
        stream.parent = None;
        stream.is_broken = true;
    }
    let ConnState::Active(active) = &conn.state else { return Next::Close(reason) };
    let is_client = matches!(reason, CloseReason::ClientGone | CloseReason::TimedOut(_));
    if active.handler.finishes() || is_client && upstream::outlives_client(active) {
        return Next::Run;
    }
    // The connection timed out, not this stream: one whose request is complete has lost its client.
    let waits = active.ex.progress.tx == Tx::Wait && active.ex.progress.rx == Rx::Done;
    let reason = if is_client && waits { CloseReason::ClientGone } else { reason };
    close::abandon(conn, turn, reason);
    Next::Close(reason)
}

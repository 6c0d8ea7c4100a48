//! HTTP/2 streams among the connections: each is a connection carried by another.

use super::Server;
use super::connections::Queue;
use crate::config::model::{Level, LineFormat};
use crate::conn::http2::events::Intake;
use crate::conn::io::{Budget, CloseReason, Next};
use crate::conn::transport::Transport;
use crate::conn::{Conn, ConnState, Turn, close};
use crate::services::logs::Who;
use crate::util::slab::Key;
use crate::util::wake::Wake;

impl Server {
    /// Drives every HTTP/2 connection after a reload or QUIT, so that it sends GOAWAY.
    pub(super) fn wake_http2(&mut self) {
        let is_one = |conn: &Conn| matches!(conn.state, ConnState::Http2(_));
        let keys: Vec<Key> = self.conns.iter().filter(|(_, conn)| is_one(conn)).map(|(key, _)| key).collect();
        for key in keys {
            self.schedule(key, Next::Run, Queue::Run);
        }
    }

    /// A stream was driven without its connection: lets that send.
    pub(super) fn stream_went_on(&mut self, parent: Key, key: Key) {
        let intake = self.conns.get_mut(key).and_then(Intake::of);
        if let (Some(intake), Some(Conn { state: ConnState::Http2(http2), .. })) = (intake, self.conns.get_mut(parent))
        {
            http2.went_on(intake);
        }
    }

    /// Ends the streams of an HTTP/2 connection that is closed.
    pub(super) fn close_streams(&mut self, key: Key, conn: &mut Conn, reason: CloseReason) {
        let ConnState::Http2(http2) = &mut conn.state else { return };
        http2.send_goaway(&mut conn.transport);
        let endpoints = self.listeners.endpoints();
        let (wake, budget) = (Wake::conn(key), Budget::default());
        let mut turn = Turn { cx: &mut self.cx, pool: &mut self.pool, endpoints, budget, wake };
        http2.abandon(&mut self.conns, &mut turn, reason);
        for (stream, next) in std::mem::take(&mut http2.driven) {
            self.schedule(stream, next, Queue::Run);
        }
    }

    /// Releases what a request in progress holds when its connection is closed.
    pub(super) fn leave_request(&mut self, key: Key, conn: &mut Conn) {
        if !matches!(conn.state, ConnState::Active(_)) {
            return;
        }
        let endpoints = self.listeners.endpoints();
        let (wake, budget) = (Wake::conn(key), Budget::default());
        close::leave_active(conn, &mut Turn { cx: &mut self.cx, pool: &mut self.pool, endpoints, budget, wake });
    }

    /// Reports the end of a stream to its connection; counts and logs the end of other connections.
    pub(super) fn count_closed(&mut self, transport: Transport, serial: u64, reason: CloseReason) {
        let Some(stream) = transport.into_stream() else {
            self.cx.stats.active -= 1;
            self.cx.stats.count(reason.counted().counter());
            let log = &self.cx.config.process.error_log;
            let who = Who { serial, asked: &|_: LineFormat, _: &mut Vec<u8>| {} };
            let what = format_args!("connection closed: {reason}");
            self.cx.logs.error(log, Level::Debug, &mut self.cx.now, Some(who), what);
            return;
        };
        let parent = stream.parent.and_then(|parent| self.conns.get_mut(parent));
        if let Some(Conn { state: ConnState::Http2(http2), .. }) = parent {
            http2.note_ended(stream);
        }
    }
}

//! Sends the request: the client's body as it arrives, the picked server, and the pending bytes.
//!
//! Invariant: while `replay` is set, `out` holds the request from its first byte on.

use super::fault::UpstreamFault;
use super::record::Try;
use super::settings::settings;
use super::state::{BodyFraming, RequestBody, UpstreamPhase, UpstreamRequest};
use super::waiting::Waits;
use crate::config::addr::literal_address;
use crate::config::model::Level;
use crate::config::settings::upstream::Method;
use crate::exchange::body::{LARGEST, Moved};
use crate::exchange::flow::Flow;
use crate::exchange::{Exchange, Printable, Rx, body, variables};
use crate::http::body_length::BodyLength;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::temp_dir::TempFileError;
use crate::services::upstream_balance::{BalanceKey, Outcome, PeerState};
use crate::services::upstream_time::RequestTimes;
use crate::sys::Errno;
use crate::sys::socket::Addr;
use std::net::SocketAddr;
use std::rc::Rc;

/// Maximum bytes of a streamed request that are kept for another server.
const REPLAY: usize = 64 << 10;
/// Bytes that are read from a buffered body at a time.
const PIECE: usize = 64 << 10;

/// Applies an action to the buffered body, and logs disk errors.
fn with_body(
    ex: &mut Exchange,
    cx: &mut Services,
    what: impl FnOnce(&mut body::BufferedBody, body::Temp<'_>) -> Result<Moved, TempFileError>,
) -> Result<(), Flow> {
    let temp = ex.location().settings.body.temp.clone();
    let Some(body) = ex.progress.body.as_mut() else { return Ok(()) };
    match what(body, (&temp, cx)) {
        Ok(Moved::No) => Ok(()),
        Ok(Moved::ToFile) => {
            let (level, path) = (body.level(), body.file().map(|file| file.path().to_vec()).unwrap_or_default());
            let shown = Printable(&path);
            ex.report(cx, level, format_args!("a client request body is buffered to a temporary file {shown}"));
            Ok(())
        }
        Err(TempFileError { call, path, errno }) => {
            ex.report(cx, Level::Crit, format_args!("{call} \"{}\" failed {errno}", Printable(&path)));
            Err(Flow::Status(match errno {
                Errno::ENOSPC | Errno::EDQUOT => Status::INSUFFICIENT_STORAGE,
                Errno::EMFILE | Errno::ENFILE => {
                    ex.response.line(b"Retry-After", b"1");
                    Status::SERVICE_UNAVAILABLE
                }
                _ => Status::INTERNAL_SERVER_ERROR,
            }))
        }
    }
}

impl UpstreamRequest {
    /// Leaves [`UpstreamPhase::BufferBody`] if the body is complete; whether it is.
    pub fn ends_buffering(&mut self, ex: &Exchange) -> bool {
        let whole = ex.progress.rx != Rx::Body;
        if whole {
            self.phase = if self.pending.is_some() { UpstreamPhase::Resolve } else { UpstreamPhase::Pick };
        }
        whole
    }

    /// Accepts a piece of the client's body.
    pub fn accept(&mut self, ex: &mut Exchange, cx: &mut Services, data: &[u8]) -> Result<(), Flow> {
        match self.phase {
            UpstreamPhase::BufferBody => return with_body(ex, cx, |body, temp| body.push(temp, data)),
            _ if self.write_closed => {}
            _ => {
                self.trim();
                self.push(data);
                let limit = ex.location().settings.client.body_buffer_size.0.min(LARGEST) as usize;
                if let Some(record) = &mut ex.log.upstream {
                    record.keep_streamed(data, limit);
                }
            }
        }
        Ok(())
    }

    /// The client's body is complete.
    pub fn body_ends(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<(), Flow> {
        if self.phase == UpstreamPhase::BufferBody {
            return with_body(ex, cx, |body, temp| body.end(temp));
        }
        if self.body == RequestBody::Streamed {
            self.push_end();
        }
        Ok(())
    }

    /// Drops the bytes already sent, if they are too many to be kept for another server.
    pub(super) fn trim(&mut self) {
        if self.sent == self.out.len() && self.out.len() > REPLAY {
            self.replay = false;
        }
        if !self.replay && self.sent > 0 {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Picks a server and writes the request for it. Err: there is none, or the request cannot be passed on.
    pub fn pick(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<(usize, Addr), Flow> {
        let key = match &self.upstream.clone().method {
            Method::Hash { key, .. } => variables::text(key, ex, cx),
            _ => Vec::new(),
        };
        let by = BalanceKey { client: &ex.client.peer, key: &key };
        let Some(peer) = cx.upstream_balance.take(&self.upstream, &mut self.tried, by, cx.now.ms) else {
            self.note_try(ex, cx, self.upstream.name.clone());
            ex.report(cx, Level::Error, format_args!("no live upstreams while connecting to upstream"));
            return Err(self
                .failed(ex, cx, UpstreamFault::NoLive, PeerState::Enabled)
                .unwrap_or(Flow::Status(Status::BAD_GATEWAY)));
        };
        let (addr, name) = (self.upstream.peers[peer].addr.clone(), self.upstream.peers[peer].name.clone());
        // The request is written once and cannot depend on the server: `$upstream_addr` contains the servers tried
        // before (nginx).
        if self.out.is_empty() {
            let target = self.target.clone();
            let written = self.compose(ex, cx, &target);
            // Nothing is asked in place of what could not be told.
            let has_failed = std::mem::take(&mut ex.route.evaluation_failed);
            let written = if has_failed { Err(Status::INTERNAL_SERVER_ERROR) } else { written };
            if let Err(status) = written {
                let taken = RequestTimes { began: cx.now.ms, header: None };
                cx.upstream_balance.give(&self.upstream, peer, Outcome::Neutral, taken, cx.now.ms);
                return Err(Flow::Status(status));
            }
        }
        self.note_try(ex, cx, name);
        Ok((peer, addr))
    }

    /// Records the beginning of an attempt at this server, or program.
    pub(super) fn note_try(&self, ex: &mut Exchange, cx: &Services, peer: Rc<str>) {
        if let Some(record) = &mut ex.log.upstream {
            record.asks = Some(self.target.clone());
            record.tries.push(Try::of(peer, cx.now.ms));
        }
    }

    /// A connection to the next server exists or is being made: discards the response of the last one. Until then it is
    /// kept, also if there is no other server (nginx).
    pub fn forget_response(&self, ex: &mut Exchange) {
        if let Some(record) = &mut ex.log.upstream {
            record.head = None;
            record.trailers.clear();
        }
    }

    /// The local address of the connection (proxy_bind); an invalid one is logged and ignored (nginx).
    pub fn local(&self, ex: &mut Exchange, cx: &mut Services) -> Option<SocketAddr> {
        let template = settings(ex).bind.clone()?;
        let text = variables::text(&template, ex, cx);
        let local = literal_address(&text);
        if local.is_none() && !text.is_empty() {
            let shown = String::from_utf8_lossy(&text);
            ex.report(cx, Level::Error, format_args!("invalid local address \"{shown}\""));
        }
        local
    }

    /// The connection to the server is established.
    pub fn connected(&mut self, ex: &mut Exchange, cx: &Services) {
        self.phase = UpstreamPhase::SendReceive;
        if let Some(one) = ex.log.upstream.as_mut().and_then(|record| record.last()) {
            one.connect = Some(cx.now.ms.saturating_sub(one.started));
        }
    }

    /// Whether there is nothing to do but to send the request, all of which is pending.
    pub fn is_held(&self, ex: &Exchange) -> bool {
        let is_whole = ex.progress.rx == Rx::Done && self.body == RequestBody::Whole && self.is_unsent();
        let is_quiet = ex.progress.pause.is_none() && ex.out.is_empty() && self.spool.is_none();
        self.phase == UpstreamPhase::SendReceive && !self.protocol.is_tunnel() && is_whole && is_quiet
    }

    /// Bytes of the request that are pending.
    pub fn pending(&self) -> &[u8] {
        if self.write_closed { &[] } else { self.out.get(self.sent..).unwrap_or_default() }
    }

    /// Whether there is a request to send and none of it has been sent.
    pub fn is_unsent(&self) -> bool {
        !self.request_sent && !self.pending().is_empty()
    }

    /// `n` of the pending bytes were taken by the server.
    pub fn note_sent(&mut self, ex: &mut Exchange, n: usize) {
        self.sent += n;
        self.request_sent = true;
        if let Some(one) = ex.log.upstream.as_mut().and_then(|record| record.last()) {
            one.sent += n as u64;
        }
        if self.sent == self.out.len() && self.phase == UpstreamPhase::SendReceive {
            self.refill(ex);
        }
    }

    /// Reads the next piece of a body that is buffered in a file; replaces the bytes already sent.
    fn refill(&mut self, ex: &Exchange) {
        let file = ex.progress.body.as_ref().and_then(|body| body.file());
        let Some(file) = file.filter(|file| self.body == RequestBody::File && self.file_at < file.len()) else {
            return;
        };
        self.out.clear();
        self.sent = 0;
        let mut piece = Vec::with_capacity(PIECE);
        let last = match file.read(self.file_at, PIECE, &mut piece) {
            Ok(n) if n > 0 => {
                self.file_at += n as u64;
                self.file_at >= file.len()
            }
            // The upstream gets a truncated body and rejects it, or its own timeout expires.
            _ => {
                self.write_closed = true;
                return;
            }
        };
        self.push(&piece);
        if last {
            self.push_end();
        }
    }

    /// Starts again from the first byte, for another server.
    pub(super) fn rewind(&mut self) {
        self.sent = 0;
        if self.file_at > 0 {
            self.out.clear();
            self.file_at = 0;
        }
    }

    /// Whether the whole request has been sent.
    pub fn is_sent(&self, ex: &Exchange) -> bool {
        let is_whole = ex.progress.rx != Rx::Body || self.body == RequestBody::Whole || self.has_announced_length(ex);
        self.pending().is_empty() && !self.write_closed && is_whole
    }

    /// Whether as many bytes of the body were passed on as its Content-Length says: the upstream has all of it, even if
    /// END_STREAM is to come in a frame of its own.
    fn has_announced_length(&self, ex: &Exchange) -> bool {
        self.framing == BodyFraming::Plain
            && matches!(ex.request.head.body_length, BodyLength::Known(length) if ex.progress.body_received >= length)
    }

    /// Whether the client's body may be read: everything before has been sent.
    pub fn wants_body(&self, ex: &Exchange) -> bool {
        let waits = ex.progress.rx == Rx::Body && self.body == RequestBody::Streamed && !self.write_closed;
        waits && (self.pending().is_empty() || self.sends_body_with_head(ex))
    }

    /// Whether nothing has been sent yet and the beginning of the body arrived with the request head: both are sent
    /// together.
    pub fn sends_body_with_head(&self, ex: &Exchange) -> bool {
        self.body == RequestBody::Streamed
            && !self.request_sent
            && ex.progress.rx == Rx::Body
            && ex.progress.has_buffered_body
            && self.pending().len() < REPLAY
    }

    /// Whether the exchange waits for the upstream, not for the client.
    pub fn awaits_upstream(&self, waits: Waits) -> bool {
        let body = self.phase == UpstreamPhase::SendReceive && waits.client_read;
        self.phase == UpstreamPhase::Resolve || !body && (waits.upstream_read || waits.upstream_write || waits.exit)
    }
}

//! What can go wrong with a server, how it is logged, and whether another server is tried.

use super::request;
use super::settings::settings;
use super::state::{Reading, UpstreamPhase, UpstreamRequest};
use crate::config::model::Level;
use crate::config::settings::proxy::NextUpstream;
use crate::exchange::flow::Flow;
use crate::exchange::{Exchange, Rx};
use crate::http::fastcgi;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::upstream_balance::{Outcome, PeerState};
use crate::sys::Errno;
use crate::tls::CertificateDer;
use std::net::SocketAddr;

/// What went wrong with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamFault {
    /// `error`: the connection failed or broke.
    Error,
    /// `timeout`: proxy_connect_timeout, proxy_send_timeout or proxy_read_timeout ran out.
    Timeout,
    /// `invalid_header`: the response head cannot be parsed.
    InvalidHeader,
    /// No server of the group is left to be tried (nginx: "no live upstreams").
    NoLive,
    /// A status listed in proxy_next_upstream.
    Status(u16),
}

impl UpstreamFault {
    /// How the server's statistics count it.
    pub fn outcome(self) -> Outcome {
        match self {
            UpstreamFault::NoLive | UpstreamFault::Status(403 | 404) => Outcome::Neutral,
            _ => Outcome::Failed,
        }
    }
}

/// The bit of proxy_next_upstream for a status.
pub fn next_of(code: u16) -> Option<NextUpstream> {
    Some(match code {
        500 => NextUpstream::HTTP_500,
        502 => NextUpstream::HTTP_502,
        503 => NextUpstream::HTTP_503,
        504 => NextUpstream::HTTP_504,
        403 => NextUpstream::HTTP_403,
        404 => NextUpstream::HTTP_404,
        429 => NextUpstream::HTTP_429,
        _ => return None,
    })
}

/// Errors of connect() caused by a server that is down or has a full backlog; all others are local errors.
const DOWN: [Errno; 7] = [
    Errno::ECONNREFUSED,
    Errno::EAGAIN,
    Errno::ECONNRESET,
    Errno::ENETDOWN,
    Errno::ENETUNREACH,
    Errno::EHOSTDOWN,
    Errno::EHOSTUNREACH,
];

impl UpstreamRequest {
    /// A system call failed while communicating with the server.
    pub fn broken(&mut self, ex: &mut Exchange, cx: &mut Services, call: &str, errno: Errno) {
        let doing = self.doing(ex);
        ex.report(cx, Level::Error, format_args!("{call} failed {errno} while {doing}"));
    }

    /// Logs, in nginx's words, that connect() failed at once: because of a missing socket or missing permissions, say.
    pub fn unreachable(&mut self, ex: &mut Exchange, cx: &mut Services, errno: Errno) {
        let doing = self.doing(ex);
        let tried = ex.log.upstream.as_mut().and_then(|record| record.last());
        let peer = tried.map(|one| one.peer.clone()).unwrap_or_default();
        let level = if DOWN.contains(&errno) { Level::Error } else { Level::Crit };
        ex.report(cx, level, format_args!("connect() to {peer} failed {errno} while {doing}"));
    }

    /// Logs, in nginx's words, that the address of proxy_bind is not available.
    pub fn unbound(&mut self, ex: &mut Exchange, cx: &mut Services, local: SocketAddr, errno: Errno) {
        let doing = self.doing(ex);
        let name = if local.port() == 0 { local.ip().to_string() } else { local.to_string() };
        ex.report(cx, Level::Crit, format_args!("bind({name}) failed {errno} while {doing}"));
    }

    /// Logs, in nginx's words, that the connection limit is reached.
    pub fn limit_reached(&mut self, ex: &mut Exchange, cx: &mut Services, limit: usize) {
        let doing = self.doing(ex);
        ex.report(cx, Level::Alert, format_args!("{limit} worker_connections are not enough while {doing}"));
    }

    /// Logs that the server timed out. A tunnel that nobody uses is no fault of the server (nginx).
    pub fn timed_out(&mut self, ex: &mut Exchange, cx: &mut Services) {
        let doing = self.doing(ex);
        let level = if self.phase == UpstreamPhase::Tunnel { Level::Info } else { Level::Error };
        ex.report(cx, level, format_args!("upstream timed out {} while {doing}", Errno::ETIMEDOUT));
    }

    /// The current activity in the words of nginx's log lines ("connecting to upstream").
    pub(super) fn doing(&self, ex: &Exchange) -> &'static str {
        match self.phase {
            UpstreamPhase::BufferBody => "reading client request body",
            UpstreamPhase::Resolve | UpstreamPhase::Pick | UpstreamPhase::Connect => "connecting to upstream",
            UpstreamPhase::Handshake => "SSL handshaking to upstream",
            UpstreamPhase::Tunnel => "proxying upgraded connection",
            UpstreamPhase::SendReceive if !self.reads_head() => "reading upstream",
            UpstreamPhase::SendReceive if !self.is_sent(ex) => "sending request to upstream",
            UpstreamPhase::SendReceive => "reading response header from upstream",
        }
    }

    /// Gives up on the current server. None: pick another one. Some: the exchange's next step; the handler is done.
    /// Must not be called once anything was sent to the client.
    pub fn failed(
        &mut self,
        ex: &mut Exchange,
        cx: &mut Services,
        fault: UpstreamFault,
        standing: PeerState,
    ) -> Option<Flow> {
        let settings = settings(ex).clone();
        let (status, kind) = match fault {
            UpstreamFault::Error | UpstreamFault::NoLive => (Status::BAD_GATEWAY, NextUpstream::ERROR),
            UpstreamFault::InvalidHeader => (Status::BAD_GATEWAY, NextUpstream::INVALID_HEADER),
            UpstreamFault::Timeout => (Status::GATEWAY_TIMEOUT, NextUpstream::TIMEOUT),
            UpstreamFault::Status(code) => (Status(code), next_of(code).unwrap_or(NextUpstream::ERROR)),
        };
        if standing == PeerState::Disabled {
            let doing = self.doing(ex);
            ex.report(cx, Level::Warn, format_args!("upstream server temporarily disabled while {doing}"));
        }
        // A kept-alive connection that the server closed meanwhile says nothing about the server.
        self.wants_new = self.is_stale(fault);
        if self.wants_new {
            self.tried.forget_last();
        } else {
            self.tries_left = self.tries_left.saturating_sub(1);
        }
        if let Some(record) = &mut ex.log.upstream {
            if let Some(one) = record.last() {
                one.status = status.0;
            }
            record.end(cx.now.ms);
        }
        let mut wanted = kind.0;
        if self.request_sent && !request::is_repeatable(ex) {
            wanted |= NextUpstream::NON_IDEMPOTENT.0;
        }
        let late = settings.next_timeout.0 > 0 && cx.now.ms.saturating_sub(self.began) >= settings.next_timeout.0;
        let lost = self.request_sent && !self.replay;
        if fault == UpstreamFault::NoLive
            || self.tries_left == 0
            || !settings.next.has(NextUpstream(wanted))
            || lost
            || late
        {
            return Some(Flow::Status(status));
        }
        self.phase = UpstreamPhase::Pick;
        self.rewind();
        self.request_sent = false;
        self.write_closed = false;
        self.input.clear();
        self.parser.clear();
        self.reading = Reading::Head;
        self.records = fastcgi::Reader::default();
        None
    }

    /// Whether a kept-alive connection was closed before the response began.
    pub fn is_stale(&self, fault: UpstreamFault) -> bool {
        self.reused && fault == UpstreamFault::Error && self.reads_head() && self.input.is_empty()
    }

    /// Whether the request may be sent again if a kept-alive connection turns out to be closed.
    pub fn may_repeat(&self, ex: &Exchange) -> bool {
        let settings = settings(ex);
        let goes_on = settings.next.has(NextUpstream::ERROR) && settings.next_timeout.0 == 0;
        goes_on && ex.progress.rx != Rx::Body && request::is_repeatable(ex)
    }

    /// Whether this status leads to the next server.
    pub(super) fn tries_next(&self, ex: &Exchange, cx: &Services, code: u16) -> bool {
        let settings = &settings(ex);
        let Some(kind) = next_of(code) else { return false };
        let repeat = if request::is_repeatable(ex) { 0 } else { NextUpstream::NON_IDEMPOTENT.0 };
        let late = settings.next_timeout.0 > 0 && cx.now.ms.saturating_sub(self.began) >= settings.next_timeout.0;
        self.tries_left > 1 && settings.next.has(NextUpstream(kind.0 | repeat)) && self.replay && !late
    }

    /// The handshake is complete: checks the server's certificate. False: it is not trusted; this has been logged.
    pub fn trusts(&mut self, ex: &mut Exchange, cx: &mut Services, chain: &[CertificateDer<'_>]) -> bool {
        let Some(secure) = &self.tls else { return true };
        match secure.verify(chain, cx.now.unix) {
            Ok(()) => true,
            Err(why) => {
                let doing = self.doing(ex);
                ex.report(cx, Level::Error, format_args!("{why} while {doing}"));
                false
            }
        }
    }

    /// Logs that the handshake failed.
    pub fn no_handshake(&mut self, ex: &mut Exchange, cx: &mut Services, why: &str) {
        let doing = self.doing(ex);
        ex.report(cx, Level::Error, format_args!("SSL_do_handshake() failed: {why} while {doing}"));
    }
}

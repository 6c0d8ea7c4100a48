//! The state of an exchange with an upstream: which events it waits for, and whether it is over.

use super::settings::settings;
use super::state::{UpstreamPhase, UpstreamRequest};
use super::store;
use super::timers::ClientTimer;
use crate::config::settings::upstream::Upstream;
use crate::exchange::{Exchange, Tx};
use crate::services::Services;
use std::rc::Rc;

impl UpstreamRequest {
    /// Sets the group from which servers are picked.
    pub(super) fn set_group(&mut self, ex: &Exchange, upstream: Rc<Upstream>) {
        let servers = upstream.peers.iter().filter(|peer| !peer.down).count() as u64;
        let most = settings(ex).next_tries;
        self.tries_left = if most > 0 { most.min(servers) } else { servers };
        self.upstream = upstream;
    }

    /// The group from which servers are picked; None: it is a program.
    pub fn group(&self) -> Option<&Upstream> {
        self.script.is_none().then_some(&*self.upstream)
    }

    /// Whether the client asked for a tunnel, whose request has no body.
    pub fn is_for_tunnel(&self) -> bool {
        self.protocol.is_tunnel()
    }

    /// Whether a tunnel is connected, which has no request to send.
    pub fn opens_tunnel(&self) -> bool {
        self.is_for_tunnel() && self.phase == UpstreamPhase::SendReceive
    }

    /// The group that the request is passed to.
    pub fn upstream(&self) -> &Rc<Upstream> {
        &self.upstream
    }

    /// The whole response has arrived: completes its copy.
    pub fn keep_copy(&mut self, ex: &Exchange, cx: &mut Services) {
        store::end(&mut self.copy, ex, cx);
    }

    /// Whether the response is being stored, so that it is read to its end even if the client has gone.
    pub fn is_copied(&self) -> bool {
        self.copy.is_some()
    }

    /// The connection may serve another request.
    pub fn leaves_connection_usable(&self, ex: &Exchange) -> bool {
        let is_kept = self.protocol.may_keep(settings(ex).version) && self.upstream.keepalive.idle > 0;
        self.keep && self.is_done() && self.is_sent(ex) && is_kept
    }

    /// The response is complete, or is not needed any more.
    pub fn end_record(&self, ex: &mut Exchange, cx: &Services) {
        if let Some(record) = &mut ex.log.upstream {
            record.end(cx.now.ms);
        }
    }

    /// The request is over: leaves its buffers to the next one of its exchange.
    pub fn leave_room(self, ex: &mut Exchange) {
        ex.spare.keep_request(self.out, self.target);
    }

    /// The events that can continue the exchange; the connection checks that none was missed.
    pub fn waits(&self, ex: &Exchange) -> Waits {
        let connecting = self.phase == UpstreamPhase::Connect;
        let talking = matches!(self.phase, UpstreamPhase::SendReceive | UpstreamPhase::Tunnel);
        Waits {
            client_read: match self.phase {
                UpstreamPhase::BufferBody => ex.out.is_empty(),
                UpstreamPhase::SendReceive => self.wants_body(ex),
                UpstreamPhase::Tunnel => self.pending().is_empty(),
                UpstreamPhase::Resolve | UpstreamPhase::Pick | UpstreamPhase::Connect | UpstreamPhase::Handshake => {
                    false
                }
            },
            client_write: !ex.out.is_empty(),
            upstream_read: self.phase == UpstreamPhase::Handshake || talking && self.room(ex) > 0,
            exit: self.awaits_exit(),
            upstream_write: connecting || talking && !self.pending().is_empty(),
        }
    }

    /// The client's timer follows from what it has to do, and passes to that with what is left of its time: what is
    /// queued is to be taken before more is to be sent.
    pub fn name_client_timer(&mut self, waits: Waits) {
        if waits.client_write {
            self.client_deadline.continue_as(ClientTimer::Send);
        } else if waits.client_read {
            self.client_deadline.continue_as(ClientTimer::Body);
        }
    }

    /// The response to the client has begun: an error can only be signalled by ending it early.
    pub fn has_begun(ex: &Exchange) -> bool {
        ex.progress.tx != Tx::Wait
    }
}

/// The events that can continue a proxied exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Bytes of the request's body, or of a tunnel.
    pub client_read: bool,
    /// Room in the client's send buffer.
    pub client_write: bool,
    /// Bytes of the response.
    pub upstream_read: bool,
    /// Room in the upstream's send buffer.
    pub upstream_write: bool,
    /// The end of the program.
    pub exit: bool,
}

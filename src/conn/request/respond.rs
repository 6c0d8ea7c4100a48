//! From a decided response to the queue. Whether the connection outlives the response is decided once a response,
//! before it is written; what a body that is thrown away may still cost is part of it.

use super::state::RequestReader;
use crate::config::settings::client::KeepaliveDisable;
use crate::conn::Active;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::Handler;
use crate::exchange::request::is_old_msie;
use crate::exchange::response::Body;
use crate::exchange::{Exchange, Rx, Tx, entry, phases};
use crate::http::body_length::BodyLength;
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::services::Services;
use std::rc::Rc;

/// The body of a refused request is read up to this size to keep the connection; a longer one ends it.
pub const DRAIN: u64 = 1 << 20;

impl Active {
    /// The handler is done: `flow`, what it came to, becomes the response.
    pub fn apply_flow(&mut self, cx: &mut Services, flow: Flow) {
        self.handler = Handler::None;
        phases::apply_flow(&mut self.ex, &mut self.handler, cx, flow);
        respond(self, cx);
    }
}

/// Queues the response, if the exchange has decided on one. What becomes of the connection is decided first, since the
/// head says so.
pub fn respond(active: &mut Active, cx: &mut Services) {
    queue(&mut active.ex, &mut active.handler, &mut active.reader, cx);
}

/// Has the head of a response queued whose body its handler, an upstream, has yet to bring. Some: another response is
/// sent instead (the page of a 412, a 500), and this handler makes it, or it is made already.
pub fn begin_streamed(ex: &mut Exchange, reader: &mut RequestReader, cx: &mut Services) -> Option<Handler> {
    phases::decided(ex);
    let mut instead = Handler::None;
    let decided = queue(ex, &mut instead, reader, cx);
    (decided > 1 || !matches!(instead, Handler::None)).then_some(instead)
}

/// [`respond`], of the parts of an [`Active`]. Gives how many responses were decided on: each replaces the one before.
pub fn queue(ex: &mut Exchange, handler: &mut Handler, reader: &mut RequestReader, cx: &mut Services) -> usize {
    if ex.progress.tx == Tx::Ready && !ex.route.method.is_safe() {
        // Files may have been changed: one call for that can take milliseconds, where a step takes microseconds.
        cx.slice.look();
    }
    let mut decided = 0;
    while ex.progress.tx == Tx::Ready {
        decided += 1;
        // A subrequest does not decide what becomes of the connection.
        if ex.nesting.subrequest.is_none() {
            // Invalid framing is refused even if the body is discarded, since it is unknown where the next request
            // begins.
            let failed = ex.response.status.0 >= 400;
            if ex.progress.rx == Rx::Drain
                && (reader.may_keep || !failed)
                && !ex.progress.closes
                && let Err(reject) = reader.discard_buffered(ex)
            {
                entry::bad_discarded_body(ex, cx, &reject);
            }
            decide(ex, reader, cx);
        }
        phases::send(ex, handler, cx);
    }
    decided
}

/// Whether the connection outlives this response, and what becomes of a body that was not read.
fn decide(ex: &mut Exchange, reader: &RequestReader, cx: &Services) {
    let client = ex.location().settings.client.clone();
    let keep_alive = reader.may_keep
        && !ex.progress.closes
        && !cx.quitting
        && !cx.overload.is_tight()
        // A reload ends the connections of the old configuration as they come to rest (nginx).
        && Rc::ptr_eq(&ex.config, &cx.config)
        && !ex.progress.location_closes
        && !phases::ends_connection(ex, cx)
        && !is_disabled_for(ex, client.keepalive_disable);
    ex.out.decide_connection(keep_alive, client.keepalive_header);
    // A response that is made while the body still comes does not end it.
    let duplex = matches!(ex.response.body, Body::Stream { .. });
    if ex.progress.rx == Rx::Body && !duplex {
        ex.progress.rx = Rx::Drain;
    }
    if matches!(ex.progress.rx, Rx::Drain | Rx::Body) {
        let failed = ex.response.status.0 >= 400 || ex.route.error_page.is_some();
        let short = match ex.request.head.body_length {
            BodyLength::Known(_) if failed => reader.remaining().is_some_and(|left| left <= DRAIN),
            _ => true,
        };
        // A client that waits for 100 Continue may or may not send its body now: only closing is safe.
        if !short || reader.expects_continue {
            ex.out.end_connection();
        }
    }
}

/// keepalive_disable: Internet Explorer before 7 after a POST, and Safari on the Mac.
fn is_disabled_for(ex: &Exchange, disabled: KeepaliveDisable) -> bool {
    let Some(agent) = ex.header(HeaderId::UserAgent) else { return false };
    let has = |text: &[u8]| memchr::memmem::find(agent, text).is_some();
    disabled.msie6 && ex.route.method == Method::Post && is_old_msie(agent)
        || disabled.safari && has(b"Mac OS X") && has(b"Safari/") && !has(b"Chrome")
}

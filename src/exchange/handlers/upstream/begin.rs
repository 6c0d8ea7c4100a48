//! How a request to an upstream begins, for all protocols.

use super::find::PassTarget;
use super::request_body::{is_here, is_spent, needs_length};
use super::settings::settings;
use super::state::{BodyFraming, Reading, RequestBody, UpstreamPhase, UpstreamRequest};
use super::timers::{ClientDeadline, ClientTimer, UpstreamDeadline, UpstreamTimer};
use crate::config::settings::proxy_pass::Protocol;
use crate::exchange::flow::{Begun, Flow};
use crate::exchange::{Exchange, Rx, body};
use crate::http::fastcgi;
use crate::http::response_parser::{RequestContext, ResponseParser};
use crate::http::status::Status;
use crate::http::upstream_head::Ending;
use crate::services::Services;
use crate::services::upstream_balance::Tried;

/// The initial state of a request, for any kind of upstream.
pub(super) fn assemble(
    ex: &mut Exchange,
    cx: &mut Services,
    protocol: Protocol,
    target: PassTarget,
) -> Begun<UpstreamRequest> {
    let PassTarget { upstream, pending, target, is_secure: _ } = target;
    ex.log.upstream.get_or_insert_default().protocol = protocol;
    let buffers_first = plan_body(ex, protocol)?;
    let settings = &ex.location().settings;
    let (resolved_by, sent_by) =
        (cx.now.ms + settings.names.timeout.0 + 1000, cx.now.ms + settings.client.body_timeout.0);
    let mut request = UpstreamRequest {
        phase: match (buffers_first, &pending) {
            (true, _) => UpstreamPhase::BufferBody,
            (false, Some(_)) => UpstreamPhase::Resolve,
            (false, None) => UpstreamPhase::Pick,
        },
        tls: None,
        pending,
        protocol,
        script: None,
        target: ex.spare.share_target(target),
        upstream: upstream.clone(),
        tried: Tried::default(),
        tries_left: 0,
        began: cx.now.ms,
        asked: RequestContext::default(),
        protocols: Vec::new(),
        interim: 0,
        hinted: 0,
        out: ex.spare.take_request(),
        sent: 0,
        file_at: 0,
        body: RequestBody::Whole,
        framing: BodyFraming::Plain,
        replay: true,
        request_sent: false,
        write_closed: false,
        input: Vec::new(),
        parser: ResponseParser::with_room(ex.spare.take_fields()),
        reading: Reading::Head,
        records: fastcgi::Reader::default(),
        reused: false,
        wants_new: false,
        was_reset: false,
        is_cut: false,
        waited_for_room: false,
        keep: false,
        ending: Ending::None,
        copy: None,
        spool: None,
        is_scarce: false,
        pace: None,
        upstream_deadline: UpstreamDeadline::new(UpstreamTimer::Resolve, resolved_by),
        client_deadline: ClientDeadline::new(ClientTimer::Body, sent_by),
    };
    request.set_group(ex, upstream);
    Ok(Box::new(request))
}

/// Decides what happens to the request body. Returns whether all of it is buffered before a server is picked.
fn plan_body(ex: &mut Exchange, protocol: Protocol) -> Result<bool, Flow> {
    let settings = settings(ex).clone();
    let wants_body = settings.pass_request_body && settings.body.is_none();
    if wants_body && ex.progress.body_received > 0 && ex.progress.body.is_none() && !is_spent(ex) {
        // Part of the body was sent to another location's upstream: it cannot be read again.
        return Err(Flow::Status(Status::BAD_GATEWAY));
    }
    // It is read for $request_body even if it is not passed on (nginx).
    let reads = (wants_body || settings.request_buffering || is_here(ex)) && !is_spent(ex);
    if reads && ex.progress.rx == Rx::Drain {
        ex.progress.rx = Rx::Body;
    }
    if is_spent(ex) && ex.progress.rx == Rx::Body {
        // The rest of the body is useless without its beginning.
        ex.progress.rx = Rx::Drain;
    }
    let buffers = settings.request_buffering || wants_body && needs_length(ex, protocol);
    let buffers_first = ex.progress.rx == Rx::Body && (buffers || is_here(ex));
    if buffers_first {
        let body = match buffers {
            true => body::BufferedBody::new(&ex.request.head, &ex.location().settings),
            false => body::BufferedBody::in_memory(),
        };
        ex.progress.body = Some(body);
    }
    Ok(buffers_first)
}

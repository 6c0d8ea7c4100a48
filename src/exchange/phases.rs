//! What happens to a request, in order. The list is [`Phase`]; each step either goes on to the next,
//! starts over with another URI, or settles the answer. How a request comes here: [`entry`](super::entry).

use super::filters::Sent;
use super::flow::{Begun, Flow, Pause, Phase, Then};
use super::handlers::Handler;
use super::handlers::upstream::UpstreamRequest;
use super::locate::{REDIRECTS, count_redirect, enter, location_rewrite, server_rewrite};
use super::log_facts::UploadRole;
use super::{Exchange, Printable, Rx, Tx, access, body_limit, error_page, filters, handlers, rewrite};
use crate::config::model::{ContentHandler, Level};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::route::{Trace, TraceStep, location};
use crate::services::{Services, temp_names};

/// Goes on with a delayed request, whose time has come.
pub fn resume(ex: &mut Exchange, handler: &mut Handler, cx: &mut Services, then: Then) {
    let flow = match then {
        Then::Phase(phase) => run(ex, handler, cx, phase),
        Then::Status(status) => Flow::Status(status),
    };
    apply_flow(ex, handler, cx, flow);
}

/// Gives a handler that works its share of a turn.
pub fn work(ex: &mut Exchange, handler: &mut Handler, cx: &mut Services) {
    let flow = handlers::work(ex, handler, cx);
    apply_flow(ex, handler, cx, flow);
}

/// Runs the phases from `phase` on until the answer is settled.
pub(super) fn run(ex: &mut Exchange, handler: &mut Handler, cx: &mut Services, mut phase: Phase) -> Flow {
    loop {
        // What these decide may follow from the client, the time or other files.
        if matches!(phase, Phase::Rewrite | Phase::Limits | Phase::Access | Phase::Precontent) {
            ex.basis.varies();
        }
        let flow = match phase {
            Phase::ServerRewrite => server_rewrite(ex, cx),
            Phase::FindLocation => find_location(ex, cx),
            Phase::Rewrite => location_rewrite(ex, cx),
            Phase::Limits => {
                access::real_ip::apply(ex);
                access::limits::check(ex, cx)
            }
            Phase::Access => match handlers::allowed_methods::check(ex, cx) {
                Flow::Next => access::check(ex, cx),
                answered => answered,
            },
            Phase::Precontent => rewrite::try_files::run(ex, cx),
            Phase::Content => content(ex, handler, cx),
        };
        if std::mem::take(&mut ex.route.evaluation_failed) {
            return Flow::Status(Status::INTERNAL_SERVER_ERROR);
        }
        if phase == Phase::Content {
            return flow;
        }
        phase = match flow {
            Flow::Next => match phase {
                Phase::ServerRewrite => Phase::FindLocation,
                // Most locations have nothing between.
                Phase::FindLocation if ex.location().plain => Phase::Content,
                Phase::FindLocation => Phase::Rewrite,
                Phase::Rewrite => Phase::Limits,
                Phase::Limits => Phase::Access,
                Phase::Access => Phase::Precontent,
                Phase::Precontent | Phase::Content => Phase::Content,
            },
            Flow::Restart => match count_redirect(ex, cx, "processing", None) {
                true => Phase::FindLocation,
                false => return Flow::Status(Status::INTERNAL_SERVER_ERROR),
            },
            other => return other,
        };
    }
}

/// Whether the connection ends with this response, by the settings where the request is.
pub fn ends_connection(ex: &Exchange, cx: &Services) -> bool {
    let client = &ex.location().settings.client;
    client.keepalive_timeout.0 == 0
        || ex.client.requests >= client.keepalive_requests
        || cx.now.ms.saturating_sub(ex.client.accepted) >= client.keepalive_time.0
}

/// A location that ends the connection does so also where the request goes on to another one (nginx).
pub(super) fn note_ending_location(ex: &mut Exchange, cx: &Services) {
    ex.progress.location_closes |= ends_connection(ex, cx);
}

/// Turns a flow into a response, or into waiting for the body.
pub fn apply_flow(ex: &mut Exchange, handler: &mut Handler, cx: &mut Services, mut flow: Flow) {
    loop {
        flow = match flow {
            Flow::Respond => break,
            // A subrequest has no body, nor has a request that lost it.
            Flow::Body if ex.nesting.subrequest.is_some() || ex.progress.body_lost => {
                Flow::Status(Status::INTERNAL_SERVER_ERROR)
            }
            Flow::Body => {
                ex.progress.rx = Rx::Body;
                return;
            }
            Flow::Delay { until, then } => {
                ex.progress.pause = Some(Pause { until, then: Some(then) });
                return;
            }
            Flow::Subrequest(uri) => {
                *handler = Handler::Subrequest(uri);
                return;
            }
            Flow::Wait => return,
            Flow::Close => {
                close(ex, Status::CLOSE);
                return;
            }
            // 444, and 499, the client has gone: nothing is sent, and no error page is looked for (nginx), whatever
            // decided on them.
            Flow::Status(status @ (Status::CLOSE | Status::CLIENT_CLOSED_REQUEST)) => {
                close(ex, status);
                return;
            }
            Flow::Status(status) => match page_of(ex, cx, status) {
                Some(page) => page,
                None => break,
            },
            // Its URI and arguments are others from here on.
            Flow::Redirect | Flow::Restart if ex.route.exempted.is_some() => {
                handlers::resumable::refuse_elsewhere(ex, cx)
            }
            Flow::Redirect | Flow::Restart => {
                cx.trace.say("redirect", None, || format!("internal, to {}", Printable(&ex.route.uri)));
                if !count_redirect(ex, cx, "internally redirecting to", None) {
                    ex.route.error_page = None;
                    ex.progress.closes |= Status::INTERNAL_SERVER_ERROR.closes();
                    handlers::special::respond(ex, Status::INTERNAL_SERVER_ERROR);
                    break;
                }
                ex.route.internal = true;
                ex.route.rewritten = true;
                // What a script broke off at was another location (nginx).
                ex.route.broke = false;
                start_over(ex);
                ex.route.location = ex.server().root;
                ex.route.history.start(ex.route.location);
                note_ending_location(ex, cx);
                run(ex, handler, cx, Phase::ServerRewrite)
            }
            Flow::Named(name) => named(ex, handler, cx, &name),
            Flow::Next => Flow::Status(Status::NOT_FOUND),
        };
    }
    *handler = Handler::None;
    decided(ex);
}

/// The exchange's response is the answer: the protocol has it queued. A handler that has yet to bring the body stays in
/// charge ([`apply_flow`] is for all others).
pub fn decided(ex: &mut Exchange) {
    // A body that is thrown away need not come slowly.
    ex.progress.pace = None;
    ex.progress.tx = Tx::Ready;
}

/// Where the error page of a status leads. None: there is none, and the response is made.
fn page_of(ex: &mut Exchange, cx: &mut Services, status: Status) -> Option<Flow> {
    ex.progress.closes |= status.closes(); // Whatever its page is.
    ex.log.is_refused |= status.0 >= 400;
    let is_spent = ex.route.redirects > REDIRECTS; // The 500 of a cycle: its page would be the next round (nginx).
    if !is_spent && let Some(page) = error_page::redirect(ex, cx, status) {
        cx.trace.say("error_page", None, || format!("{} has an error page", status.0));
        return Some(page);
    }
    // An error of the error page itself: nginx sends its status, not the first one's.
    ex.route.error_page = None;
    handlers::upload::note_too_large(ex, status);
    let is_made = handlers::autoindex::refused(ex, status)
        || handlers::dav::locked(ex, status)
        || handlers::upload::refused_otherwise(ex, status);
    if !is_made {
        handlers::special::respond(ex, status);
    }
    None
}

/// The response that was decided on, through the filters into the queue. The protocol calls it where [`apply_flow`] has
/// made the exchange [`Tx::Ready`], once it has decided what becomes of the connection.
pub fn send(ex: &mut Exchange, handler: &mut Handler, cx: &mut Services) {
    ex.progress.tx = Tx::Wait;
    match filters::send(ex, cx) {
        Sent::Queued => {}
        Sent::Page(page) => *handler = Handler::Page(page),
        Sent::Instead(flow) => apply_flow(ex, handler, cx, flow),
    }
}

/// Ends the connection without an answer; `status` is for the log.
fn close(ex: &mut Exchange, status: Status) {
    ex.progress.abort = true;
    ex.progress.tx = Tx::Done;
    ex.response.status = status;
}

/// What was found out for the location before is forgotten; `$upstream_…` keeps what the upstreams there answered
/// (nginx).
fn start_over(ex: &mut Exchange) {
    ex.response.clear();
    if ex.progress.replayed.take().is_some() {
        // A handler left while it got the buffered body: that is still there, whole.
        ex.progress.rx = Rx::Done;
    }
    if let Some(record) = ex.log.upstream.as_deref_mut() {
        record.leave();
    }
}

fn named(ex: &mut Exchange, handler: &mut Handler, cx: &mut Services, name: &[u8]) -> Flow {
    let Some(&id) = ex.server().named.get(name) else {
        let shown = String::from_utf8_lossy(name).into_owned();
        ex.report(cx, Level::Error, format_args!("could not find named location \"{shown}\""));
        return Flow::Status(Status::INTERNAL_SERVER_ERROR);
    };
    if !count_redirect(ex, cx, "redirect to named location", Some(name)) {
        return Flow::Status(Status::INTERNAL_SERVER_ERROR);
    }
    // The request has no path (`*`), which a named location needs (nginx).
    if ex.route.uri.is_empty() {
        ex.report(
            cx,
            Level::Error,
            format_args!("empty URI in redirect to named location \"{}\"", String::from_utf8_lossy(name)),
        );
        return Flow::Status(Status::INTERNAL_SERVER_ERROR);
    }
    cx.trace.say("redirect", Some(ex.config.location(id).span), || format!("internal, to {}", Printable(name)));
    ex.route.internal = true;
    start_over(ex);
    ex.route.location = id;
    ex.route.history.lead_on(&ex.route.uri);
    // A script there may answer by itself.
    if ex.route.exempted.is_some() && !ex.location().script.ops.is_empty() {
        return handlers::resumable::refuse_elsewhere(ex, cx);
    }
    if let Some(flow) = handlers::resumable::refuse_unless_resumable(ex, cx) {
        return flow;
    }
    note_ending_location(ex, cx);
    note_upload(ex);
    run(ex, handler, cx, Phase::Rewrite)
}

fn find_location(ex: &mut Exchange, cx: &mut Services) -> Flow {
    if ex.route.uri.first() != Some(&b'/') && !ex.route.rewritten {
        return handlers::options::server_wide(ex);
    }
    // A client that wants to store something under such a name gets 400.
    let brings = matches!(ex.route.method, Method::Post | Method::Put | Method::Mkcol);
    if !brings && temp_names::is_hidden(&ex.route.uri) {
        cx.trace.say("location", None, || "a name reserved for unfinished uploads, copies and deletes: 404".into());
        return Flow::Status(Status::NOT_FOUND);
    }
    let config = ex.config.clone();
    cx.trace.step(|| TraceStep::Search { server: ex.route.server, uri: ex.route.uri.clone() });
    if let Some(flow) = handlers::add_slash::of_location(ex, cx) {
        note_ending_location(ex, cx);
        return match check_internal(ex, cx).and_then(|()| check_length(ex, cx)) {
            Ok(()) => flow,
            Err(refused) => {
                ex.response.location = None;
                refused
            }
        };
    }
    let (server, uri, trace) = (ex.route.server, &ex.route.uri, &mut cx.trace);
    let found = ex.route.effort.spend(|effort| location::find_within(&config, server, uri, trace, effort));
    let found = match found {
        Ok(found) => found,
        Err(failed) => {
            ex.pattern_gave_up(cx, &failed);
            return Flow::Status(Status::INTERNAL_SERVER_ERROR);
        }
    };
    enter(ex, found);
    if let Err(flow) = check_internal(ex, cx) {
        return flow;
    }
    note_ending_location(ex, cx);
    note_upload(ex);
    check_length(ex, cx).err().unwrap_or(Flow::Next)
}

/// # Errors
/// 404 for a location that clients may not request.
fn check_internal(ex: &Exchange, cx: &mut Services) -> Result<(), Flow> {
    if !ex.config.location(ex.route.location).internal || ex.route.internal {
        return Ok(());
    }
    cx.trace.say("access", None, || "internal location, requested directly by the client: 404".into());
    Err(Flow::Status(Status::NOT_FOUND))
}

/// # Errors
/// 413, but not for an error page, which is sent in any case.
fn check_length(ex: &mut Exchange, cx: &mut Services) -> Result<(), Flow> {
    if ex.route.error_page.is_some() { Ok(()) } else { body_limit::check_length(ex, cx) }
}

/// What is refused from here on was to be an upload. The page that says so is none, but an error_page may also lead to
/// the location that stores it.
fn note_upload(ex: &mut Exchange) {
    if ex.nesting.subrequest.is_some() {
        return;
    }
    let part = handlers::files::upload_role(ex);
    if ex.route.error_page.is_none() || part != UploadRole::None {
        ex.log.upload_role = part;
    }
}

fn content(ex: &mut Exchange, handler: &mut Handler, cx: &mut Services) -> Flow {
    ex.basis.withdraw();
    if let Some(flow) = handlers::resumable::refuse_unless_resumable(ex, cx) {
        return flow;
    }
    let span = ex.location().span;
    let named = |cx: &mut Services, name: &'static str| cx.trace.say("handler", Some(span), || name.into());
    if handlers::upstream::cgi::is_program(ex) {
        named(cx, "cgi_pass");
        match handlers::upstream::cgi::start(ex, cx) {
            // What lies in a directory that is named like a program.
            Err(Flow::Next) => {}
            begun => return pass(handler, begun),
        }
    }
    let content = ex.location().content;
    if !matches!(content, ContentHandler::Files | ContentHandler::Proxy | ContentHandler::Cgi) {
        // Such a handler gives its response a type of its own, whatever X-Accel-Redirect led here (nginx).
        ex.route.kept.content_type = None;
    }
    match content {
        // Answered above.
        ContentHandler::Cgi => Flow::Status(Status::NOT_FOUND),
        ContentHandler::Proxy => pass(handler, handlers::upstream::start(ex, cx)),
        _ if ex.route.method == Method::Unknown => Flow::Status(Status::NOT_IMPLEMENTED),
        ContentHandler::Files => handlers::files::run(ex, handler, cx),
        ContentHandler::EmptyGif => {
            named(cx, "empty_gif");
            handlers::special::empty_gif(ex)
        }
        ContentHandler::Health => {
            named(cx, "health");
            handlers::status::health(ex, cx)
        }
        ContentHandler::StubStatus => {
            named(cx, "stub_status");
            handlers::status::stub_status(ex, cx)
        }
        ContentHandler::Api(id) => {
            named(cx, "api");
            handlers::status::api(ex, cx, id)
        }
        ContentHandler::Prometheus => {
            named(cx, "prometheus");
            handlers::status::prometheus(ex, cx)
        }
    }
}

/// The request is passed on, unless it is answered already.
fn pass(handler: &mut Handler, begun: Begun<UpstreamRequest>) -> Flow {
    match begun {
        Ok(request) => {
            *handler = Handler::Upstream(request);
            Flow::Wait
        }
        Err(flow) => flow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};

    #[test]
    fn a_request_that_has_lost_its_body_waits_for_none() {
        let mut site = Site::new("", "");
        for (body_lost, expected) in [(false, (Rx::Body, Tx::Wait)), (true, (Rx::Head, Tx::Ready))] {
            let mut ex = site.at("POST /", &["Content-Length: 3"], INSIDE);
            ex.progress.body_lost = body_lost;
            apply_flow(&mut ex, &mut Handler::None, &mut site.cx, Flow::Body);
            assert_eq!((ex.progress.rx, ex.progress.tx), expected);
            assert_eq!(ex.response.status == Status::INTERNAL_SERVER_ERROR, body_lost);
        }
    }
}

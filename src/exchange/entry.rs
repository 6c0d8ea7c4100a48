//! The ways into the phases: a request whose head was read, a subrequest, and requests that are refused before any
//! phase has seen them. The target becomes a path here, and the server of the request's host is chosen.

use super::flow::{Flow, Phase};
use super::handlers::Handler;
use super::phases::{apply_flow, run};
use super::{Exchange, Rx, access, body_limit, connect, handlers};
use crate::config::model::Level;
use crate::http::body_length::BodyLength;
use crate::http::header::UnusualNames;
use crate::http::method::Method;
use crate::http::reject::Reject;
use crate::http::request_target::TargetForm;
use crate::http::status::Status;
use crate::http::version::Version;
use crate::http::{host, uri};
use crate::route::server;
use crate::services::Services;
use crate::services::stats::Counter;
use crate::util::span::Span;
use std::rc::Rc;

/// The head of a request is complete: runs the phases.
pub fn begin(ex: &mut Exchange, handler: &mut Handler, cx: &mut Services) {
    cx.stats.count(Counter::Requests);
    let head = &ex.request.head;
    ex.route.method = head.method;
    ex.progress.rx = if head.body_length == BodyLength::None { Rx::Done } else { Rx::Drain };
    // Empty lines before it do not count (nginx).
    ex.log.request_length = (head.len as u64).saturating_sub(u64::from(head.request_line.start));
    // nginx reads the request line before it knows the host: the server it knows by then, the default one, answers
    // errors in the line.
    let target = set_uri(ex);
    let chosen = match target {
        Ok(()) => select_server(ex, cx),
        Err(_) => {
            super::tls::start(ex);
            Ok(())
        }
    };
    if ex.config.unusual_names != UnusualNames::default() {
        ex.drop_unusual_names();
    }
    let head = if ex.config.max_headers.is_some() { target.and(ex.count_fields()) } else { target };
    let flow = match head {
        Err(reject) => refusal(ex, cx, &reject),
        Ok(()) => admit(ex, handler, cx, chosen),
    };
    apply_flow(ex, handler, cx, flow);
}

/// The head is right, and the server is chosen: what else may refuse the request before its phases.
fn admit(ex: &mut Exchange, handler: &mut Handler, cx: &mut Services, chosen: Result<(), ()>) -> Flow {
    if let Some(status) = super::tls::check(ex, cx) {
        ex.progress.closes |= status != Status::MISDIRECTED_REQUEST;
        return Flow::Status(status);
    }
    if cx.overload.refuses() {
        return overloaded(ex);
    }
    if chosen.is_err() {
        return Flow::Status(Status::INTERNAL_SERVER_ERROR);
    }
    if super::acme::is_asked(ex, cx) {
        return super::acme::respond(ex, cx);
    }
    if ex.is_misdirected() {
        let what = "client attempted to request the server name for which the negotiated protocol is disabled";
        ex.report(cx, Level::Info, format_args!("{what}"));
        return Flow::Status(Status::MISDIRECTED_REQUEST);
    }
    match ex.route.method {
        // Nothing here reflects a request or makes a tunnel, whatever a script would answer (nginx).
        Method::Trace | Method::Connect => match connect::check(ex, cx) {
            Flow::Next => enter_phases(ex, handler, cx),
            refused => refused,
        },
        // RFC 9110 §15.6.2: a method that is not recognised, whatever the target. An upstream may know it.
        Method::Unknown if !ex.server().proxied => Flow::Status(Status::NOT_IMPLEMENTED),
        _ => enter_phases(ex, handler, cx),
    }
}

fn enter_phases(ex: &mut Exchange, handler: &mut Handler, cx: &mut Services) -> Flow {
    access::real_ip::apply(ex);
    run(ex, handler, cx, Phase::ServerRewrite)
}

/// worker_memory_limit is nearly reached: requests in progress are finished before new ones begin.
fn overloaded(ex: &mut Exchange) -> Flow {
    ex.response.line(b"Retry-After", b"1");
    ex.progress.closes |= ex.request.head.version != Version::Http2;
    Flow::Status(Status::SERVICE_UNAVAILABLE)
}

/// As `overloaded`, for a request whose head has not arrived completely.
pub fn turn_away(ex: &mut Exchange, handler: &mut Handler, cx: &mut Services) {
    cx.stats.count(Counter::Requests);
    body_limit::lose(ex);
    let flow = overloaded(ex);
    ex.progress.closes = true;
    apply_flow(ex, handler, cx, flow);
}

/// A subrequest: no head was read for it, and its client is already known (nginx).
pub fn include(ex: &mut Exchange, handler: &mut Handler, cx: &mut Services) {
    let flow = run(ex, handler, cx, Phase::ServerRewrite);
    apply_flow(ex, handler, cx, flow);
}

/// The head is malformed: an error response, then the connection ends.
pub fn reject(ex: &mut Exchange, handler: &mut Handler, cx: &mut Services, reject: &Reject) {
    cx.stats.count(Counter::Requests);
    body_limit::lose(ex);
    ex.route.method = ex.request.head.method;
    if let Some(request) = Rc::get_mut(&mut ex.request)
        && request.head.request_line.is_empty()
    {
        // What came instead of a request line, for the log.
        let text = &request.text;
        let line = memchr::memchr(b'\n', text).map_or(&text[..], |end| &text[..end]);
        let line = line.strip_suffix(b"\r").unwrap_or(line).len();
        request.head.request_line = Span::new(0, line);
    }
    ex.log.request_length = ex.buf().len() as u64;
    super::tls::start(ex);
    let mut reject = *reject;
    if !ex.request.head.target.is_empty() {
        // nginx reads the path before the fields: a wrong one comes first, and is answered by the
        // default server.
        let is_read = !ex.request.head.origin.is_empty() && reject != Reject::Version;
        match set_uri(ex) {
            Err(wrong @ Reject::BadUri(_)) if is_read => reject = wrong,
            _ if !ex.request.head.host.is_empty() => drop(select_server(ex, cx)),
            _ => {}
        }
    }
    let flow = refusal(ex, cx, &reject);
    apply_flow(ex, handler, cx, flow);
}

/// The client took too long: answered where it may still read.
pub fn time_out(ex: &mut Exchange, handler: &mut Handler, cx: &mut Services) {
    // It is counted because it is answered and logged, although its head never came whole.
    cx.stats.add(Counter::Requests, u64::from(ex.progress.rx == Rx::Head));
    body_limit::lose(ex);
    ex.progress.closes = true;
    *handler = Handler::None;
    apply_flow(ex, handler, cx, Flow::Status(Status::REQUEST_TIMEOUT));
}

/// The body is malformed: where the next request begins is not known, so the connection ends.
pub fn bad_body(ex: &mut Exchange, handler: &mut Handler, cx: &mut Services, reject: &Reject) {
    let flow = refusal(ex, cx, reject);
    body_limit::lose(ex);
    apply_flow(ex, handler, cx, flow);
}

/// As [`bad_body`], for a body that is thrown away: the response that was made for the request is not sent.
pub fn bad_discarded_body(ex: &mut Exchange, cx: &mut Services, reject: &Reject) {
    refusal(ex, cx, reject);
    ex.response.clear();
    handlers::special::respond(ex, reject.status());
}

fn refusal(ex: &mut Exchange, cx: &mut Services, reject: &Reject) -> Flow {
    if ex.client.tls.is_none() && matches!(ex.request.text[..], [22, 3, ..]) {
        ex.report(cx, Level::Info, format_args!("client sent a TLS handshake to a plain HTTP port"));
    } else if matches!(reject, Reject::BadChunk(_)) {
        // As nginx does: tools count them.
        ex.report(cx, Level::Error, format_args!("{reject}"));
    } else {
        ex.report(cx, Level::Info, format_args!("client sent invalid request: {reject}"));
    }
    ex.progress.closes = true;
    match reject {
        Reject::ConnectToPath => handlers::methods::not_allowed(ex),
        _ => Flow::Status(reject.status()),
    }
}

/// Sets `$uri` and `$args` by the request's target.
///
/// # Errors
/// The target cannot be served.
fn set_uri(ex: &mut Exchange) -> Result<(), Reject> {
    let slashes = uri::Slashes::of(ex.location().settings.client.merge_slashes);
    let mut path = std::mem::take(&mut ex.route.uri);
    let request = &ex.request;
    let origin = request.head.origin.of(&request.text);
    let outcome = match request.head.form {
        TargetForm::AbsoluteHttps if !ex.client.is_secure => Err(Reject::HttpsTarget),
        TargetForm::Asterisk => {
            path.push(b'*');
            Ok(())
        }
        TargetForm::Authority => {
            path.push(b'/');
            Ok(())
        }
        TargetForm::Origin | TargetForm::Absolute | TargetForm::AbsoluteHttps => {
            uri::normalize(origin, slashes, &mut path).map(|normal| {
                if let Some(query) = normal.query {
                    ex.route.args.extend_from_slice(query.of(origin));
                }
            })
        }
    };
    if outcome.is_err() {
        // $uri is empty then.
        path.clear();
    }
    ex.route.uri = path;
    outcome
}

/// The server of the request's host. Err: a pattern among the names gave up; the log has it, the answer is 500.
fn select_server(ex: &mut Exchange, cx: &mut Services) -> Result<(), ()> {
    let config = ex.config.clone();
    let endpoint = &config.endpoints[ex.client.endpoint.at()];
    let mut name = std::mem::take(&mut ex.route.host);
    name.extend_from_slice(host::name(ex.request.head.host.of(ex.buf())));
    name.make_ascii_lowercase();
    let chosen = ex.route.effort.spend(|effort| server::find_within(endpoint, &name, &mut cx.trace, effort));
    let (id, matched) = chosen.as_ref().map_or((endpoint.default, None), |(id, matched)| (*id, matched.clone()));
    ex.route.server = id;
    ex.route.location = config.server(id).root;
    ex.route.history.start(ex.route.location);
    ex.remember(&name, matched);
    ex.route.host = name;
    chosen.map(drop).map_err(|failed| ex.report(cx, Level::Error, format_args!("{failed}")))
}

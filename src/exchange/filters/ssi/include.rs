//! Subrequests: an include is a request of its own. It replaces the page's request on the connection until it is
//! answered, and writes into the page's response. So any handler can answer it, including upstreams.
//!
//! Invariant: while a page waits, its send queue and its values of variables are in the included exchange; [`leave`]
//! returns them.

use super::page::{Input, Page};
use super::state::{Frame, Include, Sink};
use super::{Begun, begin};
use crate::config::model::Level;
use crate::exchange::access::auth_request::{self, SubrequestVerdict};
use crate::exchange::basis::Basis;
use crate::exchange::body_encoder::Source;
use crate::exchange::filters::body::{body, end_include};
use crate::exchange::handlers::upstream::spare::Spare;
use crate::exchange::response::{Body, Response};
use crate::exchange::{Exchange, Nesting, Subrequest, Tx, access_log};
use crate::services::Services;

/// Makes the exchange that of an include, with the page's exchange inside; its phases run next.
pub fn enter(ex: &mut Exchange, include: Include) {
    // All parts are named: one that is added is decided on here.
    let fresh = Exchange {
        config: ex.config.clone(),
        client: ex.client.clone(),
        request: ex.request.clone(),
        route: ex.route.enter_subrequest(ex.server().root, include.uri, include.args),
        progress: ex.progress.of_subrequest(),
        response: Response::default(),
        basis: Basis::default(),
        out: std::mem::take(&mut ex.out),
        nesting: Nesting::default(),
        log: ex.log.enter_subrequest(),
        spare: Spare::default(),
    };
    let mut parent = Box::new(std::mem::replace(ex, fresh));
    let shared = parent.nesting.ssi.get_or_insert_default().shared();
    shared.includes += 1;
    if let Sink::Variable(name, _) = &include.sink
        && shared.variable(&name.to_ascii_lowercase()).is_none()
    {
        // The variable exists and is empty, whatever the response.
        let _ = shared.set(name, Vec::new());
    }
    let (level, frame) = match &mut parent.nesting.subrequest {
        Some(sub) => (sub.level + 1, std::mem::take(&mut sub.frame)),
        None => (1, Frame { encoder: parent.response.encoder.take() }),
    };
    let (stub, sink) = (include.stub, include.sink);
    let has_values = ex.route.user.has_computed();
    let (has_content, whole) = (false, false);
    ex.nesting.subrequest =
        Some(Box::new(Subrequest { parent, level, sink, stub, frame, has_values, has_content, whole }));
}

/// Whether `ex` is an include whose response is complete.
pub fn is_over(ex: &Exchange) -> bool {
    ex.nesting.subrequest.is_some() && ex.progress.tx == Tx::Done
}

/// The result of leaving a subrequest.
pub enum Left {
    /// Its stub, sent for an include without content.
    Stub(Box<Page>),
    /// The page continues.
    Page,
    /// A part is missing: the response must be cut short.
    Cut,
    /// auth_request: its request may continue.
    Verdict,
}

/// Returns from a completed subrequest.
pub fn leave(ex: &mut Exchange, cx: &mut Services) -> Left {
    if ex.is_auth_subrequest() {
        return verdict(ex, cx);
    }
    if let Some(sub) = &mut ex.nesting.subrequest
        && !sub.has_content
        && sub.whole
        && let Some(stub) = sub.stub.take()
    {
        sub.whole = false;
        return Left::Stub(write_stub(ex, &stub));
    }
    if ex.location().settings.logs.subrequests {
        access_log::write(ex, cx);
    }
    let whole = ex.nesting.subrequest.as_ref().is_some_and(|sub| sub.whole);
    let failed = ex.response.status.0 >= 300;
    let abort = ex.progress.abort;
    if let Some(Sink::Nowhere { size }) = ex.nesting.subrequest.as_ref().map(|sub| &sub.sink) {
        let size = size.map(|size| format!(": {size}")).unwrap_or_default();
        ex.report(cx, Level::Error, format_args!("too big subrequest response{size}"));
    }
    let sink = back(ex, cx);
    if let Sink::Variable(name, value) = sink
        && !failed
        && let Err(why) = ex.nesting.ssi.get_or_insert_default().shared().set(&name, value)
    {
        ex.report(cx, Level::Error, format_args!("{why}"));
    }
    if !whole || abort {
        // A part is missing: the client must notice that the response is truncated.
        unwind(ex, cx);
        ex.out.break_off();
        ex.progress.tx = Tx::Done;
        ex.progress.abort = abort && ex.out.is_empty();
        return Left::Cut;
    }
    Left::Page
}

/// auth_request's subrequest is complete, or ends the connection (`return 444`).
fn verdict(ex: &mut Exchange, cx: &mut Services) -> Left {
    // What is logged and set from here on is no part of the verdict.
    let saw_uri = ex.route.subrequest_saw_uri;
    if ex.location().settings.logs.subrequests {
        access_log::write(ex, cx);
    }
    let answer: Option<SubrequestVerdict> = (!ex.progress.abort).then(|| auth_request::answer(ex, cx));
    let status = ex.response.status;
    ex.route.subrequest_saw_uri = saw_uri;
    back(ex, cx);
    match answer {
        Some(answer) => {
            auth_request::take(ex, cx, answer);
            Left::Verdict
        }
        None => {
            unwind(ex, cx);
            ex.out.end_connection();
            (ex.progress.abort, ex.progress.tx) = (true, Tx::Done);
            // What the access log says of the request.
            ex.response.status = status;
            Left::Cut
        }
    }
}

/// Restores the exchange of the client's own request, since the connection ends.
pub fn unwind(ex: &mut Exchange, cx: &mut Services) {
    while ex.nesting.subrequest.is_some() {
        back(ex, cx);
    }
}

/// Restores the page's exchange.
fn back(ex: &mut Exchange, cx: &mut Services) -> Sink {
    let Some(sub) = ex.nesting.subrequest.take() else { return Sink::Client };
    let Subrequest { mut parent, sink, frame, .. } = *sub;
    parent.out = std::mem::take(&mut ex.out);
    parent.route.leave_subrequest(&mut ex.route);
    parent.log.leave_subrequest(&ex.log);
    match &mut parent.nesting.subrequest {
        Some(above) => above.frame = frame,
        None => parent.response.encoder = frame.encoder,
    }
    if let Some(state) = ex.nesting.ssi.take() {
        parent.nesting.ssi.get_or_insert_default().shared = state.shared;
    }
    let mut included = std::mem::replace(ex, *parent);
    included.release(cx);
    sink
}

/// Sends the response of an include: no head, and its body goes into the page.
pub fn send(ex: &mut Exchange) -> Option<Box<Page>> {
    if let Some(status) = ex.route.error_page
        && status.0 != 0
    {
        ex.response.status = status;
    }
    if ex.is_auth_subrequest() {
        ex.response.body = Body::Empty;
        end_include(ex);
        return None;
    }
    // Variables set by a page are shared by all pages of the request.
    if let Some(sub) = &mut ex.nesting.subrequest
        && let Some(above) = &mut sub.parent.nesting.ssi
    {
        ex.nesting.ssi.get_or_insert_default().shared = std::mem::take(&mut above.shared);
    }
    // An upstream's own error page counts as content, so no stub is sent (nginx).
    if ex.response.status.0 >= 300
        && !matches!(ex.response.body, Body::Stream { .. })
        && let Some(stub) = ex.nesting.subrequest.as_mut().and_then(|sub| sub.stub.take())
    {
        return Some(write_stub(ex, &stub));
    }
    ex.response.window = None;
    match begin(ex) {
        Begun::No => {}
        Begun::Page(page) => {
            ex.progress.tx = Tx::Send;
            return Some(page);
        }
        Begun::Gathered => {
            ex.progress.tx = Tx::Send;
            return None;
        }
    }
    check_size(ex);
    match std::mem::take(&mut ex.response.body) {
        Body::Empty => {}
        Body::Bytes(bytes) => body(ex, &bytes),
        Body::Shared(bytes) => body(ex, &bytes),
        Body::Stream { length } => {
            ex.response.body = Body::Stream { length };
            ex.progress.tx = Tx::Send;
            return None;
        }
        Body::Made(source) => return Some(pass(ex, *source)),
        Body::File(file) => match file.memory() {
            Some(bytes) => body(ex, bytes),
            None => {
                let end = file.stat.size;
                return Some(pass(ex, Source::file(file, 0, end)));
            }
        },
        // Ranges apply only to whole responses.
        Body::Part(..) | Body::Parts { .. } => {}
    }
    end_include(ex);
    None
}

/// A body of known length that is too long for its variable is not collected.
fn check_size(ex: &mut Exchange) {
    let limit = ex.location().settings.ssi.output_buffer.0;
    let size = ex.response.body.length().filter(|size| *size > limit && ex.response.encoder.is_none());
    if let (Some(sub), Some(_)) = (&mut ex.nesting.subrequest, size)
        && let Sink::Variable(..) = sub.sink
    {
        sub.sink = Sink::Nowhere { size };
    }
}

/// Passes the bytes of `source` through unchanged.
fn pass(ex: &mut Exchange, source: Source) -> Box<Page> {
    ex.progress.tx = Tx::Send;
    Box::new(Page::new(Input::Made(Box::new(source)), None))
}

/// Sends a block's content instead of a response; it is parsed for commands if the location's responses are.
fn write_stub(ex: &mut Exchange, stub: &[u8]) -> Box<Page> {
    let parser = ex.location().settings.ssi.on.then(|| super::parser(ex));
    let source = Source::bytes(stub.to_vec());
    ex.response.status = crate::http::status::Status::OK;
    ex.response.encoder = None;
    ex.progress.tx = Tx::Send;
    Box::new(Page::new(Input::Made(Box::new(source)), parser))
}

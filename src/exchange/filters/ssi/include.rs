//! What an include names, asked for: a request of its own that takes the place of the page's on the connection until it
//! is answered, and writes into the page's answer. So it may be anything a request may be, an upstream's included.
//!
//! Invariant: while a page waits, the head of the request and the queue of its answer belong to what it included; both
//! come back with [`leave`].

use super::page::{Input, Page};
use super::{Frame, Include, Sink, begin, values::Outcome};
use crate::config::model::Level;
use crate::exchange::body_encoder::{Flush, Source};
use crate::exchange::handlers::Handler;
use crate::exchange::response::Body;
use crate::exchange::{Exchange, Printable, Rx, Tx, access_log, filters, phases};
use crate::http::h1::framing::Framing;
use crate::http::method::Method;
use crate::services::Services;
use std::rc::Rc;

/// Pages within pages (nginx); more is a cycle.
const DEEPEST: u8 = 50;
/// Includes of one request, all pages together: a page that includes itself twice would never end.
const MOST: u32 = 50_000;

/// A request that answers for a part of another's page.
pub struct Sub {
    parent: Box<Exchange>,
    /// How the body of the parent's request is framed: this one has none.
    framing: Framing,
    level: u8,
    /// Where what it says goes.
    sink: Sink,
    stub: Option<Rc<[u8]>>,
    frame: Frame,
    /// Something was said.
    said: bool,
    /// It was said to the end.
    whole: bool,
}

/// Whether a page of `ex` may include anything.
pub fn allowed(ex: &Exchange, uri: &[u8]) -> Outcome<()> {
    let level = ex.sub.as_ref().map_or(0, |sub| sub.level);
    let count = ex.ssi.as_ref().map_or(0, |state| state.shared.includes);
    if level > DEEPEST || count >= MOST {
        return Err(format!("subrequests cycle while processing \"{}\"", Printable(uri)));
    }
    match ex.sub.as_ref().map(|sub| &sub.sink) {
        Some(Sink::Variable(..)) => Err(format!("nested in-memory subrequest \"{}\"", Printable(uri))),
        _ => Ok(()),
    }
}

/// Begins what the page of `parent` includes.
pub fn enter(mut parent: Box<Exchange>, cx: &mut Services, include: Include) -> Box<Exchange> {
    let mut ex = Box::new(Exchange::new(cx, parent.client));
    ex.config = parent.config.clone();
    ex.introduced = parent.introduced.clone();
    ex.next_request(cx);
    exchange(&mut ex, &mut parent);
    ex.server = parent.server;
    ex.location = ex.config.server(ex.server).root;
    ex.host.clone_from(&parent.host);
    ex.uri = include.uri;
    ex.args = include.args;
    ex.method = Method::Get;
    ex.internal = true;
    ex.rewritten = true;
    ex.rx = Rx::Done;
    ex.keep_alive = parent.keep_alive;
    ex.started = parent.started;
    ex.out_mark = parent.out_mark;
    ex.head_size = parent.head_size;
    ex.request_length = parent.request_length;
    (ex.limit_rate, ex.limit_rate_after) = (parent.limit_rate, parent.limit_rate_after);
    // Each is asked once a request.
    (ex.limit_req, ex.limit_conn) = (parent.limit_req, parent.limit_conn);
    let shared = &mut parent.ssi.get_or_insert_default().shared;
    shared.includes += 1;
    if let Sink::Variable(name, _) = &include.sink
        && shared.variable(&name.to_ascii_lowercase()).is_none()
    {
        // It is there, and empty, whatever comes.
        shared.set(name, Vec::new());
    }
    let (level, frame) = match &mut parent.sub {
        Some(sub) => (sub.level + 1, std::mem::take(&mut sub.frame)),
        None => (1, Frame { encoder: parent.response.encoder.take(), chunked: parent.response.chunked }),
    };
    let framing = std::mem::take(&mut ex.head.framing);
    let (stub, sink) = (include.stub, include.sink);
    ex.sub = Some(Box::new(Sub { parent, framing, level, sink, stub, frame, said: false, whole: false }));
    phases::include(&mut ex, cx);
    ex
}

/// What the two share changes hands.
fn exchange(a: &mut Exchange, b: &mut Exchange) {
    std::mem::swap(&mut a.input, &mut b.input);
    std::mem::swap(&mut a.start, &mut b.start);
    std::mem::swap(&mut a.body_at, &mut b.body_at);
    std::mem::swap(&mut a.head, &mut b.head);
    std::mem::swap(&mut a.out, &mut b.out);
    std::mem::swap(&mut a.user, &mut b.user);
}

/// Whether `ex` is an include that has been answered.
pub fn is_over(ex: &Exchange) -> bool {
    ex.sub.is_some() && ex.tx == Tx::Done && matches!(ex.handler, Handler::None)
}

/// What was included has been answered: the page goes on. An include that said nothing may have a stub to say first.
pub fn leave(mut ex: Box<Exchange>, cx: &mut Services) -> Box<Exchange> {
    if let Some(sub) = &mut ex.sub
        && !sub.said
        && sub.whole
        && let Some(stub) = sub.stub.take()
    {
        sub.whole = false;
        say_stub(&mut ex, &stub);
        return ex;
    }
    if ex.here().settings.logs.subrequests {
        access_log::write(&mut ex, cx);
    }
    let whole = ex.sub.as_ref().is_some_and(|sub| sub.whole);
    let failed = ex.response.status.0 >= 300;
    let abort = ex.abort;
    if ex.sub.as_ref().is_some_and(|sub| matches!(sub.sink, Sink::Nowhere)) {
        ex.report(cx, Level::Error, format_args!("too big subrequest response"));
    }
    let (mut parent, sink) = back(ex, cx);
    if let Sink::Variable(name, value) = sink
        && !failed
    {
        parent.ssi.get_or_insert_default().shared.set(&name, value);
    }
    if !whole || abort {
        // A part is missing: the client sees that the whole is not whole.
        parent = unwind(parent, cx);
        parent.keep_alive = false;
        parent.handler = Handler::None;
        parent.tx = Tx::Done;
        parent.abort = abort && parent.out.is_empty();
    }
    parent
}

/// The request whose page it all is, whatever is under way: the connection ends.
pub fn unwind(mut ex: Box<Exchange>, cx: &mut Services) -> Box<Exchange> {
    while ex.sub.is_some() {
        ex = back(ex, cx).0;
    }
    ex
}

/// Gives the parent back what was its.
fn back(mut ex: Box<Exchange>, cx: &mut Services) -> (Box<Exchange>, Sink) {
    let Some(sub) = ex.sub.take() else { return (ex, Sink::Client) };
    let Sub { mut parent, framing, sink, frame, .. } = *sub;
    exchange(&mut ex, &mut parent);
    parent.head.framing = framing;
    match &mut parent.sub {
        Some(above) => above.frame = frame,
        None => parent.response.encoder = frame.encoder,
    }
    if let Some(state) = ex.ssi.take() {
        parent.ssi.get_or_insert_default().shared = state.shared;
    }
    ex.release(cx);
    (parent, sink)
}

/// The response of an include: no head, and none of what is said of it; its body into the page.
pub fn send(ex: &mut Exchange, cx: &mut Services) {
    if let Some(status) = ex.error_page
        && status.0 != 0
    {
        ex.response.status = status;
    }
    // Variables of the page are the whole request's.
    if let Some(sub) = &mut ex.sub
        && let Some(above) = &mut sub.parent.ssi
    {
        ex.ssi.get_or_insert_default().shared = std::mem::take(&mut above.shared);
    }
    if ex.response.status.0 >= 300
        && let Some(stub) = ex.sub.as_mut().and_then(|sub| sub.stub.take())
    {
        return say_stub(ex, &stub);
    }
    ex.response.chunked = false;
    ex.response.window = None;
    if begin(ex, cx) {
        ex.tx = Tx::Send;
        return;
    }
    match std::mem::take(&mut ex.response.body) {
        Body::Empty => {}
        Body::Bytes(bytes) => filters::body(ex, &bytes),
        Body::Shared(bytes) => filters::body(ex, &bytes),
        Body::Stream { length } => {
            ex.response.body = Body::Stream { length };
            ex.tx = Tx::Send;
            return;
        }
        Body::Made(source) => return pass(ex, *source),
        Body::File(file) => match file.memory() {
            Some(bytes) => filters::body(ex, bytes),
            None => {
                let end = file.stat.size;
                return pass(ex, Source::file(file, 0, end));
            }
        },
        // Ranges are of whole answers.
        Body::Part(..) | Body::Parts { .. } => {}
    }
    end(ex);
}

/// The bytes of `source`, as they are.
fn pass(ex: &mut Exchange, source: Source) {
    ex.handler = Handler::Page(Box::new(Page::new(Input::Made(Box::new(source)), None)));
    ex.tx = Tx::Send;
}

/// The content of a block instead of an answer; it is read as a page where the location's answers are.
fn say_stub(ex: &mut Exchange, stub: &[u8]) {
    let parser = ex.here().settings.ssi.on.then(|| super::parser(ex));
    let source = Source::bytes(stub.to_vec());
    ex.handler = Handler::Page(Box::new(Page::new(Input::Made(Box::new(source)), parser)));
    ex.response.status = crate::http::status::Status::OK;
    ex.response.encoder = None;
    ex.tx = Tx::Send;
}

/// The include has said what it has to say.
pub fn end(ex: &mut Exchange) {
    if let Some(sub) = &mut ex.sub {
        sub.whole = true;
    }
    ex.tx = Tx::Done;
}

/// A piece of what an include says.
pub fn say(ex: &mut Exchange, piece: &[u8], flush: Flush) {
    let limit = ex.here().settings.ssi.output_buffer.0;
    let Some(sub) = &mut ex.sub else { return };
    if piece.is_empty() {
        return;
    }
    sub.said = true;
    match &mut sub.sink {
        Sink::Client => sub.frame.write(piece, flush, &mut ex.out),
        Sink::Variable(_, value) if (value.len() + piece.len()) as u64 <= limit => value.extend_from_slice(piece),
        Sink::Variable(..) => sub.sink = Sink::Nowhere,
        Sink::Nowhere => {}
    }
}

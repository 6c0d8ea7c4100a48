//! The steps that a response passes before it is sent, in order:
//!
//! 1. [`conditional`]: 304 and 412 for responses that have validators
//! 2. [`headers`]: expires and add_header
//! 3. [`ssi`]: pages with commands
//! 4. [`charset`]: its name, and conversion
//! 5. [`gzip`]
//! 6. [`ranges`]: 206 and 416
//! 7. [`framing`]: how the end of the body is marked, and trailers
//! 8. [`head`]: the head as data
//!
//! and then the body, by reference if it is a file.
//!
//! Each reports whether the response may still be cached ([`Cacheable`]), that is, whether its effect depends only on
//! the request's bytes, the configuration and the file. So do the steps between them in this file: the fields of a page
//! that led here, Repr-Digest, limit_rate.

pub mod body;
mod charset;
mod conditional;
mod framing;
pub mod gzip;
pub mod head;
pub mod headers;
mod ranges;
pub mod ssi;

pub use body::{body, give_out};

use super::basis::Cacheable;
use super::body_encoder::{Flush, Source};
use super::flow::Flow;
use super::handlers::special;
use super::response::{Body, ContentType, Decided};
use super::{Exchange, Printable, Tx, error_page, variables};
use crate::config::model::Level;
use crate::config::template::Template;
use crate::config::value::Size;
use crate::http::range::{self, ByteRange};
use crate::http::status::Status;
use crate::services::Services;
use crate::services::open_files::OpenFile;
use body::{end_include, has_no_body, piece};
use ssi::page::Page;
use std::rc::Rc;

/// The result of [`send`].
pub enum Sent {
    /// The head is queued, with the body or its beginning.
    Queued,
    /// The head is queued; the page generates the body.
    Page(Box<Page>),
    /// Another response must be sent instead: the error page of a 416 or 412, a 500.
    Instead(Flow),
}

/// Completes the response and queues it.
pub fn send(ex: &mut Exchange, cx: &mut Services) -> Sent {
    ex.response.decided = Decided::Whole;
    if ex.nesting.subrequest.is_some() {
        return ssi::include::send(ex).map_or(Sent::Queued, Sent::Page);
    }
    if let Some(status) = ex.route.error_page
        && status.0 != 0
    {
        ex.response.status = status;
        ex.response.reason = None;
    }
    if ex.out.expects_tunnel()
        && !ex.response.upgrade
        && ex.response.status.0 < 300
        && let Some(page) = refuse_tunnel(ex, cx)
    {
        return Sent::Instead(page);
    }
    // Conditions were passed to the upstream, which has evaluated them.
    let stream = matches!(ex.response.body, Body::Stream { .. });
    if ex.response.status == Status::OK && (!stream || ex.response.conditional) {
        let cacheable = conditional::apply(ex, cx.now.unix);
        if ex.response.status == Status::PRECONDITION_FAILED
            && let Some(page) = instead(ex, cx, Status::PRECONDITION_FAILED)
        {
            return Sent::Instead(page);
        }
        ex.basis.passed(cacheable);
    }
    let cacheable = add_kept(ex);
    ex.basis.passed(cacheable);
    let cacheable = headers::apply(ex, cx);
    ex.basis.passed(cacheable);
    if let Some(page) = without_field(ex) {
        return Sent::Instead(page);
    }
    // Error pages and other responses have no Last-Modified. Removed only here, since `expires modified` is computed
    // from it (nginx).
    if !matches!(ex.response.status, Status::OK | Status::PARTIAL_CONTENT | Status::NOT_MODIFIED) {
        ex.response.last_modified = None;
    }
    let (cacheable, ssi_page) = ssi::apply(ex);
    ex.basis.passed(cacheable);
    let cacheable = charset::apply(ex, cx);
    ex.basis.passed(cacheable);
    let cacheable = gzip::apply(ex, cx);
    ex.basis.passed(cacheable);
    let cacheable = add_digest(ex, ssi_page.is_some());
    ex.basis.passed(cacheable);
    if let Some(page) = cut(ex, cx) {
        return Sent::Instead(page);
    }
    let cacheable = framing::apply(ex, cx);
    ex.basis.passed(cacheable);
    if let Some(page) = without_field(ex) {
        return Sent::Instead(page);
    }
    queue(ex, cx);
    ssi_page.map_or(Sent::Queued, Sent::Page)
}

/// A field or trailer that could not be made must not be missing: a 500 is sent instead, also of an upstream's
/// response, whose head is not yet queued. The standard page of the 500 has the fields that can be made.
fn without_field(ex: &mut Exchange) -> Option<Flow> {
    let error = Status::INTERNAL_SERVER_ERROR;
    let is_last_resort = ex.response.is_standard && ex.response.status == error;
    if !std::mem::take(&mut ex.route.evaluation_failed) || is_last_resort {
        return None;
    }
    ex.response.clear();
    ex.route.error_page = None;
    Some(Flow::Status(error))
}

/// Cuts a 200 to the ranges that were asked for. Gives the error page of a 416, if it has one.
fn cut(ex: &mut Exchange, cx: &mut Services) -> Option<Flow> {
    if ex.response.status != Status::OK {
        ex.response.window = None;
        return None;
    }
    let cacheable = ranges::apply(ex, cx.now.unix);
    ex.basis.passed(cacheable);
    if ex.response.status == Status::RANGE_NOT_SATISFIABLE {
        if let Some(page) = instead(ex, cx, Status::RANGE_NOT_SATISFIABLE) {
            return Some(page);
        }
        // This page has its own charset.
        let cacheable = charset::apply(ex, cx);
        ex.basis.passed(cacheable);
    }
    None
}

/// RFC 8441 §5: on a stream, success begins the tunnel. A file, or an upstream's response that did not switch
/// protocols, becomes a 501.
fn refuse_tunnel(ex: &mut Exchange, cx: &mut Services) -> Option<Flow> {
    if let Body::Stream { .. } = ex.response.body {
        ex.response.status = Status::NOT_IMPLEMENTED;
        ex.response.reason = None;
        return None;
    }
    let page = instead(ex, cx, Status::NOT_IMPLEMENTED);
    if page.is_none() {
        special::respond(ex, Status::NOT_IMPLEMENTED);
    }
    page
}

/// The error page that replaces the response. None: there is none, and the error itself is sent, even if the response
/// was to have another status.
fn instead(ex: &mut Exchange, cx: &mut Services, status: Status) -> Option<Flow> {
    let page = error_page::redirect(ex, cx, status);
    if page.is_none() && ex.route.error_page.is_some() {
        ex.route.error_page = Some(status);
    }
    page
}

/// Repr-Digest: only of a file that is sent as it is. The request asked for it; the digest may have yet to be computed.
fn add_digest(ex: &mut Exchange, is_page: bool) -> Cacheable {
    let Some(digest) = ex.response.digest.take() else { return Cacheable::Yes };
    let is_whole = matches!((ex.response.status, &ex.response.body), (Status::OK, Body::File(_)));
    if is_whole && ex.response.recode.is_none() && !is_page {
        ex.response.line(b"Repr-Digest", &digest);
    }
    Cacheable::No
}

/// Adds the fields kept from a response that led here by an internal redirect.
fn add_kept(ex: &mut Exchange) -> Cacheable {
    if ex.route.kept.is_empty() {
        return Cacheable::Yes;
    }
    if ex.response.location.is_none() {
        ex.response.location = ex.route.kept.location.take();
    }
    // A refusal has a type of its own; what error_page led to and the text of a `return` have the kept one (nginx).
    let is_refusal = ex.response.status.0 >= 300
        && ex.route.error_page.is_none()
        && matches!(ex.response.content_type, ContentType::Static(_));
    if let Some(kept) = ex.route.kept.content_type.take()
        && !is_refusal
    {
        ex.response.content_type = ContentType::Shared(kept);
    }
    let mut kept = std::mem::take(&mut ex.route.kept.fields);
    if ex.response.status != Status::METHOD_NOT_ALLOWED {
        kept.remove(b"allow");
    }
    if ex.response.status != Status::RANGE_NOT_SATISFIABLE {
        kept.remove(b"content-range");
    }
    ex.response.fields.append(&kept);
    Cacheable::No
}

/// Completes the body. An HTTP/2 trailer block does not count in `$body_bytes_sent` (nginx).
fn complete(ex: &mut Exchange) {
    ex.log.head_size += ex.out.end(&ex.response.trailers);
}

/// Queues the head, and the body, by reference if it is a file.
fn queue(ex: &mut Exchange, cx: &mut Services) {
    let cacheable = rate(ex, cx);
    ex.basis.passed(cacheable);
    let before = ex.out.queued();
    let cacheable = head::write(ex, cx);
    ex.basis.passed(cacheable);
    ex.log.head_size = ex.out.queued() - before;
    ex.progress.tx = Tx::Done;
    if ex.response.upgrade {
        ex.progress.tx = Tx::Send;
    }
    if has_no_body(ex) {
        return complete(ex);
    }
    // A body of known length is one chunk.
    let streamed = matches!(ex.response.body, Body::Stream { .. });
    let known = ex.response.body.length().filter(|n| *n > 0 && !streamed);
    if let Some(size) = known {
        ex.out.open(size);
    }
    match std::mem::take(&mut ex.response.body) {
        Body::Empty => {}
        Body::Stream { .. } => {
            ex.progress.tx = Tx::Send;
            return;
        }
        Body::Bytes(bytes) => ex.out.text().extend_from_slice(&bytes),
        Body::Shared(bytes) => ex.out.push_shared(bytes),
        Body::Made(source) => ex.out.push_made(source),
        Body::File(file) => {
            let end = file.stat.size;
            push(ex, &file, 0, end);
        }
        Body::Part(file, range) => push(ex, &file, range.start, range.end),
        Body::Parts { file, ranges, boundary, content_type, size } => {
            parts(ex, &file, &ranges, &boundary, &content_type, size);
        }
    }
    if known.is_some() {
        ex.out.close();
    }
    complete(ex);
}

/// Queues bytes of a file, converted if necessary.
fn push(ex: &mut Exchange, file: &Rc<OpenFile>, at: u64, end: u64) {
    match &ex.response.recode {
        None => ex.out.push_file(file, at, end),
        recode => {
            let source = Source::file(file.clone(), at, end).recode(recode.clone());
            ex.out.push_made(Box::new(source));
        }
    }
}

/// limit_rate, unless a script or X-Accel-Limit-Rate has set another; and limit_rate_after, which holds for any of
/// them. A response that comes slowly is not sent from the cache, which has no rate.
fn rate(ex: &mut Exchange, cx: &mut Services) -> Cacheable {
    set_rate(ex, cx);
    if ex.progress.limit_rate.is_some() { Cacheable::No } else { Cacheable::Yes }
}

fn set_rate(ex: &mut Exchange, cx: &mut Services) {
    let is_set = ex.progress.limit_rate.is_some();
    let client = &ex.location().settings.client;
    let needed = if is_set { &client.limit_rate_after } else { &client.limit_rate };
    if needed.is_none() {
        return;
    }
    let client = client.clone();
    let mut value = |template: &Option<Template>| {
        let Some(template) = template else { return 0 };
        let text = variables::text(template, ex, cx);
        Size::parse(&text).map_or_else(
            |_| {
                ex.report(cx, Level::Error, format_args!("invalid size \"{}\"", Printable(&text)));
                0
            },
            |size| size.0,
        )
    };
    let rate = (!is_set).then(|| value(&client.limit_rate));
    let after = value(&client.limit_rate_after);
    if let Some(rate) = rate {
        ex.progress.limit_rate = (rate > 0).then_some(rate);
    }
    ex.progress.limit_rate_after = after;
}

/// Completes a streamed body. Some: it was collected as a page with SSI commands, which generates the body.
pub fn end(ex: &mut Exchange, cx: &mut Services) -> Option<Box<Page>> {
    let page = ssi::gathered(ex);
    if page.is_some() {
        return page;
    }
    piece(ex, b"", Flush::End);
    if ex.nesting.subrequest.is_some() {
        end_include(ex);
        return None;
    }
    if ex.out.takes_trailers() {
        headers::trailers(ex, cx);
    }
    complete(ex);
    ex.progress.tx = Tx::Done;
    None
}

fn parts(
    ex: &mut Exchange,
    file: &Rc<OpenFile>,
    ranges: &[ByteRange],
    boundary: &[u8; 20],
    kind: &ContentType,
    size: u64,
) {
    for range in ranges {
        range::part_head(ex.out.text(), boundary, kind.as_bytes(), *range, size);
        push(ex, file, range.start, range.end);
    }
    range::part_tail(ex.out.text(), boundary);
}

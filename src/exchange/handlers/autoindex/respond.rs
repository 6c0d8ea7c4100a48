//! A rendered listing as the response.

use super::shape::Shape;
use crate::exchange::Exchange;
use crate::exchange::body_encoder::Source;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::listing::{Format, PAGE_CSP};
use crate::exchange::response::{Body, ContentType};
use crate::http::status::Status;
use std::rc::Rc;

/// Sends the rendered listing; several pieces are sent as chunks, each freed after that.
pub fn respond(ex: &mut Exchange, shape: &Shape, pieces: &[Rc<[u8]>]) -> Flow {
    ex.response.status = Status::OK;
    // Whatever type an X-Accel-Redirect that led here had (nginx).
    ex.route.kept.content_type = None;
    ex.response.content_type = ContentType::Static(shape.view.format.content_type());
    ex.response.body = match pieces {
        [whole] => Body::Shared(whole.clone()),
        pieces => Body::Made(Box::new(Source::pieces(pieces.iter().cloned().collect()))),
    };
    // File names are no commands. Only nginx's own format is read for them, as in nginx: it has the names escaped.
    ex.response.is_inert = shape.view.format != Format::Html;
    if shape.is_page {
        ex.response.line(b"Vary", b"Accept, Accept-Language");
        page_lines(ex);
    }
    Flow::Respond
}

/// The fields of every page of ours.
pub fn page_lines(ex: &mut Exchange) {
    ex.response.line(b"Content-Security-Policy", PAGE_CSP.as_bytes());
    ex.response.has_own_policy = true;
    // It has no validators. no-cache: fetched each time, so that what was just added or deleted shows; not no-store,
    // which would also keep the browser from going back from a file to its listing.
    if ex.location().settings.output.expires.is_none() {
        ex.response.line(b"Cache-Control", b"no-cache");
    }
}

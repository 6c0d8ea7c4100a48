//! Conditional requests: If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since on what is about to be sent.

use crate::exchange::Exchange;
use crate::exchange::basis::Cacheable;
use crate::exchange::handlers::special;
use crate::exchange::response::Body;
use crate::exchange::route_state::PageFields;
use crate::http::cond::{self, Precondition};
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::status::Status;

const CONDITIONS: [HeaderId; 4] =
    [HeaderId::IfMatch, HeaderId::IfNoneMatch, HeaderId::IfModifiedSince, HeaderId::IfUnmodifiedSince];

pub fn apply(ex: &mut Exchange) -> Cacheable {
    if !matches!(ex.route.method, Method::Get | Method::Head)
        || !ex.request.head.fields.iter().any(|f| CONDITIONS.contains(&f.id))
    {
        return Cacheable::Yes;
    }
    let validators = ex.response.validators();
    let mode = ex.here().settings.output.if_modified_since;
    match cond::evaluate(&ex.request.head, ex.buf(), ex.route.method, &validators, mode) {
        Precondition::Proceed => {}
        Precondition::NotModified => {
            ex.response.status = Status::NOT_MODIFIED;
            ex.response.body = Body::Empty;
            ex.response.ranges = false;
            // A stored `.gz` set it; a response without a body has no encoding (nginx).
            ex.response.fields.remove(b"content-encoding");
        }
        Precondition::Failed => {
            // All that a file would have said of itself, or an upstream's response, or one that led to it (nginx).
            ex.response.fields.clear();
            ex.route.kept = PageFields::default();
            ex.response.location = None;
            special::respond(ex, Status::PRECONDITION_FAILED);
        }
    }
    Cacheable::Yes
}

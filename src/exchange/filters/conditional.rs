//! Conditional requests: evaluates If-Match, If-None-Match, If-Modified-Since and If-Unmodified-Since for the response
//! about to be sent.

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

/// Decides on 304 or 412 (RFC 9110 §13.2.2) for GET and HEAD. A 304 keeps its validators and loses its body.
pub fn apply(ex: &mut Exchange, now: i64) -> Cacheable {
    if !matches!(ex.route.method, Method::Get | Method::Head)
        || !ex.request.head.fields.iter().any(|f| CONDITIONS.contains(&f.id))
    {
        return Cacheable::Yes;
    }
    let validators = ex.response.validators(now);
    let mode = ex.location().settings.output.if_modified_since;
    match cond::evaluate(&ex.request.head, ex.buf(), ex.route.method, &validators, mode) {
        Precondition::Proceed => {}
        Precondition::NotModified => {
            ex.response.status = Status::NOT_MODIFIED;
            ex.response.body = Body::Empty;
            ex.response.ranges = false;
            // A stored `.gz` file set it; a response without a body has no encoding (nginx).
            ex.response.fields.remove(b"content-encoding");
        }
        Precondition::Failed => {
            // Removes fields from the file, the upstream's response, or a response that led here (nginx).
            ex.response.fields.clear();
            ex.route.kept = PageFields::default();
            ex.response.location = None;
            special::respond(ex, Status::PRECONDITION_FAILED);
        }
    }
    Cacheable::Yes
}

//! How the end of the body is marked: by its length, by a last chunk or frame, or by the end of the connection.
//! Trailers need a last chunk or frame.

use super::{has_no_body, headers};
use crate::exchange::Exchange;
use crate::exchange::basis::Cacheable;
use crate::exchange::response::Body;
use crate::exchange::send_queue::Delimiter;
use crate::services::Services;

pub fn apply(ex: &mut Exchange, cx: &mut Services) -> Cacheable {
    // RFC 9110 §9.3.6: a tunnel has no end to mark either.
    let may_mark =
        ex.out.may_mark_end(ex.request.head.version) && ex.here().settings.output.chunked && !ex.response.upgrade;
    // The framing is chosen before the trailers' values are known (nginx). Those of a body that is still being made are
    // read at its end.
    let follows = may_mark && !has_no_body(ex) && headers::has_trailers(ex);
    // An answer without a body, HEAD's among them, says nothing of a length that is not known (nginx).
    let unknown = ex.response.body.length().is_none() && !has_no_body(ex);
    let marks = may_mark && (unknown || follows || !ex.response.trailers.is_empty());
    ex.out.delimit(match (marks, unknown) {
        (true, _) => Delimiter::Mark,
        (false, true) => Delimiter::Close,
        (false, false) => Delimiter::Length,
    });
    // Their values may name how the body ends.
    if follows && !matches!(ex.response.body, Body::Stream { .. }) {
        headers::trailers(ex, cx);
    }
    // Trailers with a variable in them withdraw the vouching themselves.
    Cacheable::Yes
}

//! How the end of the body is marked: by Content-Length, by a last chunk or frame, or by closing the connection.
//! Trailers need a last chunk or frame.

use super::body::has_no_body;
use super::headers;
use crate::exchange::Exchange;
use crate::exchange::basis::Cacheable;
use crate::exchange::response::Body;
use crate::http::response_head::Delimiter;
use crate::services::Services;

/// Chooses the delimiter, as nginx's chunked filter: chunks for a body without a length to a client of HTTP/1.1
/// (`chunked_transfer_encoding`), else the close.
pub fn apply(ex: &mut Exchange, cx: &mut Services) -> Cacheable {
    // RFC 9110 §9.3.6: a tunnel has no marked end either.
    let may_mark =
        ex.out.may_mark_end(ex.request.head.version) && ex.location().settings.output.chunked && !ex.response.upgrade;
    // Framing is chosen before the trailers' values are known (nginx). Those of a body still being generated are
    // evaluated at its end.
    let follows = may_mark && !has_no_body(ex) && headers::has_trailers(ex);
    // A response without a body, such as to HEAD, has no Content-Length if the length is unknown (nginx).
    let unknown = ex.response.body.length().is_none() && !has_no_body(ex);
    let marks = may_mark && (unknown || follows || !ex.response.trailers.is_empty());
    ex.out.delimit(match (marks, unknown) {
        (true, _) => Delimiter::Mark,
        (false, true) => Delimiter::Close,
        (false, false) => Delimiter::Length,
    });
    // Their values may depend on the framing.
    if follows && !matches!(ex.response.body, Body::Stream { .. }) {
        headers::trailers(ex, cx);
    }
    // Trailers with variables revoke the vouching themselves.
    Cacheable::Yes
}

//! How the client learns where the body ends: its length, chunks, or the end of the connection. Trailers need chunks.

use super::{has_no_body, headers, length};
use crate::exchange::Exchange;
use crate::http::version::Version;
use crate::services::Services;

pub fn apply(ex: &mut Exchange, cx: &mut Services) {
    let may_chunk = ex.request.head.version != Version::Http10 && ex.here().settings.output.chunked;
    if may_chunk && !has_no_body(ex) {
        headers::trailers(ex, cx);
    }
    // An answer without a body, HEAD's among them, says nothing of a length that nobody knows (nginx).
    let unknown = length(&ex.response.body).is_none() && !has_no_body(ex);
    ex.response.chunked = may_chunk && (unknown || !ex.response.trailers.is_empty());
    if unknown && !ex.response.chunked {
        ex.out.keep_alive = false;
    }
}

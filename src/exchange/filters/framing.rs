//! How the client learns where the body ends: its length, chunks, or the end of the connection. Trailers need chunks.

use super::{has_no_body, headers, length};
use crate::exchange::Exchange;
use crate::http::version::Version;
use crate::shared::Cx;

pub fn apply(ex: &mut Exchange, cx: &mut Cx) {
    let may_chunk = ex.head.version != Version::Http10 && ex.here().settings.output.chunked;
    if may_chunk && !has_no_body(ex) {
        headers::trailers(ex, cx);
    }
    let unknown = length(&ex.response.body).is_none() && !ex.response.status.has_no_content();
    ex.response.chunked = may_chunk && (unknown || !ex.response.trailers.is_empty());
    if unknown && !ex.response.chunked {
        ex.keep_alive = false;
    }
}

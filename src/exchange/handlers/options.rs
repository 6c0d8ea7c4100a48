//! OPTIONS.

use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::{methods, resumable};
use crate::http::method::Method;
use crate::http::status::Status;

/// 204 with Allow; if dav_ext_methods names OPTIONS, 200 with the WebDAV features (RFC 4918 §10.1): clients look for
/// both.
pub fn answer(ex: &mut Exchange) -> Flow {
    let allow = methods::allow_value(ex);
    ex.response.line(b"Allow", allow.as_bytes());
    resumable::announce(ex);
    let dav = ex.location().settings.dav.clone();
    let locks = dav.ext.contains(Method::Lock) && dav.lock_zone.is_some();
    ex.response.status = Status::NO_CONTENT;
    if dav.ext.contains(Method::Options) {
        ex.response.line(b"DAV", if locks { b"1, 2" } else { b"1" });
        // Without it Office asks for FrontPage.
        ex.response.line(b"MS-Author-Via", b"DAV");
        ex.response.status = Status::OK;
    }
    Flow::Respond
}

/// A request without a path: `OPTIONS *`, or CONNECT to another host, which this server refuses.
pub fn server_wide(ex: &mut Exchange) -> Flow {
    match ex.route.method {
        Method::Options => answer(ex),
        Method::Connect => methods::not_allowed(ex),
        _ => Flow::Status(Status::BAD_REQUEST),
    }
}

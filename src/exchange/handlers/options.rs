//! OPTIONS and 405: which methods a location answers.

use crate::config::model::Content;
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::{files, resumable};
use crate::http::method::{Method, MethodSet};
use crate::http::status::Status;

/// Methods this location answers, OPTIONS included.
pub fn allowed(ex: &Exchange) -> MethodSet {
    let here = ex.here();
    let named = here.settings.access.allowed;
    let allowed = match here.content {
        // What the application allows is its own affair; only these two never reach it.
        Content::Proxy if named.is_none() => MethodSet::known().without(Method::Trace).without(Method::Connect),
        _ => named.unwrap_or_else(|| files::default_methods(ex)),
    };
    allowed.with(Method::Options)
}

/// The value of Allow: resources of resumable uploads take PATCH besides.
fn allow_value(ex: &Exchange) -> String {
    let allowed = allowed(ex);
    if resumable::is_offered(ex, allowed) { allowed.with(Method::Patch) } else { allowed }.allow_value()
}

/// 204 with Allow.
pub fn answer(ex: &mut Exchange) -> Flow {
    let allow = allow_value(ex);
    ex.response.line(b"Allow", allow.as_bytes());
    resumable::announce(ex);
    ex.response.status = Status::NO_CONTENT;
    Flow::Respond
}

/// 405 with Allow (RFC 9110 §15.5.6: it MUST be there).
pub fn not_allowed(ex: &mut Exchange) -> Flow {
    let allow = allow_value(ex);
    ex.response.line(b"Allow", allow.as_bytes());
    Flow::Status(Status::METHOD_NOT_ALLOWED)
}

/// A request for no path: `OPTIONS *`, or CONNECT to another host, which this server never makes.
pub fn server_wide(ex: &mut Exchange) -> Flow {
    match ex.route.method {
        Method::Options => answer(ex),
        Method::Connect => not_allowed(ex),
        _ => Flow::Status(Status::BAD_REQUEST),
    }
}

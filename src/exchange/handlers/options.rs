//! OPTIONS and 405: which methods a location answers.

use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::{files, resumable};
use crate::http::method::{Method, MethodSet};
use crate::http::status::Status;

/// Methods this location answers, OPTIONS included.
pub fn allowed(ex: &Exchange) -> MethodSet {
    let access = &ex.here().settings.access;
    access.allowed.unwrap_or_else(|| files::default_methods(ex)).with(Method::Options)
}

/// 204 with Allow.
pub fn answer(ex: &mut Exchange) -> Flow {
    let allow = allowed(ex).allow_value();
    ex.response.line(b"Allow", allow.as_bytes());
    resumable::announce(ex);
    ex.response.status = Status::NO_CONTENT;
    Flow::Respond
}

/// 405 with Allow (RFC 9110 §15.5.6: it MUST be there).
pub fn not_allowed(ex: &mut Exchange) -> Flow {
    let allow = allowed(ex).allow_value();
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

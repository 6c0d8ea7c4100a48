//! OPTIONS.

use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::{methods, resumable};
use crate::http::method::Method;
use crate::http::status::Status;

/// 204 with Allow.
pub fn answer(ex: &mut Exchange) -> Flow {
    let allow = methods::allow_value(ex);
    ex.response.line(b"Allow", allow.as_bytes());
    resumable::announce(ex);
    ex.response.status = Status::NO_CONTENT;
    Flow::Respond
}

/// A request for no path: `OPTIONS *`, or CONNECT to another host, which this server never makes.
pub fn server_wide(ex: &mut Exchange) -> Flow {
    match ex.route.method {
        Method::Options => answer(ex),
        Method::Connect => methods::not_allowed(ex),
        _ => Flow::Status(Status::BAD_REQUEST),
    }
}

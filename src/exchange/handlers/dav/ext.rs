//! The methods of dav_ext_methods that have an XML body: it is read whole, within a bound, then the method answers.

use super::{guard, lock, propfind, proppatch};
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::upload;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::services::Services;

/// Bytes of a body, more than any client's.
const LARGEST: usize = 128 << 10;

pub struct Request {
    body: Vec<u8>,
}

/// Begins a PROPFIND, PROPPATCH, LOCK or UNLOCK.
pub fn begin(ex: &mut Exchange, cx: &mut Services) -> Result<Box<Request>, Flow> {
    // Before its body: LOCK may make a file, and what is there is counted by then.
    if ex.route.method == Method::Lock
        && let Err(refusal) = upload::check_empty(ex, cx)
        && refusal.later
    {
        return Err(upload::later(cx));
    }
    let mut request = Box::new(Request { body: Vec::new() });
    match ex.request.has_content() {
        true => Ok(request),
        false => Err(request.finish(ex, cx)),
    }
}

impl Request {
    pub fn accept(&mut self, data: &[u8]) -> Result<(), Flow> {
        if self.body.len() + data.len() > LARGEST {
            return Err(Flow::Status(Status::CONTENT_TOO_LARGE));
        }
        self.body.extend_from_slice(data);
        Ok(())
    }

    pub fn finish(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        let method = ex.route.method;
        if method != Method::Propfind
            && let Err(flow) = guard::preconditions(ex, cx)
        {
            return flow;
        }
        match method {
            Method::Propfind => propfind::run(ex, cx, &self.body),
            Method::Proppatch => proppatch::run(ex, cx, &self.body),
            Method::Lock => lock::lock(ex, cx, &self.body),
            _ => lock::unlock(ex, cx),
        }
    }
}

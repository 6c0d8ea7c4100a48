//! The methods of dav_ext_methods that have an XML body: it is read whole, up to a limit, then the method answers.

use super::{guard, lock, propfind, proppatch};
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::syncing::{self, Back, Syncing};
use crate::exchange::handlers::upload;
use crate::exchange::handlers::versions::Versions;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::services::Services;

/// Largest body in bytes, more than any client sends.
const LARGEST: usize = 128 << 10;

/// A request whose body is being read, or whose method is at work.
#[derive(Default)]
pub struct XmlRequest {
    body: Vec<u8>,
    /// It waits for a quota, and is started again then.
    is_waiting: bool,
    /// A name was made, and the disk is waited for.
    syncing: Option<Box<Syncing>>,
}

/// Begins a PROPFIND, PROPPATCH, LOCK or UNLOCK.
pub fn begin(ex: &mut Exchange, cx: &mut Services) -> Result<Box<XmlRequest>, Flow> {
    // Before the body is read: LOCK may make a file, and by then the files that are there have been counted.
    if ex.route.method == Method::Lock
        && let Err(refusal) = upload::check_empty(ex, cx)
        && refusal.later
    {
        return Err(upload::later(cx));
    }
    let mut request = Box::new(XmlRequest::default());
    if ex.request.has_content() {
        return Ok(request);
    }
    match request.finish(ex, cx) {
        Flow::Wait => Ok(request),
        flow => Err(flow),
    }
}

impl XmlRequest {
    /// Takes a piece of the body.
    ///
    /// # Errors
    /// 413: it is longer than [`LARGEST`] bytes.
    pub fn accept(&mut self, data: &[u8]) -> Result<(), Flow> {
        if self.body.len() + data.len() > LARGEST {
            return Err(Flow::Status(Status::CONTENT_TOO_LARGE));
        }
        self.body.extend_from_slice(data);
        Ok(())
    }

    /// The body is complete: runs PROPFIND, PROPPATCH, LOCK or UNLOCK.
    pub fn finish(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        let method = ex.route.method;
        let held = match method {
            Method::Propfind => Ok(Versions::default()),
            _ => guard::preconditions(ex, cx).and_then(|()| guard::conditions(ex, cx)),
        };
        let _held = match held {
            Ok(held) => held,
            Err(flow) => return flow,
        };
        let mut made = None;
        let then = match method {
            Method::Propfind => propfind::run(ex, cx, &self.body),
            Method::Proppatch => proppatch::run(ex, cx, &self.body),
            Method::Lock => lock::lock(ex, cx, &self.body, &mut made),
            _ => lock::unlock(ex, cx),
        };
        self.is_waiting = matches!(then, Flow::Wait);
        let Some(made) = made else { return then };
        let dir = made.0.0.clone();
        match syncing::begin(ex, cx, &[dir], then, Some(Back::Locked(made.0, made.1))) {
            Ok(syncing) => {
                self.syncing = Some(syncing);
                Flow::Wait
            }
            Err(flow) => flow,
        }
    }

    /// It needs no event to go on.
    pub fn works(&self) -> bool {
        self.is_waiting || self.is_syncing()
    }

    /// The answer waits for a new name to be on the disk (upload_sync).
    pub fn is_syncing(&self) -> bool {
        self.syncing.is_some()
    }

    /// Goes on with what was waited for: the disk, or the count of a quota.
    pub fn work(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        match &mut self.syncing {
            Some(syncing) => syncing.work(ex, cx),
            None if self.is_waiting => self.finish(ex, cx),
            None => Flow::Wait,
        }
    }
}

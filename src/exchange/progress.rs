//! How far a request and its response have come, and what was decided on the way: all that is forgotten with the
//! request and has no subject of its own.

use super::body::BufferedBody;
use super::flow::Pause;
use super::pace::Pace;
use crate::http::fields::Fields;
use crate::services::response_cache::CachedResponse;
use crate::util::reuse::emptied;
use std::rc::Rc;

/// How far the request has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rx {
    /// Its head is incomplete.
    #[default]
    Head,
    /// The handler takes the body.
    Body,
    /// The body is read and thrown away.
    Drain,
    /// All of it has been read.
    Done,
}

/// How far the response has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tx {
    /// Not begun.
    #[default]
    Wait,
    /// Decided: the protocol queues it next ([`phases::send`](super::phases::send)).
    Ready,
    /// The head is queued; the body is queued or still being made.
    Send,
    /// All of it is queued.
    Done,
}

/// How far the exchange has come.
#[derive(Default)]
pub struct Progress {
    /// How far the request has been read.
    pub rx: Rx,
    /// Bytes of the body came with the head and have not been given to the handler.
    pub has_buffered_body: bool,
    /// All of the body came with the head.
    pub has_whole_body: bool,
    /// Body bytes taken so far.
    pub body_received: u64,
    /// The body was refused or is broken: no handler gets any of it, also not that of an error page.
    pub body_lost: bool,
    /// The body, where it is collected before an upstream gets it (proxy_request_buffering).
    pub body: Option<BufferedBody>,
    /// How much of that body the handler has, which began after all of it had been read: an internal redirect led
    /// there.
    pub replayed: Option<u64>,
    /// The trailer fields behind the body.
    pub trailers: Fields,
    /// How far the response has been written.
    pub tx: Tx,
    /// Bytes per second of the response; 0 is no limit, None until a script or the head of the response sets it.
    pub limit_rate: Option<u64>,
    /// Bytes that go at full speed first.
    pub limit_rate_after: u64,
    /// How fast its body may be read.
    pub pace: Option<Pace>,
    /// Until when it is delayed: a request by limit_req, or a response by limit_rate.
    pub pause: Option<Pause>,
    /// The request's slots in limit_conn: zone and key.
    pub limit_slots: Vec<(Rc<str>, Rc<[u8]>)>,
    /// Close without a response (return 444).
    pub abort: bool,
    /// What the client sends after this request may be anything but a request: the connection ends with the response.
    pub closes: bool,
    /// A location that the request came through ends the connection with the response (keepalive_timeout 0 and the
    /// like).
    pub location_closes: bool,
    /// It only sends the rest of this cached response ([`cacheable::resume`](super::cacheable::resume)).
    pub cached_rest: Option<Rc<CachedResponse>>,
}

impl Progress {
    /// Of a subrequest, which has no body; the rate of the response that it is a part of holds for it.
    pub fn of_subrequest(&self) -> Progress {
        let Progress { limit_rate, limit_rate_after, .. } = *self;
        Progress { rx: Rx::Done, limit_rate, limit_rate_after, ..Progress::default() }
    }

    /// For the next request. `limit_slots` has been released.
    pub fn clear(&mut self) {
        *self = Progress { limit_slots: emptied(&mut self.limit_slots, Vec::clear), ..Progress::default() };
    }
}

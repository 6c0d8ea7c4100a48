//! What logs and variables say of a request beside its head and its response: sizes, verdicts, what upstreams and
//! uploads came to. Written as the exchange goes on; nothing here decides how it goes on.

use super::access::limits::Verdict;
use super::handlers::{upload, upstream};
use std::cell::Cell;

#[derive(Default)]
pub struct LogFacts {
    /// When the request's first byte was seen: monotonic milliseconds.
    pub started: u64,
    /// Bytes of the request so far: head and body (`$request_length`).
    pub request_length: u64,
    /// Size of the response's head.
    pub head_size: u64,
    /// What the limits decided, for `$limit_req_status` and `$limit_conn_status`; each is asked once a request.
    pub limit_req: Option<Verdict>,
    pub limit_conn: Option<Verdict>,
    /// `$request_id`, once it was evaluated: the same in every header and log line.
    pub request_id: Option<[u8; 16]>,
    /// What upstreams were asked.
    pub upstream: Option<Box<upstream::record::Record>>,
    /// What became of an upload.
    pub upload: Option<Box<upload::Record>>,
    /// Lines for the error log so far.
    pub reports: Cell<u32>,
}

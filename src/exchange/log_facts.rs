//! What logs and variables say of a request beside its head and its response: sizes, verdicts, what upstreams and
//! uploads came to; and what is kept for that time: the buffered body of an upstream's request, spare buffers.

use super::handlers::upload::record::UploadRecord;
use super::handlers::upstream::record::UpstreamRecord;
use super::handlers::upstream::spare::Spare;
use crate::sys::random;
use std::cell::Cell;

/// `$limit_req_status` and `$limit_conn_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitOutcome {
    /// Within the limit.
    Passed,
    /// limit_req: it had to wait.
    Delayed,
    /// It got the status of limit_req_status or limit_conn_status.
    Rejected,
    /// As `Delayed`, but for limit_req_dry_run.
    DelayedDryRun,
    /// As `Rejected`, but for the dry run.
    RejectedDryRun,
}

impl LimitOutcome {
    /// nginx's word for it.
    pub fn name(self) -> &'static [u8] {
        match self {
            LimitOutcome::Passed => b"PASSED",
            LimitOutcome::Delayed => b"DELAYED",
            LimitOutcome::Rejected => b"REJECTED",
            LimitOutcome::DelayedDryRun => b"DELAYED_DRY_RUN",
            LimitOutcome::RejectedDryRun => b"REJECTED_DRY_RUN",
        }
    }
}

/// What a request is to the uploads of its location.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UploadPart {
    /// It brings none.
    #[default]
    None,
    /// It is all of one: a PUT, or a POST with files.
    Whole,
    /// It begins one that can be resumed.
    Creation,
    /// It brings more of one that has begun.
    Append,
}

/// What logs and variables need to know of how a request was served.
#[derive(Default)]
pub struct LogFacts {
    /// When the request's first byte was seen: monotonic milliseconds.
    pub started: u64,
    /// Bytes of the request so far: head and body (`$request_length`).
    pub request_length: u64,
    /// Size of the response's head.
    pub head_size: u64,
    /// The client left before the end of its response.
    pub is_cut: bool,
    /// What the limits decided, for `$limit_req_status` and `$limit_conn_status`; each is asked once a request.
    pub limit_req: Option<LimitOutcome>,
    /// As `limit_req`.
    pub limit_conn: Option<LimitOutcome>,
    /// `$invalid_referer`, once it was evaluated.
    pub invalid_referer: Option<bool>,
    /// `$request_id`, once it was evaluated: the same in every header and log line.
    pub request_id: Cell<Option<[u8; 16]>>,
    /// Which upstream servers were tried, and what they answered.
    pub upstream: Option<Box<UpstreamRecord>>,
    /// What an earlier request left of such.
    pub spare: Spare,
    /// What became of an upload.
    pub upload: Option<Box<UploadRecord>>,
    /// Known once its location is, before anything can refuse it.
    pub upload_part: UploadPart,
    /// It was counted as one that has begun.
    pub upload_begun: bool,
    /// The server refused the request, whatever the status of the page that says so.
    pub is_refused: bool,
    /// Lines for the error log so far.
    pub reports: Cell<u32>,
    /// Bytes of them.
    pub reported: Cell<usize>,
}

impl LogFacts {
    /// Forgets the request; the next one begins at `now`, monotonic milliseconds.
    pub fn clear(&mut self, now: u64) {
        let (upstream, mut spare) = (self.upstream.take(), std::mem::take(&mut self.spare));
        if let Some(record) = upstream {
            spare.keep_record(record);
        }
        *self = LogFacts { started: now, spare, ..LogFacts::default() };
    }

    /// `$request_id`, made when it is first wanted.
    pub fn request_id(&self) -> [u8; 16] {
        let id = self.request_id.get().unwrap_or_else(|| {
            let mut id = [0; 16];
            // Without entropy the id is zero: useless, not wrong.
            let _ = random::fill(&mut id);
            id
        });
        self.request_id.set(Some(id));
        id
    }
}

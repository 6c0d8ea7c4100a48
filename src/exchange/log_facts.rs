//! What logs and variables say of a request beside its head and its response: sizes, verdicts, what upstreams and
//! uploads came to.

use super::handlers::upload::record::UploadRecord;
use super::handlers::upstream::record::UpstreamRecord;
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

/// The role of a request in an upload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UploadRole {
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
    /// What became of an upload.
    pub upload: Option<Box<UploadRecord>>,
    /// Known once its location is, before anything can refuse it.
    pub upload_role: UploadRole,
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
    /// Of a request that begins at `now`, monotonic milliseconds.
    pub fn begun_at(now: u64) -> LogFacts {
        LogFacts { started: now, ..LogFacts::default() }
    }

    /// Of a subrequest, whose log lines are about the client's request, too.
    pub fn enter_subrequest(&self) -> LogFacts {
        // All are named, so that one that is added is decided on here.
        let LogFacts {
            started,
            request_length,
            head_size,
            is_cut: _,
            limit_req,
            limit_conn,
            invalid_referer: _,
            request_id: _,
            upstream: _,
            upload: _,
            upload_role: _,
            upload_begun: _,
            is_refused: _,
            reports: _,
            reported,
        } = self;
        LogFacts {
            started: *started,
            request_length: *request_length,
            head_size: *head_size,
            // These count a client's request only once.
            limit_req: *limit_req,
            limit_conn: *limit_conn,
            // The page and everything it includes share one.
            request_id: Cell::new(Some(self.request_id())),
            reported: reported.clone(),
            ..LogFacts::default()
        }
    }

    /// The subrequest whose facts these were is over.
    pub fn leave_subrequest(&mut self, left: &LogFacts) {
        self.reported = left.reported.clone();
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

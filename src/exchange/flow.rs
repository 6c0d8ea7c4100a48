//! What phases and handlers return. These types know no exchange, so that any module which decides about a request can
//! use them.

use crate::http::status::Status;

/// The phases in the order in which they run ([`super::phases::run`]); nginx's, without those that nothing here uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The server's rewrite script.
    ServerRewrite,
    /// The location of the current URI; its fixed limits are checked then.
    FindLocation,
    /// The location's rewrite script.
    Rewrite,
    /// The client's address (real_ip), then limit_req and limit_conn.
    Limits,
    /// Methods, addresses, passwords.
    Access,
    /// try_files.
    Precontent,
    /// The handler that answers.
    Content,
}

/// What a step decided.
#[derive(Debug, PartialEq, Eq)]
pub enum Flow {
    /// Nothing: the next step or phase decides.
    Next,
    /// The URI was rewritten: find its location.
    Restart,
    /// An internal redirect to the URI that was set: everything from the server's script on.
    Redirect,
    /// To a named location of the server.
    Named(Box<[u8]>),
    /// An error or a redirect with the standard body, or its error page.
    Status(Status),
    /// The exchange's response is the answer.
    Respond,
    /// The handler wants the body first.
    Body,
    /// The handler answers later: it waits for an event that will wake it.
    Wait,
    /// A subrequest for this URI decides (auth_request); the access phase is run again once it is answered.
    Subrequest(Box<[u8]>),
    /// Close the connection without a response.
    Close,
    /// Go on later: nothing is read or sent until then (monotonic milliseconds).
    Delay { until: u64, then: Then },
}

/// How a delayed request continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// From this phase on.
    Phase(Phase),
    /// With the response of this status.
    Status(Status),
}

/// A delay that the server itself imposes: no timeout of the client or an upstream runs meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Monotonic milliseconds.
    pub until: u64,
    /// None: only sending is delayed.
    pub then: Option<Then>,
}

/// A handler that may take more than one turn of the loop. Err: it is already done, with this result.
pub type Begun<H> = Result<Box<H>, Flow>;

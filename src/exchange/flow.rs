//! The words phases and handlers answer with. Vocabulary only: it knows no exchange, so that whatever decides about a
//! request can speak it.

use crate::http::status::Status;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The server's rewrite script.
    ServerRewrite,
    FindLocation,
    /// The location's rewrite script.
    Rewrite,
    /// Whose address it is, then limit_req and limit_conn.
    Limits,
    /// Methods, addresses, passwords.
    Access,
    /// try_files.
    Precontent,
    Content,
}

/// What a step came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Flow {
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
    /// The handler answers in its own time: it waits for something that will wake it.
    Wait,
    /// This URI is asked first; the access phase is run again once it has answered.
    Subrequest(Box<[u8]>),
    /// Close the connection without a response.
    Close,
    /// Go on later: nothing is read or sent until then (monotonic milliseconds).
    Delay {
        until: u64,
        then: Then,
    },
}

/// How a delayed request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Phase(Phase),
    Status(Status),
}

/// What an exchange waits for that is neither its client nor its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Monotonic milliseconds.
    pub until: u64,
    /// None: only the sending waits.
    pub then: Option<Then>,
}

/// Something that may take more than a turn of the loop: it goes on from here, or it is over and came to that flow.
pub type Begun<H> = Result<Box<H>, Flow>;

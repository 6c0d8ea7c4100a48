//! Why a connection is closed. There is no close without a reason: it is part of the step that closes
//! ([`super::io::Step::Close`], [`super::io::Next::Close`]), is counted, and written to the error log at level debug.

use super::timers::Timer;
use crate::services::stats::Closed;
use std::fmt;

/// Every way in which a connection ends. Its text is for the error log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// Its last response is out.
    Served,
    /// Closed without a response: `return 444` and the like.
    Refused,
    /// The client has closed it, or reset it.
    ClientGone,
    /// This timer ran out: nginx's "client timed out" where the client was waited for.
    TimedOut(Timer),
    /// It was idle, and another connection needed its place.
    MadeRoom,
    /// A reload took its listener away.
    NotListened,
    /// The process shuts down: no further request is taken.
    ShuttingDown,
    /// The PROXY header that its listener wants did not come.
    NoProxyHeader,
    /// The TLS handshake failed.
    NoHandshake,
    /// The request's body broke when the response had begun: it cannot be refused any more.
    BrokenBody,
    /// The client broke a rule of HTTP/2 that ends the connection.
    ProtocolError,
    /// The response's body cannot be had whole: the client sees that it was cut.
    CutShort,
    /// It lingered, and the client still sent.
    LingeredLong,
    /// epoll does not take the socket.
    NotWatched,
    /// No state leads there, or a step panicked.
    Bug,
}

impl CloseReason {
    /// What it is counted as.
    pub fn counted(self) -> Closed {
        match self {
            CloseReason::Served | CloseReason::LingeredLong => Closed::Served,
            CloseReason::ClientGone => Closed::Client,
            CloseReason::TimedOut(Timer::KeepAlive) | CloseReason::MadeRoom => Closed::Idle,
            CloseReason::TimedOut(_) => Closed::TimedOut,
            CloseReason::Refused
            | CloseReason::NoProxyHeader
            | CloseReason::NoHandshake
            | CloseReason::BrokenBody
            | CloseReason::ProtocolError => Closed::Refused,
            CloseReason::NotListened | CloseReason::ShuttingDown => Closed::Shutdown,
            CloseReason::CutShort | CloseReason::NotWatched | CloseReason::Bug => Closed::Failed,
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            CloseReason::Served => "the last response was sent",
            CloseReason::Refused => "the request was refused without a response",
            CloseReason::ClientGone => "the client closed it",
            CloseReason::TimedOut(timer) => return write!(f, "timed out: {}", timer.label()),
            CloseReason::MadeRoom => "it was idle, and its place or its memory was needed",
            CloseReason::NotListened => "its listener was closed by a reload",
            CloseReason::ShuttingDown => "the server shuts down",
            CloseReason::NoProxyHeader => "no valid PROXY header came",
            CloseReason::NoHandshake => "the TLS handshake failed",
            CloseReason::BrokenBody => "the request's body was malformed after the response had begun",
            CloseReason::ProtocolError => "the client broke the rules of HTTP/2",
            CloseReason::CutShort => "the response's body could not be sent whole",
            CloseReason::LingeredLong => "the client still sent after lingering_time",
            CloseReason::NotWatched => "epoll_ctl() failed",
            CloseReason::Bug => "an error in webserv",
        };
        f.write_str(text)
    }
}

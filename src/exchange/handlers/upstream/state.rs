//! The state of a request to an upstream, in any protocol; the other files contain its steps.

use super::record::RequestTarget;
use super::spool::Spool;
use super::store::Copy;
use super::tls::Secure;
use crate::config::settings::cgi::Interpreter;
use crate::config::settings::proxy_pass::Protocol;
use crate::config::settings::upstream::Upstream;
use crate::exchange::pace::Pace;
use crate::http::fastcgi;
use crate::http::h1::body::Decoder;
use crate::http::h1::response::{Ending, RequestContext, ResponseHead};
use crate::services::resolver::Ticket;
use crate::services::upstream_balance::Tried;
use std::rc::Rc;

/// The phase of a request to an upstream; see the module documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamPhase {
    /// The host is being resolved.
    Resolve,
    /// The whole body is buffered first (proxy_request_buffering).
    Gather,
    /// A server is to be picked and connected to.
    Pick,
    Connect,
    /// The TLS handshake.
    Handshake,
    /// The request is sent, the response is received.
    SendReceive,
    /// Bytes are copied in both directions without interpretation (101, CONNECT).
    Tunnel,
}

/// A request to an upstream and its response, in any protocol; it outlives each of the servers that are tried.
pub struct UpstreamRequest {
    pub phase: UpstreamPhase,
    pub(super) protocol: Protocol,
    /// The program that responds instead of a server.
    pub(super) script: Option<Script>,
    /// The TLS configuration, and the server's name.
    pub tls: Option<Secure>,
    /// Set until the end of [`UpstreamPhase::Resolve`].
    pub(super) pending: Option<Pending>,
    pub(super) target: Rc<RequestTarget>,
    pub(super) upstream: Rc<Upstream>,
    pub(super) tried: Tried,
    /// The number of servers that may still be tried.
    pub(super) tries: u64,
    /// When the request began (monotonic milliseconds).
    pub(super) began: u64,
    pub(super) asked: RequestContext,
    /// The number of interim responses (1xx) before the response.
    pub(super) interim: u32,
    /// Bytes of early hints among them.
    pub(super) hinted: usize,
    /// The request to pass on, from its first byte on while `replay` is set; its first `sent` bytes have been sent.
    pub(super) out: Vec<u8>,
    pub(super) sent: usize,
    /// Where `out` continues in the file that holds the body.
    pub(super) file_at: u64,
    pub(super) body: RequestBody,
    pub(super) framing: BodyFraming,
    pub(super) replay: bool,
    /// Part of the request has been sent to this server.
    pub(super) request_sent: bool,
    /// The upstream does not read any more; its response may still arrive.
    pub write_closed: bool,
    /// The bytes of an incomplete response head.
    pub(super) input: Vec<u8>,
    pub(super) head: ResponseHead,
    pub(super) reading: Reading,
    pub(super) records: fastcgi::Reader,
    /// The connection has served another request before.
    pub reused: bool,
    /// Use a new connection next: a request that crashes its server must not be sent over all kept-alive ones.
    pub wants_new: bool,
    /// The connection was reset.
    pub was_reset: bool,
    /// The request has already waited, once, for idle connections to be closed.
    pub waited_for_room: bool,
    /// A program has just been started: it may end before its output is watched.
    pub awaits_quick_end: bool,
    /// The connection may serve another request afterwards.
    pub(super) keep: bool,
    pub(super) ending: Ending,
    /// The copy of the response that is stored as a file.
    pub(super) copy: Option<Box<Copy>>,
    /// What the client has not read yet.
    pub spool: Option<Box<Spool>>,
    /// proxy_limit_rate: limits how fast the response is read.
    pub pace: Option<Pace>,
    /// When the timeouts of the upstream and of the client expire; monotonic milliseconds.
    pub upstream_by: u64,
    pub client_by: u64,
}

/// How far the response has been read.
#[derive(Debug)]
pub(super) enum Reading {
    Head,
    Length(Decoder),
    UntilClose,
    /// The output of a program has ended; its exit status decides whether it is complete.
    UntilExit,
    /// The whole body has arrived, but not the end of the records; further content is dropped.
    Rest {
        warned: bool,
    },
    Done,
}

/// How the body reaches the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestBody {
    /// There is none, or all of it follows the head in `out`.
    Whole,
    /// It is buffered in a file.
    File,
    /// It is passed on as it arrives.
    Streamed,
}

/// The framing of the pieces of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFraming {
    Plain,
    /// HTTP/1.1's chunks.
    Chunked,
    /// FastCGI's records.
    Stdin,
}

/// A host that is being resolved.
pub(super) struct Pending {
    pub ticket: Ticket,
    pub host: Box<str>,
    pub port: u16,
}

/// The program to run.
pub(super) struct Script {
    /// Its real path.
    pub file: Vec<u8>,
    /// The part of the URI that names it.
    pub name: Vec<u8>,
    pub path_info: Vec<u8>,
    pub interpreter: Interpreter,
}

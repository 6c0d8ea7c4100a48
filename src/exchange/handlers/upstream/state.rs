//! The state of a request to an upstream, in any protocol; the other files contain its steps.

use super::record::RequestTarget;
use super::spool::Spool;
use super::store::Copy;
use super::timers::{ClientDeadline, UpstreamDeadline};
use super::tls::Secure;
use crate::config::settings::cgi::Interpreter;
use crate::config::settings::proxy_pass::Protocol;
use crate::config::settings::upstream::Upstream;
use crate::exchange::pace::Pace;
use crate::http::body_reader::BodyReader;
use crate::http::fastcgi;
use crate::http::response_parser::{RequestContext, ResponseParser};
use crate::http::upstream_head::Ending;
use crate::services::resolver::Ticket;
use crate::services::upstream_balance::Tried;
use std::rc::Rc;

/// The phase of a request to an upstream; see the module documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamPhase {
    /// The whole body is buffered first (proxy_request_buffering).
    BufferBody,
    /// The host is being resolved.
    Resolve,
    /// A server is to be picked and connected to.
    Pick,
    /// connect(2) is under way.
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
    /// What it is at.
    pub phase: UpstreamPhase,
    /// The protocol that its location's directive names.
    pub(super) protocol: Protocol,
    /// The program that responds instead of a server.
    pub(super) script: Option<Script>,
    /// The TLS configuration, and the server's name.
    pub tls: Option<Secure>,
    /// Set until the end of [`UpstreamPhase::Resolve`].
    pub(super) pending: Option<Pending>,
    /// The host and the URI that are asked for.
    pub(super) target: Rc<RequestTarget>,
    /// The group.
    pub(super) upstream: Rc<Upstream>,
    /// The servers of the group that were tried.
    pub(super) tried: Tried,
    /// The number of servers that may still be tried.
    pub(super) tries_left: u64,
    /// When the request began (monotonic milliseconds).
    pub(super) began: u64,
    /// What the response is parsed by.
    pub(super) asked: RequestContext,
    /// The protocols that it may switch to, as a list.
    pub(super) protocols: Vec<u8>,
    /// The number of interim responses (1xx) before the response.
    pub(super) interim: u32,
    /// Bytes of early hints among them.
    pub(super) hinted: usize,
    /// The request to pass on, from its first byte on while `replay` is set; its first `sent` bytes have been sent.
    pub(super) out: Vec<u8>,
    /// Bytes of `out` that the connection took.
    pub(super) sent: usize,
    /// Where `out` continues in the file that holds the body.
    pub(super) file_at: u64,
    /// Where the body comes from.
    pub(super) body: RequestBody,
    /// How its pieces are framed.
    pub(super) framing: BodyFraming,
    /// The request can still be sent from its beginning, to another server.
    pub(super) replay: bool,
    /// Part of the request has been sent to this server.
    pub(super) request_sent: bool,
    /// The upstream does not read any more; its response may still arrive.
    pub write_closed: bool,
    /// The bytes of an incomplete response head.
    pub(super) input: Vec<u8>,
    /// Parses the response's head.
    pub(super) parser: ResponseParser,
    /// How far the response has been read.
    pub(super) reading: Reading,
    /// FastCGI: the parser of its records.
    pub(super) records: fastcgi::Reader,
    /// The connection has served another request before.
    pub reused: bool,
    /// Use a new connection next: a request that crashes its server must not be sent over all kept-alive ones.
    pub wants_new: bool,
    /// The connection was reset.
    pub was_reset: bool,
    /// Its TLS ended without close_notify.
    pub is_cut: bool,
    /// The request has already waited, once, for idle connections to be closed.
    pub waited_for_room: bool,
    /// The connection may serve another request afterwards.
    pub(super) keep: bool,
    /// How the response's end is known.
    pub(super) ending: Ending,
    /// The copy of the response that is stored as a file.
    pub(super) copy: Option<Box<Copy>>,
    /// What the client has not read yet.
    pub spool: Option<Box<Spool>>,
    /// Memory is short: little of the response is queued for the client.
    pub is_scarce: bool,
    /// proxy_limit_rate: limits how fast the response is read.
    pub pace: Option<Pace>,
    /// What the upstream has to do, and until when.
    pub upstream_deadline: UpstreamDeadline,
    /// What the client has to do, and until when.
    pub client_deadline: ClientDeadline,
}

/// How far the response has been read.
#[derive(Debug)]
pub(super) enum Reading {
    /// The head is incomplete.
    Head,
    /// A body with a length or in chunks.
    Length(BodyReader),
    /// A body that ends with the connection.
    UntilClose,
    /// The output of a program has ended; its exit status decides whether it is complete.
    UntilExit,
    /// The whole body has arrived, but not the end of the records; further content is dropped.
    Rest { warned: bool },
    /// The response is complete.
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
    /// Bytes as they are.
    Plain,
    /// HTTP/1.1's chunks.
    Chunked,
    /// FastCGI's records.
    Stdin,
}

/// A host that is being resolved.
pub(super) struct Pending {
    /// The resolver's number for the question.
    pub ticket: Ticket,
    /// The name that was asked for.
    pub host: Box<str>,
    /// The port of its addresses.
    pub port: u16,
}

/// The program to run.
pub(super) struct Script {
    /// Its real path.
    pub file: Vec<u8>,
    /// The part of the URI that names it.
    pub name: Vec<u8>,
    /// The rest of the URI (PATH_INFO); empty: there is none.
    pub path_info: Vec<u8>,
    /// How it is started.
    pub interpreter: Interpreter,
}

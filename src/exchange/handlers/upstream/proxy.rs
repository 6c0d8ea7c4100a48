//! A request on its way to an upstream, as data: its steps are in the other files.

use super::record::Place;
use super::spool::Spool;
use super::store::Copy;
use super::tls::Secure;
use crate::config::settings::cgi::Interpreter;
use crate::config::settings::proxy_pass::Protocol;
use crate::config::settings::upstream::Upstream;
use crate::exchange::pace::Pace;
use crate::http::fastcgi;
use crate::http::h1::body::Decoder;
use crate::http::h1::response::{Asked, Ending, ResponseHead};
use crate::services::resolver::Ticket;
use crate::services::upstream_balance::Tried;
use std::rc::Rc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The host is being looked up.
    Resolve,
    /// Reads the whole body, for proxy_request_buffering.
    Gather,
    /// A server is to be chosen and connected to.
    Pick,
    Connect,
    /// Both agree on TLS.
    Handshake,
    /// The request goes out, the response comes in.
    Talk,
    /// Bytes go both ways, whatever they mean (101).
    Tunnel,
}

pub struct Proxy {
    pub phase: Phase,
    pub(super) protocol: Protocol,
    /// The program that answers, where it is no server.
    pub(super) script: Option<Script>,
    /// The TLS configuration, and the server's name.
    pub tls: Option<Secure>,
    /// Phase Resolve, and before it.
    pub(super) pending: Option<Pending>,
    pub(super) place: Rc<Place>,
    pub(super) upstream: Rc<Upstream>,
    pub(super) tried: Tried,
    pub(super) tries: u64,
    pub(super) began: u64,
    pub(super) asked: Asked,
    /// Informational responses (1xx) that came before the response.
    pub(super) interim: u32,
    /// Bytes of early hints among them.
    pub(super) hinted: usize,
    /// The passed request from its first byte on, while `replay`; `sent` of it are gone.
    pub(super) out: Vec<u8>,
    pub(super) sent: usize,
    /// Where in the file of the gathered body `out` goes on.
    pub(super) file_at: u64,
    pub(super) body: Body,
    pub(super) framed: Framed,
    pub(super) replay: bool,
    /// Something of the request was sent to this server.
    pub(super) request_sent: bool,
    /// The upstream takes no more; its answer may still come.
    pub write_closed: bool,
    /// Bytes of the response head that is not complete.
    pub(super) input: Vec<u8>,
    pub(super) head: ResponseHead,
    pub(super) reading: Reading,
    pub(super) records: fastcgi::Reader,
    /// The connection had served a request before.
    pub reused: bool,
    /// The next connection is to be a new one: a request that ends its server must not be sent over all that are kept.
    pub wants_new: bool,
    /// It ended with a reset.
    pub was_reset: bool,
    /// It waited for idle connections to be closed, once.
    pub waited_for_room: bool,
    /// The connection may serve another afterwards.
    pub(super) keep: bool,
    pub(super) ending: Ending,
    /// The response stays as a file, too.
    pub(super) copy: Option<Box<Copy>>,
    /// What its client has not taken yet.
    pub spool: Option<Box<Spool>>,
    /// proxy_limit_rate: how fast the response is read.
    pub pace: Option<Pace>,
    /// When the upstream, and when the client, has been waited for too long; monotonic milliseconds.
    pub upstream_by: u64,
    pub client_by: u64,
}

/// How far the response has been read.
#[derive(Debug)]
pub(super) enum Reading {
    Head,
    Length(Decoder),
    UntilClose,
    /// All of it is there, but not the end of the records; what comes is dropped.
    Rest {
        warned: bool,
    },
    Done,
}

/// How the body reaches the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// There is none, or all of it stands behind the head.
    Whole,
    /// It was gathered in a file.
    File,
    /// It is passed on as it comes.
    Streamed,
}

/// What stands around the pieces of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framed {
    Plain,
    /// HTTP/1.1's chunks.
    Chunked,
    /// FastCGI's records.
    Stdin,
}

/// A host whose addresses are not known yet.
pub(super) struct Pending {
    pub ticket: Ticket,
    pub host: Box<str>,
    pub port: u16,
}

/// A file to run.
pub(super) struct Script {
    pub file: Vec<u8>,
    pub name: Vec<u8>,
    pub path_info: Vec<u8>,
    pub interpreter: Interpreter,
}

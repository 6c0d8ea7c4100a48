//! One request and its response. Knows no socket: bytes are in `input`, the answer goes to `out`, the connection
//! moves both. What happens to a request is the ordered list in [`phases`]; what happens to a response, the one in
//! [`filters`].
//!
//! Invariant: an exchange is reused through [`Exchange::next_request`], which leaves nothing of the last request but
//! capacity, unread input and unsent output.

pub mod access;
pub mod access_log;
pub mod body;
pub mod error_page;
pub mod filters;
pub mod flow;
pub mod handlers;
pub mod keep_alive;

pub mod body_encoder;
pub mod cacheable;
mod error_log;
pub mod paths;
pub mod phases;
pub mod response;
pub mod rewrite;
pub mod send_queue;
pub mod variables;

use crate::config::model::{Config, EndpointId, Level, Location, LocationId, Server, ServerId};
use crate::config::pattern::{Failed, Groups, Matched};
use crate::http::h1::body::Decoder;
use crate::http::h1::head::{Head, HeadLimits};
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::proxy_protocol::Header;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::response_cache::CachedResponse;
use crate::sys::socket::Peer;
use crate::util::slab::Key;
use access::limits::Verdict;
use cacheable::Opened;
pub use error_log::Printable;
use flow::Pause;
use handlers::Handler;
use response::Response;
use send_queue::OutQueue;
use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;

/// Who asks: facts of the connection that a request may need.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    pub peer: Peer,
    pub endpoint: EndpointId,
    /// Where the client came to, if the endpoint is a wildcard and somebody wants to know (`$server_addr`).
    pub local: Option<IpAddr>,
    /// `$connection`.
    pub serial: u64,
    /// `$connection_requests`, this one included.
    pub requests: u64,
    /// When the connection was accepted, milliseconds of the monotonic clock.
    pub accepted: u64,
    /// It came over TLS.
    pub is_secure: bool,
}

impl Client {
    /// `$scheme`.
    pub fn scheme(&self) -> &'static str {
        if self.is_secure { "https" } else { "http" }
    }

    /// The port that a URL of its scheme need not name.
    pub fn default_port(&self) -> u16 {
        if self.is_secure { 443 } else { 80 }
    }
}

/// How far the request has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rx {
    Head,
    /// The handler takes the body.
    Body,
    /// Nobody takes the body: it is read and thrown away.
    Drain,
    Done,
}

/// How far the response has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tx {
    /// Not begun.
    Wait,
    /// The head is queued; the body is queued or still being made.
    Send,
    /// All of it is queued.
    Done,
}

pub struct Exchange {
    pub config: Rc<Config>,
    pub client: Client,
    /// The connection's own address, where a proxy that is believed has named another.
    pub socket_peer: Option<Peer>,
    /// What a PROXY header said of the connection, once that was read.
    pub introduced: Option<Rc<Option<Header>>>,
    /// Bytes read from the client; this request's begin at `start`.
    pub input: Vec<u8>,
    /// Some of them may have been sent since the moment began ([`crate::services::now::Clock::moment`]).
    pub may_be_newer: bool,
    pub start: usize,
    pub head: Head,
    /// Where in `input` the unread rest begins once the head is complete: body bytes, then further requests.
    pub body_at: usize,
    pub rx: Rx,
    pub tx: Tx,
    pub decoder: Decoder,
    pub server: ServerId,
    pub location: LocationId,
    /// The current normalised path (`$uri`), and the current arguments (`$args`).
    pub uri: Vec<u8>,
    pub args: Vec<u8>,
    /// Host in lower case, without port and final dot.
    pub host: Vec<u8>,
    /// The file the URI maps to.
    pub path: Vec<u8>,
    /// What the last regex matched: its groups are offsets into `subject`.
    pub subject: Vec<u8>,
    pub groups: Groups,
    /// Values of the configuration's variables.
    pub user: Vec<Option<Box<[u8]>>>,
    pub response: Response,
    pub out: OutQueue,
    pub handler: Handler,
    /// The upstream connection that the handler uses.
    pub backend: Option<Key>,
    /// The URI was set by the server, not by the client: `internal` locations answer.
    pub internal: bool,
    /// The URI is no longer the one the client sent.
    pub rewritten: bool,
    /// A rewrite with `break` has changed the URI: it has no longer to do with the location's name.
    pub broke: bool,
    /// The URI was rewritten since the location was found.
    pub uri_changed: bool,
    /// A pattern gave up: what depends on it must not be decided as though it had not matched.
    pub pattern_failed: bool,
    /// try_files found its file behind the alias of a regex location: the path is the alias and the URI.
    pub behind_alias: bool,
    pub redirects: u8,
    /// The status whose error page is being made, and the status it will be sent with.
    pub error_page: Option<Status>,
    /// Header lines of the error whose page is being made (Allow, a challenge): sent with the page.
    pub kept_lines: Vec<u8>,
    /// The type that an X-Accel-Redirect gave what it leads to.
    pub kept_type: Option<Rc<[u8]>>,
    /// The charset that an upstream's X-Accel-Charset chose.
    pub kept_charset: Option<Rc<[u8]>>,
    pub keep_alive: bool,
    /// `100 Continue` may still be asked for.
    pub expects_continue: bool,
    /// Body bytes taken so far.
    pub body_received: u64,
    /// When a body that nobody wants has been read for long enough; 0 before it is.
    pub drain_until: u64,
    /// When the request's first byte was seen: monotonic milliseconds.
    pub started: u64,
    /// The method that decides: an error page of a POST is fetched by GET.
    pub method: Method,
    /// Bytes per second of the response; 0 is no limit, None until a script or the head of the response says.
    pub limit_rate: Option<u64>,
    /// Bytes that go at full speed first.
    pub limit_rate_after: u64,
    /// Bytes of the request so far: head and body (`$request_length`).
    pub request_length: u64,
    /// `out.queued` when this response began, and the size of its head.
    pub out_mark: u64,
    pub head_size: u64,
    /// How long the connection may then be idle: of the location that answered last. Milliseconds.
    pub idle_for: u64,
    /// Close without a word (return 444).
    pub abort: bool,
    /// Nothing happens before then: a request whose turn has not come, a response that is sent slowly.
    pub pause: Option<Pause>,
    /// What the limits said, for `$limit_req_status` and `$limit_conn_status`; each is asked once a request.
    pub limit_req: Option<Verdict>,
    pub limit_conn: Option<Verdict>,
    /// Places taken of limit_conn: zone and key.
    pub places: Vec<(Rc<str>, Box<[u8]>)>,
    /// Variables under evaluation that are made of variables.
    pub depth: u8,
    /// `Location` of the error whose page is being made.
    pub kept_location: Option<Vec<u8>>,
    /// `$request_id`, once somebody wanted it: the same in every header and log line.
    pub request_id: Option<[u8; 16]>,
    /// What upstreams were asked.
    pub record: Option<Box<handlers::upstream::record::Record>>,
    /// How fast its body may be read.
    pub pace: Option<handlers::upload::rate_limit::Pace>,
    /// What became of an upload.
    pub uploaded: Option<Box<handlers::upload::Record>>,
    /// What its pages have made of their SSI commands.
    pub ssi: Option<Box<filters::ssi::State>>,
    /// It answers for a part of another request's page.
    pub sub: Option<Box<filters::ssi::include::Sub>>,
    /// What the request is known by, if it was seen before ([`repeat::learn`]).
    pub repeat: Option<u64>,
    /// What it came to before: this one only sends the rest of an answer ([`repeat::resume`]).
    pub again: Option<Rc<CachedResponse>>,
    /// The answer depends on more than the request's bytes and files: the client, the time, a variable, chance.
    pub varies: bool,
    pub opened: Opened,
    /// The index file that leads on to its own URI: it is opened again there.
    pub index: Vec<u8>,
    /// Lines for the error log so far.
    pub reports: Cell<u32>,
}

/// Why a request ended before its response was whole; for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Complete,
    ClientGone,
}

impl Exchange {
    pub fn new(cx: &mut Services, client: Client) -> Exchange {
        Exchange {
            config: cx.config.clone(),
            client,
            socket_peer: None,
            introduced: None,
            input: Vec::new(),
            may_be_newer: false,
            start: 0,
            head: Head::default(),
            body_at: 0,
            rx: Rx::Head,
            tx: Tx::Wait,
            decoder: Decoder::new(Default::default()),
            server: ServerId(0),
            location: LocationId(0),
            uri: Vec::new(),
            args: Vec::new(),
            host: Vec::new(),
            path: Vec::new(),
            subject: Vec::new(),
            groups: Groups::default(),
            user: Vec::new(),
            response: Response::default(),
            out: OutQueue::default(),
            handler: Handler::None,
            backend: None,
            internal: false,
            rewritten: false,
            broke: false,
            uri_changed: false,
            pattern_failed: false,
            behind_alias: false,
            redirects: 0,
            error_page: None,
            kept_lines: Vec::new(),
            kept_type: None,
            kept_charset: None,
            keep_alive: false,
            expects_continue: false,
            body_received: 0,
            drain_until: 0,
            started: cx.now.ms,
            method: Method::Get,
            limit_rate: None,
            limit_rate_after: 0,
            request_length: 0,
            out_mark: 0,
            head_size: 0,
            idle_for: 0,
            abort: false,
            pause: None,
            limit_req: None,
            limit_conn: None,
            places: Vec::new(),
            depth: 0,
            kept_location: None,
            request_id: None,
            record: None,
            pace: None,
            uploaded: None,
            ssi: None,
            sub: None,
            repeat: None,
            again: None,
            varies: false,
            opened: Opened::None,
            index: Vec::new(),
            reports: Cell::new(0),
        }
    }

    /// A pooled exchange for a connection that has something to read: `input`, from `start` on.
    pub fn reuse(&mut self, cx: &mut Services, client: Client, input: Vec<u8>, start: usize) {
        self.client = client;
        self.socket_peer = None;
        if !Rc::ptr_eq(&self.config, &cx.config) {
            self.config = cx.config.clone();
        }
        self.input = input;
        self.start = start;
        self.out.reset(cx.buffers.take());
        self.next_request(cx);
    }

    /// Gives the buffers back; the rest of the exchange waits in its pool with its capacity.
    pub fn release(&mut self, cx: &mut Services) {
        self.handler = Handler::None;
        self.record = None;
        self.uploaded = None;
        self.ssi = None;
        self.sub = None;
        self.response.clear();
        self.introduced = None;
        self.give_places_back(cx);
        cx.buffers.give(std::mem::take(&mut self.input));
        cx.buffers.give(self.out.take_buffer());
        self.user.clear();
    }

    /// Forgets the request that was answered. Unread input from `start` on is the next request.
    pub fn next_request(&mut self, cx: &mut Services) {
        if let Some(peer) = self.socket_peer.take() {
            self.client.peer = peer;
        }
        if self.start >= self.input.len() {
            self.input.clear();
            self.start = 0;
        }
        self.head.clear();
        self.body_at = self.start;
        self.rx = Rx::Head;
        self.tx = Tx::Wait;
        self.uri.clear();
        self.args.clear();
        self.host.clear();
        self.path.clear();
        self.subject.clear();
        self.groups = Groups::default();
        self.user.clear();
        self.response.clear();
        self.handler = Handler::None;
        self.internal = false;
        self.rewritten = false;
        self.broke = false;
        self.uri_changed = false;
        self.pattern_failed = false;
        self.behind_alias = false;
        self.redirects = 0;
        self.error_page = None;
        self.kept_lines.clear();
        self.kept_type = None;
        self.kept_charset = None;
        self.keep_alive = false;
        self.expects_continue = false;
        self.body_received = 0;
        self.drain_until = 0;
        self.started = cx.now.ms;
        self.method = Method::Get;
        self.limit_rate = None;
        self.limit_rate_after = 0;
        self.request_length = 0;
        self.out_mark = self.out.queued();
        self.head_size = 0;
        self.abort = false;
        self.pause = None;
        self.limit_req = None;
        self.limit_conn = None;
        self.give_places_back(cx);
        self.depth = 0;
        self.request_id = None;
        self.kept_location = None;
        self.record = None;
        self.uploaded = None;
        self.pace = None;
        self.ssi = None;
        self.sub = None;
        self.repeat = None;
        self.again = None;
        self.varies = false;
        self.opened = Opened::None;
        self.index.clear();
        self.reports.set(0);
        self.at_default();
    }

    /// A reload between two requests, or within a head: the request is answered by the new configuration, where its
    /// listener may have another number.
    pub fn adopt(&mut self, cx: &Services, endpoint: EndpointId) {
        self.config = cx.config.clone();
        self.client.endpoint = endpoint;
        self.at_default();
    }

    /// Until the request says otherwise, the endpoint's default server speaks.
    fn at_default(&mut self) {
        self.server = self.config.endpoints[self.client.endpoint.at()].default;
        self.location = self.config.server(self.server).root;
    }

    /// What a head may be, by the settings of the server that speaks until the request names one. Whose
    /// underscores_in_headers holds is not known before ([`Exchange::drop_underscores`]).
    pub fn head_limits(&self) -> HeadLimits {
        let client = &self.here().settings.client;
        let (count, size) = client.large_buffers;
        let line = size.0 as usize;
        HeadLimits {
            line,
            total: line.saturating_mul(count as usize).saturating_add(client.header_buffer_size.0 as usize),
            fields: client.max_headers as usize,
            underscores: self.config.underscores,
            ignore_invalid: client.ignore_invalid_headers,
        }
    }

    /// Fields with a `_` in their name, where underscores_in_headers is off: at the server that the request names for
    /// what follows the name, at the default server for what stands before it (nginx).
    pub fn drop_underscores(&mut self) {
        let keeps = |id: ServerId| self.config.location(self.config.server(id).root).settings.client.underscores;
        let default = self.config.endpoints[self.client.endpoint.at()].default;
        let (before, after) = (keeps(default), keeps(self.server));
        if before && after {
            return;
        }
        let (input, start, host) = (&self.input, self.start, self.head.host.start);
        let buf = input.get(start..).unwrap_or_default();
        self.head.fields.retain(|field| {
            let kept = if field.name.start < host { before } else { after };
            kept || field.id != HeaderId::Other || !field.name.of(buf).contains(&b'_')
        });
    }

    /// The bytes of this request's head and what was read after it; the head's spans are offsets into it.
    pub fn buf(&self) -> &[u8] {
        self.input.get(self.start..).unwrap_or_default()
    }

    pub fn here(&self) -> &Location {
        self.config.location(self.location)
    }

    pub fn server(&self) -> &Server {
        self.config.server(self.server)
    }

    /// Its bytes may have been sent since this moment began: what is looked up for them is looked up anew.
    pub fn look_anew(&mut self, cx: &mut Services) {
        cx.now.advance_epoch();
        self.may_be_newer = false;
    }

    /// What a PROXY header said of the connection's addresses.
    pub fn introduction(&self) -> Option<&Header> {
        self.introduced.as_deref()?.as_ref()
    }

    /// The value of a request header.
    pub fn header(&self, id: HeaderId) -> Option<&[u8]> {
        self.head.value(self.buf(), id)
    }

    /// A pattern gave up: the error log says so in nginx's words, and the request is answered 500. Not at nginx's
    /// level, alert, which is for what is wrong with the server: any client may bring a subject that does it.
    pub fn undecided(&mut self, cx: &mut Services, failed: &Failed) {
        self.report(cx, Level::Error, format_args!("{failed}"));
        self.pattern_failed = true;
    }

    /// Remembers what a regex matched: `$1`… and named captures refer to `subject` from now on.
    pub fn remember(&mut self, subject: &[u8], matched: Option<Matched>) {
        let Some(matched) = matched else { return };
        if subject.as_ptr() != self.subject.as_ptr() {
            self.subject.clear();
            self.subject.extend_from_slice(subject);
        }
        self.groups = matched.groups;
        for (variable, start, end) in matched.named {
            let text = self.subject.get(start as usize..end as usize).unwrap_or_default().into();
            self.set_user(variable, text);
        }
    }

    /// The request is no longer under way for limit_conn.
    pub fn give_places_back(&mut self, cx: &mut Services) {
        for (zone, key) in self.places.drain(..) {
            cx.limits.leave(&zone, &key);
        }
    }

    pub fn set_user(&mut self, variable: u32, value: Box<[u8]>) {
        let at = variable as usize;
        if self.user.len() <= at {
            self.user.resize(at + 1, None);
        }
        self.user[at] = Some(value);
    }

    /// Bytes of this response handed to the socket so far, or queued for it once it is complete.
    pub fn bytes_sent(&self) -> u64 {
        if self.tx == Tx::Done {
            self.out.queued() - self.out_mark
        } else {
            self.out.sent().saturating_sub(self.out_mark)
        }
    }
}

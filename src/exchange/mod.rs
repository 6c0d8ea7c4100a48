//! One request and its response. Knows no socket: the connection fills `request` and brings the body, the answer goes
//! to `out`, and the connection sends it. What happens to a request is the ordered list in [`phases`]; what happens to
//! a response, the one in [`filters`].
//!
//! Invariant: an exchange is reused through [`Exchange::next_request`], which leaves nothing of the last request but
//! capacity and unsent output.

pub mod access;
pub mod access_log;
mod acme;
pub mod archive;
pub mod auth_check;
pub mod basis;
pub mod body;
pub mod body_encoder;
pub mod body_limit;
pub mod cacheable;
mod connect;
pub mod content_type;
pub mod counters;
pub mod entry;
pub mod error_log;
pub mod error_page;
pub mod filters;
pub mod flow;
pub mod handlers;
pub mod limiting_line;
pub mod locate;
pub mod log_facts;
pub mod mapping;
pub mod media_types;
pub mod multistatus;
pub mod origin;
pub mod pace;
pub mod paths;
pub mod phases;
pub mod progress;
pub mod random_draw;
pub mod request;
pub mod response;
pub mod rewrite;
pub mod route_state;
pub mod send_queue;
mod suppose;
#[cfg(test)]
pub mod testing;
pub mod tls;
pub mod tls_facts;
pub mod user_values;
pub mod variables;

use crate::config::model::{Config, EndpointId, Level, Location, Server, ServerId};
use crate::config::pattern::{Failed, Matched};
use crate::http::header::HeaderId;
use crate::http::proxy_protocol::ProxyHeader;
use crate::http::reject::Reject;
use crate::http::request_head::HeadLimits;
use crate::http::version::Version;
use crate::services::Services;
use crate::sys::socket::Peer;
pub use crate::util::printable::Printable;
use crate::util::text::Text;
use auth_check::AuthCheck;
use basis::Basis;
use filters::ssi::state::{Frame, Sink, SsiState};
use handlers::upstream::spare::Spare;
use log_facts::LogFacts;
use progress::Progress;
pub use progress::{Rx, Tx};
use random_draw::Draw;
use request::Request;
use response::Response;
use route_state::RouteState;
use send_queue::SendQueue;
use std::net::IpAddr;
use std::rc::Rc;
use tls_facts::{TlsFacts, Verdict};

/// The client: facts of the connection that a request may need.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its address, or the one that real_ip found.
    pub peer: Peer,
    /// The connection's own address, if a trusted proxy has named another.
    pub socket_peer: Option<Peer>,
    /// The endpoint that it connected to.
    pub endpoint: EndpointId,
    /// The address that the client connected to, if the endpoint is a wildcard and the configuration uses it
    /// (`$server_addr`).
    pub local: Option<IpAddr>,
    /// `$connection`.
    pub serial: u64,
    /// `$connection_requests`, this one included.
    pub requests: u64,
    /// When the connection was accepted, milliseconds of the monotonic clock.
    pub accepted: u64,
    /// The connection is over TLS.
    pub is_secure: bool,
    /// The connection has further requests under way (HTTP/2).
    pub has_others: bool,
    /// The number of its socket, by which `$tcpinfo_rtt` asks the kernel. Owned by the connection.
    pub socket: i32,
    /// The PROXY header of the connection, once that was read.
    pub proxy_header: Option<Rc<Option<ProxyHeader>>>,
    /// The facts of the TLS handshake, also of a plain request on a port for TLS.
    pub tls: Option<Rc<TlsFacts>>,
    /// The verdict on the client's certificates by the request's server, once that was asked for.
    pub verdict: Option<Verdict>,
}

impl Client {
    /// The first request of a connection of which there is no more than this: for `explain`, tests and benches.
    pub fn of_no_connection(peer: Peer, endpoint: EndpointId, accepted: u64, is_secure: bool) -> Client {
        Client {
            peer,
            socket_peer: None,
            endpoint,
            local: None,
            serial: 1,
            requests: 1,
            accepted,
            is_secure,
            has_others: false,
            socket: -1,
            proxy_header: None,
            tls: None,
            verdict: None,
        }
    }

    /// What was found out for one request is forgotten.
    pub fn next_request(&mut self) {
        if let Some(peer) = self.socket_peer.take() {
            self.peer = peer;
        }
        self.verdict = None;
    }

    /// `$scheme`.
    pub fn scheme(&self) -> &'static str {
        if self.is_secure { "https" } else { "http" }
    }

    /// The connection's addresses by a PROXY header.
    pub fn proxy_header(&self) -> Option<&ProxyHeader> {
        self.proxy_header.as_deref()?.as_ref()
    }
}

/// One request and its response, from the head until the response is logged. Its connection keeps it for the next
/// request, emptied, so that buffers are allocated once.
pub struct Exchange {
    /// The configuration that it began under; a reload does not change it.
    pub config: Rc<Config>,
    /// Whose request it is.
    pub client: Client,
    /// What the client asked. Shared with its subrequests.
    pub request: Rc<Request>,
    /// Where the request is, after rewrites and internal redirects.
    pub route: RouteState,
    /// How far request and response have come.
    pub progress: Progress,
    /// The response, until its head is written.
    pub response: Response,
    /// What the response follows from: whether it may be cached.
    pub basis: Basis,
    /// What waits to be sent.
    pub out: SendQueue,
    /// Its subrequests, or the request that it is one of.
    pub nesting: Nesting,
    /// What logs and variables say of it.
    pub log: LogFacts,
    /// Buffers that earlier requests to upstreams have left.
    pub spare: Spare,
}

/// The subrequests of a request, whether it is one, and what else it does on the way to its handler.
#[derive(Default)]
pub struct Nesting {
    /// The state of SSI commands of its pages.
    pub ssi: Option<Box<SsiState>>,
    /// The state of auth_request's subrequest, once that was begun.
    pub auth_request: Option<Box<AuthCheck>>,
    /// It is a subrequest.
    pub subrequest: Option<Box<Subrequest>>,
    /// The directory from which random_index picks a file, while it is read.
    pub random_index: Option<Box<Draw>>,
}

/// What a subrequest has ([`filters::ssi::include`]).
pub struct Subrequest {
    /// The exchange that waits for it.
    pub parent: Box<Exchange>,
    /// How deep it is nested: 1 for what a page includes.
    pub level: u8,
    /// Where its content goes.
    pub sink: Sink,
    /// Sent instead of an error or of nothing.
    pub stub: Option<Rc<[u8]>>,
    /// The framing of the whole response.
    pub frame: Frame,
    /// The parent had evaluated variables already; the subrequest shares their values.
    pub has_values: bool,
    /// It has had content, and all of it.
    pub has_content: bool,
    /// All of its content has come.
    pub whole: bool,
}

impl Exchange {
    /// An exchange for a connection's first request, at the default location of its endpoint.
    pub fn new(cx: &mut Services, client: Client) -> Exchange {
        let mut ex = Exchange {
            config: cx.config.clone(),
            client,
            request: Rc::default(),
            route: RouteState::default(),
            progress: Progress::default(),
            response: Response::default(),
            basis: Basis::default(),
            out: SendQueue::default(),
            nesting: Nesting::default(),
            log: LogFacts::begun_at(cx.now.ms),
            spare: Spare::default(),
        };
        ex.at_default();
        ex
    }

    /// A pooled exchange for a connection that has something to read.
    pub fn reuse(&mut self, cx: &mut Services, client: Client) {
        self.client = client;
        if !Rc::ptr_eq(&self.config, &cx.config) {
            self.config = cx.config.clone();
        }
        self.out.reset(cx.buffers.take());
        self.at_default();
        self.log.started = cx.now.ms;
    }

    /// Gives the buffers back; the rest of the exchange waits in its pool with its capacity.
    pub fn release(&mut self, cx: &mut Services) {
        self.next_request(cx);
        (self.client.proxy_header, self.client.tls) = (None, None);
        cx.buffers.give(self.out.take_buffer());
    }

    /// Gives back buffer space that neither its output nor its request fills, while it waits.
    pub fn rest(&mut self, cx: &mut Services) {
        self.out.rest(&mut cx.buffers);
        if let Some(request) = Rc::get_mut(&mut self.request) {
            request.tighten();
        }
    }

    /// Clears the answered request; only capacity and unsent output are kept.
    pub fn next_request(&mut self, cx: &mut Services) {
        self.release_limit_slots(cx);
        // Each part resets itself by construction, and none can be left out here. The large ones are not moved.
        let Exchange { config: _, client, request, route, progress, response, basis, out, nesting, log, spare } = self;
        client.next_request();
        match Rc::get_mut(request) {
            Some(request) => request.clear(),
            None => *request = Rc::default(),
        }
        route.clear();
        progress.clear();
        response.clear();
        *basis = Basis::default();
        out.begin_response();
        *nesting = Nesting::default();
        if let Some(record) = log.upstream.take() {
            spare.keep_record(record);
        }
        *log = LogFacts::begun_at(cx.now.ms);
        self.at_default();
    }

    /// A reload between two requests, or within a head: the request is answered by the new configuration, in which
    /// its listener may have another number.
    pub fn adopt(&mut self, cx: &Services, endpoint: EndpointId) {
        self.config = cx.config.clone();
        self.client.endpoint = endpoint;
        self.at_default();
    }

    /// Until the request names a host, the endpoint's default server holds.
    fn at_default(&mut self) {
        self.route.server = self.config.endpoints[self.client.endpoint.at()].default;
        self.route.location = self.config.server(self.route.server).root;
    }

    /// The limits of a head, by the settings of the default server, which apply until the request names a server.
    /// Which server's underscores_in_headers applies is not known before ([`Exchange::drop_unusual_names`]).
    pub fn head_limits(&self) -> HeadLimits {
        let client = &self.location().settings.client;
        let (count, size) = client.large_buffers;
        let line = size.0 as usize;
        HeadLimits {
            line,
            total: line.saturating_mul(count as usize).saturating_add(client.header_buffer_size.0 as usize),
            fields: self.config.max_headers.unwrap_or(client.max_headers) as usize,
            unusual: self.config.unusual_names,
        }
    }

    /// max_headers: fields up to and including Host count against the default server's limit, later ones against the
    /// named server's (nginx).
    ///
    /// # Errors
    /// There are more fields; the request is then answered by the server chosen so far.
    pub fn count_fields(&mut self) -> Result<(), Reject> {
        let limit = |ex: &Exchange| ex.location().settings.client.max_headers as usize;
        let (head, named) = (&self.request.head, self.request.head.host.start);
        // A Host made from `:authority` follows its value in the buffer, and is no field that the client sent.
        let sent = || head.fields.iter().filter(|field| field.name.start <= field.value.start);
        let (all, before) = (sent().count(), sent().filter(|field| field.name.start < named).count());
        let default = self.config.endpoints[self.client.endpoint.at()].default;
        let of_default = self.config.location(self.config.server(default).root).settings.client.max_headers as usize;
        if before > of_default {
            self.at_default();
            return Err(Reject::TooManyFields { limit: of_default });
        }
        if all > before && all > limit(self) { Err(Reject::TooManyFields { limit: limit(self) }) } else { Ok(()) }
    }

    /// Fields whose name underscores_in_headers and ignore_invalid_headers do not let pass: those of the server that
    /// the request names hold for what follows the name, those of the default server for what stands before it (nginx).
    pub fn drop_unusual_names(&mut self) {
        let keeps = |id: ServerId| self.config.location(self.config.server(id).root).settings.client.unusual_names();
        let default = self.config.endpoints[self.client.endpoint.at()].default;
        let (before, after) = (keeps(default), keeps(self.route.server));
        let Some(Request { head, text, .. }) = Rc::get_mut(&mut self.request) else { return };
        let host = head.host.start;
        head.fields.retain(|field| {
            let kept = if field.name.start < host { before } else { after };
            field.id != HeaderId::Other || kept.keep(field.name.of(text))
        });
    }

    /// `$http2`: how it was agreed on.
    pub fn http2(&self) -> Option<&'static [u8]> {
        let agreed: &[u8] = if self.client.is_secure { b"h2" } else { b"h2c" };
        (self.request.head.version == Version::Http2).then_some(agreed)
    }

    /// The request came by HTTP/2 to an address whose default server speaks it, but is for a server that does not
    /// (RFC 9110 §15.5.20).
    pub fn is_misdirected(&self) -> bool {
        self.request.head.version == Version::Http2
            && !self.config.endpoints[self.client.endpoint.at()].http2
            && !self.location().settings.http2.enable
    }

    /// It is auth_request's subrequest: only its status and fields matter.
    pub fn is_auth_subrequest(&self) -> bool {
        self.nesting.subrequest.as_ref().is_some_and(|sub| matches!(sub.sink, Sink::Verdict))
    }

    /// The bytes that the spans of the request's head are offsets into.
    pub fn buf(&self) -> &[u8] {
        &self.request.text
    }

    /// The location whose settings hold for the request now: within `if` and limit_except, that block.
    pub fn location(&self) -> &Location {
        self.config.location(self.route.location)
    }

    /// The server that the request is in.
    pub fn server(&self) -> &Server {
        self.config.server(self.route.server)
    }

    /// The value of a request header.
    pub fn header(&self, id: HeaderId) -> Option<&[u8]> {
        self.request.value(id)
    }

    /// The value of the first header field of that name, which is in lower case: for those without an id.
    pub fn field(&self, name: &[u8]) -> Option<&[u8]> {
        let buf = self.buf();
        let fields = &self.request.head.fields;
        fields.iter().find(|field| field.name.of(buf).eq_ignore_ascii_case(name)).map(|field| field.value.of(buf))
    }

    /// The values of all header fields of that name, which is in lower case.
    pub fn fields<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let (buf, fields) = (self.buf(), self.request.head.fields.iter());
        fields.filter(|field| field.name.of(buf).eq_ignore_ascii_case(name)).map(|field| field.value.of(buf))
    }

    /// A regex exceeded its limits: that is logged in nginx's words, and the request is answered 500. The level is not
    /// nginx's alert, which is for faults of the server: any client may send a subject that does it.
    pub fn pattern_gave_up(&mut self, cx: &mut Services, failed: &Failed) {
        self.report(cx, Level::Error, format_args!("{failed}"));
        self.route.evaluation_failed = true;
    }

    /// Remembers what a regex matched: `$1`… and named captures refer to `subject` from now on.
    pub fn remember(&mut self, subject: &[u8], matched: Option<Matched>) {
        let Some(matched) = matched else { return };
        if subject.as_ptr() != self.route.subject.as_ptr() {
            self.route.subject.clear();
            self.route.subject.extend_from_slice(subject);
        }
        self.route.groups = matched.groups;
        for (variable, start, end) in matched.named {
            let text = Text::new(self.route.subject.get(start as usize..end as usize).unwrap_or_default());
            self.set_user(variable, text);
        }
    }

    /// Releases the request's slots in limit_conn.
    pub fn release_limit_slots(&mut self, cx: &mut Services) {
        for (zone, key) in self.progress.limit_slots.drain(..) {
            cx.limits.leave(&zone, &key);
        }
    }

    /// Gives a variable of the configuration a value (`set`, a regex's named groups); `variable` is its number.
    pub fn set_user(&mut self, variable: u32, value: Text) {
        self.route.user.set(variable, value);
    }

    /// Bytes of this response handed to the socket so far, or queued for it once it is complete.
    pub fn bytes_sent(&self) -> u64 {
        let is_whole = self.progress.tx == Tx::Done && !self.log.is_cut;
        if is_whole { self.out.response_queued() } else { self.out.response_sent() }
    }

    /// As [`Exchange::bytes_sent`], without the head.
    pub fn body_bytes_sent(&self) -> u64 {
        self.bytes_sent().saturating_sub(self.log.head_size)
    }
}

//! proxy_pass: a request passed on to an HTTP/1.x server, and what is made of its answer. No socket here: the
//! connection asks for an address, sends [`Proxy::pending`], brings what arrives to [`Proxy::received`], and says what
//! went wrong to [`Proxy::failed`].
//!
//! A request goes Gather → Pick → Connect → Talk; a server that fails leads back to Pick while there is another and
//! the request can be sent again.
//!
//! Invariant: a server that [`Proxy::pick`] took from the balance is the connection's to give back: it outlives
//! whatever becomes of the handler.

pub mod cgi;
mod cookie;
mod early_hints;
mod fault;
mod find;
mod gateway;
mod header_params;
mod http1;
mod protocol;
mod reading;
pub mod record;
mod request;
pub mod respond;
mod rewrite;
mod sending;
pub mod settings;
mod store;
mod stored;
pub mod tls;
mod uri;

use super::methods;
use crate::config::settings::proxy_pass::Protocol;
use crate::config::settings::upstream::Upstream;
use crate::exchange::flow::{Begun, Flow};
use crate::exchange::pace::Pace;
use crate::exchange::{Exchange, Printable, Rx, Tx, body};
use crate::http::fastcgi;
use crate::http::h1::framing::Framing;
use crate::http::h1::response::{Asked, Ending, ResponseHead};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::route::Trace;
use crate::services::Services;
use crate::services::upstream_balance::Tried;
pub use fault::Fault;
pub use reading::Headed;
use reading::Reading;
use record::{Place, Try};
use sending::{Body, Framed};
pub use settings::settings;
use std::rc::Rc;
use tls::Secure;

/// Bytes of a request kept for another server although they were streamed.
const REPLAY: usize = 64 << 10;
/// The least that may wait for the client: smaller bites only cost system calls.
const LEAST_BUFFER: u64 = 64 << 10;

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
    protocol: Protocol,
    /// The program that answers, where it is no server.
    script: Option<cgi::Script>,
    /// The TLS configuration, and the server's name.
    pub tls: Option<Secure>,
    /// Phase Resolve, and before it.
    pending: Option<find::Pending>,
    place: Rc<Place>,
    upstream: Rc<Upstream>,
    tried: Tried,
    tries: u64,
    began: u64,
    asked: Asked,
    /// Informational responses (1xx) that came before the response.
    interim: u32,
    /// Bytes of early hints among them.
    hinted: usize,
    /// The passed request from its first byte on, while `replay`; `sent` of it are gone.
    out: Vec<u8>,
    sent: usize,
    /// Where in the file of the gathered body `out` goes on.
    file_at: u64,
    body: Body,
    framed: Framed,
    replay: bool,
    /// Something of the request was sent to this server.
    request_sent: bool,
    /// The upstream takes no more; its answer may still come.
    pub write_closed: bool,
    /// Bytes of the response head that is not complete.
    input: Vec<u8>,
    head: ResponseHead,
    reading: Reading,
    records: fastcgi::Reader,
    /// The connection had served a request before.
    pub reused: bool,
    /// It ended with a reset.
    pub was_reset: bool,
    /// The connection may serve another afterwards.
    keep: bool,
    ending: Ending,
    /// The response stays as a file, too.
    copy: Option<Box<store::Copy>>,
    /// proxy_limit_rate: how fast the response is read.
    pub pace: Option<Pace>,
    /// When the upstream, and when the client, has been waited for too long; monotonic milliseconds.
    pub upstream_by: u64,
    pub client_by: u64,
}

/// The content phase of a proxied location.
pub fn start(ex: &mut Exchange, cx: &mut Services) -> Begun<Proxy> {
    let config = ex.config.clone();
    let Some(pass) = config.location(ex.route.location).pass.clone() else {
        return Err(Flow::Status(Status::INTERNAL_SERVER_ERROR));
    };
    let is_tunnel = pass.protocol == Protocol::Tunnel;
    if ex.route.method == Method::Trace || is_tunnel != (ex.route.method == Method::Connect) {
        return Err(methods::not_allowed(ex));
    }
    let mut record = ex.log.upstream.take().unwrap_or_default();
    record.protocol = pass.protocol;
    if !record.tries.is_empty() {
        record.tries.push(Try::default());
    }
    let found = find::find(ex, cx, &pass, &mut record);
    ex.log.upstream = Some(record);
    if found.is_err() {
        let directive = pass.protocol.directive();
        cx.trace.say("handler", Some(ex.here().span), || format!("{directive}: where to is not known"));
    }
    let find::Target { upstream, pending, place, is_secure } = found.map_err(Flow::Status)?;
    if let Some(record) = &mut ex.log.upstream {
        record.is_secure = is_secure;
    }
    let tls = if is_secure { Some(tls::secure(ex, cx, &place.host).map_err(Flow::Status)?) } else { None };
    cx.trace.say("handler", Some(ex.here().span), || {
        let port = upstream.port.map_or(String::new(), |port| format!(":{port}"));
        let (directive, scheme) = (pass.protocol.directive(), pass.protocol.scheme());
        format!("{directive}: {scheme}{}{port}{}", upstream.name, Printable(&place.uri))
    });
    let target = find::Target { upstream, pending, place, is_secure };
    let mut proxy = assemble(ex, cx, pass.protocol, target)?;
    proxy.tls = tls;
    Ok(proxy)
}

/// What a request begins with, wherever it goes.
fn assemble(ex: &mut Exchange, cx: &mut Services, protocol: Protocol, target: find::Target) -> Begun<Proxy> {
    let find::Target { upstream, pending, place, is_secure: _ } = target;
    ex.log.upstream.get_or_insert_default().protocol = protocol;
    let gathers = begin_body(ex, protocol)?;
    let mut proxy = Proxy {
        phase: match (gathers, &pending) {
            (true, _) => Phase::Gather,
            (false, Some(_)) => Phase::Resolve,
            (false, None) => Phase::Pick,
        },
        tls: None,
        pending,
        protocol,
        script: None,
        place: Rc::new(place),
        upstream: upstream.clone(),
        tried: Tried::default(),
        tries: 0,
        began: cx.now.ms,
        asked: Asked::default(),
        interim: 0,
        hinted: 0,
        out: Vec::new(),
        sent: 0,
        file_at: 0,
        body: Body::Whole,
        framed: Framed::Plain,
        replay: true,
        request_sent: false,
        write_closed: false,
        input: Vec::new(),
        head: ResponseHead::default(),
        reading: Reading::Head,
        records: fastcgi::Reader::default(),
        reused: false,
        was_reset: false,
        keep: false,
        ending: Ending::None,
        copy: None,
        pace: None,
        upstream_by: cx.now.ms + ex.here().settings.names.timeout.0 + 1000,
        client_by: cx.now.ms + ex.here().settings.client.body_timeout.0,
    };
    proxy.aim(ex, upstream);
    Ok(Box::new(proxy))
}

/// What becomes of the request's body. Whether all of it is read before a server is picked.
fn begin_body(ex: &mut Exchange, protocol: Protocol) -> Result<bool, Flow> {
    let settings = settings(ex).clone();
    let wants_body = settings.pass_request_body && settings.body.is_none();
    let gathered = ex.log.upstream.as_ref().is_some_and(|record| record.body.is_some());
    if wants_body && ex.body_received > 0 && !gathered && !is_spent(ex) {
        // Part of the body went to another location's upstream: it cannot be had again.
        return Err(Flow::Status(Status::BAD_GATEWAY));
    }
    // For $request_body it is read also where it is not passed (nginx). One that has broken has no rest to be read.
    let reads = (wants_body || settings.request_buffering) && !is_spent(ex);
    if reads && ex.rx == Rx::Drain && !ex.closes {
        ex.rx = Rx::Body;
    }
    if is_spent(ex) && ex.rx == Rx::Body {
        // The rest of it means nothing alone.
        ex.rx = Rx::Drain;
    }
    let at_once = settings.request_buffering || needs_length(ex, protocol) || is_here(ex);
    let gathers = ex.rx == Rx::Body && at_once;
    if gathers {
        let body = Some(body::Body::new(&ex.request.head, &ex.here().settings));
        ex.log.upstream.get_or_insert_default().body = body;
    }
    Ok(gathers)
}

/// An error page, fetched as a GET, of a request whose body has gone elsewhere in part: it needs none (nginx).
fn is_spent(ex: &Exchange) -> bool {
    let gathered = ex.log.upstream.as_ref().is_some_and(|record| record.body.is_some());
    let is_page = ex.route.error_page.is_some() && matches!(ex.route.method, Method::Get | Method::Head);
    is_page && ex.body_received > 0 && !gathered
}

/// The request has a body, and it is passed on.
fn passes_body(ex: &Exchange) -> bool {
    settings(ex).pass_request_body && ex.request.head.framing != Framing::None && !is_spent(ex)
}

/// A small body is there already: without waiting for anything it can be $request_body (nginx).
fn is_here(ex: &Exchange) -> bool {
    const SMALL: u64 = 8 << 10;
    ex.body_is_here && matches!(ex.request.head.framing, Framing::Length(1..=SMALL))
}

/// Applications that need the length of a body before it comes cannot be sent chunks.
fn needs_length(ex: &Exchange, protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Scgi | Protocol::Uwsgi | Protocol::Cgi) && ex.request.head.framing == Framing::Chunked
}

impl Proxy {
    /// The servers that may be asked.
    fn aim(&mut self, ex: &Exchange, upstream: Rc<Upstream>) {
        let servers = upstream.peers.iter().filter(|peer| !peer.down).count() as u64;
        let most = settings(ex).next_tries;
        self.tries = if most > 0 { most.min(servers) } else { servers };
        self.upstream = upstream;
    }

    /// The servers that one is chosen from; None: it is a program.
    pub fn group(&self) -> Option<&Upstream> {
        self.script.is_none().then_some(&*self.upstream)
    }

    /// Connected, and nothing to be asked.
    pub fn opens_tunnel(&self) -> bool {
        self.protocol == Protocol::Tunnel && self.phase == Phase::Talk
    }

    pub fn upstream(&self) -> &Rc<Upstream> {
        &self.upstream
    }

    /// The response has come whole.
    pub fn keep_copy(&mut self, ex: &Exchange, cx: &mut Services) {
        store::end(&mut self.copy, ex, cx);
    }

    /// The response is read to its end although its client is gone.
    pub fn is_copied(&self) -> bool {
        self.copy.is_some()
    }

    /// The response is complete, or the client is gone: the server did what it could. True: its connection may serve
    /// another request.
    pub fn finish(&mut self, ex: &mut Exchange, cx: &Services) -> bool {
        if let Some(record) = &mut ex.log.upstream {
            record.end(cx.now.ms);
        }
        self.keep && self.is_done() && self.is_sent(ex) && self.settings_keep(ex)
    }

    fn settings_keep(&self, ex: &Exchange) -> bool {
        let may = self.protocol != Protocol::Http1 || settings(ex).version == crate::http::version::Version::Http11;
        may && self.upstream.keepalive.idle > 0
    }

    /// What the connection waits for: it checks that nothing of it could go on.
    pub fn waits(&self, ex: &Exchange) -> Waits {
        let connecting = self.phase == Phase::Connect;
        let talking = matches!(self.phase, Phase::Talk | Phase::Tunnel);
        Waits {
            client_read: match self.phase {
                Phase::Gather => ex.out.is_empty(),
                Phase::Talk => self.wants_body(ex),
                Phase::Tunnel => self.pending().is_empty(),
                Phase::Resolve | Phase::Pick | Phase::Connect | Phase::Handshake => false,
            },
            client_write: !ex.out.is_empty(),
            upstream_read: self.phase == Phase::Handshake || talking && self.room(ex) > 0,
            upstream_write: connecting || talking && !self.pending().is_empty(),
        }
    }

    /// The response has begun; only its end can still show a failure.
    pub fn has_begun(ex: &Exchange) -> bool {
        ex.tx != Tx::Wait
    }
}

/// What a proxied exchange can go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    pub client_read: bool,
    pub client_write: bool,
    pub upstream_read: bool,
    pub upstream_write: bool,
}

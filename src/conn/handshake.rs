//! The TLS handshake of a client: its hello chooses the server, the server's certificates answer, and what both agreed
//! on becomes facts for requests.
//!
//! Invariants: a turn begins only some handshakes ([`crate::services::handshakes`]), and neither begins nor goes on
//! with another once its slice of time is over, so that a flood of them does not keep others waiting; a client's
//! certificates are verified once, here; a connection that sends something else than TLS gets a plain response (497).

use super::http1::proxy_protocol;
use super::io::{CloseReason, Step};
use super::timers::Timer;
use super::transport::{Chosen, Tls};
use super::{Conn, Pool, Turn};
use crate::acme::TLS_ALPN;
use crate::config::model::{Config, EndpointId, Level, ServerId};
use crate::config::settings::ssl::VerifyClient;
use crate::config::tls_material::{Handshake, ServerTls, Variable};
use crate::exchange::tls::TlsFacts;
use crate::exchange::variables;
use crate::route::server;
use crate::services::Services;
use crate::sys::{Errno, clock, socket};
use crate::tls::ServerConfig;
use crate::tls::hello::{self, Hello, HelloProgress, Refusal};
use crate::tls::session::Session;
use crate::tls::ticket;
use crate::tls::verify::Purpose;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::Arc;

/// Milliseconds that session tickets wait for the first response: most clients send a request at once, and then both
/// are one packet. No longer, because a client that keeps small packets back (Nagle) sends its request only once we
/// have sent something.
const TICKETS_WAIT: u64 = 1;

/// Goes on with the handshake of an idle connection.
pub fn step(conn: &mut Conn, endpoint: EndpointId, turn: &mut Turn<'_>) -> Step {
    let (cx, pool) = (&mut *turn.cx, &mut *turn.pool);
    let is_new = conn.transport.tls_mut().and_then(Tls::hello).is_some();
    if is_new {
        if let Some(step) = greet(conn, endpoint, cx, pool) {
            return step;
        }
    } else if !cx.handshakes.may_go_on(cx.slice.is_turn_over()) {
        return Step::Yield;
    }
    let Some(tls) = conn.transport.tls_mut() else { return Step::Again };
    let begun = clock::monotonic_ns();
    _ = ticket::take_last_session_id();
    let outcome = tls.handshake();
    if outcome.is_ok() {
        finish(tls, cx);
    }
    if !is_new {
        let took = clock::monotonic_ns().saturating_sub(begun);
        cx.handshakes.continued(took);
        cx.slice.extend(took);
    }
    match outcome {
        // A tls-alpn-01 challenge asks for the handshake alone.
        Ok(()) if tls.session().and_then(Session::alpn) == Some(TLS_ALPN) => Step::Close(CloseReason::NoHandshake),
        Ok(()) => {
            if tls.holds_tickets() {
                conn.arm(Timer::Tickets, cx.now.ms + TICKETS_WAIT);
            }
            Step::Again
        }
        Err(Errno::EAGAIN) => Step::Wait,
        Err(e) => {
            failed(conn, e, cx);
            Step::Close(CloseReason::NoHandshake)
        }
    }
}

/// No request has come in time: session tickets are sent alone, and the connection waits for the request. False: its
/// listener is gone.
pub fn send_tickets(conn: &mut Conn, turn: &mut Turn<'_>) -> bool {
    conn.transport.flush_tickets();
    let Some(endpoint) = turn.endpoints.find(conn.listener, conn.fd()) else { return false };
    conn.arm(Timer::Header, turn.cx.now.ms + turn.cx.config.header_timeout(endpoint));
    true
}

/// Reads the ClientHello and answers it. None: the handshake continues.
fn greet(conn: &mut Conn, endpoint: EndpointId, cx: &mut Services, pool: &mut Pool) -> Option<Step> {
    let awaits_proxy_header = conn.served.awaits_proxy_header() && conn.proxy_header.is_none();
    let tls = conn.transport.tls_mut()?;
    // A postponed connection is not read again before its turn has come.
    if tls.postponed && cx.handshakes.must_wait(cx.slice.is_turn_over()) {
        return Some(Step::Yield);
    }
    match tls.gather() {
        Ok(0) => return Some(Step::Close(CloseReason::ClientGone)),
        Ok(_) => {}
        Err(Errno::EAGAIN) => return Some(Step::Wait),
        Err(_) => return Some(Step::Close(CloseReason::NoHandshake)),
    }
    let bytes = tls.hello()?;
    if awaits_proxy_header {
        match proxy_protocol::take(bytes) {
            Ok(Some(header)) => conn.proxy_header = Some(Rc::new(header)),
            Ok(None) => return Some(Step::Again),
            Err(why) => {
                log(conn, cx, Level::Error, format_args!("{why} while reading PROXY protocol"));
                return Some(Step::Close(CloseReason::NoHandshake));
            }
        }
    }
    if cx.config.endpoints[endpoint.at()].ssl.is_none() {
        return Some(Step::Again).filter(|_| {
            // Another address of the same socket is the one with TLS.
            conn.transport.tls_mut().map(Tls::become_plain).is_some()
        });
    }
    let bytes = conn.transport.tls_mut()?.hello()?;
    let hello = match bytes.first() {
        None => return Some(Step::Again),
        Some(first) if !hello::is_tls(*first) => return Some(speak_plainly(conn, endpoint, cx, pool)),
        Some(_) => match hello::parse(bytes) {
            Ok(HelloProgress::Partial) => return Some(Step::Again),
            Ok(HelloProgress::Complete(hello)) => hello,
            Err(refusal) => {
                let (alert, why) = match refusal {
                    Refusal::NotTls => (hello::PROTOCOL_VERSION, "no version of TLS that is spoken"),
                    Refusal::Malformed => (hello::DECODE_ERROR, "no ClientHello"),
                    Refusal::ServerName => (hello::UNRECOGNIZED_NAME, "a server name that is no host name"),
                    Refusal::TooLong => (hello::HANDSHAKE_FAILURE, "a ClientHello that is too long"),
                };
                refuse(conn, alert);
                log(conn, cx, Level::Info, format_args!("SSL handshake failed: client sent {why}"));
                return Some(Step::Close(CloseReason::NoHandshake));
            }
        },
    };
    if cx.handshakes.must_wait(cx.slice.is_turn_over()) {
        conn.transport.tls_mut()?.postponed = true;
        return Some(Step::Yield);
    }
    let begun = clock::monotonic_ns();
    let step = answer(conn, endpoint, hello, cx, pool);
    let took = clock::monotonic_ns().saturating_sub(begun);
    cx.handshakes.begun(took);
    cx.slice.extend(took);
    step
}

/// Chooses a server and begins the handshake. None: it continues.
fn answer(
    conn: &mut Conn,
    endpoint: EndpointId,
    hello: Box<Hello>,
    cx: &mut Services,
    pool: &mut Pool,
) -> Option<Step> {
    if let Some(config) = challenge(&hello, cx) {
        return begin(conn, Session::server(config).map_err(|fault| fault.to_string()), None, cx);
    }
    let config = cx.config.clone();
    let Some(Choice { id, tls, is_named }) = choose(&config, endpoint, &hello) else {
        refuse(conn, hello::HANDSHAKE_FAILURE);
        return Some(Step::Close(CloseReason::NoHandshake));
    };
    let with = match &tls.handshake {
        Handshake::Ready(prepared) => Ok(prepared.for_client(&hello)),
        Handshake::Local(local) => Ok(local.prepared().for_client(&hello)),
        Handshake::Acme(acme) => match cx.acme.certified(acme.certificate) {
            Some((generation, pair)) => acme.prepared(generation, &pair).map(|prepared| prepared.for_client(&hello)),
            None => {
                refuse(conn, hello::UNRECOGNIZED_NAME);
                let name = hello.server_name.as_deref().unwrap_or_default();
                let text = "SSL handshake rejected: the certificate of server name";
                log(conn, cx, Level::Info, format_args!("{text} \"{name}\" is not issued yet"));
                return Some(Step::Close(CloseReason::NoHandshake));
            }
        },
        Handshake::Variable(variable) => load(conn, endpoint, id, variable, &hello, cx, pool),
        Handshake::Refused => {
            refuse(conn, hello::UNRECOGNIZED_NAME);
            let name = hello.server_name.as_deref().unwrap_or_default();
            log(conn, cx, Level::Info, format_args!("SSL handshake rejected for server name \"{name}\""));
            return Some(Step::Close(CloseReason::NoHandshake));
        }
    };
    let session = with.and_then(|config| Session::server(config).map_err(|fault| fault.to_string()));
    begin(conn, session, Some(Box::new(Chosen { tls, hello, is_named })), cx)
}

/// A challenge of tls-alpn-01 is a client that speaks nothing but that protocol (RFC 8737).
fn challenge(hello: &Hello, cx: &Services) -> Option<Arc<ServerConfig>> {
    let [protocol] = &hello.alpn[..] else { return None };
    cx.acme.handshake(&hello.host().filter(|_| **protocol == *TLS_ALPN)?)
}

fn begin(
    conn: &mut Conn,
    session: Result<Session, String>,
    chosen: Option<Box<Chosen>>,
    cx: &mut Services,
) -> Option<Step> {
    let session = match session {
        Ok(session) => session,
        Err(why) => {
            refuse(conn, hello::INTERNAL_ERROR);
            log(conn, cx, Level::Error, format_args!("{why}"));
            return Some(Step::Close(CloseReason::NoHandshake));
        }
    };
    let transport = conn.transport.tls_mut()?;
    transport.chosen = chosen;
    if let Err(e) = transport.begin(session) {
        failed(conn, e, cx);
        return Some(Step::Close(CloseReason::NoHandshake));
    }
    None
}

/// The server of a hello, by its name; one without certificates borrows the default's (nginx).
fn choose(config: &Config, endpoint: EndpointId, hello: &Hello) -> Option<Choice> {
    let endpoint = &config.endpoints[endpoint.at()];
    let named = hello.host().and_then(|name| server::by_name(endpoint, name.as_bytes()).ok().flatten());
    let id = named.unwrap_or(endpoint.default);
    let own = config.server(id).tls.clone().map(|tls| (id, tls));
    let (id, tls) = own.or_else(|| Some((endpoint.default, config.server(endpoint.default).tls.clone()?)))?;
    Some(Choice { id, tls, is_named: named.is_some() })
}

/// What a hello leads to.
struct Choice {
    id: ServerId,
    tls: Rc<ServerTls>,
    /// The hello named it (SNI); otherwise it is the default.
    is_named: bool,
}

/// Certificates whose file names have variables: these are evaluated in an exchange without a request.
fn load(
    conn: &Conn,
    endpoint: EndpointId,
    id: ServerId,
    variable: &Variable,
    hello: &Hello,
    cx: &mut Services,
    pool: &mut Pool,
) -> Result<Arc<ServerConfig>, String> {
    let client = conn.client(&cx.config, endpoint, cx.now.ms);
    let mut active = conn.exchange_of(client, (Vec::new(), 0), cx, pool);
    let ex = &mut active.ex;
    ex.route.server = id;
    ex.route.location = ex.config.server(id).root;
    let server_name = hello.host().map(String::into_boxed_str);
    ex.client.tls = Some(Rc::new(TlsFacts { server_name, ..TlsFacts::default() }));
    let names = variable.pairs.iter();
    let names: Vec<_> =
        names.map(|(certificate, key)| (variables::text(certificate, ex, cx), variables::text(key, ex, cx))).collect();
    pool.give(active, cx);
    variable.load(&names).map(|prepared| prepared.for_client(hello))
}

/// The client does not speak TLS: the connection is plain, and its first request is answered 497 (nginx).
fn speak_plainly(conn: &mut Conn, endpoint: EndpointId, cx: &mut Services, pool: &mut Pool) -> Step {
    let Some(tls) = conn.transport.tls_mut() else { return Step::Close(CloseReason::NoHandshake) };
    tls.become_plain();
    let input = cx.buffers.take();
    let mut active = conn.exchange(endpoint, (input, 0), cx, pool);
    active.ex.client.tls = Some(Rc::new(TlsFacts { is_plain: true, ..TlsFacts::default() }));
    conn.begin_request(active, cx);
    Step::Again
}

fn refuse(conn: &mut Conn, alert: u8) {
    if let Some(tls) = conn.transport.tls_mut() {
        tls.send_raw(&hello::alert(alert));
    }
}

fn failed(conn: &Conn, e: Errno, cx: &mut Services) {
    match conn.transport.tls().and_then(Tls::fault) {
        Some(fault) => log(conn, cx, Level::Info, format_args!("SSL handshake failed: {fault}")),
        // Common: users close pages while they load.
        None => log(conn, cx, Level::Info, format_args!("peer closed connection in SSL handshake {e}")),
    }
}

fn log(conn: &Conn, cx: &mut Services, level: Level, what: std::fmt::Arguments<'_>) {
    let log = cx.config.process.error_log.clone();
    let about = format_args!("*{} {what}, client: {}{}", conn.serial, conn.peer, Local(conn.fd()));
    cx.logs.error(&log, level, &mut cx.now, None, about);
}

/// The address that the client connected to, as nginx's lines name their listener; asked for where a line is written.
struct Local<'a>(Option<BorrowedFd<'a>>);

impl fmt::Display for Local<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.map(socket::local_addr) {
            Some(Ok(address)) => write!(f, ", server: {address}"),
            _ => Ok(()),
        }
    }
}

/// The handshake is over: its facts are kept for requests.
fn finish(tls: &mut Tls, cx: &Services) {
    let Some(chosen) = tls.chosen.take() else { return };
    let Some(session) = tls.session() else { return };
    let chain = session.peer_certificates().to_vec();
    let verdict = (!chain.is_empty() && chosen.tls.verify != VerifyClient::Off)
        .then(|| chosen.tls.trust.verify(&chain, Purpose::Client, cx.now.unix));
    let offers = cx.config.variables.ssl_lists.then(|| chosen.hello.clone());
    let facts = TlsFacts {
        is_plain: false,
        protocol: session.version(),
        cipher: session.cipher(),
        group: session.group(),
        alpn: session.alpn().map(Box::from),
        is_resumed: session.is_resumed(),
        session: match session.is_resumed() {
            true => chosen.hello.session,
            // OpenSSL makes up an id for each session of TLS 1.3; of earlier ones that of the cache, none with a
            // ticket.
            false if session.version() == "TLSv1.3" => Some(chosen.hello.random),
            false => ticket::take_last_session_id(),
        },
        chain,
        verdict,
        early: Cell::new(session.is_early()),
        offers,
        server_name: chosen.hello.server_name,
        is_named: chosen.is_named,
        trust: Some(chosen.tls.trust.clone()),
        judged: RefCell::default(),
    };
    tls.facts = Some(Rc::new(facts));
}

//! proxy_pass and its siblings: passes a request on to another server or to a program, in any of the protocols in
//! [`protocol`], and processes the response. There are no sockets here: the client's connection
//! ([`crate::conn::upstream`]) gets an address, sends [`UpstreamRequest::pending`], delivers what arrives to
//! [`UpstreamRequest::received`], and reports errors to [`UpstreamRequest::failed`].
//!
//! A request passes through those of the phases BufferBody, Resolve, Pick, Connect, Handshake and SendReceive that it
//! needs; if a server fails, it returns to Pick as long as there is another server and the request can be repeated.
//!
//! Invariant: a server that [`UpstreamRequest::pick`] took from the balance is given back by the connection, which
//! always outlives the handler.
//!
//! - [`find`], [`begin`]: where a request goes, and how it begins; [`state`]: its state
//! - [`sending`], [`reading`]: sends the request, receives the response; [`waiting`]: the events it waits for,
//!   [`timers`]: and until when
//! - [`protocol`]: how the protocols differ: [`http1`], [`gateway`] (FastCGI, SCGI, uwsgi), [`cgi`]
//! - [`respond`], [`rewrite`], [`cookie`], [`early_hints`]: what the response means and how it is passed on
//! - [`upgrade`]: which protocols an upstream may be asked to switch to
//! - [`fault`]: what can go wrong, and whether another server is tried; [`tls`]: which servers are trusted
//! - [`spare`]: buffers that one request leaves for the next
//! - [`store`], [`store_quota`]: responses stored as files; [`spool`], [`overflow`]: responses to slow clients;
//!   [`record`]: the values of variables

pub mod asked;
mod begin;
pub mod cgi;
mod connection_options;
mod cookie;
mod early_hints;
mod executed;
mod fault;
mod find;
mod gateway;
mod header_params;
mod http1;
mod overflow;
mod path_info;
mod programs;
mod protocol;
mod reading;
pub mod record;
mod request;
mod request_body;
pub mod respond;
mod rewrite;
mod sending;
pub mod settings;
pub mod spare;
pub mod spool;
mod state;
mod store;
mod store_quota;
pub mod stored;
pub mod timers;
pub mod tls;
mod upgrade;
mod uri;
mod waiting;

use super::methods;
use crate::config::pass_directives;
use crate::exchange::flow::{Begun, Flow};
use crate::exchange::{Exchange, Printable};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::route::Trace;
use crate::services::Services;
pub use fault::UpstreamFault;
pub use reading::Headed;
use record::Try;
pub use respond::is_intercepted;
pub use settings::settings;
pub use state::{UpstreamPhase, UpstreamRequest};
pub use waiting::Waits;

/// The content phase of a proxied location.
pub fn start(ex: &mut Exchange, cx: &mut Services) -> Begun<UpstreamRequest> {
    let config = ex.config.clone();
    let Some(pass) = config.location(ex.route.location).pass.clone() else {
        return Err(Flow::Status(Status::INTERNAL_SERVER_ERROR));
    };
    let is_tunnel = pass.protocol.is_tunnel();
    if ex.route.method == Method::Trace || is_tunnel != (ex.route.method == Method::Connect) {
        return Err(methods::not_allowed(ex));
    }
    let mut record = ex.log.upstream.take().unwrap_or_else(|| ex.spare.take_record());
    record.protocol = pass.protocol;
    if !record.tries.is_empty() {
        // The previous location's response may end only now, when its error page is requested here.
        record.end(cx.now.ms);
        record.tries.push(Try::default());
    }
    let found = find::find(ex, cx, &pass, &mut record);
    ex.log.upstream = Some(record);
    if found.is_err() {
        let directive = pass_directives::name(pass.protocol);
        cx.trace.say("handler", Some(ex.location().span), || format!("{directive}: destination unknown"));
    }
    let find::PassTarget { upstream, pending, target, is_secure } = found.map_err(Flow::Status)?;
    if let Some(record) = &mut ex.log.upstream {
        record.is_secure = is_secure;
    }
    let tls = if is_secure { Some(tls::secure(ex, cx, &target.host).map_err(Flow::Status)?) } else { None };
    cx.trace.say("handler", Some(ex.location().span), || {
        let port = upstream.port.map_or(String::new(), |port| format!(":{port}"));
        let (directive, scheme) = (pass_directives::name(pass.protocol), pass.protocol.scheme(is_secure));
        format!("{directive}: {scheme}{}{port}{}", upstream.name, Printable(&target.uri))
    });
    let target = find::PassTarget { upstream, pending, target, is_secure };
    let mut request = begin::assemble(ex, cx, pass.protocol, target)?;
    request.tls = tls;
    Ok(request)
}

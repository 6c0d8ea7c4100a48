//! Requests to FastCGI, SCGI and uwsgi applications: the parameters of the configuration, and the client's header fields
//! ([`header_params`](super::header_params)).

use super::header_params::{HEADER, Params, client_lines};
use super::sending::{Body, Framed};
use super::{Proxy, cgi, http1, settings};
use crate::config::model::Level;
use crate::config::settings::gateway::Gateway;
use crate::config::settings::proxy_pass::Protocol;
use crate::config::template::{Builtin, Part, Template, Var};
use crate::exchange::{Exchange, Printable, variables};
use crate::http::h1::framing::Framing;
use crate::http::header::HeaderId;
use crate::http::status::Status;
use crate::http::{fastcgi, scgi};
use crate::services::Services;

/// Writes the request into `proxy.out`, with what there is of its body.
pub fn compose(proxy: &mut Proxy, ex: &mut Exchange, cx: &mut Services) -> Result<(), Status> {
    let settings = settings(ex).clone();
    let (protocol, gateway) = (proxy.protocol, &settings.gateway);
    let caches = settings.cache.takes(ex.route.method);
    let params = params(ex, cx, gateway, settings.pass_request_headers, caches);
    let script = params.iter().find(|(name, _)| name == b"SCRIPT_FILENAME").map(|(_, value)| value);
    if let Some(script) = script.filter(|script| protocol == Protocol::FastCgi && cgi::stored(ex, script)) {
        let shown = Printable(script);
        ex.report(cx, Level::Error, format_args!("\"{shown}\" lies where clients may store files (upload_execute)"));
        return Err(Status::FORBIDDEN);
    }
    let gathered = ex.log.upstream.as_ref().and_then(|record| record.body.as_ref());
    let length = gathered.map(|body| body.len());
    proxy.framed = if protocol == Protocol::FastCgi { Framed::Stdin } else { Framed::Plain };
    proxy.body = match gathered {
        _ if !settings.pass_request_body || ex.request.head.framing == Framing::None => Body::Whole,
        // A subrequest has none of its own.
        None if ex.sub.is_some() => Body::Whole,
        Some(body) if body.file().is_some() => Body::File,
        Some(_) => Body::Whole,
        None => Body::Streamed,
    };
    let length = length.or(match ex.request.head.framing {
        Framing::Length(length) if ex.sub.is_none() => Some(length),
        _ => None,
    });
    let (mut out, mut pairs) = (Vec::with_capacity(2048), Vec::with_capacity(2048));
    let mut fits = true;
    for (name, value) in &params {
        match protocol {
            Protocol::Uwsgi => fits &= scgi::uwsgi_pair(&mut pairs, name, value),
            Protocol::Scgi => scgi::pair(&mut pairs, name, value),
            _ => fastcgi::pair(&mut pairs, name, value),
        }
    }
    match protocol {
        Protocol::Uwsgi => {
            let (first, second) = gateway.modifiers;
            fits &= scgi::uwsgi_head(&mut out, (first as u8, second as u8), &pairs);
        }
        Protocol::Scgi => scgi::head(&mut out, length.unwrap_or(0), &pairs),
        _ => {
            fastcgi::begin(&mut out, gateway.keep_conn);
            fastcgi::params(&mut out, &pairs);
        }
    }
    if !fits {
        let size = pairs.len();
        ex.report(cx, Level::Alert, format_args!("uwsgi request is too big: {size}"));
        return Err(Status::INTERNAL_SERVER_ERROR);
    }
    proxy.out = out;
    proxy.sent = 0;
    if proxy.body == Body::Whole {
        let body = gathered_bytes(ex, settings.pass_request_body);
        proxy.push(&body);
        proxy.push_end();
    }
    Ok(())
}

/// The gathered body where it is in memory.
fn gathered_bytes(ex: &Exchange, passes: bool) -> Vec<u8> {
    let body = ex.log.upstream.as_ref().and_then(|record| record.body.as_ref()).filter(|_| passes);
    body.and_then(|body| body.bytes()).unwrap_or_default().to_vec()
}

/// The configured parameters, then the client's lines that none of them replaces.
fn params(ex: &mut Exchange, cx: &mut Services, gateway: &Gateway, passes_headers: bool, caches: bool) -> Params {
    let mut params = Params::with_capacity(gateway.params.len() + ex.request.head.fields.len());
    for param in gateway.params.iter() {
        let value = variables::text(&param.value, ex, cx);
        if !param.if_not_empty || !value.is_empty() {
            params.push((param.name.to_vec(), value));
        }
    }
    let is_set = |name: &[u8]| gateway.params.iter().any(|param| param.name.eq_ignore_ascii_case(name));
    if !is_set(b"HTTP_HOST") {
        let host = variables::text(&host(), ex, cx);
        params.push((b"HTTP_HOST".to_vec(), host));
    }
    if passes_headers {
        let lines = client_lines(ex, |name| {
            let part = caches && name.strip_prefix(HEADER).is_some_and(is_about_a_part);
            name == b"HTTP_HOST" || part || is_set(name)
        });
        params.extend(lines);
    }
    params
}

/// The parameter's header is not passed where the whole response is asked for.
fn is_about_a_part(name: &[u8]) -> bool {
    let written: Vec<u8> = name.iter().map(|b| if *b == b'_' { b'-' } else { *b }).collect();
    http1::is_about_a_part(HeaderId::of(&written))
}

/// `$host$is_request_port$request_port`: the host that was decided to be meant, not whatever line says so (nginx).
fn host() -> Template {
    let parts = [Builtin::Host, Builtin::IsRequestPort, Builtin::RequestPort];
    Template { parts: parts.into_iter().map(|builtin| Part::Var(Var::Builtin(builtin))).collect() }
}

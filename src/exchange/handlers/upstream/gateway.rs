//! Requests to FastCGI, SCGI and uwsgi applications: the configured parameters, and the client's header fields
//! ([`header_params`](super::header_params)).

use super::executed;
use super::header_params::{HEADER, client_lines, push_target_host};
use super::http1;
use super::request_body::{has_ended_empty, is_spent, passes_body};
use super::settings::settings;
use super::state::{BodyFraming, RequestBody, UpstreamRequest};
use super::stored::{self, PathLinks};
use crate::config::model::Level;
use crate::config::settings::gateway::Gateway;
use crate::config::settings::proxy_pass::Protocol;
use crate::exchange::{Exchange, variables};
use crate::http::body_length::BodyLength;
use crate::http::header::HeaderId;
use crate::http::status::Status;
use crate::http::{fastcgi, scgi};
use crate::services::Services;

/// Writes the request into `request.out`, with the part of its body that has arrived.
pub fn compose(request: &mut UpstreamRequest, ex: &mut Exchange, cx: &mut Services) -> Result<(), Status> {
    let settings = settings(ex).clone();
    let (protocol, gateway) = (request.protocol, &settings.gateway);
    let caches = settings.cache.takes(ex.route.method);
    let mut params = Params { protocol, pairs: ex.spare.take_pairs(), fits: true };
    configured(ex, cx, gateway, &mut params)?;
    if settings.pass_request_headers {
        passed(ex, gateway, caches, &mut params);
    }
    let Params { pairs, mut fits, .. } = params;
    let buffered = ex.progress.body.as_ref();
    let length = buffered.map(|body| body.len());
    request.framing = if protocol == Protocol::FastCgi { BodyFraming::Stdin } else { BodyFraming::Plain };
    request.body = match buffered {
        _ if !passes_body(ex) => RequestBody::Whole,
        // A subrequest has no body of its own.
        None if ex.nesting.subrequest.is_some() => RequestBody::Whole,
        None if has_ended_empty(ex) => RequestBody::Whole,
        // For an empty file, no last piece would trigger the end of the body.
        Some(body) if body.file().is_some() && !body.is_empty() => RequestBody::File,
        Some(_) => RequestBody::Whole,
        None => RequestBody::Streamed,
    };
    let length = length.or(match ex.request.head.body_length {
        BodyLength::Known(length) if ex.nesting.subrequest.is_none() && !is_spent(ex) => Some(length),
        _ => None,
    });
    let mut out = std::mem::take(&mut request.out);
    out.reserve(pairs.len() + 64);
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
    ex.spare.keep_pairs(pairs);
    request.out = out;
    request.sent = 0;
    if request.body == RequestBody::Whole {
        let body = buffered.and_then(|body| body.bytes()).filter(|_| settings.pass_request_body);
        request.push(body.unwrap_or_default());
        request.push_end();
    }
    Ok(())
}

/// Parameters in the format of their protocol.
struct Params {
    protocol: Protocol,
    pairs: Vec<u8>,
    fits: bool,
}

impl Params {
    fn push(&mut self, name: &[u8], value: &[u8]) {
        match self.protocol {
            Protocol::Uwsgi => self.fits &= scgi::uwsgi_pair(&mut self.pairs, name, value),
            Protocol::Scgi => scgi::pair(&mut self.pairs, name, value),
            _ => fastcgi::pair(&mut self.pairs, name, value),
        }
    }

    /// Pushes a parameter whose value `write` appends: directly to the pairs if the protocol allows it, otherwise via
    /// `scratch`. Returns the value.
    fn push_of<'a>(&'a mut self, name: &[u8], scratch: &'a mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> &'a [u8] {
        if matches!(self.protocol, Protocol::Uwsgi | Protocol::Scgi) {
            scratch.clear();
            write(scratch);
            self.push(name, scratch);
            return scratch;
        }
        let start = fastcgi::pair_of(&mut self.pairs, name, write);
        self.pairs.get(start..).unwrap_or_default()
    }
}

/// Whether a configured parameter replaces this client field.
fn is_set(gateway: &Gateway, name: &[u8]) -> bool {
    gateway.params.iter().any(|param| param.is_field && param.name.eq_ignore_ascii_case(name))
}

/// Writes the configured parameters, and `HTTP_HOST`.
///
/// # Errors
/// 403 if the application would execute a file that clients may have stored.
fn configured(ex: &mut Exchange, cx: &mut Services, gateway: &Gateway, params: &mut Params) -> Result<(), Status> {
    let mut scratch = Vec::new();
    let mut programs = stored::is_in_question(ex).then(|| ex.spare.take_programs());
    for param in gateway.params.iter() {
        // An empty value only suppresses the client's field.
        if param.is_field && param.name.starts_with(HEADER) && param.value.is_empty() {
            continue;
        }
        let before = params.pairs.len();
        let value = params.push_of(&param.name, &mut scratch, |value| variables::expand(&param.value, ex, cx, value));
        let is_left_out = param.if_not_empty && value.is_empty();
        if let (Some(programs), Some(role), false) = (&mut programs, param.role, is_left_out) {
            programs.note(role, value);
        }
        if is_left_out {
            params.pairs.truncate(before);
        }
    }
    if let Some(mut programs) = programs {
        executed::find(&mut programs, ex, cx, params.protocol, gateway.modifiers.0);
        for path in programs.paths() {
            stored::check(ex, cx, "", path, PathLinks::Possible)?;
        }
        ex.spare.keep_programs(programs);
    }
    if !is_set(gateway, b"HTTP_HOST") {
        let before = params.pairs.len();
        // Without a Host and a server's name there is none (nginx).
        if params.push_of(b"HTTP_HOST", &mut scratch, |value| push_target_host(ex, cx, value)).is_empty() {
            params.pairs.truncate(before);
        }
    }
    Ok(())
}

/// Writes the client's fields that no configured parameter replaces.
fn passed(ex: &Exchange, gateway: &Gateway, caches: bool, params: &mut Params) {
    let is_replaced = |name: &[u8]| {
        let part = caches && name.strip_prefix(HEADER).is_some_and(is_conditional_or_range);
        name == b"HTTP_HOST" || part || is_set(gateway, name)
    };
    client_lines(ex, is_replaced, |name, value| params.push(name, value));
}

/// Whether a field requests a part of the response or makes it conditional; such fields are not passed if the whole
/// response is needed.
fn is_conditional_or_range(name: &[u8]) -> bool {
    let written: Vec<u8> = name.iter().map(|b| if *b == b'_' { b'-' } else { *b }).collect();
    http1::is_conditional_or_range(HeaderId::of(&written))
}

//! Where a request is passed: to the group of the location's pass directive, or to the one its variables name. A host
//! that is not a group is resolved by the location's resolver.

use super::record::{RequestTarget, UpstreamRecord};
use super::request;
use super::state::{Pending, UpstreamPhase, UpstreamRequest};
use crate::config::addr::PeerAddr;
use crate::config::model::Level;
use crate::config::settings::proxy_pass::{Pass, Protocol, To};
use crate::config::settings::upstream::Upstream;
use crate::config::upstream_url::Url;
use crate::exchange::flow::Flow;
use crate::exchange::{Exchange, variables};
use crate::http::status::Status;
use crate::services::Services;
use crate::services::fair_share::Sharer;
use crate::services::resolver::{Answer, LookupResult, Question, Records, Submitted, Want};
use std::net::Ipv4Addr;
use std::rc::Rc;

/// The group that a request is passed to, and what is requested there.
pub(super) struct PassTarget {
    /// Has no peers while `pending` is set.
    pub upstream: Rc<Upstream>,
    /// The host is being resolved; None: it needs not be.
    pub pending: Option<Pending>,
    /// What is requested.
    pub target: RequestTarget,
    /// Connections to the server are TLS.
    pub is_secure: bool,
}

/// Determines where the location's pass directive sends this request.
pub(super) fn find(
    ex: &mut Exchange,
    cx: &mut Services,
    pass: &Pass,
    record: &mut UpstreamRecord,
) -> Result<PassTarget, Status> {
    let (found, host, port, made): (_, Rc<[u8]>, Rc<[u8]>, _);
    let text;
    let mut is_secure = pass.is_secure;
    match &pass.to {
        To::Fixed { upstream: id, host: fixed, port: number, .. } => {
            found = (cx.upstream_names.current(&ex.config.upstreams[id.at()]), None);
            (host, port, made) = (fixed.clone(), number.clone(), None);
        }
        To::Made(template) => {
            text = variables::text(template, ex, cx);
            let url = Url::of(pass.protocol, &text).map_err(|why| {
                report_url(ex, cx, pass.protocol, &text, why);
                note_host_and_port(record, pass, (Rc::default(), Rc::default()));
                Status::INTERNAL_SERVER_ERROR
            })?;
            (host, port) = (Rc::from(url.header.as_bytes()), url.port_text());
            note_host_and_port(record, pass, (host.clone(), port.clone()));
            is_secure = url.is_secure;
            let port = port_of(&url, pass.protocol);
            found = match group_of(ex, cx, &url, port) {
                Some(upstream) => (upstream, None),
                None => look_up(ex, cx, &url, port)?,
            };
            made = Some(url.uri);
        }
    }
    let uri = if pass.protocol.is_http() { request::target(ex, pass, made) } else { Vec::new() };
    note_host_and_port(record, pass, (host.clone(), port));
    Ok(PassTarget { upstream: found.0, pending: found.1, target: RequestTarget { host, uri }, is_secure })
}

/// Sets `$proxy_host` and `$proxy_port`, which are only set by proxy_pass (nginx).
fn note_host_and_port(record: &mut UpstreamRecord, pass: &Pass, (host, port): (Rc<[u8]>, Rc<[u8]>)) {
    let is_http = pass.protocol.is_http();
    (record.host, record.port) = (is_http.then_some(host), is_http.then_some(port));
}

/// Logs why a value is no URL, in nginx's words.
fn report_url(ex: &mut Exchange, cx: &mut Services, protocol: Protocol, text: &[u8], why: &str) {
    let shown = String::from_utf8_lossy(text);
    let rest = match shown.split_once("://") {
        _ if !protocol.is_http() => Some(&shown[..]),
        Some((_, rest)) if why != "invalid URL prefix" && !rest.is_empty() => Some(rest),
        _ => None,
    };
    match rest {
        Some(rest) => ex.report(cx, Level::Error, format_args!("{why} in upstream \"{rest}\"")),
        None => ex.report(cx, Level::Error, format_args!("invalid URL prefix in \"{shown}\"")),
    }
}

/// The port to connect to. None: the value has to name one, as only HTTP has a default (nginx).
fn port_of(url: &Url<'_>, protocol: Protocol) -> Option<u16> {
    let has_default = protocol.is_http() || url.host.starts_with("unix:");
    url.port.or(has_default.then_some(url.default_port()))
}

/// Finds the group for a URL with variables: a group of the configuration, or a literal address.
fn group_of(ex: &Exchange, cx: &mut Services, url: &Url<'_>, port: Option<u16>) -> Option<Rc<Upstream>> {
    let same = |upstream: &&Rc<Upstream>| {
        let port_fits = match upstream.block {
            true => url.port.is_none(),
            false => port.is_some_and(|port| upstream.port.unwrap_or(80) == port),
        };
        upstream.name.eq_ignore_ascii_case(url.host) && port_fits
    };
    if let Some(upstream) = ex.config.upstreams.iter().find(same) {
        return Some(cx.upstream_names.current(upstream));
    }
    let literal = url.host.starts_with("unix:") || url.host.starts_with('[') || url.host.parse::<Ipv4Addr>().is_ok();
    if !literal {
        return None;
    }
    let addr = PeerAddr::parse(url.host.as_bytes(), port?).ok()?;
    Some(Rc::new(Upstream::of(url.host, addr)))
}

type Looked = (Rc<Upstream>, Option<Pending>);

/// Starts to resolve the host.
fn look_up(ex: &mut Exchange, cx: &mut Services, url: &Url<'_>, port: Option<u16>) -> Result<Looked, Status> {
    let Some(port) = port else {
        ex.report(cx, Level::Error, format_args!("no port in upstream \"{}\"", url.host));
        return Err(Status::INTERNAL_SERVER_ERROR);
    };
    let names = ex.location().settings.names.clone();
    let Some(settings) = &names.resolver else {
        ex.report(cx, Level::Error, format_args!("no resolver defined to resolve {}", url.host));
        return Err(Status::BAD_GATEWAY);
    };
    let owner = cx.syncs.driven;
    let client = Some(Sharer::of(ex.client.peer.octets()));
    let (name, timeout) = (url.host.as_bytes(), names.timeout.0);
    let question = Question { settings, name, want: Want::Addresses, timeout, owner, client };
    match cx.resolver.ask(&question, cx.now.ms) {
        Submitted::Now(outcome) => upstream_at(ex, cx, url.host, port, outcome).map(|upstream| (upstream, None)),
        Submitted::Later(ticket) => {
            let pending = Pending { ticket, host: url.host.into(), port };
            Ok((Rc::new(Upstream::named(url.host)), Some(pending)))
        }
    }
}

/// The servers at the addresses of a host.
fn upstream_at(
    ex: &mut Exchange,
    cx: &mut Services,
    host: &str,
    port: u16,
    outcome: LookupResult,
) -> Result<Rc<Upstream>, Status> {
    match outcome {
        Ok(Answer { found: Records::Addresses(ips), .. }) => Ok(cx.host_groups.at(host, &ips, port)),
        Ok(_) => Err(Status::BAD_GATEWAY),
        Err(failure) => {
            ex.report(cx, Level::Error, format_args!("{host} could not be resolved {failure}"));
            Err(Status::BAD_GATEWAY)
        }
    }
}

impl UpstreamRequest {
    /// [`UpstreamPhase::Resolve`]: whether the host's addresses are known now. Err: the lookup failed.
    pub fn resolved(&mut self, ex: &mut Exchange, cx: &mut Services) -> Result<bool, Flow> {
        let Some(pending) = &self.pending else { return Ok(true) };
        let Some(outcome) = cx.resolver.take(pending.ticket) else { return Ok(false) };
        let (host, port) = (pending.host.clone(), pending.port);
        self.pending = None;
        let upstream = upstream_at(ex, cx, &host, port, outcome).map_err(Flow::Status)?;
        self.set_group(ex, upstream);
        self.phase = UpstreamPhase::Pick;
        Ok(true)
    }
}

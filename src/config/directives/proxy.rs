//! Proxying and the requests sent to upstreams: what is passed, to which server, with which timeouts. Responses are in
//! `proxy_response`, `proxy_pass` has a file of its own.

use super::headers::header_name;
use crate::config::addr::literal_address;
use crate::config::argument::invalid;
use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::model::Settings;
use crate::config::row::{Effect, Row, row};
use crate::config::settings::proxy::{NextUpstream, ProxySettings};
use crate::http::version::Version;
use std::rc::Rc;

/// The settings of a level, copied from the outer level at the first change.
pub(super) fn proxy(s: &mut Settings) -> &mut ProxySettings {
    Rc::make_mut(&mut s.proxy)
}

/// Selects a directive's settings.
pub(super) type Of = fn(&mut Settings) -> &mut ProxySettings;

const HSL: Contexts = Contexts::HSL;

pub const ROWS: &[Row] = &[
    row(
        "proxy_set_header",
        HSL,
        Args::TAKE2,
        "Host $proxy_host",
        Effect::Many(set_header),
        "Sets a header field of the proxied request; an empty value removes it. Lines of a level replace all \
         inherited ones. Host is $proxy_host by default; Connection, Upgrade, Keep-Alive, TE, Expect and \
         Proxy-Connection are only passed if set. Of an Upgrade from a variable, protocols that carry requests (h2c, \
         HTTP, TLS) are removed.",
    ),
    row(
        "proxy_pass_request_headers",
        HSL,
        Args::FLAG,
        "on",
        Effect::Flag(|s| &mut proxy(s).pass_request_headers),
        "Whether the client's header lines are passed.",
    ),
    row(
        "proxy_pass_request_body",
        HSL,
        Args::FLAG,
        "on",
        Effect::Flag(|s| &mut proxy(s).pass_request_body),
        "Whether the client's body is passed; off also wants proxy_set_header Content-Length \"\".",
    ),
    row(
        "proxy_http_version",
        HSL,
        Args::TAKE1,
        "1.1",
        Effect::Once(version),
        "Version of passed requests: 1.0 or 1.1. 2 is refused.",
    ),
    row(
        "proxy_method",
        HSL,
        Args::TAKE1,
        "",
        Effect::Once(|s, b, d| {
            proxy(&mut s.settings).method = Some(b.template(d, 0)?);
            Ok(())
        }),
        "Method of passed requests instead of the client's.",
    ),
    row(
        "proxy_set_body",
        HSL,
        Args::TAKE1,
        "",
        Effect::Once(|s, b, d| {
            proxy(&mut s.settings).body = Some(b.template(d, 0)?);
            Ok(())
        }),
        "Body of passed requests instead of the client's.",
    ),
    row(
        "proxy_connect_timeout",
        HSL,
        Args::TAKE1,
        "60s",
        Effect::Time(|s| &mut proxy(s).connect_timeout),
        "Time for a connection to be made; then the next server, or 504.",
    ),
    row(
        "proxy_send_timeout",
        HSL,
        Args::TAKE1,
        "60s",
        Effect::Time(|s| &mut proxy(s).send_timeout),
        "Time between two writes of the passed request; then the next server, or 504.",
    ),
    row(
        "proxy_read_timeout",
        HSL,
        Args::TAKE1,
        "60s",
        Effect::Time(|s| &mut proxy(s).read_timeout),
        "Time between two reads of the response; then the next server, or 504.",
    ),
    row(
        "proxy_bind",
        HSL,
        Args::TAKE12,
        "off",
        Effect::Once(|s, b, d| bind(proxy, s, b, d)),
        "Address that connections to upstreams come from: an address, address:port, a value with variables, or off. \"transparent\" is refused.",
    ),
    row(
        "proxy_socket_keepalive",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut proxy(s).socket_keepalive),
        "Whether the system probes connections to upstreams that are silent (SO_KEEPALIVE).",
    ),
    row(
        "proxy_request_buffering",
        HSL,
        Args::FLAG,
        "on",
        Effect::Flag(|s| &mut proxy(s).request_buffering),
        "on: the body is read before an upstream is asked, into a file where it exceeds client_body_buffer_size; it can be sent again to the next server. off: it is passed on as it comes, and then only a server that was not reached is replaced.",
    ),
    row(
        "proxy_next_upstream",
        HSL,
        Args::ONE_OR_MORE,
        "error timeout",
        Effect::Many(|s, _, d| add_words(s.first, &mut proxy(&mut s.settings).next, d, NextUpstream::WORDS)),
        "What makes a request go to the next server: error, timeout, invalid_header, http_500, http_502, http_503, http_504, http_403, http_404, http_429, non_idempotent, off.",
    ),
    row(
        "proxy_next_upstream_tries",
        HSL,
        Args::TAKE1,
        "0",
        Effect::Number(|s| &mut proxy(s).next_tries),
        "How many servers are tried; 0 is all of them.",
    ),
    row(
        "proxy_next_upstream_timeout",
        HSL,
        Args::TAKE1,
        "0",
        Effect::Time(|s| &mut proxy(s).next_timeout),
        "For how long further servers are tried; 0 is no limit.",
    ),
    row(
        "proxy_ignore_client_abort",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut proxy(s).ignore_client_abort),
        "Whether a request goes on at the upstream when its client has left. It ends when writing the response to the client fails.",
    ),
];

fn set_header(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let name = header_name(b, d)?;
    let value = b.template(d, 1)?;
    proxy(&mut s.settings).set_headers.add(s.first, (name, value));
    Ok(())
}

fn version(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    proxy(&mut s.settings).version = match d.args[0].bytes() {
        b"1.0" => Version::Http10,
        b"1.1" => Version::Http11,
        b"2" => return Err(Fault::new(d.args[0].span, "\"proxy_http_version 2\" is not supported").help("1.0 or 1.1")),
        _ => return Err(invalid(d, 0).help("1.0 or 1.1")),
    };
    Ok(())
}

/// `proxy_bind` and its counterparts: an address, a template that makes one, or `off`. nginx's `transparent` is
/// refused.
pub(super) fn bind(of: Of, s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    if let Some(word) = d.args.get(1) {
        let fault = Fault::new(word.span, format!("invalid parameter \"{}\"", word.str()));
        return Err(match word.is("transparent") {
            true => Fault::new(word.span, format!("\"{} … transparent\" is not supported", d.name.str()))
                .help("pass the client's address in X-Forwarded-For"),
            false => fault,
        });
    }
    let template = b.template(d, 0)?;
    let off = d.args[0].is("off");
    if !off && template.constant().is_some_and(|text| literal_address(text).is_none()) {
        return Err(Fault::new(d.args[0].span, format!("invalid address \"{}\"", d.args[0].str())));
    }
    of(&mut s.settings).bind = (!off).then_some(template);
    Ok(())
}

/// The conditions of proxy_next_upstream and its counterparts; several directives of one block add up (nginx).
pub(super) fn add_words(
    first: bool,
    next: &mut NextUpstream,
    d: &Directive,
    words: &[(&str, NextUpstream)],
) -> Outcome {
    let mut set = if first { 0 } else { next.0 };
    for word in &d.args {
        match words.iter().find(|(name, _)| word.bytes().eq_ignore_ascii_case(name.as_bytes())) {
            Some((_, bit)) => set |= bit.0,
            None => return Err(Fault::new(word.span, format!("invalid value \"{}\"", word.str()))),
        }
    }
    let off = d.args.iter().any(|word| word.is("off"));
    *next = NextUpstream(if off { 0 } else { set });
    Ok(())
}

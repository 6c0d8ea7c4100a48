//! `tunnel_pass`: CONNECT requests become tunnels to a server, relayed unchanged in both directions. Its settings have
//! the same type as those of proxying.

use super::proxy::{add_words, bind};
use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::model::{ContentHandler, Settings};
use crate::config::row::{Effect, Row, row};
use crate::config::settings::proxy::{NextUpstream, ProxySettings};
use crate::config::settings::proxy_pass::{Pass, Protocol, To};
use crate::config::upstream_url::Url;
use std::rc::Rc;

const HSL: Contexts = Contexts::HSL;

fn tunnel(s: &mut Settings) -> &mut ProxySettings {
    Rc::make_mut(&mut s.tunnel)
}

pub const ROWS: &[Row] = &[
    row(
        "tunnel_pass",
        Contexts::SERVER.or(Contexts::LOCATION).or(Contexts::IF_LOCATION),
        Args::range(0, 1),
        "$host:$request_port",
        Effect::Once(pass),
        "Opens a tunnel for CONNECT requests: to the host and port that the client names, or to host:port, unix:path \
         or an upstream; variables are resolved by `resolver`. Other methods get 405, as does CONNECT over HTTP/1.0 \
         and HTTP/2. Clients reach all that this server reaches: restrict them (`allow`, `auth_basic`), or map \
         $host.",
    ),
    row(
        "tunnel_bind",
        HSL,
        Args::TAKE12,
        "off",
        Effect::Once(|s, b, d| bind(tunnel, s, b, d)),
        "Address that tunnels to servers come from: an address, address:port, a value with variables, or off.",
    ),
    row(
        "tunnel_socket_keepalive",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut tunnel(s).socket_keepalive),
        "Whether the system probes connections to servers that are silent (SO_KEEPALIVE).",
    ),
    row(
        "tunnel_connect_timeout",
        HSL,
        Args::TAKE1,
        "60s",
        Effect::Time(|s| &mut tunnel(s).connect_timeout),
        "Time for a connection to be made; then the next server, or 504.",
    ),
    row(
        "tunnel_send_timeout",
        HSL,
        Args::TAKE1,
        "60s",
        Effect::Time(|s| &mut tunnel(s).send_timeout),
        "Time between two writes to the server; then the tunnel ends.",
    ),
    row(
        "tunnel_read_timeout",
        HSL,
        Args::TAKE1,
        "60s",
        Effect::Time(|s| &mut tunnel(s).read_timeout),
        "Time without a byte either way; then the tunnel ends.",
    ),
    row(
        "tunnel_buffer_size",
        HSL,
        Args::TAKE1,
        "4k",
        Effect::Size(|s| &mut tunnel(s).buffer_size),
        "Accepted: how much waits for the slower side is bounded all the same.",
    ),
    row(
        "tunnel_next_upstream",
        HSL,
        Args::ONE_OR_MORE,
        "error timeout",
        Effect::Many(next_upstream),
        "What makes a request go to the next server: error, timeout, off.",
    ),
    row(
        "tunnel_next_upstream_tries",
        HSL,
        Args::TAKE1,
        "0",
        Effect::Number(|s| &mut tunnel(s).next_tries),
        "How many servers are tried; 0 is all of them.",
    ),
    row(
        "tunnel_next_upstream_timeout",
        HSL,
        Args::TAKE1,
        "0",
        Effect::Time(|s| &mut tunnel(s).next_timeout),
        "For how long further servers are tried; 0 is no limit.",
    ),
];

fn pass(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let (text, span) =
        d.args.first().map_or((&b"$host:$request_port"[..], d.name.span), |word| (word.bytes(), word.span));
    let template = b.template_of(text, span)?;
    let to = match template.constant() {
        None => To::Made(template),
        Some(text) => {
            let url = Url::of(Protocol::Tunnel, text)
                .map_err(|why| Fault::new(span, format!("{why} in upstream \"{}\"", String::from_utf8_lossy(text))))?;
            To::Fixed {
                upstream: b.upstreams.refer_with_port(url.host, url.port, span),
                host: url.header.as_bytes().into(),
                port: url.port_text(),
                uri: Box::default(),
                url: text.into(),
            }
        }
    };
    s.own.pass = Some(Rc::new(Pass { protocol: Protocol::Tunnel, to, location: Box::default(), is_secure: false }));
    s.own.content = ContentHandler::Proxy;
    Ok(())
}

fn next_upstream(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    const WORDS: &[(&str, NextUpstream)] =
        &[("error", NextUpstream::ERROR), ("timeout", NextUpstream::TIMEOUT), ("off", NextUpstream(0))];
    add_words(s.first, &mut tunnel(&mut s.settings).next, d, WORDS)
}

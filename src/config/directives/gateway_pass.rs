//! `fastcgi_pass`, `scgi_pass` and `uwsgi_pass`: where requests are passed by a gateway protocol.

use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::model::ContentHandler;
use crate::config::row::{Effect, Row, row};
use crate::config::settings::proxy_pass::{Pass, Protocol, To};
use crate::config::upstream_url::Url;
use std::rc::Rc;

const PLACES: Contexts = Contexts::LOCATION.or(Contexts::IF_LOCATION);

pub const ROWS: &[Row] = &[
    row(
        "fastcgi_pass",
        PLACES,
        Args::TAKE1,
        "",
        Effect::Once(|s, b, d| pass(Protocol::FastCgi, s, b, d)),
        "Passes requests to a FastCGI application such as php-fpm: host:port, unix:path or the name of an upstream; variables are allowed. Its parameters are set by fastcgi_param: `include fastcgi.conf;` is a good start.",
    ),
    row(
        "scgi_pass",
        PLACES,
        Args::TAKE1,
        "",
        Effect::Once(|s, b, d| pass(Protocol::Scgi, s, b, d)),
        "Passes requests to an SCGI application: host:port, unix:path or the name of an upstream; variables are allowed. Its parameters are set by scgi_param: `include scgi_params;` is a good start.",
    ),
    row(
        "uwsgi_pass",
        PLACES,
        Args::TAKE1,
        "",
        Effect::Once(|s, b, d| pass(Protocol::Uwsgi, s, b, d)),
        "Passes requests to a uwsgi application server: [uwsgi://]host:port, unix:path or the name of an upstream; variables are allowed. suwsgi:// speaks TLS with it (`uwsgi_ssl_…`). Its parameters are set by uwsgi_param: `include uwsgi_params;` is a good start.",
    ),
];

fn pass(protocol: Protocol, s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let word = &d.args[0];
    let template = b.template(d, 0)?;
    let to = match template.constant() {
        None => To::Made(template),
        Some(text) => {
            let url = Url::of(protocol, text)
                .map_err(|why| Fault::new(word.span, format!("{why} in upstream \"{}\"", word.str())))?;
            To::Fixed {
                upstream: b.upstreams.refer_with_port(url.host, url.port, word.span),
                host: url.header.as_bytes().into(),
                port: url.port_text(),
                uri: Box::default(),
                url: text.into(),
            }
        }
    };
    let is_secure = matches!(&to, To::Fixed { url, .. } if Url::of(protocol, url).is_ok_and(|url| url.is_secure));
    s.own.pass = Some(Rc::new(Pass { protocol, to, location: Box::default(), is_secure }));
    s.own.content = ContentHandler::Proxy;
    Ok(())
}

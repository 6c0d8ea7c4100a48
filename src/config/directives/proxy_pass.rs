//! `proxy_pass`: where requests are passed. Its URL is parsed while loading; if it has variables, the same function
//! parses it for each request.

use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::model::ContentHandler;
use crate::config::row::{Effect, Row, row};
use crate::config::settings::proxy_pass::{Pass, Protocol, To};
use crate::config::upstream_url::Url;
use std::rc::Rc;

pub const ROWS: &[Row] = &[row(
    "proxy_pass",
    Contexts::LOCATION.or(Contexts::IF_LOCATION).or(Contexts::LIMIT_EXCEPT),
    Args::TAKE1,
    "",
    Effect::Once(proxy_pass),
    "Passes requests to an HTTP/1.x server: http://host[:port][/uri], http://unix:path[:/uri], http://UPSTREAM, or \
     https:// (`proxy_ssl_…`). A URI replaces the location's prefix. Variables may form an address, a Unix path, a \
     group's name or a host; a host that the configuration sets (`set $app host;`) is resolved when it is read.",
)];

fn proxy_pass(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let word = &d.args[0];
    let template = b.template(d, 0)?;
    // A location by regex, by name or by condition has no prefix that a URI could replace.
    let has_prefix = s.context == Contexts::LOCATION && !s.own.regex && !s.own.named;
    let name = s.own.location_name();
    let to = match template.constant() {
        None => To::Made(template),
        Some(text) => {
            let url = Url::parse(text).map_err(|why| Fault {
                help: (why == "invalid URL prefix").then(|| "proxy_pass http://host:port;".into()),
                ..Fault::new(word.span, why)
            })?;
            if !url.uri.is_empty() && !has_prefix {
                return Err(Fault::new(
                    word.span,
                    "\"proxy_pass\" cannot have URI part in location given by regular expression, or inside named \
                     location, or inside \"if\" statement, or inside \"limit_except\" block",
                ));
            }
            To::Fixed {
                upstream: match url.is_secure && url.port.is_none() && !url.host.starts_with("unix:") {
                    true => b.upstreams.refer_secure(url.host, word.span),
                    false => b.upstreams.refer(url.host, url.port, word.span),
                },
                host: url.header.as_bytes().into(),
                port: url.port_text(),
                uri: url.uri.into(),
                url: text.into(),
            }
        }
    };
    let is_secure =
        matches!(&to, To::Fixed { url, .. } if url.get(..5).is_some_and(|s| s.eq_ignore_ascii_case(b"https")));
    s.own.pass = Some(Rc::new(Pass {
        is_secure,
        protocol: Protocol::Http1,
        to,
        location: if has_prefix { name.into() } else { Box::default() },
    }));
    s.own.content = ContentHandler::Proxy;
    Ok(())
}

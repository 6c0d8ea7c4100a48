//! `proxy_cache` and its counterparts for the gateways. Nothing is cached, but the upstream request and the client's
//! response are those of a cache miss in nginx: the whole response is requested, and conditions and ranges are
//! evaluated here.

use super::gateway::{fastcgi, scgi, uwsgi};
use super::proxy::{Of, proxy};
use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::row::{Effect, Row, row};
use crate::config::settings::proxy::{Cache, Store};
use crate::http::method::Method;

const HSL: Contexts = Contexts::HSL;

const DOC: &str = "Nothing is cached, unlike nginx: the application gets each request, as a miss in nginx is passed: without Range and If-… lines, which are then judged here. off is the default.";
const METHODS: &str =
    "Methods whose requests are passed as the misses of a cache, besides GET and HEAD: GET, HEAD, POST.";

macro_rules! common {
    ($prefix:literal, $of:ident) => {
        &[
            row(
                concat!($prefix, "_cache"),
                HSL,
                Args::TAKE1,
                "off",
                Effect::Once(|s, b, d| cache($of, (concat!($prefix, "_cache"), concat!($prefix, "_store")), s, b, d)),
                DOC,
            ),
            row(
                concat!($prefix, "_cache_methods"),
                HSL,
                Args::ONE_OR_MORE,
                "GET HEAD",
                Effect::Many(|s, _, d| methods($of, s, d)),
                METHODS,
            ),
        ]
    };
}

/// `proxy_cache` and so on.
pub const PROXY: &[Row] = common!("proxy", proxy);
/// `fastcgi_cache` and so on.
pub const FASTCGI: &[Row] = common!("fastcgi", fastcgi);
/// `scgi_cache` and so on.
pub const SCGI: &[Row] = common!("scgi", scgi);
/// `uwsgi_cache` and so on.
pub const UWSGI: &[Row] = common!("uwsgi", uwsgi);

/// What only proxying has.
pub const ROWS: &[Row] = &[row(
    "proxy_cache_convert_head",
    HSL,
    Args::FLAG,
    "on",
    Effect::Flag(|s| &mut proxy(s).cache.convert_head),
    "Whether a HEAD of a location with proxy_cache is passed as GET, as nginx does for its cache.",
)];

fn cache(of: Of, (name, store): (&'static str, &'static str), s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let on = !d.args[0].is("off");
    if d.args[0].is_empty() {
        return Err(Fault::new(d.args[0].span, format!("invalid value \"\" in \"{name}\" directive")));
    }
    if on {
        b.note_ignored(name, d, "responses of upstreams are not cached; each request goes to the upstream");
    }
    let zone = b.template(d, 0)?;
    if on && zone.constant().is_some() {
        let module = name.trim_end_matches("_cache");
        b.caches.used.push((module.into(), d.args[0].str().into(), d.args[0].span));
    }
    let stores_here = s.seen.contains(&store);
    let proxy = of(&mut s.settings);
    if on && proxy.store != Store::Off {
        if stores_here {
            return Err(Fault::new(d.name.span, format!("\"{name}\" directive is incompatible with \"{store}\"")));
        }
        proxy.store = Store::Off;
    }
    proxy.cache.on = on;
    Ok(())
}

fn methods(of: Of, s: &mut Scope, d: &Directive) -> Outcome {
    let first = s.first;
    let methods = &mut of(&mut s.settings).cache.methods;
    if first {
        *methods = Cache::default().methods;
    }
    for word in &d.args {
        *methods = match &word.lower()[..] {
            b"get" => methods.with(Method::Get),
            b"head" => methods.with(Method::Head),
            b"post" => methods.with(Method::Post),
            _ => return Err(Fault::new(word.span, format!("invalid value \"{}\"", word.str()))),
        };
    }
    Ok(())
}

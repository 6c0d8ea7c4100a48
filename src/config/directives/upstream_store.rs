//! `proxy_store` and its counterparts for the gateways: storing responses as files.

use super::gateway::{fastcgi, scgi, uwsgi};
use super::proxy::{Of, proxy};
use crate::config::argument::wrong;
use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::row::{Effect, Row, row};
use crate::config::settings::proxy::Store;
use crate::config::value::Mode;

const HSL: Contexts = Contexts::HSL;

const STORE: &str = "Stores responses with status 200 as files: on (the path of root or alias), a path with variables, or off. A file \
    appears whole or not at all, with the time of Last-Modified, replacing an older one; missing directories are \
    created, nothing outside the root is written. Incomplete responses and those \
    beyond upload_quota are not stored.";
const ACCESS: &str =
    "Mode of stored files: user:rw group:r all:r. Directories that are made may be entered by those who may read them.";

macro_rules! common {
    ($prefix:literal, $of:ident) => {
        &[
            row(
                concat!($prefix, "_store"),
                HSL,
                Args::TAKE1,
                "off",
                Effect::Once(|s, b, d| store($of, concat!($prefix, "_cache"), s, b, d)),
                STORE,
            ),
            row(
                concat!($prefix, "_store_access"),
                HSL,
                Args::TAKE123,
                "user:rw",
                Effect::Once(|s, _, d| access($of, s, d)),
                ACCESS,
            ),
        ]
    };
}

/// `proxy_store`, `proxy_store_access`.
pub const PROXY: &[Row] = common!("proxy", proxy);
/// `fastcgi_store`, `fastcgi_store_access`.
pub const FASTCGI: &[Row] = common!("fastcgi", fastcgi);
/// `scgi_store`, `scgi_store_access`.
pub const SCGI: &[Row] = common!("scgi", scgi);
/// `uwsgi_store`, `uwsgi_store_access`.
pub const UWSGI: &[Row] = common!("uwsgi", uwsgi);

fn store(of: Of, cache: &'static str, s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let store = match d.args[0].bytes() {
        b"off" => Store::Off,
        b"" => return Err(Fault::new(d.args[0].span, "empty path")),
        b"on" => Store::On,
        _ => Store::Path(b.path_template(d, 0)?),
    };
    let caches_here = s.seen.contains(&cache);
    let proxy = of(&mut s.settings);
    if store != Store::Off && proxy.cache.on && caches_here {
        return Err(Fault::new(
            d.name.span,
            format!("\"{}\" directive is incompatible with \"{cache}\"", d.name.str()),
        ));
    }
    // It disables a cache of an outer level (nginx).
    proxy.cache.on &= store == Store::Off;
    proxy.store = store;
    Ok(())
}

fn access(of: Of, s: &mut Scope, d: &Directive) -> Outcome {
    let mode = Mode::parse(d.args.iter().map(|word| word.bytes())).map_err(|(at, e)| wrong(d, at, e))?;
    of(&mut s.settings).store_mode = mode;
    Ok(())
}

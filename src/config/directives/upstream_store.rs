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

const STORE: &str = "Where responses with status 200 are kept as files, besides being sent to the client: on (the file that root or alias lead to), a path with variables, or off. A file appears there whole or not at all, with the time of Last-Modified, and takes the place of what had its name; missing directories are made. It is written beside its place, so no temporary path is needed and nothing is moved between file systems. Nothing outside the root, or outside what the path says before its first variable, is reached by `..` or through a link. What an upstream breaks off is not kept; what a client breaks off is read to its end and kept. Under the location's upload_quota one that has no room is sent, but not kept, which is logged: as soon as its length tells, or as it grows.";
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

//! The values of variables. They are appended to the caller's buffer, and computed only when they are used.
//!
//! | family | variables |
//! |---|---|
//! | [`request`] | the request's line, fields and body, and what was decided about it |
//! | [`response`] | its status, its fields, how much of it was sent |
//! | [`connection`] | both ends of it |
//! | [`process`] | the server, clocks and counters |
//! | [`path`] | the file that a request is mapped to |
//! | [`upstream`] | requests to upstreams and their responses |
//! | `map`, `geo`, `murmur` | what the configuration computes: map, geo, split_clients |
//! | `exchange::tls` | `$ssl_…` |

mod connection;
mod date;
mod geo;
mod keep;
mod map;
mod murmur;
mod path;
mod process;
mod put;
pub mod referer;
mod request;
mod response;
mod script_name;
mod secure_link;
mod upstream;

pub use put::{Is, put_msec, put_peer, put_port, put_seconds};
pub use request::remote_user_of;

use super::{Exchange, Tx, tls};
use crate::config::model::Level;
use crate::config::template::{Builtin, Part, Source, Template, Var};
use crate::services::Services;
use crate::util::text::Text;
use keep::Keep;
use put::{joined, put, when};

/// Variables that are made of variables, at most this deep; more is a cycle (nginx's number).
const DEEPEST: u8 = 100;
/// Values up to this length are not counted: a configuration must be long to make many of one request.
const SHORT: usize = 256;
/// What looking for one argument or cookie in a byte counts for, in bytes of values: its time.
const SEARCHED: usize = 2;

/// Appends the template's value to `out`.
pub fn expand(template: &Template, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) {
    // Most are a text or one variable.
    match &template.parts[..] {
        [Part::Literal(text)] => out.extend_from_slice(text),
        [Part::Var(var)] => drop(value(var, ex, cx, out)),
        _ => drop(expand_counting(template, ex, cx, out)),
    }
}

/// As [`expand`]. Returns how long the value of the template's first part is.
pub fn expand_counting(template: &Template, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) -> usize {
    let (from, mut first) = (out.len(), 0);
    let mut captured = false;
    for (at, part) in template.parts.iter().enumerate() {
        append(part, captured.then(|| &template.parts[at + 1..]), ex, cx, out);
        captured |= matches!(part, Part::Capture(_));
        if at == 0 {
            first = out.len() - from;
        }
    }
    first
}

/// As [`expand`], for templates in which some variables have other values: `own` appends such a value and returns
/// true.
pub fn expand_by(
    template: &Template,
    ex: &mut Exchange,
    cx: &mut Services,
    mut own: impl FnMut(&Var, &mut Exchange, &mut Services, &mut Vec<u8>) -> bool,
) -> Vec<u8> {
    let (mut out, mut captured) = (Vec::new(), false);
    for (at, part) in template.parts.iter().enumerate() {
        match part {
            Part::Var(var) if own(var, ex, cx, &mut out) => {}
            _ => append(part, captured.then(|| &template.parts[at + 1..]), ex, cx, &mut out),
        }
        captured |= matches!(part, Part::Capture(_));
    }
    out
}

/// Appends the value of a part. `rest`: the parts after it, if there is a capture before it.
fn append(part: &Part, rest: Option<&[Part]>, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) {
    match (part, rest) {
        (Part::Literal(text), _) => out.extend_from_slice(text),
        (Part::Capture(group), _) => out.extend_from_slice(capture(ex, *group)),
        (Part::Var(var), Some(rest)) => value_between(rest, var, ex, cx, out),
        (Part::Var(var), None) => drop(value(var, ex, cx, out)),
    }
}

/// The value of a variable behind a capture, in a text that goes on with `rest`: if captures follow, they are of the
/// same match, whatever a `map` matches meanwhile.
pub fn value_between(rest: &[Part], var: &Var, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) {
    if !rest.iter().any(|part| matches!(part, Part::Capture(_))) {
        value(var, ex, cx, out);
        return;
    }
    let kept = (ex.route.groups, ex.route.subject.clone());
    value(var, ex, cx, out);
    (ex.route.groups, ex.route.subject) = kept;
}

/// The template's value as a buffer of its own.
pub fn text(template: &Template, ex: &mut Exchange, cx: &mut Services) -> Vec<u8> {
    let mut out = Vec::new();
    expand(template, ex, cx, &mut out);
    out
}

/// The values of these, one behind the other.
pub fn builtins(builtins: &[Builtin], ex: &mut Exchange, cx: &mut Services) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    append_builtins(builtins, ex, cx, &mut out);
    out
}

/// Appends the values of these.
pub fn append_builtins(builtins: &[Builtin], ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) {
    for builtin in builtins {
        value(&Var::Builtin(*builtin), ex, cx, out);
    }
}

/// True as in nginx: neither empty nor "0".
pub fn is_true(value: &[u8]) -> bool {
    !matches!(value, b"" | b"0")
}

/// `$1` to `$9`: a group of the last regex that matched; empty if that has no such group.
pub fn capture(ex: &Exchange, group: u8) -> &[u8] {
    match ex.route.groups.get(usize::from(group)).copied().flatten() {
        Some((start, end)) => ex.route.subject.get(start as usize..end as usize).unwrap_or_default(),
        None => b"",
    }
}

/// Appends the value of one variable. Where the request's values are too long together it is unset, and the request is
/// answered with 500 ([`super::route_state::RouteState::evaluation_failed`]).
pub fn value(var: &Var, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) -> Is {
    let from = out.len();
    let is = uncounted(var, ex, cx, out);
    let searched = match var {
        Var::Arg(_) => SEARCHED * ex.route.args.len(),
        Var::Cookie(_) => SEARCHED * ex.request.text.len(),
        _ => 0,
    };
    if takes(out.len().saturating_sub(from) + searched, ex, cx) {
        return is;
    }
    out.truncate(from);
    Is::Unset
}

/// Counts bytes that a request's values took. False: they are too many, and it is answered with 500.
pub fn takes(len: usize, ex: &mut Exchange, cx: &mut Services) -> bool {
    if len <= SHORT || ex.route.effort.spend(|effort| effort.has_value(len)) {
        return true;
    }
    if !std::mem::replace(&mut ex.route.evaluation_failed, true) {
        ex.report(cx, Level::Error, format_args!("the values of variables are too long together"));
    }
    false
}

fn uncounted(var: &Var, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) -> Is {
    ex.basis.varies();
    if let Some(at) = ex.config.variables.redefinition(var)
        && !is_untouched(at, ex)
    {
        return user(at, ex, cx, out);
    }
    match var {
        Var::Builtin(Builtin::SecureLink) => secure_link::state(ex, cx, out, text),
        Var::Builtin(Builtin::SecureLinkExpires) => secure_link::expires(ex, cx, out, text),
        Var::Builtin(builtin) => builtin_value(*builtin, ex, cx, out),
        Var::Arg(name) => put(request::argument(&ex.route.args, name), out),
        Var::Http(name) => request::field(ex, name, out),
        Var::Cookie(name) => put(request::cookie(ex, name), out),
        Var::SentHttp(name) => response::field(ex, name, out),
        Var::SentTrailer(name) => joined(ex.response.trailers.iter(), name, out),
        Var::ProxyProtocolTlv(name) => {
            let name = String::from_utf8_lossy(name);
            put(ex.client.proxy_header().and_then(|header| header.tlv(&name)).as_deref(), out)
        }
        Var::UploadField(name) => put(ex.log.upload.as_ref().and_then(|record| record.field(name)), out),
        Var::Absent => Is::Unset,
        Var::UpstreamHttp(name) => upstream::record(ex, |record| record.header(name, out)),
        Var::UpstreamCookie(name) => upstream::record(ex, |record| record.cookie(name, out)),
        Var::UpstreamTrailer(name) => upstream::record(ex, |record| record.trailer(name, out)),
        Var::User(at) => user(*at, ex, cx, out),
    }
}

/// No `set` and no capture has given it a value in this request: `$arg_a` is the request's own then, as in nginx.
fn is_untouched(at: u32, ex: &Exchange) -> bool {
    let is_stored = ex.route.user.get(at).is_some();
    let defined = ex.config.variables.defined.get(at as usize);
    !is_stored && matches!(defined, Some((_, Source::Stored | Source::Captured)))
}

fn user(at: u32, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) -> Is {
    if let Some(value) = ex.route.user.get(at) {
        out.extend_from_slice(value);
        ex.route.subrequest_saw_uri |= ex.nesting.subrequest.as_ref().is_some_and(|sub| sub.has_values);
        return Is::Set;
    }
    let config = ex.config.clone();
    match config.variables.defined.get(at as usize) {
        Some((_, Source::Stored)) if config.variables.answered.contains(&at) => Is::Unset,
        Some((name, Source::Stored)) => {
            if ex.location().settings.logs.uninitialized {
                // Nothing but the log is written once all is queued.
                let doing = if ex.progress.tx == Tx::Done { " while logging request" } else { "" };
                ex.report(cx, Level::Warn, format_args!("using uninitialized \"{name}\" variable{doing}"));
            }
            // Warned of once a request (nginx).
            ex.set_user(at, Text::default());
            Is::Set
        }
        Some((_, Source::Captured)) => Is::Unset,
        Some((_, source)) => computed(source, at, ex, cx, out),
        None => Is::Unset,
    }
}

/// Appends the value of variable `at`, which the configuration computes and which has none stored. It is computed at
/// its first use and kept for the request, error pages and internal redirects included, as in nginx; that of a volatile
/// map is computed at each use.
fn computed(source: &Source, at: u32, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) -> Is {
    let config = ex.config.clone();
    if ex.route.depth >= DEEPEST {
        let name = config.variables.defined.get(at as usize).map_or("", |(name, _)| name);
        ex.report(cx, Level::Error, format_args!("cycle while evaluating variable \"{name}\""));
        return Is::Unset;
    }
    let from = out.len();
    ex.route.depth += 1;
    let keep = match source {
        Source::Map(table) => config.tables.maps.get(*table as usize).map_or(Keep::No, |map| {
            // The subject is written where the value will be.
            expand(&map.source, ex, cx, out);
            let found = map::find(map, out.get(from..).unwrap_or_default(), ex, cx);
            out.truncate(from);
            if let Some(value) = found {
                expand(value, ex, cx, out);
            }
            if map.volatile { Keep::No } else { Keep::Yes }
        }),
        Source::Geo(table) => config.tables.geos.get(*table as usize).map_or(Keep::No, |geo| {
            let text = geo.source.as_ref().map(|source| text(source, ex, cx));
            out.extend_from_slice(geo::find(geo, text.as_deref(), ex));
            if geo.volatile { Keep::No } else { Keep::Yes }
        }),
        Source::Split(table) => config.tables.splits.get(*table as usize).map_or(Keep::No, |split| {
            expand(&split.source, ex, cx, out);
            let found = murmur::find(split, out.get(from..).unwrap_or_default());
            out.truncate(from);
            out.extend_from_slice(found.unwrap_or_default());
            Keep::Yes
        }),
        Source::Stored | Source::Captured | Source::Undefined => Keep::No,
    };
    ex.route.depth -= 1;
    if keep == Keep::Yes {
        let value = Text::new(out.get(from..).unwrap_or_default());
        ex.set_user(at, value);
    }
    Is::Set
}

/// The value of a variable that webserv itself defines.
fn builtin_value(builtin: Builtin, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) -> Is {
    type Family = fn(Builtin, &mut Exchange, &mut Services, &mut Vec<u8>) -> Option<Is>;
    use Builtin as B;
    const FAMILIES: [Family; 5] = [request::value, response::value, connection::value, process::value, upstream::value];
    // What every request to an application passes on need not be asked of all families.
    let found = match builtin {
        B::RemoteAddr | B::RemotePort | B::ServerAddr | B::ServerPort | B::Scheme | B::Https => {
            connection::value(builtin, ex, cx, out)
        }
        B::ServerName => process::value(builtin, ex, cx, out),
        B::DocumentRoot => path::value(builtin, ex, cx, out, expand),
        _ => None,
    };
    let found = found
        .or_else(|| FAMILIES.iter().find_map(|value| value(builtin, ex, cx, out)))
        .or_else(|| path::value(builtin, ex, cx, out, expand));
    // The others are `$ssl_…`.
    found.unwrap_or_else(|| when(tls::value(ex, builtin, cx.now.unix, out)))
}

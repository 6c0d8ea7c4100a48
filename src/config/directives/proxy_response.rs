//! Responses of upstreams: which fields are passed to the client, how they are rewritten, how much of a body is
//! buffered. The request side is in `proxy`.

use super::body;
use super::client::{self, rate};
use super::proxy::{Of, proxy};
use crate::config::argument::size;
use crate::config::ast::{Directive, Word};
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::pattern::{Case, Pattern};
use crate::config::row::{Effect, Row, row};
use crate::config::settings::list::List;
use crate::config::settings::proxy::{CookieFlags, From, Ignore, ProxySettings, Redirect, Rewrite};
use crate::config::settings::proxy_pass::{Protocol, To};
use crate::config::suggest;
use std::rc::Rc;

const HSL: Contexts = Contexts::HSL;

pub const ROWS: &[Row] = &[
    row(
        "proxy_hide_header",
        HSL,
        Args::TAKE1,
        "",
        Effect::Many(|s, b, d| names(proxy, s, b, d, |proxy| &mut proxy.hide_headers)),
        "A header of the response that the client does not get. Date, Server, X-Pad and X-Accel-… are hidden anyway.",
    ),
    row(
        "proxy_pass_header",
        HSL,
        Args::TAKE1,
        "",
        Effect::Many(|s, b, d| names(proxy, s, b, d, |proxy| &mut proxy.pass_headers)),
        "A header of the response that the client gets although it is hidden.",
    ),
    row(
        "proxy_redirect",
        HSL,
        Args::TAKE12,
        "default",
        Effect::Many(redirect),
        "Rewrites Location and Refresh of the response: default (the proxy_pass URL becomes the location's name), off, a prefix or ~regex and what replaces it.",
    ),
    row(
        "proxy_cookie_domain",
        HSL,
        Args::TAKE12,
        "off",
        Effect::Many(|s, b, d| cookie(s, b, d, Case::Insensitive, |proxy| &mut proxy.cookie_domains)),
        "Rewrites the domain of Set-Cookie: off, a domain or ~regex and what replaces it.",
    ),
    row(
        "proxy_cookie_path",
        HSL,
        Args::TAKE12,
        "off",
        Effect::Many(|s, b, d| cookie(s, b, d, Case::Sensitive, |proxy| &mut proxy.cookie_paths)),
        "Rewrites the path of Set-Cookie: off, a prefix or ~regex and what replaces it.",
    ),
    row(
        "proxy_buffering",
        HSL,
        Args::FLAG,
        "on",
        Effect::Flag(|s| &mut proxy(s).buffering),
        "Responses are always passed on as they come. on: what the client does not take waits in proxy_buffers, and beyond them in a temporary file. off: it is not read from the upstream.",
    ),
    row(
        "proxy_buffer_size",
        HSL,
        Args::TAKE1,
        "4k",
        Effect::Size(|s| &mut proxy(s).buffer_size),
        "Largest head of a response; a larger one is a 502.",
    ),
    row(
        "proxy_buffers",
        HSL,
        Args::TAKE2,
        "8 4k",
        Effect::Once(|s, b, d| buffers(proxy, s, b, d)),
        "Number and size: their product is how much of a response may wait for the client, at least 64k.",
    ),
    row(
        "proxy_busy_buffers_size",
        HSL,
        Args::TAKE1,
        "8k",
        Effect::Once(|s, b, d| busy_buffers(proxy, s, b, d)),
        "Accepted, within nginx's bounds: what has arrived is sent at once.",
    ),
    row(
        "proxy_max_temp_file_size",
        HSL,
        Args::TAKE1,
        "1024m",
        Effect::Once(|s, b, d| temp_most(proxy, s, b, d)),
        "How much of a response goes to a temporary file where its client is slower than the upstream and proxy_buffers are full, so that the upstream is free; beyond that it waits. 0: nothing does. Without effect under proxy_buffering off.",
    ),
    row(
        "proxy_temp_file_write_size",
        HSL,
        Args::TAKE1,
        "256k",
        Effect::Once(|s, b, d| temp_write_size(proxy, s, b, d)),
        "How much of a response is written to its temporary file at a time.",
    ),
    row(
        "proxy_temp_path",
        HSL,
        Args::TAKE1234,
        "",
        Effect::Once(|s, b, d| temp_path(proxy, s, b, d)),
        "Directory for temporary files of responses, and up to three levels of directories in it; made when the server starts. By default client_body_temp_path has them.",
    ),
    row(
        "proxy_cookie_flags",
        HSL,
        Args::TAKE1234,
        "off",
        Effect::Many(cookie_flags),
        "Sets or takes away flags of cookies, named or by ~regex: secure, httponly, samesite=strict|lax|none, and nosecure, nohttponly, nosamesite; variables allowed. off: none.",
    ),
    row(
        "proxy_force_ranges",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut proxy(s).force_ranges),
        "Whether one range of a response is cut out here where the upstream sent the whole, whatever its Accept-Ranges says; the rest is read and dropped.",
    ),
    row(
        "proxy_pass_trailers",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut proxy(s).pass_trailers),
        "Whether trailers of the response are passed to clients that get it in chunks.",
    ),
    row(
        "proxy_limit_rate",
        HSL,
        Args::TAKE1,
        "0",
        Effect::Once(|s, b, d| limit_rate(proxy, s, b, d)),
        "Bytes per second of an upstream's response, variables allowed; 0 is no limit. How fast it is read; the client gets it no faster. Without effect under `proxy_buffering off`.",
    ),
    row(
        "proxy_intercept_errors",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut proxy(s).intercept_errors),
        "Whether error_page applies to statuses of the upstream.",
    ),
    row(
        "proxy_ignore_headers",
        HSL,
        Args::ONE_OR_MORE,
        "",
        Effect::Many(|s, b, d| ignore_headers(proxy, s, b, d)),
        "Headers of the response that the server itself does not obey. It obeys X-Accel-Redirect, X-Accel-Limit-Rate, X-Accel-Buffering and X-Accel-Charset; the others are accepted.",
    ),
];

/// Names of header fields, in lower case.
type Names = List<Box<[u8]>>;

/// Adds a header name in lower case to the list that `place` selects; the first of a level replaces what is inherited.
pub(super) fn names(
    of: Of,
    s: &mut Scope,
    _: &mut Build,
    d: &Directive,
    place: fn(&mut ProxySettings) -> &mut Names,
) -> Outcome {
    place(of(&mut s.settings)).add(s.first, d.args[0].bytes().to_ascii_lowercase().into());
    Ok(())
}

/// `off` and `default` are single words; otherwise there are two.
fn redirect(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let rule = match (d.args[0].bytes(), d.args.len()) {
        (b"off", 1) => None,
        (b"default", 1) => {
            match s.own.pass.as_ref().filter(|pass| pass.protocol == Protocol::Http1).map(|pass| &pass.to) {
                Some(To::Fixed { .. }) => Some(Redirect::Default),
                Some(To::Made(_)) => {
                    let text = "\"proxy_redirect default\" cannot be used with \"proxy_pass\" directive with variables";
                    return Err(Fault::new(d.name.span, text));
                }
                None => {
                    let text = "\"proxy_redirect default\" should be placed after the \"proxy_pass\" directive";
                    return Err(Fault::new(d.name.span, text));
                }
            }
        }
        (_, 1) => return Err(Fault::new(d.args[0].span, format!("invalid parameter \"{}\"", d.args[0].str()))),
        _ => Some(Redirect::Rule(rewrite(b, d, Case::Sensitive)?)),
    };
    let first = s.first;
    proxy(&mut s.settings).redirects.extend(first, rule);
    Ok(())
}

fn cookie(
    s: &mut Scope,
    b: &mut Build,
    d: &Directive,
    case: Case,
    place: fn(&mut ProxySettings) -> &mut List<Rewrite>,
) -> Outcome {
    let rule = match (d.args[0].bytes(), d.args.len()) {
        (b"off", 1) => None,
        (_, 1) => return Err(Fault::new(d.args[0].span, format!("invalid parameter \"{}\"", d.args[0].str()))),
        _ => Some(rewrite(b, d, case)?),
    };
    let first = s.first;
    place(proxy(&mut s.settings)).extend(first, rule);
    Ok(())
}

fn cookie_flags(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let rule = match (d.args[0].bytes(), d.args.len()) {
        (b"off", 1) => None,
        (_, 1) => return Err(Fault::new(d.args[0].span, format!("invalid parameter \"{}\"", d.args[0].str()))),
        (name, count) => {
            let cookie = match name {
                [b'~', source @ ..] => From::Regex(Rc::new(regex(b, d, source, Case::Insensitive)?)),
                _ => From::Text(b.template(d, 0)?),
            };
            const FLAGS: [&str; 9] = [
                "secure",
                "nosecure",
                "httponly",
                "nohttponly",
                "samesite=strict",
                "samesite=lax",
                "samesite=none",
                "nosamesite",
                "off",
            ];
            let is_flag = |word: &&Word| {
                word.bytes().contains(&b'$') || FLAGS.iter().any(|flag| word.str().eq_ignore_ascii_case(flag))
            };
            if let Some(word) = d.args.iter().skip(1).find(|word| !is_flag(word)) {
                let fault = Fault::new(word.span, format!("invalid parameter \"{}\"", word.str()));
                return Err(fault.help(suggest::one_of(&word.str(), &FLAGS)));
            }
            let flags: Result<Box<[_]>, Fault> = (1..count).map(|at| b.template(d, at)).collect();
            Some(CookieFlags { cookie, flags: flags? })
        }
    };
    let first = s.first;
    proxy(&mut s.settings).cookie_flags.extend(first, rule);
    Ok(())
}

fn regex(b: &mut Build, d: &Directive, source: &[u8], case: Case) -> Result<Pattern, Fault> {
    Pattern::of_word(&d.args[0], source, case, &mut b.variables)
}

/// `~*` ignores case; `~` follows `case`.
fn rewrite(b: &mut Build, d: &Directive, case: Case) -> Result<Rewrite, Fault> {
    let word = &d.args[0];
    let from = match word.bytes() {
        [b'~', rest @ ..] => {
            let (case, source) = match rest {
                [b'*', rest @ ..] => (Case::Insensitive, rest),
                rest => (case, rest),
            };
            From::Regex(Rc::new(regex(b, d, source, case)?))
        }
        _ => From::Text(b.template(d, 0)?),
    };
    Ok(Rewrite { from, to: b.template(d, 1)? })
}

/// `proxy_busy_buffers_size` and its counterparts.
pub(super) fn busy_buffers(of: Of, s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let proxy = of(&mut s.settings);
    proxy.busy_size = Some(size(d, 0)?);
    proxy.sized_at = Some(d.span);
    Ok(())
}

/// `proxy_max_temp_file_size` and its counterparts.
pub(super) fn temp_most(of: Of, s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let proxy = of(&mut s.settings);
    proxy.temp_most = Some(size(d, 0)?);
    proxy.sized_at = Some(d.span);
    Ok(())
}

/// `proxy_temp_file_write_size` and its counterparts.
pub(super) fn temp_write_size(of: Of, s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let proxy = of(&mut s.settings);
    proxy.temp_write_size = Some(size(d, 0)?);
    proxy.sized_at = Some(d.span);
    Ok(())
}

/// `proxy_temp_path` and its counterparts.
pub(super) fn temp_path(of: Of, s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    of(&mut s.settings).temp = Some(body::temp_directory(b, d)?);
    Ok(())
}

/// `proxy_limit_rate` and its counterparts: bytes per second, variables allowed.
pub(super) fn limit_rate(of: Of, s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    of(&mut s.settings).limit_rate = Some(rate(b, d)?);
    Ok(())
}

/// `proxy_buffers` and its counterparts: a number and a size.
pub(super) fn buffers(of: Of, s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let proxy = of(&mut s.settings);
    proxy.buffers = client::buffers(d, 1 << 30)?;
    proxy.sized_at = Some(d.span);
    Ok(())
}

/// Several directives of one block add up (nginx).
pub(super) fn ignore_headers(of: Of, s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    for word in &d.args {
        if !Ignore::HEADERS.iter().any(|known| word.bytes().eq_ignore_ascii_case(known.as_bytes())) {
            return Err(Fault::new(word.span, format!("invalid value \"{}\"", word.str())));
        }
    }
    let names = |name: &str| d.args.iter().any(|word| word.bytes().eq_ignore_ascii_case(name.as_bytes()));
    let first = s.first;
    let ignore = &mut of(&mut s.settings).ignore;
    let before = if first { Ignore::default() } else { *ignore };
    *ignore = Ignore {
        redirect: before.redirect || names("X-Accel-Redirect"),
        limit_rate: before.limit_rate || names("X-Accel-Limit-Rate"),
        buffering: before.buffering || names("X-Accel-Buffering"),
        charset: before.charset || names("X-Accel-Charset"),
        accel_expires: before.accel_expires || names("X-Accel-Expires"),
        expires: before.expires || names("Expires"),
        cache_control: before.cache_control || names("Cache-Control"),
        set_cookie: before.set_cookie || names("Set-Cookie"),
        vary: before.vary || names("Vary"),
    };
    Ok(())
}

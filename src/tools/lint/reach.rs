//! What requests never reach, or reach in another way: answers before any location, names that cannot be resolved,
//! checks without a target, files that another location takes, paths left open beside a closed one.

use super::blocks::{Pass, authenticates, authority, is_pass, location, passes, variables};
use super::headers::before_path;
use super::rule::{COMPARED, EVERY, Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Span, Word};
use crate::config::value::Millis;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W047",
        title: "connections that are closed after a few requests",
        page: "`keepalive_requests` closes a connection after that number of requests; each new one costs handshakes, and \
               with HTTP/2 a page alone may take a hundred. The default is 1000 (it was 100 before nginx 1.19.10).",
        about: &["keepalive_requests"],
        check: few_requests,
    },
    Rule {
        code: "W048",
        title: "a host that cannot be looked up",
        page: "Where the host of a pass has variables, its name is looked up while requests are served, by the servers that \
               `resolver` names: without one every request is answered 502. Write `resolver ADDRESS;`, or name the host in \
               an `upstream`.",
        about: &["proxy_pass", "grpc_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass"],
        check: no_resolver,
    },
    Rule {
        code: "W049",
        title: "auth_request leads to no location",
        page: "The URI of `auth_request` is asked for within this server. Where no location answers it, the answer is 404, \
               and each request that was to be checked ends in 500. Write `location = /auth { internal; proxy_pass …; }`.",
        about: &["auth_request"],
        check: asks_nowhere,
    },
    Rule {
        code: "W050",
        title: "a time of 0",
        page: "A timeout of 0 is not endless, it is over at once: requests end in 504, or clients are disconnected. Write a \
               long time, as in `proxy_read_timeout 1d;`.",
        about: EVERY,
        check: no_time,
    },
    Rule {
        code: "W051",
        title: "gzip is tuned and never turned on",
        page: "`gzip_types` and its like say how responses are compressed where `gzip on;` stands, and it stands nowhere. Add \
               `gzip on;`.",
        about: &["gzip_types", "gzip_comp_level", "gzip_min_length", "gzip_proxied"],
        check: gzip_off,
    },
    Rule {
        code: "W052",
        title: "a regex location that takes the files of another",
        page: "A regex location wins over a prefix: beside `location /img/ { alias /data/img/; }` a `location ~ \\.png$ { expires \
               30d; }` takes /img/a.png, and looks for it below the root of the server. Write the prefix as `^~`, or the regex \
               location inside it.",
        about: &["location"],
        check: takes_files,
    },
    Rule {
        code: "W148",
        title: "one path is closed, and what is below it is open",
        page: "`location = /admin` is this one path alone: /admin/ and /admin/x are answered by another location, which asks \
               for nothing. Close the prefix: `location /admin { … }`, or `^~` where regex locations may take its paths.",
        about: &["location"],
        check: exact_alone,
    },
];

fn few_requests(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("keepalive_requests")) else { return };
    let in_upstream = cx.is_in("upstream");
    if !in_upstream && word.str().parse::<u32>().is_ok_and(|most| most <= 100) {
        let message = format!("a connection is closed after {} requests", word.str());
        found.push(Finding::new(word.span, message, "leave the line out: the default is 1000"));
    }
}

/// The host of a pass directive, without port.
pub fn host_of(text: &str) -> &str {
    let host = before_path(authority(text).split('?').next().unwrap_or_default());
    host.rsplit_once(':').map_or(host, |(host, _)| host)
}

/// A name with dots that is not an address.
pub fn is_domain(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let top = name.rsplit('.').next().unwrap_or_default();
    name.contains('.') && top.len() > 1 && name.bytes().all(is_letter) && top.bytes().all(|b| b.is_ascii_alphabetic())
}

fn no_resolver(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_pass = passes(&[Pass::Http, Pass::Gateway]).any(|name| cx.is(name));
    let Some(word) = cx.d.args.first().filter(|_| is_pass && cx.is_whole) else { return };
    let has = |name: &str| cx.levels.iter().any(|level| level.has(name));
    if !word.bytes().contains(&b'$') || has("resolver") || has("include") {
        return;
    }
    let text = word.str();
    let host = host_of(&text);
    // `$1.internal.test`, or a variable set to such a name.
    let name = match host.rsplit_once('$') {
        Some((_, tail)) if tail.contains('.') => {
            let fixed = tail.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '}'));
            is_domain(fixed.trim_start_matches('.')).then(|| host.to_owned())
        }
        Some(("", name)) => {
            let values = cx.values(&name.trim_matches(['{', '}']).to_ascii_lowercase()).iter();
            values.map(|value| value.str().into_owned()).find(|value| is_domain(host_of(value)))
        }
        _ => None,
    };
    let is_group = |name: &str| cx.levels.iter().any(|level| level.has_upstream(name.as_bytes()));
    if let Some(name) = name.filter(|name| !is_group(host_of(name))) {
        let message = format!("\"{}\" cannot be looked up: no `resolver` is named", host_of(&name));
        found.push(Finding::new(word.span, message, "add the address of a name server: resolver 127.0.0.53;"));
    }
}

fn asks_nowhere(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("auth_request")) else { return };
    let Some(server) = cx.inside("server") else { return };
    let path = word.bytes().split(|byte| *byte == b'?').next().unwrap_or_default();
    if !path.starts_with(b"/") && !path.starts_with(b"$") && !word.is("off") {
        let message =
            format!("\"{}\" begins with no slash: no location answers it, and each request is 500", word.str());
        found.push(Finding::new(word.span, message, format!("auth_request /{};", word.str())));
        return;
    }
    if !path.starts_with(b"/") || path.contains(&b'$') || server.has("include") || server.has("return") {
        return;
    }
    // A static file as the answer would allow access, which may be intended for tests; so a location of its own is
    // accepted.
    let answers = |d: &Directive| {
        let is_answer = |d: &Directive| {
            is_pass(&d.name.str()) || ["return", "include", "location", "if"].iter().any(|name| d.name.is(name))
        };
        d.block.iter().flatten().any(is_answer)
    };
    let is_own = |d: &Directive| location(d).is_some_and(|(_, name)| !name.is("/"));
    if server.taker(path).is_none_or(|d| !answers(d) && !is_own(d)) {
        let message = format!("no location answers \"{}\": each request is answered 500", word.str());
        let help = format!("add: location = {} {{ internal; proxy_pass http://ADDRESS; }}", word.str());
        found.push(Finding::new(word.span, message, help));
    }
}

fn no_time(cx: &RuleContext, found: &mut Vec<Finding>) {
    let name = cx.name();
    let is_wait =
        ["_read_timeout", "_send_timeout", "_connect_timeout"].iter().any(|end| name.ends_with(end.as_bytes()))
            || matches!(name, b"send_timeout" | b"client_body_timeout" | b"client_header_timeout");
    let Some(word) = cx.d.args.first().filter(|_| is_wait) else { return };
    if Millis::parse(word.bytes()) == Ok(Millis(0)) {
        let message = "0 is not endless: the wait is over at once";
        found.push(Finding::new(word.span, message, format!("write a long time: {} 1d;", cx.d.name.str())));
    }
}

fn gzip_off(cx: &RuleContext, found: &mut Vec<Finding>) {
    const TUNED: [&str; 4] = ["gzip_types", "gzip_comp_level", "gzip_min_length", "gzip_proxied"];
    let level = cx.level();
    let is_first = TUNED.iter().filter_map(|name| level.first(name)).min() == Some(cx.at);
    // A slip in a list of types has a warning of its own.
    let in_http = cx.is_in("http") || !cx.is("gzip_types") && cx.blocks.iter().any(|block| block.name.is("http"));
    if !is_first || !in_http || !cx.is_whole || cx.levels.iter().any(|level| level.has("include")) {
        return;
    }
    if cx.levels.first().is_some_and(|outermost| !outermost.below().compresses) {
        let message = format!("\"{}\" has no effect: gzip is off", cx.d.name.str());
        found.push(Finding::new(cx.d.args_span(), message, "add: gzip on;"));
    }
}

/// Whether a location determines where its responses come from, or refuses requests.
fn has_content(d: &Directive) -> bool {
    const CONTENT: [&str; 10] =
        ["root", "alias", "try_files", "return", "internal", "deny", "if", "include", "location", "rewrite"];
    d.block.iter().flatten().any(|d| is_pass(&d.name.str()) || CONTENT.iter().any(|name| d.name.is(name)))
}

/// The path in the first argument, without trailing slash.
pub fn path_of(d: &Directive) -> Option<String> {
    Some(d.args.first()?.str().trim_end_matches('/').to_owned())
}

/// The line by which a prefix location has its files outside the server's root; without a root, its proxy_pass.
fn elsewhere(d: &Directive, prefix: &str, root: Option<&str>) -> Option<Span> {
    let line = |name: &str| d.block.iter().flatten().find(|d| d.name.is(name));
    if prefix == "/" {
        // Without a root, the server has no other files.
        return line("proxy_pass").filter(|_| root.is_none()).map(|d| d.span);
    }
    let root = root?;
    let is_below = |alias: &Directive| {
        path_of(alias).is_some_and(|path| path == format!("{root}{}", prefix.trim_end_matches('/')))
    };
    let alias = line("alias").filter(|alias| !is_below(alias));
    alias.or_else(|| line("root").filter(|own| path_of(own).as_deref() != Some(root))).map(|d| d.span)
}

/// Reports once per server, at its first location.
fn takes_files(cx: &RuleContext, found: &mut Vec<Finding>) {
    let level = cx.level();
    let in_server = cx.is_in("server");
    if !in_server || !cx.is_first("location") || level.has("include") {
        return;
    }
    let locations = || level.all.iter().filter_map(|d| Some((d, location(d)?))).take(COMPARED);
    let root = cx.levels().find_map(|level| level.first_of("root")).and_then(path_of);
    let is_nested = |d: &Directive| d.block.iter().flatten().any(|d| d.name.is("location"));
    let other = locations().find_map(|(d, (sign, name))| {
        let prefix = name.str();
        let is_prefix = sign.is_empty() && prefix.starts_with('/') && !is_nested(d);
        Some((elsewhere(d, &prefix, root.as_deref()).filter(|_| is_prefix)?, prefix.into_owned()))
    });
    let Some((content, prefix)) = other else { return };
    let is_suffix = |name: &Word| name.bytes().starts_with(b"\\.") && name.bytes().ends_with(b"$");
    let taking = locations().find(|(d, (sign, name))| sign.starts_with(b"~") && is_suffix(name) && !has_content(d));
    if let Some((d, (_, regex))) = taking {
        let message =
            format!("\"{}\" also takes what begins with \"{prefix}\", and looks elsewhere for it", regex.str());
        let help = match &*prefix {
            "/" => "say here where the files are (root), or pass them on as well".to_owned(),
            prefix => format!("write the prefix as: location ^~ {prefix} {{ … }}"),
        };
        found.push(Finding::new(d.args_span(), message, help).note(content, "they are here"));
    }
}

/// Whether a block refuses everyone, or requires authentication.
pub fn is_closed(d: &Directive) -> bool {
    d.block.iter().flatten().any(|d| match d.name.bytes() {
        b"deny" => d.says("all"),
        b"auth_basic" | b"auth_request" => !d.says("off"),
        b"return" => d.args.first().is_some_and(|code| matches!(code.bytes(), b"403" | b"404" | b"401" | b"444")),
        _ => false,
    })
}

fn exact_alone(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((b"=", name)) = location(cx.d).filter(|_| is_closed(cx.d)) else { return };
    let path = name.str();
    // `= /images/` with `deny all` forbids the listing alone; a password, or a list of addresses, is for a whole area.
    let asks = |d: &Directive| ["auth_basic", "auth_request", "allow"].iter().any(|name| d.name.is(name));
    let path = match path.strip_suffix('/') {
        Some(area) if cx.children().iter().any(asks) => area.into(),
        _ => path,
    };
    let last = path.rsplit('/').next().unwrap_or_default();
    let Some(server) = cx.inside("server") else { return };
    // Nothing can be below a file. What only this location answers exists nowhere else.
    const OWN: [&str; 6] = ["stub_status", "status", "alias", "empty_gif", "internal", "include"];
    let answers = |d: &Directive| OWN.iter().any(|own| d.name.is(own)) || d.name.is("return") && d.args.len() > 1;
    if last.is_empty() || last.contains('.') || cx.children().iter().any(answers) || server.authenticates() {
        return;
    }
    let Some(taker) = server.taker(format!("{path}/x").as_bytes()) else { return };
    let inside = taker.block.as_deref().unwrap_or_default();
    let is_explicit = location(taker).is_some_and(|(_, name)| name.bytes().starts_with(path.as_bytes()));
    let is_passed = inside.iter().any(|d| is_pass(&d.name.str()));
    if !authenticates(inside) && (is_explicit || is_passed) && variables(&path).is_empty() {
        let message =
            format!("only \"{}\" itself is closed: what is below it is answered by another location", name.str());
        let help = format!("close what is below as well: location {path} {{ … }}");
        found.push(Finding::new(cx.d.args_span(), message, help).note(taker.args_span(), "it asks for nothing"));
    }
}

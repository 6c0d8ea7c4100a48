//! Upstreams that are spoken to otherwise than they expect, or told less than they should be.

use super::assigned;
use super::blocks::{Pass, authority, first_below, location, passes, sets};
use super::level::Level;
use super::rule::{COMPARED, Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};
use crate::util::hash::FastMap;
use std::net::IpAddr;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W094",
        title: "plain HTTP to a TLS port, or the reverse",
        page: "Port 443 speaks TLS: `proxy_pass http://app:443` is answered with 400 (\"plain HTTP request was sent to HTTPS \
               port\"). `https://NAME` with an `upstream` whose servers have no port leads to port 80, where nothing speaks TLS: \
               write `server app.example.org:443;` in the upstream.",
        about: &["proxy_pass"],
        check: other_protocol,
    },
    Rule {
        code: "W095",
        title: "a socket whose name runs into the path",
        page: "The path of a socket ends at a colon: in `http://unix:/run/app.sock/` the slash belongs to the name of the socket, \
               which is not there. Write `http://unix:/run/app.sock:/`, or leave the slash out.",
        about: &["proxy_pass"],
        check: socket_and_path,
    },
    Rule {
        code: "W346",
        title: "a socket with a relative path",
        page: "The path of a socket is relative to the directory that the server is started in, not to the prefix: what works from a \
               shell fails under systemd. Write the full path: `unix:/run/app.sock`.",
        about: &["proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "server"],
        check: relative_socket,
    },
    Rule {
        code: "W096",
        title: "a scheme other than the client's",
        page: "With `X-Forwarded-Proto http` behind a listener of TLS the application makes links and redirects to http:, which \
               end in a loop or in warnings of mixed content. Write `$scheme`.",
        about: &["proxy_set_header"],
        check: wrong_scheme,
    },
    Rule {
        code: "W319",
        title: "an upgrade sent with every request",
        page: "The Connection of a request without Upgrade is `close`, or empty: with `upgrade` for all of them some applications \
               wait for a protocol that is not named, and no connection is kept. Add the line for the empty value: \
               `map $http_upgrade $connection_upgrade { default upgrade; '' close; }`.",
        about: &["map"],
        check: always_upgrade,
    },
    Rule {
        code: "W325",
        title: "a cookie that browsers refuse",
        page: "`SameSite=None` is for cookies that requests of other sites' pages carry: browsers take them with `Secure` only. Write \
               `proxy_cookie_flags NAME secure samesite=none;`.",
        about: &["proxy_cookie_flags"],
        check: insecure_none,
    },
    Rule {
        code: "W097",
        title: "an error page that is not used for the application's errors",
        page: "A response of an upstream is sent as it is, whatever its status: `error_page 404` holds for what this server \
               answers itself, until `proxy_intercept_errors on;` (fastcgi_, uwsgi_, scgi_) says otherwise.",
        about: &["error_page"],
        check: not_intercepted,
    },
    Rule {
        code: "W099",
        title: "a balancing method after keepalive",
        page: "In nginx the method of an upstream (`least_conn`, `ip_hash`, `hash`, `random`) that stands behind `keepalive` takes \
               its place: connections are not kept. Write the method first.",
        about: &CHOICES,
        check: behind_keepalive,
    },
    Rule {
        code: "W166",
        title: "requests that change something are sent twice",
        page: "With `non_idempotent` a POST whose answer did not come is sent to the next server, though the first may have done \
               what it asks: two orders, two payments. Leave the word out.",
        about: &NEXT,
        check: sent_twice,
    },
    Rule {
        code: "W301",
        title: "a resolver that is never used",
        page: "A name in `proxy_pass` is looked up once, at the start: a container that is replaced keeps its old \
               address here. `resolver` is used only for names in variables (`set $app app; proxy_pass \
               http://$app:3000;`), and for \
               servers of an `upstream` with `resolve`.",
        about: &["resolver"],
        check: unused_resolver,
    },
    Rule {
        code: "W351",
        title: "a path of proxy_pass that a rewrite replaces",
        page: "Where a `rewrite … break` has changed the path, it is passed as it is, and the path of `proxy_pass` does not count: \
               with `proxy_pass http://app/base/` the application is asked for the rewritten path without `/base/`. Begin \
               what the `rewrite` makes of the path with it: `rewrite ^/a/(.*)$ /base/$1 break;`.",
        about: &["proxy_pass"],
        check: path_replaced,
    },
];

/// How an upstream chooses a server.
const CHOICES: [&str; 5] = ["least_conn", "ip_hash", "hash", "random", "least_time"];

/// Which failures lead to the next server.
const NEXT: [&str; 4] = ["proxy_next_upstream", "fastcgi_next_upstream", "uwsgi_next_upstream", "scgi_next_upstream"];

/// The port of an address of an upstream's server; None: a socket.
fn port(address: &str) -> Option<&str> {
    if address.starts_with("unix:") {
        return None;
    }
    let after = address.rsplit_once(']').map_or(address, |(_, after)| after);
    Some(after.rsplit_once(':').map_or("80", |(_, port)| port))
}

/// The first server of an upstream on each port.
fn by_port<'l, 'a>(upstream: &'l Level<'a>) -> &'l FastMap<String, &'a Directive> {
    upstream.ports.get_or_init(|| {
        let mut ports = FastMap::default();
        for server in upstream.named("server") {
            let address = server.args.first().map(Word::str).unwrap_or_default();
            if let Some(port) = port(&address) {
                ports.entry(port.to_owned()).or_insert(*server);
            }
        }
        ports
    })
}

fn other_protocol(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("proxy_pass") {
        return;
    }
    let Some(word) = cx.d.args.first() else { return };
    let text = word.str();
    let Some((scheme, _)) = text.split_once("://") else { return };
    let (wrong, other) = match scheme {
        "http" => ("443", "https"),
        "https" => ("80", "http"),
        _ => return,
    };
    let host = authority(&text);
    if host.contains('$') || host.starts_with("unix:") {
        return;
    }
    let speaks = if scheme == "http" { "speaks TLS" } else { "speaks plain HTTP" };
    let group = cx.inside("http").and_then(|http| Some(http.inside(http.upstream(host.as_bytes())?)));
    if let Some(group) = group {
        if let Some(server) = by_port(&group).get(wrong) {
            let message = format!("{scheme} to port {wrong} of \"{host}\", which {speaks}");
            let help = match scheme {
                "http" => format!("write: proxy_pass https://{host};"),
                _ => format!(
                    "name the port of TLS in the upstream: {}:443",
                    server.args[0].str().trim_end_matches(":80")
                ),
            };
            found.push(Finding::new(word.span, message, help).note(server.span, "its server"));
        }
    } else if host.rsplit_once(':').is_some_and(|(_, port)| port == wrong) {
        let message = format!("port {wrong} {speaks}");
        found.push(Finding::new(word.span, message, format!("write: {}", text.replacen(scheme, other, 1))));
    }
}

fn socket_and_path(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("proxy_pass") {
        return;
    }
    let Some(word) = cx.d.args.first() else { return };
    let text = word.str();
    let Some((before, path)) = text.split_once("://unix:") else { return };
    let Some(end) = path.find(".sock/").map(|at| at + ".sock".len()).filter(|_| !path.contains(':')) else { return };
    let (socket, rest) = path.split_at(end);
    let message = format!("the socket's name goes on: \"{path}\" is looked for");
    found.push(Finding::new(word.span, message, format!("a colon ends it: {before}://unix:{socket}:{rest}")));
}

fn relative_socket(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first() else { return };
    let text = word.str();
    let Some((_, path)) = text.split_once("unix:").filter(|(before, _)| before.is_empty() || before.ends_with("://"))
    else {
        return;
    };
    let path = path.split(':').next().unwrap_or_default();
    if path.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.') {
        let message = format!("\"{path}\" is looked for in the directory that the server is started in");
        found.push(Finding::new(word.span, message, "write the whole path: unix:/run/…"));
    }
}

fn wrong_scheme(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("proxy_set_header") {
        return;
    }
    if let Some(port) = sets(cx.d, "X-Forwarded-Port").filter(|port| port.is("80") && cx.speaks_tls_only()) {
        let message = "the clients came to a port of TLS: links to port 80 lead out of it";
        return found.push(Finding::new(port.span, message, "write: proxy_set_header X-Forwarded-Port $server_port;"));
    }
    let value = ["X-Forwarded-Proto", "X-Scheme", "X-Forwarded-Scheme"].iter().find_map(|name| sets(cx.d, name));
    if let Some(value) = value.filter(|value| value.is("http") && cx.speaks_tls_only()) {
        let message = "the clients speak https here: the application is told otherwise";
        found.push(Finding::new(
            value.span,
            message,
            format!("write: proxy_set_header {} $scheme;", cx.d.args[0].str()),
        ));
    }
}

fn always_upgrade(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [source, name] = &cx.d.args[..] else { return };
    if !cx.is("map") || !source.is("$http_upgrade") || cx.children().iter().any(|line| line.name.is("include")) {
        return;
    }
    let default = assigned::lines(cx.d).find(|(key, _)| key.is("default")).map(|(_, value)| value);
    let names_empty = assigned::lines(cx.d).any(|(key, _)| key.is_empty() || key.bytes().starts_with(b"~"));
    if let Some(value) = default.filter(|value| value.bytes().eq_ignore_ascii_case(b"upgrade") && !names_empty) {
        let message = format!("{} is \"upgrade\" for requests without Upgrade as well", name.str());
        found.push(Finding::new(value.span, message, "add a line for them: '' close;"));
    }
}

fn insecure_none(cx: &RuleContext, found: &mut Vec<Finding>) {
    let has = |flag: &str| cx.d.args.iter().find(|word| word.bytes().eq_ignore_ascii_case(flag.as_bytes()));
    if let Some(word) = has("samesite=none").filter(|_| cx.is("proxy_cookie_flags") && has("secure").is_none()) {
        let message = "browsers refuse a cookie with SameSite=None and without Secure";
        found.push(Finding::new(word.span, message, "add: secure"));
    }
}

fn not_intercepted(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("error_page") {
        return;
    }
    if cx.is_in("server") {
        return not_intercepted_anywhere(cx, found);
    }
    let Some((_, codes)) = cx.d.args.split_last().filter(|_| cx.is_in("location")) else { return };
    let level = cx.level();
    let mut passes = passes(&[Pass::Http, Pass::Gateway]).filter(|name| *name != "grpc_pass");
    let Some(pass) = passes.find_map(|name| level.first_of(name)) else { return };
    let Some(code) = codes.iter().find(|code| code.is("404")) else { return };
    // What this server answers itself.
    let own = ["try_files", "return", "if", "include", "deny", "limit_except", "location"];
    let name = format!("{}_intercept_errors", pass.name.str().trim_end_matches("_pass"));
    if own.iter().any(|own| level.has(own)) || cx.levels.iter().any(|level| level.has(&name)) {
        return;
    }
    let message = "the application's own page is sent: its errors are not looked at";
    found.push(Finding::new(code.span, message, format!("add: {name} on;")).note(pass.span, "it answers"));
}

/// An error page of a server whose locations are all passed to applications.
fn not_intercepted_anywhere(cx: &RuleContext, found: &mut Vec<Finding>) {
    let level = cx.level();
    let Some(code) = cx.d.args.iter().rev().skip(1).find(|code| code.is("404")) else { return };
    let own = ["root", "return", "if", "include", "rewrite", "try_files"];
    if !cx.is_first("error_page") || own.iter().any(|own| level.has(own)) {
        return;
    }
    let page = cx.d.args.last().map(Word::bytes).unwrap_or_default();
    let (mut passed, mut is_all) = (None, false);
    for d in level.named("location").iter().take(COMPARED) {
        let Some((sign, name)) = location(d) else { return };
        if sign == b"=" && name.bytes() == page || name.bytes().starts_with(b"@") {
            continue;
        }
        let inside = level.inside(d);
        let answers =
            ["try_files", "return", "if", "include", "location", "rewrite", "error_page", "deny", "limit_except"];
        let is_intercepted = cx.levels.iter().any(|level| level.has("proxy_intercept_errors"));
        let Some(pass) = inside.first_of("proxy_pass") else { return };
        if is_intercepted || inside.has("proxy_intercept_errors") || answers.iter().any(|name| inside.has(name)) {
            return;
        }
        passed = passed.or(Some(pass.span));
        is_all |= name.is("/") && matches!(sign, b"" | b"^~");
    }
    // What no location takes is answered here.
    if let Some(pass) = passed.filter(|_| is_all) {
        let message = "the application's own page is sent: its errors are not looked at";
        found.push(Finding::new(code.span, message, "add: proxy_intercept_errors on;").note(pass, "it answers"));
    }
}

fn behind_keepalive(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !CHOICES.iter().any(|name| cx.is(name)) {
        return;
    }
    let level = cx.level();
    let Some(keepalive) = level.first("keepalive").filter(|at| cx.is_in("upstream") && *at < cx.at) else { return };
    let message = format!("in nginx \"{}\" takes the place of keepalive, which stands before it", cx.d.name.str());
    let finding = Finding::new(cx.d.span, message, "write it above `keepalive`");
    found.push(finding.note(level.all[keepalive].span, "connections are kept by"));
}

fn sent_twice(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !NEXT.iter().any(|name| cx.is(name)) {
        return;
    }
    if let Some(word) = cx.d.args.iter().find(|word| word.is("non_idempotent")) {
        let message = "a POST is sent to the next server though the first may have done what it asks";
        found.push(Finding::new(word.span, message, "leave the word out"));
    }
}

/// A pass to a host by its name, which is looked up at the start.
fn is_by_name(http: Option<&Level>, d: &Directive) -> bool {
    let Some(word) = d.args.first().filter(|_| d.name.is("proxy_pass")) else { return false };
    let text = word.str();
    let host = authority(&text);
    let name = host.split(':').next().unwrap_or_default();
    let is_name = !name.is_empty() && !host.starts_with('[') && name != "unix" && name != "localhost";
    is_name && name.parse::<IpAddr>().is_err() && !http.is_some_and(|http| http.has_upstream(name.as_bytes()))
}

fn unused_resolver(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is_first("resolver") {
        return;
    }
    if cx.is_in("upstream") || !cx.is_whole || cx.levels.iter().any(|level| level.has("include")) {
        return;
    }
    let http = cx.inside("http");
    let by_name = first_below(cx.level().all, |d| is_by_name(http, d));
    let is_asked = || cx.levels.first().is_some_and(|level| level.below().asks_resolver);
    if let Some(pass) = by_name.filter(|_| !is_asked()) {
        let message = "never asked: the names here are looked up once, at the start";
        let help = "for a name that is looked up again: set $app HOST; proxy_pass http://$app:PORT;";
        found.push(Finding::new(cx.d.span, message, help).note(pass.span, "looked up at the start"));
    }
}

fn path_replaced(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("proxy_pass")) else { return };
    let text = word.str();
    let Some((_, path)) = text.split_once("://").and_then(|(_, rest)| rest.split_once('/')) else { return };
    // Behind `/` alone the rewritten path is what is meant; with a variable another rule of nginx's applies.
    if path.is_empty() || text.contains('$') || text.contains("unix:") {
        return;
    }
    let level = cx.level();
    // A rewrite may have the path itself.
    let own = format!("/{}", path.trim_end_matches('/'));
    let has_path = |d: &Directive| d.args.get(1).is_some_and(|target| target.bytes().starts_with(own.as_bytes()));
    let stops = |d: &&&Directive| d.args.get(2).is_some_and(|flag| flag.is("break")) && !has_path(d);
    if let Some(rewrite) = level.named("rewrite").iter().take(COMPARED).find(stops) {
        let message =
            format!("\"/{path}\" is left out where the rewrite applies: the rewritten path is passed as it is");
        let help = format!("begin what the rewrite makes of the path with it: {own}/…");
        found.push(Finding::new(word.span, message, help).note(rewrite.span, "the rewrite"));
    }
}

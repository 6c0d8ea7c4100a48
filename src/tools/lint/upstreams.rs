//! Ineffective upstream directives: connections that are not kept alive, an upgrade that is not passed on, a server
//! listed twice; and zones that no request is counted in.

use super::blocks::sets;
use super::level::Level;
use super::missing_prerequisites::host_of;
use super::rule::{COMPARED, Finding, Rule, RuleContext};
use super::used::Used;
use crate::config::ast::{Directive, Word};
use crate::util::hash::FastSet;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W026",
        title: "a zone, an upstream or a log format that is never used",
        page: "`limit_req_zone` and `limit_conn_zone` only define a zone: requests are limited where `limit_req zone=NAME;` or \
               `limit_conn NAME N;` stands. A cache is used where `proxy_cache NAME;` stands, an `upstream` where a \
               `proxy_pass http://NAME;` leads to it, a `log_format` where `access_log PATH NAME;` names it. Often \
               the name is misspelt there, or the line was forgotten.",
        about: &[
            "limit_req_zone",
            "limit_conn_zone",
            "proxy_cache_path",
            "fastcgi_cache_path",
            "uwsgi_cache_path",
            "scgi_cache_path",
            "upstream",
            "log_format",
        ],
        check: unused,
    },
    Rule {
        code: "W027",
        title: "upstream servers that are never chosen, or chosen twice as often",
        page: "An `upstream` whose servers are all `down` answers every request with 502. A server that is named twice gets \
               twice the requests, and a failure of it is counted for each line: `weight=2` says the first without the \
               second.",
        about: &["upstream"],
        check: odd_servers,
    },
    Rule {
        code: "W028",
        title: "keepalive connections that are closed after each request",
        page: "`keepalive N` in an upstream keeps connections open, and `proxy_http_version 1.0` or `proxy_set_header Connection \
               close` has the upstream close each of them. Write `proxy_http_version 1.1;` and `proxy_set_header Connection \"\";`.",
        about: &["proxy_http_version", "proxy_set_header"],
        check: not_kept,
    },
    Rule {
        code: "W029",
        title: "an Upgrade that is not passed on",
        page: "A WebSocket needs both headers: `proxy_set_header Upgrade $http_upgrade;` and `proxy_set_header Connection \
               \"upgrade\";` (or a `map` of $http_upgrade) with `proxy_http_version 1.1`. Without the second one the upstream \
               answers as to any other request. Lines of an outer level are lost where a block has one of its own.",
        about: &["proxy_set_header"],
        check: half_an_upgrade,
    },
    Rule {
        code: "W030",
        title: "an application's server without its port",
        page: "A `server` of an upstream that names no port means port 80, also where `fastcgi_pass`, `uwsgi_pass`, `scgi_pass` or \
               `memcached_pass` leads to it: a web server would be asked in another protocol. PHP-FPM listens on 9000, or on a \
               unix socket.",
        about: &["upstream"],
        check: without_port,
    },
    Rule {
        code: "W315",
        title: "a certificate that is compared with the name of a group",
        page: "With `proxy_ssl_verify on` the certificate has to be for the host of `proxy_pass`. Where that is the name of an \
               `upstream` no certificate is: each request is answered 502. Name the host: `proxy_ssl_name app.example.org;`.",
        about: &["proxy_pass"],
        check: verified_group,
    },
];

fn unused(cx: &RuleContext, found: &mut Vec<Finding>) {
    // A file that only defines zones is used by servers elsewhere.
    let is_site = cx.is_in("http") || cx.is_in("stream");
    let level = cx.level();
    if !cx.is_whole || !is_site || !level.has("server") {
        return;
    }
    let zone = |start: &str| {
        let named = |word: &Word| {
            Some(word.bytes().strip_prefix(start.as_bytes())?.split(|byte| *byte == b':').next()?.to_vec())
        };
        cx.d.args.iter().find_map(named)
    };
    let used = || level.used.get_or_init(|| Used::of(level.all));
    let (name, is_used, add): (_, fn(&Used, &[u8]) -> bool, _) = match cx.name() {
        b"limit_req_zone" => (zone("zone="), |used, name| used.limits.contains(name), "limit_req zone=NAME;"),
        b"limit_conn_zone" => (zone("zone="), |used, name| used.connections.contains(name), "limit_conn NAME 10;"),
        b"proxy_cache_path" | b"fastcgi_cache_path" | b"uwsgi_cache_path" | b"scgi_cache_path" => {
            (zone("keys_zone="), |used, name| used.any_cache || used.caches.contains(name), "proxy_cache NAME;")
        }
        b"upstream" => {
            let name = cx.d.args.first().map(Word::lower);
            (name, |used, name| used.any_upstream || used.words.contains(name), "proxy_pass http://NAME;")
        }
        b"log_format" => {
            let name = cx.d.args.first().map(|word| word.bytes().to_vec());
            (name, |used, name| used.formats.contains(name), "access_log PATH NAME;")
        }
        _ => return,
    };
    let Some(name) = name.filter(|name| !is_used(used(), name)) else { return };
    // On another machine, included files may contain other servers.
    let is_ours = cx.paths.is_some_and(|paths| paths.on_this_machine);
    if !is_ours && !used().files.contains(&cx.d.name.span.file) {
        return;
    }
    let name = String::from_utf8_lossy(&name).into_owned();
    let message = match cx.name() {
        b"upstream" => format!("no request is passed to \"{name}\""),
        b"log_format" => format!("no log is written in the format \"{name}\""),
        b"limit_req_zone" | b"limit_conn_zone" => format!("nothing is limited: \"{name}\" is used nowhere"),
        _ => format!("nothing is cached: \"{name}\" is used nowhere"),
    };
    let add = match cx.name() {
        b"upstream" if cx.is_in("stream") => {
            format!("proxy_pass {name};")
        }
        b"fastcgi_cache_path" | b"uwsgi_cache_path" | b"scgi_cache_path" => {
            let family = cx.d.name.str();
            format!("{} {name};", family.trim_end_matches("_path"))
        }
        _ => add.replace("NAME", &name),
    };
    let span = cx.d.args.first().filter(|_| cx.is("log_format")).map_or_else(|| cx.d.args_span(), |name| name.span);
    found.push(Finding::new(span, message, format!("add where it is meant: {add}")));
}

fn servers(upstream: &Directive) -> impl Iterator<Item = &Directive> {
    upstream.block.iter().flatten().filter(|d| d.name.is("server"))
}

fn odd_servers(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("upstream") {
        return;
    }
    let is_down = |d: &Directive| d.args.iter().any(|word| word.is("down"));
    if servers(cx.d).next().is_some() && servers(cx.d).all(is_down) {
        let message = "every request is answered 502: all servers of this upstream are down";
        found.push(Finding::new(cx.d.args_span(), message, "leave `down` out at one of them"));
    }
    let mut seen: std::collections::HashMap<Vec<u8>, &Directive> = std::collections::HashMap::new();
    for d in servers(cx.d) {
        let Some(word) = d.args.first() else { continue };
        let address = word.lower();
        let address = address.strip_suffix(b":80").unwrap_or(&address).to_vec();
        match seen.get(&address) {
            Some(first) => {
                let message = format!("\"{}\" is named twice in this upstream", word.str());
                let finding = Finding::new(word.span, message, "name it once, with weight=2 if it is to get more");
                found.push(finding.note(first.span, "the first one"));
            }
            None => {
                seen.insert(address, d);
            }
        }
    }
}

fn without_port(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("upstream") {
        return;
    }
    let (level, Some(name)) = (cx.level(), cx.d.args.first()) else { return };
    if !level.used.get_or_init(|| Used::of(level.all)).applications.contains(&name.lower()) {
        return;
    }
    for word in servers(cx.d).filter_map(|d| d.args.first()) {
        let text = word.str();
        let (start, end) = (text.starts_with('['), text.ends_with(']'));
        if start && end || !start && !text.contains([':', '$']) {
            let message = format!("\"{text}\" is asked on port 80, which is that of HTTP");
            found.push(Finding::new(word.span, message, format!("name the port: server {text}:9000;")));
        }
    }
}

/// The first `proxy_pass` to which such a line applies and whose upstream has `keepalive`.
fn keeping<'a>(
    level: &'a [Directive],
    is_same: fn(&Directive) -> bool,
    keeps: &dyn Fn(&Directive) -> bool,
) -> Option<&'a Directive> {
    level.iter().take(COMPARED).find_map(|d| {
        if d.name.is("proxy_pass") {
            return keeps(d).then_some(d);
        }
        // A block with such a line of its own does not inherit it.
        let inside = d.block.as_deref().filter(|inside| !inside.iter().any(is_same))?;
        keeping(inside, is_same, keeps)
    })
}

fn not_kept(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_old = cx.is("proxy_http_version") && cx.d.says("1.0");
    let is_closed = || sets(cx.d, "connection").is_some_and(|word| word.bytes().eq_ignore_ascii_case(b"close"));
    let is_same: fn(&Directive) -> bool = match is_old {
        true => |d| d.name.is("proxy_http_version"),
        false if is_closed() => |d| d.name.is("proxy_set_header"),
        false => return,
    };
    let keeps = |pass: &Directive| {
        let url = pass.args.first().map(|word| word.str().into_owned()).unwrap_or_default();
        let host =
            url.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or_default()).unwrap_or_default();
        cx.levels.iter().any(|level| level.keeps(host.as_bytes()))
    };
    if let Some(pass) = keeping(cx.level().all, is_same, &keeps) {
        let message = "no connection is kept: the upstream closes each, in spite of its `keepalive`";
        let help = "write: proxy_http_version 1.1; proxy_set_header Connection \"\";";
        found.push(Finding::new(cx.d.span, message, help).note(pass.span, "passed to it here"));
    }
}

/// Whether a Connection field ends the connection, whatever else it says.
fn closes(value: &Word) -> bool {
    value.bytes().split(|byte| *byte == b',').any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"))
}

fn half_an_upgrade(cx: &RuleContext, found: &mut Vec<Finding>) {
    let level = cx.level();
    if !cx.is_first("proxy_set_header") {
        return;
    }
    let first = |header: &'static str| level.all.iter().find_map(|d| Some((d, sets(d, header)?)));
    let Some((upgrade, _)) = first("upgrade").filter(|(_, value)| !value.is_empty()) else { return };
    match first("connection") {
        None => {
            let message = "no WebSocket is opened: Upgrade is sent without Connection";
            let help = "add beside it: proxy_set_header Connection \"upgrade\";";
            found.push(Finding::new(upgrade.span, message, help));
        }
        Some((line, value)) if value.is_empty() || closes(value) => {
            let message = match value.is_empty() || value.len() == "close".len() {
                true => "no WebSocket is opened: Connection says nothing of the Upgrade",
                false => "no WebSocket is opened: `close` ends the connection that is to be upgraded",
            };
            let finding = Finding::new(line.span, message, "write: proxy_set_header Connection \"upgrade\";");
            found.push(finding.note(upgrade.span, "the upgrade"));
        }
        Some(_) => {
            let is_old = |d: &&Directive| d.name.is("proxy_http_version") && d.says("1.0");
            if let Some(old) = level.all.iter().find(is_old) {
                let message = "no WebSocket is opened: HTTP/1.0 has no Upgrade";
                let finding = Finding::new(old.span, message, "write: proxy_http_version 1.1;");
                found.push(finding.note(upgrade.span, "the upgrade"));
            }
        }
    }
}

/// The hosts of an upstream's servers.
fn hosts<'l>(upstream: &'l Level) -> &'l FastSet<String> {
    upstream.hosts.get_or_init(|| {
        let addresses = upstream.named("server").iter().filter_map(|server| server.args.first());
        addresses.map(|address| address.str().split(':').next().unwrap_or_default().to_owned()).collect()
    })
}

fn verified_group(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("proxy_pass")) else { return };
    let text = word.str();
    let host = host_of(&text);
    let verify = cx.levels().find_map(|level| level.first_of("proxy_ssl_verify"));
    let Some(verify) = verify.filter(|d| d.args.iter().any(|word| word.is("on"))) else { return };
    let is_named = cx.levels().any(|level| level.has("proxy_ssl_name") || level.has("include"));
    // A group may be called like its host, as containers are.
    let group = cx.inside("http").and_then(|http| Some(http.inside(http.upstream(host.as_bytes())?)));
    let is_group = !host.contains('.') && group.is_some_and(|group| !hosts(&group).contains(host));
    if text.starts_with("https://") && is_group && !is_named {
        let message = format!("no certificate is for \"{host}\", the name of a group: requests are answered 502");
        let finding = Finding::new(word.span, message, "add the name in the certificate: proxy_ssl_name HOST;");
        found.push(finding.note(verify.span, "it is verified"));
    }
}

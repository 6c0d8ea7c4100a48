//! What a request can inject into other requests, responses and addresses; and headers and rules that are lost.

use super::blocks::{Pass, authority, is_of_client, passes, sets, variables};
use super::level::{Fields, Level, Mapped};
use super::regexes::{Captured, begins_with_slash, captured, group, holds_a_host};
use super::rule::{COMPARED, Finding, Rule, RuleContext};
use super::targets::leads_to;
use super::unpassed::is_of_server;
use crate::config::ast::{Directive, Word};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W101",
        title: "the client chooses the upstream host",
        page: "A variable that the client fills stands in the host of an upstream URL: anyone can make the server ask \
               any host, inside your network too (SSRF). Name the host, or let a regex or a `map` allow a fixed set.",
        about: &["proxy_pass", "grpc_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass"],
        check: server_side_request,
    },
    Rule {
        code: "W102",
        title: "a decoded value in a header",
        page: "`$uri`, `$document_uri` and captures of the path are decoded: in nginx %0d%0a is a line end in them, and \
               what follows becomes a header of its own. webserv refuses such a path with 400, but what a client meant \
               by %3F or %25 is lost here too. Use `$request_uri`, or a regex whose group cannot match a line end.",
        about: &["add_header", "add_trailer", "proxy_set_header", "return", "rewrite", "proxy_pass"],
        check: header_splitting,
    },
    Rule {
        code: "W103",
        title: "Host as the client sent it",
        page: "`$http_host` is what the client sent, not what was matched with server_name: applications that make links \
               from it can be made to link elsewhere. Pass `$host`. A redirect to it keeps the port of the old scheme as well.",
        about: &["return", "rewrite", "proxy_set_header", "fastcgi_param", "uwsgi_param", "scgi_param"],
        check: host_spoofing,
    },
    Rule {
        code: "W104",
        title: "add_header drops the headers of the level above",
        page: "A level that has an `add_header` of its own takes none of those above it. Repeat them, or set \
               `add_header_inherit merge`.",
        about: &["add_header", "add_trailer"],
        check: lost_headers,
    },
    Rule {
        code: "W105",
        title: "allow without deny",
        page: "Who matches no rule is let in: `allow` alone forbids nothing. End the list with `deny all;`.",
        about: &["allow"],
        check: allow_without_deny,
    },
    Rule {
        code: "W134",
        title: "proxy_set_header drops Host or the client's address",
        page: "A level that has a `proxy_set_header` of its own takes none of those above it: with one for Upgrade in a \
                   location, the Host and the address of the client that the server sets are not sent there, and a header \
                   that the server removes is passed on. Repeat them.",
        about: &["proxy_set_header"],
        check: lost_request_headers,
    },
    Rule {
        code: "W152",
        title: "fastcgi_param drops the parameters of the level above",
        page: "A level that has a `fastcgi_param` of its own takes none of those above it: with SCRIPT_FILENAME in a \
                   location, what the server passes to the program is not passed there. So it is with `cgi_env`. Repeat them, or \
                   include them.",
        about: &PARAMETERS,
        check: lost_parameters,
    },
    Rule {
        code: "W323",
        title: "a request header with two values",
        page: "Each `proxy_set_header` of a level is sent: two of one name are two lines in the request, and with two Hosts most \
               servers refuse it (400). Keep one.",
        about: &["proxy_set_header"],
        check: sent_twice,
    },
];

fn sent_by_client(name: &str) -> bool {
    is_of_client(name) || matches!(name, "uri" | "document_uri" | "request_uri" | "args" | "query_string")
}

/// Whether an enclosing block assigns client input to the variable.
fn is_set_by_client(cx: &RuleContext, name: &str) -> bool {
    let is_sent =
        |value: &&Word| variables(authority(&value.str())).iter().any(|of| sent_by_client(of) && !of.ends_with("uri"));
    cx.levels.iter().filter_map(|level| level.assigned().get(name)).flatten().any(is_sent)
}

/// The `map` blocks of enclosing levels that define a variable, with their levels.
pub fn maps_of<'p, 'a>(
    cx: &RuleContext<'p, 'a>,
    name: &str,
) -> impl Iterator<Item = (&'p Level<'a>, &'a Directive)> + use<'p, 'a> {
    let variable = format!("${name}").into_bytes();
    let maps =
        cx.levels.iter().flat_map(|level| level.named("map").iter().take(COMPARED).map(move |map| (level, *map)));
    maps.filter(move |(_, map)| map.args.get(1).is_some_and(|word| word.lower() == variable))
}

/// Whether a `map` assigns a host supplied by the client: directly, or by a capture of it.
fn is_mapped_by_client(cx: &RuleContext, name: &str) -> bool {
    maps_of(cx, name).any(|(level, map)| mapped(level, map).host_of_client)
}

/// What the values of a map are made of; found once for each map.
fn mapped<'a>(level: &Level<'a>, map: &'a Directive) -> Mapped {
    *level.inside(map).mapped.get_or_init(|| {
        let source = map.args.first().map(|word| variables(&word.str())).unwrap_or_default();
        let (is_sent, is_decoded) = (source.iter().any(|of| sent_by_client(of)), source.iter().any(|of| is_path(of)));
        let mut found = Mapped::default();
        for line in map.block.iter().flatten() {
            let (key, value) = (line.name.str(), line.args.first().map(Word::str).unwrap_or_default());
            found.host_of_client |=
                variables(authority(&value)).iter().any(|of| is_of_client(of) || is_sent && is_any(group(&key, of)));
            found.decoded_path |= variables(&value)
                .iter()
                .any(|of| is_path(of) || is_decoded && group(&key, of) == Some(Captured::Anything));
        }
        found
    })
}

fn is_path(name: &str) -> bool {
    matches!(name, "uri" | "document_uri")
}

/// Whether a group can capture values that no list could enumerate.
fn is_any(held: Option<Captured>) -> bool {
    matches!(held, Some(Captured::Anything | Captured::NoLineEnd))
}

/// Whether a `map` assigns a decoded path, or a capture of one that may contain a line end.
fn is_mapped_from_path(cx: &RuleContext, name: &str) -> bool {
    maps_of(cx, name).any(|(level, map)| mapped(level, map).decoded_path)
}

/// Whether the server accepts requests for any host: none of its names is a domain name.
fn takes_any_host(cx: &RuleContext) -> bool {
    let Some(server) = cx.inside("server") else { return false };
    *server.takes_any_host.get_or_init(|| {
        let mut names = server.named("server_name").iter().flat_map(|d| &d.args);
        !names.any(|name| name.bytes().contains(&b'.'))
    })
}

/// The host part: everything before a slash, or before a variable that begins with one (`http://backend$request_uri`).
pub fn before_path(rest: &str) -> &str {
    const PATHS: [&str; 6] = ["$uri", "$request_uri", "$document_uri", "${uri}", "${request_uri}", "${document_uri}"];
    let host = rest.split('/').next().unwrap_or_default();
    let path = PATHS.iter().filter_map(|path| host.find(path)).filter(|at| *at > 0).min();
    path.and_then(|at| host.get(..at)).unwrap_or(host)
}

/// Whether a host is one variable, with or without a port behind it.
fn is_whole(host: &str, name: &str) -> bool {
    let host = host.split(':').next().unwrap_or_default();
    host.strip_prefix('$').is_some_and(|host| host.trim_matches(['{', '}']).eq_ignore_ascii_case(name))
}

fn server_side_request(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_pass = passes(&[Pass::Http, Pass::Gateway]).any(|name| cx.is(name));
    let Some(word) = cx.d.args.first().filter(|_| is_pass) else { return };
    if cx.level().has("internal") {
        return;
    }
    let text = word.str();
    let (scheme, rest) = text.split_once("://").unwrap_or(("", &text));
    if let Some(name) = variables(scheme).into_iter().find(|name| is_of_client(name)) {
        let message = format!("the request chooses by ${name} what is spoken");
        return found.push(Finding::new(word.span, message, "name the scheme: http:// or https://"));
    }
    let host = before_path(rest);
    for name in variables(host) {
        // `http://127.0.0.1:3000$rest` behind `(?<rest>/.*)`: the path begins with it.
        if !host.starts_with('$') && begins_with_slash(cx, &name) {
            break;
        }
        let free = sent_by_client(&name)
            || is_set_by_client(cx, &name)
            || is_mapped_by_client(cx, &name)
            || name == "host" && takes_any_host(cx)
            || is_any(captured(cx, &name))
            || is_whole(host, &name) && holds_a_host(cx, &name)
            || is_of_server(cx, &name)
            || set_from(cx, &name).iter().any(|of| is_any(captured(cx, of)));
        if free {
            found.push(Finding::new(
                word.span,
                format!("the request chooses the host by ${name}: anyone can have any address asked"),
                "name the host, or let a `map` or a regex such as (a|b) allow a fixed set",
            ));
        }
    }
}

fn header_splitting(cx: &RuleContext, found: &mut Vec<Finding>) {
    let values: Vec<&Word> = match (cx.name(), &cx.d.args[..]) {
        (b"add_header" | b"add_trailer" | b"proxy_set_header", [_, value, ..]) => vec![value],
        (b"return", [code, url]) if code.bytes().starts_with(b"3") => vec![url],
        (b"return", [url]) if url.bytes().starts_with(b"http") => vec![url],
        (b"rewrite", [_, url, ..]) if url.bytes().starts_with(b"http") => vec![url],
        (b"proxy_pass", [url]) => vec![url],
        _ => return,
    };
    for word in values {
        let before = found.len();
        for name in variables(&word.str()) {
            let decoded = is_path(&name) || set_from(cx, &name).iter().any(|name| is_path(name));
            let mapped = !decoded && is_mapped_from_path(cx, &name);
            // A rewrite's own captures come from the URI too, but `.` matches no line end.
            let holds_all = |name: &str| captured(cx, name) == Some(Captured::Anything);
            let capture =
                !cx.is("rewrite") && (holds_all(&name) || set_from(cx, &name).iter().any(|name| holds_all(name)));
            if decoded || mapped || capture {
                found.push(Finding::new(
                    word.span,
                    format!("${name} is decoded: in nginx it can hold a line end, which begins another header"),
                    match decoded {
                        true => "use $request_uri, which is as the client sent it".to_owned(),
                        false => "let the group match what is meant only, such as [a-z]*, or exclude \\n".to_owned(),
                    },
                ));
            }
        }
        // Through several variables: a `set` of a map, a map of a map.
        let of_path = |text: &String| variables(text).into_iter().find(|name| is_path(name));
        if let Some(name) = cx.texts(&word.str()).iter().find_map(of_path).filter(|_| found.len() == before) {
            let message = format!("this becomes ${name}, which is decoded: in nginx it can hold a line end");
            let help = "use $request_uri, which is as the client sent it";
            found.push(Finding::new(word.span, message, help));
        }
    }
}

/// The variables in the values that a `set` in the same block assigns to this one; of outer blocks without groups,
/// which are those of another regex there.
fn set_from(cx: &RuleContext, name: &str) -> Vec<String> {
    // Not those of an `if` in this block, whose groups are of another regex as well.
    let variable = format!("${name}");
    let is_own = |d: &&Directive| d.name.is("set") && d.says(&variable);
    let own = cx.level().all.iter().take(COMPARED).find(is_own).and_then(|d| d.args.get(1));
    let mut found = own.map(|value| variables(&value.str())).unwrap_or_default();
    let is_set = |level: &&Level| level.has("set") || level.has("if");
    let outer = cx.levels().skip(1).filter(is_set).find_map(|level| level.assigned().get(name)).into_iter().flatten();
    let names = outer.take(COMPARED).flat_map(|value| variables(&value.str()));
    found.extend(names.filter(|name| !name.starts_with(|c: char| c.is_ascii_digit())));
    found
}

/// Headers from which applications make their links.
const HOSTS: [&[u8]; 3] = [b"host", b"x-forwarded-host", b"x-forwarded-server"];

fn host_spoofing(cx: &RuleContext, found: &mut Vec<Finding>) {
    if let Some(url) = leads_to(cx)
        && let text = url.str()
        && let Some((scheme, _)) = text.split_once("://$http_host").or_else(|| text.split_once("://${http_host}"))
    {
        let message = "$http_host is what the client sent, with its port: not the name that was matched";
        found.push(Finding::new(url.span, message, format!("lead to the host alone: {scheme}://$host…")));
        return;
    }
    let [name, value, ..] = &cx.d.args[..] else { return };
    let is_param = cx.name().ends_with(b"_param");
    let right = match name.bytes() {
        b"SERVER_NAME" if is_param => "$server_name",
        // The header itself is what applications get as HTTP_HOST anyway.
        b"HTTP_HOST" if is_param && !value.is("$http_host") => "$host",
        host if cx.is("proxy_set_header") && HOSTS.iter().any(|name| host.eq_ignore_ascii_case(name)) => "$host",
        _ => return,
    };
    let of_client = |text: &String| variables(text).into_iter().find(|name| is_of_client(name));
    // A proxy in front may have said it.
    let is_passed_on = |sent: &String| *sent == format!("http_{}", name.str().to_ascii_lowercase().replace('-', "_"));
    let sent = cx.texts(&value.str()).iter().find_map(of_client);
    if let Some(sent) = sent.filter(|sent| name.len() == "host".len() || is_param || !is_passed_on(sent)) {
        let message = format!("${sent} is what the client sent, not the name that was matched");
        let help = format!("write: {} {} {right};", cx.d.name.str(), name.str());
        found.push(Finding::new(value.span, message, help));
    }
}

/// Maximum number of headers named in one warning.
const NAMED: usize = 10;

/// The names of lost headers, of which there are `count`.
fn listed(lost: &[&Directive], count: usize) -> String {
    let names: Vec<_> = lost.iter().filter_map(|d| d.args.first()).map(Word::str).collect();
    match count - lost.len() {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

fn lost_headers(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("add_header") && !cx.is("add_trailer") {
        return;
    }
    let (level, name) = (cx.level(), cx.d.name.str());
    let inherit = format!("{name}_inherit");
    if level.first(&name) != Some(cx.at) {
        return;
    }
    // The innermost level with the inheritance directive decides.
    let mode = cx.levels.iter().rev().find_map(|level| level.all.get(level.first(&inherit)?)?.args.first());
    let is_own_wish = || level.has(&inherit) && mode.is_some_and(|mode| mode.is("off"));
    if mode.is_some_and(|mode| mode.is("merge")) || is_own_wish() {
        return;
    }
    let Some(above) = cx.levels().skip(1).find(|level| level.has(&name)) else { return };
    let (lost, count) = added(above, &name).lost(added(level, &name), NAMED);
    if let Some(first) = lost.first() {
        let names = listed(&lost, count);
        let message = format!("{name} here drops {names} of the level above");
        let help = match mode {
            Some(mode) => format!("repeat them in this block, or write: {inherit} merge; ({} takes none)", mode.str()),
            None => format!("repeat them in this block, or add: {inherit} merge;"),
        };
        found.push(Finding::new(cx.d.name.span, message, help).note(first.span, "added"));
    }
}

fn added<'p, 'a>(level: &'p Level<'a>, directive: &str) -> &'p Fields<'a> {
    let kept = if directive == "add_header" { &level.headers } else { &level.trailers };
    kept.get_or_init(|| Fields::of(level.all, directive))
}

/// Fields on which upstreams base decisions, and which are lost unless repeated.
const DECISIVE: [&str; 6] =
    ["host", "x-real-ip", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "authorization"];

fn lost_request_headers(cx: &RuleContext, found: &mut Vec<Finding>) {
    let level = cx.level();
    let passes_below = || cx.is_in("server") && level.below().passes_by_http;
    if !cx.is_first("proxy_set_header") || !level.has("proxy_pass") && !passes_below() {
        return;
    }
    let Some(above) = cx.levels().skip(1).find(|level| level.has("proxy_set_header")) else { return };
    let decisive = above.decisive.get_or_init(|| {
        // The default for Host is $proxy_host.
        let differs = |d: &Directive, name| sets(d, name).is_some_and(|value| !value.is("$proxy_host"));
        let first = |name: &&'static str| Some((*name, above.all.iter().find(|d| differs(d, name))?));
        DECISIVE.iter().filter_map(first).collect()
    });
    if let Some((name, first)) = decisive.iter().find(|(name, _)| !level.all.iter().any(|d| sets(d, name).is_some())) {
        let message = format!("proxy_set_header here drops {name} of the level above");
        let finding = Finding::new(cx.d.name.span, message, "repeat them in this block");
        return found.push(finding.note(first.span, "set"));
    }
    let own = Fields::of(level.all, "proxy_set_header");
    let dropped = above.dropped.get_or_init(|| Fields::of_such(above.all, "proxy_set_header", is_decided_above));
    let (mut lost, mut count) = dropped.lost(&own, NAMED);
    // Compressed responses matter where `sub_filter` looks for a text in them.
    let is_searched = cx.levels.iter().any(|level| level.has("sub_filter"))
        && !level.has("internal")
        && !own.names.contains(&b"upgrade"[..]);
    let before = lost.len();
    lost.retain(|d| is_searched || !d.args[0].bytes().eq_ignore_ascii_case(b"accept-encoding"));
    count -= before - lost.len();
    let Some(first) = lost.first() else { return };
    let finding = match lost.iter().find(|d| is_empty(d)).and_then(|d| Some((d, d.args.first()?.str()))) {
        Some((removed, name)) => {
            let message = format!("what clients send as {name} is passed here: the line that removes it is not taken");
            let help = format!("repeat it in this block: proxy_set_header {name} \"\";");
            Finding::new(cx.d.name.span, message, help).note(removed.span, "removed")
        }
        None => {
            let message = format!("proxy_set_header here drops {} of the level above", listed(&lost, count));
            Finding::new(cx.d.name.span, message, "repeat them in this block").note(first.span, "set")
        }
    };
    found.push(finding);
}

fn is_empty(d: &Directive) -> bool {
    d.args.get(1).is_some_and(Word::is_empty)
}

/// Whether a `proxy_set_header` says who the client is and what was asked for, or keeps from the upstream what the
/// client sent. Without a line, those of the connection are not sent anyway.
fn is_decided_above(d: &Directive) -> bool {
    const HARMLESS: [&[u8]; 10] = [
        b"connection",
        b"upgrade",
        b"keep-alive",
        b"te",
        b"content-length",
        b"content-type",
        b"range",
        b"expect",
        b"if-modified-since",
        b"if-none-match",
    ];
    const TOLD: [&str; 13] = [
        "x-forwarded-",
        "x-client-",
        "x-remote-",
        "x-auth",
        "x-user",
        "x-scheme",
        "x-url-scheme",
        "x-original-host",
        "x-ssl-",
        "x-api-key",
        "x-webauth-",
        "x-real-",
        "x-host",
    ];
    let name = d.args.first().map(Word::lower).unwrap_or_default();
    TOLD.iter().any(|start| name.starts_with(start.as_bytes())) || is_empty(d) && !HARMLESS.contains(&&*name)
}

/// Directives that pass parameters to applications.
const PARAMETERS: [&str; 4] = ["fastcgi_param", "uwsgi_param", "scgi_param", "cgi_env"];

fn lost_parameters(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (level, name) = (cx.level(), cx.d.name.str());
    if !PARAMETERS.contains(&&*name) || !cx.is_first(&name) || level.has("include") {
        return;
    }
    let Some(above) = cx.levels().skip(1).find(|level| level.has(&name)) else { return };
    let of = PARAMETERS.iter().position(|about| *about == name).unwrap_or_default();
    let kept = above.parameters[of].get_or_init(|| Fields::of(above.all, &name));
    let (lost, count) = kept.lost(&Fields::of(level.all, &name), NAMED);
    if let Some(first) = lost.first() {
        let names = listed(&lost, count);
        let message = format!("{name} here drops {names} of the level above");
        let finding = Finding::new(cx.d.name.span, message, "repeat them in this block, or include them here");
        found.push(finding.note(first.span, "given"));
    }
}

fn allow_without_deny(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("allow") || cx.d.says("all") {
        return;
    }
    let level = cx.level();
    // With `satisfy any`, other clients are asked for a password, if one is required at all.
    let nearest = |name: &str| cx.levels().find_map(|level| level.first_of(name));
    let asks = |name: &str| nearest(name).is_some_and(|d| !d.says("off"));
    let is_asked = || asks("auth_basic") || asks("auth_request") || cx.levels().any(|level| level.has("include"));
    let ends = level.has("deny") || nearest("satisfy").is_some_and(|d| d.says("any")) && is_asked();
    if level.first("allow") == Some(cx.at) && !ends {
        let message = "allow without deny forbids nothing: who matches no rule is let in";
        found.push(Finding::new(cx.d.name.span, message, "end the list with: deny all;"));
    }
}

/// Headers that a request has once.
const SINGLE: [&str; 8] = [
    "host",
    "connection",
    "upgrade",
    "authorization",
    "x-real-ip",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
];

fn sent_twice(cx: &RuleContext, found: &mut Vec<Finding>) {
    // One look at all of a level, at its first line.
    if !cx.is_first("proxy_set_header") {
        return;
    }
    for name in SINGLE {
        let is_one = |d: &&Directive| {
            d.name.is("proxy_set_header") && d.args.first().is_some_and(|word| word.lower() == name.as_bytes())
        };
        let mut lines = cx.level().all.iter().filter(is_one).filter(|d| d.args.get(1).is_some_and(|v| !v.is_empty()));
        if let Some((first, second)) = lines.next().zip(lines.next()) {
            let message = format!("\"{}\" is sent twice: each line adds one", second.args[0].str());
            let finding = Finding::new(second.args[0].span, message, "keep one of the two lines");
            found.push(finding.note(first.span, "the first"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lint;
    use crate::config::load::{LoadOptions, load_text};

    #[test]
    fn each_header_that_is_dropped_counts_however_many_there_are() {
        let lines =
            |names: std::ops::Range<u32>| -> String { names.map(|at| format!("add_header H{at} v; ")).collect() };
        for (above, own, expected) in [
            (lines(0..2), lines(1..2), Some("drops H0 of the level above")),
            (lines(0..2) + "add_header h1 w; ", lines(5..6), Some("drops H0, H1 of the level above")),
            (lines(0..300), lines(0..299), Some("drops H299 of the level above")),
            (lines(0..300), lines(0..300), None),
            (lines(0..12), lines(0..2), Some("H10, H11 of the level above")),
            (lines(0..300), lines(0..2), Some("H10, H11 and 288 more of the level above")),
        ] {
            let text = format!("server {{ {above} location / {{ {own} }} }}");
            let loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
            let found = lint(&loaded.directives, &loaded.sources, None);
            let warned = found.iter().find(|d| d.code == Some("W104")).map(|d| d.message.to_string());
            match (&warned, expected) {
                (Some(warned), Some(expected)) => assert!(warned.contains(expected), "{warned}"),
                (warned, expected) => assert_eq!(warned.as_deref(), expected),
            }
        }
    }
}

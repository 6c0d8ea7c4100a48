//! What a line was probably meant to be: the very line that would be right, where a mistake is one that people make.
//! Called when a directive is wrong already; nothing here is ever accepted.

use crate::config::ast::{Directive, Word};
use crate::config::context::Args;
use crate::config::fault::Fault;
use crate::config::row::Row;
use crate::config::{examples, registry, suggest, value};

/// What to write where the number of arguments is wrong.
pub fn of_shape(d: &Directive, args: Args) -> Option<String> {
    let name = d.name.str();
    let words = &d.args;
    let text = |at: usize| words.get(at).map(Word::str).unwrap_or_default();
    let line = |words: &[String]| format!("write {name} {};", words.join(" "));
    if args.is_block() {
        return of_block(d);
    }
    // `60 s`: a number and its unit.
    let all: Vec<String> = words.iter().map(|word| word.str().into_owned()).collect();
    if words.len() > 1 && args.accepts(words.len() - 1) {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let pair = all.windows(2).position(|pair| is_number(&pair[0]) && value::unit(&pair[1]).is_some());
        if let Some(at) = pair {
            let unit = value::unit(&all[at + 1]).unwrap_or_default();
            let mut joined = all.clone();
            joined.splice(at..at + 2, [format!("{}{unit}", all[at])]);
            return Some(format!("a number and its unit are one word: {}", line(&joined).trim_start_matches("write ")));
        }
    }
    // `Name=value`, `"Name: value"`: two words in one.
    if words.len() == 1 && args.accepts(2) {
        let whole = text(0);
        let halves = whole.split_once(": ").or_else(|| whole.split_once('=')).or_else(|| whole.split_once(':'));
        if let Some((key, rest)) = halves.filter(|(key, rest)| !key.is_empty() && !rest.is_empty()) {
            let rest = if rest.contains(' ') { format!("\"{rest}\"") } else { rest.to_owned() };
            return Some(format!("two words, without a sign between them: {name} {key} {rest};"));
        }
    }
    if REPEATED.contains(&&*name) && words.len() > 1 {
        let lines = all.iter().map(|word| format!("{name} {};", word.trim_end_matches(',')));
        return Some(format!("one in each line: {}", lines.collect::<Vec<_>>().join(" ")));
    }
    if args.is_flag() {
        return Some(format!("{name} on; or {name} off;"));
    }
    if name == "return" && words.is_empty() {
        return Some("a status at least: return 404;".into());
    }
    example(&name).map(|example| format!("it takes {}, as in: {example}", args.describe()))
}

/// An example of the directive, or its default where there is none.
pub fn example(name: &str) -> Option<String> {
    let default = |row: &Row| {
        let plain = !row.default.is_empty() && !row.args.is_block() && row.name == name;
        plain.then(|| format!("{name} {};", row.default))
    };
    examples::of(name).or_else(|| registry::rows().find_map(default))
}

/// Directives that take one thing and may be repeated.
const REPEATED: [&str; 6] = ["allow", "deny", "include", "set_real_ip_from", "proxy_hide_header", "proxy_pass_header"];

fn of_block(d: &Directive) -> Option<String> {
    let name = d.name.str();
    let first = d.args.first().map(Word::str);
    Some(match (&*name, first) {
        ("server", Some(first)) => format!("names stand inside: server {{ server_name {first}; … }}"),
        ("http" | "events" | "types", Some(_)) => format!("nothing stands before its brace: {name} {{ … }}"),
        ("upstream", None) => "a group has a name: upstream backend { … }".into(),
        ("location", None) => "a location has a path: location / { … }".into(),
        ("location", Some(_)) => "a location has one path; write two, or a regex: location ~ ^/(a|b)/ { … }".into(),
        ("if", None) => "a condition stands in parentheses: if ($request_method = POST) { … }".into(),
        _ => return examples::of(&name).map(|example| format!("as in: {example}")),
    })
}

/// What to write where an argument has a value that the directive does not take.
pub fn of_value(d: &Directive, fault: &Fault) -> Option<String> {
    let name = d.name.str();
    let word = d.args.iter().find(|word| word.span == fault.span).or(d.args.first())?;
    let text = word.str();
    match &*name {
        "proxy_pass" if fault.message.contains("cannot have URI part") => {
            let host = text.split("://").nth(1)?.split('/').next()?;
            Some(format!("remove what stands behind the address: proxy_pass {}://{host};", text.split(':').next()?))
        }
        "proxy_pass" => url(&text),
        "fastcgi_pass" | "scgi_pass" | "uwsgi_pass" => address(&name, &text),
        "allow" | "deny" | "set_real_ip_from" => network(&name, &text),
        "return" => answer(d, &text),
        "rewrite" => flag(&text),
        "error_page" => error_page(d),
        "listen" => listen(d, word, &fault.message),
        "server" if fault.message.starts_with("host not found") => {
            Some("an address, or a name that the system can look up now; with `resolve` one that may come later".into())
        }
        "server" => peer(d, word),
        "limit_req_zone" | "limit_conn_zone" => zone(d),
        "limit_rate" | "limit_rate_after" | "proxy_limit_rate" => rate(&name, &text),
        "error_log" | "limit_req_log_level" | "limit_conn_log_level" => level(&text),
        "location" => modifier(d, &text),
        "ssl_protocols" => protocol(&text),
        "gzip_comp_level" => Some("1 is fast, 9 is small: gzip_comp_level 5;".into()),
        "server_name" => star(&text),
        "keepalive" => Some("the number of idle connections to keep: keepalive 32;".into()),
        "expires" => {
            let words: Vec<_> = d.args.iter().map(Word::str).collect();
            expires(&words.concat())
        }
        _ if name.ends_with("_buffers") => buffers(d),
        _ => near_off(&text),
    }
}

fn url(text: &str) -> Option<String> {
    const HTTP: &str = "http://";
    if let Some(rest) = text.strip_prefix("http:/").or(text.strip_prefix("http:")).filter(|_| !text.starts_with(HTTP)) {
        return Some(format!("proxy_pass {HTTP}{rest};"));
    }
    if text.starts_with("unix:") || text.starts_with('/') {
        return Some(format!("proxy_pass {HTTP}unix:{};", text.trim_start_matches("unix:")));
    }
    let other = ["tcp://", "ws://", "h2c://", "grpc://", "//"].iter().find_map(|scheme| text.strip_prefix(scheme));
    if let Some(rest) = other {
        return Some(format!("proxy_pass {HTTP}{rest}; (a WebSocket begins as HTTP: set Upgrade and Connection)"));
    }
    if let Some(rest) = text.strip_prefix("wss://") {
        return Some(format!("proxy_pass https://{rest};"));
    }
    if text.starts_with(HTTP) || text.starts_with("https://") {
        let host = text.split("://").nth(1)?.split(['/', '?']).next()?;
        let port = host.rsplit_once(':').filter(|_| !host.starts_with("unix:"))?.1;
        let legal = port.parse::<u16>().is_ok_and(|port| port > 0);
        return (!legal).then(|| "a port is a number from 1 to 65535: proxy_pass http://127.0.0.1:3000;".to_owned());
    }
    Some(format!("a scheme stands before it: proxy_pass {HTTP}{text};"))
}

fn address(name: &str, text: &str) -> Option<String> {
    if let Some((_, rest)) = text.split_once("://") {
        return Some(format!("an address without a scheme: {name} {};", rest.trim_end_matches('/')));
    }
    if text.starts_with('/') {
        return Some(format!("a socket is written with unix: before its path: {name} unix:{text};"));
    }
    examples::of(name).map(|example| format!("as in: {example}"))
}

fn network(name: &str, text: &str) -> Option<String> {
    if let Some(star) = text.find('*') {
        let parts: Vec<&str> = text[..star].split('.').filter(|part| !part.is_empty()).collect();
        if parts.is_empty() {
            return Some(format!("everyone is \"all\": {name} all;"));
        }
        let (bits, zeros) = (parts.len() * 8, ".0".repeat(4usize.saturating_sub(parts.len())));
        return Some(format!("a network is written with its bits: {name} {}{zeros}/{bits};", parts.join(".")));
    }
    if let Some((first, _)) = text.split_once('-').filter(|(first, _)| first.contains('.')) {
        let base = first.rsplit_once('.').map_or(first, |(base, _)| base);
        return Some(format!("a range is written as a network: {name} {base}.0/24;"));
    }
    if ["any", "everyone", "everybody", "world", "0.0.0.0", "al", "alll", "ALL", "All", "0"].contains(&text) {
        return Some(format!("everyone is \"all\": {name} all;"));
    }
    if text == "localhost" {
        return Some(format!("{name} 127.0.0.1;"));
    }
    None
}

fn answer(d: &Directive, text: &str) -> Option<String> {
    let second = d.args.get(1).map(Word::str);
    if let Some(code) = second.filter(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit())) {
        return Some(format!("the status comes first: return {code} {text};"));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some("a status has three digits, as in: return 301 https://example.org/;".into());
    }
    match text.to_ascii_lowercase().as_str() {
        "permanent" | "moved" | "redirect" => Some("a status in digits: return 301 https://example.org/;".into()),
        "forbidden" | "deny" | "denied" => Some("a status in digits: return 403;".into()),
        _ if text.starts_with('/') => Some(format!("a status comes first: return 301 {text};")),
        _ => None,
    }
}

fn flag(text: &str) -> Option<String> {
    let inside = text.trim_matches(['[', ']']).to_ascii_lowercase();
    let meant = match inside.split(',').next()? {
        "301" | "r=301" => "permanent",
        "302" | "r=302" | "r" => "redirect",
        "l" | "end" => "last",
        word => suggest::nearest(word, ["last", "break", "redirect", "permanent"])?,
    };
    Some(format!("did you mean \"{meant}\"?"))
}

fn error_page(d: &Directive) -> Option<String> {
    let words: Vec<String> = d.args.iter().map(|word| word.str().into_owned()).collect();
    let is_code = |text: &String| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(at) = words.iter().position(|word| word == "=").filter(|at| words.get(at + 1).is_some_and(is_code)) {
        let mut joined = words.clone();
        joined.splice(at..at + 2, [format!("={}", words[at + 1])]);
        return Some(format!("`=` and the status are one word: error_page {};", joined.join(" ")));
    }
    let is_ordered = words.first().is_some_and(is_code) && words.iter().rev().skip(1).all(is_code);
    if is_ordered {
        return None;
    }
    let (codes, pages): (Vec<String>, Vec<String>) = words.into_iter().partition(is_code);
    match &pages[..] {
        [page] if !codes.is_empty() => Some(format!("the statuses come first: error_page {} {page};", codes.join(" "))),
        _ => Some("statuses, then a URI: error_page 500 502 /50x.html;".into()),
    }
}

fn listen(d: &Directive, word: &Word, message: &str) -> Option<String> {
    let text = word.str();
    let is_address = |word: &Word| word.bytes().first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'*');
    if word.span == d.args.first()?.span {
        if let Some(address) = d.args.iter().skip(1).find(|word| is_address(word)) {
            return Some(format!("the address comes first: listen {} {text};", address.str()));
        }
        let (host, port) = text.rsplit_once([':', '.'])?;
        let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
        if host == "*" && is_port {
            return Some(format!("listen *:{port};"));
        }
        let is_v6 = host.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
        if host.contains(':') && is_v6 && is_port {
            return Some(format!("an IPv6 address stands in brackets: listen [{host}]:{port};"));
        }
        let host = text.split(':').next()?;
        let is_v4 = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && host.contains('.');
        if is_v4 && message.starts_with("host not found") {
            return Some("an IPv4 address has four numbers from 0 to 255: listen 127.0.0.1:8080;".into());
        }
    }
    None
}

fn peer(d: &Directive, word: &Word) -> Option<String> {
    let text = word.str();
    if word.span == d.args.first()?.span {
        let bare = text.split_once("://").map_or(&*text, |(_, rest)| rest);
        let bare = bare.split('/').next().unwrap_or(bare);
        if bare.is_empty() {
            return Some(format!("a socket is written with unix: before its path: server unix:{text};"));
        }
        return (bare != text && !text.starts_with("unix:"))
            .then(|| format!("an address without scheme and path: server {bare};"));
    }
    const PARAMETERS: [&str; 8] =
        ["weight", "max_conns", "max_fails", "fail_timeout", "backup", "down", "resolve", "service"];
    let (key, value) = text.split_once('=').map_or((&*text, None), |(key, value)| (key, Some(value)));
    match (PARAMETERS.contains(&key), value) {
        (true, Some(_)) if matches!(key, "backup" | "down" | "resolve") => Some(format!("`{key}` takes no value")),
        (true, _) if key == "fail_timeout" => Some("a time: fail_timeout=10s".into()),
        (true, _) => Some(format!("`{key}` takes a number: {key}=3")),
        (false, _) if key == "port" || key == "timeout" => None,
        (false, _) => suggest::did_you_mean(key, PARAMETERS),
    }
}

fn zone(d: &Directive) -> Option<String> {
    let (zones, keys): (Vec<&Word>, Vec<&Word>) = d.args.iter().partition(|word| word.bytes().contains(&b'='));
    let key = keys.first().filter(|_| d.args.first().is_some_and(|word| word.bytes().contains(&b'=')))?;
    let rest: Vec<_> = zones.iter().map(|word| word.str()).collect();
    Some(format!("the key comes first: {} {} {};", d.name.str(), key.str(), rest.join(" ")))
}

fn rate(name: &str, text: &str) -> Option<String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = unit.trim_end_matches("/s").trim_end_matches("ps");
    match (number.is_empty(), value::unit(unit).filter(|unit| matches!(*unit, "k" | "m" | ""))) {
        (false, Some(unit)) => Some(format!("bytes a second, the unit one letter: {name} {number}{unit};")),
        _ => Some(format!("bytes a second: {name} 100k;")),
    }
}

fn level(text: &str) -> Option<String> {
    const LEVELS: [&str; 8] = ["debug", "info", "notice", "warn", "error", "crit", "alert", "emerg"];
    let meant = match text.to_ascii_lowercase().as_str() {
        "warning" => "warn",
        "err" => "error",
        "critical" | "fatal" => "crit",
        "verbose" | "trace" => "debug",
        word => suggest::nearest(word, LEVELS)?,
    };
    Some(format!("did you mean \"{meant}\"?"))
}

fn modifier(d: &Directive, text: &str) -> Option<String> {
    let rest = d.args.get(1)?.str();
    Some(match text {
        "=~" => format!("location ~ {rest} {{ … }}"),
        "*~" | "=~*" | "~i" => format!("location ~* {rest} {{ … }}"),
        "~^" => format!("location ~ ^{rest} {{ … }}, or ^~ for a prefix that no regex overrides"),
        "==" => format!("location = {rest} {{ … }}"),
        "!~" | "!~*" | "!=" => format!("no location is a negation: location ~ ^(?!{rest}) {{ … }}"),
        _ if text.starts_with(['/', '@', '^']) => of_block(d)?,
        _ => return None,
    })
}

fn protocol(text: &str) -> Option<String> {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    Some(match digits {
        "1.3" | "13" => "did you mean \"TLSv1.3\"?".into(),
        "1.2" | "12" | "1" => "did you mean \"TLSv1.2\"?".into(),
        _ => "ssl_protocols TLSv1.2 TLSv1.3;".into(),
    })
}

fn star(text: &str) -> Option<String> {
    let bare = text.trim_start_matches(['*', '.']);
    text.starts_with('*')
        .then(|| format!("a `*` stands for whole labels: *.{bare}, or .{bare} for the name itself too"))
}

fn expires(text: &str) -> Option<String> {
    if let Some(meant) = value::time_meant(text.as_bytes()) {
        return Some(format!("write {meant}"));
    }
    match text.to_ascii_lowercase().as_str() {
        "never" | "forever" => Some("expires max; lets it be kept for ten years".into()),
        "none" | "no" | "disabled" => Some("expires off;".into()),
        "immediately" | "now" => Some("expires -1; or expires epoch;".into()),
        _ => None,
    }
}

fn buffers(d: &Directive) -> Option<String> {
    let [first, second] = &d.args[..] else { return None };
    let is_number = |word: &Word| word.bytes().iter().all(u8::is_ascii_digit);
    (!is_number(first) && is_number(second))
        .then(|| format!("the number comes first: {} {} {};", d.name.str(), second.str(), first.str()))
}

fn near_off(text: &str) -> Option<String> {
    match text {
        "of" | "offf" | "OFf" => Some("did you mean \"off\"?".into()),
        "onn" | "o" => Some("did you mean \"on\"?".into()),
        _ => None,
    }
}

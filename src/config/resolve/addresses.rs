//! Corrects addresses in common wrong notations, for the help of a directive that is already wrong.

use crate::config::addr::UNIX_PATH_MAX;
use crate::config::ast::{Directive, Word};
use crate::config::directives::resolver;
use crate::config::syntax;
use crate::config::{examples, suggest};

/// The URL that a `proxy_pass` was meant to have.
pub fn url(text: &str) -> Option<String> {
    const HTTP: &str = "http://";
    if let Some(path) = text.strip_prefix("http:///") {
        return Some(format!("a socket is written with unix: before its path: proxy_pass {HTTP}unix:/{path};"));
    }
    if text.starts_with(HTTP) || text.starts_with("https://") {
        let host = text.split("://").nth(1)?.split(['/', '?']).next()?;
        let port = host.rsplit_once(':').filter(|_| !host.starts_with("unix:"))?.1;
        let legal = port.parse::<u16>().is_ok_and(|port| port > 0);
        return (!legal).then(|| "a port is a number from 1 to 65535: proxy_pass http://127.0.0.1:3000;".to_owned());
    }
    // `http:/host`, `http//host`, `https:host`.
    for scheme in ["https", "http"] {
        if let Some(rest) = text.strip_prefix(scheme).filter(|rest| rest.starts_with([':', '/'])) {
            if rest.split(':').any(|part| part.ends_with(".sock")) {
                let path = rest.trim_start_matches([':', '/']);
                return Some(format!(
                    "a socket is written with unix: before its path: proxy_pass {scheme}://unix:/{path};"
                ));
            }
            return Some(format!("did you mean proxy_pass {scheme}://{};", rest.trim_start_matches([':', '/'])));
        }
    }
    if text.starts_with("unix") || text.starts_with('/') {
        return Some(format!("a socket is written with its scheme: proxy_pass {HTTP}{};", socket(text)));
    }
    let other = ["tcp://", "ws://", "h2c://", "grpc://", "//"].iter().find_map(|scheme| text.strip_prefix(scheme));
    if let Some(rest) = other {
        return Some(format!("proxy_pass {HTTP}{rest}; (a WebSocket begins as HTTP: set Upgrade and Connection)"));
    }
    if let Some(rest) = text.strip_prefix("wss://") {
        return Some(format!("proxy_pass https://{rest};"));
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let meant = suggest::nearest(scheme, ["http", "https"]).unwrap_or("http");
        return Some(format!("did you mean proxy_pass {meant}://{rest};"));
    }
    if text.parse::<u16>().is_ok() {
        return Some(format!("a scheme and a host come before the port: proxy_pass {HTTP}127.0.0.1:{text};"));
    }
    Some(format!("a scheme comes before it: proxy_pass {HTTP}{text};"))
}

/// The `unix:/path` for what was meant as a socket.
fn socket(text: &str) -> String {
    let path = text.trim_start_matches("unix").trim_start_matches([':', '/']);
    format!("unix:/{path}")
}

/// The address of a FastCGI, SCGI or uwsgi server.
pub fn gateway(name: &str, text: &str) -> Option<String> {
    if let Some((_, rest)) = text.split_once("://").filter(|(scheme, _)| *scheme != "unix") {
        return Some(format!("an address without a scheme: {name} {};", rest.trim_end_matches('/')));
    }
    if text.starts_with(['/', 'u']) && text.contains('/') {
        return Some(format!("a socket is written with unix: before its path: {name} {};", socket(text)));
    }
    if text.parse::<u16>().is_ok() {
        return Some(format!("a host comes before the port: {name} 127.0.0.1:{text};"));
    }
    examples::of(name).map(|example| format!("as in: {example}"))
}

/// An address or network of `allow` and the like.
pub fn network(name: &str, text: &str) -> Option<String> {
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
        return Some(format!("an address, not a name: {name} 127.0.0.1;"));
    }
    if text.starts_with('$') {
        return Some(format!(
            "only a fixed address is allowed here; for a variable use `if ({text}) {{ return 403; }}` or `geo`"
        ));
    }
    if let Some((ip, port)) = text.rsplit_once(':').filter(|(ip, _)| ip.parse::<std::net::Ipv4Addr>().is_ok()) {
        return Some(format!("a client's address has no port ({port}): {name} {ip};"));
    }
    let numbers: Vec<&str> = text.split('/').next()?.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if numbers.len() > 1 && numbers.iter().all(is_number) {
        return match numbers.len() {
            4 if text.contains('/') => None,
            4 => Some("an IPv4 address has four numbers from 0 to 255: 192.0.2.1, or a network 192.0.2.0/24".into()),
            n if n < 4 => {
                let zeros = ".0".repeat(4 - n);
                Some(format!("a network is written whole: {name} {}{zeros}/{};", numbers.join("."), n * 8))
            }
            _ => None,
        };
    }
    None
}

/// `192.0.2.0 255.255.255.0` as a network with its bits.
pub fn with_mask(words: &[String]) -> Option<String> {
    let [address, mask] = words else { return None };
    let mask = u32::from(mask.parse::<std::net::Ipv4Addr>().ok()?);
    let is_mask = mask.leading_ones() + mask.trailing_zeros() == u32::BITS && mask != 0;
    let address = address.parse::<std::net::Ipv4Addr>().ok().filter(|_| is_mask)?;
    Some(format!("{}/{}", std::net::Ipv4Addr::from(u32::from(address) & mask), mask.leading_ones()))
}

/// A name server, or a parameter of `resolver`.
pub fn resolver(text: &str) -> Option<String> {
    match text.split_once('=') {
        Some((key @ ("ipv4" | "ipv6"), _)) => Some(format!("{key}=on or {key}=off")),
        Some(("valid", _)) => Some("a time: valid=30s".into()),
        Some((key, value)) => {
            let near = suggest::nearest(key, ["valid", "ipv4", "ipv6"])?;
            Some(format!("did you mean \"{near}={value}\"?"))
        }
        None if text.split_once(':').is_some_and(|(key, _)| matches!(key, "valid" | "ipv4" | "ipv6")) => {
            Some(format!("did you mean \"{}\"?", text.replacen(':', "=", 1)))
        }
        None if text.parse::<std::net::IpAddr>().is_ok() => {
            Some(format!("an IPv6 address is written in brackets: [{text}]"))
        }
        None if resolver::is_without_port(text) => {
            let host = text.split(':').next().unwrap_or(text);
            Some(format!("the port in digits, or none (then 53): resolver {host}:53;"))
        }
        None => Some("an address, as in: resolver 127.0.0.53; or resolver 8.8.8.8 1.1.1.1;".into()),
    }
}

/// The address of `listen`.
pub fn listen(d: &Directive, word: &Word, message: &str) -> Option<String> {
    let text = word.str();
    if word.span != d.args.first()?.span {
        return second_port(d, &text).or_else(|| listen_word(&text));
    }
    let rest = || syntax::line(d.args.iter().skip(1));
    if message.starts_with("too long path") {
        return Some(format!("the path of a socket has {UNIX_PATH_MAX} bytes at most: name a shorter one"));
    }
    if text == "=" && d.args.len() > 1 {
        return Some(format!("leave out the `=`: listen {};", rest()));
    }
    let port = d.args.get(1).map(Word::str).filter(|port| text.len() > 1 && text.ends_with(':') && is_port(port));
    if let Some(port) = port {
        let others: String = d.args.iter().skip(2).map(|word| format!(" {}", word.str())).collect();
        return Some(format!("an address and its port are one word: listen {text}{port}{others};"));
    }
    let is_address = |word: &Word| word.bytes().first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'*');
    if let Some(address) = d.args.iter().skip(1).find(|word| is_address(word)) {
        return Some(format!("the address comes first: listen {} {text};", address.str()));
    }
    if let Some(meant) = not_a_number(&text).or_else(|| behind_a_port(&text)) {
        return Some(meant);
    }
    if let Some(host) = text.strip_suffix(':').filter(|host| !host.is_empty()) {
        return Some(port_missing(&text, host));
    }
    if let Some(port) = text.strip_prefix('*').filter(|port| is_port(port)) {
        return Some(format!("a colon is missing: listen *:{port};"));
    }
    if let Some(inside) = text.strip_prefix('[') {
        return in_brackets(inside);
    }
    let (host, port) = text.rsplit_once([':', '.'])?;
    if let Some((_, number)) = [("http", 80), ("https", 443)].iter().find(|(name, _)| *name == port) {
        return Some(format!("a port in digits: listen {host}:{number};"));
    }
    if matches!(host, "*" | "any" | "all" | "tcp" | "http" | "0") && is_port(port) {
        return Some(format!("listen *:{port};"));
    }
    if let Some(meant) = without_brackets(&text, host, port) {
        return Some(meant);
    }
    let host = text.split(':').next()?;
    let is_v4 = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && host.contains('.');
    if is_v4 && message.starts_with("host not found") {
        return Some("an IPv4 address has four numbers from 0 to 255: listen 127.0.0.1:8080;".into());
    }
    if message.starts_with("host not found") && is_port(port) {
        return Some(format!(
            "an address of this machine, or the port alone: listen {port}; (names belong in server_name)"
        ));
    }
    None
}

/// `localhost:`, `::`, in which the last colon belongs to the address.
fn port_missing(text: &str, host: &str) -> String {
    let host = match (is_v6(text), is_v6(host)) {
        (true, _) => format!("[{text}]"),
        (_, true) => format!("[{host}]"),
        _ => host.to_owned(),
    };
    format!("the port is missing: listen {host}:80;")
}

/// `::1`, `::8080`, `::1:8080`.
fn without_brackets(text: &str, host: &str, port: &str) -> Option<String> {
    let bracketed = |host: &str, port: &str| format!("an IPv6 address is written in brackets: listen [{host}]:{port};");
    // No port has one digit.
    if is_v6(text) && port.len() == 1 {
        return Some(bracketed(text, "80"));
    }
    let is_hex = host.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
    // In `::8080` the second colon belongs to the address.
    let colon = if host.ends_with(':') && !is_v6(host) { ":" } else { "" };
    (host.contains(':') && is_hex && is_port(port)).then(|| bracketed(&format!("{host}{colon}"), port))
}

/// Whether it is an IPv6 address without brackets.
fn is_v6(host: &str) -> bool {
    host.parse::<std::net::Ipv6Addr>().is_ok()
}

/// `[::]80`, `[::1:80`.
fn in_brackets(inside: &str) -> Option<String> {
    match inside.split_once(']') {
        Some((host, port)) if is_port(port) => Some(format!("a colon is missing: listen [{host}]:{port};")),
        Some(_) => None,
        None => match inside.rsplit_once(':').filter(|(host, port)| is_port(port) && is_v6(host)) {
            Some((host, port)) => Some(format!("`]` is missing: listen [{host}]:{port};")),
            None if is_v6(inside) => Some(format!("`]` is missing: listen [{inside}]:80;")),
            None => None,
        },
    }
}

/// `listen 127.0.0.1 8080;`, `listen 80 443 ssl;`.
fn second_port(d: &Directive, text: &str) -> Option<String> {
    let address = d.args.first()?.str();
    let port = text.trim_matches([',', ';']);
    if !is_port(port) {
        return None;
    }
    let others: Vec<_> = d.args.iter().skip(1).map(Word::str).filter(|word| **word != *text).collect();
    let line = |address: &str| format!("listen {address} {}", others.join(" ")).trim_end().to_owned();
    let host = address.trim_end_matches(':');
    let is_host =
        host.contains('.') || host == "*" || host == "localhost" || host.starts_with('[') && host.ends_with(']');
    Some(
        match is_host
            && !address.trim_end_matches(':').contains("]:")
            && host.rsplit(':').next().is_some_and(|last| !is_port(last))
        {
            true => format!("an address and its port are one word: {};", line(&format!("{host}:{port}"))),
            false => format!("each port has a line of its own: {};", line(port)),
        },
    )
}

/// A word after the address of `listen` that is not a parameter.
fn listen_word(text: &str) -> Option<String> {
    let is_name = text.contains('.')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'*' | b'_'))
        && text.bytes().any(|byte| byte.is_ascii_alphabetic());
    match text {
        "on" | "true" | "yes" => Some("the word before it takes no value: listen 443 ssl;".into()),
        _ if is_name => Some(format!("names have a directive of their own: server_name {text};")),
        _ => None,
    }
}

fn is_port(port: &str) -> bool {
    port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// A service name, a path or a variable in place of a port.
fn not_a_number(text: &str) -> Option<String> {
    match text.to_ascii_lowercase().as_str() {
        "https" | "ssl" | "tls" => return Some("a port in digits: listen 443 ssl;".into()),
        "http" => return Some("a port in digits: listen 80;".into()),
        _ => {}
    }
    if text.starts_with("unix") || text.starts_with('/') || text.starts_with("./") {
        let path = text.trim_start_matches("unix").trim_start_matches([':', '.']);
        return Some(format!(
            "a socket is written with unix: before its path: listen unix:/{};",
            path.trim_start_matches('/')
        ));
    }
    text.starts_with('$').then(|| {
        "`listen` takes no variables, not even from the environment: write the port, or have envsubst make the file"
            .into()
    })
}

/// `80:`, `80/tcp`, `443ssl`: text after the port.
fn behind_a_port(text: &str) -> Option<String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (port, rest) = text.split_at_checked(digits).filter(|(port, _)| is_port(port))?;
    match rest {
        ":" | ";" | "." => Some(format!("listen {port};")),
        "/tcp" | "tcp" | "/http" | "http" | "/" => Some(format!("a port alone: listen {port};")),
        "ssl" | "/ssl" | "https" | ":ssl" | "s" | "/https" => Some(format!("listen {port} ssl;")),
        _ => None,
    }
}

/// A `server` of an upstream.
pub fn peer(d: &Directive, word: &Word) -> Option<String> {
    let text = word.str();
    if word.span == d.args.first()?.span {
        if let Some(help) = named_peer(d) {
            return Some(help);
        }
        let bare = text.split_once("://").map_or(&*text, |(_, rest)| rest);
        let bare = bare.split('/').next().unwrap_or(bare);
        if bare.is_empty() {
            return Some(format!("a socket is written with unix: before its path: server {};", socket(&text)));
        }
        return (bare != text && !text.starts_with("unix:"))
            .then(|| format!("an address without scheme and path: server {bare};"));
    }
    const PARAMETERS: [&str; 8] =
        ["weight", "max_conns", "max_fails", "fail_timeout", "backup", "down", "resolve", "service"];
    let first = d.args.first()?.str();
    let has_port = || first.rsplit_once(':').is_some_and(|(_, port)| is_port(port));
    if is_port(&text) && !first.contains("://") && !first.starts_with("unix:") && !has_port() {
        let others = d.args.iter().skip(1).filter(|other| other.span != word.span).map(Word::str);
        let others: String = others.map(|other| format!(" {other}")).collect();
        let address = first.trim_end_matches(':');
        return Some(format!("an address and its port are one word: server {address}:{text}{others};"));
    }
    if is_address(&text) {
        let servers = d.args.iter().map(Word::str).filter(|word| is_address(word));
        return Some(format!("each server is a line: {}", suggest::lines("server", servers)));
    }
    let (key, value) = text.split_once(['=', ':']).map_or((&*text, None), |(key, value)| (key, Some(value)));
    if value.is_none() && matches!(key, "backup" | "down" | "resolve") {
        let method = "with `ip_hash`, `hash` or `random` no server is a backup: remove it, or the method";
        return (key == "backup").then(|| method.to_owned());
    }
    match (PARAMETERS.contains(&key), value) {
        (true, Some(_)) if matches!(key, "backup" | "down" | "resolve") => Some(format!("`{key}` takes no value")),
        (true, _) if key == "fail_timeout" => Some("a time: fail_timeout=10s".into()),
        (true, Some("0")) => Some(format!("`{key}` takes a number from 1 on: {key}=1; `down` takes the server out")),
        (true, value) => {
            let is_number = |value: &&str| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            Some(format!("`{key}` takes a number: {key}={}", value.filter(is_number).unwrap_or("3")))
        }
        (false, _) if key == "check" => Some(
            "a server is skipped for a while after failures: max_fails=3 fail_timeout=30s; there are no active checks"
                .into(),
        ),
        (false, _) if matches!(key, "port" | "timeout") => None,
        (false, _) if matches!(key, "disabled" | "disable" | "off") => Some("did you mean \"down\"?".into()),
        (false, value) => {
            let near = suggest::nearest(key, PARAMETERS)?;
            Some(format!("did you mean \"{near}{}\"?", value.map_or(String::new(), |value| format!("={value}"))))
        }
    }
}

fn is_address(text: &str) -> bool {
    let host = text.trim_end_matches(',').rsplit_once(':').map_or(text, |(host, _)| host);
    host.parse::<std::net::IpAddr>().is_ok() || host.starts_with("unix:") || host == "localhost"
}

/// HAProxy's `server web1 127.0.0.1:80`.
pub fn named_peer(d: &Directive) -> Option<String> {
    let [name, address, ..] = &d.args[..] else { return None };
    let (name, address) = (name.str(), address.str());
    (!is_address(&name) && is_address(&address))
        .then(|| format!("a server has no name here, its address comes first: server {address};"))
}

/// A name of `server_name`.
pub fn name(d: &Directive, text: &str) -> Option<String> {
    match text {
        "*" => return Some("every host is the default server: server_name _; and listen … default_server;".into()),
        "~" => {
            let regex = d.args.iter().skip_while(|word| !word.is("~")).nth(1)?.str();
            return Some(format!("write no space after `~`: server_name ~{regex};"));
        }
        _ => {}
    }
    let bare = text.trim_start_matches(['*', '.']);
    (text.starts_with('*') && !bare.contains('*'))
        .then(|| format!("a `*` stands for whole labels: *.{bare}, or .{bare} for the name itself too"))
}

//! Ports that speak something else than is expected of them, and ports of an application that it does not have.

use super::blocks::{authority, is_tls};
use super::level::Level;
use super::rule::{COMPARED, Finding, Rule, RuleContext};
use super::targets::leads_to;
use crate::config::ast::{Directive, Word};
use crate::util::hash::FastMap;
use std::net::IpAddr;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W328",
        title: "HTTP/3 is announced but not supported",
        page: "`Alt-Svc: h3=\":443\"` tells browsers to come by HTTP/3 (QUIC), which this server does not speak: each of \
               them tries it, waits, and goes back. In nginx it takes `listen 443 quic;` as well. Leave the line out, unless \
               another program answers on that UDP port.",
        about: &["add_header"],
        check: announced,
    },
    Rule {
        code: "W329",
        title: "one port for two protocols",
        page: "A port speaks one protocol: what `fastcgi_pass` (uwsgi, SCGI) leads to does not understand HTTP, so that \
               `proxy_pass` to the same address is answered with 502. One of the two has the wrong port, or the wrong directive.",
        about: &["proxy_pass"],
        check: two_protocols,
    },
    Rule {
        code: "W330",
        title: "a redirect rule for a port other than the application's",
        page: "`proxy_redirect` replaces the beginning of a Location that the application sends. An application names the port it \
               listens on, or the one in Host: with any other port in the first URL nothing is ever replaced. Write the URL of \
               `proxy_pass`, or `proxy_redirect default;`.",
        about: &["proxy_redirect"],
        check: other_port,
    },
    Rule {
        code: "W343",
        title: "a redirect to the port of the other protocol",
        page: "`https://HOST:80` is TLS to the port of plain HTTP, and `http://HOST:443` the reverse: the browser shows an error. \
               Leave the port out.",
        about: &["return", "rewrite"],
        check: port_of_the_other,
    },
    Rule {
        code: "W358",
        title: "one port opened twice",
        page: "`listen [::]:80 ipv6only=off` is a socket for IPv4 as well: beside `listen 80` the second of them cannot be opened, and \
               the server does not start. Leave `ipv6only=off` out, or the other line.",
        about: &["listen"],
        check: opened_twice,
    },
];

fn announced(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [name, value, ..] = &cx.d.args[..] else { return };
    let text = value.str();
    let is_h3 = |text: &str| text.split([',', ' ']).any(|part| part.starts_with("h3=") || part.starts_with("h3-"));
    if cx.is("add_header") && name.lower() == b"alt-svc" && is_h3(&text) && !text.contains("ma=0") {
        let message = "browsers are sent to HTTP/3, which this server does not speak";
        found.push(Finding::new(cx.d.args_span(), message, "leave the line out"));
    }
}

/// An address in one spelling; None: it is known at run time only.
fn address(text: &str) -> Option<String> {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    if let Some(path) = text.strip_prefix("unix:") {
        return Some(format!("unix:{}", path.split(':').next()?));
    }
    let host = text.split(['/', '?']).next()?;
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    (has_port && !host.contains('$')).then(|| host.to_ascii_lowercase().replace("localhost:", "127.0.0.1:"))
}

/// What the passes of FastCGI, uwsgi and SCGI at this level and below lead to.
pub fn applications(all: &[Directive]) -> FastMap<String, &Directive> {
    let mut found = FastMap::default();
    super::blocks::below(all, |d| {
        if matches!(d.name.bytes(), b"fastcgi_pass" | b"uwsgi_pass" | b"scgi_pass")
            && let Some(address) = d.args.first().and_then(|word| address(&word.str()))
        {
            found.entry(address).or_insert(d);
        }
        false
    });
    found
}

fn two_protocols(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("proxy_pass")) else { return };
    let (Some(address), Some(http)) = (address(&word.str()), cx.inside("http")) else { return };
    if let Some(other) = http.applications.get_or_init(|| applications(http.all)).get(&address) {
        let name = other.name.str();
        let message = format!("\"{address}\" is where {name} leads to: it does not speak HTTP");
        let help = format!("write {name} here as well, or the port that speaks HTTP");
        found.push(Finding::new(word.span, message, help).note(other.span, "the other protocol"));
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The host and the port of a fixed `http://HOST:PORT…`.
fn fixed(url: &str) -> Option<(&str, &str)> {
    let host = url.strip_prefix("http://").map(authority)?;
    let (host, port) = host.rsplit_once(':')?;
    (!host.contains('$') && port.parse::<u16>().is_ok()).then_some((host, port))
}

fn other_port(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [from, _] = &cx.d.args[..] else { return };
    let (Some(pass), true) = (cx.level().first_of("proxy_pass"), cx.is("proxy_redirect")) else { return };
    let (text, target) = (from.str(), pass.args.first().map(|word| word.str().into_owned()).unwrap_or_default());
    let (Some((host, port)), Some((own, right))) = (fixed(&text), fixed(&target)) else { return };
    let is_same = host == own || is_loopback(host) && is_loopback(own);
    let listens = |level: &Level| {
        level.all.iter().filter(|d| d.name.is("listen")).any(|d| {
            let address = d.args.first().map(|word| word.str().into_owned()).unwrap_or_default();
            address.rsplit(':').next() == Some(port)
        })
    };
    let is_listener = cx.inside("server").is_some_and(listens);
    // Another line may be about this port.
    let is_one = cx.level().all.iter().filter(|d| d.name.is("proxy_redirect")).count() == 1;
    if is_same && port != right && !is_listener && is_one {
        let message = format!("nothing is replaced: the application is at port {right}, not {port}");
        let help = format!("write: {}", text.replacen(&format!(":{port}"), &format!(":{right}"), 1));
        found.push(Finding::new(from.span, message, help).note(pass.span, "the application"));
    }
}

fn port_of_the_other(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(url) = leads_to(cx) else { return };
    let text = url.str();
    let wrong = match text.split_once("://") {
        Some(("https", _)) => "80",
        Some(("http", _)) => "443",
        _ => return,
    };
    let Some((before, after)) = authority(&text).rsplit_once(':') else { return };
    let is_it = after.strip_prefix(wrong).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
    // A server that has TLS on port 80 knows why.
    let is_meant = cx.listens().any(|listen| is_tls(listen) && listen.args[0].bytes().ends_with(wrong.as_bytes()));
    if is_it && !before.is_empty() && !(wrong == "80" && is_meant) {
        let message = format!("port {wrong} does not speak {}", text.split("://").next().unwrap_or_default());
        found.push(Finding::new(
            url.span,
            message,
            format!("leave it out: {}", text.replacen(&format!(":{wrong}"), "", 1)),
        ));
    }
}

fn opened_twice(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_off = |word: &Word| word.is("ipv6only=off");
    let Some(word) = cx.d.args.iter().find(|word| cx.is("listen") && is_off(word)) else { return };
    let Some(port) = cx.d.args.first().and_then(|word| word.str().strip_prefix("[::]:").map(str::to_owned)) else {
        return;
    };
    let is_same = |listen: &&Directive| {
        let address = listen.args.first().map(Word::str).unwrap_or_default();
        let own = address.strip_prefix("*:").or(address.strip_prefix("0.0.0.0:")).unwrap_or(&address);
        own == port
    };
    if let Some(other) = cx.listens().take(COMPARED).find(is_same) {
        let message = format!("this is a socket for IPv4 as well, and port {port} of IPv4 is opened already");
        let finding = Finding::new(word.span, message, "leave ipv6only=off out, or the other line");
        found.push(finding.note(other.args_span(), "opened here"));
    }
}

//! Networks and addresses that are not what they seem.

use super::blocks::{below, first_below};
use super::level::Level;
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};
use std::net::{IpAddr, Ipv4Addr};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W093",
        title: "a PROXY header that no listener reads",
        page: "`real_ip_header proxy_protocol` takes the address from the PROXY header, which only a `listen … proxy_protocol` \
               reads: without one the proxy's address stays. Write the parameter, or the header that the proxy sets.",
        about: &["real_ip_header"],
        check: untold,
    },
    Rule {
        code: "W163",
        title: "a network larger than the private one",
        page: "Private addresses are 10.0.0.0/8, 172.16.0.0/12 and 192.168.0.0/16. `172.0.0.0/8` and `192.0.0.0/8` hold millions \
               of public ones as well, whose owners are let in, or believed.",
        about: &["allow", "set_real_ip_from"],
        check: too_wide,
    },
    Rule {
        code: "W164",
        title: "a rule for an address that no client has",
        page: "`0.0.0.0` and `::` without a length are one address each, which no client has: the rule decides on nothing. All \
               clients are `all`.",
        about: &["allow", "deny"],
        check: no_ones,
    },
    Rule {
        code: "W165",
        title: "rules that see the balancer's address",
        page: "With `listen … proxy_protocol` the connection comes from the balancer, and so does the address that `allow` and \
               `deny` look at, until `real_ip_header proxy_protocol;` and `set_real_ip_from` with the balancer's address say that \
               the one in the PROXY header counts.",
        about: &["listen"],
        check: of_the_balancer,
    },
    Rule {
        code: "W340",
        title: "a network of IPv4 or IPv6 only where clients use both",
        page: "`deny 0.0.0.0/0` is all of IPv4: clients that come by `listen [::]:80` have addresses of IPv6, which no rule names, and \
               are let in. Write `deny all;`.",
        about: &["deny"],
        check: one_family,
    },
    Rule {
        code: "W038",
        title: "a listener for IPv6 only",
        page: "`listen [::]:80` alone takes no IPv4 connections: the socket is made with ipv6only=on. Write `listen 80;` beside \
               it, or `ipv6only=off`.",
        about: &["listen"],
        check: ipv6_only,
    },
];

/// A rule for all addresses of one family, where clients come with the other as well.
fn one_family(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("deny")) else { return };
    let is_v4 = word.is("0.0.0.0/0");
    if !is_v4 && !word.is("::/0") {
        return;
    }
    let (Some(server), level) = (cx.inside("server"), cx.level()) else { return };
    let other = if is_v4 { "::/0" } else { "0.0.0.0/0" };
    let is_covered =
        level.all.iter().any(|d| (d.name.is("deny") || d.name.is("allow")) && (d.says("all") || d.says(other)));
    let is_other = |d: &&Directive| {
        let address = d.args.first().map(|word| word.str().into_owned()).unwrap_or_default();
        d.name.is("listen") && !address.starts_with("unix:") && address.starts_with('[') == is_v4
    };
    if let Some(listen) = server.all.iter().find(is_other).filter(|_| !is_covered) {
        let family = if is_v4 { "IPv6" } else { "IPv4" };
        let message = format!("clients of {family} are not denied: they have no address in {}", word.str());
        found.push(Finding::new(word.span, message, "write: deny all;").note(listen.span, "they come here"));
    }
}

const PRIVATE: [(Ipv4Addr, u32); 3] =
    [(Ipv4Addr::new(10, 0, 0, 0), 8), (Ipv4Addr::new(172, 16, 0, 0), 12), (Ipv4Addr::new(192, 168, 0, 0), 16)];

/// Shorter lengths are halves and quarters of all addresses, which are meant.
const SHORTEST: u32 = 5;

fn too_wide(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("allow") && !cx.is("set_real_ip_from") {
        return;
    }
    let Some(word) = cx.d.args.first() else { return };
    let text = word.str();
    let Some((address, length)) = text.split_once('/') else { return };
    let (Ok(address), Ok(length)) = (address.parse::<Ipv4Addr>(), length.parse::<u32>()) else { return };
    let mask = |length: u32| u32::MAX.checked_shl(32 - length).unwrap_or(0);
    let is_wider = |(private, own): &&(Ipv4Addr, u32)| {
        (SHORTEST..*own).contains(&length) && (u32::from(*private) ^ u32::from(address)) & mask(length) == 0
    };
    if let Some((private, own)) = PRIVATE.iter().find(is_wider) {
        let message = format!("\"{text}\" holds public addresses as well: the private network is {private}/{own}");
        found.push(Finding::new(word.span, message, format!("write {private}/{own}")));
    }
}

fn no_ones(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("allow") && !cx.is("deny") {
        return;
    }
    if let Some(word) = cx.d.args.first().filter(|word| word.is("0.0.0.0") || word.is("::")) {
        let name = cx.d.name.str();
        let message = format!("no client has the address \"{}\": this decides on nothing", word.str());
        found.push(Finding::new(word.span, message, format!("all clients are: {name} all;")));
    }
}

fn untold(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("real_ip_header") {
        return;
    }
    let Some(word) = cx.d.args.first().filter(|word| word.is("proxy_protocol")) else { return };
    let Some(outermost) = cx.levels.first().filter(|_| cx.is_whole) else { return };
    if !cx.levels.iter().any(|level| level.has("include")) && !outermost.below().reads_proxy_header {
        let message = "no `listen` reads a PROXY header: the address stays that of the proxy";
        found.push(Finding::new(
            word.span,
            message,
            "write: listen ADDRESS proxy_protocol; or: real_ip_header X-Forwarded-For;",
        ));
    }
}

/// A rule about the address of a client on another machine.
fn is_about_clients(d: &Directive) -> bool {
    let is_own = |text: &str| text.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) || text.starts_with("unix:");
    (d.name.is("allow") || d.name.is("deny"))
        && d.args.first().is_some_and(|word| !word.is("all") && !is_own(&word.str()))
}

fn of_the_balancer(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("listen") || !cx.d.args.iter().any(|word| word.is("proxy_protocol")) || !cx.is_whole {
        return;
    }
    let all = cx.level().all;
    let is_told = |level: &Level| ["real_ip_header", "set_real_ip_from", "include"].iter().any(|name| level.has(name));
    let takes_over = |d: &Directive| d.name.is("real_ip_header") || d.name.is("set_real_ip_from");
    if cx.levels.iter().any(is_told) || below(all, takes_over) {
        return;
    }
    if let Some(rule) = first_below(all, is_about_clients) {
        let message = format!("\"{}\" sees the balancer's address, not the client's", rule.name.str());
        let help = "add: real_ip_header proxy_protocol; and set_real_ip_from with the balancer's address";
        found.push(Finding::new(rule.span, message, help).note(cx.d.span, "the client's is in the PROXY header here"));
    }
}

fn ipv6_only(cx: &RuleContext, found: &mut Vec<Finding>) {
    let level = cx.level();
    if !cx.is_first("listen") || level.has("include") {
        return;
    }
    let address = |d: &Directive| d.args.first().map(|word| word.str().into_owned()).unwrap_or_default();
    let is_wide = |d: &Directive| address(d).starts_with("[::]");
    let own = || level.all.iter().filter(|d| d.name.is("listen"));
    let takes_both = |d: &Directive| d.args.iter().any(|word| word.is("ipv6only=off"));
    if own().all(is_wide) && !cx.listens().any(takes_both) {
        let port = address(cx.d).trim_start_matches("[::]").trim_start_matches(':').to_owned();
        let port = if port.is_empty() { "80".to_owned() } else { port };
        let rest: Vec<_> = cx.d.args.iter().skip(1).map(Word::str).collect();
        let line = format!("listen {port} {}", rest.join(" "));
        let message = "only IPv6 connections come here";
        found.push(Finding::new(cx.d.args_span(), message, format!("add: {};", line.trim_end())));
    }
}

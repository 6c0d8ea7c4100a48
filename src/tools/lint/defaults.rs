//! Which server handles hosts that no server names.

use super::rule::{Finding, Rule, RuleContext};
use crate::config::addr::ListenAddr;
use crate::config::ast::{Directive, Word};
use crate::util::hash::FastMap;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W154",
        title: "unknown hosts are answered by a different server than it seems",
        page: "A host that no `server_name` names is answered by the default server of the address: the one with \
           `default_server`, else the first. `server_name _` is a name that no host has, and takes no others. So a server \
           that is meant for them has to be first or to say `listen … default_server`, and one that is not for everybody \
           (admin, staging) should not be the first.",
        about: &["server_name"],
        check: not_the_default,
    },
    Rule {
        code: "W339",
        title: "a name that another server answers over IPv6",
        page: "A server answers on the addresses of its own `listen` lines. Where it has `listen 80` alone and another one \
           `listen [::]:80` as well, clients with IPv6 get the other one for this name, with its certificate. Write \
           `listen [::]:80;` beside it.",
        about: &["server_name"],
        check: one_family,
    },
];

fn is_default(listen: &Directive) -> bool {
    listen.args.iter().any(|word| word.is("default_server") || word.is("default"))
}

/// Whether two servers listen on a common address.
fn share(one: &[&Directive], other: &[&Directive]) -> bool {
    let key = |listen: &&Directive| {
        let word = listen.args.first()?;
        Some((word.str().into_owned(), ListenAddr::parse_literal(word.bytes(), 80)))
    };
    let keys: Vec<_> = other.iter().filter_map(key).collect();
    one.iter().filter_map(key).any(|(text, address)| {
        keys.iter().any(|(known, other)| {
            let is_same = address.as_ref().zip(other.as_ref()).is_some_and(|(one, other)| one.meets(other));
            *known == text || is_same
        })
    })
}

/// Names that indicate a server that is not public.
const PRIVATE: [&str; 10] =
    ["admin", "intern", "internal", "intranet", "private", "staging", "stage", "dev", "backoffice", "preview"];

fn is_private(name: &Word) -> bool {
    let text = name.str();
    let first = text.split(['.', '-']).next().unwrap_or_default();
    text.contains('.') && PRIVATE.contains(&first)
}

fn not_the_default(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (Some(server), Some(http)) = (cx.blocks.last(), cx.levels.iter().rev().nth(1)) else { return };
    let catch_all = cx.d.args.iter().find(|word| word.is("_") || word.is("")).filter(|_| cx.d.args.len() == 1);
    let private = cx.d.args.first().filter(|_| cx.d.args.iter().all(is_private));
    if catch_all.or(private).is_none() || !server.name.is("server") || http.has("include") {
        return;
    }
    let own = cx.level().named("listen");
    let others = || http.servers().iter().filter(|other| other.block.span != server.span && share(own, &other.listens));
    let has_default = |listens: &[&Directive]| listens.iter().any(|listen| is_default(listen));
    if own.is_empty() || has_default(own) || others().any(|other| has_default(&other.listens)) {
        return;
    }
    let first = others().find(|other| other.block.span.start < server.span.start);
    match (first, catch_all, private.zip(others().next())) {
        (Some(first), Some(word), _) => {
            let message =
                format!("\"{}\" takes no unknown hosts: the first server of the address answers them", word.str());
            let help = "add to its address: listen … default_server;";
            found.push(Finding::new(word.span, message, help).note(first.block.name.span, "that server"));
        }
        (None, None, Some((word, other))) if !["deny", "ssl_verify_client"].iter().any(|name| cx.level().has(name)) => {
            let message = format!(
                "\"{}\" also answers every host that no server names: it is the first of its address",
                word.str()
            );
            let help = "add one for them: server { listen … default_server; return 444; }";
            let finding = Finding::new(word.span, message, help);
            found.push(finding.note(other.block.name.span, "another server of the address"));
        }
        _ => {}
    }
}

/// The port of a listener on all addresses of one family; None: it is on others.
fn wide_port(listen: &Directive, is_v6: bool) -> Option<u16> {
    let text = listen.args.first()?.str().into_owned();
    let rest = match (is_v6, text.strip_prefix("[::]")) {
        (true, Some(rest)) => rest.strip_prefix(':').unwrap_or("80"),
        (false, None) => text.strip_prefix("0.0.0.0:").or(text.strip_prefix("*:")).unwrap_or(&text),
        _ => return None,
    };
    rest.parse().ok()
}

fn one_family(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (Some(server), Some(http)) = (cx.blocks.last(), cx.levels.iter().rev().nth(1)) else { return };
    let level = cx.level();
    let is_v6 = |listen: &&Directive| listen.args.first().is_some_and(|word| word.bytes().starts_with(b"["));
    if !cx.is_first("server_name")
        || !server.name.is("server")
        || http.has("include")
        || level.has("include")
        || level.named("listen").iter().any(is_v6)
    {
        return;
    }
    let Some(name) = cx.d.args.first().filter(|name| name.bytes().contains(&b'.') && !name.bytes().starts_with(b"~"))
    else {
        return;
    };
    let says_name = |other: &Directive| {
        other
            .block
            .iter()
            .flatten()
            .any(|d| d.name.is("server_name") && d.args.iter().any(|word| word.bytes() == name.bytes()))
    };
    let mut over_v6 = http.servers().iter().filter(|other| other.listens.iter().any(is_v6));
    if over_v6.any(|other| says_name(other.block)) {
        return;
    }
    let over_v6 = http.wide_v6.get_or_init(|| {
        let mut ports = FastMap::default();
        for listen in cx.listens() {
            if let Some(port) = wide_port(listen, true) {
                ports.entry(port).or_insert(listen);
            }
        }
        ports
    });
    for listen in level.named("listen") {
        let Some(port) = wide_port(listen, false) else { continue };
        if let Some(by) = over_v6.get(&port) {
            let message = format!("over IPv6 \"{}\" is answered by another server", name.str());
            let rest: Vec<_> = listen.args.iter().skip(1).map(Word::str).collect();
            let line = format!("listen [::]:{port} {}", rest.join(" "));
            let finding = Finding::new(listen.span, message, format!("add: {};", line.trim_end()));
            return found.push(finding.note(by.span, "it listens there"));
        }
    }
}

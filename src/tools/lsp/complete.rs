//! Completions: directives of the block and, as arguments, variables and the names of upstreams, zones, log formats,
//! named locations, issuers and files. Uses the tree of whatever could be parsed.

use super::text::context_at;
use crate::config::ast::Directive;
use crate::config::context::Contexts;
use crate::config::registry;
use crate::config::row::Row;
use crate::config::template::Builtin;
use crate::tools::{manual, variables};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// CompletionItemKind values.
const VARIABLE: u8 = 6;
const FILE: u8 = 17;
const PROPERTY: u8 = 14;
const REFERENCE: u8 = 18;

/// Maximum number of files offered.
const FILES: usize = 200;

/// The completions for a text that ends at the cursor.
pub fn items(before: &str, tree: &[Directive], directory: Option<&Path>) -> Value {
    let end = |c: char| c.is_whitespace() || matches!(c, ';' | '{' | '}' | '"' | '\'');
    let word = before.rsplit(end).next().unwrap_or_default();
    let bare = before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if word.contains('$') || bare.ends_with("${") {
        let mut names: BTreeSet<String> = Builtin::ALL.iter().map(|builtin| builtin.name().to_owned()).collect();
        each(tree, &mut |d| names.extend(variables_of(d)));
        let item = |name: String| {
            let documentation = Builtin::of(&name).and_then(variables::meaning).unwrap_or_default();
            json!({"label": format!("${name}"), "insertText": name, "kind": VARIABLE, "documentation": documentation})
        };
        return names.into_iter().map(item).collect();
    }
    let (context, is_name) = context_at(before);
    if is_name {
        let rows = registry::rows().filter(|row| row.contexts.intersects(context));
        return rows.map(directive).collect();
    }
    let statement = before.rsplit([';', '{', '}']).next().unwrap_or_default().trim_start();
    let name = statement.split_whitespace().next().unwrap_or_default();
    let is_second = statement.split_whitespace().count() + usize::from(statement.ends_with(char::is_whitespace)) > 2;
    let names = match name {
        "include" => return files(word, directory),
        "proxy_pass" | "fastcgi_pass" | "scgi_pass" | "uwsgi_pass" | "grpc_pass" => first_words(tree, "upstream"),
        "limit_req" | "limit_conn" => zones(tree, &["limit_req_zone", "limit_conn_zone"]),
        "proxy_cache" => zones(tree, &["proxy_cache_path"]),
        "access_log" if is_second => first_words(tree, "log_format"),
        "acme_certificate" => first_words(tree, "acme_issuer"),
        "try_files" | "error_page" => {
            let mut names = first_words(tree, "location");
            names.retain(|name| name.starts_with('@'));
            names
        }
        _ => BTreeSet::new(),
    };
    let is_first_argument = matches!(name, "expires" | "satisfy" | "ssl_verify_client");
    let fixed = if is_second || is_first_argument { parameters(name, context) } else { &[] };
    let fixed = fixed.iter().map(|(word, meaning)| json!({"label": word, "kind": REFERENCE, "documentation": meaning}));
    names.into_iter().map(|name| json!({"label": name, "kind": REFERENCE})).chain(fixed).chain(values(name)).collect()
}

/// A word that may stand as an argument, and what it means.
type Parameter = (&'static str, &'static str);

/// The words that may follow the first argument, or be it. Those that end in `=` take a value.
fn parameters(name: &str, context: Contexts) -> &'static [Parameter] {
    match name {
        "listen" => LISTEN,
        "server" if context == Contexts::UPSTREAM => SERVER,
        "limit_req" => &[
            ("burst=", "how many requests beyond the rate are let in, later than they came"),
            ("nodelay", "those of the burst are served at once"),
            ("delay=", "how many of the burst are served at once"),
        ],
        "limit_req_zone" => &[
            ("zone=", "NAME:SIZE of the memory that counts, as in zone=each:10m"),
            ("rate=", "requests per second or minute: 10r/s, 30r/m"),
        ],
        "rewrite" => &[
            ("last", "ends these steps, and looks for the location of the new path"),
            ("break", "ends these steps, and stays in this location"),
            ("redirect", "answers with a redirect, 302"),
            ("permanent", "answers with a redirect, 301"),
        ],
        "error_log" => &[
            ("debug", "everything, headers with their passwords as well"),
            ("info", "also what clients do wrong"),
            ("notice", "also what is usual, such as a reload"),
            ("warn", "also what may be a mistake"),
            ("error", "requests that fail, and worse"),
            ("crit", "what must be seen to, and worse"),
            ("alert", "what must be seen to at once, and worse"),
            ("emerg", "only what the server cannot go on with"),
        ],
        "add_header" | "add_trailer" => {
            &[("always", "with every status, not with those of success and redirects alone")]
        }
        "expires" => &[
            ("max", "ten years"),
            ("epoch", "1970: not to be kept"),
            ("off", "no Expires and no Cache-Control"),
            ("modified", "counted from the last change of the file"),
        ],
        "satisfy" => &[("all", "every check must be passed"), ("any", "one check is enough")],
        "ssl_verify_client" => &[
            ("on", "a certificate that was issued by the authority is required"),
            ("optional", "one may be sent, and is checked: $ssl_client_verify says how"),
            ("optional_no_ca", "one may be sent, and is not checked against the authority"),
            ("off", "none is asked for"),
        ],
        _ => &[],
    }
}

const LISTEN: &[Parameter] = &[
    ("default_server", "answers for names that no other server of this address has"),
    ("ssl", "speaks TLS"),
    ("proxy_protocol", "the client's address is read from the PROXY header, which must be there"),
    ("reuseport", "a socket of its own for each process that listens"),
    ("backlog=", "how many connections may wait to be accepted"),
    ("ipv6only=", "off: a socket of [::] takes IPv4 as well"),
    ("so_keepalive=", "probes of idle connections: on, off, or IDLE:INTERVAL:COUNT"),
];

const SERVER: &[Parameter] = &[
    ("weight=", "how many requests it gets in each round, 1 unless it is written"),
    ("max_conns=", "how many connections it is given at once, 0 for any number"),
    ("max_fails=", "after how many failures it is left out, 0 for never"),
    ("fail_timeout=", "the time in which failures are counted, and for which it is left out"),
    ("backup", "asked only when no other server can be"),
    ("down", "never asked"),
    ("resolve", "its name is looked up again when the answer has expired"),
];

/// What a word means that stands behind the name of a directive: the line of the parameter, if it is one, and the
/// directive's entry. `before` ends where the word begins.
pub fn argument(before: &str, word: &str) -> Option<String> {
    let (context, is_name) = context_at(before);
    let statement = before.rsplit([';', '{', '}']).next().unwrap_or_default().trim_start();
    let name = statement.split_whitespace().next().filter(|_| !is_name)?;
    let is_it = |known: &&Parameter| {
        known.0 == word || known.0.ends_with('=') && word.split_inclusive('=').next() == Some(known.0)
    };
    let (parameter, meaning) = parameters(name, context).iter().find(is_it)?;
    let entry = manual::entry(name).unwrap_or_default();
    Some(format!("{parameter}\n    {meaning}\n\n{entry}"))
}

fn directive(row: &Row) -> Value {
    let detail = if row.default.is_empty() { String::new() } else { format!("default: {}", row.default) };
    json!({"label": row.name, "kind": PROPERTY, "detail": detail, "documentation": row.doc})
}

/// `on` and `off`, if the directive is a flag.
fn values(name: &str) -> impl Iterator<Item = Value> {
    let is_flag = registry::rows().any(|row| row.name == name && row.args.is_flag());
    ["on", "off"].into_iter().filter(move |_| is_flag).map(|word| json!({"label": word, "kind": REFERENCE}))
}

fn each(tree: &[Directive], visit: &mut impl FnMut(&Directive)) {
    for d in tree {
        visit(d);
        each(d.block.as_deref().unwrap_or_default(), visit);
    }
}

/// The first arguments of all directives of this name.
fn first_words(tree: &[Directive], name: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    each(tree, &mut |d| {
        if d.name.is(name) {
            found.extend(d.args.first().map(|word| word.str().into_owned()));
        }
    });
    found
}

fn zones(tree: &[Directive], names: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    each(tree, &mut |d| {
        if names.iter().any(|name| d.name.is(name)) {
            found.extend(d.args.iter().filter_map(|word| {
                let text = word.str();
                let zone = text.strip_prefix("zone=").or_else(|| text.strip_prefix("keys_zone="))?;
                Some(zone.split(':').next()?.to_owned())
            }));
        }
    });
    found
}

/// The variables that a directive defines, without `$`.
pub fn variables_of(d: &Directive) -> Vec<String> {
    let bare = |text: &str| text.strip_prefix('$').filter(|name| !name.is_empty()).map(str::to_owned);
    match d.name.bytes() {
        b"set" | b"auth_request_set" => d.args.first().and_then(|word| bare(&word.str())).into_iter().collect(),
        b"map" | b"geo" | b"split_clients" => d.args.last().and_then(|word| bare(&word.str())).into_iter().collect(),
        b"location" | b"server_name" | b"rewrite" | b"if" => {
            d.args.iter().flat_map(|word| groups(&word.str())).collect()
        }
        _ => Vec::new(),
    }
}

/// The named groups, `(?<name>…)`.
fn groups(regex: &str) -> Vec<String> {
    let starts = regex.match_indices("(?<").map(|(at, start)| at + start.len());
    let names = starts.chain(regex.match_indices("(?P<").map(|(at, start)| at + start.len()));
    let name = |at: usize| Some(regex.get(at..)?.split_once('>')?.0.to_owned());
    let is_name = |name: &String| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    names.filter_map(name).filter(is_name).collect()
}

/// Files and directories that complete a path.
fn files(word: &str, directory: Option<&Path>) -> Value {
    let (inside, _) = word.rfind('/').map_or(("", word), |at| word.split_at(at + 1));
    let Some(directory) = directory.map(|directory| directory.join(inside)) else { return json!([]) };
    let Ok(entries) = std::fs::read_dir(directory) else { return json!([]) };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok().filter(|name| !name.starts_with('.'))?;
            Some(if entry.path().is_dir() { format!("{inside}{name}/") } else { format!("{inside}{name}") })
        })
        .take(FILES)
        .collect();
    names.sort_unstable();
    names.into_iter().map(|name| json!({"label": name, "kind": FILE})).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{LoadOptions, load_text};

    #[test]
    fn names_that_the_configuration_defines_are_offered_where_they_are_used() {
        let text = "upstream app { server 127.0.0.1:1; } limit_req_zone $uri zone=one:1m rate=1r/s;\n\
                    log_format tiny '$uri'; map $uri $mapped { default 0; }\n\
                    server { set $mine 1; location @back { return 404; } location ~ ^/(?<who>x) { return 404; } ";
        let loaded = load_text("x.conf", format!("{text} }}").as_bytes(), &LoadOptions::default());
        let labels = |typed: &str| -> Vec<String> {
            let found = items(&format!("{text}{typed}"), &loaded.directives, None);
            let label = |item: &Value| item["label"].as_str().unwrap_or_default().to_owned();
            found.as_array().into_iter().flatten().map(label).collect()
        };
        for (typed, expected) in [
            ("location /a { proxy_pass http://", "app"),
            ("limit_req zone=", "one"),
            ("access_log logs/a ", "tiny"),
            ("error_page 404 ", "@back"),
            ("autoindex ", "off"),
            ("listen 80 ", "default_server"),
            ("rewrite ^/a /b ", "permanent"),
            ("return 200 $", "$mapped"),
            ("return 200 \"${", "$mine"),
            ("return 200 $w", "$who"),
            ("lis", "listen"),
        ] {
            assert!(labels(typed).iter().any(|label| label == expected), "{typed}: {:?}", labels(typed).len());
        }
        assert!(!labels("access_log ").contains(&"tiny".to_owned()), "the path comes first");
    }
}

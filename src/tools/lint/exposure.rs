//! Things that cost or reveal more than they seem to: slow regexes, responses readable by any site, uploaded files that
//! others can fetch.

use super::backtracking::ambiguous;
use super::blocks::{authenticates, location};
use super::headers::maps_of;
use super::level::Level;
use super::regexes::regexes_of;
use super::rule::{COMPARED, Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};
use crate::util::hash::FastMap;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W130",
        title: "a regex that can take very long",
        page: "In `(a+)+` a text can be cut up in very many ways, and a backtracking engine tries all of them before it gives \
               up: a short URI keeps a processor busy (ReDoS). So it is in `(a|a)*` and `([a-z]+.)+`. webserv stops such a \
               search with an error, nginx does not. One repetition is enough: `a+`.",
        about: &["location", "rewrite", "server_name", "if", "map", "valid_referers"],
        check: nested_repetition,
    },
    Rule {
        code: "W131",
        title: "any site may read answers with the visitor's cookies",
        page: "`Access-Control-Allow-Origin $http_origin` with `Access-Control-Allow-Credentials true` lets the scripts of every \
               site read what this one shows to the visitor who is logged in; `*` with credentials is refused by browsers. Let \
               a `map` of $http_origin name the sites that may.",
        about: &["add_header"],
        check: any_origin,
    },
    Rule {
        code: "W132",
        title: "a password file that is never used",
        page: "`auth_basic_user_file` alone asks for nothing: `auth_basic \"REALM\";` turns the check on.",
        about: &["auth_basic_user_file"],
        check: unused_passwords,
    },
    Rule {
        code: "W133",
        title: "a limit whose key the client chooses",
        page: "X-Forwarded-For, X-Real-IP and User-Agent are what the client sends: a limit that counts by them is evaded by \
               another value in each request. Count by $binary_remote_addr; behind a proxy, `set_real_ip_from` makes that \
               the client's address.",
        about: &["limit_req_zone", "limit_conn_zone"],
        check: chosen_key,
    },
    Rule {
        code: "W207",
        title: "anyone can fetch what clients stored",
        page: "Another location serves the directory of `upload_store`, and nothing in it or around it asks who the client is: \
               what was uploaded behind a password is there for everyone, and so is what `delete_trash` keeps. \
               Ask there as well, or keep the store outside of everything that is served.",
        about: &["upload_store", "delete_trash"],
        check: read_back,
    },
];

fn chosen_key(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("limit_req_zone") && !cx.is("limit_conn_zone") {
        return;
    }
    let chosen = ["$http_x_forwarded_for", "$http_x_real_ip", "$http_user_agent", "$proxy_add_x_forwarded_for"];
    if let Some(word) = cx.d.args.first().filter(|word| chosen.iter().any(|name| word.is(name))) {
        let message = format!("the client chooses {}, and so how it is counted", word.str());
        found.push(Finding::new(word.span, message, "count by the address: $binary_remote_addr"));
    }
}

fn nested_repetition(cx: &RuleContext, found: &mut Vec<Finding>) {
    for regex in regexes_of(cx.d).iter().take(COMPARED) {
        if let Some(group) = ambiguous(&regex.text) {
            found.push(Finding::new(
                regex.word.span,
                format!("\"{group}\" can be cut up in many ways: a backtracking engine can take very long over it"),
                "one repetition is enough, as in: a+",
            ));
        }
    }
}

/// The line that lets pages of other sites send cookies, and read what is answered.
pub fn credentials<'a>(level: &Level<'a>) -> Option<&'a Directive> {
    let is_such = |word: Option<&Word>, text: &[u8]| word.is_some_and(|word| word.bytes().eq_ignore_ascii_case(text));
    let allows = |d: &&Directive| {
        d.name.is("add_header")
            && is_such(d.args.first(), b"access-control-allow-credentials")
            && is_such(d.args.get(1), b"true")
    };
    *level.credentials.get_or_init(|| level.all.iter().find(allows))
}

fn any_origin(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [name, value, ..] = &cx.d.args[..] else { return };
    let is_named = |word: &Word, name: &[u8]| word.bytes().eq_ignore_ascii_case(name);
    if !cx.is("add_header") || !is_named(name, b"access-control-allow-origin") {
        return;
    }
    let Some(credentials) = credentials(cx.level()) else { return };
    // An `if` may have checked the origin.
    let is_checked = cx.blocks.iter().any(|block| block.name.is("if")) || cx.levels().any(|level| level.has("if"));
    let message = match value.bytes() {
        b"$http_origin" if !is_checked => "every site may read answers with the visitor's cookies",
        [b'$', name @ ..] if !is_checked && is_set_from_origin(cx, &String::from_utf8_lossy(name)) => {
            "every site may read answers with the visitor's cookies: the variable is the origin that asks"
        }
        [b'$', name @ ..] if !is_checked && is_mapped_from_any(cx, &String::from_utf8_lossy(name)) => {
            "every site may read answers with the visitor's cookies: the map lets all origins through"
        }
        b"*" => "browsers refuse `*` where credentials are allowed",
        _ => return,
    };
    let finding = Finding::new(value.span, message, "let a `map` of $http_origin name the sites that may");
    found.push(finding.note(credentials.span, "credentials are allowed"));
}

/// Whether a `set` assigns $http_origin as it stands.
fn is_set_from_origin(cx: &RuleContext, name: &str) -> bool {
    let name = name.trim_matches(['{', '}']).to_ascii_lowercase();
    let is_set = |level: &Level| level.named("set").iter().take(COMPARED).any(|d| d.says(&format!("${name}")));
    let values = cx.values(&name);
    cx.levels().any(is_set) && values.iter().any(|value| value.is("$http_origin") || value.is("${http_origin}"))
}

/// Whether a `map` of $http_origin gives every origin back.
fn is_mapped_from_any(cx: &RuleContext, name: &str) -> bool {
    const ANY: [&str; 9] = ["default", "~.", "~.*", "~^.*$", "~*.*", "~.+", "~^.+$", "~^https?://", "~^https://"];
    maps_of(cx, &name.trim_matches(['{', '}']).to_ascii_lowercase()).any(|(level, map)| {
        let inside = level.inside(map);
        map.says("$http_origin") && ANY.iter().flat_map(|any| inside.named(any)).any(|line| line.says("$http_origin"))
    })
}

fn unused_passwords(cx: &RuleContext, found: &mut Vec<Finding>) {
    fn asks(level: &[Directive]) -> bool {
        level.iter().any(|d| d.name.is("auth_basic") || d.block.as_deref().is_some_and(asks))
    }
    let is_used = || cx.levels.iter().any(|level| level.has("auth_basic"));
    // The file may be included where auth_basic is set.
    if cx.is("auth_basic_user_file") && cx.inside("server").is_some() && !is_used() && !asks(cx.level().all) {
        let message = "no password is asked for: auth_basic is not set";
        found.push(Finding::new(cx.d.span, message, "add: auth_basic \"Members\";"));
    }
}

/// A path without details that do not affect its target.
pub fn plain(path: &str) -> Option<String> {
    let path = path.trim_end_matches('/');
    (!path.is_empty() && !path.contains(['$', '~'])).then(|| path.trim_start_matches("./").to_owned())
}

/// The directory that a prefix location serves.
pub fn served(d: &Directive, outer: Option<&Directive>) -> Option<String> {
    let (b"" | b"^~", name) = location(d)? else { return None };
    let of = |name: &str| d.block.iter().flatten().find(|inner| inner.name.is(name));
    let is_passed = d.block.iter().flatten().any(|inner| super::blocks::is_pass(&inner.name.str()));
    if is_passed || name.bytes().starts_with(b"@") {
        return None;
    }
    match of("alias") {
        Some(alias) => plain(&alias.args.first()?.str()),
        None => {
            let root = of("root").or(outer)?.args.first()?.str().into_owned();
            plain(&format!("{}{}", root.trim_end_matches('/'), name.str()))
        }
    }
}

/// Indices of unprotected locations that serve files, by directory.
pub fn open_locations(server: &Level) -> FastMap<String, Vec<usize>> {
    let outer = server.first_of("root");
    let mut found: FastMap<String, Vec<usize>> = FastMap::default();
    for (at, d) in server.all.iter().enumerate() {
        if let Some(dir) = served(d, outer)
            && !authenticates(d.block.as_deref().unwrap_or_default())
        {
            found.entry(dir).or_default().push(at);
        }
    }
    found
}

fn read_back(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("upload_store") && !cx.is("delete_trash") {
        return;
    }
    let (Some(store), Some(server), Some(own)) =
        (cx.d.args.first().and_then(|word| plain(&word.str())), cx.inside("server"), cx.blocks.last())
    else {
        return;
    };
    // If everyone may upload, everyone may fetch.
    if !cx.level().authenticates() || server.authenticates() {
        return;
    }
    let all_open = server.open.get_or_init(|| open_locations(server));
    // The directory and those around it.
    let parents = store.match_indices('/').filter_map(|(at, _)| store.get(..at));
    let around = parents.chain([&*store]).filter_map(|dir| {
        let at = all_open.get(dir)?;
        at.iter().find(|at| server.all.get(**at).is_some_and(|d| d.span != own.span && !is_shadowed(d, own)))
    });
    let is_shown = || cx.d.args.iter().any(|word| word.is("shown"));
    let (serving, message, note) = match cx.is("delete_trash") {
        true => {
            // One that is not shown is served by a location of its own alone.
            let serving = if is_shown() { around.min() } else { all_open.get(&store).and_then(|at| at.iter().min()) };
            (serving, "files that clients deleted can be fetched by anyone here", "moved there")
        }
        false => (around.min(), "files that clients stored can be fetched by anyone here", "stored there"),
    };
    if let Some(open) = serving.and_then(|at| server.all.get(*at)) {
        let line = open.block.iter().flatten().find(|d| d.name.is("alias") || d.name.is("root"));
        let place = line.map_or(open.args_span(), |line| line.span);
        let help = "ask there as well (auth_basic, allow and deny), or serve another directory";
        found.push(Finding::new(place, message, help).note(cx.d.span, note));
    }
}

/// Whether the store's own location takes all URIs of its files.
fn is_shadowed(open: &Directive, own: &Directive) -> bool {
    let (Some((_, open_name)), Some((_, own_name))) = (location(open), location(own)) else { return false };
    let has_alias = open.block.iter().flatten().any(|d| d.name.is("alias"));
    !has_alias && own_name.bytes().starts_with(open_name.bytes())
}

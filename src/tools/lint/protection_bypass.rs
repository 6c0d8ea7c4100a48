//! Ways around intended protection: a regex location that takes requests below a protected prefix, private files below
//! the root, a `map` without a default that selects a server or directory.

use super::blocks::{Pass, authenticates, is_pass, location, passes};
use super::level::Level;
use super::rule::{COMPARED, Finding, Paths, Rule, RuleContext};
use super::uploads::is_kept_outside;
use crate::config::ast::{Directive, Word};
use std::path::PathBuf;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W138",
        title: "a regex location that bypasses a password",
        page: "A regex location wins over a prefix: of `location /admin/` with a password and `location ~ \\.php$` without one, \
               the second answers /admin/x.php, and asks for nothing. Write `location ^~ /admin/` with the regex location inside \
               it, or ask in both.",
        about: &["location"],
        check: around_protection,
    },
    Rule {
        code: "W139",
        title: "a private file below the root",
        page: "Password files, keys and logs that lie below `root` are sent to everyone who asks for their name. Keep them \
               elsewhere, or refuse them: `location ~ /\\. { deny all; }`.",
        about: &[
            "auth_basic_user_file",
            "ssl_certificate_key",
            "signed_link",
            "access_log",
            "error_log",
            "client_body_temp_path",
            "proxy_temp_path",
            "fastcgi_temp_path",
            "uwsgi_temp_path",
            "scgi_temp_path",
        ],
        check: served_secret,
    },
    Rule {
        code: "W140",
        title: "a map without default chooses the server, or the directory",
        page: "Where no entry matches, a `map` or a `geo` without `default` is an empty text: `proxy_pass http://$name` fails \
               with 500, and `root $name` is then empty or `/`. Add a default: the server or directory for all others.",
        about: &["map", "geo"],
        check: no_default,
    },
];

/// Whether a block requires a password, or restricts addresses.
fn is_protected(d: &Directive) -> bool {
    d.block.iter().flatten().any(|d| match d.name.bytes() {
        b"auth_basic" => !d.args.iter().any(|word| word.is("off")),
        b"auth_request" => !d.args.iter().any(|word| word.is("off")),
        b"deny" => true,
        _ => false,
    })
}

/// Whether a block denies access without an `allow` or `auth_basic`.
fn denies_all(d: &Directive) -> bool {
    let inside = || d.block.iter().flatten();
    inside().any(|d| d.name.is("deny")) && !inside().any(|d| d.name.is("allow") || d.name.is("auth_basic"))
}

/// Reports once per server, at its first location.
fn around_protection(cx: &RuleContext, found: &mut Vec<Finding>) {
    let level = cx.level();
    let in_server = cx.is_in("server");
    if !in_server || !cx.is_first("location") || level.authenticates() || level.has("satisfy") {
        return;
    }
    let locations = || level.all.iter().take(COMPARED).filter_map(|d| Some((d, location(d)?)));
    let has_regex =
        |d: &Directive| d.block.iter().flatten().any(|d| location(d).is_some_and(|(sign, _)| sign.starts_with(b"~")));
    let hands_on = |d: &Directive| {
        let is_pass = |d: &Directive| passes(&[Pass::Http, Pass::Gateway, Pass::Program]).any(|name| d.name.is(name));
        d.block.iter().flatten().any(is_pass)
    };
    let open = || {
        locations().filter(|(d, (sign, regex))| {
            let takes = sign.starts_with(b"~") && (hands_on(d) || names_documents(&regex.str()));
            takes && !authenticates(d.block.as_deref().unwrap_or_default())
        })
    };
    for (d, (sign, name)) in locations() {
        let prefix = name.str();
        // `location / { deny all; }` beside open locations is an allow list.
        if !sign.is_empty() || !prefix.starts_with('/') || !is_protected(d) || has_regex(d) || denies_all(d) {
            continue;
        }
        // A location for scripts does not reach files stored outside the root.
        let around = open().find(|(by, (_, regex))| {
            may_begin_with(&regex.str(), &prefix) && !is_kept_outside(d.block.as_deref().unwrap_or_default(), level, by)
        });
        if let Some((_, (_, regex))) = around {
            let message = format!("requests below \"{prefix}\" that match \"{}\" are not asked", regex.str());
            let help = format!("keep them here: location ^~ {prefix} {{ … }}, with that location inside it as well");
            found.push(
                Finding::new(d.args_span(), message, help).note(regex.span, "it takes them, and asks for nothing"),
            );
        }
    }
}

/// Whether a regex for extensions includes documents, not only images and styles of pages.
fn names_documents(regex: &str) -> bool {
    let suffixes = regex.rsplit("\\.").next().unwrap_or_default();
    let mut words = suffixes.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| {
        matches!(word, "htm" | "html" | "php" | "pdf" | "json" | "xml" | "txt" | "zip" | "cgi" | "pl" | "py" | "sql")
    })
}

/// Whether a path below `prefix` can match: a regex without `^` may match only the end.
fn may_begin_with(regex: &str, prefix: &str) -> bool {
    let Some(start) = regex.strip_prefix('^') else {
        // A name inside, as in `/uploads/.*\.php$`, restricts it to another directory.
        return regex.starts_with("\\.")
            || regex.starts_with('.')
            || regex.starts_with("[^/]\\.")
            || regex.starts_with("(.+\\.");
    };
    let end = start.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_'))).unwrap_or(start.len());
    let literal = start.get(..end).unwrap_or_default();
    let rest = start.get(end..).unwrap_or_default();
    // `^/(.+\.php)$` matches anywhere; alternatives of names do not.
    literal.starts_with(prefix)
        || prefix.starts_with(literal)
            && (rest.starts_with(".+") || rest.starts_with(".*") || rest.starts_with("(.+") || rest.starts_with("(.*"))
}

/// Whether a location may serve files for a path to everyone, nested locations included.
pub fn sends_files(d: &Directive, path: &[u8]) -> bool {
    let inside = d.block.as_deref().unwrap_or_default();
    if authenticates(inside) || inside.iter().any(|d| is_pass(&d.name.str())) {
        return false;
    }
    let nested = inside.iter().any(|d| d.name.is("location")).then(|| Level::new(inside));
    nested.and_then(|level| level.taker(path)).is_none_or(|d| sends_files(d, path))
}

fn served_secret(cx: &RuleContext, found: &mut Vec<Finding>) {
    const PRIVATE: [(&str, &str); 10] = [
        ("auth_basic_user_file", "the password file"),
        ("ssl_certificate_key", "the key"),
        ("signed_link", "the file of keys"),
        ("access_log", "the log"),
        ("error_log", "the log"),
        ("client_body_temp_path", "the directory of request bodies"),
        ("proxy_temp_path", "the directory of responses"),
        ("fastcgi_temp_path", "the directory of responses"),
        ("uwsgi_temp_path", "the directory of responses"),
        ("scgi_temp_path", "the directory of responses"),
    ];
    let Some((_, what)) = PRIVATE.iter().find(|(name, _)| cx.is(name)) else { return };
    let Some(word) = cx.d.args.first() else { return };
    let is_temp = cx.name().ends_with(b"_temp_path");
    let is_log = cx.name().ends_with(b"_log");
    if word.is("off") || is_log && !is_log_file(word) {
        return;
    }
    // Logs and roots are relative to the prefix, files of settings to the directory of the configuration.
    let path = whole(cx, word, if is_log || is_temp { |paths| &paths.prefix } else { |paths| &paths.conf_dir });
    if !path.starts_with('/') || path.contains('$') {
        return;
    }
    let place = match (is_log, is_temp) {
        (true, _) => "/var/log/webserv/",
        (_, true) => "/var/lib/webserv/",
        _ => "/etc/webserv/",
    };
    let help = format!("keep it outside of the root, as in {place}");
    if let Some((uri, alias)) = cx.inside("server").and_then(|server| own_area(cx, &path, server)) {
        let message = format!("{what} lies in what is served here: those who are let in get it by {uri}");
        return found.push(Finding::new(word.span, message, help).note(alias.span, "the directory"));
    }
    let served = match cx.inside("server") {
        Some(server) => root_around(cx, server).and_then(|(root, around)| served_as(cx, &path, server, root, around)),
        // A log of all servers: the first one that sends it.
        None if is_log || is_temp => servers_below(cx.level()).find_map(|(server, root)| {
            let server = Level::new(server);
            served_as(cx, &path, &server, server.first_of("root").and_then(|d| d.args.first()).or(root)?, None)
        }),
        None => None,
    };
    let Some((uri, root)) = served else { return };
    let message = format!("{what} lies below the root: it is sent to anyone who asks for {uri}");
    found.push(Finding::new(word.span, message, help).note(root.span, "the root"));
}

/// The URI of a file that lies in the directory of its own location, and what names that directory: those who are let
/// in can fetch it.
fn own_area<'a>(cx: &RuleContext<'_, 'a>, path: &str, server: &Level<'a>) -> Option<(String, &'a Word)> {
    let block = cx.blocks.last()?;
    let (b"" | b"^~", name) = location(block)? else { return None };
    let alias = cx.level().first_of("alias")?.args.first()?;
    let directory = whole(cx, alias, |paths| &paths.prefix);
    let rest = path.strip_prefix(directory.trim_end_matches('/')).filter(|rest| rest.starts_with('/'))?;
    let uri = format!("{}{rest}", name.str().trim_end_matches('/'));
    let is_own = server.taker(uri.as_bytes()).is_some_and(|taker| std::ptr::eq(taker, *block));
    (is_own && !cx.level().has("location") && !cx.level().has("return")).then_some((uri, alias))
}

/// Whether what a log is written to is a file.
fn is_log_file(word: &Word) -> bool {
    !word.is("stderr") && ![&b"syslog:"[..], b"memory:"].iter().any(|start| word.bytes().starts_with(start))
}

/// The path that a word names; the word itself where it has variables, or the file system is not examined.
fn whole(cx: &RuleContext, word: &Word, from: fn(&Paths) -> &PathBuf) -> String {
    match cx.path(word, from) {
        Some(path) => path.to_string_lossy().into_owned(),
        None => word.str().into_owned(),
    }
}

/// The servers in a block (`http`, or the file around it), with the `root` that each inherits.
fn servers_below<'a>(level: &Level<'a>) -> impl Iterator<Item = (&'a [Directive], Option<&'a Word>)> {
    let https = level.all.iter().filter(|d| d.name.is("http")).filter_map(|d| d.block.as_deref());
    std::iter::once(level.all).chain(https).flat_map(|inside| {
        let root = inside.iter().find(|d| d.name.is("root")).and_then(|d| d.args.first());
        let servers = inside.iter().filter(|d| d.name.is("server")).take(COMPARED);
        servers.filter_map(move |d| Some((d.block.as_deref()?, root)))
    })
}

/// The URI by which a server sends a file that lies below a root, and that root. `around`: the location that has the
/// root.
fn served_as<'a>(
    cx: &RuleContext,
    path: &str,
    server: &Level<'_>,
    root: &'a Word,
    around: Option<&Word>,
) -> Option<(String, &'a Word)> {
    let above = whole(cx, root, |paths| &paths.prefix);
    let uri = path.strip_prefix(above.trim_end_matches('/')).filter(|rest| rest.starts_with('/') && root.len() > 1)?;
    // A location's root applies only to its own paths.
    if around.is_some_and(|prefix| !uri.as_bytes().starts_with(prefix.bytes())) || server.has("return") {
        return None;
    }
    let is_sent = server.taker(uri.as_bytes()).is_none_or(|d| sends_files(d, uri.as_bytes()));
    is_sent.then(|| (uri.to_owned(), root))
}

/// The `root` in force, and the location that contains it.
fn root_around<'a>(cx: &RuleContext<'_, 'a>, server: &Level<'a>) -> Option<(&'a Word, Option<&'a Word>)> {
    let root = |level: &Level<'a>| level.first_of("root")?.args.first();
    let inner = cx.levels.iter().enumerate().rev().find_map(|(at, level)| Some((root(level)?, at)));
    match inner {
        // Level n+1 is the inside of block n.
        Some((word, at)) => {
            Some((word, at.checked_sub(1).and_then(|at| location(cx.blocks.get(at)?)).map(|(_, name)| name)))
        }
        None => root(server).map(|word| (word, None)),
    }
}

/// Whether a `geo` names the first address and the last one: by ranges, or by both halves.
fn has_all_addresses(cx: &RuleContext) -> bool {
    let has = |is_such: fn(&[u8]) -> bool| cx.is("geo") && cx.children().iter().any(|d| is_such(d.name.bytes()));
    has(|name| name.starts_with(b"0.0.0.0-")) && has(|name| name.ends_with(b"-255.255.255.255"))
        || has(|name| matches!(name, b"0.0.0.0/1" | b"0/1")) && has(|name| matches!(name, b"128.0.0.0/1" | b"128/1"))
}

fn no_default(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (Some(name), Some(http)) = (cx.d.args.last(), cx.levels.last()) else { return };
    const ALL: [&str; 6] = ["default", "~.", "~.*", "~.+", "~^", "0.0.0.0/0"];
    let has_rest =
        |d: &Directive| d.name.is("include") || d.name.is("hostnames") || ALL.iter().any(|name| d.name.is(name));
    if !cx.is("map") && !cx.is("geo") || cx.children().iter().any(has_rest) || has_all_addresses(cx) {
        return;
    }
    let text = name.str();
    let Some(pass) = text.strip_prefix('$').and_then(|name| http.chosen_hosts().get(name).copied()) else { return };
    // If an `if` tests the variable, it is expected to be empty at times.
    if !http.ifs_about(&text).is_empty() {
        return;
    }
    let (message, help, note) = match pass {
        (span, true) => (
            format!("\"{text}\" is empty where no entry matches: files are looked for from the top of the file system"),
            "add: default PATH; for all other values",
            (span, "it chooses the directory here"),
        ),
        (span, false) => (
            format!("\"{text}\" is empty where no entry matches, and the request ends in 500"),
            "add: default SERVER; for all other values",
            (span, "it chooses the server here"),
        ),
    };
    found.push(Finding::new(cx.d.args_span(), message, help).note(note.0, note.1));
}

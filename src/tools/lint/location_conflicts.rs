//! Paths answered by another location than the one written for them, and directories that should not be served.

use super::blocks::{authenticates, is_pass, location, runs, variables};
use super::rule::{COMPARED, Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Span, Word};
use std::path::{Component, Path, PathBuf};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W305",
        title: "a location whose paths a regex refuses",
        page: "A regex location wins over a prefix: `location ~ /\\. { deny all; }` refuses what \
               `location /.well-known/acme-challenge/` is to answer, so that certificates are not renewed. Write \
               `location ^~ /.well-known/`, for which no regex is tried.",
        about: &["location"],
        check: refused_by_regex,
    },
    Rule {
        code: "W331",
        title: "a refused path that a regex location answers",
        page: "A regex location wins over a prefix: beside `location ~ \\.php$` the prefix `location /wp-config.php { deny all; }` \
               refuses nothing, and `location /data/ { deny all; }` no script below it. Write `location = /wp-config.php` for a \
               file, and `location ^~ /data/` for a directory: no regex is tried for them.",
        about: &["location"],
        check: answered_by_regex,
    },
    Rule {
        code: "W306",
        title: "a fallback that leaves the location",
        page: "The last argument of `try_files` is a URI, not a file below `alias`: in `location /app/ { alias /srv/app/; try_files \
               $uri /index.html; }` it is the main page of another location. Write it with the location's name: /app/index.html.",
        about: &["try_files"],
        check: leaving_fallback,
    },
    Rule {
        code: "W307",
        title: "an index that another location answers",
        page: "`index` leads to the name of the file, for which a location is looked for again: of `location = / { root /a; index \
               i.html; }` the file /i.html is taken from the root of `location /`. Name the file: `try_files /i.html =404;`.",
        about: &["index"],
        check: leaving_index,
    },
    Rule {
        code: "W376",
        title: "headers of a directory that its index does not get",
        page: "A request for `/` is led on to the file of `index`, for which a location is looked for again: headers and `expires` \
               of `location = /` are those of no page. Name the file: `location = /index.html { … }`.",
        about: &["location"],
        check: left_headers,
    },
    Rule {
        code: "W167",
        title: "a whole home directory is served",
        page: "A home directory holds keys, histories and passwords of programs (`.ssh`, `.bash_history`, `.env`), \
               and /etc/webserv and \
               /etc/letsencrypt those of the server: everyone can ask for their names. Serve a directory that is made for it, \
               such as /srv/www or ~/public_html.",
        about: &["root", "alias"],
        check: private_place,
    },
    Rule {
        code: "W168",
        title: "the configuration is in a served directory",
        page: "The directory holds this configuration, and perhaps keys, passwords and logs beside it: anyone can fetch them. \
               Serve a directory that holds the site alone.",
        about: &["root", "alias"],
        check: serves_itself,
    },
    Rule {
        code: "W052",
        title: "a regex location that takes the files of another",
        page: "A regex location wins over a prefix: beside `location /img/ { alias /data/img/; }` a `location ~ \\.png$ { expires \
               30d; }` takes /img/a.png, and looks for it below the root of the server. Write the prefix as `^~`, or the regex \
               location inside it.",
        about: &["location"],
        check: takes_files,
    },
    Rule {
        code: "W148",
        title: "one path is protected, but not the paths below it",
        page: "`location = /admin` is this one path alone: /admin/ and /admin/x are answered by another location, which asks \
               for nothing. Close the prefix: `location /admin { … }`, or `^~` where regex locations may take its paths.",
        about: &["location"],
        check: exact_alone,
    },
];

/// Whether a location refuses every client.
fn is_closed(d: &Directive) -> bool {
    let inside = || d.block.iter().flatten();
    let refuses = |d: &Directive| match (d.name.bytes(), d.args.first()) {
        (b"deny", Some(word)) => word.is("all"),
        (b"return", Some(code)) => matches!(code.bytes(), b"403" | b"404" | b"444"),
        _ => false,
    };
    inside().any(refuses) && !inside().any(|d| d.name.is("allow") || d.name.is("satisfy") || d.name.is("location"))
}

fn refused_by_regex(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((b"", name)) = location(cx.d).filter(|_| cx.is_in("server")) else { return };
    if name.len() < 2 || !name.bytes().starts_with(b"/") || is_closed(cx.d) {
        return;
    }
    // A file, and what a directory holds.
    let path = if name.bytes().ends_with(b"/") { format!("{}x", name.str()) } else { name.str().into_owned() };
    let Some(taker) = cx.level().taker(path.as_bytes()) else { return };
    let is_regex = location(taker).is_some_and(|(sign, _)| sign.starts_with(b"~"));
    if is_regex && is_closed(taker) {
        let message = format!("never answers: a regex refuses what begins with \"{}\"", name.str());
        let help = format!("no regex is tried for: location ^~ {} {{ … }}", name.str());
        found.push(Finding::new(cx.d.args_span(), message, help).note(taker.args_span(), "it is refused here"));
    }
}

/// The location that a closed prefix leaves its file, or the scripts below it, to.
fn answered_by_regex(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((b"", name)) = location(cx.d).filter(|_| cx.is_in("server") && is_closed(cx.d)) else { return };
    let prefix = name.str();
    // Below a hidden directory there are no scripts that anyone asks for.
    let is_hidden = prefix.contains("/.") && !prefix.ends_with(".php");
    // Of scripts that clients store another rule warns.
    let stores = ["dav_methods", "upload_store", "allowed_methods"];
    let is_area = cx.children().iter().any(|d| stores.iter().any(|name| d.name.is(name)));
    if !prefix.starts_with('/') || prefix.len() < 2 || is_hidden || is_area || cx.level().authenticates() {
        return;
    }
    let is_file = prefix.rsplit('/').next().is_some_and(|last| last.trim_start_matches('.').contains('.'));
    let path = if is_file { prefix.to_string() } else { format!("{}/x.php", prefix.trim_end_matches('/')) };
    let Some(taker) = cx.level().taker(path.as_bytes()).filter(|taker| !is_closed(taker)) else { return };
    let inside = taker.block.as_deref().unwrap_or_default();
    let is_regex = location(taker).is_some_and(|(sign, _)| sign.starts_with(b"~"));
    if is_regex && (is_file || runs(taker)) && !authenticates(inside) && !inside.iter().any(|d| d.name.is("if")) {
        let (message, sign) = match is_file {
            true => (format!("\"{prefix}\" is not refused: a regex location answers it"), "="),
            false => (format!("scripts below \"{prefix}\" are not refused: a regex location runs them"), "^~"),
        };
        let help = format!("no regex is tried for: location {sign} {prefix} {{ … }}");
        found.push(Finding::new(cx.d.args_span(), message, help).note(taker.args_span(), "it is answered here"));
    }
}

/// Whether a location takes its answer from files.
fn sends_files(d: &Directive) -> bool {
    !d.block.iter().flatten().any(|d| is_pass(&d.name.str()) || d.name.is("return") || d.name.is("rewrite"))
}

fn leaving_fallback(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("try_files") {
        return;
    }
    let (Some(word), Some(block), Some(server)) = (cx.d.args.last(), cx.blocks.last(), cx.inside("server")) else {
        return;
    };
    let Some((b"" | b"^~", name)) = location(block) else { return };
    let (text, prefix) = (word.str(), name.str());
    let path = text.split('?').next().unwrap_or_default();
    let is_page = path.ends_with(".html") || path.ends_with(".htm") || path.ends_with(".php");
    let is_other = path.starts_with('/') && !path.contains('$') && !path.starts_with(&*prefix);
    if !is_page || !is_other || !cx.level().has("alias") || prefix.len() < 2 {
        return;
    }
    // A location for that one file is meant.
    let taker = server.taker(path.as_bytes());
    let is_own = taker.is_some_and(|d| location(d).is_some_and(|(sign, _)| sign == b"=") || !sends_files(d));
    if !is_own && taker.is_none_or(|d| location(d).is_some_and(|(_, name)| name.is("/"))) {
        let message = format!("\"{text}\" is not below this alias: the main page of another location is sent");
        let help = format!("write the location's name before it: {}{text}", prefix.trim_end_matches('/'));
        found.push(Finding::new(word.span, message, help));
    }
}

fn leaving_index(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("index") {
        return;
    }
    let (Some(block), Some(server), Some(file)) = (cx.blocks.last(), cx.inside("server"), cx.d.args.first()) else {
        return;
    };
    let Some((b"=", name)) = location(block).filter(|(_, name)| name.bytes().ends_with(b"/")) else { return };
    let root = |d: Option<&Directive>| {
        let own = d.and_then(|d| d.block.iter().flatten().find(|d| d.name.is("root")));
        own.or(server.first_of("root")).and_then(|d| d.args.first()).map(|word| word.bytes().to_vec())
    };
    let path = format!("{}{}", name.str(), file.str());
    let taker = server.taker(path.as_bytes());
    let has_more = ["try_files", "rewrite", "return", "alias"].iter().any(|other| cx.level().has(other));
    if !has_more && !file.bytes().contains(&b'$') && cx.level().has("root") && root(Some(block)) != root(taker) {
        let message = format!("{path} is looked for in another location, with another root");
        let help = format!("name the file here: try_files {path} =404;");
        let finding = Finding::new(cx.d.args_span(), message, help);
        found.push(match taker {
            Some(taker) => finding.note(taker.args_span(), "it is answered here"),
            None => finding,
        });
    }
}

fn left_headers(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (Some((b"=", name)), Some(block)) = (location(cx.d), cx.d.block.as_deref()) else { return };
    if !name.bytes().ends_with(b"/") {
        return;
    }
    const KEPT: [&[u8]; 6] = [b"add_header", b"expires", b"access_log", b"root", b"log_not_found", b"limit_rate"];
    let is_lost = |d: &&Directive| d.name.is("add_header") || d.name.is("expires");
    // Anything else may answer by itself.
    let Some(lost) = block.iter().find(is_lost).filter(|_| block.iter().all(|d| KEPT.contains(&d.name.bytes()))) else {
        return;
    };
    let index = cx.levels().find_map(|level| level.first_of("index")).and_then(|d| d.args.first());
    let file = index.map_or("index.html".into(), |word| word.str());
    let path = format!("{}{file}", name.str());
    let taker = cx.level().taker(path.as_bytes());
    // Without such a file a listing is sent, with these headers.
    let may_list = cx.levels().any(|level| level.has("autoindex"));
    if may_list || file.starts_with('/') || taker.is_some_and(|taker| taker.says("=")) {
        return;
    }
    let message = format!("the page is {path}, which another location answers: this header is not sent with it");
    let finding = Finding::new(lost.args_span(), message, format!("write: location = {path} {{ … }}"));
    found.push(match taker {
        Some(taker) => finding.note(taker.args_span(), "it is answered here"),
        None => finding,
    });
}

fn private_place(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("root") && !cx.is("alias") {
        return;
    }
    let Some(word) = cx.d.args.first() else { return };
    let text = word.str();
    let mut parts = text.trim_matches('/').split('/').filter(|part| !part.is_empty());
    let is_absolute = text.starts_with('/');
    let what = match (parts.next(), parts.next(), parts.next()) {
        (Some("home"), None, _) => "all home directories are",
        (Some("home"), Some(user), None) if !user.contains('$') => "a whole home directory is",
        (Some("etc"), Some("webserv" | "letsencrypt"), None) => "settings and keys are",
        _ => return,
    };
    if is_absolute && !cx.levels().any(|level| level.authenticates()) {
        let message = format!("{what} served: anyone may ask for keys and passwords");
        found.push(Finding::new(word.span, message, "serve a directory that is made for it, as in /srv/www"));
    }
}

/// Without `.` and `..`, as they are written.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(out.pop()),
            part => out.push(part),
        }
    }
    out
}

fn serves_itself(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("root") || cx.is("alias")) else { return };
    let (Some(paths), Some(path)) = (cx.paths, cx.path(word, |paths| &paths.prefix)) else { return };
    if cx.inside("server").is_none() {
        return;
    }
    let directory = plain(&path);
    let is_above = directory.components().count() > 1 && plain(&paths.conf_dir).starts_with(&directory);
    // The root of one location holds what that location's name leads to.
    let is_whole = cx.is("alias") || cx.is_in("server") || cx.location().is_some_and(|(_, name)| name.is("/"));
    let answers = || cx.is_in("server") && cx.level().has("return");
    if is_above && is_whole && !answers() && !cx.levels().any(|level| level.authenticates()) {
        let message = format!("\"{}\" holds this configuration: anyone can fetch it", directory.display());
        found.push(Finding::new(word.span, message, "serve a directory that holds the site alone"));
    }
}

/// Whether a location determines where its responses come from, or refuses requests.
fn has_content(d: &Directive) -> bool {
    const CONTENT: [&str; 10] =
        ["root", "alias", "try_files", "return", "internal", "deny", "if", "include", "location", "rewrite"];
    d.block.iter().flatten().any(|d| is_pass(&d.name.str()) || CONTENT.iter().any(|name| d.name.is(name)))
}

/// The path in the first argument, without trailing slash.
pub fn path_of(d: &Directive) -> Option<String> {
    Some(d.args.first()?.str().trim_end_matches('/').to_owned())
}

/// The line by which a prefix location has its files outside the server's root; without a root, its proxy_pass.
fn elsewhere(d: &Directive, prefix: &str, root: Option<&str>) -> Option<Span> {
    let line = |name: &str| d.block.iter().flatten().find(|d| d.name.is(name));
    if prefix == "/" {
        // Without a root, the server has no other files.
        return line("proxy_pass").filter(|_| root.is_none()).map(|d| d.span);
    }
    let root = root?;
    let is_below = |alias: &Directive| {
        path_of(alias).is_some_and(|path| path == format!("{root}{}", prefix.trim_end_matches('/')))
    };
    let alias = line("alias").filter(|alias| !is_below(alias));
    alias.or_else(|| line("root").filter(|own| path_of(own).as_deref() != Some(root))).map(|d| d.span)
}

/// Reports once per server, at its first location.
fn takes_files(cx: &RuleContext, found: &mut Vec<Finding>) {
    let level = cx.level();
    let in_server = cx.is_in("server");
    if !in_server || !cx.is_first("location") || level.has("include") {
        return;
    }
    let locations = || level.all.iter().filter_map(|d| Some((d, location(d)?))).take(COMPARED);
    let root = cx.levels().find_map(|level| level.first_of("root")).and_then(path_of);
    let is_nested = |d: &Directive| d.block.iter().flatten().any(|d| d.name.is("location"));
    let other = locations().find_map(|(d, (sign, name))| {
        let prefix = name.str();
        let is_prefix = sign.is_empty() && prefix.starts_with('/') && !is_nested(d);
        Some((elsewhere(d, &prefix, root.as_deref()).filter(|_| is_prefix)?, prefix.into_owned()))
    });
    let Some((content, prefix)) = other else { return };
    let is_suffix = |name: &Word| name.bytes().starts_with(b"\\.") && name.bytes().ends_with(b"$");
    let taking = locations().find(|(d, (sign, name))| sign.starts_with(b"~") && is_suffix(name) && !has_content(d));
    if let Some((d, (_, regex))) = taking {
        let message =
            format!("\"{}\" also takes what begins with \"{prefix}\", and looks elsewhere for it", regex.str());
        let help = match &*prefix {
            "/" => "say here where the files are (root), or pass them on as well".to_owned(),
            prefix => format!("write the prefix as: location ^~ {prefix} {{ … }}"),
        };
        found.push(Finding::new(d.args_span(), message, help).note(content, "they are here"));
    }
}

/// Whether a block refuses everyone, or requires authentication.
pub fn is_restricted(d: &Directive) -> bool {
    d.block.iter().flatten().any(|d| match d.name.bytes() {
        b"deny" => d.says("all"),
        b"auth_basic" | b"auth_request" => !d.says("off"),
        b"return" => d.args.first().is_some_and(|code| matches!(code.bytes(), b"403" | b"404" | b"401" | b"444")),
        _ => false,
    })
}

fn exact_alone(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((b"=", name)) = location(cx.d).filter(|_| is_restricted(cx.d)) else { return };
    let path = name.str();
    // `= /images/` with `deny all` forbids the listing alone; a password, or a list of addresses, is for a whole area.
    let asks = |d: &Directive| ["auth_basic", "auth_request", "allow"].iter().any(|name| d.name.is(name));
    let path = match path.strip_suffix('/') {
        Some(area) if cx.children().iter().any(asks) => area.into(),
        _ => path,
    };
    let last = path.rsplit('/').next().unwrap_or_default();
    let Some(server) = cx.inside("server") else { return };
    // Nothing can be below a file. What only this location answers exists nowhere else.
    const OWN: [&str; 6] = ["stub_status", "status", "alias", "empty_gif", "internal", "include"];
    let answers = |d: &Directive| OWN.iter().any(|own| d.name.is(own)) || d.name.is("return") && d.args.len() > 1;
    if last.is_empty() || last.contains('.') || cx.children().iter().any(answers) || server.authenticates() {
        return;
    }
    let Some(taker) = server.taker(format!("{path}/x").as_bytes()) else { return };
    let inside = taker.block.as_deref().unwrap_or_default();
    let is_explicit = location(taker).is_some_and(|(_, name)| name.bytes().starts_with(path.as_bytes()));
    let is_passed = inside.iter().any(|d| is_pass(&d.name.str()));
    if !authenticates(inside) && (is_explicit || is_passed) && variables(&path).is_empty() {
        let message =
            format!("only \"{}\" itself is closed: what is below it is answered by another location", name.str());
        let help = format!("close what is below as well: location {path} {{ … }}");
        found.push(Finding::new(cx.d.args_span(), message, help).note(taker.args_span(), "it asks for nothing"));
    }
}

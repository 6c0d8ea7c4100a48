//! Pages with another status than meant, directories that show or run more than meant, and bodies of any size.

use super::blocks::{below, condition, is_pass, location, runs_files, variables};
use super::level::Level;
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W382",
        title: "the application's page sent as an error",
        page: "`error_page 404 /index.html` shows the application for each of its paths, and sends all of them with status 404: \
               search engines drop them, and monitors report them. `try_files $uri /index.html;` sends 200.",
        about: &["error_page"],
        check: page_as_error,
    },
    Rule {
        code: "W385",
        title: "a directory of uploads whose scripts are run",
        page: "A regex location wins over a prefix: beside `location ~ \\.php$` the script of /uploads/x.php is run, and not sent, \
               whoever put it there. Write `location ^~ /uploads/`, or refuse scripts there: \
               `location ~ ^/uploads/.*\\.php { return 403; }` before the other one.",
        about: &["location"],
        check: uploads_run,
    },
    Rule {
        code: "W390",
        title: "a listing of what is private",
        page: "`autoindex on` in a location called backup, private, logs or the like shows everyone which files there are, and \
               sends them. Restrict who may ask: `allow 10.0.0.0/8; deny all;`, or a password.",
        about: &["autoindex"],
        check: private_listing,
    },
    Rule {
        code: "W392",
        title: "uploads that are shown as pages",
        page: "`default_type text/html` is for files whose type is not known: in a directory that visitors fill, a file without an \
               extension is shown as a page of this site, with its scripts. Write `default_type application/octet-stream;`.",
        about: &["default_type"],
        check: uploads_as_pages,
    },
    Rule {
        code: "W386",
        title: "requests of any size to every site",
        page: "`client_max_body_size 0` is no limit. What is passed to an application is kept in a file first: one request can \
               fill the disk. Set a limit here, and a larger one in the location that takes files.",
        about: &["client_max_body_size"],
        check: no_limit,
    },
];

/// Whether nothing else in a server shows the application for its paths, or makes its page one for errors.
fn shows_all_by_error(server: &Level<'_>) -> bool {
    let answers = |d: &Directive| {
        ["try_files", "return", "rewrite", "include", "location", "if"].iter().any(|name| d.name.is(name))
            || is_pass(&d.name.str())
    };
    let of_root = server.location(b"", b"/").or(server.location(b"^~", b"/")).and_then(|at| server.all.get(at));
    let is_answered = of_root.is_some_and(|d| d.block.iter().flatten().any(answers));
    let has_own = server.location(b"=", b"/index.html").is_some();
    let is_else = ["include", "try_files", "return", "rewrite"].iter().any(|name| server.has(name));
    !is_answered && !has_own && !is_else && !server.below().intercepts
}

fn page_as_error(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [codes @ .., page] = &cx.d.args[..] else { return };
    if cx.is("error_page")
        && page.is("/index.html")
        && codes.iter().any(|code| code.is("404"))
        && codes.iter().all(|code| code.len() == 3)
        && cx.inside("server").is_some_and(shows_all_by_error)
    {
        let message = "the page of the application is sent with status 404";
        let help = "write instead, in `location /`: try_files $uri /index.html;";
        found.push(Finding::new(page.span, message, help));
    }
}

/// Names of directories that visitors fill.
const FILLED: [&str; 7] = ["upload", "uploads", "userfiles", "user-uploads", "user_uploads", "avatars", "attachments"];

fn uploads_run(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((b"", name)) = location(cx.d) else { return };
    let path = name.str();
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if !FILLED.contains(&last) || !cx.is_in("server") {
        return;
    }
    let answers =
        |d: &Directive| runs_files(d) || ["location", "return", "deny", "rewrite"].iter().any(|name| d.name.is(name));
    let is_passed = |d: &Directive| is_pass(&d.name.str()) || d.name.is("upload_store");
    if cx.children().iter().any(|d| answers(d) || is_passed(d)) {
        return;
    }
    let script = format!("{}/x.php", path.trim_end_matches('/'));
    let taker = cx.level().taker(script.as_bytes());
    let is_asked =
        || ["$uri", "$request_uri", "$document_uri"].iter().any(|name| !cx.level().ifs_about(name).is_empty());
    let runs = taker.filter(|taker| {
        let inside = taker.block.as_deref().unwrap_or_default();
        // A program looks for the script below its own root.
        let is_moved = |d: &Directive| d.name.is("alias") || d.name.is("root");
        let is_elsewhere = || cx.children().iter().any(is_moved) || inside.iter().any(|d| d.name.is("root"));
        inside.iter().any(runs_files) && !runs_one(inside) && !is_elsewhere() && !is_asked()
    });
    if let Some(runs) = runs {
        let message = format!("{script} is run and not sent: the regex location takes it");
        let help = format!("keep it here: location ^~ {path} {{ … }}");
        found.push(Finding::new(name.span, message, help).note(runs.args_span(), "it runs scripts"));
    }
}

/// Whether it is one script, whatever is asked for: SCRIPT_FILENAME does not have the path.
fn runs_one(inside: &[Directive]) -> bool {
    let script = inside.iter().rfind(|d| d.name.bytes().ends_with(b"_param") && d.says("SCRIPT_FILENAME"));
    let is_root = |name: &String| matches!(&**name, "document_root" | "realpath_root");
    script.and_then(|d| d.args.get(1)).is_some_and(|file| variables(&file.str()).iter().all(is_root))
}

/// Whether a server has files made of the bodies of requests, of any size where nothing else is said.
fn keeps_bodies(server: &Directive) -> bool {
    let inside = server.block.as_deref().unwrap_or_default();
    let keeps = |d: &Directive| is_pass(&d.name.str()) || d.name.is("upload_store") || d.name.is("dav_methods");
    let passes_at_once = |d: &Directive| d.name.bytes().ends_with(b"_request_buffering") && d.says("off");
    !inside.iter().any(|d| d.name.is("client_max_body_size")) && below(inside, keeps) && !below(inside, passes_at_once)
}

fn no_limit(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_zero = |text: &str| text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_matches('0').is_empty();
    if !cx.is_first("client_max_body_size") || !cx.is_in("http") {
        return;
    }
    let is_large = |word: &&Word| !word.is_empty() && is_zero(&word.str());
    let Some(word) = cx.d.args.first().filter(is_large) else { return };
    let passes_at_once = |d: &Directive| d.name.bytes().ends_with(b"_request_buffering") && d.says("off");
    let level = cx.level();
    if !level.all.iter().any(passes_at_once) && level.named("server").iter().any(|server| keeps_bodies(server)) {
        let message = "0 is no limit: one request can fill the disk";
        found.push(Finding::new(word.span, message, "write: client_max_body_size 10m; and more where files are taken"));
    }
}

/// The last part of a prefix location's path.
fn last_part(d: &Directive) -> Option<String> {
    let (b"" | b"^~", name) = location(d)? else { return None };
    Some(name.str().trim_end_matches('/').rsplit('/').next()?.to_ascii_lowercase())
}

/// An `if` that answers some requests itself, whatever their method.
fn asks_who(d: &Directive) -> bool {
    let answers = || d.block.iter().flatten().any(|d| d.name.is("return"));
    condition(d).is_some_and(|asked| asked.subject != "$request_method") && answers()
}

/// Whether a server listens for this machine alone.
fn is_local(server: &Level) -> bool {
    const LOCAL: [&str; 4] = ["127.", "[::1]", "localhost", "unix:"];
    let listens = server.named("listen");
    let is_own = |d: &&Directive| {
        d.args.first().is_some_and(|word| LOCAL.iter().any(|start| word.bytes().starts_with(start.as_bytes())))
    };
    !listens.is_empty() && listens.iter().all(is_own)
}

fn private_listing(cx: &RuleContext, found: &mut Vec<Finding>) {
    const PRIVATE: [&str; 14] = [
        "backup", "backups", "private", "secret", "secrets", "admin", "internal", "config", "conf", "logs", "log",
        "db", "dump", "dumps",
    ];
    let Some(name) =
        cx.blocks.last().and_then(|block| last_part(block)).filter(|_| cx.is("autoindex") && cx.d.says("on"))
    else {
        return;
    };
    let is_closed = |level: &Level| level.authenticates() || level.all.iter().any(asks_who);
    if PRIVATE.contains(&&*name) && !cx.levels().any(is_closed) && !cx.inside("server").is_some_and(is_local) {
        let message = format!("anyone may see and fetch what is in \"{name}\"");
        found.push(Finding::new(cx.d.span, message, "add: allow 10.0.0.0/8; deny all; or a password"));
    }
}

fn uploads_as_pages(cx: &RuleContext, found: &mut Vec<Finding>) {
    let is_filled = || cx.blocks.last().and_then(|block| last_part(block)).is_some_and(|name| FILLED.contains(&&*name));
    let is_passed = || cx.level().all.iter().any(|d| is_pass(&d.name.str()));
    let saves = |d: &Directive| d.args.get(1).is_some_and(|value| value.lower().starts_with(b"attachment"));
    let is_saved = || cx.levels().any(|level| level.field("content-disposition").is_some_and(saves));
    if let Some(word) =
        cx.d.args
            .first()
            .filter(|word| cx.is("default_type") && word.is("text/html") && is_filled() && !is_passed() && !is_saved())
    {
        let message = "a file without an extension is shown as a page of this site";
        found.push(Finding::new(word.span, message, "write: default_type application/octet-stream;"));
    }
}

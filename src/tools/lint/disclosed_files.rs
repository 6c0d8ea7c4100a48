//! Files that are sent to anyone though they are meant for a program, or for those who are asked: the source of a
//! script, the directory of X-Accel-Redirect, a directory that another location asks a password for.

use super::blocks::{Pass, authenticates, below, case_of, is_of_client, location, passes, runs, variables};
use super::exposure::{open_locations, plain, served};
use super::regexes::uri_of;
use super::rule::{COMPARED, Finding, Rule, RuleContext};
use crate::config::ast::Directive;
use crate::config::pattern::Pattern;
use crate::config::template::Variables;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W179",
        title: "a script whose source is sent",
        page: "`rewrite … break` ends the rewriting and stays in this location, which sends the script as a file: its source, with \
               its passwords. `last` looks for the location that runs it. A regex location for assets that names `php` as well, and \
               stands before the one that runs scripts, sends their source, too: the first regex that matches counts.",
        about: &["rewrite", "location"],
        check: source_sent,
    },
    Rule {
        code: "W182",
        title: "a root that the client chooses",
        page: "A header, an argument or a cookie in `root` or `alias` may name the directory of another site, or, in \
               nginx, lead out by \
               `../` (404 here). Let a `map` choose from a fixed set.",
        about: &["root", "alias"],
        check: chosen_root,
    },
    Rule {
        code: "W183",
        title: "an index that no location runs",
        page: "`index index.php` sends the file as it is where no location passes it to PHP: visitors see its source. Add the \
               location (`location ~ \\.php$ { fastcgi_pass …; }`), or name pages only.",
        about: &["index"],
        check: unrun_index,
    },
    Rule {
        code: "W180",
        title: "a directory for X-Accel-Redirect that anyone may request",
        page: "The application decides who gets these files, and names the location in X-Accel-Redirect. Without `internal;` in it a \
               client that knows the path asks for them itself.",
        about: &["location", "proxy_set_header", "fastcgi_param", "uwsgi_param"],
        check: not_internal,
    },
    Rule {
        code: "W181",
        title: "a directory that one location protects and another serves",
        page: "Two locations serve one directory, and only one of them asks who the client is: by the path of the other one \
               they are had without a password or a signed link. Ask in both, or serve the directory in one place alone.",
        about: &["signed_link", "secure_link", "auth_basic", "auth_request"],
        check: opened_elsewhere,
    },
];

/// A regex location of files that takes scripts from the one that runs them.
fn takes_scripts(cx: &RuleContext, found: &mut Vec<Finding>) {
    const SCRIPT: &[u8] = b"/\x01.php";
    let Some((b"~" | b"~*", regex)) = location(cx.d).filter(|_| cx.is_in("server")) else { return };
    let level = cx.level();
    let inside = cx.children();
    let has = |name: &str| inside.iter().any(|d| d.name.is(name));
    let answers = ["return", "rewrite", "location", "include", "if", "internal", "cgi_extension"].into_iter().any(has)
        || inside.iter().any(|d| d.name.bytes().ends_with(b"_pass"));
    // Most regexes are cheaper to read than to try.
    if answers || authenticates(inside) || !regex.str().contains("ph") {
        return;
    }
    let is_taken = level.taker(SCRIPT).is_some_and(|taker| std::ptr::eq(taker, cx.d));
    let runs_it = |d: &&Directive| d.name.span.start > cx.d.name.span.start && runs(d) && runs_script(d, SCRIPT);
    if let Some(runner) = level.all.iter().take(COMPARED).find(runs_it).filter(|_| is_taken) {
        let message =
            format!("the source of scripts is sent: \"{}\" takes them before the location that runs them", regex.str());
        let finding = Finding::new(regex.span, message, "leave the extension of scripts out");
        found.push(finding.note(runner.args_span(), "they are run here"));
    }
}

/// Whether a regex location matches a path.
fn runs_script(d: &Directive, path: &[u8]) -> bool {
    let Some((sign, regex)) = location(d) else { return false };
    let pattern = Pattern::new(regex.bytes(), case_of(sign), &mut Variables::default());
    pattern.is_ok_and(|pattern| pattern.is_match(path).unwrap_or(false))
}

fn source_sent(cx: &RuleContext, found: &mut Vec<Finding>) {
    if cx.is("location") {
        return takes_scripts(cx, found);
    }
    let [_, target, flag] = &cx.d.args[..] else { return };
    let own = cx.blocks.iter().rev().find(|block| location(block).is_some());
    let (Some(own), Some(server)) = (own, cx.inside("server")) else { return };
    let every = [Pass::Http, Pass::Gateway, Pass::Program, Pass::Other];
    let is_passed = passes(&every).any(|pass| cx.levels().any(|level| level.has(pass)));
    if !cx.is("rewrite") || !flag.is("break") || is_passed {
        return;
    }
    let Some(uri) = uri_of(target).filter(|uri| uri.starts_with('/')) else { return };
    let runner = server.taker(uri.as_bytes()).filter(|taker| taker.name.span != own.name.span && runs(taker));
    if let Some(runner) = runner {
        let message =
            format!("the source of \"{}\" is sent: `break` stays in this location, which runs nothing", target.str());
        let finding = Finding::new(flag.span, message, "`last` looks for the location that runs it");
        found.push(finding.note(runner.args_span(), "this location"));
    }
}

fn chosen_root(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("root") || cx.is("alias")) else { return };
    let sent = variables(&word.str()).into_iter().find(|name| is_of_client(name));
    if let Some(name) = sent.as_ref().filter(|name| *name == "http_host") {
        let message =
            format!("${name} is what the client sent, with its port and in any case: not the name that was matched");
        return found.push(Finding::new(word.span, message, "use $host, and a server_name that names the hosts"));
    }
    if let Some(name) = sent {
        let message = format!("the client chooses the directory by ${name}: it may name that of another site");
        found.push(Finding::new(word.span, message, "let a `map` choose from a fixed set"));
    }
}

fn unrun_index(cx: &RuleContext, found: &mut Vec<Finding>) {
    // One look at a whole server.
    let is_one = cx.is_first("index") && cx.is_in("server") && cx.is_whole;
    let Some(server) = cx.inside("server").filter(|_| is_one) else { return };
    let Some(word) = cx.d.args.iter().find(|word| word.bytes().ends_with(b".php")) else { return };
    let is_run = |d: &Directive| {
        let name = d.name.bytes();
        let is_closed = d.name.is("deny") && d.says("all");
        is_closed || name.ends_with(b"_pass") || matches!(name, b"cgi_extension" | b"include" | b"return")
    };
    if !cx.levels.iter().any(|level| level.has("include")) && !below(server.all, is_run) {
        let message = format!("no location runs \"{}\": its source is sent", word.str());
        found.push(Finding::new(word.span, message, "add the location that passes it on, or name pages only"));
    }
}

/// The first part of a path that is kept for X-Accel-Redirect, by the words of guides.
const INTERNAL: [&str; 13] = [
    "internal",
    "internal_redirect",
    "internal-redirect",
    "internal_files",
    "internal-files",
    "protected",
    "protected_files",
    "protected-files",
    "x-accel",
    "x-accel-redirect",
    "accel",
    "x-sendfile",
    "sendfile",
];

/// Whether a location sends files without asking who the client is.
fn is_open(d: &Directive) -> bool {
    let inside = d.block.as_deref().unwrap_or_default();
    let has = |name: &str| inside.iter().any(|d| d.name.is(name));
    // An `if` may refuse, most of all what `secure_link` has found.
    let may_ask = ["limit_except", "include", "if", "secure_link"].into_iter().any(has);
    (has("alias") || has("root")) && !authenticates(inside) && !may_ask
}

/// Whether the server, or all servers, let in only those who are asked.
fn is_closed_around(cx: &RuleContext) -> bool {
    ["http", "server"].iter().any(|block| cx.inside(block).is_some_and(|level| level.authenticates()))
}

fn not_internal(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(server) = cx.inside("server").filter(|_| !is_closed_around(cx)) else { return };
    let help = "add to it: internal;";
    if let Some((b"" | b"^~", name)) = location(cx.d) {
        let path = name.str();
        let first = path.trim_start_matches('/').split('/').next().unwrap_or_default().to_ascii_lowercase();
        // Only an application sends X-Accel-Redirect.
        let asks = |d: &&Directive| {
            location(d).is_some() && d.block.iter().flatten().any(|d| d.name.bytes().ends_with(b"_pass"))
        };
        if INTERNAL.contains(&&*first)
            && is_open(cx.d)
            && cx.is_in("server")
            && let Some(asking) = server.all.iter().take(COMPARED).find(asks)
        {
            let message = format!("anyone may ask for what is below \"{path}\": it is not `internal`");
            found.push(Finding::new(name.span, message, help).note(asking.args_span(), "the application decides here"));
        }
        return;
    }
    let [header, value] = &cx.d.args[..] else { return };
    let name = header.lower();
    let is_header = cx.is("proxy_set_header") && name == b"x-accel-mapping";
    let is_param = cx.name().ends_with(b"_param") && !cx.is("scgi_param") && name == b"http_x_accel_mapping";
    if !is_header && !is_param {
        return;
    }
    let text = value.str();
    let uris = text.split(',').filter_map(|pair| pair.split_once('=')).map(|(_, uri)| uri.trim());
    let open = uris.filter_map(|uri| server.taker(uri.as_bytes())).find(|taker| is_open(taker));
    if let Some(open) = open.filter(|open| !is_named_internal(open)) {
        let message = "anyone may ask for what the application hands out: the location is not `internal`";
        found.push(Finding::new(value.span, message, help).note(open.args_span(), "the location"));
    }
}

/// Whether the location itself has the warning.
fn is_named_internal(d: &Directive) -> bool {
    let first = location(d).map(|(_, name)| name.str().trim_start_matches('/').to_ascii_lowercase());
    first.is_some_and(|path| INTERNAL.contains(&path.split('/').next().unwrap_or_default()))
}

fn opened_elsewhere(cx: &RuleContext, found: &mut Vec<Finding>) {
    const ASKS: [&str; 4] = ["signed_link", "secure_link", "auth_basic", "auth_request"];
    let level = cx.level();
    let is_on = |at: &usize| !level.all[*at].args.iter().any(|word| word.is("off"));
    // Once for all that one location asks.
    let first = ASKS.iter().filter_map(|name| level.first(name)).filter(is_on).min();
    if !ASKS.iter().any(|name| cx.is(name)) || first != Some(cx.at) {
        return;
    }
    let Some((own, server)) = cx.blocks.last().zip(cx.inside("server")) else { return };
    // A password for writing says nothing about reading.
    let writes = ["dav_methods", "allowed_methods", "allow_methods", "upload_store", "limit_except", "satisfy"];
    if is_closed_around(cx) || writes.iter().any(|name| level.has(name)) {
        return;
    }
    let Some(alias) = level.first_of("alias").and_then(|alias| plain(&alias.args.first()?.str())) else { return };
    let root = server.first_of("root");
    if served(own, root).as_deref() != Some(&*alias) {
        return;
    }
    let all_open = server.open.get_or_init(|| open_locations(server));
    let others = all_open.get(&alias).into_iter().flatten().take(COMPARED).filter_map(|at| server.all.get(*at));
    let is_other = |other: &&Directive| is_open(other) && other.name.span != own.name.span;
    if let Some(other) = others.filter(is_other).min_by_key(|other| other.name.span.start) {
        let line = other.block.iter().flatten().find(|d| d.name.is("alias") || d.name.is("root"));
        let place = line.map_or(other.args_span(), |line| line.span);
        let message = "this location serves to anyone what another one protects";
        found.push(
            Finding::new(place, message, "ask here as well, or leave this location out")
                .note(cx.d.span, "protected here"),
        );
    }
}

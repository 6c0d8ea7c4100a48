//! Requests that come back to the rule that sent them away: pages of errors that are refused themselves, redirects to
//! what is redirected again.

use super::blocks::location;
use super::level::Level;
use super::regexes::{matches, uri_of};
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word, written};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W302",
        title: "an error page that the server's own rules refuse",
        page: "The page of an error is looked up like any other path, by the rules of the server: with `deny all`, `auth_basic` or \
               `return 503` in the server the page of 403, 401 or 503 ends in the same error, and the built-in one is sent. Let \
               its location in (`location = /403.html { allow all; }`, `auth_basic off;`), and for a `return` of the server \
               name a location that these rules do not apply to: `error_page 503 @maintenance;`.",
        about: &["error_page"],
        check: refused_page,
    },
    Rule {
        code: "W303",
        title: "a redirect to a URI that is redirected again",
        page: "The browser asks for the target, which the same regex matches: `rewrite ^/shop(.*)$ /shop/$1 permanent;` adds a \
               slash for ever, until the browser gives up. Write a regex that does not match the target: `^/shop$`.",
        about: &["rewrite"],
        check: redirected_again,
    },
    Rule {
        code: "W304",
        title: "a slash that is removed and added again",
        page: "For a directory the server redirects to its name with a slash: a `rewrite ^/(.*)/$ /$1 permanent;` beside `$uri/` in \
               `try_files` sends the browser back, and so on. Leave directories out: `if (!-d $request_filename) { rewrite … }`.",
        about: &["rewrite"],
        check: to_and_fro,
    },
];

/// The rule of a server that answers every request, or those of an `if`, with this status.
fn refusing<'a>(server: &Level<'a>, taker: Option<&Directive>, code: &Word) -> Option<&'a Directive> {
    let own = |names: &[&str]| {
        taker.is_some_and(|taker| taker.block.iter().flatten().any(|d| names.iter().any(|name| d.name.is(name))))
    };
    match code.bytes() {
        b"403" if !own(&["allow", "deny", "satisfy", "return", "include"]) && !server.has("satisfy") => {
            server.named("deny").iter().copied().find(|d| d.says("all"))
        }
        b"401" if !own(&["auth_basic", "satisfy", "return", "include"]) && !server.has("satisfy") => {
            let asks = |d: &&Directive| d.args.first().is_some_and(|word| !word.is("off"));
            server.named("auth_basic").iter().copied().find(asks)
        }
        _ => None,
    }
}

/// A `return` of this status in the server itself, or in an `if` that does not look at the path.
fn returning<'a>(server: &Level<'a>, code: &Word) -> Option<&'a Directive> {
    let returns = |d: &&Directive| d.name.is("return") && d.args.first().is_some_and(|own| own.bytes() == code.bytes());
    let is_about_path = |d: &Directive| {
        let text = written(&d.args).to_ascii_lowercase();
        ["uri", "filename", "is_page", "error"].iter().any(|part| text.contains(part))
    };
    let inside = |d: &'a Directive| d.block.iter().flatten().find(returns).filter(|_| !is_about_path(d));
    let own = server.named("return").iter().copied().find(returns);
    own.or_else(|| server.named("if").iter().copied().find_map(inside))
}

fn refused_page(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("error_page") {
        return;
    }
    let Some((page, codes)) = cx.d.args.split_last().filter(|_| cx.is_in("server")) else { return };
    let path = page.bytes().split(|byte| *byte == b'?').next().unwrap_or_default();
    if !path.starts_with(b"/") || path.contains(&b'$') || cx.levels.iter().any(|l| l.has("recursive_error_pages")) {
        return;
    }
    let server = cx.level();
    if !["deny", "auth_basic", "return", "if"].iter().any(|name| server.has(name)) {
        return;
    }
    let taker = server.taker(path);
    let text = page.str();
    for code in codes {
        if let Some(by) = refusing(server, taker, code) {
            let lets_in = if code.is("401") { "auth_basic off;" } else { "allow all;" };
            let message = format!("\"{text}\" is refused as well: the built-in page is sent");
            let help = format!("let everyone have it: location = {text} {{ {lets_in} }}");
            return found.push(Finding::new(page.span, message, help).note(by.span, "this holds for the page, too"));
        }
        if let Some(by) = returning(server, code) {
            let message = format!("\"{text}\" is answered with {} again: the built-in page is sent", code.str());
            let help = format!(
                "name a location: error_page {} @page; location @page {{ rewrite ^ {text} break; }}",
                code.str()
            );
            return found.push(Finding::new(page.span, message, help).note(by.span, "this holds for the page, too"));
        }
    }
}

/// Whether a rewrite tells the browser to ask again.
fn redirects(d: &Directive) -> bool {
    d.args.get(2).is_some_and(|flag| flag.is("permanent") || flag.is("redirect"))
}

fn redirected_again(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("rewrite") {
        return;
    }
    let [regex, target, _] = &cx.d.args[..] else { return };
    // What stands before it may have taken the target out.
    let is_alone = cx.is_first("rewrite") && !cx.level().has("if") && !cx.level().has("return");
    let block = cx.blocks.last().filter(|block| block.name.is("server") || location(block).is_some());
    let (Some(block), Some(uri)) = (block.filter(|_| is_alone && redirects(cx.d)), uri_of(target)) else { return };
    let path = &*uri;
    let comes_back = || match location(block) {
        Some(_) => cx
            .inside("server")
            .and_then(|server| server.taker(path.as_bytes()))
            .is_some_and(|taker| std::ptr::eq(taker, *block)),
        None => true,
    };
    if path.starts_with('/') && matches(regex, path) && comes_back() {
        let message = format!("\"{}\" is redirected again by this line, until the browser gives up", target.str());
        let help = "let the regex leave its target out";
        found.push(Finding::new(cx.d.args_span(), message, help));
    }
}

/// The first `try_files` of a server or its locations that looks for directories.
fn tries_directories<'a>(server: &Level<'a>) -> Option<&'a Directive> {
    let tries = |d: &&Directive| d.name.is("try_files") && d.args.iter().any(|word| word.is("$uri/"));
    server.all.iter().find_map(|d| match location(d) {
        Some(_) => d.block.iter().flatten().find(tries),
        None => Some(d).filter(tries),
    })
}

fn to_and_fro(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("rewrite") {
        return;
    }
    let [regex, target, _] = &cx.d.args[..] else { return };
    let (regex, text) = (regex.str(), target.str());
    let takes_away = regex.ends_with("/$") || regex.ends_with("/+$");
    let is_group = text == "$1" || text.ends_with("/$1");
    if !redirects(cx.d) || !takes_away || !is_group || cx.is_in("if") {
        return;
    }
    let Some(server) = cx.inside("server") else { return };
    if let Some(line) = *server.tries_directories.get_or_init(|| tries_directories(server)) {
        let message = "a directory is redirected back to its name with a slash, and so on";
        let help = "leave directories out: if (!-d $request_filename) { rewrite … }";
        found.push(Finding::new(cx.d.args_span(), message, help).note(line.span, "directories are looked for here"));
    }
}

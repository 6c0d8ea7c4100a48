//! Requests that come back to the rule that sent them away: pages of errors that are refused themselves, redirects to
//! what is redirected again.

use super::blocks::{is_tls, location};
use super::level::Level;
use super::regexes::{matches, uri_of};
use super::rule::{Finding, Rule, RuleContext};
use super::targets::is_redirect;
use crate::config::ast::{Directive, Word, written};
use crate::config::syntax::{as_written, quoted};

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
    Rule {
        code: "W350",
        title: "a redirect to what is internal",
        page: "The client asks for the target of a redirect itself, and a location with `internal` answers that with 404. Stay on \
               the server: `rewrite ^ /page last;`, `error_page` or `try_files` lead to an internal location.",
        about: &["return", "rewrite"],
        check: to_internal,
    },
    Rule {
        code: "W357",
        title: "a redirect to the server that sends it",
        page: "A `return 301 http://www.example.org…` in a server that has this name, and listens for the same scheme, is answered by \
               itself again: the browser gives up. Give the name that is left a server of its own, and redirect from there.",
        about: &["return"],
        check: to_itself,
    },
    Rule {
        code: "W359",
        title: "two servers that redirect to each other",
        page: "`example.org` redirects to `www.example.org`, and that one back: the browser gives up. One of the two names answers.",
        about: &["return"],
        check: to_each_other,
    },
    Rule {
        code: "W365",
        title: "a flag inside the quotes of a replacement",
        page: "In `rewrite REGEX \"/path last\"` the flag is a part of the path, with the space before it. Close the quotes before it.",
        about: &["rewrite"],
        check: quoted_flag,
    },
];

fn quoted_flag(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [regex, target] = &cx.d.args[..] else { return };
    let text = target.str();
    let is_flag = |word: &str| matches!(word, "last" | "break" | "redirect" | "permanent");
    if let Some((path, flag)) = text.rsplit_once(' ').filter(|(_, flag)| cx.is("rewrite") && is_flag(flag)) {
        let message = format!("\"{flag}\" is a part of the path here");
        let help =
            format!("close the quotes before it: rewrite {} {} {flag};", as_written(regex), quoted(path.trim_end()));
        found.push(Finding::new(target.span, message, help));
    }
}

/// The scheme, the host and the rest of the redirect that answers every request of a server.
fn whole_redirect(server: &Directive) -> Option<(&Word, String, String)> {
    let inside = || server.block.iter().flatten();
    let line = inside().find(|d| d.name.is("return")).filter(|_| !inside().any(|d| d.name.is("if")))?;
    let url = line.args.last().filter(|_| line.args.len() == 1 || line.args.first().is_some_and(is_redirect))?;
    let text = url.str();
    let (scheme, rest) = text.split_once("://")?;
    let host = rest.split(['/', '$', '?']).next().filter(|host| !host.is_empty() && !host.contains(':'))?;
    Some((url, scheme.to_owned(), host.to_ascii_lowercase()))
}

fn to_each_other(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(own) = cx.blocks.last().filter(|block| cx.is_first("return") && block.name.is("server")) else { return };
    let (Some(http), Some((url, scheme, host))) = (cx.levels.iter().rev().nth(1), whole_redirect(own)) else { return };
    let names = |server: &Level, host: &str| {
        let mut names = server.named("server_name").iter().flat_map(|d| &d.args);
        names.any(|name| name.bytes().eq_ignore_ascii_case(host.as_bytes()))
    };
    let speaks = |server: &Level, scheme: &str| {
        let listens = server.named("listen");
        let port = if scheme == "https" { "443" } else { "80" };
        let is_for_it = |d: &&Directive| {
            let address = d.args.first().map(Word::str).unwrap_or_default();
            is_tls(d) == (scheme == "https") && address.rsplit(':').next() == Some(port)
        };
        !listens.is_empty() && listens.iter().all(is_for_it)
    };
    // Names that are generated are many, and each of these servers is looked at once.
    let Some(other) = http.redirecting(&host) else { return };
    let Some((back, to, target)) = whole_redirect(other).filter(|_| !std::ptr::eq(other, *own)) else { return };
    let is_later = back.span.start < url.span.start || back.span.file != url.span.file;
    let own = cx.level();
    if is_later && speaks(&http.inside(other), &scheme) && names(own, &target) && speaks(own, &to) {
        let message = format!("{host} redirects back to {target}, until the browser gives up");
        found.push(
            Finding::new(url.span, message, "let one of the two names answer").note(back.span, "it redirects back"),
        );
    }
}

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

fn to_internal(cx: &RuleContext, found: &mut Vec<Finding>) {
    let target = match (cx.name(), &cx.d.args[..]) {
        (b"return", [code, url]) if is_redirect(code) => url,
        (b"rewrite", [_, url, _]) if redirects(cx.d) => url,
        _ => return,
    };
    let text = target.bytes();
    let Some(server) = cx.inside("server").filter(|_| text.starts_with(b"/") && !text.contains(&b'$')) else { return };
    let path = text.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    let internal = server.taker(path).and_then(|taker| server.inside(taker).first_of("internal"));
    if let Some(internal) = internal {
        let message = format!("the client is sent to \"{}\", which is answered 404 when it asks", target.str());
        let help = "stay on the server: rewrite ^ URI last; or leave `internal` out there";
        found.push(Finding::new(target.span, message, help).note(internal.span, "for internal redirects only"));
    }
}

fn to_itself(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (Some(url), true) = (cx.d.args.last().filter(|_| cx.is_first("return")), cx.is_in("server")) else { return };
    let text = url.str();
    let Some((scheme, rest)) = text.split_once("://") else { return };
    let is_redirection = cx.d.args.len() == 1 || cx.d.args.first().is_some_and(is_redirect);
    let host = rest.split(['/', '$', '?']).next().unwrap_or_default();
    let (level, port) = (cx.level(), if scheme == "https" { "443" } else { "80" });
    let names = || level.named("server_name").iter().flat_map(|d| &d.args);
    let Some(name) = names().find(|name| is_redirection && name.bytes().eq_ignore_ascii_case(host.as_bytes())) else {
        return;
    };
    // Only where every listener is one for this very URL.
    let is_for_it = |listen: &&Directive| {
        let address = listen.args.first().map(Word::str).unwrap_or_default();
        let own = address.rsplit(':').next().unwrap_or_default();
        is_tls(listen) == (scheme == "https") && (own == port || !address.contains(':') && address.contains('.'))
    };
    let listens = level.named("listen");
    // A server of one name is a rule's of its own.
    let has_others = names().nth(1).is_some();
    if has_others && !listens.is_empty() && listens.iter().all(is_for_it) && !level.has("if") && cx.ssl().is_none() {
        let message = format!("this server answers for {host} itself, with this redirect again");
        let help = "leave that name out of server_name here, and give it a server of its own";
        found.push(Finding::new(url.span, message, help).note(name.span, "the name"));
    }
}

//! What clients control: redirect targets, addresses and user names they claim, text repeated in HTML, hashes without a
//! secret, the origin `null`.

use super::blocks::{authority, is_of_client, variables};
use super::regexes::{Captured, captured};
use super::rule::{Finding, Rule, RuleContext};
use super::targets::is_redirect;
use crate::config::ast::Word;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W142",
        title: "secure_link_md5 without a secret",
        page: "A hash of what the client knows is one that the client can make. Put a secret word beside the variables: \
               `secure_link_md5 \"$secure_link_expires$uri secret\";`.",
        about: &["secure_link_md5"],
        check: no_secret,
    },
    Rule {
        code: "W143",
        title: "an address or a user name that the client can forge",
        page: "Applications trust X-Real-IP, X-Forwarded-For and names of users as what the proxy found out. Passed on as \
               the client sent them, anyone is who they say. Write `$remote_addr`, `$proxy_add_x_forwarded_for` or \
               `$remote_user`; behind another proxy name it by `set_real_ip_from`.",
        about: &["proxy_set_header", "fastcgi_param", "uwsgi_param", "scgi_param"],
        check: claimed,
    },
    Rule {
        code: "W144",
        title: "a redirect to a host that the client chooses",
        page: "A redirect whose host, or its end, comes from the request sends visitors of this site to any other (open \
               redirect). `https://a.test$1` is one too where `$1` need not begin with a slash: `.evil.test` makes it \
               another host. Name the host, and end it with `/`.",
        about: &["return", "rewrite", "upload_return"],
        check: open_redirect,
    },
    Rule {
        code: "W145",
        title: "a page that repeats what the client sent",
        page: "An argument, a header or the decoded path in a text of HTML is run as a script by the browser of anyone who \
               follows a link to it. Send such a text as text/plain.",
        about: &["return", "upload_return"],
        check: reflected,
    },
    Rule {
        code: "W147",
        title: "the origin `null` is allowed",
        page: "`null` is the origin of every sandboxed frame and local file, so that any site can have it. Name the origins \
               that may read.",
        about: &["add_header"],
        check: null_origin,
    },
];

/// Whether a client knows this value of its own request.
fn is_known(name: &str) -> bool {
    const KNOWN: [&str; 9] = [
        "uri",
        "request_uri",
        "document_uri",
        "args",
        "remote_addr",
        "host",
        "scheme",
        "request_method",
        "secure_link_expires",
    ];
    KNOWN.contains(&name) || is_of_client(name)
}

fn no_secret(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = cx.d.args.first().filter(|_| cx.is("secure_link_md5")) else { return };
    let text = word.str();
    let mut fixed = text.replace(['{', '}'], "");
    let names = variables(&text);
    for name in &names {
        fixed = fixed.replacen(&format!("${name}"), "", 1);
    }
    if names.iter().all(|name| is_known(name)) && !fixed.contains(|c: char| c.is_ascii_alphanumeric()) {
        let message = "nothing in it is secret: who reads one link can make others";
        let help = format!("add a secret word: secure_link_md5 \"{text} SECRET\";");
        found.push(Finding::new(word.span, message, help));
    }
}

fn claimed(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [name, value] = &cx.d.args[..] else { return };
    let header = name.str().to_ascii_lowercase();
    let is_param = ["fastcgi_param", "uwsgi_param", "scgi_param"].iter().any(|param| cx.is(param));
    let is_address = header == "x-real-ip" || header == "x-forwarded-for" || is_param && header == "remote_addr";
    let is_user = header.ends_with("remote-user") || is_param && header == "remote_user";
    let text = value.str();
    let is_sent = text.starts_with("$http_") && variables(&text).len() == 1;
    let is_behind = cx.levels.iter().any(|level| level.has("set_real_ip_from"));
    if !cx.is("proxy_set_header") && !is_param || !is_sent || is_behind || !(is_address || is_user) {
        return;
    }
    let right = match &*header {
        "x-real-ip" | "remote_addr" => "$remote_addr",
        "x-forwarded-for" => "$proxy_add_x_forwarded_for",
        _ => "$remote_user",
    };
    let message = format!("{text} is what the client wrote: the upstream takes it for what this server found out");
    found.push(Finding::new(value.span, message, format!("write: {} {} {right};", cx.d.name.str(), name.str())));
}

fn open_redirect(cx: &RuleContext, found: &mut Vec<Finding>) {
    let word = match (cx.name(), &cx.d.args[..]) {
        (b"return" | b"upload_return", [code, url]) if is_redirect(code) => url,
        (b"rewrite", [_, url, flag]) if flag.is("redirect") || flag.is("permanent") => url,
        (b"rewrite", [_, url]) if url.bytes().starts_with(b"http") => url,
        _ => return,
    };
    let text = word.str();
    let of_request = |name: &str| name.starts_with("arg_") || name.starts_with("cookie_");
    let host = authority(&text);
    let first = variables(&text).into_iter().next();
    // `/$arg_next`: `//evil.test` is a host.
    let at_start = text.strip_prefix('/').unwrap_or(&text);
    if let Some(name) = first.filter(|name| of_request(name))
        && (at_start.starts_with('$') || variables(host).contains(&name))
    {
        let message = format!("the client chooses by ${name} where visitors of this site are sent");
        return found.push(Finding::new(word.span, message, "name the host, or let a `map` allow a fixed set"));
    }
    if let Some(name) = whole_capture(&text)
        && !cx.is("rewrite")
        && captured(cx, name).is_some_and(|held| matches!(held, Captured::NoLineEnd | Captured::Anything))
        && may_begin_without_slash(cx)
    {
        let message = format!("the path chooses by ${name} where visitors of this site are sent");
        return found.push(Finding::new(word.span, message, format!("stay on this site: /${name}, or name the host")));
    }
    if let Some(name) = host_of_path(cx, host).filter(|_| text.contains("://")) {
        let message = format!("the path chooses by ${name} where visitors of this site are sent");
        let help = format!(
            "name the host. If ${name} was meant to be a group of an earlier `if`, save it there with `set`: each regex \
             that matches replaces the groups"
        );
        return found.push(Finding::new(word.span, message, help));
    }
    let Some((before, digit)) = host.split_once('$').filter(|(before, _)| before.contains('.')) else { return };
    let Some(name) = digit.chars().next().filter(char::is_ascii_digit).map(String::from) else { return };
    let is_open = captured(cx, &name).is_some_and(|held| matches!(held, Captured::NoLineEnd | Captured::Anything));
    if text.contains("://") && is_open && may_begin_without_slash(cx) {
        let message = format!("${name} need not begin with a slash: \".evil.test\" makes \"{before}\" another host");
        let help = format!("end the host: {}", text.replacen(&format!("{before}$"), &format!("{before}/$"), 1));
        found.push(Finding::new(word.span, message, help));
    }
}

/// The group of a path that a host begins with: `https://$1/` behind `rewrite ^/(.*)$`. Not one of an `if`, which may
/// be about the host.
fn host_of_path<'h>(cx: &RuleContext, host: &'h str) -> Option<&'h str> {
    let name =
        host.strip_prefix('$').and_then(|rest| rest.get(..1)).filter(|name| name.as_bytes()[0].is_ascii_digit())?;
    let of_if = cx.blocks.iter().any(|block| block.name.is("if"));
    let is_open = captured(cx, name).is_some_and(|held| matches!(held, Captured::NoLineEnd | Captured::Anything));
    (is_open && (cx.is("rewrite") || !of_if)).then_some(name)
}

/// A URL that consists of exactly one group: `$1`.
fn whole_capture(url: &str) -> Option<&str> {
    url.strip_prefix('$').filter(|digit| digit.len() == 1 && digit.starts_with(|c: char| c.is_ascii_digit()))
}

/// Whether the first group of the regex of this rewrite, or of the enclosing `if` or location, may match text without a
/// leading slash: `^/r(.*)$`, but not `^(.*)$` or `^/r(/.*)$`.
fn may_begin_without_slash(cx: &RuleContext) -> bool {
    let own = cx.d.args.first().filter(|_| cx.is("rewrite"));
    let of_if = cx.blocks.last().filter(|block| block.name.is("if")).and_then(|block| block.args.get(2));
    let Some(regex) = own.or(of_if).or_else(|| Some(cx.location()?.1)) else { return false };
    let text = regex.str();
    let Some((before, group)) = text.split_once('(') else { return false };
    let group = group.trim_start_matches("?:");
    !matches!(before, "" | "^") && !group.starts_with('/') && !group.starts_with("\\/")
}

fn reflected(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [code, word] = &cx.d.args[..] else { return };
    if !cx.is("return") && !cx.is("upload_return") || is_redirect(code) {
        return;
    }
    let text = word.str();
    let is_field = |name: &str| name.starts_with("upload_field_") || name == "upload_file_name";
    let is_repeated = |name: &String| matches!(&**name, "uri" | "document_uri") || is_of_client(name) || is_field(name);
    let Some(name) = variables(&text).into_iter().find(is_repeated) else { return };
    let is_html = |word: &Word| word.bytes().to_ascii_lowercase().starts_with(b"text/html");
    let of_level = cx.levels.iter().rev().find_map(|level| {
        let own = level.first_of("default_type").and_then(|d| d.args.first());
        own.or_else(|| level.field("content-type").and_then(|d| d.args.get(1)))
    });
    if of_level.is_some_and(is_html) {
        let message = format!("${name} is a part of this page as the client sent it, scripts as well");
        found.push(Finding::new(word.span, message, "send it as text: default_type text/plain;"));
    }
}

fn null_origin(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [name, value, ..] = &cx.d.args[..] else { return };
    let is_one = cx.is("add_header") && name.bytes().eq_ignore_ascii_case(b"access-control-allow-origin");
    if is_one && value.bytes().eq_ignore_ascii_case(b"null") {
        let message = "any site can have the origin `null`";
        found.push(Finding::new(value.span, message, "name an origin, as in https://app.example.org"));
    }
}

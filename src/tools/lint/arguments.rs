//! Arguments of requests that are handed on twice, or not at all.

use super::blocks::{Pass, location, passes, variables};
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W091",
        title: "arguments that are given twice",
        page: "$request_uri holds the arguments of the request, and `rewrite` appends them to its target, unless that ends in \
               `?`: with $args besides they are there twice, `/x?a=1?a=1`. $is_args is the `?` itself, where there are arguments. \
               Write `return 301 https://HOST$request_uri;`, `rewrite ^ https://HOST$request_uri? permanent;` and \
               `/index.php$is_args$args`.",
        about: &["return", "rewrite", "proxy_pass", "try_files"],
        check: given_twice,
    },
    Rule {
        code: "W092",
        title: "arguments that are lost",
        page: "What `try_files` leads to last is asked for as it stands: of `/index.php` the program gets no arguments, so that \
               $_GET is empty. So it is with a `proxy_pass` whose path is made of groups. Write `/index.php?$args`, and \
               `proxy_pass http://app/$1$is_args$args;`.",
        about: &["try_files", "proxy_pass"],
        check: lost,
    },
    Rule {
        code: "W345",
        title: "arguments that become a part of the path",
        page: "A path and its arguments are told apart by a `?`: `/index.php$args` looks for the file \"/index.phpa=1\". Write \
               `/index.php?$args`, or `/index.php$is_args$args`, which leaves the `?` out where there are none.",
        about: &["return", "rewrite", "proxy_pass", "try_files", "error_page"],
        check: without_question_mark,
    },
];

/// The variables that hold the arguments alone.
const ARGUMENTS: [&str; 2] = ["args", "query_string"];

fn is_arguments(name: &str) -> bool {
    name == "is_args" || ARGUMENTS.contains(&name)
}

fn given_twice(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = target(cx).filter(|_| !cx.is("error_page")) else { return };
    let text = word.str();
    let names = variables(&text);
    let has_mark = names.iter().any(|name| name == "is_args");
    let doubled = || text.find("?$is_args").or_else(|| text.find("?${is_args}"));
    if let Some(at) = has_mark.then(doubled).flatten() {
        let message = "$is_args is a `?` itself where there are arguments: then there are two";
        let help = format!("leave this one out: {}{}", &text[..at], &text[at + 1..]);
        return found.push(Finding::new(word.span, message, help));
    }
    let whole = names.iter().position(|name| name == "request_uri");
    let behind = whole.and_then(|at| names.iter().skip(at + 1).find(|name| is_arguments(name)));
    if let Some(name) = behind {
        let message = format!("$request_uri holds the arguments already: ${name} gives them again");
        let end = text.find("$request_uri").map_or(text.len(), |at| at + "$request_uri".len());
        let help = format!("leave the rest out: {}", text.get(..end).unwrap_or_default());
        return found.push(Finding::new(word.span, message, help));
    }
    // A level that sets $args itself knows what is appended.
    let is_set = || cx.levels().any(|level| level.assigned().contains_key("args"));
    let name = names.iter().find(|name| ARGUMENTS.contains(&&***name) || *name == "request_uri");
    let is_twice = cx.is("rewrite") && !text.ends_with('?') && unmarked(&text).is_none() && !is_set();
    if let Some(name) = name.filter(|_| is_twice) {
        let message = format!("rewrite appends the arguments itself: with ${name} they are there twice");
        found.push(Finding::new(word.span, message, format!("end it with `?`, which keeps them off: {text}?")));
    }
}

/// The word of a directive that is a URL, or a URI.
fn target<'a>(cx: &RuleContext<'_, 'a>) -> Option<&'a Word> {
    match (cx.name(), &cx.d.args[..]) {
        (b"rewrite", [_, target, ..]) | (b"return", [_, target]) => Some(target),
        (b"try_files" | b"proxy_pass" | b"error_page", [.., target]) => Some(target),
        _ => None,
    }
}

fn is_braced(rest: &str, name: &str) -> bool {
    rest.strip_prefix('{').and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('}'))
}

/// The path and the arguments of a target in which no `?` parts them.
fn unmarked(text: &str) -> Option<(&str, &str)> {
    let begins = |rest: &str| ARGUMENTS.iter().any(|name| rest.starts_with(name) || is_braced(rest, name));
    let mut variables = memchr::memchr_iter(b'$', text.as_bytes());
    let (path, args) = text.split_at(variables.find(|at| text.get(at + 1..).is_some_and(begins))?);
    if !path.starts_with('/') && !path.split_once("://").is_some_and(|(_, rest)| rest.contains('/')) {
        return None;
    }
    // A variable may hold the `?` itself. Behind a slash or a sign they are meant to be a part of the path.
    let literal = path.rsplit_once(['$', '}']).map_or(path, |(_, last)| last);
    let is_path = ["uri", "document_uri"].iter().any(|name| path.ends_with(&format!("${name}")));
    let ends_literally = (literal.len() == path.len() || literal.contains(['/', '.']))
        && path.ends_with(|last: char| last.is_ascii_alphanumeric());
    let is_unmarked = !path.contains(['?', '|', ' ', '#']) && (ends_literally || is_path) && !path.contains("is_args");
    is_unmarked.then_some((path, args))
}

fn without_question_mark(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(word) = target(cx) else { return };
    let text = word.str();
    let Some((path, args)) = unmarked(&text).filter(|_| !cx.is("rewrite") || !text.ends_with('?')) else { return };
    let message = format!("the arguments become a part of the path: nothing separates \"{path}\" from them");
    let help = match cx.is("rewrite") {
        true => format!("a `?` begins them, and one at the end keeps them from being appended again: {path}?{args}?"),
        false => format!("a `?` begins them: {path}?{args}"),
    };
    found.push(Finding::new(word.span, message, help));
}

fn lost(cx: &RuleContext, found: &mut Vec<Finding>) {
    if !cx.is("try_files") && !cx.is("proxy_pass") {
        return;
    }
    let Some(word) = cx.d.args.last() else { return };
    let text = word.str();
    if cx.is("proxy_pass") {
        return found.extend(of_a_proxy(cx, word));
    }
    if !text.starts_with('/') || !text.ends_with(".php") || text.contains(['$', '?']) {
        return;
    }
    let taker = cx.inside("server").and_then(|server| server.taker(text.as_bytes()));
    let runs = |d: &Directive| passes(&[Pass::Gateway]).any(|name| d.name.is(name));
    let is_run = taker.is_some_and(|taker| taker.block.iter().flatten().any(runs));
    let is_own = cx.blocks.last().is_some_and(|block| taker.is_some_and(|taker| std::ptr::eq(taker, *block)));
    if is_run && !is_own {
        let message = format!("\"{text}\" gets no arguments: a request for /x?a=1 is one for {text} alone");
        found.push(Finding::new(word.span, message, format!("hand them on: {text}?$args")));
    }
}

/// A path of groups, with nothing that holds the arguments.
fn of_a_proxy(cx: &RuleContext, word: &Word) -> Option<Finding> {
    let text = word.str();
    let rest = text.split_once("://")?.1;
    // A host that is a group itself is another rule's.
    let path = rest.get(rest.find(['/', '$']).filter(|at| *at > 0)?..)?;
    let names = variables(path);
    // Groups of the location itself: after a rewrite they are those of its regex, and it keeps the arguments.
    let (_, regex) = cx.blocks.last().and_then(|block| location(block)).filter(|(sign, _)| sign.starts_with(b"~"))?;
    let regex = regex.str();
    let is_group =
        |name: &String| name.bytes().all(|byte| byte.is_ascii_digit()) || regex.contains(&format!("<{name}>"));
    let name = names.iter().find(|name| is_group(name))?;
    // A part of the path is left out, and so may be the arguments: `~ ^/(a|b)/(.*)$` with `/$2`.
    if name.parse().is_ok_and(|number: u32| (1..number).any(|before| !names.contains(&before.to_string()))) {
        return None;
    }
    let keeps = path.contains('?') || names.iter().any(|name| is_arguments(name) || name == "request_uri");
    // What is one kind of file takes no arguments.
    let is_file = regex.contains("\\.") || cx.level().has("rewrite") || cx.level().has("if");
    let message = format!("the arguments of the request are lost: the path is made of ${name} alone");
    (!keeps && !is_file).then(|| Finding::new(word.span, message, format!("hand them on: {text}$is_args$args")))
}

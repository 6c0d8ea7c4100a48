//! Refusals that requests pass which were meant: by another spelling of the path, or because nothing is refused.

use super::blocks::{self, condition};
use super::level::Below;
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};
use std::collections::BTreeSet;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W380",
        title: "a refusal by the path as the client wrote it",
        page: "$request_uri is neither decoded nor cleaned: `if ($request_uri ~ ^/admin) { return 403; }` refuses /admin, \
               and lets //admin, /%61dmin and /x/../admin through, which are the same path to locations and files. A list \
               of what is let in is passed by /public/../admin. Ask for $uri, or refuse in a location.",
        about: &["if", "map"],
        check: raw_path,
    },
    Rule {
        code: "W383",
        title: "a limit_except that limits nothing",
        page: "`limit_except GET { }` says for which methods its block does not hold. An empty one refuses none of the others: \
               write `limit_except GET { deny all; }`.",
        about: &["limit_except"],
        check: nothing_limited,
    },
];

/// The beginning of a path that a regex or a text asks for, as in `/admin`, and what the regex asks for behind it.
/// None: it asks for something else, arguments too.
fn path_of(text: &str, is_regex: bool) -> Option<(String, &str)> {
    let path = if is_regex { text.trim_start_matches('^').trim_start_matches('(') } else { text };
    let is_path = path.strip_prefix('/').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()));
    let asks_more = ["\\?", "[?]", "="].iter().any(|sign| text.contains(sign)) || !is_regex && text.contains('?');
    let (literal, rest) = if is_regex { literal_of(path) } else { (path.to_owned(), "") };
    (is_path && !asks_more && literal.len() > 1).then_some((literal, rest))
}

/// The letters that a regex begins with, and the rest of it.
fn literal_of(regex: &str) -> (String, &str) {
    let (mut literal, mut rest) = (String::new(), regex);
    while let Some(first) = rest.chars().next() {
        let (letter, behind) = match rest.strip_prefix('\\') {
            Some(escaped) if escaped.starts_with(|c: char| c.is_ascii_punctuation()) => escaped.split_at(1),
            None if !"^$.[]()|*+?{}".contains(first) => rest.split_at(first.len_utf8()),
            _ => break,
        };
        // It may be left out.
        if behind.starts_with(['?', '*', '{']) {
            break;
        }
        literal.push_str(letter);
        rest = behind;
    }
    (literal, rest)
}

/// Whether requests for other pages are led to such a path: then $uri is this path for all of them.
fn is_target(below: &Below, path: &str) -> bool {
    let path = path.as_bytes();
    let begins_with = |set: &BTreeSet<Vec<u8>>, start: &[u8]| {
        set.range(start.to_vec()..).next().is_some_and(|first| first.starts_with(start))
    };
    let is_chosen = (1..=path.len()).any(|end| below.targets.contains(&[&path[..end], b"$"].concat()));
    let is_default = b"/index.html".starts_with(path);
    is_chosen || is_default || begins_with(&below.targets, path) || begins_with(&below.indexes, path)
}

/// Whether one of the paths of a regex is such a target: the one that it begins with, or one behind a `|`.
fn names_target(below: &Below, path: &str, rest: &str) -> bool {
    let others = rest.split(['|', '(', ')']).map(|other| literal_of(other.trim_start_matches('^')).0);
    let mut others = others.filter(|other| other.len() > 1 && other.starts_with('/'));
    is_target(below, path) || others.any(|other| is_target(below, &other))
}

/// Whether a location is the one that a path names, which requests may be led to.
fn is_of_location(cx: &RuleContext, path: &str) -> bool {
    cx.location().is_some_and(|(sign, name)| {
        let text = name.str();
        let is_regex = sign.starts_with(b"~");
        let name = if is_regex { literal_of(text.trim_start_matches('^')).0 } else { text.into_owned() };
        name.len() > 1 && (name.starts_with(path) || path.starts_with(&name))
    })
}

fn raw_path(cx: &RuleContext, found: &mut Vec<Finding>) {
    if cx.is("map") {
        return raw_path_of_map(cx, found);
    }
    let Some(asked) = condition(cx.d).filter(|asked| asked.subject == "$request_uri") else { return };
    let (Some(operand), Some(is_met)) = (asked.operand, asked.regex().or(asked.equality())) else { return };
    let is_regex = asked.regex().is_some();
    if !blocks::refuses(cx.children()) {
        return;
    }
    let (Some((path, rest)), Some(server)) = (path_of(&asked.text, is_regex), cx.inside("server")) else { return };
    let below = server.below();
    // Only a list of beginnings lets more in than it names.
    let is_beginning = is_regex && (rest.is_empty() || rest.starts_with(".*"));
    let leads_out = || {
        let ends = [below.targets.first(), below.targets.last()];
        ends.into_iter().flatten().any(|target| !target.starts_with(path.as_bytes()))
    };
    let is_silent = match is_met {
        true => names_target(below, &path, rest),
        false => !is_beginning || leads_out(),
    };
    if is_silent || is_of_location(cx, &path) {
        return;
    }
    let message = match is_met {
        true => format!("/{path} is the same path to files and locations, and is not refused"),
        false => {
            let start = path.trim_end_matches('/');
            format!("{start}/../x is let in as well: $request_uri is the path as the client wrote it")
        }
    };
    let sign = asked.sign.map(Word::str).unwrap_or_default();
    let help = format!("ask for the cleaned path: if ($uri {sign} {})", asked.text);
    found.push(Finding::new(operand.span, message, help));
}

fn raw_path_of_map(cx: &RuleContext, found: &mut Vec<Finding>) {
    let [subject, variable] = &cx.d.args[..] else { return };
    if !subject.is("$request_uri") {
        return;
    }
    let name = variable.str();
    let asking = cx.level().ifs_about(&name);
    let is_refusal =
        |block: &&Directive| block.args.len() == 1 && blocks::refuses(block.block.as_deref().unwrap_or(&[]));
    if asking.is_empty() || !asking.iter().all(is_refusal) {
        return;
    }
    // What has the value 0 is let in.
    let refused = cx.children().iter().filter(|line| !line.says("0") && !line.says(""));
    let below = cx.level().below();
    let mut first = None;
    for key in refused.map(|line| &line.name) {
        let text = key.str();
        let regex = text.strip_prefix("~*").or_else(|| text.strip_prefix('~'));
        let Some((path, rest)) = path_of(regex.unwrap_or(&text), regex.is_some()) else { continue };
        if names_target(below, &path, rest) {
            return;
        }
        first.get_or_insert((key, path));
    }
    if let Some((key, path)) = first {
        let message = format!("/{path} is the same path to files and locations, and is not refused");
        found.push(Finding::new(key.span, message, format!("ask for the cleaned path: map $uri {name} {{ … }}")));
    }
}

fn nothing_limited(cx: &RuleContext, found: &mut Vec<Finding>) {
    if cx.is("limit_except") && cx.children().is_empty() {
        let message = "no other method is refused: the block is empty";
        found.push(Finding::new(cx.d.name.span, message, "write in it: deny all;"));
    }
}

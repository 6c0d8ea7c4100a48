//! Refusals that requests pass which were meant: by another spelling of the path, or because nothing is refused.

use super::blocks::{self, condition};
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};

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

/// The beginning of a path that a regex or a text asks for: `/admin`. None: it asks for something else, arguments too.
fn path_of(text: &str, is_regex: bool) -> Option<&str> {
    let path = if is_regex { text.trim_start_matches('^').trim_start_matches('(') } else { text };
    let is_path = path.strip_prefix('/').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()));
    let asks_more = ["\\?", "[?]", "="].iter().any(|sign| text.contains(sign)) || !is_regex && text.contains('?');
    (is_path && !asks_more).then_some(path)
}

fn raw_path(cx: &RuleContext, found: &mut Vec<Finding>) {
    if cx.is("map") {
        return raw_path_of_map(cx, found);
    }
    let Some(asked) = condition(cx.d).filter(|asked| asked.subject == "$request_uri") else { return };
    let (Some(operand), Some(is_met)) = (asked.operand, asked.regex().or(asked.equality())) else { return };
    let is_regex = asked.regex().is_some();
    if blocks::refuses(cx.children())
        && let Some(path) = path_of(&asked.text, is_regex)
    {
        let message = match is_met {
            true => format!("/{path} is the same path to files and locations, and is not refused"),
            false => format!("{path}/../x is let in as well: $request_uri is the path as the client wrote it"),
        };
        let sign = asked.sign.map(Word::str).unwrap_or_default();
        let help = format!("ask for the cleaned path: if ($uri {sign} {})", asked.text);
        found.push(Finding::new(operand.span, message, help));
    }
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
    let keys = cx.children().iter().map(|line| &line.name);
    let mut paths = keys.filter_map(|key| {
        let text = key.str();
        let regex = text.strip_prefix("~*").or_else(|| text.strip_prefix('~'));
        Some((key, path_of(regex.unwrap_or(&text), regex.is_some())?.to_owned()))
    });
    if let Some((key, path)) = paths.next() {
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

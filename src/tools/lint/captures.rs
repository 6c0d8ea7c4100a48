//! How directives use the groups of the enclosing regex.

use super::blocks::{condition, location};
use super::regexes::{Captured, group, group_body};
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::Word;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W060",
        title: "a capture of an `if` whose regex has no group",
        page: "The regex that matched last is what `$1` is of: inside `if ($uri ~ ^/a)` that is the regex of the `if`, and one \
               without groups leaves `$1` empty, whatever the location around captured. Put what is meant into parentheses.",
        about: &["set", "return", "add_header", "proxy_set_header"],
        check: group_of_if,
    },
    Rule {
        code: "W153",
        title: "alias joins a group to another path",
        page: "`location ~ /img(.*) { alias /srv/img/$1; }` also matches /img../secret, which becomes /srv/img/../secret; \
               `location ~ ^/img/(.*)$ { alias /srv/img$1; }` leads /img/s to /srv/imgs. Let both have the slash before the \
               group: `location ~ ^/img/(.*)$ { alias /srv/img/$1; }`.",
        about: &["alias"],
        check: joined_alias,
    },
];

/// The first `$1` to `$9` of a word.
fn first_group(word: &Word) -> Option<char> {
    let text = word.str();
    let digits = text.match_indices('$').filter_map(|(at, _)| text.get(at + 1..)?.chars().next());
    digits.into_iter().find(|c| ('1'..='9').contains(c))
}

fn group_of_if(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some(block) = cx.blocks.last().filter(|block| block.name.is("if")) else { return };
    let Some(condition) = condition(block) else { return };
    let (Some(regex), Some(true)) = (condition.operand, condition.regex()) else { return };
    // Another regex may have matched last.
    let others = cx.level().has("rewrite") || cx.level().has("if");
    if others || regex.bytes().iter().filter(|byte| **byte == b'(').count() > 0 {
        return;
    }
    let value = cx.d.args.iter().find_map(|word| Some((word, first_group(word)?)));
    if let Some((word, digit)) = value {
        let message = format!("${digit} is empty: the regex of this `if` has no group");
        let help = "put what is meant into parentheses, or use a named group, (?<name>…), of the location";
        found.push(Finding::new(word.span, message, help).note(regex.span, "the regex"));
    }
}

fn joined_alias(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (Some(block), Some(word)) = (cx.blocks.last(), cx.d.args.first()) else { return };
    let Some((sign, name)) = location(block).filter(|_| cx.is("alias")) else { return };
    let (regex, path) = (name.str(), word.str());
    if !sign.starts_with(b"~") {
        return;
    }
    later_group(&regex, &path, name, word, found);
    // Only for the first group is the text before it known.
    let (Some((before, body)), Some((dir, _))) = (regex.split_once('('), path.split_once("$1")) else { return };
    let is_open = matches!(group(&regex, "1"), Some(Captured::Anything | Captured::NoLineEnd));
    let before = before.trim_start_matches('^');
    let may_begin = before.ends_with('/');
    let begins = body.trim_start_matches("?:").starts_with(['/', '\\']);
    if !is_open || before.is_empty() || begins || dir.is_empty() {
        return;
    }
    let (message, help) = match (may_begin, dir.ends_with('/')) {
        (true, true) => return,
        (true, false) => {
            (format!("\"$1\" is joined to \"{dir}\" without a slash between them"), format!("write: alias {dir}/$1;"))
        }
        (false, true) => (
            format!("\"{before}../x\" matches as well, and leads out of \"{dir}\""),
            format!("begin the group behind a slash: location ~ ^{before}/(.*)$"),
        ),
        (false, false) => (
            format!("\"{before}-other/x\" matches as well, and leads to \"{dir}-other/x\""),
            format!("begin the group behind a slash: location ~ ^{before}/(.*)$ {{ alias {dir}/$1; }}"),
        ),
    };
    found.push(Finding::new(name.span, message, help).note(word.span, "the alias"));
}

/// `location ~ /site(2)(.*) { alias /srv/$2; }`: the group behind another one need not begin behind a slash either.
fn later_group(regex: &str, path: &str, name: &Word, word: &Word, found: &mut Vec<Finding>) {
    let Some((dir, digit)) = path.split_once('$').filter(|(dir, _)| dir.ends_with('/')) else { return };
    let digit = digit.get(..1).unwrap_or_default();
    let is_open = matches!(group(regex, digit), Some(Captured::Anything | Captured::NoLineEnd));
    if !("2"..="9").contains(&digit) || !is_open || regex.contains('|') {
        return;
    }
    let Some(body) = group_body(regex, digit) else { return };
    let before = regex.get(..regex.len() - body.len()).unwrap_or_default().trim_end_matches('(');
    let is_word = |text: &str| text.ends_with(|c: char| c.is_ascii_alphanumeric());
    if !body.starts_with(['/', '\\']) && (is_word(before) || before.strip_suffix(')').is_some_and(is_word)) {
        let message = format!("${digit} need not begin behind a slash: \"../x\" leads out of \"{dir}\"");
        let help = format!("let a slash stand before the group: {before}/(…)");
        found.push(Finding::new(name.span, message, help).note(word.span, "the alias"));
    }
}

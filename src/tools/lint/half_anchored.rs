//! Regexes whose `^` or `$` is of one alternative only.

use super::access::only_refuses;
use super::blocks::{condition, location};
use super::rule::{Finding, Rule, RuleContext};

pub const RULES: &[Rule] = &[Rule {
    code: "W377",
    title: "an anchor of one alternative only",
    page: "`|` binds less than all other signs: in `\\.m3u8|\\.ts$` the `$` is of the second alternative, and the first matches \
           anywhere in a path. Put the alternatives into parentheses: `\\.(m3u8|ts)$`, `^/(admin|internal)/`.",
    about: &["location", "if", "rewrite"],
    check: half_anchored,
}];

fn half_anchored(cx: &RuleContext, found: &mut Vec<Finding>) {
    let (word, regex) = match cx.name() {
        b"location" => match location(cx.d) {
            // What refuses requests may refuse more.
            Some((sign, word)) if sign.starts_with(b"~") && !only_refuses(cx.children()) => {
                (word, word.str().into_owned())
            }
            _ => return,
        },
        b"if" => match condition(cx.d) {
            Some(asked) if asked.regex().is_some() && !only_refuses(cx.children()) => match asked.operand {
                Some(word) => (word, asked.text),
                None => return,
            },
            _ => return,
        },
        b"rewrite" => match cx.d.args.first() {
            Some(word) => (word, word.str().into_owned()),
            None => return,
        },
        _ => return,
    };
    let all = alternatives(&regex);
    let (Some((first, behind)), Some((last, before))) = (all.split_first(), all.split_last()) else { return };
    let is_extension = |text: &&str| text.starts_with("\\.") && !text.ends_with('$');
    let is_end =
        last.starts_with("\\.") && last.ends_with('$') && !before.is_empty() && before.iter().all(is_extension);
    let is_start = first.starts_with("^/") && !behind.is_empty() && behind.iter().all(|text| text.starts_with('/'));
    // A scheme and the first hosts, and then a host that may stand in any path.
    let is_scheme = cx.is("if")
        && first.starts_with("^http")
        && !behind.is_empty()
        && behind.iter().all(|text| !text.starts_with('^') && text.contains("\\."));
    let (sign, which) = match (is_end, is_start || is_scheme) {
        (true, _) => ('$', last),
        (_, true) => ('^', first),
        _ => return,
    };
    let message = format!("the `{sign}` is of \"{which}\" alone: the others match anywhere in the text");
    let bare: Vec<&str> = all.iter().map(|text| text.trim_start_matches('^').trim_end_matches('$')).collect();
    let help = match sign {
        '$' => format!("put them into parentheses: ({})$", bare.join("|")),
        _ => format!("put them into parentheses: ^({})", bare.join("|")),
    };
    found.push(Finding::new(word.span, message, help));
}

/// The alternatives of a regex, but not those of its groups.
fn alternatives(regex: &str) -> Vec<&str> {
    let (mut all, mut start, mut depth, mut in_class) = (Vec::new(), 0, 0usize, false);
    let mut signs = regex.bytes().enumerate();
    while let Some((at, sign)) = signs.next() {
        match sign {
            b'\\' => _ = signs.next(),
            b'[' => in_class = true,
            b']' => in_class = false,
            b'(' if !in_class => depth += 1,
            b')' if !in_class => depth = depth.saturating_sub(1),
            b'|' if !in_class && depth == 0 => {
                all.extend(regex.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    all.extend(regex.get(start..));
    all
}

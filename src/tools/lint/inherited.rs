//! Lists that a level replaces as a whole: what the level above says is not added to, and no longer counts.

use super::blocks::{Pass, passes};
use super::level::Level;
use super::rule::{COMPARED, Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};
use crate::config::syntax;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W184",
        title: "access rules that replace those of the level above",
        page: "A level that has an `allow` or a `deny` of its own takes none of those above it: one more `deny` in a location lets \
               in all others, though the server ends its list with `deny all`. Repeat the list in the location, and end it with \
               `deny all;`.",
        about: &["deny"],
        check: replaced_rules,
    },
    Rule {
        code: "W348",
        title: "a list that replaces that of the level above",
        page: "`error_page` and `proxy_hide_header` (and its like) are taken from the level above only \
               where a level has none of its own: with one line in a location the lines of the server do not count there. \
               Repeat those that are to count.",
        about: &REPLACED,
        check: replaced_list,
    },
];

fn replaced_rules(cx: &RuleContext, found: &mut Vec<Finding>) {
    let level = cx.level();
    if !cx.is_first("deny") || ends_in_all(level) || level.has("satisfy") {
        return;
    }
    let Some(above) = cx.levels().skip(1).find(|level| level.has("deny") || level.has("allow")) else { return };
    // A list that lets everyone in has nothing to lose but single addresses.
    let own = |word: &Word| level.named("deny").iter().take(COMPARED).any(|d| d.says(&word.str()));
    let lost = above.named("deny").iter().take(COMPARED).find(|d| d.args.first().is_some_and(|word| !own(word)));
    if let Some(lost) = lost {
        let rule = lost.args.first().map(Word::str).unwrap_or_default();
        let message = format!("the list here replaces that of the level above: \"deny {rule}\" does not count");
        let finding = Finding::new(cx.d.name.span, message, "repeat the rules of the level above in this block");
        found.push(finding.note(lost.span, "this rule"));
    }
}

/// Whether a rule for everyone decides what no other rule has.
fn ends_in_all(level: &Level) -> bool {
    let is_all = |name| level.named(name).iter().take(COMPARED).any(|d| d.says("all"));
    is_all("deny") || is_all("allow")
}

/// Directives whose lines are inherited together or not at all. Limits are too, but a location with a limit of its own
/// mostly has it in place of the server's.
const REPLACED: [&str; 5] =
    ["error_page", "fastcgi_hide_header", "proxy_hide_header", "scgi_hide_header", "uwsgi_hide_header"];

fn replaced_list(cx: &RuleContext, found: &mut Vec<Finding>) {
    let name = cx.d.name.str();
    if !REPLACED.contains(&&*name) || !cx.is_first(&name) {
        return;
    }
    let (level, is_page) = (cx.level(), cx.is("error_page"));
    let Some(above) = cx.levels().skip(1).find(|level| level.has(&name)) else { return };
    if is_page && !completes(level) {
        return;
    }
    let lines = |level: &Level| level.named(&name).iter().take(COMPARED).flat_map(|d| keys(d)).collect::<Vec<_>>();
    let own = lines(level);
    let matters = |key: &Vec<u8>| !is_page || may_happen(level, key);
    let is_lost = |d: &&&Directive| keys(d).any(|key| !own.contains(&key) && matters(&key));
    let Some(lost) = above.named(&name).iter().take(COMPARED).find(is_lost) else { return };
    let key = keys(lost).find(|key| !own.contains(key) && matters(key)).unwrap_or_default();
    let key = String::from_utf8_lossy(&key).into_owned();
    let message = format!("{name} here replaces that of the level above: {key} does not count in this block");
    // Without its `;`: it stands beside the line that is there, and replaces none.
    let help = format!("repeat in this block what is to count: {}", syntax::line(lost.words()));
    found.push(Finding::new(cx.d.name.span, message, help).note(lost.span, "this line"));
}

/// Whether the pages of a level are for errors such as those above it: one for a 404 alone, or a named location that
/// another application answers in, is a rule of its own.
fn completes(level: &Level) -> bool {
    let pages = || level.named("error_page").iter().take(COMPARED);
    let is_named = |d: &&Directive| d.args.last().is_some_and(|page| page.bytes().starts_with(b"@"));
    pages().any(|d| keys(d).any(|code| code.starts_with(b"5"))) && !pages().any(is_named)
}

/// What a line is about, in lower case: status codes, a header.
fn keys(d: &Directive) -> impl Iterator<Item = Vec<u8>> {
    let is_page = d.name.is("error_page");
    let words = match is_page {
        true => d.args.split_last().map(|(_, codes)| codes).unwrap_or_default(),
        false => d.args.first().map(std::slice::from_ref).unwrap_or_default(),
    };
    let is_key = move |word: &&Word| !is_page || word.len() == 3 && !word.bytes().starts_with(b"=");
    words.iter().filter(is_key).map(Word::lower)
}

/// Whether a block passes requests on and so may see this error of the application: a page for another error beside it
/// says that errors are to look like the site. Other errors may have pages that are meant for files.
fn may_happen(level: &Level, code: &[u8]) -> bool {
    let is_passed = passes(&[Pass::Http, Pass::Gateway]).any(|pass| level.has(pass));
    is_passed && matches!(code, b"500" | b"502" | b"503" | b"504")
}

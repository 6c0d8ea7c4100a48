//! Regexes that match more or less than they seem to.

use super::blocks::{condition, is_pass, location};
use super::level::Level;
use super::paths::literal_start;
use super::rule::{Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Span, Word};
use crate::config::pattern::{Case, Pattern};
use crate::config::template::Variables;

pub const RULES: &[Rule] = &[
    Rule {
        code: "W106",
        title: "an unescaped dot that matches any character",
        page: "In a regex `.` matches any character: `.php$` matches /aphp. Write `\\.php$`.",
        about: &["server_name", "location"],
        check: plain_dot,
    },
    Rule {
        code: "W108",
        title: "a rewrite whose target is rewritten again",
        page: "`last` looks for a location again. Where the target leads to the same location and the regex matches it, \
               the rewrite runs until it is stopped after ten rounds, with 500. Use `break`, or exclude the target.",
        about: &["rewrite"],
        check: rewrite_loop,
    },
    Rule {
        code: "W109",
        title: "a regex location after one that matches everything",
        page: "Regex locations are tried in their order: behind `~ .*` or `~ /` no other one is ever tried. Put the general \
               one last, or write it as the prefix location `/`.",
        about: &["location"],
        check: shadowed,
    },
    Rule {
        code: "W072",
        title: "a regex with text after its `$`",
        page: "`$` is the end of the text, and `^` its beginning: nothing can follow the one or precede the other, so \
               that `^/a$/b` and `^/a$,` match no path at all. The character itself is written `\\$` or `\\^`.",
        about: &["location", "rewrite", "server_name", "if", "map", "valid_referers"],
        check: behind_the_end,
    },
    Rule {
        code: "W082",
        title: "an extension that matches in upper case only",
        page: "`~` compares letters as they stand: `location ~ \\.(JPG|PNG)$` takes photo.JPG and leaves photo.jpg to another \
               location. `~*` takes both.",
        about: &["location"],
        check: upper_case,
    },
];

/// What a group can capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Captured {
    /// One of a few fixed words.
    Words,
    /// Letters, digits and similar characters.
    Plain,
    /// Anything except a line end.
    NoLineEnd,
    /// A line end, too.
    Anything,
}

/// What `$1` or `$name` can contain at this directive; `None` if no enclosing regex has this group.
pub fn captured(cx: &RuleContext, name: &str) -> Option<Captured> {
    regexes_around(cx).find_map(|regex| group(&regex, name))
}

/// Whether what a group captures ends with a domain that the regex names: `[a-z.-]+\.svc\.cluster\.local`.
fn ends_with_a_domain(group: &str) -> bool {
    let end = group.rsplit(']').next().unwrap_or_default();
    let labels: Vec<&str> = end.split("\\.").skip(1).collect();
    let is_name = |label: &&str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let is_public = labels.len() == 1 && ["com", "net", "org", "io", "dev"].contains(&labels[0]);
    !labels.is_empty() && labels.iter().all(is_name) && !is_public && !group.contains('|')
}

/// Whether `$1` or `$name` can be a whole host name: a class of the group has letters and the dot.
pub fn holds_a_host(cx: &RuleContext, name: &str) -> bool {
    let classes = |body: &str| {
        let inside = body.split(')').next().unwrap_or_default().to_owned();
        !ends_with_a_domain(&inside)
            && inside.split('[').skip(1).any(|class| {
                let class = class.split(']').next().unwrap_or_default();
                !class.starts_with('^') && class.contains('.') && (class.contains("a-z") || class.contains("\\w"))
            })
    };
    regexes_around(cx).find_map(|regex| group_body(&regex, name).map(classes)).unwrap_or(false)
}

/// The regexes whose groups a directive may use, the one that matched last first.
fn regexes_around(cx: &RuleContext) -> impl Iterator<Item = String> {
    let own = cx.d.args.first().filter(|_| cx.is("rewrite")).map(|word| word.str().into_owned());
    // The last rewrite of the same block has matched last, if it has.
    let above = cx.level().last_rewrite().and_then(|at| cx.level().all.get(at)).filter(|_| is_pass(&cx.d.name.str()));
    let own = own.or_else(|| Some(above?.args.first()?.str().into_owned()));
    let around = cx.blocks.iter().rev().filter_map(|block| match block.name.bytes() {
        b"location" => location(block).filter(|(modifier, _)| modifier.starts_with(b"~")).map(|(_, word)| word.str()),
        b"if" => condition(block).and_then(|condition| condition.operand).map(|word| word.str()),
        _ => None,
    });
    let around: Vec<String> = around.map(|text| text.into_owned()).collect();
    own.into_iter().chain(around)
}

/// Whether everything that the group can capture begins with a slash. Not where an `if` or a rewrite may have set it,
/// or where the regex has alternatives.
pub fn begins_with_slash(cx: &RuleContext, name: &str) -> bool {
    if cx.is("rewrite") || cx.blocks.iter().any(|block| block.name.is("if")) {
        return false;
    }
    let around = cx.blocks.iter().rev().filter_map(|block| location(block));
    let regexes = around.filter(|(modifier, _)| modifier.starts_with(b"~")).map(|(_, word)| word.str());
    let mut regexes = regexes.filter(|regex| !regex.contains('|'));
    regexes.find_map(|regex| Some(group_body(&regex, name)?.starts_with('/'))).unwrap_or(false)
}

/// What the regex's group `$1` or `$name` can capture.
pub fn group(regex: &str, name: &str) -> Option<Captured> {
    group_body(regex, name).map(holds)
}

/// The regex from the inside of the group on.
pub fn group_body<'r>(regex: &'r str, name: &str) -> Option<&'r str> {
    let wanted: Option<usize> = name.parse().ok();
    let bytes = regex.as_bytes();
    let (mut at, mut count) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'[' => at = class_end(bytes, at),
            b'(' => {
                let rest = regex.get(at + 1..).unwrap_or_default();
                let named = ["?<", "?P<", "?'"].iter().find_map(|start| rest.strip_prefix(start));
                let named = named.filter(|rest| !rest.starts_with(['=', '!']));
                let title = named.and_then(|rest| rest.split(['>', '\'']).next());
                if named.is_some() || !rest.starts_with('?') {
                    count += 1;
                    if wanted == Some(count) || title == Some(name) {
                        let body =
                            title.map_or(rest, |title| named.and_then(|n| n.get(title.len() + 1..)).unwrap_or(rest));
                        return Some(body);
                    }
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

fn class_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    at += usize::from(bytes.get(at) == Some(&b'^'));
    at += usize::from(bytes.get(at) == Some(&b']'));
    while at < bytes.len() && bytes[at] != b']' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at
}

/// What a group can capture whose text begins here.
fn holds(body: &str) -> Captured {
    let bytes = body.as_bytes();
    let (mut at, mut depth, mut most) = (0, 1, Captured::Words);
    let mut raise = |kind: Captured| {
        let rank = |kind| match kind {
            Captured::Words => 0,
            Captured::Plain => 1,
            Captured::NoLineEnd => 2,
            Captured::Anything => 3,
        };
        if rank(kind) > rank(most) {
            most = kind;
        }
    };
    while at < bytes.len() {
        match bytes[at] {
            b')' => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            b'(' => depth += 1,
            b'.' => raise(Captured::NoLineEnd),
            b'\\' => {
                at += 1;
                match bytes.get(at) {
                    Some(b'S' | b'd' | b'w') => {
                        raise(if bytes[at] == b'S' { Captured::NoLineEnd } else { Captured::Plain })
                    }
                    Some(b's' | b'D' | b'W' | b'n' | b'r' | b'N') => raise(Captured::Anything),
                    _ => {}
                }
            }
            b'[' => {
                let end = class_end(bytes, at);
                let class = body.get(at..end.min(body.len())).unwrap_or_default();
                let excludes = class.contains('\n')
                    || class.contains("\\n")
                    || class.contains("\\s")
                    || class.contains("[:cntrl:]");
                let negated = class.starts_with("[^");
                raise(match (negated, excludes) {
                    (true, true) => Captured::NoLineEnd,
                    (true, false) => Captured::Anything,
                    (false, true) => Captured::Anything,
                    (false, false) => Captured::Plain,
                });
                at = end;
            }
            b'*' | b'+' if depth > 1 => raise(Captured::Plain),
            _ => {}
        }
        at += 1;
    }
    most
}

/// The regex of a location, `if` or rewrite.
fn regex_of<'a>(cx: &RuleContext<'_, 'a>) -> Option<&'a Word> {
    let d = cx.d;
    match d.name.bytes() {
        b"location" => location(d).filter(|(modifier, _)| modifier.starts_with(b"~")).map(|(_, word)| word),
        b"rewrite" => d.args.first(),
        _ => None,
    }
}

fn plain_dot(cx: &RuleContext, found: &mut Vec<Finding>) {
    let names = cx.d.args.iter().filter(|word| cx.is("server_name") && word.bytes().starts_with(b"~"));
    for word in names {
        let text = word.str();
        let (before, rest) = text.split_at_checked(bare_dot(&text).unwrap_or_default()).unwrap_or_default();
        if !before.is_empty() {
            found.push(Finding::new(
                word.span,
                format!("the dot in \"{text}\" matches any character"),
                format!("escape it: {before}\\{rest}"),
            ));
        }
    }
    let Some(word) = regex_of(cx) else { return };
    let text = word.str();
    let Some(body) = text.strip_suffix('$') else {
        if cx.is("location")
            && let Some(at) = dot_of_name(&text)
        {
            let (before, rest) = text.split_at_checked(at).unwrap_or_default();
            let message = format!("the dot in \"{text}\" matches any character");
            found.push(Finding::new(word.span, message, format!("escape it: \"{before}\\{rest}\"")));
        }
        return;
    };
    let Some(at) = body.rfind('.') else { return };
    let ending = body.get(at + 1..).unwrap_or_default().trim_start_matches("(?:").trim_matches(['(', ')']);
    let plain = ending.len() > 1 && ending.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'|');
    let before = body.get(..at).unwrap_or_default();
    if plain && !before.ends_with('\\') && !before.ends_with('[') && !ending.is_empty() {
        let right = format!("{before}\\{}$", body.get(at..).unwrap_or_default());
        found.push(Finding::new(
            word.span,
            format!("the dot in \"{text}\" matches any character"),
            format!("escape it: \"{right}\""),
        ));
    }
}

/// A dot that begins a hidden file's name (`/.git`) or stands between two words (`wp-config.php`); not in numbers or
/// classes.
fn dot_of_name(regex: &str) -> Option<usize> {
    let bytes = regex.as_bytes();
    let letters = |at: usize| bytes.get(at..at + 2).is_some_and(|two| two.iter().all(u8::is_ascii_alphabetic));
    if regex.contains('[') {
        return None;
    }
    (0..bytes.len()).find(|at| {
        bytes[*at] == b'.'
            && letters(at + 1)
            && (*at == 0 || bytes[at - 1] == b'/' || *at > 2 && letters(at - 2) && bytes[at - 3] != b'\\')
    })
}

/// An unescaped dot between two alphanumeric characters.
pub fn bare_dot(regex: &str) -> Option<usize> {
    let bytes = regex.as_bytes();
    (1..bytes.len()).find(|at| {
        bytes[*at] == b'.'
            && bytes[at - 1].is_ascii_alphanumeric()
            && bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric)
            && (*at < 2 || bytes[at - 2] != b'\\')
    })
}

fn is_last_rewrite(cx: &RuleContext) -> bool {
    cx.level().last_rewrite() == Some(cx.at)
}

fn rewrite_loop(cx: &RuleContext, found: &mut Vec<Finding>) {
    let ([regex, target, flag @ ..], true) = (&cx.d.args[..], cx.is("rewrite")) else { return };
    // Without a flag, later directives may still end the rewriting.
    let is_searched = match flag {
        [] => !["return", "break", "if"].iter().any(|name| cx.level().has(name)) && is_last_rewrite(cx),
        [flag, ..] => flag.is("last"),
    };
    if !is_searched {
        return;
    }
    let Some(block) = cx.blocks.last() else { return };
    let Some((b"" | b"^~", prefix)) = location(block) else { return };
    let Some(mut uri) = uri_of(target) else { return };
    let is_own = |uri: &str| matches(regex, uri);
    let Some(server) = cx.inside("server") else { return };
    let takes = |uri: &str| server.taker(uri.as_bytes());
    if uri.starts_with(&*prefix.str())
        && is_own(&uri)
        && takes(&uri).is_none_or(|taker| taker.name.span == block.name.span)
    {
        let message = format!("\"{}\" is rewritten again by this line, until the request ends in 500", target.str());
        found.push(Finding::new(
            target.span,
            message,
            "use `break` instead of `last`, or a target outside this location",
        ));
        return;
    }
    // Follow rewrites through other locations.
    let mut last = None;
    for _ in 0..ROUNDS {
        let Some(taker) = takes(&uri) else { return };
        if taker.name.span == block.name.span {
            // Report each loop once, at its last line.
            let is_last = |back: &Span| back.start < cx.d.span.start && is_own(&uri);
            let Some(back) = last.filter(is_last) else { return };
            let message =
                format!("\"{}\" is rewritten back to this location, until the request ends in 500", target.str());
            let finding = Finding::new(target.span, message, "use `break` in one of the two, or another target");
            return found.push(finding.note(back, "it is rewritten back"));
        }
        let Some((line, next)) = rewritten(&server.inside(taker), &uri) else { return };
        (last, uri) = (Some(line), next);
    }
}

/// nginx's limit for rewrite cycles of a request.
const ROUNDS: usize = 10;

/// The path of a rewrite target, with `x` for each capture; None: it has variables.
pub fn uri_of(target: &Word) -> Option<String> {
    let text = target.str();
    let path = text.split('?').next().unwrap_or_default();
    let mut uri = String::new();
    let mut parts = path.split('$');
    uri.push_str(parts.next().unwrap_or_default());
    for part in parts {
        uri.push('x');
        uri.push_str(part.strip_prefix(|c: char| c.is_ascii_digit())?);
    }
    Some(uri)
}

/// Whether the regex of a `rewrite` matches a path.
pub fn matches(regex: &Word, uri: &str) -> bool {
    // Compiling a regex costs far more than this.
    if literal_start(&regex.str()).is_some_and(|start| !uri.starts_with(start)) {
        return false;
    }
    Pattern::new(regex.bytes(), Case::Sensitive, &mut Variables::default())
        .is_ok_and(|pattern| pattern.is_match(uri.as_bytes()).unwrap_or(false))
}

/// Where a location rewrites every request for this path with `last`, and the position of that line.
fn rewritten(location: &Level, uri: &str) -> Option<(Span, String)> {
    let at = location.first("rewrite")?;
    let is_first = ["if", "return", "break"].iter().all(|name| location.first(name).is_none_or(|other| at < other));
    let first = location.all.get(at).filter(|_| is_first)?;
    let [regex, target, flag] = &first.args[..] else { return None };
    let next = uri_of(target).filter(|next| next.starts_with('/') && flag.is("last") && matches(regex, uri))?;
    Some((first.span, next))
}

/// `if ($host !~ ^(www)\.) { return 301 /$1; }`: without a match, groups are empty.
pub fn group_of_no_match(cx: &RuleContext) -> Option<Finding> {
    let block = cx.blocks.last().filter(|block| block.name.is("if"))?;
    let condition = condition(block)?;
    let regex = condition.operand.filter(|_| condition.regex() == Some(false))?;
    let is_regex = |block: &&Directive| location(block).is_some_and(|(sign, _)| sign.starts_with(b"~"));
    let has_other = cx.levels().any(|level| level.has("rewrite")) || cx.blocks.iter().any(is_regex);
    if !regex.bytes().contains(&b'(') || has_other {
        return None;
    }
    let digit = |word: &&Word| word.bytes().windows(2).any(|two| two[0] == b'$' && (b'1'..=b'9').contains(&two[1]));
    let word = cx.d.args.iter().filter(|_| cx.is("return") || cx.is("set")).find(digit)?;
    let message = "this runs where the regex does not match: its groups are empty";
    Some(Finding::new(word.span, message, "match what is wanted with `~`").note(regex.span, "the regex"))
}

fn shadowed(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((b"~" | b"~*", word)) = location(cx.d) else { return };
    let level = cx.level();
    if let Some(first) = level.catch_all().filter(|first| *first < cx.at).map(|first| &level.all[first]) {
        let message = format!("regex location \"{}\" is never tried: one before it matches everything", word.str());
        found.push(Finding::new(word.span, message, "move the general one behind it").note(first.span, "it is"));
    }
}
fn upper_case(cx: &RuleContext, found: &mut Vec<Finding>) {
    let Some((b"~", word)) = location(cx.d) else { return };
    let text = word.str();
    let Some((before, end)) = text.strip_suffix('$').and_then(|text| text.rsplit_once("\\.")) else { return };
    let is_list =
        end.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"()|?:".contains(&byte));
    let letters = end.bytes().filter(u8::is_ascii_uppercase).count();
    if is_list && letters > 1 && !before.contains("(?i") {
        let message = "files whose extension is in lower case are not taken";
        found.push(Finding::new(word.span, message, format!("ignore the case of letters: location ~* {text} {{ … }}")));
    }
}

/// A regex of a directive.
pub struct Regex<'a> {
    /// Its word, with the signs before it.
    pub word: &'a Word,
    /// The number of those signs.
    pub from: usize,
    /// The regex itself.
    pub text: String,
}

impl<'a> Regex<'a> {
    fn whole(word: &'a Word) -> Regex<'a> {
        Regex { word, from: 0, text: word.str().into_owned() }
    }

    /// A word that `~` makes a regex, or one of these other signs.
    fn behind(signs: &[&str], word: &'a Word) -> Option<Regex<'a>> {
        let text = word.str();
        let (sign, regex) = signs.iter().find_map(|sign| Some((sign, text.strip_prefix(sign)?)))?;
        Some(Regex { word, from: sign.len(), text: regex.to_owned() })
    }
}

/// The regexes of a directive, and of the lines of a `map`.
pub fn regexes_of(d: &Directive) -> Vec<Regex<'_>> {
    match d.name.bytes() {
        b"location" => {
            let regex = location(d).filter(|(sign, _)| sign.starts_with(b"~"));
            regex.map(|(_, word)| Regex::whole(word)).into_iter().collect()
        }
        b"rewrite" => d.args.first().map(Regex::whole).into_iter().collect(),
        b"server_name" | b"valid_referers" => d.args.iter().filter_map(|word| Regex::behind(&["~"], word)).collect(),
        b"map" => d.block.iter().flatten().filter_map(|line| Regex::behind(&["~*", "~"], &line.name)).collect(),
        b"if" => {
            let regex = condition(d).filter(|condition| condition.regex().is_some());
            let regex = regex.and_then(|regex| Some(Regex { word: regex.operand?, from: 0, text: regex.text }));
            regex.into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn behind_the_end(cx: &RuleContext, found: &mut Vec<Finding>) {
    for Regex { word, from, text } in regexes_of(cx.d) {
        // Slashes around these are another rule's.
        let is_delimited = text.ends_with("$/") || text.ends_with("$/i") || text.starts_with("/^");
        if is_delimited && (cx.is("location") || cx.is("rewrite")) {
            continue;
        }
        let Some((at, sign)) = impossible_anchor(&text) else { continue };
        let message = match sign {
            b'$' => "this matches nothing: more follows the `$`, which is the end",
            _ => "this matches nothing: more stands before the `^`, which is the beginning",
        };
        let help = match text.as_bytes().get(at + 1) {
            Some(b',' | b';') if sign == b'$' => "leave out what follows the `$`".to_owned(),
            _ => format!("leave the `{0}` out, or write `\\{0}` for the sign itself", char::from(sign)),
        };
        found.push(Finding::new(word.part(from + at, from + text.len()), message, help));
    }
}

/// The length of the name of a POSIX class (`alpha`, `^alpha`), if `:]` follows it.
fn posix_class(rest: &[u8]) -> Option<usize> {
    let end = rest.iter().position(|byte| !byte.is_ascii_lowercase() && *byte != b'^')?;
    rest[end..].starts_with(b":]").then_some(end)
}

/// The first `$` with a literal behind it, or `^` with one before it. Modes such as `(?m)` change what they mean.
fn impossible_anchor(regex: &str) -> Option<(usize, u8)> {
    if regex.contains("(?") {
        return None;
    }
    let is_literal = |byte: u8| byte.is_ascii_alphanumeric() || b"/,;=_-".contains(&byte);
    let (bytes, mut in_class, mut at) = (regex.as_bytes(), false, 0);
    while let Some(&byte) = bytes.get(at) {
        let next = bytes.get(at + 1).copied();
        match byte {
            b'\\' => at += 1,
            // A `]` that is the first of its class is a member of it.
            b'[' if !in_class => {
                in_class = true;
                at += usize::from(next == Some(b'^'));
                at += usize::from(bytes.get(at + 1) == Some(&b']'));
            }
            // So is a POSIX class, whose `]` ends nothing.
            b'[' if next == Some(b':') => at += posix_class(&bytes[at + 2..]).map_or(0, |name| name + 3),
            b']' => in_class = false,
            b'$' if !in_class && (next.is_some_and(is_literal) || bytes.get(at + 1..)?.starts_with(b"\\.")) => {
                return Some((at, byte));
            }
            b'^' if !in_class && at > 0 && is_literal(bytes[at - 1]) => return Some((at, byte)),
            _ => {}
        }
        at += 1;
    }
    None
}

//! Regexes never reached because an earlier one matches everything they do. What a regex matches is represented by
//! samples: texts for each branch, class and number of repetitions, with various text around them.
//!
//! Invariant: if samples cannot represent a regex (too many branches, lookaround, word boundaries), nothing is
//! reported.

use super::rule::{COMPARED, Finding, Rule, RuleContext};
use crate::config::ast::{Directive, Word};
use crate::config::pattern::{Case, Pattern};
use crate::config::template::Variables;
use regex_syntax::ast::{
    AssertionKind, Ast, ClassBracketed, ClassPerl, ClassPerlKind, ClassSet, ClassSetItem, GroupKind, RepetitionKind,
    RepetitionRange, parse::Parser,
};

pub const RULES: &[Rule] = &[
    Rule {
        code: "W045",
        title: "a line of a map that is never reached",
        page: "The regexes of a `map` are tried in their order and the first that matches gives the value: behind `~^/a/` a \
               line `~^/a/b/` has no effect. Write the special one first. In a `geo` the network 0.0.0.0/0 takes the place of \
               `default`.",
        about: &["map", "geo"],
        check: in_a_map,
    },
    Rule {
        code: "W046",
        title: "a rewrite that is never reached",
        page: "A `rewrite` with `last`, `break`, `redirect` or `permanent` is the last that is tried for what it matches: a \
               later one whose URIs it all matches has no effect. Write the special one first.",
        about: &["rewrite"],
        check: rewrites,
    },
];

/// Maximum number of texts per part of a regex.
const MOST: usize = 128;
/// Up to this many combinations, each text of a part is combined with each text of the next.
const JOINED: usize = 64;
/// Sample characters for `.` and `[^…]`.
const FILL: [char; 9] = ['a', 'Z', '0', '/', '-', '.', '_', '~', 'é'];

/// What a regex is matched against.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// It begins with a slash.
    Path,
    /// Any text.
    Any,
}

/// A regex with its samples.
pub struct Sampled {
    pattern: Pattern,
    samples: Vec<String>,
}

impl Sampled {
    /// None: it does not compile. Without samples, nothing is known about what shadows it.
    pub fn new(regex: &[u8], case: Case, subject: Subject) -> Option<Sampled> {
        let pattern = Pattern::new(regex, case, &mut Variables::default()).ok()?;
        let samples = std::str::from_utf8(regex).ok().and_then(|text| samples(text, subject)).unwrap_or_default();
        let mut samples = match case {
            Case::Sensitive => samples,
            Case::Insensitive => samples.iter().flat_map(|text| [text.to_lowercase(), text.to_uppercase()]).collect(),
        };
        // If the regex does not match its own samples, they are wrong.
        if !samples.iter().all(|text| pattern.is_match(text.as_bytes()).unwrap_or(false)) {
            samples.clear();
        }
        Some(Sampled { pattern, samples })
    }

    /// Whether this regex matches everything that `other` does, judging by the samples.
    pub fn covers(&self, other: &Sampled) -> bool {
        let matches = |text: &String| self.pattern.is_match(text.as_bytes()).unwrap_or(false);
        !other.samples.is_empty() && other.samples.iter().all(matches)
    }
}

fn samples(regex: &str, subject: Subject) -> Option<Vec<String>> {
    let ast = Parser::new().parse(regex).ok()?;
    let mut found = Vec::new();
    let branches = match &ast {
        Ast::Alternation(branches) => branches.asts.iter().collect(),
        whole => vec![whole],
    };
    for branch in branches {
        let parts: &[Ast] = match branch {
            Ast::Concat(concat) => &concat.asts,
            one => std::slice::from_ref(one),
        };
        let is_start = |ast: &Ast| is_assertion(ast, &[AssertionKind::StartLine, AssertionKind::StartText]);
        let is_end = |ast: &Ast| is_assertion(ast, &[AssertionKind::EndLine, AssertionKind::EndText]);
        let starts = parts.first().is_some_and(is_start);
        let ends = parts.len() > usize::from(starts) && parts.last().is_some_and(is_end);
        let inner = parts.get(usize::from(starts)..parts.len() - usize::from(ends))?;
        for text in joined(inner)? {
            let before: &[&str] = match subject {
                _ if starts => &[""],
                Subject::Path if text.starts_with('/') => &["", "/q.w/e"],
                Subject::Path => &["/", "/q", "/q.w/e-"],
                Subject::Any => &["", "q", "/ "],
            };
            let after: &[&str] = if ends { &[""] } else { &["", "q", "/q.w"] };
            for head in before {
                found.extend(after.iter().map(|tail| format!("{head}{text}{tail}")));
            }
        }
        if found.len() > MOST * 4 {
            return None;
        }
    }
    Some(found)
}

fn is_assertion(ast: &Ast, kinds: &[AssertionKind]) -> bool {
    matches!(ast, Ast::Assertion(assertion) if kinds.contains(&assertion.kind))
}

/// Combines each text of a part with each of the next; if there are too many combinations, uses each text at least
/// once.
fn joined(parts: &[Ast]) -> Option<Vec<String>> {
    let mut found = vec![String::new()];
    for part in parts {
        let texts = of_part(part)?;
        if texts.is_empty() || texts.len() > MOST {
            return None;
        }
        found = if found.len() * texts.len() <= JOINED {
            found.iter().flat_map(|head| texts.iter().map(move |tail| format!("{head}{tail}"))).collect()
        } else {
            let count = found.len().max(texts.len());
            let turn = |at: usize| format!("{}{}", found[at % found.len()], texts[at % texts.len()]);
            (0..count).map(turn).collect()
        };
    }
    Some(found)
}

fn of_part(ast: &Ast) -> Option<Vec<String>> {
    let texts = |chars: &[char]| Some(chars.iter().map(char::to_string).collect());
    match ast {
        Ast::Empty(_) => Some(vec![String::new()]),
        Ast::Literal(literal) => texts(&[literal.c]),
        Ast::Dot(_) => texts(&FILL),
        Ast::ClassPerl(class) => texts(&of_perl(class)),
        Ast::ClassBracketed(class) => texts(&of_class(class)?),
        Ast::Group(group) => match &group.kind {
            GroupKind::NonCapturing(flags) if !flags.items.is_empty() => None,
            _ => of_part(&group.ast),
        },
        Ast::Concat(concat) => joined(&concat.asts),
        Ast::Alternation(branches) => {
            let each: Option<Vec<_>> = branches.asts.iter().map(of_part).collect();
            each.map(|each| each.into_iter().flatten().collect())
        }
        Ast::Repetition(repetition) => {
            let (least, most) = match repetition.op.kind {
                RepetitionKind::ZeroOrOne => (0, 1),
                RepetitionKind::ZeroOrMore => (0, 3),
                RepetitionKind::OneOrMore => (1, 3),
                RepetitionKind::Range(RepetitionRange::Exactly(n)) => (n, n),
                RepetitionKind::Range(RepetitionRange::AtLeast(n)) => (n, n.saturating_add(2)),
                RepetitionKind::Range(RepetitionRange::Bounded(from, to)) => (from, to),
            };
            if most > 64 {
                return None;
            }
            let inner = of_part(&repetition.ast)?;
            let mut found: Vec<String> = Vec::new();
            for count in [least, least + 1, most].into_iter().filter(|count| (least..=most).contains(count)) {
                found.extend(inner.iter().map(|text| text.repeat(count as usize)));
            }
            // Mix the texts within a repetition.
            if (least..=most).contains(&(inner.len() as u32)) {
                found.push(inner.concat());
            }
            found.sort();
            found.dedup();
            Some(found)
        }
        Ast::Flags(_) | Ast::Assertion(_) | Ast::ClassUnicode(_) => None,
    }
}

fn of_perl(class: &ClassPerl) -> Vec<char> {
    let own: &[char] = match class.kind {
        ClassPerlKind::Digit => &['0', '9'],
        ClassPerlKind::Space => &[' '],
        ClassPerlKind::Word => &['a', 'z', 'A', 'Z', '0', '9', '_'],
    };
    if class.negated { FILL.into_iter().filter(|c| !is_perl(class, *c)).collect() } else { own.to_vec() }
}

fn is_perl(class: &ClassPerl, c: char) -> bool {
    match class.kind {
        ClassPerlKind::Digit => c.is_ascii_digit(),
        ClassPerlKind::Space => c.is_ascii_whitespace(),
        ClassPerlKind::Word => c.is_ascii_alphanumeric() || c == '_',
    }
}

/// The bounds of each range in a class; for a negated class, [`FILL`] without its members.
fn of_class(class: &ClassBracketed) -> Option<Vec<char>> {
    let ClassSet::Item(item) = &class.kind else { return None };
    let items: &[ClassSetItem] = match item {
        ClassSetItem::Union(union) => &union.items,
        one => std::slice::from_ref(one),
    };
    let mut ends = Vec::new();
    for item in items {
        match item {
            ClassSetItem::Literal(literal) => ends.push(literal.c),
            ClassSetItem::Range(range) => ends.extend([range.start.c, range.end.c]),
            ClassSetItem::Perl(perl) if !perl.negated => ends.extend(of_perl(perl)),
            _ => return None,
        }
    }
    if !class.negated {
        return Some(ends);
    }
    let has = |c: char| {
        items.iter().any(|item| match item {
            ClassSetItem::Literal(literal) => literal.c == c,
            ClassSetItem::Range(range) => (range.start.c..=range.end.c).contains(&c),
            ClassSetItem::Perl(perl) => is_perl(perl, c),
            _ => false,
        })
    };
    Some(FILL.into_iter().filter(|c| !has(*c)).collect())
}

/// The regex of a map's line, and its case sensitivity.
fn of_line(line: &Directive) -> Option<(&[u8], Case)> {
    match line.name.bytes() {
        [b'~', b'*', regex @ ..] => Some((regex, Case::Insensitive)),
        [b'~', regex @ ..] => Some((regex, Case::Sensitive)),
        _ => None,
    }
}

/// `default` beside a network of all addresses, which is the same.
fn in_a_geo(cx: &RuleContext, found: &mut Vec<Finding>) {
    let line = |name: &str| cx.children().iter().find(|line| line.name.is(name) && line.args.len() == 1);
    if let (Some(default), Some(all)) = (line("default"), line("0.0.0.0/0"))
        && default.args[0].bytes() != all.args[0].bytes()
    {
        let message = "this is every address: `default` decides on none of IPv4 any more";
        let help = "keep one of the two lines";
        found.push(Finding::new(all.name.span, message, help).note(default.span, "the default"));
    }
}

fn in_a_map(cx: &RuleContext, found: &mut Vec<Finding>) {
    if cx.is("geo") {
        return in_a_geo(cx, found);
    }
    if !cx.is("map") {
        return;
    }
    let is_path = |word: &Word| ["$uri", "$request_uri", "$document_uri"].iter().any(|name| word.is(name));
    let subject = if cx.d.args.first().is_some_and(is_path) { Subject::Path } else { Subject::Any };
    let mut earlier: Vec<(&Directive, Sampled)> = Vec::new();
    let lines = cx.children().iter().filter_map(|line| Some((line, of_line(line)?)));
    for (line, (regex, case)) in lines.take(COMPARED) {
        let Some(sampled) = Sampled::new(regex, case, subject) else { continue };
        let value = |line: &Directive| line.args.first().map(|word| word.bytes().to_vec());
        // With the same value, the line has its intended effect anyway.
        let by = earlier.iter().find(|(first, above)| {
            value(first) != value(line) && first.name.bytes() != line.name.bytes() && above.covers(&sampled)
        });
        if let Some((by, _)) = by {
            let message = format!("\"{}\" never gives its value: an earlier regex matches all of it", line.name.str());
            let finding = Finding::new(line.name.span, message, "put it before the general one");
            found.push(finding.note(by.name.span, "the one that is taken"));
        }
        earlier.push((line, sampled));
    }
}

/// Whether no further rewrite is tried after a match of this one.
fn ends(d: &Directive) -> bool {
    let flags = ["last", "break", "redirect", "permanent"];
    let is_url = |word: &Word| ["http://", "https://", "$scheme"].iter().any(|url| word.str().starts_with(url));
    d.args.get(2).is_some_and(|flag| flags.iter().any(|known| flag.is(known))) || d.args.get(1).is_some_and(is_url)
}

/// Reports once per block, at its first `rewrite`.
fn rewrites(cx: &RuleContext, found: &mut Vec<Finding>) {
    let level = cx.level();
    if !cx.is_first("rewrite") {
        return;
    }
    let mut earlier: Vec<(&Directive, Sampled)> = Vec::new();
    for d in level.all.iter().filter(|d| d.name.is("rewrite")).take(COMPARED) {
        let sampled = d.args.first().and_then(|word| Sampled::new(word.bytes(), Case::Sensitive, Subject::Path));
        if let Some(by) = sampled.as_ref().and_then(|own| shadowing(&earlier, own)) {
            let message = "never reached: an earlier rewrite takes all that this one does";
            let finding = Finding::new(d.args_span(), message, "put it before the general one");
            found.push(finding.note(by.args_span(), "the one that is taken"));
        }
        match sampled {
            Some(sampled) if ends(d) => earlier.push((d, sampled)),
            // It changes the URI that later ones see.
            _ if !ends(d) => earlier.clear(),
            _ => {}
        }
    }
}

/// The first earlier regex that matches everything this one does.
pub fn shadowing<'p>(earlier: &'p [(&Directive, Sampled)], own: &Sampled) -> Option<&'p Directive> {
    earlier.iter().find(|(_, above)| above.covers(own)).map(|(d, _)| *d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regex_covers_another_only_where_it_matches_all_of_it() {
        for (general, special, expected) in [
            (r"\.php$", r"^/a/.*\.php$", true),
            (r"^/a/.*\.php$", r"\.php$", false),
            (r"^/a", r"^/a/b", true),
            (r"^/a/?$", r"^/a/$", true),
            (r"^/a/$", r"^/a/?$", false),
            (r"\.(gif|jpg|png)$", r"\.jpg$", true),
            (r"\.(gif|jpg)$", r"\.(jpg|png)$", false),
            (r"\.jpe?g$", r"\.jp.?g$", false),
            (r"^/[a-z]+/", r"^/api/", true),
            (r"^/[a-z]+$", r"^/[a-z0-9]+$", false),
            (r"^/[^/]+/edit$", r"^/\d+/edit$", true),
            (r"^/\d+$", r"^/[0-9]{4}$", true),
            (r"^/[0-9]{4}$", r"^/\d+$", false),
            (r"^/(ac|bd)$", r"^/(a|b)(c|d)$", false),
            ("bot", "googlebot", true),
            ("googlebot", "bot", false),
            (r"^/a(?!b)", r"^/ac", true),
            (r"^/ac", r"^/a(?!b)c", false),
            (r"^/(.*)$", r"^/x\b", false),
            (r".*", r"^/", true),
        ] {
            let read = |regex: &str| Sampled::new(regex.as_bytes(), Case::Sensitive, Subject::Path).expect("a regex");
            assert_eq!(read(general).covers(&read(special)), expected, "{general} {special}");
        }
        let read = |case| Sampled::new(b"a", case, Subject::Any).expect("a regex");
        let (exact, any) = (read(Case::Sensitive), read(Case::Insensitive));
        assert!(any.covers(&exact) && !exact.covers(&any));
    }
}

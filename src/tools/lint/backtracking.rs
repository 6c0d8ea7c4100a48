//! Finds regexes on which a backtracking engine may take exponential or quadratic time: a repetition whose iterations
//! can be split in several ways, or two such repetitions in a row. Patterns that only PCRE2 can parse are judged by
//! their text, others by their tree.

use regex_syntax::ast::{
    Ast, ClassPerlKind, ClassSet, ClassSetItem, GroupKind, Repetition, RepetitionKind, RepetitionRange, parse::Parser,
};

/// The ambiguous repetition in a regex: `(a+)+`, `(a|a)*`, `([a-z]+.)+`, `.*.*`.
pub fn ambiguous(regex: &str) -> Option<String> {
    if let Some(group) = repeated_repetition(regex) {
        return Some(group.to_owned());
    }
    if !may_be_ambiguous(regex) {
        return None;
    }
    let ast = Parser::new().parse(regex).ok()?;
    let span = *search(&ast)?.span();
    regex.get(span.start.offset..span.end.offset).map(str::to_owned)
}

/// Whether it has two repetitions, or repeats a group: nothing else is ambiguous, and parsing costs far more than this.
fn may_be_ambiguous(regex: &str) -> bool {
    let is_repetition = |byte: &u8| matches!(byte, b'*' | b'+' | b'{');
    let repeats_group = regex.as_bytes().windows(2).any(|two| two[0] == b')' && is_repetition(&two[1]));
    repeats_group || regex.bytes().filter(is_repetition).nth(1).is_some()
}

/// The body of a repeated group that consists of exactly one repetition: `(a+)+`, `([a-z]*)*`, `(.+){2,}`.
fn repeated_repetition(regex: &str) -> Option<&str> {
    let bytes = regex.as_bytes();
    (0..bytes.len()).filter(|at| bytes.get(*at) == Some(&b'(')).find_map(|open| {
        let is_escaped = bytes.get(..open)?.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
        let close = open + bytes.get(open..)?.iter().position(|byte| *byte == b')')?;
        let group = regex.get(open..=close)?;
        let body = group.get(1..group.len() - 1)?.trim_start_matches("?:");
        let outer = regex.get(close + 1..)?;
        let is_outer =
            outer.starts_with(['+', '*']) || outer.starts_with('{') && outer.split('}').next()?.ends_with(',');
        let atom = body.strip_suffix(['+', '*'])?;
        let is_atom = match atom.as_bytes() {
            [_] | [b'\\', _] => true,
            [b'[', inside @ .., b']'] => !inside.contains(&b']'),
            _ => false,
        };
        (!is_escaped && is_outer && is_atom && !body.contains('(')).then_some(group)
    })
}

/// The first ambiguous unbounded repetition, outermost first.
fn search(ast: &Ast) -> Option<&Ast> {
    match ast {
        Ast::Repetition(repetition) => {
            if is_endless(repetition) && is_ambiguous(&repetition.ast) {
                return Some(ast);
            }
            search(&repetition.ast)
        }
        Ast::Group(group) => search(&group.ast),
        Ast::Concat(concat) => {
            let mut pairs = concat.asts.iter().zip(concat.asts.iter().skip(1));
            let doubled = pairs.find(|(one, next)| is_doubled(one, next)).map(|(_, next)| next);
            concat.asts.iter().find_map(search).or(doubled)
        }
        Ast::Alternation(branches) => branches.asts.iter().find_map(search),
        _ => None,
    }
}

fn is_endless(repetition: &Repetition) -> bool {
    matches!(
        repetition.op.kind,
        RepetitionKind::ZeroOrMore | RepetitionKind::OneOrMore | RepetitionKind::Range(RepetitionRange::AtLeast(_))
    )
}

/// Whether the same text can be split into iterations of this in several ways.
fn is_ambiguous(round: &Ast) -> bool {
    match bare(round) {
        Ast::Repetition(inner) => is_endless(inner),
        Ast::Alternation(branches) => branches_meet(&branches.asts),
        Ast::Concat(concat) => {
            let mut parts = Vec::new();
            concat.asts.iter().for_each(|ast| flatten(ast, &mut parts));
            (0..parts.len()).any(|at| swallows_the_rest(&parts, at))
        }
        _ => false,
    }
}

/// Whether two branches match the same text, or one matches what others match in sequence: `(a|a)`, `(a|aa)`.
fn branches_meet(branches: &[Ast]) -> bool {
    let sets: Vec<Option<u128>> = branches.iter().map(characters).collect();
    let meets = |(at, set): (usize, &Option<u128>)| {
        set.is_some_and(|set| sets.iter().skip(at + 1).flatten().any(|other| other & set != 0))
    };
    let texts: Vec<String> = branches.iter().filter_map(text).collect();
    let is_made_of_others = |(at, whole): (usize, &String)| {
        let others = || texts.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, text)| text.as_str());
        let mut reached = vec![0];
        while let Some(from) = reached.pop() {
            let rest = whole.get(from..).unwrap_or_default();
            let ends = others().filter(|other| !other.is_empty() && rest.starts_with(*other));
            for end in ends.map(|other| from + other.len()) {
                if end == whole.len() {
                    return true;
                }
                reached.push(end);
            }
        }
        false
    };
    // Longer lists are sets of words, which are unambiguous.
    let is_short = texts.len() <= 8 && texts.iter().all(|text| text.len() <= 16);
    sets.iter().enumerate().any(meets) || is_short && texts.iter().enumerate().any(is_made_of_others)
}

/// The text of a branch that is one literal.
fn text(ast: &Ast) -> Option<String> {
    match bare(ast) {
        Ast::Literal(literal) => Some(literal.c.to_string()),
        Ast::Concat(concat) => concat.asts.iter().map(text).collect(),
        _ => None,
    }
}

/// Flattens nested concatenations and groups.
fn flatten<'a>(ast: &'a Ast, parts: &mut Vec<&'a Ast>) {
    match bare(ast) {
        Ast::Concat(concat) => concat.asts.iter().for_each(|ast| flatten(ast, parts)),
        ast => parts.push(ast),
    }
}

/// Whether the repetition at `at` can continue over all other parts into the next iteration: `[a-z]+.`, `.*x.*`,
/// `\w+\s?`.
fn swallows_the_rest(parts: &[&Ast], at: usize) -> bool {
    let Some(own) = endless(parts[at]) else { return false };
    let others = parts.iter().enumerate().filter(|(other, _)| *other != at);
    parts.len() > 1
        && others.into_iter().all(|(_, part)| may_be_empty(part) || step(part).is_some_and(|set| set & own != 0))
}

/// The characters repeated by an unbounded repetition.
fn endless(ast: &Ast) -> Option<u128> {
    match bare(ast) {
        Ast::Repetition(repetition) if is_endless(repetition) => characters(&repetition.ast),
        _ => None,
    }
}

/// The characters that a part may match as one character.
fn step(ast: &Ast) -> Option<u128> {
    match bare(ast) {
        Ast::Repetition(repetition) => characters(&repetition.ast),
        ast => characters(ast),
    }
}

fn may_be_empty(ast: &Ast) -> bool {
    match bare(ast) {
        Ast::Repetition(repetition) => match &repetition.op.kind {
            RepetitionKind::ZeroOrMore | RepetitionKind::ZeroOrOne => true,
            RepetitionKind::Range(RepetitionRange::AtLeast(least) | RepetitionRange::Bounded(least, _)) => *least == 0,
            _ => false,
        },
        Ast::Empty(_) | Ast::Assertion(_) => true,
        _ => false,
    }
}

/// Two adjacent repetitions of the same characters, followed by something that may fail: `.*.*end`.
fn is_doubled(one: &Ast, next: &Ast) -> bool {
    endless(one).is_some_and(|set| endless(next) == Some(set))
}

/// Strips enclosing groups.
fn bare(ast: &Ast) -> &Ast {
    match ast {
        Ast::Group(group) if !matches!(&group.kind, GroupKind::NonCapturing(flags) if !flags.items.is_empty()) => {
            bare(&group.ast)
        }
        ast => ast,
    }
}

/// The set of ASCII characters that this matches as one character; None: more than one character, or unknown.
fn characters(ast: &Ast) -> Option<u128> {
    let of = |is: &dyn Fn(u8) -> bool| (0..128u8).filter(|byte| is(*byte)).fold(0u128, |set, byte| set | 1 << byte);
    let perl = |kind: &ClassPerlKind, negated: bool| {
        let is = |byte: u8| match kind {
            ClassPerlKind::Digit => byte.is_ascii_digit(),
            ClassPerlKind::Space => byte.is_ascii_whitespace(),
            ClassPerlKind::Word => byte.is_ascii_alphanumeric() || byte == b'_',
        };
        of(&|byte| is(byte) != negated)
    };
    let item = |item: &ClassSetItem| -> Option<u128> {
        match item {
            ClassSetItem::Literal(literal) => Some(of(&|byte| char::from(byte) == literal.c)),
            ClassSetItem::Range(range) => Some(of(&|byte| (range.start.c..=range.end.c).contains(&char::from(byte)))),
            ClassSetItem::Perl(class) => Some(perl(&class.kind, class.negated)),
            _ => None,
        }
    };
    match bare(ast) {
        Ast::Literal(literal) => Some(of(&|byte| char::from(byte) == literal.c)),
        Ast::Dot(_) => Some(of(&|byte| byte != b'\n')),
        Ast::ClassPerl(class) => Some(perl(&class.kind, class.negated)),
        Ast::ClassBracketed(class) => {
            let ClassSet::Item(whole) = &class.kind else { return None };
            let set = match whole {
                ClassSetItem::Union(union) => union.items.iter().map(item).try_fold(0, |set, one| Some(set | one?))?,
                one => item(one)?,
            };
            Some(if class.negated { !set } else { set })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::ambiguous;

    #[test]
    fn a_repetition_is_ambiguous_where_its_rounds_can_be_cut_in_more_than_one_way() {
        for (regex, expected) in [
            ("^/(a|a)*b$", Some("(a|a)*")),
            (r"^(\w|\d)+$", Some(r"(\w|\d)+")),
            ("^(([a-z])+.)+[A-Z]$", Some("(([a-z])+.)+")),
            ("^([a-z0-9]+[a-z]*)*$", Some("([a-z0-9]+[a-z]*)*")),
            ("(a+)+", Some("(a+)")),
            ("^(.+){2,}$", Some("(.+)")),
            ("^/(a|b)*$", None),
            (r"^(/[^/]+)+$", None),
            (r"^([a-z]+\.)+[a-z]+$", None),
            (r"^(\w+-)*\w+$", None),
            ("^/(ab|ac)*$", None),
            ("^([a-z]+.)$", None),
            ("^/[a-z]+/[0-9]*$", None),
            (r"^/(?!x)(a+)+$", Some("(a+)")),
            ("^/(.*x.*)+$", Some("(.*x.*)+")),
            (r"^(\w+\s?)+$", Some(r"(\w+\s?)+")),
            ("^((sub)+)+$", Some("((sub)+)+")),
            ("^/(a|aa)+$", Some("(a|aa)+")),
            ("^/(a|b|ab)+$", Some("(a|b|ab)+")),
            ("^/.*.*end$", Some(".*")),
            ("^/(a|ab)+$", None),
            (r"^(/\w+-[a-z]*)+$", None),
            (r"^([a-z0-9-]+\.)+com$", None),
            ("^/(.*)/(.*)$", None),
            ("^/[^/]+/.*$", None),
            ("^/([a-z]+/){2}x$", None),
        ] {
            assert_eq!(ambiguous(regex).as_deref(), expected, "{regex}");
        }
    }
}

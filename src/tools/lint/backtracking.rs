//! Regexes over which a backtracking engine can take very long: a repetition whose rounds can be cut in more than one way.
//! What PCRE2 alone can read is judged by its text, the rest by its tree.

use regex_syntax::ast::{
    Ast, ClassPerlKind, ClassSet, ClassSetItem, GroupKind, Repetition, RepetitionKind, RepetitionRange, parse::Parser,
};

/// The part of a regex that repeats in more than one way: `(a+)+`, `(a|a)*`, `([a-z]+.)+`.
pub fn ambiguous(regex: &str) -> Option<String> {
    if let Some(group) = repeated_repetition(regex) {
        return Some(group.to_owned());
    }
    let ast = Parser::new().parse(regex).ok()?;
    let span = *search(&ast)?.span();
    regex.get(span.start.offset..span.end.offset).map(str::to_owned)
}

/// The body of a group that is repeated, and is nothing but one repetition: `(a+)+`, `([a-z]*)*`, `(.+){2,}`.
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

/// The first repetition without end, the outermost first, that is ambiguous.
fn search(ast: &Ast) -> Option<&Ast> {
    match ast {
        Ast::Repetition(repetition) => {
            if is_endless(repetition) && is_ambiguous(&repetition.ast) {
                return Some(ast);
            }
            search(&repetition.ast)
        }
        Ast::Group(group) => search(&group.ast),
        Ast::Concat(concat) => concat.asts.iter().find_map(search),
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

/// Whether the same text can be rounds of this in more than one way.
fn is_ambiguous(round: &Ast) -> bool {
    let round = bare(round);
    if let Ast::Alternation(branches) = round {
        let sets: Vec<Option<u128>> = branches.asts.iter().map(characters).collect();
        let meets = |(at, set): (usize, &Option<u128>)| {
            set.is_some_and(|set| sets.iter().skip(at + 1).flatten().any(|other| other & set != 0))
        };
        return sets.iter().enumerate().any(meets);
    }
    // `[a-z]+.`: where a round ends is open if what stands beside the repetition is what it repeats.
    let Ast::Concat(concat) = round else { return false };
    let [first, last] = &concat.asts[..] else { return false };
    let endless = |ast: &Ast| match bare(ast) {
        Ast::Repetition(repetition) if is_endless(repetition) => characters(&repetition.ast),
        _ => None,
    };
    let beside = |ast: &Ast| match bare(ast) {
        Ast::Repetition(repetition) if repetition.op.kind != RepetitionKind::ZeroOrOne => characters(&repetition.ast),
        ast => characters(ast),
    };
    let is_same = |one: Option<u128>, other: Option<u128>| one.zip(other).is_some_and(|(one, other)| one & other != 0);
    is_same(endless(first), beside(last)) || is_same(beside(first), endless(last))
}

/// Without the groups around it.
fn bare(ast: &Ast) -> &Ast {
    match ast {
        Ast::Group(group) if !matches!(&group.kind, GroupKind::NonCapturing(flags) if !flags.items.is_empty()) => {
            bare(&group.ast)
        }
        ast => ast,
    }
}

/// The ASCII characters of which one is what this matches; None: it is more than one character, or not known.
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
        ] {
            assert_eq!(ambiguous(regex).as_deref(), expected, "{regex}");
        }
    }
}

//! Text that every match of a plain pattern contains: `^/old/(.*)\.php$` requires `/old/` and `.php`.
//!
//! Invariant: a matching subject contains, ignoring ASCII case, at least one text of each choice.

use regex_syntax::ast::{Ast, ClassBracketed, ClassSet, ClassSetItem, Literal, RepetitionKind, RepetitionRange};

/// Every matching subject contains one of these; in lower case, none empty.
pub type Choice = Vec<Vec<u8>>;

/// Maximum number of texts per choice; more would exclude too little.
const MOST_TEXTS: usize = 16;
const LONGEST_TEXT: usize = 64;
/// Maximum number of choices kept per pattern.
const MOST_CHOICES: usize = 4;
/// Maximum size of a class that is expanded to texts.
const LARGEST_CLASS: usize = 4;

/// The choices of a pattern, those with the longest texts first.
pub fn required(ast: &Ast) -> Vec<Choice> {
    let Needed { exact, mut choices } = needed(ast);
    choices.extend(exact.filter(is_choice));
    choices.sort_by_key(|choice| std::cmp::Reverse(shortest(choice)));
    choices.truncate(MOST_CHOICES);
    choices
}

/// What matching a part of a pattern requires.
#[derive(Default)]
struct Needed {
    /// All texts that it matches, if they are few.
    exact: Option<Choice>,
    choices: Vec<Choice>,
}

fn needed(ast: &Ast) -> Needed {
    let exact = |texts: Choice| Needed { exact: Some(texts), choices: Vec::new() };
    match ast {
        Ast::Empty(_) | Ast::Flags(_) | Ast::Assertion(_) => exact(vec![Vec::new()]),
        Ast::Literal(literal) => exact(vec![vec![lower(literal)]]),
        Ast::Dot(_) | Ast::ClassPerl(_) | Ast::ClassUnicode(_) => Needed::default(),
        Ast::ClassBracketed(class) => Needed { exact: members(class), choices: Vec::new() },
        Ast::Group(group) => needed(&group.ast),
        Ast::Repetition(repetition) => {
            let inner = needed(&repetition.ast);
            match repetition.op.kind {
                RepetitionKind::Range(RepetitionRange::Exactly(1) | RepetitionRange::Bounded(1, 1)) => inner,
                RepetitionKind::ZeroOrOne | RepetitionKind::Range(RepetitionRange::Bounded(0, 1)) => {
                    Needed { exact: inner.exact.and_then(|texts| union(texts, vec![Vec::new()])), choices: Vec::new() }
                }
                RepetitionKind::ZeroOrMore
                | RepetitionKind::Range(
                    RepetitionRange::Exactly(0) | RepetitionRange::AtLeast(0) | RepetitionRange::Bounded(0, _),
                ) => Needed::default(),
                RepetitionKind::OneOrMore | RepetitionKind::Range(_) => {
                    let mut choices = inner.choices;
                    choices.extend(inner.exact.filter(is_choice));
                    Needed { exact: None, choices }
                }
            }
        }
        Ast::Concat(parts) => concat(&parts.asts),
        Ast::Alternation(branches) => alternation(&branches.asts),
    }
}

fn concat(parts: &[Ast]) -> Needed {
    let mut choices = Vec::new();
    let mut whole = true;
    let mut run: Choice = vec![Vec::new()];
    for part in parts {
        if let Ast::Literal(literal) = part {
            if run.iter().any(|text| text.len() >= LONGEST_TEXT) {
                whole = false;
                choices.extend(Some(std::mem::replace(&mut run, vec![Vec::new()])).filter(is_choice));
            }
            run.iter_mut().for_each(|text| text.push(lower(literal)));
            continue;
        }
        let inner = needed(part);
        choices.extend(inner.choices);
        let joined = inner.exact.as_ref().and_then(|texts| product(&run, texts));
        run = match joined {
            Some(joined) => joined,
            None => {
                whole = false;
                choices.extend(Some(run).filter(is_choice));
                inner.exact.unwrap_or_else(|| vec![Vec::new()])
            }
        };
    }
    if whole {
        return Needed { exact: Some(run), choices };
    }
    choices.extend(Some(run).filter(is_choice));
    Needed { exact: None, choices }
}

fn alternation(branches: &[Ast]) -> Needed {
    let mut exact: Option<Choice> = Some(Vec::new());
    let mut choice: Option<Choice> = Some(Vec::new());
    for branch in branches {
        let inner = needed(branch);
        let best = inner.choices.into_iter().chain(inner.exact.clone().filter(is_choice)).max_by_key(shortest);
        choice = choice.zip(best).and_then(|(all, best)| union(all, best));
        exact = exact.zip(inner.exact).and_then(|(all, texts)| union(all, texts));
    }
    match exact {
        Some(_) => Needed { exact, choices: Vec::new() },
        None => Needed { exact, choices: choice.into_iter().collect() },
    }
}

/// The byte of a literal in a plain pattern, in lower case.
fn lower(literal: &Literal) -> u8 {
    (u32::from(literal.c) as u8).to_ascii_lowercase()
}

/// The members of a small class.
fn members(class: &ClassBracketed) -> Option<Choice> {
    let ClassSet::Item(item) = &class.kind else { return None };
    let mut bytes = Vec::new();
    if class.negated || !collect(item, &mut bytes) || bytes.is_empty() {
        return None;
    }
    union(Vec::new(), bytes.into_iter().map(|byte| vec![byte]).collect())
}

/// Adds an item's characters to `bytes`; false if they are many.
fn collect(item: &ClassSetItem, bytes: &mut Vec<u8>) -> bool {
    match item {
        ClassSetItem::Empty(_) => {}
        ClassSetItem::Literal(literal) => bytes.push(lower(literal)),
        ClassSetItem::Range(range) => {
            let all = u32::from(range.start.c)..=u32::from(range.end.c);
            bytes.extend(all.take(LARGEST_CLASS + 1).map(|c| (c as u8).to_ascii_lowercase()));
        }
        ClassSetItem::Union(union) => return union.items.iter().all(|item| collect(item, bytes)),
        _ => return false,
    }
    bytes.len() <= LARGEST_CLASS
}

fn product(left: &Choice, right: &Choice) -> Option<Choice> {
    if left.len() * right.len() > MOST_TEXTS {
        return None;
    }
    let texts = left.iter().flat_map(|l| right.iter().map(move |r| [&l[..], r].concat()));
    let texts: Choice = texts.collect();
    texts.iter().all(|text| text.len() <= LONGEST_TEXT).then_some(texts)
}

fn union(mut left: Choice, right: Choice) -> Option<Choice> {
    left.extend(right);
    left.sort();
    left.dedup();
    (left.len() <= MOST_TEXTS).then_some(left)
}

fn is_choice(texts: &Choice) -> bool {
    shortest(texts) > 0
}

fn shortest(texts: &Choice) -> usize {
    texts.iter().map(Vec::len).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;

    #[test]
    fn what_a_pattern_cannot_match_without() {
        for (source, expected) in [
            (r"^/old/(.*)\.PHP$", &["/old/", ".php"][..]),
            (r"\.(jpe?g|png)$", &[".jpeg|.jpg|.png"]),
            (r"^/(a|b)?c", &["/c|/ac|/bc"]),
            (r"^/user/(\d+)/edit(/.*)?$", &["/user/", "/edit"]),
            (r"(foo.*|bar)x", &["bar|foo", "x"]),
            (r"(foo|.*)", &[]),
            (r"(foo)*[a-z]+", &[]),
            (r"(foo)+", &["foo"]),
            (r"(?:ab){2}", &["ab"]),
            (r"^$", &[]),
            (r"[ab]c", &["ac|bc"]),
            (r"[A-C]x[^ab]y{2,}", &["ax|bx|cx", "y"]),
            (r"\x41[a-z]bc*", &["a", "b"]),
            (r"(?i)a\.B(?:c|d{1})", &["a.bc|a.bd"]),
        ] {
            let (_, ast) = plain::read(source.as_bytes()).expect(source);
            let text = |text: &Vec<u8>| String::from_utf8_lossy(text).into_owned();
            let choices = required(&ast);
            let shown: Vec<String> =
                choices.iter().map(|choice| choice.iter().map(text).collect::<Vec<_>>().join("|")).collect();
            assert_eq!(shown, expected, "{source}");
        }
    }
}

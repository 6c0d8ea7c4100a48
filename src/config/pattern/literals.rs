//! Text that a plain pattern cannot match without: `^/old/(.*)\.php$` needs `/old/` and `.php`.
//!
//! Invariant: a subject that matches holds, in some case of its ASCII letters, one text of each choice.

use regex_syntax::hir::{Class, Hir, HirKind};

/// One of these is in every subject that matches; in lower case, none of them empty.
pub type Choice = Vec<Vec<u8>>;

/// Texts of one choice; more say too little.
const MOST_TEXTS: usize = 16;
const LONGEST_TEXT: usize = 64;
/// Choices that are kept of one pattern.
const MOST_CHOICES: usize = 4;
/// Bytes of a class that is written out as texts.
const LARGEST_CLASS: usize = 4;

/// The choices that a pattern gives, those of the longest texts first.
pub fn required(hir: &Hir) -> Vec<Choice> {
    let Needed { exact, mut choices } = needed(hir);
    choices.extend(exact.filter(is_choice));
    choices.sort_by_key(|choice| std::cmp::Reverse(shortest(choice)));
    choices.truncate(MOST_CHOICES);
    choices
}

/// What a part of a pattern needs.
#[derive(Default)]
struct Needed {
    /// All that it matches, where that is few texts.
    exact: Option<Choice>,
    choices: Vec<Choice>,
}

fn needed(hir: &Hir) -> Needed {
    let exact = |texts: Choice| Needed { exact: Some(texts), choices: Vec::new() };
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => exact(vec![Vec::new()]),
        HirKind::Literal(literal) if literal.0.len() <= LONGEST_TEXT => exact(vec![literal.0.to_ascii_lowercase()]),
        HirKind::Literal(literal) => {
            let start = literal.0[..LONGEST_TEXT].to_ascii_lowercase();
            Needed { exact: None, choices: vec![vec![start]] }
        }
        HirKind::Class(class) => Needed { exact: members(class), choices: Vec::new() },
        HirKind::Capture(capture) => needed(&capture.sub),
        HirKind::Repetition(repetition) => {
            let inner = needed(&repetition.sub);
            match (repetition.min, repetition.max) {
                (1, Some(1)) => inner,
                (0, Some(1)) => {
                    Needed { exact: inner.exact.and_then(|texts| union(texts, vec![Vec::new()])), choices: Vec::new() }
                }
                (0, _) => Needed::default(),
                _ => {
                    let mut choices = inner.choices;
                    choices.extend(inner.exact.filter(is_choice));
                    Needed { exact: None, choices }
                }
            }
        }
        HirKind::Concat(parts) => concat(parts),
        HirKind::Alternation(branches) => alternation(branches),
    }
}

fn concat(parts: &[Hir]) -> Needed {
    let mut choices = Vec::new();
    let mut whole = true;
    let mut run: Choice = vec![Vec::new()];
    for part in parts {
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

fn alternation(branches: &[Hir]) -> Needed {
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

/// The members of a small class: `[aA]`, which is what a letter is where case is ignored, is one text.
fn members(class: &Class) -> Option<Choice> {
    let bytes: Vec<u8> = match class {
        Class::Bytes(class) => {
            class.ranges().iter().flat_map(|range| range.start()..=range.end()).take(LARGEST_CLASS + 1).collect()
        }
        // What `a|b` becomes.
        Class::Unicode(class) => {
            let chars = class.ranges().iter().flat_map(|range| range.start()..=range.end()).take(LARGEST_CLASS + 1);
            chars.map(|char| u8::try_from(char).ok().filter(u8::is_ascii)).collect::<Option<_>>()?
        }
    };
    if bytes.is_empty() || bytes.len() > LARGEST_CLASS {
        return None;
    }
    union(Vec::new(), bytes.iter().map(|byte| vec![byte.to_ascii_lowercase()]).collect())
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
    use super::super::{Case, plain};
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
        ] {
            for case in [Case::Sensitive, Case::Insensitive] {
                let hir = plain::hir(source.as_bytes(), case).expect(source);
                let text = |text: &Vec<u8>| String::from_utf8_lossy(text).into_owned();
                let choices = required(&hir);
                let shown: Vec<String> =
                    choices.iter().map(|choice| choice.iter().map(text).collect::<Vec<_>>().join("|")).collect();
                assert_eq!(shown, expected, "{source} {case:?}");
            }
        }
    }
}

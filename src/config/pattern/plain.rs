//! Decides on the syntax tree which patterns mean the same to the linear-time engine and to PCRE2: literals, classes,
//! groups, alternation, quantifiers, anchors. In doubt, a pattern is not plain, and PCRE2 matches it.
//!
//! Invariant: for a plain pattern both engines find the same match and the same groups in every subject (except for
//! [`Plain::dollar`]). `tests.rs` compares them on generated patterns.

use super::case::Case;
use regex_syntax::ast::{
    Assertion, AssertionKind, Ast, ClassAscii, ClassSet, ClassSetItem, Flag, Flags, FlagsItem, FlagsItemKind,
    GroupKind, HexLiteralKind, Literal, LiteralKind, Repetition, RepetitionKind, RepetitionRange, SpecialLiteralKind,
    parse,
};
use regex_syntax::hir::Hir;
use regex_syntax::hir::translate::TranslatorBuilder;

/// Maximum nesting of groups (PCRE2: 250).
const DEEPEST: u32 = 64;
/// Maximum count in a quantifier (PCRE2: 65535).
const MOST_REPEATS: u32 = 1000;
/// Maximum size with repetitions expanded; larger patterns might exceed a limit of either engine.
const LARGEST: usize = 4000;
/// Maximum length of a group name in all versions of PCRE2.
const LONGEST_NAME: usize = 32;

/// Properties of a plain pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plain {
    /// Whether it has a `$`, which in PCRE2 also matches before a newline at the end: PCRE2 matches such subjects.
    pub dollar: bool,
    /// Number of groups, without the whole match.
    pub groups: usize,
    /// Named groups: number and name.
    pub names: Vec<(usize, String)>,
    /// Number of characters, classes, groups and the like, with repetitions expanded.
    pub atoms: usize,
    /// How many of these let a subject bring about any combination of states: classes, alternations, repetitions, and
    /// all that a count repeats. Texts do not: which of them have begun is known from the last few bytes.
    pub loose: usize,
}

/// None: the pattern is for PCRE2, which also reports errors in it.
pub fn read(source: &[u8]) -> Option<(Plain, Ast)> {
    let (_, ast) = tree(source)?;
    let mut plain = Plain::default();
    plain.shortest(&ast, source)?;
    Some((plain, ast))
}

/// The pattern for the linear-time engine: bytes, ASCII classes, ASCII case.
pub fn hir(source: &[u8], case: Case) -> Option<Hir> {
    let (text, ast) = tree(source)?;
    let mut translator =
        TranslatorBuilder::new().unicode(false).utf8(false).case_insensitive(case == Case::Insensitive).build();
    translator.translate(text, &ast).ok()
}

fn tree(source: &[u8]) -> Option<(&str, Ast)> {
    // A character beyond ASCII is one character to one engine and several bytes to the other.
    let text = std::str::from_utf8(source).ok().filter(|text| text.is_ascii())?;
    let ast = parse::ParserBuilder::new().nest_limit(DEEPEST).build().parse(text).ok()?;
    Some((text, ast))
}

impl Plain {
    /// The length of the shortest match; None: not plain.
    fn shortest(&mut self, ast: &Ast, source: &[u8]) -> Option<usize> {
        let length = match ast {
            Ast::Empty(_) => 0,
            // Elsewhere, flags apply to the end of their group, which the engines define differently.
            Ast::Flags(set) if set.span.start.offset == 0 && are_plain(&set.flags) => 0,
            Ast::Flags(_) | Ast::ClassUnicode(_) => return None,
            Ast::Literal(literal) => is_plain(literal).then_some(1)?,
            Ast::Dot(_) | Ast::ClassPerl(_) => {
                self.loose += 1;
                1
            }
            Ast::ClassBracketed(class) => {
                self.loose += 1;
                // PCRE2 rejects `[:space:]` outside a class.
                let second = source.get(class.span.start.offset + 1)?;
                match &class.kind {
                    ClassSet::Item(item) if !b":.=".contains(second) && item_is_plain(item) => 1,
                    _ => return None,
                }
            }
            Ast::Assertion(assertion) => self.assertion(assertion)?,
            Ast::Repetition(repetition) => self.repetition(repetition, source)?,
            Ast::Group(group) => {
                match &group.kind {
                    GroupKind::CaptureIndex(_) => self.groups += 1,
                    GroupKind::CaptureName { name, .. } => {
                        let plain = |c: char| c == '_' || c.is_ascii_alphanumeric();
                        if name.name.len() > LONGEST_NAME || !name.name.chars().all(plain) {
                            return None;
                        }
                        self.groups += 1;
                        self.names.push((self.groups, name.name.clone()));
                    }
                    GroupKind::NonCapturing(flags) => are_plain(flags).then_some(())?,
                }
                self.shortest(&group.ast, source)?
            }
            Ast::Alternation(branches) => {
                self.loose += 1;
                let mut least = usize::MAX;
                for branch in &branches.asts {
                    least = least.min(self.shortest(branch, source)?);
                }
                least
            }
            Ast::Concat(parts) => {
                let mut sum = 0;
                for part in &parts.asts {
                    sum += self.shortest(part, source)?;
                }
                sum
            }
        };
        self.atoms += 1;
        (self.atoms <= LARGEST).then_some(length)
    }

    fn assertion(&mut self, assertion: &Assertion) -> Option<usize> {
        match assertion.kind {
            AssertionKind::EndLine => self.dollar = true,
            AssertionKind::StartLine
            | AssertionKind::StartText
            | AssertionKind::EndText
            | AssertionKind::WordBoundary
            | AssertionKind::NotWordBoundary => {}
            // PCRE2 reads `\<` as a literal, and `{start}` in `\b{start}` as a quantifier.
            _ => return None,
        }
        Some(0)
    }

    fn repetition(&mut self, repetition: &Repetition, source: &[u8]) -> Option<usize> {
        // PCRE2 reads `a++` as possessive; the meaning of a quantified anchor differs.
        let quantifiable = matches!(
            &*repetition.ast,
            Ast::Literal(_) | Ast::Dot(_) | Ast::ClassPerl(_) | Ast::ClassBracketed(_) | Ast::Group(_)
        );
        let span = &repetition.op.span;
        let written = source.get(span.start.offset..span.end.offset)?;
        // One engine allows spaces within braces, the other does not.
        if !quantifiable || !written.iter().all(|byte| byte.is_ascii_digit() || b"*+?{},".contains(byte)) {
            return None;
        }
        let (least, most) = match &repetition.op.kind {
            RepetitionKind::ZeroOrOne => (0, 1),
            RepetitionKind::ZeroOrMore => (0, 1),
            RepetitionKind::OneOrMore => (1, 1),
            RepetitionKind::Range(RepetitionRange::Exactly(n)) => (*n, *n),
            RepetitionKind::Range(RepetitionRange::AtLeast(n)) => (*n, (*n).max(1)),
            RepetitionKind::Range(RepetitionRange::Bounded(n, m)) => (*n, *m),
        };
        // Older versions of PCRE2 read `{,3}` as literal text; one engine drops a group that is repeated zero times.
        if written.starts_with(b"{,") || most == 0 || most > MOST_REPEATS {
            return None;
        }
        let (before, loose) = (self.atoms, self.loose);
        let length = self.shortest(&repetition.ast, source)?;
        // The engines end a repetition of the empty match differently.
        if length == 0 {
            return None;
        }
        self.atoms = before.checked_add((self.atoms - before).checked_mul(most as usize)?)?;
        self.loose = if most > 1 { loose + (self.atoms - before) } else { self.loose + 1 };
        length.checked_mul(least as usize)
    }
}

/// `(?i)` and `(?s)`, on or off; `m`, `x` and `U` have other meanings in PCRE2.
fn are_plain(flags: &Flags) -> bool {
    let is_plain = |item: &FlagsItem| match item.kind {
        FlagsItemKind::Negation | FlagsItemKind::Flag(Flag::CaseInsensitive | Flag::DotMatchesNewLine) => true,
        FlagsItemKind::Flag(_) => false,
    };
    flags.items.iter().all(is_plain)
}

fn is_plain(literal: &Literal) -> bool {
    match &literal.kind {
        LiteralKind::Verbatim | LiteralKind::Meta | LiteralKind::Superfluous => literal.c.is_ascii(),
        LiteralKind::HexFixed(HexLiteralKind::X) => true,
        LiteralKind::Special(kind) => matches!(
            kind,
            SpecialLiteralKind::Bell
                | SpecialLiteralKind::FormFeed
                | SpecialLiteralKind::Tab
                | SpecialLiteralKind::LineFeed
                | SpecialLiteralKind::CarriageReturn
        ),
        // PCRE2 rejects `\u0041`, and reads `\x{e4}` as one byte.
        _ => false,
    }
}

fn item_is_plain(item: &ClassSetItem) -> bool {
    match item {
        ClassSetItem::Empty(_) | ClassSetItem::Perl(_) | ClassSetItem::Ascii(ClassAscii { negated: false, .. }) => true,
        ClassSetItem::Literal(literal) => is_plain(literal),
        // `[a-[:word:]]` is a range to one engine and an error to the other.
        ClassSetItem::Range(range) => {
            let is_bracket = |l: &Literal| l.kind == LiteralKind::Verbatim && l.c == '[';
            is_plain(&range.start) && is_plain(&range.end) && !is_bracket(&range.end)
        }
        ClassSetItem::Union(union) => {
            // A dash inside may form a range, be literal, or be an error.
            let inner = union.items.get(1..union.items.len().saturating_sub(1)).unwrap_or_default();
            let is_dash = |item: &ClassSetItem| {
                matches!(item, ClassSetItem::Literal(Literal { kind: LiteralKind::Verbatim, c: '-', .. }))
            };
            !inner.iter().any(is_dash) && union.items.iter().all(item_is_plain)
        }
        ClassSetItem::Ascii(_) | ClassSetItem::Unicode(_) | ClassSetItem::Bracketed(_) => false,
    }
}

//! Derives from a PCRE2 pattern a plain one that matches at least wherever the original does, so that text required by
//! it is required by the original. Lookarounds are dropped, and possessive parts may backtrack.
//!
//! Invariant: a subject that the original matches, the relaxed pattern matches.

use super::plain;
use regex_syntax::ast::Ast;

/// None: what the pattern requires is unknown.
pub fn read(source: &[u8]) -> Option<Ast> {
    plain::read(&relaxed(source)?).map(|(_, ast)| ast)
}

fn relaxed(source: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(source.len());
    // Whether a quantifier precedes, which a `+` would make possessive.
    let mut is_quantified = false;
    let mut at = 0;
    while let Some(&byte) = source.get(at) {
        let rest = &source[at..];
        let length = match byte {
            // A backreference, or a call of a group by number.
            b'\\' if matches!(rest.get(1)?, b'0'..=b'9' | b'g' | b'k') => return None,
            b'\\' => 2,
            b'[' => class(rest)?,
            b'(' if is_around(rest) => {
                // An empty group cannot be quantified in a plain pattern, so such a pattern is not plain.
                out.extend_from_slice(b"(?:)");
                at += group(rest)?;
                is_quantified = false;
                continue;
            }
            b'(' if rest.starts_with(b"(?>") => {
                out.extend_from_slice(b"(?:");
                at += 3;
                is_quantified = false;
                continue;
            }
            b'+' if is_quantified => {
                at += 1;
                is_quantified = false;
                continue;
            }
            b'{' => rest.iter().position(|byte| *byte == b'}')? + 1,
            _ => 1,
        };
        is_quantified = matches!(byte, b'*' | b'+' | b'?' | b'{') && !is_quantified;
        out.extend_from_slice(rest.get(..length)?);
        at += length;
    }
    Some(out)
}

/// `(?=`, `(?!`, `(?<=`, `(?<!`.
fn is_around(rest: &[u8]) -> bool {
    [&b"(?="[..], b"(?!", b"(?<=", b"(?<!"].iter().any(|start| rest.starts_with(start))
}

/// The length of the class that begins here. None: PCRE2 may end it elsewhere.
fn class(rest: &[u8]) -> Option<usize> {
    let mut at = 1 + usize::from(rest.get(1) == Some(&b'^'));
    // A leading bracket is a member of the class.
    at += usize::from(rest.get(at) == Some(&b']'));
    loop {
        at += match rest.get(at)? {
            b']' => return Some(at + 1),
            b'\\' => escape(&rest[at..])?,
            b'[' => named_class(&rest[at..])?,
            _ => 1,
        };
    }
}

/// The length of `[:alpha:]`, `[:^alpha:]`, or of a literal bracket.
fn named_class(rest: &[u8]) -> Option<usize> {
    match rest.get(1)? {
        b':' => {
            let letters = 2 + usize::from(rest.get(2) == Some(&b'^'));
            let end = letters + rest.get(letters..)?.iter().position(|byte| !byte.is_ascii_lowercase())?;
            rest[end..].starts_with(b":]").then_some(end + 2)
        }
        b'.' | b'=' => None,
        _ => Some(1),
    }
}

/// The length of an escape. None: it changes how the following text is read.
fn escape(rest: &[u8]) -> Option<usize> {
    (!matches!(rest.get(1)?, b'Q' | b'E' | b'c')).then_some(2)
}

/// The length of the group that begins here. None: PCRE2 may end it elsewhere because of comments, options or verbs.
fn group(rest: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        let here = &rest[at..];
        at += match here.first()? {
            b'\\' => escape(here)?,
            b'[' => class(here)?,
            b'(' if matches!(here.get(1)?, b'*') => return None,
            b'(' if matches!(here.get(1)?, b'?') && !PLAIN_GROUPS.iter().any(|start| here.starts_with(start)) => {
                return None;
            }
            b'(' => {
                depth += 1;
                1
            }
            b')' if depth == 1 => return Some(at + 1),
            b')' => {
                depth -= 1;
                1
            }
            _ => 1,
        };
    }
}

/// Groups whose contents follow the usual syntax.
const PLAIN_GROUPS: [&[u8]; 6] = [b"(?:", b"(?=", b"(?!", b"(?<", b"(?>", b"(?P<"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_pattern() {
        for (source, expected) in [
            (r"^/app(?!x)[a-z]+", r"^/app(?:)[a-z]+"),
            (r"(?<!a|(b))c(?=[)]\))d", r"(?:)c(?:)d"),
            (r"a++b*+c?+d{2}+e+?", "a+b*c?d{2}e+?"),
            (r"(?>ab|c)+", "(?:ab|c)+"),
            (r"[]a+](?<n>x)[^][:digit:]+]+", r"[]a+](?<n>x)[^][:digit:]+]+"),
            (r"a\+\(", r"a\+\("),
        ] {
            let shown = relaxed(source.as_bytes()).map(|text| String::from_utf8_lossy(&text).into_owned());
            assert_eq!(shown.as_deref(), Some(expected), "{source}");
        }
        for unknown in [r"(a)\1", r"\g{1}", "[a", "(?!a", r"(?<n>a)\k<n>", r"a\"] {
            assert_eq!(relaxed(unknown.as_bytes()), None, "{unknown}");
        }
    }

    #[test]
    fn a_look_around_ends_where_pcre2_ends_it() {
        for unknown in [
            r"^/(?!\Q[\E)a|b(?!])c$",
            r"^/(?!\Q(\E)a|b)c$",
            r"^/(?!(?#[)x)y|(q(a]b))z",
            "(?!(?x)# (\n)a|b)c",
            r"(?!\c[)a|b(?!])c",
            r"(?![\c]])a|b(?!])c",
            r"(?![[:])a|b(?!:])c",
            r"(?![[:a\]:])a|b(?!])c",
            r"(?![[.a.]])a",
            "(?!(*MARK:[))a|b(?!])c",
            "(?!(?C'(')a)b|c)d",
        ] {
            assert!(read(unknown.as_bytes()).is_none(), "{unknown}");
        }
        for (source, expected) in [
            (r"(?![[a]|[[:^alpha:]\]])b", "(?:)b"),
            (r"(?!(?:a|(?<n>b))(?P<m>c)(?=d))e", "(?:)e"),
            (r"(?!^/(?!x)\()y", "(?:)y"),
        ] {
            let shown = relaxed(source.as_bytes()).map(|text| String::from_utf8_lossy(&text).into_owned());
            assert_eq!(shown.as_deref(), Some(expected), "{source}");
        }
    }

    #[test]
    fn what_the_engines_read_differently_is_not_known() {
        for unknown in
            ["(?!a)*b", r"a\Kb", r"\Qa\E", "(?x)a b", "a(?i)b", "(*ACCEPT)a", "(?#b)a", "(?|a|b)", r"^\x{41}+b"]
        {
            assert!(read(unknown.as_bytes()).is_none(), "{unknown}");
        }
    }
}

//! A plain pattern that matches wherever a pattern of PCRE2's matches, and elsewhere too: what it cannot match without, the
//! other cannot either. Conditions on what stands around are left out, and what gives nothing back may give back.
//!
//! Invariant: a subject that the source matches, its relaxed pattern matches.

use super::plain;
use regex_syntax::ast::Ast;

/// None: what the pattern needs is not known.
pub fn read(source: &[u8]) -> Option<Ast> {
    plain::read(&relaxed(source)?).map(|(_, ast)| ast)
}

fn relaxed(source: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(source.len());
    // Something stands before that a `+` would make possessive: a quantifier.
    let mut is_quantified = false;
    let mut at = 0;
    while let Some(&byte) = source.get(at) {
        let rest = &source[at..];
        let length = match byte {
            // Another group's text, or a part of the pattern by its number.
            b'\\' if matches!(rest.get(1)?, b'0'..=b'9' | b'g' | b'k') => return None,
            b'\\' => 2,
            b'[' => class(rest)?,
            b'(' if is_around(rest) => {
                // An empty group is no quantifiable thing: where it is quantified, the pattern is not plain.
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

/// The length of the class that begins here.
fn class(rest: &[u8]) -> Option<usize> {
    let mut at = 1 + usize::from(rest.get(1) == Some(&b'^'));
    // A bracket that comes first is one of the class.
    at += usize::from(rest.get(at) == Some(&b']'));
    loop {
        match rest.get(at)? {
            b']' => return Some(at + 1),
            b'\\' => at += 2,
            // `[:alpha:]`
            b'[' if rest.get(at + 1) == Some(&b':') => at += memchr::memmem::find(&rest[at..], b":]")? + 2,
            _ => at += 1,
        }
    }
}

/// The length of the group that begins here.
fn group(rest: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        match rest.get(at)? {
            b'\\' => at += 2,
            b'[' => at += class(&rest[at..])?,
            b'(' => (at, depth) = (at + 1, depth + 1),
            b')' if depth == 1 => return Some(at + 1),
            b')' => (at, depth) = (at + 1, depth - 1),
            _ => at += 1,
        }
    }
}

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
        // What the engines read differently is not known either.
        for unknown in
            ["(?!a)*b", r"a\Kb", r"\Qa\E", "(?x)a b", "a(?i)b", "(*ACCEPT)a", "(?#b)a", "(?|a|b)", r"^\x{41}+b"]
        {
            assert!(read(unknown.as_bytes()).is_none(), "{unknown}");
        }
    }
}

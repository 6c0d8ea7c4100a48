//! Expands file name patterns of `include`, as glob(3) without flags: `*`, `?`, `[…]`, `\`, sorted by bytes.
//!
//! Matching is pure; only `expand` reads directories, and only `load` and the lint rule about masks call it.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Maximum number of names per pattern.
const MAX_NAMES: usize = 100_000;

/// Whether nginx treats a name as a pattern.
pub fn is_pattern(name: &[u8]) -> bool {
    name.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

/// The existing paths that match, sorted; no match is not an error. Unreadable directories match nothing.
pub fn expand(pattern: &[u8]) -> Vec<PathBuf> {
    let mut found = vec![if pattern.starts_with(b"/") { b"/".to_vec() } else { Vec::new() }];
    let mut parts = pattern.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).peekable();
    let only_directories = pattern.ends_with(b"/");
    while let Some(part) = parts.next() {
        let inner = parts.peek().is_some() || only_directories;
        let mut next = Vec::new();
        for base in &found {
            if is_pattern(part) {
                matching(base, part, inner, &mut next);
            } else {
                let path = join(base, &unescaped(part));
                if Path::new(std::ffi::OsStr::from_bytes(&path)).symlink_metadata().is_ok() {
                    next.push(path);
                }
            }
            if next.len() >= MAX_NAMES {
                break;
            }
        }
        found = next;
    }
    found.sort();
    found.into_iter().map(|path| PathBuf::from(OsString::from_vec(path))).collect()
}

fn join(base: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = base.to_vec();
    if !path.is_empty() && !path.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

fn matching(base: &[u8], part: &[u8], directories: bool, found: &mut Vec<Vec<u8>>) {
    let directory = if base.is_empty() { b"." } else { base };
    let Ok(entries) = Path::new(std::ffi::OsStr::from_bytes(directory)).read_dir() else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let path = join(base, name.as_bytes());
        let fits =
            matches(part, name.as_bytes()) && (!directories || Path::new(std::ffi::OsStr::from_bytes(&path)).is_dir());
        if fits && found.len() < MAX_NAMES {
            found.push(path);
        }
    }
}

fn unescaped(part: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(part.len());
    let mut bytes = part.iter().copied();
    while let Some(byte) = bytes.next() {
        name.push(if byte == b'\\' { bytes.next().unwrap_or(byte) } else { byte });
    }
    name
}

/// Whether one path component matches. Only a literal dot matches a leading dot. Cost is bounded by `pattern × name`:
/// after a `*`, only the last one is ever retried.
pub fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.starts_with(b".") && !(pattern.starts_with(b".") || pattern.starts_with(b"\\.")) {
        return false;
    }
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let rest = pattern.get(p..).unwrap_or_default();
        let fit = match (rest.first(), name.get(n)) {
            (Some(b'*'), _) => {
                star = Some((p + 1, n));
                p += 1;
                continue;
            }
            (None, None) => return true,
            (Some(_), Some(byte)) => one(rest, *byte),
            _ => None,
        };
        match (fit, star) {
            (Some(length), _) => {
                p += length;
                n += 1;
            }
            (None, Some((after, from))) if from < name.len() => {
                star = Some((after, from + 1));
                p = after;
                n = from + 1;
            }
            _ => return false,
        }
    }
}

/// Whether the first element of `pattern` matches `byte`, and how long that element is.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [b'[', class @ ..] => match set(class, byte) {
            Some((true, length)) => Some(length + 1),
            Some((false, _)) => None,
            // Without a closing bracket, the bracket is literal.
            None => (byte == b'[').then_some(1),
        },
        [plain, ..] => (*plain == byte).then_some(1),
        [] => None,
    }
}

/// A bracket expression after its `[`: whether it contains `byte`, and its length including the `]`.
fn set(class: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(class.first(), Some(b'!' | b'^'));
    let mut at = usize::from(negated);
    let mut found = false;
    let mut first = true;
    loop {
        let rest = class.get(at..)?;
        match rest {
            [b']', ..] if !first => return Some((found != negated, at + 1)),
            [b'[', b':', named @ ..] if named.windows(2).any(|two| two == b":]") => {
                let length = named.windows(2).position(|two| two == b":]")?;
                found |= in_class(named.get(..length)?, byte);
                at += length + 4;
            }
            [..] => {
                let (low, length) = element(rest)?;
                at += length;
                match class.get(at..) {
                    Some([b'-', next @ ..]) if !matches!(next.first(), None | Some(b']')) => {
                        let (high, length) = element(next)?;
                        at += 1 + length;
                        found |= (low..=high).contains(&byte);
                    }
                    _ => found |= low == byte,
                }
            }
        }
        first = false;
    }
}

fn element(rest: &[u8]) -> Option<(u8, usize)> {
    match rest {
        [b'\\', escaped, ..] => Some((*escaped, 2)),
        [byte, ..] => Some((*byte, 1)),
        [] => None,
    }
}

fn in_class(name: &[u8], byte: u8) -> bool {
    match name {
        b"alpha" => byte.is_ascii_alphabetic(),
        b"digit" => byte.is_ascii_digit(),
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"upper" => byte.is_ascii_uppercase(),
        b"lower" => byte.is_ascii_lowercase(),
        b"space" => byte.is_ascii_whitespace() || byte == 0x0b,
        b"blank" => matches!(byte, b' ' | b'\t'),
        b"punct" => byte.is_ascii_punctuation(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        b"cntrl" => byte.is_ascii_control(),
        b"graph" => byte.is_ascii_graphic(),
        b"print" => byte.is_ascii_graphic() || byte == b' ',
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_match_as_in_glob() {
        for (pattern, yes, no) in [
            ("*.conf", &["a.conf", "b.c.conf"][..], &["conf", ".a.conf", "a.conf~", "a.conf.bak"][..]),
            ("*", &["a"], &[".a"]),
            (".*", &[".a", "."], &["a"]),
            ("?", &["a"], &["", "ab", "."]),
            ("a*b*c", &["abc", "a1b2c", "abbcc"], &["ab", "abcd"]),
            ("[0-9][0-9]-*", &["10-x", "99-"], &["1-x", "a0-x"]),
            ("[!a]x", &["bx"], &["ax", "x"]),
            ("[^a-c]", &["d"], &["b"]),
            ("[]a]", &["]", "a"], &["b"]),
            ("[a-]", &["-", "a"], &["b"]),
            ("[[:digit:]x]", &["5", "x"], &["y"]),
            ("[a", &["[a"], &["a"]),
            ("\\*", &["*"], &["a"]),
            ("[\\]]", &["]"], &["\\"]),
            ("{a,b}", &["{a,b}"], &["a"]),
            ("****a", &["a", "bba"], &["b"]),
        ] {
            assert!(yes.iter().all(|name| matches(pattern.as_bytes(), name.as_bytes())), "{pattern}");
            assert!(!no.iter().any(|name| matches(pattern.as_bytes(), name.as_bytes())), "{pattern}");
        }
    }

    #[test]
    fn a_hostile_pattern_is_not_exponential() {
        let pattern = b"*a".repeat(200);
        let name = b"a".repeat(5000);
        assert!(matches(&pattern, &name));
        assert!(!matches(&[&pattern[..], b"b"].concat(), &name));
    }
}

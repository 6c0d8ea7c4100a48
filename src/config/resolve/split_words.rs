//! Words wrongly split at a space, or without the part before `=`: `65 seconds`, `burst 5`, a zone without `zone=`.
//! Used only for a directive that is already wrong; nothing here is ever accepted.

use crate::config::ast::{Directive, Word};
use crate::config::value;

/// Parameters with `=`. NUMBERED: the value must begin with a digit; NAMED: any word without `=`.
const NUMBERED: [&str; 17] = [
    "backlog",
    "burst",
    "delay",
    "fail_timeout",
    "fastopen",
    "inactive",
    "interval",
    "levels",
    "max",
    "max_conns",
    "max_fails",
    "max_size",
    "min_uses",
    "rate",
    "rcvbuf",
    "sndbuf",
    "valid",
];
const NAMED: [&str; 3] = ["keys_zone", "weight", "zone"];

/// The line with the argument `at` joined to the next word, or with its missing prefix.
pub fn joined(d: &Directive, at: usize) -> Option<String> {
    let word = d.args.get(at)?;
    time(d, word).or_else(|| parameter(d, at)).or_else(|| bare_zone(d, word))
}

/// A parameter (the argument `at`) whose value is a separate word: `weight 2`, `burst 5`, `zone one`.
pub fn parameter(d: &Directive, at: usize) -> Option<String> {
    let (text, next) = (d.args.get(at)?.str(), d.args.get(at + 1)?.str());
    let is_value = match () {
        () if NUMBERED.contains(&&*text) => next.starts_with(|first: char| first.is_ascii_digit()),
        () if NAMED.contains(&&*text) => !next.contains('='),
        () => false,
    };
    if let Some(line) = around_equals(d, at) {
        return Some(line);
    }
    // This runs for each word of a long line: copy the line only for a word that is split.
    if !is_value {
        return None;
    }
    let mut words: Vec<String> = d.args.iter().map(|word| word.str().into_owned()).collect();
    words.splice(at..at + 2, [format!("{text}={next}")]);
    Some(format!("a parameter and its value are one word: {} {};", d.name.str(), words.join(" ")))
}

/// `weight = 3`, `weight =3`, `weight= 3`: spaces around the sign of a parameter.
fn around_equals(d: &Directive, at: usize) -> Option<String> {
    let (text, next) = (d.args.get(at)?, d.args.get(at + 1)?);
    let is_name = |name: &[u8]| {
        !name.is_empty() && name.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'_') && !text.quoted
    };
    let count = match (text.bytes(), next.bytes()) {
        (name, b"=") if is_name(name) && at + 2 < d.args.len() => 3,
        (name, [b'=', _, ..]) if is_name(name) => 2,
        ([name @ .., b'='], _) if is_name(name) => 2,
        _ => return None,
    };
    let mut words: Vec<String> = d.args.iter().map(|word| word.str().into_owned()).collect();
    let joined = words.get(at..at + count)?.concat();
    words.splice(at..at + count, [joined]);
    Some(format!("a parameter and its value are one word: {} {};", d.name.str(), words.join(" ")))
}

/// A zone without its `zone=`: `limit_req one;`, `limit_req_zone $uri one:10m;`.
fn bare_zone(d: &Directive, word: &Word) -> Option<String> {
    let text = word.str();
    let is_zone = match d.name.bytes() {
        b"limit_req" => d.args.first().is_some_and(|first| first.span == word.span),
        b"limit_req_zone" | b"limit_conn_zone" | b"dav_ext_lock_zone" | b"acme_shared_zone" => text.contains(':'),
        _ => false,
    };
    if !is_zone || text.contains('=') {
        return None;
    }
    let words = d.args.iter().map(|other| match other.span == word.span {
        // `zone:one:10m` has a wrong separator.
        true => format!("zone={}", text.strip_prefix("zone:").unwrap_or(&text)),
        false => other.str().into_owned(),
    });
    Some(format!("the zone is named by zone=: {} {};", d.name.str(), words.collect::<Vec<_>>().join(" ")))
}

/// `65 seconds` in a directive that allows a second word: a number, and its unit as a separate word.
fn time(d: &Directive, unit: &Word) -> Option<String> {
    let at = d.args.iter().position(|word| word.span == unit.span).filter(|at| *at > 0)?;
    let number = d.args.get(at - 1)?.str();
    let letter = value::unit(&unit.str()).filter(|_| number.bytes().all(|byte| byte.is_ascii_digit()))?;
    let mut words: Vec<String> = d.args.iter().map(|word| word.str().into_owned()).collect();
    words.splice(at - 1..=at, [format!("{number}{letter}")]);
    Some(format!("a number and its unit are one word: {} {};", d.name.str(), words.join(" ")))
}

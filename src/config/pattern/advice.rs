//! Advice for a pattern that does not compile: a character that is missing, or that has a special meaning.

/// Advice for PCRE2's error message about `source`.
pub fn of(message: &str, source: &str) -> Option<String> {
    if message.contains("missing closing parenthesis") {
        return Some("close the `(`; a parenthesis itself is written \\(".into());
    }
    if message.contains("unmatched closing parenthesis") {
        return Some("no `(` stands before it; a parenthesis itself is written \\)".into());
    }
    if message.contains("missing terminating ]") {
        return Some("close the `[`; a bracket itself is written \\[".into());
    }
    if message.contains("quantifier does not follow") {
        let glob = source.strip_prefix('*').filter(|rest| !rest.is_empty());
        return Some(match glob {
            Some(rest) => {
                let tail = escaped(rest.trim_end_matches('$'));
                format!("this is a regex, not a glob: .*{tail} or {tail}$")
            }
            None => "`*`, `+` and `?` repeat what stands before them; the sign itself is written \\*, \\+, \\?".into(),
        });
    }
    if message.contains("subpattern name") {
        return Some("a named group is written (?<name>…)".into());
    }
    if message.contains("range out of order") {
        return Some("the smaller character comes first, as in [a-z]; a `-` itself stands at the end: [a_-]".into());
    }
    if message.contains("non-existent subpattern") {
        let groups = source.match_indices('(').filter(|(at, _)| !source.get(..*at).unwrap_or_default().ends_with('\\'));
        let count = groups.filter(|(at, _)| !source.get(at + 1..).unwrap_or_default().starts_with('?')).count();
        return Some(format!("the regex has {count} groups: \\1 is the text of the first; a new group is written (…)"));
    }
    if message.contains("\\ at end of pattern") {
        return Some("the backslash takes the next character along: remove it, or write \\\\".into());
    }
    None
}

/// Escapes text for use as a regex.
fn escaped(text: &str) -> String {
    text.strip_prefix('.').filter(|_| !text.starts_with(".*")).map_or(text.to_owned(), |rest| format!("\\.{rest}"))
}

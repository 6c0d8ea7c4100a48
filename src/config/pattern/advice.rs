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
        return Some(group_name(source).unwrap_or_else(|| "a named group is written (?<name>…)".into()));
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

/// `(?<my-name>…)`: a group's name with a character that none may have.
fn group_name(source: &str) -> Option<String> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = ["(?<", "(?P<", "(?'"].iter().flat_map(|open| source.split(open).skip(1));
    let names = names.filter_map(|rest| Some(rest.split_once(['>', '\''])?.0));
    let wrong = names.filter(|name| !name.starts_with(['=', '!'])).find(|name| {
        name.chars().count() < 33 && (name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(is_good))
    })?;
    let mended: String = wrong.chars().map(|c| if is_good(c) { c } else { '_' }).collect();
    let mended = if mended.starts_with(|c: char| c.is_ascii_digit()) { format!("n{mended}") } else { mended };
    (!mended.is_empty())
        .then(|| format!("a name has letters, digits and _, and begins with none of the digits: (?<{mended}>…)"))
}

/// Escapes text for use as a regex.
fn escaped(text: &str) -> String {
    text.strip_prefix('.').filter(|_| !text.starts_with(".*")).map_or(text.to_owned(), |rest| format!("\\.{rest}"))
}

//! Quotes and escapes of words: from the text of a file to a value, and back.
//!
//! Invariant: what [`quoted`] returns is one word of the language, and its value is the text that was given.

use std::borrow::Cow;

use crate::config::ast::Word;

/// nginx unescapes `\"`, `\'`, `\\`, `\t`, `\r` and `\n`; any other backslash is kept with the character it escapes (`\
/// ` keeps the word together and stays two bytes; regular expressions rely on that: `\.`).
pub(super) fn unescape(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut text = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let plain = match (byte, bytes.peek()) {
            (b'\\', Some(next @ (b'"' | b'\'' | b'\\'))) => *next,
            (b'\\', Some(b't')) => b'\t',
            (b'\\', Some(b'r')) => b'\r',
            (b'\\', Some(b'n')) => b'\n',
            _ => {
                text.push(byte);
                continue;
            }
        };
        bytes.next();
        text.push(plain);
    }
    Cow::Owned(text)
}

/// A value as a word of a configuration, in quotes where it needs them.
pub fn quoted(text: &str) -> String {
    let plain = escaped(text, None);
    if is_one_word(&plain) { plain } else { in_quotes(text) }
}

/// A word of a file as one would write it: in quotes if it was, or if it needs them.
pub fn as_written(word: &Word) -> String {
    if word.quoted { in_quotes(&word.str()) } else { quoted(&word.str()) }
}

/// Words as in a line of the configuration.
pub fn line<'a>(words: impl IntoIterator<Item = &'a Word>) -> String {
    words.into_iter().map(as_written).collect::<Vec<_>>().join(" ")
}

/// A value as a word in quotes, though it needs none.
pub fn in_quotes(text: &str) -> String {
    let quote = if text.contains('"') && !text.contains('\'') { '\'' } else { '"' };
    format!("{quote}{}{quote}", escaped(text, Some(quote)))
}

/// The text with the backslashes that [`unescape`] takes away. Those of a regex, as in `\.`, need none.
fn escaped(text: &str, quote: Option<char>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(char) = rest.next() {
        match char {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' if matches!(rest.peek(), None | Some('"' | '\'' | '\\' | 't' | 'r' | 'n' | '\t' | '\r' | '\n')) => {
                out.push_str("\\\\");
            }
            _ if Some(char) == quote => out.extend(['\\', char]),
            _ => out.push(char),
        }
    }
    out
}

/// Whether the grammar reads this, without quotes, as one word.
fn is_one_word(text: &str) -> bool {
    if text.is_empty() || text.starts_with(['"', '\'', '#', '}']) {
        return false;
    }
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => _ = bytes.next(),
            b'$' => while bytes.next_if_eq(&b'{').is_some() {},
            b' ' | b';' | b'{' => return false,
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use crate::config::ast::FileId;

    /// The words of `a WORD b;`, if that is one directive.
    fn read_back(word: &str) -> Vec<String> {
        let (tree, errors) = parse(FileId(0), format!("a {word} b;").as_bytes(), 0);
        let [directive] = &tree[..] else { return Vec::new() };
        let is_line = errors.is_empty() && directive.block.is_none();
        directive.args.iter().filter(|_| is_line).map(|word| word.str().into_owned()).collect()
    }

    #[test]
    fn a_value_is_read_back_as_the_same_value() {
        const SIGNS: [&str; 18] =
            ["'", "\"", "\\", "#", ";", "{", "}", "$", " ", "\n", "\r", "\t", "n", "t", ")", "a", "é", "\u{1}"];
        let mut values = vec![String::new()];
        for _ in 0..3 {
            let longer = values.iter().flat_map(|value| SIGNS.map(|sign| format!("{value}{sign}")));
            values = values.iter().cloned().chain(longer).collect();
        }
        for value in values {
            let word = quoted(&value);
            assert_eq!(read_back(&word), [value.as_str(), "b"], "{value:?} as {word}");
            let word = in_quotes(&value);
            assert_eq!(read_back(&word), [value.as_str(), "b"], "{value:?} as {word}");
            assert!(!word.contains(['\n', '\r', '\t']), "{word:?} is not one line");
        }
    }

    #[test]
    fn quotes_stand_only_where_they_are_needed() {
        for (value, word) in [
            ("", "\"\""),
            ("/srv/www", "/srv/www"),
            ("\\.(png|gif)$", "\\.(png|gif)$"),
            ("${host}/x", "${host}/x"),
            ("it's", "it's"),
            ("a#b", "a#b"),
            ("#b", "\"#b\""),
            ("^/a{2}$", "\"^/a{2}$\""),
            ("'x'", "\"'x'\""),
            ("{\"a\": 1}", "'{\"a\": 1}'"),
            ("say \"it's\"", "\"say \\\"it's\\\"\""),
            ("a;b", "\"a;b\""),
            ("two\nlines", "two\\nlines"),
            ("\\n is no line end", "\"\\\\n is no line end\""),
            ("C:\\", "C:\\\\"),
        ] {
            assert_eq!(quoted(value), word, "{value:?}");
        }
    }
}

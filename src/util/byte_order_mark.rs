//! The byte order mark that editors on Windows put before UTF-8 text. Nothing here knows what the text is for.

/// What follows the mark; all of the text where it has none.
pub fn without(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// The bytes that the mark takes: 0 or 3.
pub fn len(text: &[u8]) -> usize {
    text.len() - without(text).len()
}

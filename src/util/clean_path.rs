//! Different spellings of one path.
//!
//! Invariant: nothing is asked of the file system: `..` and links stay as they are.

use std::borrow::Cow;

/// A path without empty and `.` segments and without a trailing slash, so that spellings of one directory compare
/// equal.
pub fn clean(path: &[u8]) -> Cow<'_, [u8]> {
    let odd = path.ends_with(b"/") || path.ends_with(b"/.") || path.windows(2).any(|pair| pair == b"//");
    if !odd && memchr::memmem::find(path, b"/./").is_none() {
        return Cow::Borrowed(path);
    }
    let parts = path.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".");
    Cow::Owned(parts.flat_map(|part| [b"/", part].concat()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_nothing_is_left_out() {
        let table = [
            ("/a/b", "/a/b"),
            ("/a//b/", "/a/b"),
            ("/./a/./b/.", "/a/b"),
            ("/a/.b/..", "/a/.b/.."),
            ("/", ""),
            ("", ""),
            ("a/b", "a/b"),
        ];
        for (path, expected) in table {
            assert_eq!(String::from_utf8_lossy(&clean(path.as_bytes())), expected, "{path}");
        }
    }
}

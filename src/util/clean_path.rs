//! Different spellings of one path.
//!
//! Invariant: nothing is asked of the file system: `..` and links stay as they are.

use std::borrow::Cow;

/// A path without empty and `.` segments and without a trailing slash, so that spellings of one directory compare
/// equal.
pub fn clean(path: &[u8]) -> Cow<'_, [u8]> {
    // A segment that says nothing: an empty one, or `.`.
    let is_odd =
        |slash: usize| matches!(path.get(slash + 1..).unwrap_or_default(), [] | [b'/', ..] | [b'.'] | [b'.', b'/', ..]);
    if !memchr::memchr_iter(b'/', path).any(is_odd) {
        return Cow::Borrowed(path);
    }
    let parts = path.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".");
    Cow::Owned(parts.flat_map(|part| [b"/", part].concat()).collect())
}

/// Whether one of its segments is `..`.
pub fn has_parent(path: &[u8]) -> bool {
    // By the dots: paths have fewer of them than slashes.
    memchr::memchr_iter(b'.', path).any(|dot| {
        let begins = dot.checked_sub(1).is_none_or(|before| path.get(before) == Some(&b'/'));
        begins && matches!(path.get(dot + 1..), Some([b'.'] | [b'.', b'/', ..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_of_two_dots_is_found_wherever_it_stands() {
        let table = [
            ("", false),
            ("..", true),
            ("../a", true),
            ("/..", true),
            ("/a/../b", true),
            ("/a/..", true),
            ("/a..b/..c/d../...", false),
            ("/a/./b", false),
        ];
        for (path, expected) in table {
            assert_eq!(has_parent(path.as_bytes()), expected, "{path}");
        }
    }

    #[test]
    fn what_says_nothing_is_left_out() {
        let table = [
            ("/a/b", "/a/b"),
            ("/a//b/", "/a/b"),
            ("/./a/./b/.", "/a/b"),
            ("/a/.", "/a"),
            ("/.a/..b/c.", "/.a/..b/c."),
            ("/.", ""),
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

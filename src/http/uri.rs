//! The normal form of a path: %-decoded once, dot segments resolved on the decoded bytes, slashes merged.
//!
//! Decoding comes before resolving, as in nginx: `%2e%2e%2f` climbs just like `../`, so no later layer can be fooled
//! by an escaped separator. What leaves here starts with `/` and holds no NUL, CR, LF, and no `.` or `..` segment.
//! Other control bytes may have been escaped in it, as in nginx: `return`, `rewrite` and `proxy_pass` work with them,
//! and the code that maps a path to a file refuses them (`exchange::paths`).

use super::escape::hex_pair;
use super::reject::Reject;
use crate::util::bytes;
use crate::util::span::Span;

/// What else [`normalize`] learnt.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Normal {
    /// After the first `?`, in the input. `Some` of an empty span where nothing follows the `?`.
    pub query: Option<Span>,
    /// The path had %-escapes.
    pub quoted: bool,
    /// Dot segments were resolved or slashes merged.
    pub complex: bool,
}

/// What becomes of slashes that follow one another (merge_slashes).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slashes {
    /// Several slashes become one; nginx's default.
    Merge,
    /// As sent.
    Keep,
}

impl Slashes {
    /// By the value of merge_slashes.
    pub fn of(merge: bool) -> Slashes {
        if merge { Slashes::Merge } else { Slashes::Keep }
    }
}

/// Appends the normal form of the path to `out` (cleared first). The input is a target's path and query; an empty path
/// (`http://host?q`) is `/`.
///
/// # Errors
/// `BadUri` for a bad escape, a raw control byte, an escaped NUL, CR or LF, a raw `#`, a climb above the root, or a
/// path that does not start with `/`.
pub fn normalize(path_and_query: &[u8], slashes: Slashes, out: &mut Vec<u8>) -> Result<Normal, Reject> {
    out.clear();
    let mark = memchr::memchr(b'?', path_and_query);
    let (path, query) = path_and_query.split_at(mark.unwrap_or(path_and_query.len()));
    if !query.is_empty() && memchr::memchr(b'#', query).is_some() {
        return Err(Reject::BadUri("a fragment"));
    }
    let mut normal = Normal { query: mark.map(|at| Span::new(at + 1, path_and_query.len())), ..Normal::default() };
    match path.first() {
        None => out.push(b'/'),
        Some(b'/') if is_normal(path) => out.extend_from_slice(path),
        Some(b'/') => resolve(path, slashes, out, &mut normal)?,
        Some(_) => return Err(Reject::BadUri("the path does not start with a slash")),
    }
    Ok(normal)
}

/// True when the path needs no work: the common case.
fn is_normal(path: &[u8]) -> bool {
    let pair = |pair: &[u8]| matches!(pair, [b'/', b'/' | b'.']);
    !bytes::has_control_or(path, [b'%', b'#']) && !path.windows(2).any(pair)
}

fn resolve(path: &[u8], slashes: Slashes, out: &mut Vec<u8>, normal: &mut Normal) -> Result<(), Reject> {
    out.push(b'/');
    // Where the segment being written starts: always after a slash.
    let mut segment = 1;
    let mut bytes = path[1..].iter().copied();
    while let Some(raw) = bytes.next() {
        let byte = match raw {
            b'%' => {
                normal.quoted = true;
                let pair = bytes.next().zip(bytes.next());
                pair.and_then(|(h, l)| hex_pair(h, l)).ok_or(Reject::BadUri("a malformed %-escape"))?
            }
            b'#' => return Err(Reject::BadUri("a fragment")),
            0..=0x1f | 0x7f => return Err(Reject::BadUri("a control byte in the path")),
            _ => raw,
        };
        match byte {
            // An end of line or of string to software further on.
            0 | b'\r' | b'\n' => return Err(Reject::BadUri("a NUL, CR or LF in the path")),
            b'/' => {
                let is_dots = end_segment(segment, out)?;
                normal.complex |= is_dots;
                if !is_dots {
                    if out.len() == segment && slashes == Slashes::Merge {
                        normal.complex = true;
                    } else {
                        out.push(b'/');
                    }
                }
                segment = out.len();
            }
            _ => out.push(byte),
        }
    }
    normal.complex |= end_segment(segment, out)?;
    Ok(())
}

/// Resolves the segment from `start` if it is `.` or `..`, leaving `out` at the slash the next segment follows.
fn end_segment(start: usize, out: &mut Vec<u8>) -> Result<bool, Reject> {
    match out.get(start..) {
        Some(b".") => out.truncate(start),
        Some(b"..") => {
            // The slash before `..` goes, and the segment before that.
            let parent = memchr::memrchr(b'/', &out[..start - 1]).ok_or(Reject::BadUri("a climb above the root"))?;
            out.truncate(parent + 1);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// `path?args` → path and args.
pub fn split_args(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'?', target) {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(uri: &str, merge: bool) -> Result<(String, Normal), u16> {
        let mut out = b"left over".to_vec();
        let normal = normalize(uri.as_bytes(), Slashes::of(merge), &mut out).map_err(|r| r.status().0)?;
        Ok((String::from_utf8_lossy(&out).into_owned(), normal))
    }

    #[test]
    fn a_path_is_decoded_once_and_resolved() {
        let table = [
            ("/", "/"),
            ("", "/"),
            ("?q", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("/a%20b", "/a b"),
            ("/%41%2f%42", "/A/B"),
            ("/%2541", "/%41"),
            ("/%252e%252e/", "/%2e%2e/"),
            ("/a%3Fb%23c", "/a?b#c"),
            ("/.", "/"),
            ("/./", "/"),
            ("/a/.", "/a/"),
            ("/a/./b", "/a/b"),
            ("/a/..", "/"),
            ("/a/../", "/"),
            ("/a/../b", "/b"),
            ("/a/b/../../c", "/c"),
            ("/a/b/..", "/a/"),
            ("/a/%2e%2e/b", "/b"),
            ("/a/%2e%2e%2fb", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/a%2f..%2fb", "/b"),
            ("/...", "/..."),
            ("/.../a", "/.../a"),
            ("/..a", "/..a"),
            ("/a..", "/a.."),
            ("/.a", "/.a"),
            ("/a./b", "/a./b"),
            ("//", "/"),
            ("///a//b", "/a/b"),
            ("/a//../b", "/b"),
            ("//./a", "/a"),
            ("/a/.//b", "/a/b"),
            ("/%2f%2fa", "/a"),
            ("/a?b=/../..", "/a"),
            ("/a?%zz", "/a"),
            ("/\u{e9}", "/\u{e9}"),
            ("/%C3%A9", "/\u{e9}"),
            ("/a\\..\\b", "/a\\..\\b"),
            ("/a%5c..%5cb", "/a\\..\\b"),
            ("/a+b", "/a+b"),
            ("/%01%09%1f%7F", "/\x01\t\x1f\x7f"),
            ("/~u/", "/~u/"),
            ("/a;b=..", "/a;b=.."),
            ("/x/..;/y", "/x/..;/y"),
        ];
        for (uri, path) in table {
            assert_eq!(run(uri, true).map(|(p, _)| p).as_deref(), Ok(path), "{uri}");
        }
    }

    #[test]
    fn a_path_that_cannot_be_normalised_is_refused() {
        let table = [
            "/..",
            "/../",
            "/../a",
            "/a/../..",
            "/a/../../b",
            "/%2e%2e",
            "/%2e%2e/a",
            "/..%2fa",
            "/.%2e/",
            "//..",
            "/./..",
            "/%",
            "/%4",
            "/%4g",
            "/%zz",
            "/a%",
            "/a%2",
            "/%00",
            "/a%00.html",
            "/%0a",
            "/%0D%0Ax",
            "/%0A",
            "/\0",
            "/\x01",
            "/\x7f",
            "/\x1b%41",
            "/#",
            "/a#b",
            "/a?b#c",
            "a",
            "*",
            "../a",
            "%2fa",
            "/% 20",
            "/%+41",
            "/%-1",
        ];
        for uri in table {
            assert_eq!(run(uri, true).map(|(p, _)| p), Err(400), "{uri:?}");
        }
    }

    #[test]
    fn slashes_are_kept_where_the_configuration_says_so() {
        let table = [
            ("//", "//"),
            ("/a//b", "/a//b"),
            ("/a//../b", "/a/b"),
            ("/a/%2fb", "/a//b"),
            ("//../a", "/a"),
            ("/a/.//b", "/a//b"),
            ("/a/b/..//c", "/a//c"),
        ];
        for (uri, path) in table {
            assert_eq!(run(uri, false).map(|(p, _)| p).as_deref(), Ok(path), "{uri}");
        }
        assert_eq!(run("/..", false).map(|(p, _)| p), Err(400));
    }

    #[test]
    fn the_query_and_what_was_done_are_told() {
        let table = [
            ("/a", None, false, false),
            ("/a?", Some(""), false, false),
            ("/a?b?c", Some("b?c"), false, false),
            ("?b", Some("b"), false, false),
            ("/%61?x", Some("x"), true, false),
            ("/a//b", None, false, true),
            ("/a/./b", None, false, true),
            ("/.a", None, false, false),
        ];
        for (uri, query, quoted, complex) in table {
            let (_, normal) = run(uri, true).expect(uri);
            assert_eq!(normal.query.map(|s| s.of(uri.as_bytes())), query.map(str::as_bytes), "{uri}");
            assert_eq!((normal.quoted, normal.complex), (quoted, complex), "{uri}");
        }
    }

    #[test]
    fn arguments_begin_behind_the_first_question_mark() {
        let table: [(&str, &str, Option<&str>); 4] =
            [("/a", "/a", None), ("/a?", "/a", Some("")), ("/a?b=c?d", "/a", Some("b=c?d")), ("?x", "", Some("x"))];
        for (target, path, args) in table {
            assert_eq!(split_args(target.as_bytes()), (path.as_bytes(), args.map(str::as_bytes)), "{target}");
        }
    }

    #[test]
    fn a_normal_path_is_its_own_normal_form() {
        for uri in ["/a/%2e./%2fb/./c", "/a//b/..", "/%61%20/x", "/...//.x/"] {
            for merge in [true, false] {
                let (once, _) = run(uri, merge).expect(uri);
                let mut escaped = Vec::new();
                super::super::escape::escape_path(once.as_bytes(), &mut escaped);
                let twice = run(std::str::from_utf8(&escaped).expect("ASCII"), merge).expect(uri).0;
                assert_eq!(once, twice, "{uri}");
            }
        }
    }
}

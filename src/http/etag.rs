//! Entity tags: making them from a file's facts, comparing them with lists (RFC 9110 §8.8.3, §13.1).

/// How tags are compared (RFC 9110 §8.8.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strength {
    /// Both must be strong: If-Match, If-Range.
    Strong,
    /// `W/` does not matter: If-None-Match.
    Weak,
}

/// `W/"` and `"` around three hex numbers and their dashes.
const MOST: usize = 4 + 16 + 1 + 16 + 1 + 8;

/// Bytes of a list in which a tag is looked for before the list is taken apart.
const LONG: usize = 128;

/// A formatted entity tag, quotes included; no heap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ETag {
    bytes: [u8; MOST],
    len: u8,
}

impl ETag {
    /// nginx's `"mtime-size"` in hex, and a third number: two versions within one second must differ, which nginx's do
    /// not. It is the nanoseconds of the time. Where they are zero, a program has set the time (a package, a release
    /// whose files all have one time), and `identity` says which file this is: a number made of its inode and of the
    /// last change of that. `mtime` is in Unix seconds, `size` in bytes.
    pub fn new(mtime: i64, nsec: u32, size: u64, identity: u32) -> ETag {
        let mut tag = ETag { bytes: [0; MOST], len: 0 };
        tag.push(b'"');
        tag.push_hex(mtime as u64);
        tag.push(b'-');
        tag.push_hex(size);
        let third = if nsec != 0 { nsec } else { identity };
        if third != 0 {
            tag.push(b'-');
            tag.push_hex(u64::from(third));
        }
        tag.push(b'"');
        tag
    }

    /// The weak form: for a response whose bytes are made from the file but are not the file (gzip).
    #[must_use]
    pub fn weak(self) -> ETag {
        let mut tag = ETag { bytes: [0; MOST], len: 0 };
        tag.push(b'W');
        tag.push(b'/');
        self.as_bytes().iter().for_each(|b| tag.push(*b));
        tag
    }

    /// As it is sent: quotes included, and `W/` if it is weak.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(usize::from(self.len)) {
            *slot = byte;
            self.len += 1;
        }
    }

    fn push_hex(&mut self, n: u64) {
        let digits = (u64::BITS - n.leading_zeros()).div_ceil(4).max(1) as usize;
        let at = usize::from(self.len);
        // The place is asked for once: digit by digit a tag took 400 instructions.
        let Some(place) = self.bytes.get_mut(at..at + digits) else { return };
        let mut rest = n;
        for slot in place.iter_mut().rev() {
            *slot = b"0123456789abcdef"[rest as usize & 15];
            rest >>= 4;
        }
        self.len += digits as u8;
    }
}

/// True if one line of If-Match or If-None-Match names `etag` or is `*`. A malformed member is skipped, like nginx
/// does. Whether `*` may match (something exists) is the caller's to know.
pub fn matches(list: &[u8], etag: &[u8], strength: Strength) -> bool {
    // To search the whole list for the tag's bytes is cheaper than to split it into members.
    if list.len() > LONG && memchr::memmem::find(list, etag.strip_prefix(b"W/").unwrap_or(etag)).is_none() {
        return is_star(list);
    }
    is_star(list) || members(list).any(|member| is_same(member, etag, strength))
}

/// Whether a line of If-Match or If-None-Match has an entity tag, or is `*`.
pub fn has_member(list: &[u8]) -> bool {
    is_star(list) || members(list).next().is_some()
}

fn is_star(list: &[u8]) -> bool {
    super::field_syntax::trim_ows(list) == b"*"
}

/// The well-formed entity tags of a list.
fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = list;
    std::iter::from_fn(move || {
        loop {
            while let [b' ' | b'\t' | b',', tail @ ..] = rest {
                rest = tail;
            }
            if rest.is_empty() {
                return None;
            }
            if let Some(len) = tag_len(rest) {
                let (member, tail) = rest.split_at(len);
                rest = tail;
                while let [b' ' | b'\t', tail @ ..] = rest {
                    rest = tail;
                }
                if matches!(rest, [] | [b',', ..]) {
                    return Some(member);
                }
            }
            rest = memchr::memchr(b',', rest).map_or(&[], |at| &rest[at..]);
        }
    })
}

/// Compares two entity tags.
pub fn is_same(a: &[u8], b: &[u8], strength: Strength) -> bool {
    let (opaque_a, opaque_b) = (a.strip_prefix(b"W/"), b.strip_prefix(b"W/"));
    if strength == Strength::Strong && (opaque_a.is_some() || opaque_b.is_some()) {
        return false;
    }
    opaque_a.unwrap_or(a) == opaque_b.unwrap_or(b)
}

/// Length of the entity tag at the start: `W/` in upper case only, quotes, no quote or blank or control inside. A
/// backslash is an ordinary byte here.
fn tag_len(text: &[u8]) -> Option<usize> {
    let prefix = if text.starts_with(b"W/") { 2 } else { 0 };
    let inside = text.get(prefix..)?.strip_prefix(b"\"")?;
    let len = inside.iter().position(|b| matches!(b, b'"' | 0..=b' ' | 0x7f))?;
    (inside.get(len) == Some(&b'"')).then_some(prefix + len + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_made_of_time_size_and_nanoseconds() {
        let table = [
            (ETag::new(0x65a1_b2c3, 0, 0x400, 0), "\"65a1b2c3-400\""),
            (ETag::new(0x65a1_b2c3, 0, 0x400, 16), "\"65a1b2c3-400-10\""),
            (ETag::new(0x65a1_b2c3, 255, 0x400, 16), "\"65a1b2c3-400-ff\""),
            (ETag::new(0, 0, 0, 0), "\"0-0\""),
            (ETag::new(-1, u32::MAX, u64::MAX, 0).weak(), "W/\"ffffffffffffffff-ffffffffffffffff-ffffffff\""),
        ];
        for (tag, expected) in table {
            assert_eq!(std::str::from_utf8(tag.as_bytes()), Ok(expected));
        }
    }

    #[test]
    fn a_list_matches_by_member_and_strength() {
        let (s, w) = (Strength::Strong, Strength::Weak);
        let table = [
            ("*", "\"a\"", s, true),
            (" * ", "\"a\"", s, true),
            ("\"a\"", "\"a\"", s, true),
            ("W/\"a\"", "\"a\"", s, false),
            ("W/\"a\"", "\"a\"", w, true),
            ("\"a\"", "W/\"a\"", w, true),
            ("W/\"a\"", "W/\"a\"", s, false),
            ("\"b\", \"a\"", "\"a\"", s, true),
            (",, \"b\" ,\t\"a\" ,", "\"a\"", s, true),
            ("\"b\"", "\"a\"", w, false),
            ("\"x,\"a\"\"", "\"a\"", w, false),
            ("\"b,c\", \"a\"", "\"a\"", w, true),
            ("\"b, \"a\"", "\"a\"", w, true),
            ("a", "\"a\"", w, false),
            ("\"a", "\"a\"", w, false),
            ("\"a\"x", "\"a\"", w, false),
            ("w/\"a\"", "\"a\"", w, false),
            ("", "\"a\"", w, false),
            ("\"a\\\"", "\"a\\\"", s, true),
            ("\"a\", *", "\"b\"", w, false),
            ("\"\"", "\"\"", s, true),
            ("junk, \"a\"", "\"a\"", s, true),
            ("\"A\"", "\"a\"", w, false),
            ("\"b\" \"a\"", "\"a\"", w, false),
        ];
        for (list, etag, strength, expected) in table {
            assert_eq!(matches(list.as_bytes(), etag.as_bytes(), strength), expected, "{list} {etag} {strength:?}");
        }
    }

    #[test]
    fn a_long_list_matches_as_a_short_one() {
        let many: String = (0..200).map(|n| format!("W/\"{n}\", ")).collect();
        let table = [
            (format!("{many}\"a\""), Strength::Strong, true),
            (format!("\"a\", {many}"), Strength::Strong, true),
            (format!("{many}W/\"a\""), Strength::Strong, false),
            (format!("{many}W/\"a\""), Strength::Weak, true),
            (format!("{many}\"a\"x"), Strength::Weak, false),
            (many.clone(), Strength::Weak, false),
            (format!("{}*", " ".repeat(200)), Strength::Strong, true),
        ];
        for (list, strength, expected) in table {
            for etag in [&b"\"a\""[..], b"W/\"a\""] {
                let expected = expected && (strength == Strength::Weak || etag[0] == b'"' || list.ends_with('*'));
                assert_eq!(matches(list.as_bytes(), etag, strength), expected, "{list} {strength:?}");
            }
        }
    }
}

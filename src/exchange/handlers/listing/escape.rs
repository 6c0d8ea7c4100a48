//! Names into URIs, HTML, JSON and numbers into digits, appended to a buffer.
//!
//! The nginx formats escape what nginx escapes and nothing else ([`html`], [`json`], [`uri`]); the page
//! uses [`text`], which is strict: always valid UTF-8, no control characters, no bidi overrides.

pub use crate::http::escape::{escape_component as uri, json_escape_as_nginx as json};
pub use crate::util::decimal::push as number;

/// nginx's four entities; every other byte passes as it is.
pub fn html(bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'<' | b'>' | b'&' | b'"')) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        out.extend_from_slice(match special.first() {
            Some(b'<') => b"&lt;",
            Some(b'>') => b"&gt;",
            Some(b'&') => b"&amp;",
            _ => b"&quot;",
        });
        rest = special.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// Text or a double-quoted attribute of the page. Bytes that are not UTF-8 become U+FFFD; control
/// characters become their visible pictures, so that a newline in a name is seen; bidi embeddings,
/// overrides and isolates become U+FFFD, so that `gpj.exe` cannot pose as `exe.jpg`.
pub fn text(bytes: &[u8], out: &mut Vec<u8>) {
    if bytes.iter().all(|byte| matches!(byte, 0x20..=0x7e)) {
        return html(bytes, out);
    }
    let mut utf8 = [0; 4];
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            let shown = match char {
                '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + u32::from(char)).unwrap_or('\u{fffd}'),
                '\u{7f}' => '\u{2421}',
                '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
                char => char,
            };
            html(shown.encode_utf8(&mut utf8).as_bytes(), out);
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// Decimal digits with a mark between groups of three.
pub fn grouped(n: u64, mark: &str, out: &mut Vec<u8>) {
    let mut digits = Vec::with_capacity(20);
    number(n, 0, &mut digits);
    for (index, digit) in digits.iter().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.extend_from_slice(mark.as_bytes());
        }
        out.push(*digit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn names_are_escaped_for_where_they_stand() {
        assert_eq!(made(|out| uri(b"a b/\xff:%-._~\"", out)), "a%20b%2F%FF%3A%25-._~%22");
        assert_eq!(made(|out| html(b"<a href=\"x\">&'", out)), "&lt;a href=&quot;x&quot;&gt;&amp;'");
        assert_eq!(
            made(|out| json(b"\"\\\n\r\t\x08\x0c\x01\x1f\x7f", out)),
            "\\\"\\\\\\n\\r\\t\\b\\f\\u0001\\u001F\x7f"
        );
        let table: &[(&str, &[u8], &str)] = &[
            ("plain", b"a.txt", "a.txt"),
            ("markup", b"<b>&\"", "&lt;b&gt;&amp;&quot;"),
            ("markup among UTF-8", "é<".as_bytes(), "é&lt;"),
            ("not UTF-8", b"a\xffb\xc3", "a\u{fffd}b\u{fffd}"),
            ("a newline is seen", b"a\nb", "a\u{240a}b"),
            ("an override is defused", "a\u{202e}gpj.exe".as_bytes(), "a\u{fffd}gpj.exe"),
        ];
        for (name, input, expected) in table {
            assert_eq!(made(|out| text(input, out)), *expected, "{name}");
        }
    }

    #[test]
    fn numbers_are_padded_and_grouped() {
        let table: &[(u64, usize, &str, &str)] = &[
            (0, 0, "0", "0"),
            (7, 4, "   7", "7"),
            (123_456, 6, "123456", "123,456"),
            (1000, 2, "1000", "1,000"),
            (u64::MAX, 19, "18446744073709551615", "18,446,744,073,709,551,615"),
        ];
        for (n, width, padded, groups) in table {
            assert_eq!(made(|out| number(*n, *width, out)), *padded);
            assert_eq!(made(|out| grouped(*n, ",", out)), *groups);
        }
    }
}

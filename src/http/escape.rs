//! Writing untrusted text into URIs, HTML and JSON, and the lenient %-decoding of arguments. All append to `out`.

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// `%` and the byte's two digits.
pub fn push_escaped(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// A path for `Location` or an `href`. Kept: unreserved, `/`, and the sub-delims that mean nothing in a path and
/// nothing in HTML. `:` is escaped (`javascript:` as a relative reference), and so is the second of two leading
/// slashes (`//evil.test/` would name another host); our own decoding reads both back.
pub fn escape_path(path: &[u8], out: &mut Vec<u8>) {
    for (i, &b) in path.iter().enumerate() {
        let is_plain =
            is_unreserved(b) || matches!(b, b'/' | b'!' | b'$' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b'@');
        if !is_plain || i == 1 && path.starts_with(b"//") {
            push_escaped(b, out);
        } else {
            out.push(b);
        }
    }
}

/// A path in a request line or a `Location` (nginx's NGX_ESCAPE_URI): what would end it, and what no URI holds.
pub fn escape_uri(path: &[u8], out: &mut Vec<u8>) {
    for &b in path {
        match b {
            0..=b' ' | 0x7f.. | b'"' | b'#' | b'%' | b'<' | b'>' | b'?' => push_escaped(b, out),
            b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => push_escaped(b, out),
            _ => out.push(b),
        }
    }
}

/// One component (a segment, an argument's name or value): only unreserved bytes are kept.
pub fn escape_component(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|b| !is_unreserved(*b)) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((&byte, after)) = special.split_first() else { break };
        push_escaped(byte, out);
        rest = after;
    }
    out.extend_from_slice(rest);
}

/// The inside of a JSON string as nginx writes it, in listings and in logs, but always UTF-8: collectors drop a
/// line with bytes that are none, so U+FFFD stands for these.
pub fn json_escape_as_nginx(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid().as_bytes();
        while let Some(at) = rest.iter().position(|byte| matches!(byte, 0..=0x1f | b'\\' | b'"')) {
            let (run, tail) = rest.split_at(at);
            out.extend_from_slice(run);
            let byte = tail[0];
            match byte {
                b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                0x08 => out.extend_from_slice(b"\\b"),
                0x0c => out.extend_from_slice(b"\\f"),
                _ => {
                    out.extend_from_slice(b"\\u00");
                    out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                }
            }
            rest = &tail[1..];
        }
        out.extend_from_slice(rest);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// Text that goes into arguments: what would end or join them, blanks, controls and what no URI holds.
pub fn escape_args(text: &[u8], out: &mut Vec<u8>) {
    for &b in text {
        match b {
            0..=b' ' | 0x7f.. => push_escaped(b, out),
            b'"' | b'#' | b'%' | b'&' | b'+' | b';' | b'<' | b'>' | b'?' => push_escaped(b, out),
            b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => push_escaped(b, out),
            _ => out.push(b),
        }
    }
}

/// The byte that `%` and these two digits stand for.
pub fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    Some(digit(high)? << 4 | digit(low)?)
}

/// Decodes `%XX`; what is no such escape stays as it is. `+` stays `+`, as in nginx. For arguments: paths go through
/// `uri::normalize`.
pub fn unescape(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'%', rest) {
        out.extend_from_slice(&rest[..at]);
        match rest.get(at + 1..at + 3).and_then(|pair| hex_pair(pair[0], pair[1])) {
            Some(byte) => {
                out.push(byte);
                rest = &rest[at + 3..];
            }
            None => {
                out.push(b'%');
                rest = &rest[at + 1..];
            }
        }
    }
    out.extend_from_slice(rest);
}

/// Text or a quoted attribute of an HTML page.
pub fn html_escape(text: &[u8], out: &mut Vec<u8>) {
    for &b in text {
        match b {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            _ => out.push(b),
        }
    }
}

/// The inside of a JSON string. What is not UTF-8 becomes U+FFFD; `<` is escaped too, so that the text may stand in a
/// `<script>`.
pub fn json_escape(text: &[u8], out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        for &b in chunk.valid().as_bytes() {
            match b {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                0..=0x1f | 0x7f | b'<' => {
                    out.extend_from_slice(b"\\u00");
                    out.extend_from_slice(&[HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
                }
                _ => out.push(b),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// Encodes base64 (RFC 4648 §4), padded.
pub fn to_base64(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let byte = |at: usize| group.get(at).copied().map_or(0, u32::from);
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            out.push(if at <= group.len() { DIGITS[(bits >> (18 - 6 * at) & 63) as usize] } else { b'=' });
        }
    }
}

/// Encodes base64url (RFC 4648 §5), without padding.
pub fn base64url(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    to_base64(bytes, &mut out);
    let plain = out.iter().filter(|byte| **byte != b'=').map(|byte| match byte {
        b'+' => '-',
        b'/' => '_',
        byte => char::from(*byte),
    });
    plain.collect()
}

/// Decodes base64url, or base64, padded or not. None: it is neither.
pub fn from_base64url(text: &[u8]) -> Option<Vec<u8>> {
    let unpadded = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let standard = |byte: &u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        byte => *byte,
    };
    let mut padded: Vec<u8> = text.get(..unpadded)?.iter().map(standard).collect();
    padded.resize(padded.len().next_multiple_of(4), b'=');
    let mut out = Vec::new();
    base64(&padded, &mut out).then_some(out)
}

/// Decodes base64 (RFC 4648 §4, padding optional) to the end of `out`. False, with `out` as it was, where it is not
/// base64.
pub fn base64(text: &[u8], out: &mut Vec<u8>) -> bool {
    let digits = text.iter().rposition(|b| *b != b'=').map_or(0, |last| last + 1);
    let start = out.len();
    let (mut bits, mut count) = (0u32, 0);
    for &byte in &text[..digits] {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => {
                out.truncate(start);
                return false;
            }
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    if digits % 4 == 1 {
        out.truncate(start);
    }
    digits % 4 != 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(escape: fn(&[u8], &mut Vec<u8>), text: &[u8]) -> String {
        let mut out = Vec::new();
        escape(text, &mut out);
        String::from_utf8(out).expect("an escape writes UTF-8 here")
    }

    #[test]
    fn a_path_is_escaped_so_that_it_reads_back_and_names_no_other_host() {
        let table: [(&[u8], &str); 9] = [
            (b"/a b", "/a%20b"),
            (b"/\xc3\xa9%?#", "/%C3%A9%25%3F%23"),
            (b"//evil.test/x", "/%2Fevil.test/x"),
            (b"/\\evil.test", "/%5Cevil.test"),
            (b"/a//b", "/a//b"),
            (b"javascript:x", "javascript%3Ax"),
            (b"/a'b\"<c>&d", "/a%27b%22%3Cc%3E%26d"),
            (b"/a\r\nX: y\0\x7f", "/a%0D%0AX%3A%20y%00%7F"),
            (b"/!$()*+,;=@-._~", "/!$()*+,;=@-._~"),
        ];
        for (path, expected) in table {
            assert_eq!(run(escape_path, path), expected);
            let mut back = Vec::new();
            unescape(expected.as_bytes(), &mut back);
            assert_eq!(back, path);
        }
    }

    #[test]
    fn the_alphabet_of_urls_goes_both_ways() {
        for (bytes, text) in [(&b""[..], ""), (b"\xfb\xff", "-_8"), (b"abc", "YWJj"), (b"a", "YQ")] {
            assert_eq!(base64url(bytes), text);
            assert_eq!(from_base64url(text.as_bytes()).as_deref(), Some(bytes), "{text}");
        }
        assert_eq!(from_base64url(b"YQ=="), Some(b"a".to_vec()));
        assert_eq!(from_base64url(b"Y!"), None);
    }

    #[test]
    fn components_html_and_json_are_escaped() {
        assert_eq!(run(escape_component, b"a/b&c=d+e f"), "a%2Fb%26c%3Dd%2Be%20f");
        assert_eq!(run(html_escape, b"<a href='x' b=\"y\">&"), "&lt;a href=&#39;x&#39; b=&quot;y&quot;&gt;&amp;");
        assert_eq!(
            run(json_escape, b"a\"\\\n\r\t\x01</script>\xff\xc3\xa9"),
            "a\\\"\\\\\\n\\r\\t\\u0001\\u003C/script>\u{fffd}\u{e9}"
        );
        assert_eq!(
            run(json_escape_as_nginx, b"a\"\\\n\r\t\x08\x0c\x1f<\xff\xc3\xa9"),
            "a\\\"\\\\\\n\\r\\t\\b\\f\\u001F<\u{fffd}\u{e9}"
        );
        let args = b"a=/b c&\"#%+;<>?\\^`{|}\x7f\xe9\n";
        assert_eq!(run(escape_args, args), "a=/b%20c%26%22%23%25%2B%3B%3C%3E%3F%5C%5E%60%7B%7C%7D%7F%E9%0A");
    }

    #[test]
    fn base64_reads_back() {
        for (text, expected) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob\u{ff}", "Zm9vYsO/")] {
            assert_eq!(run(to_base64, text.as_bytes()), expected);
            let mut back = Vec::new();
            assert!(base64(expected.as_bytes(), &mut back));
            assert_eq!(back, text.as_bytes());
        }
    }

    #[test]
    fn unescaping_leaves_what_is_no_escape() {
        let table = [("a%20b", "a b"), ("%", "%"), ("%4", "%4"), ("%zz%41", "%zzA"), ("a+b", "a+b"), ("%%41", "%A")];
        for (text, expected) in table {
            assert_eq!(run(unescape, text.as_bytes()), expected, "{text}");
        }
    }
}

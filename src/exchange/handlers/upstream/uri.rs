//! The target of a passed request: the client's own, or one in which the URI part of proxy_pass replaces the location
//! prefix.

use crate::http::escape::{escape_uri, push_escaped};

/// The parts of the request's URI.
pub struct Uri<'a> {
    /// Path and arguments as sent by the client; None if a rewrite or an internal redirect has changed them.
    pub raw: Option<&'a [u8]>,
    /// The current normalised path and arguments.
    pub path: &'a [u8],
    /// Whether the path is passed escaped: the client sent it with escapes, or it does not come from the client.
    /// Otherwise it is passed unchanged.
    pub is_escaped: bool,
    /// The current arguments, without `?`.
    pub args: &'a [u8],
}

/// Appends the part of `uri` after the location's name to `part`, in the empty buffer `out`. `location`: the length of
/// that name; None if a rewrite with `break` has changed the URI, which is then passed as a whole (nginx).
pub fn target(part: &[u8], location: Option<usize>, uri: &Uri<'_>, mut out: Vec<u8>) -> Vec<u8> {
    if let (b"", Some(raw)) = (part, uri.raw) {
        // `GET http://host?x` has no path.
        if !raw.starts_with(b"/") {
            out.push(b'/');
        }
        out.extend_from_slice(raw);
        return out;
    }
    out.reserve(part.len() + uri.path.len() + uri.args.len() + 16);
    let rest = match location {
        Some(len) if !part.is_empty() => {
            out.extend_from_slice(part);
            uri.path.get(len..).unwrap_or_default()
        }
        _ => uri.path,
    };
    if uri.is_escaped {
        escape_uri(rest, &mut out)
    } else {
        out.extend_from_slice(rest)
    }
    if !uri.args.is_empty() {
        out.push(b'?');
        out.extend_from_slice(uri.args);
    }
    escape_controls(&mut out);
    out
}

/// Escapes blanks and control bytes, which may come from variables, so that they cannot split the request line.
pub fn escape_controls(target: &mut Vec<u8>) {
    let is_bad = |b: &u8| *b <= b' ' || *b == 0x7f;
    if target.iter().any(is_bad) {
        let mut clean = Vec::with_capacity(target.len() + 8);
        for b in target.iter() {
            if is_bad(b) { push_escaped(*b, &mut clean) } else { clean.push(*b) }
        }
        *target = clean;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_location_prefix_is_replaced_by_the_uri_part() {
        let table = [
            ("no URI part: as it came", "", Some(3), Some("/a%2fb/../c?x=1"), "/c", "x=1", "/a%2fb/../c?x=1"),
            ("no URI part, rewritten", "", Some(3), None, "/c d", "x=1", "/c%20d?x=1"),
            ("the prefix is replaced", "/y/", Some(3), Some("/x/1"), "/x/1", "", "/y/1"),
            ("a slash alone", "/", Some(3), Some("/x/1"), "/x/1", "a", "/1?a"),
            ("nginx joins without thinking", "/y", Some(3), Some("/x/1"), "/x/1", "", "/y1"),
            ("nor does it drop a slash", "/y/", Some(2), Some("/x/1"), "/x/1", "", "/y//1"),
            ("after break the URI stays", "/y/", None, None, "/z", "", "/z"),
            ("decoded bytes are escaped", "/y/", Some(1), Some("/%20"), "/ %?#\u{e9}", "", "/y/%20%25%3F%23%C3%A9"),
            ("and so is what no URI holds", "/y/", Some(1), Some("/%3C"), "/<\"{", "", "/y/%3C%22%7B"),
            ("what came without escapes stays", "/y/", Some(1), Some("/<|"), "/<|", "", "/y/<|"),
            ("a prefix longer than the URI", "/y", Some(9), Some("/x"), "/x", "", "/y"),
            ("no path at all", "", Some(1), Some("?q"), "/", "q", "/?q"),
            ("arguments cannot split the line", "/y", Some(2), None, "/x", "a b\r\nc", "/y?a%20b%0D%0Ac"),
        ];
        for (name, part, location, raw, path, args, expected) in table {
            let is_escaped = raw.is_none_or(|raw| raw.contains('%'));
            let uri = Uri { raw: raw.map(str::as_bytes), path: path.as_bytes(), is_escaped, args: args.as_bytes() };
            let got = target(part.as_bytes(), location, &uri, Vec::new());
            assert_eq!(String::from_utf8_lossy(&got), expected, "{name}");
        }
    }
}

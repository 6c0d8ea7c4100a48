//! Media types by file name extension, where the configuration has no `types`: the table of `conf/mime.types`, which is
//! compiled in, then the larger one of a crate. One table for both, so that including the file changes nothing for the
//! extensions it names.

use std::collections::HashMap;
use std::sync::LazyLock;

/// nginx's syntax: `type ext ext;`, one entry a line.
const TABLE: &str = include_str!("../../conf/mime.types");

static BY_EXTENSION: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    let entries = TABLE.lines().filter_map(|line| line.split('#').next()?.trim().strip_suffix(';'));
    let pairs = entries.flat_map(|entry| {
        let mut words = entry.split_whitespace();
        let kind = words.next().unwrap_or_default();
        words.map(move |extension| (extension, kind))
    });
    pairs.collect()
});

/// The media type of this extension, which is in lower case and without its dot. None: unknown.
pub fn of_extension(extension: &[u8]) -> Option<&'static str> {
    let extension = std::str::from_utf8(extension).ok()?;
    BY_EXTENSION.get(extension).copied().or_else(|| mime_guess::from_ext(extension).first_raw())
}

/// The registered name of a type: JavaScript has two that mean the same (RFC 9239 §6), and every tutorial's list of
/// types names the other one.
pub fn canonical(name: &[u8]) -> &[u8] {
    const ALIASES: [&[u8]; 3] = [b"application/javascript", b"application/x-javascript", b"text/ecmascript"];
    if ALIASES.iter().any(|alias| alias.eq_ignore_ascii_case(name)) { b"text/javascript" } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_scripts_and_packages_have_the_types_their_players_want() {
        let table = [
            ("m4s", "video/iso.segment"),
            ("ts", "video/mp2t"),
            ("mpd", "application/dash+xml"),
            ("m3u8", "application/vnd.apple.mpegurl"),
            ("js", "text/javascript"),
            ("mjs", "text/javascript"),
            ("map", "application/json"),
            ("rpm", "application/x-rpm"),
            ("zst", "application/zstd"),
            ("br", "application/x-brotli"),
            ("html", "text/html"),
            ("xspf", "application/xspf+xml"),
            ("swf", "application/x-shockwave-flash"),
            ("jnlp", "application/x-java-jnlp-file"),
            ("asf", "video/x-ms-asf"),
            // Only the crate knows it.
            ("azw", "application/vnd.amazon.ebook"),
        ];
        for (extension, expected) in table {
            assert_eq!(of_extension(extension.as_bytes()), Some(expected), "{extension}");
        }
        assert_eq!(of_extension(b"no-such-extension"), None);
        assert_eq!(of_extension(b"\xff"), None);
    }

    #[test]
    fn each_extension_stands_once_in_the_table() {
        let mut seen = std::collections::HashSet::new();
        for line in TABLE.lines().filter(|line| line.trim_end().ends_with(';')) {
            for extension in line.trim().trim_end_matches(';').split_whitespace().skip(1) {
                assert!(seen.insert(extension), "{extension}");
            }
        }
        assert!(seen.len() > 100);
    }
}

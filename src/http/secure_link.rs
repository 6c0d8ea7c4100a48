//! nginx's secure links: an MD5 of what the configuration names, in base64url, with a time after a comma; or, as they
//! were first, in hexadecimal digits as a segment of the URI. MD5 is what existing sites sign with; `signed_link` is
//! better.

use super::escape;
use super::signed_link::same;
use md5::{Digest, Md5};

/// When a link expires: Unix time, and the text of it.
type Expires<'l> = Option<(i64, &'l [u8])>;

/// What a link says of itself: the MD5, and when it ends.
pub fn split(link: &[u8]) -> Option<(&[u8], Expires<'_>)> {
    let Some(comma) = memchr::memchr(b',', link) else { return Some((link, None)) };
    let text = link.get(comma + 1..)?;
    let is_time = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let time: i64 = std::str::from_utf8(text).ok().filter(|_| is_time)?.parse().ok()?;
    (time > 0).then_some((link.get(..comma)?, Some((time, text))))
}

/// Whether `sum` is the MD5 of `text` in base64url, and not in the alphabet with `+` and `/`.
pub fn is_right(sum: &[u8], text: &[u8]) -> bool {
    // What follows the padding is not looked at (nginx).
    let digits = sum.split(|byte| *byte == b'=').next().unwrap_or_default();
    let is_url_safe = !digits.iter().any(|byte| matches!(byte, b'+' | b'/'));
    sum.len() <= 24
        && is_url_safe
        && escape::from_base64url(digits).is_some_and(|bytes| same(&bytes, &Md5::digest(text)))
}

/// `/prefix/MD5/link` of the URI as it was sent: the link, where its MD5 with the secret is right.
pub fn of_uri<'u>(uri: &'u [u8], secret: &[u8]) -> Option<&'u [u8]> {
    let rest = uri.get(1..)?;
    let rest = rest.get(memchr::memchr(b'/', rest)? + 1..)?;
    let (sum, link) = rest.split_at(memchr::memchr(b'/', rest)?);
    let link = link.get(1..).filter(|link| !link.is_empty())?;
    let hex: String =
        Md5::new().chain_update(link).chain_update(secret).finalize().iter().map(|b| format!("{b:02x}")).collect();
    same(&sum.to_ascii_lowercase(), hex.as_bytes()).then_some(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_the_documentation_are_right() {
        // printf '2147483647/s/link127.0.0.1 secret' | openssl md5 -binary | openssl base64 | tr +/ -_ | tr -d =
        assert!(is_right(b"_e4Nc3iduzkWRm01TBBNYw", b"2147483647/s/link127.0.0.1 secret"));
        assert!(is_right(b"_e4Nc3iduzkWRm01TBBNYw==", b"2147483647/s/link127.0.0.1 secret"));
        assert!(!is_right(b"_e4Nc3iduzkWRm01TBBNYw", b"2147483648/s/link127.0.0.1 secret"));
        for wrong in
            [&b""[..], b"_e4N", b"????", b"/e4Nc3iduzkWRm01TBBNYw", b"_e4Nc3iduzkWRm01TBBNYw_e4Nc3iduzkWRm01TBBNYw"]
        {
            assert!(!is_right(wrong, b"2147483647/s/link127.0.0.1 secret"));
        }
        // printf 'linksecret' | openssl md5 -hex
        let sum = "08a28b81cc37ac1ff0f2e7a0cb2ab1a2";
        let right: String = Md5::digest(b"linksecret").iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(of_uri(format!("/p/{right}/link").as_bytes(), b"secret"), Some(&b"link"[..]));
        for wrong in
            [format!("/p/{sum}/other"), format!("/p/{right}/"), format!("/p/{right}"), "/".into(), String::new()]
        {
            assert_eq!(of_uri(wrong.as_bytes(), b"secret"), None, "{wrong}");
        }
    }

    #[test]
    fn a_time_stands_behind_a_comma() {
        assert_eq!(split(b"x"), Some((&b"x"[..], None)));
        assert_eq!(split(b"x,12"), Some((&b"x"[..], Some((12, &b"12"[..])))));
        for wrong in ["x,", "x,0", "x,-1", "x,1a", "x,99999999999999999999"] {
            assert_eq!(split(wrong.as_bytes()), None, "{wrong}");
        }
    }
}

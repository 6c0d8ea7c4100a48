//! The static table (RFC 7541 appendix A), which both directions share.

use crate::http::header::HeaderId;
use HeaderId::*;

/// Appendix A; index 1 is the first row.
pub static STATIC: [(&[u8], &[u8], HeaderId); 61] = [
    (b":authority", b"", Other),
    (b":method", b"GET", Other),
    (b":method", b"POST", Other),
    (b":path", b"/", Other),
    (b":path", b"/index.html", Other),
    (b":scheme", b"http", Other),
    (b":scheme", b"https", Other),
    (b":status", b"200", Other),
    (b":status", b"204", Other),
    (b":status", b"206", Other),
    (b":status", b"304", Other),
    (b":status", b"400", Other),
    (b":status", b"404", Other),
    (b":status", b"500", Other),
    (b"accept-charset", b"", AcceptCharset),
    (b"accept-encoding", b"gzip, deflate", AcceptEncoding),
    (b"accept-language", b"", AcceptLanguage),
    (b"accept-ranges", b"", AcceptRanges),
    (b"accept", b"", Accept),
    (b"access-control-allow-origin", b"", Other),
    (b"age", b"", Other),
    (b"allow", b"", Other),
    (b"authorization", b"", Authorization),
    (b"cache-control", b"", CacheControl),
    (b"content-disposition", b"", ContentDisposition),
    (b"content-encoding", b"", ContentEncoding),
    (b"content-language", b"", Other),
    (b"content-length", b"", ContentLength),
    (b"content-location", b"", Other),
    (b"content-range", b"", ContentRange),
    (b"content-type", b"", ContentType),
    (b"cookie", b"", Cookie),
    (b"date", b"", Date),
    (b"etag", b"", Etag),
    (b"expect", b"", Expect),
    (b"expires", b"", Expires),
    (b"from", b"", Other),
    (b"host", b"", Host),
    (b"if-match", b"", IfMatch),
    (b"if-modified-since", b"", IfModifiedSince),
    (b"if-none-match", b"", IfNoneMatch),
    (b"if-range", b"", IfRange),
    (b"if-unmodified-since", b"", IfUnmodifiedSince),
    (b"last-modified", b"", LastModified),
    (b"link", b"", Other),
    (b"location", b"", Location),
    (b"max-forwards", b"", Other),
    (b"proxy-authenticate", b"", Other),
    (b"proxy-authorization", b"", ProxyAuthorization),
    (b"range", b"", Range),
    (b"referer", b"", Referer),
    (b"refresh", b"", Refresh),
    (b"retry-after", b"", Other),
    (b"server", b"", Server),
    (b"set-cookie", b"", SetCookie),
    (b"strict-transport-security", b"", Other),
    (b"transfer-encoding", b"", TransferEncoding),
    (b"user-agent", b"", UserAgent),
    (b"vary", b"", Vary),
    (b"via", b"", Via),
    (b"www-authenticate", b"", WwwAuthenticate),
];

/// The first index of the dynamic table (§2.3.3).
pub const FIRST_DYNAMIC: usize = STATIC.len() + 1;

/// The longest static name, and the most of one length.
const LONGEST: usize = 27;
const MAX_OF_LENGTH: usize = 8;

/// Indices of static names by length, each name once; pseudo-header fields are not among them.
static BY_LEN: [[u8; MAX_OF_LENGTH]; LONGEST + 1] = {
    let mut found = [[0; MAX_OF_LENGTH]; LONGEST + 1];
    let mut used = [0; LONGEST + 1];
    let mut at = 14;
    while at < STATIC.len() {
        let len = STATIC[at].0.len();
        found[len][used[len]] = at as u8 + 1;
        used[len] += 1;
        at += 1;
    }
    found
};

/// The index of a static name, in any case; 0 where it is none, or a pseudo-header field's.
pub fn static_name(name: &[u8]) -> u8 {
    let Some(row) = BY_LEN.get(name.len()) else { return 0 };
    let is = |index: &&u8| **index > 0 && STATIC[usize::from(**index) - 1].0.eq_ignore_ascii_case(name);
    row.iter().find(is).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_static_table_knows_its_names_and_their_ids() {
        for (at, (name, _, id)) in STATIC.iter().enumerate() {
            let pseudo = name.starts_with(b":");
            assert_eq!(*id, HeaderId::of(name), "{at}");
            assert_eq!(usize::from(static_name(name)), if pseudo { 0 } else { at + 1 }, "{at}");
        }
        assert_eq!((static_name(b"Content-Type"), static_name(b"x"), static_name(b"")), (31, 0, 0));
        assert_eq!(static_name(&[b'a'; 40]), 0);
    }
}

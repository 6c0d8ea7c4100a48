//! Field names the server knows, the byte classes of RFC 9110 §5.6, and comma lists.

/// A field name the server acts on; `Other` for the rest, found by its bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
#[repr(u8)]
pub enum HeaderId {
    #[default]
    Other,
    Host,
    Connection,
    ContentLength,
    TransferEncoding,
    Expect,
    Range,
    IfMatch,
    IfNoneMatch,
    IfModifiedSince,
    IfUnmodifiedSince,
    IfRange,
    ContentType,
    ContentDisposition,
    UserAgent,
    Referer,
    Cookie,
    Authorization,
    AcceptEncoding,
    Accept,
    AcceptLanguage,
    AcceptCharset,
    Upgrade,
    KeepAlive,
    Te,
    Trailer,
    XForwardedFor,
    XForwardedProto,
    XRealIp,
    XRequestedWith,
    ContentDigest,
    ReprDigest,
    WantContentDigest,
    WantReprDigest,
    ContentMd5,
    ContentRange,
    ContentEncoding,
    Destination,
    Depth,
    Overwrite,
    If,
    LockToken,
    Timeout,
    Date,
    Via,
    Forwarded,
    Origin,
    CacheControl,
    Pragma,
    Prefer,
    ProxyConnection,
    UploadLength,
    UploadOffset,
    UploadMetadata,
    UploadComplete,
    UploadChecksum,
    UploadDeferLength,
    UploadConcat,
    UploadDraftInteropVersion,
    TusResumable,
    XHttpMethodOverride,
}

impl HeaderId {
    /// The id of a field name, in any case. The length decides first, so a name costs one or two comparisons.
    pub fn of(name: &[u8]) -> HeaderId {
        use HeaderId::*;
        let rows: &[(&[u8], HeaderId)] = match name.len() {
            2 => &[(b"te", Te), (b"if", If)],
            3 => &[(b"via", Via)],
            4 => &[(b"host", Host), (b"date", Date)],
            5 => &[(b"range", Range), (b"depth", Depth)],
            6 => &[
                (b"accept", Accept),
                (b"cookie", Cookie),
                (b"expect", Expect),
                (b"origin", Origin),
                (b"pragma", Pragma),
                (b"prefer", Prefer),
            ],
            7 => &[(b"referer", Referer), (b"upgrade", Upgrade), (b"trailer", Trailer), (b"timeout", Timeout)],
            8 => &[(b"if-match", IfMatch), (b"if-range", IfRange)],
            9 => &[(b"overwrite", Overwrite), (b"forwarded", Forwarded), (b"x-real-ip", XRealIp)],
            10 => &[
                (b"connection", Connection),
                (b"user-agent", UserAgent),
                (b"keep-alive", KeepAlive),
                (b"lock-token", LockToken),
            ],
            11 => &[(b"destination", Destination), (b"repr-digest", ReprDigest), (b"content-md5", ContentMd5)],
            12 => &[(b"content-type", ContentType)],
            13 => &[
                (b"if-none-match", IfNoneMatch),
                (b"cache-control", CacheControl),
                (b"authorization", Authorization),
                (b"content-range", ContentRange),
                (b"upload-length", UploadLength),
                (b"upload-offset", UploadOffset),
                (b"tus-resumable", TusResumable),
                (b"upload-concat", UploadConcat),
            ],
            14 => &[
                (b"content-length", ContentLength),
                (b"accept-charset", AcceptCharset),
                (b"content-digest", ContentDigest),
            ],
            15 => &[
                (b"accept-encoding", AcceptEncoding),
                (b"accept-language", AcceptLanguage),
                (b"x-forwarded-for", XForwardedFor),
                (b"upload-metadata", UploadMetadata),
                (b"upload-complete", UploadComplete),
                (b"upload-checksum", UploadChecksum),
            ],
            16 => &[
                (b"content-encoding", ContentEncoding),
                (b"x-requested-with", XRequestedWith),
                (b"proxy-connection", ProxyConnection),
                (b"want-repr-digest", WantReprDigest),
            ],
            17 => &[
                (b"if-modified-since", IfModifiedSince),
                (b"transfer-encoding", TransferEncoding),
                (b"x-forwarded-proto", XForwardedProto),
            ],
            19 => &[
                (b"if-unmodified-since", IfUnmodifiedSince),
                (b"content-disposition", ContentDisposition),
                (b"want-content-digest", WantContentDigest),
                (b"upload-defer-length", UploadDeferLength),
            ],
            22 => &[(b"x-http-method-override", XHttpMethodOverride)],
            28 => &[(b"upload-draft-interop-version", UploadDraftInteropVersion)],
            _ => &[],
        };
        rows.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or(Other, |(_, id)| *id)
    }
}

const fn token_table() -> [bool; 256] {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = matches!(b as u8,
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z'
            | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
        b += 1;
    }
    table
}

static TOKEN: [bool; 256] = token_table();

/// A byte of a token (RFC 9110 §5.6.2).
#[inline]
pub fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// A non-empty run of token bytes.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| is_token_byte(*b))
}

/// How many bytes from the start are token bytes.
#[inline]
pub fn token_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|b| !is_token_byte(*b)).unwrap_or(bytes.len())
}

/// A byte of a field value: HTAB, SP, visible ASCII, or obs-text (RFC 9110 §5.5).
#[inline]
pub fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

/// True when every byte may stand in a field value. Written without an early exit, so that it becomes SIMD.
#[inline]
pub fn is_field_value(bytes: &[u8]) -> bool {
    !bytes.iter().fold(false, |bad, b| bad | !is_field_byte(*b))
}

/// Without SP and HTAB at both ends.
#[inline]
pub fn trim_ows(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let [b' ' | b'\t', tail @ ..] = rest {
        rest = tail;
    }
    while let [head @ .., b' ' | b'\t'] = rest {
        rest = head;
    }
    rest
}

/// The members of a comma list, trimmed, empty ones included (the caller knows whether they matter). Commas inside
/// quoted strings do not separate.
pub fn list(value: &[u8]) -> List<'_> {
    List { rest: Some(value) }
}

/// Iterator of [`list`].
#[derive(Clone, Debug)]
pub struct List<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for List<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let (mut quoted, mut escaped) = (false, false);
        let comma = rest.iter().position(|b| {
            if escaped {
                escaped = false;
            } else {
                match b {
                    b'\\' if quoted => escaped = true,
                    b'"' => quoted = !quoted,
                    b',' if !quoted => return true,
                    _ => {}
                }
            }
            false
        });
        let (member, tail) = match comma {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        self.rest = tail;
        Some(trim_ows(member))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_name_is_known_in_any_case_and_nothing_else_is() {
        let table = [
            ("Host", HeaderId::Host),
            ("hOST", HeaderId::Host),
            ("content-length", HeaderId::ContentLength),
            ("Content_Length", HeaderId::Other),
            ("TRANSFER-ENCODING", HeaderId::TransferEncoding),
            ("If-Unmodified-Since", HeaderId::IfUnmodifiedSince),
            ("X-Anything", HeaderId::Other),
            ("Hos", HeaderId::Other),
            ("", HeaderId::Other),
        ];
        for (name, id) in table {
            assert_eq!(HeaderId::of(name.as_bytes()), id, "{name}");
        }
    }

    #[test]
    fn a_list_is_split_at_commas_outside_quotes() {
        let table: [(&str, &[&str]); 7] = [
            ("a, b", &["a", "b"]),
            ("a", &["a"]),
            ("", &[""]),
            (",a,,", &["", "a", "", ""]),
            ("\"a,b\" ,\tc", &["\"a,b\"", "c"]),
            ("\"a\\\",b\",c", &["\"a\\\",b\"", "c"]),
            ("\"open, c", &["\"open, c"]),
        ];
        for (value, members) in table {
            let got: Vec<&[u8]> = list(value.as_bytes()).collect();
            assert_eq!(got, members.iter().map(|m| m.as_bytes()).collect::<Vec<_>>(), "{value}");
        }
    }

    #[test]
    fn only_blanks_are_trimmed_and_only_text_is_a_value() {
        assert_eq!(trim_ows(b" \t a b\t "), b"a b");
        assert_eq!(trim_ows(b" \t "), b"");
        assert!(is_field_value(b"a\tb \xff"));
        for bad in [0u8, b'\r', b'\n', 0x0b, 0x1f, 0x7f] {
            assert!(!is_field_value(&[b'a', bad]), "{bad}");
        }
        assert!(is_token(b"x!#$-~") && !is_token(b"") && !is_token(b"a b") && !is_token(b"a(") && !is_token(b"\xe4"));
    }
}

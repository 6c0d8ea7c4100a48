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
    XOcMtime,
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
    ProxyAuthorization,
    ProxyConnection,
    UploadLength,
    UploadOffset,
    UploadMetadata,
    UploadComplete,
    UploadIncomplete,
    UploadChecksum,
    UploadDeferLength,
    UploadConcat,
    UploadDraftInteropVersion,
    TusResumable,
    XHttpMethodOverride,
    Server,
    SetCookie,
    Location,
    Refresh,
    LastModified,
    Etag,
    Expires,
    AcceptRanges,
    Vary,
    WwwAuthenticate,
    Status,
    XPad,
    XAccelExpires,
    XAccelRedirect,
    XAccelLimitRate,
    XAccelBuffering,
    XAccelCharset,
}

/// A 1 in each byte of a word, and the highest bit of each: bytes are looked at eight at a time.
const ONES: u64 = u64::MAX / 0xff;
const HIGH: u64 = ONES << 7;

/// A known name: its ends ([`ends`]), its bytes in lower case, its id.
struct KnownName {
    ends: (u64, u64),
    name: &'static [u8],
    id: HeaderId,
}

const fn known(name: &'static [u8], id: HeaderId) -> KnownName {
    KnownName { ends: ends(name), name, id }
}

/// The known names of one length, made when the program is.
macro_rules! names {
    ($(($name:literal, $id:ident)),*) => { const { &[$(known($name, $id)),*] } };
}

impl HeaderId {
    /// The id of a field name, in any case. The length decides first, then eight bytes at either end, which are the
    /// whole name up to sixteen: two comparisons of a word for each known name of that length.
    pub fn of(name: &[u8]) -> HeaderId {
        use HeaderId::*;
        let rows: &[KnownName] = match name.len() {
            2 => names![(b"te", Te), (b"if", If)],
            3 => names![(b"via", Via)],
            4 => names![(b"host", Host), (b"date", Date), (b"etag", Etag), (b"vary", Vary)],
            5 => names![(b"range", Range), (b"depth", Depth), (b"x-pad", XPad)],
            6 => names![
                (b"accept", Accept),
                (b"cookie", Cookie),
                (b"expect", Expect),
                (b"origin", Origin),
                (b"pragma", Pragma),
                (b"prefer", Prefer),
                (b"server", Server),
                (b"status", Status)
            ],
            7 => names![
                (b"referer", Referer),
                (b"upgrade", Upgrade),
                (b"trailer", Trailer),
                (b"timeout", Timeout),
                (b"refresh", Refresh),
                (b"expires", Expires)
            ],
            8 => names![(b"if-match", IfMatch), (b"if-range", IfRange), (b"location", Location)],
            9 => names![(b"overwrite", Overwrite), (b"forwarded", Forwarded), (b"x-real-ip", XRealIp)],
            10 => names![
                (b"connection", Connection),
                (b"user-agent", UserAgent),
                (b"keep-alive", KeepAlive),
                (b"lock-token", LockToken),
                (b"set-cookie", SetCookie),
                (b"x-oc-mtime", XOcMtime)
            ],
            11 => names![(b"destination", Destination), (b"repr-digest", ReprDigest), (b"content-md5", ContentMd5)],
            12 => names![(b"content-type", ContentType)],
            13 => names![
                (b"if-none-match", IfNoneMatch),
                (b"cache-control", CacheControl),
                (b"authorization", Authorization),
                (b"content-range", ContentRange),
                (b"upload-length", UploadLength),
                (b"upload-offset", UploadOffset),
                (b"tus-resumable", TusResumable),
                (b"upload-concat", UploadConcat),
                (b"last-modified", LastModified),
                (b"accept-ranges", AcceptRanges)
            ],
            14 => names![
                (b"content-length", ContentLength),
                (b"accept-charset", AcceptCharset),
                (b"content-digest", ContentDigest)
            ],
            15 => names![
                (b"accept-encoding", AcceptEncoding),
                (b"accept-language", AcceptLanguage),
                (b"x-forwarded-for", XForwardedFor),
                (b"upload-metadata", UploadMetadata),
                (b"upload-complete", UploadComplete),
                (b"upload-checksum", UploadChecksum),
                (b"x-accel-expires", XAccelExpires),
                (b"x-accel-charset", XAccelCharset)
            ],
            16 => names![
                (b"content-encoding", ContentEncoding),
                (b"x-requested-with", XRequestedWith),
                (b"proxy-connection", ProxyConnection),
                (b"want-repr-digest", WantReprDigest),
                (b"www-authenticate", WwwAuthenticate),
                (b"x-accel-redirect", XAccelRedirect)
            ],
            17 => names![
                (b"upload-incomplete", UploadIncomplete),
                (b"if-modified-since", IfModifiedSince),
                (b"transfer-encoding", TransferEncoding),
                (b"x-forwarded-proto", XForwardedProto),
                (b"x-accel-buffering", XAccelBuffering)
            ],
            18 => names![(b"x-accel-limit-rate", XAccelLimitRate)],
            19 => names![
                (b"proxy-authorization", ProxyAuthorization),
                (b"if-unmodified-since", IfUnmodifiedSince),
                (b"content-disposition", ContentDisposition),
                (b"want-content-digest", WantContentDigest),
                (b"upload-defer-length", UploadDeferLength)
            ],
            22 => names![(b"x-http-method-override", XHttpMethodOverride)],
            28 => names![(b"upload-draft-interop-version", UploadDraftInteropVersion)],
            _ => return Other,
        };
        let ends = ends(name);
        let found = rows.iter().find(|row| row.ends == ends);
        // What lies between the ends of a longer one decides as well.
        found.filter(|row| name.len() <= 16 || row.name.eq_ignore_ascii_case(name)).map_or(Other, |row| row.id)
    }
}

/// The first and the last bytes of a name in lower case, up to eight each; they overlap where it is shorter than both.
const fn ends(name: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
        return (lower(u64::from_le_bytes(*first)), lower(u64::from_le_bytes(*last)));
    }
    if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
        return (lower(u32::from_le_bytes(*first) as u64), lower(u32::from_le_bytes(*last) as u64));
    }
    let (mut word, mut at) = (0, 0);
    while at < name.len() {
        word = word << 8 | name[at] as u64;
        at += 1;
    }
    (lower(word), 0)
}

/// Eight bytes with their ASCII capitals as small letters.
const fn lower(word: u64) -> u64 {
    let low = word & !HIGH;
    let from_a = low + ONES * (0x80 - b'A' as u64);
    let after_z = low + ONES * (0x80 - b'Z' as u64 - 1);
    let capital = (from_a ^ after_z) & !word & HIGH;
    word | capital >> 2
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

/// Which header fields with an unusual name count; the others are dropped, silently as nginx does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UnusualNames {
    /// With a `_`, all else usual: `underscores_in_headers`.
    pub underscores: bool,
    /// All that are tokens: `ignore_invalid_headers off`.
    pub all: bool,
}

impl UnusualNames {
    /// Whether a field of that name counts. `name`: a token. Usual are letters, digits and dashes.
    pub fn keep(self, name: &[u8]) -> bool {
        self.all || name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-' || self.underscores && *b == b'_')
    }

    /// What either keeps.
    pub fn or(self, other: UnusualNames) -> UnusualNames {
        UnusualNames { underscores: self.underscores || other.underscores, all: self.all || other.all }
    }
}

/// A byte of a token (RFC 9110 §5.6.2).
#[inline]
pub fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// Of a method: capital letters, `_` and `-` (nginx). Other bytes of tokens occur in no known method: what is no HTTP, a
/// ClientHello say, is recognised by its first byte.
pub fn is_method_byte(byte: u8) -> bool {
    byte.is_ascii_uppercase() || matches!(byte, b'_' | b'-')
}

/// A non-empty run of token bytes.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| is_token_byte(*b))
}

/// How many bytes from the start are token bytes.
#[inline]
pub fn token_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    // Names are letters and dashes, mostly: eight at a time up to the first byte that is neither.
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let unusual = unusual_in_name(u64::from_le_bytes(*word));
        if unusual == 0 {
            at += 8;
            continue;
        }
        at += unusual.trailing_zeros() as usize / 8;
        if !is_token_byte(bytes[at]) {
            return at;
        }
        at += 1;
    }
    at + bytes[at..].iter().position(|b| !is_token_byte(*b)).unwrap_or(bytes.len() - at)
}

/// The highest bit of each of eight bytes that is neither a letter nor a dash.
#[inline]
const fn unusual_in_name(word: u64) -> u64 {
    // As small letters; what that makes a letter of that was none before is `@`, `[` and the like below.
    let low = (word | (ONES * 0x20)) & !HIGH;
    let letter = (low + ONES * (0x80 - b'a' as u64)) & !(low + ONES * (0x80 - b'z' as u64 - 1));
    let upper_half = (word & (ONES * 0x40)) << 1;
    let other = word ^ (ONES * b'-' as u64);
    let dash = !(((other & !HIGH) + ONES * 0x7f) | other);
    !((letter & upper_half | dash) & !word) & HIGH
}

/// A byte of a field value: HTAB, SP, visible ASCII, or obs-text (RFC 9110 §5.5).
#[inline]
pub fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

/// True when every byte may stand in a field value. Eight bytes at a time: values are short, and a loop over bytes
/// was a tenth of what a proxied request costs.
#[inline]
pub fn is_field_value(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut suspect = 0;
    for word in words {
        suspect |= controls(u64::from_le_bytes(*word));
    }
    // The last eight again rather than what is left one by one.
    match bytes.last_chunk() {
        Some(last) => suspect |= controls(u64::from_le_bytes(*last)),
        None => return rest.iter().all(|b| is_field_byte(*b)),
    }
    // Among control bytes there may be a tab, which is none here.
    suspect == 0 || bytes.iter().all(|b| is_field_byte(*b))
}

/// How many bytes from the start are such as nearly all values have: field bytes, but no tab.
#[inline]
pub fn text_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let found = controls(u64::from_le_bytes(*word));
        if found != 0 {
            // The lowest one is right; those above it may be borrowed.
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + bytes[at..].iter().position(|b| *b < b' ' || *b == 0x7f).unwrap_or(bytes.len() - at)
}

/// Appends a field value; what may not stand in one becomes a blank.
pub fn push_value(value: &[u8], out: &mut Vec<u8>) {
    match is_field_value(value) {
        true => out.extend_from_slice(value),
        false => out.extend(value.iter().map(|b| if is_field_byte(*b) { *b } else { b' ' })),
    }
}

/// Not 0 when one of eight bytes is below the space or is DEL.
#[inline]
const fn controls(word: u64) -> u64 {
    let below = word.wrapping_sub(ONES * b' ' as u64) & !word;
    let del = word ^ (ONES * 0x7f);
    (below | del.wrapping_sub(ONES) & !del) & HIGH
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
#[path = "header_tests.rs"]
mod tests;

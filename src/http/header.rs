//! Field names the server knows, and which of unusual form count. The syntax of names and values is in `field_syntax`.

/// A field name the server acts on; `Other` for the rest, found by its bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
#[repr(u8)]
pub enum HeaderId {
    /// No name of this list, or none yet.
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

/// The known names of one length, made at compile time.
macro_rules! names {
    ($(($name:literal, $id:ident)),*) => { const { &[$(known($name, $id)),*] } };
}

impl HeaderId {
    /// The id of a field name, in any case. The length decides first, then eight bytes at either end, which are the
    /// whole name up to sixteen: two comparisons of a word for each known name of that length, the frequent ones first.
    pub fn of(name: &[u8]) -> HeaderId {
        use HeaderId::*;
        let rows: &[KnownName] = match name.len() {
            2 => names![(b"te", Te), (b"if", If)],
            3 => names![(b"via", Via)],
            4 => names![(b"host", Host), (b"date", Date), (b"etag", Etag), (b"vary", Vary)],
            5 => names![(b"range", Range), (b"depth", Depth), (b"x-pad", XPad)],
            6 => names![
                (b"accept", Accept),
                (b"server", Server),
                (b"cookie", Cookie),
                (b"expect", Expect),
                (b"origin", Origin),
                (b"pragma", Pragma),
                (b"prefer", Prefer),
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
                (b"last-modified", LastModified),
                (b"cache-control", CacheControl),
                (b"accept-ranges", AcceptRanges),
                (b"if-none-match", IfNoneMatch),
                (b"authorization", Authorization),
                (b"content-range", ContentRange),
                (b"upload-length", UploadLength),
                (b"upload-offset", UploadOffset),
                (b"tus-resumable", TusResumable),
                (b"upload-concat", UploadConcat)
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

#[cfg(test)]
mod tests;

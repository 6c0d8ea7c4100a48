//! The head of a response as data, in nginx's order of fields: what a protocol needs to write it. Nothing of a
//! connection is in it.

use super::fields::Fields;
use super::status::Status;
use crate::util::decimal;

/// HTTP/1 text for the head of a response with the whole of a file, made once a file
/// ([`FileResponse`](super::file_response::FileResponse)): only [`encode::head`](super::h1::encode::head) can read it.
#[derive(Clone, Copy)]
pub struct CachedHead<'a> {
    /// `Content-Length` and `Last-Modified`.
    pub(super) lines: &'a [u8],
    /// The same and all that follows in the head of a response that keeps its connection and has nothing unusual.
    pub(super) end: &'a [u8],
    /// The ETag in `end`.
    pub(super) etag: &'a [u8],
}

/// How a client sees where a body ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delimiter {
    /// By its length, which it knows before; or there is no body.
    #[default]
    Length,
    /// By a mark behind it: a last chunk or frame.
    Mark,
    /// By the end of the connection.
    Close,
}

/// All that a protocol writes as the head of a final response. The order of the lines is each encoder's.
pub struct ResponseHead<'a> {
    pub status: Status,
    /// An upstream's words for it.
    pub reason: Option<&'a [u8]>,
    /// Empty: the response has none, as that of date.
    pub server: &'a [u8],
    /// IMF-fixdate (RFC 9110 §5.6.7), or empty.
    pub date: &'a [u8],
    pub content_type: Option<&'a [u8]>,
    /// Of the body, where it is known and announced.
    pub length: Option<u64>,
    /// IMF-fixdate.
    pub last_modified: Option<&'a [u8]>,
    /// Absolute or relative, as it is to be sent; escaped already.
    pub location: Option<&'a [u8]>,
    /// 101: the connection changes its protocol.
    pub upgrade: bool,
    /// With its quotes.
    pub etag: Option<&'a [u8]>,
    /// All that has no member of its own, in the order it is sent.
    pub fields: &'a Fields,
    /// `Accept-Ranges: bytes` is sent.
    pub accept_ranges: bool,
    /// It is of a whole file, which has its length and last_modified ready.
    pub file: Option<CachedHead<'a>>,
}

impl ResponseHead<'_> {
    /// Every field in order, for protocols that write fields one by one.
    pub fn each(&self, mut field: impl FnMut(&[u8], &[u8])) {
        for (name, value) in [(&b"server"[..], self.server), (b"date", self.date)] {
            if !value.is_empty() {
                field(name, value);
            }
        }
        let mut digits = [0; decimal::DIGITS];
        let length = self.length.map(|bytes| decimal::digits(bytes, &mut digits));
        let known = [
            (&b"content-type"[..], self.content_type),
            (b"content-length", length),
            (b"last-modified", self.last_modified),
            (b"location", self.location),
            (b"etag", self.etag),
        ];
        for (name, value) in known {
            if let Some(value) = value {
                field(name, value);
            }
        }
        self.fields.iter().for_each(|(name, value)| field(name, value));
        if self.accept_ranges {
            field(b"accept-ranges", b"bytes");
        }
    }
}

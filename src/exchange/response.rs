//! A response as data: what a handler decided and the filters complete, before it becomes bytes.

use super::body_encoder::{Encoder, Source};
pub use super::content_type::ContentType;
use super::filters::ssi::state::Gathered;
use crate::config::settings::charset::Recode;
use crate::http::cond::Validators;
use crate::http::date;
use crate::http::etag::ETag;
use crate::http::fields::Fields;
use crate::http::range::{self, ByteRange};
use crate::http::status::Status;
use crate::services::open_files::OpenFile;
use crate::util::reuse::emptied;
use std::cell::Cell;
use std::rc::Rc;

/// How much of a response has been decided: `$status` and `$sent_http_content_length` have no value before (nginx).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decided {
    /// No phase or handler has decided.
    #[default]
    Nothing,
    /// The status, not its body.
    Status,
    /// Status and body.
    Whole,
}

/// The response that a handler decided on; filters change it before its head is written.
#[derive(Default)]
pub struct Response {
    /// `$status`; nginx's own codes become 400 when the head is written.
    pub status: Status,
    /// How much of it is decided.
    pub decided: Decided,
    /// Content-Type, with its charset once the filter has run.
    pub content_type: ContentType,
    /// The body, as the handler gave it or a filter changed it.
    pub body: Body,
    /// Sent as ETag, and compared with the request's.
    pub etag: Option<ETag>,
    /// Unix seconds and the same as HTTP writes it.
    pub last_modified: Option<(i64, [u8; 29])>,
    /// More header fields.
    pub fields: Fields,
    /// `Location`, not yet made absolute.
    pub location: Option<Vec<u8>>,
    /// Repr-Digest of the file that is the body.
    pub digest: Option<Rc<[u8]>>,
    /// Range requests are allowed.
    pub ranges: bool,
    /// The body carries a Content-Encoding already.
    pub encoded: bool,
    /// The recoding (charset_map) of the file's bytes as they are sent.
    pub recode: Option<Recode>,
    /// Encodes the pieces of a streamed body (gzip, charset).
    pub encoder: Option<Box<Encoder>>,
    /// Bytes that were compressed, and what they became (`$gzip_ratio`).
    pub tally: Option<Rc<Cell<(u64, u64)>>>,
    /// The Content-Length of the head.
    pub announced: Option<u64>,
    /// The body is an upstream's page, which is read for SSI commands once it is whole.
    pub gathered: Option<Box<Gathered>>,
    /// Trailer fields, sent behind the last chunk or frame.
    pub trailers: Fields,
    /// An upstream's own reason phrase, `Server` and `Date`.
    pub reason: Option<Box<[u8]>>,
    /// `Server`, where proxy_pass_header lets it pass.
    pub server: Option<Box<[u8]>>,
    /// `Date`, likewise.
    pub date: Option<Box<[u8]>>,
    /// 101: the connection changes its protocol.
    pub upgrade: bool,
    /// The range of a streamed body that is sent.
    pub window: Option<Window>,
    /// Pieces of a streamed body are sent as they come (proxy_buffering off).
    pub at_once: bool,
    /// SSI commands in it are text: a client may have stored the file, or named what it is about.
    pub is_inert: bool,
    /// A page of ours, with a Content-Security-Policy for its own script and style.
    pub has_own_policy: bool,
    /// The standard page of its status.
    pub is_standard: bool,
    /// The upstream was asked without the client's conditions, which are evaluated here.
    pub conditional: bool,
}

/// A part of a body that comes whole: how much of it is still to be dropped, then sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The bytes that are sent.
    pub range: ByteRange,
    /// Of the whole body.
    pub size: u64,
    skip: u64,
    left: u64,
}

impl Window {
    /// `size`: bytes of the whole body, for Content-Range.
    pub fn new(range: ByteRange, size: u64) -> Window {
        Window { range, size, skip: range.start, left: range.len() }
    }

    /// What of the next piece is in the window.
    pub fn cut<'a>(&mut self, piece: &'a [u8]) -> &'a [u8] {
        let skipped = usize::try_from(self.skip).map_or(piece.len(), |skip| skip.min(piece.len()));
        self.skip -= skipped as u64;
        let rest = &piece[skipped..];
        let taken = usize::try_from(self.left).map_or(rest.len(), |left| left.min(rest.len()));
        self.left -= taken as u64;
        &rest[..taken]
    }
}

/// The content of a response, and who makes it.
#[derive(Default)]
pub enum Body {
    /// No body.
    #[default]
    Empty,
    /// Bytes of this response alone.
    Bytes(Vec<u8>),
    /// Bytes that others have, too: a cached listing, a configured text.
    Shared(Rc<[u8]>),
    /// A whole file.
    File(Rc<OpenFile>),
    /// A range of a file.
    Part(Rc<OpenFile>, ByteRange),
    /// Made while it is sent; its length is not known before.
    Made(Box<Source>),
    /// The handler makes it piece by piece (`filters::body`), so long as it is known.
    Stream { length: Option<u64> },
    /// multipart/byteranges: the boundary, and the type of each part.
    Parts { file: Rc<OpenFile>, ranges: Vec<ByteRange>, boundary: [u8; 20], content_type: ContentType, size: u64 },
}

impl Body {
    /// Its bytes. None: not known before it ends.
    pub fn length(&self) -> Option<u64> {
        Some(match self {
            Body::Empty => 0,
            Body::Made(_) => return None,
            Body::Stream { length } => return *length,
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Shared(bytes) => bytes.len() as u64,
            Body::File(file) => file.stat.size,
            Body::Part(_, range) => range.len(),
            Body::Parts { ranges, boundary, content_type, size, .. } => {
                let mut head = Vec::new();
                let mut total = 0;
                for range in ranges {
                    head.clear();
                    range::part_head(&mut head, boundary, content_type.as_bytes(), *range, *size);
                    total += head.len() as u64 + range.len();
                }
                head.clear();
                range::part_tail(&mut head, boundary);
                total + head.len() as u64
            }
        })
    }
}

impl Response {
    /// Its status means something: it is not the one that every response begins with.
    pub fn has_status(&self) -> bool {
        self.status != Status::OK || self.decided != Decided::Nothing
    }

    /// For the next response: nothing of this one is left but memory.
    pub fn clear(&mut self) {
        let (fields, trailers) = (&mut self.fields, &mut self.trailers);
        let (fields, trailers) = (emptied(fields, Fields::clear), emptied(trailers, Fields::clear));
        *self = Response { fields, trailers, ..Response::default() };
    }

    /// The validators that conditions of the request are compared with; those that add_header or an upstream set
    /// count (nginx). `now`: Unix seconds.
    pub fn validators(&self, now: i64) -> Validators<'_> {
        let named = || date::parse(self.fields.get(b"last-modified")?);
        let modified = self.last_modified.as_ref().map(|(at, _)| *at).or_else(named);
        let etag = self.etag.as_ref().map(|tag| tag.as_bytes()).or_else(|| self.fields.get(b"etag"));
        Validators::new(etag, modified, true, now)
    }

    /// A short answer.
    pub fn text(&mut self, status: Status, content_type: ContentType, body: Vec<u8>) {
        self.status = status;
        self.content_type = content_type;
        self.body = Body::Bytes(body);
    }

    /// Whether Content-Type and Content-Length are sent. A 204 has none, nor has a 304 made here; an upstream's 304
    /// describes the page (RFC 9110 §15.4.5).
    pub fn describes_content(&self, status: Status) -> bool {
        !status.has_no_content() || status == Status::NOT_MODIFIED && matches!(self.body, Body::Stream { .. })
    }

    /// The bytes are derived from those of the file or the upstream: a strong validator becomes weak.
    pub fn weaken(&mut self) {
        if let Some(tag) = self.etag.filter(|tag| !tag.as_bytes().starts_with(b"W/")) {
            self.etag = Some(tag.weak());
        }
        if let Some(tag) = self.fields.get(b"etag").filter(|tag| !tag.starts_with(b"W/")) {
            let tag = [b"W/", tag].concat();
            self.fields.remove(b"etag");
            // nginx: what is not an entity tag is removed.
            if tag.get(2) == Some(&b'"') {
                self.line(b"ETag", &tag);
            }
        }
    }

    /// Adds a header field; see [`Fields::push`].
    pub fn line(&mut self, name: &[u8], value: &[u8]) {
        self.fields.push(name, value);
    }
}

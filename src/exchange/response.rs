//! A response as data: what a handler decided and the filters complete, before it becomes bytes.

use super::source::Source;
use crate::config::directives::charset::Recode;
use crate::http::etag::ETag;
use crate::http::range::ByteRange;
use crate::http::status::Status;
use crate::shared::files::OpenFile;
use std::rc::Rc;

pub struct Response {
    pub status: Status,
    pub content_type: ContentType,
    pub body: Body,
    pub etag: Option<ETag>,
    /// Unix seconds and the same as HTTP writes it.
    pub last_modified: Option<(i64, [u8; 29])>,
    /// More header lines, each with its CRLF. Values come through [`Response::line`], which lets no line break in.
    pub lines: Vec<u8>,
    /// `Location`, not yet made absolute.
    pub location: Option<Vec<u8>>,
    /// Parts of it may be asked for.
    pub ranges: bool,
    /// The body carries a Content-Encoding already.
    pub encoded: bool,
    /// Bytes of the file are recoded one by one as they are sent.
    pub recode: Option<Recode>,
    /// Trailer lines, each with its CRLF.
    pub trailers: Vec<u8>,
    /// The body is framed by chunks.
    pub chunked: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ContentType {
    #[default]
    None,
    Static(&'static str),
    Shared(Rc<[u8]>),
}

impl ContentType {
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            ContentType::None => b"",
            ContentType::Static(text) => text.as_bytes(),
            ContentType::Shared(text) => text,
        }
    }
}

#[derive(Default)]
pub enum Body {
    #[default]
    Empty,
    Bytes(Vec<u8>),
    Shared(Rc<[u8]>),
    File(Rc<OpenFile>),
    Part(Rc<OpenFile>, ByteRange),
    /// Made while it is sent; its length is not known before.
    Made(Box<Source>),
    /// multipart/byteranges: the boundary, and the type of each part.
    Parts {
        file: Rc<OpenFile>,
        ranges: Vec<ByteRange>,
        boundary: [u8; 20],
        content_type: ContentType,
        size: u64,
    },
}

impl Default for Response {
    fn default() -> Response {
        Response {
            status: Status::OK,
            content_type: ContentType::None,
            body: Body::Empty,
            etag: None,
            last_modified: None,
            lines: Vec::new(),
            location: None,
            ranges: false,
            encoded: false,
            recode: None,
            trailers: Vec::new(),
            chunked: false,
        }
    }
}

impl Response {
    pub fn clear(&mut self) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.clear();
        *self = Response { lines, ..Response::default() };
    }

    /// A short answer.
    pub fn text(&mut self, status: Status, content_type: ContentType, body: Vec<u8>) {
        self.status = status;
        self.content_type = content_type;
        self.body = Body::Bytes(body);
    }

    /// Adds a header line. Control bytes in the value become spaces: a decoded path or a capture never starts a
    /// header of its own.
    pub fn line(&mut self, name: &[u8], value: &[u8]) {
        write_line(&mut self.lines, name, value);
    }
}

/// A header or trailer line; see [`Response::line`].
pub fn write_line(lines: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    lines.extend_from_slice(name);
    lines.extend_from_slice(b": ");
    lines.extend(value.iter().map(|b| if *b < b' ' && *b != b'\t' || *b == 0x7f { b' ' } else { *b }));
    lines.extend_from_slice(b"\r\n");
}

//! What all responses with the whole of a file have in common: the end of their head, as HTTP/1 writes it, and the
//! content. Made once a file and kept with it, since to copy it costs less than to make five fields again. Outside of
//! this folder only the content can be seen: the head is read by [`encode::head`] alone.

use super::h1::encode;
use super::response_head::CachedHead;

/// The end of a head and a content, in one allocation: they are sent together, and with many files each further
/// allocation costs a cache miss.
pub struct FileResponse {
    text: Box<[u8]>,
    /// Where the lines about the content end in `text`, and where the head ends.
    lines_end: u32,
    head_end: u32,
}

impl FileResponse {
    /// `last_modified`: IMF-fixdate; `etag`: with its quotes; `content`: of `size` bytes, or none if it is not kept.
    pub fn new(size: u64, last_modified: &[u8], etag: &[u8], content: &[u8]) -> FileResponse {
        let mut text = Vec::with_capacity(256 + content.len());
        let lines_end = encode::file(size, last_modified, etag, &mut text) as u32;
        let head_end = text.len() as u32;
        text.extend_from_slice(content);
        FileResponse { text: text.into(), lines_end, head_end }
    }

    /// The content, if it is kept.
    pub fn content(&self) -> &[u8] {
        self.text.get(self.head_end as usize..).unwrap_or_default()
    }

    /// The end of the head. `etag`: the one that was given to `new`.
    pub fn head<'a>(&'a self, etag: &'a [u8]) -> CachedHead<'a> {
        CachedHead {
            lines: self.text.get(..self.lines_end as usize).unwrap_or_default(),
            end: self.text.get(..self.head_end as usize).unwrap_or_default(),
            etag,
        }
    }
}

//! What happens to a response on its way out, in order:
//!
//! 1. [`conditional`]: 304 and 412 for responses that have validators
//! 2. [`headers`]: expires and add_header
//! 3. [`charset`]: its name, and recoding
//! 4. [`gzip`]
//! 5. [`ranges`]: 206 and 416
//! 6. [`framing`]: length or chunks, and trailers
//! 7. [`head`]: the bytes of the head
//!
//! and then the body, by reference where it is a file.

mod charset;
mod conditional;
mod framing;
pub mod gzip;
pub mod head;
mod headers;
mod ranges;

use super::response::{Body, ContentType};
use super::source::Source;
use super::{Exchange, Tx, vars};
use crate::config::template::Template;
use crate::config::value::Size;
use crate::http::method::Method;
use crate::http::range::ByteRange;
use crate::http::status::Status;
use crate::shared::Cx;
use crate::shared::files::OpenFile;
use std::rc::Rc;

/// Completes the response and queues it.
pub fn send(ex: &mut Exchange, cx: &mut Cx) {
    if let Some(status) = ex.error_page
        && status.0 != 0
    {
        ex.response.status = status;
    }
    if ex.response.status == Status::OK && ex.error_page.is_none() {
        conditional::apply(ex);
    }
    if ex.response.location.is_none() {
        ex.response.location = ex.kept_location.take();
    }
    let kept = std::mem::take(&mut ex.kept_lines);
    ex.response.lines.extend_from_slice(&kept);
    headers::apply(ex, cx);
    charset::apply(ex, cx);
    gzip::apply(ex, cx);
    if ex.response.status == Status::OK && ex.error_page.is_none() {
        ranges::apply(ex);
    }
    framing::apply(ex, cx);
    rate(ex, cx);
    let before = ex.out.queued();
    head::write(ex, cx);
    ex.head_size = ex.out.queued() - before;
    ex.tx = Tx::Done;
    if has_no_body(ex) {
        return;
    }
    let chunked = ex.response.chunked;
    let known = length(&ex.response.body).filter(|n| *n > 0 && chunked);
    if let Some(size) = known {
        ex.out.text().extend_from_slice(format!("{size:x}\r\n").as_bytes());
    }
    match std::mem::take(&mut ex.response.body) {
        Body::Empty => {}
        Body::Bytes(bytes) => ex.out.text().extend_from_slice(&bytes),
        Body::Shared(bytes) => ex.out.push_shared(bytes),
        Body::Made(mut source) => {
            source.chunked(chunked);
            ex.out.push_made(source);
        }
        Body::File(file) => {
            let end = file.stat.size;
            push(ex, &file, 0, end);
        }
        Body::Part(file, range) => push(ex, &file, range.start, range.end),
        Body::Parts { file, ranges, boundary, content_type, size } => {
            parts(ex, &file, &ranges, &boundary, &content_type, size);
        }
    }
    if chunked {
        let out = ex.out.text();
        out.extend_from_slice(if known.is_some() { b"\r\n0\r\n" } else { b"0\r\n" });
        out.extend_from_slice(&ex.response.trailers);
        out.extend_from_slice(b"\r\n");
    }
}

/// The response ends with its head.
fn has_no_body(ex: &Exchange) -> bool {
    ex.method == Method::Head || ex.head.method == Method::Head || ex.response.status.has_no_content()
}

/// Queues bytes of a file, recoded where that is wanted.
fn push(ex: &mut Exchange, file: &Rc<OpenFile>, at: u64, end: u64) {
    match &ex.response.recode {
        None => ex.out.push_file(file, at, end),
        recode => {
            let source = Source::file(file.clone(), at, end).recode(recode.clone());
            ex.out.push_made(Box::new(source));
        }
    }
}

/// limit_rate, where no script said otherwise.
fn rate(ex: &mut Exchange, cx: &mut Cx) {
    if ex.limit_rate.is_none() && ex.here().settings.client.limit_rate.is_none() {
        return;
    }
    let client = ex.here().settings.client.clone();
    let mut value = |template: &Option<Template>| {
        let text = template.as_ref().map(|template| vars::text(template, ex, cx));
        text.and_then(|text| Size::parse(&text).ok()).map_or(0, |size| size.0)
    };
    let (rate, after) = (value(&client.limit_rate), value(&client.limit_rate_after));
    ex.limit_rate = ex.limit_rate.or(Some(rate).filter(|rate| *rate > 0));
    ex.limit_rate_after = after;
}

/// Bytes of a body. None: not known before it ends.
pub fn length(body: &Body) -> Option<u64> {
    Some(match body {
        Body::Empty => 0,
        Body::Made(_) => return None,
        Body::Bytes(bytes) => bytes.len() as u64,
        Body::Shared(bytes) => bytes.len() as u64,
        Body::File(file) => file.stat.size,
        Body::Part(_, range) => range.len(),
        Body::Parts { ranges, boundary, content_type, size, .. } => {
            let mut head = Vec::new();
            let mut total = 0;
            for range in ranges {
                head.clear();
                part_head(&mut head, boundary, content_type, *range, *size);
                total += head.len() as u64 + range.len();
            }
            head.clear();
            part_tail(&mut head, boundary);
            total + head.len() as u64
        }
    })
}

fn part_head(out: &mut Vec<u8>, boundary: &[u8; 20], content_type: &ContentType, range: ByteRange, size: u64) {
    use std::io::Write;
    out.extend_from_slice(b"\r\n--");
    out.extend_from_slice(boundary);
    out.extend_from_slice(b"\r\n");
    if *content_type != ContentType::None {
        out.extend_from_slice(b"Content-Type: ");
        out.extend_from_slice(content_type.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    let _ = write!(out, "Content-Range: bytes {}-{}/{size}\r\n\r\n", range.start, range.end - 1);
}

fn part_tail(out: &mut Vec<u8>, boundary: &[u8; 20]) {
    out.extend_from_slice(b"\r\n--");
    out.extend_from_slice(boundary);
    out.extend_from_slice(b"--\r\n");
}

fn parts(
    ex: &mut Exchange,
    file: &Rc<OpenFile>,
    ranges: &[ByteRange],
    boundary: &[u8; 20],
    kind: &ContentType,
    size: u64,
) {
    for range in ranges {
        part_head(ex.out.text(), boundary, kind, *range, size);
        push(ex, file, range.start, range.end);
    }
    part_tail(ex.out.text(), boundary);
}

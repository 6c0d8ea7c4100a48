//! What happens to a response on its way out, in order:
//!
//! 1. [`conditional`]: 304 and 412 for responses that have validators
//! 2. [`ranges`]: 206 and 416
//! 3. [`headers`]: expires and add_header
//! 4. [`head`]: the bytes of the head
//!
//! and then the body, by reference where it is a file.

mod conditional;
pub mod head;
mod headers;
mod ranges;

use super::response::{Body, ContentType};
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
        ranges::apply(ex);
    }
    if ex.response.location.is_none() {
        ex.response.location = ex.kept_location.take();
    }
    let kept = std::mem::take(&mut ex.kept_lines);
    ex.response.lines.extend_from_slice(&kept);
    headers::apply(ex, cx);
    rate(ex, cx);
    let before = ex.out.queued();
    head::write(ex, cx);
    ex.head_size = ex.out.queued() - before;
    ex.tx = Tx::Done;
    if ex.method == Method::Head || ex.head.method == Method::Head || ex.response.status.has_no_content() {
        return;
    }
    match std::mem::take(&mut ex.response.body) {
        Body::Empty => {}
        Body::Bytes(bytes) => ex.out.text().extend_from_slice(&bytes),
        Body::Shared(bytes) => ex.out.push_shared(bytes),
        Body::File(file) => ex.out.push_file(&file, 0, file.stat.size),
        Body::Part(file, range) => ex.out.push_file(&file, range.start, range.end),
        Body::Parts { file, ranges, boundary, content_type, size } => {
            parts(ex, &file, &ranges, &boundary, &content_type, size);
        }
    }
}

/// limit_rate, where no script said otherwise.
fn rate(ex: &mut Exchange, cx: &mut Cx) {
    let client = ex.here().settings.client.clone();
    if ex.limit_rate.is_none() && client.limit_rate.is_none() {
        return;
    }
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
        ex.out.push_file(file, range.start, range.end);
    }
    part_tail(ex.out.text(), boundary);
}

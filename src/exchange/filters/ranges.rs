//! Range requests (RFC 9110 §14): a single range, or several as multipart/byteranges.

use crate::exchange::Exchange;
use crate::exchange::basis::Cacheable;
use crate::exchange::handlers::special;
use crate::exchange::response::{Body, ContentType};
use crate::http::cond;
use crate::http::fields::Fields;
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::range::{self, ByteRange, Ranges};
use crate::http::status::Status;
use std::cell::Cell;
use std::io::Write;

/// Answers Range and If-Range for a 200 of GET, as nginx's range filter: 206, 416, or the 200 as it is. For a streamed
/// body the range was parsed when the upstream's head came.
pub fn apply(ex: &mut Exchange, now: i64) -> Cacheable {
    if let Body::Stream { .. } = ex.response.body {
        window(ex, now);
        return Cacheable::Yes;
    }
    if !ex.response.ranges || ex.response.status != Status::OK {
        return Cacheable::Yes;
    }
    let max = ex.location().settings.output.max_ranges;
    if max == Some(0) {
        ex.response.ranges = false;
        return Cacheable::Yes;
    }
    // Range is defined only for GET (RFC 9110 §14.2), and error pages are fetched by GET (nginx).
    if ex.route.method != Method::Get || ex.request.head.method == Method::Head {
        return Cacheable::Yes;
    }
    let Some(value) = ex.header(HeaderId::Range) else { return Cacheable::Yes };
    let Body::File(file) = &ex.response.body else { return Cacheable::Yes };
    if !if_range(ex, now) {
        return Cacheable::Yes;
    }
    let size = file.stat.size;
    let file = file.clone();
    match range::parse(value, size, max.map(|n| n as usize)) {
        Ranges::None => {}
        Ranges::Unsatisfiable => {
            // Fields of add_header describe the file too.
            ex.response.fields.remove(b"etag");
            ex.response.fields.remove(b"last-modified");
            // A stored `.gz` file set it; this page is not compressed.
            ex.response.fields.remove(b"content-encoding");
            // From a response that led here by X-Accel-Redirect.
            ex.response.fields.remove(b"accept-ranges");
            special::respond(ex, Status::RANGE_NOT_SATISFIABLE);
            ex.response.line(b"Content-Range", format!("bytes */{size}").as_bytes());
        }
        Ranges::One(range) => {
            ex.response.status = Status::PARTIAL_CONTENT;
            content_range(&mut ex.response.fields, range, size);
            ex.response.body = Body::Part(file, range);
        }
        Ranges::Many(ranges) => {
            ex.response.status = Status::PARTIAL_CONTENT;
            let boundary = boundary();
            let text = String::from_utf8_lossy(&boundary);
            let kind = format!("multipart/byteranges; boundary={text}");
            let content_type =
                std::mem::replace(&mut ex.response.content_type, ContentType::Shared(kind.as_bytes().into()));
            ex.response.body = Body::Parts { file, ranges, boundary, content_type, size };
            // The boundary differs each time.
            return Cacheable::No;
        }
    }
    Cacheable::Yes
}

/// Whether If-Range, if the request has it, lets a part be sent; what add_header made counts (nginx).
fn if_range(ex: &Exchange, now: i64) -> bool {
    let head = &ex.request.head;
    head.get(HeaderId::IfRange).is_none() || cond::if_range(head, ex.buf(), &ex.response.validators(now))
}

fn content_range(fields: &mut Fields, range: ByteRange, size: u64) {
    let mut value = Vec::with_capacity(48);
    range::content_range(range, size, &mut value);
    fields.push(b"Content-Range", &value);
}

/// Sets the range of a streamed body, parsed when its head arrived; not if another filter changes the body: the range
/// would be cut all the same.
fn window(ex: &mut Exchange, now: i64) {
    let chosen = ex.response.window.take();
    let is_sent = ex.response.ranges && ex.response.status == Status::OK && ex.response.encoder.is_none();
    let Some(window) = chosen.filter(|_| is_sent && if_range(ex, now)) else { return };
    ex.response.window = Some(window);
    let (range, size) = (window.range, window.size);
    ex.response.status = Status::PARTIAL_CONTENT;
    ex.response.reason = None;
    content_range(&mut ex.response.fields, range, size);
    ex.response.body = Body::Stream { length: Some(range.len()) };
}

/// Twenty digits that an attacker cannot place in a file: a counter that starts at a random number.
fn boundary() -> [u8; 20] {
    thread_local!(static NEXT: Cell<u64> = Cell::new(crate::sys::random::number().unwrap_or(1)));
    let number = NEXT.with(|next| {
        next.set(next.get().wrapping_add(1));
        next.get()
    });
    let mut digits = [b'0'; 20];
    let _ = write!(&mut digits[..], "{number:020}");
    digits
}

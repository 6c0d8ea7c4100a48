//! Responses that are not files: the standard pages of statuses, the empty GIF.

use crate::config::settings::headers::Tokens;
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::request::is_msie;
use crate::exchange::response::{Body, ContentType};
use crate::http::date;
use crate::http::escape::push_escaped;
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::status::Status;

/// A transparent image of one pixel (GIF 89a).
const EMPTY_GIF: &[u8] = &[
    0x47, 0x49, 0x46, 0x38, 0x39, 0x61, 0x01, 0x00, 0x01, 0x00, 0x80, 0x01, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
    0x21, 0xf9, 0x04, 0x01, 0x00, 0x00, 0x01, 0x00, 0x2c, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x01, 0x00, 0x00, 0x02,
    0x02, 0x4c, 0x01, 0x00, 0x3b,
];
/// 28 September 1970, 06:00 UTC.
const EMPTY_GIF_MADE: i64 = 23_349_600;

/// A code in nginx's own range that has no meaning: its page says "404 Not Found" (nginx).
const PAGE_OF_404: Status = Status(498);

/// The standard response of a status: a short page with the status and nothing else. Fields that were set before
/// (Allow, Location) stay.
pub fn respond(ex: &mut Exchange, status: Status) {
    // nginx's own codes are for the choice of an error page; the log has what was sent (nginx).
    ex.response.status = status.on_the_wire();
    ex.response.ranges = false;
    ex.response.is_standard = true;
    // What an X-Accel-Redirect said of the response that this page replaces (nginx).
    ex.route.kept.fields.remove(b"accept-ranges");
    ex.route.kept.content_type = None;
    ex.response.etag = None;
    ex.response.last_modified = None;
    if status.has_no_content() {
        ex.response.body = Body::Empty;
        ex.response.content_type = ContentType::None;
        return;
    }
    if matches!(status, Status::MOVED_PERMANENTLY | Status::FOUND) && refresh(ex) {
        return;
    }
    let shown = status.on_the_wire();
    // A code that is not registered has no page (nginx).
    let titled = if shown == PAGE_OF_404 { Status::NOT_FOUND } else { shown };
    let Some(title) = titled.title() else {
        ex.response.body = Body::Empty;
        ex.response.content_type = ContentType::None;
        return;
    };
    // The reason, for a 400 with several meanings.
    let why: &[u8] = match status {
        Status::REQUEST_HEADER_TOO_LARGE => b"<center>Request Header Or Cookie Too Large</center>\n",
        Status::SSL_CERTIFICATE_ERROR => b"<center>The SSL certificate error</center>\n",
        Status::SSL_CERTIFICATE_REQUIRED => b"<center>No required SSL certificate was sent</center>\n",
        Status::HTTP_TO_HTTPS => b"<center>The plain HTTP request was sent to HTTPS port</center>\n",
        _ => b"",
    };
    let program = match ex.location().settings.output.server_tokens {
        Tokens::On => concat!("webserv/", env!("CARGO_PKG_VERSION")),
        Tokens::Off => "webserv",
    };
    let pieces: [&[u8]; 9] = [
        b"<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>",
        title,
        b"</title></head>\n<body>\n<center><h1>",
        title,
        b"</h1></center>\n",
        why,
        b"<hr><center>",
        program.as_bytes(),
        b"</center>\n</body>\n</html>\n",
    ];
    let page = pieces.concat();
    ex.response.content_type = ContentType::Static("text/html");
    ex.response.body = Body::Bytes(page);
}

/// The response of these to any method but GET and HEAD: the location's methods are those of files.
pub(super) fn not_read(ex: &mut Exchange) -> Option<Flow> {
    const ALLOW: &[u8] = b"GET, HEAD, OPTIONS";
    let status = match ex.route.method {
        Method::Get | Method::Head => return None,
        Method::Options => Status::NO_CONTENT,
        _ => Status::METHOD_NOT_ALLOWED,
    };
    ex.response.line(b"Allow", ALLOW);
    ex.response.status = status;
    Some(if status == Status::NO_CONTENT { Flow::Respond } else { Flow::Status(status) })
}

/// msie_refresh: Internet Explorer gets a page that redirects, because it loses cookies of redirects (nginx).
fn refresh(ex: &mut Exchange) -> bool {
    let wanted = ex.location().settings.output.msie_refresh && ex.header(HeaderId::UserAgent).is_some_and(is_msie);
    if !wanted {
        return false;
    }
    let Some(location) = ex.response.location.take() else { return false };
    ex.route.error_page = None;
    let mut page = b"<html><head><meta http-equiv=\"Refresh\" content=\"0; URL=".to_vec();
    for &byte in &location {
        match byte {
            0..=b' ' | b'"' | b'<' | b'>' | 0x7f.. => push_escaped(byte, &mut page),
            byte => page.push(byte),
        }
    }
    page.extend_from_slice(b"\"></head><body></body></html>\r\n");
    ex.response.text(Status::OK, ContentType::Static("text/html"), page);
    true
}

/// empty_gif: a transparent GIF of one pixel, nginx's bytes and date; for GET and HEAD.
pub fn empty_gif(ex: &mut Exchange) -> Flow {
    if let Some(flow) = not_read(ex) {
        return flow;
    }
    ex.response.text(Status::OK, ContentType::Static("image/gif"), EMPTY_GIF.to_vec());
    // The date that nginx gives it, so that caches keep it.
    ex.response.last_modified = Some((EMPTY_GIF_MADE, date::format(EMPTY_GIF_MADE)));
    Flow::Respond
}

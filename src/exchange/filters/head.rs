//! The head of a response as data, for the protocol that encodes it.

use crate::config::settings::headers::Tokens;
use crate::exchange::basis::Cacheable;
use crate::exchange::response::Body;
use crate::exchange::{Exchange, origin};
use crate::http::response_head::ResponseHead;
use crate::http::status::Status;
use crate::services::Services;

/// The value of Server, with and without the version.
const SERVER: [&[u8]; 2] = [concat!("webserv/", env!("CARGO_PKG_VERSION")).as_bytes(), b"webserv"];

/// Writes the head into the send queue. The last filter: nothing in the head changes any more.
pub fn write(ex: &mut Exchange, cx: &mut Services) -> Cacheable {
    let config = ex.config.clone();
    let output = &config.location(ex.route.location).settings.output;
    let length = ex.response.body.length();
    // Made absolute here, also for $sent_http_location.
    ex.response.location = ex.response.location.take().map(|target| origin::absolute(ex, target));
    // An upstream's reason phrase belongs to its own status.
    let own = ex.response.reason.is_none();
    let status = if own { ex.response.status.on_the_wire() } else { ex.response.status };
    let chunked = ex.out.is_chunked();
    let response = &mut ex.response;
    let has_body = !status.has_no_content();
    let describes = has_body || status == Status::NOT_MODIFIED;
    if has_body && !chunked {
        response.announced = length;
    }
    // Never later than Date (RFC 9110 §8.8.2.1).
    let is_future = response.last_modified.is_some_and(|(at, _)| at > cx.now.unix);
    let last_modified = response.last_modified.as_ref().map(|(_, text)| if is_future { &cx.now.http } else { text });
    // For a whole file that is not from the future, both lines are prepared.
    let file = match &response.body {
        Body::File(file)
            if has_body
                && file.stat.mtime.0 <= cx.now.unix
                && response.last_modified.is_some_and(|(at, _)| at == file.stat.mtime.0) =>
        {
            Some(file.cached_head())
        }
        _ => None,
    };
    let content_type = response.content_type.as_bytes();
    let names_body = response.describes_content(status);
    ex.out.head(&ResponseHead {
        status,
        reason: response.reason.as_deref(),
        server: response.server.as_deref().unwrap_or(SERVER[usize::from(output.server_tokens == Tokens::Off)]),
        date: response.date.as_deref().unwrap_or(&cx.now.http),
        content_type: Some(content_type).filter(|kind| names_body && !kind.is_empty()),
        length: length.filter(|_| names_body),
        last_modified: last_modified.filter(|_| describes).map(|text| &text[..]),
        location: response.location.as_deref(),
        upgrade: response.upgrade && status == Status::SWITCHING_PROTOCOLS,
        etag: response.etag.as_ref().map(|tag| tag.as_bytes()),
        fields: &response.fields,
        accept_ranges: response.ranges && status == Status::OK,
        file,
    });
    // An absolute Location may have the connection's address in it; a later Last-Modified gives way to the time.
    match response.location.is_some() || is_future {
        true => Cacheable::No,
        false => Cacheable::Yes,
    }
}

//! Whether the request body is passed to the upstream, and how it is framed.

use super::settings::settings;
use crate::config::settings::gateway::Param;
use crate::config::settings::proxy_pass::Protocol;
use crate::exchange::{Exchange, Rx};
use crate::http::body_length::BodyLength;
use crate::http::method::Method;
use crate::http::version::Version;

/// The body is gone: it was lost, or it was partly sent elsewhere and an error page is requested with GET, which needs
/// none (nginx).
pub(super) fn is_spent(ex: &Exchange) -> bool {
    let is_page = ex.route.error_page.is_some() && matches!(ex.route.method, Method::Get | Method::Head);
    ex.progress.body_lost || is_page && ex.progress.body_received > 0 && ex.progress.body.is_none()
}

/// The request has a body, and it is passed on.
pub(super) fn passes_body(ex: &Exchange) -> bool {
    settings(ex).pass_request_body && ex.request.head.body_length != BodyLength::None && !is_spent(ex)
}

/// The body, which is not buffered, has ended before the request is written: it was empty, and another location's
/// upstream was given its end. No end will come that could complete chunks or records.
pub(super) fn has_ended_empty(ex: &Exchange) -> bool {
    ex.progress.rx == Rx::Done && ex.progress.body_received == 0
}

/// A small body has already arrived: it can be $request_body without waiting (nginx).
pub(super) fn is_here(ex: &Exchange) -> bool {
    const SMALL: u64 = 8 << 10;
    ex.progress.has_whole_body && matches!(ex.request.head.body_length, BodyLength::Known(1..=SMALL))
}

/// Whether the application needs the length of the body in advance, so that the body cannot be chunked.
pub(super) fn needs_length(ex: &Exchange, protocol: Protocol) -> bool {
    if ex.request.head.body_length != BodyLength::Unknown {
        return false;
    }
    let settings = settings(ex);
    // Nothing else tells an HTTP/1.0 server where a body ends (RFC 9112 §6.1).
    let is_old = protocol.is_http() && settings.version != Version::Http11;
    // php-fpm reads as many bytes as CONTENT_LENGTH says; without it, the script gets an empty body.
    protocol.announces_length() || is_old || settings.gateway.params.iter().any(is_length)
}

fn is_length(param: &Param) -> bool {
    *param.name == *b"CONTENT_LENGTH" && param.value.constant().is_none()
}

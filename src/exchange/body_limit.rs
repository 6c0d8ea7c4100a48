//! client_max_body_size, enforced here alone: by Content-Length as soon as the location is known, by chunks as soon as
//! their sizes are announced, so that a client is answered before it sends what would be refused. Chunks that are
//! thrown away are not measured (nginx). Other limits answer 413 where they are known: upload_max_file_size in
//! `handlers/upload`, the length of a resumable upload in `handlers/resumable`, the XML of WebDAV in
//! `handlers/dav/ext.rs`.

use super::flow::Flow;
use super::limiting_line::LimitingLine;
use super::{Exchange, Rx};
use crate::config::model::Level;
use crate::http::body_length::BodyLength;
use crate::http::status::Status;
use crate::services::Services;

/// The most that the location takes; None: any size.
pub fn limit(ex: &Exchange) -> Option<u64> {
    Some(ex.location().settings.client.max_body_size.0).filter(|most| *most > 0)
}

/// A body whose length is known where a location was found: the head announces it, or its chunks have all arrived.
///
/// # Errors
/// 413.
pub fn check_length(ex: &mut Exchange, cx: &mut Services) -> Result<(), Flow> {
    let size = match ex.request.head.body_length {
        _ if ex.progress.body_lost => 0,
        BodyLength::Unknown if ex.progress.rx == Rx::Done => ex.progress.body_received,
        length => length.announced(),
    };
    match limit(ex) {
        Some(most) if size > most => Err(refuse(ex, cx, "", size)),
        _ => Ok(()),
    }
}

/// Chunks on their way to a handler; a length was checked where its location was found, and named locations do not ask
/// again (nginx). `announced`: what the current chunk still holds.
///
/// # Errors
/// 413.
pub fn check_received(ex: &mut Exchange, cx: &mut Services, announced: Option<u64>) -> Result<(), Flow> {
    let most = limit(ex).filter(|_| ex.request.head.body_length == BodyLength::Unknown);
    let size = ex.progress.body_received.saturating_add(announced.unwrap_or(0));
    match most {
        Some(most) if size > most => Err(refuse(ex, cx, "chunked ", size)),
        _ => Ok(()),
    }
}

/// Whether a 413 is of this limit, not of `return` or an upstream.
pub fn was_exceeded(ex: &Exchange) -> bool {
    ex.progress.body_lost
        || limit(ex).is_some_and(|most| ex.progress.body_received.max(ex.request.head.body_length.announced()) > most)
}

fn refuse(ex: &mut Exchange, cx: &mut Services, kind: &str, size: u64) -> Flow {
    let limit = LimitingLine::of(ex, "client_max_body_size");
    let what = format_args!("client intended to send too large {kind}body: {size} bytes{limit}");
    ex.report(cx, Level::Error, what);
    if ex.progress.rx != Rx::Done {
        lose(ex);
    }
    Flow::Status(Status::CONTENT_TOO_LARGE)
}

/// What has arrived of the body is forgotten, and the rest is thrown away: the handler of an error page must not wait
/// for it.
pub(super) fn lose(ex: &mut Exchange) {
    ex.progress.rx = Rx::Drain;
    ex.progress.body_lost = true;
    ex.progress.body = None;
}

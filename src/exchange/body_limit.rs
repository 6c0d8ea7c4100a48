//! client_max_body_size, enforced here alone: by Content-Length as soon as the location is known, by chunks as soon as their
//! sizes are announced, so that a client is answered before it sends what would be refused. Other limits answer 413 where
//! they are known: upload_max_file_size in `handlers/upload`, the length of a resumable upload in `handlers/resumable`, the
//! XML of WebDAV in `handlers/dav/ext.rs`.

use super::flow::Flow;
use super::{Exchange, handlers};
use crate::config::model::Level;
use crate::http::h1::framing::Framing;
use crate::http::reject::Reject;
use crate::http::status::Status;
use crate::services::Services;

/// The most that the location takes; None: any size.
fn limit(ex: &Exchange) -> Option<u64> {
    Some(ex.here().settings.client.max_body_size.0).filter(|most| *most > 0)
}

/// A body whose length the head announces.
///
/// # Errors
/// 413.
pub fn check_length(ex: &mut Exchange, cx: &mut Services) -> Result<(), Flow> {
    match (ex.request.head.framing, limit(ex)) {
        (Framing::Length(size), Some(most)) if size > most => Err(refuse(ex, cx, "", size)),
        _ => Ok(()),
    }
}

/// A body on its way to its handler. `announced`: what its current chunk still holds.
///
/// # Errors
/// 413.
pub fn check_received(ex: &mut Exchange, cx: &mut Services, announced: Option<u64>) -> Result<(), Flow> {
    let Some(most) = limit(ex) else { return Ok(()) };
    let announced = match ex.request.head.framing {
        Framing::Chunked => announced.unwrap_or(0),
        Framing::None | Framing::Length(_) => 0,
    };
    match ex.body_received.saturating_add(announced) {
        size if size > most => Err(refuse(ex, cx, "chunked ", size)),
        _ => Ok(()),
    }
}

/// A body that is thrown away: only what a chunk announces counts.
///
/// # Errors
/// 413.
pub fn check_discarded(ex: &Exchange, announced: Option<u64>) -> Result<(), Reject> {
    match limit(ex) {
        Some(most) if ex.request.head.framing == Framing::Chunked && announced > Some(most) => {
            Err(Reject::BodyTooLarge { limit: most })
        }
        _ => Ok(()),
    }
}

fn refuse(ex: &mut Exchange, cx: &mut Services, kind: &str, size: u64) -> Flow {
    let limit = handlers::upload::limit(ex, "client_max_body_size");
    let what = format_args!("client intended to send too large {kind}body: {size} bytes{limit}");
    ex.report(cx, Level::Error, what);
    Flow::Status(Status::CONTENT_TOO_LARGE)
}

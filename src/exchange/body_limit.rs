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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};

    #[test]
    fn a_body_is_refused_by_its_length_by_what_has_come_of_it_and_by_what_its_chunk_announces() {
        let mut site =
            Site::new("", "location / { client_max_body_size 10; } location /any/ { client_max_body_size 0; }");
        let length = |n: u64| format!("Content-Length: {n}");
        let chunked = "Transfer-Encoding: chunked".to_string();
        // What has come of it, whether that is all, what its chunk still holds, and whether either check refuses it.
        let table = [
            ("/", length(10), 0, false, None, false, false),
            ("/", length(11), 0, false, None, true, false),
            ("/any/", length(11), 0, false, None, false, false),
            ("/", chunked.clone(), 11, false, None, false, true),
            ("/", chunked.clone(), 10, false, None, false, false),
            ("/", chunked.clone(), 11, true, None, true, true),
            ("/", chunked.clone(), 10, true, None, false, false),
            ("/", chunked.clone(), 4, false, Some(6), false, false),
            ("/", chunked.clone(), 4, false, Some(7), false, true),
            ("/", chunked.clone(), 4, false, Some(u64::MAX), false, true),
            ("/any/", chunked, 4, false, Some(u64::MAX), false, false),
        ];
        for (uri, field, received, is_all, announced, by_length, by_chunks) in table {
            let mut at = || {
                let mut ex = site.at(&format!("PUT {uri}f"), &[&field], INSIDE);
                ex.progress.body_received = received;
                ex.progress.rx = if is_all { Rx::Done } else { Rx::Body };
                ex
            };
            let (mut one, mut other) = (at(), at());
            let case = format!("{uri} {field} {received} {is_all} {announced:?}");
            let expected = |refuses: bool| if refuses { Err(Flow::Status(Status::CONTENT_TOO_LARGE)) } else { Ok(()) };
            assert_eq!(check_length(&mut one, &mut site.cx), expected(by_length), "{case}");
            assert_eq!(one.progress.body_lost, by_length && !is_all, "{case}");
            assert_eq!(check_received(&mut other, &mut site.cx, announced), expected(by_chunks), "{case}");
        }
    }
}

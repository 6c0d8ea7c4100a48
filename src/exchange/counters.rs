//! What a finished request adds to the counters of the process.

use super::handlers::upstream::record::UpstreamRecord;
use super::log_facts::{LimitOutcome, UploadRole};
use super::{Exchange, Tx};
use crate::http::status::Status;
use crate::services::Services;
use crate::services::response_cache::CachedResponse;
use crate::services::stats::{Counter, Timing};

/// Counts a request that is over, whether or not its response was sent whole.
pub fn close(ex: &Exchange, cx: &mut Services) {
    let ms = cx.now.ms.saturating_sub(ex.log.started);
    cx.stats.answered(ex.response.status.0, ex.log.request_length, ex.bytes_sent(), ms);
    if ex.progress.cached_rest.is_some() {
        return;
    }
    limits(ex, cx);
    uploads(ex, cx);
    let Some(record) = &ex.log.upstream else { return };
    upstreams(record, cx);
}

/// An upload has come to its handler.
pub fn begin_upload(ex: &mut Exchange, cx: &mut Services) {
    if !std::mem::replace(&mut ex.log.upload_begun, true) {
        cx.stats.count(Counter::UploadsBegun);
    }
}

/// An upload, or a part of one, was refused: before its body, amid it, or behind it.
pub fn is_upload_refused(ex: &Exchange) -> bool {
    let is_stored = ex.log.upload.as_ref().is_some_and(|upload| upload.dir.is_some());
    // The client left, or was too slow, before there was an answer.
    let is_abandoned = ex.progress.tx == Tx::Wait || ex.response.status == Status::CLIENT_CLOSED_REQUEST;
    let is_refused = ex.log.is_refused || ex.response.status.0 >= 400;
    match ex.log.upload_role {
        UploadRole::None => false,
        UploadRole::Whole => is_refused && !is_stored,
        // What has come of it is kept.
        UploadRole::Creation | UploadRole::Append => is_refused && !is_stored && !is_abandoned,
    }
}

fn uploads(ex: &Exchange, cx: &mut Services) {
    // What was refused before it came to its handler has begun, too.
    if matches!(ex.log.upload_role, UploadRole::Whole | UploadRole::Creation) && !ex.log.upload_begun {
        cx.stats.count(Counter::UploadsBegun);
    }
    if is_upload_refused(ex) {
        cx.stats.count(Counter::UploadsRefused);
    }
    if let Some(upload) = ex.log.upload.as_ref().filter(|upload| upload.dir.is_some()) {
        cx.stats.count(Counter::UploadsStored);
        cx.stats.add(Counter::UploadFiles, upload.files.len() as u64);
        cx.stats.add(Counter::UploadBytes, upload.files.iter().map(|file| file.size).sum());
    }
}

fn upstreams(record: &UpstreamRecord, cx: &mut Services) {
    let name = String::from_utf8_lossy(record.host.as_deref().unwrap_or_default());
    let config = cx.config.clone();
    for one in record.tries.iter().filter(|one| !one.peer.is_empty()) {
        for (timing, ms) in [
            (Timing::UpstreamConnect, one.connect),
            (Timing::UpstreamHeader, one.header),
            (Timing::UpstreamResponse, one.response),
        ] {
            if let Some(ms) = ms {
                cx.stats.time(timing, ms);
            }
        }
        // A CGI program is no server of an upstream: each script would be one, by its path.
        if record.protocol.has_servers()
            && let Some(peer) = cx.stats.peer(&name, &one.peer, || config.names_upstream(&name))
        {
            peer.selected += 1;
            peer.sent += one.sent;
            peer.received += one.received;
            // Without a response head, the status was set here: 502, 504, or 499 if the client left.
            let none = peer.responses.len() - 1;
            let class = one.header.and_then(|_| usize::from(one.status / 100).checked_sub(1));
            peer.responses[class.filter(|class| *class < none).unwrap_or(none)] += 1;
            peer.fails += u64::from(one.header.is_none() && one.status >= 500);
        }
    }
}

fn limits(ex: &Exchange, cx: &mut Services) {
    match ex.log.limit_req {
        Some(LimitOutcome::Delayed) => cx.stats.count(Counter::LimitReqDelayed),
        Some(LimitOutcome::Rejected) => cx.stats.count(Counter::LimitReqRejected),
        _ => {}
    }
    if ex.log.limit_conn == Some(LimitOutcome::Rejected) {
        cx.stats.count(Counter::LimitConnRejected);
    }
}

/// A cached response was sent whole, in the turn that its request came in.
pub fn cached(cached: &CachedResponse, sent: u64, cx: &mut Services) {
    cx.stats.answered(cached.status.0, u64::from(cached.request.len), sent, 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::handlers::upload::UploadRecord;
    use crate::exchange::testing::{INSIDE, Site};

    #[test]
    fn an_upload_is_counted_as_refused_unless_it_is_stored_or_what_came_of_it_is_kept() {
        use UploadRole::{Append, Creation, None, Whole};
        let mut site = Site::new("", "location / { allowed_methods PUT; }");
        // Whether there is an answer, its status, whether a limit refused it, and whether it is stored.
        let table = [
            (None, Tx::Done, 403, true, false, false),
            (Whole, Tx::Done, 201, false, true, false),
            (Whole, Tx::Done, 201, false, false, false),
            (Whole, Tx::Done, 413, false, false, true),
            (Whole, Tx::Done, 200, true, false, true),
            (Whole, Tx::Done, 400, false, false, true),
            (Whole, Tx::Done, 399, false, false, false),
            (Whole, Tx::Done, 500, true, true, false),
            (Whole, Tx::Done, 499, false, false, true),
            (Whole, Tx::Wait, 408, false, false, true),
            (Creation, Tx::Done, 413, false, false, true),
            (Creation, Tx::Done, 413, true, true, false),
            (Creation, Tx::Wait, 408, false, false, false),
            (Append, Tx::Done, 409, false, false, true),
            (Append, Tx::Done, 204, false, false, false),
            (Append, Tx::Done, 499, true, false, false),
            (Append, Tx::Wait, 200, true, false, false),
        ];
        for (role, tx, status, is_refused, is_stored, expected) in table {
            let mut ex = site.at("PUT /f", &[], INSIDE);
            (ex.log.upload_role, ex.log.is_refused, ex.progress.tx) = (role, is_refused, tx);
            ex.response.status = Status(status);
            if is_stored {
                let dir = Some(std::rc::Rc::new(site.scratch.fd()));
                ex.log.upload = Some(Box::new(UploadRecord { dir, ..UploadRecord::default() }));
            }
            let case = format!("{role:?} {tx:?} {status} {is_refused} {is_stored}");
            assert_eq!(is_upload_refused(&ex), expected, "{case}");
        }
    }
}

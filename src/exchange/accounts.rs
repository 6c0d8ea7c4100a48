//! What a finished request adds to the counters of the process.

use super::Exchange;
use super::log_facts::LimitOutcome;
use crate::services::Services;
use crate::services::response_cache::CachedResponse;
use crate::services::stats::{Counter, Timing};

/// Counts a request that is over, whether or not its response was sent whole.
pub fn close(ex: &Exchange, cx: &mut Services) {
    let ms = cx.now.ms.saturating_sub(ex.log.started);
    cx.stats.answered(ex.response.status.0, ex.log.request_length, ex.bytes_sent(), ms);
    if ex.again.is_some() {
        return;
    }
    limits(ex, cx);
    if let Some(upload) = ex.log.upload.as_ref().filter(|upload| upload.dir.is_some()) {
        cx.stats.count(Counter::UploadsStored);
        cx.stats.add(Counter::UploadFiles, upload.files.len() as u64);
        cx.stats.add(Counter::UploadBytes, upload.files.iter().map(|file| file.size).sum());
    }
    let Some(record) = &ex.log.upstream else { return };
    let name = String::from_utf8_lossy(record.host.as_deref().unwrap_or_default());
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
            && let Some(peer) = cx.stats.peer(&name, &one.peer)
        {
            peer.selected += 1;
            peer.sent += one.sent;
            peer.received += one.received;
            let none = peer.responses.len() - 1;
            let class = usize::from(one.status / 100).checked_sub(1).filter(|class| *class < none).unwrap_or(none);
            peer.responses[class] += 1;
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

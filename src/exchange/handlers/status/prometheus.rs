//! The same counters in Prometheus's text format (version 0.0.4): each family of samples follows its HELP and TYPE.

use super::tree::{CLASSES, Health, certificate_ends, groups};
use crate::services::Services;
use crate::services::stats::{BOUNDS, Closed, Counter, Timing};
use std::fmt::Write;

/// The Content-Type of the format.
pub const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Samples without labels: name, counter, help text.
const PLAIN: [(&str, Counter, &str); 15] = [
    ("connections_accepted_total", Counter::Accepted, "Connections accepted."),
    ("connections_handled_total", Counter::Handled, "Connections that were served."),
    ("http_requests_total", Counter::Requests, "Requests that began."),
    ("http_bytes_received_total", Counter::BytesReceived, "Bytes of requests, heads included."),
    ("http_bytes_sent_total", Counter::BytesSent, "Bytes of responses, heads included."),
    ("cache_hits_total", Counter::CacheHits, "Requests answered from the cache of responses."),
    ("uploads_begun_total", Counter::UploadsBegun, "Uploads that began, those refused by their head included."),
    ("uploads_stored_total", Counter::UploadsStored, "Uploads that were stored."),
    ("uploads_refused_total", Counter::UploadsRefused, "Uploads, and parts of resumable ones, that were refused."),
    ("upload_files_total", Counter::UploadFiles, "Files stored by uploads."),
    ("upload_bytes_total", Counter::UploadBytes, "Bytes of files stored by uploads."),
    ("limit_req_delayed_total", Counter::LimitReqDelayed, "Requests that limit_req delayed."),
    ("limit_req_rejected_total", Counter::LimitReqRejected, "Requests that limit_req rejected."),
    ("limit_conn_rejected_total", Counter::LimitConnRejected, "Requests that limit_conn rejected."),
    ("loop_stalls_total", Counter::Stalls, "Turns of the event loop of 50 ms and more."),
];

/// The body of a scrape. Times are in seconds, sizes in bytes; names begin with `webserv_`.
pub fn text(cx: &Services) -> String {
    let stats = &cx.stats;
    let mut out = Text(String::new());
    for (name, counter, help) in PLAIN {
        out.family(name, "counter", help);
        out.sample(name, &[], stats.get(counter));
    }
    let name = "loop_stalled_seconds_total";
    out.family(name, "counter", "Seconds that turns of the event loop of 50 ms and more took together.");
    out.sample(name, &[], seconds(stats.get(Counter::StalledMs)));
    let gauges = [
        (
            "connections_active",
            stats.active.saturating_sub(stats.waiting),
            "Connections that read or answer a request.",
        ),
        ("connections_idle", stats.waiting, "Connections between requests."),
        ("connections_reading", stats.reading, "Connections that read a request."),
        ("connections_writing", stats.writing, "Connections that answer a request."),
        ("loop_queued", stats.queued, "Connections that wait for their share of the next turn."),
        ("draining", u64::from(cx.draining || cx.quitting), "1 while the server drains."),
    ];
    for (name, value, help) in gauges {
        out.family(name, "gauge", help);
        out.sample(name, &[], value);
    }
    out.family("connections_closed_total", "counter", "Connections that ended, by reason.");
    for (reason, counter) in Closed::ALL {
        out.sample("connections_closed_total", &[("reason", reason)], stats.get(counter));
    }
    out.family("http_responses_total", "counter", "Responses by class of status; none: the client had gone.");
    for (class, counter) in CLASSES {
        out.sample("http_responses_total", &[("class", class)], stats.get(counter));
    }
    for timing in Timing::ALL {
        let name = format!("http_{}_seconds", timing.name().trim_end_matches("_time"));
        out.family(&name, "histogram", "Time in seconds, as the variable of that name has it.");
        let histogram = stats.histogram(timing);
        for (bound, count) in BOUNDS.iter().zip(histogram.cumulative) {
            out.sample(&format!("{name}_bucket"), &[("le", &seconds(*bound))], count);
        }
        out.sample(&format!("{name}_bucket"), &[("le", "+Inf")], histogram.count);
        out.sample(&format!("{name}_sum"), &[], seconds(histogram.sum));
        out.sample(&format!("{name}_count"), &[], histogram.count);
    }
    upstreams(cx, &mut out);
    let ends = certificate_ends(cx);
    if !ends.is_empty() {
        let name = "certificate_expiry_seconds";
        out.family(name, "gauge", "When the first certificate of a server ends, Unix time.");
        for (server, end) in ends {
            out.sample(name, &[("server", &server)], u64::try_from(end).unwrap_or(0));
        }
    }
    out.0
}

fn upstreams(cx: &Services, out: &mut Text) {
    let groups = groups(cx);
    if groups.is_empty() {
        return;
    }
    let peers = || groups.iter().flat_map(|(group, peers)| peers.iter().map(move |peer| (group.as_str(), peer)));
    let mut family = |name: &str, kind: &str, help: &str, value: &dyn Fn(&super::tree::PeerFacts<'_>) -> u64| {
        out.family(name, kind, help);
        for (group, peer) in peers() {
            out.sample(name, &[("upstream", group), ("peer", peer.name)], value(peer));
        }
    };
    let state = "upstream_peer_up";
    family(state, "gauge", "1 where requests may go.", &|peer| u64::from(peer.health == Health::Up));
    family("upstream_peer_requests_total", "counter", "Requests sent to it.", &|peer| peer.counts.selected);
    family("upstream_peer_bytes_sent_total", "counter", "Bytes sent to it.", &|peer| peer.counts.sent);
    family("upstream_peer_bytes_received_total", "counter", "Bytes received from it.", &|peer| peer.counts.received);
    let name = "upstream_peer_responses_total";
    out.family(name, "counter", "Its responses by class of status; none: none came.");
    for (group, peer) in peers() {
        for ((class, _), count) in CLASSES.iter().zip(peer.counts.responses) {
            out.sample(name, &[("upstream", group), ("peer", peer.name), ("class", class)], count);
        }
    }
}

struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP webserv_{name} {help}\n# TYPE webserv_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let _ = write!(self.0, "webserv_{name}");
        for (at, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if at > 0 { "," } else { "{" });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

/// Milliseconds as seconds, without trailing zeros.
fn seconds(ms: u64) -> String {
    let text = format!("{}.{:03}", ms / 1000, ms % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_seconds_are_short() {
        let mut out = Text(String::new());
        out.sample("x", &[("a", "1\"\\\n"), ("b", "é")], 7);
        out.sample("y", &[], 0);
        assert_eq!(out.0, "webserv_x{a=\"1\\\"\\\\\\n\",b=\"é\"} 7\nwebserv_y 0\n");
        assert_eq!(
            [0, 1, 25, 500, 1_000, 2_500, 10_000].map(seconds),
            ["0", "0.001", "0.025", "0.5", "1", "2.5", "10"]
        );
    }
}

//! The same counters in Prometheus's text format (version 0.0.4): each family of samples follows its HELP and TYPE.

use super::tree::{CLASSES, GroupFacts, Health, PeerFacts, certificate_ends, groups, since};
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

/// Samples of an upstream's server: name, type, help, value. Without a value: a sample for each class of its responses.
type PeerFamily = (&'static str, &'static str, &'static str, Option<fn(&PeerFacts) -> u64>);
const PEER_FAMILIES: [PeerFamily; 6] = [
    ("upstream_peer_up", "gauge", "1 where requests may go.", Some(|peer| u64::from(peer.health == Health::Up))),
    ("upstream_peer_requests_total", "counter", "Requests sent to it.", Some(|peer| peer.counts.selected)),
    ("upstream_peer_fails_total", "counter", "Requests that it did not answer.", Some(|peer| peer.counts.fails)),
    ("upstream_peer_bytes_sent_total", "counter", "Bytes sent to it.", Some(|peer| peer.counts.sent)),
    ("upstream_peer_bytes_received_total", "counter", "Bytes received from it.", Some(|peer| peer.counts.received)),
    ("upstream_peer_responses_total", "counter", "Its responses by class of status; none: none came.", None),
];

/// The body of a scrape, made piece by piece. Times are in seconds, sizes in bytes; names begin with `webserv_`.
pub struct Samples {
    /// The counters of the whole server, and a line for each upstream.
    head: String,
    groups: Vec<GroupFacts>,
    /// The family, the group in it, and the server in that.
    at: (usize, usize, usize),
    ends: std::vec::IntoIter<(String, i64)>,
    has_ends: bool,
}

impl Samples {
    /// As of now.
    pub fn of(cx: &Services) -> Samples {
        let ends = certificate_ends(cx);
        let has_ends = !ends.is_empty();
        let groups = groups(cx);
        // Without upstreams their families are left out.
        let family = if groups.is_empty() { PEER_FAMILIES.len() } else { 0 };
        Samples { head: head(cx) + &unserved(&groups), groups, at: (family, 0, 0), ends: ends.into_iter(), has_ends }
    }

    /// Appends the next lines until `out` has about `bytes` bytes. False: there are no more.
    pub fn fill(&mut self, bytes: usize, out: &mut Vec<u8>) -> bool {
        let mut text = Text(std::mem::take(&mut self.head));
        let mut has_more = true;
        while has_more && out.len() + text.0.len() < bytes {
            has_more = self.peer(&mut text) || self.end(&mut text);
        }
        out.extend_from_slice(text.0.as_bytes());
        has_more
    }

    /// The samples of one server, or the head of the next family. False: there are no more.
    fn peer(&mut self, out: &mut Text) -> bool {
        let (family, group, peer) = self.at;
        let Some((name, kind, help, value)) = PEER_FAMILIES.get(family) else { return false };
        if (group, peer) == (0, 0) {
            out.family(name, kind, help);
        }
        let Some(GroupFacts { name: of, peers, .. }) = self.groups.get(group) else {
            self.at = (family + 1, 0, 0);
            return true;
        };
        let Some(facts) = peers.get(peer) else {
            self.at = (family, group + 1, 0);
            return true;
        };
        let labels = [("upstream", of.as_str()), ("peer", &*facts.name)];
        match value {
            Some(value) => out.sample(name, &labels, value(facts)),
            None => {
                for ((class, _), count) in CLASSES.iter().zip(facts.counts.responses) {
                    out.sample(name, &[labels[0], labels[1], ("class", class)], count);
                }
            }
        }
        self.at.2 += 1;
        true
    }

    /// The sample of one certificate. False: there are no more.
    fn end(&mut self, out: &mut Text) -> bool {
        let name = "certificate_expiry_timestamp_seconds";
        if std::mem::take(&mut self.has_ends) {
            out.family(name, "gauge", "When the first certificate of a server ends, Unix time.");
        }
        let Some((server, end)) = self.ends.next() else { return false };
        out.sample(name, &[("server", &server)], u64::try_from(end).unwrap_or(0));
        true
    }
}

/// Requests that no server of a group could take.
fn unserved(groups: &[GroupFacts]) -> String {
    let mut out = Text(String::new());
    let name = "upstream_no_live_total";
    if !groups.is_empty() {
        out.family(name, "counter", "Requests for which no server of the upstream could be used.");
    }
    groups.iter().for_each(|group| out.sample(name, &[("upstream", &group.name)], group.no_live));
    out.0
}

fn head(cx: &Services) -> String {
    let stats = &cx.stats;
    let mut out = Text(String::new());
    out.family("build_info", "gauge", "Always 1; its labels say which webserv this is.");
    out.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    out.family("start_time_seconds", "gauge", "When the counters began, Unix time.");
    out.sample("start_time_seconds", &[], since(cx));
    for (name, counter, help) in PLAIN {
        out.family(name, "counter", help);
        out.sample(name, &[], stats.get(counter));
    }
    let name = "loop_stalled_seconds_total";
    out.family(name, "counter", "Seconds that turns of the event loop of 50 ms and more took together.");
    out.sample(name, &[], seconds(stats.get(Counter::StalledMs)));
    let all = stats.gauges();
    let gauges = [
        ("connections_active", all.active.saturating_sub(all.waiting), "Connections that read or answer a request."),
        ("connections_idle", all.waiting, "Connections between requests."),
        ("connections_reading", all.reading, "Connections that read a request."),
        ("connections_writing", all.writing, "Connections that answer a request."),
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
    out.0
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

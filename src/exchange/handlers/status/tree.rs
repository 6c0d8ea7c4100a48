//! The tree that `api` shows, with Angie's names where Angie has the same: connections, http, its upstreams.

use crate::config::settings::upstream::{Upstream, UpstreamServer};
use crate::config::tls_material::Handshake;
use crate::services::Services;
use crate::services::stats::{BOUNDS, Closed, Counter, PeerCounts, Stats, Timing};
use crate::sys::process;
use crate::util::date::Civil;
use crate::util::json::Json;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Classes of statuses, each with its counter.
pub const CLASSES: [(&str, Counter); 6] = [
    ("1xx", Counter::Informational),
    ("2xx", Counter::Successful),
    ("3xx", Counter::Redirected),
    ("4xx", Counter::ClientError),
    ("5xx", Counter::ServerError),
    ("none", Counter::Unanswered),
];

/// The whole tree.
pub fn tree(cx: &Services) -> Json {
    Json::object([
        ("webserv", program(cx)),
        ("connections", connections(&cx.stats)),
        ("http", http(cx)),
        ("uploads", uploads(&cx.stats)),
        ("loop", turns(&cx.stats)),
        ("certificates", certificates(cx)),
    ])
}

/// The entity at a path, from the root `/` on. Angie's name for the process works, too.
pub fn find(cx: &Services, path: &str) -> Option<Json> {
    let mut found = tree(cx);
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let name = if name == "angie" { "webserv" } else { name };
        found = found.into_member(name)?;
    }
    Some(found)
}

fn program(cx: &Services) -> Json {
    Json::object([
        ("version", Json::text(env!("CARGO_PKG_VERSION"))),
        ("nginx_version", Json::text(crate::NGINX_VERSION)),
        ("pid", Json::Number(u64::from(process::getpid().unsigned_abs()))),
        ("start_time", Json::Text(time(since(cx)))),
        ("uptime", Json::Number(u64::try_from(cx.now.unix.saturating_sub(since(cx))).unwrap_or(0))),
        ("load_time", Json::Text(time(cx.loaded))),
        ("state", Json::text(if cx.draining || cx.quitting { "draining" } else { "serving" })),
    ])
}

/// When the first process began to count: reloads do not change it.
pub fn since(cx: &Services) -> i64 {
    i64::try_from(cx.stats.since()).unwrap_or(0)
}

fn connections(stats: &Stats) -> Json {
    let accepted = stats.get(Counter::Accepted);
    let all = stats.gauges();
    let number = |name, value| (name, Json::Number(value));
    Json::object([
        number("accepted", accepted),
        number("dropped", accepted.saturating_sub(stats.get(Counter::Handled))),
        number("active", all.active.saturating_sub(all.waiting)),
        number("idle", all.waiting),
        ("closed", Json::numbers(Closed::ALL.map(|(name, counter)| (name, stats.get(counter))))),
    ])
}

fn http(cx: &Services) -> Json {
    let stats = &cx.stats;
    let get = |counter| stats.get(counter);
    let requests = [("total", get(Counter::Requests)), ("processing", stats.gauges().writing)];
    let limits = [
        ("limit_req_delayed", get(Counter::LimitReqDelayed)),
        ("limit_req_rejected", get(Counter::LimitReqRejected)),
        ("limit_conn_rejected", get(Counter::LimitConnRejected)),
    ];
    Json::object([
        ("requests", Json::numbers(requests)),
        ("responses", Json::numbers(CLASSES.map(|(name, counter)| (name, get(counter))))),
        ("data", Json::numbers([("received", get(Counter::BytesReceived)), ("sent", get(Counter::BytesSent))])),
        ("times", Json::object(Timing::ALL.map(|timing| (timing.name(), times(stats, timing))))),
        ("caches", Json::object([("responses", Json::numbers([("hits", get(Counter::CacheHits))]))])),
        ("limits", Json::numbers(limits)),
        ("upstreams", upstreams(cx)),
    ])
}

/// Milliseconds; each bucket counts requests that took at most the time in its name.
fn times(stats: &Stats, timing: Timing) -> Json {
    let histogram = stats.histogram(timing);
    let buckets =
        BOUNDS.iter().zip(histogram.cumulative).map(|(bound, count)| (bound.to_string(), Json::Number(count)));
    Json::object([
        ("count", Json::Number(histogram.count)),
        ("sum_ms", Json::Number(histogram.sum)),
        ("buckets_ms", Json::object(buckets)),
    ])
}

/// The state of an upstream's server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Requests may be passed to it.
    Up,
    /// `down` is configured.
    Down,
    /// max_fails was reached: it gets none until fail_timeout is over.
    Unavailable,
}

impl Health {
    /// Angie's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Health::Up => "up",
            Health::Down => "down",
            Health::Unavailable => "unavailable",
        }
    }
}

/// A server of an upstream and its state.
pub struct PeerFacts {
    /// As `server` has it: an address with its port, or `unix:` and a path.
    pub name: Rc<str>,
    /// Its group and its place in it; None: the group is no `upstream` block.
    pub config: Option<(Rc<Upstream>, usize)>,
    /// Whether requests may be passed to it now.
    pub health: Health,
    /// Requests that it works on now.
    pub busy: u32,
    /// Since the first process started; a handover carries them on.
    pub counts: PeerCounts,
}

/// An upstream.
pub struct GroupFacts {
    /// As `$proxy_host` has it.
    pub name: String,
    /// Its servers.
    pub peers: Vec<PeerFacts>,
    /// Requests for which none of them could be used ("no live upstreams").
    pub no_live: u64,
}

/// The configuration's upstreams in its order, each with its servers; then other servers that were used.
pub fn groups(cx: &Services) -> Vec<GroupFacts> {
    let mut groups: Vec<GroupFacts> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for upstream in &cx.config.upstreams {
        let name = group_name(upstream);
        let peers = upstream.peers.iter().enumerate().map(|(at, peer)| facts(cx, upstream, &name, at, peer));
        let peers = peers.collect();
        if !places.contains_key(&name) {
            places.insert(name.clone(), groups.len());
            groups.push(GroupFacts { name, peers, no_live: 0 });
        }
    }
    // Sets: a search through all servers for each would take too long with thousands.
    let known: Vec<HashSet<Rc<str>>> =
        groups.iter().map(|group| group.peers.iter().map(|known| known.name.clone()).collect()).collect();
    for (group, peer, counts) in cx.stats.peers() {
        let at = places.get(group).copied().unwrap_or_else(|| {
            places.insert(group.to_string(), groups.len());
            groups.push(GroupFacts { name: group.to_string(), peers: Vec::new(), no_live: 0 });
            groups.len() - 1
        });
        match known.get(at) {
            Some(known) if known.contains(peer) => {}
            // Where no server can be used, a try is noted under the group's own name (nginx's `$upstream_addr`).
            Some(_) if group == peer => groups[at].no_live = counts.selected,
            _ => {
                let (name, counts) = (peer.into(), counts.clone());
                groups[at].peers.push(PeerFacts { name, config: None, health: Health::Up, busy: 0, counts });
            }
        }
    }
    groups
}

/// As `$proxy_host` has it.
fn group_name(upstream: &Upstream) -> String {
    match upstream.port {
        Some(port) => format!("{}:{port}", upstream.name),
        None => upstream.name.to_string(),
    }
}

fn facts(cx: &Services, upstream: &Rc<Upstream>, name: &str, at: usize, peer: &UpstreamServer) -> PeerFacts {
    let seen = cx.upstream_balance.seen(upstream, at, cx.now.ms);
    let health = match (peer.down, seen.failed) {
        (true, _) => Health::Down,
        (_, true) => Health::Unavailable,
        _ => Health::Up,
    };
    let counts = cx.stats.counts(name, &peer.name).cloned().unwrap_or_default();
    let (name, config) = (peer.name.clone(), Some((upstream.clone(), at)));
    PeerFacts { name, config, health, busy: seen.busy, counts }
}

fn upstreams(cx: &Services) -> Json {
    Json::object(groups(cx).into_iter().map(|GroupFacts { name, peers, no_live }| {
        let peers = Json::object(peers.into_iter().map(|peer| (peer.name.to_string(), peer_of(&peer))));
        (name, Json::object([("peers", peers), ("no_live", Json::Number(no_live))]))
    }))
}

fn peer_of(facts: &PeerFacts) -> Json {
    let counts = &facts.counts;
    let responses = CLASSES.iter().zip(counts.responses).map(|((name, _), count)| (*name, count));
    let mut members = Vec::new();
    if let Some(peer) = facts.config.as_ref().and_then(|(upstream, at)| upstream.peers.get(*at)) {
        members.push(("server", Json::text(&*peer.server)));
        members.push(("backup", Json::Bool(peer.backup)));
        members.push(("weight", Json::Number(u64::from(peer.weight))));
    }
    members.extend([
        ("state", Json::text(facts.health.name())),
        ("selected", Json::numbers([("current", u64::from(facts.busy)), ("total", counts.selected)])),
        ("responses", Json::numbers(responses)),
        ("data", Json::numbers([("sent", counts.sent), ("received", counts.received)])),
        ("health", Json::numbers([("fails", counts.fails)])),
    ]);
    Json::object(members)
}

fn uploads(stats: &Stats) -> Json {
    Json::numbers([
        ("begun", stats.get(Counter::UploadsBegun)),
        ("stored", stats.get(Counter::UploadsStored)),
        ("refused", stats.get(Counter::UploadsRefused)),
        ("files", stats.get(Counter::UploadFiles)),
        ("bytes", stats.get(Counter::UploadBytes)),
    ])
}

fn turns(stats: &Stats) -> Json {
    Json::numbers([
        ("queued", stats.queued),
        ("stalls", stats.get(Counter::Stalls)),
        ("stalled_ms", stats.get(Counter::StalledMs)),
        ("longest_turn_ms", stats.longest_turn),
    ])
}

/// By the first name of a server: when the first of its certificates expires.
pub fn certificate_ends(cx: &Services) -> Vec<(String, i64)> {
    let mut ends: Vec<(String, i64)> = Vec::new();
    let mut seen: HashSet<(&[u8], i64)> = HashSet::new();
    for server in &cx.config.servers {
        let end = server.tls.as_ref().and_then(|tls| match &tls.handshake {
            Handshake::Acme(acme) => cx.acme.end(acme.certificate),
            _ => tls.end(),
        });
        let Some(end) = end else { continue };
        if seen.insert((&server.name, end)) {
            ends.push((String::from_utf8_lossy(&server.name).into_owned(), end));
        }
    }
    ends
}

fn certificates(cx: &Services) -> Json {
    let now = cx.now.unix;
    Json::object(certificate_ends(cx).into_iter().map(move |(name, end)| {
        let left = u64::try_from(end.saturating_sub(now)).unwrap_or(0);
        (name, Json::object([("expires", Json::Text(time(end))), ("seconds_left", Json::Number(left))]))
    }))
}

fn time(unix: i64) -> String {
    let c = Civil::from_unix(unix);
    format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", c.year, c.month, c.day, c.hour, c.minute, c.second)
}

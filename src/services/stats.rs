//! Process counters, shown by `stub_status`, `api` and `prometheus`, and the `$connections_*` variables.
//!
//! Counters that only grow survive a reload: within a process, or under a parent on a page shared with all its
//! children, so that a new child continues them. Upstream counters are handed over ([`crate::services::handover`]).
//! Gauges are each process's own; on that page each has a place for them, which the parent clears when it has exited,
//! so that status pages show the sum.
//!
//! Invariant: counting does not allocate, except for an upstream server used for the first time, and there are at most
//! [`UPSTREAMS`] of these, and [`MADE`] of those that the configuration does not name; the rest is counted together.

use crate::sys::Errno;
use crate::sys::shared::Shared;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Maximum number of upstream servers with separate counters.
const UPSTREAMS: usize = 4096;
/// Maximum number of those whose upstream the configuration does not name: variables make them of what clients send,
/// and each has lines of its own on the pages that show them.
const MADE: usize = 256;
/// The upstream and the server under which all others are counted.
const OTHERS: &str = "(others)";

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Counters, which only grow.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter { $($(#[$doc])* $name),+ }

        const COUNTERS: usize = [$(Counter::$name),+].len();
    };
}

counters! {
    Accepted, Handled, Requests,
    /// Responses by status class. Unanswered: the client had disconnected.
    Informational, Successful, Redirected, ClientError, ServerError, Unanswered,
    BytesReceived, BytesSent,
    /// Responses from the response cache.
    CacheHits,
    UploadsBegun, UploadsStored, UploadsRefused, UploadFiles, UploadBytes,
    /// Turns of the loop of at least [`STALL`], and their total milliseconds.
    Stalls, StalledMs,
    /// Requests delayed or rejected by limit_req, and rejected by limit_conn.
    LimitReqDelayed, LimitReqRejected, LimitConnRejected,
    /// Closed connections, by [`Closed`].
    ClosedServed, ClosedClient, ClosedIdle, ClosedTimedOut, ClosedRefused, ClosedShutdown, ClosedFailed,
}

/// Why connections were closed, as far as counted separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// After the last response.
    Served,
    /// By the client.
    Client,
    /// keepalive_timeout, or to make room for others.
    Idle,
    /// Another timeout.
    TimedOut,
    /// What the client sent gets no response.
    Refused,
    /// A reload, or the end of the process.
    Shutdown,
    /// The server could not continue.
    Failed,
}

impl Closed {
    /// Label of the reason, and its counter, in the order of the variants.
    pub const ALL: [(&'static str, Counter); 7] = [
        ("served", Counter::ClosedServed),
        ("client", Counter::ClosedClient),
        ("idle", Counter::ClosedIdle),
        ("timed_out", Counter::ClosedTimedOut),
        ("refused", Counter::ClosedRefused),
        ("shutdown", Counter::ClosedShutdown),
        ("failed", Counter::ClosedFailed),
    ];

    /// The counter of connections closed for this reason.
    pub fn counter(self) -> Counter {
        Closed::ALL[self as usize].1
    }
}

/// What a histogram measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// `$request_time`; the others likewise.
    Request,
    /// `$upstream_connect_time`.
    UpstreamConnect,
    /// `$upstream_header_time`.
    UpstreamHeader,
    /// `$upstream_response_time`.
    UpstreamResponse,
}

impl Timing {
    /// In the order of the variants.
    pub const ALL: [Timing; 4] =
        [Timing::Request, Timing::UpstreamConnect, Timing::UpstreamHeader, Timing::UpstreamResponse];

    /// The variable without its `$`.
    pub fn name(self) -> &'static str {
        ["request_time", "upstream_connect_time", "upstream_header_time", "upstream_response_time"][self as usize]
    }
}

/// Upper bounds of a histogram's buckets in milliseconds; one more bucket is for longer times.
pub const BOUNDS: [u64; 13] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];
const BUCKETS: usize = BOUNDS.len() + 1;
/// The buckets, then the sum.
const HISTOGRAM: usize = BUCKETS + 1;
const CELLS: usize = COUNTERS + Timing::ALL.len() * HISTOGRAM;
/// The places of processes follow on the shared page: a pid, 0 where it is free, then the gauges. An old process whose
/// connections last long has one for days; those beyond are not seen by others.
const PLACES: usize = 256;
const PLACE: usize = 1 + GAUGES;
const GAUGES: usize = 4;

fn place(at: usize) -> usize {
    CELLS + at * PLACE
}

/// Behind them: when the first process began to count, Unix time.
const SINCE: usize = CELLS + PLACES * PLACE;

/// What is counted of the present connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Open connections.
    pub active: u64,
    /// nginx's "Reading".
    pub reading: u64,
    /// nginx's "Writing".
    pub writing: u64,
    /// nginx's "Waiting".
    pub waiting: u64,
}

impl Gauges {
    fn cells(self) -> [u64; GAUGES] {
        [self.active, self.reading, self.writing, self.waiting]
    }

    fn of(cells: [u64; GAUGES]) -> Gauges {
        let [active, reading, writing, waiting] = cells;
        Gauges { active, reading, writing, waiting }
    }
}

/// Milliseconds from which a turn counts as a stall.
pub const STALL: u64 = 50;

/// A histogram in its displayed form.
pub struct Histogram {
    /// The number of values up to each of [`BOUNDS`].
    pub cumulative: [u64; BOUNDS.len()],
    /// The number of values.
    pub count: u64,
    /// Milliseconds.
    pub sum: u64,
}

/// The counters of one upstream server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerCounts {
    /// Requests for which it was chosen.
    pub selected: u64,
    /// Of these, requests that it did not answer with a valid head, unless the client left first.
    pub fails: u64,
    /// By status class, 1xx first; the last one: no response.
    pub responses: [u64; 6],
    /// Bytes.
    pub sent: u64,
    /// Bytes of responses.
    pub received: u64,
}

/// The process's counters.
pub struct Stats {
    /// Open connections, and how many are idle, reading a request, or writing a response.
    pub active: u64,
    /// nginx's "Reading".
    pub reading: u64,
    /// nginx's "Writing".
    pub writing: u64,
    /// nginx's "Waiting".
    pub waiting: u64,
    /// Connections postponed to the next turn.
    pub queued: u64,
    /// The longest turn so far, milliseconds.
    pub longest_turn: u64,
    /// By upstream and server.
    upstreams: BTreeMap<Box<str>, BTreeMap<Box<str>, PeerCounts>>,
    /// How many of them count for [`MADE`], and for [`UPSTREAMS`].
    made: usize,
    peers: usize,
    cells: [u64; CELLS],
    shared: Option<Rc<Shared>>,
    /// This process's place on the page, and what it shows there.
    place: Option<usize>,
    shown: Gauges,
    changed: bool,
    since: u64,
}

impl Default for Stats {
    fn default() -> Stats {
        Stats {
            active: 0,
            reading: 0,
            writing: 0,
            waiting: 0,
            queued: 0,
            longest_turn: 0,
            upstreams: BTreeMap::new(),
            made: 0,
            peers: 0,
            cells: [0; CELLS],
            shared: None,
            place: None,
            shown: Gauges::default(),
            changed: false,
            since: 0,
        }
    }
}

impl Stats {
    /// Creates the page for [`Stats::share`].
    ///
    /// # Errors
    /// Out of memory.
    pub fn page() -> Result<Rc<Shared>, Errno> {
        Shared::new(SINCE + 1).map(Rc::new)
    }

    /// Counts together with the processes that share the page. `pid`: of this one.
    pub fn share(&mut self, page: Rc<Shared>, pid: i32) {
        let pid = u64::from(pid.unsigned_abs());
        self.place = (0..PLACES).map(place).find(|at| page.replace(*at, 0, pid));
        page.replace(SINCE, 0, self.since);
        self.shared = Some(page);
    }

    /// Counters of a process that begins now (Unix time).
    pub fn beginning(now: i64) -> Stats {
        Stats { since: u64::try_from(now).unwrap_or(0), ..Stats::default() }
    }

    /// When the first process began to count, Unix time.
    pub fn since(&self) -> u64 {
        self.shared.as_ref().map_or(self.since, |page| page.get(SINCE))
    }

    /// A process that shares the page has exited: its connections are gone.
    pub fn forget(page: &Shared, pid: i32) {
        let pid = u64::from(pid.unsigned_abs());
        if let Some(at) = (0..PLACES).map(place).find(|at| page.get(*at) == pid) {
            (1..=GAUGES).for_each(|gauge| page.set(at + gauge, 0));
            page.set(at, 0);
        }
    }

    /// The gauges of this process.
    fn own(&self) -> Gauges {
        let Stats { active, reading, writing, waiting, .. } = *self;
        Gauges { active, reading, writing, waiting }
    }

    /// The connections of all processes that share the page: after a reload, older ones finish theirs.
    pub fn gauges(&self) -> Gauges {
        let mut cells = self.own().cells();
        if let Some(page) = &self.shared {
            let others = (0..PLACES).map(place).filter(|at| Some(*at) != self.place && page.get(*at) != 0);
            for at in others {
                (1..).zip(&mut cells).for_each(|(gauge, cell)| *cell += page.get(at + gauge));
            }
        }
        Gauges::of(cells)
    }

    /// Publishes the turn's counts.
    pub fn publish(&mut self) {
        let own = self.own();
        if let (Some(shared), Some(at)) = (&self.shared, self.place)
            && own != self.shown
        {
            self.shown = own;
            (1..).zip(own.cells()).for_each(|(gauge, value)| shared.set(at + gauge, value));
        }
        let Some(shared) = self.shared.as_ref().filter(|_| self.changed) else { return };
        for (at, cell) in self.cells.iter_mut().enumerate().filter(|(_, cell)| **cell > 0) {
            shared.add(at, std::mem::take(cell));
        }
        self.changed = false;
    }

    fn add_at(&mut self, at: usize, by: u64) {
        self.changed = true;
        if let Some(cell) = self.cells.get_mut(at) {
            *cell += by;
        }
    }

    fn at(&self, at: usize) -> u64 {
        let others = self.shared.as_ref().map_or(0, |shared| shared.get(at));
        others + self.cells.get(at).copied().unwrap_or(0)
    }

    /// Adds one.
    pub fn count(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Adds to a counter, on the shared page if there is one.
    pub fn add(&mut self, counter: Counter, by: u64) {
        self.add_at(counter as usize, by);
    }

    /// The counter since the first process started.
    pub fn get(&self, counter: Counter) -> u64 {
        self.at(counter as usize)
    }

    /// Records a completed request: its status (0: no response), bytes in both directions, and milliseconds.
    pub fn answered(&mut self, status: u16, received: u64, sent: u64, ms: u64) {
        self.count(class(status));
        self.add(Counter::BytesReceived, received);
        self.add(Counter::BytesSent, sent);
        self.time(Timing::Request, ms);
    }

    /// Counts a duration in its histogram.
    pub fn time(&mut self, timing: Timing, ms: u64) {
        let from = COUNTERS + timing as usize * HISTOGRAM;
        let bucket = BOUNDS.iter().position(|bound| ms <= *bound).unwrap_or(BOUNDS.len());
        self.add_at(from + bucket, 1);
        self.add_at(from + BUCKETS, ms);
    }

    /// Its values so far.
    pub fn histogram(&self, timing: Timing) -> Histogram {
        let from = COUNTERS + timing as usize * HISTOGRAM;
        let mut count = 0;
        let cumulative = std::array::from_fn(|at| {
            count += self.at(from + at);
            count
        });
        Histogram { cumulative, count: count + self.at(from + BOUNDS.len()), sum: self.at(from + BUCKETS) }
    }

    /// The counters of an upstream server, created if necessary. `is_named`: whether the configuration names the
    /// upstream.
    pub fn peer(&mut self, upstream: &str, peer: &str, is_named: impl FnOnce() -> bool) -> Option<&mut PeerCounts> {
        if self.counts(upstream, peer).is_some() {
            return self.upstreams.get_mut(upstream)?.get_mut(peer);
        }
        let is_named = is_named();
        if upstream == OTHERS || self.peers >= UPSTREAMS || !is_named && self.made >= MADE {
            let others = self.upstreams.entry(OTHERS.into()).or_default();
            return Some(others.entry(OTHERS.into()).or_default());
        }
        self.peers += 1;
        self.made += usize::from(!is_named);
        Some(self.upstreams.entry(upstream.into()).or_default().entry(peer.into()).or_default())
    }

    /// The counters of one server, if it was used.
    pub fn counts(&self, upstream: &str, peer: &str) -> Option<&PeerCounts> {
        self.upstreams.get(upstream)?.get(peer)
    }

    /// All counters: upstream, server, counts.
    pub fn peers(&self) -> impl Iterator<Item = (&str, &str, &PeerCounts)> {
        self.upstreams
            .iter()
            .flat_map(|(upstream, peers)| peers.iter().map(move |(peer, counts)| (&**upstream, &**peer, counts)))
    }

    /// Moves the counters of each server out, to hand them over.
    pub fn take_peers(&mut self, mut each: impl FnMut(&str, &str, PeerCounts)) {
        (self.made, self.peers) = (0, 0);
        for (upstream, peers) in std::mem::take(&mut self.upstreams) {
            peers.into_iter().for_each(|(peer, counts)| each(&upstream, &peer, counts));
        }
    }

    /// Adds the counts of another process.
    pub fn inherit(&mut self, upstream: &str, peer: &str, counts: &PeerCounts, is_named: impl FnOnce() -> bool) {
        let Some(ours) = self.peer(upstream, peer, is_named) else { return };
        (ours.selected, ours.fails) = (ours.selected + counts.selected, ours.fails + counts.fails);
        ours.responses.iter_mut().zip(counts.responses).for_each(|(ours, theirs)| *ours += theirs);
        (ours.sent, ours.received) = (ours.sent + counts.sent, ours.received + counts.received);
    }

    /// Records the duration of a turn in milliseconds.
    pub fn turn(&mut self, ms: u64) {
        if ms >= STALL {
            self.count(Counter::Stalls);
            self.add(Counter::StalledMs, ms);
            self.longest_turn = self.longest_turn.max(ms);
        }
    }
}

fn class(status: u16) -> Counter {
    match status {
        100..200 => Counter::Informational,
        200..300 => Counter::Successful,
        300..400 => Counter::Redirected,
        400..500 => Counter::ClientError,
        500..600 => Counter::ServerError,
        _ => Counter::Unanswered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_up_to_each_bound() {
        let mut stats = Stats::default();
        for ms in [0, 1, 2, 30, 10_000, 10_001, 99_999] {
            stats.answered(200, 10, 100, ms);
        }
        let times = stats.histogram(Timing::Request);
        assert_eq!((times.count, times.sum), (7, 120_033));
        assert_eq!(times.cumulative, [2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 5]);
        assert_eq!((stats.get(Counter::Successful), stats.get(Counter::BytesSent)), (7, 700));
        assert_eq!(stats.histogram(Timing::UpstreamResponse).count, 0);
    }

    #[test]
    fn what_one_process_counts_the_next_goes_on_with() {
        let page = Stats::page().expect("mmap");
        let (mut old, mut new) = (Stats::beginning(1_700_000_000), Stats::default());
        old.share(page.clone(), 2);
        new.share(page.clone(), 3);
        old.add(Counter::Requests, 3);
        old.publish();
        new.count(Counter::Requests);
        assert_eq!(new.get(Counter::Requests), 4);
        assert_eq!(old.get(Counter::Requests), 3, "the other has not published yet");
        new.publish();
        new.publish();
        assert_eq!((old.get(Counter::Requests), new.get(Counter::Requests)), (4, 4));
        (old.active, old.writing, new.active, new.waiting) = (20, 19, 1, 1);
        old.publish();
        let both = Gauges { active: 21, reading: 0, writing: 19, waiting: 1 };
        assert_eq!(new.gauges(), both);
        new.publish();
        assert_eq!((old.gauges(), old.active), (both, 20));
        Stats::forget(&page, 2);
        assert_eq!(new.gauges(), Gauges { active: 1, reading: 0, writing: 0, waiting: 1 }, "it has exited");
        let mut next = Stats::beginning(1_800_000_000);
        next.share(page, 4);
        assert_eq!(next.since(), new.since(), "counted since the first began");
        assert_eq!(next.gauges().active, 1, "its place is free again");
    }

    #[test]
    fn names_that_clients_choose_do_not_make_the_status_pages_long() {
        let mut stats = Stats::default();
        let mut count = |upstream: &str, at: usize, is_named: bool| {
            let peer = stats.peer(upstream, &at.to_string(), || is_named);
            peer.expect("one, or that of all others").selected += 1;
        };
        (0..2 * UPSTREAMS).for_each(|at| count(&format!("made{at}"), at, false));
        (0..UPSTREAMS - MADE).for_each(|at| count("named", at, true));
        (0..10).for_each(|at| count("late", at, true));
        assert_eq!(stats.peers().count(), UPSTREAMS + 1);
        assert_eq!(stats.peers().filter(|(upstream, ..)| upstream.starts_with("made")).count(), MADE);
        let others = stats.counts(OTHERS, OTHERS).map(|others| others.selected);
        assert_eq!(others, Some((2 * UPSTREAMS - MADE + 10) as u64));
        // Handed over and taken back, they are as many.
        let mut next = Stats::default();
        stats.take_peers(|upstream, peer, counts| next.inherit(upstream, peer, &counts, || upstream == "named"));
        assert_eq!(next.peers().count(), UPSTREAMS + 1);
        assert!(stats.peer("made0", "0", || false).is_some_and(|peer| peer.selected == 0));
    }
}

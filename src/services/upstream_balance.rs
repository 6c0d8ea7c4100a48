//! Which server of a group is used next, and which have failed recently: smooth weighted round robin, least_conn,
//! least_time, ip_hash, hash and random as in nginx. A server that stays when addresses change keeps its state. State
//! exists as long as the group is in use: by the configuration or, for a group made for a request, by that request and
//! its idle connections.

mod pruning;

use super::upstream_time::{RequestTimes, Times};
use crate::config::settings::upstream::{MeasuredTime, Method, Ring, Upstream, UpstreamServer as Server};
use crate::sys::random;
use crate::sys::socket::Peer as Client;
use crate::util::hash::FastMap;
use std::cell::RefCell;
use std::rc::Rc;

/// Number of groups up to which unused ones are not searched for.
const FEW: usize = 64;
/// How many unavailable servers are tried before falling back to round robin (nginx).
const STEPS: u32 = 20;

/// The state of all groups in use.
#[derive(Default)]
pub struct Balance {
    /// By the group's address, which is unique while this holds the group.
    groups: FastMap<usize, Group>,
    /// Those that a search for unused ones has not come to.
    unsure: FastMap<usize, Group>,
    /// Those that nothing uses and that have many servers: these are freed in steps.
    spent: Vec<Group>,
    /// Another search follows the one under way.
    again: bool,
    /// The number of groups at which unused ones are searched for.
    full: usize,
    rng: Rng,
}

/// A pseudo-random generator (xorshift64*), which may be predictable.
#[derive(Clone, Copy, Debug, Default)]
struct Rng(u64);

impl Rng {
    fn draw(&mut self) -> u64 {
        if self.0 == 0 {
            self.0 = random::number().unwrap_or(1) | 1;
        }
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
}

struct Group {
    upstream: Rc<Upstream>,
    /// Shared with the group of other addresses that comes after it.
    peers: Vec<Rc<RefCell<State>>>,
    /// Cumulative weights of the peers.
    weights: Box<[u64]>,
}

#[derive(Clone, Default)]
struct State {
    current: i64,
    effective: i64,
    fails: u32,
    /// When it last failed, and when it was last retried.
    accessed: u64,
    checked: u64,
    /// Requests in progress.
    busy: u32,
    times: Times,
}

impl State {
    /// Whether it may get a request now. The only server of a group is never left out for its failures.
    fn is_well(&self, server: &Server, is_single: bool, now: u64) -> bool {
        let is_resting = server.max_fails > 0
            && self.fails >= server.max_fails
            && now.saturating_sub(self.checked) <= server.fail_timeout.0;
        let is_full = server.max_conns > 0 && self.busy >= server.max_conns;
        !server.down && !is_full && (!is_resting || is_single)
    }

    /// A server's load, or the expected time of one more request there.
    fn load(&self, server: &Server, measure: Measure, now: u64) -> u64 {
        match measure {
            Measure::None => 0,
            Measure::Busy => u64::from(self.busy),
            Measure::Time(clock) => {
                // Whole seconds, as in nginx.
                let timeout = server.fail_timeout.0 / 1000;
                let since = (now / 1000).saturating_sub(self.checked / 1000);
                let idle = if since > timeout { since / (timeout + 1) } else { 0 };
                self.times.expected(clock, self.busy, idle)
            }
        }
    }
}

/// The load by which servers are compared before round robin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    None,
    Busy,
    Time(MeasuredTime),
}

/// The state of a server, for status pages.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerState {
    /// Requests in progress.
    pub busy: u32,
    /// Failures since the server last proved usable.
    pub fails: u32,
    /// It has failed, and is not used for a while.
    pub failed: bool,
}

/// The servers that one request has tried.
#[derive(Clone, Debug, Default)]
pub struct Tried {
    peers: Peers,
    /// hash: the state of the search for a server.
    walk: Walk,
    /// The last server, and the search state before it.
    last: Option<(usize, Walk)>,
}

impl Tried {
    /// Allows trying the last server once more; earlier ones stay excluded.
    pub fn forget_last(&mut self) {
        if let Some((peer, walk)) = self.last.take() {
            self.peers.remove(peer);
            self.walk = walk;
        }
    }
}

/// A bit set. For most groups nothing is allocated.
#[derive(Clone, Debug, Default)]
struct Peers {
    first: u64,
    others: Vec<u64>,
}

impl Peers {
    fn has(&self, at: usize) -> bool {
        match at.checked_sub(64) {
            None => self.first >> at & 1 == 1,
            Some(at) => self.others.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1),
        }
    }

    /// False if it was present already.
    fn add(&mut self, at: usize) -> bool {
        let is_new = !self.has(at);
        match at.checked_sub(64) {
            None => self.first |= 1 << at,
            Some(at) => {
                if self.others.len() <= at / 64 {
                    self.others.resize(at / 64 + 1, 0);
                }
                self.others[at / 64] |= 1 << (at % 64);
            }
        }
        is_new
    }

    fn remove(&mut self, at: usize) {
        match at.checked_sub(64) {
            None => self.first &= !(1 << at),
            Some(at) => {
                if let Some(word) = self.others.get_mut(at / 64) {
                    *word &= !(1 << (at % 64));
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Walk {
    hash: u32,
    rehash: u32,
    steps: u32,
}

/// Further inputs to the choice of a server.
#[derive(Clone, Copy, Debug)]
pub struct BalanceKey<'a> {
    /// The client whose request it is: for ip_hash.
    pub client: &'a Client,
    /// The value of `hash`.
    pub key: &'a [u8],
}

/// Whether a server gets further requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// It gets its share.
    Enabled,
    /// It has failed max_fails times, and gets none for fail_timeout.
    Disabled,
}

/// How a request to a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered.
    Good,
    /// A failure by proxy_next_upstream: it counts against max_fails.
    Failed,
    /// Counts neither as success nor as failure.
    Neutral,
}

impl Balance {
    /// Picks a server of the group that this request has not tried; None: all are down, busy or failed. `now`:
    /// monotonic milliseconds. Each server taken must be returned by [`Balance::give`].
    pub fn take(&mut self, upstream: &Rc<Upstream>, tried: &mut Tried, by: BalanceKey<'_>, now: u64) -> Option<usize> {
        let walk = tried.walk;
        if let Some(peer) = alone(upstream) {
            tried.last = Some((0, walk));
            return (!peer.down && tried.peers.add(0)).then_some(0);
        }
        let mut rng = self.rng;
        let group = self.group(upstream);
        let picked = match &upstream.method {
            Method::IpHash => group.by_address(tried, by.client, now),
            // With an empty key or a single server, round robin decides.
            Method::Hash { .. } if by.key.is_empty() || upstream.peers.len() < 2 => None,
            Method::Hash { ring: Some(ring), .. } => group.by_ring(tried, ring, by.key, now),
            Method::Hash { ring: None, .. } => group.by_hash(tried, by.key, now),
            Method::Random { two } if upstream.peers.len() > 1 => group.by_chance(tried, *two, &mut rng, now),
            Method::Random { .. } | Method::RoundRobin | Method::LeastConn | Method::LeastTime(_) => None,
        };
        let least = match upstream.method {
            Method::LeastConn => Measure::Busy,
            Method::LeastTime(clock) => Measure::Time(clock),
            _ => Measure::None,
        };
        let picked = picked
            .or_else(|| group.by_weight(tried, least, |peer| !peer.backup, now))
            .or_else(|| group.by_weight(tried, least, |peer| peer.backup, now));
        self.rng = rng;
        let picked = picked?;
        let group = self.group(upstream);
        let fail_timeout = upstream.peers[picked].fail_timeout.0;
        let mut state = group.peers[picked].borrow_mut();
        state.busy += 1;
        state.times.take(now);
        if now.saturating_sub(state.checked) > fail_timeout {
            state.checked = now;
        }
        drop(state);
        tried.peers.add(picked);
        tried.last = Some((picked, walk));
        Some(picked)
    }

    /// Returns a server after the request to it.
    pub fn give(
        &mut self,
        upstream: &Rc<Upstream>,
        peer: usize,
        end: Outcome,
        taken: RequestTimes,
        now: u64,
    ) -> PeerState {
        if alone(upstream).is_some() {
            return PeerState::Enabled;
        }
        let single = upstream.peers.len() == 1;
        let group = self.group(upstream);
        let known = group.peers.get(peer).zip(upstream.peers.get(peer));
        let Some((state, peer)) = known else { return PeerState::Enabled };
        let state = &mut *state.borrow_mut();
        state.busy = state.busy.saturating_sub(1);
        state.times.give(taken, end == Outcome::Good, now);
        match end {
            // A single server is never disabled.
            _ if single => state.fails = 0,
            Outcome::Failed => {
                state.fails = state.fails.saturating_add(1);
                (state.accessed, state.checked) = (now, now);
                if let Some(share) = peer.weight.checked_div(peer.max_fails) {
                    state.effective = (state.effective - i64::from(share)).max(0);
                    if state.fails >= peer.max_fails {
                        return PeerState::Disabled;
                    }
                }
            }
            Outcome::Good if state.accessed < state.checked => state.fails = 0,
            Outcome::Good | Outcome::Neutral => {}
        }
        PeerState::Enabled
    }

    /// A group's names have new addresses: servers that stay keep their state, which requests begun before still update
    /// (nginx).
    pub fn succeed(&mut self, before: &Rc<Upstream>, now: &Rc<Upstream>) {
        self.settle(before);
        let Some(old) = self.groups.get(&Rc::as_ptr(before).addr()) else { return };
        let old_peers = before.peers.iter().enumerate().rev();
        let places: FastMap<_, _> = old_peers.map(|(at, peer)| ((peer.line, &peer.addr), at)).collect();
        let stays = |peer: &Server| {
            let at = *places.get(&(peer.line, &peer.addr))?;
            let state = old.peers.get(at)?.clone();
            // The answer may give it another weight (SRV).
            let (was, is) = (i64::from(before.peers[at].weight), i64::from(peer.weight));
            let effective = (state.borrow().effective + is - was).clamp(0, is);
            state.borrow_mut().effective = effective;
            Some(state)
        };
        let kept: Vec<Option<Rc<RefCell<State>>>> = now.peers.iter().map(stays).collect();
        for (state, kept) in self.group(now).peers.iter_mut().zip(kept) {
            if let Some(kept) = kept {
                *state = kept;
            }
        }
    }

    /// The state of a server of the group.
    pub fn seen(&self, upstream: &Rc<Upstream>, peer: usize, now: u64) -> ServerState {
        let key = Rc::as_ptr(upstream).addr();
        let group = self.groups.get(&key).or_else(|| self.unsure.get(&key));
        let Some(state) = group.and_then(|group| group.peers.get(peer)) else { return ServerState::default() };
        let state = state.borrow();
        let limits = upstream.peers.get(peer).map(|peer| (peer.max_fails, peer.fail_timeout.0));
        let failed = limits.is_some_and(|(max, timeout)| {
            max > 0 && state.fails >= max && now.saturating_sub(state.checked) <= timeout
        });
        ServerState { busy: state.busy, fails: state.fails, failed }
    }

    fn group(&mut self, upstream: &Rc<Upstream>) -> &mut Group {
        self.settle(upstream);
        if !self.groups.contains_key(&Rc::as_ptr(upstream).addr()) {
            if self.groups.len() >= self.full && !self.is_pruning() {
                self.prune();
                self.settle(upstream);
            }
            self.prune_some();
        }
        self.groups.entry(Rc::as_ptr(upstream).addr()).or_insert_with(|| {
            let fresh = |weight: u32| State { effective: i64::from(weight), ..State::default() };
            let peers = upstream.peers.iter().map(|peer| Rc::new(RefCell::new(fresh(peer.weight)))).collect();
            let mut sum = 0;
            let weights = upstream.peers.iter().map(|peer| {
                sum += u64::from(peer.weight);
                sum
            });
            Group { upstream: upstream.clone(), peers, weights: weights.collect() }
        })
    }
}

/// The only server of a group, if nothing needs to be counted for it.
fn alone(upstream: &Upstream) -> Option<&Server> {
    match &upstream.peers[..] {
        [peer] if peer.max_conns == 0 => Some(peer),
        _ => None,
    }
}

impl Group {
    fn is_well(&self, at: usize, now: u64) -> bool {
        let (Some(peer), Some(state)) = (self.upstream.peers.get(at), self.peers.get(at)) else { return false };
        state.borrow().is_well(peer, self.upstream.peers.len() == 1, now)
    }

    /// The next server by smooth weighted round robin, among those for which `may` is true and whose load by `least` is
    /// the lowest.
    fn by_weight(&mut self, tried: &Tried, least: Measure, may: impl Fn(&Server) -> bool, now: u64) -> Option<usize> {
        let servers = &self.upstream.peers;
        let is_single = servers.len() == 1;
        let untried = || {
            let servers = servers.iter().zip(&self.peers).enumerate();
            servers.filter(|(at, (server, _))| may(server) && !tried.peers.has(*at))
        };
        if let Measure::Time(_) = least {
            self.peers.iter().for_each(|state| state.borrow_mut().times.sample_in_progress(now));
        }
        // The load and weight of the least loaded server.
        let mut fewest: Option<(u64, u64)> = None;
        if least != Measure::None {
            for (_, (server, state)) in untried() {
                let (state, of) = (state.borrow(), u64::from(server.weight));
                let own = state.load(server, least, now);
                let is_less = fewest.is_none_or(|(least, weight)| own * weight < least * of);
                if is_less && state.is_well(server, is_single, now) {
                    fewest = Some((own, of));
                }
            }
            fewest?;
        }
        let mut best: Option<(usize, i64)> = None;
        let mut total = 0;
        for (at, (server, state)) in untried() {
            let state = &mut *state.borrow_mut();
            let is_as_free = fewest.is_none_or(|(fewest, weight)| {
                state.load(server, least, now) * weight == fewest * u64::from(server.weight)
            });
            if !is_as_free || !state.is_well(server, is_single, now) {
                continue;
            }
            state.current += state.effective;
            total += state.effective;
            if state.effective < i64::from(server.weight) {
                state.effective += 1;
            }
            if best.is_none_or(|(_, current)| state.current > current) {
                best = Some((at, state.current));
            }
        }
        let (best, _) = best?;
        self.peers[best].borrow_mut().current -= total;
        Some(best)
    }

    /// nginx's ip_hash: the hash of the address selects a server by weight; if that is unavailable, it is hashed again.
    fn by_address(&self, tried: &Tried, client: &Client, now: u64) -> Option<usize> {
        let octets = client.octets();
        let part = if octets.len() == 4 { octets.get(..3).unwrap_or_default() } else { octets };
        let total = self.weight();
        let mut hash: u64 = 89;
        for _ in 0..=STEPS {
            hash = part.iter().fold(hash, |hash, octet| (hash * 113 + u64::from(*octet)) % 6271);
            let at = self.weighed(hash.checked_rem(total)?)?;
            if !tried.peers.has(at) && self.is_well(at, now) {
                return Some(at);
            }
        }
        None
    }

    fn weight(&self) -> u64 {
        self.weights.last().copied().unwrap_or(0)
    }

    /// The server at a position in the cumulative weights.
    fn weighed(&self, place: u64) -> Option<usize> {
        let at = self.weights.partition_point(|sum| *sum <= place);
        (at < self.weights.len()).then_some(at)
    }

    /// nginx's hash (as in Cache::Memcached): if the server is unavailable, the key is hashed again with a counter.
    fn by_hash(&self, tried: &mut Tried, key: &[u8], now: u64) -> Option<usize> {
        while tried.walk.steps <= STEPS {
            let mut crc = flate2::Crc::new();
            if tried.walk.rehash > 0 {
                crc.update(tried.walk.rehash.to_string().as_bytes());
            }
            crc.update(key);
            tried.walk.hash = tried.walk.hash.wrapping_add(crc.sum() >> 16 & 0x7fff);
            tried.walk.rehash += 1;
            let at = self.weighed(u64::from(tried.walk.hash).checked_rem(self.weight())?)?;
            if !tried.peers.has(at) && self.is_well(at, now) {
                return Some(at);
            }
            tried.walk.steps += 1;
        }
        None
    }

    /// nginx's consistent hash: the next point of the ring whose server is available.
    fn by_ring(&mut self, tried: &mut Tried, ring: &Ring, key: &[u8], now: u64) -> Option<usize> {
        let points = &ring.0;
        if tried.walk.rehash == 0 {
            tried.walk.rehash = 1;
            let mut crc = flate2::Crc::new();
            crc.update(key);
            let hash = crc.sum();
            tried.walk.hash = points.partition_point(|(point, _)| *point < hash) as u32;
        }
        while tried.walk.steps <= STEPS {
            let (_, line) = points.get((tried.walk.hash as usize).checked_rem(points.len())?)?;
            if let Some(at) = self.by_weight(tried, Measure::None, |peer| peer.line == *line, now) {
                return Some(at);
            }
            tried.walk.hash += 1;
            tried.walk.steps += 1;
        }
        None
    }

    fn by_chance(&self, tried: &Tried, two: bool, rng: &mut Rng, now: u64) -> Option<usize> {
        let mut first: Option<usize> = None;
        for _ in 0..=STEPS {
            let at = self.weighed(rng.draw().checked_rem(self.weight())?)?;
            if tried.peers.has(at) || first == Some(at) || !self.is_well(at, now) {
                continue;
            }
            let Some(other) = first else {
                if !two {
                    return Some(at);
                }
                first = Some(at);
                continue;
            };
            let load = |at: usize| u64::from(self.peers[at].borrow().busy);
            let weight = |at: usize| u64::from(self.upstream.peers[at].weight);
            return Some(if load(at) * weight(other) > load(other) * weight(at) { other } else { at });
        }
        // Only one of two candidates was found.
        first
    }
}

#[cfg(test)]
mod tests;

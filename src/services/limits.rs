//! Counters of limit_req and limit_conn, by zone and key. Zones are identified by their names and keys, so counters
//! survive a reload; a reload that replaces this process hands them over ([`crate::services::handover`]).
//!
//! Invariant: no request makes a zone exceed its size; the least recently used entries are dropped for new ones. Keys
//! come from clients, so they are hashed with a secret.

mod requests;

pub use requests::Node;

use crate::util::hash::{FastMap, SecretMap};
use requests::Requests;
use std::rc::Rc;

/// Memory accounted for an entry of limit_conn.
const ENTRY: usize = 96;

/// The counters of all zones.
#[derive(Default)]
pub struct LimitCounters {
    requests: FastMap<Rc<str>, Requests>,
    connections: FastMap<Rc<str>, SecretMap<Rc<[u8]>, u32>>,
    /// Changes to hand over, while another process is taking this one's place.
    changes: Option<Changes>,
}

type Named = (Rc<str>, Box<[u8]>);
/// The keys of a zone, and what is known of them.
pub type Nodes = Box<dyn Iterator<Item = (Rc<[u8]>, Node)>>;

#[derive(Default)]
struct Changes {
    requests: Vec<Named>,
    connections: Vec<Named>,
}

impl LimitCounters {
    /// Counts a request. Returns the excess with it (a new key has none), and what the zone knew of the key before.
    /// When all zones of the request have been asked, it ends with [`LimitCounters::keep`] for each of them; if one of
    /// them refuses it, with [`LimitCounters::uncount`].
    pub fn count(&mut self, zone: &Rc<str>, key: &[u8], rate: u64, now: u64) -> (u64, Option<Node>) {
        if let Some(changes) = &mut self.changes {
            changes.requests.push((zone.clone(), key.into()));
        }
        let Some(node) = self.requests.get_mut(zone).and_then(|zone| zone.touch(key)) else { return (0, None) };
        let excess = node.now(rate, now);
        let before = std::mem::replace(node, Node { excess, last: now });
        (excess as u64, Some(before))
    }

    /// Keeps a key that was new to [`LimitCounters::count`], for which others may have to go. `size`: most bytes of the
    /// zone.
    pub fn keep(&mut self, zone: &Rc<str>, key: &[u8], rate: u64, now: u64, size: u64) {
        let zone = match self.requests.get_mut(zone) {
            Some(zone) => zone,
            None => self.requests.entry(zone.clone()).or_default(),
        };
        zone.insert(key, Node { excess: 0, last: now }, rate, size);
    }

    /// One zone alone counts and accepts a request. Returns the excess.
    #[cfg(test)]
    pub fn pass(&mut self, zone: &Rc<str>, key: &[u8], rate: u64, now: u64, size: u64) -> u64 {
        let (excess, before) = self.count(zone, key, rate, now);
        if before.is_none() {
            self.keep(zone, key, rate, now, size);
        }
        excess
    }

    /// The excess with one more request of this key.
    #[cfg(test)]
    pub fn excess(&self, zone: &Rc<str>, key: &[u8], rate: u64, now: u64) -> u64 {
        let node = self.requests.get(zone).and_then(|zone| zone.get(key));
        node.map_or(0, |node| node.now(rate, now) as u64)
    }

    /// Undoes [`LimitCounters::count`], in the same turn: the request was refused.
    pub fn uncount(&mut self, zone: &Rc<str>, key: &[u8], before: Option<Node>) {
        let node = self.requests.get_mut(zone).and_then(|zone| zone.get_mut(key));
        if let (Some(before), Some(node)) = (before, node) {
            *node = before;
        }
    }

    /// Takes a slot for a request of this key. False: all `most` are taken.
    pub fn enter(&mut self, zone: &Rc<str>, key: &Rc<[u8]>, most: u32, size: u64) -> bool {
        self.note_connections(zone, key);
        let zone = match self.connections.get_mut(zone) {
            Some(zone) => zone,
            None => self.connections.entry(zone.clone()).or_default(),
        };
        let full = (zone.len() * ENTRY) as u64 >= size;
        match zone.get_mut(&**key) {
            Some(count) if *count >= most => false,
            Some(count) => {
                *count += 1;
                true
            }
            None if full => false,
            None => {
                zone.insert(key.clone(), 1);
                true
            }
        }
    }

    /// Releases the slot of [`LimitCounters::enter`].
    pub fn leave(&mut self, zone: &Rc<str>, key: &[u8]) {
        self.note_connections(zone, key);
        let Some(zone) = self.connections.get_mut(zone) else { return };
        match zone.get_mut(key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(zone.remove(key)),
        }
    }

    fn note_connections(&mut self, zone: &Rc<str>, key: &[u8]) {
        if let Some(changes) = &mut self.changes {
            changes.connections.push((zone.clone(), key.into()));
        }
    }

    /// Adds requests that another process has counted.
    pub fn inherit(&mut self, zone: &Rc<str>, key: &[u8], node: Node, rate: u64) {
        let zone = self.requests.entry(zone.clone()).or_default();
        match zone.get_mut(key) {
            Some(ours) => {
                let counted = ours.now(rate, node.last.max(ours.last));
                *ours = Node { excess: counted.saturating_add(node.excess), last: node.last.max(ours.last) };
            }
            None => zone.add(key, node),
        }
    }

    /// Replaces the number of slots that another process's requests hold: from `before` to `now`.
    pub fn adjust(&mut self, zone: &Rc<str>, key: &[u8], before: u32, now: u32) {
        let zone = self.connections.entry(zone.clone()).or_default();
        let count = zone.get(key).copied().unwrap_or(0).saturating_sub(before).saturating_add(now);
        match count {
            0 => drop(zone.remove(key)),
            count => drop(zone.insert(key.into(), count)),
        }
    }

    /// Hands the counts of requests over to another process, the oldest of a zone first.
    pub fn take_requests(&mut self) -> impl Iterator<Item = (Rc<str>, Nodes)> {
        let zones = std::mem::take(&mut self.requests).into_iter();
        zones.map(|(zone, requests)| (zone, Box::new(requests.into_ordered()) as Nodes))
    }

    /// Zone, key and number of requests, for a handover.
    pub fn all_connections(&self) -> impl Iterator<Item = (&Rc<str>, &[u8], u32)> {
        self.connections.iter().flat_map(|(zone, keys)| keys.iter().map(move |(key, count)| (zone, &key[..], *count)))
    }

    /// Requests that have a slot now (limit_conn).
    pub fn connections(&self, zone: &Rc<str>, key: &[u8]) -> u32 {
        self.connections.get(zone).and_then(|keys| keys.get(key)).copied().unwrap_or(0)
    }

    /// Forgets the zones that a reload has removed. Slots that are held are given back as long as there are any.
    pub fn forget(&mut self, is_known: impl Fn(&str) -> bool) {
        self.requests.retain(|zone, _| is_known(zone));
        self.connections.retain(|zone, keys| !keys.is_empty() || is_known(zone));
    }

    /// Begins to record changes.
    pub fn watch_changes(&mut self) {
        self.changes.get_or_insert_default();
    }

    /// Takes the changes of limit_req counters since the last call; empty unless a handover is under way.
    pub fn changed_requests(&mut self) -> Vec<Named> {
        self.changes.as_mut().map(|changes| std::mem::take(&mut changes.requests)).unwrap_or_default()
    }

    /// Takes the changes of limit_conn counters since the last call.
    pub fn changed_connections(&mut self) -> Vec<Named> {
        self.changes.as_mut().map(|changes| std::mem::take(&mut changes.connections)).unwrap_or_default()
    }

    /// Removes this key's counter.
    pub fn give_up(&mut self, zone: &Rc<str>, key: &[u8]) -> Option<Node> {
        self.requests.get_mut(zone)?.remove(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_drain_at_the_rate() {
        let (mut limits, zone): (LimitCounters, Rc<str>) = (LimitCounters::default(), "z".into());
        for (name, now, expected) in [
            ("the first is free", 1000, 0),
            ("another at once", 1000, 1000),
            ("half a second later at 2r/s one has drained", 1500, 1000),
            ("long after", 9000, 0),
        ] {
            // A request that another zone refuses leaves nothing behind.
            let (excess, before) = limits.count(&zone, b"k", 2000, now);
            assert_eq!(excess, expected, "{name}");
            limits.uncount(&zone, b"k", before);
            assert_eq!(limits.pass(&zone, b"k", 2000, now, 1 << 20), expected, "{name}");
        }
        let held = limits.requests[&zone].bytes();
        let (_, before) = limits.count(&zone, b"new", 2000, 9000);
        limits.uncount(&zone, b"new", before);
        assert!(limits.requests[&zone].get(b"new").is_none(), "a key that was not there is not there");
        assert_eq!(limits.requests[&zone].bytes(), held);
    }

    #[test]
    fn a_request_that_another_zone_refuses_makes_a_full_zone_forget_nobody() {
        let (mut limits, full): (LimitCounters, Rc<str>) = (LimitCounters::default(), "full".into());
        let size = 40 * requests::cost(b"0000") as u64;
        for _ in 0..2 {
            (0..40u32).for_each(|n| _ = limits.pass(&full, &n.to_le_bytes(), 1, 1000, size));
        }
        for n in 100..110u32 {
            let (_, before) = limits.count(&full, &n.to_le_bytes(), 1, 1000);
            limits.uncount(&full, &n.to_le_bytes(), before);
        }
        assert_eq!(limits.requests[&full].bytes() as u64, size);
        assert!((0..40u32).all(|n| limits.excess(&full, &n.to_le_bytes(), 1, 1000) == 2000));
        // One that is accepted is counted at once.
        limits.pass(&full, b"new!", 1, 1000, size);
        assert_eq!(limits.excess(&full, b"new!", 1, 1000), 1000);
        assert!(limits.requests[&full].bytes() as u64 <= size);
    }

    #[test]
    fn a_full_zone_forgets_the_oldest() {
        let (mut limits, zone): (LimitCounters, Rc<str>) = (LimitCounters::default(), "z".into());
        let size = 40 * requests::cost(b"0000") as u64;
        for n in 0..1000u32 {
            limits.pass(&zone, &n.to_le_bytes(), 1, u64::from(n), size);
            assert!(limits.requests[&zone].bytes() as u64 <= size);
        }
        // Those of the last milliseconds are all there, and so is one that has come again meanwhile.
        assert!((960..1000u32).all(|n| limits.requests[&zone].get(&n.to_le_bytes()).is_some()));
        limits.pass(&zone, &960u32.to_le_bytes(), 1, 1000, size);
        limits.pass(&zone, b"next", 1, 1000, size);
        assert!(limits.requests[&zone].get(&960u32.to_le_bytes()).is_some());
        assert!(limits.requests[&zone].get(&961u32.to_le_bytes()).is_none());
    }

    #[test]
    fn slots_are_given_back() {
        let (mut limits, zone): (LimitCounters, Rc<str>) = (LimitCounters::default(), "z".into());
        let key: Rc<[u8]> = Rc::from(&b"k"[..]);
        assert!(limits.enter(&zone, &key, 2, 1 << 20) && limits.enter(&zone, &key, 2, 1 << 20));
        assert!(!limits.enter(&zone, &key, 2, 1 << 20), "two are taken");
        limits.leave(&zone, b"k");
        assert!(limits.enter(&zone, &key, 2, 1 << 20), "one came free");
        limits.leave(&zone, b"k");
        limits.leave(&zone, b"k");
        assert!(limits.connections[&zone].is_empty(), "no request left, nothing kept");
    }
}

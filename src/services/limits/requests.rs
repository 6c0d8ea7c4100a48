//! The keys of one zone of limit_req, in the order of their last requests.
//!
//! Invariant: each key is once in the map and once in the list. In a full zone a new key replaces the oldest ones, as
//! many as its size needs, so that no request waits until a zone is cleared.

use crate::util::shards::Shards;
use std::rc::Rc;

/// Memory accounted for a key in addition to its bytes: as nginx's nodes, of which a megabyte holds 8 thousand.
const ENTRY: usize = 128;
/// Maximum number of keys that limit nothing any more and are removed for each new one (nginx).
const SPENT: usize = 2;
/// Ends the list.
const NONE: u32 = u32::MAX;

/// Thousandths of a request in excess of the rate, as of `last` (monotonic milliseconds).
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// Thousandths of a request.
    pub excess: i64,
    /// Monotonic milliseconds.
    pub last: u64,
}

impl Node {
    /// The excess with one more request.
    pub fn now(self, rate: u64, now: u64) -> i64 {
        let passed = i64::try_from(now.saturating_sub(self.last)).unwrap_or(i64::MAX);
        let drained = passed.saturating_mul(rate as i64) / 1000;
        self.excess.saturating_sub(drained).saturating_add(1000).max(0)
    }

    /// The entry at `now`. None: it no longer limits anything.
    pub fn drained(self, rate: u64, now: u64) -> Option<Node> {
        let excess = self.now(rate, now);
        (excess > 0).then_some(Node { excess: excess - 1000, last: now })
    }
}

struct Place {
    key: Rc<[u8]>,
    node: Node,
    older: u32,
    newer: u32,
}

pub struct Requests {
    found: Shards<Rc<[u8]>, u32>,
    places: Vec<Place>,
    oldest: u32,
    newest: u32,
    bytes: usize,
}

impl Default for Requests {
    fn default() -> Requests {
        Requests { found: Shards::default(), places: Vec::new(), oldest: NONE, newest: NONE, bytes: 0 }
    }
}

/// Bytes that a key counts.
pub fn cost(key: &[u8]) -> usize {
    ENTRY + key.len()
}

impl Requests {
    #[cfg(test)]
    pub fn get(&self, key: &[u8]) -> Option<Node> {
        let at = *self.found.get(key)?;
        self.places.get(at as usize).map(|place| place.node)
    }

    /// A key's entry, to be changed.
    pub fn get_mut(&mut self, key: &[u8]) -> Option<&mut Node> {
        let at = *self.found.get(key)?;
        self.places.get_mut(at as usize).map(|place| &mut place.node)
    }

    /// Makes a key the newest; its entry, to be changed.
    pub fn touch(&mut self, key: &[u8]) -> Option<&mut Node> {
        let at = *self.found.get(key)?;
        self.unlink(at);
        self.link(at);
        self.places.get_mut(at as usize).map(|place| &mut place.node)
    }

    /// Adds a key as the newest, or replaces its entry. In a zone of `size` bytes the oldest keys go for it, and those
    /// that limit nothing any more. Returns how many went.
    pub fn insert(&mut self, key: &[u8], node: Node, rate: u64, size: u64) -> usize {
        if let Some(entry) = self.touch(key) {
            *entry = node;
            return 0;
        }
        let mut gone = 0;
        while let Some(oldest) = self.places.get(self.oldest as usize) {
            let is_full = (self.bytes + cost(key)) as u64 > size;
            let is_spent = gone < SPENT && oldest.node.drained(rate, node.last).is_none();
            if !is_full && !is_spent {
                break;
            }
            let oldest = oldest.key.clone();
            self.remove(&oldest);
            gone += 1;
        }
        self.add(key, node);
        gone
    }

    /// Adds a key that is not there, whatever the zone's size.
    pub fn add(&mut self, key: &[u8], node: Node) {
        let key: Rc<[u8]> = key.into();
        let at = self.places.len() as u32;
        self.bytes += cost(&key);
        self.found.insert(key.clone(), at);
        self.places.push(Place { key, node, older: NONE, newer: NONE });
        self.link(at);
    }

    pub fn remove(&mut self, key: &[u8]) -> Option<Node> {
        let at = self.found.remove(key)?;
        self.bytes -= cost(key);
        self.unlink(at);
        let gone = self.places.swap_remove(at as usize);
        // The last one has its place now.
        if let Some(moved) = self.places.get(at as usize) {
            let (key, older, newer) = (moved.key.clone(), moved.older, moved.newer);
            if let Some(found) = self.found.get_mut(&key) {
                *found = at;
            }
            *self.newer_of(older) = at;
            *self.older_of(newer) = at;
        }
        Some(gone.node)
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// All keys, the oldest first.
    pub fn into_ordered(self) -> impl Iterator<Item = (Rc<[u8]>, Node)> {
        let mut at = self.oldest;
        std::iter::from_fn(move || {
            let place = self.places.get(at as usize)?;
            at = place.newer;
            Some((place.key.clone(), place.node))
        })
    }

    /// Where the neighbour on the newer side is noted: of a key, or of the list.
    fn newer_of(&mut self, at: u32) -> &mut u32 {
        match self.places.get_mut(at as usize) {
            Some(place) => &mut place.newer,
            None => &mut self.oldest,
        }
    }

    fn older_of(&mut self, at: u32) -> &mut u32 {
        match self.places.get_mut(at as usize) {
            Some(place) => &mut place.older,
            None => &mut self.newest,
        }
    }

    fn unlink(&mut self, at: u32) {
        let Some(place) = self.places.get(at as usize) else { return };
        let (older, newer) = (place.older, place.newer);
        *self.newer_of(older) = newer;
        *self.older_of(newer) = older;
    }

    /// Puts a place that is in no list at the newest end.
    fn link(&mut self, at: u32) {
        let newest = std::mem::replace(&mut self.newest, at);
        *self.newer_of(newest) = at;
        if let Some(place) = self.places.get_mut(at as usize) {
            (place.older, place.newer) = (newest, NONE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys from the oldest on, as both directions of the list and the map have them.
    fn order(zone: &Requests) -> Vec<u8> {
        let mut keys = Vec::new();
        let (mut at, mut before) = (zone.oldest, NONE);
        while let Some(place) = zone.places.get(at as usize) {
            assert_eq!((place.older, zone.found.get(&place.key)), (before, Some(&at)));
            keys.push(place.key[0]);
            (before, at) = (at, place.newer);
        }
        assert_eq!((zone.newest, zone.found.count(), zone.places.len()), (before, keys.len(), keys.len()));
        keys
    }

    const LIMITS: Node = Node { excess: 5000, last: 0 };

    #[test]
    fn keys_stay_in_the_order_of_their_last_requests() {
        let mut zone = Requests::default();
        (0..5u8).for_each(|key| zone.add(&[key], LIMITS));
        assert_eq!(order(&zone), [0, 1, 2, 3, 4]);
        for (key, expected) in [(0, [1, 2, 3, 4, 0]), (3, [1, 2, 4, 0, 3]), (3, [1, 2, 4, 0, 3]), (1, [2, 4, 0, 3, 1])]
        {
            assert!(zone.touch(&[key]).is_some());
            assert_eq!(order(&zone), expected);
        }
        for (key, expected) in [(0, &[2, 4, 3, 1][..]), (2, &[4, 3, 1]), (1, &[4, 3]), (4, &[3]), (3, &[])] {
            assert!(zone.remove(&[key]).is_some() && zone.remove(&[key]).is_none());
            assert_eq!(order(&zone), expected);
        }
        assert_eq!(zone.bytes(), 0);
        zone.add(b"a", LIMITS);
        assert_eq!(order(&zone), b"a");
    }

    #[test]
    fn a_full_zone_is_not_cleared_by_one_request() {
        let size = 1000 * cost(b"0000") as u64;
        let mut zone = Requests::default();
        for n in 0..10_000u32 {
            let gone = zone.insert(&n.to_le_bytes(), LIMITS, 1, size);
            assert_eq!(gone, usize::from(n >= 1000), "key {n}");
            assert!(zone.bytes() as u64 <= size);
        }
        // A longer one takes the room of as many as it needs; of those that limit nothing, some go with each.
        assert_eq!(zone.insert(&[b'x'; 1000], LIMITS, 1, size), 1128_usize.div_ceil(132));
        for place in &mut zone.places {
            place.node.excess = 0;
        }
        assert_eq!(zone.insert(b"last", Node { excess: 0, last: 2_000_000 }, 1, size), SPENT);
    }
}

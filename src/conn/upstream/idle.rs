//! Idle connections to upstreams by the server that they lead to: the one used last is taken again, the one idle longest
//! is closed. Knows their keys, not the connections.
//!
//! Invariant: no operation but [`Idle::expired`] takes longer because more connections are idle.

use crate::util::hash::FastMap;
use crate::util::slab::{Key, Slab};

/// A server of a group. Groups are told apart by their address, which an idle connection keeps from being used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Home {
    pub group: usize,
    pub peer: usize,
}

/// The lists that an idle connection is in, each in the order of parking.
#[derive(Clone, Copy)]
enum List {
    All,
    Group,
    Peer,
}

const LISTS: [List; 3] = [List::All, List::Group, List::Peer];

#[derive(Clone, Copy, Default)]
struct Link {
    older: Option<Key>,
    newer: Option<Key>,
}

#[derive(Clone, Copy, Default)]
struct Line {
    oldest: Option<Key>,
    newest: Option<Key>,
    length: usize,
}

struct Place {
    backend: Key,
    home: Home,
    /// When it is closed.
    due: u64,
    links: [Link; LISTS.len()],
}

#[derive(Default)]
pub struct Idle {
    places: Slab<Place>,
    all: Line,
    groups: FastMap<usize, Line>,
    peers: FastMap<Home, Line>,
    /// None is due before: connections that were taken since may have been the reason.
    soonest: Option<u64>,
}

impl Idle {
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many lead to servers of a group.
    pub fn of_group(&self, group: usize) -> usize {
        self.groups.get(&group).map_or(0, |line| line.length)
    }

    /// The place of a connection that is idle from now on.
    pub fn add(&mut self, backend: Key, home: Home, due: u64) -> Key {
        let place = self.places.insert(Place { backend, home, due, links: [Link::default(); LISTS.len()] });
        for list in LISTS {
            let line = self.line(list, home);
            let before = line.newest.replace(place);
            line.oldest.get_or_insert(place);
            line.length += 1;
            self.link(place, list, |link| link.older = before);
            self.link_to(before, list, |link| link.newer = Some(place));
        }
        self.soonest = Some(self.soonest.map_or(due, |soonest| soonest.min(due)));
        place
    }

    /// It is idle no longer.
    pub fn remove(&mut self, place: Key) {
        let Some(Place { home, links, .. }) = self.places.remove(place) else { return };
        for list in LISTS {
            let Link { older, newer } = links[list as usize];
            let line = self.line(list, home);
            line.length -= 1;
            if line.oldest == Some(place) {
                line.oldest = newer;
            }
            if line.newest == Some(place) {
                line.newest = older;
            }
            let is_empty = line.length == 0;
            self.link_to(older, list, |link| link.newer = newer);
            self.link_to(newer, list, |link| link.older = older);
            match list {
                List::Group if is_empty => drop(self.groups.remove(&home.group)),
                List::Peer if is_empty => drop(self.peers.remove(&home)),
                _ => {}
            }
        }
    }

    /// Those to a server, the one used last before the others.
    pub fn to(&self, home: Home) -> impl Iterator<Item = Key> {
        let mut next = self.peers.get(&home).and_then(|line| line.newest);
        std::iter::from_fn(move || {
            let place = self.places.get(next?)?;
            next = place.links[List::Peer as usize].older;
            Some(place.backend)
        })
    }

    /// The one that has been idle longest.
    pub fn oldest(&self) -> Option<Key> {
        self.backend(self.all.oldest)
    }

    pub fn oldest_of_group(&self, group: usize) -> Option<Key> {
        self.backend(self.groups.get(&group)?.oldest)
    }

    /// When to ask which have [`expired`](Idle::expired).
    pub fn next_due(&self) -> Option<u64> {
        self.soonest.filter(|_| !self.is_empty())
    }

    /// Those that have been idle for too long. They are removed by who closes them.
    pub fn expired(&mut self, now: u64) -> Vec<Key> {
        let mut expired = Vec::new();
        if self.next_due().is_none_or(|due| due > now) {
            return expired;
        }
        self.soonest = None;
        let mut next = self.all.oldest;
        while let Some(place) = next.and_then(|key| self.places.get(key)) {
            match place.due > now {
                true => self.soonest = Some(self.soonest.map_or(place.due, |soonest| soonest.min(place.due))),
                false => expired.push(place.backend),
            }
            next = place.links[List::All as usize].newer;
        }
        expired
    }

    fn backend(&self, place: Option<Key>) -> Option<Key> {
        self.places.get(place?).map(|place| place.backend)
    }

    fn line(&mut self, list: List, home: Home) -> &mut Line {
        match list {
            List::All => &mut self.all,
            List::Group => self.groups.entry(home.group).or_default(),
            List::Peer => self.peers.entry(home).or_default(),
        }
    }

    fn link(&mut self, place: Key, list: List, change: impl FnOnce(&mut Link)) {
        if let Some(place) = self.places.get_mut(place) {
            change(&mut place.links[list as usize]);
        }
    }

    fn link_to(&mut self, place: Option<Key>, list: List, change: impl FnOnce(&mut Link)) {
        if let Some(place) = place {
            self.link(place, list, change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Key {
        Key::new(number, 1)
    }

    fn home(group: usize, peer: usize) -> Home {
        Home { group, peer }
    }

    fn slots(keys: impl Iterator<Item = Key>) -> Vec<u32> {
        keys.map(Key::slot).collect()
    }

    #[test]
    fn the_last_used_comes_first_and_the_oldest_is_known() {
        let mut idle = Idle::default();
        let homes = [home(1, 0), home(1, 1), home(2, 0), home(1, 0), home(1, 0)];
        let places: Vec<Key> = (0..).zip(homes).map(|(at, home)| idle.add(key(at), home, 100)).collect();
        assert_eq!(slots(idle.to(home(1, 0))), [4, 3, 0]);
        assert_eq!((idle.of_group(1), idle.of_group(2), idle.of_group(3)), (4, 1, 0));
        assert_eq!(idle.oldest(), Some(key(0)));
        for (removed, all, first, second, of_peer) in [
            (3, Some(0), Some(0), Some(2), vec![4, 0]),
            (0, Some(1), Some(1), Some(2), vec![4]),
            (2, Some(1), Some(1), None, vec![4]),
            (4, Some(1), Some(1), None, vec![]),
            (4, Some(1), Some(1), None, vec![]),
            (1, None, None, None, vec![]),
        ] {
            idle.remove(places[removed]);
            let found = [idle.oldest(), idle.oldest_of_group(1), idle.oldest_of_group(2)];
            assert_eq!(found.map(|key| key.map(Key::slot)), [all, first, second], "without {removed}");
            assert_eq!(slots(idle.to(home(1, 0))), of_peer, "without {removed}");
        }
        assert!(idle.is_empty() && idle.groups.is_empty() && idle.peers.is_empty());
    }

    #[test]
    fn what_is_due_is_found_though_groups_wait_differently() {
        let mut idle = Idle::default();
        assert_eq!(idle.next_due(), None);
        let places: Vec<Key> =
            (0..).zip([300, 100, 200]).map(|(at, due)| idle.add(key(at), home(due, 0), due as u64)).collect();
        assert_eq!(idle.next_due(), Some(100));
        assert!(idle.expired(99).is_empty());
        assert_eq!(slots(idle.expired(200).into_iter()), [1, 2]);
        assert_eq!(idle.next_due(), Some(300));
        places.iter().for_each(|place| idle.remove(*place));
        assert_eq!((idle.next_due(), idle.expired(1000)), (None, vec![]));
    }
}

//! Idle upstream connections by server: the one used last is reused first, the one idle longest is closed first. Stores
//! keys, not the connections themselves.
//!
//! Invariant: no operation iterates over all idle connections. A connection that is taken is removed first, so it
//! cannot be found again, even if its key is stale.

use crate::util::hash::FastMap;
use crate::util::slab::{Key, Slab};
use std::collections::BTreeSet;
use std::hash::Hash;
use std::net::SocketAddr;

/// A server of a group, and how connections to it are made. A group is identified by its address; an idle connection
/// holds the group, so that the address is not reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The address of the group.
    pub group: usize,
    /// The number of its `server` line in the group.
    pub line: u32,
    /// Which of the line's addresses; None: a Unix socket.
    pub addr: Option<SocketAddr>,
    /// A hash of the local address and the TLS configuration.
    pub transport_hash: u64,
}

/// The lists that contain an idle connection, each ordered by when it became idle.
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

struct IdleEntry {
    conn: Key,
    /// Its server, of [`Idle::peers`].
    peer: Key,
    /// The group of its server, of [`Idle::groups`].
    group: Key,
    /// When it expires; within a group, in the order in which connections became idle.
    due: u64,
    links: [Link; LISTS.len()],
}

/// The idle connections of a group, or of a server.
struct Named<T> {
    name: T,
    line: Line,
}

/// Lists by name. An entry has the keys of its lists: only a request looks a list up by name.
struct Lists<T> {
    lists: Slab<Named<T>>,
    keys: FastMap<T, Key>,
}

impl<T> Default for Lists<T> {
    fn default() -> Lists<T> {
        Lists { lists: Slab::new(), keys: FastMap::default() }
    }
}

impl<T: Copy + Eq + Hash> Lists<T> {
    fn named(&self, name: T) -> Option<&Line> {
        Some(&self.lists.get(*self.keys.get(&name)?)?.line)
    }

    fn key(&mut self, name: T) -> Key {
        let Lists { lists, keys } = self;
        *keys.entry(name).or_insert_with(|| lists.insert(Named { name, line: Line::default() }))
    }

    fn line(&mut self, key: Key) -> Option<&mut Line> {
        self.lists.get_mut(key).map(|named| &mut named.line)
    }

    /// Removes a list that is empty.
    fn remove(&mut self, key: Key) {
        if let Some(Named { name, .. }) = self.lists.remove(key) {
            self.keys.remove(&name);
        }
    }
}

/// The keys of idle connections, in three orders.
#[derive(Default)]
pub struct Idle {
    entries: Slab<IdleEntry>,
    all: Line,
    groups: Lists<usize>,
    peers: Lists<Destination>,
    /// For each group, when its oldest connection expires.
    dues: BTreeSet<(u64, usize)>,
}

impl Idle {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of idle connections to servers of a group.
    pub fn of_group(&self, group: usize) -> usize {
        self.groups.named(group).map_or(0, |line| line.length)
    }

    /// Adds a connection that has become idle.
    pub fn add(&mut self, conn: Key, destination: Destination, due: u64) -> Key {
        let (peer, group) = (self.peers.key(destination), self.groups.key(destination.group));
        let entry = self.entries.insert(IdleEntry { conn, peer, group, due, links: [Link::default(); LISTS.len()] });
        for list in LISTS {
            let Some(line) = self.line(list, (peer, group)) else { continue };
            let before = line.newest.replace(entry);
            line.oldest.get_or_insert(entry);
            line.length += 1;
            if let (List::Group, None) = (list, before) {
                self.dues.insert((due, destination.group));
            }
            self.link_to(before, list, |link| link.newer = Some(entry));
            self.link_to(Some(entry), list, |link| link.older = before);
        }
        entry
    }

    /// Removes a connection that is no longer idle.
    pub fn remove(&mut self, entry: Key) {
        let Some(IdleEntry { peer, group, due, links, .. }) = self.entries.remove(entry) else { return };
        for list in LISTS {
            let Link { older, newer } = links[list as usize];
            let Some(line) = self.line(list, (peer, group)) else { continue };
            line.length -= 1;
            if line.oldest == Some(entry) {
                line.oldest = newer;
            }
            if line.newest == Some(entry) {
                line.newest = older;
            }
            let is_empty = line.length == 0;
            self.link_to(older, list, |link| link.newer = newer);
            self.link_to(newer, list, |link| link.older = older);
            match list {
                List::Group => {
                    if older.is_none() {
                        self.plan(group, due, newer);
                    }
                    if is_empty {
                        self.groups.remove(group);
                    }
                }
                List::Peer if is_empty => self.peers.remove(peer),
                List::Peer | List::All => {}
            }
        }
    }

    /// Takes the connection to this server that was used last.
    pub fn take(&mut self, destination: Destination) -> Option<Key> {
        self.pop(self.peers.named(destination)?.newest)
    }

    /// Takes the connection that has been idle longest.
    pub fn take_oldest(&mut self) -> Option<Key> {
        self.pop(self.all.oldest)
    }

    /// Takes the connection to any server of the group that has been idle longest: `keepalive` is about the group.
    pub fn take_oldest_of_group(&mut self, group: usize) -> Option<Key> {
        self.pop(self.groups.named(group)?.oldest)
    }

    /// When to call [`take_expired`](Idle::take_expired) next.
    pub fn next_due(&self) -> Option<u64> {
        self.dues.first().map(|(due, _)| *due)
    }

    /// Takes a connection that has been idle for too long.
    pub fn take_expired(&mut self, now: u64) -> Option<Key> {
        let (_, group) = *self.dues.first().filter(|(due, _)| *due <= now)?;
        self.take_oldest_of_group(group)
    }

    fn pop(&mut self, entry: Option<Key>) -> Option<Key> {
        let entry = entry?;
        let conn = self.entries.get(entry)?.conn;
        self.remove(entry);
        Some(conn)
    }

    /// Replaces a group's entry in `dues`: its oldest connection, due at `before`, was removed, and `oldest` is the
    /// next.
    fn plan(&mut self, group: Key, before: u64, oldest: Option<Key>) {
        let Some(group) = self.groups.lists.get(group).map(|named| named.name) else { return };
        self.dues.remove(&(before, group));
        let due = oldest.and_then(|oldest| self.entries.get(oldest)).map(|entry| entry.due);
        self.dues.extend(due.map(|due| (due, group)));
    }

    fn line(&mut self, list: List, (peer, group): (Key, Key)) -> Option<&mut Line> {
        match list {
            List::All => Some(&mut self.all),
            List::Group => self.groups.line(group),
            List::Peer => self.peers.line(peer),
        }
    }

    fn link_to(&mut self, entry: Option<Key>, list: List, change: impl FnOnce(&mut Link)) {
        if let Some(entry) = entry.and_then(|entry| self.entries.get_mut(entry)) {
            change(&mut entry.links[list as usize]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Key {
        Key::new(number, 1)
    }

    fn destination(group: usize, line: u32) -> Destination {
        Destination { group, line, addr: None, transport_hash: 0 }
    }

    fn has_no_list(idle: &Idle) -> bool {
        let has_none = idle.groups.lists.is_empty() && idle.peers.lists.is_empty();
        has_none && idle.groups.keys.is_empty() && idle.peers.keys.is_empty()
    }

    /// Calls `take` until it returns None.
    fn all(idle: &mut Idle, mut take: impl FnMut(&mut Idle) -> Option<Key>) -> Vec<u32> {
        std::iter::from_fn(|| take(idle)).map(Key::slot).collect()
    }

    /// Connections 0 to 5, all due at 100.
    fn idle() -> (Idle, Vec<Key>) {
        let mut idle = Idle::default();
        let bound = Destination { transport_hash: 1, ..destination(1, 0) };
        let destinations =
            [destination(1, 0), destination(1, 1), destination(2, 0), destination(1, 0), destination(1, 0), bound];
        let entries = (0..).zip(destinations).map(|(at, destination)| idle.add(key(at), destination, 100)).collect();
        (idle, entries)
    }

    #[test]
    fn the_last_used_comes_first_and_the_oldest_is_known() {
        for (removed, of_all, of_group, of_peer) in [
            (&[][..], &[0, 1, 2, 3, 4, 5][..], &[0, 1, 3, 4, 5][..], &[4, 3, 0][..]),
            (&[3], &[0, 1, 2, 4, 5], &[0, 1, 4, 5], &[4, 0]),
            (&[3, 0, 3], &[1, 2, 4, 5], &[1, 4, 5], &[4]),
            (&[4, 0], &[1, 2, 3, 5], &[1, 3, 5], &[3]),
            (&[0, 3, 4, 1, 5], &[2], &[], &[]),
            (&[2], &[0, 1, 3, 4, 5], &[0, 1, 3, 4, 5], &[4, 3, 0]),
        ] {
            let without = || {
                let (mut idle, entries) = idle();
                removed.iter().for_each(|at: &usize| idle.remove(entries[*at]));
                idle
            };
            let mut rest = without();
            assert_eq!(rest.of_group(1), of_group.len(), "without {removed:?}");
            assert_eq!(all(&mut rest, Idle::take_oldest), of_all, "without {removed:?}");
            assert!(rest.is_empty() && rest.dues.is_empty() && has_no_list(&rest));
            assert_eq!(all(&mut without(), |idle| idle.take_oldest_of_group(1)), of_group, "without {removed:?}");
            assert_eq!(all(&mut without(), |idle| idle.take(destination(1, 0))), of_peer, "without {removed:?}");
        }
        let (mut idle, _) = idle();
        assert_eq!(
            all(&mut idle, |idle| idle.take(Destination { transport_hash: 1, ..destination(1, 0) })),
            [5],
            "made in another way"
        );
    }

    #[test]
    fn what_is_due_is_found_though_groups_wait_differently() {
        let mut idle = Idle::default();
        assert_eq!((idle.next_due(), idle.take_expired(1000)), (None, None));
        for (at, (group, due)) in (0..).zip([(3, 300), (1, 100), (2, 200), (1, 150), (3, 301)]) {
            idle.add(key(at), destination(group, 0), due);
        }
        assert_eq!(idle.next_due(), Some(100));
        assert_eq!(idle.take_expired(99), None);
        assert_eq!(all(&mut idle, |idle| idle.take_expired(200)), [1, 3, 2]);
        assert_eq!(idle.next_due(), Some(300));
        assert_eq!(idle.take(destination(3, 0)).map(Key::slot), Some(4), "not the oldest");
        assert_eq!(idle.next_due(), Some(300));
        assert_eq!(idle.take_oldest().map(Key::slot), Some(0));
        assert_eq!((idle.next_due(), idle.take_expired(1000)), (None, None));
    }
}

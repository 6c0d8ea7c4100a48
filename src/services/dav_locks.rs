//! WebDAV locks (RFC 4918 §6, §7), by zone and by the real path of the locked resource. In memory: they survive a
//! reload, and after a restart clients request new ones.
//!
//! Invariant: a zone never exceeds its size, no exclusive lock overlaps another lock, and the cost of a request does
//! not depend on the number of locks on other paths.

use crate::http::dav::lock::Token;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::rc::Rc;

/// Memory accounted for a lock in addition to its texts.
const ENTRY: usize = 240;
/// No further lock is granted on a path with this many locks, and a PROPFIND shows at most this many. Deep locks
/// granted later on parent directories may exceed it.
const SHARED: usize = 64;
/// Maximum number of expired locks removed at a time.
const SWEEP: usize = 64;

/// One lock (RFC 4918 §6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The client names the lock by it.
    pub token: Token,
    /// The real path of the locked resource, without trailing slash.
    pub path: Rc<[u8]>,
    /// The same as an escaped URI.
    pub href: Rc<[u8]>,
    /// Exclusive; otherwise shared.
    pub exclusive: bool,
    /// Depth infinity: everything below is locked too.
    pub deep: bool,
    /// The client's `owner` element (XML).
    pub owner: Rc<[u8]>,
    /// The lock's creator according to its credentials; empty if unauthenticated. Only the creator may use or remove
    /// the lock (RFC 4918 §6.4).
    pub creator: Rc<[u8]>,
    /// Timeout in seconds, and when it expires (monotonic milliseconds).
    pub timeout: u64,
    /// Monotonic milliseconds.
    pub until: u64,
}

impl Lock {
    fn bytes(&self) -> usize {
        ENTRY + 2 * self.path.len() + self.href.len() + self.owner.len() + self.creator.len()
    }
}

/// All locks, by the zones of `dav_ext_lock_zone`.
#[derive(Default)]
pub struct DavLocks {
    /// Shared with listings, which look up an entry's locks when they reach it.
    zones: HashMap<Rc<str>, Rc<RefCell<Zone>>>,
}

#[derive(Default)]
struct Zone {
    locks: BTreeMap<Rc<[u8]>, Vec<Lock>>,
    bytes: usize,
    /// Paths with exclusive locks: only these conflict with a shared lock.
    exclusive: BTreeSet<Rc<[u8]>>,
    /// Expiry times, in order.
    ends: BTreeSet<(u64, Rc<[u8]>)>,
    /// Locks that expire by this time are no longer in force, even if not yet removed.
    now: u64,
}

/// Locks of a name that was removed, with their zones.
#[derive(Default)]
pub struct Forgotten(Vec<(Rc<str>, Lock)>);

/// Why a lock is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It conflicts with another lock.
    Locked,
    /// The zone is full.
    Full,
    /// [`SHARED`] locks cover that path.
    Many,
}

impl DavLocks {
    /// Whether there are no locks.
    pub fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }

    /// Sets the time: locks that expired by `now` are no longer in force.
    pub fn expire(&mut self, now: u64) {
        self.zones.retain(|_, zone| {
            let mut zone = zone.borrow_mut();
            zone.expire(now);
            !zone.locks.is_empty()
        });
    }

    /// Calls `see` for the locks in force on a path: its own, and deep ones of its parents.
    pub fn each_covering(&self, path: &[u8], mut see: impl FnMut(&Lock)) {
        self.zones.values().for_each(|zone| zone.borrow().covering(path).for_each(&mut see));
    }

    /// The locks of [`DavLocks::each_covering`], up to the number shown to a client.
    pub fn shown(&self, path: &[u8]) -> Vec<Lock> {
        self.some_covering(path, |_| true)
    }

    /// The deep locks that cover a directory's entries.
    pub fn deep(&self, path: &[u8]) -> Vec<Lock> {
        self.some_covering(path, |lock| lock.deep)
    }

    fn some_covering(&self, path: &[u8], is_such: impl Fn(&Lock) -> bool) -> Vec<Lock> {
        let mut found = Vec::new();
        for zone in self.zones.values() {
            let more = SHARED - found.len();
            found.extend(zone.borrow().covering(path).filter(|lock| is_such(lock)).take(more).cloned());
        }
        found
    }

    /// Whether `is_such` holds for some lock below a directory. Stops at the first one.
    pub fn any_below(&self, path: &[u8], is_such: impl Fn(&Lock) -> bool) -> bool {
        self.zones.values().any(|zone| zone.borrow().below(path).any(&is_such))
    }

    /// For a listing of the directory at `path`. `deep`: the locks that cover all of its entries.
    pub fn entries(&self, path: &[u8], deep: Vec<Lock>) -> EntryLocks {
        EntryLocks { deep, zones: self.zones.values().cloned().collect(), path: [path, b"/"].concat() }
    }

    /// Grants a lock. `size`: the zone's size in bytes.
    ///
    /// # Errors
    /// It conflicts with another lock in any zone, or there is no room.
    pub fn grant(&mut self, zone: &Rc<str>, size: u64, lock: Lock) -> Result<(), Denied> {
        let (mut covering, mut excluded) = (0, false);
        self.each_covering(&lock.path, |other| {
            covering += 1;
            excluded |= other.exclusive || lock.exclusive;
        });
        excluded |= lock.deep
            && match lock.exclusive {
                true => self.any_below(&lock.path, |_| true),
                false => self.zones.values().any(|zone| zone.borrow().has_exclusive_below(&lock.path)),
            };
        if excluded {
            return Err(Denied::Locked);
        }
        if covering >= SHARED {
            return Err(Denied::Many);
        }
        let used = self.zones.get(zone).map_or(0, |zone| zone.borrow().bytes);
        if (used + lock.bytes()) as u64 > size {
            return Err(Denied::Full);
        }
        self.zones.entry(zone.clone()).or_default().borrow_mut().insert(lock);
        Ok(())
    }

    /// Every lock with its zone, for a handover. Expired ones may be among them.
    pub fn all(&self) -> Vec<(Rc<str>, Lock)> {
        let of = |(name, zone): (&Rc<str>, &Rc<RefCell<Zone>>)| -> Vec<_> {
            zone.borrow().locks.values().flatten().map(|lock| (name.clone(), lock.clone())).collect()
        };
        self.zones.iter().flat_map(of).collect()
    }

    /// Adds a lock that an earlier process granted.
    pub fn inherit(&mut self, zone: &str, lock: Lock) {
        let known = self.zones.keys().find(|name| ***name == *zone).cloned();
        self.zones.entry(known.unwrap_or_else(|| zone.into())).or_default().borrow_mut().insert(lock);
    }

    /// Renews a lock that covers `path` for `timeout` seconds. None: no such token.
    pub fn refresh(&mut self, path: &[u8], token: Token, timeout: u64, now: u64) -> Option<Lock> {
        self.take(path, token, |zone, mut lock| {
            (lock.timeout, lock.until) = (timeout, now.saturating_add(timeout.saturating_mul(1000)));
            zone.insert(lock.clone());
            lock
        })
    }

    /// Removes a lock that covers `path`. False: no such token.
    pub fn release(&mut self, path: &[u8], token: Token) -> bool {
        let found = self.take(path, token, |_, _| ()).is_some();
        self.zones.retain(|_, zone| !zone.borrow().locks.is_empty());
        found
    }

    /// Removes a lock that covers `path` from its zone.
    fn take<T>(&self, path: &[u8], token: Token, then: impl Fn(&mut Zone, Lock) -> T) -> Option<T> {
        self.zones.values().find_map(|zone| {
            let mut zone = zone.borrow_mut();
            let at = zone.covering(path).find(|lock| lock.token == token)?.path.clone();
            let lock = zone.remove(&at, |lock| lock.token == token).pop()?;
            Some(then(&mut zone, lock))
        })
    }

    /// Removes the locks of a name that was removed, and of everything below. [`DavLocks::put_back`] restores them if
    /// the name returns.
    pub fn forget(&mut self, path: &[u8]) -> Forgotten {
        let mut forgotten = Vec::new();
        self.zones.retain(|name, shared| {
            let mut zone = shared.borrow_mut();
            for path in zone.at_or_below(path) {
                forgotten.extend(zone.remove(&path, |_| true).into_iter().map(|lock| (name.clone(), lock)));
            }
            !zone.locks.is_empty()
        });
        Forgotten(forgotten)
    }

    /// The resource is at its old name again: so are its locks.
    pub fn put_back(&mut self, Forgotten(locks): Forgotten) {
        for (zone, lock) in locks {
            self.zones.entry(zone).or_default().borrow_mut().insert(lock);
        }
    }
}

/// Looks up the locks of a directory's entries when each is listed.
#[derive(Default)]
pub struct EntryLocks {
    /// The locks that cover all entries.
    deep: Vec<Lock>,
    zones: Vec<Rc<RefCell<Zone>>>,
    /// The directory, with trailing slash.
    path: Vec<u8>,
}

impl EntryLocks {
    /// The locks of the entry with that name.
    pub fn of(&self, name: &[u8]) -> Vec<Lock> {
        let mut found = Vec::new();
        if !self.zones.is_empty() {
            let path = [&self.path[..], name].concat();
            self.zones.iter().for_each(|zone| found.extend(zone.borrow().at(&path).cloned()));
        }
        let more = SHARED.saturating_sub(found.len());
        found.extend(self.deep.iter().take(more).cloned());
        found
    }
}

impl Zone {
    fn insert(&mut self, lock: Lock) {
        self.bytes += lock.bytes();
        self.ends.insert((lock.until, lock.path.clone()));
        if lock.exclusive {
            self.exclusive.insert(lock.path.clone());
        }
        self.locks.entry(lock.path.clone()).or_default().push(lock);
    }

    /// Removes and returns matching locks of exactly this path.
    fn remove(&mut self, path: &[u8], goes: impl Fn(&Lock) -> bool) -> Vec<Lock> {
        let Some(locks) = self.locks.get_mut(path) else { return Vec::new() };
        let gone: Vec<Lock> = locks.extract_if(.., |lock| goes(lock)).collect();
        // Expired locks may have coexisted with others.
        if !locks.iter().any(|lock| lock.exclusive) {
            self.exclusive.remove(path);
        }
        if locks.is_empty() {
            self.locks.remove(path);
        }
        for lock in &gone {
            self.bytes -= lock.bytes();
            let mut others = self.locks.get(path).into_iter().flatten();
            if !others.any(|other| other.until == lock.until) {
                self.ends.remove(&(lock.until, lock.path.clone()));
            }
        }
        gone
    }

    /// Sets the time, and removes a bounded number of expired locks, more than a request adds.
    fn expire(&mut self, now: u64) {
        self.now = now;
        for _ in 0..SWEEP {
            let Some((_, path)) = self.ends.first().filter(|(until, _)| *until <= now).cloned() else { return };
            self.remove(&path, |lock| lock.until <= now);
        }
    }

    fn holds(&self, lock: &Lock) -> bool {
        lock.until > self.now
    }

    /// The locks of exactly that path.
    fn at<'z>(&'z self, path: &[u8]) -> impl Iterator<Item = &'z Lock> + use<'z> {
        self.locks.get(path).into_iter().flatten().filter(|lock| self.holds(lock))
    }

    fn covering<'z>(&'z self, path: &'z [u8]) -> impl Iterator<Item = &'z Lock> {
        let above = memchr::memchr_iter(b'/', path).filter_map(|end| Some(self.at(path.get(..end)?))).flatten();
        self.at(path).chain(above.filter(|lock| lock.deep))
    }

    fn has_exclusive_below(&self, path: &[u8]) -> bool {
        let start = [path, b"/"].concat();
        let mut below = self.exclusive.range::<[u8], _>(from(&start)).take_while(|at| at.starts_with(&start));
        below.any(|at| self.at(at).any(|lock| lock.exclusive))
    }

    fn below<'z>(&'z self, path: &[u8]) -> impl Iterator<Item = &'z Lock> + use<'z> {
        let start = [path, b"/"].concat();
        let range = self.locks.range::<[u8], _>(from(&start));
        let locks = range.take_while(move |(at, _)| at.starts_with(&start)).flat_map(|(_, locks)| locks);
        locks.filter(|lock| self.holds(lock))
    }

    fn at_or_below(&self, path: &[u8]) -> BTreeSet<Rc<[u8]>> {
        self.at(path).chain(self.below(path)).map(|lock| lock.path.clone()).collect()
    }
}

fn from(start: &[u8]) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Bound::Included(start), Bound::Unbounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(n: u8, path: &str, exclusive: bool, deep: bool, until: u64) -> Lock {
        let text = |text: &str| Rc::from(text.as_bytes());
        let token = Token::new([n; 16]);
        let (href, owner, creator) = (text(path), text(""), text(""));
        Lock { token, path: text(path), href, exclusive, deep, owner, creator, timeout: 1, until }
    }

    fn numbers(locks: &[Lock]) -> Vec<Token> {
        locks.iter().map(|lock| lock.token).collect()
    }

    #[test]
    fn an_exclusive_lock_is_alone_and_shared_ones_share() {
        let zone: Rc<str> = Rc::from("z");
        let mut locks = DavLocks::default();
        let mut grant = |n, path, exclusive, deep| locks.grant(&zone, 1 << 20, lock(n, path, exclusive, deep, 100));
        assert_eq!(grant(1, "/a/f", true, false), Ok(()));
        assert_eq!(grant(2, "/a/f", false, false), Err(Denied::Locked));
        assert_eq!(grant(3, "/a", false, true), Err(Denied::Locked), "something below is locked");
        assert_eq!(grant(3, "/a", true, false), Ok(()), "the directory alone is not");
        assert_eq!(grant(4, "/b", false, true), Ok(()));
        assert_eq!(grant(5, "/b/c/d", false, false), Ok(()));
        assert_eq!(grant(6, "/b/c/d", true, false), Err(Denied::Locked));
        assert_eq!(grant(7, "/bb", true, true), Ok(()), "a name that only begins so");
        assert_eq!(locks.grant(&Rc::from("small"), 10, lock(8, "/x", true, true, 1)), Err(Denied::Full));
        let token = |n| Token::new([n; 16]);
        assert_eq!(numbers(&locks.shown(b"/b/c/d")), [token(5), token(4)]);
        assert_eq!(numbers(&locks.shown(b"/a/g")), [], "the lock of its directory is not deep");
        assert!(locks.any_below(b"/b", |lock| lock.token == token(5)));
        assert!(!locks.any_below(b"/b", |lock| lock.token != token(5)));
    }

    #[test]
    fn a_lock_ends_by_its_time_by_its_token_or_with_its_name() {
        let zone: Rc<str> = Rc::from("z");
        let mut locks = DavLocks::default();
        for (n, path, until) in [(1, "/a", 1000), (2, "/b/c", 2000), (3, "/b", 3000)] {
            locks.grant(&zone, 1 << 20, lock(n, path, true, false, until)).expect("granted");
        }
        assert_eq!(locks.refresh(b"/a", Token::new([9; 16]), 5, 0), None);
        assert_eq!(locks.refresh(b"/a", Token::new([1; 16]), 5, 500).map(|lock| lock.until), Some(5500));
        locks.expire(2000);
        assert!(locks.shown(b"/b/c").is_empty() && locks.shown(b"/a").len() == 1);
        assert!(!locks.release(b"/a", Token::new([3; 16])) && locks.release(b"/a", Token::new([1; 16])));
        locks.forget(b"/b");
        assert!(locks.is_empty());
    }

    #[test]
    fn many_that_end_at_once_hold_no_more_and_go_by_and_by() {
        let zone: Rc<str> = Rc::from("z");
        let mut locks = DavLocks::default();
        let path = |n: usize| format!("/d/{n}");
        for n in 0..=SWEEP {
            locks.grant(&zone, 1 << 20, lock(1, &path(n), true, false, 10)).expect("granted");
        }
        locks.grant(&zone, 1 << 20, lock(2, "/d/0-", true, false, 20)).expect("granted");
        locks.expire(10);
        assert_eq!(locks.all().len(), 2, "one that has ended is still there");
        assert!((0..=SWEEP).all(|n| locks.shown(path(n).as_bytes()).is_empty()));
        assert!(!locks.any_below(b"/d", |lock| lock.token == Token::new([1; 16])));
        assert!((0..=SWEEP).all(|n| locks.entries(b"/d", Vec::new()).of(n.to_string().as_bytes()).is_empty()));
        locks.expire(11);
        assert_eq!(locks.all().len(), 1);
        locks.expire(20);
        assert!(locks.is_empty());
        let zone: &Rc<str> = &zone;
        locks.grant(zone, 1 << 20, lock(3, "/d", true, true, 30)).expect("nothing is in the way");
        assert_eq!(
            locks.zones[zone].borrow().bytes,
            lock(3, "/d", true, true, 30).bytes(),
            "what is gone is not counted"
        );
    }

    #[test]
    fn shared_locks_of_a_path_are_bounded() {
        let zone: Rc<str> = Rc::from("z");
        let mut locks = DavLocks::default();
        for n in 0..SHARED {
            assert_eq!(locks.grant(&zone, 1 << 20, lock(n as u8, "/f", false, false, 10)), Ok(()));
        }
        assert_eq!(locks.grant(&zone, 1 << 20, lock(200, "/f", false, false, 10)), Err(Denied::Many));
        assert_eq!(locks.grant(&zone, 1 << 20, lock(200, "/g", false, false, 10)), Ok(()));
    }

    #[test]
    fn what_is_shown_of_a_path_is_bounded_however_deep_it_lies() {
        let zone: Rc<str> = Rc::from("z");
        let mut locks = DavLocks::default();
        for (path, deep) in [("/a/b/c/f", false), ("/a/b/c", true), ("/a/b", true)] {
            for n in 0..SHARED {
                assert_eq!(locks.grant(&zone, 1 << 20, lock(n as u8, path, false, deep, 10)), Ok(()), "{path}");
            }
        }
        let deep = locks.deep(b"/a/b/c");
        assert_eq!((locks.shown(b"/a/b/c/f").len(), deep.len()), (SHARED, SHARED));
        let entries = locks.entries(b"/a/b/c", deep);
        assert_eq!((entries.of(b"f").len(), entries.of(b"g").len()), (SHARED, SHARED));
        let mut all = 0;
        locks.each_covering(b"/a/b/c/f", |_| all += 1);
        assert_eq!(all, 3 * SHARED, "all of them hold");
        assert_eq!(locks.grant(&zone, 1 << 20, lock(200, "/a/b/c/g", false, false, 10)), Err(Denied::Many));
    }

    /// The search for conflicts with a shared lock uses only these.
    #[test]
    fn what_has_exclusive_locks_is_known_by_itself() {
        let name: Rc<str> = Rc::from("z");
        let mut locks = DavLocks::default();
        let token = |n| Token::new([n; 16]);
        let known = |locks: &DavLocks| locks.zones[&name].borrow().exclusive.iter().map(|at| at.len()).sum::<usize>();
        for n in 0..100 {
            locks.grant(&name, 1 << 20, lock(n, &format!("/d/{n}"), false, false, 100)).expect("granted");
        }
        assert_eq!(known(&locks), 0);
        locks.grant(&name, 1 << 20, lock(200, "/d/x/y", true, false, 10)).expect("granted");
        let shared = |locks: &mut DavLocks| locks.grant(&name, 1 << 20, lock(201, "/d", false, true, 100));
        assert_eq!((known(&locks), shared(&mut locks)), (6, Err(Denied::Locked)));
        locks.refresh(b"/d/x/y", token(200), 5, 10).expect("refreshed");
        assert_eq!((known(&locks), shared(&mut locks)), (6, Err(Denied::Locked)));
        assert!(locks.release(b"/d/x/y", token(200)));
        assert_eq!((known(&locks), shared(&mut locks)), (0, Ok(())));
    }

    #[test]
    fn the_locks_of_a_name_that_is_back_are_back() {
        let (one, two): (Rc<str>, Rc<str>) = (Rc::from("one"), Rc::from("two"));
        let mut locks = DavLocks::default();
        let all = [(1, &one, "/d"), (2, &two, "/d/a/x"), (3, &two, "/d/a"), (4, &one, "/d/ab")];
        for (n, zone, path) in all {
            locks.grant(zone, 1 << 20, lock(n, path, n == 2, false, 10)).expect("granted");
        }
        let there = |locks: &DavLocks| all.map(|(_, _, path)| locks.shown(path.as_bytes()).len());
        let forgotten = locks.forget(b"/d/a");
        assert_eq!(there(&locks), [1, 0, 0, 1]);
        locks.put_back(forgotten);
        assert_eq!(there(&locks), [1; 4]);
        let denied = locks.grant(&one, 1 << 20, lock(5, "/d/a/x", false, false, 10));
        assert_eq!(denied, Err(Denied::Locked), "it is exclusive as before");
        let forgotten = locks.forget(b"/d");
        assert!(locks.is_empty());
        locks.put_back(forgotten);
        assert_eq!(there(&locks), [1; 4]);
    }

    #[test]
    fn an_entry_has_the_locks_of_its_name_and_those_of_all() {
        let (one, two): (Rc<str>, Rc<str>) = (Rc::from("one"), Rc::from("two"));
        let mut locks = DavLocks::default();
        for (n, zone, path) in
            [(1, &one, "/d/a"), (2, &one, "/d/a.b"), (3, &two, "/d/a/x"), (5, &two, "/d/a"), (7, &one, "/da")]
        {
            locks.grant(zone, 1 << 20, lock(n, path, false, false, 10)).expect("granted");
        }
        let entries = locks.entries(b"/d", vec![lock(9, "/", false, true, 10)]);
        let table: [(&str, &[u8]); 5] = [("a", &[1, 5, 9]), ("a.b", &[2, 9]), ("b", &[9]), ("x", &[9]), ("", &[9])];
        let check = |table: &[(&str, &[u8])]| {
            for (name, expected) in table {
                let mut found = numbers(&entries.of(name.as_bytes()));
                found.sort_by_key(Token::to_string);
                assert_eq!(found, expected.iter().map(|n| Token::new([*n; 16])).collect::<Vec<_>>(), "{name}");
            }
        };
        check(&table);
        locks.forget(b"/d/a");
        check(&[("a", &[9]), ("a.b", &[2, 9])]);
    }
}

//! WebDAV locks (RFC 4918 §6, §7), by zone and by the real path of the locked resource. In memory: they survive a
//! reload, and after a restart clients request new ones.
//!
//! Invariant: a zone never exceeds its size, no exclusive lock overlaps another lock, and the cost of a request does
//! not depend on the number of locks on other paths. Locks spell the common part of their paths identically.

mod spellings;

use self::spellings::Spellings;
use crate::http::dav::lock::Token;
use std::borrow::Cow;
use std::cell::{Ref, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::rc::Rc;
use std::vec;

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
        ENTRY + 3 * self.path.len() + self.href.len() + self.owner.len() + self.creator.len()
    }
}

/// All locks, by the zones of `dav_ext_lock_zone`.
#[derive(Default)]
pub struct DavLocks {
    /// Shared with listings, which look up an entry's locks when they reach it.
    zones: HashMap<Rc<str>, Rc<RefCell<Zone>>>,
    /// None: no other process serves the same files.
    changes: Option<Vec<LockChange>>,
}

#[derive(Default)]
struct Zone {
    locks: BTreeMap<Rc<[u8]>, Vec<Lock>>,
    bytes: usize,
    /// The paths of all locks.
    spellings: Spellings,
    /// Paths with exclusive locks: only these conflict with a shared lock.
    exclusive: BTreeSet<Rc<[u8]>>,
    /// Expiry times, in order.
    ends: BTreeSet<(u64, Rc<[u8]>)>,
    /// Locks that expire by this time are no longer in force, even if not yet removed.
    now: u64,
}

/// A change to announce to another process that serves the same files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockChange {
    /// A lock of this zone was granted or renewed.
    Held(Rc<str>, Lock),
    /// A lock of this path has ended before its time.
    Ended(Rc<[u8]>, Token),
}

/// Locks of a name that was removed, with their zones.
#[derive(Default)]
pub struct Forgotten(Vec<(Rc<str>, Lock)>);

/// Iterates over all locks while requests change them. Locks granted meanwhile may be missed; ended or expired ones may
/// be returned.
pub struct LockCursor {
    /// The remaining zones.
    zones: Vec<(Rc<str>, Rc<RefCell<Zone>>)>,
    /// The last path visited in the last zone, and its remaining locks.
    last: Option<Rc<[u8]>>,
    found: vec::IntoIter<Lock>,
}

impl Iterator for LockCursor {
    type Item = (Rc<str>, Lock);

    fn next(&mut self) -> Option<(Rc<str>, Lock)> {
        loop {
            let (name, zone) = self.zones.last()?;
            if let Some(lock) = self.found.next() {
                return Some((name.clone(), lock));
            }
            let begin = self.last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let zone = zone.borrow();
            let next = zone.locks.range::<[u8], _>((begin, Bound::Unbounded)).next();
            self.last = next.map(|(path, _)| path.clone());
            match next {
                Some((_, locks)) => self.found = locks.clone().into_iter(),
                None => {
                    drop(zone);
                    self.zones.pop();
                }
            }
        }
    }
}

/// Why a lock is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotGranted {
    /// It conflicts with another lock.
    Locked,
    /// The zone is full.
    Full,
    /// [`SHARED`] locks cover that path, or a name in it has the maximum number of spellings.
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

    fn borrowed(&self) -> Vec<Ref<'_, Zone>> {
        self.zones.values().map(|zone| zone.borrow()).collect()
    }

    /// The path as locks spell it: the file system may ignore case.
    fn spelled<'p>(&self, path: &'p [u8]) -> Cow<'p, [u8]> {
        let found = spellings::spelled(self.borrowed().iter().map(|zone| &zone.spellings), path);
        found.map_or(Cow::Borrowed(path), Cow::Owned)
    }

    /// Calls `see` for the locks in force on a path: its own, and deep ones of its parents.
    pub fn each_covering(&self, path: &[u8], see: impl FnMut(&Lock)) {
        self.each_covering_spelled(&self.spelled(path), see);
    }

    /// As [`DavLocks::each_covering`], for a path as locks spell it.
    fn each_covering_spelled(&self, path: &[u8], mut see: impl FnMut(&Lock)) {
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
        let (path, mut found) = (&self.spelled(path), Vec::new());
        for zone in self.zones.values() {
            let more = SHARED - found.len();
            found.extend(zone.borrow().covering(path).filter(|lock| is_such(lock)).take(more).cloned());
        }
        found
    }

    /// Whether `is_such` holds for some lock below a directory. Stops at the first one.
    pub fn any_below(&self, path: &[u8], is_such: impl Fn(&Lock) -> bool) -> bool {
        let path = &self.spelled(path);
        self.zones.values().any(|zone| zone.borrow().below(path).any(&is_such))
    }

    /// For a listing of the directory at `path`. `deep`: the locks that cover all of its entries.
    pub fn entries(&self, path: &[u8], deep: Vec<Lock>) -> EntryLocks {
        let path = [&self.spelled(path)[..], b"/"].concat();
        EntryLocks { deep, zones: self.zones.values().cloned().collect(), path }
    }

    /// Grants a lock. `size`: the zone's size in bytes.
    ///
    /// # Errors
    /// It conflicts with another lock in any zone, or there is no room.
    pub fn grant(&mut self, zone: &Rc<str>, size: u64, mut lock: Lock) -> Result<(), NotGranted> {
        if let Cow::Owned(path) = self.spelled(&lock.path) {
            lock.path = path.into();
        }
        let (mut covering, mut excluded) = (0, false);
        self.each_covering_spelled(&lock.path, |other| {
            covering += 1;
            excluded |= other.exclusive || lock.exclusive;
        });
        excluded |= lock.deep
            && match lock.exclusive {
                true => self.zones.values().any(|zone| zone.borrow().below(&lock.path).next().is_some()),
                false => self.zones.values().any(|zone| zone.borrow().has_exclusive_below(&lock.path)),
            };
        if excluded {
            return Err(NotGranted::Locked);
        }
        if covering >= SHARED || !spellings::has_room(self.borrowed().iter().map(|zone| &zone.spellings), &lock.path) {
            return Err(NotGranted::Many);
        }
        let used = self.zones.get(zone).map_or(0, |zone| zone.borrow().bytes);
        if (used + lock.bytes()) as u64 > size {
            return Err(NotGranted::Full);
        }
        self.note(|| LockChange::Held(zone.clone(), lock.clone()));
        self.zones.entry(zone.clone()).or_default().borrow_mut().insert(lock);
        Ok(())
    }

    /// From now on changes are noted for other processes; or no longer.
    pub fn watch_changes(&mut self, on: bool) {
        match on {
            true => _ = self.changes.get_or_insert_default(),
            false => self.changes = None,
        }
    }

    /// What this process's requests have changed since the last call.
    pub fn take_changes(&mut self) -> Vec<LockChange> {
        self.changes.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn note(&mut self, change: impl FnOnce() -> LockChange) {
        if let Some(changes) = &mut self.changes {
            changes.push(change());
        }
    }

    /// Every lock with its zone, for a handover.
    pub fn cursor(&self) -> LockCursor {
        let zones = self.zones.iter().map(|(name, zone)| (name.clone(), zone.clone())).collect();
        LockCursor { zones, last: None, found: Vec::new().into_iter() }
    }

    /// A lock that another process has granted or renewed.
    pub fn inherit(&mut self, zone: &str, lock: Lock) {
        self.end(&lock.path, lock.token);
        let known = self.zones.keys().find(|name| ***name == *zone).cloned();
        self.zones.entry(known.unwrap_or_else(|| zone.into())).or_default().borrow_mut().insert(lock);
    }

    /// Removes a lock that has ended in another process.
    pub fn end(&mut self, path: &[u8], token: Token) {
        self.zones.retain(|_, zone| {
            let mut zone = zone.borrow_mut();
            zone.remove(path, |lock| lock.token == token);
            !zone.locks.is_empty()
        });
    }

    /// Renews a lock that covers `path` for `timeout` seconds. None: no such token.
    pub fn refresh(&mut self, path: &[u8], token: Token, timeout: u64, now: u64) -> Option<Lock> {
        let (zone, lock) = self.take(path, token, |name, zone, mut lock| {
            (lock.timeout, lock.until) = (timeout, now.saturating_add(timeout.saturating_mul(1000)));
            zone.insert(lock.clone());
            (name.clone(), lock)
        })?;
        self.note(|| LockChange::Held(zone, lock.clone()));
        Some(lock)
    }

    /// Removes a lock that covers `path`. False: no such token.
    pub fn release(&mut self, path: &[u8], token: Token) -> bool {
        let Some(path) = self.take(path, token, |_, _, lock| lock.path) else { return false };
        self.note(|| LockChange::Ended(path, token));
        self.zones.retain(|_, zone| !zone.borrow().locks.is_empty());
        true
    }

    /// Removes a lock that covers `path` from its zone.
    fn take<T>(&self, path: &[u8], token: Token, then: impl Fn(&Rc<str>, &mut Zone, Lock) -> T) -> Option<T> {
        let path = &self.spelled(path);
        self.zones.iter().find_map(|(name, zone)| {
            let mut zone = zone.borrow_mut();
            let at = zone.covering(path).find(|lock| lock.token == token)?.path.clone();
            let lock = zone.remove(&at, |lock| lock.token == token).pop()?;
            Some(then(name, &mut zone, lock))
        })
    }

    /// Removes the locks of a name that was removed, and of everything below. [`DavLocks::put_back`] restores them if
    /// the name returns.
    pub fn forget(&mut self, path: &[u8]) -> Forgotten {
        let (path, mut forgotten) = (self.spelled(path), Vec::new());
        self.zones.retain(|name, shared| {
            let mut zone = shared.borrow_mut();
            for path in zone.at_or_below(&path) {
                forgotten.extend(zone.remove(&path, |_| true).into_iter().map(|lock| (name.clone(), lock)));
            }
            !zone.locks.is_empty()
        });
        for (_, lock) in &forgotten {
            self.note(|| LockChange::Ended(lock.path.clone(), lock.token));
        }
        Forgotten(forgotten)
    }

    /// The resource is at its old name again: so are its locks.
    pub fn put_back(&mut self, Forgotten(locks): Forgotten) {
        for (zone, lock) in locks {
            self.note(|| LockChange::Held(zone.clone(), lock.clone()));
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
        self.spellings.add(&lock.path);
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
        if locks.is_empty()
            && let Some((path, _)) = self.locks.remove_entry(path)
        {
            self.spellings.remove(&path);
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
mod tests;

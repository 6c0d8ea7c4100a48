//! Locks of WebDAV (RFC 4918 §6, §7), by zone and by the real path of what is locked. In memory: they outlive a reload, and a
//! client that finds its lock gone after a restart takes another.
//!
//! Invariant: a zone never holds more than its size allows, and no exclusive lock covers what another lock covers.

use crate::http::dav::lock::Token;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// Memory counted for a lock beside its texts.
const ENTRY: usize = 160;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    pub token: Token,
    /// The real path that it is of, without a slash at its end.
    pub path: Rc<[u8]>,
    /// The same as a URI, escaped.
    pub href: Rc<[u8]>,
    pub exclusive: bool,
    /// All below is locked too.
    pub deep: bool,
    /// The client's `owner` element, as XML.
    pub owner: Rc<[u8]>,
    /// Seconds it was granted for, and when it ends (monotonic milliseconds).
    pub timeout: u64,
    pub until: u64,
}

impl Lock {
    fn bytes(&self) -> usize {
        ENTRY + 2 * self.path.len() + self.href.len() + self.owner.len()
    }
}

#[derive(Default)]
pub struct DavLocks {
    zones: HashMap<Rc<str>, Zone>,
}

#[derive(Default)]
struct Zone {
    locks: BTreeMap<Rc<[u8]>, Vec<Lock>>,
    bytes: usize,
    /// No lock ends before then.
    next: u64,
}

/// Why a lock is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Another lock is in the way.
    Locked,
    /// The zone is full.
    Full,
}

impl DavLocks {
    /// Nothing is locked, so that nothing need be asked.
    pub fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }

    /// Forgets what has ended by `now`.
    pub fn expire(&mut self, now: u64) {
        self.zones.retain(|_, zone| {
            if zone.next <= now {
                zone.keep(|lock| lock.until > now);
            }
            !zone.locks.is_empty()
        });
    }

    /// The locks that hold for a path: its own, and deep ones of what it is in.
    pub fn covering<'l>(&'l self, path: &'l [u8]) -> Vec<&'l Lock> {
        self.zones.values().flat_map(|zone| zone.covering(path)).collect()
    }

    /// The locks of what is in a directory, however deep.
    pub fn below<'l>(&'l self, path: &'l [u8]) -> Vec<&'l Lock> {
        self.zones.values().flat_map(|zone| zone.below(path)).collect()
    }

    /// Grants a lock. `size`: bytes the zone may take.
    ///
    /// # Errors
    /// Another one is in the way, in whatever zone; or the zone is full.
    pub fn grant(&mut self, zone: &Rc<str>, size: u64, lock: Lock) -> Result<(), Denied> {
        let others = self.covering(&lock.path).into_iter();
        let below = if lock.deep { self.below(&lock.path) } else { Vec::new() };
        if others.chain(below).any(|other| other.exclusive || lock.exclusive) {
            return Err(Denied::Locked);
        }
        let used = self.zones.get(zone).map_or(0, |zone| zone.bytes);
        if (used + lock.bytes()) as u64 > size {
            return Err(Denied::Full);
        }
        self.zones.entry(zone.clone()).or_default().insert(lock);
        Ok(())
    }

    pub fn all(&self) -> Vec<(Rc<str>, Lock)> {
        let of = |(name, zone): (&Rc<str>, &Zone)| -> Vec<_> {
            zone.locks.values().flatten().map(|lock| (name.clone(), lock.clone())).collect()
        };
        self.zones.iter().flat_map(of).collect()
    }

    /// A lock that another process has granted, whose place we take.
    pub fn inherit(&mut self, zone: &str, lock: Lock) {
        let known = self.zones.keys().find(|name| ***name == *zone).cloned();
        self.zones.entry(known.unwrap_or_else(|| zone.into())).or_default().insert(lock);
    }

    /// Gives a lock that covers `path` another `timeout` seconds. None: there is none with that token.
    pub fn refresh(&mut self, path: &[u8], token: Token, timeout: u64, now: u64) -> Option<&Lock> {
        let at = self.covering(path).into_iter().find(|lock| lock.token == token)?.path.clone();
        for zone in self.zones.values_mut() {
            let found = zone.locks.get_mut(&at).and_then(|locks| locks.iter_mut().find(|lock| lock.token == token));
            if let Some(lock) = found {
                (lock.timeout, lock.until) = (timeout, now.saturating_add(timeout.saturating_mul(1000)));
                zone.next = zone.next.min(lock.until);
                return Some(lock);
            }
        }
        None
    }

    /// Ends a lock that covers `path`. False: there is none with that token.
    pub fn release(&mut self, path: &[u8], token: Token) -> bool {
        if !self.covering(path).iter().any(|lock| lock.token == token) {
            return false;
        }
        self.zones.values_mut().for_each(|zone| zone.keep(|lock| lock.token != token));
        self.zones.retain(|_, zone| !zone.locks.is_empty());
        true
    }

    /// The name is gone, with all that was in it: so are their locks.
    pub fn forget(&mut self, path: &[u8]) {
        self.zones.values_mut().for_each(|zone| zone.keep(|lock| !is_at_or_below(&lock.path, path)));
        self.zones.retain(|_, zone| !zone.locks.is_empty());
    }
}

fn is_at_or_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

impl Zone {
    fn insert(&mut self, lock: Lock) {
        self.bytes += lock.bytes();
        self.next = if self.locks.is_empty() { lock.until } else { self.next.min(lock.until) };
        self.locks.entry(lock.path.clone()).or_default().push(lock);
    }

    fn keep(&mut self, keeps: impl Fn(&Lock) -> bool) {
        self.locks.retain(|_, locks| {
            locks.retain(&keeps);
            !locks.is_empty()
        });
        self.bytes = self.locks.values().flatten().map(Lock::bytes).sum();
        self.next = self.locks.values().flatten().map(|lock| lock.until).min().unwrap_or(u64::MAX);
    }

    fn covering<'z>(&'z self, path: &'z [u8]) -> impl Iterator<Item = &'z Lock> {
        let own = self.locks.get(path).into_iter().flatten();
        let above = memchr::memchr_iter(b'/', path).filter_map(|end| self.locks.get(path.get(..end)?)).flatten();
        own.chain(above.filter(|lock| lock.deep))
    }

    fn below<'z>(&'z self, path: &'z [u8]) -> impl Iterator<Item = &'z Lock> {
        let start = [path, b"/"].concat();
        let range = self.locks.range::<[u8], _>((std::ops::Bound::Included(&start[..]), std::ops::Bound::Unbounded));
        range.take_while(move |(at, _)| at.starts_with(&start)).flat_map(|(_, locks)| locks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(n: u8, path: &str, exclusive: bool, deep: bool, until: u64) -> Lock {
        let text = |text: &str| Rc::from(text.as_bytes());
        let token = Token::new([n; 16]);
        Lock { token, path: text(path), href: text(path), exclusive, deep, owner: text(""), timeout: 1, until }
    }

    fn numbers(locks: &[&Lock]) -> Vec<Token> {
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
        assert_eq!(numbers(&locks.covering(b"/b/c/d")), [token(5), token(4)]);
        assert_eq!(numbers(&locks.covering(b"/a/g")), [], "the lock of its directory is not deep");
        assert_eq!(numbers(&locks.below(b"/b")), [token(5)]);
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
        assert!(locks.covering(b"/b/c").is_empty() && locks.covering(b"/a").len() == 1);
        assert!(!locks.release(b"/a", Token::new([3; 16])) && locks.release(b"/a", Token::new([1; 16])));
        locks.forget(b"/b");
        assert!(locks.is_empty());
    }
}

//! A map in parts, for keys that clients choose: one map grows by moving all its entries at once, which takes 80 ms for
//! a million of them. A part holds a sixty-fourth.
//!
//! Invariant: a key is in the part that its hash names, and nowhere else.

use super::hash::{Secret, SecretMap};
use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

/// A power of two.
const PARTS: usize = 64;

/// As [`SecretMap`], growing a part at a time.
#[derive(Debug)]
pub struct Shards<K, V> {
    /// Which part; each part has numbers of its own.
    secret: Secret,
    parts: Box<[SecretMap<K, V>]>,
}

impl<K, V> Default for Shards<K, V> {
    fn default() -> Shards<K, V> {
        Shards { secret: Secret::default(), parts: (0..PARTS).map(|_| SecretMap::default()).collect() }
    }
}

impl<K: Hash + Eq, V> Shards<K, V> {
    fn part<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        self.secret.hash_one(key) as usize & (PARTS - 1)
    }

    /// The value of a key.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.parts.get(self.part(key))?.get(key)
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let part = self.part(key);
        self.parts.get_mut(part)?.get_mut(key)
    }

    /// Adds a key, or replaces its value; the value it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let part = self.part(&key);
        self.parts.get_mut(part)?.insert(key, value)
    }

    /// Removes a key; the value it had.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let part = self.part(key);
        self.parts.get_mut(part)?.remove(key)
    }

    /// The number of keys.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.parts.iter().map(SecretMap::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn a_hundred_thousand_keys_never_move_at_once() {
        let mut shards: Shards<Rc<[u8]>, u32> = Shards::default();
        for n in 0..100_000u32 {
            assert_eq!(shards.insert(n.to_le_bytes().into(), n), None);
        }
        assert_eq!(shards.count(), 100_000);
        for n in 0..100_000u32 {
            assert_eq!(shards.get(&n.to_le_bytes()[..]), Some(&n));
        }
        // No part has much more than its share.
        let most = shards.parts.iter().map(SecretMap::len).max().unwrap_or(0);
        assert!(most < 2 * 100_000 / PARTS, "{most}");
        assert_eq!(shards.insert(7u32.to_le_bytes().into(), 70), Some(7));
        *shards.get_mut(&8u32.to_le_bytes()[..]).expect("there") = 80;
        assert_eq!(shards.remove(&8u32.to_le_bytes()[..]), Some(80));
        assert_eq!((shards.remove(&8u32.to_le_bytes()[..]), shards.count()), (None, 99_999));
    }
}

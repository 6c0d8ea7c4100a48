//! A hash of a few instructions per word, for maps whose keys we chose (names in the configuration, methods, file
//! identities: [`FastMap`]), and for those that every request asks and whose keys clients choose ([`SecretMap`]).
//!
//! Someone who knows a function can make all keys collide. The second begins and multiplies with numbers that the
//! process draws and keeps to itself; other maps that grow with what clients send use std's default hasher.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};

/// For keys that no client chooses.
pub type FastMap<K, V> = HashMap<K, V, BuildHasherDefault<FastHasher>>;
/// For keys that no client chooses.
pub type FastSet<K> = HashSet<K, BuildHasherDefault<FastHasher>>;

/// Half the price of std's hasher for a path.
pub type SecretMap<K, V> = HashMap<K, V, Secret>;

/// The numbers of one map.
#[derive(Clone, Debug)]
pub struct Secret {
    start: u64,
    factor: u64,
}

impl Default for Secret {
    fn default() -> Secret {
        let [start, factor] = [0u8, 1].map(|which| RandomState::new().hash_one(which));
        Secret { start, factor: factor | 1 }
    }
}

impl BuildHasher for Secret {
    type Hasher = FastHasher;

    fn build_hasher(&self) -> FastHasher {
        FastHasher { state: self.start, factor: self.factor }
    }
}

/// Odd, with its bits well spread: the fraction of the square root of two, made odd.
const FACTOR: u64 = 0x6a09_e667_f3bc_c909;

/// Each word is mixed in by a multiplication whose two halves are folded together: every bit of a key reaches both the
/// low bits (which a map takes as the bucket) and the high ones (which it takes as the tag).
#[derive(Clone, Copy, Debug)]
pub struct FastHasher {
    state: u64,
    factor: u64,
}

impl Default for FastHasher {
    fn default() -> FastHasher {
        FastHasher { state: 0, factor: FACTOR }
    }
}

/// Words hashed beside each other where there are many: a multiplication waits for the one before it.
const LANES: usize = 4;

#[inline]
fn mixed(state: u64, word: u64, factor: u64) -> u64 {
    // Rotating first keeps a word of zeroes, and the order of words, from getting lost.
    let product = u128::from(state.rotate_left(23) ^ word ^ FACTOR) * u128::from(factor);
    product as u64 ^ (product >> 64) as u64
}

impl FastHasher {
    #[inline]
    fn mix(&mut self, word: u64) {
        self.state = mixed(self.state, word, self.factor);
    }

    /// Many words; each lane begins with another state.
    fn mix_many(&mut self, blocks: &[[u8; 8 * LANES]]) {
        let mut lanes = std::array::from_fn::<u64, LANES, _>(|lane| self.state.wrapping_add(lane as u64));
        for block in blocks {
            let (words, _) = block.as_chunks::<8>();
            for (lane, word) in lanes.iter_mut().zip(words) {
                *lane = mixed(*lane, u64::from_le_bytes(*word), self.factor);
            }
        }
        lanes.into_iter().for_each(|lane| self.mix(lane));
    }
}

impl Hasher for FastHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = match bytes.as_chunks() {
            // To begin and join the lanes costs as much as a block.
            (blocks @ [_, _, ..], rest) => {
                self.mix_many(blocks);
                rest.as_chunks::<8>()
            }
            _ => bytes.as_chunks::<8>(),
        };
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(rest) {
                *to = *from;
            }
            // The eighth byte is free: the length in it tells `a` from `a\0`.
            word[7] = rest.len() as u8;
            self.mix(u64::from_le_bytes(word));
        }
    }

    #[inline]
    fn write_u8(&mut self, value: u8) {
        self.mix(u64::from(value));
    }

    #[inline]
    fn write_u16(&mut self, value: u16) {
        self.mix(u64::from(value));
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.mix(u64::from(value));
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.mix(value);
    }

    #[inline]
    fn write_usize(&mut self, value: usize) {
        self.mix(value as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.state
    }
}

/// Entries that [`free_some`] removes: each call also looks at the emptied part of the table.
const REMOVED_AT_ONCE: usize = 256;

/// Takes some entries out of a large table.
pub fn take_some<K: Eq + Hash, V>(table: &mut FastMap<K, V>) -> impl Iterator<Item = (K, V)> {
    table.extract_if(|_, _| true).take(REMOVED_AT_ONCE)
}

/// Frees some entries of a large table. False: it is empty.
pub fn free_some<K: Eq + Hash, V>(table: &mut FastMap<K, V>) -> bool {
    take_some(table).count() > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{BuildHasher, Hash};

    fn hash<T: Hash + ?Sized>(value: &T) -> u64 {
        BuildHasherDefault::<FastHasher>::default().hash_one(value)
    }

    #[test]
    fn keys_that_look_alike_hash_apart() {
        let (zeroes, more) = ([0u8; 64], [0u8; 65]);
        let swapped: Vec<u8> = (32..64).chain(0..32).collect();
        let ordered: Vec<u8> = (0..64).collect();
        let table: [(&[u8], &[u8]); 10] = [
            (&zeroes[..32], &zeroes),
            (&zeroes, &more),
            (&ordered, &swapped),
            (b"0123456701234567012345670123456a", b"012345670123456701234567a1234560"),
            (b"", b"\0"),
            (b"a", b"a\0"),
            (b"abcdefgh", b"abcdefg"),
            (b"abcdefgh", b"abcdefgh\0"),
            (b"abcdefghABCDEFGH", b"ABCDEFGHabcdefgh"),
            (b"\0\0\0\0\0\0\0\0", b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ];
        for (one, other) in table {
            assert_ne!(hash(one), hash(other), "{one:?} {other:?}");
            assert_eq!(hash(one), hash(&one.to_vec()[..]));
        }
    }

    #[test]
    fn each_secret_map_has_numbers_of_its_own() {
        let (one, other) = (Secret::default(), Secret::default());
        assert_ne!(one.hash_one("/a"), other.hash_one("/a"));
        assert_eq!(one.hash_one("/a"), one.clone().hash_one("/a"));
        let buckets: HashSet<u64> = (0..4096).map(|n| one.hash_one(format!("/f/{n:05}.html")) % 4096).collect();
        assert!(buckets.len() > 2300, "{}", buckets.len());
    }

    #[test]
    fn small_numbers_spread_over_buckets_and_tags() {
        let mut buckets = FastSet::default();
        let mut tags = FastSet::default();
        for number in 0u32..4096 {
            buckets.insert(hash(&number) % 4096);
            tags.insert(hash(&number) >> 57);
        }
        // A random function hits 63 % of as many buckets.
        assert!(buckets.len() > 2300, "{}", buckets.len());
        assert_eq!(tags.len(), 128);
    }

    #[test]
    fn a_map_finds_by_str_what_was_put_in_by_string() {
        let mut map: FastMap<String, u32> = FastMap::default();
        for number in 0..1000 {
            map.insert(format!("name-{number}"), number);
        }
        assert!((0..1000).all(|number| map.get(format!("name-{number}").as_str()) == Some(&number)));
        assert_eq!(map.get("name-1000"), None);
    }
}

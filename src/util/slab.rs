//! A container for many values of one type, found by slot and generation: a key outlives its value harmlessly, because
//! the next value in the slot has another generation. An event that the kernel had ready before a connection was closed
//! finds no value.
//!
//! Slots freed last are used first, so that a busy server keeps touching the same memory and slots never used are never
//! touched.

use std::num::NonZeroU32;

/// Bits of a generation. After 2^24 tenants a slot's keys repeat: far beyond the few events that may still be fetched
/// when a key dies.
const GENERATION_BITS: u32 = 24;
const GENERATION_MASK: u32 = (1 << GENERATION_BITS) - 1;

/// Ends the list of vacant slots.
const NONE: u32 = u32::MAX;

/// Above every generation, and set in each key's: none is zero, so that no key at all takes no more room than one.
const MARK: NonZeroU32 = NonZeroU32::new(1 << GENERATION_BITS).expect("a bit is set");

/// Names one value in one slab, for as long as it lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    slot: u32,
    marked: NonZeroU32,
}

const _: () = assert!(size_of::<Option<Key>>() == size_of::<Key>());

impl Key {
    /// Bits 32 to 39 of [`Key::to_u64`] are zero: room for what kind of thing the slot belongs to.
    pub const ROLE_SHIFT: u32 = 32;

    /// `generation` counts with its lower 24 bits.
    pub fn new(slot: u32, generation: u32) -> Key {
        Key { slot, marked: MARK | generation & GENERATION_MASK }
    }

    /// An index that a later value may have, too: for the timer wheel, and in the turn in which it is got.
    pub fn slot(self) -> u32 {
        self.slot
    }

    /// Less than 2^24.
    pub fn generation(self) -> u32 {
        self.marked.get() & GENERATION_MASK
    }

    /// `generation:24 | 0:8 | slot:32`.
    pub fn to_u64(self) -> u64 {
        u64::from(self.generation()) << 40 | u64::from(self.slot)
    }

    /// The key in such a number, whatever its role bits.
    pub fn from_u64(number: u64) -> Key {
        Key::new(number as u32, (number >> 40) as u32)
    }
}

#[derive(Clone, Debug)]
enum Entry<T> {
    /// `generation` is the next tenant's.
    Vacant {
        generation: u32,
        next: u32,
    },
    Taken {
        generation: u32,
        value: T,
    },
}

// Tag and generation share eight bytes before a value aligned to eight.
const _: () = assert!(size_of::<Entry<[u64; 4]>>() == size_of::<[u64; 4]>() + 8);

/// Values by their keys.
#[derive(Clone, Debug)]
pub struct Slab<T> {
    entries: Vec<Entry<T>>,
    vacant: u32,
    len: u32,
}

impl<T> Slab<T> {
    /// Without memory.
    pub const fn new() -> Slab<T> {
        Slab { entries: Vec::new(), vacant: NONE, len: 0 }
    }

    /// Puts a value into a vacant slot.
    pub fn insert(&mut self, value: T) -> Key {
        self.insert_with(|_| value)
    }

    /// For values that know their own key.
    pub fn insert_with(&mut self, value: impl FnOnce(Key) -> T) -> Key {
        let (key, next) = match self.entries.get(self.vacant as usize) {
            Some(&Entry::Vacant { generation, next }) => (Key::new(self.vacant, generation), Some(next)),
            _ => {
                let slot = u32::try_from(self.entries.len()).ok().filter(|&slot| slot != NONE);
                (Key::new(slot.expect("a slab holds less than 2^32 - 1 values"), 0), None)
            }
        };
        let entry = Entry::Taken { generation: key.generation(), value: value(key) };
        match next {
            None => self.entries.push(entry),
            Some(next) => {
                if let Some(vacant) = self.entries.get_mut(key.slot as usize) {
                    *vacant = entry;
                }
                self.vacant = next;
            }
        }
        self.len += 1;
        key
    }

    /// None: the value was removed, also where its slot has another one by now.
    pub fn get(&self, key: Key) -> Option<&T> {
        match self.entries.get(key.slot as usize) {
            Some(Entry::Taken { generation, value }) if *generation == key.generation() => Some(value),
            _ => None,
        }
    }

    /// None: the value was removed.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.entries.get_mut(key.slot as usize) {
            Some(Entry::Taken { generation, value }) if *generation == key.generation() => Some(value),
            _ => None,
        }
    }

    /// The key of the value in `slot` now.
    pub fn key_of(&self, slot: u32) -> Option<Key> {
        match self.entries.get(slot as usize) {
            Some(&Entry::Taken { generation, .. }) => Some(Key::new(slot, generation)),
            _ => None,
        }
    }

    /// The value is still there.
    pub fn contains(&self, key: Key) -> bool {
        self.get(key).is_some()
    }

    /// The value; its key and the copies of it find nothing from now on.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.get_mut(key.slot as usize)?;
        match entry {
            Entry::Taken { generation, .. } if *generation == key.generation() => {}
            _ => return None,
        }
        let generation = key.generation().wrapping_add(1) & GENERATION_MASK;
        let removed = std::mem::replace(entry, Entry::Vacant { generation, next: self.vacant });
        self.vacant = key.slot;
        self.len -= 1;
        match removed {
            Entry::Taken { value, .. } => Some(value),
            Entry::Vacant { .. } => None,
        }
    }

    /// How many values live here.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// No slot is taken.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// One more than the highest slot ever used: the bound for loops by slot that must not hold a borrow.
    pub fn slots(&self) -> u32 {
        self.entries.len() as u32
    }

    /// In order of slots.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.entries.iter().zip(0u32..).filter_map(|(entry, slot)| match entry {
            Entry::Taken { generation, value } => Some((Key::new(slot, *generation), value)),
            Entry::Vacant { .. } => None,
        })
    }

    /// In the order of the slots.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        self.entries.iter_mut().zip(0u32..).filter_map(|(entry, slot)| match entry {
            Entry::Taken { generation, value } => Some((Key::new(slot, *generation), value)),
            Entry::Vacant { .. } => None,
        })
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::seed::Seed;
    use std::collections::BTreeMap;

    #[test]
    fn a_key_packs_into_a_token_and_back_whatever_the_role() {
        let table = [(0, 0), (1, 0), (0, 1), (u32::MAX - 1, GENERATION_MASK), (0x0123_4567, 0x89_abcd)];
        for (slot, generation) in table {
            let key = Key::new(slot, generation);
            let number = key.to_u64();
            assert_eq!(number >> Key::ROLE_SHIFT & 0xff, 0);
            for role in [0u64, 1, 0xff] {
                assert_eq!(Key::from_u64(number | role << Key::ROLE_SHIFT), key);
            }
            assert_eq!((key.slot(), key.generation()), (slot, generation));
        }
        assert_eq!(Key::new(1, 1 << 24), Key::new(1, 0), "the ninth byte does not exist");
    }

    #[test]
    fn a_dead_key_does_not_find_the_next_tenant() {
        let mut slab = Slab::new();
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second");
        assert_eq!(first.slot(), second.slot());
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
        assert_eq!(slab.key_of(second.slot()), Some(second));
    }

    #[test]
    fn the_slot_freed_last_is_used_first() {
        let mut slab = Slab::new();
        let keys: Vec<Key> = (0..4).map(|value| slab.insert(value)).collect();
        for slot in [0usize, 2, 1] {
            slab.remove(keys[slot]);
        }
        let reused: Vec<u32> = (0..4).map(|value| slab.insert(value).slot()).collect();
        assert_eq!(reused, [1, 2, 0, 4]);
        assert_eq!(slab.slots(), 5);
    }

    #[test]
    fn a_generation_wraps_without_touching_the_role() {
        let mut slab = Slab::new();
        slab.entries.push(Entry::Taken { generation: GENERATION_MASK, value: 'a' });
        slab.len = 1;
        assert_eq!(slab.remove(Key::new(0, GENERATION_MASK)), Some('a'));
        assert_eq!(slab.insert('b'), Key::new(0, 0));
    }

    #[test]
    fn a_value_may_know_its_own_key() {
        let mut slab = Slab::new();
        for _ in 0..3 {
            let key = slab.insert_with(|key| key);
            assert_eq!(slab.get(key), Some(&key));
        }
    }

    #[test]
    fn any_order_of_inserts_and_removes_agrees_with_a_map() {
        for seed in 0..20 {
            let mut random = Seed::new(seed);
            let mut slab = Slab::default();
            let mut model: BTreeMap<u32, (Key, u64)> = BTreeMap::new();
            let mut dead = Vec::new();
            for step in 0..2000 {
                if random.below(100) < if step % 500 < 250 { 70 } else { 30 } {
                    let key = slab.insert(step);
                    assert_eq!(model.insert(key.slot(), (key, step)), None, "seed {seed}: slot given twice");
                } else if !model.is_empty() {
                    let nth = random.below(model.len() as u64) as usize;
                    let (&slot, &(key, value)) = model.iter().nth(nth).expect("nth is below len");
                    assert_eq!(slab.remove(key), Some(value), "seed {seed}");
                    model.remove(&slot);
                    dead.push(key);
                }
                assert_eq!(slab.len(), model.len());
                assert_eq!(slab.is_empty(), model.is_empty());
                if let Some(&key) = dead.last() {
                    assert!(!slab.contains(key), "seed {seed}: a dead key found something");
                }
            }
            assert!(dead.iter().all(|&key| slab.get(key).is_none()));
            let expected: Vec<(Key, u64)> = model.values().copied().collect();
            assert_eq!(slab.iter().map(|(key, &value)| (key, value)).collect::<Vec<_>>(), expected);
            for (_, value) in slab.iter_mut() {
                *value += 1;
            }
            assert!(expected.iter().all(|&(key, value)| slab.get_mut(key) == Some(&mut (value + 1))));
        }
    }
}

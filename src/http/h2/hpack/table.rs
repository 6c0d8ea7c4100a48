//! The dynamic table of a decoder (RFC 7541 §2.3.2, §4).
//!
//! Invariant: the entries' sizes, 32 bytes added to each, never exceed the table's size; memory is at most that and the
//! slack that keeps moving entries rare. A connection that sends no fields to keep has no memory here.

use crate::http::header::HeaderId;
use std::collections::VecDeque;

/// What each entry counts beside its bytes (§4.1).
const OVERHEAD: usize = 32;
/// Bytes beyond the live ones before these are moved to the front.
const SLACK: usize = 1024;
/// Text grows by this much: a connection has one to two hundred bytes worth keeping, seldom more.
const STEP: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: u32,
    name: u32,
    value: u32,
    id: HeaderId,
}

impl Entry {
    fn len(&self) -> usize {
        (self.name + self.value) as usize
    }
}

/// The dynamic table: the entries with indexes above 61, the last of the static table.
#[derive(Debug)]
pub struct Table {
    /// The newest first.
    entries: VecDeque<Entry>,
    text: Vec<u8>,
    /// Of the entries, overhead included.
    used: usize,
    /// What the encoder has chosen.
    size: usize,
}

impl Table {
    /// An empty table of at most `size` bytes (SETTINGS_HEADER_TABLE_SIZE).
    pub fn new(size: usize) -> Table {
        Table { entries: VecDeque::new(), text: Vec::new(), used: 0, size }
    }

    /// Name, value and id of an entry; 0 is the newest.
    pub fn get(&self, index: usize) -> Option<(&[u8], &[u8], HeaderId)> {
        let entry = self.entries.get(index)?;
        let at = entry.at as usize;
        let name = self.text.get(at..at + entry.name as usize)?;
        let value = self.text.get(at + entry.name as usize..at + entry.len())?;
        Some((name, value, entry.id))
    }

    /// Adds an entry and evicts the oldest ones; one larger than the table only empties it (§4.4).
    pub fn insert(&mut self, name: &[u8], value: &[u8], id: HeaderId) {
        let len = name.len() + value.len();
        let Some(room) = self.size.checked_sub(len + OVERHEAD) else {
            self.evict(0);
            return;
        };
        self.evict(room);
        if self.entries.is_empty() {
            self.text.clear();
        }
        if self.text.len() + len > self.size + SLACK {
            self.compact();
        }
        if self.text.capacity() - self.text.len() < len {
            self.text.reserve_exact(len.next_multiple_of(STEP));
        }
        let at = self.text.len() as u32;
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(value);
        self.entries.push_front(Entry { at, name: name.len() as u32, value: value.len() as u32, id });
        self.used += len + OVERHEAD;
    }

    /// The encoder chooses another size (§4.3).
    pub fn resize(&mut self, size: usize) {
        self.size = size;
        self.evict(size);
    }

    /// Entries, and their bytes with the overhead.
    pub fn usage(&self) -> (usize, usize) {
        (self.entries.len(), self.used)
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.text.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    fn evict(&mut self, most: usize) {
        while self.used > most {
            let Some(entry) = self.entries.pop_back() else { break };
            self.used -= entry.len() + OVERHEAD;
        }
    }

    /// Moves the live bytes, which lie together, to the front.
    fn compact(&mut self) {
        let start = self.entries.back().map_or(self.text.len(), |oldest| oldest.at as usize);
        self.text.drain(..start);
        for entry in &mut self.entries {
            entry.at -= start as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_evicted_from_the_oldest_on_and_memory_stays_bounded() {
        let mut table = Table::new(200);
        for round in 0..2000u32 {
            let (name, value) = (format!("n{}", round % 7), "v".repeat((round % 13) as usize));
            table.insert(name.as_bytes(), value.as_bytes(), HeaderId::Other);
            let (count, used) = table.usage();
            assert!(used <= 200 && count > 0);
            assert_eq!(table.get(0), Some((name.as_bytes(), value.as_bytes(), HeaderId::Other)));
            let sum: usize = (0..count).filter_map(|at| table.get(at)).map(|(n, v, _)| n.len() + v.len() + 32).sum();
            assert_eq!(sum, used);
            assert!(table.text.len() <= 200 + SLACK && table.memory() < 2048, "{}", table.memory());
            let held = used - 32 * count + count * size_of::<Entry>();
            assert!(table.memory() >= held, "what is held is counted: {} of {held}", table.memory());
        }
        // §4.4: an entry larger than the table empties it.
        table.insert(b"n", &[b'x'; 200], HeaderId::Other);
        assert_eq!((table.usage(), table.get(0)), ((0, 0), None));
        table.insert(b"n", b"v", HeaderId::Other);
        table.resize(33);
        assert_eq!(table.usage(), (0, 0));
    }
}

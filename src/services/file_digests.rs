//! Digests of files requested by clients (Want-Repr-Digest): each version of a file is hashed once.
//!
//! Invariant: a digest belongs to exactly the version in its key; for a file that changed while it was hashed, none is
//! cached.

use crate::sys::file::Stat;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// Maximum number of cached digests; the oldest is dropped first.
const KEPT: usize = 1024;

/// Identifies a version of a file's content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FileVersion {
    file: (u64, u64),
    size: u64,
    times: [(i64, u32); 2],
}

impl FileVersion {
    /// The version of a file that has this stat. Two writes within the clock's granularity look alike.
    pub fn of(stat: &Stat) -> FileVersion {
        FileVersion { file: (stat.dev, stat.ino), size: stat.size, times: [stat.mtime, stat.ctime] }
    }
}

/// A version of a file, and the name of an algorithm.
type Key = (FileVersion, &'static str);

/// Digests by version and algorithm; the oldest goes first.
#[derive(Default)]
pub struct FileDigests {
    values: HashMap<Key, Rc<[u8]>>,
    order: VecDeque<Key>,
}

impl FileDigests {
    /// The digest, as the value of a header field.
    pub fn get(&self, version: FileVersion, algorithm: &'static str) -> Option<Rc<[u8]>> {
        self.values.get(&(version, algorithm)).cloned()
    }

    /// Remembers the value of Repr-Digest for a version.
    pub fn keep(&mut self, version: FileVersion, algorithm: &'static str, value: Rc<[u8]>) {
        if self.values.insert((version, algorithm), value).is_some() {
            return;
        }
        self.order.push_back((version, algorithm));
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_hashed_once_and_the_oldest_goes_first() {
        let version = |n: u64| FileVersion { file: (1, n), size: 3, times: [(4, 5); 2] };
        let mut digests = FileDigests::default();
        digests.keep(version(0), "sha-256", Rc::from(&b"a"[..]));
        assert_eq!(digests.get(version(0), "sha-256").as_deref(), Some(&b"a"[..]));
        assert_eq!(digests.get(version(0), "sha-512"), None);
        assert_eq!(digests.get(version(1), "sha-256"), None);
        for n in 1..=KEPT as u64 {
            digests.keep(version(n), "sha-256", Rc::from(&b"b"[..]));
        }
        assert_eq!(digests.get(version(0), "sha-256"), None);
        assert_eq!((digests.values.len(), digests.order.len()), (KEPT, KEPT));
    }
}
